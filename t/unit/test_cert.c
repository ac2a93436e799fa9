/*
 * Certificates: what is read and what is refused, which is chosen for a
 * name, and what a client gets of it.
 */
#include "cert_env.h"

#include <openssl/ssl.h>

#include "tls/cert_names.h"

/* --- names --- */

START_TEST(names_that_may_be)
{
	static const char *const	good[] = { "a", "a.example", "*.a.b",
		"xn--bcher-kva.example", "_dmarc.a", "1.2", "a-b.c" };
	static const char *const	bad[] = { "", "*", "*.a", "a..b", ".a",
		"a.", "-a.b", "a-.b", "a b", "a*.b", "*a.b", "a.*.b", "**.a.b",
		"b\xc3\xbc" "cher.example", "A.example",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaa.b" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(cert_names_check(str_from(good[i])) == NULL,
		    "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(cert_names_check(str_from(bad[i])) != NULL,
		    "%s", bad[i]);
}
END_TEST

/* --- files --- */

START_TEST(what_is_wrong)
{
	struct cert_env	t;
	struct made	root, ca, leaf, other;

	cert_env_init(&t);
	root = make_cert((struct make){ .cn = "root", .ca = true });
	ca = make_cert((struct make){ .cn = "ca", .by = &root, .ca = true });
	leaf = make_cert((struct make){ .names = "DNS:a.example",
	    .by = &ca });
	other = make_cert((struct make){ .names = "DNS:b.example" });
	cert_env_cert(&t, "a.crt", &leaf, "w");
	cert_env_cert(&t, "a.crt", &ca, "a");
	cert_env_key(&t, "a.key", &leaf, "w");
	cert_env_key(&t, "b.key", &other, "w");
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", false,
	    NULL);
	ck_assert_uint_eq(tls_certs(t.conf)->v[0]->nchain, 2);
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = b.key\n", true,
	    "b.key\" has the key of another certificate");
	cert_env_says(&t, "[cert a]\ncert = none.crt\n", true,
	    "none.crt\" cannot be read: No such file or directory");
	cert_env_says(&t, "[cert a]\ncert = a.crt\n", true,
	    "a.crt\" has no private key in PEM");
	cert_env_says(&t, "[cert a]\ncert = a.key\nkey = a.key\n", true,
	    "a.key\" has no certificate in PEM");
	/* the issuer in front, one that did not sign, one that may not */
	cert_env_cert(&t, "c.crt", &ca, "w");
	cert_env_cert(&t, "c.crt", &leaf, "a");
	cert_env_says(&t, "[cert a]\ncert = c.crt\nkey = a.key\n", true,
	    "E0323");
	cert_env_cert(&t, "d.crt", &leaf, "w");
	cert_env_cert(&t, "d.crt", &root, "a");
	cert_env_says(&t, "[cert a]\ncert = d.crt\nkey = a.key\n", true,
	    "certificate 2 of it is not the issuer of number 1");
	cert_env_says(&t, "[cert a]\n", true, "neither cert nor directory");
	cert_env_says(&t, "[cert a]\ndirectory = .\nkey = a.key\n", true,
	    "E0327");
	make_free(&root);
	make_free(&ca);
	make_free(&leaf);
	make_free(&other);
	cert_env_fini(&t);
}
END_TEST

START_TEST(broken_files)
{
	struct cert_env	t;

	cert_env_init(&t);
	cert_env_pair(&t, "a", (struct make){ .names = "DNS:a.example" });
	cert_env_text(&t, "x.crt", "-----BEGIN CERTIFICATE-----\nMIIB!\n"
	    "-----END CERTIFICATE-----\n", "w");
	cert_env_says(&t, "[cert a]\ncert = x.crt\nkey = a.key\n", true,
	    "x.crt\" has a certificate that is not base64");
	cert_env_text(&t, "x.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n"
	    "-----END CERTIFICATE-----\n", "w");
	cert_env_says(&t, "[cert a]\ncert = x.crt\nkey = a.key\n", true,
	    "x.crt\" certificate 1 of it is broken");
	cert_env_text(&t, "x.key", "-----BEGIN PRIVATE KEY-----\nMIIB\n"
	    "-----END PRIVATE KEY-----\n", "w");
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = x.key\n", true,
	    "x.key\" has a private key that is broken");
	/* all of them at once */
	cert_env_says(&t, "[cert a]\ncert = x.crt\nkey = a.key\n"
	    "[cert b]\ncert = a.crt\nkey = x.key\n", true, "2 errors");
	cert_env_fini(&t);
}
END_TEST

START_TEST(weak_keys)
{
	struct cert_env	t;

	cert_env_init(&t);
	cert_env_pair(&t, "a", (struct make){ .names = "DNS:a.example",
	    .type = "RSA", .bits = 1024 });
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", true,
	    "a.key\" has an RSA key of less than 2048 bits");
	cert_env_pair(&t, "b", (struct make){ .names = "DNS:a.example",
	    .type = "ED448" });
	cert_env_says(&t, "[cert a]\ncert = b.crt\nkey = b.key\n", true,
	    "b.key\" has a key that is neither RSA, ECDSA nor Ed25519");
	cert_env_fini(&t);
}
END_TEST

START_TEST(dates)
{
	struct cert_env	t;

	cert_env_init(&t);
	cert_env_pair(&t, "a", (struct make){ .names = "DNS:a.example",
	    .from = -9 * DAY, .until = -2 * DAY });
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", true,
	    "a.crt\" expired on ");
	cert_env_pair(&t, "b", (struct make){ .names = "DNS:a.example",
	    .from = 2 * DAY });
	cert_env_says(&t, "[cert a]\ncert = b.crt\nkey = b.key\n", false,
	    "b.crt\" is not valid before ");
	cert_env_pair(&t, "c", (struct make){ .names = "DNS:a.example",
	    .until = 2 * DAY });
	cert_env_says(&t, "[cert a]\ncert = c.crt\nkey = c.key\n", false,
	    "c.crt\" expires on ");
	cert_env_fini(&t);
}
END_TEST

static void
ck_names(struct cert_env *t, const char *want)
{
	const struct tls_cert	*c = tls_certs(t->conf)->v[0];
	struct text		 names;

	text_init(&names);
	for (size_t i = 0; i < c->nname; i++)
		text_fmt(&names, "%s%.*s", i == 0 ? "" : " ",
		    STR_FMT(c->names[i]));
	text_c(&names, '\0');
	ck_assert_str_eq(names.p, want);
	text_fini(&names);
}

START_TEST(names_of_a_certificate)
{
	struct cert_env	t;

	cert_env_init(&t);
	cert_env_pair(&t, "a", (struct make){ .cn = "cn.example",
	    .names = "DNS:A.Example,DNS:*.b.example,DNS:bad*.x,"
	    "IP:127.0.0.1,IP:::1" });
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n", false,
	    NULL);
	ck_names(&t, "a.example *.b.example 127.0.0.1 ::1");
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n"
	    "names = X.b.example\n", false, NULL);
	ck_names(&t, "x.b.example");
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n"
	    "names = x.y.b.example\n", true, "x.y.b.example\" is not covered "
	    "by ");
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n"
	    "names = b\xc3\xbc" "cher.example\n", true, "A-labels");
	cert_env_pair(&t, "b", (struct make){ .cn = "cn.example" });
	cert_env_says(&t, "[cert a]\ncert = b.crt\nkey = b.key\n", false,
	    NULL);
	ck_names(&t, "cn.example");
	cert_env_fini(&t);
}
END_TEST

/* --- keys --- */

static void
write_key(struct cert_env *t, const char *name, const struct made *d,
    bool old, const EVP_CIPHER *cipher, const char *pass)
{
	FILE	*f = cert_env_open(t, name, "w");
	BIO	*b = BIO_new_fp(f, BIO_NOCLOSE);
	int	 n = pass != NULL ? (int)strlen(pass) : 0;

	if (old)
		ck_assert_int_eq(PEM_write_bio_PrivateKey_traditional(b,
		    d->key, cipher, (const unsigned char *)pass, n, NULL,
		    NULL), 1);
	else
		ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(b, d->key,
		    cipher, pass, n, NULL, NULL), 1);
	BIO_free(b);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(forms_of_keys)
{
	static const char *const	types[] = { "RSA", "EC", "ED25519" };
	struct cert_env			t;
	struct made			d;

	cert_env_init(&t);
	for (size_t i = 0; i < 3; i++) {
		d = make_cert((struct make){ .names = "DNS:a.example",
		    .type = types[i] });
		cert_env_cert(&t, "a.crt", &d, "w");
		for (int form = 0; form < 4; form++) {
			/* Ed25519 has but one */
			if (i == 2 && form % 2 == 1)
				continue;
			write_key(&t, "a.key", &d, form % 2 == 1,
			    form >= 2 ? EVP_aes_128_cbc() : NULL,
			    form >= 2 ? "open it" : NULL);
			cert_env_says(&t, "[cert a]\ncert = a.crt\n"
			    "key = a.key\npassphrase = open it\n", false,
			    NULL);
			ck_assert_int_eq((int)tls_certs(t.conf)->v[0]->kind,
			    (int)i);
		}
		make_free(&d);
	}
	cert_env_fini(&t);
}
END_TEST

START_TEST(keys_that_stay_shut)
{
	struct cert_env	t;
	struct made	d;

	cert_env_init(&t);
	d = make_cert((struct make){ .names = "DNS:a.example" });
	cert_env_cert(&t, "a.crt", &d, "w");
	for (int old = 0; old < 2; old++) {
		write_key(&t, "a.key", &d, old == 1, EVP_aes_128_cbc(),
		    "open it");
		cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n",
		    true, "a.key\" has an encrypted key, and there is no");
		cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n"
		    "passphrase = wrong\n", true,
		    "a.key\" has an encrypted key that the passphrase does");
		ck_assert_ptr_null(strstr(t.said.p, "wrong"));
	}
	make_free(&d);
	cert_env_fini(&t);
}
END_TEST

/* --- the choice --- */

/* The file that serves a name, "" if none does. */
static void
ck_serves(struct cert_env *t, const char *name, const char *want)
{
	struct tls_choice	 c;
	struct str		 got = STR("");

	if (tls_certs_find(tls_certs(t->conf), str_from(name), false, &c))
		got = c.v[TLS_ECDSA]->file;
	ck_assert_msg(str_ends(got, str_from(want)) &&
	    (got.n > 0) == (want[0] != '\0'), "%s: %.*s, not %s", name,
	    STR_FMT(got), want);
}

START_TEST(choice_by_name)
{
	struct cert_env	t;

	cert_env_init(&t);
	cert_env_pair(&t, "a", (struct make){ .names =
	    "DNS:a.example,DNS:*.w.example" });
	cert_env_pair(&t, "b", (struct make){ .names =
	    "DNS:b.w.example,DNS:both.example" });
	cert_env_pair(&t, "c", (struct make){ .names = "DNS:both.example",
	    .until = 80 * DAY });
	cert_env_says(&t, "[cert x]\ndirectory = .\n", false, NULL);
	ck_assert_uint_eq(tls_certs(t.conf)->n, 3);
	ck_serves(&t, "a.example", "/a.crt");
	ck_serves(&t, "x.w.example", "/a.crt");
	ck_serves(&t, "b.w.example", "/b.crt");
	ck_serves(&t, "both.example", "/b.crt");
	/* of a wildcard one label, and its own name is none */
	ck_serves(&t, "x.y.w.example", "/a.crt");
	ck_serves(&t, ".w.example", "/a.crt");
	cert_env_says(&t, "[sluice]\ntls.unknown = refuse\n"
	    "[cert x]\ndirectory = .\n", false, NULL);
	ck_serves(&t, "x.w.example", "/a.crt");
	ck_serves(&t, "x.y.w.example", "");
	ck_serves(&t, ".w.example", "");
	ck_serves(&t, "*.w.example", "");
	ck_serves(&t, "w.example", "");
	ck_serves(&t, "", "");
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n"
	    "[cert c]\ncert = c.crt\nkey = c.key\nnames = both.example\n"
	    "[cert b]\ncert = b.crt\nkey = b.key\ndefault = on\n", false,
	    NULL);
	ck_serves(&t, "", "/b.crt");
	ck_serves(&t, "none.example", "/b.crt");
	/* who says the name goes before who is valid for longer */
	ck_serves(&t, "both.example", "/c.crt");
	cert_env_says(&t, "[cert a]\ncert = a.crt\nkey = a.key\n"
	    "default = on\n[cert b]\ncert = b.crt\nkey = b.key\n"
	    "default = on\n", true, "E0326");
	cert_env_fini(&t);
}
END_TEST

START_TEST(no_certificate_at_all)
{
	struct cert_env		t;
	struct tls_choice	c;

	cert_env_init(&t);
	cert_env_says(&t, "", false, NULL);
	ck_assert(!tls_certs_find(tls_certs(t.conf), STR("a"), false, &c));
	cert_env_fini(&t);
}
END_TEST

/* --- handshakes --- */

/* what cert_cb needs */
struct asked {
	struct tls_store	*store;
	enum fail		 why;
};

static int
on_cert(SSL *ssl, void *ctx)
{
	struct asked	*a = ctx;
	const char	*sni = SSL_get_servername(ssl,
	    TLSEXT_NAMETYPE_host_name);

	return tls_cert_select(a->store, ssl, str_from(sni != NULL ? sni :
	    ""), false, &a->why) == 0;
}

/*
 * A handshake in memory; what the server showed, or NULL.  The caller
 * frees it.
 */
static X509 *
shake(struct tls_store *store, const char *sni, const char *sigalgs,
    enum fail *why)
{
	struct asked	 a = { store, FAIL_NONE };
	SSL_CTX		*sc = SSL_CTX_new(TLS_server_method());
	SSL_CTX		*cc = SSL_CTX_new(TLS_client_method());
	SSL		*s = SSL_new(sc), *c = SSL_new(cc);
	BIO		*sb, *cb;
	X509		*got = NULL;

	BIO_new_bio_pair(&sb, 0, &cb, 0);
	SSL_set_bio(s, sb, sb);
	SSL_set_bio(c, cb, cb);
	SSL_set_cert_cb(s, on_cert, &a);
	SSL_set_accept_state(s);
	SSL_set_connect_state(c);
	if (sni != NULL)
		SSL_set_tlsext_host_name(c, sni);
	if (sigalgs != NULL)
		ck_assert_int_eq(SSL_set1_sigalgs_list(c, sigalgs), 1);
	for (int i = 0; i < 8; i++) {
		SSL_do_handshake(c);
		SSL_do_handshake(s);
	}
	if (SSL_is_init_finished(c) && SSL_is_init_finished(s))
		got = SSL_get1_peer_certificate(c);
	*why = a.why;
	SSL_free(s);
	SSL_free(c);
	SSL_CTX_free(sc);
	SSL_CTX_free(cc);
	return got;
}

static void
ck_shows(struct tls_store *store, const char *sni, const char *sigalgs,
    const char *cn)
{
	enum fail	 why;
	X509		*x = shake(store, sni, sigalgs, &why);
	char		 buf[64] = "";

	if (x != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(x),
		    NID_commonName, buf, sizeof(buf));
	X509_free(x);
	ck_assert_str_eq(buf, cn);
	ck_assert_int_eq(why == FAIL_NONE, cn[0] != '\0');
}

START_TEST(what_clients_get)
{
	struct cert_env		 t;
	struct tls_store	*s;
	struct err		 e;

	cert_env_init(&t);
	cert_env_pair(&t, "e", (struct make){ .cn = "ecdsa",
	    .names = "DNS:a.example" });
	cert_env_pair(&t, "r", (struct make){ .cn = "rsa", .type = "RSA",
	    .names = "DNS:a.example" });
	cert_env_pair(&t, "d", (struct make){ .cn = "ed", .type = "ED25519",
	    .names = "DNS:b.example" });
	cert_env_says(&t, "[sluice]\ntls.unknown = refuse\n"
	    "[cert x]\ndirectory = .\n", false, NULL);
	s = tls_store_new(t.conf, &e);
	ck_shows(s, "a.example", "ecdsa_secp256r1_sha256", "ecdsa");
	ck_shows(s, "a.example", "rsa_pss_rsae_sha256", "rsa");
	ck_shows(s, "b.example", NULL, "ed");
	ck_shows(s, "c.example", NULL, "");
	ck_shows(s, NULL, NULL, "");
	tls_store_free(&s);
	ck_assert_ptr_null(s);
	cert_env_fini(&t);
}
END_TEST

/* The certificate that a store has for a name, on a new connection. */
static X509 *
loaded(struct tls_store *s, SSL *ssl, const char *name)
{
	enum fail	why;

	ck_assert_int_eq(tls_cert_select(s, ssl, str_from(name), false, &why),
	    0);
	return SSL_get_certificate(ssl);
}

/* A generation that is not committed changes nothing of what is kept. */
START_TEST(limits_of_a_store)
{
	struct cert_env		 t, u;
	struct tls_store	*s, *next;
	SSL_CTX			*ctx = SSL_CTX_new(TLS_server_method());
	SSL			*v[3] = { SSL_new(ctx), SSL_new(ctx),
				    SSL_new(ctx) };
	X509			*a;
	struct err		 e;

	cert_env_init(&t);
	cert_env_init(&u);
	cert_env_pair(&t, "a", (struct make){ .cn = "a",
	    .names = "DNS:a.example" });
	cert_env_pair(&t, "b", (struct make){ .cn = "b",
	    .names = "DNS:b.example" });
	cert_env_pair(&u, "a", (struct make){ .cn = "a",
	    .names = "DNS:a.example" });
	cert_env_says(&t, "[cert x]\ndirectory = .\n", false, NULL);
	cert_env_says(&u, "[limits]\ncerts = 1\n"
	    "[cert x]\ndirectory = .\n", false, NULL);
	s = tls_store_new(t.conf, &e);
	next = tls_store_new(u.conf, &e);
	a = loaded(s, v[0], "a.example");
	loaded(s, v[1], "b.example");
	tls_store_follow(next, s);
	ck_assert_ptr_eq(loaded(s, v[2], "a.example"), a);
	loaded(s, v[1], "b.example");
	tls_store_begin(next);
	ck_assert_ptr_ne(loaded(s, v[2], "a.example"), a);
	tls_store_free(&next);
	tls_store_free(&s);
	for (int i = 0; i < 3; i++)
		SSL_free(v[i]);
	SSL_CTX_free(ctx);
	cert_env_fini(&u);
	cert_env_fini(&t);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("cert");
	TCase	*tc = tcase_create("cert");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, names_that_may_be);
	tcase_add_test(tc, what_is_wrong);
	tcase_add_test(tc, broken_files);
	tcase_add_test(tc, weak_keys);
	tcase_add_test(tc, dates);
	tcase_add_test(tc, names_of_a_certificate);
	tcase_add_test(tc, forms_of_keys);
	tcase_add_test(tc, keys_that_stay_shut);
	tcase_add_test(tc, choice_by_name);
	tcase_add_test(tc, no_certificate_at_all);
	tcase_add_test(tc, what_clients_get);
	tcase_add_test(tc, limits_of_a_store);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 bad;

	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad == 0 ? 0 : 1;
}
