/*
 * Balancer two_choices: of two servers that are drawn by weight, the one
 * with less to do.  Workers.
 *
 * That is nearly as good as knowing the least busy of all, costs the same
 * for any number of them, and many processes that choose at one time do
 * not all choose the same.  While both have as much to do for what they
 * weigh, the one drawn first is taken: so an upstream that is mostly idle
 * shares its requests by weight as well, which (active + 1) / weight would
 * not: of 5, 3 and 1 the last would never be asked.
 */
#include "up/draw.h"

static struct server *
pick(struct upstream *up, const struct pick *p)
{
	struct server	*a = draw_server(up, p, NULL), *b;

	if (a == NULL || up->view.n == 1)
		return a;
	b = draw_server(up, p, a);
	if (b == NULL)
		return a;
	return (uint64_t)view_active(b) * view_weight(a) <
	    (uint64_t)view_active(a) * view_weight(b) ? b : a;
}

const struct balancer balancer_two_choices = {
	.name = "two_choices", .pick = pick, .plan = draw_plan
};
