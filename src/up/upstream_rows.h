/*
 * What the board has of upstreams and their servers.  The master links
 * rows in, workers and control find them by what they stand for.
 */
#ifndef SL_UP_UPSTREAM_ROWS_H
#define SL_UP_UPSTREAM_ROWS_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/map.h"
#include "os/shm.h"
#include "os/sock.h"
#include "up/row_text.h"

struct conf;

/* a server on the board; region `servers` of dir; writer: master */
struct board_server {
	_Atomic uint64_t tag;		/* of this life of the row; 0: free */
	_Atomic uint32_t lease;		/* its word's index + 1; 0: none */
	_Atomic uint32_t upstream_row;	/* of `upstream_live` */
	_Atomic uint32_t weight;	/* as configured, or of its SRV */
	_Atomic uint32_t override;	/* weight + 1 by the operator; 0: none;
					 * writer: control */
	_Atomic uint64_t generation;	/* last that named it */
	_Atomic uint64_t since_ms;	/* of this life; wall clock */
	_Atomic uint64_t left_ms;	/* then the last name gave it up */
	uint64_t	 last;		/* tag, also of a life that ended */
	uint32_t	 part;		/* weight of its SRV record, or 1; a
					 * line's weight comes on top */
	_Atomic uint8_t	 backup;	/* 1: only when others are missing */
	uint8_t		 addr_len;
	uint8_t		 fill[2];
	char		 addr[ROW_ADDR];	/* see up/row_text.h */
};
_Static_assert(sizeof(struct board_server) == 128, "board server");

/*
 * What it is now; region `server_live` of live, same row.  The first line
 * is read with each choice and seldom written, the second one is written
 * with each attempt.
 */
struct board_server_live {
	_Atomic uint64_t tag;		/* as in `servers`; master */
	_Atomic uint64_t state;		/* see up/state.h; by CAS */
	_Atomic uint16_t why[8];	/* enum fail by enum server_state;
					 * whoever sets that state */
	_Atomic uint32_t ramp;		/* permille of its weight that it has
					 * in slow start; health */
	_Atomic uint32_t ejections;	/* in a row; by CAS */
	_Atomic uint64_t eject_until;	/* monotonic ms */
	_Atomic uint64_t told;		/* of state_digest, by whoever told
					 * of it; by CAS */
	_Atomic uint64_t line0;
	_Atomic uint64_t load;		/* attempts << 24 | under way */
	_Atomic uint64_t failures;	/* that count against it */
	_Atomic uint64_t last_fail;	/* enum fail << 48 | wall ms */
	_Atomic uint32_t fails;		/* in a row */
	_Atomic uint32_t http;		/* spoken last: 1 or 2; workers */
	_Atomic uint64_t line1[4];
};
_Static_assert(sizeof(struct board_server_live) == 128, "server live");

#define LOAD_SHIFT	24	/* of board_server_live.load */
#define LOAD_ACTIVE	((1ULL << LOAD_SHIFT) - 1)

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
	_Atomic uint64_t refused;
	_Atomic uint64_t epoch;		/* ++ by whoever changed what its
					 * servers are, or weigh */
};
_Static_assert(sizeof(struct board_upstream) == 64, "board upstream");

extern const struct shm_region board_servers, board_servers_live,
    board_upstreams, board_names;

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

/*
 * Rows of servers from the first on that ever were used: those behind them
 * are not to be read, for that makes pages of zeroes.
 */
uint32_t upstream_rows_used(const struct shm *);

/* Rows by what they stand for, to find many; made from the board as it is. */
struct upstream_rows {
	struct map	servers;	/* "upstream address" to row */
	struct map	upstreams;	/* board_upstream.tag */
	struct map	names;		/* "upstream text" to row */
	struct arena	arena;
};
void upstream_rows_open(struct upstream_rows *, const struct shm *);
void upstream_rows_close(struct upstream_rows *);
/* The row, or -1; an address as sock_text writes it. */
int64_t upstream_rows_server(const struct upstream_rows *,
    struct str upstream, struct str addr);
int64_t upstream_rows_find(const struct upstream_rows *, struct str upstream);
int64_t upstream_rows_name(const struct upstream_rows *, struct str upstream,
    struct str text);

#endif
