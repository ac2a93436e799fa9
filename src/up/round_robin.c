/*
 * Balancer round_robin.  Workers.
 *
 * One cursor on the board is advanced by all workers, so that the order
 * holds over all of them: each process on its own would send its first
 * request to the first server.  A server that was asked before, or has
 * its max_conns connections, is passed over; the cursor is advanced for
 * further attempts as well, else all requests that meet a dead server
 * would land on its neighbour.
 */
#include "up/pool.h"

static bool
has_room(const struct server *s)
{
	return s->nidle > 0 || pool_room(s) > 0;
}

static struct server *
pick(struct upstream *up, const struct tried *tried)
{
	uint64_t	at;
	size_t		i;

	if (up->nserver == 0)
		return NULL;
	at = atomic_fetch_add_explicit(&up->live->cursor, 1,
	    memory_order_relaxed);
	for (size_t n = 0; n < up->nserver; n++) {
		i = (size_t)((at + n) % up->nserver);
		if (!tried_has(tried, up->servers[i]) &&
		    has_room(up->servers[i]))
			return up->servers[i];
	}
	return NULL;
}

const struct balancer balancer_round_robin = { "round_robin", pick };
