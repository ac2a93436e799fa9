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
#include "up/limits.h"
#include "up/told.h"
#include "up/tried.h"

struct balancer;
struct member_name;
struct queue;
struct server_use;
struct upstream_conf;

/* one server of a server = line; of conf */
struct server_conf {
	struct str		 text;		/* "10.0.0.5:8080" */
	struct sock_addr	 addr;		/* if it has no name */
	struct str		 name;		/* asked for; "": an address */
	uint16_t		 port;		/* of all of its addresses */
	bool			 srv;		/* no port: SRV says them */
	uint64_t		 max_conns;	/* 0: no limit */
	bool			 own_max;	/* said in its line */
};

struct server_list {
	struct server_conf	*v;		/* of conf */
	size_t			 n;
};

/* how long what may take; milliseconds, 0: no limit */
struct upstream_times {
	uint64_t	connect;
	uint64_t	first_byte;
	uint64_t	between;
	uint64_t	total;
	uint64_t	stream_idle;
};

/* [upstream NAME], or "@ROUTE" of a route with targets of its own */
struct upstream_conf {
	struct conf_obj		 obj;
	struct server_list	 servers;
	const struct balancer	*balance;	/* const */
	struct upstream_times	 times;
	struct pool_limits	 pool;
	struct queue_limits	 queue;
	struct told		 told;		/* host_header and others */
	bool			 used;		/* builder: by a route */
	uint64_t		 digest;	/* of what a twin is made of */
};
extern const struct conf_section upstream_section;

/* The value of server, target, targets (struct server_list). */
int upstream_parse_servers(struct conf_load *, const struct conf_row *,
    void *dst, const struct conf_item *, size_t);
/* E0303 if the whole may take less than its part; obj has the keys. */
void upstream_check_times(struct conf_load *, const struct conf_obj *,
    const struct upstream_times *);

/* --- name_conf.c --- */
#define NAME_SRV_SCHEME	"dns+srv://"

/* A host name with or without a port, and no address. */
bool name_is_like(struct str);
/*
 * Reads NAME:PORT, or what stands behind the scheme; text, name, port and
 * srv of the server are set.  NULL, or why it is refused.
 */
const char *name_parse(struct arena *, struct str, int def_port,
    struct server_conf *);
const char *name_parse_srv(struct arena *, struct str, struct server_conf *);

/* a server on the board; region `servers` of dir; writer: master */
struct board_server {
	_Atomic uint64_t tag;		/* of this life of the row; 0: free */
	_Atomic uint32_t lease;		/* its word's index + 1; 0: none */
	_Atomic uint32_t pad;
	_Atomic uint64_t generation;	/* last that named it */
	uint8_t		 addr_len;
	uint8_t		 upstream_len;
	uint8_t		 fill[6];
	char		 upstream[64];
	char		 addr[108];
	uint32_t	 fill2;
	_Atomic uint64_t weight;
	_Atomic uint64_t since_ms;	/* of this life; wall clock */
	uint64_t	 last;		/* tag, also of a life that ended */
	_Atomic uint64_t left_ms;	/* then the last name gave it up */
	uint64_t	 fill3[2];
};
_Static_assert(sizeof(struct board_server) == 256, "board server");

/* its counters; region `server_live` of live, same row; all write */
struct board_server_live {
	_Atomic uint64_t tag;		/* as in `servers`; master */
	_Atomic uint64_t attempts;
	_Atomic uint64_t failures;
	_Atomic uint64_t last_fail;	/* enum fail << 48 | wall ms */
	_Atomic uint64_t state;		/* enum << 48 | since then, wall ms */
	_Atomic uint64_t why;		/* enum fail, or 0 */
	_Atomic uint64_t pad[2];
};
_Static_assert(sizeof(struct board_server_live) == 64, "server live");

/* an upstream's shared words; region `upstream_live` of live */
struct board_upstream {
	_Atomic uint64_t tag;		/* hash of its name; master */
	_Atomic uint64_t cursor;	/* round robin: fetch-add by all */
	_Atomic uint64_t generation;	/* last that named it; master */
	_Atomic uint32_t queue;		/* lease word + 1: who waits; master */
	_Atomic uint32_t touched;	/* 1: its row of `queue` was used */
	/* requests that waited, timed out there, found it full; all write */
	_Atomic uint64_t queued;
	_Atomic uint64_t timed_out;
	_Atomic uint64_t refused, pad;
};
_Static_assert(sizeof(struct board_upstream) == 64, "board upstream");

extern const struct shm_region board_servers, board_servers_live,
    board_upstreams, board_names;

/* --- upstream_rows.c --- */
/*
 * Master, before prepare: rows for all servers and upstreams of conf.
 * Rows that no generation from oldest (the lowest number in use) on has
 * named are freed.  Limits of servers that were there before change with
 * upstream_settle_rows, after the commit.
 */
int upstream_link_rows(struct shm *, const struct conf *, uint64_t oldest,
    struct err *);
void upstream_settle_rows(struct shm *, const struct conf *);
/* Bytes of the rows that conf needs, for [board] max. */
uint64_t upstream_cost(const struct conf *, unsigned processes);

/* Rows by what they stand for, to find many; made from the board as it is. */
struct upstream_rows {
	struct map	servers;	/* "upstream address" to row */
	struct map	upstreams;	/* board_upstream.tag */
	struct map	names;		/* "upstream text" to row */
	struct arena	arena;
};
void upstream_rows_open(struct upstream_rows *, const struct shm *);
void upstream_rows_close(struct upstream_rows *);
/* The row, or -1. */
int64_t upstream_rows_server(const struct upstream_rows *,
    struct str upstream, const struct sock_addr *);
int64_t upstream_rows_find(const struct upstream_rows *, struct str upstream);
int64_t upstream_rows_name(const struct upstream_rows *, struct str upstream,
    struct str text);

/* --- upstream.c: the twins --- */
/*
 * Counted: by its twin while it is a member, by each open connection and
 * by each attempt.  It lives no longer than its twin.
 */
struct server {
	/* set once */
	struct upstream		*upstream;	/* ref */
	struct sock_addr	 addr;
	struct str		 text;		/* own */
	struct str		 host;		/* of text, or of its name */
	const struct board_server *board;	/* of the board */
	struct board_server_live *live;		/* of the board */
	struct server_use	*use;		/* of the board; may be NULL */
	uint64_t		 tag;		/* of the row's life */
	unsigned		 uses;
	bool			 left:1;	/* no member any more */
	/* see up/pool.h */
	struct list		 idle;		/* pooled, LIFO */
	struct timer		 idle_end;	/* of the longest idle one */
	unsigned		 nidle;
	unsigned		 nopen;
};

struct upstream {
	struct serve		*serve;		/* ref */
	struct str		 name;		/* own */
	uint64_t		 digest;	/* of what it was made of */
	struct server		**servers;	/* own: members, counted */
	size_t			 nserver;
	size_t			 nfixed;	/* the first: by address */
	struct member_name	*names;		/* own */
	size_t			 nname;
	const struct balancer	*balance;	/* const */
	struct pool_limits	 pool;
	struct board_upstream	*live;		/* of the board */
	uint32_t		 row;		/* of live */
	struct queue		*queue;		/* ref, see up/queue.h */
	unsigned		 uses;		/* marks, exchanges, conns */
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

/* A member that was not asked yet, by the balancer; NULL: none. */
struct server *upstream_pick(struct upstream *, const struct tried *);
/*
 * Why there is none: NO_SERVER, or what asking for its names came to.
 * FAIL_NONE: the first answer to a name is still to come.
 */
enum fail upstream_why(const struct upstream *);

/*
 * The twin of a row, with one use; NULL: the row is free.  host: of the
 * twin, "" for the text of the address itself, which is copied.
 */
struct server *server_new(struct upstream *, uint32_t row,
    const struct sock_addr *, struct str text, struct str host);
/* Counts an attempt at the server, and its failure. */
void upstream_tried(struct server *);
void upstream_failed(struct server *, enum fail);

/* --- server.c --- */
struct server *server_ref(struct server *);
/* Drops a use and nulls the pointer; *NULL is allowed. */
void server_unref(struct server **);
/* Its lease word's index + 1; 0: there is no limit. */
uint32_t server_lease(const struct server *);

/* --- balancers: one file each, one line in registry.c --- */
struct balancer {
	const char	*name;
	/* A member that was not asked yet and has room (pool_room); NULL */
	struct server	*(*pick)(struct upstream *, const struct tried *);
};
extern const struct balancer *const balancers[];	/* NULL at the end */
extern const struct balancer balancer_round_robin;

#endif
