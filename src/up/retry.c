/*
 * The budget of retries.  The master makes rows and folds those of the
 * dead, workers earn and take.
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
#include "os/ev.h"
#include "os/proc.h"
#include "up/upstream.h"

#define CAP_S		10	/* seconds of the floor that are kept */
#define READS		64	/* while the master writes */

const struct shm_region board_retries = {
	"retry", SHM_LIVE, 1, sizeof(struct board_retry), 64,
	"what upstreams may spend on retries"
};
const struct shm_region board_retry_uses = {
	"retry_use", SHM_LIVE, 1, sizeof(struct board_retry_use), 1024,
	"first attempts and retries at upstreams, of a process"
};

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

static uint64_t
now_ms(void)
{
	return ev_clock_ns() / 1000000;
}

/* --- rows --- */

static uint32_t
blocks(uint32_t upstreams)
{
	return (upstreams + RETRY_BLOCK - 1) / RETRY_BLOCK;
}

static struct retry_use *
use_of(const struct shm *shm, uint32_t i, unsigned slot)
{
	uint32_t		 at = i / RETRY_BLOCK * SLOT_MAX + slot;
	struct board_retry_use	*b;

	if (slot >= SLOT_MAX || at >= shm_rows(shm, &board_retry_uses))
		return NULL;
	b = shm_row(shm, &board_retry_uses, at);
	return &b->use[i % RETRY_BLOCK];
}

static struct board_retry *
row_of(const struct shm *shm, uint32_t i)
{
	return i < shm_rows(shm, &board_retries) ?
	    shm_row(shm, &board_retries, i) : NULL;
}

uint64_t
retry_cost(uint32_t upstreams, unsigned processes)
{
	return shm_cost(&board_retries, upstreams) +
	    shm_cost(&board_retry_uses, blocks(upstreams) * processes);
}

static void
clear(struct retry_use *u, uint64_t tag)
{
	/* whoever adds up takes nothing of an unfinished one */
	atomic_store(&u->tag, 0);
	atomic_store(&u->earned, 0);
	atomic_store(&u->firsts, 0);
	atomic_store(&u->again, 0);
	atomic_store(&u->tag, tag);
}

/* --- the clock --- */

/* Ten seconds of the floor; one, if requests alone allow any. */
static uint64_t
cap_of(const struct retry_conf *c)
{
	if (c->floor > 0)
		return (uint64_t)c->floor * CAP_S * RETRY_ONE;
	return c->budget > 0 ? RETRY_ONE : 0;
}

static uint64_t
time_credit(const struct board_retry *r)
{
	uint64_t	now = now_ms(), since = get(&r->since_ms);

	return get(&r->base) + (now > since ? now - since : 0) *
	    get(&r->rate);
}

/* False if the master is writing: nobody waits for it. */
static bool
read_clock(const struct board_retry *r, uint64_t *credit, uint64_t *cap)
{
	uint64_t	version;

	for (unsigned n = 0; n < READS; n++) {
		version = atomic_load_explicit(&r->version,
		    memory_order_acquire);
		*credit = time_credit(r);
		*cap = get(&r->cap);
		atomic_thread_fence(memory_order_acquire);
		if ((version & 1) == 0 && get(&r->version) == version)
			return true;
	}
	return false;
}

static void
write_clock(struct board_retry *r, uint64_t base, const struct retry_conf *c)
{
	atomic_fetch_add(&r->version, 1);
	atomic_store(&r->base, base);
	atomic_store(&r->since_ms, now_ms());
	atomic_store(&r->rate, (uint64_t)c->floor);
	atomic_store(&r->cap, cap_of(c));
	atomic_fetch_add(&r->version, 1);
}

int
retry_link(struct shm *shm, uint32_t i, bool fresh,
    const struct retry_conf *c, struct err *e)
{
	struct board_retry	*r;

	if (shm_grow(shm, &board_retries, i + 1, e) == -1 ||
	    shm_grow(shm, &board_retry_uses, blocks(i + 1) * SLOT_MAX, e) ==
	    -1)
		return -1;
	if (!fresh)
		return 0;
	r = row_of(shm, i);
	atomic_store(&r->spent, 0);
	write_clock(r, cap_of(c), c);
	return 0;
}

void
retry_settle(struct shm *shm, uint32_t i, const struct retry_conf *c)
{
	struct board_retry	*r = row_of(shm, i);

	if (r == NULL || (get(&r->rate) == (uint64_t)c->floor &&
	    get(&r->cap) == cap_of(c)))
		return;
	write_clock(r, time_credit(r), c);
}

/* --- processes --- */

void
retry_fold(struct shm *shm, unsigned slot)
{
	uint32_t		 n = shm_rows(shm, &board_upstreams);
	struct retry_use	*u, *gone, was;
	struct board_upstream	*up;

	for (uint32_t i = 0; slot != 0 && i < n; i++) {
		u = use_of(shm, i, slot);
		gone = use_of(shm, i, 0);
		if (u == NULL || gone == NULL || get(&u->tag) == 0)
			continue;
		up = shm_row(shm, &board_upstreams, i);
		was.tag = get(&u->tag);
		was.earned = get(&u->earned);
		was.firsts = get(&u->firsts);
		was.again = get(&u->again);
		clear(u, 0);
		if (was.tag != get(&up->tag))
			continue;
		if (get(&gone->tag) != was.tag)
			clear(gone, was.tag);
		atomic_fetch_add(&gone->earned, was.earned);
		atomic_fetch_add(&gone->firsts, was.firsts);
		atomic_fetch_add(&gone->again, was.again);
	}
}

void
retry_bind(struct upstream *up)
{
	uint64_t	tag = get(&up->live->tag);

	up->retry = NULL;
	if (board_self() == NULL)
		return;
	up->retry = use_of(up->serve->shm, up->row, self->slot);
	if (up->retry != NULL && get(&up->retry->tag) != tag)
		clear(up->retry, tag);
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
	put(&u->firsts, get(&u->firsts) + 1);
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
}

void
retry_sum(struct retry_sum *sum, const struct shm *shm, uint32_t i,
    uint64_t tag)
{
	uint32_t			 n = shm_rows(shm, &board_slots);
	const struct board_slot		*s;

	*sum = (struct retry_sum){ 0 };
	/* the row of the gone first, see above */
	add(sum, use_of(shm, i, 0), tag);
	for (uint32_t slot = 1; slot < n && slot < SLOT_MAX; slot++) {
		s = shm_row(shm, &board_slots, slot);
		/* pages of slots that nobody has are not touched */
		if (atomic_load(&s->state) != SLOT_FREE)
			add(sum, use_of(shm, i, slot), tag);
	}
}

bool
retry_take(const struct upstream *up)
{
	struct board_retry	*r = row_of(up->serve->shm, up->row);
	struct retry_use	*u = own_use(up);
	struct retry_sum	 sum;
	uint64_t		 credit, cap, was, from;

	if (r == NULL || u == NULL || !read_clock(r, &credit, &cap))
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
	put(&u->again, get(&u->again) + 1);
	return true;
}
