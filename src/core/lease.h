/*
 * Leases: exact shared limits (connections of a server, of a listener, of
 * an address).  The shared word is taken by compare-and-swap, and the
 * taker notes it first in its own shadow rows, which the master returns
 * when it dies.
 *
 * A word is named by its kind and index: words of `lease` by the index
 * alone, those of listeners and addresses with a bit before it.
 */
#ifndef SL_CORE_LEASE_H
#define SL_CORE_LEASE_H

#include "core/board.h"

#define LEASE_LISTENER	0x40000000u	/* row of lease_listener */
#define LEASE_ADDR	0x80000000u	/* bucket * 16 + entry */

/* a shared word that is leased; regions `lease`, `lease_listener` of live */
struct lease_word {
	_Atomic uint64_t tag;		/* of what it counts; 0: free */
	_Atomic uint64_t taken;		/* count; above it, its version */
	_Atomic uint32_t limit;		/* 0: none */
	uint32_t	 pad0;
	_Atomic uint64_t refused;
	/* of listeners */
	_Atomic uint64_t generation;	/* last that named it; master */
	_Atomic uint64_t said_ms;	/* last log line, by CAS */
	_Atomic uint64_t pad[2];
};
_Static_assert(sizeof(struct lease_word) == 64, "lease word");

/*
 * Words of addresses; an entry is free when taken is 0 and tat is over.
 * Tags and tat are written under the lock, taken by compare-and-swap.
 */
#define LEASE_BUCKETS	16384
#define LEASE_ENTRIES	10
struct lease_bucket {
	_Atomic uint32_t lock;		/* slot + 1 of who has it; 0: free */
	uint32_t	 pad0;
	uint64_t	 pad1;
	struct lease_entry {
		_Atomic uint64_t tag;
		_Atomic uint64_t tat;	/* ns: arrivals are paid for to it */
		_Atomic uint64_t taken;
	} entry[LEASE_ENTRIES];
};
_Static_assert(sizeof(struct lease_bucket) == 256, "lease bucket");

/* per slot: how many this process holds of each word; dense */
#define LEASE_SHADOWS	16384
struct lease_shadow {
	_Atomic uint32_t top;		/* rows ever used */
	_Atomic uint32_t locking;	/* bucket + 1 that it may have locked */
	uint64_t	 pad[7];
	struct lease_row {
		_Atomic uint32_t word;	/* + 1; 0: never used */
		_Atomic uint32_t intent; /* 1: taking or giving one now */
		_Atomic uint32_t held;
		_Atomic uint32_t seq;	/* ++ with each that is done */
	} row[LEASE_SHADOWS];
};

/* one row: what was ever touched, so that the sweep touches nothing else */
struct lease_head {
	_Atomic uint64_t seed;		/* of addresses' tags; master */
	_Atomic uint64_t slots[16];	/* bit: this slot has shadows */
	_Atomic uint64_t pages[16];	/* bit: 16 buckets; all by OR */
	_Atomic uint64_t pad[7];
};
_Static_assert(sizeof(struct lease_head) == 320, "lease head");
_Static_assert(SLOT_MAX <= 16 * 64 && LEASE_BUCKETS == 16 * 16 * 64, "bits");

extern const struct shm_region lease_heads, lease_words, lease_listeners,
    lease_addrs, lease_shadows;

/* Master: rows for at least so many slots and words. */
int lease_grow(struct shm *, unsigned slots, uint32_t words, struct err *);

/* A process's own side: where its shadow rows are. */
struct lease;
struct lease *lease_open(struct shm *, unsigned slot);
void lease_free(struct lease **);
struct shm *lease_shm(const struct lease *);
unsigned lease_slot(const struct lease *);

/* True if one was taken.  False: the limit is reached (counted). */
bool lease_take(struct lease *, uint32_t word);
/* The same with another limit than the word's; 0: none. */
bool lease_take_max(struct lease *, uint32_t word, uint32_t limit);
void lease_give(struct lease *, uint32_t word);
/* How many more could be taken of a word of `lease`; UINT32_MAX: any. */
uint32_t lease_room(const struct lease *, uint32_t word);
/* True if more are taken than its limit, which was lowered since. */
bool lease_over(const struct lease *, uint32_t word);
/* What a word counts now. */
uint32_t lease_count(const _Atomic uint64_t *taken);
/* Words this process holds some of. */
uint32_t lease_used(const struct lease *);

/* For a process that is about to lock a bucket, and when it has let go. */
void lease_locking(struct lease *, uint32_t bucket);
void lease_unlocked(struct lease *);

/* Master: returns what a dead slot held; checked like network input. */
void lease_return(struct shm *, unsigned slot);

/*
 * Health, each second: sets every word that has a tag to the sum of the
 * shadows if no taking was under way.  Returns words that were repaired.
 */
unsigned lease_sweep(struct shm *);

#endif
