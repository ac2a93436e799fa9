/*
 * Keys of [route] that serve files.  Builder and tools.
 */
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>

#include "base/text.h"
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

/* Like the root it may come later; until then it is missed. */
static void
check_fallback(struct conf_load *load, struct conf_obj *obj,
    const struct static_route *r)
{
	const struct conf_item	*it = conf_item(load, obj, "fallback");
	char			 path[2 * PATH_MAX];
	struct stat		 st;

	if (r->fallback.n == 0)
		return;
	snprintf(path, sizeof(path), "%.*s/%.*s", STR_FMT(r->root),
	    STR_FMT(r->fallback));
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		return;
	diag_at(conf_load_diags(load), DIAG_STATIC_ABSENT,
	    it != NULL ? &it->vspan : NULL, obj, "fallback",
	    "\"%s\": there is no such file: unknown paths are answered 404 "
	    "until there is", path);
}

/* What the fallback is, is taken to be below the root. */
static void
trim_fallback(struct static_route *r)
{
	while (str_starts(r->fallback, STR("/")))
		r->fallback = str_sub(r->fallback, 1, r->fallback.n);
}

/* True if a segment is ".." */
static bool
leads_out(struct str path)
{
	struct str	seg;

	while (str_word(&path, "/", &seg))
		if (str_eq(seg, STR("..")))
			return true;
	return false;
}

/* Files below the directory alone are served. */
static int
fail_out(struct conf_load *load, struct conf_obj *obj, const char *key,
    const struct conf_item *it, struct str word)
{
	struct conf_span	at;

	if (it != NULL)
		at = conf_word_span(it, word);
	diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN,
	    it != NULL ? &at : NULL, obj, key,
	    "\"%.*s\": it leads out of the directory", STR_FMT(word));
	return -1;
}

static int
check_inside(struct conf_load *load, struct conf_obj *obj,
    const struct static_route *r)
{
	struct conf_words	w;
	int			rc = 0;

	conf_words_init(&w, load, obj, "index");
	while (conf_words_next(&w))
		if (leads_out(w.word))
			rc = fail_out(load, obj, "index", w.it, w.word);
	if (leads_out(r->fallback))
		rc = fail_out(load, obj, "fallback",
		    conf_item(load, obj, "fallback"), r->fallback);
	return rc;
}

/* With its length, so that no two lists of words are the same text. */
static void
add_word(struct text *t, struct str s)
{
	text_fmt(t, "|%zu:%.*s", s.n, STR_FMT(s));
}

/* All of it as text: what is equal serves the same. */
static void
make_key(struct conf_load *load, struct static_route *r)
{
	struct text	t;

	text_init(&t);
	text_fmt(&t, "%d%d%d%d %zu", r->dot_files, r->links, r->listing,
	    r->precompressed, r->index.n);
	add_word(&t, r->root);
	add_word(&t, r->fallback);
	add_word(&t, r->cache_control);
	for (size_t i = 0; i < r->index.n; i++)
		add_word(&t, r->index.v[i]);
	for (size_t i = 0; i < r->types.n; i++) {
		add_word(&t, r->types.v[i].key);
		add_word(&t, r->types.v[i].val);
	}
	r->key = arena_dup(conf_load_arena(load), text_str(&t));
	text_fini(&t);
}

static int
fail_root(struct conf_load *load, struct conf_obj *obj,
    const struct static_route *r, const char *why)
{
	return tell_root(load, obj, r, DIAG_STATIC_MISSING, why);
}

/* 1: it is not there, but may come. */
static int
check_root(struct conf_load *load, struct conf_obj *obj,
    const struct static_route *r)
{
	const struct conf_item	*it = conf_item(load, obj, "static");
	char			 path[PATH_MAX];
	struct stat		 st;

	if (str_to_c(r->root, path, sizeof(path)) == -1)
		return fail_root(load, obj, r, "the path is too long");
	if (stat(path, &st) == -1 && errno == ENOENT &&
	    (it == NULL || it->origin != CONF_CLI)) {
		/* until then there is nothing below it */
		(void)tell_root(load, obj, r, DIAG_STATIC_ABSENT,
		    "there is no such directory: answered 404 until there is");
		return 1;
	}
	if (stat(path, &st) == -1)
		return fail_root(load, obj, r, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail_root(load, obj, r, "this is no directory");
	return 0;
}

static int
link_static(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct static_route	*r = part;
	int			 rc;

	if (r->root.n == 0)
		return 0;
	if (check_inside(load, obj, r) == -1)
		return -1;
	trim_fallback(r);
	make_key(load, r);
	rc = check_root(load, obj, r);
	if (rc == 0)
		check_fallback(load, obj, r);
	return rc == -1 ? -1 : 0;
}

/* as in "[static] directory = ./public" */
static const struct conf_alias directory[] = {
	{ "directory", CONF_COUNT, NULL }, { NULL, CONF_COUNT, NULL }
};

static const struct conf_row rows[] = {
	{
		.key = "static", .aliases = directory,
		.type = CONF_PATH, .off = AT(root),
		.min = 1, .max = 1024, .flags = CONF_F_HANDLER,
		.example = "/srv/www",
		.text = "Serves the files of this directory.  The path of a "
		    "request is looked for as it is, nothing is taken off. "
		    "A directory that is not there yet is a warning, and "
		    "404 until it is; so is one that goes away.  One that "
		    "the user of [sluice] may not enter is a warning too, "
		    "and 403.  Changes of files and directories show "
		    "within half a second."
	}, {
		.key = "index", .type = CONF_LIST, .off = AT(index),
		.def = "index.html", .example = "index.html index.htm",
		.text = "What is served for a directory: the first of these "
		    "names that exists in it."
	}, {
		.key = "fallback", .type = CONF_STR, .off = AT(fallback),
		.max = 1024, .flags = CONF_F_SHARED,
		.example = "index.html",
		.text = "The file below the directory that is served, with "
		    "status 200, for paths where there is none: what an "
		    "application of one page needs.  With target or targets "
		    "it is the key of [upstream] instead: another upstream, "
		    "or the path of a page."
	}, {
		.key = "cache_control", .type = CONF_STR,
		.off = AT(cache_control), .max = 1024,
		.example = "public, max-age=3600",
		.text = "Cache-Control of the files that are served."
	}, {
		.key = "listing", .type = CONF_BOOL, .off = AT(listing),
		.def = "off", .example = "on",
		.text = "Whether a directory without any file of index is "
		    "answered with a list of what is in it."
	}, {
		.key = "precompressed", .type = CONF_BOOL,
		.off = AT(precompressed), .def = "on", .example = "off",
		.text = "Whether files of text are served from a sibling "
		    "FILE.br, FILE.zst or FILE.gz to clients that accept "
		    "it, unless it is older than the file.  A sibling "
		    "without its file is not looked for."
	}, {
		.key = "types.*", .type = CONF_PAIRS, .off = AT(types),
		.example = "application/x-thing",
		.text = "Content-Type of files with the extension that "
		    "stands for the asterisk, before those that are known."
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
