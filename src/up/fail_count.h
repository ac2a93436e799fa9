/*
 * Failed attempts of an upstream's servers by row of the fail table: what
 * an upstream mostly dies of.  One row of the board for each upstream,
 * whatever its servers are; workers add, control reads.
 */
#ifndef SL_UP_FAIL_COUNT_H
#define SL_UP_FAIL_COUNT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "http/fail.h"
#include "os/shm.h"

#define FAIL_COUNTS	192

/* region of live, row as upstream_live; all add */
struct board_fail_count {
	_Atomic uint32_t n[FAIL_COUNTS];	/* by enum fail */
};
_Static_assert(sizeof(struct board_fail_count) == 768, "fail count");
_Static_assert(FAIL_N <= FAIL_COUNTS, "fail rows");

extern const struct shm_region board_fail_counts;

/* Master: a row for the upstream, which counts from 0 if it is new. */
int fail_count_link(struct shm *, uint32_t row, bool fresh, struct err *);
/* One more; nothing where there is no row. */
void fail_count_add(struct shm *, uint32_t row, enum fail);
/* How many; 0 where there is no row. */
uint32_t fail_count_get(const struct shm *, uint32_t row, enum fail);

#endif
