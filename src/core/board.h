/*
 * The board: what is shared and changes, each word with its single writer
 * or its compare-and-swap rule.  Here: rows of processes and counters;
 * servers and upstreams are in up/.
 */
#ifndef SL_CORE_BOARD_H
#define SL_CORE_BOARD_H

#include <stdatomic.h>

#include "core/last.h"
#include "core/stat.h"
#include "os/ring.h"
#include "os/shm.h"

/* DEAD: being folded by the master */
enum slot_state {
	SLOT_FREE, SLOT_STARTING, SLOT_SERVING, SLOT_DRAINING, SLOT_DEAD
};

#define SLOT_MAX	1008	/* processes at a time; fills six chunks */
#define SLOT_PANIC	1984	/* bytes of a panic text */

/* One per process.  Writer: the process; state, pid, tag, role: master. */
struct board_slot {
	_Atomic uint64_t tag;		/* of this life */
	_Atomic uint32_t pid;
	_Atomic uint32_t state;		/* enum slot_state */
	_Atomic uint32_t role;		/* index in procs[] */
	_Atomic uint32_t index;
	_Atomic uint64_t started_ms;	/* wall clock */
	_Atomic uint64_t uses;		/* 1: its rows of `server_use` have
					 * their pages; the process */
	/* the process writes from here on */
	_Atomic uint64_t queued_ns;	/* last went to a queue's end */
	_Atomic uint64_t epoch_accepts;	/* core/listener.c */
	_Atomic uint64_t epoch_busy_us;
	_Atomic uint64_t beat_ms;	/* monotonic, each turn */
	_Atomic uint64_t generation;	/* committed */
	_Atomic uint64_t generations;	/* in use */
	_Atomic uint64_t accepts;	/* ever; rate of the accept rules */
	_Atomic uint64_t accept_rate;	/* in the last second */
	_Atomic uint64_t busy_permille; /* of the last second */
	_Atomic uint64_t stepped;	/* 1: steps back from accepting */
	_Atomic uint64_t flight_top;	/* flight rows ever used */
};
_Static_assert(sizeof(struct board_slot) == 128, "board slot");

/* panic text of a slot; writer: the process as it dies */
struct board_panic {
	_Atomic uint32_t len;
	uint32_t	 pad;
	char		 text[SLOT_PANIC];
	char		 fill[56];
};
_Static_assert(sizeof(struct board_panic) == 2048, "board panic");

/* counters of a slot; writer: the process; board_totals: master */
struct board_stat {
	_Atomic uint64_t v[512];
};
_Static_assert(STAT_N <= 512, "board stat");

/* word for the whole machine; row 0 only */
struct board_global {
	_Atomic uint64_t fold_seq;	/* odd: the master folds a dead row */
	_Atomic uint64_t generation;	/* live; master */
	_Atomic uint64_t reloads;	/* master */
	_Atomic uint64_t reloads_failed;
	_Atomic uint64_t restarts;	/* of children; master */
	_Atomic uint64_t nworker;	/* that should run; master */
	_Atomic uint64_t started_ms;	/* wall clock; master */
	_Atomic uint64_t accept_kick;	/* ++ when a worker died; master */
	_Atomic uint64_t failed_ms;	/* last failed reload; master */
	_Atomic uint64_t served;	/* ++ when a child serves; master */
	_Atomic uint64_t pad[6];
};
_Static_assert(sizeof(struct board_global) == 128, "board global");

/* totals: what dead processes counted; totals and globals have one row */
extern const struct shm_region board_slots, board_panics, board_stats,
    board_totals, board_globals, board_rings, board_flights;

/*
 * Requests in flight, written by the slot's process: they make a killed
 * one's requests log records, and keep the sums exact at every instant:
 * started = finished + in flight + lost.
 */
#define FLIGHT_PER_SLOT	4096
enum flight_state { FLIGHT_FREE, FLIGHT_OPEN };

struct board_flight {
	_Atomic uint32_t state;
	uint32_t	 method_n;	/* bytes used of text: method */
	_Atomic uint64_t start_no;	/* value of STARTED with this one */
	_Atomic uint64_t fin_no;	/* of FINISHED, set before the commit */
	_Atomic uint64_t ring_pos;	/* of its record, set before fin_no */
	uint64_t	 begun_ms;	/* wall clock */
	uint8_t		 ip[16];
	uint16_t	 port;
	uint8_t		 family;
	uint8_t		 id_n;
	uint16_t	 target_n;	/* stored, may be cut */
	uint16_t	 host_n;
	char		 text[192];	/* id, method, host, target */
};
_Static_assert(sizeof(struct board_flight) == 256, "board flight");

/* fin_no and no record: the request ends without one */
#define FLIGHT_NO_RECORD	UINT64_MAX

/* the texts of a flight row */
struct flight_text {
	struct str	id, method, host, target;
};

/* data of a ring; every row of the region has room for the larger */
#define RING_BYTES_WORKER	(8UL << 20)
#define RING_BYTES		(1UL << 20)

/* this process's view, set up by board_enter */
struct board {
	struct board_global	*global;
	struct board_slot	*slot;
	struct board_panic	*panic;
	_Atomic uint64_t	*stat;
	struct board_last	*last;
	struct board_flight	*flight;	/* FLIGHT_PER_SLOT */
	uint16_t		*flight_free;	/* own: stack of indexes */
	unsigned		 nfree;
	unsigned		 flight_top;	/* as in the slot row */
	struct board_flight	*closing;	/* of flight, or NULL */
	struct ring		 ring;
};

/* Master: rows for n slots (all regions of this file). */
int board_grow(struct shm *, unsigned slots, struct err *);

/* Bytes that so many processes may come to use (for [board] max). */
uint64_t board_cost(unsigned workers, unsigned others);

/*
 * Finds the rows of a process, which then sets self->board; the slot's
 * leftovers were folded by the master.  ring: RING_BYTES or _WORKER.
 */
void board_enter(struct board *, struct shm *, unsigned slot, size_t ring);
void board_leave(struct board *);
struct board *board_self(void);

/* Reader of a slot's ring; false if nobody wrote there yet. */
bool board_ring(struct ring *, struct shm *, unsigned slot);

/* Fills in a row's texts, cut to fit; reads them, false if they lie. */
void flight_set(struct board_flight *, const struct flight_text *);
bool flight_get(const struct board_flight *, struct flight_text *);

/*
 * A row for a request that begins, or NULL when all are taken, which is
 * counted and good for what follows.  The caller fills it in and opens it.
 */
struct board_flight *flight_take(void);
/* The request of a row, or of none, is counted as started. */
void flight_open(struct board_flight *);
/*
 * pos: where the access record will stand (ring_pos).  Then the caller
 * commits it and closes; no other request ends in between.
 */
void flight_closing(struct board_flight *, uint64_t pos);
/* The request is finished; without flight_closing: it has no record. */
void flight_close(struct board_flight *);

/*
 * Master: a process of this slot died.  Calls lost() for each request it
 * had in flight (a checked copy of the row), settles its counters, folds
 * them into the totals and zeroes what the process wrote, except its
 * ring and its panic text.  Everything is checked like network input.
 */
void board_fold(struct shm *, unsigned slot,
    void (*lost)(void *, const struct board_flight *), void *ctx);

#endif
