/*
 * Limits of client addresses.  Workers; limit.h says how.
 *
 * An entry serves an address while it has connections or while arrivals
 * are paid for into the future (GCRA: tat is when the address would be
 * even again).  A bucket that has no free entry loses the one that is
 * even soonest of those without connections; if all have some, the
 * newcomer is let in and not counted.
 */
#include "core/limit.h"

#include <sched.h>
#include <string.h>

#include "base/map.h"
#include "os/ev.h"

#define SPINS		256	/* looks at a lock before others may run */
#define STUCK_NS	20000000	/* its owner is dead or stopped */
#define KEEP_ROWS	1024	/* of the shadow, for other leases */

int
limit_grow(struct shm *shm, struct err *e)
{
	return shm_grow(shm, &lease_addrs, LEASE_BUCKETS, e);
}

/* The first 8 bytes of IPv6; all of what is IPv4 (mapped). */
uint64_t
limit_tag(struct lease *l, struct str listener, const struct sock_peer *p)
{
	static const uint8_t	 mapped[12] = {
		[10] = 0xff, [11] = 0xff
	};
	const struct lease_head	*h = shm_row(lease_shm(l), &lease_heads, 0);
	char			 key[24] = { 0 };
	uint64_t		 name = map_hash(h->seed, listener), tag;
	size_t			 n = 8;

	if (p->family != AF_INET && p->family != AF_INET6)
		return 0;
	if (memcmp(p->ip, mapped, sizeof(mapped)) == 0)
		n = 16;
	memcpy(key, &name, sizeof(name));
	memcpy(key + sizeof(name), p->ip, n);
	tag = map_hash(h->seed, str_make(key, sizeof(key)));
	return tag != 0 ? tag : 1;
}

/* --- the lock --- */

static bool
lock(struct lease *l, struct lease_bucket *b, uint32_t no)
{
	uint32_t	free, me = lease_slot(l) + 1;
	uint64_t	until = 0;

	lease_locking(l, no);
	for (unsigned n = 1; ; n++) {
		free = 0;
		if (atomic_compare_exchange_strong(&b->lock, &free, me))
			return true;
		if (n % SPINS != 0)
			continue;
		if (until == 0)
			until = ev_clock_ns() + STUCK_NS;
		else if (ev_clock_ns() > until)
			break;
		sched_yield();
	}
	lease_unlocked(l);
	return false;
}

static void
unlock(struct lease *l, struct lease_bucket *b)
{
	atomic_store_explicit(&b->lock, 0, memory_order_release);
	lease_unlocked(l);
}

/* --- entries; the bucket is locked --- */

static uint32_t
taken(const struct lease_entry *e)
{
	return lease_count(&e->taken);
}

static uint64_t
tat(const struct lease_entry *e)
{
	return atomic_load_explicit(&e->tat, memory_order_relaxed);
}

/* The entry of the tag, made if need be; NULL if there is no room. */
static struct lease_entry *
find(struct lease_bucket *b, uint64_t tag)
{
	struct lease_entry	*e, *best = NULL;

	for (e = b->entry; e < b->entry + LEASE_ENTRIES; e++) {
		if (atomic_load_explicit(&e->tag, memory_order_relaxed) ==
		    tag)
			return e;
		if (taken(e) == 0 && (best == NULL || tat(e) < tat(best)))
			best = e;
	}
	if (best != NULL) {
		atomic_store_explicit(&best->tat, 0, memory_order_relaxed);
		atomic_store_explicit(&best->tag, tag, memory_order_release);
	}
	return best;
}

static enum limit_rc
take(struct lease *l, struct lease_entry *e, uint32_t id, uint32_t limit,
    uint32_t *word)
{
	if (taken(e) >= limit)
		return LIMIT_CONNS;
	if (lease_used(l) >= LEASE_SHADOWS - KEEP_ROWS)
		return LIMIT_UNCOUNTED;
	if (!lease_take_max(l, id, limit))
		return LIMIT_CONNS;
	*word = id + 1;
	return LIMIT_IN;
}

/* Rate and number; a newcomer who is refused costs nothing of the rate. */
static enum limit_rc
enter(struct lease *l, struct lease_entry *e, uint32_t id,
    const struct limit_rule *r, uint64_t now, uint32_t *word)
{
	uint64_t	at = tat(e) > now ? tat(e) : now;
	enum limit_rc	rc = LIMIT_IN;

	if (r->gap_ns != 0 && at - now > r->slack_ns)
		return LIMIT_RATE;
	if (r->conns != 0)
		rc = take(l, e, id, r->conns, word);
	if (rc != LIMIT_CONNS && r->gap_ns != 0)
		atomic_store_explicit(&e->tat, at + r->gap_ns,
		    memory_order_relaxed);
	return rc;
}

/* --- all of it --- */

/* The sweep looks at touched pages only: 16 buckets, a page. */
static void
touch(struct lease_head *h, uint32_t no)
{
	_Atomic uint64_t	*bits = &h->pages[no / 1024];
	uint64_t		 bit = 1ULL << no / 16 % 64;

	if ((atomic_load_explicit(bits, memory_order_relaxed) & bit) == 0)
		atomic_fetch_or(bits, bit);
}

enum limit_rc
limit_enter(struct lease *l, uint64_t tag, const struct limit_rule *r,
    uint64_t now, uint32_t *word)
{
	struct shm		*shm = lease_shm(l);
	uint32_t		 no = (uint32_t)(tag >> 32) % LEASE_BUCKETS;
	struct lease_bucket	*b;
	struct lease_entry	*e;
	enum limit_rc		 rc = LIMIT_UNCOUNTED;

	*word = 0;
	if (tag == 0 || (r->conns == 0 && r->gap_ns == 0))
		return LIMIT_IN;
	if (shm_rows(shm, &lease_addrs) < LEASE_BUCKETS)
		return LIMIT_UNCOUNTED;
	touch(shm_row(shm, &lease_heads, 0), no);
	b = shm_row(shm, &lease_addrs, no);
	if (!lock(l, b, no))
		return LIMIT_STUCK;
	e = find(b, tag);
	if (e != NULL)
		rc = enter(l, e, LEASE_ADDR | no << 4 |
		    (uint32_t)(e - b->entry), r, now, word);
	unlock(l, b);
	return rc;
}
