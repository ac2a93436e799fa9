/*
 * Conditional requests (RFC 9110 13) and ranges (14) of files.  Workers;
 * pure.
 */
#include "handler/static.h"

#include "http/date.h"

/* Takes the next entity-tag of a list; weak ones keep their "W/". */
static bool
next_tag(struct str *rest, struct str *tag)
{
	size_t		i = 0, from;
	ptrdiff_t	end;

	while (i < rest->n && (rest->p[i] == ' ' || rest->p[i] == '\t' ||
	    rest->p[i] == ','))
		i++;
	from = i;
	if (str_starts(str_sub(*rest, i, rest->n), STR("W/")))
		i += 2;
	if (i >= rest->n || rest->p[i] != '"')
		return false;
	end = str_find(*rest, '"', i + 1);
	if (end < 0)
		return false;
	*tag = str_sub(*rest, from, (size_t)end + 1);
	*rest = str_sub(*rest, (size_t)end + 1, rest->n);
	return true;
}

/* Ours is strong; weak: theirs may be weak (RFC 9110 8.8.3.2). */
static bool
is_same(struct str tag, struct str etag, bool weak)
{
	if (weak && str_starts(tag, STR("W/")))
		tag = str_sub(tag, 2, tag.n);
	return str_eq(tag, etag);
}

static bool
has_tag(const struct hdrs *hs, enum hdr_id id, struct str etag, bool weak)
{
	const struct hdr	*h;
	struct str		 rest, tag;

	for (h = hdr_get(hs, id); h != NULL; h = hdr_next(hs, id, h)) {
		if (str_eq(h->val, STR("*")))
			return true;
		rest = h->val;
		while (next_tag(&rest, &tag))
			if (is_same(tag, etag, weak))
				return true;
	}
	return false;
}

/* False: there is none, or it is no date and to be ignored. */
static bool
get_date(const struct hdrs *hs, enum hdr_id id, int64_t now, int64_t *date)
{
	const struct hdr	*h = hdr_get(hs, id);

	return h != NULL && date_parse(h->val, now, date) == 0;
}

enum fail
static_check(const struct hdrs *hs, const struct static_tag *t, int64_t now,
    bool *same)
{
	int64_t	date;

	*same = false;
	if (hdr_get(hs, HDR_IF_MATCH) != NULL) {
		if (!has_tag(hs, HDR_IF_MATCH, t->etag, false))
			return FAIL_PRECONDITION;
	} else if (get_date(hs, HDR_IF_UNMODIFIED_SINCE, now, &date) &&
	    t->mtime > date)
		return FAIL_PRECONDITION;
	if (hdr_get(hs, HDR_IF_NONE_MATCH) != NULL)
		*same = has_tag(hs, HDR_IF_NONE_MATCH, t->etag, true);
	else if (get_date(hs, HDR_IF_MODIFIED_SINCE, now, &date))
		*same = t->mtime <= date;
	return FAIL_NONE;
}

/*
 * A date is a strong validator only if the file did not change in the
 * second before it was told (RFC 9110 8.8.2.2).
 */
static bool
allows_range(const struct hdrs *hs, const struct static_tag *t, int64_t now)
{
	const struct hdr	*h = hdr_get(hs, HDR_IF_RANGE);
	int64_t			 date;

	if (h == NULL)
		return true;
	if (str_find(h->val, '"', 0) >= 0)
		return is_same(h->val, t->etag, false);
	return date_parse(h->val, now, &date) == 0 && date == t->mtime &&
	    date + 1 < now;
}

enum range_rc
static_range(const struct hdrs *hs, const struct static_tag *t, int64_t now,
    uint64_t size, struct range *v, unsigned *n)
{
	const struct hdr	*h = hdr_get(hs, HDR_RANGE);

	*n = 0;
	if (h == NULL || hdr_next(hs, HDR_RANGE, h) != NULL ||
	    !allows_range(hs, t, now))
		return RANGE_NONE;
	return range_parse(h->val, size, v, n);
}
