/*
 * HTTP/1.1 syntax (RFC 9112), strict: pure functions from bytes to
 * slices.  What is ambiguous is refused with the fail row that names it.
 */
#ifndef SL_CODEC_H1_H
#define SL_CODEC_H1_H

#include "base/text.h"
#include "http/uri.h"
#include "http/waist.h"

enum h1_rc {
	H1_DONE,	/* complete; *used bytes belong to it */
	H1_MORE,	/* nothing wrong yet, more bytes are needed */
	H1_BAD		/* *why names the row */
};

/*
 * Looks for the end of a head from *seen on (bytes scanned before, updated;
 * 0 at the start).  H1_DONE: *used is the length with the empty line and
 * with those, eight at most, that may come before a request.  Line ends
 * without CR and bytes that cannot begin a head (TLS, HTTP/2 preface) are
 * H1_BAD at once, so that nobody waits for a time-out.  A head may have
 * header_bytes bytes, all told.  *why is set for H1_BAD only.
 */
enum h1_rc h1_find_head(struct str in, const struct codec_limits *,
    bool request, size_t *seen, size_t *used, enum fail *why);

/* What is wrong with the front of a response that has no good head. */
const char *h1_blame_head(struct str in, enum fail why);

/* how the body of a message is delimited (RFC 9112 6.3) */
struct h1_framing {
	bool	chunked:1;
	bool	until_close:1;	/* responses only */
	bool	close:1;	/* the connection ends after this message */
	bool	keep10:1;	/* HTTP/1.0 with keep-alive */
	uint32_t keep_s;	/* responses: Keep-Alive: timeout; 0: none */
	int64_t	length;		/* else: Content-Length or 0 */
	const char *what;	/* of a refused response: what was wrong;
				 * of the arena, or constant */
};

/*
 * Parses a whole head, as h1_find_head has found it.  Hop-by-hop fields,
 * those that Connection names included, Host and Expect are taken out
 * (HDR_F_DEAD) and told by flags of msg and framing, Host by authority;
 * msg->body is set, for a HEAD or 304 to what is not sent.  An
 * absolute-form sets scheme, CONNECT has no target.  Requests:
 * FAIL_BAD_EXPECT is found last: msg and framing are whole then.
 * Responses: only rows that say so (FAIL_BAD_RESPONSE_*,
 * FAIL_RESPONSE_HEAD_TOO_LARGE, FAIL_UNEXPECTED_UPGRADE).  meth: of the
 * request that a response answers; after an answer that opens CONNECT
 * msg->upgrade is set.
 */
enum fail h1_parse_request(struct str head, const struct codec_limits *,
    struct arena *, struct msg *, struct h1_framing *);
enum fail h1_parse_response(struct str head, const struct codec_limits *,
    struct arena *, enum http_method meth, struct msg *,
    struct h1_framing *);

/* a chunked body being read (RFC 9112 7.1) */
struct h1_chunked {
	/* set before the first byte */
	const struct codec_limits *limits;	/* of the connection */
	struct arena	*arena;		/* ref: trailers are copied to it */
	/* the rest begins as zero */
	uint8_t		state;		/* of h1_chunk.c */
	uint8_t		digits;		/* bytes of the line so far */
	uint16_t	ext;		/* bytes of extensions so far */
	uint32_t	trailer;	/* bytes of trailers so far */
	uint64_t	left;		/* of the chunk's data */
	struct hdrs	trailers;	/* without the forbidden ones */
	const char	*what;		/* was wrong; or NULL */
};

/*
 * Takes the next piece of in: H1_DONE the body ended (c->trailers is
 * whole), H1_MORE with data->n > 0 gives a slice of body, with
 * data->n == 0 asks for bytes.  The trailer section must lie in one piece
 * of in: *used stays before it until it is whole; it may have
 * header_bytes bytes.  Rows are those of a request: BAD_CHUNK,
 * BAD_TRAILER, HEADER_TOO_LARGE, FIELD_TOO_LARGE, TOO_MANY_FIELDS.
 */
enum h1_rc h1_chunk_next(struct h1_chunked *c, struct str in,
    struct str *data, size_t *used, enum fail *why);

/* --- writing --- */
/*
 * Head of a request or response with framing written anew: nothing of it
 * is taken from the fields, nor is Host, which is the authority.  A field
 * that could not stand on one line is left out.  A body of unknown length
 * must be chunked (requests) or bodyless or no_length (responses).
 */
void h1_write_request(struct text *, const struct msg *, bool chunked);
/* close/keep10: which Connection field; date: 29 bytes or NULL. */
struct h1_out {
	bool		chunked:1;
	bool		close:1;
	bool		keep10:1;
	bool		no_length:1;	/* 1xx, 204, until close */
	const char	*date;
};
void h1_write_response(struct text *, const struct msg *,
    const struct h1_out *);
/* "1f4\r\n": size line of a chunk; returns its length (<= 18). */
size_t h1_write_chunk(char *out, uint64_t n);
/* Last chunk with trailers, if any (RFC 9112 7.1.2). */
void h1_write_last(struct text *, const struct hdrs *trailers);

#endif
