/*
 * Leases: exact limits over all processes.  Any process takes and gives
 * for itself; the master returns what the dead held and sweeps.
 *
 * A process notes in its shadow row that it is about to change a word
 * (intent), changes the word by compare-and-swap, notes what it holds now,
 * counts the deed (seq) and takes the intent back.  A give counts `held`
 * down before the word.  So a kill at any instruction leaves the word
 * equal to what is held, or one too high: never too low, the limit is
 * never passed.  Returning what a dead process held leaves at most that
 * one, which the sweep finds.
 *
 * The sweep passes over words that count nothing and touches no page of
 * shadows for them.  Of the others it reads the shadows of all slots twice
 * and the word in between.  If no intent was seen and no seq moved, no
 * shadow changed from the one reading to the other, and word and shadows
 * belong together; what the word has more than they is lost.  Takes and
 * gives that end later move both alike, so the difference stays right
 * until the word is exchanged, which fails if it changed.
 *
 * The shadows of a slot are a small open hash table; rows are never
 * emptied while the process lives, one that holds nothing is given to
 * another word when the table is full.
 */
#include "core/lease.h"

#include "base/must.h"

#define SWEEP_TRIES	64

_Static_assert(sizeof(struct lease_shadow) == LEASE_SHADOWS * 16, "shadow");

const struct shm_region lease_words = {
	"lease", SHM_LIVE, 1, sizeof(struct lease_word), 64,
	"words that count what all processes hold"
};
const struct shm_region lease_shadows = {
	"lease_shadow", SHM_LIVE, 1, sizeof(struct lease_shadow), 16,
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
	if (shm_grow(shm, &lease_shadows, slots, e) == -1)
		return -1;
	return shm_grow(shm, &lease_words, words, e);
}

/* Index of the word's row, or of the free one where it would stand; or
 * LEASE_SHADOWS when it is absent and the table full. */
static unsigned
look(const struct lease_shadow *s, uint32_t word)
{
	unsigned	i = word % LEASE_SHADOWS;
	uint32_t	w;

	for (unsigned n = 0; n < LEASE_SHADOWS; n++) {
		w = get(&s->row[i].word);
		if (w == word + 1 || w == 0)
			return i;
		i = (i + 1) % LEASE_SHADOWS;
	}
	return LEASE_SHADOWS;
}

/* The row of the word, made if need be; LEASE_SHADOWS if none is free. */
static unsigned
claim(struct lease_shadow *s, uint32_t word)
{
	unsigned	i = look(s, word);

	if (i == LEASE_SHADOWS)
		for (i = 0; i < LEASE_SHADOWS; i++)
			if (get(&s->row[i].held) == 0)
				break;
	if (i < LEASE_SHADOWS)
		put(&s->row[i].word, word + 1);
	return i;
}

static bool
take_one(struct lease_word *w)
{
	uint32_t	limit = get(&w->limit);
	uint32_t	taken = get(&w->taken);

	do {
		if (taken == UINT32_MAX || (limit != 0 && taken >= limit))
			return false;
	} while (!atomic_compare_exchange_weak(&w->taken, &taken, taken + 1));
	return true;
}

/* Gives n back, but never more than are taken. */
static void
give_back(struct lease_word *w, uint32_t n)
{
	uint32_t	taken = get(&w->taken);
	uint32_t	left;

	do
		left = taken > n ? taken - n : 0;
	while (!atomic_compare_exchange_weak(&w->taken, &taken, left));
}

bool
lease_take(struct shm *shm, unsigned slot, uint32_t word)
{
	struct lease_shadow	*s = shm_row(shm, &lease_shadows, slot);
	struct lease_word	*w = shm_row(shm, &lease_words, word);
	unsigned		 i = claim(s, word);
	bool			 ok = false;

	if (i < LEASE_SHADOWS) {
		put(&s->row[i].intent, 1);
		ok = take_one(w);
		if (ok) {
			put(&s->row[i].held, get(&s->row[i].held) + 1);
			put(&s->row[i].seq, get(&s->row[i].seq) + 1);
		}
		put(&s->row[i].intent, 0);
	}
	if (!ok)
		atomic_fetch_add_explicit(&w->refused, 1,
		    memory_order_relaxed);
	return ok;
}

void
lease_give(struct shm *shm, unsigned slot, uint32_t word)
{
	struct lease_shadow	*s = shm_row(shm, &lease_shadows, slot);
	struct lease_word	*w = shm_row(shm, &lease_words, word);
	unsigned		 i = look(s, word);

	must(i < LEASE_SHADOWS && get(&s->row[i].held) > 0);
	put(&s->row[i].intent, 1);
	put(&s->row[i].held, get(&s->row[i].held) - 1);
	give_back(w, 1);
	put(&s->row[i].seq, get(&s->row[i].seq) + 1);
	put(&s->row[i].intent, 0);
}

void
lease_return(struct shm *shm, unsigned slot)
{
	struct lease_shadow	*s = shm_row(shm, &lease_shadows, slot);
	uint32_t		 nword = shm_rows(shm, &lease_words);
	uint32_t		 word, held;

	for (unsigned i = 0; i < LEASE_SHADOWS; i++) {
		word = get(&s->row[i].word);
		held = get(&s->row[i].held);
		put(&s->row[i].held, 0);
		put(&s->row[i].intent, 0);
		put(&s->row[i].seq, 0);
		put(&s->row[i].word, 0);
		if (word != 0 && word <= nword && held != 0)
			give_back(shm_row(shm, &lease_words, word - 1), held);
	}
}

/* what the shadows say of a word */
struct view {
	uint64_t	held;
	uint64_t	seqs;
	bool		busy;
};

static struct view
view(const struct shm *shm, uint32_t word, uint32_t nslot)
{
	struct view		 v = { 0 };
	struct lease_shadow	*s;
	unsigned		 i;

	for (uint32_t slot = 0; slot < nslot; slot++) {
		s = shm_row(shm, &lease_shadows, slot);
		i = look(s, word);
		if (i == LEASE_SHADOWS || get(&s->row[i].word) == 0)
			continue;
		v.seqs += get(&s->row[i].seq);
		v.busy |= get(&s->row[i].intent) != 0;
		v.held += get(&s->row[i].held);
	}
	return v;
}

/* 1 if it was repaired, 0 if it was right, -1 if it changed meanwhile. */
static int
try_repair(struct shm *shm, uint32_t word, uint32_t nslot)
{
	struct lease_word	*w = shm_row(shm, &lease_words, word);
	struct view		 a = view(shm, word, nslot);
	uint32_t		 taken = get(&w->taken);
	struct view		 b;

	if (a.held == taken && !a.busy)
		return 0;
	b = view(shm, word, nslot);
	if (a.busy || b.busy || a.seqs != b.seqs || a.held != b.held ||
	    a.held > UINT32_MAX)
		return -1;
	return atomic_compare_exchange_strong(&w->taken, &taken,
	    (uint32_t)a.held) ? 1 : -1;
}

static bool
is_used(const struct lease_word *w)
{
	return atomic_load_explicit(&w->tag, memory_order_acquire) != 0;
}

unsigned
lease_sweep(struct shm *shm)
{
	uint32_t	nword = shm_rows(shm, &lease_words);
	uint32_t	nslot = shm_rows(shm, &lease_shadows);
	unsigned	repaired = 0;
	int		rc;

	for (uint32_t word = 0; word < nword; word++) {
		if (!is_used(shm_row(shm, &lease_words, word)))
			continue;
		rc = -1;
		for (int n = 0; n < SWEEP_TRIES && rc == -1; n++)
			rc = try_repair(shm, word, nslot);
		repaired += rc == 1;
	}
	return repaired;
}
