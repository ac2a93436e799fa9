/*
 * What each process does with each server.  Workers count, the master
 * makes rows and folds those of the dead, control adds up.
 *
 * Rows stand in blocks of servers, and in a block by slot: a process's
 * rows of neighbouring servers share pages, and pages that no process of
 * that slot touched cost nothing.  A row counts for one life of a
 * server's row, named by the tag; a twin of an earlier life that still
 * has connections then counts nowhere.
 */
#include "up/server_use.h"

#include "base/mean.h"
#include "core/board.h"
#include "os/proc.h"
#include "up/upstream.h"

#define MEAN_SHIFT	4	/* a sixteenth of the new, the rest old */

const struct shm_region board_server_uses = {
	"server_use", SHM_LIVE, 1, sizeof(struct board_server_use), 1024,
	"connections to servers and times, of a process"
};

static uint32_t
get(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static void
put(_Atomic uint32_t *p, uint32_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

/* --- rows --- */

static uint32_t
blocks(uint32_t servers)
{
	return (servers + USE_BLOCK - 1) / USE_BLOCK;
}

int
use_grow(struct shm *shm, uint32_t n, struct err *e)
{
	return shm_grow(shm, &board_server_uses, blocks(n) * SLOT_MAX, e);
}

struct server_use *
use_row(const struct shm *shm, uint32_t i, unsigned slot)
{
	uint32_t		 at = i / USE_BLOCK * SLOT_MAX + slot;
	struct board_server_use	*b;

	if (slot >= SLOT_MAX || at >= shm_rows(shm, &board_server_uses))
		return NULL;
	b = shm_row(shm, &board_server_uses, at);
	return &b->use[i % USE_BLOCK];
}

static struct board_slot *
slot_of(const struct shm *shm, unsigned slot)
{
	return slot < shm_rows(shm, &board_slots) ?
	    shm_row(shm, &board_slots, slot) : NULL;
}

bool
use_has(const struct shm *shm, unsigned slot)
{
	const struct board_slot	*s = slot_of(shm, slot);

	return s != NULL && atomic_load(&s->uses) != 0;
}

/* Before the first word of its rows is written. */
static void
note_slot(const struct shm *shm, unsigned slot)
{
	struct board_slot	*s = slot_of(shm, slot);

	if (s != NULL && atomic_load(&s->uses) == 0)
		atomic_store(&s->uses, 1);
}

uint64_t
use_cost(uint32_t servers, unsigned processes)
{
	return shm_cost(&board_server_uses, blocks(servers) * processes);
}

static void
clear(struct server_use *u, uint64_t tag)
{
	put(&u->open, 0);
	put(&u->idle, 0);
	put(&u->active, 0);
	put(&u->mean_us, 0);
	atomic_store_explicit(&u->sum_us, 0, memory_order_relaxed);
	for (unsigned i = 0; i < USE_BUCKETS; i++)
		put(&u->bucket[i], 0);
	atomic_store_explicit(&u->tag, tag, memory_order_release);
}

static uint64_t
tag_of(const struct server_use *u)
{
	return atomic_load_explicit(&u->tag, memory_order_acquire);
}

/* A process that ended within a change may leave a difference below zero. */
static uint64_t
settle(uint32_t v)
{
	return v > INT32_MAX ? 0 : v;
}

/* Times of one process join those of all that are gone. */
static void
join(struct server_use *gone, const struct server_use *u)
{
	uint32_t	mean = get(&u->mean_us);

	if (tag_of(gone) != tag_of(u))
		clear(gone, tag_of(u));
	for (unsigned i = 0; i < USE_BUCKETS; i++)
		put(&gone->bucket[i], get(&gone->bucket[i]) +
		    get(&u->bucket[i]));
	atomic_store_explicit(&gone->sum_us, gone->sum_us + u->sum_us,
	    memory_order_relaxed);
	if (mean != 0)
		put(&gone->mean_us, mean);
}

void
use_take_back(struct board_server_live *l, uint64_t n)
{
	uint64_t	was = atomic_load(&l->load), k;

	do {
		k = was & LOAD_ACTIVE;
		k = n < k ? n : k;
	} while (!atomic_compare_exchange_weak(&l->load, &was, was - k));
}

void
use_fold(struct shm *shm, unsigned slot)
{
	uint32_t			 n = upstream_rows_used(shm);
	const struct board_server	*s;
	struct server_use		*u, *gone;

	if (slot == 0 || !use_has(shm, slot))
		return;
	note_slot(shm, 0);
	for (uint32_t i = 0; i < n; i++) {
		s = shm_row(shm, &board_servers, i);
		u = use_row(shm, i, slot);
		gone = use_row(shm, i, 0);
		if (u == NULL || gone == NULL || tag_of(u) == 0)
			continue;
		if (tag_of(u) == atomic_load(&s->tag)) {
			join(gone, u);
			use_take_back(shm_row(shm, &board_servers_live, i),
			    settle(get(&u->active)));
		}
		clear(u, 0);
	}
}

/* --- counting --- */

void
use_bind(struct server *s, struct shm *shm, uint32_t i)
{
	if (board_self() == NULL)
		return;
	s->use = use_row(shm, i, self->slot);
	if (s->use != NULL)
		note_slot(shm, self->slot);
	if (s->use != NULL && tag_of(s->use) != s->tag)
		clear(s->use, s->tag);
}

bool
use_counts(const struct server *s)
{
	return s->use != NULL && atomic_load_explicit(&s->use->tag,
	    memory_order_relaxed) == s->tag;
}

void
use_open(const struct server *s, int n)
{
	if (use_counts(s))
		put(&s->use->open, get(&s->use->open) + (uint32_t)n);
}

void
use_idle(const struct server *s, int n)
{
	if (use_counts(s))
		put(&s->use->idle, get(&s->use->idle) + (uint32_t)n);
}

void
use_active(const struct server *s, int n)
{
	if (use_counts(s))
		put(&s->use->active, get(&s->use->active) + (uint32_t)n);
}

unsigned
use_bucket(uint64_t us)
{
	unsigned	i = 0;

	for (us /= USE_FIRST_US; us > 0 && i < USE_BUCKETS - 1; us /= 2)
		i++;
	return i;
}

uint64_t
use_bucket_end(unsigned i)
{
	return i >= USE_BUCKETS - 1 ? UINT64_MAX :
	    (uint64_t)USE_FIRST_US << i;
}

void
use_time(const struct server *s, uint64_t us)
{
	struct server_use	*u = s->use;
	unsigned		 b = use_bucket(us);

	if (!use_counts(s))
		return;
	put(&u->mean_us, mean_next(get(&u->mean_us), us, MEAN_SHIFT));
	put(&u->bucket[b], get(&u->bucket[b]) + 1);
	atomic_store_explicit(&u->sum_us, u->sum_us + us,
	    memory_order_relaxed);
}

/* --- sums --- */

void
use_add(struct use_sum *sum, const struct server_use *u, uint64_t tag)
{
	uint64_t	n = 0, mean = get(&u->mean_us);

	if (tag_of(u) != tag)
		return;
	sum->open += settle(get(&u->open));
	sum->idle += settle(get(&u->idle));
	sum->active += settle(get(&u->active));
	sum->sum_us += atomic_load_explicit(&u->sum_us,
	    memory_order_relaxed);
	for (unsigned i = 0; i < USE_BUCKETS; i++) {
		n += get(&u->bucket[i]);
		sum->bucket[i] += get(&u->bucket[i]);
	}
	sum->count += n;
	/* by how much each has to say */
	if (n > 0 && sum->count > 0)
		sum->mean_us = (uint64_t)(((double)sum->mean_us *
		    (double)(sum->count - n) + (double)mean * (double)n) /
		    (double)sum->count);
}

uint64_t
use_quantile(const struct use_sum *sum, unsigned permille)
{
	uint64_t	want, low, high, seen = 0;

	if (sum->count == 0)
		return 0;
	want = (sum->count * permille + 999) / 1000;
	for (unsigned i = 0; i < USE_BUCKETS; i++) {
		if (seen + sum->bucket[i] < want || sum->bucket[i] == 0) {
			seen += sum->bucket[i];
			continue;
		}
		low = i == 0 ? 0 : use_bucket_end(i - 1);
		high = i == USE_BUCKETS - 1 ? 2 * low : use_bucket_end(i);
		return low + (uint64_t)((double)(high - low) *
		    (double)(want - seen) / (double)sum->bucket[i]);
	}
	return use_bucket_end(USE_BUCKETS - 2);
}
