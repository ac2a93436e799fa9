/*
 * What the files of HTTP/1.1 syntax share among themselves: field lines
 * and what they tell about a message.
 */
#ifndef SL_CODEC_H1_INT_H
#define SL_CODEC_H1_INT_H

#include "codec/h1/h1.h"

/* what the fields that a codec takes out have said, before it is judged */
struct h1_told {
	struct str	host;
	struct str	length;		/* the first Content-Length */
	struct str	protocol;	/* the first Upgrade */
	unsigned	nhost;
	unsigned	nlength;
	unsigned	nupgrade;
	unsigned	ncoding;	/* elements of Transfer-Encoding */
	unsigned	nchunked;	/* of them "chunked" */
	bool		te:1;		/* there is a Transfer-Encoding */
	bool		coding_bad:1;	/* an element is no plain token */
	bool		chunked_last:1;
	bool		close:1;	/* options of Connection */
	bool		keep:1;
	bool		upgrade:1;
	bool		named:1;	/* others, which name fields */
	bool		conn_bad:1;
	bool		keep_told:1;	/* Keep-Alive: timeout=keep_s */
	bool		trailers:1;	/* TE: trailers */
	bool		expect:1;	/* Expect: 100-continue */
	bool		expect_bad:1;
	uint32_t	keep_s;
};

/*
 * Looks for an empty line, from *seen on; one at the very start counts.
 * H1_DONE: *end is the length with it.  H1_BAD: *end is the index of an
 * LF without CR.
 */
enum h1_rc h1_find_end(struct str in, size_t *seen, size_t *end);

/*
 * Parses field lines up to and with the empty line, off the front of
 * *rest, which begins with the line that is wrong if one is.  Rows are
 * those of a request.
 */
enum fail h1_field_parse(struct str *rest, const struct codec_limits *,
    struct arena *, struct hdrs *);

/*
 * Takes out Host, Expect, framing and hop-by-hop fields, those that
 * Connection names included, and notes what they said.
 */
void h1_field_tell(struct hdrs *, struct h1_told *);

/*
 * How the body is delimited, as far as requests and responses agree:
 * f->chunked and f->length, -1 if no field says.  Rows of a request.
 */
enum fail h1_field_frame(const struct h1_told *, unsigned minor,
    struct h1_framing *);

/*
 * What of an answer was wrong, of the arena or constant; why: the row of
 * a request.  line: the field line, before: fields before it.
 */
const char *h1_blame_field(struct arena *, struct str line, size_t before,
    enum fail why);
const char *h1_blame_framing(enum fail why);
/* A length or a coding where no body can be. */
const char *h1_blame_headonly(struct arena *, const struct msg *,
    const struct h1_told *);

#endif
