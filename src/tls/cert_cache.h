/*
 * Certificates and keys as OpenSSL has them, those used lately, by the
 * bytes of their chains: a reload keeps what did not change.  One per
 * worker, shared by the stores of its generations.  Connections hold
 * their own references, so one may leave while handshakes use it.
 */
#ifndef SL_TLS_CERT_CACHE_H
#define SL_TLS_CERT_CACHE_H

#include <openssl/x509.h>

#include "base/list.h"
#include "tls/cert.h"

struct cert_loaded {
	uint8_t			 id[TLS_ID_BYTES];
	X509			*leaf;		/* own */
	STACK_OF(X509)		*chain;		/* own: without the leaf */
	EVP_PKEY		*key;		/* own */
	struct list		 node;		/* the latest used first */
};

struct cert_cache;

struct cert_cache *cert_cache_new(size_t max);
struct cert_cache *cert_cache_ref(struct cert_cache *);
/* The last one frees all.  Nulls. */
void cert_cache_unref(struct cert_cache **);

/* Holds at most so many from now on. */
void cert_cache_limit(struct cert_cache *, size_t max);

/*
 * The certificate's objects, made now if they are not there; valid until
 * the next call.  NULL: what the generation has cannot be used.
 */
const struct cert_loaded *cert_cache_get(struct cert_cache *,
    const struct tls_cert *);

/* How many it holds. */
size_t cert_cache_count(const struct cert_cache *);

#endif
