/*
 * Who a client is by its certificate, and whether a request may come by
 * the connection that it came by.  Workers.
 */
#ifndef SL_CORE_SECURE_IDENTITY_H
#define SL_CORE_SECURE_IDENTITY_H

#include "core/exchange.h"

/* ${tls.client.NAME} */
enum identity {
	IDENTITY_SUBJECT, IDENTITY_ISSUER, IDENTITY_SAN, IDENTITY_SERIAL,
	IDENTITY_FINGERPRINT, IDENTITY_VERIFY
};

/*
 * One of them, of arena: "" without a certificate, or with one that is
 * not valid.  VERIFY: NONE, SUCCESS, or FAILED: and why.
 */
struct str identity_get(struct exchange *, enum identity);

/* For the access record: a certificate that is valid. */
void identity_note(struct exchange *);

/*
 * Is the host of a request one that its connection may be used for?  Not
 * if the name of the handshake has other terms, nor if connections for
 * the host are passed on.  *cause: for the log.
 */
enum fail identity_host(const struct exchange *, struct str *cause);

/* Does the client fit what the route asks for?  *cause: for the log. */
enum fail identity_check(struct exchange *, struct str *cause);

#endif
