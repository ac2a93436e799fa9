/*
 * Bytes read from a connection and not yet used: one page, there only
 * while there is something in it.  Of a codec connection.
 */
#ifndef SL_CODEC_H1_INBUF_H
#define SL_CODEC_H1_INBUF_H

#include "http/waist.h"

struct h1_inbuf {
	struct page	*page;		/* ref; NULL: nothing is held */
	uint32_t	 pos;		/* used up to here */
	uint32_t	 budget;	/* of the owner: bytes left this turn */
};

/* What is there; a slice that lasts as long as a reference to the page. */
struct str h1_inbuf_str(const struct h1_inbuf *);

/* True if the last read may have left some for want of room. */
bool h1_inbuf_is_full(const struct h1_inbuf *);

/* n bytes were used; an empty page is given back by h1_inbuf_trim. */
void h1_inbuf_skip(struct h1_inbuf *, size_t n);
void h1_inbuf_trim(struct h1_inbuf *);

/* Drops everything. */
void h1_inbuf_fini(struct h1_inbuf *);

/* A chunk over the first n bytes, which are used then. */
struct chunk h1_inbuf_cut(struct h1_inbuf *, size_t n);

/*
 * Reads once behind what is there.  Unused bytes stay in one piece: they
 * move to another page, at last a large one, when theirs is full.
 * IO_ERR with io->error ENOBUFS: even that one is.
 */
enum io_rc h1_inbuf_read(struct h1_inbuf *, struct io *, struct page_pool *,
    size_t *got);

#endif
