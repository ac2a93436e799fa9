/*
 * What one client address may have of a listener: connections at a time
 * and new ones per time, exact over all processes.  Addresses of IPv6
 * count by their /64, mapped ones as IPv4.
 *
 * They stand in a table of buckets on the board, found by a seeded hash;
 * a bucket is locked while it is looked through.  The lock names its
 * owner, so that the master can open it when that one died.
 */
#ifndef SL_CORE_LIMIT_H
#define SL_CORE_LIMIT_H

#include "core/lease.h"
#include "os/sock.h"

/* the rule of a listener; 0: none */
struct limit_rule {
	uint32_t	conns;		/* at a time */
	uint64_t	gap_ns;		/* between new ones, on average */
	uint64_t	slack_ns;	/* how far ahead of that they may be */
};

enum limit_rc {
	LIMIT_IN,
	LIMIT_UNCOUNTED,	/* let in: there is no room to count it */
	LIMIT_CONNS,		/* it has too many */
	LIMIT_RATE,		/* it makes too many */
	LIMIT_STUCK		/* the table was locked for too long */
};

/* Master: the table is there from now on. */
int limit_grow(struct shm *, struct err *);

/* The tag of a peer at a listener; 0: not an address (unix). */
uint64_t limit_tag(struct lease *, struct str listener,
    const struct sock_peer *);

/*
 * A connection of a peer begins.  On LIMIT_IN *word is what lease_give
 * takes in the end, + 1; else 0.
 */
enum limit_rc limit_enter(struct lease *, uint64_t tag,
    const struct limit_rule *, uint64_t now_ns, uint32_t *word);

#endif
