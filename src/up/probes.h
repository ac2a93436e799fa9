/*
 * When which server is probed, and what comes of it.  Health process.
 * Counts are on the board, so that they outlive this process.
 */
#ifndef SL_UP_PROBES_H
#define SL_UP_PROBES_H

#include <stdatomic.h>

#include "up/probe.h"

#define PROBES_MAX	1024	/* at once, and half of what the process
				 * may open; others wait their turn */
#define PROBES_LATE_MS	100	/* behind its time: it is counted as late */
#define PROBES_KNOWN_MS	2000	/* from then on a server counts as known */

struct rand;
struct shm;
struct shm_region;
struct watched;

/* region `probes` of live, the rows of `servers`; writer: health */
struct board_probe {
	_Atomic uint64_t tag;		/* of that life of the server */
	_Atomic uint64_t probes;	/* that ended */
	_Atomic uint64_t failed;
	_Atomic uint64_t last;		/* enum fail << 48 | wall ms */
	_Atomic uint64_t begun_ms;	/* wall; since then it is probed */
	_Atomic uint32_t late;
	_Atomic uint32_t changes;	/* up to down, down to up */
	_Atomic uint32_t streak;	/* in a row, unlike what it is */
	_Atomic uint32_t lately_us;	/* how long one takes that succeeds */
	_Atomic uint32_t type;		/* enum probe_type; 0: not probed */
	_Atomic uint32_t fill;
};
_Static_assert(sizeof(struct board_probe) == 64, "board probe");

extern const struct shm_region board_probes;	/* upstream_rows.c */

/* a server's probes; in struct watched */
struct prober {
	struct timer		 due;
	struct list		 wait;		/* of struct probes */
	struct probe		*run;		/* own; NULL: none */
	struct probes		*all;		/* ref */
	struct board_probe	*stat;		/* of the board */
	uint64_t		 digest;	/* of its settings; 0: none */
	uint64_t		 begun_ms;	/* of run, or the last one */
};

struct probes {
	struct shm		*shm;		/* ref */
	struct probe_env	 env;
	struct list		 waiting;	/* struct prober.wait */
	unsigned		 running;
	unsigned		 high;		/* most of these since a trim */
	unsigned		 most;		/* at once */
	uint64_t		 full_ms;	/* said then; 0: never */
};

void probes_init(struct probes *, struct ev *, struct shm *, struct rand *);
void probes_fini(struct probes *);

/* A server that is watched from now on; probes_settle follows. */
void probes_add(struct probes *, struct watched *);
/* Its settings are those of its upstream, which may be new. */
void probes_settle(struct probes *, struct watched *);
void probes_drop(struct probes *, struct watched *);
/* Gives back what a burst took, now that it is over; once in a while. */
void probes_trim(struct probes *);

#endif
