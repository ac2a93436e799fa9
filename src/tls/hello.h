/*
 * The name that a client asks for, out of its ClientHello (RFC 8446 4.1.2,
 * RFC 6066 3), before or without any TLS.  Pure functions over bytes of
 * the network.
 */
#ifndef SL_TLS_HELLO_H
#define SL_TLS_HELLO_H

#include "base/str.h"

#define TLS_NAME_MAX	255	/* of a host (RFC 1035) */
#define HELLO_MAX	16384	/* bytes that are looked at, heads included */

enum hello_rc {
	HELLO_DONE,	/* name holds; "": it asks for none */
	HELLO_MORE,	/* so far it is one */
	HELLO_BAD	/* it is none, or too long */
};

/*
 * A host's name as routes and certificates have it: lower case, without
 * the final dot, in buf.  STR_NONE if it is too long, or none at all.
 */
struct str tls_hello_fold(struct str name, char buf[TLS_NAME_MAX]);

/*
 * The host_name in the body of the extension server_name (RFC 6066 3),
 * folded; STR_NONE if there is none, or the body is malformed.
 */
struct str tls_hello_name(struct str ext, char buf[TLS_NAME_MAX]);

/*
 * Reads what a connection begins with, for whoever passes it on as it is.
 * The records' contents are joined in room, which has as many bytes as in;
 * name is folded, and a slice of it.
 */
enum hello_rc tls_hello_parse(struct str in, char *room, struct str *name);

#endif
