/*
 * Targets and paths (RFC 3986, RFC 9112 3.2).  One normalised path is
 * seen by routes, filters, static files and upstreams alike.
 */
#ifndef SL_HTTP_URI_H
#define SL_HTTP_URI_H

#include "base/arena.h"
#include "http/fail.h"

struct uri {
	struct str	scheme;		/* absolute-form only */
	struct str	authority;	/* absolute-form and authority-form */
	struct str	host;		/* authority without its port */
	struct str	path;		/* "" for "*" and authority-form */
	struct str	query;		/* without '?' */
	bool		has_query:1;
	bool		star:1;		/* asterisk-form */
};

/*
 * Splits a request target in one of the four forms; connect: only the
 * authority-form is right.  FAIL_NONE or FAIL_BAD_TARGET.
 */
enum fail uri_parse_target(struct str, bool connect, struct uri *);

/* Splits one that a codec let through: origin-form or asterisk-form. */
void uri_split(struct str, struct uri *);

/*
 * Normalises a path: unreserved octets decoded, other escapes kept in
 * upper case, dot segments removed, "//" kept.  FAIL_BAD_PATH: broken
 * escapes, %00, '#', '?', bytes out of 0x21 to 0x7e, no '/' in front and,
 * unless keep_slash, %2f and backslashes (kept, they are %2F and %5C).
 * Above the root: FAIL_PATH_ABOVE_ROOT.  *out is the input itself when
 * nothing changed; "" (of "*") stays "".
 */
enum fail uri_normalise(struct arena *, struct str path, bool keep_slash,
    struct str *out);

/* Writes a target; what is no VCHAR in one that was made goes escaped. */
void uri_put_target(struct text *, struct str);

/* Decodes every escape (file names).  -1 on %00 or a broken escape. */
int uri_decode(struct arena *, struct str, struct str *out);

/*
 * host[:port] of Host or authority (RFC 9110 7.2).  A host is a name of
 * letters, digits and -._~ without empty labels, or a bracketed IPv6
 * address; userinfo, escapes and zones are FAIL_BAD_HOST.  The case is
 * kept: compare folded.  port < 0: none given.
 */
enum fail uri_parse_host(struct str, struct str *host, int *port);

#endif
