/*
 * Field lines of HTTP/1.1 and what they say about framing (RFC 9112 5, 6
 * and 9).  Workers; pure but for the array of fields.
 *
 * A line is read once: the name up to the colon, the value by
 * sixteen bytes up to the first byte that no value has, which must be the
 * CR of the line's end.  Any other end is the error, and the byte that
 * ended the run says which.  Then the few fields that concern the codec
 * are taken out in one walk; they are judged together, so that no order
 * of lines can hide one of them.
 */
#include "codec/h1/int.h"

#include "base/scan.h"

#define FIELDS_MAX	10000	/* where the configuration sets no limit */
#define OPTIONS_MAX	64	/* fields named by Connection */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The row for a run that ended at byte i, where that is not its end. */
static enum fail
blame(struct str line, size_t i, enum fail other)
{
	if (i < line.n && line.p[i] == '\n')
		return FAIL_BARE_LF;
	if (i < line.n && line.p[i] == '\r' &&
	    (i + 1 >= line.n || line.p[i + 1] != '\n'))
		return FAIL_BARE_CR;
	return other;
}

/* Where the name ends.  The colon ends one that has a row: it is a token. */
static size_t
find_colon(struct str in, enum hdr_id *id)
{
	size_t	n = scan_to(in, ':');

	*id = hdr_find_id(str_make(in.p, n));
	return *id != HDR_OTHER && n < in.n ? n : scan_token(in);
}

/* One field line at the front of in; *next is behind its CRLF. */
static enum fail
parse_line(struct str in, uint64_t max, struct hdr *h, const char **next)
{
	enum hdr_id	 id;
	size_t		 colon = find_colon(in, &id);
	const char	*end = in.p + in.n, *from, *to;
	unsigned	 flags = hdr_flags(id) | HDR_F_GOOD;

	if (colon == 0 && in.n > 0 && is_space(in.p[0]))
		return FAIL_FIELD_FOLDED;
	if (colon == 0 || colon == in.n || in.p[colon] != ':')
		return blame(in, colon, FAIL_BAD_FIELD_NAME);
	from = in.p + colon + 1;
	while (from < end && is_space(*from))
		from++;
	to = from + scan_value(str_make(from, (size_t)(end - from)));
	if (max != 0 && (size_t)(to - in.p) > max)
		return FAIL_FIELD_TOO_LARGE;
	if (end - to < 2 || to[0] != '\r' || to[1] != '\n')
		return blame(in, (size_t)(to - in.p), FAIL_BAD_FIELD_VALUE);
	*next = to + 2;
	if (from == in.p + colon + 2 && from[-1] == ' ' && to > from &&
	    !is_space(to[-1]))
		flags |= HDR_F_LINE;
	while (to > from && is_space(to[-1]))
		to--;
	h->name = str_make(in.p, colon);
	h->val = str_make(from, (size_t)(to - from));
	h->id = (uint16_t)id;
	h->flags = (uint16_t)flags;
	return FAIL_NONE;
}

enum fail
h1_field_parse(struct str *rest, const struct codec_limits *lim,
    struct arena *a, struct hdrs *hs)
{
	uint64_t	 max = lim->header_count;
	struct str	 in = *rest;
	const char	*next = NULL;
	struct hdr	*h;
	enum fail	 why;

	if (max == 0 || max > FIELDS_MAX)
		max = FIELDS_MAX;
	while (in.n < 2 || memcmp(in.p, "\r\n", 2) != 0) {
		h = hdr_new(a, hs);
		why = parse_line(in, lim->header_field, h, &next);
		if (why == FAIL_NONE && hs->n > max)
			why = FAIL_TOO_MANY_FIELDS;
		if (why != FAIL_NONE) {
			hs->n--;
			*rest = in;
			return why;
		}
		in = str_make(next, in.n - (size_t)(next - in.p));
	}
	*rest = str_make(in.p + 2, in.n - 2);
	return FAIL_NONE;
}

/* --- what the fields say --- */

/* RFC 9112 6.1: a list of codings, of which we know one. */
static void
tell_coding(struct h1_told *t, struct str rest)
{
	struct str	word;

	t->te = true;
	while (hdr_cut_element(&rest, &word)) {
		t->ncoding++;
		t->chunked_last = str_eq_fold(word, STR("chunked"));
		t->nchunked += t->chunked_last;
		if (!hdr_is_token(word))
			t->coding_bad = true;
	}
}

/* RFC 9110 7.6.1 */
static void
tell_option(struct h1_told *t, struct str rest)
{
	struct str	word;

	while (hdr_cut_element(&rest, &word)) {
		if (word.n == 0)
			continue;
		if (str_eq_fold(word, STR("close")))
			t->close = true;
		else if (str_eq_fold(word, STR("keep-alive")))
			t->keep = true;
		else if (str_eq_fold(word, STR("upgrade")))
			t->upgrade = true;
		else if (!hdr_is_token(word))
			t->conn_bad = true;
		else if (!str_eq_fold(word, STR("te")))
			t->named = true;
	}
}

static void
tell_te(struct h1_told *t, struct str rest)
{
	struct str	word;

	while (hdr_cut_element(&rest, &word))
		if (str_eq_fold(word, STR("trailers")))
			t->trailers = true;
}

/* What is left of RFC 2068 19.7.1.1, which servers still tell. */
static void
tell_keep(struct h1_told *t, struct str rest)
{
	struct str	name = STR("timeout="), word;
	uint64_t	v;

	while (hdr_cut_element(&rest, &word)) {
		if (word.n <= name.n ||
		    !str_eq_fold(str_sub(word, 0, name.n), name) ||
		    str_to_u64(str_sub(word, name.n, word.n), UINT32_MAX,
		    &v) < 0)
			continue;
		t->keep_told = true;
		t->keep_s = (uint32_t)v;
	}
}

static void
tell_one(struct h1_told *t, const struct hdr *h)
{
	switch (h->id) {
	case HDR_HOST:
		if (t->nhost++ == 0)
			t->host = h->val;
		break;
	case HDR_CONTENT_LENGTH:
		if (t->nlength++ == 0)
			t->length = h->val;
		break;
	case HDR_TRANSFER_ENCODING:
		tell_coding(t, h->val);
		break;
	case HDR_CONNECTION:
		tell_option(t, h->val);
		break;
	case HDR_UPGRADE:
		t->nupgrade++;
		if (t->protocol.n == 0)
			t->protocol = h->val;
		break;
	case HDR_KEEP_ALIVE:
		tell_keep(t, h->val);
		break;
	case HDR_TE:
		tell_te(t, h->val);
		break;
	case HDR_EXPECT:
		if (str_eq_fold(h->val, STR("100-continue")))
			t->expect = true;
		else
			t->expect_bad = true;
		break;
	default:
		break;
	}
}

/*
 * What a proxy before us says of its client is not the client's to take
 * out, by a Connection that the proxy let through.
 */
static bool
is_for_us(const struct hdr *h)
{
	struct str	family = STR("x-forwarded-");

	switch (h->id) {
	case HDR_FORWARDED:
	case HDR_X_REAL_IP:
	case HDR_X_REQUEST_DEADLINE:
	case HDR_X_REQUEST_ID:
		return true;
	default:
		/* port, prefix and others besides those that we write */
		return h->name.n >= family.n &&
		    str_eq_fold(str_sub(h->name, 0, family.n), family);
	}
}

/*
 * Takes out what Connection names.  Options are few in practice; a field
 * full of them would cost fields times options, hence the bound.
 */
static void
del_named(struct hdrs *hs, struct h1_told *t, struct str rest, unsigned *n)
{
	struct str	word;
	size_t		i;

	while (hdr_cut_element(&rest, &word)) {
		if (word.n == 0)
			continue;
		if (++*n > OPTIONS_MAX) {
			t->conn_bad = true;
			return;
		}
		for (i = 0; i < hs->n; i++)
			if (str_eq_fold(hs->v[i].name, word) &&
			    !is_for_us(&hs->v[i]))
				hs->v[i].flags |= HDR_F_DEAD;
	}
}

void
h1_field_tell(struct hdrs *hs, struct h1_told *t)
{
	struct hdr	*h;
	unsigned	 n = 0;
	size_t		 i;

	*t = (struct h1_told){ 0 };
	for (i = 0; i < hs->n; i++) {
		h = &hs->v[i];
		if ((h->flags & (HDR_F_HOP | HDR_F_FRAME)) == 0 &&
		    h->id != HDR_HOST && h->id != HDR_EXPECT)
			continue;
		tell_one(t, h);
		h->flags |= HDR_F_DEAD;
	}
	if (!t->named)
		return;
	for (i = 0; i < hs->n; i++)
		if (hs->v[i].id == HDR_CONNECTION)
			del_named(hs, t, hs->v[i].val, &n);
}

/* Why a Content-Length with a comma is refused: numbers, or not even. */
static enum fail
blame_list(struct str rest)
{
	struct str	word;
	uint64_t	v;

	while (hdr_cut_element(&rest, &word))
		if (str_to_u64(word, INT64_MAX, &v) < 0)
			return FAIL_BAD_LENGTH;
	return FAIL_LENGTH_TWICE;
}

/* RFC 9112 6.3 rule 5, without its leniency for equal lists. */
static enum fail
frame_length(const struct h1_told *t, struct h1_framing *f)
{
	uint64_t	v;

	if (t->nlength > 1)
		return FAIL_LENGTH_TWICE;
	if (str_find(t->length, ',', 0) >= 0)
		return blame_list(t->length);
	if (str_to_u64(t->length, INT64_MAX, &v) < 0)
		return FAIL_BAD_LENGTH;
	f->length = (int64_t)v;
	return FAIL_NONE;
}

enum fail
h1_field_frame(const struct h1_told *t, unsigned minor,
    struct h1_framing *f)
{
	f->chunked = false;
	f->length = -1;
	if (t->conn_bad)
		return FAIL_BAD_CONNECTION;
	if (t->te && minor == 0)
		return FAIL_CODING_IN_10;
	if (t->te && t->nlength > 0)
		return FAIL_LENGTH_AND_CHUNKED;
	if (t->nlength > 0)
		return frame_length(t, f);
	if (!t->te)
		return FAIL_NONE;
	if (t->coding_bad || !t->chunked_last || t->nchunked != 1)
		return FAIL_BAD_CODING;
	if (t->ncoding > 1)
		return FAIL_CODING_UNSUPPORTED;
	f->chunked = true;
	return FAIL_NONE;
}
