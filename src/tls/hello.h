/*
 * The name in a ClientHello.  A pure function over bytes of the network.
 * Workers.
 */
#ifndef SL_TLS_HELLO_H
#define SL_TLS_HELLO_H

#include "base/str.h"

#define TLS_NAME_MAX	255	/* of a host (RFC 1035) */

/*
 * A host's name as routes and certificates have it: lower case, without
 * the final dot, in buf.  STR_NONE if it is too long.
 */
struct str tls_hello_fold(struct str name, char buf[TLS_NAME_MAX]);

/*
 * The host_name in the body of the extension server_name (RFC 6066 3),
 * folded; STR_NONE if there is none, or the body is malformed.
 */
struct str tls_hello_name(struct str ext, char buf[TLS_NAME_MAX]);

#endif
