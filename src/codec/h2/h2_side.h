/*
 * What one side of a connection of HTTP/2 does by itself, called by what
 * both share (h2_conn.h): a table of the server's, one of the client's.
 */
#ifndef SL_CODEC_H2_SIDE_H
#define SL_CODEC_H2_SIDE_H

#include <nghttp2/nghttp2.h>

#include "codec/h2/h2_glitch.h"
#include "http/waist.h"

struct h2c;
struct h2s;

struct h2_side {
	bool			 server;
	const struct source_ops	*in_ops;
	const struct sink_ops	*out_ops;
	/* its first SETTINGS */
	void	(*hello)(struct h2c *, nghttp2_session *);
	/* HEADERS of that stream come: is the number right? */
	int	(*number)(struct h2c *, int32_t id);
	/* a head begins; its stream with hp to parse it by, or NULL */
	struct h2s *(*heading)(struct h2c *, const nghttp2_frame *);
	/* it is whole */
	void	(*headed)(struct h2s *, const nghttp2_frame *);
	/* what a reset that came cost; H2_GLITCH_N: nothing */
	enum h2_glitch_kind (*waste)(const struct h2s *);
	/* other frames; answers to PINGs of its own */
	void	(*other)(struct h2c *, const nghttp2_frame *);
	/* resets are many: there should be no more streams */
	void	(*high)(struct h2c *);
	/* what came of a body, or its trailers, cannot be */
	void	(*spoil)(struct h2s *, enum fail);
	/* there is room for more of a body than has come */
	void	(*waits)(struct h2s *);
	/* the last frame of our message is in the queue */
	void	(*framed)(struct h2s *);
	/* a GOAWAY without an error is in the queue */
	void	(*warned)(struct h2c *);
	/* a stream that was noted, outside of nghttp2 */
	void	(*attend)(struct h2s *);
	/* closed now, does it need no reset? */
	bool	(*is_through)(const struct h2s *);
	/* how a stream fails when its connection does so */
	enum fail (*blame)(struct h2s *, enum fail);
	/* a write is about to be; it was */
	void	(*writes)(struct h2c *);
	void	(*wrote)(struct h2c *);
	/* what there was has been read, and looked at */
	void	(*read)(struct h2c *);
	/* the peer has ended its direction; the transport broke */
	void	(*eof)(struct h2c *);
	void	(*broke)(struct h2c *);
	/* before the loop takes over: ends it, or arms what has to be */
	void	(*settle)(struct h2c *);
	/* the last GOAWAY is out; again, when LINGER has something to read */
	void	(*leave)(struct h2c *);
	void	(*timer)(struct h2c *);
};

#endif
