/*
 * What lines say of a certificate that came over the wire.  Workers,
 * health.
 *
 * All is ASCII without controls, and bounded: who made the certificate has
 * chosen its texts.
 */
#ifndef SL_TLS_CERT_SAY_H
#define SL_TLS_CERT_SAY_H

#include <openssl/x509.h>

#include "base/text.h"

#define CERT_SAY_NAME	128	/* bytes of a subject or an issuer */
#define CERT_SAY_ROOM	(CERT_SAY_NAME + 8)	/* for one that is cut */

/* RFC 2253, all that is not ASCII or a control escaped; of any length. */
void cert_say_whole(struct text *, const X509_NAME *);
/* The same, cut at CERT_SAY_NAME, with an ellipsis then. */
void cert_say_name(struct text *, const X509_NAME *);
/* The first of its hosts and addresses, "a.test, 10.0.0.1 and 3 more". */
void cert_say_hosts(struct text *, const X509 *);
/* SHA-256 of the whole certificate, in hex. */
void cert_say_print(struct text *, const X509 *);

#endif
