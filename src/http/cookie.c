/*
 * The Cookie field.  Workers.
 */
#include "http/cookie.h"

#include "base/text.h"

static struct str
name_of(struct str pair)
{
	ptrdiff_t	eq = str_find(pair, '=', 0);

	return eq < 0 ? STR_NONE : str_trim(str_sub(pair, 0, (size_t)eq));
}

/* What has no equals sign is no pair and passed over. */
bool
cookie_next(struct str *rest, struct str *name, struct str *val)
{
	struct str	pair;

	while (str_word(rest, ";", &pair)) {
		pair = str_trim(pair);
		*name = name_of(pair);
		if (name->p == NULL)
			continue;
		*val = str_trim(str_sub(pair,
		    (size_t)str_find(pair, '=', 0) + 1, pair.n));
		if (val->n >= 2 && val->p[0] == '"' &&
		    val->p[val->n - 1] == '"')
			*val = str_sub(*val, 1, val->n - 1);
		return true;
	}
	return false;
}

struct str
cookie_get(const struct hdrs *hs, struct str name)
{
	const struct hdr	*h;
	struct str		 rest, has, val;

	for (h = hdr_get(hs, HDR_COOKIE); h != NULL;
	    h = hdr_next(hs, HDR_COOKIE, h)) {
		rest = h->val;
		while (cookie_next(&rest, &has, &val))
			if (str_eq(has, name))
				return val;
	}
	return STR_NONE;
}

static bool
has_cookie(struct str rest, cookie_is_fn is, const void *ctx)
{
	struct str	has, val;

	while (cookie_next(&rest, &has, &val))
		if (is(ctx, has))
			return true;
	return false;
}

/* What stays does so byte by byte, blanks around it apart. */
static struct str
cut(struct arena *a, struct str rest, cookie_is_fn is, const void *ctx)
{
	struct str	pair, name;
	struct text	t;

	text_init_fixed(&t, arena_text(a, 2 * rest.n), 2 * rest.n);
	while (str_word(&rest, ";", &pair)) {
		pair = str_trim(pair);
		name = name_of(pair);
		if (pair.n == 0 || (name.p != NULL && is(ctx, name)))
			continue;
		if (t.n > 0)
			text_add(&t, STR("; "));
		text_add(&t, pair);
	}
	return text_str(&t);
}

void
cookie_drop(struct arena *a, struct hdrs *hs, cookie_is_fn is,
    const void *ctx)
{
	struct hdr	*h;

	for (h = hdr_get(hs, HDR_COOKIE); h != NULL;
	    h = hdr_next(hs, HDR_COOKIE, h)) {
		if (!has_cookie(h->val, is, ctx))
			continue;
		h->val = cut(a, h->val, is, ctx);
		/* HTTP/1 copies whole lines of what nobody changed */
		h->flags &= (uint16_t)~HDR_F_LINE;
		if (h->val.n == 0)
			h->flags |= HDR_F_DEAD;
	}
	hs->nline = 0;
}
