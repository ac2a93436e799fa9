/*
 * Upstreams: servers that are asked.  [upstream NAME] is configuration; a
 * struct upstream is its run-time twin in one process, kept across
 * generations as long as its content stays the same, pools included.
 */
#ifndef SL_UP_UPSTREAM_H
#define SL_UP_UPSTREAM_H

#include "core/exchange.h"
#include "core/lease.h"

struct balancer;
struct upstream_conf;

/* one server = line; of conf */
struct server_conf {
	struct str		 text;		/* as configured */
	struct sock_addr	 addr;
	const struct upstream_conf *upstream;
};

/* [upstream NAME] */
struct upstream_conf {
	struct conf_obj		 obj;
	struct server_conf	*servers;	/* of conf */
	size_t			 nserver;
	const struct balancer	*balance;	/* const */
	uint64_t		 connect_ms;
	uint64_t		 first_byte_ms;
	uint64_t		 between_ms;
	uint64_t		 total_ms;
	int			 host_header;	/* HOST_PRESERVE, _SERVER, _TEXT */
	struct str		 host_text;
};
extern const struct conf_section upstream_section;

/* a server on the board; region `servers` of dir; writer: master */
struct board_server {
	_Atomic uint64_t tag;		/* of this life of the row; 0: free */
	_Atomic uint32_t lease;		/* word of its connections */
	_Atomic uint32_t generation;	/* last that named it */
	uint8_t		 addr_len;
	uint8_t		 upstream_len;
	uint16_t	 pad;
	char		 upstream[64];
	char		 addr[108];
	_Atomic uint64_t weight;
	uint64_t	 fill[7];
};
_Static_assert(sizeof(struct board_server) == 256, "board server");

/* its counters; region `server_live` of live, same row; all write */
struct board_server_live {
	_Atomic uint64_t tag;
	_Atomic uint64_t attempts;
	_Atomic uint64_t failures;
	_Atomic uint64_t last_fail;	/* enum fail << 48 | wall ms */
	_Atomic uint64_t pad[4];
};
_Static_assert(sizeof(struct board_server_live) == 64, "server live");

/* an upstream's shared words; region `upstream_live` of live */
struct board_upstream {
	_Atomic uint64_t tag;		/* hash of its name; CAS: master */
	_Atomic uint64_t cursor;	/* round robin: fetch-add by all */
	_Atomic uint64_t pad[6];
};
_Static_assert(sizeof(struct board_upstream) == 64, "board upstream");

extern const struct shm_region board_servers, board_servers_live,
    board_upstreams;

/* Master, before prepare: rows for all servers and upstreams of conf. */
int upstream_link_rows(struct shm *, const struct conf *, struct err *);
/* Rows that conf needs, for [board] max. */
uint64_t upstream_cost(const struct conf *);

struct server {
	struct upstream		*upstream;	/* ref */
	struct sock_addr	 addr;
	struct str		 text;		/* own */
	uint32_t		 row;		/* on the board */
	struct list		 idle;		/* pooled, LIFO; see up/pool.h */
	unsigned		 nidle;
	unsigned		 nopen;
};

struct upstream {
	struct serve		*serve;		/* ref */
	struct str		 name;		/* own */
	uint64_t		 digest;	/* of the content it was made from */
	struct server		*servers;	/* own */
	size_t			 nserver;
	const struct balancer	*balance;	/* const */
	uint32_t		 row;		/* board_upstreams */
	unsigned		 uses;		/* generations + exchanges */
};

/* Prepare: makes the run-time twins of a generation; commit drops others. */
int upstream_prepare(struct serve *, const struct conf *, struct err *);
void upstream_commit(struct serve *, const struct conf *);
struct upstream *upstream_find(struct serve *, const struct upstream_conf *);

/* --- balancers: one file each, one line in registry.c --- */
struct balancer {
	const char	*name;
	/* tried: bit per server already asked by this exchange */
	struct server	*(*pick)(struct upstream *, uint64_t tried);
};
extern const struct balancer *const balancers[];	/* NULL at the end */

#endif
