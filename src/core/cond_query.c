/*
 * The route condition `query.NAME`.  Builder; workers match.
 *
 * Names and values are compared decoded: %41 is A, a plus is a blank.  A
 * parameter without "=" has the empty value.  What stands more than once
 * fits if one of its values does.
 */
#include "core/cond.h"

#include "base/enc.h"

struct cond_query {
	struct conf_pairs	params;		/* name and value wanted */
};

static uint32_t
count(const void *part)
{
	return cond_count_pairs(&((const struct cond_query *)part)->params,
	    false);
}

/* Takes one decoded byte off the front; a broken escape stands for itself. */
static char
cut_byte(struct str *s)
{
	char	c = s->p[0];
	int	hi, lo;

	if (c == '%' && s->n >= 3) {
		hi = enc_unhex(s->p[1]);
		lo = enc_unhex(s->p[2]);
		if (hi >= 0 && lo >= 0) {
			*s = str_sub(*s, 3, s->n);
			return (char)(hi << 4 | lo);
		}
	}
	*s = str_sub(*s, 1, s->n);
	return c == '+' ? ' ' : c;
}

static bool
is_decoded(struct str raw, struct str want)
{
	while (raw.n > 0 && want.n > 0) {
		if (cut_byte(&raw) != want.p[0])
			return false;
		want = str_sub(want, 1, want.n);
	}
	return raw.n == 0 && want.n == 0;
}

static bool
has(const struct exchange *x, const struct conf_pair *want)
{
	bool		any = str_eq(want->val, STR("*"));
	struct str	rest = x->uri.query, word, val;
	ptrdiff_t	eq;

	while (str_word(&rest, "&", &word)) {
		eq = str_find(word, '=', 0);
		val = eq < 0 ? STR("") :
		    str_sub(word, (size_t)eq + 1, word.n);
		if (eq >= 0)
			word.n = (size_t)eq;
		if (is_decoded(word, want->key) &&
		    (any || is_decoded(val, want->val)))
			return true;
	}
	return false;
}

static bool
match(const void *part, const struct exchange *x)
{
	return cond_match_pairs(&((const struct cond_query *)part)->params,
	    x, false, has);
}

static bool
covers(const void *wide, const void *narrow)
{
	const struct cond_query	*w = wide, *n = narrow;

	return cond_covers_pairs(&w->params, &n->params, false);
}

static const struct conf_row rows[] = {
	{
		.key = "query.*", .type = CONF_CUSTOM,
		.off = offsetof(struct cond_query, params),
		.flags = CONF_F_COND | CONF_F_MANY,
		.parse = cond_parse_pairs, .example = "2",
		.text = "A parameter that the query must have with this "
		    "value; * is any value.  Both are compared decoded.  "
		    "Given more than once for a name, one of the values is "
		    "enough."
	},
	{ .key = NULL }
};

const struct conf_group cond_query_group = {
	"query", rows, sizeof(struct cond_query), NULL
};

const struct route_cond cond_query = {
	.name = "query", .group = &cond_query_group, .count = count,
	.match = match, .covers = covers, .fail = FAIL_NONE
};
