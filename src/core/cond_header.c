/*
 * The route condition `header.NAME`.  Builder; workers match.
 *
 * A field fits if one of its lines has one of the values; a value "*"
 * fits whatever is there.  Names are compared folded, values are not
 * (RFC 9110 5.1).
 */
#include "conf/load.h"
#include "core/route.h"

struct cond_header {
	struct conf_pairs	fields;		/* name and value wanted */
};

static int
link_header(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct cond_header	*c = part;
	const struct conf_pair		*p;

	for (size_t i = 0; i < c->fields.n; i++) {
		p = &c->fields.v[i];
		if (hdr_is_token(p->key) && hdr_is_value(p->val))
			continue;
		diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN, NULL, obj,
		    "header.*", "\"%.*s\" is not the name of a field, or its "
		    "value cannot be one", STR_FMT(str_sub(p->key, 0, 80)));
		return -1;
	}
	return 0;
}

static bool
is_set(const void *part)
{
	return ((const struct cond_header *)part)->fields.n > 0;
}

/* True if a line of the request's has this value. */
static bool
has(const struct hdrs *hs, const struct conf_pair *want)
{
	bool	any = str_eq(want->val, STR("*"));

	for (size_t i = 0; i < hs->n; i++)
		if ((hs->v[i].flags & HDR_F_DEAD) == 0 &&
		    str_eq_fold(hs->v[i].name, want->key) &&
		    (any || str_eq(hs->v[i].val, want->val)))
			return true;
	return false;
}

/* All names that are asked for, each with one of its values. */
static bool
match(const void *part, const struct exchange *x)
{
	const struct conf_pairs	*f = &((const struct cond_header *)part)->
	    fields;
	bool			 found;

	for (size_t i = 0; i < f->n; i++) {
		found = false;
		for (size_t k = 0; k < f->n && !found; k++)
			found = str_eq_fold(f->v[i].key, f->v[k].key) &&
			    has(&x->req->hdrs, &f->v[k]);
		if (!found)
			return false;
	}
	return true;
}

static const struct conf_row rows[] = {
	{
		.key = "header.*", .type = CONF_PAIRS,
		.off = offsetof(struct cond_header, fields),
		.flags = CONF_F_COND, .example = "canary",
		.text = "A field that the request must have with this value; "
		    "* is any value. Given more than once for a name, one "
		    "of the values is enough."
	},
	{ .key = NULL }
};

const struct conf_group cond_header_group = {
	"header", rows, sizeof(struct cond_header), link_header
};

const struct route_cond cond_header = {
	.name = "header", .group = &cond_header_group, .is_set = is_set,
	.match = match, .fail = FAIL_NONE
};
