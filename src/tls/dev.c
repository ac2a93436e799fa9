/*
 * The authority of tls = dev and the certificate that it signs: ECDSA on
 * P-256, ten years and thirteen months.
 */
#include "tls/dev.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "tls/cert_state.h"

#define DAY		86400
#define CA_DAYS		3650
#define LEAF_DAYS	397	/* browsers believe none for longer */
#define LEFT		(30 * DAY)	/* with less a new one is made */
#define FILE_MAX	(256 << 10)

enum { CA, CA_KEY, LEAF, LEAF_KEY };

/* a certificate with its key */
struct one {
	X509		*x;	/* own */
	EVP_PKEY	*key;	/* own */
};

static void
drop(struct one *o)
{
	X509_free(o->x);
	EVP_PKEY_free(o->key);
	o->x = NULL;
	o->key = NULL;
}

/* --- what is there --- */

static BIO *
open_text(int dir, const char *name, struct str *s)
{
	*s = dir < 0 ? STR_NONE : cert_state_read(dir, name, FILE_MAX);
	return s->p == NULL ? NULL : BIO_new_mem_buf(s->p, (int)s->n);
}

static void
close_text(BIO *b, struct str s)
{
	BIO_free(b);
	if (s.p != NULL)
		explicit_bzero((char *)(uintptr_t)s.p, s.n);
	free((char *)(uintptr_t)s.p);
}

static void
read_one(struct one *o, int dir, const char *cert, const char *key)
{
	struct str	 s;
	BIO		*b = open_text(dir, cert, &s);

	o->x = b != NULL ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	close_text(b, s);
	b = open_text(dir, key, &s);
	o->key = b != NULL ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) :
	    NULL;
	close_text(b, s);
	ERR_clear_error();
}

static bool
is_good(const struct one *o, const struct one *by, int64_t now)
{
	time_t	then = (time_t)(now + LEFT);

	return o->x != NULL && o->key != NULL &&
	    X509_check_private_key(o->x, o->key) == 1 &&
	    X509_cmp_time(X509_get0_notAfter(o->x), &then) > 0 &&
	    X509_verify(o->x, X509_get0_pubkey(by->x)) == 1;
}

/* --- what is made --- */

static int
add_ext(X509 *x, X509 *by, int nid, const char *text)
{
	X509V3_CTX	 ctx;
	X509_EXTENSION	*e;
	int		 rc;

	X509V3_set_ctx(&ctx, by, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, text);
	rc = e != NULL && X509_add_ext(x, e, -1) == 1 ? 0 : -1;
	X509_EXTENSION_free(e);
	return rc;
}

/* Two of one name are told apart by whose authority they are. */
static void
put_cn(X509 *x, const char *what)
{
	char	host[65] = "", cn[64];

	(void)gethostname(host, sizeof(host) - 1);
	snprintf(cn, sizeof(cn), "%s (%.32s)", what, host);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
	    MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
}

static int
put_serial(X509 *x)
{
	unsigned char	 r[16];
	BIGNUM		*n;
	int		 rc;

	if (RAND_bytes(r, sizeof(r)) != 1)
		return -1;
	r[0] = (unsigned char)((r[0] & 0x3f) | 0x40);
	n = BN_bin2bn(r, sizeof(r), NULL);
	rc = BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL ? 0 : -1;
	BN_free(n);
	return rc;
}

/* All but extensions and signature. */
static int
begin_one(struct one *o, const struct one *by, const char *what, int days,
    int64_t now)
{
	time_t	t = (time_t)now;

	o->x = X509_new();
	o->key = EVP_EC_gen("P-256");
	if (o->x == NULL || o->key == NULL || put_serial(o->x) == -1)
		return -1;
	X509_set_version(o->x, 2);
	/* clocks of clients differ */
	X509_time_adj_ex(X509_getm_notBefore(o->x), -1, 0, &t);
	X509_time_adj_ex(X509_getm_notAfter(o->x), days, 0, &t);
	put_cn(o->x, what);
	X509_set_issuer_name(o->x, X509_get_subject_name(by->x));
	return X509_set_pubkey(o->x, o->key) == 1 ? 0 : -1;
}

static int
end_one(struct one *o, const struct one *by)
{
	return X509_sign(o->x, by->key, EVP_sha256()) > 0 ? 0 : -1;
}

static int
make_ca(struct one *o, int64_t now)
{
	drop(o);
	if (begin_one(o, o, "sluice development CA", CA_DAYS, now) == -1 ||
	    add_ext(o->x, o->x, NID_basic_constraints,
	    "critical,CA:TRUE,pathlen:0") == -1 ||
	    add_ext(o->x, o->x, NID_key_usage,
	    "critical,keyCertSign,cRLSign") == -1 ||
	    add_ext(o->x, o->x, NID_subject_key_identifier, "hash") == -1)
		return -1;
	return end_one(o, o);
}

/* "DNS:a.example,IP:127.0.0.1" */
static void
put_names(struct text *t, const struct vec *names)
{
	const struct str	*s;
	unsigned char		 addr[16];
	char			 buf[64];

	for (size_t i = 0; i < names->n; i++) {
		s = vec_at(names, i);
		text_fmt(t, "%s%s:%.*s", i == 0 ? "" : ",",
		    str_to_c(*s, buf, sizeof(buf)) == 0 &&
		    (inet_pton(AF_INET, buf, addr) == 1 ||
		    inet_pton(AF_INET6, buf, addr) == 1) ? "IP" : "DNS",
		    STR_FMT(*s));
	}
	text_c(t, '\0');
}

static int
make_leaf(struct one *o, const struct one *ca, const char *names,
    int64_t now)
{
	drop(o);
	if (begin_one(o, ca, "sluice development", LEAF_DAYS, now) == -1 ||
	    add_ext(o->x, ca->x, NID_basic_constraints,
	    "critical,CA:FALSE") == -1 ||
	    add_ext(o->x, ca->x, NID_key_usage,
	    "critical,digitalSignature") == -1 ||
	    add_ext(o->x, ca->x, NID_ext_key_usage, "serverAuth") == -1 ||
	    add_ext(o->x, ca->x, NID_subject_key_identifier, "hash") == -1 ||
	    add_ext(o->x, ca->x, NID_authority_key_identifier,
	    "keyid") == -1 ||
	    add_ext(o->x, ca->x, NID_subject_alt_name, names) == -1)
		return -1;
	return end_one(o, ca);
}

/* Whether it has these names and no others, in that order. */
static bool
has_names(const struct one *o, const char *names)
{
	X509		*want = X509_new();
	unsigned char	*a = NULL, *b = NULL;
	GENERAL_NAMES	*x, *y;
	int		 n = 0, m = 0;

	if (add_ext(want, want, NID_subject_alt_name, names) == 0) {
		x = X509_get_ext_d2i(o->x, NID_subject_alt_name, NULL, NULL);
		y = X509_get_ext_d2i(want, NID_subject_alt_name, NULL, NULL);
		n = x != NULL ? i2d_GENERAL_NAMES(x, &a) : 0;
		m = y != NULL ? i2d_GENERAL_NAMES(y, &b) : 0;
		GENERAL_NAMES_free(x);
		GENERAL_NAMES_free(y);
	}
	X509_free(want);
	m = n > 0 && n == m && memcmp(a, b, (size_t)n) == 0;
	OPENSSL_free(a);
	OPENSSL_free(b);
	return m != 0;
}

/* --- both --- */

static int
write_text(struct text *t, BIO *b, int rc)
{
	char	*p;
	long	 n = BIO_get_mem_data(b, &p);

	if (rc == 1 && n > 0)
		text_add(t, str_make(p, (size_t)n));
	BIO_free(b);
	return rc == 1 ? 0 : -1;
}

static int
write_one(const struct one *o, struct dev_file *cert, struct dev_file *key)
{
	BIO	*b = BIO_new(BIO_s_mem());

	if (write_text(&cert->text, b, PEM_write_bio_X509(b, o->x)) == -1)
		return -1;
	/* memory that is wiped when it is freed */
	b = BIO_new(BIO_s_secmem());
	return write_text(&key->text, b, PEM_write_bio_PKCS8PrivateKey(b,
	    o->key, NULL, NULL, 0, NULL, NULL));
}

static int
make_both(struct dev *d, struct one *ca, struct one *leaf, const char *names,
    int64_t now)
{
	if (!is_good(ca, ca, now) || X509_check_ca(ca->x) != 1) {
		if (make_ca(ca, now) == -1)
			return -1;
		d->made = true;
	}
	if (!is_good(leaf, ca, now) || !has_names(leaf, names)) {
		if (make_leaf(leaf, ca, names, now) == -1)
			return -1;
		d->made = true;
	}
	if (write_one(ca, &d->file[CA], &d->file[CA_KEY]) == -1)
		return -1;
	return write_one(leaf, &d->file[LEAF], &d->file[LEAF_KEY]);
}

int
dev_make(struct dev *d, int dir, const struct vec *names, int64_t now,
    struct err *e)
{
	static const char *const	words[DEV_FILES] = { DEV_CA,
		DEV_CA_KEY, DEV_CERT, DEV_KEY };
	struct one			ca, leaf;
	struct text			t;
	int				rc;

	d->made = false;
	for (int i = 0; i < DEV_FILES; i++) {
		d->file[i].name = words[i];
		d->file[i].mode = i % 2 == 0 ? 0644 : 0600;
		text_init(&d->file[i].text);
	}
	text_init(&t);
	put_names(&t, names);
	read_one(&ca, dir, DEV_CA, DEV_CA_KEY);
	read_one(&leaf, dir, DEV_CERT, DEV_KEY);
	rc = make_both(d, &ca, &leaf, t.p, now);
	if (rc == -1)
		err_set(e, "a certificate for tls = dev cannot be made");
	drop(&leaf);
	drop(&ca);
	text_fini(&t);
	ERR_clear_error();
	return rc;
}

void
dev_fini(struct dev *d)
{
	for (int i = 0; i < DEV_FILES; i++) {
		if (d->file[i].text.n > 0)
			explicit_bzero(d->file[i].text.p,
			    d->file[i].text.n);
		text_fini(&d->file[i].text);
	}
}
