/*
 * A connection of HTTP/2, either side, shared by its files: h2_conn.c (its
 * life), h2_conn_ng.c (nghttp2's callbacks), h2_conn_in.c (bodies that
 * come), h2_conn_out.c (those that leave), h2_conn_flush.c (writing),
 * h2_conn_count.c (what frames cost).  What one side alone does is its
 * struct h2_side: h2_server_side.c, h2_client.c.
 */
#ifndef SL_CODEC_H2_CONN_H
#define SL_CODEC_H2_CONN_H

#include <nghttp2/nghttp2.h>

#include "base/must.h"
#include "codec/codec.h"
#include "codec/h2/h2_bdp.h"
#include "codec/h2/h2_code.h"
#include "codec/h2/h2_conn_out.h"
#include "codec/h2/h2_glitch.h"
#include "codec/h2/h2_head.h"
#include "codec/h2/h2_mem.h"
#include "codec/h2/h2_outq.h"
#include "codec/h2/h2_side.h"
#include "codec/h2/h2_stream.h"

#define H2_GONE		64	/* streams that are remembered */

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
	bool			 bye_told:1;	/* that one is out */
	bool			 warned:1;	/* GOAWAY came */
	bool			 bulky:1;	/* what comes is bodies */
	/* client */
	bool			 mute:1;	/* nothing more is written */
	bool			 pinging:1;	/* for a sign of life */
	bool			 unheard:1;	/* of it since a head left */
	bool			 within:1;	/* nghttp2 is at work */
	const struct h2_side	*side;		/* const */
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
	uint32_t		 budget;	/* of this turn, to read */
	uint32_t		 quota;		/* and to write */
	uint64_t		 turn;		/* that it is of */
	uint32_t		 heads;		/* that came */
	uint32_t		 frames;	/* heads among them */
	uint16_t		 sip;		/* to read behind a frame */
	struct list		 streams;	/* h2s.node: alive above */
	struct list		 todo;		/* h2s.todo */
	struct list		 ending;	/* h2s.end: last byte in q */
	struct list		 held;		/* h2s.node: of nghttp2 alone */
	uint32_t		 nstream;
	uint32_t		 nheld;		/* of held: of the peer, too */
	uint64_t		 requests;
	uint32_t		 nid;		/* ids of requests that left */
	uint64_t		 held_in;	/* bytes of bodies that wait */
	uint64_t		 wide;		/* windows beyond the first */
	struct h2s		*heading;	/* whose head comes; or NULL */
	struct h2s		*framing;	/* whose frame leaves; NULL */
	int32_t			 last_id;	/* that was asked */
	int32_t			 max_id;	/* that was ever named */
	int32_t			 gone[H2_GONE];	/* we reset these lately */
	uint32_t		 ngone;
	uint32_t		 code;		/* of the last GOAWAY; or 0 */
	uint64_t		 head_wire;	/* bytes of a head's frames */
	uint64_t		 head_lost;	/* of one that nobody reads */
	enum fail		 why;		/* of the connection */
	const char		*what;		/* more of it: constant, rule */
	char			 rule[64];	/* as nghttp2 names it */
	uint64_t		 retire;	/* ms: age's end; 0 */
	uint64_t		 since;		/* state, head or idle began */
	uint64_t		 moved;		/* a write took something */
	uint64_t		 heard;		/* a read gave something, or
						 * its only stream began */
	uint64_t		 pinged;
	uint64_t		 doubted;	/* who heard nothing left */
	uint64_t		 bye_at;	/* the notice was sent */
	size_t			 unsent;	/* at the last look */
	uint32_t		 dropped;	/* LINGER: bytes */
};

/* --- h2_conn.c --- */
/* One on an io; side's hello() is queued. */
struct h2c *h2_conn_new(struct io *, const struct codec_env *, void *ctx,
    const struct h2_side *);
struct h2c *h2_conn_of(const struct codec_conn *);
/* A stream of it, messages in the arena up, or in its own: NULL. */
struct h2s *h2_conn_stream(struct h2c *, struct arena *up);
/*
 * The connection ends with GOAWAY; what: more for the log, constant or of
 * the connection.
 */
void h2_conn_calm(struct h2c *, enum fail why, const char *what);
/* That for a stream, whose record may outlast the connection; or NULL. */
const char *h2_conn_what(const struct h2s *);
/* Says GOAWAY, now, as far as the transport takes it. */
void h2_conn_goaway(struct h2c *, uint32_t code);
/* One that was judged ends now. */
void h2_conn_end_judged(struct h2c *);
/* Lets the floor above count it. */
void h2_conn_tell(const struct h2c *, enum codec_note);
/* The same of a GOAWAY that leaves: the first one counts. */
void h2_conn_tell_bye(struct h2c *);
/* Has the flush run soon. */
void h2_conn_push(struct h2c *);
/* Has its streams looked at, then reads on. */
void h2_conn_post(struct h2c *);
/* What happened to a stream is looked at soon, outside of nghttp2. */
void h2_conn_note(struct h2s *);
/* The peer is told that it is over; nothing if it was told before. */
void h2_conn_reset(struct h2s *, uint32_t code);
/* The stream ends; it is told above, and reset unless it ended well. */
void h2_conn_close_stream(struct h2s *, enum fail why);
/* Its memory goes if nghttp2 has forgotten it, too. */
void h2_conn_try_free(struct h2s *);
/* Another turn may have begun: its budget and quota are whole. */
void h2_conn_turn(struct h2c *);
/* n bytes of the budget or the quota were used. */
void h2_conn_spend(uint32_t *left, size_t n);
/* n bytes of a stream (struct h2s) went to the kernel. */
void h2_conn_sent(void *, size_t n);
/* Looks at all streams that were noted. */
void h2_conn_attend(struct h2c *);
/* The connection ends now; reset: without a clean end. */
void h2_conn_die(struct h2c *, enum fail why, bool reset);
/* True if the peer has taken nothing for limits.write_ms. */
bool h2_conn_is_stalled(struct h2c *, uint64_t now_ms);

/* --- h2_conn_flush.c --- */
/* Makes frames, until enough of them wait.  False: nghttp2 gave up. */
bool h2_conn_pull(struct h2c *);
/* All that is ready leaves. */
void h2_conn_flush(struct h2c *);

/* --- h2_conn_count.c --- */
/* Counts the frames of what was read; c->why says if nghttp2 may have it. */
void h2_conn_walk(struct h2c *, struct str in);

/* --- h2_conn_ng.c --- */
/* One of a kind; 0, or what a callback answers when it was too many. */
int h2_conn_count(struct h2c *, enum h2_glitch_kind);
/* A rule was broken: as calm, with that code; what a callback answers. */
int h2_conn_break(struct h2c *, uint32_t code, const char *what);
/* To nghttp2, which ends the session if the connection was judged. */
int h2_conn_verdict(const struct h2c *);
/* A session with our callbacks and first SETTINGS. */
nghttp2_session *h2_conn_session(struct h2c *);

/* --- h2_conn_in.c --- */
/* n bytes of the body are held no more: the peer may send as many. */
void h2_conn_give_back(struct h2s *, uint64_t n);
/* Trailers are whole; they end the message. */
void h2_conn_trailers(struct h2s *);
/* Lets go of memory that nobody has any use for just now. */
void h2_conn_tidy(struct h2s *);
/* A piece of body, within c->in. */
void h2_conn_data(struct h2s *, const uint8_t *, size_t n);
/* The peer said that the message is whole. */
void h2_conn_in_end(struct h2s *);
/* Moves what came of the body as far as there is credit. */
void h2_conn_feed(struct h2s *);
/* The body will not come to its end. */
void h2_conn_in_fail(struct h2s *, enum fail why);
void h2_conn_in_room(struct source *);

#endif
