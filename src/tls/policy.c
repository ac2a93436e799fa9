/*
 * Policies.  Workers; the builder makes one to see whether it can be made.
 *
 * The defaults are Mozilla's intermediate ones without DHE: TLS 1.2 and
 * 1.3, forward secrecy and AEAD only, the client's order of ciphers, for it
 * knows what its processor is good at.  One ticket is sent, not two: a
 * client that opens several connections at once asks for more by its own
 * handshakes.
 */
#include "tls/policy.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/must.h"
#include "base/text.h"
#include "conf/load.h"
#include "os/fault.h"
#include "tls/ticket.h"

#define NAME_MAX_BYTES	255	/* of a host (RFC 1035) */
#define AT(member)	offsetof(struct tls_policy_conf, member)

struct tls_policy {
	SSL_CTX		*ctx;		/* own */
	uint8_t		 digest[TLS_POLICY_DIGEST];
	unsigned	 refs;
	struct str	 alpn;		/* of room */
	char		 room[TLS_ALPN_MAX];
};

/* --- what a client says first --- */

static struct tls_hand *
hand_of(SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* A host name's form in the index: lower case, without the final dot. */
static struct str
fold_name(const char *name, char buf[NAME_MAX_BYTES])
{
	size_t	n = 0;

	if (name == NULL)
		return STR_NONE;
	for (; name[n] != '\0' && n < NAME_MAX_BYTES; n++)
		buf[n] = name[n] >= 'A' && name[n] <= 'Z' ?
		    (char)(name[n] + ('a' - 'A')) : name[n];
	if (n > 0 && buf[n - 1] == '.')
		n--;
	return str_make(buf, n);
}

/* Names nobody has here are refused with the alert for it (RFC 6066 3). */
static int
on_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_hand		*h = hand_of(ssl);
	char			 buf[NAME_MAX_BYTES];
	struct tls_choice	 choice;
	struct str		 name;

	(void)arg;
	must(h != NULL);
	name = fold_name(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
	    buf);
	if (!tls_certs(h->conf)->refuse ||
	    tls_certs_find(tls_certs(h->conf), name, &choice))
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
	char		 buf[NAME_MAX_BYTES];
	struct str	 name;

	(void)arg;
	must(h != NULL);
	if (FAULT("tls_cert")) {
		h->why = FAIL_TLS_FAILED;
		return 0;
	}
	name = fold_name(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
	    buf);
	return tls_cert_select(h->store, ssl, name, &h->why) == 0;
}

/* Ours is the order; a client none of whose protocols we have is refused. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
    const unsigned char *in, unsigned int in_n, void *arg)
{
	const struct tls_policy	*p = arg;
	unsigned char		*at = NULL;

	(void)ssl;
	if (SSL_select_next_proto(&at, n, (const unsigned char *)p->alpn.p,
	    (unsigned)p->alpn.n, in, in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = at;
	return SSL_TLSEXT_ERR_OK;
}

/* --- making one --- */

static void
add_text(EVP_MD_CTX *m, struct str s)
{
	uint64_t	n = s.n;

	/* with its length, so that no two lists are the same bytes */
	must(EVP_DigestUpdate(m, &n, sizeof(n)) == 1 &&
	    EVP_DigestUpdate(m, s.p, s.n) == 1);
}

static void
add_list(EVP_MD_CTX *m, const struct conf_list *l)
{
	uint64_t	n = l->n;

	must(EVP_DigestUpdate(m, &n, sizeof(n)) == 1);
	for (size_t i = 0; i < l->n; i++)
		add_text(m, l->v[i]);
}

void
tls_policy_digest(const struct tls_policy_conf *c, struct str alpn,
    uint8_t digest[TLS_POLICY_DIGEST])
{
	EVP_MD_CTX	*m = EVP_MD_CTX_new();
	unsigned	 n = TLS_POLICY_DIGEST;

	must(m != NULL && EVP_DigestInit(m, EVP_sha256()) == 1);
	add_text(m, alpn);
	add_list(m, &c->versions);
	add_list(m, &c->ciphers);
	add_list(m, &c->suites);
	add_list(m, &c->groups);
	add_list(m, &c->signatures);
	must(EVP_DigestFinal(m, digest, &n) == 1 && n == TLS_POLICY_DIGEST);
	EVP_MD_CTX_free(m);
}

static int
set_groups(SSL_CTX *ctx, const char *list)
{
	return (int)SSL_CTX_set1_groups_list(ctx, list);
}

static int
set_signatures(SSL_CTX *ctx, const char *list)
{
	return (int)SSL_CTX_set1_sigalgs_list(ctx, list);
}

static void
set_versions(SSL_CTX *ctx, const struct conf_list *l)
{
	bool	has[2] = { false, false };

	for (size_t i = 0; i < l->n; i++)
		has[str_eq(l->v[i], STR("1.3"))] = true;
	SSL_CTX_set_min_proto_version(ctx, has[0] ? TLS1_2_VERSION :
	    TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(ctx, has[1] ? TLS1_3_VERSION :
	    TLS1_2_VERSION);
}

/* keys that are lists of OpenSSL's words */
static const struct words {
	const char	*key;
	size_t		 off;
	int		(*set)(SSL_CTX *, const char *);
} words[] = {
	{ "tls.ciphers", AT(ciphers), SSL_CTX_set_cipher_list },
	{ "tls.ciphersuites", AT(suites), SSL_CTX_set_ciphersuites },
	{ "tls.groups", AT(groups), set_groups },
	{ "tls.signatures", AT(signatures), set_signatures }
};
#define NWORDS	(sizeof(words) / sizeof(words[0]))

static const struct conf_list *
list_of(const struct tls_policy_conf *c, const struct words *w)
{
	return (const void *)((const char *)c + w->off);
}

/* OpenSSL takes a list as one text with colons between. */
static bool
set_list(SSL_CTX *ctx, const struct conf_list *l,
    int (*set)(SSL_CTX *, const char *))
{
	struct text	t;
	bool		good;

	if (l->n == 0)
		return true;
	text_init(&t);
	for (size_t i = 0; i < l->n; i++) {
		text_add(&t, i > 0 ? STR(":") : STR(""));
		text_add(&t, l->v[i]);
	}
	text_c(&t, '\0');
	good = set(ctx, t.p) == 1;
	ERR_clear_error();
	text_fini(&t);
	return good;
}

/* NULL, or the key with a word that OpenSSL does not know. */
static const struct words *
set_all(SSL_CTX *ctx, const struct tls_policy_conf *c)
{
	set_versions(ctx, &c->versions);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION |
	    SSL_OP_NO_RENEGOTIATION);
	for (size_t i = 0; i < NWORDS; i++)
		if (!set_list(ctx, list_of(c, &words[i]), words[i].set))
			return &words[i];
	return NULL;
}

const char *
tls_policy_set(SSL_CTX *ctx, const struct tls_policy_conf *c)
{
	const struct words	*bad = set_all(ctx, c);

	return bad == NULL ? NULL : bad->key;
}

struct tls_policy *
tls_policy_new(const struct tls_policy_conf *c, struct str alpn,
    const uint8_t *secret, struct err *e)
{
	struct tls_policy	*p = must_calloc(1, sizeof(*p));
	const struct words	*bad;

	p->refs = 1;
	must(alpn.n <= sizeof(p->room));
	if (alpn.n > 0)
		memcpy(p->room, alpn.p, alpn.n);
	p->alpn = str_make(p->room, alpn.n);
	tls_policy_digest(c, alpn, p->digest);
	p->ctx = SSL_CTX_new(TLS_server_method());
	must(p->ctx != NULL);
	bad = set_all(p->ctx, c);
	if (bad != NULL) {
		err_set(e, "OpenSSL does not know all words of %s",
		    bad->key);
		tls_policy_unref(&p);
		return NULL;
	}
	must(SSL_CTX_set_session_id_context(p->ctx, p->digest,
	    sizeof(p->digest)) == 1);
	if (secret != NULL)
		tls_ticket_set(p->ctx, secret, p->digest);
	SSL_CTX_set_tlsext_servername_callback(p->ctx, on_name);
	SSL_CTX_set_cert_cb(p->ctx, on_cert, NULL);
	if (alpn.n > 0)
		SSL_CTX_set_alpn_select_cb(p->ctx, on_alpn, p);
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
	SSL_CTX_set_alpn_select_cb(p->ctx, NULL, NULL);
	SSL_CTX_free(p->ctx);
	free(p);
}

bool
tls_policy_is(const struct tls_policy *p,
    const uint8_t digest[TLS_POLICY_DIGEST])
{
	return memcmp(p->digest, digest, TLS_POLICY_DIGEST) == 0;
}

/* --- connections --- */

SSL *
tls_policy_begin(struct tls_policy *p, struct tls_hand *h)
{
	SSL	*ssl = SSL_new(p->ctx);

	must(ssl != NULL);
	h->why = FAIL_NONE;
	SSL_set_app_data(ssl, h);
	SSL_set_accept_state(ssl);
	return ssl;
}

void
tls_policy_done(SSL *ssl)
{
	SSL_set_app_data(ssl, NULL);
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

	return c == NULL ? STR_NONE : str_of(SSL_CIPHER_standard_name(c));
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
	default:
		return FAIL_TLS_BAD_HELLO;
	}
}

/* --- configuration --- */

#define DAY_MS		(24 * 3600 * INT64_C(1000))

#define CIPHERS								\
	"ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 "	\
	"ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 "	\
	"ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES								\
	"TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 "		\
	"TLS_CHACHA20_POLY1305_SHA256"
#define SIGNATURES							\
	"ecdsa_secp256r1_sha256 ecdsa_secp384r1_sha384 "		\
	"ecdsa_secp521r1_sha512 ed25519 rsa_pss_rsae_sha256 "		\
	"rsa_pss_rsae_sha384 rsa_pss_rsae_sha512 rsa_pkcs1_sha256 "	\
	"rsa_pkcs1_sha384 rsa_pkcs1_sha512"

/* Whether it can be made at all is known at once, not at a handshake. */
static int
link_policy(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct tls_policy_conf	*c = part;
	const struct conf_item		*it;
	const struct words		*bad;
	SSL_CTX				*ctx;

	if (c->mode == TLS_OFF)
		return 0;
	ctx = SSL_CTX_new(TLS_server_method());
	must(ctx != NULL);
	bad = set_all(ctx, c);
	SSL_CTX_free(ctx);
	if (bad == NULL)
		return 0;
	it = conf_item(load, obj, bad->key);
	diag_at(conf_load_diags(load), DIAG_TLS_WORD,
	    it != NULL ? &it->vspan : NULL, obj, bad->key,
	    "OpenSSL does not know all of these");
	return -1;
}

static const struct conf_row rows[] = {
	{
		.key = "tls", .type = CONF_ENUM, .off = AT(mode),
		.def = "off", .choices = "off|on|dev", .example = "on",
		.text = "Whether connections speak TLS, with the "
		    "certificates of [cert].  dev: with one that sluiced "
		    "makes itself, signed by an authority of its own; for "
		    "trying things out."
	}, {
		.key = "tls.versions", .type = CONF_LIST,
		.off = AT(versions), .def = "1.2 1.3",
		.choices = "1.2|1.3", .example = "1.3",
		.text = "Versions of TLS that are spoken."
	}, {
		.key = "tls.ciphers", .type = CONF_LIST, .off = AT(ciphers),
		.def = CIPHERS, .example = "ECDHE-ECDSA-AES128-GCM-SHA256",
		.text = "Ciphers of TLS 1.2, by the names that OpenSSL has "
		    "for them; the client's order holds."
	}, {
		.key = "tls.ciphersuites", .type = CONF_LIST,
		.off = AT(suites), .def = SUITES,
		.example = "TLS_AES_128_GCM_SHA256",
		.text = "Ciphers of TLS 1.3; the client's order holds."
	}, {
		.key = "tls.groups", .type = CONF_LIST, .off = AT(groups),
		.def = "X25519 P-256 P-384", .example = "X25519 P-256",
		.text = "Groups for the exchange of keys, the best first."
	}, {
		.key = "tls.signatures", .type = CONF_LIST,
		.off = AT(signatures), .def = SIGNATURES,
		.example = "ecdsa_secp256r1_sha256 rsa_pss_rsae_sha256",
		.text = "Algorithms by which a handshake may be signed."
	}, {
		.key = "tls.max_handshakes", .type = CONF_INT,
		.off = AT(max_handshakes), .def = "1024", .min = 1,
		.max = 1000000, .example = "256",
		.text = "Handshakes that a worker has under way at a time, "
		    "each of which takes some 50 kB.  Who comes next waits, "
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
