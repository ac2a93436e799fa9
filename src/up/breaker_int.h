/*
 * Words of breakers, and what their files share.
 */
#ifndef SL_UP_BREAKER_INT_H
#define SL_UP_BREAKER_INT_H

#include "os/ev.h"
#include "up/breaker.h"
#include "up/upstream_rows.h"

/* word: state 2, turn 19, level 6 (openings in a row), failures 24 bits */
#define TURN_MAX	((1U << 19) - 1)
#define LEVEL_MAX	63
#define FAILS_MAX	((1U << 24) - 1)
#define WORD(s, t, l, f)	((uint64_t)(s) << 62 | (uint64_t)(t) << 43 | \
				(uint64_t)(l) << 24 | (uint64_t)(f))
/* workers write the word: what is no state is taken for the worst one */
#define WORD_STATE(w)	((w) >> 62 > BREAKER_HALF ? BREAKER_OPEN : \
				(enum breaker_state)((w) >> 62))
#define WORD_TURN(w)	((uint32_t)((w) >> 43 & TURN_MAX))
#define WORD_LEVEL(w)	((unsigned)((w) >> 24 & LEVEL_MAX))
#define WORD_FAILS(w)	((uint32_t)((w) & FAILS_MAX))

/* until: turn 19, ms 45 bits */
#define UNTIL(t, ms)	((uint64_t)(t) << 45 | ((ms) & UNTIL_MAX))
#define UNTIL_MAX	((1ULL << 45) - 1)
#define UNTIL_TURN(w)	((uint32_t)((w) >> 45))
#define UNTIL_MS(w)	((w) & UNTIL_MAX)

/* probe: turn 19, kind 3, slot 10, due 32 bits: in units that wrap */
enum probe_kind {
	PROBE_FREE, PROBE_PENDING, PROBE_GOOD, PROBE_BAD, PROBE_VOID
};
#define PROBE_UNIT	16	/* ms: 1.1 years ahead can be told */
#define PROBE(t, k, s, ms)	((uint64_t)(t) << 45 | (uint64_t)(k) << 42 | \
				(uint64_t)(s) << 32 | \
				(uint32_t)((ms) / PROBE_UNIT + 1))
#define PROBE_TURN(p)	((uint32_t)((p) >> 45))
#define PROBE_KIND(p)	((enum probe_kind)((p) >> 42 & 7))
#define PROBE_SLOT(p)	((unsigned)((p) >> 32 & 0x3ff))

/* A probe's word, and what it says: that it is free before any was taken. */
_Atomic uint64_t *breaker_probe(const struct breaker *, unsigned i);
uint64_t breaker_probe_word(const struct breaker *, unsigned i);
/* The word of a probe with another kind. */
uint64_t breaker_probe_end(uint64_t p, enum probe_kind);
/* A probe of a turn was lost: counts it. */
void breaker_lost(const struct breaker *);
/* Monotonic, the same for all processes. */
uint64_t breaker_ms(void);

/* As breaker_find, also where it is off now but was not always. */
bool breaker_locate(struct breaker *, struct shm *, uint32_t i,
    uint64_t tag);
unsigned breaker_nprobe(const struct board_breaker_conf *);
/* Makes the bit of the server's state what the word says. */
void breaker_sync(const struct breaker *, enum fail why);
/* Writes until of this opening, if that was not done. */
void breaker_set_until(const struct breaker *, uint64_t word);
/* Ends a turn whose probes have said enough. */
void breaker_conclude(const struct breaker *, enum fail why);
/* It is configured no more. */
void breaker_turn_off(const struct breaker *);

/* --- breaker_sweep.c --- */
/* Counts a request in the window; sums of it. */
void breaker_count(const struct breaker *, bool bad);
void breaker_window(const struct breaker *, unsigned *all, unsigned *bad);

#endif
