/*
 * TLS towards servers: where sessions go that a server gives, at once or
 * when its place has long gone to another one.
 */
#include "tls/client.h"

#include <check.h>
#include <stdlib.h>

#include "tls_env.h"

#define ROUNDS	20

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static struct tls_clients	 all;
static struct tls_client	*client;
static SSL_CTX			*server;
static const struct tls_peer	 one, other;
static const struct tls_peer	*now;
static SSL_SESSION		*kept;
static struct tls_out		 out;
static SSL			*end[2];	/* the server's, ours */

static void
set_up(void)
{
	static const struct str	both[] = { STR_INIT("1.2"),
				    STR_INIT("1.3") };
	static const struct str	ciphers[] = {
				    STR_INIT("ECDHE-ECDSA-AES128-GCM-SHA256") };
	static const struct str	suites[] = {
				    STR_INIT("TLS_AES_128_GCM_SHA256") };
	static const struct str	groups[] = { STR_INIT("P-256") };
	struct tls_client_conf	c = { .words = { .versions = { both, 2 },
				    .ciphers = { ciphers, 1 },
				    .suites = { suites, 1 },
				    .groups = { groups, 1 } } };
	struct err		e;

	tls_clients_init(&all);
	client = tls_client_get(&all, &c, NULL, &e);
	ck_assert_ptr_nonnull(client);
	server = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
	tls_env_cert(server);
}

static void
tear_down(void)
{
	SSL_free(end[0]);
	SSL_free(end[1]);
	SSL_SESSION_free(kept);
	SSL_CTX_free(server);
	tls_client_unref(&client);
}

static void
begin(int version)
{
	BIO	*a, *b;

	SSL_CTX_set_max_proto_version(server, version);
	out = (struct tls_out){ .peer = &one, .now = &now, .keep = &kept,
	    .alpn = STR("\x02h2") };
	now = &one;
	kept = NULL;
	end[0] = SSL_new(server);
	SSL_set_accept_state(end[0]);
	end[1] = tls_client_begin(client, &out);
	SSL_set_connect_state(end[1]);
	ck_assert_int_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(end[0], a, a);
	SSL_set_bio(end[1], b, b);
}

/* Ours is through when the server may still have something to say. */
static void
shake(void)
{
	for (int i = 0; i < ROUNDS; i++)
		for (unsigned k = 2; k-- > 0;)
			(void)SSL_do_handshake(end[k]);
	ck_assert_int_eq(SSL_is_init_finished(end[0]), 1);
	ck_assert_int_eq(SSL_is_init_finished(end[1]), 1);
}

static void
read_on(void)
{
	char	c;

	ck_assert_int_eq(SSL_write(end[0], "x", 1), 1);
	ck_assert_int_eq(SSL_read(end[1], &c, 1), 1);
}

START_TEST(test_kept)
{
	begin(versions[_i]);
	shake();
	read_on();
	ck_assert_ptr_nonnull(kept);
}
END_TEST

/* With TLS 1.3 it comes behind the handshake, and is read with the answer. */
START_TEST(test_late)
{
	begin(TLS1_3_VERSION);
	shake();
	ck_assert_ptr_null(kept);
	now = &other;
	read_on();
	ck_assert_ptr_null(kept);
}
END_TEST

/* Nobody keeps what is of a server that has none. */
START_TEST(test_nobody)
{
	begin(versions[_i]);
	now = NULL;
	shake();
	read_on();
	ck_assert_ptr_null(kept);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("tls_client");
	TCase	*tc = tcase_create("tls_client");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_kept, 0, 2);
	tcase_add_test(tc, test_late);
	tcase_add_loop_test(tc, test_nobody, 0, 2);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
