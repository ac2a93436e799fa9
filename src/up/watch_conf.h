/*
 * What the watch over servers obeys beside its probes: when failures of
 * requests eject a server, and how one that comes back is led in.  Of
 * [upstream NAME]; the builder fills it in, workers and health obey.
 */
#ifndef SL_UP_WATCH_CONF_H
#define SL_UP_WATCH_CONF_H

#include "conf/load.h"

struct upstream_conf;

/* when requests that fail eject their server; numbers 0: never */
struct outlier_conf {
	bool		on;
	int64_t		consecutive;	/* failures in a row */
	int64_t		rate;		/* percent that may fail */
	int64_t		requests;	/* of at least so many */
	uint64_t	window;		/* within so long; ms */
	uint64_t	time;		/* ms; times n for the nth */
	uint64_t	max_time;	/* ms */
	int64_t		share;		/* percent ejected at most */
};

struct watch_conf {
	struct outlier_conf	outlier;
	uint64_t		slow_start;	/* ms; 0: none */
};

/* Keys outlier, outlier.* and slow_start of [upstream]. */
extern const struct conf_group watch_group;

/* What the upstream has; of one without groups: nothing is on. */
const struct watch_conf *watch_conf_of(const struct upstream_conf *);

#endif
