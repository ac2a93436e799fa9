/*
 * Would handshakes with a certificate go well by some terms?  One is tried
 * in memory, for OpenSSL's words of ciphers and signatures are a language
 * of which it alone knows what goes with what.  Builder and -t.
 */
#ifndef SL_TLS_TRIAL_H
#define SL_TLS_TRIAL_H

#include "tls/cert.h"
#include "tls/terms.h"

/*
 * Whether a client that can do all that the terms allow would be served by
 * the certificate with that version (TLS1_2_VERSION, TLS1_3_VERSION).
 */
bool tls_trial(const struct tls_terms *, const struct tls_cert *,
    int version);

#endif
