/*
 * A mean of what was lately, in one word: each value counts for a share of
 * it, and those before for less with each that follows.  Any process.
 */
#ifndef SL_BASE_MEAN_H
#define SL_BASE_MEAN_H

#include <stdint.h>

/*
 * The mean after one more value, which counts for 1 / 2^shift of it.  A
 * mean of 0 is that of no value yet: the first is the mean.  It is never 0
 * again, and what is too large for it is the most that it can hold.
 */
uint32_t mean_next(uint32_t mean, uint64_t value, unsigned shift);

#endif
