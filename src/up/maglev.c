/*
 * Maglev's table.  Workers.
 *
 * Each member has an order of its own in which it would like all places,
 * and takes the first that is free whenever it is its turn.  Turns come by
 * weight: the k-th turn of a member of weight w at the time k / w, which
 * depends on nobody else, so that those who stay keep their order.
 */
#include "up/maglev.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define FREE	UINT16_MAX
#define ROUND	(1ULL << 32)	/* time between the turns of weight 1 */

/* a member while the table is filled */
struct taker {
	uint64_t	due;	/* time of its next turn */
	uint64_t	step;	/* between its turns */
	uint32_t	place;	/* that it would like next */
	uint32_t	skip;	/* from one to the one after it */
	uint16_t	i;
};

uint32_t
maglev_size(size_t n)
{
	static const uint32_t	primes[] = { 521, 1031, 2053, 4099, 8209,
	    16411, 32771, 65537 };

	for (size_t i = 0; i < sizeof(primes) / sizeof(primes[0]); i++)
		if (n * 256 <= primes[i])
			return primes[i];
	return n <= 1024 ? 65537 : n <= 4096 ? 262147 : 4194319;
}

/* Finalisation of MurmurHash3, public domain: all bits count for all. */
static uint64_t
mix(uint64_t h)
{
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdULL;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 33;
}

static bool
is_before(const struct taker *a, const struct taker *b)
{
	return a->due != b->due ? a->due < b->due : a->i < b->i;
}

/* The root of a heap has changed: down to where it belongs. */
static void
sink(struct taker *heap, size_t n, size_t at)
{
	struct taker	t = heap[at];
	size_t		k;

	while ((k = 2 * at + 1) < n) {
		if (k + 1 < n && is_before(&heap[k + 1], &heap[k]))
			k++;
		if (is_before(&t, &heap[k]))
			break;
		heap[at] = heap[k];
		at = k;
	}
	heap[at] = t;
}

static uint32_t
next_place(const struct taker *t, uint32_t size)
{
	uint64_t	place = (uint64_t)t->place + t->skip;

	return (uint32_t)(place >= size ? place - size : place);
}

/* All start at one time, in order: a heap already. */
static struct taker *
make_takers(uint32_t size, const struct maglev_member *v, size_t n)
{
	struct taker	*heap = must_calloc(n, sizeof(*heap));

	for (size_t i = 0; i < n; i++) {
		must(v[i].weight > 0);
		heap[i].step = ROUND / v[i].weight;
		heap[i].place = (uint32_t)(mix(v[i].hash) % size);
		heap[i].skip = (uint32_t)(mix(~v[i].hash) % (size - 1)) + 1;
		heap[i].i = (uint16_t)i;
	}
	return heap;
}

void
maglev_fill(uint16_t *at, uint32_t size, const struct maglev_member *v,
    size_t n)
{
	struct taker	*heap, *t;

	must(n > 0 && n <= MAGLEV_MAX);
	heap = make_takers(size, v, n);
	memset(at, 0xff, size * sizeof(*at));
	t = &heap[0];
	for (uint32_t left = size; left > 0; left--) {
		while (at[t->place] != FREE)
			t->place = next_place(t, size);
		at[t->place] = t->i;
		t->due += t->step;
		sink(heap, n, 0);
	}
	free(heap);
}
