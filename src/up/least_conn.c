/*
 * Balancer least_conn: the server with the fewest attempts under way over
 * all workers for what it weighs.  Workers.
 *
 * Of several such one is drawn by weight: by order, the first would have
 * all requests of an upstream that is mostly idle.  All servers are looked
 * at for each choice; with hundreds of them two_choices is the better one.
 */
#include "up/upstream.h"

static struct server *
pick(struct upstream *up, const struct pick *p)
{
	const struct view	*v = &up->view;
	struct server		*best = NULL;
	uint64_t		 active, sum = 0;
	uint64_t		 least = 1;	/* what best has: least / per */
	uint32_t		 per = 0;

	for (size_t i = 0; i < v->n; i++) {
		if (!view_takes(up, v->v[i], p))
			continue;
		active = view_active(v->v[i]);
		if (active * per > least * v->weight[i])
			continue;
		if (active * per < least * v->weight[i])
			sum = 0;
		sum += v->weight[i];
		if (rand_below(&up->serve->rand, sum) >= v->weight[i])
			continue;
		best = v->v[i];
		least = active;
		per = v->weight[i];
	}
	return best;
}

const struct balancer balancer_least_conn = {
	.name = "least_conn", .pick = pick
};
