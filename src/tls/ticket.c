/*
 * Keys of tickets, by HKDF (RFC 5869) with SHA-256.  Workers.
 */
#include "tls/ticket.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/must.h"

#define KEYS	80	/* name, HMAC and AES, as OpenSSL takes them */

static void
derive(const uint8_t *secret, const uint8_t *policy, uint8_t *out)
{
	EVP_KDF		*kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX	*ctx = EVP_KDF_CTX_new(kdf);
	char		 digest[] = "SHA256", salt[] = "sluice ticket 1";
	OSSL_PARAM	 p[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
		    digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
		    (void *)(uintptr_t)secret, TICKET_SECRET),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt,
		    sizeof(salt) - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
		    (void *)(uintptr_t)policy, TICKET_POLICY),
		OSSL_PARAM_construct_end()
	};

	must(ctx != NULL && EVP_KDF_derive(ctx, out, KEYS, p) == 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

void
tls_ticket_set(SSL_CTX *ctx, const uint8_t secret[TICKET_SECRET],
    const uint8_t policy[TICKET_POLICY])
{
	uint8_t	keys[KEYS];

	derive(secret, policy, keys);
	must(SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof(keys)) == 1);
	OPENSSL_cleanse(keys, sizeof(keys));
}
