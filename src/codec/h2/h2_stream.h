/*
 * A stream of HTTP/2: the end of one exchange.  In are requests with the
 * server's, answers with the client's.  A server's is over for those above
 * when the kernel has its last byte, a client's when the answer was handed
 * on, either when it was reset; its memory lasts until nghttp2 has
 * forgotten it, too.
 */
#ifndef SL_CODEC_H2_STREAM_H
#define SL_CODEC_H2_STREAM_H

#include <nghttp2/nghttp2.h>

#include "codec/h2/h2_head.h"
#include "codec/h2/h2_ring.h"

struct h2c;

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
	struct hdrs		 trailers;	/* that came */
	/* the body that comes */
	struct h2_ring		 in;		/* not yet taken */
	struct page		*small;		/* ref: its small pieces */
	uint64_t		 in_got;
	uint64_t		 owed;		/* of in: the connection's
						 * window has not got it */
	uint64_t		 skip_ms;	/* answered, still it comes */
	uint64_t		 skip_from;	/* in_got then */
	uint64_t		 wait_ms;	/* for the client, since; 0 */
	uint64_t		 waited_ms;	/* in all */
	uint32_t		 in_window;	/* as it was set */
	enum fail		 in_fail;
	/* the message that leaves */
	struct h2_ring		 out;		/* not yet framed */
	int64_t			 out_left;	/* of Content-Length */
	nghttp2_nv		*trailer;	/* of arena; sent at the end */
	size_t			 ntrailer;
	uint64_t		 framed;	/* bytes that went to q */
	uint64_t		 end_pos;	/* of q.put, behind its end */
	uint64_t		 out_ms;	/* progress, last seen */
	uint64_t		 out_some;	/* bytes since: too few */
	enum fail		 broken;	/* of the response: cut it */
	uint32_t		 reset;		/* code that comes at its end */
	uint32_t		 code;		/* with which it was closed */
	/* client */
	uint64_t		 last;		/* ms: it left, or came */
	uint8_t			 meth;		/* of the request */
	uint8_t			 interims;
	bool			 answered:1;	/* the final head came */
	bool			 out_lost:1;	/* the server takes no more */
	/* what it is */
	bool			 ng_open:1;	/* nghttp2 knows it */
	bool			 asked:1;	/* those above know it */
	bool			 over:1;	/* closed() was called */
	bool			 held:1;	/* counted in h2c.nheld */
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

#endif
