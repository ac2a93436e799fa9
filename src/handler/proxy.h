/*
 * The proxy handler's own things, shared by its files:
 *
 *	proxy.c		steps of the attempts, retries, time, the end
 *	proxy_fail.c	what is told of an attempt that failed
 *	proxy_choice.c	what the request says of the choice
 *	proxy_queue.c	which server, and waiting for room
 *	proxy_retry.c	whether another one is asked
 *	proxy_fallback.c another upstream, or a page, when none is left
 *	proxy_keep.c	the request's body, for another attempt
 *	proxy_pump.c	the two bodies, between client and server
 *	proxy_head.c	what is written anew in the heads
 *	proxy_forward.c	what servers are told about the client
 *	proxy_identity.c by its certificate
 *	proxy_deadline.c	how long it all may take
 *	proxy_grpc.c	what is otherwise for calls of gRPC
 *	proxy_gather.c	small pieces of an answer made one
 *	proxy_relay.c	bytes both ways after an upgrade
 *	proxy_conf.c	its keys of [route]
 *
 * A struct proxy is one exchange's, in its arena.  It sits between the
 * client's stream and the server's as a sink and a source for each body,
 * so that it sees progress, ends and failures, and can let go of one
 * server's stream and join another's.
 */
#ifndef SL_HANDLER_PROXY_H
#define SL_HANDLER_PROXY_H

#include "core/handler.h"
#include "core/route.h"
#include "handler/proxy_choice.h"
#include "handler/proxy_fail.h"
#include "handler/proxy_fallback.h"
#include "handler/proxy_keep.h"
#include "handler/proxy_grpc.h"
#include "handler/proxy_relay.h"
#include "handler/proxy_retry.h"
#include "http/grpc.h"
#include "up/attempt.h"
#include "up/pool.h"
#include "up/queue.h"

/* keys of [route] */
struct proxy_route {
	struct str			 upstream;	/* name, or "" */
	struct server_list		 target;
	struct server_list		 targets;
	struct upstream_times		 times;	/* after link: what holds */
	uint64_t			 call_first;	/* ms; after link */
	struct told_host		 host;	/* after link: what holds */
	int				 deadline;	/* enum deadline */
	int				 buffering;	/* enum buffering */
	uint64_t			 max_message;	/* bytes; 0: none */
	const struct upstream_conf	*up;		/* of conf */
};
extern const struct conf_group proxy_group;
extern const struct handler handler_proxy;

enum proxy_step {
#define STEP(id, fn, text)	PROXY_##id,
#include "handler/proxy.steps"
#undef STEP
	PROXY_NSTEP
};

#define PROXY_MAGIC	0x70726f78U

struct proxy {
	/* set once */
	uint32_t		 magic;
	struct exchange		*x;		/* ref */
	struct upstream		*up;		/* ref, counted */
	const struct upstream_conf *up_conf;	/* of conf, until the head */
	struct msg		 req;		/* as it is forwarded */
	struct upstream_times	 times;
	uint64_t		 call_first;	/* times.first_byte of calls */
	int			 host_header;	/* enum host_header */
	uint8_t			 forwarded;	/* enum forwarded */
	uint8_t			 deadline;	/* enum deadline */
	uint8_t			 buffering;	/* enum buffering */
	enum fail		 due_why;	/* when it is over */
	uint64_t		 due_ms;	/* loop time; 0: no end */
	/* the attempt */
	struct server		*server;	/* ref, counted; of up */
	struct choice		*choice;	/* of arena; NULL: no matter */
	struct attempt		 attempt;
	struct tried		 tried;
	struct queue_limits	 limits;
	struct queue_wait	 queue;
	struct pool_wait	 wait;
	struct up_conn		*conn;		/* given by the pool, or NULL */
	struct stream		*s;		/* on conn, NULL once closed */
	uint8_t			 step;		/* enum proxy_step */
	enum fail		 why;		/* the attempt's failure */
	const char		*what;		/* more of it, or "" */
	int			 error;		/* its errno, or 0 */
	unsigned		 looks;		/* for addresses of names */
	uint64_t		 sent_ns;	/* when its head was sent */
	/* the request's body: client -> req_in, req_out -> server */
	struct sink		 req_in;
	struct source		 req_out;
	const struct hdrs	*req_trailers;	/* once they came */
	struct keep		*keep;		/* of arena; NULL: nothing */
	/* the answer: server -> res_in, res_out -> client */
	struct sink		 res_in;
	struct source		 res_out;
	const struct hdrs	*res_trailers;	/* that wait for the client */
	struct msg		*res;		/* its head, of arena */
	const struct msg	*held;		/* likewise, not yet taken */
	struct grpc_scan	 messages;	/* of the answer */
	uint64_t		 max_message;	/* bytes; 0: any */
	struct gather		*gather;	/* of arena, or NULL */
	struct proxy_relay	*relay;		/* of arena; NULL: no upgrade */
	/* time */
	struct timer		 quiet;		/* first byte, between bytes */
	struct timer		 total;
	uint64_t		 moved_ms;	/* a byte, either way */
	struct ev_task		 wake;		/* goes on with the steps */
	struct proxy_retry	 again;
	/* flags of the attempt */
	bool			 fresh:1;	/* no pooled connection */
	bool			 stopped:1;	/* the stream was told to end */
	bool			 told:1;	/* its failure is in the log */
	bool			 hold:1;	/* the body waits for a 100 */
	bool			 got:1;		/* bytes came, when it closed */
	bool			 sent:1;	/* bytes had been sent */
	bool			 req_stop:1;	/* it wants no more body */
	bool			 req_told:1;	/* it has the request's end */
	/* flags of the exchange */
	bool			 running:1;	/* the driver is active */
	bool			 replayed:1;	/* the one replay is used */
	bool			 req_used:1;	/* bytes of it were taken */
	bool			 keeps:1;	/* they are kept, if any came */
	bool			 falls_back:1;	/* to another upstream */
	bool			 req_end:1;	/* the request is complete */
	bool			 answered:1;	/* the exchange has the head */
	bool			 bare:1;	/* a head was all of it */
	bool			 open:1;	/* the client takes the body */
	bool			 res_end:1;	/* the answer is complete */
	bool			 over:1;	/* the exchange wants no more */
	bool			 done:1;	/* everything was let go */
};

/* --- proxy.c --- */
/* Goes on with the steps. */
void proxy_run(struct proxy *);
/* Why the attempt, or the answer after its head, failed. */
void proxy_note(struct proxy *, enum fail);
/* Ends the server's stream; what follows comes by its closed(). */
void proxy_stop(struct proxy *, enum fail);
/* The exchange cannot go on: no further attempt. */
void proxy_give_up(struct proxy *, enum fail);
/* Is it the client whom everybody waits for? */
bool proxy_is_clients_turn(const struct proxy *);
/* The server moved: the quiet timer starts anew. */
void proxy_moved(struct proxy *);

/* Heads of the attempt: a 1xx, or the answer itself. */
void proxy_interim(struct proxy *, const struct msg *);
void proxy_answer(struct proxy *, const struct msg *);
/* The answer is complete. */
void proxy_ended(struct proxy *);

/* --- proxy_queue.c --- */
void proxy_init_queue(struct proxy *);
/* A server with what it takes to ask it claimed by p->wait, or NULL. */
struct server *proxy_pick(struct proxy *);
enum step_rc proxy_queue(struct proxy *);
void proxy_leave_queue(struct proxy *);

/* --- proxy_pump.c --- */
void proxy_init_pumps(struct proxy *);
/* The attempt's stream is there: joins both directions. */
void proxy_join(struct proxy *);
/* The attempt's stream is gone: unties both directions. */
void proxy_untie(struct proxy *);
/* The request's body need not wait for a 100 any more. */
void proxy_let_body(struct proxy *);
/* The attempt's server gets no more of the request's body. */
void proxy_hold_body(struct proxy *);
/* A head that was held back is the answer's. */
void proxy_release(struct proxy *);
/* The exchange takes the answer's body from now on. */
void proxy_open_body(struct proxy *);

/* --- proxy_head.c --- */
/* Sets p->req; -1: Max-Forwards says that it ends here. */
int proxy_make_request(struct proxy *, const struct proxy_route *);
/* What depends on the server: Host. */
void proxy_set_host(struct proxy *);
/* The answer's head as the client gets it, with slices of the stream. */
struct msg *proxy_make_answer(struct proxy *, const struct msg *);
/* The stream is about to go: slices of p->res become the arena's. */
void proxy_own_answer(struct proxy *);

#endif
