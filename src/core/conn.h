/*
 * A client connection: one accepted io with its codec.  At most 256 bytes
 * while idle, codec included (design section 5).
 */
#ifndef SL_CORE_CONN_H
#define SL_CORE_CONN_H

#include "core/listener.h"

struct conn {
	struct io		 io;
	struct list		 node;		/* of serve.conns_open */
	struct listener		*listener;	/* ref, counted */
	struct codec_conn	*codec;		/* own by the codec */
	struct greet		*greet;		/* own; NULL: not before it */
	struct sock_peer	 peer;
	uint64_t		 no;		/* number in this process */
	struct ev_task		 free;
	struct listener_hold	 hold;		/* own */
	bool			 idle:1;
	bool			 draining:1;	/* its codec was told */
};

/* Takes descriptor and hold; starts the listener's codec on it. */
void conn_open(struct listener *, int fd, const struct sock_addr *peer,
    struct listener_hold);

/* Starts the codec, when who the client is has been told. */
void conn_begin(struct conn *);

/* Finish the request under way, then close (Connection: close). */
void conn_drain(struct conn *);
/* Close now; what runs is aborted with why. */
void conn_close(struct conn *, enum fail why);
/* Closes up to n of the longest idle ones; returns how many. */
unsigned conn_close_idle(struct serve *, unsigned n);

/* All of a listener (NULL: of the process). */
void conn_drain_all(struct serve *, const struct listener *);
void conn_close_all(struct serve *, enum fail why);

/* What a listener's codec_env calls with a connection. */
void conn_on_idle(void *conn, bool idle);
void conn_on_gone(void *conn, enum fail);

/* The stream callbacks that every server codec gets (exchange.c). */
extern const struct stream_up exchange_up;

#endif
