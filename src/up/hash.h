/*
 * What the balancer hash needs of others: keys as numbers.
 */
#ifndef SL_UP_HASH_H
#define SL_UP_HASH_H

#include "base/str.h"

/* The same on every machine, so that several gateways choose alike. */
uint64_t hash_key(struct str);

#endif
