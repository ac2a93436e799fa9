/*
 * Balancer random: by chance, by weight.  Workers.
 */
#include "up/draw.h"

static struct server *
pick(struct upstream *up, const struct pick *p)
{
	return draw_server(up, p, NULL);
}

const struct balancer balancer_random = {
	.name = "random", .pick = pick, .plan = draw_plan
};
