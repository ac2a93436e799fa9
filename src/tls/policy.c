/*
 * Policies.  Workers.
 *
 * A connection begins with the SSL_CTX of its listener's policy.  When the
 * first message has come, and nothing of it was looked at yet, it goes to
 * that of its name.  What a connection copies of its SSL_CTX when it is
 * made does not follow by itself: tls_policy_move brings it along.
 * Callbacks for tickets stay those of the first one, and so ask the
 * handshake which policy it has.
 */
#include "tls/policy.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/must.h"
#include "base/text.h"
#include "conf/load.h"
#include "os/fault.h"
#include "tls/hello.h"

#define AT(member)	offsetof(struct tls_policy_conf, member)

struct tls_policy {
	SSL_CTX		*ctx;		/* own */
	struct tls_digest digest;
	struct ticket_ring tickets;
	unsigned	 refs;
	int		 low;		/* versions */
	int		 high;
	char		*groups;	/* own; NULL: OpenSSL's */
	struct str	 alpn;		/* of room */
	char		 room[TLS_ALPN_MAX];
};

/* where an SSL has the certificate that was refused; 0: nowhere yet */
static int	refused;

/* --- what a client says first --- */

static struct tls_hand *
hand_of(SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

struct str
tls_name(const SSL *ssl, char buf[TLS_NAME_BYTES])
{
	const char	*name = SSL_get_servername(ssl,
	    TLSEXT_NAMETYPE_host_name);

	return name == NULL ? STR_NONE : tls_hello_fold(str_from(name), buf);
}

/* 0: no name. */
static uint32_t
hash_of(struct str name)
{
	return name.n > 0 ? (uint32_t)(str_hash(name, STR_HASH0) >> 34) | 1 :
	    0;
}

/*
 * What a connection has copied of the SSL_CTX that it began with.  The
 * session-id context follows by itself, for it was that of the first.
 */
static int
move(SSL *ssl, const struct tls_policy *p)
{
	if (SSL_set_SSL_CTX(ssl, p->ctx) == NULL ||
	    SSL_set_min_proto_version(ssl, p->low) != 1 ||
	    SSL_set_max_proto_version(ssl, p->high) != 1 ||
	    (p->groups != NULL &&
	    SSL_set1_groups_list(ssl, p->groups) != 1))
		return -1;
	SSL_set_verify(ssl, SSL_CTX_get_verify_mode(p->ctx),
	    SSL_CTX_get_verify_callback(p->ctx));
	SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(p->ctx));
	return 0;
}

/* Who is refused is kept for the line: OpenSSL drops it at once. */
static int
on_verify(int good, X509_STORE_CTX *store)
{
	SSL		*ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	X509		*x = X509_STORE_CTX_get0_cert(store);

	if (good || x == NULL || SSL_get_ex_data(ssl, refused) != NULL)
		return good;
	if (SSL_set_ex_data(ssl, refused, x) == 1)
		must(X509_up_ref(x) == 1);
	return good;
}

static void
on_end(void *ssl, void *x, CRYPTO_EX_DATA *all, int i, long n, void *arg)
{
	(void)ssl;
	(void)all;
	(void)i;
	(void)n;
	(void)arg;
	X509_free(x);
}

const X509 *
tls_policy_refused(const SSL *ssl)
{
	return ssl == NULL || refused == 0 ? NULL :
	    SSL_get_ex_data(ssl, refused);
}

/* The name decides before versions, ciphers and sessions are looked at. */
static int
on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_hand		*h = hand_of(ssl);
	const unsigned char	*ext = NULL;
	struct tls_policy	*p;
	struct str		 name = STR_NONE;
	char			 buf[TLS_NAME_MAX], text[TLS_NAME_MAX + 1];
	size_t			 n;

	(void)arg;
	must(h != NULL);
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext,
	    &n) == 1)
		name = tls_hello_name(str_make((const char *)ext, n), buf);
	h->name = hash_of(name);
	/* for lines: it looks for it when it likes the versions, and anew */
	if (name.n > 0 && str_to_c(name, text, sizeof(text)) == 0)
		(void)SSL_set_tlsext_host_name(ssl, text);
	p = h->ask->choose == NULL ? NULL : h->ask->choose(h, name);
	if (p == NULL || p == h->policy) {
		h->heard = true;
		return SSL_CLIENT_HELLO_SUCCESS;
	}
	/* who is asked for another hello may not be somebody else then */
	if (h->heard) {
		h->why = FAIL_TLS_BAD_HELLO;
		*alert = SSL_AD_ILLEGAL_PARAMETER;
		return SSL_CLIENT_HELLO_ERROR;
	}
	h->heard = true;
	tls_policy_unref(&h->policy);
	h->policy = tls_policy_ref(p);
	if (move(ssl, p) == 0)
		return SSL_CLIENT_HELLO_SUCCESS;
	h->why = FAIL_TLS_FAILED;
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_CLIENT_HELLO_ERROR;
}

/* Names nobody has here are refused with the alert for it (RFC 6066 3). */
static int
on_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_hand		*h = hand_of(ssl);
	char			 buf[TLS_NAME_MAX];
	struct tls_choice	 choice;
	struct str		 name;

	(void)arg;
	must(h != NULL);
	name = tls_name(ssl, buf);
	if (!tls_certs(h->ask->conf)->refuse ||
	    tls_certs_find(tls_certs(h->ask->conf), name, h->dev, &choice))
		return name.n == 0 ? SSL_TLSEXT_ERR_NOACK :
		    SSL_TLSEXT_ERR_OK;
	h->why = FAIL_TLS_UNKNOWN_NAME;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int
on_cert(SSL *ssl, void *arg)
{
	struct tls_hand	*h = hand_of(ssl);
	char		 buf[TLS_NAME_MAX];
	struct str	 name;

	(void)arg;
	must(h != NULL);
	/* a reload may have taken TLS from all listeners since */
	if (FAULT("tls_cert") || h->ask->store == NULL) {
		h->why = FAIL_TLS_FAILED;
		return 0;
	}
	name = tls_name(ssl, buf);
	return tls_cert_select(h->ask->store, ssl, name, h->dev,
	    &h->why) == 0;
}

/* Ours is the order; a client none of whose protocols we have is refused. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
    const unsigned char *in, unsigned int in_n, void *arg)
{
	const struct tls_policy	*p;
	unsigned char		*at = NULL;

	(void)arg;
	must(hand_of(ssl) != NULL);
	p = hand_of(ssl)->policy;
	if (p->alpn.n == 0)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto(&at, n, (const unsigned char *)p->alpn.p,
	    (unsigned)p->alpn.n, in, in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = at;
	return SSL_TLSEXT_ERR_OK;
}

/* --- sessions --- */

/* Before a ticket is made. */
static int
on_ticket(SSL *ssl, void *arg)
{
	const struct tls_hand	*h = hand_of(ssl);

	(void)arg;
	if (h == NULL)
		return 0;
	SSL_SESSION_set_timeout(SSL_get_session(ssl), h->ask->seeds->life_s);
	return 1;
}

/*
 * Is a session, which was opened, one that may go on here?  In TLS 1.2 it
 * is of one name (RFC 6066 3); and whoever has shown a certificate must
 * still be able to.
 */
static bool
is_good(const SSL_SESSION *ss, const struct tls_hand *h)
{
	const char	*name = SSL_SESSION_get0_hostname(ss);
	X509		*x = SSL_SESSION_get0_peer((SSL_SESSION *)
	    (uintptr_t)ss);
	char		 buf[TLS_NAME_MAX];
	struct str	 s = STR_NONE;

	if (x != NULL && X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		return false;
	if (SSL_SESSION_get_protocol_version(ss) > TLS1_2_VERSION)
		return true;
	if (name != NULL)
		s = tls_hello_fold(str_from(name), buf);
	return hash_of(s) == h->name;
}

static SSL_TICKET_RETURN
on_opened(SSL *ssl, SSL_SESSION *ss, const unsigned char *name, size_t n,
    SSL_TICKET_STATUS status, void *arg)
{
	const struct tls_hand	*h = hand_of(ssl);

	(void)name;
	(void)n;
	(void)arg;
	if (status == SSL_TICKET_FATAL_ERR_MALLOC ||
	    status == SSL_TICKET_FATAL_ERR_OTHER)
		return SSL_TICKET_RETURN_ABORT;
	if ((status != SSL_TICKET_SUCCESS &&
	    status != SSL_TICKET_SUCCESS_RENEW) || h == NULL ||
	    !is_good(ss, h))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE :
	    SSL_TICKET_RETURN_USE_RENEW;
}

/*
 * A ticket of TLS 1.3 is used once (RFC 8446 C.4), so there is a new one
 * each time; one of 1.2 is good for as long as its key is the newest.
 */
static int
on_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	struct tls_hand		*h = hand_of(ssl);
	struct ticket_ring	*r;
	int			 rc;

	if (h == NULL)
		return seal ? -1 : 0;
	r = &h->policy->tickets;
	if (ticket_fit(r, h->ask->seeds, &h->policy->digest) == -1)
		return seal ? -1 : 0;
	if (seal)
		return ticket_seal(r, name, iv, cipher, mac) == 0 ? 1 : -1;
	rc = ticket_open(r, name, iv, cipher, mac);
	return rc == 1 && SSL_version(ssl) >= TLS1_3_VERSION ? 2 : rc;
}

/* --- making one --- */

void
tls_policy_digest(const struct tls_terms *t, struct str alpn,
    struct tls_digest *out)
{
	uint8_t	buf[TLS_DIGEST + TLS_ALPN_MAX];

	must(alpn.n <= TLS_ALPN_MAX);
	memcpy(buf, t->digest.v, TLS_DIGEST);
	if (alpn.n > 0)
		memcpy(buf + TLS_DIGEST, alpn.p, alpn.n);
	must(EVP_Digest(buf, TLS_DIGEST + alpn.n, out->v, NULL, EVP_sha256(),
	    NULL) == 1);
}

static char *
join(const struct conf_list *l)
{
	struct text	t;

	if (l->n == 0)
		return NULL;
	text_init(&t);
	for (size_t i = 0; i < l->n; i++)
		text_fmt(&t, "%s%.*s", i > 0 ? ":" : "", STR_FMT(l->v[i]));
	text_c(&t, '\0');
	return t.p;
}

static void
set_callbacks(SSL_CTX *ctx)
{
	SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_cert_cb(ctx, on_cert, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_key);
	SSL_CTX_set_session_ticket_cb(ctx, on_ticket, on_opened, NULL);
}

struct tls_policy *
tls_policy_new(const struct tls_terms *t, struct str alpn, struct err *e)
{
	struct tls_policy	*p = must_calloc(1, sizeof(*p));
	const char		*bad;

	p->refs = 1;
	must(alpn.n <= sizeof(p->room));
	if (alpn.n > 0)
		memcpy(p->room, alpn.p, alpn.n);
	p->alpn = str_make(p->room, alpn.n);
	tls_policy_digest(t, alpn, &p->digest);
	ticket_init(&p->tickets);
	p->ctx = SSL_CTX_new(TLS_server_method());
	must(p->ctx != NULL);
	bad = tls_terms_set(p->ctx, t);
	if (bad != NULL) {
		err_set(e, "OpenSSL does not know all words of %s", bad);
		tls_policy_unref(&p);
		return NULL;
	}
	p->low = (int)SSL_CTX_get_min_proto_version(p->ctx);
	p->high = (int)SSL_CTX_get_max_proto_version(p->ctx);
	p->groups = join(&t->groups);
	must(SSL_CTX_set_session_id_context(p->ctx, p->digest.v,
	    sizeof(p->digest.v)) == 1);
	tls_terms_verify(p->ctx, t);
	if (refused == 0)
		refused = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_end);
	if (refused > 0 && SSL_CTX_get_verify_callback(p->ctx) == NULL)
		SSL_CTX_set_verify(p->ctx, SSL_CTX_get_verify_mode(p->ctx),
		    on_verify);
	set_callbacks(p->ctx);
	return p;
}

struct tls_policy *
tls_policy_ref(struct tls_policy *p)
{
	p->refs++;
	return p;
}

/* Connections that it made keep its SSL_CTX, but ask it nothing more. */
void
tls_policy_unref(struct tls_policy **pp)
{
	struct tls_policy	*p = *pp;

	*pp = NULL;
	if (p == NULL || --p->refs > 0)
		return;
	SSL_CTX_free(p->ctx);
	ticket_fini(&p->tickets);
	free(p->groups);
	free(p);
}

bool
tls_policy_is(const struct tls_policy *p, const struct tls_digest *d)
{
	return memcmp(&p->digest, d, sizeof(*d)) == 0;
}

/* --- connections --- */

SSL *
tls_policy_begin(struct tls_policy *p, struct tls_hand *h)
{
	SSL	*ssl = SSL_new(p->ctx);

	must(ssl != NULL);
	h->why = FAIL_NONE;
	h->heard = false;
	h->policy = tls_policy_ref(p);
	SSL_set_app_data(ssl, h);
	SSL_set_accept_state(ssl);
	return ssl;
}

void
tls_policy_done(SSL *ssl)
{
	SSL_set_app_data(ssl, NULL);
	/* it has been shown; the store may drop it */
	SSL_certs_clear(ssl);
}

void
tls_policy_end(struct tls_hand *h)
{
	tls_policy_unref(&h->policy);
}

bool
tls_policy_made(const SSL *ssl, const struct tls_digest *d)
{
	const SSL_SESSION	*ss = SSL_get_session(ssl);
	const unsigned char	*id;
	unsigned		 n = 0;

	if (ss == NULL)
		return false;
	id = SSL_SESSION_get0_id_context(ss, &n);
	return n == sizeof(d->v) && memcmp(id, d->v, n) == 0;
}

static struct str
str_of(const char *s)
{
	return s == NULL ? STR_NONE : str_make(s, strlen(s));
}

struct str
tls_version(const SSL *ssl)
{
	return ssl == NULL ? STR_NONE : str_of(SSL_get_version(ssl));
}

struct str
tls_cipher(const SSL *ssl)
{
	const SSL_CIPHER	*c;

	c = ssl == NULL ? NULL : SSL_get_current_cipher(ssl);
	return c == NULL ? STR_NONE : str_of(SSL_CIPHER_get_name(c));
}

struct str
tls_sni(const SSL *ssl)
{
	return ssl == NULL ? STR_NONE :
	    str_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
}

struct str
tls_alpn(const SSL *ssl)
{
	const unsigned char	*p;
	unsigned		 n;

	SSL_get0_alpn_selected(ssl, &p, &n);
	return str_make((const char *)p, n);
}

/* --- blame --- */

enum fail
tls_policy_blame(unsigned long code, int alert, bool ended)
{
	if (alert >= 0)
		return FAIL_TLS_ALERT;
	if (ended || code == 0)
		return FAIL_TLS_CLIENT_GONE;
	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		return FAIL_TLS_FAILED;
	switch (ERR_GET_REASON(code)) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_UNKNOWN_PROTOCOL:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_INAPPROPRIATE_FALLBACK:
		return FAIL_TLS_VERSION;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_SHARED_GROUPS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_UNSUPPORTED_ELLIPTIC_CURVE:
		return FAIL_TLS_NO_SHARED_CIPHER;
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return FAIL_TLS_NO_PROTOCOL;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return FAIL_TLS_CLIENT_MISSING;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return FAIL_TLS_CLIENT_REFUSED;
	default:
		return FAIL_TLS_BAD_HELLO;
	}
}

/* --- configuration --- */

#define DAY_MS		(24 * 3600 * INT64_C(1000))

/* A list of one's own beside a name would hold for nobody. */
static int
link_policy(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct tls_policy_conf	*c = part;
	const struct conf_item		*name, *it;
	const struct conf_row		*r;

	if (c->terms.n == 0)
		return 0;
	name = conf_item(load, obj, "tls_policy");
	if (conf_ref_at(load, obj, name, name->val, &tls_section) == NULL)
		return -1;
	for (r = tls_terms_group.rows; r->key != NULL; r++) {
		it = conf_item(load, obj, r->key);
		/* -T says all that holds, defaults too, and can be read */
		if (it == NULL || (r->def != NULL && str_eq(it->val,
		    str_from(r->def))))
			continue;
		diag_at(conf_load_diags(load), DIAG_TLS_POLICY, &it->kspan,
		    obj, r->key, "%s has no meaning beside tls_policy",
		    r->key);
		return -1;
	}
	return 0;
}

const struct tls_terms *
tls_policy_terms(const struct conf *c, const struct conf_obj *listener)
{
	const struct tls_policy_conf	*pc = conf_part(listener,
	    &tls_policy_group);
	const struct conf_obj		*named;

	if (pc->terms.n == 0)
		return conf_part(listener, &tls_terms_group);
	named = conf_find(c, &tls_section, pc->terms);
	must(named != NULL);
	return conf_part(named, &tls_terms_group);
}

static const struct conf_row rows[] = {
	{
		.key = "tls", .type = CONF_ENUM, .off = AT(mode),
		.def = "off", .choices = "off|on|dev", .example = "on",
		.text = "Whether connections speak TLS, with the "
		    "certificates of [cert].  dev: with one that sluiced "
		    "makes itself, signed by an authority of its own, for "
		    "localhost, 127.0.0.1, ::1 and the hosts of routes but "
		    "those passed on.  A host that a [cert] is for is shown "
		    "that here, too; this one is the default.  Where "
		    "tls.unknown is refuse it is still for clients that name "
		    "no host, as those do that connect to an address; names "
		    "that it does not have are refused.  For trying things "
		    "out.  A listener whose routes all pass connections on "
		    "(tls = passthrough) needs no certificate; then all "
		    "other names are refused as by tls.unknown = refuse."
	}, {
		.key = "tls_policy", .type = CONF_STR, .off = AT(terms),
		.min = 1, .max = 63, .example = "one",
		.text = "The [tls NAME] with the terms of handshakes here, "
		    "in place of keys tls.* of the listener.  Routes may "
		    "name another for their hosts."
	}, {
		.key = "tls.max_handshakes", .type = CONF_INT,
		.off = AT(max_handshakes), .def = "1024", .min = 1,
		.max = 1000000, .example = "256",
		.text = "Handshakes that a worker has under way at a time at "
		    "an address of the listener, each of which takes some "
		    "50 kB.  Who comes next waits, "
		    "unread, for as long as timeout.handshake allows.  Who "
		    "has said nothing yet does not count."
	}, {
		.key = "timeout.handshake", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(handshake_ms),
		.def = "10s", .min = 1, .max = DAY_MS, .example = "5s",
		.text = "How long a client may take for the handshake of "
		    "TLS, waiting included; then the connection is closed."
	},
	{ .key = NULL }
};

const struct conf_group tls_policy_group = {
	"tls", rows, sizeof(struct tls_policy_conf), link_policy
};
