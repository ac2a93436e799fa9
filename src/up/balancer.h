/*
 * Balancers: which server of an upstream's view a request goes to.  One
 * file each, one line in registry.c.  Workers.
 */
#ifndef SL_UP_BALANCER_H
#define SL_UP_BALANCER_H

#include <stdint.h>

struct breaker_ticket;
struct server;
struct tried;
struct upstream;

/* what a request wants of the choice */
struct pick {
	const struct tried	*tried;	/* ref: servers that were asked */
	uint64_t		 hash;	/* of its hash.key */
	struct breaker_ticket	*probe;	/* ref: of a half-open breaker; NULL:
					 * none is to be taken */
	uint64_t		 probe_ms;	/* that it may take */
};

struct balancer {
	const char	*name;
	/*
	 * One of up->view that view_takes(), or NULL.  It may be called
	 * several times for one request.
	 */
	struct server	*(*pick)(struct upstream *, const struct pick *);
	/*
	 * The view is new and not empty: what pick needs besides, for
	 * up->view.plan; freed by free().  old is what was there before, or
	 * NULL, and may be returned.  NULL: nothing.
	 */
	void		*(*plan)(const struct upstream *, void *old);
};
extern const struct balancer *const balancers[];	/* NULL at the end */
extern const struct balancer balancer_hash, balancer_least_conn,
    balancer_random, balancer_round_robin, balancer_two_choices;

#endif
