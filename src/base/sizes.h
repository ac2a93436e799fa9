/*
 * Memory for a library that brings no sizes of its own and comes back all
 * the time: slabs by size.  The allocator of the C library has a fast path
 * for seven pieces of a size; what hundreds of streams take and give in a
 * turn it sorts, splits and joins.
 */
#ifndef SL_BASE_SIZES_H
#define SL_BASE_SIZES_H

#include "base/slab.h"

#define SIZES_N		5	/* from 64 bytes to 1 KiB */

struct sizes {
	struct slab	of[SIZES_N];
};

/* Of each size as many as keep stay cached. */
void sizes_init(struct sizes *, size_t keep);
void sizes_fini(struct sizes *);
/* Gives the system what lies free beyond keep of each size. */
void sizes_trim(struct sizes *, size_t keep);

/* n bytes, not zeroed, aligned to 16.  Never NULL. */
void *sizes_get(struct sizes *, size_t n);
/* As realloc; NULL is allowed. */
void *sizes_again(struct sizes *, void *, size_t n);
/* Gives back a piece of any of these; NULL is allowed. */
void sizes_put(void *);

#endif
