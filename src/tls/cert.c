/*
 * Certificates in a worker: from what the generation has to OpenSSL's
 * objects, on first use, and onto connections.
 */
#include "tls/cert.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdlib.h>

#include "base/must.h"
#include "tls/cert_cache.h"

struct tls_store {
	const struct tls_certs	*certs;		/* of the generation */
	struct cert_cache	*cache;		/* ref: counted */
};

struct tls_store *
tls_store_new(const struct conf *c, struct err *e)
{
	struct tls_store	*s = must_calloc(1, sizeof(*s));

	(void)e;
	s->certs = tls_certs(c);
	s->cache = cert_cache_new(s->certs->max);
	return s;
}

void
tls_store_free(struct tls_store **sp)
{
	struct tls_store	*s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	cert_cache_unref(&s->cache);
	free(s);
}

void
tls_store_follow(struct tls_store *s, const struct tls_store *before)
{
	if (before == NULL)
		return;
	cert_cache_unref(&s->cache);
	s->cache = cert_cache_ref(before->cache);
	cert_cache_limit(s->cache, s->certs->max);
}

static int
set_one(struct tls_store *s, SSL *ssl, const struct tls_cert *c)
{
	const struct cert_loaded	*l = cert_cache_get(s->cache, c);

	if (l == NULL)
		return -1;
	if (SSL_use_cert_and_key(ssl, l->leaf, l->key, l->chain, 1) == 1)
		return 0;
	ERR_clear_error();
	return -1;
}

int
tls_cert_select(struct tls_store *s, SSL *ssl, struct str sni,
    enum fail *why)
{
	struct tls_choice	choice;
	int			set = 0;

	if (!tls_certs_find(s->certs, sni, &choice)) {
		*why = FAIL_TLS_UNKNOWN_NAME;
		return -1;
	}
	for (int i = 0; i < TLS_NKIND; i++)
		if (choice.v[i] != NULL &&
		    set_one(s, ssl, choice.v[i]) == 0)
			set++;
	if (set > 0)
		return 0;
	*why = FAIL_TLS_FAILED;
	return -1;
}
