/*
 * Means.  All processes.
 */
#include "base/mean.h"

uint32_t
mean_next(uint32_t mean, uint64_t value, unsigned shift)
{
	uint32_t	now;

	now = value > UINT32_MAX ? UINT32_MAX : value == 0 ? 1 :
	    (uint32_t)value;
	return mean == 0 ? now : mean - (mean >> shift) + (now >> shift);
}
