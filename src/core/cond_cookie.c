/*
 * The route condition `cookie.NAME`.  Builder; workers match.
 *
 * Of a cookie that is there more than once one fitting value is enough.
 */
#include "core/cond.h"
#include "http/cookie.h"

struct cond_cookie {
	struct conf_pairs	cookies;	/* name and value wanted */
};

static int
parse(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_pairs	*ps = dst;

	if (cond_parse_pairs(load, row, dst, items, n) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!hdr_is_token(ps->v[i].key))
			return cond_fail_name(load, row, &items[i],
			    "no cookie has such a name");
		if (str_find(ps->v[i].val, ';', 0) >= 0)
			return cond_fail(load, row, &items[i], items[i].val,
			    "no cookie has a semicolon in its value");
	}
	return 0;
}

static uint32_t
count(const void *part)
{
	return cond_count_pairs(&((const struct cond_cookie *)part)->cookies,
	    false);
}

static bool
is_in(struct str field, const struct conf_pair *want)
{
	struct str	name, val;

	while (cookie_next(&field, &name, &val))
		if (str_eq(name, want->key) && cond_fits(want, val))
			return true;
	return false;
}

static bool
has(const struct exchange *x, const struct conf_pair *want)
{
	const struct hdr	*h;

	for (h = hdr_get(&x->req->hdrs, HDR_COOKIE); h != NULL;
	    h = hdr_next(&x->req->hdrs, HDR_COOKIE, h))
		if (is_in(h->val, want))
			return true;
	return false;
}

static bool
match(const void *part, const struct exchange *x)
{
	return cond_match_pairs(&((const struct cond_cookie *)part)->cookies,
	    x, false, has);
}

static bool
covers(const void *wide, const void *narrow)
{
	const struct cond_cookie	*w = wide, *n = narrow;

	return cond_covers_pairs(&w->cookies, &n->cookies, false);
}

static const struct conf_row rows[] = {
	{
		.key = "cookie.*", .type = CONF_CUSTOM,
		.off = offsetof(struct cond_cookie, cookies),
		.flags = CONF_F_COND | CONF_F_MANY, .parse = parse,
		.example = "beta",
		.text = "A cookie that the request must have with this "
		    "value; * is any value.  Given more than once for a "
		    "name, one of the values is enough."
	},
	{ .key = NULL }
};

const struct conf_group cond_cookie_group = {
	"cookie", rows, sizeof(struct cond_cookie), NULL
};

const struct route_cond cond_cookie = {
	.name = "cookie", .group = &cond_cookie_group, .count = count,
	.match = match, .covers = covers, .fail = FAIL_NONE
};
