/*
 * The route condition `header.NAME`.  Builder; workers match.
 *
 * A field fits if one of its lines has one of the values; a value "*"
 * fits whatever is there.  Names are compared folded, values are not
 * (RFC 9110 5.1).
 */
#include "core/cond.h"

struct cond_header {
	struct conf_pairs	fields;		/* name and value wanted */
};

static int
parse(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_pairs	*ps = dst;

	if (cond_parse_pairs(load, row, dst, items, n) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!hdr_is_token(ps->v[i].key))
			return cond_fail_name(load, row, &items[i],
			    "no field has such a name");
	return 0;
}

static uint32_t
count(const void *part)
{
	return cond_count_pairs(&((const struct cond_header *)part)->fields,
	    true);
}

/* True if a line of the request's has this value. */
static bool
has(const struct exchange *x, const struct conf_pair *want)
{
	const struct hdrs	*hs = &x->req->hdrs;

	for (size_t i = 0; i < hs->n; i++)
		if ((hs->v[i].flags & HDR_F_DEAD) == 0 &&
		    str_eq_fold(hs->v[i].name, want->key) &&
		    cond_fits(want, hs->v[i].val))
			return true;
	return false;
}

static bool
match(const void *part, const struct exchange *x)
{
	return cond_match_pairs(&((const struct cond_header *)part)->fields,
	    x, true, has);
}

static bool
covers(const void *wide, const void *narrow)
{
	const struct cond_header	*w = wide, *n = narrow;

	return cond_covers_pairs(&w->fields, &n->fields, true);
}

static const struct conf_row rows[] = {
	{
		.key = "header.*", .type = CONF_CUSTOM,
		.off = offsetof(struct cond_header, fields),
		.flags = CONF_F_COND | CONF_F_MANY, .parse = parse,
		.example = "canary",
		.text = "A field that the request must have with this value; "
		    "* is any value.  Given more than once for a name, one "
		    "of the values is enough."
	},
	{ .key = NULL }
};

const struct conf_group cond_header_group = {
	"header", rows, sizeof(struct cond_header), NULL
};

const struct route_cond cond_header = {
	.name = "header", .group = &cond_header_group, .count = count,
	.match = match, .covers = covers, .fail = FAIL_NONE
};
