/*
 * The sum of attempts under way, put right.  Health process.
 *
 * An attempt is in the shared word before and after it is in its
 * process's row, so a process that is between the two looks like a dead
 * one; a second later it is not there any more.  A sum counts only if the
 * shared word was the same before and after it: it holds the number of
 * all attempts, too, so it is never the same by chance.
 */
#include "up/use_sweep.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "core/board.h"
#include "up/server_use.h"
#include "up/upstream_rows.h"

#define TRIES	4	/* of a sum of a server that is busy */

static uint64_t
sum_of(const struct shm *shm, uint32_t row, uint64_t tag)
{
	uint32_t		 n = shm_rows(shm, &board_slots);
	const struct board_slot	*b;
	const struct server_use	*u;
	struct use_sum		 sum = { .open = 0 };

	for (uint32_t i = 1; i < n && i < SLOT_MAX; i++) {
		b = shm_row((struct shm *)(uintptr_t)shm, &board_slots, i);
		if (atomic_load(&b->state) == SLOT_FREE || !use_has(shm, i))
			continue;
		u = use_row(shm, row, i);
		if (u != NULL && atomic_load(&u->tag) == tag)
			sum.active += atomic_load(&u->active);
	}
	return sum.active;
}

/* By how much the word is too high; -1: it does not stand still. */
static int64_t
look(const struct shm *shm, const struct board_server_live *l,
    uint32_t row, uint64_t *word)
{
	uint64_t	sum, n;

	for (unsigned i = 0; i < TRIES; i++) {
		*word = atomic_load(&l->load);
		n = *word & LOAD_ACTIVE;
		if (n == 0)
			return 0;
		sum = sum_of(shm, row, atomic_load(&l->tag));
		if (atomic_load(&l->load) == *word)
			return sum < n ? (int64_t)(n - sum) : 0;
	}
	return -1;
}

static bool
sweep_one(struct use_look *k, const struct shm *shm,
    struct board_server_live *l, uint32_t row)
{
	uint64_t	tag = atomic_load(&l->tag), word;
	int64_t		over;

	if (k->tag != tag)
		*k = (struct use_look){ .tag = tag };
	over = look(shm, l, row, &word);
	if (over < 0)
		return false;
	if (over == 0) {
		k->looks = 0;
		return false;
	}
	if (k->looks++ == 0 || over < k->over)
		k->over = (uint32_t)over;
	if (k->looks < USE_LOOKS)
		return false;
	k->looks = 0;
	use_take_back(l, k->over);
	return true;
}

unsigned
use_sweep(struct use_looks *all, struct shm *shm)
{
	uint32_t			 n;
	unsigned			 mended = 0;
	struct board_server_live	*l;

	n = upstream_rows_used(shm);
	if (n > all->n) {
		all->v = must_realloc(all->v, n * sizeof(*all->v));
		memset(all->v + all->n, 0,
		    (n - all->n) * sizeof(*all->v));
		all->n = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		l = shm_row(shm, &board_servers_live, i);
		mended += sweep_one(&all->v[i], shm, l, i);
	}
	return mended;
}

void
use_sweep_fini(struct use_looks *all)
{
	free(all->v);
}
