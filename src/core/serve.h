/*
 * What serving needs in one process (worker, control): pools, the current
 * generation, the listeners, the exchanges that run.  One per process,
 * owned by its run() and passed down; not a bag: a module's own state
 * hangs off its objects.
 */
#ifndef SL_CORE_SERVE_H
#define SL_CORE_SERVE_H

#include "base/map.h"
#include "base/rand.h"
#include "codec/codec.h"
#include "conf/gen.h"
#include "http/date.h"
#include "os/proc.h"

struct handler;
struct lease;
struct listener;
struct ask;

#define SERVE_PARTS	8
#define SERVE_FOUND	16

struct serve {
	/* set once */
	struct ev		*ev;		/* ref */
	struct shm		*shm;		/* ref */
	struct gens		*gens;		/* ref */
	struct log		*log;		/* ref */
	const struct handler	*only;		/* const: control's api; NULL */
	struct ask		*ask;		/* own: helpers; NULL: none */
	struct lease		*lease;		/* own */
	/* pools */
	struct page_pool	pages;
	struct pipe_pool	pipes;		/* workers: a share */
	struct slab		arenas;		/* chunks of 6 KiB */
	struct sizes		sizes;		/* what nghttp2 takes */
	struct slab		conns;
	struct slab		codecs;
	/* what runs */
	struct list		listeners;	/* own: struct listener */
	struct list		conns_open;	/* struct conn.node, busy */
	struct list		conns_idle;	/* the longest idle first */
	struct list		exchanges;	/* struct exchange.node */
	unsigned		nconn;
	unsigned		nexchange;
	unsigned		nstream;	/* of them */
	bool			draining:1;
	void			(*drained)(struct serve *); /* nothing runs */
	struct timer		drain_end;
	uint64_t		drain_left;	/* ms, of streams behind it */
	struct ev_task		drain_close;	/* and its connections */
	struct ev_task		drain_done;
	/* per process objects kept across generations, keyed by content */
	struct map		upstreams;	/* own: up/upstream.c */
	struct upstream		*found[SERVE_FOUND];	/* ref: lately */
	void			*part[SERVE_PARTS]; /* own: of serve_parts[] */
	/* accept rules: means of the last second over all workers */
	uint64_t		mean_rate;
	uint64_t		mean_busy;
	uint64_t		last_accepts;	/* at the last second */
	uint64_t		last_busy_ns;
	uint64_t		last_ns;
	uint64_t		epoch_busy_ns;	/* when the epoch began */
	const struct board_slot	**peers;	/* own: find_peers */
	uint32_t		npeer;
	uint64_t		peers_of;	/* as of board_global.served */
	unsigned		nback;		/* listeners stepped back */
	/* time */
	char			date[DATE_LEN];	/* refreshed each second */
	struct timer		second;
	uint64_t		conn_no;
	uint64_t		full_ms;	/* said then; 0: never */
	struct rand		rand;		/* of request ids */
};

/*
 * What a module keeps in a process across generations: one row in
 * registry.c.  Its state hangs off serve->part.  Any may be NULL.
 */
struct serve_part {
	const char	*name;
	int		(*prepare)(struct serve *, const struct conf *,
			    struct err *);
	void		(*commit)(struct serve *, const struct conf *);
	void		(*cancel)(struct serve *);
	void		(*fini)(struct serve *);
	/* servers came or went between commits */
	void		(*moved)(struct serve *);
};
extern const struct serve_part *const serve_parts[];	/* NULL at the end */

/*
 * The kernel gave no descriptor, or no memory or watch for one: counted,
 * and said with what to raise, at once and then at most each 10 seconds.
 * True if error is of that kind.
 */
bool serve_is_full(struct serve *, int error, const char *what);

/* Where a part keeps its state; NULL at first. */
void **serve_state(struct serve *, const struct serve_part *);

/* Tells all parts that an upstream's servers are others now. */
void serve_moved(struct serve *);

int serve_init(struct serve *, struct ev *, struct shm *, struct gens *,
    struct log *, struct err *);
void serve_fini(struct serve *);

/*
 * Two phases of a new generation in this process.  prepare: makes all
 * that it needs without touching what runs; -1 refuses.  commit: swaps
 * what is kept here; the caller makes the generation the current one in
 * the same turn (gen_commit).  cancel: forgets what prepare made.
 * Listening sockets arrive separately: listener_attach.
 */
int serve_prepare(struct serve *, struct gen *, struct err *);
void serve_commit(struct serve *, struct gen *);
void serve_cancel(struct serve *, struct gen *);

/*
 * Stop accepting, end keep-alive; calls drained() when the last exchange
 * and connection are gone.  After ms those that are no streams are
 * aborted, after streams_ms all that is left.
 */
void serve_drain(struct serve *, uint64_t ms, uint64_t streams_ms);
/* Something ended: is the drain over? */
void serve_check_drained(struct serve *);

#endif
