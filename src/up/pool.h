/*
 * Connections to servers: per worker and server, last in first out.  A
 * pooled connection is watched: what arrives on it unasked, or its end,
 * closes it.  Handing one out never blocks: a dial goes on in the loop.
 */
#ifndef SL_UP_POOL_H
#define SL_UP_POOL_H

#include "up/upstream.h"

struct up_conn;

/* The caller's wish for a connection, until it is given or cancelled. */
struct pool_wait {
	struct server	*server;
	struct up_conn	*conn;		/* being dialled */
	/* conn: yours, with room for one request; NULL: why */
	void		(*on)(struct pool_wait *, struct up_conn *, enum fail);
	struct timer	 deadline;	/* connect time-out */
	struct ev_task	 wake;
	bool		 reused:1;
};

/*
 * Asks for a connection; the answer comes by on(), from a wake, never
 * from within.  fresh: do not take a pooled one.
 */
void pool_get(struct serve *, struct server *, struct pool_wait *,
    uint64_t connect_ms, bool fresh);
void pool_cancel(struct pool_wait *);

/* A stream for one request on a connection that was given. */
struct stream *pool_stream(struct up_conn *, struct arena *);
/* Done with it: pooled if its codec says it may be used again. */
void pool_put(struct up_conn *, bool reusable);

/* Closes what is idle (pool of a server that goes away, pressure). */
void pool_close_idle(struct server *);

#endif
