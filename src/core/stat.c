/*
 * Counters and gauges: the table of them, adding to one's own row, and
 * sums over all rows.  All processes add; control and sluicectl sum.
 *
 * A row has one writer, so a counter is a load and a store.  Sums run
 * while rows change; only folding, which moves a row into the totals, is
 * kept apart by a sequence number that is odd meanwhile.
 */
#include "core/stat.h"

#include <sched.h>

#include "core/board.h"
#include "os/proc.h"

/* Rounds until a reader believes that the folding master is dead. */
#define PATIENCE	10000

const struct stat_row stat_rows[] = {
#define STAT(id, name, kind, help)	{ name, STAT_##kind, help, NULL },
#include "core/stat.tbl"
#undef STAT
#define FAIL(id, name, ...)						\
	{ "requests_failed_total", STAT_COUNTER,			\
	    "Requests that ended with this failure, and connections "	\
	    "that did before their first (handshakes)", name },
#include "http/fail.tbl"
#undef FAIL
#define FAIL(id, name, ...)						\
	{ "upstream_attempts_failed_total", STAT_COUNTER,		\
	    "Attempts at servers that ended with this failure", name },
#include "http/fail.tbl"
#undef FAIL
};

struct board *
board_self(void)
{
	return self == NULL ? NULL : self->board;
}

void
stat_add(enum stat_id id, uint64_t n)
{
	struct board		*b = board_self();
	_Atomic uint64_t	*v;

	if (b == NULL)
		return;
	v = &b->stat[id];
	atomic_store_explicit(v,
	    atomic_load_explicit(v, memory_order_relaxed) + n,
	    memory_order_release);
}

/* Far from 0 on both sides, and from what a counter may come to. */
#define LEFT_ZERO	(INT64_C(1) << 40)

uint64_t
stat_left_word(int64_t left)
{
	return left <= -LEFT_ZERO || left >= LEFT_ZERO ? 0 :
	    (uint64_t)(left + LEFT_ZERO);
}

bool
stat_left(uint64_t word, int64_t *left)
{
	*left = (int64_t)word - LEFT_ZERO;
	return word > 0 && word < (uint64_t)(2 * LEFT_ZERO);
}

/* Adding the complement is subtracting, modulo 2^64. */
void
stat_sub(enum stat_id id, uint64_t n)
{
	stat_add(id, 0 - n);
}

static uint64_t
sum(const struct shm *shm, enum stat_id id)
{
	struct board_stat	*row = shm_row(shm, &board_totals, 0);
	uint32_t		 n = shm_rows(shm, &board_stats);
	uint64_t		 v;

	v = atomic_load_explicit(&row->v[id], memory_order_acquire);
	for (uint32_t i = 0; i < n; i++) {
		row = shm_row(shm, &board_stats, i);
		v += atomic_load_explicit(&row->v[id], memory_order_acquire);
	}
	return v;
}

/*
 * Sums of the ids from first to last, the last one first: stat.tbl has
 * what is derived behind what it is derived from, and a finish read before
 * the starts cannot lack its start.
 */
static void
sums(const struct shm *shm, unsigned first, unsigned last, uint64_t *v)
{
	const struct board_global	*g = shm_row(shm, &board_globals, 0);
	uint64_t			 seq;

	for (unsigned tries = 0; tries < PATIENCE; tries++) {
		seq = atomic_load_explicit(&g->fold_seq,
		    memory_order_acquire);
		if (seq % 2 != 0 && tries + 1 < PATIENCE) {
			sched_yield();
			continue;
		}
		for (unsigned id = last + 1; id-- > first;)
			v[id - first] = sum(shm, (enum stat_id)id);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&g->fold_seq,
		    memory_order_relaxed) == seq)
			return;
	}
}

uint64_t
stat_sum(const struct shm *shm, enum stat_id id)
{
	uint64_t	v = 0;

	sums(shm, id, id, &v);
	return v;
}

void
stat_sums(const struct shm *shm, uint64_t v[STAT_N])
{
	sums(shm, 0, STAT_N - 1, v);
}
