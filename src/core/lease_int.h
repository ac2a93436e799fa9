/*
 * Between lease.c and lease_sweep.c only.
 */
#ifndef SL_CORE_LEASE_INT_H
#define SL_CORE_LEASE_INT_H

#include "core/lease.h"

#define LEASE_KINDS	3
#define LEASE_KIND(id)	((id) >> 30)
#define LEASE_INDEX(id)	((id) & 0x3fffffffu)

/* The counting word, or NULL if there is none of that name. */
_Atomic uint64_t *lease_taken(struct shm *, uint32_t id);
/* Has a process of this slot ever held anything? */
bool lease_is_known(struct shm *, unsigned slot);
/* Rows that may hold something. */
uint32_t lease_top(const struct lease_shadow *);

#endif
