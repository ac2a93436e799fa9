/*
 * A table that says which member a key is for, such that a member that
 * comes or goes moves hardly more keys than its own (Maglev, NSDI 2016,
 * 3.4), and each has as many places as it weighs.  Pure memory.
 */
#ifndef SL_UP_MAGLEV_H
#define SL_UP_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

#define MAGLEV_MAX	65535	/* members */

struct maglev_member {
	uint64_t	hash;		/* of what it is; no two the same */
	uint32_t	weight;		/* more than 0 */
};

/*
 * Places for n members, a prime: at least 256 for each up to 128 members,
 * 64 for each from 1024 on.  A place has two bytes, so 10 members have
 * 8 KiB, 100 have 64 KiB and 500 have 128 KiB.
 */
uint32_t maglev_size(size_t n);

/*
 * Fills size places with indexes of v, which has 1 to MAGLEV_MAX members.
 * The same members in the same order of v make the same table.
 */
void maglev_fill(uint16_t *at, uint32_t size, const struct maglev_member *v,
    size_t n);

#endif
