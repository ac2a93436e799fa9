/*
 * Keys of [upstream]: tls and tls.*.  Builder and tools.
 *
 * Files are read here, before privileges go: the CAs to DER in the
 * generation, the key of the certificate to the file that only those map
 * who shake hands.  The system's CAs are read once for all upstreams.
 */
#include "up/server_tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/x509.h>

#include "base/must.h"
#include "base/vec.h"
#include "tls/cert_file.h"
#include "tls/cert_read.h"
#include "tls/pem.h"
#include "up/probe_conf.h"

#define AT(member)	offsetof(struct server_tls_conf, member)
#define WORDS(member)	offsetof(struct server_tls_conf, client.words.member)

/* --- what stands in a server's line --- */

void
server_tls_make_peer(struct conf_load *load, struct server_conf *c)
{
	if (c->peer != NULL)
		return;
	c->peer = arena_alloc(conf_load_arena(load), sizeof(*c->peer));
	memset(c->peer, 0, sizeof(*c->peer));
}

const char *
server_tls_add_pin(struct conf_load *load, struct server_conf *c,
    struct str s)
{
	server_tls_make_peer(load, c);
	if (c->peer->npin == TLS_PINS)
		return "a server has at most 4 pins";
	return tls_client_pin(s, c->peer->pin[c->peer->npin++]) ? NULL :
	    "a pin is 64 hex digits, or base64 of 32 bytes: the SHA-256 of "
	    "the key";
}

/* --- complaints --- */

static int
fail(struct conf_load *load, const struct conf_obj *obj, const char *key,
    enum diag_id id, const char *why)
{
	const struct conf_item	*it = conf_item(load, obj, key);

	diag_at(conf_load_diags(load), id, it != NULL ? &it->vspan : NULL,
	    obj, key, "%s", why);
	return -1;
}

static int
fail_file(struct conf_load *load, const struct conf_obj *obj,
    const char *key, enum diag_id id, const char *path, const char *why)
{
	struct err	e;

	err_set(&e, "\"%s\" %s", path, why);
	return fail(load, obj, key, id, e.text);
}

/* --- CAs --- */

/* DER of each certificate that OpenSSL can read; false: none is there. */
static bool
read_cas(struct arena *out, struct str text, struct tls_client_conf *c,
    int64_t *until)
{
	const unsigned char	*p;
	struct pem		 b;
	struct vec		 v;
	struct str		 der, *all;
	ptrdiff_t		 n;
	char			*room;
	X509			*x;

	vec_init(&v, sizeof(struct str));
	c->ca_digest = STR_HASH0;
	while (pem_next(&text, &b)) {
		if (!str_eq(b.label, STR("CERTIFICATE")))
			continue;
		room = arena_text(out, pem_room(b.body.n));
		n = pem_decode(b.body, room);
		p = (const unsigned char *)room;
		x = n < 0 ? NULL : d2i_X509(NULL, &p, (long)n);
		if (x == NULL)
			continue;
		*until = tls_terms_end(*until, X509_get0_notAfter(x));
		X509_free(x);
		der = str_make(room, (size_t)n);
		c->ca_digest = str_hash(der, c->ca_digest);
		*(struct str *)vec_push(&v) = der;
	}
	all = arena_alloc(out, v.n * sizeof(*all) + 1);
	if (v.n > 0)
		memcpy(all, v.p, v.n * sizeof(*all));
	c->cas = all;
	c->ncas = v.n;
	vec_fini(&v);
	return c->ncas > 0;
}

static int
load_cas(struct conf_load *load, const struct conf_obj *obj,
    const char *path, struct server_tls_conf *t)
{
	struct cert_file	f = { .text = STR_NONE };
	struct err		e;
	int			rc = 0;

	if (cert_file_read(path, &f, &e) == -1)
		return fail_file(load, obj, "tls.ca", DIAG_CERT_FILE, path,
		    e.text);
	if (!read_cas(conf_load_arena(load), f.text, &t->client,
	    &t->ca_until))
		rc = fail_file(load, obj, "tls.ca", DIAG_CERT_BROKEN, path,
		    "has no certificate in PEM");
	else if (t->ca_until != 0 && t->ca_until < (int64_t)time(NULL))
		fail_file(load, obj, "tls.ca", DIAG_CLIENT_DATES, path,
		    t->client.ncas > 1 ? "has authorities that have all "
		    "expired: no server's certificate is believed" :
		    "has an authority that has expired: no server's "
		    "certificate is believed");
	cert_file_drop(&f);
	return rc;
}

/* The system's, as another upstream of this load has them already. */
static bool
share_cas(struct conf_load *load, struct tls_client_conf *c)
{
	struct conf_objs		 all;
	const struct server_tls_conf	*t;

	all = conf_all(conf_load_conf(load), &upstream_section);
	for (size_t i = 0; i < all.n; i++) {
		t = server_tls_of((const struct upstream_conf *)all.v[i]);
		if (t == NULL || t->ca.n > 0 || t->client.ncas == 0)
			continue;
		c->cas = t->client.cas;
		c->ncas = t->client.ncas;
		c->ca_digest = t->client.ca_digest;
		return true;
	}
	return false;
}

/* Where OpenSSL looks by itself, then where Debian and others have it. */
static int
load_system(struct conf_load *load, const struct conf_obj *obj,
    struct tls_client_conf *c)
{
	const char *const	 paths[] = {
		X509_get_default_cert_file(),
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/cert.pem"
	};
	struct cert_file	 f = { .text = STR_NONE };
	struct err		 e;
	bool			 found = share_cas(load, c);
	int64_t			 until = 0;

	for (size_t i = 0; !found && i < sizeof(paths) / sizeof(*paths); i++)
		if (cert_file_read(paths[i], &f, &e) == 0) {
			found = read_cas(conf_load_arena(load), f.text, c,
			    &until);
			cert_file_drop(&f);
		}
	return found ? 0 : fail(load, obj, "tls.ca", DIAG_CERT_FILE,
	    "the system has no file of CAs, so no server's certificate "
	    "could be believed");
}

/* --- the certificate that is shown --- */

static int
read_pair(struct conf_load *load, const struct conf_obj *obj,
    const struct server_tls_conf *t, const struct cert_text *text,
    struct tls_cert *c)
{
	struct cert_seen	seen;
	struct cert_fault	f;
	int			rc;

	cert_seen_init(&seen);
	rc = cert_read(&seen, text, conf_load_arena(load),
	    conf_load_secret(load), c, &f);
	if (rc == 0)
		rc = cert_examine(&seen, conf_load_arena(load), c, &f);
	if (rc == -1)
		rc = fail_file(load, obj, f.blame == CERT_BLAME_KEY &&
		    t->key.n > 0 ? "tls.key" : "tls.cert", f.id,
		    (f.blame == CERT_BLAME_KEY ? c->key_file : c->file).p,
		    f.why.text);
	if (rc == -1 && f.hint != NULL)
		diag_hint(conf_load_diags(load), "%s", f.hint);
	cert_seen_fini(&seen);
	return rc;
}

/*
 * Only a warning if it has expired: a restart is not to fail for what one
 * of many servers may not even ask for.
 */
static void
check_pair(struct conf_load *load, const struct conf_obj *obj,
    const struct tls_cert *c, const struct cert_file *key)
{
	int64_t		now = (int64_t)time(NULL);
	struct err	e;

	if (tls_certs_dated(c, now, &e))
		fail_file(load, obj, "tls.cert", DIAG_CERT_DATES, c->file.p,
		    e.text);
	if (cert_file_is_open(key))
		fail_file(load, obj, conf_item(load, obj, "tls.key") != NULL ?
		    "tls.key" : "tls.cert", DIAG_CERT_OPEN, c->key_file.p,
		    CERT_FILE_OPEN);
}

/* Keys of probes are linked later: a path turns them on. */
static bool
is_probed(const struct upstream_conf *up)
{
	const struct probe_conf	*p = probe_conf_of(up);

	return p->type != PROBE_OFF || p->path.n > 0;
}

/* Health maps no file of keys but its own. */
static const struct tls_cert *
copy_pair(struct conf_load *load, const struct tls_cert *c)
{
	struct tls_cert	*copy = arena_alloc(conf_load_arena(load),
	    sizeof(*copy));

	*copy = *c;
	copy->key = arena_dup(conf_load_probe(load), c->key);
	return copy;
}

static int
load_pair(struct conf_load *load, const struct upstream_conf *up,
    struct server_tls_conf *t)
{
	const struct conf_obj	*obj = &up->obj;
	struct arena		*out = conf_load_arena(load);
	struct tls_cert		*c = arena_alloc(out, sizeof(*c));
	struct cert_file	 chain = { .text = STR_NONE };
	struct cert_file	 key = { .text = STR_NONE };
	struct cert_text	 text = { .pass = t->passphrase };
	struct err		 e;
	int			 rc = -1;

	memset(c, 0, sizeof(*c));
	c->obj = obj;
	c->file = arena_fmt(out, "%.*s", STR_FMT(t->cert));
	c->key_file = t->key.n == 0 ? c->file :
	    arena_fmt(out, "%.*s", STR_FMT(t->key));
	if (cert_file_read(c->file.p, &chain, &e) == -1)
		fail_file(load, obj, "tls.cert", DIAG_CERT_FILE, c->file.p,
		    e.text);
	else if (t->key.n > 0 &&
	    cert_file_read(c->key_file.p, &key, &e) == -1)
		fail_file(load, obj, "tls.key", DIAG_CERT_FILE,
		    c->key_file.p, e.text);
	else {
		text.chain = chain.text;
		text.key = t->key.n > 0 ? key.text : chain.text;
		rc = read_pair(load, obj, t, &text, c);
		if (rc == 0)
			check_pair(load, obj, c, t->key.n > 0 ? &key :
			    &chain);
	}
	cert_file_drop(&chain);
	cert_file_drop(&key);
	t->client.pair = c;
	if (rc == 0 && is_probed(up))
		t->client.probe = copy_pair(load, c);
	return rc;
}

/* --- who each server is --- */

/* The address as a certificate has it: without port and brackets. */
static struct str
address_of(struct arena *a, struct str server)
{
	struct sock_addr	addr;
	char			buf[INET6_ADDRSTRLEN];

	if (sock_parse(server, -1, &addr, NULL) == -1)
		return STR("");
	if (addr.u.sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &addr.u.in4.sin_addr, buf, sizeof(buf));
	else if (addr.u.sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &addr.u.in6.sin6_addr, buf, sizeof(buf));
	else
		return STR("");
	return arena_fmt(a, "%s", buf);
}

static struct str
without_dot(struct str s)
{
	return str_ends(s, STR(".")) ? str_sub(s, 0, s.n - 1) : s;
}

static bool
is_address(struct arena *a, struct str s)
{
	const char	*text = arena_fmt(a, "%.*s", STR_FMT(s)).p;
	unsigned char	 ip[16];

	return inet_pton(AF_INET, text, ip) == 1 ||
	    inet_pton(AF_INET6, text, ip) == 1;
}

static int
name_peer(struct conf_load *load, const struct conf_obj *obj,
    const struct server_tls_conf *t, struct server_conf *s)
{
	struct arena	*a = conf_load_arena(load);
	struct tls_peer	*p = s->peer;
	struct err	 e;

	if (t->name.n > 0)
		p->name = without_dot(t->name);
	else if (s->local)
		p->name = STR("localhost");
	else if (s->name.n == 0)
		p->name = address_of(a, s->text);
	else if (!s->srv)
		p->name = without_dot(s->name);
	p->is_address = p->name.n > 0 && is_address(a, p->name);
	if (p->name.n > 0 || p->npin > 0 || !t->verify)
		return 0;
	err_set(&e, "server \"%.*s\" has no name that its certificate could "
	    "be for", STR_FMT(s->text));
	return fail(load, obj, "server", DIAG_TLS_NAME, e.text);
}

/* "http://" before one, and tls = on for all of them: which is meant? */
static int
fail_scheme(struct conf_load *load, const struct conf_obj *obj,
    const struct server_conf *s)
{
	struct err	e;

	err_set(&e, "tls = on says that all servers speak TLS, the scheme of "
	    "\"%.*s\" that it does not", STR_FMT(str_sub(s->text, 0, 160)));
	return fail(load, obj, "tls", DIAG_TLS_SCHEME, e.text);
}

static int
name_peers(struct conf_load *load, const struct conf_obj *obj,
    struct server_tls_conf *t, struct server_list *l)
{
	int	rc = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (t->on && l->v[i].plain)
			return fail_scheme(load, obj, &l->v[i]);
		if (t->on)
			server_tls_make_peer(load, &l->v[i]);
		if (l->v[i].peer == NULL)
			continue;
		t->used = true;
		if (name_peer(load, obj, t, &l->v[i]) == -1)
			rc = -1;
	}
	return rc;
}

/* --- the whole --- */

/* A twin is made anew when any of this changes. */
static void
add_digest(struct upstream_conf *c, const struct server_tls_conf *t)
{
	uint64_t		 v[] = { t->verify, t->client.ca_digest };
	const struct tls_peer	*p;

	if (!t->used)
		return;
	upstream_add_digest(c, t->client.words.digest.v,
	    sizeof(t->client.words.digest.v));
	upstream_add_digest(c, v, sizeof(v));
	if (t->client.pair != NULL)
		upstream_add_digest(c, t->client.pair->id, TLS_ID_BYTES);
	for (size_t i = 0; i < c->servers.n; i++) {
		p = c->servers.v[i].peer;
		upstream_add_digest(c, p == NULL ? "-" : "+", 1);
		if (p == NULL)
			continue;
		upstream_add_digest(c, &p->npin, sizeof(p->npin));
		upstream_add_digest(c, p->pin,
		    p->npin * sizeof(p->pin[0]));
		upstream_add_digest(c, p->name.p, p->name.n);
	}
}

static int
check_words(struct conf_load *load, const struct conf_obj *obj,
    const struct server_tls_conf *t)
{
	const char	*bad;

	if (tls_terms_words(load, obj, &t->client.words) == -1)
		return -1;
	bad = tls_client_check(&t->client);
	return bad == NULL ? 0 : fail(load, obj, bad, DIAG_TLS_WORD,
	    "all of it OpenSSL does not take together");
}

/* Keys that say how, where no server does; or half of a pair. */
static int
check_keys(struct conf_load *load, const struct conf_obj *obj,
    const struct server_tls_conf *t)
{
	static const char *const	 keys[] = { "tls.verify", "tls.ca",
		"tls.name", "tls.cert", "tls.key" };

	if (t->cert.n == 0 && t->key.n > 0)
		return fail(load, obj, "tls.key", DIAG_KEY_MISSING,
		    "tls.key needs tls.cert, the certificate it is of");
	for (size_t i = 0; !t->used && i < sizeof(keys) / sizeof(*keys); i++)
		if (conf_is_set(load, obj, keys[i])) {
			fail(load, obj, keys[i], DIAG_TLS_UNUSED,
			    "no server of this upstream speaks TLS");
			return 0;
		}
	if (t->used && !t->verify)
		fail(load, obj, "tls.verify", DIAG_TLS_BLIND,
		    "servers are believed whatever they show, so anybody on "
		    "the way can be one");
	return 0;
}

/* Whether somebody has no pin, and so a CA has to vouch for it. */
static bool
needs_cas(const struct server_tls_conf *t, const struct server_list *l)
{
	for (size_t i = 0; t->verify && i < l->n; i++)
		if (l->v[i].peer != NULL && l->v[i].peer->npin == 0)
			return true;
	return false;
}

static int
load_files(struct conf_load *load, const struct upstream_conf *up,
    struct server_tls_conf *t)
{
	const struct conf_obj		*obj = &up->obj;
	const struct server_list	*l = &up->servers;
	char	path[PATH_MAX];
	int	rc = 0;

	/* a configuration in memory has no files */
	if (conf_load_opts(load)->memory != NULL)
		return 0;
	snprintf(path, sizeof(path), "%.*s", STR_FMT(t->ca));
	if (t->ca.n > 0)
		rc = load_cas(load, obj, path, t);
	else if (needs_cas(t, l))
		rc = load_system(load, obj, &t->client);
	if (t->cert.n > 0 && load_pair(load, up, t) == -1)
		rc = -1;
	return rc;
}

static int
link_tls(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct upstream_conf	*c = container_of(obj, struct upstream_conf,
	    obj);
	struct server_tls_conf	*t = part;
	int			 rc;

	t->client.verify = t->verify;
	rc = name_peers(load, obj, t, &c->servers);
	if (check_keys(load, obj, t) == -1 || rc == -1)
		return -1;
	if (!t->used)
		return 0;
	if (check_words(load, obj, t) == -1 ||
	    load_files(load, c, t) == -1)
		return -1;
	tls_terms_digest(&t->client.words);
	add_digest(c, t);
	return 0;
}

static const struct conf_row rows[] = {
	{
		.key = "tls", .type = CONF_BOOL, .off = AT(on), .def = "off",
		.example = "on",
		.text = "Whether all servers speak TLS, as if https:// stood "
		    "before each.  A server is believed if its certificate "
		    "is valid, signed by a CA that is trusted here, and for "
		    "the name or the address it stands with (of localhost "
		    "that is the name, though 127.0.0.1 is asked); pin= of "
		    "its line takes the place of all three."
	}, {
		.key = "tls.verify", .type = CONF_BOOL, .off = AT(verify),
		.def = "on", .example = "off",
		.text = "Whether a server has to show who it is.  With off one "
		    "without a pin= is believed whatever certificate it "
		    "shows: then anybody between here and it can read and "
		    "change all."
	}, {
		.key = "tls.ca", .type = CONF_PATH, .off = AT(ca), .min = 1,
		.max = 1024, .example = "/etc/ssl/backend-ca.pem",
		.text = "File in PEM of the CAs that are trusted to sign for "
		    "servers, in place of the system's; a server's own "
		    "certificate may be one."
	}, {
		.key = "tls.name", .type = CONF_STR, .off = AT(name),
		.min = 1, .max = 253, .example = "app.internal",
		.text = "Name that the certificates of all servers must be "
		    "for, and that they are told (SNI): for servers that "
		    "stand with an address, a socket or a service."
	}, {
		.key = "tls.cert", .type = CONF_PATH, .off = AT(cert),
		.min = 1, .max = 1024, .example = "/etc/ssl/gateway.crt",
		.text = "File in PEM of the certificate that is shown to "
		    "servers that ask for one, by probes too; behind it "
		    "those that sign it."
	}, {
		.key = "tls.key", .type = CONF_PATH, .off = AT(key),
		.min = 1, .max = 1024,
		.example = "/etc/ssl/private/gateway.key",
		.text = "File in PEM of its private key.  Without it the key "
		    "stands in the file of tls.cert."
	}, {
		.key = "tls.passphrase", .type = CONF_STR,
		.off = AT(passphrase), .min = 1, .max = 1024,
		.flags = CONF_F_SECRET,
		.example = "correct horse battery staple",
		.text = "What opens an encrypted key."
	}, {
		.key = "tls.versions", .type = CONF_LIST,
		.off = WORDS(versions), .def = "1.2 1.3",
		.choices = "1.2|1.3", .example = "1.3",
		.text = "Versions of TLS that are spoken with servers."
	}, {
		.key = "tls.ciphers", .type = CONF_LIST,
		.off = WORDS(ciphers),
		.example = "ECDHE-ECDSA-AES128-GCM-SHA256",
		.text = "Ciphers of TLS 1.2 that are offered to servers, by "
		    "the names that OpenSSL has for them; without it, those "
		    "it offers by itself."
	}, {
		.key = "tls.ciphersuites", .type = CONF_LIST,
		.off = WORDS(suites), .example = "TLS_AES_128_GCM_SHA256",
		.text = "Ciphers of TLS 1.3 that are offered to servers."
	}, {
		.key = "tls.groups", .type = CONF_LIST, .off = WORDS(groups),
		.example = "X25519 P-256",
		.text = "Groups for the exchange of keys with servers, the "
		    "best first."
	}, {
		.key = "tls.signatures", .type = CONF_LIST,
		.off = WORDS(signatures),
		.example = "ecdsa_secp256r1_sha256 rsa_pss_rsae_sha256",
		.text = "Algorithms by which servers may sign."
	},
	{ .key = NULL }
};

const struct conf_group server_tls_group = {
	"server_tls", rows, sizeof(struct server_tls_conf), link_tls
};
