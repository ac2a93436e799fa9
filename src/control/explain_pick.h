/*
 * Whom a balancer would choose now, and why.  Control process; sluicectl,
 * offline.
 */
#ifndef SL_CONTROL_EXPLAIN_PICK_H
#define SL_CONTROL_EXPLAIN_PICK_H

#include <jansson.h>

#include "up/upstream.h"

/*
 * Adds to what is said of an upstream: tier, candidates, passed_over,
 * rule, and next where that can be told.  shm NULL: nothing runs.
 */
void explain_pick(json_t *, const struct shm *, const struct upstream_conf *);

#endif
