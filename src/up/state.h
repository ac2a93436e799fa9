/*
 * What a server is, for all processes at once.  The operator, a probe, the
 * outlier sweep and the breaker may each hold it back: each has a bit of
 * one word on the board that it sets and clears by compare-and-swap, and
 * the server is what its strongest bit says, since that came.  Whoever
 * changes a word logs it and moves the upstream's epoch, by which workers
 * know that they have to look again (up/view.h): once for each change, as
 * a slow start beneath another reason is none.
 */
#ifndef SL_UP_STATE_H
#define SL_UP_STATE_H

#include "http/fail.h"
#include "up/upstream_rows.h"

/* weakest first; UP is no bit but the lack of all others */
enum server_state {
	SERVER_UP, SERVER_SLOW, SERVER_OPEN, SERVER_EJECTED, SERVER_DOWN,
	SERVER_DRAIN, SERVER_MAINTENANCE, SERVER_NSTATE
};
#define STATE_SHIFT	48	/* below it: since when, wall ms */
#define STATE_BIT(s)	(1ULL << (STATE_SHIFT + (s) - 1))

/* bits that keep requests away; in a panic even the sick are asked */
#define STATE_SICK	(STATE_BIT(SERVER_EJECTED) | STATE_BIT(SERVER_DOWN))
#define STATE_SHUT	(STATE_BIT(SERVER_OPEN) | STATE_BIT(SERVER_DRAIN) | \
			STATE_BIT(SERVER_MAINTENANCE))
#define STATE_AWAY	(STATE_SICK | STATE_SHUT)

/* and those that cut who waits there */
#define STATE_CUTS	(STATE_SICK | STATE_BIT(SERVER_MAINTENANCE))

#define RAMP_FULL	1000	/* permille of slow start */

extern const char *const state_names[SERVER_NSTATE];

/* What the word says: its strongest bit. */
enum server_state state_of(uint64_t word);
uint64_t state_since_ms(uint64_t word);
/* The clock of words: of the day, and not of the loop's turn. */
uint64_t state_wall_ms(void);

/*
 * Nobody listens at its address, as far as is known: whoever is sent
 * there comes back at once, and what is left out does it no good.
 */
bool state_is_absent(const struct board_server_live *, uint64_t word);
/* The same of one failure. */
bool state_finds_nobody(enum fail why);

/*
 * Sets or clears one bit of row i's word, if the row still has the life
 * that tag names.  why: for what, FAIL_NONE if the operator wants it so.
 * True if the bit was not so before: it is logged and counted here.
 */
bool state_change(struct shm *, uint32_t i, uint64_t tag, enum server_state,
    bool on, enum fail why);
/* A bit that is set is so for this by now, which may change who is asked. */
void state_renew(struct shm *, uint32_t i, uint64_t tag, enum server_state,
    enum fail why);
/*
 * By the operator: row i weighs weight - 1 from now on, 0: what it is
 * configured to.  Control.
 */
void state_set_weight(struct shm *, uint32_t i, uint64_t weight);
/*
 * Row i, which is in slow start, weighs so many permille of its weight
 * from now on.  Health.
 */
void state_set_ramp(struct shm *, uint32_t i, uint32_t ramp);
/* What row i weighs has changed: its upstream is looked at again. */
void state_touch(struct shm *, uint32_t i);
/* The same of an upstream's row. */
void state_touch_row(struct shm *, uint32_t upstream);
/*
 * What a server weighs now, in tenths so that equal weights stay equal in
 * slow start, or by `full` without that; 0: nothing new goes there.
 */
uint32_t state_weight(const struct board_server *,
    const struct board_server_live *);
uint32_t state_full_weight(const struct board_server *);
/*
 * All that workers have to be told of row i, in one number; and all of it
 * told again.  Whoever changed it may have died between the word and the
 * telling, so health compares this with what the row says was told last.
 */
uint64_t state_digest(const struct board_server *,
    const struct board_server_live *);
void state_repeat(struct shm *, uint32_t i);

#endif
