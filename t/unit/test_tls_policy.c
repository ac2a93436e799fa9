/*
 * Policies: what makes two of them the same, tickets that only the same one
 * takes, and the rows of handshakes that fail.
 */
#include "tls/policy.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tls/ticket.h"

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* --- digests --- */

static struct tls_terms
make_terms(void)
{
	static const struct str	list[] = { STR_INIT("a"), STR_INIT("bc") };
	struct conf_list	l = { list, 2 };

	return (struct tls_terms){ .versions = l, .ciphers = l, .suites = l,
	    .groups = l, .signatures = l, .cas = { .v = list, .n = 2 },
	    .crls = { .v = list, .n = 2 } };
}

static bool
same(struct tls_terms a, struct str alpn_a, struct tls_terms b,
    struct str alpn_b)
{
	struct tls_digest	x, y;

	tls_terms_digest(&a);
	tls_terms_digest(&b);
	tls_policy_digest(&a, alpn_a, &x);
	tls_policy_digest(&b, alpn_b, &y);
	return memcmp(&x, &y, sizeof(x)) == 0;
}

START_TEST(test_digest)
{
	static const struct str	others[][2] = {
		{ STR_INIT("ab"), STR_INIT("c") },
		{ STR_INIT("bc"), STR_INIT("a") }
	};
	struct tls_terms	a = make_terms(), b;
	struct conf_list	*lists[] = { &b.versions, &b.ciphers,
				    &b.suites, &b.groups, &b.signatures };

	b = a;
	/* where they were read is all the same, what they say is not */
	b.ca_file = b.crl_file = STR("elsewhere");
	ck_assert(same(a, STR("x"), b, STR("x")));
	ck_assert(!same(a, STR("x"), b, STR("y")));
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 3; k++) {
			b = a;
			if (k < 2)
				lists[i]->v = others[k];
			else
				lists[i]->n = 1;
			ck_assert(!same(a, STR("x"), b, STR("x")));
		}
	b = a;
	b.client = TLS_CLIENT_REQUIRED;
	ck_assert(!same(a, STR("x"), b, STR("x")));
	b = a;
	b.depth = 7;
	ck_assert(!same(a, STR("x"), b, STR("x")));
	b = a;
	b.cas.n = 1;
	ck_assert(!same(a, STR("x"), b, STR("x")));
	b = a;
	b.crls.v = others[0];
	ck_assert(!same(a, STR("x"), b, STR("x")));
	/* a word that moves from one list to the next */
	b = a;
	b.ciphers.n = 1;
	b.suites = (struct conf_list){ (const struct str[]){ STR_INIT("bc"),
	    STR_INIT("a"), STR_INIT("bc") }, 3 };
	ck_assert(!same(a, STR("x"), b, STR("x")));
}
END_TEST

/* --- tickets --- */

static SSL_SESSION	*kept;

static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = s;
	return 1;
}

static struct ticket_ring	rings[2];
static unsigned			nring;

static int
on_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	const struct ticket_ring	*r;

	r = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	if (seal)
		return ticket_seal(r, name, iv, cipher, mac) == 0 ? 1 : -1;
	return ticket_open(r, name, iv, cipher, mac);
}

static void
set_tickets(SSL_CTX *c, const uint8_t *secret, const uint8_t *policy)
{
	struct ticket_ring	*r = &rings[nring++];
	struct tls_seeds	 seeds = { .version = 1, .n = 1,
				    .len = { 32 } };
	struct tls_digest	 d;

	memcpy(seeds.v[0], secret, 32);
	memcpy(d.v, policy, 32);
	ticket_init(r);
	ck_assert_int_eq(ticket_fit(r, &seeds, &d), 0);
	SSL_CTX_set_app_data(c, r);
	ck_assert_int_eq(SSL_CTX_set_tlsext_ticket_key_evp_cb(c, on_key), 1);
}

static SSL_CTX *
make_server(const char *secret, const char *policy, int version)
{
	SSL_CTX		*c = SSL_CTX_new(TLS_server_method());
	EVP_PKEY	*key = EVP_EC_gen("P-256");
	X509		*x = X509_new();
	uint8_t		 bytes[2][32] = { { 0 }, { 0 } };

	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(c, x), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(c, key), 1);
	X509_free(x);
	EVP_PKEY_free(key);
	SSL_CTX_set_min_proto_version(c, version);
	SSL_CTX_set_max_proto_version(c, version);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(c, 1);
	memcpy(bytes[0], secret, strlen(secret));
	memcpy(bytes[1], policy, strlen(policy));
	SSL_CTX_set_session_id_context(c, (const uint8_t *)"one", 3);
	set_tickets(c, bytes[0], bytes[1]);
	return c;
}

/* A handshake in memory and a byte each way; whether it resumed. */
static bool
shake(SSL_CTX *client, SSL_CTX *server, SSL_SESSION *with)
{
	SSL	*c = SSL_new(client), *s = SSL_new(server);
	BIO	*a, *b;
	char	 byte;
	bool	 resumed;

	ck_assert_int_eq(BIO_new_bio_pair(&a, 65536, &b, 65536), 1);
	SSL_set_bio(c, a, a);
	SSL_set_bio(s, b, b);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);
	if (with != NULL)
		ck_assert_int_eq(SSL_set_session(c, with), 1);
	for (int i = 0; i < 8; i++) {
		SSL_do_handshake(c);
		SSL_do_handshake(s);
	}
	ck_assert_int_eq(SSL_write(s, "x", 1), 1);
	ck_assert_int_eq(SSL_read(c, &byte, 1), 1);
	resumed = SSL_session_reused(s) == 1;
	ck_assert_int_eq(SSL_session_reused(c), resumed);
	SSL_set_shutdown(c, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c);
	SSL_free(s);
	return resumed;
}

START_TEST(test_ticket)
{
	static const struct {
		const char	*secret, *policy;
		bool		 resumes;
	} cases[] = {
		{ "secret", "policy", true },
		{ "secret", "another", false },
		{ "another", "policy", false },
		{ "policy", "secret", false }
	};
	SSL_SESSION	*one, *two;
	int		 version = versions[_i % 2];
	SSL_CTX		*client = SSL_CTX_new(TLS_client_method());
	SSL_CTX		*first = make_server("secret", "policy", version);
	SSL_CTX		*other = make_server(cases[_i / 2].secret,
			    cases[_i / 2].policy, version);

	SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client, on_session);
	ck_assert(!shake(client, first, NULL));
	ck_assert_ptr_nonnull(kept);
	/* a client of TLS 1.3 uses a session once */
	one = SSL_SESSION_dup(kept);
	two = SSL_SESSION_dup(kept);
	ck_assert_int_eq(shake(client, other, one), cases[_i / 2].resumes);
	ck_assert(shake(client, first, two));
	SSL_SESSION_free(one);
	SSL_SESSION_free(two);
	SSL_SESSION_free(kept);
	kept = NULL;
	SSL_CTX_free(client);
	SSL_CTX_free(first);
	SSL_CTX_free(other);
	while (nring > 0)
		ticket_fini(&rings[--nring]);
}
END_TEST

/* --- blame --- */

START_TEST(test_blame)
{
#define CODE(r)	ERR_PACK(ERR_LIB_SSL, 0, r)
	static const struct {
		unsigned long	code;
		int		alert;
		bool		ended;
		enum fail	why;
	} cases[] = {
		{ 0, -1, true, FAIL_TLS_CLIENT_GONE },
		{ 0, -1, false, FAIL_TLS_CLIENT_GONE },
		{ CODE(SSL_R_UNSUPPORTED_PROTOCOL), -1, false,
		    FAIL_TLS_VERSION },
		{ CODE(SSL_R_NO_SHARED_CIPHER), -1, false,
		    FAIL_TLS_NO_SHARED_CIPHER },
		{ CODE(SSL_R_NO_SUITABLE_KEY_SHARE), -1, false,
		    FAIL_TLS_NO_SHARED_CIPHER },
		{ CODE(SSL_R_NO_APPLICATION_PROTOCOL), -1, false,
		    FAIL_TLS_NO_PROTOCOL },
		{ CODE(SSL_R_TLSV1_ALERT_UNKNOWN_CA), SSL_AD_UNKNOWN_CA,
		    false, FAIL_TLS_ALERT },
		{ CODE(SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE), -1, false,
		    FAIL_TLS_CLIENT_MISSING },
		{ CODE(SSL_R_CERTIFICATE_VERIFY_FAILED), -1, false,
		    FAIL_TLS_CLIENT_REFUSED },
		{ CODE(SSL_R_BAD_EXTENSION), -1, false, FAIL_TLS_BAD_HELLO },
		{ ERR_PACK(ERR_LIB_EVP, 0, 1), -1, false, FAIL_TLS_FAILED }
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(tls_policy_blame(cases[i].code,
		    cases[i].alert, cases[i].ended), cases[i].why);
}
END_TEST

/* Nothing is known of a connection without TLS. */
START_TEST(test_none)
{
	ck_assert_uint_eq(tls_version(NULL).n, 0);
	ck_assert_uint_eq(tls_cipher(NULL).n, 0);
	ck_assert_uint_eq(tls_sni(NULL).n, 0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("tls_policy");
	TCase	*t = tcase_create("all");
	SRunner	*r;
	int	 bad;

	tcase_add_test(t, test_digest);
	tcase_add_loop_test(t, test_ticket, 0, 8);
	tcase_add_test(t, test_blame);
	tcase_add_test(t, test_none);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? 0 : 1;
}
