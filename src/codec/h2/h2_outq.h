/*
 * What waits to be written on an HTTP/2 connection, of all its streams:
 * whole frames.  What is small lies one behind the other in a page, so
 * that many small answers are one piece and one write; bodies stay where
 * they are.
 */
#ifndef SL_CODEC_H2_OUTQ_H
#define SL_CODEC_H2_OUTQ_H

#include "codec/h2/h2_ring.h"
#include "codec/h2/h2_walk.h"

#define H2_OUT_MAX	131072	/* that wait for the transport */
#define H2_COPY_MAX	2048	/* bytes of body worth copying */
#define H2_FILE_MAX	(PAGE_ROOM - H2_HEAD)

struct h2_outq {
	struct page_pool	*pool;	/* ref */
	struct h2_ring		 ring;
	struct page		*page;	/* ref: rendered into */
	uint64_t		 put;	/* bytes that ever came in */
	uint64_t		 out;	/* and went out */
};

void h2_outq_init(struct h2_outq *, struct page_pool *);
/* Drops what waits; the queue may be used again. */
void h2_outq_fini(struct h2_outq *);

/* Copies; of: the stream it belongs to, or NULL. */
void h2_outq_copy(struct h2_outq *, struct str, void *of);
/* Takes the chunk, which is in memory; what is small is copied. */
void h2_outq_add(struct h2_outq *, struct chunk, void *of);
/*
 * A frame's head and c.n bytes of a file, H2_FILE_MAX at most, read into a
 * page.  -1: the file has less, or cannot be read; nothing was added.
 */
int h2_outq_file(struct h2_outq *, struct str head, struct chunk, void *of);

/* Bytes that the next write will offer to the transport. */
uint64_t h2_outq_next(const struct h2_outq *);

/*
 * One write of what there is.  sent() is told of each stream's share.
 */
enum io_rc h2_outq_write(struct h2_outq *, struct io *,
    void (*sent)(void *of, size_t n), size_t *put);

/* What is left of a stream's is nobody's from now on. */
void h2_outq_disown(struct h2_outq *, const void *of);

#endif
