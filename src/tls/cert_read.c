/*
 * PEM to DER: the blocks of a chain, the one block of a key.  Builder and
 * -t.  An encrypted key is opened here, for that takes as long as its
 * maker wanted, and a worker must not wait.
 */
#include "tls/cert_read.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tls/pem.h"

#define CHAIN_MAX	16	/* certificates in a file */

static int
fail(struct cert_fault *f, enum diag_id id, enum cert_blame blame,
    const char *why)
{
	f->id = id;
	f->blame = blame;
	f->hint = NULL;
	return err_set(&f->why, "%s", why);
}

static bool
is_chain(struct str label)
{
	return str_eq(label, STR("CERTIFICATE")) ||
	    str_eq(label, STR("X509 CERTIFICATE")) ||
	    str_eq(label, STR("TRUSTED CERTIFICATE"));
}

static bool
is_key(struct str label)
{
	return str_eq(label, STR("PRIVATE KEY")) ||
	    str_eq(label, STR("RSA PRIVATE KEY")) ||
	    str_eq(label, STR("EC PRIVATE KEY")) ||
	    str_eq(label, STR("ENCRYPTED PRIVATE KEY"));
}

/* --- those that sign others --- */

void
cert_seen_init(struct cert_seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	text_init(&seen->buf);
}

void
cert_seen_fini(struct cert_seen *seen)
{
	for (int i = 0; i < CERT_SEEN; i++)
		X509_free(seen->v[i].x);
	text_fini(&seen->buf);
}

/* The place of one with these bytes; -1: it was not met. */
static int
find_seen(const struct cert_seen *seen, struct str der)
{
	for (int i = 0; i < CERT_SEEN; i++)
		if (seen->v[i].der.p != NULL && str_eq(seen->v[i].der, der))
			return i;
	return -1;
}

static struct str
keep_seen(struct cert_seen *seen, struct arena *out, struct str der)
{
	int	i = find_seen(seen, der);

	if (i >= 0)
		return seen->v[i].der;
	i = (int)(seen->next++ % CERT_SEEN);
	X509_free(seen->v[i].x);
	seen->v[i].x = NULL;
	seen->v[i].der = arena_dup(out, der);
	return seen->v[i].der;
}

X509 *
cert_seen_parse(struct cert_seen *seen, struct str der)
{
	int			 i = find_seen(seen, der);
	const unsigned char	*p = (const unsigned char *)der.p;
	X509			*x;

	if (i >= 0 && seen->v[i].x != NULL) {
		X509_up_ref(seen->v[i].x);
		return seen->v[i].x;
	}
	x = d2i_X509(NULL, &p, (long)der.n);
	if (x != NULL && (X509_get0_pubkey(x) == NULL ||
	    p != (const unsigned char *)der.p + der.n)) {
		X509_free(x);
		x = NULL;
	}
	if (x != NULL && i >= 0) {
		X509_up_ref(x);
		seen->v[i].x = x;
	}
	return x;
}

/* --- the chain --- */

/* The block's bytes in the generation; p NULL: it is no base64. */
static struct str
copy_block(struct cert_seen *seen, struct arena *out, struct str body,
    bool leaf)
{
	ptrdiff_t	n;
	struct str	der;
	char		*room;

	seen->buf.n = 0;
	room = text_room(&seen->buf, pem_room(body.n));
	n = pem_decode(body, room);
	if (n < 0)
		return STR_NONE;
	der = str_make(room, (size_t)n);
	return leaf ? arena_dup(out, der) : keep_seen(seen, out, der);
}

static int
read_chain(struct cert_seen *seen, const struct cert_text *t,
    struct arena *out, struct tls_cert *c, struct cert_fault *f)
{
	struct str	 v[CHAIN_MAX], rest = t->chain, *copy;
	struct pem	 b;
	size_t		 n;

	for (n = 0; pem_next(&rest, &b); ) {
		if (!is_chain(b.label))
			continue;
		if (n == CHAIN_MAX)
			return fail(f, DIAG_CERT_BROKEN, CERT_BLAME_CHAIN,
			    "has more than 16 certificates");
		v[n] = copy_block(seen, out, b.body, n == 0);
		if (v[n++].p == NULL)
			return fail(f, DIAG_CERT_BROKEN, CERT_BLAME_CHAIN,
			    "has a certificate that is not base64");
	}
	if (n == 0)
		return fail(f, DIAG_CERT_BROKEN, CERT_BLAME_CHAIN,
		    "has no certificate in PEM");
	copy = arena_alloc(out, n * sizeof(*copy));
	memcpy(copy, v, n * sizeof(*copy));
	c->chain = copy;
	c->nchain = n;
	return 0;
}

/* Of all bytes of the chain, so that another intermediate is another id. */
static void
set_id(struct tls_cert *c)
{
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	unsigned char	 md[EVP_MAX_MD_SIZE];

	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	for (size_t i = 0; i < c->nchain; i++)
		EVP_DigestUpdate(ctx, c->chain[i].p, c->chain[i].n);
	EVP_DigestFinal_ex(ctx, md, NULL);
	memcpy(c->id, md, sizeof(c->id));
	EVP_MD_CTX_free(ctx);
}

/* --- the key --- */

/* The bytes of a block, nowhere but there; p NULL: it is no base64. */
static struct str
decode(struct arena *keys, struct str body)
{
	char		*p = arena_text(keys, pem_room(body.n));
	ptrdiff_t	 n = pem_decode(body, p);

	return n < 0 ? STR_NONE : str_make(p, (size_t)n);
}

/* What OpenSSL asks for the words that protect a key. */
static int
give_pass(char *buf, int size, int writing, void *ctx)
{
	const struct str	*pass = ctx;

	(void)writing;
	if (pass->p == NULL || pass->n > (size_t)size)
		return -1;
	memcpy(buf, pass->p, pass->n);
	return (int)pass->n;
}

/* Opens an encrypted block; the bytes go to the arena as plain PKCS#8. */
static struct str
open_key(struct arena *keys, const struct pem *b, struct str pass)
{
	BIO			*in = BIO_new_mem_buf(b->whole.p,
	    (int)b->whole.n);
	EVP_PKEY		*k = PEM_read_bio_PrivateKey(in, NULL,
	    give_pass, &pass);
	PKCS8_PRIV_KEY_INFO	*p8 = k != NULL ? EVP_PKEY2PKCS8(k) : NULL;
	unsigned char		*der = NULL;
	int			 n = p8 != NULL ?
	    i2d_PKCS8_PRIV_KEY_INFO(p8, &der) : 0;
	struct str		 s = STR_NONE;

	if (n > 0) {
		s = str_make(arena_text(keys, (size_t)n), (size_t)n);
		memcpy((char *)(uintptr_t)s.p, der, s.n);
		OPENSSL_clear_free(der, s.n);
	}
	PKCS8_PRIV_KEY_INFO_free(p8);
	EVP_PKEY_free(k);
	BIO_free(in);
	return s;
}

static int
read_key(const struct cert_text *t, struct arena *keys, struct tls_cert *c,
    struct cert_fault *f)
{
	struct str	rest = t->key;
	struct pem	b;

	do
		if (!pem_next(&rest, &b))
			return fail(f, DIAG_CERT_KEY, CERT_BLAME_KEY,
			    "has no private key in PEM");
	while (!is_key(b.label));
	if (!b.sealed) {
		c->key = decode(keys, b.body);
		return c->key.p != NULL ? 0 : fail(f, DIAG_CERT_KEY,
		    CERT_BLAME_KEY, "has a private key that is not base64");
	}
	if (t->pass.p == NULL)
		return fail(f, DIAG_CERT_KEY, CERT_BLAME_KEY,
		    "has an encrypted key, and there is no passphrase");
	c->key = open_key(keys, &b, t->pass);
	return c->key.p != NULL ? 0 : fail(f, DIAG_CERT_KEY, CERT_BLAME_KEY,
	    "has an encrypted key that the passphrase does not open");
}

int
cert_read(struct cert_seen *seen, const struct cert_text *t,
    struct arena *out, struct arena *keys, struct tls_cert *c,
    struct cert_fault *f)
{
	if (read_chain(seen, t, out, c, f) == -1 ||
	    read_key(t, keys, c, f) == -1)
		return -1;
	set_id(c);
	return 0;
}
