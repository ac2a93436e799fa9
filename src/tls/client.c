/*
 * TLS towards servers.  Workers, health; the builder makes one to see
 * whether it can be made.
 *
 * Verification is OpenSSL's, but for servers with pins.  Who it is has been
 * said in the handshake that made a session, so that one goes only to
 * whoever keeps it for the same server and the same client.
 */
#include "tls/client.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/enc.h"
#include "base/must.h"
#include "tls/cert_cache.h"
#include "tls/pem.h"

struct tls_client {
	struct list	 node;
	SSL_CTX		*ctx;		/* own */
	uint64_t	 digest;
	uint64_t	 ca_digest;
	unsigned	 refs;
	bool		 verify;
};

/* --- who the server is --- */

/* RFC 7469 2.4: of the whole SubjectPublicKeyInfo. */
bool
tls_client_key_pin(const X509 *x, uint8_t out[TLS_PIN_BYTES])
{
	unsigned char	 md[EVP_MAX_MD_SIZE];
	unsigned char	*der = NULL;
	int		 n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	bool		 good;

	good = n > 0 && EVP_Digest(der, (size_t)n, md, NULL, EVP_sha256(),
	    NULL) == 1;
	if (good)
		memcpy(out, md, TLS_PIN_BYTES);
	OPENSSL_free(der);
	return good;
}

static bool
has_pin(const X509 *x, const struct tls_peer *p)
{
	uint8_t	pin[TLS_PIN_BYTES];
	bool	has = false;

	if (!tls_client_key_pin(x, pin))
		return false;
	for (unsigned i = 0; i < p->npin; i++)
		has |= memcmp(pin, p->pin[i], TLS_PIN_BYTES) == 0;
	return has;
}

static int
on_verify(X509_STORE_CTX *xs, void *arg)
{
	SSL		*ssl = X509_STORE_CTX_get_ex_data(xs,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_out	*out = SSL_get_app_data(ssl);
	X509		*leaf = X509_STORE_CTX_get0_cert(xs);
	int		 rc, depth;

	(void)arg;
	must(out != NULL);
	if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
		return 1;
	if (out->peer->npin == 0) {
		rc = X509_verify_cert(xs);
		depth = X509_STORE_CTX_get_error_depth(xs);
		out->depth = (uint8_t)(depth < UINT8_MAX ? depth : 0);
		return rc;
	}
	if (leaf != NULL && has_pin(leaf, out->peer))
		return 1;
	out->pin_failed = true;
	X509_STORE_CTX_set_error(xs, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* --- sessions, alerts --- */

/* 1: the session is ours from here. */
static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	struct tls_out	*out = SSL_get_app_data(ssl);

	if (out == NULL || out->keep == NULL ||
	    SSL_SESSION_is_resumable(s) == 0 || *out->now != out->peer)
		return 0;
	SSL_SESSION_free(*out->keep);
	*out->keep = s;
	return 1;
}

static void
on_info(const SSL *ssl, int where, int ret)
{
	struct tls_out	*out = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
	    out != NULL && ret >> 8 == SSL3_AL_FATAL)
		out->alert = ret & 0xff;
}

/* --- making one --- */

static X509_STORE *
make_store(const struct tls_client_conf *c)
{
	X509_STORE		*s = X509_STORE_new();
	const unsigned char	*p;
	X509			*x;

	must(s != NULL);
	for (size_t i = 0; i < c->ncas; i++) {
		p = (const unsigned char *)c->cas[i].p;
		x = d2i_X509(NULL, &p, (long)c->cas[i].n);
		if (x != NULL)
			(void)X509_STORE_add_cert(s, x);
		X509_free(x);
	}
	/* an authority that is named is believed, be it that others sign it */
	X509_STORE_set_flags(s, X509_V_FLAG_PARTIAL_CHAIN);
	ERR_clear_error();
	return s;
}

/* The same CAs are kept once: the system's take a megabyte. */
static void
set_store(struct tls_clients *all, SSL_CTX *ctx,
    const struct tls_client_conf *c)
{
	struct tls_client	*o;
	struct list		*pos;
	X509_STORE		*s = NULL;

	list_each(pos, &all->all) {
		o = container_of(pos, struct tls_client, node);
		if (s != NULL || !o->verify || o->ca_digest != c->ca_digest)
			continue;
		s = SSL_CTX_get_cert_store(o->ctx);
		X509_STORE_up_ref(s);
	}
	SSL_CTX_set_cert_store(ctx, s != NULL ? s : make_store(c));
}

static int
set_pair(SSL_CTX *ctx, const struct tls_cert *pair, struct err *e)
{
	struct cert_cache		*cache = cert_cache_new(1);
	const struct cert_loaded	*l = cert_cache_get(cache, pair);
	bool				 good;

	good = l != NULL && SSL_CTX_use_cert_and_key(ctx, l->leaf, l->key,
	    l->chain, 1) == 1;
	cert_cache_unref(&cache);
	ERR_clear_error();
	return good ? 0 : err_set(e, "the certificate for servers, \"%.*s\", "
	    "cannot be used", STR_FMT(pair->file));
}

static uint64_t
digest_of(const struct tls_client_conf *c, const struct tls_cert *pair)
{
	uint64_t	v[] = { c->ca_digest, c->verify };
	uint64_t	h;

	h = str_hash(str_make((const char *)c->words.digest.v,
	    sizeof(c->words.digest.v)), STR_HASH0);
	h = str_hash(str_make((const char *)v, sizeof(v)), h);
	if (pair != NULL)
		h = str_hash(str_make((const char *)pair->id,
		    sizeof(pair->id)), h);
	return h;
}

/* A context that has the words; *bad: the key that has a wrong one. */
static SSL_CTX *
make_ctx(const struct tls_client_conf *c, const char **bad)
{
	static const unsigned char	 alpn[] = "\x08http/1.1";
	SSL_CTX				*ctx = SSL_CTX_new(
	    TLS_client_method());

	must(ctx != NULL);
	*bad = tls_terms_set(ctx, &c->words);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
	must(SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1) == 0);
	return ctx;
}

const char *
tls_client_check(const struct tls_client_conf *c)
{
	const char	*bad;

	SSL_CTX_free(make_ctx(c, &bad));
	ERR_clear_error();
	return bad;
}

void
tls_clients_init(struct tls_clients *all)
{
	list_init(&all->all);
}

static struct tls_client *
find(struct tls_clients *all, uint64_t digest)
{
	struct tls_client	*c;
	struct list		*pos;

	list_each(pos, &all->all) {
		c = container_of(pos, struct tls_client, node);
		if (c->digest == digest)
			return c;
	}
	return NULL;
}

struct tls_client *
tls_client_get(struct tls_clients *all, const struct tls_client_conf *conf,
    const struct tls_cert *pair, struct err *e)
{
	uint64_t		 digest = digest_of(conf, pair);
	struct tls_client	*c = find(all, digest);
	const char		*bad;

	if (c != NULL)
		return tls_client_ref(c);
	c = must_calloc(1, sizeof(*c));
	list_init(&c->node);
	c->refs = 1;
	c->digest = digest;
	c->ca_digest = conf->ca_digest;
	c->verify = conf->verify;
	c->ctx = make_ctx(conf, &bad);
	if (bad != NULL)
		err_set(e, "OpenSSL does not know all words of %s", bad);
	else if (pair == NULL || set_pair(c->ctx, pair, e) == 0) {
		if (c->verify)
			set_store(all, c->ctx, conf);
		list_add(&all->all, &c->node);
		return c;
	}
	tls_client_unref(&c);
	return NULL;
}

struct tls_client *
tls_client_ref(struct tls_client *c)
{
	c->refs++;
	return c;
}

void
tls_client_unref(struct tls_client **cp)
{
	struct tls_client	*c = *cp;

	*cp = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	list_del(&c->node);
	SSL_CTX_free(c->ctx);
	free(c);
}

/* --- connections --- */

/* A session of TLS 1.3 shown twice would tell who looks on that it is us. */
static void
resume(SSL *ssl, SSL_SESSION **keep)
{
	SSL_SESSION	*s = *keep;

	if (s == NULL)
		return;
	(void)SSL_set_session(ssl, s);
	if (SSL_SESSION_get_protocol_version(s) < TLS1_3_VERSION)
		return;
	SSL_SESSION_free(s);
	*keep = NULL;
}

/* The name for OpenSSL, which wants a text with an end. */
static void
set_name(SSL *ssl, const struct tls_peer *p, bool check)
{
	char	buf[256];

	if (p->name.n == 0 || p->name.n >= sizeof(buf))
		return;
	memcpy(buf, p->name.p, p->name.n);
	buf[p->name.n] = '\0';
	if (!p->is_address)
		(void)SSL_set_tlsext_host_name(ssl, buf);
	if (!check)
		return;
	if (p->is_address)
		must(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
		    buf) == 1);
	else
		must(SSL_set1_host(ssl, buf) == 1);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
	    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
}

SSL *
tls_client_begin(struct tls_client *c, struct tls_out *out)
{
	SSL	*ssl = SSL_new(c->ctx);
	bool	 checks = c->verify || out->peer->npin > 0;

	must(ssl != NULL);
	out->alert = -1;
	out->pin_failed = false;
	out->depth = 0;
	SSL_set_app_data(ssl, out);
	if (out->alpn.n > 0)
		must(SSL_set_alpn_protos(ssl, (const unsigned char *)
		    out->alpn.p, (unsigned)out->alpn.n) == 0);
	SSL_set_verify(ssl, checks ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
	    NULL);
	set_name(ssl, out->peer, checks && out->peer->npin == 0);
	if (out->keep != NULL)
		resume(ssl, out->keep);
	SSL_set_connect_state(ssl);
	return ssl;
}

struct str
tls_client_alpn(const struct io *io)
{
	const unsigned char	*p;
	unsigned		 n;

	SSL_get0_alpn_selected(tls_ssl(io), &p, &n);
	return str_make((const char *)p, n);
}

const char *
tls_client_alert(const struct tls_out *out)
{
	if (out->alert < 0)
		return NULL;
	/* OpenSSL has no words for it */
	if (out->alert == SSL_AD_CERTIFICATE_REQUIRED)
		return "certificate required";
	return SSL_alert_desc_string_long(out->alert);
}

/* --- pins --- */

static bool
read_hex(struct str s, uint8_t *out)
{
	int	a, b;

	for (size_t i = 0; i < TLS_PIN_BYTES; i++) {
		a = enc_unhex(s.p[2 * i]);
		b = enc_unhex(s.p[2 * i + 1]);
		if (a < 0 || b < 0)
			return false;
		out[i] = (uint8_t)(a << 4 | b);
	}
	return true;
}

bool
tls_client_pin(struct str s, uint8_t out[TLS_PIN_BYTES])
{
	char	buf[64];

	if (s.n == 2 * (size_t)TLS_PIN_BYTES)
		return read_hex(s, out);
	if (pem_room(s.n) > sizeof(buf) ||
	    pem_decode(s, buf) != TLS_PIN_BYTES)
		return false;
	memcpy(out, buf, TLS_PIN_BYTES);
	return true;
}
