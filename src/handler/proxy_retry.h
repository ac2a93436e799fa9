/*
 * Whether a request that failed at one server is asked of another.
 * Workers.
 */
#ifndef SL_HANDLER_PROXY_RETRY_H
#define SL_HANDLER_PROXY_RETRY_H

#include "base/rand.h"
#include "http/fail.h"
#include "http/msg.h"
#include "up/retry.h"

struct proxy;
struct attempt;
struct exchange;

/* why no other attempt is made, first reason first; OK: one is */
enum retry_no {
	RETRY_NO_OK,
	RETRY_NO_COND,		/* retry.on does not name the failure */
	RETRY_NO_TRIES,		/* retry.tries were made */
	RETRY_NO_METHOD,	/* the server may have acted on it */
	RETRY_NO_BODY,		/* bytes of it cannot be sent again */
	RETRY_NO_TIME,		/* the deadline comes before it would begin */
	RETRY_NO_SERVER,	/* all that may be asked were */
	RETRY_NO_BUDGET,
	RETRY_NO_N
};

/* what is known of the attempt that failed */
struct retry_ask {
	/* SERVER_ERROR: a 503 that says when; ATTEMPT_CUT: it was ended */
	enum fail	 why;
	enum http_method meth;
	bool		 sent;	/* bytes went to the server */
	bool		 lost;	/* so did some that were not kept */
	unsigned	 made;	/* further attempts that count, before it */
	unsigned	 grpc;	/* GRPC_ERROR: RETRY_ON_GRPC of its code */
};

/* an exchange's own, in struct proxy */
struct proxy_retry {
	struct retry_conf conf;		/* of the route; or of a fallback */
	struct str	 tries;		/* of arena: attempts that failed */
	uint64_t	 at_us;		/* the attempt's choice began */
	struct str	 last;		/* server of the one before it */
	uint64_t	 last_us;	/* and its at_us */
	uint64_t	 wait;		/* ms, with redo */
	unsigned	 made;		/* of retry.tries, at this upstream */
	unsigned	 grpc;		/* RETRY_ON_GRPC of the last answer */
	unsigned	 unseen;	/* times proxy_retry_unseen was true */
	unsigned	 anew;		/* and proxy_retry_anew */
	bool		 earned:1;	/* the first one there was counted */
	bool		 refused:1;	/* by its budget: counted once */
	bool		 noted:1;	/* the attempt is in tries */
	bool		 redo:1;	/* decided while the stream was there */
	bool		 drop:1;	/* its answer is not passed on */
	bool		 pause:1;	/* the next attempt waits */
};

/*
 * By the rules alone: conditions, number, RFC 9110 9.2.2, the body.  Time,
 * servers and budget are asked for after that.
 */
enum retry_no proxy_retry_judge(const struct retry_conf *,
    const struct retry_ask *);
/* How long the next attempt waits when so many were made; milliseconds. */
uint64_t proxy_retry_wait(const struct retry_conf *, unsigned made,
    struct rand *);

/* keys of [route]; what holds after link */
extern const struct conf_group proxy_retry_group;
const struct retry_conf *proxy_retry_of(const struct exchange *);

/* --- for the steps --- */

/* A choice begins: that is when its attempt does. */
void proxy_retry_mark(struct proxy *);
/* The attempt begins at p->server. */
void proxy_retry_begin(struct proxy *);
/* The attempt has failed; p->why goes into the access record. */
void proxy_retry_note(struct proxy *);
/*
 * The pool has answered that it is to choose again (pool_wait.anew): what
 * it was to share has no place for it.  True: that was no attempt, p->step
 * is set.
 */
bool proxy_retry_anew(struct proxy *);
/*
 * The attempt has failed.  True: its server has not looked at it, which is
 * asked again, or another one, and is no retry; p->step is set.  At once,
 * and from the second time on after a wait, with p->again.pause.  False:
 * nothing was done, it is for proxy_retry_next.
 */
bool proxy_retry_unseen(struct proxy *);
/*
 * The attempt has failed and nothing of it is held.  True: another one
 * follows, p->step is set; with p->again.pause it is woken by p->quiet.
 */
bool proxy_retry_next(struct proxy *);
/* A head came: true if it is dropped, for another server is asked. */
bool proxy_retry_drops(struct proxy *, const struct msg *, bool end);
/* Its body came, and goes nowhere; left: what may still come. */
void proxy_retry_dropped(struct proxy *, int64_t left);
/* attempt.cut: the server went out of service. */
void proxy_retry_cut(struct attempt *, enum fail why);

#endif
