/*
 * TLS for tests over sockets: a certificate made on the spot, and two ends
 * that have shaken hands.
 */
#ifndef SL_UNIT_TLS_ENV_H
#define SL_UNIT_TLS_ENV_H

#include <check.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "io/tls.h"

/* A certificate of its own for "localhost", with its key. */
static inline void
tls_env_cert(SSL_CTX *c)
{
	EVP_PKEY	*key = EVP_EC_gen("P-256");
	X509		*x = X509_new();
	X509_NAME	*name;

	ck_assert_ptr_nonnull(key);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	name = X509_get_subject_name(x);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(x, name);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(c, x), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(c, key), 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

/* Puts TLS on both ends of a pair and shakes hands. */
static inline void
tls_env_open(struct ev *ev, struct tls_room *room, struct io *server,
    SSL_CTX *sctx, struct io *client, SSL_CTX *cctx)
{
	enum io_rc	 a = IO_AGAIN, b = IO_AGAIN;
	SSL		*ssl = SSL_new(sctx);

	SSL_set_accept_state(ssl);
	tls_open(server, room, ssl, STR_NONE);
	ssl = SSL_new(cctx);
	SSL_set_connect_state(ssl);
	tls_open(client, room, ssl, STR_NONE);
	for (int i = 0; i < 20 && (a == IO_AGAIN || b == IO_AGAIN); i++) {
		if (b == IO_AGAIN)
			b = tls_shake(client);
		if (a == IO_AGAIN)
			a = tls_shake(server);
		ev_turn(ev, 0);
	}
	ck_assert_int_eq(a, IO_OK);
	ck_assert_int_eq(b, IO_OK);
}

#endif
