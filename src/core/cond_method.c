/*
 * The route condition `method`.  Builder; workers match.
 *
 * Known methods are bits, others are compared as text: methods are
 * case-sensitive (RFC 9110 9.1).  GET lets HEAD through, as HEAD is GET
 * without the content.
 */
#include "conf/load.h"
#include "core/route.h"

struct cond_method {
	struct conf_list	names;
	/* after link */
	uint32_t		bits;	/* METHOD_BIT */
	struct str		others;	/* those that have none: "A, B" */
};

static void
add_method(struct arena *a, struct cond_method *c, struct str name)
{
	enum http_method	m = msg_method(name);

	if (m != METHOD_OTHER)
		c->bits |= METHOD_BIT(m);
	else
		c->others = c->others.n == 0 ? name : arena_fmt(a,
		    "%.*s, %.*s", STR_FMT(c->others), STR_FMT(name));
	if (m == METHOD_GET)
		c->bits |= METHOD_BIT(METHOD_HEAD);
}

static int
link_method(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct cond_method	*c = part;
	struct conf_words	 w;
	struct conf_span	 sp;
	int			 rc = 0;

	conf_words_init(&w, load, obj, "method");
	for (size_t i = 0; i < c->names.n; i++) {
		(void)conf_words_next(&w);
		if (hdr_is_token(c->names.v[i])) {
			add_method(conf_load_arena(load), c, c->names.v[i]);
			continue;
		}
		sp = conf_word_span(w.it, w.word);
		diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN, &sp, obj,
		    "method", "\"%.*s\" is not the name of a method",
		    STR_FMT(str_sub(c->names.v[i], 0, 80)));
		rc = -1;
	}
	return rc;
}

static bool
is_set(const void *part)
{
	return ((const struct cond_method *)part)->names.n > 0;
}

static bool
match(const void *part, const struct exchange *x)
{
	const struct cond_method	*c = part;

	if (x->req->meth != METHOD_OTHER)
		return (c->bits & METHOD_BIT(x->req->meth)) != 0;
	for (size_t i = 0; i < c->names.n; i++)
		if (str_eq(c->names.v[i], x->req->method))
			return true;
	return false;
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

static const struct conf_row rows[] = {
	{
		.key = "method", .type = CONF_LIST,
		.off = offsetof(struct cond_method, names),
		.flags = CONF_F_COND, .example = "GET POST",
		.text = "Methods the route is for; GET includes HEAD. "
		    "If only this condition of a route fails and no other "
		    "route fits, the answer is 405."
	},
	{ .key = NULL }
};

const struct conf_group cond_method_group = {
	"method", rows, sizeof(struct cond_method), link_method
};

const struct route_cond cond_method = {
	.name = "method", .group = &cond_method_group,
	.is_set = is_set, .match = match,
	.methods = methods, .others = others, .fail = FAIL_METHOD_NOT_ALLOWED
};
