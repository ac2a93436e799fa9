/*
 * Leases: exact shared limits (connections of a server, probes, queue).
 * The shared word is taken by compare-and-swap, and the taker notes it
 * first in its own shadow row, which the master returns when it dies.
 */
#ifndef SL_CORE_LEASE_H
#define SL_CORE_LEASE_H

#include "core/board.h"

/* a shared word that is leased; region `lease` of live */
struct lease_word {
	_Atomic uint64_t tag;		/* of what it counts; 0: free */
	_Atomic uint32_t taken;
	_Atomic uint32_t limit;		/* 0: none */
	_Atomic uint64_t refused;
	_Atomic uint64_t pad[5];
};
_Static_assert(sizeof(struct lease_word) == 64, "lease word");

/* per slot: how many this process holds of each word */
#define LEASE_SHADOWS	512
struct lease_shadow {
	struct {
		_Atomic uint32_t word;	/* index + 1; 0: free */
		_Atomic uint32_t intent; /* 1: taking or giving one now */
		_Atomic uint32_t held;
		_Atomic uint32_t seq;	/* ++ with each that is done */
	} row[LEASE_SHADOWS];
};

extern const struct shm_region lease_words, lease_shadows;

/* Master: rows for at least so many slots and words. */
int lease_grow(struct shm *, unsigned slots, uint32_t words, struct err *);

/* True if one was taken.  False: the limit is reached (counted). */
bool lease_take(struct shm *, unsigned slot, uint32_t word);
void lease_give(struct shm *, unsigned slot, uint32_t word);

/* Master: returns what a dead slot held; checked like network input. */
void lease_return(struct shm *, unsigned slot);

/*
 * Health, each second: sets every word that has a tag to the sum of the
 * shadows if no taking was under way.  Returns words that were repaired.
 */
unsigned lease_sweep(struct shm *);

#endif
