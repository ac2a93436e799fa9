/*
 * A relay: bytes both ways between two transports, until both directions
 * have ended.  Workers.  Pure mechanism: who the two are, what is counted
 * and why it ends early is its owner's.
 *
 * Each direction reads only when all that it has read before was written,
 * so it holds at most RELAY_PAGES pages, and none while nothing waits.
 * One that moves fast between sockets goes through a pipe instead, if one
 * is free.
 * The end of one direction is passed on when its last byte has been; the
 * other one goes on.  When a side fails, it is over once the other one has
 * ended or had two seconds for what the kernel still has for it.
 */
#ifndef SL_IO_RELAY_H
#define SL_IO_RELAY_H

#include "base/page.h"
#include "base/str.h"
#include "io/io.h"
#include "io/pipe.h"

#define RELAY_PAGES	16	/* 256 KiB, of one that moves fast */

enum relay_end {
	RELAY_DONE,	/* both directions ended */
	RELAY_IDLE,	/* nothing moved for so long */
	RELAY_BROKEN	/* a transport failed: that of side */
};

/* one direction */
struct relay_way {
	struct io	*from;		/* ref */
	struct io	*to;		/* ref */
	struct page	*page[RELAY_PAGES]; /* ref: what waits, from at on */
	struct pipe	*pipe;		/* own: in place of pages, or NULL */
	uint32_t	 pos;		/* of page[at], written up to here */
	uint8_t		 at;
	uint8_t		 n;		/* pages there are */
	uint8_t		 want;		/* pages of the next read */
	bool		 eof:1;		/* from said its last byte */
	bool		 shut:1;	/* and so was to told */
};

struct relay {
	/* by the owner, before relay_start */
	struct ev		*ev;	/* ref */
	struct page_pool	*pages;	/* ref */
	struct pipe_pool	*pipes;	/* ref; NULL: none */
	uint64_t		 idle_ms; /* 0: for ever */
	/* got bytes were read from a side, put written to it */
	void			(*moved)(struct relay *, unsigned side,
				    size_t got, size_t put);
	/* It is over, by itself; side: who broke. */
	void			(*over)(struct relay *, enum relay_end,
				    unsigned side);
	/* of the relay */
	struct relay_way	 way[2]; /* from side 0, from side 1 */
	struct timer		 idle;
	struct ev_task		 task;
	uint64_t		 moved_ms;
	uint64_t		 turn;	/* that budget is of */
	uint32_t		 budget; /* bytes left in this turn */
	uint8_t			 broken; /* side + 1 that takes no more */
	bool			 on:1;
	bool			 linger:1; /* broken, but not yet over */
};

/* Prepares a zeroed relay whose owner's fields are set. */
void relay_init(struct relay *);

/*
 * Bytes that were read from a side already, a slice of pg, whose
 * reference is taken; at most once a side, before relay_start.
 */
void relay_put(struct relay *, unsigned side, struct page *pg,
    struct str bytes);

/*
 * Begins; from now on both transports' events are the relay's.  Nothing
 * is called from within.
 */
void relay_start(struct relay *, struct io *, struct io *);

/*
 * Ends it without a word; harmless when it is over.  The transports are
 * left as they are: their owner closes them.
 */
void relay_stop(struct relay *);

#endif
