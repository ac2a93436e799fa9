/*
 * Breakers over time: the window of requests, what health and the master
 * set right, what people are shown.
 *
 * The window is a ring of tenths.  A bucket's word says which tenth since
 * the machine started it counts; who comes with another one begins it
 * anew.  Full buckets are halved, which leaves the rate.
 */
#include <stdlib.h>

#include "base/must.h"
#include "up/breaker_int.h"
#include "up/state.h"

/* bucket: epoch 28, all 18, bad 18 bits */
#define BUCKET_MAX	((1U << 18) - 1)
#define BUCKET(e, a, b)	((uint64_t)(e) << 36 | (uint64_t)(a) << 18 | (b))
#define BUCKET_EPOCH(w)	((uint32_t)((w) >> 36))
#define BUCKET_ALL(w)	((uint32_t)((w) >> 18 & BUCKET_MAX))
#define BUCKET_BAD(w)	((uint32_t)((w) & BUCKET_MAX))
#define EPOCH_MASK	((1U << 28) - 1)

static uint64_t
epoch(const struct breaker *br)
{
	uint32_t	ms = atomic_load(&br->conf->window) / BREAKER_BUCKETS;

	return breaker_ms() / (ms > 0 ? ms : 1);
}

void
breaker_count(const struct breaker *br, bool bad)
{
	uint64_t	 now, was;
	uint32_t	 e, all, ill;
	_Atomic uint64_t *p;

	if (atomic_load_explicit(&br->conf->rate, memory_order_relaxed) == 0)
		return;
	now = epoch(br);
	e = (uint32_t)now & EPOCH_MASK;
	p = &br->b->bucket[now % BREAKER_BUCKETS];
	was = atomic_load_explicit(p, memory_order_relaxed);
	do {
		all = ill = 0;
		if (BUCKET_EPOCH(was) == e) {
			all = BUCKET_ALL(was);
			ill = BUCKET_BAD(was);
		}
		if (all == BUCKET_MAX) {
			all /= 2;
			ill /= 2;
		}
	} while (!atomic_compare_exchange_weak(p, &was,
	    BUCKET(e, all + 1, ill + bad)));
}

void
breaker_window(const struct breaker *br, unsigned *all, unsigned *bad)
{
	uint64_t	now = epoch(br), w;

	*all = *bad = 0;
	for (uint64_t i = 0; i < BREAKER_BUCKETS; i++) {
		w = atomic_load(&br->b->bucket[(now - i) % BREAKER_BUCKETS]);
		if (BUCKET_EPOCH(w) != ((uint32_t)(now - i) & EPOCH_MASK))
			continue;
		*all += BUCKET_ALL(w);
		*bad += BUCKET_BAD(w);
	}
}

/* --- what was left half done --- */

static void
mend(const struct breaker *br)
{
	const struct board_server_live	*l;
	uint64_t			 word = atomic_load(&br->b->word);
	bool				 bit;

	if (atomic_load(&br->conf->on) == 0) {
		breaker_turn_off(br);
		word = atomic_load(&br->b->word);
	}
	if (WORD_STATE(word) == BREAKER_OPEN)
		breaker_set_until(br, word);
	if (WORD_STATE(word) == BREAKER_HALF)
		breaker_conclude(br, FAIL_FIRST_BYTE_TIMEOUT);
	l = shm_row(br->shm, &board_servers_live, br->row);
	bit = (atomic_load(&l->state) & STATE_BIT(SERVER_OPEN)) != 0;
	if (bit != (WORD_STATE(atomic_load(&br->b->word)) !=
	    BREAKER_CLOSED))
		breaker_sync(br, FAIL_SERVER_ERROR);
}

/* Are there any, now or before? */
static bool
is_anywhere(const struct shm *shm)
{
	const struct board_breaker_conf	*c;

	for (uint32_t i = 0; i < shm_rows(shm, &board_breaker_confs); i++) {
		c = shm_row(shm, &board_breaker_confs, i);
		if (atomic_load(&c->was_on) != 0)
			return true;
	}
	return false;
}

void
breaker_sweep(struct shm *shm)
{
	uint32_t			 n = upstream_rows_used(shm);
	const struct board_server	*s;
	struct breaker			 br;

	if (!is_anywhere(shm))
		return;
	for (uint32_t i = 0; i < n; i++) {
		s = shm_row(shm, &board_servers, i);
		if (breaker_locate(&br, shm, i, atomic_load(&s->tag)))
			mend(&br);
	}
}

/* --- the dead --- */

static bool
drop_probes(const struct breaker *br, unsigned slot)
{
	uint32_t	turn = WORD_TURN(atomic_load(&br->b->word));
	bool		any = false;
	uint64_t	p;

	for (unsigned i = 0; i < BREAKER_PROBES; i++) {
		p = breaker_probe_word(br, i);
		if (PROBE_KIND(p) != PROBE_PENDING || PROBE_SLOT(p) != slot)
			continue;
		if (atomic_compare_exchange_strong(breaker_probe(br, i), &p,
		    breaker_probe_end(p, PROBE_BAD)) && PROBE_TURN(p) == turn) {
			breaker_lost(br);
			any = true;
		}
	}
	return any;
}

void
breaker_fold(struct shm *shm, unsigned slot)
{
	uint32_t			 n = upstream_rows_used(shm);
	const struct board_server	*s;
	struct breaker			 br;

	if (!is_anywhere(shm))
		return;
	for (uint32_t i = 0; i < n; i++) {
		s = shm_row(shm, &board_servers, i);
		if (!breaker_locate(&br, shm, i, atomic_load(&s->tag)) ||
		    !drop_probes(&br, slot))
			continue;
		if (atomic_load(&br.conf->on) != 0)
			breaker_conclude(&br, FAIL_WORKER_LOST);
	}
}

/* --- for people --- */

static void
look_at_probes(const struct breaker *br, uint64_t word,
    struct breaker_look *k)
{
	uint64_t	p;

	for (unsigned i = 0; i < breaker_nprobe(br->conf); i++) {
		p = breaker_probe_word(br, i);
		if (PROBE_TURN(p) != WORD_TURN(word) ||
		    PROBE_KIND(p) == PROBE_FREE)
			continue;
		k->let++;
		k->good += PROBE_KIND(p) == PROBE_GOOD;
	}
}

uint64_t
breaker_open_ms(const struct breaker *br)
{
	uint64_t	word = atomic_load(&br->b->word);
	uint64_t	until = atomic_load(&br->b->until);
	uint64_t	now = breaker_ms();

	if (WORD_STATE(word) != BREAKER_OPEN)
		return 0;
	if (UNTIL_TURN(until) != WORD_TURN(word))
		return atomic_load(&br->conf->open);
	return UNTIL_MS(until) > now ? UNTIL_MS(until) - now : 0;
}

struct breaker_look
breaker_look(const struct breaker *br)
{
	uint64_t		word = atomic_load(&br->b->word);
	struct breaker_look	k = { .state = WORD_STATE(word) };

	k.failures = WORD_FAILS(word);
	k.ms = breaker_open_ms(br);
	if (k.state == BREAKER_HALF)
		look_at_probes(br, word, &k);
	breaker_window(br, &k.all, &k.bad);
	return k;
}
