/*
 * Keys of this machine's own: random, made by the master when the board
 * begins, kept on its segment `secret` as long as that lasts (reloads,
 * rolls and upgrades, not restarts).  Workers read them.
 */
#ifndef SL_CORE_SECRET_H
#define SL_CORE_SECRET_H

#include "os/shm.h"

#define SECRET_BYTES	32

/* what a key is for; the row of the region */
enum secret { SECRET_STICKY, SECRET_TICKET, SECRET_N };

/* row: enum secret; writer: master, before others read it */
struct board_key {
	_Atomic uint64_t made;		/* 1: it is */
	uint8_t		 key[SECRET_BYTES];
	uint64_t	 pad[3];
};
_Static_assert(sizeof(struct board_key) == 64, "board key");

extern const struct shm_region board_keys;

/* Master: makes those that there are not yet. */
int secret_grow(struct shm *, struct err *);
/* Copies one; -1: the board has none. */
int secret_get(const struct shm *, enum secret, uint8_t key[SECRET_BYTES]);

#endif
