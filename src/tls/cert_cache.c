/*
 * Certificates and keys in use: a map by id and a list by use.
 */
#include "tls/cert_cache.h"

#include <openssl/err.h>
#include <openssl/rand.h>

#include <stdlib.h>

#include "base/map.h"
#include "base/must.h"

struct cert_cache {
	struct map	 by_id;		/* struct cert_loaded */
	struct list	 used;		/* own: all of them */
	size_t		 max;
	unsigned	 refs;
};

static struct str
id_of(const uint8_t *id)
{
	return str_make((const char *)id, TLS_ID_BYTES);
}

struct cert_cache *
cert_cache_new(size_t max)
{
	struct cert_cache	*cc = must_calloc(1, sizeof(*cc));

	must(max > 0);
	/* ids are digests: nobody chooses how they collide */
	map_init(&cc->by_id, 0);
	list_init(&cc->used);
	cc->max = max;
	cc->refs = 1;
	return cc;
}

static void
free_loaded(struct cert_loaded *l)
{
	X509_free(l->leaf);
	sk_X509_pop_free(l->chain, X509_free);
	EVP_PKEY_free(l->key);
	free(l);
}

static void
drop(struct cert_cache *cc, struct cert_loaded *l)
{
	map_del(&cc->by_id, id_of(l->id));
	list_del(&l->node);
	free_loaded(l);
}

/* Lets go of those not used for longest. */
static void
cut(struct cert_cache *cc, size_t max)
{
	while (cc->by_id.n > max)
		drop(cc, container_of(cc->used.prev, struct cert_loaded,
		    node));
}

struct cert_cache *
cert_cache_ref(struct cert_cache *cc)
{
	cc->refs++;
	return cc;
}

void
cert_cache_unref(struct cert_cache **ccp)
{
	struct cert_cache	*cc = *ccp;

	*ccp = NULL;
	if (cc == NULL || --cc->refs > 0)
		return;
	cut(cc, 0);
	map_fini(&cc->by_id);
	free(cc);
}

void
cert_cache_limit(struct cert_cache *cc, size_t max)
{
	must(max > 0);
	cc->max = max;
	cut(cc, max);
}

size_t
cert_cache_count(const struct cert_cache *cc)
{
	return cc->by_id.n;
}

/* --- making one --- */

static X509 *
parse_cert(struct str der)
{
	const unsigned char	*p = (const unsigned char *)der.p;

	return d2i_X509(NULL, &p, (long)der.n);
}

static bool
parse(struct cert_loaded *l, const struct tls_cert *c)
{
	static const int	 kinds[TLS_NKIND] = { EVP_PKEY_RSA,
		EVP_PKEY_EC, EVP_PKEY_ED25519 };
	const unsigned char	*p = (const unsigned char *)c->key.p;
	X509			*x;

	l->leaf = parse_cert(c->chain[0]);
	l->chain = sk_X509_new_null();
	l->key = d2i_PrivateKey(kinds[c->kind], NULL, &p, (long)c->key.n);
	if (l->leaf == NULL || l->chain == NULL || l->key == NULL)
		return false;
	for (size_t i = 1; i < c->nchain; i++) {
		x = parse_cert(c->chain[i]);
		if (x == NULL || sk_X509_push(l->chain, x) == 0) {
			X509_free(x);
			return false;
		}
	}
	return true;
}

const struct cert_loaded *
cert_cache_get(struct cert_cache *cc, const struct tls_cert *c)
{
	struct cert_loaded	*l = map_find(&cc->by_id, id_of(c->id));

	if (l != NULL) {
		list_del(&l->node);
		list_add(&cc->used, &l->node);
		return l;
	}
	l = must_calloc(1, sizeof(*l));
	if (!parse(l, c)) {
		ERR_clear_error();
		free_loaded(l);
		return NULL;
	}
	memcpy(l->id, c->id, sizeof(l->id));
	cut(cc, cc->max - 1);
	map_add(&cc->by_id, id_of(l->id), l);
	list_add(&cc->used, &l->node);
	return l;
}
