/*
 * The sweep of leases: makes words equal to what processes say they hold.
 * Health.
 *
 * It reads all words and then all rows in use.  A word that still has the
 * version it had before did not change while the rows were read: who had
 * changed it before has noted in his row, before, that he would, and has
 * noted since, or not yet taken back the intent, what he did.  So if no
 * row of the word was at it, the rows are right, and what the word has
 * more than they is lost.  It is exchanged if its version is the same.
 *
 * Pages of rows and words that nobody touched are not touched here.
 */
#include <stdlib.h>

#include "base/must.h"
#include "core/lease_int.h"

#define SWEEP_TRIES	16

struct view {
	uint64_t	taken;		/* the word, before */
	uint64_t	held;		/* what the rows say of it */
	bool		busy;
};

struct sweep {
	struct shm	*shm;		/* ref */
	uint32_t	 n[LEASE_KINDS];
	struct view	*v[LEASE_KINDS];	/* own */
	unsigned	 repaired;
	unsigned	 unsure;
};

typedef void (*word_fn)(struct sweep *, struct view *, _Atomic uint64_t *);

static uint32_t
get(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

/* --- rows --- */

/*
 * An act on the row that begins or ends meanwhile shows in the intent or
 * in seq.
 */
static void
add_row(struct sweep *s, const struct lease_row *r)
{
	uint32_t	 word = get(&r->word), seq;
	struct view	*v;

	if (word == 0)
		return;
	word--;
	if (LEASE_KIND(word) >= LEASE_KINDS ||
	    LEASE_INDEX(word) >= s->n[LEASE_KIND(word)])
		return;
	v = &s->v[LEASE_KIND(word)][LEASE_INDEX(word)];
	seq = get(&r->seq);
	v->busy |= get(&r->intent) != 0;
	v->held += get(&r->held);
	v->busy |= get(&r->intent) != 0 || get(&r->seq) != seq;
}

static void
read_rows(struct sweep *s)
{
	uint32_t		 nslot = shm_rows(s->shm, &lease_shadows);
	uint32_t		 top;
	struct lease_shadow	*sh;

	for (uint32_t slot = 0; slot < nslot; slot++) {
		if (!lease_is_known(s->shm, slot))
			continue;
		sh = shm_row(s->shm, &lease_shadows, slot);
		top = lease_top(sh);
		for (uint32_t i = 0; i < top; i++)
			add_row(s, &sh->row[i]);
	}
}

/* --- words --- */

static void
each_named(struct sweep *s, const struct shm_region *region, uint32_t bits,
    word_fn fn)
{
	unsigned		 kind = LEASE_KIND(bits);
	struct lease_word	*w;

	for (uint32_t i = 0; i < s->n[kind]; i++) {
		w = shm_row(s->shm, region, i);
		if (atomic_load_explicit(&w->tag, memory_order_acquire) != 0)
			fn(s, &s->v[kind][i], &w->taken);
	}
}

static void
each_entry(struct sweep *s, uint32_t bucket, word_fn fn)
{
	struct lease_bucket	*b = shm_row(s->shm, &lease_addrs, bucket);

	for (uint32_t i = 0; i < LEASE_ENTRIES; i++)
		fn(s, &s->v[LEASE_KIND(LEASE_ADDR)][bucket << 4 | i],
		    &b->entry[i].taken);
}

static void
each_word(struct sweep *s, word_fn fn)
{
	struct lease_head	*h = shm_row(s->shm, &lease_heads, 0);
	uint32_t		 n = s->n[LEASE_KIND(LEASE_ADDR)] / 16;

	each_named(s, &lease_words, 0, fn);
	each_named(s, &lease_listeners, LEASE_LISTENER, fn);
	for (uint32_t i = 0; i < n; i++) {
		if ((atomic_load(&h->pages[i / 1024]) >> i / 16 % 64 & 1) == 0)
			i |= 15;
		else
			each_entry(s, i, fn);
	}
}

/* --- the sweep --- */

static void
read_word(struct sweep *s, struct view *v, _Atomic uint64_t *word)
{
	(void)s;
	v->taken = atomic_load(word);
}

static void
repair(struct sweep *s, struct view *v, _Atomic uint64_t *word)
{
	uint64_t	was = v->taken;

	if (!v->busy && v->held == (uint32_t)was)
		return;
	if (!v->busy && v->held <= UINT32_MAX &&
	    atomic_compare_exchange_strong(word, &was,
	    ((was >> 32) + 1) << 32 | v->held))
		s->repaired++;
	else
		s->unsure++;
}

static void
sweep_once(struct sweep *s)
{
	/* calloc of much gives pages that cost nothing until written */
	for (unsigned i = 0; i < LEASE_KINDS; i++)
		s->v[i] = s->n[i] == 0 ? NULL :
		    must_calloc(s->n[i], sizeof(struct view));
	s->unsure = 0;
	each_word(s, read_word);
	read_rows(s);
	each_word(s, repair);
	for (unsigned i = 0; i < LEASE_KINDS; i++)
		free(s->v[i]);
}

unsigned
lease_sweep(struct shm *shm)
{
	struct sweep	s = { .shm = shm, .unsure = 1 };

	s.n[0] = shm_rows(shm, &lease_words);
	s.n[1] = shm_rows(shm, &lease_listeners);
	s.n[2] = shm_rows(shm, &lease_addrs) * 16;
	for (int n = 0; n < SWEEP_TRIES && s.unsure > 0; n++)
		sweep_once(&s);
	return s.repaired;
}
