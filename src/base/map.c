/*
 * A hash table from slices to pointers.  Set-up code and the tables a
 * process keeps for itself.
 *
 * Linear probing over a power of two, at most three quarters full.  The
 * hash is SipHash-1-3 under the table's seed, since keys may come from
 * the network, and who knows str_hash can make names collide.  A
 * deletion moves later entries of the run back into the hole, so there
 * are no tombstones and a table that is used for years does not rot.
 */
#include "base/map.h"

#include <stdlib.h>

#include "base/must.h"

#define CAP_MIN	16

struct sip {
	uint64_t	v0;
	uint64_t	v1;
	uint64_t	v2;
	uint64_t	v3;
};

static uint64_t
rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static void
mix(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static void
absorb(struct sip *s, uint64_t w)
{
	s->v3 ^= w;
	mix(s);
	s->v0 ^= w;
}

/*
 * The second half of the key is the seed turned over.  Words are read in
 * the machine's own order: the hash never leaves the machine.
 */
uint64_t
map_hash(uint64_t seed, struct str key)
{
	uint64_t	k1 = ~rotl(seed, 32);
	struct sip	s = {
		seed ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
		seed ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL
	};
	uint64_t	w;
	size_t		i;

	for (i = 0; key.n - i >= sizeof(w); i += sizeof(w)) {
		memcpy(&w, key.p + i, sizeof(w));
		absorb(&s, w);
	}
	w = 0;
	if (i < key.n)
		memcpy(&w, key.p + i, key.n - i);
	absorb(&s, w);
	/* The length is a word of its own: the rest has no room for it. */
	absorb(&s, key.n);
	s.v2 ^= 0xff;
	mix(&s);
	mix(&s);
	mix(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* The entry of key, or the free slot where it would go.  cap is not 0. */
static struct map_entry *
probe(const struct map *m, struct str key, uint64_t hash)
{
	size_t			 mask = m->cap - 1;
	size_t			 i = (size_t)hash & mask;
	struct map_entry	*e;

	for (;; i = (i + 1) & mask) {
		e = &m->tab[i];
		if (e->key.p == NULL)
			return e;
		if (e->hash == hash && str_eq(e->key, key))
			return e;
	}
}

static void
grow(struct map *m)
{
	struct map_entry	*old = m->tab;
	size_t			 ncap = m->cap;
	size_t			 i;

	m->cap = ncap == 0 ? CAP_MIN : ncap * 2;
	m->tab = must_calloc(m->cap, sizeof(*m->tab));
	for (i = 0; i < ncap; i++)
		if (old[i].key.p != NULL)
			*probe(m, old[i].key, old[i].hash) = old[i];
	free(old);
}

void
map_init(struct map *m, uint64_t seed)
{
	*m = (struct map){ .seed = seed };
}

/* The map is empty afterwards and may be used again, with its seed. */
void
map_fini(struct map *m)
{
	free(m->tab);
	map_init(m, m->seed);
}

void *
map_find(const struct map *m, struct str key)
{
	if (m->n == 0)
		return NULL;
	return probe(m, key, map_hash(m->seed, key))->val;
}

void *
map_add(struct map *m, struct str key, void *val)
{
	struct map_entry	*e;
	uint64_t		 hash;
	void			*old;

	if (m->n + 1 > m->cap / 4 * 3)
		grow(m);
	hash = map_hash(m->seed, key);
	e = probe(m, key, hash);
	old = e->val;
	m->n += e->key.p == NULL;
	/* The new key too: the old one often lives in the old value. */
	e->key = key.p != NULL ? key : STR("");
	e->hash = hash;
	e->val = val;
	return old;
}

/*
 * Closes the hole at i.  An entry moves into it unless its home lies
 * behind the hole, that is, unless it sits nearer to its home than to i.
 */
static void
close_hole(struct map *m, size_t i)
{
	size_t	mask = m->cap - 1;
	size_t	j = i;
	size_t	home;

	for (;;) {
		j = (j + 1) & mask;
		if (m->tab[j].key.p == NULL)
			break;
		home = (size_t)m->tab[j].hash & mask;
		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		m->tab[i] = m->tab[j];
		i = j;
	}
	m->tab[i] = (struct map_entry){ .val = NULL };
}

void *
map_del(struct map *m, struct str key)
{
	struct map_entry	*e;
	void			*old;

	if (m->n == 0)
		return NULL;
	e = probe(m, key, map_hash(m->seed, key));
	if (e->key.p == NULL)
		return NULL;
	old = e->val;
	m->n--;
	close_hole(m, (size_t)(e - m->tab));
	return old;
}

bool
map_next(const struct map *m, size_t *i, struct str *key, void **val)
{
	while (*i < m->cap) {
		const struct map_entry	*e = &m->tab[(*i)++];

		if (e->key.p == NULL)
			continue;
		*key = e->key;
		*val = e->val;
		return true;
	}
	return false;
}
