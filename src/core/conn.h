/*
 * A client connection: one accepted io with its codec.  Idle it takes two
 * blocks of memory, this and the codec's (CODEC_CONN_MAX): with what malloc
 * adds 272 bytes, so that ten thousand of them take less than 3 MB.
 */
#ifndef SL_CORE_CONN_H
#define SL_CORE_CONN_H

#include <openssl/types.h>

#include "core/listener.h"

struct conn {
	struct io		 io;
	union {
		struct list	 node;		/* of serve.conns_open, _idle */
		struct ev_task	 free;		/* once it is out of them */
	};
	struct listener		*listener;	/* ref, counted */
	union {
		struct codec_conn *codec;	/* own by the codec */
		struct greet	*greet;		/* own; while greeting */
		struct version	*version;	/* own; while sniffing */
	};
	struct sock_peer	 peer;
	bool			 idle:1;	/* here they fill a gap */
	bool			 draining:1;	/* its codec was told */
	bool			 greeting:1;	/* there is no codec yet */
	bool			 sniffing:1;	/* nor now: see version.h */
	bool			 by_tls:1;	/* to who sent the greeting */
	bool			 raw:1;		/* passed on, see pass.h */
	bool			 spared:1;	/* has a stream: goes on */
	uint8_t			 http;		/* its codec, of codecs[] */
	uint64_t		 no;		/* number in this process */
	struct listener_hold	 hold;		/* own */
};

/* Takes descriptor and hold; starts the listener's codec on it. */
void conn_open(struct listener *, int fd, const struct sock_addr *peer,
    struct listener_hold);

/* Starts the codec c->http, when all that comes before it is through. */
void conn_begin(struct conn *);

/* True when what the peer says came by TLS. */
bool conn_is_secure(const struct conn *);
/* Its TLS; NULL: none. */
SSL *conn_tls(const struct conn *);

/* Finish the request under way, then close (Connection: close). */
void conn_drain(struct conn *);
/* Close now; what runs is aborted with why. */
void conn_close(struct conn *, enum fail why);
/*
 * The io of a connection whose request has an answer with WAIST_UPGRADE,
 * as the codec's take().
 */
struct io *conn_take(struct conn *, struct chunk *rest);
/* Closes up to n of the longest idle ones; returns how many. */
unsigned conn_close_idle(struct serve *, unsigned n);

/* All of a listener (NULL: of the process). */
void conn_drain_all(struct serve *, const struct listener *);
/* All of the process; those that were spared only if streams. */
void conn_close_all(struct serve *, enum fail why, bool streams);
/*
 * Drains those of a listener, or with cut closes them at once, with what is
 * under way on them; but for those that keeps (NULL: none).  Of whom a
 * certificate was asked is given no other request: who he is was found by
 * rules that hold no more.
 */
void conn_let_go(struct listener *, bool cut, conn_keeps_fn keeps,
    const void *arg);

/* What a listener's codec_env calls with a connection. */
void conn_on_idle(void *conn, bool idle);
void conn_on_gone(void *conn, enum fail);
void conn_on_note(void *conn, enum codec_note);

/* The stream callbacks that every server codec gets (exchange.c). */
extern const struct stream_up exchange_up;

#endif
