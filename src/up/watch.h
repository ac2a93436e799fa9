/*
 * The servers that health watches over: those of the committed generation,
 * by address and by name.  Health process alone; it follows generations
 * and the lists of names, and each 100 ms goes over all: ejections and
 * slow starts (up/outlier_sweep.c, up/slow_start.h).  Probes have their
 * own times (up/probes.h).
 *
 * What is known of a server is kept as long as its row has the same life;
 * what another life of this process has to know is on the board.
 */
#ifndef SL_UP_WATCH_H
#define SL_UP_WATCH_H

#include "base/rand.h"
#include "up/probes.h"
#include "up/upstream.h"

#define WATCH_PAST	10	/* looks that outlier.window is split in */

struct board_name;

/* an upstream of the generation */
struct watch_up {
	const struct upstream_conf *conf;	/* of the generation */
	const struct watch_conf	*watch;		/* of the generation */
	struct probe_set	 probes;
	uint32_t		 row;		/* of upstream_live */
	struct watched		**v;		/* own: refs */
	size_t			 n;
	size_t			 cap;
	bool			 asking:1;	/* a name without an answer */
	/* it has servers, and had the first answer of all its names */
	bool			 begun:1;
};

/* a server's past, for its rate of failures; numbers since it began */
struct watch_past {
	uint32_t	ended[WATCH_PAST];
	uint32_t	failed[WATCH_PAST];
	uint64_t	next_ms;	/* look */
	uint64_t	calm_ms;	/* since then not ejected, or lowered */
};

/* a server */
struct watched {
	struct watch_up		*up;		/* ref */
	const struct server_conf *conf;		/* of the generation */
	const struct board_server *board;
	struct board_server_live *live;
	uint64_t		 tag;
	uint32_t		 row;
	bool			 seen:1;	/* by the walk under way */
	bool			 named:1;	/* conf is of its name */
	bool			 ejected:1;	/* when its probe began */
	bool			 untold:1;	/* digest, at the last look */
	uint8_t			 npast;		/* notes in past */
	uint8_t			 oldest;	/* of them, if it is full */
	struct prober		 prober;
	struct watch_past	 past;
	uint64_t		 slow_ms;	/* of slow_start_go */
	uint64_t		 digest;	/* of state_digest, then */
};

/* a name whose list is followed */
struct watch_name {
	const struct board_name	*row;
	uint64_t		 tag;
	uint64_t		 version;
};

struct watch {
	struct ev		*ev;		/* ref */
	struct shm		*shm;		/* ref */
	const struct conf	*conf;		/* of the generation */
	struct rand		 rand;
	struct timer		 tick;
	unsigned		 ticks;
	struct probes		 probes;
	struct watch_up		*ups;		/* own */
	size_t			 nup;
	/* by row of upstream_live: watch_up.begun, of the walk before */
	bool			*begun;		/* own */
	uint32_t		 nbegun;
	uint32_t		 nrow;		/* of by_row */
	struct watched		**by_row;	/* own; NULL: not watched */
	struct watch_name	*names;		/* own */
	size_t			 nname;
};

/* conf: the committed one, whose servers are not new. */
void watch_init(struct watch *, struct ev *, struct shm *,
    const struct conf *);
void watch_fini(struct watch *);

/* Servers that join others are led in slowly from the commit on. */
void watch_prepare(struct watch *, const struct conf *);
void watch_commit(struct watch *, const struct conf *);

/* --- outlier_sweep.c --- */

/* Goes on with one server's ejection, or looks at its rate. */
void outlier_look(struct watch *, struct watched *, uint64_t now_ms);

#endif
