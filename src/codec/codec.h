/*
 * What a codec is: one HTTP version over one io, filling the waist.
 * Server and client side; codecs know neither routes nor configuration.
 * A codec connection owns its io from open to closed().
 */
#ifndef SL_CODEC_CODEC_H
#define SL_CODEC_CODEC_H

#include "base/sizes.h"
#include "http/waist.h"
#include "io/pipe.h"

/* what a codec connection may take of env->conns, both sides */
#define CODEC_CONN_MAX	120

/* what a connection of many streams tells of itself */
enum codec_note {
	CODEC_ROOM,	/* it can take another number of streams now */
	CODEC_GOAWAY,	/* the peer will end it */
	CODEC_BYE,	/* the peer was told so, once */
	CODEC_PING,	/* the peer was asked for a sign of life */
	CODEC_PINGED,	/* it asked for one */
	CODEC_OPENED,	/* a stream of an exchange */
	CODEC_CLOSED,	/* one of them */
	CODEC_REFUSED,	/* a stream beyond those that may be open */
	CODEC_RESET,	/* a stream by the peer */
	CODEC_DID_RESET, /* a stream here */
	CODEC_LOST,	/* it can take no more, and ends with its streams */
	CODEC_PLACE	/* one is over for the peer, too, and leaves room */
};

/* what all connections of a listener (or of a server) share; of the owner */
struct codec_env {
	struct ev		*ev;
	struct page_pool	*pages;
	struct pipe_pool	*pipes;		/* NULL: nothing is spliced */
	struct slab		*arenas;	/* chunks of exchange arenas */
	struct slab		*conns;		/* of CODEC_CONN_MAX bytes */
	struct sizes		*sizes;		/* nghttp2's; NULL: malloc */
	struct codec_limits	 limits;	/* may change between heads */
	const struct stream_up	*up;
	/* the codec is done with the connection; c is freed after this turn */
	void			(*gone)(void *ctx, enum fail);
	/* a connection became idle or busy (pool, drain, memory) */
	void			(*idle)(void *ctx, bool);
	/* something happened; from within anything; or NULL */
	void			(*note)(void *ctx, enum codec_note);
	const char		*date;		/* DATE_LEN bytes, kept fresh */
};

/* first member of h1c, h2c .. */
struct codec_conn {
	uint32_t	magic;
};

/* server side */
struct server_codec {
	const char	*alpn;		/* "http/1.1" */
	/*
	 * Starts on an accepted io, whose on and ctx it sets; ctx comes
	 * back in gone(), idle() and as stream.ctx's initial value.  Reads
	 * from the turn's ready list, so nothing is called up before it
	 * has returned.  The io is closed before gone() is called.
	 */
	struct codec_conn *(*open)(struct io *, const struct codec_env *,
			    void *ctx);
	/*
	 * Finish what runs, answer with Connection: close, then go.  A
	 * request that may be on its way is waited for; not with now.
	 */
	void		(*drain)(struct codec_conn *, bool now);
	/* go now; streams are closed with why */
	void		(*close)(struct codec_conn *, enum fail why);
	/*
	 * After a head with WAIST_UPGRADE: hands the io over, unread bytes
	 * first (rest->n may be 0).  NULL: the head is not yet all written,
	 * out's room() tells when.  The stream stays until close(), which
	 * then leaves the io alone; the request's head is empty from here.
	 */
	struct io	*(*take)(struct codec_conn *, struct chunk *rest);
	/* within gone(): more of why, or NULL; itself NULL: there is none */
	const char	*(*what)(const struct codec_conn *);
};

/* client side */
struct client_codec {
	const char	*alpn;
	struct codec_conn *(*open)(struct io *, const struct codec_env *,
			    void *ctx);
	/*
	 * A new stream for one request on a connection with room; the
	 * caller sets up, ctx and joins in and out before it sends a head.
	 */
	struct stream	*(*request)(struct codec_conn *, struct arena *);
	/* streams it can take now: h1 0 or 1, h2 as the server says */
	unsigned	(*room)(const struct codec_conn *);
	/* it takes streams, if not at this moment; NULL: it has room */
	bool		(*lasts)(const struct codec_conn *);
	void		(*close)(struct codec_conn *, enum fail why);
	struct io	*(*take)(struct codec_conn *, struct chunk *rest);
};

extern const struct server_codec h1_server, h2_server;
extern const struct client_codec h1_client, h2_client;

/* the table of contents, in registry.c; alpn NULL at the end */
struct codec {
	const char			*alpn;
	const char			*version;	/* of the key http */
	const struct server_codec	*server;
	const struct client_codec	*client;
};
extern const struct codec codecs[];

#endif
