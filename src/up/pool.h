/*
 * Connections to servers: per worker and server, last in first out.  A
 * pooled connection is watched: what arrives on it unasked, or its end,
 * closes it.  Handing one out never blocks: a dial goes on in the loop.
 */
#ifndef SL_UP_POOL_H
#define SL_UP_POOL_H

#include "up/upstream.h"

#define POOL_IDLE_MAX	64	/* per worker and server */
#define POOL_IDLE_MS	55000	/* less than the 60 s of most servers */

struct up_conn;

/* The caller's wish for a connection, until it is given or cancelled. */
struct pool_wait {
	/* by the caller, before pool_get */
	/* conn: yours, with room for one request; NULL: why */
	void		(*on)(struct pool_wait *, struct up_conn *, enum fail);
	bool		 careful;	/* the request cannot be sent twice */
	/*
	 * What a connection begins with: it is then a fresh one, which
	 * nobody else gets.
	 */
	struct str	 preface;	/* of the caller; lasts until on() */
	/* of the pool */
	struct server	*server;	/* ref */
	struct up_conn	*conn;		/* dialled, or about to be given */
	struct timer	 deadline;	/* connect time-out */
	struct ev_task	 wake;
	uint64_t	 connect_ms;	/* 0: no limit */
	enum fail	 why;
	/* for the caller, in on() */
	const char	*what;		/* "connect" or "socket": what failed */
	int		 error;		/* its errno, or 0 */
	uint64_t	 dial_ns;	/* time it took */
	bool		 reused:1;
	bool		 waiting:1;	/* on() will come */
};

/* The pool's fields of a server that is being made. */
void pool_init(struct server *);

/*
 * Asks for a connection; the answer comes by on(), from a wake, never
 * from within.  fresh: do not take a pooled one.
 */
void pool_get(struct server *, struct pool_wait *, uint64_t connect_ms,
    bool fresh);
/* No answer is wanted any more; harmless when none is due. */
void pool_cancel(struct pool_wait *);

/* A stream for one request on a connection that was given. */
struct stream *pool_stream(struct up_conn *, struct arena *);
/*
 * Done with a connection that was given, its stream is closed: pooled if
 * its codec says it may be used again.
 */
void pool_put(struct up_conn *, bool reusable);

/* Closes what is idle (pool of a server that goes away, pressure). */
void pool_close_idle(struct server *);
/* Hands idle connections to the same server of another twin, if any. */
void pool_move_idle(struct server *from, struct server *to);

#endif
