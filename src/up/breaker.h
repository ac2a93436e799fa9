/*
 * The breaker of a server, for all processes at once.  Closed, it counts
 * failures; too many open it, and no request goes there until its time is
 * over.  Then it is half open: so many requests in total are let through
 * as probes, and what becomes of them closes it or opens it again, for
 * longer.  Workers judge attempts, health watches deadlines, the master
 * ends the probes of the dead, control closes it for the operator.
 *
 * What holds at every instant, whoever is killed:
 * - The state is changed by a compare-and-swap of one word; who did it
 *   logs and counts it and sets the bit `open` of the server's state.  If
 *   he dies between the two, health sets the bit.
 * - The word names a turn, another one with each opening.  A word that
 *   names another turn than that says nothing: `until` while the opener
 *   has not written it (health does), a probe that was not taken yet.
 * - Probe i of a turn is taken by a compare-and-swap of its word, which
 *   says by whom and until when.  So no turn lets more through than there
 *   are words for, and none can be taken without an owner.
 * - A probe has one end, again by compare-and-swap: good, bad, void (the
 *   client left), or free if nothing was sent.  Good is said of a head; if
 *   the body breaks off it becomes bad.  What comes when the turn is over
 *   does not count for it.
 * - A bad probe ends the turn; enough good ones close the breaker; all at
 *   their end without either open it again, for as long as before.
 */
#ifndef SL_UP_BREAKER_H
#define SL_UP_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "http/fail.h"
#include "os/shm.h"

#define BREAKER_PROBES	16
#define BREAKER_BUCKETS	10

struct board_server;
struct pick;
struct server;
struct attempt;
struct tried;
struct upstream;
struct upstream_conf;

/* settings of an upstream; region of dir, row as upstream_live; master */
struct board_breaker_conf {
	_Atomic uint32_t on;
	_Atomic uint32_t was_on;	/* since the board was made */
	_Atomic uint32_t failures;	/* in a row; 0: they do not matter */
	_Atomic uint32_t rate;		/* percent; 0: it does not matter */
	_Atomic uint32_t requests;	/* at least, for that */
	_Atomic uint32_t window;	/* ms, for that */
	_Atomic uint32_t open;		/* ms, the first time */
	_Atomic uint32_t open_max;	/* ms */
	_Atomic uint32_t timeout;	/* ms, of probes; 0: the attempt's */
	_Atomic uint32_t probes;
	_Atomic uint32_t successes;
	_Atomic uint32_t slow_start;	/* ms, once it closed */
	uint32_t	 fill[4];
};
_Static_assert(sizeof(struct board_breaker_conf) == 64, "breaker conf");

/* a server's; region of live, row as `servers`; by CAS, unless it says */
struct board_breaker {
	_Atomic uint64_t tag;		/* as in `servers`, else it says
					 * nothing; master */
	_Atomic uint64_t word;		/* state, turn, level, failures */
	_Atomic uint64_t until;		/* turn, monotonic ms: end of open */
	_Atomic uint32_t opened, half, closed;	/* times; all add */
	_Atomic uint32_t probed, lost;
	_Atomic uint32_t tried;		/* 1: its row of probes says something;
					 * before that nobody reads it */
	_Atomic uint64_t bucket[BREAKER_BUCKETS]; /* epoch, all, bad */
};
_Static_assert(sizeof(struct board_breaker) == 128, "board breaker");

/* its probes; region of live, same row: of those that ever were half open */
struct board_breaker_probes {
	_Atomic uint64_t v[BREAKER_PROBES];	/* turn, kind, slot, due */
};
_Static_assert(sizeof(struct board_breaker_probes) == 128, "probes");

extern const struct shm_region board_breakers, board_breaker_probes,
    board_breaker_confs;

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF };
extern const char *const breaker_names[3];

/* a breaker, found */
struct breaker {
	struct shm			*shm;
	const struct board_breaker_conf	*conf;
	const struct board_server	*server;
	struct board_breaker		*b;
	uint64_t			 tag;
	uint32_t			 row;
};

/* which probe an attempt is */
struct breaker_ticket {
	uint64_t	word;		/* as it was written */
	uint64_t	tag;
	uint32_t	row;
	uint8_t		i;
	bool		held;
	bool		good;		/* it ended so */
};

enum breaker_end { BREAKER_GOOD, BREAKER_BAD, BREAKER_VOID, BREAKER_FREE };

/* Is there any for the servers of an upstream's row? */
bool breaker_is_on(const struct shm *, uint32_t upstream);
/* True if row i of `servers`, in the life of that tag, has one that is on. */
bool breaker_find(struct breaker *, struct shm *, uint32_t i, uint64_t tag);
/* An attempt that is no probe ended well, or with this row. */
void breaker_judge(const struct breaker *, enum fail);
/* Takes a probe that may take ms; false: none is to be had. */
bool breaker_take(const struct breaker *, unsigned slot, uint64_t ms,
    struct breaker_ticket *);
/*
 * The probe's end, FREE if nothing was sent; the ticket is held no more.
 * False if its turn has ended before: it counts as any attempt.
 */
bool breaker_end(const struct breaker *, struct breaker_ticket *,
    enum breaker_end, enum fail);
/*
 * What ended well has failed after all.  False if its turn has ended
 * before: it counts as any attempt.
 */
bool breaker_take_back(const struct breaker *, struct breaker_ticket *,
    enum fail);
/* By the operator: closed, whatever it was. */
void breaker_close(const struct breaker *);

/* Health, each second: what was left half done, and deadlines. */
void breaker_sweep(struct shm *);
/* Master: the probes of a dead slot have failed. */
void breaker_fold(struct shm *, unsigned slot);
/* Master: room for the rows of n servers. */
int breaker_grow(struct shm *, uint32_t n, struct err *);
/*
 * Master: server i begins the life of that tag, and so does its row if its
 * upstream has a breaker.  All: of an upstream that has one from now on.
 */
void breaker_begin(struct shm *, uint32_t i, uint64_t tag);
void breaker_begin_all(struct shm *, uint32_t upstream);
/* Master: settings for an upstream's row, if it is new; after the commit. */
int breaker_link(struct shm *, uint32_t row, const struct upstream_conf *,
    bool fresh, struct err *);
void breaker_settle(struct shm *, uint32_t row, const struct upstream_conf *);

/* for people */
struct breaker_look {
	enum breaker_state state;
	uint64_t	failures;	/* in a row, closed */
	uint64_t	ms;		/* until probes, open */
	unsigned	let, good;	/* of this turn, half open */
	unsigned	all, bad;	/* in the window */
};
struct breaker_look breaker_look(const struct breaker *);
/* Its field ms alone. */
uint64_t breaker_open_ms(const struct breaker *);

/* --- breaker_pick.c: of workers --- */

/* A server that is to be probed, with a ticket in p->probe; or NULL. */
struct server *breaker_pick(struct upstream *, const struct pick *);
/* True if it would find one. */
bool breaker_has_room(const struct upstream *, const struct pick *);
/* True if it would when that has room: it may be waited for. */
bool breaker_any_left(const struct upstream *, const struct tried *);
/*
 * True if the attempt is a probe that still counts: another connection to
 * its server may be used for it.
 */
bool breaker_goes_on(const struct upstream *, const struct attempt *,
    const struct pick *);
/* The ticket of a choice that is not made use of. */
void breaker_return(struct shm *, struct breaker_ticket *);
/* What an attempt came to; FAIL_NONE: good. */
void breaker_attempt(struct attempt *, enum fail);
/* An attempt ended without a word on the server. */
void breaker_leave(struct attempt *);

#endif
