/*
 * Whom a balancer would choose now, and why.  Control process; sluicectl,
 * offline.
 */
#ifndef SL_CONTROL_EXPLAIN_PICK_H
#define SL_CONTROL_EXPLAIN_PICK_H

#include <jansson.h>

#include "up/upstream.h"

struct look_told;

/*
 * Adds to what is said of an upstream: tier, candidates, passed_over,
 * rule, and next where that can be told.  shm NULL: nothing runs; told
 * NULL: no worker said anything of cookie and key.
 */
void explain_pick(json_t *, const struct shm *, const struct upstream_conf *,
    const struct look_told *told);

#endif
