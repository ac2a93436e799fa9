/*
 * The budget of retries, earned and taken.  Workers.
 *
 * All credit that ever was is a number that only grows: that of time and
 * the sum of what the processes' requests earned.  What was spent is
 * another, moved by compare-and-swap and never further than the first;
 * when it lags by more than the cap, the rest is forfeited.  So within any
 * span no more is taken than came in it, and the cap.
 *
 * A sum that is read while others count, or while the master folds, is at
 * worst too small: the row of the gone is read first and written last.
 */
#include "up/retry.h"

#include "core/board.h"
#include "os/proc.h"
#include "up/upstream.h"

#define READS		64	/* while the master writes */

static uint64_t
get(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static void
put(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

/* By its one writer. */
static void
count(_Atomic uint64_t *n)
{
	put(n, get(n) + 1);
}

/* --- the clock --- */

/* False if the master is writing: nobody waits for it. */
static bool
read_clock(const struct board_retry *r, uint64_t *credit, uint64_t *cap)
{
	uint64_t	version;

	for (unsigned n = 0; n < READS; n++) {
		version = atomic_load_explicit(&r->version,
		    memory_order_acquire);
		*credit = retry_time(r);
		*cap = get(&r->cap);
		atomic_thread_fence(memory_order_acquire);
		if ((version & 1) == 0 && get(&r->version) == version)
			return true;
	}
	return false;
}

/* --- processes --- */

void
retry_bind(struct upstream *up)
{
	uint64_t	tag = get(&up->live->tag);

	up->retry = NULL;
	if (board_self() == NULL)
		return;
	up->retry = retry_use_row(up->serve->shm, up->row, self->slot);
	if (up->retry != NULL && get(&up->retry->tag) != tag)
		retry_use_clear(up->retry, tag);
}

/* A row that went on to another upstream is not this one's. */
static struct retry_use *
own_use(const struct upstream *up)
{
	struct retry_use	*u = up->retry;

	return u != NULL && get(&u->tag) == get(&up->live->tag) ? u : NULL;
}

void
retry_earn(const struct upstream *up, const struct retry_conf *c)
{
	struct retry_use	*u = own_use(up);

	if (u == NULL)
		return;
	count(&u->firsts);
	put(&u->earned, get(&u->earned) +
	    (uint64_t)c->budget * (RETRY_ONE / 100));
}

static void
add(struct retry_sum *sum, const struct retry_use *u, uint64_t tag)
{
	if (u == NULL || atomic_load(&u->tag) != tag)
		return;
	sum->earned += atomic_load(&u->earned);
	sum->firsts += atomic_load(&u->firsts);
	sum->again += atomic_load(&u->again);
	sum->refused += atomic_load(&u->refused);
	sum->cut += atomic_load(&u->cut);
	sum->replays += atomic_load(&u->replays);
}

void
retry_sum(struct retry_sum *sum, const struct shm *shm, uint32_t i,
    uint64_t tag)
{
	uint32_t			 n = shm_rows(shm, &board_slots);
	const struct board_slot		*s;

	*sum = (struct retry_sum){ 0 };
	/* the row of the gone first, see above */
	add(sum, retry_use_row(shm, i, 0), tag);
	for (uint32_t slot = 1; slot < n && slot < SLOT_MAX; slot++) {
		s = shm_row(shm, &board_slots, slot);
		/* pages of slots that nobody has are not touched */
		if (atomic_load(&s->state) != SLOT_FREE)
			add(sum, retry_use_row(shm, i, slot), tag);
	}
}

uint64_t
retry_left(const struct shm *shm, uint32_t i, uint64_t tag)
{
	struct board_retry	*r = retry_row(shm, i);
	struct retry_sum	 sum;
	uint64_t		 credit, cap, spent;

	if (r == NULL || !read_clock(r, &credit, &cap))
		return 0;
	retry_sum(&sum, shm, i, tag);
	credit += sum.earned;
	spent = atomic_load(&r->spent);
	if (credit <= spent)
		return 0;
	credit -= spent;
	return (credit < cap ? credit : cap) / RETRY_ONE;
}

void
retry_note_cut(const struct upstream *up)
{
	struct retry_use	*u = own_use(up);

	if (u != NULL)
		count(&u->cut);
}

void
retry_note_replay(const struct upstream *up)
{
	struct retry_use	*u = own_use(up);

	stat_add(STAT_UP_REPLAYS, 1);
	if (u != NULL)
		count(&u->replays);
}

static bool
spend(const struct upstream *up, struct board_retry *r)
{
	struct retry_sum	sum;
	uint64_t		credit, cap, was, from;

	if (!read_clock(r, &credit, &cap))
		return false;
	retry_sum(&sum, up->serve->shm, up->row, get(&up->live->tag));
	credit += sum.earned;
	was = atomic_load(&r->spent);
	do {
		from = was + cap < credit ? credit - cap : was;
		if (from + RETRY_ONE > credit)
			return false;
	} while (!atomic_compare_exchange_weak(&r->spent, &was,
	    from + RETRY_ONE));
	return true;
}

bool
retry_take(const struct upstream *up, bool again)
{
	struct board_retry	*r = retry_row(up->serve->shm, up->row);
	struct retry_use	*u = own_use(up);
	bool			 had;

	if (r == NULL || u == NULL)
		return false;
	had = spend(up, r);
	if (had || !again)
		count(had ? &u->again : &u->refused);
	return had;
}
