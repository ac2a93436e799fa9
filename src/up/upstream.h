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
#include "up/server_http.h"
#include "up/told.h"
#include "up/tried.h"
#include "up/upstream_rows.h"
#include "up/view.h"
#include "up/watch_conf.h"

struct breaker_ticket;
struct member_name;
struct queue;
struct retry_use;
struct server_use;
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
/*
 * Counted: by its twin while it is a member, by each open connection and
 * by each attempt.  It lives no longer than its twin.
 */
struct server {
	/* set once */
	struct upstream		*upstream;	/* ref */
	struct str		 text;		/* own, behind the struct */
	struct sock_peer	 addr;		/* see server_addr */
	uint32_t		 row;
	const struct board_server *board;	/* of the board */
	struct board_server_live *live;		/* of the board */
	struct server_use	*use;		/* of the board; may be NULL */
	uint64_t		 tag;		/* of the row's life */
	const struct member_name *name;		/* of upstream; NULL: none */
	uint64_t		 number;	/* see up/sticky.h; or 0 */
	const struct tls_peer	*peer;		/* of upstream; NULL: plain */
	struct ssl_session_st	*session;	/* own: see server_tls.h */
	char			*said;		/* own: why a shake failed */
	struct list		 attempts;	/* under way here */
	unsigned		 uses;
	unsigned		 nwant;		/* that wait for it alone */
	uint64_t		 probe_ms;	/* none is let to it before */
	bool			 left:1;	/* no member any more */
	bool			 h2:1;		/* HTTP/2 and nothing else */
	bool			 spoke_h1:1;	/* by ALPN, the last time */
	/* see up/pool.h */
	struct list		 idle;		/* pooled, LIFO */
	struct timer		 idle_end;	/* of the longest idle one */
	unsigned		 nidle;
	unsigned		 nopen;
	/* see up/pool_share.c */
	struct list		 shared;	/* up_conn.node: not idle */
	struct list		 shares;	/* pool_share.node: dialled */
	unsigned		 streams;	/* it last took; 0: not told */
	uint64_t		 h1_ms;		/* see server_want_h1; or 0 */
};

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

/* --- server.c --- */
struct server *server_ref(struct server *);
/* Drops a use and nulls the pointer; *NULL is allowed. */
void server_unref(struct server **);
/* Where it is dialled. */
void server_addr(const struct server *, struct sock_addr *);
/* What a request for it calls it: its name, or its address. */
struct str server_host(const struct server *);
/* Its lease word's index + 1; 0: there is no limit. */
uint32_t server_lease(const struct server *);

#endif
