/*
 * A message body on its way from a connection to a sink: by length, in
 * chunks or until the end of the connection (RFC 9112 6.3).  Both codecs.
 */
#ifndef SL_CODEC_H1_BODY_H
#define SL_CODEC_H1_BODY_H

#include "codec/codec.h"
#include "codec/h1/h1.h"
#include "codec/h1/h1_inbuf.h"

enum h1_pump {
	H1_PUMP_GO,		/* of h1_body.c: not yet through */
	H1_PUMP_WAIT,		/* for bytes */
	H1_PUMP_PAUSE,		/* for credit, or for somebody to join */
	H1_PUMP_YIELD,		/* the turn's budget is used up */
	H1_PUMP_END,		/* the sink has been told the end */
	H1_PUMP_EOF,		/* the connection ended before the body */
	H1_PUMP_ERR,		/* io->error */
	H1_PUMP_BAD		/* body->why */
};

struct h1_body {
	int64_t			 left;	/* by length */
	uint64_t		 got;	/* bytes of framing and data */
	struct h1_chunked	 chunk;
	struct chunk		 held;	/* own: decoded, not yet told */
	uint8_t			 pages;	/* of the next read */
	uint8_t			 ended;	/* enum io_rc, seen by the sink */
	bool			 chunked:1;
	bool			 until_close:1;
	bool			 drop:1; /* nobody wants it */
	bool			 done:1; /* nothing will be told any more */
	bool			 lent:1; /* the sink has the rest to splice */
	bool			 excess:1; /* more than the body came */
	enum fail		 why;
};

/* Where a body comes from and goes to. */
struct h1_feed {
	struct h1_inbuf		*buf;
	struct io		*io;	/* NULL: only what is in buf */
	const struct codec_env	*env;
	struct stream		*st;
	uint32_t		*budget; /* bytes left in this turn */
	bool			 alone;	/* nothing may follow the body */
};

/* The limits must last as long as the body. */
void h1_body_init(struct h1_body *, const struct h1_framing *,
    const struct codec_limits *, struct arena *);
/* Drops what is held; nothing will be told any more. */
void h1_body_fini(struct h1_body *);
/* Nobody wants the rest: it is read and dropped. */
void h1_body_drop(struct h1_body *);

/* The sink's taken(): true if the body is to be moved again, soon. */
bool h1_body_taken(struct h1_body *, struct stream *, uint64_t n,
    enum io_rc);

/* Moves what can be moved; says why no more could be. */
enum h1_pump h1_body_pump(struct h1_body *, const struct h1_feed *);

#endif
