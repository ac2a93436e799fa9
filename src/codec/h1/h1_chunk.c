/*
 * Chunked bodies, read (RFC 9112 7.1).  Workers; pure but for trailers.
 *
 * A state per byte for the lines between chunks, which are short; data
 * is handed out as slices.  Extensions have no meaning to us and are not
 * forwarded, but they are held to their grammar: bytes that another
 * reader could take for the end of a line or for data never pass here.
 */
#include "codec/h1/int.h"

#include "base/enc.h"
#include "base/scan.h"

#define DIGITS_MAX	16
#define LINE_MAX	254		/* without CRLF: 256 with it */
#define EXT_MAX		16384		/* of a whole body */

enum {
	SIZE,		/* hex digits */
	SPACE,		/* before ';' */
	NAME_0,		/* after ';' */
	NAME,
	NAME_SPACE,	/* before '=' or ';' */
	VALUE_0,	/* after '=' */
	VALUE,
	QUOTED,
	QUOTED_PAIR,
	QUOTED_END,	/* after the closing quote */
	LINE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER,
	BAD
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The state after an element, where a line may end. */
static int
next_element(char c, int space)
{
	if (c == '\r')
		return LINE_LF;
	if (c == ';')
		return NAME_0;
	return is_space(c) ? space : BAD;
}

static int
next_name(int state, char c)
{
	if (scan_is(c, SCAN_TOKEN))
		return state == NAME_SPACE ? BAD : NAME;
	if (state == NAME_0)
		return is_space(c) ? NAME_0 : BAD;
	if (c == '=')
		return VALUE_0;
	/* trailing white space is no part of the grammar */
	if (state == NAME_SPACE && c == '\r')
		return BAD;
	return next_element(c, NAME_SPACE);
}

static int
next_value(int state, char c)
{
	switch (state) {
	case VALUE_0:
		if (c == '"')
			return QUOTED;
		if (is_space(c))
			return VALUE_0;
		return scan_is(c, SCAN_TOKEN) ? VALUE : BAD;
	case VALUE:
		return scan_is(c, SCAN_TOKEN) ? VALUE :
		    next_element(c, SPACE);
	case QUOTED:
		if (c == '"')
			return QUOTED_END;
		if (c == '\\')
			return QUOTED_PAIR;
		return scan_is(c, SCAN_VALUE) ? QUOTED : BAD;
	case QUOTED_PAIR:
		return scan_is(c, SCAN_VALUE) ? QUOTED : BAD;
	default:
		return next_element(c, SPACE);
	}
}

/* From the size on digits counts the bytes of the whole line. */
static bool
count_ext(struct h1_chunked *c)
{
	if (c->digits >= LINE_MAX || c->ext >= EXT_MAX)
		return false;
	c->digits++;
	c->ext++;
	return true;
}

/* One digit more, or the end of the size. */
static int
next_size(struct h1_chunked *c, char ch)
{
	int	v = enc_unhex(ch);

	if (v >= 0) {
		if (++c->digits > DIGITS_MAX || c->left > INT64_MAX >> 4)
			return BAD;
		c->left = c->left << 4 | (unsigned)v;
		return SIZE;
	}
	if (c->digits == 0 || (ch != '\r' && !count_ext(c)))
		return BAD;
	return next_element(ch, SPACE);
}

static int
next_ext(struct h1_chunked *c, char ch)
{
	if (ch != '\r' && !count_ext(c))
		return BAD;
	switch (c->state) {
	case SPACE:
		return ch == '\r' ? BAD : next_element(ch, SPACE);
	case NAME_0:
	case NAME:
	case NAME_SPACE:
		return next_name(c->state, ch);
	default:
		return next_value(c->state, ch);
	}
}

static int
next(struct h1_chunked *c, char ch)
{
	switch (c->state) {
	case SIZE:
		return next_size(c, ch);
	case LINE_LF:
		c->digits = 0;
		if (ch != '\n')
			return BAD;
		return c->left > 0 ? DATA : TRAILER;
	case DATA_CR:
		return ch == '\r' ? DATA_LF : BAD;
	case DATA_LF:
		return ch == '\n' ? SIZE : BAD;
	default:
		return next_ext(c, ch);
	}
}

/* RFC 9110 6.5.1: what must be known before the body comes too late. */
static void
keep_trailers(struct h1_chunked *c, const struct hdrs *all)
{
	struct hdrs	 good = *all;
	size_t		 i;

	for (i = 0; i < good.n; i++)
		if (good.v[i].flags &
		    (HDR_F_NOTRAIL | HDR_F_HOP | HDR_F_FRAME))
			good.v[i].flags |= HDR_F_DEAD;
	hdr_copy(c->arena, &c->trailers, &good);
}

/* The trailer section, which lies at the front of in once it is whole. */
static enum h1_rc
read_trailer(struct h1_chunked *c, struct str in, enum fail *why)
{
	struct hdrs	all = { 0 };
	size_t		seen = c->trailer;
	size_t		end;
	uint64_t	max = c->limits->header_bytes;
	enum h1_rc	rc;

	if (max == 0 || max > UINT32_MAX)
		max = UINT32_MAX;
	in = str_sub(in, 0, max);
	rc = h1_find_end(in, &seen, &end);
	c->trailer = (uint32_t)seen;
	if (rc == H1_BAD) {
		*why = FAIL_BAD_TRAILER;
		c->what = "a line feed without CR";
		return H1_BAD;
	}
	if (rc == H1_MORE) {
		*why = FAIL_HEADER_TOO_LARGE;
		return in.n < max ? H1_MORE : H1_BAD;
	}
	c->trailer = (uint32_t)end;
	*why = h1_field_parse(&in, c->limits, c->arena, &all);
	if (*why == FAIL_NONE) {
		keep_trailers(c, &all);
		return H1_DONE;
	}
	c->what = h1_blame_field(c->arena, in, all.n, *why);
	if (*why != FAIL_FIELD_TOO_LARGE && *why != FAIL_TOO_MANY_FIELDS)
		*why = FAIL_BAD_TRAILER;
	return H1_BAD;
}

static const char *
tell_chunk(int was)
{
	switch (was) {
	case SIZE:
		return "its size is no hex number, or too large";
	case DATA_CR:
	case DATA_LF:
		return "no end of line where its size ends it";
	case LINE_LF:
		return "no line feed behind CR";
	default:
		return "its extension is malformed or too long";
	}
}

/* Lines between chunks; leaves *i behind the last byte that was taken. */
static void
read_lines(struct h1_chunked *c, struct str in, size_t *i)
{
	int	was = c->state;

	while (*i < in.n && c->state != DATA && c->state != TRAILER &&
	    c->state != BAD) {
		was = c->state;
		c->state = (uint8_t)next(c, in.p[(*i)++]);
	}
	if (c->state == BAD)
		c->what = tell_chunk(was);
}

enum h1_rc
h1_chunk_next(struct h1_chunked *c, struct str in, struct str *data,
    size_t *used, enum fail *why)
{
	enum h1_rc	rc;
	size_t		i = 0;

	*data = STR_NONE;
	*used = 0;
	read_lines(c, in, &i);
	if (c->state == BAD) {
		*why = FAIL_BAD_CHUNK;
		return H1_BAD;
	}
	*used = i;
	in = str_sub(in, i, in.n);
	if (c->state == DATA) {
		if (in.n > c->left)
			in.n = (size_t)c->left;
		*data = in;
		*used += in.n;
		c->left -= in.n;
		if (c->left == 0)
			c->state = DATA_CR;
		return H1_MORE;
	}
	if (c->state != TRAILER)
		return H1_MORE;
	rc = read_trailer(c, in, why);
	if (rc == H1_DONE)
		*used += c->trailer;
	return rc;
}
