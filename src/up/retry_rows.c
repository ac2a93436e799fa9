/*
 * Rows of the retries' budget: made, set, and folded when their process
 * is dead.  The master; rows are found by all.
 */
#include "up/retry.h"

#include "core/board.h"
#include "os/ev.h"
#include "up/upstream_rows.h"

#define CAP_S		10	/* seconds of the floor that are kept */

const struct shm_region board_retries = {
	"retry", SHM_LIVE, 1, sizeof(struct board_retry), 64,
	"what upstreams may spend on retries"
};
const struct shm_region board_retry_uses = {
	"retry_use", SHM_LIVE, 2, sizeof(struct board_retry_use), 1024,
	"first attempts and retries at upstreams, of a process"
};

static uint64_t
get(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
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

struct retry_use *
retry_use_row(const struct shm *shm, uint32_t i, unsigned slot)
{
	uint32_t		 at = i / RETRY_BLOCK * SLOT_MAX + slot;
	struct board_retry_use	*b;

	if (slot >= SLOT_MAX || at >= shm_rows(shm, &board_retry_uses))
		return NULL;
	b = shm_row(shm, &board_retry_uses, at);
	return &b->use[i % RETRY_BLOCK];
}

struct board_retry *
retry_row(const struct shm *shm, uint32_t i)
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

void
retry_use_clear(struct retry_use *u, uint64_t tag)
{
	/* whoever adds up takes nothing of an unfinished one */
	atomic_store(&u->tag, 0);
	atomic_store(&u->earned, 0);
	atomic_store(&u->firsts, 0);
	atomic_store(&u->again, 0);
	atomic_store(&u->refused, 0);
	atomic_store(&u->cut, 0);
	atomic_store(&u->replays, 0);
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

uint64_t
retry_time(const struct board_retry *r)
{
	uint64_t	now = now_ms(), since = get(&r->since_ms);

	return get(&r->base) + (now > since ? now - since : 0) *
	    get(&r->rate);
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
	r = retry_row(shm, i);
	atomic_store(&r->spent, 0);
	write_clock(r, cap_of(c), c);
	return 0;
}

void
retry_settle(struct shm *shm, uint32_t i, const struct retry_conf *c)
{
	struct board_retry	*r = retry_row(shm, i);

	if (r == NULL || (get(&r->rate) == (uint64_t)c->floor &&
	    get(&r->cap) == cap_of(c)))
		return;
	write_clock(r, retry_time(r), c);
}

/* --- processes --- */

void
retry_fold(struct shm *shm, unsigned slot)
{
	uint32_t		 n = shm_rows(shm, &board_upstreams);
	struct retry_use	*u, *gone, was;
	struct board_upstream	*up;

	for (uint32_t i = 0; slot != 0 && i < n; i++) {
		u = retry_use_row(shm, i, slot);
		gone = retry_use_row(shm, i, 0);
		if (u == NULL || gone == NULL || get(&u->tag) == 0)
			continue;
		up = shm_row(shm, &board_upstreams, i);
		was.tag = get(&u->tag);
		was.earned = get(&u->earned);
		was.firsts = get(&u->firsts);
		was.again = get(&u->again);
		was.refused = get(&u->refused);
		was.cut = get(&u->cut);
		was.replays = get(&u->replays);
		retry_use_clear(u, 0);
		if (was.tag != get(&up->tag))
			continue;
		if (get(&gone->tag) != was.tag)
			retry_use_clear(gone, was.tag);
		atomic_fetch_add(&gone->earned, was.earned);
		atomic_fetch_add(&gone->firsts, was.firsts);
		atomic_fetch_add(&gone->again, was.again);
		atomic_fetch_add(&gone->refused, was.refused);
		atomic_fetch_add(&gone->cut, was.cut);
		atomic_fetch_add(&gone->replays, was.replays);
	}
}
