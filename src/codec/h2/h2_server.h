/*
 * The server side of HTTP/2, shared by its files: h2_server.c (life of a
 * connection), h2_server_ng.c (nghttp2's callbacks), h2_server_in.c
 * (requests), h2_server_out.c (responses).
 */
#ifndef SL_CODEC_H2_SERVER_H
#define SL_CODEC_H2_SERVER_H

#include <nghttp2/nghttp2.h>

#include "base/must.h"
#include "codec/codec.h"
#include "codec/h2/h2_bdp.h"
#include "codec/h2/h2_code.h"
#include "codec/h2/h2_glitch.h"
#include "codec/h2/h2_head.h"
#include "codec/h2/h2_outq.h"

#define H2_SERVER_MAGIC	0x48325356	/* "H2SV" */
#define H2_TURN		262144	/* bytes of a connection in one turn */
#define H2_OUT_MAX	131072	/* that wait for the transport */
#define H2_PRIORITY_UPDATE 0x10	/* the frame (RFC 9218 7.1) */
#define H2_GONE		64	/* streams that are remembered */
#define H2_SKIP_MAX	1048576	/* of a body nobody reads */

enum h2c_state {
	H2C_OPEN,
	H2C_LINGER,	/* all is said; what comes is dropped */
	H2C_DEAD
};

/* how far the end of a connection has been told */
enum h2c_bye {
	H2_BYE_NONE,
	H2_BYE_NOTICE,	/* GOAWAY: new streams may be on their way */
	H2_BYE_SAID	/* GOAWAY with the last one that counts */
};

/* a connection */
struct h2c {
	struct codec_conn	 base;
	uint8_t			 state;		/* enum h2c_state */
	uint8_t			 bye;		/* enum h2c_bye */
	bool			 idle:1;	/* as idle() was last told */
	bool			 greeted:1;	/* the client's preface came */
	bool			 in_head:1;	/* within a head's frames */
	bool			 eof:1;		/* no more comes */
	bool			 head_alone:1;	/* of a stream: see flush */
	bool			 judged:1;	/* nghttp2's GOAWAY is out */
	struct io		*io;		/* own until closed */
	const struct codec_env	*env;		/* ref */
	void			*ctx;		/* of the floor above */
	struct timer		 timer;		/* looks at all times */
	struct ev_task		 task;		/* goes on; at last frees */
	struct ev_task		 flush;
	nghttp2_session		*ng;		/* own */
	struct page		*in;		/* ref: read into */
	struct h2_outq		 q;
	struct h2_walk		 walk;
	struct h2_glitch	 glitch;
	struct h2_bdp		 bdp;
	uint32_t		 budget;	/* of this turn */
	uint64_t		 turn;		/* that it is of */
	struct list		 streams;	/* h2s.node: alive above */
	struct list		 todo;		/* h2s.todo */
	struct list		 ending;	/* h2s.end: last byte in q */
	struct list		 held;		/* h2s.node: of nghttp2 alone */
	uint32_t		 nstream;
	uint64_t		 requests;
	int32_t			 last_id;	/* that was asked */
	int32_t			 max_id;	/* that was ever named */
	int32_t			 gone[H2_GONE];	/* we reset these lately */
	uint32_t		 ngone;
	uint32_t		 code;		/* of the last GOAWAY; or 0 */
	uint64_t		 head_wire;	/* bytes of a head's frames */
	enum fail		 why;		/* of the connection */
	const char		*what;		/* more of it; constant */
	uint64_t		 retire;	/* ms: age's end; 0 */
	uint64_t		 since;		/* state, head or idle began */
	uint64_t		 moved;		/* a write took something */
	uint64_t		 bye_at;	/* the notice was sent */
	size_t			 unsent;	/* at the last look */
	uint32_t		 dropped;	/* LINGER: bytes */
};

/* a stream */
struct h2s {
	struct stream		 st;
	struct arena		 arena;		/* own; this struct is in it */
	struct h2c		*c;		/* ref */
	struct list		 node;		/* of c->streams or held */
	struct list		 todo;		/* of c->todo, or alone */
	struct list		 end;		/* of c->ending, or alone */
	struct ev_task		 free;
	int32_t			 id;
	struct msg		 head;
	struct h2_head		 hp;		/* head or trailers, parsed */
	struct hdrs		 trailers;	/* of the request */
	/* the request's body */
	struct h2_ring		 in;		/* not yet taken */
	uint64_t		 in_got;
	uint64_t		 skip_ms;	/* answered, still it comes */
	uint64_t		 skip_from;	/* in_got then */
	uint64_t		 wait_ms;	/* for the client, since; 0 */
	uint64_t		 waited_ms;	/* in all */
	uint32_t		 in_window;	/* as it was set */
	enum fail		 in_fail;
	/* the response */
	struct h2_ring		 out;		/* not yet framed */
	int64_t			 out_left;	/* of Content-Length */
	nghttp2_nv		*trailer;	/* of arena; sent at the end */
	size_t			 ntrailer;
	uint64_t		 framed;	/* bytes that went to q */
	uint64_t		 end_pos;	/* of q.put, behind its end */
	uint64_t		 out_ms;	/* progress, last seen */
	enum fail		 broken;	/* of the response: cut it */
	uint32_t		 reset;		/* code that comes at its end */
	uint32_t		 code;		/* with which it was closed */
	/* what it is */
	bool			 ng_open:1;	/* nghttp2 knows it */
	bool			 asked:1;	/* request() was called */
	bool			 over:1;	/* closed() was called */
	bool			 in_ended:1;	/* END_STREAM came */
	bool			 in_told:1;	/* so was the sink */
	bool			 in_drop:1;	/* nobody reads it */
	bool			 expect:1;	/* a 100 is waited for */
	bool			 head_sent:1;
	bool			 bodyless:1;
	bool			 out_ended:1;	/* the source has ended */
	bool			 deferred:1;	/* nghttp2 waits for data */
	bool			 full:1;	/* the source waits for room */
	bool			 out_done:1;	/* its end is in q */
	bool			 last_told:1;
	bool			 was_reset:1;	/* RST_STREAM is on its way */
	bool			 head_alone:1;	/* no body came behind it */
};

/* The connection ends with GOAWAY; what: more for the log, constant. */
void h2_server_calm(struct h2c *, enum fail why, const char *what);
/* Asks the client to bring no more streams, in two steps. */
void h2_server_bye(struct h2c *);
/* The second step: the notice has reached the client. */
void h2_server_bye_done(struct h2c *);
/* Has the flush run soon. */
void h2_server_push(struct h2c *);
/* What happened to a stream is looked at soon, outside of nghttp2. */
void h2_server_note(struct h2s *);
/* The client is told that it is over; nothing if it was told before. */
void h2_server_reset(struct h2s *, uint32_t code);
/* The stream ends; it is told above, and reset unless it ended well. */
void h2_server_close_stream(struct h2s *, enum fail why);
/* Another turn may have begun: its budget is whole. */
void h2_server_turn(struct h2c *);
/* n bytes of it were used. */
void h2_server_charge(struct h2c *, size_t n);
/* n bytes of a stream (struct h2s) went to the kernel. */
void h2_server_sent(void *, size_t n);
/* Looks at all streams that were noted. */
void h2_server_attend(struct h2c *);
/* The connection ends now; reset: without a clean end. */
void h2_server_die(struct h2c *, enum fail why, bool reset);
/* Ends, or arms, what has to be before the loop takes over. */
void h2_server_settle(struct h2c *);
/* Too old, or too many requests: it ends gently. */
void h2_server_age(struct h2c *);

/* All that is ready leaves. */
void h2_server_flush(struct h2c *);

/* Ends what took too long. */
void h2_server_look(struct h2c *);

/* One of a kind; 0, or what a callback answers when it was too many. */
int h2_server_count(struct h2c *, enum h2_glitch_kind);
/* Counts the frames of what was read; c->why says if nghttp2 may have it. */
void h2_server_walk(struct h2c *, struct str in);
/* A session with our callbacks and first SETTINGS. */
nghttp2_session *h2_server_session(struct h2c *);

/* A stream for a head that begins. */
struct h2s *h2_server_begin(struct h2c *, int32_t id);
/* The head is whole: up with it. */
void h2_server_ask(struct h2s *, bool end);
/* Trailers are whole; they end the request. */
void h2_server_trailers(struct h2s *, bool end);
/* A piece of body, within c->in or to be copied. */
void h2_server_data(struct h2s *, const uint8_t *, size_t n);
/* The client said that the request is whole. */
void h2_server_in_end(struct h2s *);
/* Moves what came of the body as far as there is credit. */
void h2_server_feed(struct h2s *);
/* Nothing more is wanted of the request: it has a moment, then a reset. */
void h2_server_skip(struct h2s *);
/* The request's body will not come to its end. */
void h2_server_in_fail(struct h2s *, enum fail why);
extern const struct source_ops h2_server_in_ops;

/* How much may wait of a stream. */
int64_t h2_server_window(const struct h2s *);
/* What nghttp2 asks of a stream's body. */
ssize_t h2_server_read(nghttp2_session *, int32_t id, uint8_t *, size_t,
    uint32_t *flags, nghttp2_data_source *, void *);
int h2_server_send(nghttp2_session *, nghttp2_frame *, const uint8_t *head,
    size_t n, nghttp2_data_source *, void *);
/* Tells the source of room, if it waits for it. */
void h2_server_room(struct h2s *);
/* The last frame of the response is in the queue. */
void h2_server_framed(struct h2s *);
extern const struct sink_ops h2_server_out_ops;

#endif
