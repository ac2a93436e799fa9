/*
 * Random numbers that need not be secret (jitter, choice of servers,
 * request ids): xoshiro256** seeded from the system, reseeded after fork.
 * Keys and tokens come from OpenSSL, never from here.
 */
#ifndef SL_BASE_RAND_H
#define SL_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

struct rand {
	uint64_t	s[4];
};

/* Seeds from getentropy; ends the process if the system has none. */
void rand_seed(struct rand *);
uint64_t rand_next(struct rand *);

/* Uniform in [0, n); 0 when n is 0. */
uint64_t rand_below(struct rand *, uint64_t n);

/* ms plus or minus up to percent of it. */
uint64_t rand_jitter(struct rand *, uint64_t ms, unsigned percent);

#endif
