/*
 * The server side of HTTP/1.1, shared by its files: h1_server.c (life of
 * a connection), h1_server_in.c (requests), h1_server_out.c (responses).
 */
#ifndef SL_CODEC_H1_SERVER_H
#define SL_CODEC_H1_SERVER_H

#include "codec/h1/h1_body.h"
#include "codec/h1/h1_outq.h"

#define H1_SERVER_MAGIC	0x48315356	/* "H1SV" */
#define H1C_IDLE_LINGER	500	/* ms, before an idle one is closed */
#define H1C_DRAIN_GRACE	1000	/* ms, for a next request at drain */
#define H1C_AGE_SHIFT	7	/* retire counts 128 ms */

enum h1c_state {
	H1C_IDLE,	/* no byte of a request; nothing is held */
	H1C_HEAD,	/* within a head */
	H1C_RUN,	/* the floor above has the request */
	H1C_TAKEN,	/* the io was handed over */
	H1C_LINGER,	/* answered; what comes is dropped */
	H1C_DEAD
};

struct h1s;

/* a connection: all that there is of it while it is idle */
struct h1c {
	struct codec_conn	 base;
	uint8_t			 state;		/* enum h1c_state */
	bool			 drain:1;
	bool			 idle:1;	/* as idle() was last told */
	bool			 close:1;	/* after this response */
	bool			 tried:1;	/* watched unless it ends now */
	uint16_t		 turn;		/* that in.budget is of */
	struct io		*io;		/* own until closed or taken */
	const struct codec_env	*env;		/* ref */
	void			*ctx;		/* of the floor above */
	struct timer		 timer;		/* what for: by state */
	struct ev_task		 task;		/* goes on; at last frees */
	struct h1_inbuf		 in;
	uint32_t		 requests;	/* LINGER: bytes dropped */
	uint32_t		 retire;	/* age's end; 0: none */
	struct h1s		*s;		/* the request, or NULL */
};

/* what the connection's timer measures while a request runs */
enum h1s_timer { H1S_NONE, H1S_WRITE, H1S_BODY, H1S_WATCH };

/* a request and its response; in an arena of its own */
struct h1s {
	struct stream		 st;
	struct arena		 arena;		/* own; this struct is in it */
	struct h1c		*c;		/* ref; NULL: it is over */
	struct msg		 head;
	struct h1_framing	 fr;
	struct h1_body		 body;
	struct h1_outq		 q;
	struct ev_task		 flush;
	struct ev_task		 free;
	struct page		*head_page;	/* ref: slices of head */
	size_t			 seen;		/* of the head, scanned */
	uint64_t		 wait_ms;	/* waiting for body since; 0 */
	uint64_t		 waited_ms;	/* for body, in all */
	uint64_t		 skip_from;	/* body.got, when dropped */
	size_t			 unsent;	/* at H1S_WRITE's last look */
	uint64_t		 took_ms;	/* the client, last seen */
	enum fail		 broken;	/* of the response: cut it */
	enum fail		 in_fail;	/* of the request's body */
	uint8_t			 timer;		/* enum h1s_timer */
	bool			 asked:1;	/* request() was called */
	bool			 timed:1;	/* its head came in pieces */
	bool			 slow:1;	/* its answer: be watched */
	bool			 expect:1;	/* a 100 is waited for */
	bool			 in_told:1;	/* in's abort was called */
	bool			 head_sent:1;
	bool			 head_alone:1;	/* no body came behind it */
	bool			 upgraded:1;
	bool			 last_told:1;
	bool			 moved:1;	/* written since the timer */
	bool			 waits:1;	/* source_ops.waits */
};

/* --- h1_server.c --- */
/* Goes on with whatever the state allows; only from the loop. */
void h1_server_go(struct h1c *);
/* The response is written and the request is over: what follows? */
void h1_server_finish(struct h1c *);
/* The stream fails and the connection with it. */
void h1_server_fail(struct h1c *, enum fail why, bool reset);
/* Watches, and arms what has to be, before the loop takes over. */
void h1_server_settle(struct h1c *);
/* Prepares the task that frees a stream. */
void h1_server_init_free(struct h1s *);
/* Says nothing more; reads and drops what comes, at most ms. */
void h1_server_linger(struct h1c *, uint64_t ms);
/* No word: the connection is closed, or lingers if something is unread. */
void h1_server_end(struct h1c *, enum fail why, bool reset);
/* Tells idle(), if that is news. */
void h1_server_idle(struct h1c *, bool idle);
/* Another turn may have begun: its budget is whole. */
void h1_server_turn(struct h1c *);

/* --- h1_server_in.c --- */
/* Reads what is before or in a head; false: nothing to do now. */
bool h1_server_read_head(struct h1c *);
/* Answers for the codec: the request is refused. */
void h1_server_refuse(struct h1c *, enum fail why);
/* Moves the body of the request. */
void h1_server_read_body(struct h1c *);
/* The body of the request will not come to its end. */
void h1_server_body_fail(struct h1c *, enum fail why);
/*
 * The client ended its direction, has nothing more to ask, and what it asks
 * for waits for somebody else: nobody is there to answer.
 */
bool h1_server_has_left(struct h1s *);
/* Drops of the body what is here; true if nothing more will come of it. */
bool h1_server_skip(struct h1s *);
extern const struct source_ops h1_server_in_ops;

/* --- h1_server_out.c --- */
void h1_server_flush(struct h1s *);
/* Response and request are through. */
bool h1_server_is_done(const struct h1s *);
/* A length that only the end of the connection tells must not look whole. */
bool h1_server_must_reset(const struct h1s *);
/* Has the flush run soon, when something waits. */
void h1_server_push(struct h1s *);
extern const struct sink_ops h1_server_out_ops;

#endif
