/*
 * The route condition `method`.  Builder; workers match.
 *
 * Known methods are bits, others are compared as text: methods are
 * case-sensitive (RFC 9110 9.1).  GET lets HEAD through, as HEAD is GET
 * without the content.
 */
#include "core/cond.h"

#define LONGEST	8	/* of the methods that are known, and one more */

struct cond_method {
	uint32_t	bits;	/* METHOD_BIT */
	struct str	others;	/* those that have none: "A, B" */
};

static const char *
add(struct arena *a, void *dst, struct str name)
{
	struct cond_method	*c = dst;
	enum http_method	 m = msg_method(name);

	if (!hdr_is_token(name))
		return "no method has such a name";
	if (m != METHOD_OTHER)
		c->bits |= METHOD_BIT(m);
	else
		c->others = c->others.n == 0 ? arena_dup(a, name) :
		    arena_fmt(a, "%.*s, %.*s", STR_FMT(c->others),
		    STR_FMT(name));
	if (m == METHOD_GET)
		c->bits |= METHOD_BIT(METHOD_HEAD);
	return NULL;
}

/* The method that a word is like, or "". */
static struct str
find_near(struct str word)
{
	char		upper[LONGEST];
	struct str	name, up = str_make(upper, word.n);

	if (word.n > sizeof(upper))
		return STR("");
	for (size_t i = 0; i < word.n; i++)
		upper[i] = word.p[i] >= 'a' && word.p[i] <= 'z' ?
		    (char)(word.p[i] & ~0x20) : word.p[i];
	for (int m = METHOD_OTHER + 1; m < METHOD_N; m++) {
		name = msg_method_text((enum http_method)m);
		if (str_distance(up, name, 1) <= 1)
			return name;
	}
	return STR("");
}

/* Any token may be a method, but hardly "get". */
static void
warn_near(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it)
{
	struct str		rest = it->val, word, near;
	struct conf_span	sp;

	while (str_word(&rest, " \t\n,", &word)) {
		if (msg_method(word) != METHOD_OTHER)
			continue;
		near = find_near(word);
		if (near.n == 0)
			continue;
		sp = conf_word_span(it, word);
		diag_at(conf_load_diags(load), DIAG_METHOD_ODD, &sp, NULL,
		    row->key, "\"%.*s\" is another method than %.*s",
		    STR_FMT(word), STR_FMT(near));
		diag_hint(conf_load_diags(load), "did you mean %.*s?",
		    STR_FMT(near));
	}
}

static int
parse(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	if (cond_parse_words(load, row, dst, items, n, add) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		warn_near(load, row, &items[i]);
	return 0;
}

static uint32_t
count(const void *part)
{
	const struct cond_method	*c = part;

	return c->bits != 0 || c->others.n > 0;
}

static bool
has_other(const struct cond_method *c, struct str name)
{
	struct str	rest = c->others, word;

	while (str_word(&rest, ", ", &word))
		if (str_eq(word, name))
			return true;
	return false;
}

static bool
match(const void *part, const struct exchange *x)
{
	const struct cond_method	*c = part;

	if (x->req->meth != METHOD_OTHER)
		return (c->bits & METHOD_BIT(x->req->meth)) != 0;
	return has_other(c, x->req->method);
}

static uint32_t
methods(const void *part)
{
	return ((const struct cond_method *)part)->bits;
}

static struct str
others(const void *part)
{
	return ((const struct cond_method *)part)->others;
}

static bool
covers(const void *wide, const void *narrow)
{
	const struct cond_method	*w = wide, *n = narrow;
	struct str			 rest = n->others, word;

	while (str_word(&rest, ", ", &word))
		if (!has_other(w, word))
			return false;
	return (n->bits & ~w->bits) == 0;
}

static const struct conf_row rows[] = {
	{
		.key = "method", .type = CONF_CUSTOM, .off = 0,
		.flags = CONF_F_COND | CONF_F_MANY, .parse = parse,
		.example = "GET POST",
		.text = "Methods the route is for; GET includes HEAD.  "
		    "If only this condition of a route fails and no other "
		    "route fits, the answer is 405.  CONNECT is for routes "
		    "alone that name it; Upgrades and tunnels above says "
		    "more."
	},
	{ .key = NULL }
};

const struct conf_group cond_method_group = {
	"method", rows, sizeof(struct cond_method), NULL
};

const struct route_cond cond_method = {
	.name = "method", .group = &cond_method_group,
	.count = count, .match = match, .covers = covers,
	.methods = methods, .others = others, .fail = FAIL_METHOD_NOT_ALLOWED
};
