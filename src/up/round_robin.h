/*
 * The schedule of balancer round_robin, for who looks at it only.  Control.
 */
#ifndef SL_UP_ROUND_ROBIN_H
#define SL_UP_ROUND_ROBIN_H

#include <stddef.h>
#include <stdint.h>

/*
 * The index of who has the turn that a cursor of round_robin stands at,
 * of n servers with weights that are more than 0.
 */
size_t round_robin_turn(const uint32_t *weight, size_t n, uint64_t cursor);

#endif
