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
#include "tls/policy.h"

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
}

void
tls_store_begin(struct tls_store *s)
{
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
tls_cert_select(struct tls_store *s, SSL *ssl, struct str sni, bool dev,
    enum fail *why)
{
	struct tls_choice	choice;
	int			set = 0;

	if (!tls_certs_find(s->certs, sni, dev, &choice)) {
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

static int
kind_of(const SSL *ssl)
{
	switch (EVP_PKEY_get_base_id(SSL_get_privatekey(ssl))) {
	case EVP_PKEY_RSA:
		return TLS_RSA;
	case EVP_PKEY_EC:
		return TLS_ECDSA;
	case EVP_PKEY_ED25519:
		return TLS_ED25519;
	default:
		return TLS_NKIND;
	}
}

const struct tls_cert *
tls_cert_shown(const struct tls_store *s, const SSL *ssl, bool dev)
{
	char			buf[TLS_NAME_BYTES];
	struct tls_choice	choice;
	int			kind;

	if (s == NULL || SSL_get_privatekey(ssl) == NULL ||
	    !tls_certs_find(s->certs, tls_name(ssl, buf), dev, &choice))
		return NULL;
	kind = kind_of(ssl);
	return kind == TLS_NKIND ? NULL : choice.v[kind];
}
