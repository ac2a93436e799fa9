/*
 * A slab: a cache of free objects of one size, for what comes and goes
 * with connections and requests.  Not shared between processes; one
 * owner, no locks.  Under ASan objects are poisoned while free.
 */
#ifndef SL_BASE_SLAB_H
#define SL_BASE_SLAB_H

#include <stddef.h>

struct slab {
	void	*free;		/* own: singly linked */
	size_t	 size;		/* of an object */
	size_t	 nfree;
	size_t	 keep;		/* at most that many stay cached */
	size_t	 nlive;		/* handed out */
	size_t	 most;		/* nlive at its highest; owners lower it */
};

void slab_init(struct slab *, size_t size, size_t keep);
void slab_fini(struct slab *);

/* An object, not zeroed.  Never NULL. */
void *slab_get(struct slab *);
void slab_put(struct slab *, void *);

/* Frees cached objects down to keep (called when a burst is over). */
void slab_trim(struct slab *, size_t keep);

#endif
