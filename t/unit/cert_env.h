/*
 * Certificates made on the spot: keys, chains, files of PEM in a folder
 * that goes with the test; and a load of a configuration that names them.
 */
#ifndef T_UNIT_CERT_ENV_H
#define T_UNIT_CERT_ENV_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "conf/load.h"
#include "tls/cert.h"

#define DAY	86400L

struct made {
	X509		*x;	/* own */
	EVP_PKEY	*key;	/* own */
};

/* how one is made; zero is a leaf of today with P-256 */
struct make {
	const char		*cn;
	const char		*names;	/* "DNS:a.example,IP:127.0.0.1" */
	const char		*type;	/* "RSA", "EC", "ED25519" */
	const struct made	*by;	/* NULL: itself */
	long			 from;	/* seconds from now */
	long			 until;	/* 0: 90 days */
	int			 bits;	/* of RSA; 0: 2048 */
	bool			 ca;
};

static inline EVP_PKEY *
make_key(const struct make *m)
{
	const char	*type = m->type != NULL ? m->type : "EC";

	if (strcmp(type, "RSA") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA",
		    (size_t)(m->bits != 0 ? m->bits : 2048));
	return strcmp(type, "EC") == 0 ? EVP_EC_gen("P-256") :
	    EVP_PKEY_Q_keygen(NULL, NULL, type);
}

static inline void
make_ext(X509 *x, X509 *by, int nid, const char *text)
{
	X509V3_CTX	 ctx;
	X509_EXTENSION	*e;

	X509V3_set_ctx(&ctx, by, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, text);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static inline struct made
make_cert(struct make m)
{
	struct made	d = { X509_new(), make_key(&m) };
	const struct made *by = m.by != NULL ? m.by : &d;
	X509_NAME	*n = X509_get_subject_name(d.x);
	static long	 serial = 1;

	ck_assert_ptr_nonnull(d.key);
	X509_set_version(d.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(d.x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(d.x), m.from - 60);
	X509_gmtime_adj(X509_getm_notAfter(d.x),
	    m.until != 0 ? m.until : 90 * DAY);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC,
	    (const unsigned char *)(m.cn != NULL ? m.cn : "leaf"), -1, -1, 0);
	X509_set_issuer_name(d.x, X509_get_subject_name(by->x));
	X509_set_pubkey(d.x, d.key);
	make_ext(d.x, by->x, NID_basic_constraints,
	    m.ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (m.names != NULL)
		make_ext(d.x, by->x, NID_subject_alt_name, m.names);
	ck_assert_int_gt(X509_sign(d.x, by->key,
	    EVP_PKEY_is_a(by->key, "RSA") || EVP_PKEY_is_a(by->key, "EC") ?
	    EVP_sha256() : NULL), 0);
	return d;
}

static inline void
make_free(struct made *d)
{
	X509_free(d->x);
	EVP_PKEY_free(d->key);
	d->x = NULL;
	d->key = NULL;
}

/* --- a folder with files, and what is configured over it --- */

struct cert_env {
	char		 dir[64];
	struct arena	 arena;
	struct conf	*conf;		/* of the last load; or NULL */
	struct text	 said;
	bool		 keep;		/* below the folder, as builders do */
};

static inline void
cert_env_init(struct cert_env *t)
{
	memset(t, 0, sizeof(*t));
	snprintf(t->dir, sizeof(t->dir), "/tmp/t-cert-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(t->dir));
	arena_init(&t->arena, NULL);
	text_init(&t->said);
}

static inline int
cert_env_rm(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void
cert_env_fini(struct cert_env *t)
{
	nftw(t->dir, cert_env_rm, 8, FTW_DEPTH | FTW_PHYS);
	arena_fini(&t->arena);
	text_fini(&t->said);
}

static inline FILE *
cert_env_open(struct cert_env *t, const char *name, const char *mode)
{
	char	 path[256];
	FILE	*f;

	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	f = fopen(path, mode);
	ck_assert_msg(f != NULL, "%s", path);
	return f;
}

/* A file of text; "a" adds to it. */
static inline void
cert_env_text(struct cert_env *t, const char *name, const char *text,
    const char *mode)
{
	FILE	*f = cert_env_open(t, name, mode);

	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

/* The certificate behind what the file has, with mode "a". */
static inline void
cert_env_cert(struct cert_env *t, const char *name, const struct made *d,
    const char *mode)
{
	FILE	*f = cert_env_open(t, name, mode);

	ck_assert_int_eq(PEM_write_X509(f, d->x), 1);
	ck_assert_int_eq(fclose(f), 0);
}

static inline void
cert_env_key(struct cert_env *t, const char *name, const struct made *d,
    const char *mode)
{
	FILE	*f = cert_env_open(t, name, mode);

	ck_assert_int_eq(PEM_write_PKCS8PrivateKey(f, d->key, NULL, NULL, 0,
	    NULL, NULL), 1);
	ck_assert_int_eq(fclose(f), 0);
}

/* NAME.crt and NAME.key of a new certificate. */
static inline void
cert_env_pair(struct cert_env *t, const char *name, struct make m)
{
	struct made	d = make_cert(m);
	char		file[128];

	snprintf(file, sizeof(file), "%s.crt", name);
	cert_env_cert(t, file, &d, "w");
	snprintf(file, sizeof(file), "%s.key", name);
	cert_env_key(t, file, &d, "w");
	make_free(&d);
}

/* Loads what the text says; paths are relative to the folder. */
static inline void
cert_env_load(struct cert_env *t, const char *text)
{
	char			 path[256];
	struct conf_opts	 o = { .file = path, .file_given = true,
		.as_root = true };
	struct conf_load	*l;
	struct err		 e;

	cert_env_text(t, "t.conf", "[listener web]\nbind = unix:/tmp/none\n"
	    "[route all]\npath = /*\nrespond = 200 ok\n", "w");
	cert_env_text(t, "t.conf", text, "a");
	snprintf(path, sizeof(path), "%s/t.conf", t->dir);
	l = conf_load_new(&o);
	arena_fini(&t->arena);
	arena_init(&t->arena, NULL);
	t->conf = conf_load_run(l, &t->arena);
	t->said.n = 0;
	diag_print(conf_load_diags(l), &t->said, "");
	text_c(&t->said, '\0');
	if (t->keep && t->conf != NULL)
		ck_assert_msg(tls_certs_keep(l, str_from(t->dir), &e) == 0,
		    "%s", e.text);
	conf_load_free(&l);
}

/* The load went well, or it says the words and fails if bad. */
static inline void
cert_env_says(struct cert_env *t, const char *text, bool bad,
    const char *said)
{
	cert_env_load(t, text);
	ck_assert_msg(said == NULL || strstr(t->said.p, said) != NULL,
	    "no \"%s\" in: %s", said, t->said.p);
	ck_assert_msg((t->conf == NULL) == bad, "%s", t->said.p);
}

#endif
