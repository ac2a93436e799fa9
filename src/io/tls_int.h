/*
 * What tls.c (handshake, reading, the layer) and tls_write.c (what leaves)
 * share of a connection with TLS.  Workers.
 */
#ifndef SL_IO_TLS_INT_H
#define SL_IO_TLS_INT_H

#include "io/tls.h"

#define RECORD		16384		/* plain bytes of one */
#define RECORD_WIRE	(RECORD + 512)	/* with head, tag and padding */
#define RECORDS		4		/* of one write */
#define SPARE		16384		/* of handshakes, beside them */
#define OUT_MAX		(RECORDS * RECORD_WIRE + SPARE)

/* a record that was made and is not yet reported */
struct made {
	size_t		plain;
	size_t		end;		/* in what is to be sent */
};

struct tls_room {
	BIO_METHOD	*meth;		/* own */
	size_t		 n;		/* bytes of out */
	unsigned	 nmade;
	struct made	 made[RECORDS];
	char		 plain[RECORD];
	char		 out[OUT_MAX];
};

struct tls {
	struct io_ops		 ops;	/* io.ops points here */
	const struct io_ops	*below;	/* const: of the socket */
	struct io		*io;	/* ref */
	struct tls_room		*room;	/* ref */
	SSL			*ssl;	/* own */
	struct str		 first;	/* of the room, while shaking */
	char			*left;	/* own: nleft bytes not yet sent */
	size_t			 nleft;
	size_t			 ahead;	/* plain bytes of them */
	struct ev_task		 late;	/* sends what a handshake left */
	struct timer		 ticket; /* the same, if that is a ticket */
	struct ev_task		 again;	/* reads on in another turn */
	uint8_t			 gone;	/* readiness kept until then */
	uint64_t		 turn;	/* of the loop, that cost is of */
	uint32_t		 cost;
	uint32_t		 talk;	/* TALK_BYTES for each message */
	struct tls_error	 error;
	bool			 eof:1;	/* it has ended */
	bool			 broken:1;	/* the socket takes no more;
						 * what came is read on */
	bool			 failed:1;	/* OpenSSL is done with it */
	bool			 up:1;	/* the handshake is through */
	bool			 ended:1;	/* close_notify was made */
};

static inline struct tls *
tls_of(const struct io *io)
{
	return container_of((struct io_ops *)(uintptr_t)io->ops, struct tls,
	    ops);
}

/* Nothing is written any more. */
static inline bool
tls_is_done(const struct tls *t)
{
	return t->failed || t->broken;
}

/* --- tls.c --- */
/*
 * Before OpenSSL is called: what others left in its queue would be taken for
 * this connection's.
 */
void tls_begin(void);
/* What OpenSSL's answer means; it has failed unless it waits. */
enum io_rc tls_judge(struct tls *, int rc);

/* --- tls_write.c --- */
/*
 * What of left and the room is not with the kernel stays as left; put: how
 * many bytes of both are.
 */
void tls_keep_rest(struct tls *, size_t put);
/*
 * Sends what is left from before and what the room has; true if all went.
 * *room_put: bytes of the room's.
 */
bool tls_send_out(struct tls *, unsigned flags, size_t *room_put);
/* The same for what nobody waits for; events tell when more may go. */
bool tls_send_all(struct tls *);
/* The io's writev: records are made, and leave in one call. */
enum io_rc tls_writev(struct io *, const struct iovec *, int n,
    unsigned flags, size_t *put);
/* Says close_notify, unless that was said, or something before it waits. */
void tls_say_end(struct tls *);

#endif
