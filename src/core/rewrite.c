/*
 * Rewriting of paths.  Workers; the builder reads the keys.
 *
 * The regular expressions see the normalised path without its prefix.
 * What comes out is normalised again: pieces that were put together may
 * be dot segments now.
 */
#include "core/rewrite.h"

#include "base/scan.h"
#include "base/vec.h"
#include "core/cond.h"
#include "core/handler.h"
#include "core/regex.h"
#include "core/route.h"

#define AT(member)	offsetof(struct rewrite, member)
#define SLASH_KEEP	1

/* --- requests --- */

/* The path without the prefix that the route wants off, with its slash. */
static struct str
strip(const struct exchange *x, const struct rewrite *r)
{
	struct str	path = x->path;
	struct str	rest;

	if (r->strip.n == 0)
		return path;
	/* of "/app//x" it is "//x": a slash more is another path */
	if (str_eq(r->strip, STR("auto")))
		rest = x->fixed > 0 && path.p[x->fixed - 1] == '/' ?
		    str_sub(path, x->fixed - 1, path.n) : route_rest(x);
	else if (str_starts(path, r->strip))
		rest = str_sub(path, r->strip.n, path.n);
	else
		return path;
	if (rest.n > 0 && rest.p[0] == '/')
		return rest;
	/* "/app" is no prefix of "/apple"; that of auto ends with a slash. */
	if (rest.n > 0 && !str_eq(r->strip, STR("auto")))
		return path;
	return arena_fmt(x->arena, "/%.*s", STR_FMT(rest));
}

/* The first rule whose expression fits; a "?" in its text cuts a query. */
static enum fail
apply(struct exchange *x, const struct rewrite *r, struct str *path)
{
	const struct rewrite_rule	*rule = r->rules;
	enum regex_rc			 rc = REGEX_NO;
	struct str			 groups[ROUTE_CAPS], to;
	ptrdiff_t			 ask;

	for (; rule < r->rules + r->nrule; rule++) {
		rc = regex_match(x->serve, rule->from.text, *path, groups,
		    rule->from.ncap);
		if (rc != REGEX_NO)
			break;
	}
	if (rc != REGEX_YES)
		return rc == REGEX_LIMIT ? FAIL_REGEX_LIMIT : FAIL_NONE;
	x->path = *path;
	to = template_expand(&rule->to, x, groups, rule->from.ncap);
	ask = str_find(to, '?', 0);
	if (ask >= 0) {
		x->uri.query = str_sub(to, (size_t)ask + 1, to.n);
		x->uri.has_query = true;
		to.n = (size_t)ask;
	}
	*path = str_starts(to, STR("/")) ? to :
	    arena_fmt(x->arena, "/%.*s", STR_FMT(to));
	return FAIL_NONE;
}

enum fail
rewrite_run(struct exchange *x)
{
	const struct rewrite	*r = conf_part(&x->route->obj,
	    &rewrite_group);
	struct str		 path;
	enum fail		 why;

	x->asked = x->path;
	if (x->odd_slash && !r->keeps)
		return FAIL_BAD_PATH;
	if (r->strip.n == 0 && r->add.n == 0 && r->nrule == 0)
		return FAIL_NONE;
	path = strip(x, r);
	why = apply(x, r, &path);
	if (why != FAIL_NONE)
		return why;
	if (r->add.n > 0)
		path = arena_fmt(x->arena, "%.*s%.*s", STR_FMT(r->add),
		    STR_FMT(path));
	return uri_normalise(x->arena, path, true, &x->path);
}

/* --- keys --- */

/* Both are parts of paths: they begin with a slash, and hold nothing odd. */
static int
check_prefix(struct conf_load *load, const struct conf_obj *obj,
    const char *key, struct str *s)
{
	const struct conf_item	*it = conf_item(load, obj, key);
	struct str		 path;

	if (it == NULL || (key[0] == 's' && str_eq(*s, STR("auto"))))
		return 0;
	if (!str_starts(*s, STR("/")) || uri_normalise(conf_load_arena(load),
	    *s, true, &path) != FAIL_NONE) {
		diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN, &it->vspan,
		    obj, key, "\"%.*s\" is not the beginning of a path",
		    STR_FMT(str_sub(*s, 0, 80)));
		return -1;
	}
	/* "/a/" and "/a" mean the same. */
	while (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	*s = arena_dup(conf_load_arena(load), path);
	return 0;
}

static int
parse_rule(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct rewrite_rule *rule)
{
	struct str	rest = it->val, regex = STR("");

	if (!str_word(&rest, " \t", &regex) || str_trim(rest).n == 0)
		return cond_fail(load, row, it, it->val,
		    "an expression, a blank and a path are wanted");
	rest = str_trim(rest);
	if (scan_target(rest) != rest.n)
		return cond_fail(load, row, it, rest,
		    "a path has no blanks and no letters beyond ASCII");
	if (rest.p[0] != '/' && rest.p[0] != '$')
		return cond_fail(load, row, it, rest,
		    "a path begins with a slash");
	if (route_read_regex(load, row, it, regex, &rule->from) == -1)
		return -1;
	return template_parse(load, row, it, rest, TEMPLATE_GROUPS,
	    &rule->to);
}

static int
parse_rewrite(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct rewrite_rule	*v;
	struct rewrite		*r = dst;

	v = arena_alloc(conf_load_arena(load), n * sizeof(*v));
	for (size_t i = 0; i < n; i++)
		if (parse_rule(load, row, &items[i], &v[i]) == -1)
			return -1;
	r->rules = v;
	r->nrule = n;
	return 0;
}

/* Decoded, a slash would lead to another file. */
static void
check_slash(struct conf_load *load, const struct conf_obj *obj,
    struct rewrite *w)
{
	const struct route	*r = obj->part[0];
	const struct conf_item	*it = conf_item(load, obj,
	    "encoded_slash");

	w->keeps = w->encoded_slash == SLASH_KEEP;
	if (!w->keeps || it == NULL || r->handler == NULL ||
	    !str_eq(str_from(r->handler->name), STR("static")))
		return;
	w->keeps = false;
	diag_at(conf_load_diags(load), DIAG_ROUTE_KEY, &it->kspan, obj,
	    "encoded_slash", "names of files have no slashes: they are "
	    "refused where \"static\" answers");
}

/* What auto takes off stands before an asterisk. */
static void
check_auto(struct conf_load *load, const struct conf_obj *obj,
    const struct rewrite *w)
{
	const struct route	*r = obj->part[0];
	const struct conf_item	*it = conf_item(load, obj, "strip_prefix");

	for (size_t i = 0; i < r->paths.n; i++)
		if (r->paths.v[i].prefix)
			return;
	if (it != NULL && r->paths.n > 0 && str_eq(w->strip, STR("auto")))
		diag_at(conf_load_diags(load), DIAG_ROUTE_KEY, &it->vspan,
		    obj, "strip_prefix", "auto takes off what stands before "
		    "an asterisk: no path of the route has one");
}

/* A prefix that no path of the route has is mostly another route's. */
static void
check_strip(struct conf_load *load, const struct conf_obj *obj,
    const struct rewrite *w)
{
	const struct route	*r = obj->part[0];
	const struct conf_item	*it = conf_item(load, obj, "strip_prefix");

	if (it == NULL || r->paths.n == 0 || w->strip.n == 0 ||
	    str_eq(w->strip, STR("auto")))
		return;
	for (size_t i = 0; i < r->paths.n; i++)
		if (route_path_may_begin(&r->paths.v[i], w->strip))
			return;
	diag_at(conf_load_diags(load), DIAG_STRIP_NEVER, &it->vspan, obj,
	    "strip_prefix", "no path of route \"%.*s\" begins with "
	    "\"%.*s\": nothing is ever taken off", STR_FMT(obj->name),
	    STR_FMT(str_sub(w->strip, 0, 80)));
}

static int
link_rewrite(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct rewrite	*r = part;
	int		 rc = 0;

	if (check_prefix(load, obj, "strip_prefix", &r->strip) == -1)
		rc = -1;
	if (check_prefix(load, obj, "add_prefix", &r->add) == -1)
		rc = -1;
	for (size_t i = 0; i < r->nrule; i++)
		if (template_check(load, obj, "rewrite", &r->rules[i].to)
		    == -1)
			rc = -1;
	check_auto(load, obj, r);
	if (rc == 0)
		check_strip(load, obj, r);
	check_slash(load, obj, r);
	return rc;
}

static const struct conf_row rows[] = {
	{
		.key = "strip_prefix", .type = CONF_STR, .off = AT(strip),
		.max = 1024, .example = "auto",
		.text = "What is taken off the front of the path before the "
		    "request is answered: a path, or auto for what stands "
		    "before the asterisk of the route's path."
	}, {
		.key = "rewrite", .type = CONF_CUSTOM, .off = 0,
		.flags = CONF_F_MANY | CONF_F_LINES, .parse = parse_rewrite,
		.example = "^/old/(.*)$ /new/$1",
		.text = "A regular expression, and the path that takes the "
		    "place of one that fits, after strip_prefix; of several "
		    "the first that fits.  $1 to $9 are its groups; a "
		    "question mark begins another query."
	}, {
		.key = "add_prefix", .type = CONF_STR, .off = AT(add),
		.max = 1024, .example = "/app",
		.text = "What is put before the path, after strip_prefix and "
		    "rewrite."
	}, {
		.key = "encoded_slash", .type = CONF_ENUM,
		.off = AT(encoded_slash), .def = "refuse",
		.choices = "refuse|keep", .example = "keep",
		.text = "What happens with %2F and backslashes in a path: it "
		    "is refused with 400, or they stay as they are, escaped, "
		    "and are no separators."
	},
	{ .key = NULL }
};

const struct conf_group rewrite_group = {
	"rewrite", rows, sizeof(struct rewrite), link_rewrite
};
