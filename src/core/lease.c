/*
 * Leases: exact limits over all processes.  Any process takes and gives
 * for itself; the master returns what the dead held.
 *
 * A process notes in a shadow row that it is about to change a word
 * (intent), changes the word by compare-and-swap, notes what it holds now,
 * counts the deed (seq) and takes the intent back.  A give counts `held`
 * down before the word.  So a kill at any instruction leaves the word
 * equal to what is held, or one too high: never too low, the limit is
 * never passed.  Returning what a dead process held leaves at most that
 * one, which the sweep finds (lease_sweep.c).  The upper half of a word
 * is a version that each change counts up, for the sweep.
 *
 * The rows of a slot are dense, so that a process with few words touches
 * one page of them; which row a word has is known to the process alone.
 * A row that holds nothing is free for another word.
 */
#include "core/lease.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/rand.h"
#include "core/lease_int.h"

#define INDEX_BASE	256	/* words of the first piece of an index */

/* a process's own side */
struct lease {
	/* set once */
	struct shm		*shm;		/* ref */
	struct lease_shadow	*shadow;	/* of shm */
	unsigned		 slot;
	/* which row a word has, + 1 */
	uint16_t		*index[LEASE_KINDS][SHM_CHUNKS]; /* own */
	uint32_t		 top;		/* as in the shadow */
	uint32_t		 nfree;
	uint16_t		 free[LEASE_SHADOWS]; /* rows below top */
	bool			 known:1;	/* the slot has its bit */
};

const struct shm_region lease_heads = {
	"lease_head", SHM_LIVE, 1, sizeof(struct lease_head), 1,
	"what of the leases was ever touched"
};
const struct shm_region lease_words = {
	"lease", SHM_LIVE, 2, sizeof(struct lease_word), 64,
	"words that count what all processes hold"
};
const struct shm_region lease_listeners = {
	"lease_listener", SHM_LIVE, 1, sizeof(struct lease_word), 16,
	"connections of listeners"
};
const struct shm_region lease_addrs = {
	"lease_addr", SHM_LIVE, 1, sizeof(struct lease_bucket), LEASE_BUCKETS,
	"connections and arrivals of client addresses"
};
const struct shm_region lease_shadows = {
	"lease_shadow", SHM_LIVE, 2, sizeof(struct lease_shadow), 16,
	"what a process holds of each word"
};

static uint32_t
get(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

static void
put(_Atomic uint32_t *p, uint32_t v)
{
	atomic_store_explicit(p, v, memory_order_release);
}

int
lease_grow(struct shm *shm, unsigned slots, uint32_t words, struct err *e)
{
	struct lease_head	*h;
	struct rand		 r;

	if (shm_grow(shm, &lease_heads, 1, e) == -1 ||
	    shm_grow(shm, &lease_shadows, slots, e) == -1)
		return -1;
	h = shm_row(shm, &lease_heads, 0);
	if (h->seed == 0) {
		rand_seed(&r);
		h->seed = rand_next(&r) | 1;
	}
	return shm_grow(shm, &lease_words, words, e);
}

uint32_t
lease_count(const _Atomic uint64_t *taken)
{
	return (uint32_t)atomic_load_explicit(taken, memory_order_acquire);
}

_Atomic uint64_t *
lease_taken(struct shm *shm, uint32_t id)
{
	uint32_t	i = LEASE_INDEX(id);

	switch (LEASE_KIND(id)) {
	case 0:
		if (i >= shm_rows(shm, &lease_words))
			return NULL;
		return &((struct lease_word *)shm_row(shm, &lease_words,
		    i))->taken;
	case 1:
		if (i >= shm_rows(shm, &lease_listeners))
			return NULL;
		return &((struct lease_word *)shm_row(shm, &lease_listeners,
		    i))->taken;
	case 2:
		if (i / 16 >= shm_rows(shm, &lease_addrs) ||
		    i % 16 >= LEASE_ENTRIES)
			return NULL;
		return &((struct lease_bucket *)shm_row(shm, &lease_addrs,
		    i / 16))->entry[i % 16].taken;
	default:
		return NULL;
	}
}

/* --- rows of this process --- */

struct lease *
lease_open(struct shm *shm, unsigned slot)
{
	struct lease	*l = must_calloc(1, sizeof(*l));

	l->shm = shm;
	l->slot = slot;
	l->shadow = shm_row(shm, &lease_shadows, slot);
	return l;
}

void
lease_free(struct lease **l)
{
	if (*l == NULL)
		return;
	for (unsigned i = 0; i < LEASE_KINDS; i++)
		for (unsigned k = 0; k < SHM_CHUNKS; k++)
			free((*l)->index[i][k]);
	free(*l);
	*l = NULL;
}

struct shm *
lease_shm(const struct lease *l)
{
	return l->shm;
}

unsigned
lease_slot(const struct lease *l)
{
	return l->slot;
}

uint32_t
lease_used(const struct lease *l)
{
	return l->top - l->nfree;
}

static uint16_t *
place(struct lease *l, uint32_t id)
{
	uint32_t	 row;
	unsigned	 k = shm_place(INDEX_BASE, LEASE_INDEX(id), &row);
	uint16_t	**piece;

	must(LEASE_KIND(id) < LEASE_KINDS && k < SHM_CHUNKS);
	piece = &l->index[LEASE_KIND(id)][k];
	if (*piece == NULL)
		*piece = must_calloc((size_t)INDEX_BASE << k,
		    sizeof(**piece));
	return &(*piece)[row];
}

/* From here on the master and the sweep look at this slot's rows. */
static void
make_known(struct lease *l)
{
	struct lease_head	*h = shm_row(l->shm, &lease_heads, 0);

	put(&l->shadow->top, l->top);
	put(&l->shadow->locking, 0);
	atomic_fetch_or(&h->slots[l->slot / 64], 1ULL << l->slot % 64);
	l->known = true;
}

/* The word's row, with the intent set; NULL if none is free. */
static struct lease_row *
begin(struct lease *l, uint32_t id, uint16_t *at)
{
	struct lease_row	*r;

	if (!l->known)
		make_known(l);
	if (*at == 0 && l->nfree > 0) {
		*at = l->free[--l->nfree] + 1;
	} else if (*at == 0) {
		if (l->top == LEASE_SHADOWS)
			return NULL;
		put(&l->shadow->row[l->top].held, 0);
		put(&l->shadow->row[l->top].intent, 0);
		*at = (uint16_t)++l->top;
		put(&l->shadow->top, l->top);
	}
	r = &l->shadow->row[*at - 1];
	put(&r->word, id + 1);
	put(&r->intent, 1);
	return r;
}

static void
end(struct lease *l, struct lease_row *r, uint16_t *at)
{
	put(&r->intent, 0);
	if (get(&r->held) > 0)
		return;
	l->free[l->nfree++] = *at - 1;
	*at = 0;
}

/* The next value of a word: another count, another version. */
static uint64_t
next(uint64_t was, uint32_t n)
{
	return ((was >> 32) + 1) << 32 | n;
}

static bool
take_one(_Atomic uint64_t *word, uint32_t limit)
{
	uint64_t	was = atomic_load(word);
	uint32_t	n;

	do {
		n = (uint32_t)was;
		if (n == UINT32_MAX || (limit != 0 && n >= limit))
			return false;
	} while (!atomic_compare_exchange_weak(word, &was,
	    next(was, n + 1)));
	return true;
}

/* Gives n back, but never more than are taken. */
static void
give_back(_Atomic uint64_t *word, uint32_t n)
{
	uint64_t	was = atomic_load(word);
	uint32_t	left;

	do
		left = (uint32_t)was > n ? (uint32_t)was - n : 0;
	while (!atomic_compare_exchange_weak(word, &was, next(was, left)));
}

bool
lease_take_max(struct lease *l, uint32_t id, uint32_t limit)
{
	_Atomic uint64_t	*word = lease_taken(l->shm, id);
	uint16_t		*at = place(l, id);
	struct lease_row	*r = begin(l, id, at);
	bool			 ok;

	must(word != NULL);
	if (r == NULL)
		return false;
	ok = take_one(word, limit);
	if (ok) {
		put(&r->held, get(&r->held) + 1);
		put(&r->seq, get(&r->seq) + 1);
	}
	end(l, r, at);
	return ok;
}

bool
lease_take(struct lease *l, uint32_t id)
{
	struct lease_word	*w = shm_row(l->shm, &lease_words, id);

	if (lease_take_max(l, id, get(&w->limit)))
		return true;
	atomic_fetch_add_explicit(&w->refused, 1, memory_order_relaxed);
	return false;
}

uint32_t
lease_room(const struct lease *l, uint32_t id)
{
	struct lease_word	*w = shm_row(l->shm, &lease_words, id);
	uint32_t		 limit = get(&w->limit), n;

	n = (uint32_t)atomic_load(&w->taken);
	if (limit == 0)
		return UINT32_MAX;
	return n < limit ? limit - n : 0;
}

bool
lease_over(const struct lease *l, uint32_t id)
{
	struct lease_word	*w = shm_row(l->shm, &lease_words, id);
	uint32_t		 limit = get(&w->limit);

	return limit != 0 && lease_count(&w->taken) > limit;
}

void
lease_give(struct lease *l, uint32_t id)
{
	_Atomic uint64_t	*word = lease_taken(l->shm, id);
	uint16_t		*at = place(l, id);
	struct lease_row	*r;

	must(word != NULL && *at != 0);
	r = &l->shadow->row[*at - 1];
	must(get(&r->held) > 0);
	put(&r->intent, 1);
	put(&r->held, get(&r->held) - 1);
	give_back(word, 1);
	put(&r->seq, get(&r->seq) + 1);
	end(l, r, at);
}

void
lease_locking(struct lease *l, uint32_t bucket)
{
	if (!l->known)
		make_known(l);
	put(&l->shadow->locking, bucket + 1);
}

void
lease_unlocked(struct lease *l)
{
	put(&l->shadow->locking, 0);
}

/* --- the master's side --- */

bool
lease_is_known(struct shm *shm, unsigned slot)
{
	struct lease_head	*h = shm_row(shm, &lease_heads, 0);

	return slot < SLOT_MAX &&
	    (atomic_load(&h->slots[slot / 64]) >> slot % 64 & 1) != 0;
}

uint32_t
lease_top(const struct lease_shadow *s)
{
	uint32_t	top = get(&s->top);

	return top < LEASE_SHADOWS ? top : LEASE_SHADOWS;
}

static void
unlock_for(struct shm *shm, unsigned slot, uint32_t bucket)
{
	struct lease_bucket	*b;
	uint32_t		 was = slot + 1;

	if (bucket == 0 || bucket > shm_rows(shm, &lease_addrs))
		return;
	b = shm_row(shm, &lease_addrs, bucket - 1);
	(void)atomic_compare_exchange_strong(&b->lock, &was, 0);
}

/* As if its owner gave all of it back. */
static void
return_row(struct shm *shm, struct lease_row *r)
{
	uint32_t		 word = get(&r->word), held = get(&r->held);
	_Atomic uint64_t	*taken = NULL;

	put(&r->intent, 1);
	put(&r->held, 0);
	if (word != 0 && held != 0)
		taken = lease_taken(shm, word - 1);
	if (taken != NULL)
		give_back(taken, held);
	put(&r->seq, get(&r->seq) + 1);
	put(&r->word, 0);
	put(&r->intent, 0);
}

void
lease_return(struct shm *shm, unsigned slot)
{
	struct lease_shadow	*s;
	uint32_t		 top;

	if (!lease_is_known(shm, slot))
		return;
	s = shm_row(shm, &lease_shadows, slot);
	top = lease_top(s);
	for (uint32_t i = 0; i < top; i++)
		return_row(shm, &s->row[i]);
	unlock_for(shm, slot, get(&s->locking));
	put(&s->locking, 0);
	put(&s->top, 0);
}
