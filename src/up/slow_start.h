/*
 * Slow start: a server that comes back has a part of its weight for a
 * while.  Whoever brings it back begins it, in the same turn as it clears
 * what held the server back, and before that: workers are told of both
 * with the second.  Health raises the part and ends it.
 */
#ifndef SL_UP_SLOW_START_H
#define SL_UP_SLOW_START_H

#include "up/state.h"

#define RAMP_FIRST	100	/* permille */

/*
 * The row's server has a tenth of its weight from now on, if ms, the key
 * slow_start, is not 0.  All processes that may write `live`.
 */
void slow_start_begin(struct shm *, uint32_t row, uint64_t tag,
    uint64_t ms);

/*
 * Health, every 100 ms: goes on with one server.  *begun: of the caller,
 * 0 at first; when it was seen to be in slow start, monotonic ms.
 */
void slow_start_go(struct shm *, uint32_t row, uint64_t tag, uint64_t ms,
    uint64_t now_ms, uint64_t *begun);

#endif
