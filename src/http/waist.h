/*
 * The waist: the one interface between every HTTP version and everything
 * above it.  A message flows from a source to a sink: head, data,
 * trailers, end; or abort.  Server codecs are the source of requests and
 * the sink of responses, client codecs the other way round; filters with
 * body hooks sit between as both; a test is a memory end.
 *
 * Credit: a source sends no data beyond sink->credit (CHUNK_FILE and
 * CHUNK_CONST hold no memory: while there is credit they may be sent in
 * one piece, and it goes below zero).  data() takes the
 * bytes off the credit and answers FULL when none is left; when there is
 * room again the sink calls source room() once, from a wake, never from
 * within data().  Heads, trailers and ends need no credit.  A sink that
 * takes its credit back says so with waist_hold(), for whoever stands
 * between has a credit of its own.
 *
 * Splice: to a sink that says so a source may offer, as a CHUNK_SPLICE,
 * bytes that wait in its io, and more that will come there: n at most.
 * From then on it leaves the io's reads to the sink and has no credit,
 * until taken() gives both back.  The sink tells by it what it took, from
 * a wake; abort() and stop() withdraw an offer.
 *
 * Order: head(interim)* head data* trailers? end, or abort at any time,
 * after which nothing follows.  `end` may come with head or the last data
 * (flag) so that small answers are one call and one write.  Calls go one
 * way: neither side may free the other; streams end by closed().
 */
#ifndef SL_HTTP_WAIST_H
#define SL_HTTP_WAIST_H

#include "base/list.h"
#include "base/page.h"
#include "http/fail.h"
#include "http/msg.h"
#include "io/io.h"

enum flow { FLOW_MORE, FLOW_FULL };

/* an open file, counted: shared by ranges in flight and caches */
struct file {
	uint32_t	refs;
	int		fd;
};
struct file *file_new(int fd);
struct file *file_ref(struct file *);
void file_unref(struct file **);

enum chunk_kind {
	CHUNK_PAGE,	/* bytes in a counted page */
	CHUNK_CONST,	/* bytes that outlive the stream (generation, const) */
	CHUNK_FILE,	/* a range of a file */
	CHUNK_SPLICE	/* n bytes may be spliced from the source's io */
};

/* a piece of body; passed by value, the receiver takes the reference */
struct chunk {
	uint8_t		kind;
	uint64_t	n;		/* bytes */
	union {
		struct {
			struct page	*page;	/* ref; NULL: CHUNK_CONST */
			const char	*p;
		} mem;
		struct {
			struct file	*file;	/* ref */
			uint64_t	 off;
		} file;
		struct io	*from;		/* of the source */
	} u;
};
/* Drops the reference that a chunk holds. */
void chunk_drop(struct chunk *);

#define WAIST_END	0x01	/* with this call the message is complete */
#define WAIST_INTERIM	0x02	/* head: a 1xx, the real one follows */
#define WAIST_UPGRADE	0x04	/* head: after it bytes flow both ways */

struct source;
struct sink;

struct sink_ops {
	void		(*head)(struct sink *, struct msg *, unsigned flags);
	enum flow	(*data)(struct sink *, struct chunk, unsigned flags);
	void		(*trailers)(struct sink *, const struct hdrs *);
	void		(*end)(struct sink *);
	void		(*abort)(struct sink *, enum fail);
};

struct source_ops {
	/* credit again */
	void	(*room)(struct source *);
	/* the sink wants no more of this message; nothing follows */
	void	(*stop)(struct source *, enum fail why);
	/*
	 * Of a CHUNK_SPLICE n bytes were taken.  IO_OK: the sink keeps the
	 * offer, unless that was all of it.  Else it is over: IO_AGAIN, the
	 * io gives nothing now, or the sink can splice no more for a while;
	 * IO_EOF or IO_ERR, the io ended so.
	 */
	void	(*taken)(struct source *, uint64_t n, enum io_rc);
	/*
	 * The sink has taken its credit back, until room(); for those who
	 * stand between, who pass it on.  NULL: the sink's credit is read.
	 */
	void	(*hold)(struct source *);
	/*
	 * Server only: the answer waits for somebody else.  A client that
	 * has ended its direction and left nothing unread counts as gone,
	 * unless the limits say that it may.  NULL: nobody looks.
	 */
	void	(*waits)(struct source *);
};

struct sink {
	const struct sink_ops	*ops;
	struct source		*from;	/* ref, NULL: nobody feeds it */
	int64_t			 credit; /* bytes */
	bool			 splice; /* takes CHUNK_SPLICE now */
};

struct source {
	const struct source_ops	*ops;
	struct sink		*to;	/* ref, NULL: not yet connected */
};

/* Connects the two; each must be free. */
void waist_join(struct source *, struct sink *);
/* Takes back the credit of a sink, and its wish for splices. */
void waist_hold(struct sink *);

/*
 * A codec's end of one exchange.  Server side: `in` gives the request,
 * `out` takes the response.  Client side: `out` takes the request, `in`
 * gives the response.  Lives until the codec has called closed(), which
 * it does exactly once; the struct is freed at the end of that turn.
 */
struct stream;

struct stream_up {		/* what the floor above gives a codec */
	/*
	 * Server only.  A request head was read: s->head is set; the
	 * callee joins s->in and s->out.  Nothing comes through s->in when
	 * head->body is 0; when the callee joins it after its return, it
	 * calls s->in.ops->room() to start the flow, and stop() if nobody
	 * will read the body.  s->fail is set if the codec refuses the
	 * request: answer it, nothing else will come.
	 */
	void	(*request)(struct stream *);
	/* the next write may hand the last byte of `out` to the kernel */
	void	(*last)(struct stream *);
	/* both directions are done, or the stream failed; s is dead now */
	void	(*closed)(struct stream *, enum fail);
};

struct stream {
	struct source		 in;
	struct sink		 out;
	const struct stream_up	*up;
	void			*ctx;		/* of the floor above */
	struct arena		*arena;		/* exchange's lifetime */
	struct msg		*head;		/* of arena; server: request */
	/* set before out's head: the answer tells of it; FAIL_F_Q closes */
	enum fail		 fail;
	uint64_t		 begun_ns;	/* first byte, monotonic */
	uint64_t		 sent;		/* bytes handed to the kernel */
	uint64_t		 queued;	/* and, at last(), what waits */
	uint64_t		 got;		/* bytes read, head included */
	bool			 reused:1;	/* client: not a fresh one */
	bool			 keep:1;	/* client: reusable */
	bool			 patient:1;	/* server: slow bodies pass */
	bool			 begun:1;	/* client: a byte of the next
						 * head came */
	bool			 coded:1;	/* client: code is there */
	const char		*what;		/* more of a failure; arena
						 * or constant; or NULL */
	uint32_t		 keep_s;	/* client: as the server said */
	uint32_t		 code;		/* of its server's reset */
};

/* limits and timeouts of a connection; 0: none.  Of conf. */
struct codec_limits {
	uint64_t	header_bytes;
	uint64_t	header_field;
	uint64_t	header_count;
	uint64_t	target;
	uint64_t	requests;		/* per connection */
	uint64_t	age_ms;			/* of a connection */
	uint64_t	header_ms;		/* whole head */
	uint64_t	body_ms;		/* between body bytes */
	uint64_t	min_rate;		/* per second, after 10 s */
	uint64_t	write_ms;		/* without progress */
	uint64_t	idle_ms;		/* between requests */
	uint64_t	idle2_ms;		/* the same with HTTP/2 */
	uint64_t	streams;		/* at a time, HTTP/2 */
	uint64_t	ping_ms;		/* client: silence, then PING */
	bool		half_close;		/* see source_ops.waits */
};

#endif
