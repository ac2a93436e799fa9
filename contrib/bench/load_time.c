/*
 * See load_time.h.
 */
#include "load_time.h"

#include <time.h>

enum { LINEAR = 64, BUCKETS = 64 * LINEAR };

static uint64_t	hist[BUCKETS];		/* of 1/64 of their value */
static uint64_t	count;
static uint64_t	most;

uint64_t
now(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void
note(uint64_t ns)
{
	unsigned	shift = 0;
	uint64_t	v = ns;

	count++;
	if (ns > most)
		most = ns;
	while (v >= 2 * LINEAR) {
		v >>= 1;
		shift++;
	}
	hist[shift * LINEAR + v < BUCKETS ? shift * LINEAR + v :
	    BUCKETS - 1]++;
}

double
quantile(double q)
{
	uint64_t	want = (uint64_t)((double)count * q), seen = 0;
	unsigned	i, shift;

	for (i = 0; i < BUCKETS; i++)
		if ((seen += hist[i]) > want)
			break;
	shift = i < 2 * LINEAR ? 0 : i / LINEAR - 1;
	return (double)(((uint64_t)(i - shift * LINEAR) << shift)) / 1000;
}

uint64_t
slowest(void)
{
	return most;
}
