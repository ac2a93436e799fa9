/*
 * Keys breaker.* of [upstream].  Builder; master.
 */
#ifndef SL_UP_BREAKER_CONF_H
#define SL_UP_BREAKER_CONF_H

#include "conf/load.h"

struct breaker_conf {
	int64_t		failures;	/* in a row */
	int64_t		rate;		/* percent */
	int64_t		requests;
	uint64_t	window;		/* ms, as all times here */
	uint64_t	open;
	uint64_t	open_max;
	uint64_t	timeout;	/* 0: the attempt's */
	int64_t		probes;
	int64_t		successes;
	bool		on;		/* any key is set */
};
extern const struct conf_group breaker_group;

#endif
