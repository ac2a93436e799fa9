/*
 * What a request itself says of the choice of its server: the cookie of a
 * sticky session, the key of balance = hash; and what follows when no
 * server can answer.  Control process; sluicectl, offline.
 */
#ifndef SL_CONTROL_EXPLAIN_CHOICE_H
#define SL_CONTROL_EXPLAIN_CHOICE_H

#include <jansson.h>

#include "control/explain.h"
#include "core/exchange.h"
#include "up/upstream.h"

/* who asks whom */
struct explain_at {
	struct exchange		*x;	/* ref: with its route, rewritten */
	const struct shm	*shm;	/* ref; NULL: nothing runs */
	struct explain_looks	*looks;	/* ref; NULL: no worker is asked */
};

/*
 * All that is said of an upstream, fallbacks included: name, balance,
 * servers, sticky, hash, fallback, and what explain_pick adds.
 */
json_t *explain_choice(const struct explain_at *, const struct upstream_conf *);

#endif
