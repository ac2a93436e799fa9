/*
 * Connections to servers: per worker and server, last in first out.  One
 * of HTTP/2 is given to many at a time, as many as it has room for.  A
 * pooled connection is watched: what arrives on it unasked, or its end,
 * closes it.  Handing one out never blocks: a dial goes on in the loop.
 */
#ifndef SL_UP_POOL_H
#define SL_UP_POOL_H

#include "up/upstream.h"

struct up_conn;

/* The caller's wish for a connection, until it is given or cancelled. */
struct pool_wait {
	/* by the caller, before pool_get */
	/* conn: yours, with room for one request; NULL: why */
	void		(*on)(struct pool_wait *, struct up_conn *, enum fail);
	bool		 careful;	/* the request cannot be sent twice */
	bool		 single;	/* fresh, and nobody else's ever */
	bool		 raw;		/* for bytes, not for HTTP; single */
	bool		 h1;		/* HTTP/1.1, if the server has it */
	bool		 h2;		/* even if it has asked for that */
	struct str	 first;		/* bytes that go ahead on it, or "" */
	const struct tried *tried;	/* ref: not dialled besides; or NULL */
	/* of the pool */
	struct server	*server;	/* ref, see below */
	struct up_conn	*conn;		/* dialled, or about to be given */
	struct timer	 deadline;	/* connect time-out */
	struct up_conn	*second;	/* dialled besides, or NULL */
	struct timer	 race;		/* until it is */
	struct server	*raced;		/* counted: of second, or NULL */
	uint64_t	 begun_ns;	/* of the first dial */
	struct ev_task	 wake;
	uint64_t	 connect_ms;	/* 0: no limit */
	enum fail	 why;
	uint32_t	 lease;		/* word + 1 that is held for a dial */
	struct pool_share *share;	/* ref: waits for it with others */
	struct list	 node;		/* of share, or of up_conn.waits */
	bool		 claimed:1;	/* a connection, or the right to one */
	/*
	 * For the caller, in on().  server is whose connection, or whose
	 * failure, it is: not that of pool_get, if another address of the
	 * same name was dialled besides and answered, or failed later.
	 */
	struct server	*lost;		/* ref: failed besides, or NULL */
	enum fail	 lost_why;
	const char	*what;		/* "connect" and others: what failed */
	int		 error;		/* its errno, or 0 */
	uint64_t	 dial_ns;	/* time it took */
	bool		 reused:1;
	/* why is that of many who waited, and another has counted it */
	bool		 counted:1;
	/* why is no failure: what it waited for has no place for it */
	bool		 anew:1;
	bool		 waiting:1;	/* on() will come */
};

/* The pool's fields of a server that is being made. */
void pool_init(struct server *);

/*
 * Takes what a request to the server needs: a pooled connection, or a
 * place among its max_conns.  False: there is none now.  pool_get follows
 * in the same turn, or pool_cancel.
 */
bool pool_claim(struct server *, struct pool_wait *, bool fresh);
/* How many more claims pool_claim could give; UINT32_MAX: any. */
uint32_t pool_room(const struct server *);

/*
 * Asks for a connection; the answer comes by on(), from a wake, never
 * from within.  fresh: do not take a pooled one.
 */
void pool_get(struct server *, struct pool_wait *, uint64_t connect_ms,
    bool fresh);
/* No answer is wanted any more; harmless when none is due. */
void pool_cancel(struct pool_wait *);

/* "1.1" or "2.0": what is spoken on a connection that was given. */
struct str pool_version(const struct up_conn *);
/* A stream for one request on a connection that was given. */
struct stream *pool_stream(struct up_conn *, struct arena *);
/*
 * The io of a connection whose stream has an answer with WAIST_UPGRADE,
 * as the codec's take(); the connection stays given, and counted.
 */
struct io *pool_take(struct up_conn *, struct chunk *rest);
/*
 * The alert by which the server ended a connection instead of its first
 * answer: it refuses who we are; NULL: there was none.
 */
const char *pool_alert(const struct up_conn *);
/* Ends a connection that was given now; its stream is told. */
void pool_close(struct up_conn *);
/*
 * Done with a connection that was given, its stream is closed: pooled if
 * its codec says it may be used again.
 */
void pool_put(struct up_conn *, bool reusable);

/* Closes idle connections with a lease: so many, or over the limit. */
void pool_give_up(struct server *, unsigned n);
/* Closes what is idle (pool of a server that goes away, pressure). */
void pool_close_idle(struct server *);
/* Hands idle connections to the same server of another twin, if any. */
void pool_move_idle(struct server *from, struct server *to);

#endif
