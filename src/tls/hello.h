/*
 * The name that a client asks for, out of its ClientHello (RFC 8446 4.1.2,
 * RFC 6066 3), without any TLS: for whoever passes the connection on as it
 * is.  A pure function.
 */
#ifndef SL_TLS_HELLO_H
#define SL_TLS_HELLO_H

#include "base/str.h"

#define HELLO_MAX	16384	/* bytes that are looked at, heads included */

enum hello_rc {
	HELLO_DONE,	/* name holds; "": it asks for none */
	HELLO_MORE,	/* so far it is one */
	HELLO_BAD	/* it is none, or too long */
};

/*
 * Reads what a connection begins with.  The records' contents are joined
 * in room, which has as many bytes as in; name is lower case, without a
 * final dot, and a slice of it.
 */
enum hello_rc hello_parse(struct str in, char *room, struct str *name);

#endif
