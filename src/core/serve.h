/*
 * What serving needs in one process (worker, control): pools, the current
 * generation, the listeners, the exchanges that run.  One per process,
 * owned by its run() and passed down; not a bag: a module's own state
 * hangs off its objects.
 */
#ifndef SL_CORE_SERVE_H
#define SL_CORE_SERVE_H

#include "base/map.h"
#include "codec/codec.h"
#include "conf/gen.h"
#include "http/date.h"
#include "os/proc.h"

struct handler;
struct listener;
struct ask;

struct serve {
	/* set once */
	struct ev		*ev;		/* ref */
	struct shm		*shm;		/* ref */
	struct gens		*gens;		/* ref */
	struct log		*log;		/* ref */
	const struct handler	*only;		/* const: control's api; NULL */
	struct ask		*ask;		/* own: helpers; NULL: none */
	/* pools */
	struct page_pool	pages;
	struct slab		arenas;		/* 8 KiB chunks */
	struct slab		conns;
	struct slab		codecs;
	/* what runs */
	struct list		listeners;	/* own: struct listener */
	struct list		conns_open;	/* struct conn.node */
	struct list		exchanges;	/* struct exchange.node */
	unsigned		nconn;
	unsigned		nexchange;
	bool			draining:1;
	void			(*drained)(struct serve *); /* nothing runs */
	/* per process objects kept across generations, keyed by content */
	struct map		upstreams;	/* own: up/upstream.c */
	/* time */
	char			date[DATE_LEN];	/* refreshed each second */
	struct timer		second;
	uint64_t		conn_no;
};

int serve_init(struct serve *, struct ev *, struct shm *, struct gens *,
    struct log *, struct err *);
void serve_fini(struct serve *);

/*
 * Two phases of a new generation in this process.  prepare: makes all
 * that it needs without touching what runs; -1 refuses.  commit: swaps.
 * Listening sockets arrive separately: listener_attach.
 */
int serve_prepare(struct serve *, struct gen *, struct err *);
void serve_commit(struct serve *, struct gen *);
void serve_cancel(struct serve *, struct gen *);

/*
 * Stop accepting, end keep-alive; calls drained() when the last exchange
 * is gone, at the latest ms from now, when the rest is aborted.
 */
void serve_drain(struct serve *, uint64_t ms);

#endif
