/*
 * Heads of HTTP/2 responses as a whole (h2_head.h).  Workers; pure.
 *
 * Fields are judged as those of requests are; here their rows become those
 * of a server's answer, and what was wrong is told beside.
 */
#include "codec/h2/h2_head.h"

#define STATUS_LEN	3

/* What the row of a request means of an answer. */
static const char *
tell(enum fail why)
{
	switch (why) {
	case FAIL_BAD_PSEUDO:
		return "a pseudo-header field is missing, unknown or out of "
		    "place";
	case FAIL_BAD_FIELD_NAME:
		return "a field's name is no lower-case token";
	case FAIL_BAD_FIELD_VALUE:
		return "a field's value has forbidden bytes";
	case FAIL_CONNECTION_FIELD:
		return "a field that HTTP/2 has no use for: Connection or "
		    "one of its kin";
	case FAIL_LENGTH_TWICE:
		return "several Content-Lengths";
	case FAIL_BAD_LENGTH:
		return "Content-Length is no number";
	case FAIL_HEADER_TOO_LARGE:
		return "more than 64 KiB in all";
	case FAIL_FIELD_TOO_LARGE:
		return "a field of more than 32 KiB";
	case FAIL_TOO_MANY_FIELDS:
		return "more than 256 fields";
	default:
		return NULL;
	}
}

static enum fail
row_of(enum fail why)
{
	switch (why) {
	case FAIL_NONE:
		return FAIL_NONE;
	case FAIL_BAD_PSEUDO:
		return FAIL_BAD_RESPONSE_LINE;
	case FAIL_LENGTH_TWICE:
	case FAIL_BAD_LENGTH:
		return FAIL_BAD_RESPONSE_FRAMING;
	case FAIL_HEADER_TOO_LARGE:
	case FAIL_FIELD_TOO_LARGE:
	case FAIL_TOO_MANY_FIELDS:
		return FAIL_RESPONSE_HEAD_TOO_LARGE;
	default:
		return FAIL_BAD_RESPONSE_FIELD;
	}
}

/* Three digits from 100 to 599; a 101 has no meaning (RFC 9113 8.6). */
static const char *
set_status(const struct h2_head *h, struct msg *m)
{
	uint64_t	n;

	if (h->status.n == 0)
		return ":status is missing";
	if (h->status.n != STATUS_LEN || str_to_u64(h->status, 599, &n) < 0 ||
	    n < 100)
		return ":status is none";
	if (n == 101)
		return "a 101, which HTTP/2 does not have";
	m->status = (uint16_t)n;
	return NULL;
}

/* RFC 9110 8.6, 9113 8.1: where no body can be none is announced. */
static const char *
set_body(const struct h2_head *h, struct msg *m, bool end)
{
	m->body = h->length >= 0 ? h->length : BODY_UNKNOWN;
	m->bodyless = m->status < 200 || m->meth == METHOD_HEAD ||
	    m->status == 204 || m->status == 304;
	if (m->status < 200 || m->status == 204) {
		if (h->length > 0)
			return "Content-Length where no body is";
		if (m->status < 200 && end)
			return "it ends with an interim answer";
		m->body = BODY_NONE;
	} else if (end && !m->bodyless) {
		if (h->length > 0)
			return "it ends before the body that Content-Length "
			    "announces";
		m->body = BODY_NONE;
	}
	return NULL;
}

enum fail
h2_head_answer(struct h2_head *h, struct msg *m, enum http_method asked,
    bool end, const char **what)
{
	struct hdrs	hs = m->hdrs;

	*m = (struct msg){ .major = 2, .meth = (uint8_t)asked };
	m->hdrs = hs;
	*what = tell(h->why);
	if (h->why != FAIL_NONE)
		return row_of(h->why);
	*what = set_status(h, m);
	if (*what != NULL)
		return FAIL_BAD_RESPONSE_LINE;
	*what = set_body(h, m, end);
	return *what == NULL ? FAIL_NONE : FAIL_BAD_RESPONSE_FRAMING;
}

enum fail
h2_head_trailer(const struct h2_head *h, const char **what)
{
	*what = tell(h->why);
	if (h->why == FAIL_NONE)
		return FAIL_NONE;
	return row_of(h->why) == FAIL_RESPONSE_HEAD_TOO_LARGE ?
	    FAIL_RESPONSE_TRAILER_TOO_LARGE : FAIL_BAD_RESPONSE_TRAILER;
}
