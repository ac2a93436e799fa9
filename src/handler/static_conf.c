/*
 * Keys of [route] that serve files.  Builder and tools.
 */
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>

#include "conf/load.h"
#include "handler/static.h"

#define AT(member)	offsetof(struct static_route, member)

/* The place of the key, or of nothing when the root is a default. */
static int
tell_root(struct conf_load *load, struct conf_obj *obj,
    const struct static_route *r, enum diag_id id, const char *why)
{
	const struct conf_item	*it = conf_item(load, obj, "static");

	diag_at(conf_load_diags(load), id,
	    it != NULL ? &it->vspan : NULL, obj, "static", "\"%.*s\": %s",
	    STR_FMT(r->root), why);
	return -1;
}

static int
fail_root(struct conf_load *load, struct conf_obj *obj,
    const struct static_route *r, const char *why)
{
	return tell_root(load, obj, r, DIAG_STATIC_MISSING, why);
}

static int
link_static(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct static_route	*r = part;
	const struct conf_item	*it;
	char			 path[PATH_MAX];
	struct stat		 st;

	if (r->root.n == 0)
		return 0;
	if (str_to_c(r->root, path, sizeof(path)) == -1)
		return fail_root(load, obj, r, "the path is too long");
	it = conf_item(load, obj, "static");
	if (stat(path, &st) == -1 && errno == ENOENT &&
	    (it == NULL || it->origin != CONF_CLI)) {
		/* it may come: until then there is nothing below it */
		(void)tell_root(load, obj, r, DIAG_STATIC_ABSENT,
		    "there is no such directory: answered 404 until there is");
		return 0;
	}
	if (stat(path, &st) == -1)
		return fail_root(load, obj, r, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail_root(load, obj, r, "this is no directory");
	return 0;
}

static const struct conf_row rows[] = {
	{
		.key = "static", .type = CONF_PATH, .off = AT(root),
		.min = 1, .max = 1024, .flags = CONF_F_HANDLER,
		.example = "/srv/www",
		.text = "Serves the files of this directory.  The path of a "
		    "request is looked for as it is, nothing is taken off. "
		    "A directory that is not there yet is a warning, and "
		    "404 until it is."
	}, {
		.key = "index", .type = CONF_LIST, .off = AT(index),
		.def = "index.html", .example = "index.html index.htm",
		.text = "What is served for a directory: the first of these "
		    "names that exists in it."
	}, {
		.key = "dot_files", .type = CONF_ENUM, .off = AT(dot_files),
		.def = "deny", .choices = "deny|allow", .example = "allow",
		.text = "Whether files and directories are served whose name "
		    "begins with a dot.  Those below /.well-known/ are."
	}, {
		.key = "symlinks", .type = CONF_ENUM, .off = AT(links),
		.def = "inside", .choices = "inside|off|follow",
		.example = "off",
		.text = "Which symbolic links are followed: inside those "
		    "that end below the directory, off none, follow all."
	},
	{ .key = NULL }
};

const struct conf_group static_group = {
	"static", rows, sizeof(struct static_route), link_static
};

_Static_assert(ASK_LINKS_INSIDE == 0 && ASK_LINKS_OFF == 1 &&
    ASK_LINKS_FOLLOW == 2, "the choices of symlinks");
