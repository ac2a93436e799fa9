/*
 * A hash table from string slices to pointers: open addressing, seeded
 * per table against collisions chosen by a stranger.  Keys are borrowed:
 * they must live as long as the entry.  For set-up and per-process
 * tables; a generation's own indexes are built by their modules.
 */
#ifndef SL_BASE_MAP_H
#define SL_BASE_MAP_H

#include "base/str.h"

struct map_entry {
	struct str	 key;	/* borrowed; p == NULL: free slot */
	uint64_t	 hash;
	void		*val;	/* borrowed */
};

struct map {
	struct map_entry	*tab;	/* own */
	size_t			 cap;	/* power of two or 0 */
	size_t			 n;
	uint64_t		 seed;
};

void map_init(struct map *, uint64_t seed);
/* SipHash-1-3 of a key, for tables elsewhere. */
uint64_t map_hash(uint64_t seed, struct str key);
void map_fini(struct map *);

/* The value, or NULL. */
void *map_find(const struct map *, struct str key);

/* Sets or replaces; returns the value that was there, or NULL. */
void *map_add(struct map *, struct str key, void *val);

/* Takes out; returns the value that was there, or NULL. */
void *map_del(struct map *, struct str key);

/* Iteration: start with *i = 0; false at the end.  No change meanwhile. */
bool map_next(const struct map *, size_t *i, struct str *key, void **val);

#endif
