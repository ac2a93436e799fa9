/*
 * Upstreams: servers that are asked.  [upstream NAME] is configuration; a
 * struct upstream is its run-time twin in one process, kept across
 * generations as long as its content stays the same, pools included.
 */
#ifndef SL_UP_UPSTREAM_H
#define SL_UP_UPSTREAM_H

#include "conf/load.h"
#include "core/exchange.h"
#include "core/lease.h"
#include "up/balancer.h"
#include "up/limits.h"
#include "up/server.h"
#include "up/told.h"
#include "up/tried.h"
#include "up/upstream_rows.h"
#include "up/view.h"
#include "up/watch_conf.h"

struct breaker_ticket;
struct member_name;
struct queue;
struct retry_use;
struct sticky;
struct tls_peer;
struct up_tls;
struct upstream_conf;

/* one server of a server = line; of conf */
struct server_conf {
	struct str		 text;		/* "10.0.0.5:8080", no name */
	struct str		 name;		/* asked for; "": an address */
	struct tls_peer		*peer;		/* of conf; NULL: no TLS */
	uint32_t		 max_conns;	/* 0: no limit */
	uint32_t		 weight;
	uint16_t		 port;		/* of all addresses of name */
	bool			 srv;		/* no port: SRV says them */
	bool			 backup;
	bool			 own_max;	/* said in its line */
	bool			 h2;		/* h2:// or h2c:// */
	bool			 plain;		/* http:// or h2c:// */
	bool			 local;		/* written as localhost */
};

struct server_list {
	struct server_conf	*v;		/* of conf */
	size_t			 n;
};

/* [upstream NAME], or "@ROUTE" of a route with targets of its own */
struct upstream_conf {
	struct conf_obj		 obj;
	struct server_list	 servers;
	const struct balancer	*balance;	/* const */
	int64_t			 panic;		/* percent; 0: never */
	uint32_t		 http;		/* bits of codecs[]; 0: auto */
	struct upstream_times	 times;
	struct pool_limits	 pool;
	struct queue_limits	 queue;
	struct told		 told;		/* host_header and others */
	bool			 used;		/* builder: by a route */
	uint64_t		 digest;	/* of what a twin is made of */
};
extern const struct conf_section upstream_section;

/*
 * For the link of a group behind the first: what a twin takes from it, so
 * that another one is made when that changes.
 */
void upstream_add_digest(struct upstream_conf *, const void *, size_t);

/* The value of server, target, targets (struct server_list). */
int upstream_parse_servers(struct conf_load *, const struct conf_row *,
    void *dst, const struct conf_item *, size_t);
/* E0303 if obj says itself that the whole takes less than its part. */
void upstream_check_times(struct conf_load *, const struct conf_obj *,
    const struct upstream_times *);

/* --- upstream.c: the twins --- */
struct upstream {
	struct serve		*serve;		/* ref */
	struct str		 name;		/* own */
	uint64_t		 digest;	/* of what it was made of */
	struct server		**servers;	/* own: members, counted */
	size_t			 nserver;
	size_t			 nfixed;	/* the first: by address */
	struct member_name	*names;		/* own */
	struct timer		 look;		/* at them, without requests */
	size_t			 nname;
	const struct balancer	*balance;	/* const */
	unsigned		 panic;		/* percent */
	unsigned		 hash_load;	/* percent; 0: no bound */
	uint32_t		 http;		/* bits of codecs[]; 0: auto */
	struct sticky		*sticky;	/* own; NULL: no cookie */
	struct up_tls		*tls;		/* own; NULL: no server */
	struct watch_conf	 watch;
	uint64_t		 full;		/* see outlier_failed */
	struct view		 view;
	struct pool_limits	 pool;
	struct board_upstream	*live;		/* of the board */
	uint32_t		 row;		/* of live */
	struct retry_use	*retry;		/* of the board; or NULL */
	struct queue		*queue;		/* ref, see up/queue.h */
	/* of its queue: what waits here for this twin */
	uint64_t		 pass;		/* of vain and looks */
	uint32_t		 nwait;
	uint32_t		 nwant;		/* of them, for one server */
	unsigned		 vain, looks;
	unsigned		 uses;		/* marks, exchanges, conns */
	bool			 h2:1;		/* a server may speak HTTP/2 */
	bool			 cur:1;		/* of the committed conf */
	bool			 next:1;	/* of the prepared one */
};

/* prepare, commit, cancel, fini: one line in registry.c */
extern const struct serve_part upstream_part;

/*
 * The twin of a configuration in use, with one use more; made now if
 * that generation is about to go.  NULL: the board does not know it.
 */
struct upstream *upstream_get(struct serve *, const struct upstream_conf *);
/* Drops a use and nulls the pointer; the last one frees. */
void upstream_put(struct upstream **);

/* True if the current generation names the server, in this twin or another. */
bool upstream_names(struct serve *, const struct server *);

/*
 * A member that may be asked and was not asked yet, with room: one whose
 * breaker wants to be probed, else by the balancer; NULL: none.
 */
struct server *upstream_pick(struct upstream *, const struct pick *);
/*
 * One that is held back, with room, for a request that has asked all of the
 * view in vain (in a panic: all that are fit), or NULL: it may be well again,
 * and nobody else is left.  It is ejected, or down with a last probe that
 * was good, or in a panic down.
 */
struct server *upstream_spare(const struct upstream *, const struct tried *);
/* True if one to ask or probe was not asked yet, with room or without. */
bool upstream_any_left(struct upstream *, const struct tried *);
/*
 * Why there is none: NO_SERVER, BREAKER_OPEN, or what asking for its
 * names came to.  FAIL_NONE: the first answer to a name is still to come.
 */
enum fail upstream_why(const struct upstream *);

#endif
