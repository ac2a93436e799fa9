/*
 * Keys of session tickets.  Workers; the builder reads files of seeds.
 *
 * A ticket is sealed with AES-256 in CBC and HMAC-SHA256 behind it, which
 * is what OpenSSL's callback is made for (RFC 5077 4).
 */
#include "tls/ticket.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <limits.h>
#include <string.h>

#include "base/list.h"
#include "base/must.h"
#include "base/vec.h"
#include "conf/load.h"
#include "tls/cert_file.h"

#define AT(member)	offsetof(struct ticket_conf, member)
#define MINUTE_MS	(60 * INT64_C(1000))
#define DAY_MS		(24 * 60 * MINUTE_MS)

static const char	salt[] = "sluice: session tickets";

/* --- deriving --- */

/* HKDF-SHA256 (RFC 5869) of a seed. */
static int
derive(EVP_KDF_CTX *kdf, const struct tls_seeds *s, uint32_t i,
    const struct tls_digest *d, struct ticket_key *out)
{
	OSSL_PARAM	p[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
		    (char *)(uintptr_t)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
		    (void *)(uintptr_t)s->v[i], s->len[i]),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
		    (void *)(uintptr_t)salt, sizeof(salt) - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
		    (void *)(uintptr_t)d->v, sizeof(d->v)),
		OSSL_PARAM_construct_end()
	};

	EVP_KDF_CTX_reset(kdf);
	return EVP_KDF_derive(kdf, (unsigned char *)out, sizeof(*out), p) ==
	    1 ? 0 : -1;
}

void
ticket_init(struct ticket_ring *r)
{
	memset(r, 0, sizeof(*r));
	r->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	must(r->cipher != NULL);
}

void
ticket_fini(struct ticket_ring *r)
{
	EVP_CIPHER_free(r->cipher);
	OPENSSL_cleanse(r, sizeof(*r));
}

int
ticket_fit(struct ticket_ring *r, const struct tls_seeds *s,
    const struct tls_digest *d)
{
	EVP_KDF		*hkdf;
	EVP_KDF_CTX	*kdf;
	uint32_t	 i = 0;

	if (s->n == 0)
		return -1;
	if (r->n > 0 && r->version == s->version)
		return 0;
	hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	must(hkdf != NULL);
	kdf = EVP_KDF_CTX_new(hkdf);
	EVP_KDF_free(hkdf);
	must(kdf != NULL);
	while (i < s->n && derive(kdf, s, i, d, &r->v[i]) == 0)
		i++;
	EVP_KDF_CTX_free(kdf);
	r->n = i;
	r->version = s->version;
	return i == s->n ? 0 : -1;
}

/* --- sealing and opening --- */

static int
set_mac(EVP_MAC_CTX *mac, const struct ticket_key *k)
{
	OSSL_PARAM	p[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
		    (void *)(uintptr_t)k->mac, sizeof(k->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
		    (char *)(uintptr_t)"SHA256", 0),
		OSSL_PARAM_construct_end()
	};

	return EVP_MAC_CTX_set_params(mac, p) == 1 ? 0 : -1;
}

int
ticket_seal(const struct ticket_ring *r, unsigned char *name,
    unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	const struct ticket_key	*k = &r->v[0];
	int			 n = EVP_CIPHER_get_iv_length(r->cipher);

	must(r->n > 0);
	memcpy(name, k->name, TICKET_NAME);
	if (RAND_bytes(iv, n) != 1 ||
	    EVP_EncryptInit_ex2(cipher, r->cipher, k->cipher, iv, NULL) != 1)
		return -1;
	return set_mac(mac, k);
}

int
ticket_open(const struct ticket_ring *r, const unsigned char *name,
    const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	const struct ticket_key	*k;
	uint32_t		 i = 0;

	while (i < r->n && memcmp(r->v[i].name, name, TICKET_NAME) != 0)
		i++;
	if (i == r->n)
		return 0;
	k = &r->v[i];
	if (set_mac(mac, k) == -1 || EVP_DecryptInit_ex2(cipher, r->cipher,
	    k->cipher, iv, NULL) != 1)
		return -1;
	return i == 0 ? 1 : 2;
}

/* --- configuration --- */

const struct ticket_conf *
ticket_of(const struct conf *c)
{
	const uint64_t	*rotate = conf_value(c, "sluice",
	    "tls.ticket_rotate");

	/* the row of its first member */
	return (const void *)((const char *)rotate - AT(rotate_ms));
}

static int
fail_file(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, const char *why)
{
	diag_at(conf_load_diags(load), DIAG_TICKET_FILE, &it->vspan, NULL,
	    row->key, "\"%.*s\" %s", STR_FMT(str_sub(it->val, 0, 200)), why);
	return -1;
}

/* 48 or 80 random bytes, as others have such files. */
static int
read_key(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str *key)
{
	struct str		 path = conf_path(load, it);
	struct cert_file	 f = { .text = STR_NONE };
	char			 name[PATH_MAX];
	struct err		 e;
	int			 rc = 0;

	*key = STR_NONE;
	if (conf_load_opts(load)->memory != NULL)
		return 0;
	if (str_to_c(path, name, sizeof(name)) == -1)
		return fail_file(load, row, it, "is too long a path");
	if (cert_file_read(name, &f, &e) == -1)
		return fail_file(load, row, it, e.text);
	if (f.text.n != 48 && f.text.n != TLS_SEED_MAX)
		rc = fail_file(load, row, it, "has neither 48 nor 80 bytes");
	else if (f.st.st_mode & 077 & ~040)
		rc = fail_file(load, row, it, "may be read by others: its "
		    "mode must be 0600 or 0640");
	else
		*key = arena_dup(conf_load_secret(load), f.text);
	cert_file_drop(&f);
	return rc;
}

static int
parse_files(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct ticket_conf	*c = container_of((struct conf_list *)dst,
	    struct ticket_conf, files);
	struct str		*keys, *paths;
	struct tls_digest	*prints;
	int			 rc = 0;

	if (n > TLS_SEEDS)
		return fail_file(load, row, &items[TLS_SEEDS],
		    "is one too many: there may be three");
	keys = arena_alloc(conf_load_secret(load), n * sizeof(*keys));
	paths = arena_alloc(conf_load_arena(load), n * sizeof(*paths));
	prints = arena_alloc(conf_load_arena(load), n * sizeof(*prints));
	for (size_t i = 0; i < n; i++) {
		paths[i] = conf_path(load, &items[i]);
		if (read_key(load, row, &items[i], &keys[i]) == -1)
			rc = -1;
		must(EVP_Digest(keys[i].p, keys[i].n, prints[i].v, NULL,
		    EVP_sha256(), NULL) == 1);
	}
	c->files = (struct conf_list){ paths, n };
	c->keys = keys;
	c->prints = prints;
	c->nkey = conf_load_opts(load)->memory == NULL ? n : 0;
	return rc;
}

static const struct conf_row rows[] = {
	{
		.key = "tls.ticket_rotate", .type = CONF_TIME,
		.unit = CONF_SECONDS, .off = AT(rotate_ms), .def = "12h",
		.min = 1000, .max = 3 * DAY_MS, .example = "1h",
		.text = "How often the key that seals session tickets is "
		    "replaced.  Two older ones are still accepted, and a "
		    "session lasts for twice that time, a day at most.  All "
		    "processes have the same keys; they live in memory "
		    "alone, over reloads and upgrades but not over a "
		    "restart."
	}, {
		.key = "tls.ticket_key_file", .type = CONF_CUSTOM,
		.off = AT(files), .parse = parse_files,
		.flags = CONF_F_MANY | CONF_F_LINES,
		.example = "/etc/sluice/ticket.key",
		.text = "Keys of session tickets for several machines, so "
		    "that a session of one is known to all, in place of "
		    "those that rotate here: a file of 48 or 80 random "
		    "bytes, of mode 0600 or 0640.  The key may stand there "
		    "up to three times, with a file each: the first seals, "
		    "all open.  They are read at each reload; give a new "
		    "key to all machines as the second before it becomes "
		    "the first.  Whoever has these bytes can read what was "
		    "said in sessions of TLS 1.2."
	},
	{ .key = NULL }
};

const struct conf_group ticket_group = {
	"ticket", rows, sizeof(struct ticket_conf), NULL
};
