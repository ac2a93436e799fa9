/*
 * Range requests (RFC 9110 14.1.2 and 14.2).  Workers; pure.
 *
 * A Range field may always be ignored, so whatever is malformed or too
 * much is answered with the whole.  Ranges that overlap or touch become
 * one, so that no byte is sent twice.
 */
#include "http/range.h"

#include "http/msg.h"

struct spec {
	uint64_t	first;
	uint64_t	last;
	bool		suffix:1;	/* the last `last` bytes */
	bool		open:1;		/* from first on */
};

/* Digits only; what does not fit is as good as endless. */
static bool
read_number(struct str s, uint64_t *out)
{
	size_t	i;

	if (s.n == 0)
		return false;
	for (i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	if (str_to_u64(s, UINT64_MAX, out) < 0)
		*out = UINT64_MAX;
	return true;
}

static bool
read_spec(struct str s, struct spec *sp)
{
	ptrdiff_t	at = str_find(s, '-', 0);
	struct str	first;
	struct str	last;

	if (at < 0)
		return false;
	first = str_sub(s, 0, (size_t)at);
	last = str_sub(s, (size_t)at + 1, s.n);
	*sp = (struct spec){ .suffix = first.n == 0, .open = last.n == 0 };
	if (sp->suffix)
		return read_number(last, &sp->last);
	if (!read_number(first, &sp->first))
		return false;
	if (sp->open)
		return true;
	return read_number(last, &sp->last) && sp->first <= sp->last;
}

/* False if no byte of it exists. */
static bool
resolve(const struct spec *sp, uint64_t size, struct range *r)
{
	if (sp->suffix) {
		if (sp->last == 0 || size == 0)
			return false;
		r->first = sp->last < size ? size - sp->last : 0;
		r->last = size - 1;
		return true;
	}
	if (sp->first >= size)
		return false;
	r->first = sp->first;
	r->last = sp->open || sp->last >= size ? size - 1 : sp->last;
	return true;
}

static bool
cut_unit(struct str *s)
{
	if (s->n < 6 || !str_eq_fold(str_make(s->p, 6), STR("bytes=")))
		return false;
	*s = str_sub(*s, 6, s->n);
	return true;
}

/* True if the two share bytes, or one follows the other at once. */
static bool
touches(const struct range *a, const struct range *b)
{
	const struct range	*lo = a->first <= b->first ? a : b;
	const struct range	*hi = lo == a ? b : a;

	return hi->first <= lo->last || hi->first == lo->last + 1;
}

/*
 * Adds r; what it touches becomes part of it and is taken out, at the
 * place of the first of them.
 */
static void
merge(struct range *v, unsigned *n, struct range r)
{
	unsigned	at = *n, i = 0;

	while (i < *n) {
		if (!touches(&v[i], &r)) {
			i++;
			continue;
		}
		if (v[i].first < r.first)
			r.first = v[i].first;
		if (v[i].last > r.last)
			r.last = v[i].last;
		at = i < at ? i : at;
		memmove(&v[i], &v[i + 1], (*n - i - 1) * sizeof(*v));
		--*n;
		i = 0;	/* it is wider now */
	}
	if (at > *n)
		at = *n;
	memmove(&v[at + 1], &v[at], (*n - at) * sizeof(*v));
	v[at] = r;
	++*n;
}

enum range_rc
range_parse(struct str s, uint64_t size, struct range *v, unsigned *n)
{
	struct str	word;
	struct spec	sp;
	struct range	r;
	unsigned	specs = 0;
	bool		whole = false;

	*n = 0;
	if (!cut_unit(&s))
		return RANGE_NONE;
	while (hdr_cut_element(&s, &word)) {
		if (word.n == 0)
			continue;
		if (++specs > RANGE_MAX || !read_spec(word, &sp))
			return RANGE_NONE;
		/* a suffix of nothing is satisfied by nothing: all of it */
		whole |= size == 0 && sp.suffix && sp.last > 0;
		if (resolve(&sp, size, &r))
			merge(v, n, r);
	}
	if (specs == 0 || whole)
		return RANGE_NONE;
	return *n == 0 ? RANGE_UNSATISFIABLE : RANGE_OK;
}
