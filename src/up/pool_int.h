/*
 * A connection of the pool, as up/pool.c and up/pool_tls.c have it.
 */
#ifndef SL_UP_POOL_INT_H
#define SL_UP_POOL_INT_H

#include "codec/raw/raw.h"
#include "tls/client.h"
#include "up/pool.h"
#include "up/server_tls.h"

struct up_conn {
	struct io		 io;
	struct list		 node;		/* of server.idle */
	struct upstream		*upstream;	/* ref, counted */
	struct server		*server;	/* ref, counted; of upstream */
	const struct client_codec *how;		/* const: that of codec */
	struct codec_conn	*codec;		/* NULL: still dialling */
	struct pool_wait	*wait;		/* ref: who is to get it */
	struct codec_env	 env;		/* of codec */
	uint64_t		 born_ms;	/* older by up to a tenth */
	uint64_t		 until_ms;	/* idle: then it is closed */
	uint32_t		 lease;		/* word + 1; 0: none */
	uint32_t		 keep_s;	/* as its server said; 0: not */
	unsigned		 uses;
	struct stream		*stream;	/* of the exchange, or NULL */
	bool			 given:1;
	bool			 idle:1;
	bool			 gone:1;
	bool			 single:1;	/* not to be pooled */
	bool			 late:1;	/* in the second batch */
	struct ev_task		 close;
	struct ev_task		 free;
	struct tls_out		 out;		/* if its server has TLS */
};

/* Connected, and the handshake is through if there is one. */
void pool_begin(struct up_conn *);
/* A dial that failed beyond its connect. */
void pool_refuse(struct up_conn *, const char *what, int error, enum fail);

/* --- pool_tls.c --- */

/* The handshake of a connection that was just made. */
void pool_shake(struct up_conn *);
/* Its sessions are for another twin's server from now on. */
void pool_tls_move(struct up_conn *, struct server *to);

#endif
