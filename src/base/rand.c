/*
 * Random numbers that need not be secret.  Every process has its own
 * state and seeds it anew after fork.
 *
 * xoshiro256** by Blackman and Vigna: the system fills the 256 bits of
 * state once, and all 64 bits of each result are equally good.
 */
#include "base/rand.h"

#include <unistd.h>

#include "base/must.h"

static uint64_t
rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

void
rand_seed(struct rand *r)
{
	if (getentropy(r->s, sizeof(r->s)) != 0)
		must_die("rand: no entropy from the system");
	/* The state of all zeros is the one that never leaves itself. */
	r->s[0] |= (r->s[0] | r->s[1] | r->s[2] | r->s[3]) == 0;
}

uint64_t
rand_next(struct rand *r)
{
	uint64_t	*s = r->s;
	uint64_t	 out = rotl(s[1] * 5, 7) * 9;
	uint64_t	 t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return out;
}

/* Draws under the next power of two until one fits: under two on average. */
uint64_t
rand_below(struct rand *r, uint64_t n)
{
	uint64_t	mask;
	uint64_t	v;

	if (n <= 1)
		return 0;
	mask = UINT64_MAX >> __builtin_clzll(n - 1);
	do {
		v = rand_next(r) & mask;
	} while (v >= n);
	return v;
}

uint64_t
rand_jitter(struct rand *r, uint64_t ms, unsigned percent)
{
	uint64_t	span;

	if (percent > 100)
		percent = 100;
	span = ms / 100 * percent + ms % 100 * percent / 100;
	/* With "for ever" as a time the sum must not come round to soon. */
	if (span > UINT64_MAX - ms)
		span = UINT64_MAX - ms;
	return ms - span + rand_below(r, 2 * span + 1);
}
