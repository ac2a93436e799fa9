/*
 * Session tickets: what a policy seals them with is derived from a secret
 * of the machine and from the policy, so that all workers, also those of
 * later generations and programs, take each other's, and none takes one
 * of another policy.  Workers.
 */
#ifndef SL_TLS_TICKET_H
#define SL_TLS_TICKET_H

#include <openssl/ssl.h>

#define TICKET_SECRET	32
#define TICKET_POLICY	32

/* secret: of the machine; policy: a digest of all that makes it. */
void tls_ticket_set(SSL_CTX *, const uint8_t secret[TICKET_SECRET],
    const uint8_t policy[TICKET_POLICY]);

#endif
