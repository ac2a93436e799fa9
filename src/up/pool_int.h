/*
 * A connection to a server, and what the files of the pool share.
 */
#ifndef SL_UP_POOL_INT_H
#define SL_UP_POOL_INT_H

#include "codec/raw/raw.h"
#include "tls/client.h"
#include "up/pool.h"
#include "up/server_tls.h"

struct up_conn {
	struct io		 io;
	struct list		 node;		/* of server.idle, or .multi */
	struct upstream		*upstream;	/* ref, counted */
	struct server		*server;	/* ref, counted; of upstream */
	const struct client_codec *how;		/* const: that of codec */
	struct codec_conn	*codec;		/* NULL: still dialling */
	struct pool_wait	*wait;		/* ref: who is to get it */
	struct list		 waits;		/* the same of a shared one */
	unsigned		 nwait;
	struct pool_share	*share;		/* ref: who waits for room */
	struct codec_env	 env;		/* of codec */
	uint64_t		 born_ms;	/* older by up to a tenth */
	uint64_t		 until_ms;	/* idle: then it is closed */
	uint32_t		 lease;		/* word + 1; 0: none */
	uint32_t		 keep_s;	/* as its server said; 0: not */
	unsigned		 uses;
	struct stream		*stream;	/* of the exchange, or NULL */
	unsigned		 given;		/* to so many */
	bool			 multi:1;	/* takes many: HTTP/2 */
	bool			 shared:1;	/* in server_multi.shared */
	bool			 retired:1;	/* takes no more */
	bool			 told:1;	/* how many it takes */
	bool			 idle:1;
	bool			 gone:1;
	bool			 single:1;	/* not to be pooled */
	bool			 late:1;	/* in the second batch */
	struct ev_task		 close;
	struct ev_task		 free;
	struct tls_out		 out;		/* if its server has TLS */
};

/* The loop of its worker. */
struct ev *pool_loop(const struct server *);

/* --- pool_conn.c --- */

/* One that is to be dialled; it has that lease word, or 0. */
struct up_conn *pool_conn_new(struct server *, uint32_t lease);
/* Its transport is closed: whoever waits for it dials anew, or is told. */
void pool_conn_end(struct up_conn *);
/* Ends one that has a codec; harmless if it has ended. */
void pool_conn_close(struct up_conn *);
/* By the keys of its upstream. */
void pool_conn_limit(struct up_conn *);
/* It is idle no more, and not shared, if it was. */
void pool_conn_leave(struct up_conn *);

/* --- pool.c --- */

/* One that nobody has, and that is good: it becomes idle, if it may. */
void pool_conn_rest(struct up_conn *);

/* --- pool_share.c --- */

/* others that wait for the same dial, and then for room on it */
struct pool_share {
	struct pool_wait	 w;		/* that of the dial */
	struct list		 node;		/* of server_multi.shares */
	struct list		 waits;		/* pool_wait.node */
	unsigned		 n;
	bool			 failed;	/* and one of them was told */
	struct server		*server;	/* counted, its upstream too */
	struct server		*raced;		/* counted: that was dialled
						 * besides; or NULL */
	struct up_conn		*conn;		/* ref: connected; or NULL */
	struct ev_task		 spread;	/* gives room to who waits */
	struct timer		 late;		/* they waited long enough */
	struct ev_task		 free;
};

/* True if it is to be HTTP/1.1 where the server has both. */
bool pool_wants_h1(const struct server *, const struct pool_wait *);
/* True if requests may share a connection to it, as far as is known. */
bool pool_share_may(const struct server *, const struct pool_wait *);
/* Room on a connection that is open, or on one that is dialled. */
bool pool_share_claim(struct server *, struct pool_wait *);
/* Claims that could be had so. */
uint32_t pool_share_room(const struct server *);
/* A dial for it, and for others that come meanwhile; it has the place. */
void pool_share_start(struct pool_wait *);
/* It waits no more. */
void pool_share_leave(struct pool_wait *);
/* A connection is for it now, among others. */
void pool_share_promise(struct up_conn *, struct pool_wait *);
/* It got it, or wants it no more. */
void pool_share_take_back(struct up_conn *, struct pool_wait *);
/* The connection has another number of places. */
void pool_share_note(struct up_conn *);
/* It has room that no request gave back: who waits in the queue is told. */
void pool_share_room_came(struct up_conn *);
/* It has ended, or takes no more: who was to get it is to choose again. */
void pool_share_end(struct up_conn *);
/* True if one of them takes no more, and ends when it is idle. */
bool pool_share_ends(const struct server *);
/* No more requests on connections that are not idle. */
void pool_share_retire(struct server *);

/* --- pool_dial.c --- */

/* A wait that is to be answered from now on. */
void pool_dial_init(struct pool_wait *);
/* Dials for it; the place is taken. */
void pool_dial_start(struct pool_wait *);
/* Tells it from a wake: w->conn is there, or why it is not. */
void pool_dial_answer(struct pool_wait *, enum fail);
/* The same, with what failed and its errno. */
void pool_dial_refuse(struct pool_wait *, const char *what, int error,
    enum fail);
/* The same to who has asked nobody anything: it is to choose again. */
void pool_dial_send_back(struct pool_wait *, enum fail);
/* Connected, and the handshake is through if there is one. */
void pool_dial_begin(struct up_conn *);
/* A dial that failed beyond its connect; its wait is told. */
void pool_dial_fail(struct up_conn *, const char *what, int error,
    enum fail);
/* A dial that comes to nothing; its wait is not told. */
void pool_dial_drop(struct up_conn *);
/*
 * No answer is wanted any more.  Returns the server that was dialled
 * besides, for pool_dial_end_raced when its connections are done with.
 */
struct server *pool_dial_cancel(struct pool_wait *);
/* Nobody asks any more for that server; NULL is allowed. */
void pool_dial_end_raced(struct server *);

/* --- pool_tls.c --- */

/* The handshake of a connection that was just made. */
void pool_tls_shake(struct up_conn *);
/* Its sessions are for another twin's server from now on. */
void pool_tls_move(struct up_conn *, struct server *to);
/*
 * False: since it was dialled its server came under another line, which
 * asks for another certificate, or for none.
 */
bool pool_tls_fits(const struct up_conn *);

#endif
