/*
 * The URL that explain is asked about: where it leads, and the target of
 * its request.  Control process; sluicectl, offline.
 */
#ifndef SL_CONTROL_EXPLAIN_URL_H
#define SL_CONTROL_EXPLAIN_URL_H

#include "base/arena.h"
#include "base/err.h"

/* what the URL says of TLS; a path alone says nothing */
enum explain_scheme { SCHEME_NONE, SCHEME_HTTP, SCHEME_HTTPS };

/* what is left of the URL when its target is cut off */
struct explain_origin {
	struct str	authority;	/* p NULL: none */
	unsigned	port;		/* 0: none */
	enum explain_scheme	scheme;
};

/*
 * Cuts "scheme://authority" off a URL, which is the target then.  -1 if
 * it is none; why.
 */
int explain_url(struct str *url, struct explain_origin *, struct err *);

/*
 * CONNECT names a host and a port, of a URL or alone.  That port is not the
 * listener's, so nothing is known of that.
 */
int explain_url_connect(struct arena *, struct str *url,
    struct explain_origin *, struct err *);

#endif
