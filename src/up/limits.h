/*
 * How many connections to servers there may be, which of them are kept,
 * and how many requests wait for one.  Of [upstream NAME]; the builder
 * fills them in, workers obey.
 */
#ifndef SL_UP_LIMITS_H
#define SL_UP_LIMITS_H

#include <stdint.h>

/* which connections a pool keeps; per worker and server */
struct pool_limits {
	int64_t		size;		/* idle ones; 0: none */
	uint64_t	idle;		/* ms without a request */
	uint64_t	age;		/* ms since it was opened; 0: any */
	int64_t		requests;	/* over one connection; 0: any */
	int64_t		streams;	/* at a time, HTTP/2 */
	uint64_t	ping;		/* ms of silence, HTTP/2; 0: never */
};

/* over all workers */
struct queue_limits {
	int64_t		max_conns;	/* of servers without own; 0: any */
	int64_t		length;		/* requests that wait; 0: none */
	uint64_t	timeout;	/* ms */
};

/* how long what may take; milliseconds, 0: no limit */
struct upstream_times {
	uint64_t	connect;
	uint64_t	first_byte;
	uint64_t	between;
	uint64_t	total;
	uint64_t	stream_idle;
};

#endif
