/*
 * Terms of handshakes.  The builder reads and checks them; workers bring
 * them to OpenSSL.
 *
 * The defaults are Mozilla's intermediate ones without DHE: TLS 1.2 and
 * 1.3, forward secrecy and AEAD only, the client's order of ciphers, for it
 * knows what its processor is good at.  One ticket is sent, not two: a
 * client that opens several connections at once asks for more by its own
 * handshakes.
 */
#include "tls/terms.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/must.h"
#include "base/text.h"
#include "conf/load.h"

#define AT(member)	offsetof(struct tls_terms, member)

/* --- OpenSSL --- */

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
	const char	*hint;
} words[] = {
	{ "tls.ciphers", AT(ciphers), SSL_CTX_set_cipher_list,
	    "openssl ciphers -s -v -tls1_2 lists what there is" },
	{ "tls.ciphersuites", AT(suites), SSL_CTX_set_ciphersuites,
	    "openssl ciphers -s -v -tls1_3 lists what there is" },
	{ "tls.groups", AT(groups), set_groups,
	    "there are X25519, P-256, P-384, P-521 and X448, and the curves "
	    "of openssl ecparam -list_curves" },
	{ "tls.signatures", AT(signatures), set_signatures,
	    "write names of TLS, as ecdsa_secp256r1_sha256, ed25519 and "
	    "rsa_pss_rsae_sha256 are" }
};
#define NWORDS	(sizeof(words) / sizeof(words[0]))

static const struct conf_list *
list_of(const struct tls_terms *c, const struct words *w)
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

const char *
tls_terms_set(SSL_CTX *ctx, const struct tls_terms *t)
{
	set_versions(ctx, &t->versions);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION |
	    SSL_OP_NO_RENEGOTIATION);
	for (size_t i = 0; i < NWORDS; i++)
		if (!set_list(ctx, list_of(t, &words[i]), words[i].set))
			return words[i].key;
	return NULL;
}

/* --- the digest --- */

/* With its length in front, so that no two lists look alike. */
static void
add_text(EVP_MD_CTX *md, struct str s)
{
	uint64_t	n = s.n;

	must(EVP_DigestUpdate(md, &n, sizeof(n)) == 1 &&
	    (s.n == 0 || EVP_DigestUpdate(md, s.p, s.n) == 1));
}

static void
add_texts(EVP_MD_CTX *md, const struct str *v, size_t n)
{
	must(EVP_DigestUpdate(md, &n, sizeof(n)) == 1);
	for (size_t i = 0; i < n; i++)
		add_text(md, v[i]);
}

void
tls_terms_digest(struct tls_terms *t)
{
	EVP_MD_CTX	*md = EVP_MD_CTX_new();
	int64_t		 client[2] = { t->client, t->depth };

	must(md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
	add_texts(md, t->versions.v, t->versions.n);
	for (size_t i = 0; i < NWORDS; i++)
		add_texts(md, list_of(t, &words[i])->v,
		    list_of(t, &words[i])->n);
	must(EVP_DigestUpdate(md, client, sizeof(client)) == 1);
	add_texts(md, t->cas.v, t->cas.n);
	add_texts(md, t->crls.v, t->crls.n);
	must(EVP_DigestFinal_ex(md, t->digest.v, NULL) == 1);
	EVP_MD_CTX_free(md);
}

/* --- configuration --- */

/* Where the word stands, or the key if it is said of all of them. */
static struct conf_span
place_of(struct conf_load *load, const struct conf_obj *obj,
    const char *key, struct str word)
{
	const struct conf_item	*it = conf_item(load, obj, key);
	struct conf_words	 w;

	conf_words_init(&w, load, obj, key);
	while (conf_words_next(&w))
		if (str_eq(w.word, word))
			return conf_word_span(w.it, w.word);
	return it != NULL ? it->vspan : conf_obj_span(obj);
}

static int
fail_word(struct conf_load *load, const struct conf_obj *obj,
    const char *key, struct str word, const char *why)
{
	struct conf_span	at = place_of(load, obj, key, word);

	diag_at(conf_load_diags(load), DIAG_TLS_WORD, &at, obj, key,
	    "\"%.*s\" %s", STR_FMT(str_sub(word, 0, 80)), why);
	for (size_t i = 0; i < NWORDS; i++)
		if (strcmp(words[i].key, key) == 0)
			diag_hint(conf_load_diags(load), "%s",
			    words[i].hint);
	return -1;
}

/* OpenSSL takes a language, of which only names are meant here. */
static const SSL_CIPHER *
find_cipher(SSL_CTX *ctx, const struct conf_list *one)
{
	STACK_OF(SSL_CIPHER)	*all;
	const SSL_CIPHER	*c;

	SSL_CTX_set_security_level(ctx, 0);
	if (!set_list(ctx, one, SSL_CTX_set_cipher_list))
		return NULL;
	all = SSL_CTX_get_ciphers(ctx);
	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		c = sk_SSL_CIPHER_value(all, i);
		if (str_eq(str_from(SSL_CIPHER_get_name(c)), one->v[0]))
			return c;
	}
	return NULL;
}

static void
warn_weak(struct conf_load *load, const struct conf_obj *obj,
    struct str word)
{
	struct conf_span	at = place_of(load, obj, "tls.ciphers", word);

	diag_at(conf_load_diags(load), DIAG_TLS_WEAK, &at, obj, "tls.ciphers",
	    "\"%.*s\" has no forward secrecy, or no AEAD", STR_FMT(word));
}

static int
judge_cipher(struct conf_load *load, const struct conf_obj *obj,
    SSL_CTX *ctx, const struct conf_list *one)
{
	const SSL_CIPHER	*c = find_cipher(ctx, one);
	int			 kx;

	if (c == NULL)
		return fail_word(load, obj, "tls.ciphers", one->v[0],
		    "is no name of a cipher of TLS 1.2");
	if (SSL_CIPHER_get_cipher_nid(c) == NID_undef)
		return fail_word(load, obj, "tls.ciphers", one->v[0],
		    "encrypts nothing");
	if (SSL_CIPHER_get_auth_nid(c) == NID_auth_null)
		return fail_word(load, obj, "tls.ciphers", one->v[0],
		    "says nothing of who the server is");
	kx = SSL_CIPHER_get_kx_nid(c);
	if (!SSL_CIPHER_is_aead(c) ||
	    (kx != NID_kx_ecdhe && kx != NID_kx_dhe))
		warn_weak(load, obj, one->v[0]);
	return 0;
}

/* Whether it can be made at all is known at once, not at a handshake. */
static int
judge_words(struct conf_load *load, const struct conf_obj *obj,
    const struct tls_terms *t, const struct words *w)
{
	const struct conf_list	*l = list_of(t, w);
	struct conf_list	 one = { .n = 1 };
	SSL_CTX			*ctx;
	int			 rc = 0;

	for (size_t i = 0; i < l->n; i++) {
		one.v = &l->v[i];
		ctx = SSL_CTX_new(TLS_server_method());
		must(ctx != NULL);
		if (w->set == SSL_CTX_set_cipher_list)
			rc |= judge_cipher(load, obj, ctx, &one);
		else if (!set_list(ctx, &one, w->set))
			rc = fail_word(load, obj, w->key, l->v[i],
			    "is a word that OpenSSL does not know");
		SSL_CTX_free(ctx);
	}
	return rc;
}

int
tls_terms_words(struct conf_load *load, const struct conf_obj *obj,
    const struct tls_terms *t)
{
	const struct conf_list	*l;
	struct conf_list	 one = { .n = 1 };
	SSL_CTX			*ctx = SSL_CTX_new(TLS_client_method());
	int			 rc = 0;

	must(ctx != NULL);
	for (size_t k = 0; k < NWORDS; k++) {
		l = list_of(t, &words[k]);
		for (size_t i = 0; i < l->n; i++) {
			one.v = &l->v[i];
			if (!set_list(ctx, &one, words[k].set))
				rc = fail_word(load, obj, words[k].key,
				    l->v[i], "is a word that OpenSSL does "
				    "not know");
		}
	}
	SSL_CTX_free(ctx);
	return rc;
}

static int
link_terms(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct tls_terms	*t = part;
	const char		*bad = NULL;
	SSL_CTX			*ctx = SSL_CTX_new(TLS_server_method());
	int			 rc = 0;

	must(ctx != NULL);
	for (size_t i = 0; i < NWORDS; i++)
		if (conf_is_set(load, obj, words[i].key) &&
		    judge_words(load, obj, t, &words[i]) == -1)
			rc = -1;
	if (rc == 0)
		bad = tls_terms_set(ctx, t);
	SSL_CTX_free(ctx);
	if (bad != NULL)
		rc = fail_word(load, obj, bad, STR("all"),
		    "of it OpenSSL does not take together");
	if (tls_terms_read(load, obj, t) == -1)
		rc = -1;
	tls_terms_digest(t);
	return rc;
}

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

static const struct conf_row rows[] = {
	{
		.key = "tls.versions", .type = CONF_LIST,
		.off = AT(versions), .def = "1.2 1.3",
		.choices = "1.2|1.3", .example = "1.3",
		.text = "Versions of TLS that are spoken."
	}, {
		.key = "tls.ciphers", .type = CONF_LIST, .off = AT(ciphers),
		.def = CIPHERS, .example = "ECDHE-ECDSA-AES128-GCM-SHA256",
		.text = "Ciphers of TLS 1.2, by the names that OpenSSL has "
		    "for them (not words of its for several); the client's "
		    "order holds.  Those without encryption, or that prove "
		    "no server, are refused.  An empty value, here and in "
		    "the lists below, is the default."
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
		.key = "tls.client", .type = CONF_ENUM, .off = AT(client),
		.def = "off", .choices = "off|optional|required",
		.example = "required",
		.text = "Whether clients are asked for a certificate.  "
		    "required: without one that is signed by tls.client_ca "
		    "there is no connection.  optional: there is one, and "
		    "routes with client_cert, client_san or "
		    "client_fingerprint answer 403."
	}, {
		.key = "tls.client_ca", .type = CONF_PATH, .off = AT(ca_file),
		.min = 1, .max = 1024, .example = "/etc/sluice/clients.crt",
		.text = "File with the authorities, in PEM, that sign the "
		    "certificates of clients; their names are told to "
		    "clients.  It is read at each reload."
	}, {
		.key = "tls.client_crl", .type = CONF_PATH,
		.off = AT(crl_file), .min = 1, .max = 1024,
		.example = "/etc/sluice/clients.crl",
		.text = "File with lists of revoked certificates, in PEM, "
		    "one of each authority: without one, or with one that "
		    "has expired, what the authority signed is refused.  "
		    "It is read at each reload, and so is a new one."
	}, {
		.key = "tls.client_depth", .type = CONF_INT, .off = AT(depth),
		.def = "2", .min = 0, .max = 10, .example = "1",
		.text = "How many certificates may stand between that of a "
		    "client and one of tls.client_ca."
	},
	{ .key = NULL }
};

const struct conf_group tls_terms_group = {
	"tls_terms", rows, sizeof(struct tls_terms), link_terms
};

/* --- [tls NAME] --- */

struct tls_named {
	struct conf_obj	obj;
};

static const struct conf_row named_rows[] = { { .key = NULL } };

static const struct conf_group named_group = {
	"tls_named", named_rows, sizeof(struct tls_named), NULL
};
static const struct conf_group *const groups[] = {
	&named_group, &tls_terms_group, NULL
};

const struct conf_section tls_section = {
	.type = "tls", .named = true, .groups = groups,
	.text = "Terms of TLS under a name, for listeners and for routes "
	    "whose hosts have other terms than the listener (tls_policy)."
};
