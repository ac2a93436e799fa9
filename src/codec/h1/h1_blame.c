/*
 * What was wrong with an answer, in words for the line of the attempt that
 * failed.  Workers; pure.
 *
 * The row says what kind of failure it is, this which field it was and
 * what of it.  Nothing is made before an answer is refused.  Of what a
 * server sent a field's name is repeated at most, as far as it is a token:
 * values may be secrets, and bytes may be anything.
 */
#include "codec/h1/int.h"

#include "base/scan.h"

#define TOLD_MAX	64	/* of a name that is repeated */

static const char *
tell_field(enum fail why)
{
	switch (why) {
	case FAIL_FIELD_FOLDED:
		return "a folded line";
	case FAIL_BARE_LF:
		return "a line feed without CR";
	case FAIL_BARE_CR:
		return "a CR that ends no line";
	case FAIL_BAD_FIELD_VALUE:
		return "a forbidden byte in its value";
	case FAIL_FIELD_TOO_LARGE:
		return "it is too long";
	case FAIL_TOO_MANY_FIELDS:
		return "there are too many fields";
	default:
		return "a blank or a forbidden byte in its name, or no colon";
	}
}

const char *
h1_blame_field(struct arena *a, struct str line, size_t before,
    enum fail why)
{
	struct str	name = str_make(line.p, scan_token(line));

	name = str_sub(name, 0, TOLD_MAX);
	return arena_fmt(a, "field %zu (%.*s): %s", before + 1,
	    STR_FMT(name), tell_field(why)).p;
}

const char *
h1_blame_framing(enum fail why)
{
	switch (why) {
	case FAIL_BAD_CONNECTION:
		return "Connection: what it lists are no field names";
	case FAIL_CODING_IN_10:
		return "Transfer-Encoding in an answer of HTTP/1.0";
	case FAIL_LENGTH_AND_CHUNKED:
		return "Content-Length beside Transfer-Encoding";
	case FAIL_LENGTH_TWICE:
		return "Content-Length has more than one number";
	case FAIL_BAD_LENGTH:
		return "Content-Length is no number, or too large";
	case FAIL_CODING_UNSUPPORTED:
		return "Transfer-Encoding has more than chunked";
	default:
		return "Transfer-Encoding is not chunked, last and once";
	}
}

const char *
h1_blame_headonly(struct arena *a, const struct msg *m,
    const struct h1_told *t)
{
	return arena_fmt(a, "%s in an answer %u, which has no body",
	    t->te ? "Transfer-Encoding" : "Content-Length", m->status).p;
}

const char *
h1_blame_head(struct str in, enum fail why)
{
	struct str	want = STR("HTTP/1.");

	if (why == FAIL_RESPONSE_HEAD_TOO_LARGE)
		return "it is longer than all that is read of one";
	if (str_eq(str_sub(in, 0, want.n), str_sub(want, 0, in.n)))
		return "a line feed without CR";
	/* a handshake, or an alert that what was asked is none */
	if (in.n > 1 && (in.p[0] == 0x15 || in.p[0] == 0x16) &&
	    in.p[1] == 3)
		return "it speaks TLS";
	return "it does not begin with HTTP/1.";
}
