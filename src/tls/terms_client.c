/*
 * What terms say of client certificates: authorities and lists of revoked
 * ones, read by the builder, used by workers.
 */
#include "tls/terms.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <limits.h>
#include <time.h>

#include "base/must.h"
#include "base/vec.h"
#include "conf/load.h"
#include "tls/cert_file.h"
#include "tls/pem.h"

#define SOON_S	(7 * 86400)	/* what is warned of */

/* a file being read */
struct job {
	struct conf_load	*load;
	const struct conf_obj	*obj;
	const char		*key;
	struct str		 file;
};

/* --- complaints --- */

static void
complain(const struct job *j, enum diag_id id, const char *why)
{
	const struct conf_item	*it = conf_item(j->load, j->obj, j->key);

	diag_at(conf_load_diags(j->load), id, it != NULL ? &it->vspan : NULL,
	    j->obj, j->key, "\"%.*s\" %s", STR_FMT(j->file), why);
}

static int
fail(const struct job *j, const char *why)
{
	complain(j, DIAG_CLIENT_FILE, why);
	return -1;
}

/* Of whom a complaint is: "CN=a,O=b". */
static void
put_name(const X509_NAME *name, char *buf, size_t size)
{
	BIO	*b = BIO_new(BIO_s_mem());
	int	 n;

	must(b != NULL);
	X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253);
	n = BIO_read(b, buf, (int)size - 1);
	buf[n < 0 ? 0 : n] = '\0';
	BIO_free(b);
}

static void
complain_of(const struct job *j, enum diag_id id, const X509_NAME *name,
    const char *why)
{
	char		who[256];
	struct err	e;

	put_name(name, who, sizeof(who));
	err_set(&e, "%s: \"%.160s\"", why, who);
	complain(j, id, e.text);
}

/* --- dates --- */

int
tls_terms_time(const ASN1_TIME *t, int64_t *out)
{
	struct tm	tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return -1;
	*out = (int64_t)timegm(&tm);
	return 0;
}

int64_t
tls_terms_end(int64_t was, const ASN1_TIME *until)
{
	int64_t	at, now = (int64_t)time(NULL);

	if (tls_terms_time(until, &at) == -1)
		return was;
	if (was == 0 || (was < now) != (at < now))
		return was < now ? at : was;
	return (at < now) == (at > was) ? at : was;
}

/* Each list is of use by itself: who signed one that ended lets none in. */
static void
note_list(struct tls_ders *d, const X509_CRL *crl)
{
	int64_t	from, until;

	if (tls_terms_time(X509_CRL_get0_lastUpdate(crl), &from) == -1 ||
	    tls_terms_time(X509_CRL_get0_nextUpdate(crl), &until) == -1 ||
	    (d->until != 0 && d->until <= until))
		return;
	d->from = from;
	d->until = until;
}

/* --- blocks --- */

static struct str
copy_block(struct arena *a, const struct pem *b)
{
	char		*room = arena_text(a, pem_room(b->body.n));
	ptrdiff_t	 n = pem_decode(b->body, room);

	return n < 0 ? STR_NONE : str_make(room, (size_t)n);
}

/* All blocks of a label; -1: the file has none, or a broken one. */
static int
read_blocks(const struct job *j, const char *label, struct tls_ders *out)
{
	struct cert_file	 f = { .text = STR_NONE };
	char			 path[PATH_MAX];
	struct str		*v, rest;
	struct pem		 b;
	struct err		 e;
	size_t			 n = 0;

	if (str_to_c(j->file, path, sizeof(path)) == -1)
		return fail(j, "is too long a path");
	if (cert_file_read(path, &f, &e) == -1)
		return fail(j, e.text);
	for (rest = f.text; pem_next(&rest, &b); )
		n++;
	v = arena_alloc(conf_load_arena(j->load), (n + 1) * sizeof(*v));
	out->v = v;
	out->n = 0;
	out->from = out->until = 0;
	for (rest = f.text; pem_next(&rest, &b); )
		if (str_eq(b.label, str_from(label)))
			v[out->n++] = copy_block(conf_load_arena(j->load),
			    &b);
	cert_file_drop(&f);
	if (out->n > 0)
		return 0;
	err_set(&e, "has no block of %s", label);
	return fail(j, e.text);
}

static X509 *
parse_ca(struct str der)
{
	const unsigned char	*p = (const unsigned char *)der.p;
	X509			*x;

	if (der.p == NULL)
		return NULL;
	x = d2i_X509(NULL, &p, (long)der.n);
	if (x == NULL || X509_get0_pubkey(x) == NULL) {
		X509_free(x);
		x = NULL;
	}
	ERR_clear_error();
	return x;
}

static X509_CRL *
parse_crl(struct str der)
{
	const unsigned char	*p = (const unsigned char *)der.p;
	X509_CRL		*c;

	if (der.p == NULL)
		return NULL;
	c = d2i_X509_CRL(NULL, &p, (long)der.n);
	ERR_clear_error();
	return c;
}

/* --- authorities --- */

static int
check_ca(const struct job *j, struct tls_ders *all, struct str der)
{
	X509	*x = parse_ca(der);
	int	 rc = 0;

	if (x == NULL)
		return fail(j, "has a certificate that is broken");
	if (X509_check_ca(x) == 0) {
		complain_of(j, DIAG_CLIENT_FILE, X509_get_subject_name(x),
		    "has one that is no authority");
		rc = -1;
	} else if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0) {
		complain_of(j, DIAG_CLIENT_DATES, X509_get_subject_name(x),
		    "has an authority that has expired");
	}
	if (rc == 0)
		all->until = tls_terms_end(all->until,
		    X509_get0_notAfter(x));
	X509_free(x);
	return rc;
}

/* --- lists of revoked certificates --- */

/* The authority that signed it, among those of the terms; NULL: none. */
static X509 *
signer_of(X509_CRL *crl, const struct tls_ders *cas)
{
	X509	*x;

	for (size_t i = 0; i < cas->n; i++) {
		x = parse_ca(cas->v[i]);
		if (x != NULL && X509_NAME_cmp(X509_CRL_get_issuer(crl),
		    X509_get_subject_name(x)) == 0 &&
		    X509_CRL_verify(crl, X509_get0_pubkey(x)) == 1)
			return x;
		X509_free(x);
	}
	ERR_clear_error();
	return NULL;
}

static void
warn_dates(const struct job *j, X509_CRL *crl)
{
	const ASN1_TIME	*next = X509_CRL_get0_nextUpdate(crl);
	time_t		 soon = time(NULL) + SOON_S;

	if (next == NULL)
		return;
	if (X509_cmp_current_time(next) < 0)
		complain_of(j, DIAG_CLIENT_DATES, X509_CRL_get_issuer(crl),
		    "has an expired list: nobody of this authority is let "
		    "in");
	else if (X509_cmp_time(next, &soon) < 0)
		complain_of(j, DIAG_CLIENT_DATES, X509_CRL_get_issuer(crl),
		    "has a list that expires within a week");
}

static int
check_crl(const struct job *j, struct tls_terms *t, struct str der)
{
	X509_CRL	*crl = parse_crl(der);
	X509		*signer;

	if (crl == NULL)
		return fail(j, "has a list that is broken");
	signer = signer_of(crl, &t->cas);
	if (signer == NULL)
		complain_of(j, DIAG_CLIENT_FILE, X509_CRL_get_issuer(crl),
		    "has a list that nobody of tls.client_ca has signed");
	else
		warn_dates(j, crl);
	note_list(&t->crls, crl);
	X509_CRL_free(crl);
	X509_free(signer);
	return signer != NULL ? 0 : -1;
}

/* An authority without a list: all that it signed is refused. */
static void
warn_missing(const struct job *j, const struct tls_terms *t)
{
	X509		*x;
	X509_CRL	*crl;
	bool		 has;

	for (size_t i = 0; i < t->cas.n; i++) {
		x = parse_ca(t->cas.v[i]);
		has = x == NULL;
		for (size_t k = 0; k < t->crls.n && !has; k++) {
			crl = parse_crl(t->crls.v[k]);
			has = crl != NULL && X509_NAME_cmp(
			    X509_CRL_get_issuer(crl),
			    X509_get_subject_name(x)) == 0;
			X509_CRL_free(crl);
		}
		if (!has)
			complain_of(j, DIAG_CLIENT_DATES,
			    X509_get_subject_name(x), "has no list of an "
			    "authority, of which nobody is let in");
		X509_free(x);
	}
}

static int
read_crls(const struct job *j, struct tls_terms *t)
{
	int	rc = read_blocks(j, "X509 CRL", &t->crls);

	for (size_t i = 0; rc == 0 && i < t->crls.n; i++)
		rc = check_crl(j, t, t->crls.v[i]);
	if (rc == 0)
		warn_missing(j, t);
	return rc;
}

/* --- together --- */

/* Either is of no use without the other. */
static int
check_keys(struct conf_load *load, const struct conf_obj *obj,
    const struct tls_terms *t)
{
	const char		*key = t->client == TLS_CLIENT_OFF ?
	    (t->ca_file.n > 0 ? "tls.client_ca" : "tls.client_crl") :
	    "tls.client";
	const struct conf_item	*it = conf_item(load, obj, key);
	bool			 asks = t->client != TLS_CLIENT_OFF;

	if (asks ? t->ca_file.n > 0 : t->ca_file.n + t->crl_file.n == 0)
		return 0;
	diag_at(conf_load_diags(load), DIAG_CLIENT_KEYS,
	    it != NULL ? &it->kspan : NULL, obj, key, asks ?
	    "clients are asked for a certificate, but there is no "
	    "tls.client_ca to check it by" : "clients are asked for no "
	    "certificate: tls.client is off");
	return -1;
}

int
tls_terms_read(struct conf_load *load, const struct conf_obj *obj,
    struct tls_terms *t)
{
	struct job	j = { load, obj, "tls.client_ca", t->ca_file };
	int		rc;

	if (check_keys(load, obj, t) == -1)
		return -1;
	/* a configuration in memory has no files */
	if (t->client == TLS_CLIENT_OFF ||
	    conf_load_opts(load)->memory != NULL)
		return 0;
	rc = read_blocks(&j, "CERTIFICATE", &t->cas);
	for (size_t i = 0; rc == 0 && i < t->cas.n; i++)
		rc = check_ca(&j, &t->cas, t->cas.v[i]);
	if (rc == -1 || t->crl_file.n == 0)
		return rc;
	j.key = "tls.client_crl";
	j.file = t->crl_file;
	return read_crls(&j, t);
}

/* --- workers --- */

/* A bad certificate is no reason to hang up: routes look at the result. */
static int
go_on(int good, X509_STORE_CTX *store)
{
	(void)good;
	(void)store;
	return 1;
}

static void
add_cas(SSL_CTX *ctx, X509_STORE *store, const struct tls_ders *cas)
{
	X509	*x;

	for (size_t i = 0; i < cas->n; i++) {
		x = parse_ca(cas->v[i]);
		must(x != NULL && X509_STORE_add_cert(store, x) == 1 &&
		    SSL_CTX_add_client_CA(ctx, x) == 1);
		X509_free(x);
	}
}

static void
add_crls(X509_STORE *store, const struct tls_ders *crls)
{
	X509_CRL	*c;

	for (size_t i = 0; i < crls->n; i++) {
		c = parse_crl(crls->v[i]);
		must(c != NULL && X509_STORE_add_crl(store, c) == 1);
		X509_CRL_free(c);
	}
	if (crls->n > 0)
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK |
		    X509_V_FLAG_CRL_CHECK_ALL);
}

void
tls_terms_verify(SSL_CTX *ctx, const struct tls_terms *t)
{
	X509_STORE	*store = SSL_CTX_get_cert_store(ctx);

	if (t->client == TLS_CLIENT_OFF)
		return;
	add_cas(ctx, store, &t->cas);
	add_crls(store, &t->crls);
	/* an authority that is trusted need not be its own signer */
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	SSL_CTX_set_verify_depth(ctx, (int)t->depth);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
	    (t->client == TLS_CLIENT_REQUIRED ?
	    SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
	    t->client == TLS_CLIENT_OPTIONAL ? go_on : NULL);
}
