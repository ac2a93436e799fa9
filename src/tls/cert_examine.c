/*
 * What a chain and its key say, and whether they belong together.
 * Builder and -t; what has been looked at once comes from the index as
 * long as its files are the same (cert_index.h).
 */
#include "tls/cert_read.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"
#include "base/vec.h"
#include "tls/cert_names.h"
#include "tls/terms.h"

#define RSA_MIN		2048	/* bits */
#define MD_MIN		112	/* bits of security, of a signature */

/* the objects of one examination */
struct exam {
	struct tls_cert		*c;
	struct cert_fault	*f;
	struct cert_seen	*seen;
	struct arena		*out;
	X509			**x;	/* own: the chain */
	EVP_PKEY		*key;	/* own */
};

static int __attribute__((format(printf, 4, 5)))
fail(struct exam *x, enum diag_id id, enum cert_blame blame,
    const char *fmt, ...)
{
	va_list	ap;

	x->f->id = id;
	x->f->blame = blame;
	x->f->hint = NULL;
	va_start(ap, fmt);
	vsnprintf(x->f->why.text, sizeof(x->f->why.text), fmt, ap);
	va_end(ap);
	return -1;
}

static int
parse_chain(struct exam *x)
{
	for (size_t i = 0; i < x->c->nchain; i++) {
		x->x[i] = cert_seen_parse(x->seen, x->c->chain[i]);
		if (x->x[i] == NULL)
			return fail(x, DIAG_CERT_BROKEN, CERT_BLAME_CHAIN,
			    "certificate %zu of it is broken", i + 1);
	}
	return 0;
}

/* --- the key --- */

/* NULL if it is a curve that clients know. */
static const char *
check_curve(const EVP_PKEY *k)
{
	char	name[64];

	if (EVP_PKEY_get_group_name(k, name, sizeof(name), NULL) != 1)
		return "has a key of a curve without a name";
	switch (OBJ_txt2nid(name)) {
	case NID_X9_62_prime256v1:
	case NID_secp384r1:
	case NID_secp521r1:
		return NULL;
	default:
		return "has a key of another curve than P-256, P-384 and "
		    "P-521";
	}
}

static const char *
check_kind(struct tls_cert *c, const EVP_PKEY *k)
{
	switch (EVP_PKEY_get_base_id(k)) {
	case EVP_PKEY_RSA:
		c->kind = TLS_RSA;
		return EVP_PKEY_get_bits(k) >= RSA_MIN ? NULL :
		    "has an RSA key of less than 2048 bits";
	case EVP_PKEY_EC:
		c->kind = TLS_ECDSA;
		return check_curve(k);
	case EVP_PKEY_ED25519:
		c->kind = TLS_ED25519;
		return NULL;
	default:
		return "has a key that is neither RSA, ECDSA nor Ed25519";
	}
}

/* As one of the leaf's kind at first: that takes a quarter of the time. */
static EVP_PKEY *
parse_key(const struct exam *x)
{
	const unsigned char	*p = (const unsigned char *)x->c->key.p;
	int			 kind = EVP_PKEY_get_base_id(
	    X509_get0_pubkey(x->x[0]));
	EVP_PKEY		*k;

	k = d2i_PrivateKey(kind, NULL, &p, (long)x->c->key.n);
	p = (const unsigned char *)x->c->key.p;
	return k != NULL ? k :
	    d2i_AutoPrivateKey(NULL, &p, (long)x->c->key.n);
}

static int
check_key(struct exam *x)
{
	const char		*why;
	size_t			 i;

	x->key = parse_key(x);
	if (x->key == NULL)
		return fail(x, DIAG_CERT_KEY, CERT_BLAME_KEY,
		    "has a private key that is broken");
	for (i = 0; i < x->c->nchain; i++)
		if (EVP_PKEY_eq(X509_get0_pubkey(x->x[i]), x->key) == 1)
			break;
	if (i == x->c->nchain)
		return fail(x, DIAG_CERT_KEY, CERT_BLAME_KEY,
		    "has the key of another certificate");
	if (i > 0)
		return fail(x, DIAG_CERT_CHAIN, CERT_BLAME_CHAIN,
		    "begins with another certificate than the key's, which "
		    "is number %zu", i + 1);
	why = check_kind(x->c, x->key);
	if (why == NULL)
		return 0;
	fail(x, DIAG_CERT_KEY, CERT_BLAME_KEY, "%s", why);
	x->f->hint = "have a certificate issued for a key of P-256, or of "
	    "RSA with 2048 bits or more";
	return -1;
}

/* --- the chain --- */

static int
check_digest(struct exam *x, size_t i)
{
	int	md, pk, bits;

	/* who signs itself is trusted or not, whatever it signed with */
	if (X509_check_issued(x->x[i], x->x[i]) == X509_V_OK)
		return 0;
	if (X509_get_signature_info(x->x[i], &md, &pk, &bits, NULL) == 1 &&
	    bits >= MD_MIN)
		return 0;
	return fail(x, DIAG_CERT_CHAIN, CERT_BLAME_CHAIN, "certificate %zu "
	    "of it is signed with a digest that clients refuse", i + 1);
}

static int
check_chain(struct exam *x)
{
	size_t	i;

	for (i = 0; i < x->c->nchain; i++)
		if (check_digest(x, i) == -1)
			return -1;
	for (i = 1; i < x->c->nchain; i++) {
		if (X509_NAME_cmp(X509_get_issuer_name(x->x[i - 1]),
		    X509_get_subject_name(x->x[i])) != 0)
			return fail(x, DIAG_CERT_CHAIN, CERT_BLAME_CHAIN,
			    "certificate %zu of it is not the issuer of "
			    "number %zu", i + 1, i);
		if (X509_verify(x->x[i - 1],
		    X509_get0_pubkey(x->x[i])) != 1)
			return fail(x, DIAG_CERT_CHAIN, CERT_BLAME_CHAIN,
			    "certificate %zu of it was not signed by number "
			    "%zu", i, i + 1);
		if (X509_check_ca(x->x[i]) == 0)
			return fail(x, DIAG_CERT_CHAIN, CERT_BLAME_CHAIN,
			    "certificate %zu of it may not sign others",
			    i + 1);
	}
	return 0;
}

/* --- dates and names --- */

/*
 * The chain is as good as the first of it that expires; but clients have
 * roots of their own, and do not look at the one that is sent.
 */
static int
read_dates(struct exam *x)
{
	int64_t	from, until;

	for (size_t i = 0; i < x->c->nchain; i++) {
		if (i > 0 && X509_check_issued(x->x[i], x->x[i]) == X509_V_OK)
			continue;
		if (tls_terms_time(X509_get0_notBefore(x->x[i]),
		    &from) == -1 ||
		    tls_terms_time(X509_get0_notAfter(x->x[i]), &until) == -1)
			return fail(x, DIAG_CERT_BROKEN, CERT_BLAME_CHAIN,
			    "certificate %zu of it has no right dates",
			    i + 1);
		if (i == 0 || from > x->c->from)
			x->c->from = from;
		if (i == 0 || until < x->c->until)
			x->c->until = until;
	}
	return 0;
}

/* Names that are none are left out: no client can ask for them. */
static void
add_name(struct exam *x, struct vec *v, struct str s)
{
	struct str	copy = arena_dup(x->out, s);

	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] >= 'A' && copy.p[i] <= 'Z')
			((char *)(uintptr_t)copy.p)[i] |= 0x20;
	if (copy.n > 0 && copy.p[copy.n - 1] == '.')
		copy.n--;
	if (cert_names_check(copy) == NULL)
		*(struct str *)vec_push(v) = copy;
}

/* An address stands among the names to be shown; no client asks for it. */
static void
add_address(struct exam *x, struct vec *v, const ASN1_OCTET_STRING *a)
{
	char	buf[INET6_ADDRSTRLEN];
	int	n = ASN1_STRING_length(a);

	if ((n == 4 || n == 16) && inet_ntop(n == 4 ? AF_INET : AF_INET6,
	    ASN1_STRING_get0_data(a), buf, sizeof(buf)) != NULL)
		*(struct str *)vec_push(v) = arena_dup(x->out,
		    str_from(buf));
}

static void
add_alternatives(struct exam *x, struct vec *v, GENERAL_NAMES *all)
{
	const GENERAL_NAME	*g;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		g = sk_GENERAL_NAME_value(all, i);
		if (g->type == GEN_DNS)
			add_name(x, v, str_make((const char *)
			    ASN1_STRING_get0_data(g->d.dNSName),
			    (size_t)ASN1_STRING_length(g->d.dNSName)));
		else if (g->type == GEN_IPADD)
			add_address(x, v, g->d.iPAddress);
	}
}

/* Old certificates have their name as the subject's alone. */
static void
add_subject(struct exam *x, struct vec *v)
{
	char	buf[CERT_NAMES_MAX + 2];
	int	n = X509_NAME_get_text_by_NID(
	    X509_get_subject_name(x->x[0]), NID_commonName, buf,
	    sizeof(buf));

	if (n > 0)
		add_name(x, v, str_make(buf, (size_t)n));
}

static void
read_names(struct exam *x)
{
	GENERAL_NAMES	*all = X509_get_ext_d2i(x->x[0],
	    NID_subject_alt_name, NULL, NULL);
	struct str	*copy;
	struct vec	 v;

	vec_init(&v, sizeof(struct str));
	if (all != NULL)
		add_alternatives(x, &v, all);
	else
		add_subject(x, &v);
	GENERAL_NAMES_free(all);
	copy = arena_alloc(x->out, v.n * sizeof(*copy));
	if (v.n > 0)
		memcpy(copy, v.p, v.n * sizeof(*copy));
	x->c->names = copy;
	x->c->nname = v.n;
	vec_fini(&v);
}

int
cert_examine(struct cert_seen *seen, struct arena *out, struct tls_cert *c,
    struct cert_fault *f)
{
	struct exam	x = { .c = c, .f = f, .seen = seen, .out = out };
	int		rc = -1;

	x.x = must_calloc(c->nchain, sizeof(X509 *));
	if (parse_chain(&x) == 0 && check_key(&x) == 0 &&
	    check_chain(&x) == 0 && read_dates(&x) == 0) {
		read_names(&x);
		rc = 0;
	}
	for (size_t i = 0; i < c->nchain; i++)
		X509_free(x.x[i]);
	free(x.x);
	EVP_PKEY_free(x.key);
	ERR_clear_error();
	return rc;
}
