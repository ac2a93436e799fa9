/*
 * A queue of pieces of body, in the order in which they go on: what a
 * stream has got or is to send, and what a connection writes.  Pieces are
 * references; nothing is copied here.
 */
#ifndef SL_CODEC_H2_RING_H
#define SL_CODEC_H2_RING_H

#include "http/waist.h"

struct h2_part {
	struct chunk	 c;		/* own */
	void		*of;		/* whose it is, or NULL; of the user */
};

struct h2_ring {
	struct arena	*arena;		/* ref; NULL: malloc */
	struct h2_part	*v;		/* own, or of the arena */
	uint32_t	 cap;		/* a power of two, or 0 */
	uint32_t	 at;
	uint32_t	 n;
	uint64_t	 bytes;
};

/* Without an arena the queue's own memory comes from malloc. */
void h2_ring_init(struct h2_ring *, struct arena *);
/* Drops what is there; the ring may be used again. */
void h2_ring_fini(struct h2_ring *);

/*
 * Takes the chunk's reference; it is not empty.  What lies behind the last
 * piece in the same page becomes part of it.
 */
void h2_ring_add(struct h2_ring *, struct chunk, void *of);
/* The ith piece from the front. */
struct h2_part *h2_ring_nth(const struct h2_ring *, uint32_t i);
/* Takes the first piece off, or its first max bytes; the ring has some. */
struct chunk h2_ring_cut(struct h2_ring *, uint64_t max);
/* Drops n bytes from the front. */
void h2_ring_skip(struct h2_ring *, uint64_t n);

#endif
