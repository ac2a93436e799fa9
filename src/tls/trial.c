/*
 * Handshakes in memory.  Builder and -t.
 *
 * The client has the terms' own words, so that what it offers is all that
 * they allow; but groups, which it needs for the certificate's curve, too,
 * are those that OpenSSL has by itself, and the terms' when these fail.
 */
#include "tls/trial.h"

#include <openssl/err.h>

#include "base/must.h"

#define ROUNDS	16		/* flights, more than any has */

/* The DER is of the generation, and was examined; false: OpenSSL cannot. */
static bool
use_cert(SSL_CTX *ctx, const struct tls_cert *c)
{
	const unsigned char	*p = (const unsigned char *)c->key.p;
	EVP_PKEY		*key = d2i_AutoPrivateKey(NULL, &p,
	    (long)c->key.n);
	bool			 good;

	good = key != NULL && SSL_CTX_use_certificate_ASN1(ctx,
	    (int)c->chain[0].n, (const unsigned char *)c->chain[0].p) == 1 &&
	    SSL_CTX_use_PrivateKey(ctx, key) == 1;
	EVP_PKEY_free(key);
	return good;
}

static SSL_CTX *
make_client(const struct tls_terms *t, int version, bool own_groups)
{
	struct tls_terms	 wide = *t;
	SSL_CTX			*ctx = SSL_CTX_new(TLS_client_method());

	must(ctx != NULL);
	if (!own_groups)
		wide.groups.n = 0;
	SSL_CTX_set_security_level(ctx, 0);
	(void)tls_terms_set(ctx, &wide);
	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	return ctx;
}

/* Each reads what the other wrote, until both are through or one fails. */
static bool
shake(SSL *a, SSL *b)
{
	SSL	*both[2] = { a, b };
	int	 rc;

	for (int i = 0; i < ROUNDS; i++) {
		rc = SSL_do_handshake(both[i % 2]);
		if (rc != 1 && SSL_get_error(both[i % 2], rc) !=
		    SSL_ERROR_WANT_READ)
			return false;
	}
	return SSL_is_init_finished(a) && SSL_is_init_finished(b);
}

static bool
try(SSL_CTX *client, SSL_CTX *server)
{
	SSL	*a = SSL_new(client), *b = SSL_new(server);
	BIO	*x, *y;
	bool	 good;

	must(a != NULL && b != NULL &&
	    BIO_new_bio_pair(&x, 0, &y, 0) == 1);
	SSL_set_bio(a, x, x);
	SSL_set_bio(b, y, y);
	SSL_set_connect_state(a);
	SSL_set_accept_state(b);
	good = shake(a, b);
	SSL_free(a);
	SSL_free(b);
	return good;
}

bool
tls_trial(const struct tls_terms *t, const struct tls_cert *c, int version)
{
	SSL_CTX	*server = SSL_CTX_new(TLS_server_method()), *client;
	bool	 good = false;

	must(server != NULL);
	if (tls_terms_set(server, t) == NULL && use_cert(server, c))
		for (int i = 0; i < 2 && !good; i++) {
			client = make_client(t, version, i == 1);
			good = try(client, server);
			SSL_CTX_free(client);
		}
	SSL_CTX_free(server);
	ERR_clear_error();
	return good;
}
