/*
 * When a request that failed at one server is asked of another: the keys
 * retry.* of [upstream], and what each upstream may spend on it.
 *
 * The budget is one credit per upstream over all workers.  It grows with
 * time (retry.floor) and with each request (retry.budget percent), and a
 * retry takes one; what is not spent is kept up to ten seconds of the
 * floor.  A worker counts what its requests earn in a row of its own on
 * the board, so that a request costs a load and a store; the sum is taken
 * only when a retry is wanted.
 */
#ifndef SL_UP_RETRY_H
#define SL_UP_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "conf/load.h"
#include "os/shm.h"

struct upstream;

/* conditions, bits of retry_conf.on */
#define RETRY_ON_CONNECT	0x01	/* nothing was sent */
#define RETRY_ON_REFUSED	0x02	/* a stream that was not begun */
#define RETRY_ON_RESET		0x04	/* it ended before the answer */
#define RETRY_ON_FIRST_BYTE	0x08	/* it was too slow */
#define RETRY_ON_503		0x10	/* with Retry-After: 1 or less */
/* a call of gRPC ended so, before any message */
#define RETRY_ON_GRPC(status)	(0x100U << (status))
#define RETRY_ON_GRPCS		(~0U << 8)	/* any of them */
#define RETRY_WORDS	"connect|refused_stream|reset|first_byte|503|"	\
	"grpc_cancelled|grpc_deadline_exceeded|grpc_internal|"		\
	"grpc_resource_exhausted|grpc_unavailable|off|none"

/* retry.* of [upstream], and of [route] where that sets it differently */
struct retry_conf {
	struct conf_list words;		/* of conf: retry.on */
	unsigned	 on;		/* after link: RETRY_ON_ */
	int64_t		 tries;		/* after the first */
	uint64_t	 backoff;	/* ms, of the first wait at most */
	uint64_t	 backoff_max;	/* ms */
	uint64_t	 body;		/* bytes kept for another attempt */
	bool		 cut;		/* when a server goes out of use */
	int64_t		 budget;	/* percent; of the upstream alone */
	int64_t		 floor;		/* per second; likewise */
};
extern const struct conf_group retry_group;	/* of [upstream] */

/* Sets on from the words; -1 after a diagnostic at obj's retry.on. */
int retry_read_words(struct conf_load *, const struct conf_obj *,
    struct retry_conf *);
/* What an upstream without this group has, as units may make one. */
extern const struct retry_conf retry_none;
const struct retry_conf *retry_of(const struct conf_obj *upstream);

/* --- the budget; amounts are in thousandths of a retry --- */

#define RETRY_ONE	1000
#define RETRY_BLOCK	32	/* upstreams in a row of retry_use */

/*
 * Region `retry` of live, the rows of upstream_live.  Credit of time is
 * base + (now - since_ms) * rate, which goes on where it is when the rate
 * changes; the master writes these between two odd steps of version.
 */
struct board_retry {
	_Atomic uint64_t version;	/* odd: the master writes */
	_Atomic uint64_t base;
	_Atomic uint64_t since_ms;	/* monotonic */
	_Atomic uint64_t rate;		/* per ms: retry.floor */
	_Atomic uint64_t cap;		/* of credit that is not spent */
	_Atomic uint64_t spent;		/* of all credit ever; by CAS */
	uint64_t	 fill[2];
};
_Static_assert(sizeof(struct board_retry) == 64, "board retry");

/* writer: the process of its slot; of slot 0: the master */
struct retry_use {
	_Atomic uint64_t tag;		/* of board_upstream; else it is old */
	_Atomic uint64_t earned;	/* credit of requests */
	_Atomic uint64_t firsts;	/* first attempts */
	_Atomic uint64_t again;		/* attempts after them */
	_Atomic uint64_t refused;	/* for want of credit */
	_Atomic uint64_t cut;		/* of servers that went out of use */
	_Atomic uint64_t replays;	/* over another connection */
};
/* region `retry_use` of live: blocks of upstreams, in a block by slot */
struct board_retry_use {
	struct retry_use use[RETRY_BLOCK];
};
_Static_assert(sizeof(struct board_retry_use) == 1792, "retry use");

extern const struct shm_region board_retries, board_retry_uses;

/* The row of an upstream, and that of a process there; or NULL. */
struct board_retry *retry_row(const struct shm *, uint32_t i);
struct retry_use *retry_use_row(const struct shm *, uint32_t i,
    unsigned slot);
/* It begins at nothing; by its writer. */
void retry_use_clear(struct retry_use *, uint64_t tag);
/* The credit that time gave until now. */
uint64_t retry_time(const struct board_retry *);

/* Bytes of the rows of so many upstreams, for [board] max. */
uint64_t retry_cost(uint32_t upstreams, unsigned processes);
/* Master: upstream i has rows; fresh: it begins, with a full credit. */
int retry_link(struct shm *, uint32_t i, bool fresh,
    const struct retry_conf *, struct err *);
/* Master, after the commit: what holds from now on. */
void retry_settle(struct shm *, uint32_t i, const struct retry_conf *);
/* Master: the process of the slot is dead; what it earned stays. */
void retry_fold(struct shm *, unsigned slot);

/* The twin's row of this process; NULL if it does not count. */
void retry_bind(struct upstream *);
/* A request's first attempt at the upstream. */
void retry_earn(const struct upstream *, const struct retry_conf *);
/*
 * Takes one retry, if the credit allows it; else that is counted, unless
 * the same request was refused here before (again).
 */
bool retry_take(const struct upstream *, bool again);
/* An attempt was ended, for its server went out of service. */
void retry_note_cut(const struct upstream *);
/* An attempt met a pooled connection that was dead: it is made again. */
void retry_note_replay(const struct upstream *);

/* of an upstream, over all processes; as in struct retry_use */
struct retry_sum {
	uint64_t	earned, firsts, again, refused, cut, replays;
};
void retry_sum(struct retry_sum *, const struct shm *, uint32_t i,
    uint64_t tag);
/* Retries that the credit of upstream i allows now. */
uint64_t retry_left(const struct shm *, uint32_t i, uint64_t tag);

#endif
