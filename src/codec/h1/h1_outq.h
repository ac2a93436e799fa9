/*
 * What waits to be written on a connection, and the message it belongs
 * to: heads and chunk lines are rendered into a page, bodies stay where
 * they are.  Both codecs' sinks are built on it.
 */
#ifndef SL_CODEC_H1_OUTQ_H
#define SL_CODEC_H1_OUTQ_H

#include "codec/h1/h1.h"
#include "io/pipe.h"

#define H1_WINDOW_LEAST	16384	/* of a stream, when memory is short */
#define H1_WINDOW	65536	/* credit of a stream */
#define H1_WINDOW_FAST	262144	/* of one that moves, or is one of few */
#define H1_PROMPT	32768	/* to be written while in the caches */
#define H1_TURN		262144	/* bytes of a connection in one turn */

struct h1_outq {
	/* set once */
	struct arena		*arena;	/* ref */
	struct page_pool	*pool;	/* ref */
	struct pipe_pool	*pipes;	/* ref; NULL: nothing is spliced */
	/* what waits */
	struct chunk		*ring;	/* of arena */
	uint32_t		 cap;
	uint32_t		 at;
	uint32_t		 n;
	uint64_t		 bytes;
	struct page		*page;	/* ref: rendered into */
	/* splice: what is offered, and what is in the pipe already */
	struct io		*from;	/* of the source; NULL: no offer */
	uint64_t		 offer;	/* bytes of it that may be taken */
	struct pipe		*pipe;	/* own, while there is work for it */
	/* the message */
	int64_t			 left;	/* of Content-Length, or unknown */
	int64_t			 window;
	bool			 chunked:1;
	bool			 bodyless:1;	/* data is dropped */
	bool			 last:1;	/* last chunk is queued */
	bool			 ended:1;	/* the source has ended */
	bool			 bad:1;		/* it did not keep its length */
	bool			 full:1;	/* it waits for room() */
	bool			 splices:1;	/* both ends of it can */
	bool			 fast:1;	/* the last pipe left at once */
	bool			 hold:1;	/* its end is about to come */
	bool			 final:1;	/* behind its end: a close */
};

void h1_outq_init(struct h1_outq *, struct arena *, struct page_pool *);
/* Drops what waits; more is dropped as it comes. */
void h1_outq_fini(struct h1_outq *);

/*
 * A text over room for rendering: with try 0 the rest of a page, then a
 * fresh page, then a large one.  False: there is nothing larger.
 */
bool h1_outq_text(struct h1_outq *, unsigned try, struct text *);
/* What was rendered goes out. */
void h1_outq_commit(struct h1_outq *, const struct text *);
void h1_outq_copy(struct h1_outq *, struct str);

/* The sink's calls between head and abort; sets ended, bad and full. */
enum flow h1_outq_data(struct h1_outq *, struct sink *, struct chunk,
    unsigned flags);
void h1_outq_trailers(struct h1_outq *, const struct hdrs *);
void h1_outq_end(struct h1_outq *);

/*
 * The message may be spliced to io, if that can be; of a head's call, with
 * the message's framing set.
 */
void h1_outq_set_splice(struct h1_outq *, struct sink *, const struct io *,
    struct pipe_pool *);
/* What was offered is not there any more: abort. */
void h1_outq_forget(struct h1_outq *, struct sink *);

/* True if a write would do something. */
bool h1_outq_has_work(const struct h1_outq *);

/* Bytes that the next write will offer to the kernel. */
uint64_t h1_outq_next(const struct h1_outq *);

/*
 * One write, with what an offer has filled into a pipe before it.  Gives
 * credit back to the sink and tells its source what was taken.  IO_EOF: a
 * file is shorter than its range says.
 */
enum io_rc h1_outq_write(struct h1_outq *, struct io *, struct sink *,
    size_t *put);

/*
 * True if the source was told FULL and there is room by now: the caller
 * calls its room(), once.
 */
bool h1_outq_has_room(struct h1_outq *, const struct sink *);

#endif
