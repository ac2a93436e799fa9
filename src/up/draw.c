/*
 * Drawing servers by weight.  Workers.
 *
 * Walker's alias method: of n equal cells each belongs to one server up to
 * a mark and to another one above it, so that a draw costs two random
 * numbers and one cell.  Who cannot be asked is drawn again; after some
 * draws in vain the rest is looked at one by one, by their weights too.
 */
#include "up/draw.h"

#include <stdlib.h>

#include "base/must.h"

#define DRAWS	8		/* in vain, until all are looked at */

struct cell {
	uint32_t	mark;	/* of 2^32: below it the cell's own server */
	uint32_t	other;	/* of view.v: above it */
};

static bool
is_even(const struct view *v)
{
	for (size_t i = 1; i < v->n; i++)
		if (v->weight[i] != v->weight[0])
			return false;
	return true;
}

/*
 * Each server starts with n times its weight and each cell holds the sum:
 * a cell that its own server does not fill is filled up by one that has
 * more than a cell.
 */
static void
fill_cells(const struct view *v, struct cell *c, uint64_t *left,
    uint32_t *order)
{
	uint64_t	sum = 0;
	size_t		small = 0, large = v->n;

	for (size_t i = 0; i < v->n; i++)
		sum += v->weight[i];
	for (size_t i = 0; i < v->n; i++) {
		left[i] = (uint64_t)v->weight[i] * v->n;
		c[i] = (struct cell){ UINT32_MAX, (uint32_t)i };
		order[left[i] < sum ? small++ : --large] = (uint32_t)i;
	}
	/* those with less stand before `small`, done up to `at` */
	for (size_t at = 0; at < small && small < v->n; at++) {
		uint32_t	less = order[at], more = order[small];

		c[less].mark = (uint32_t)((double)left[less] /
		    (double)sum * 4294967296.0);
		c[less].other = more;
		left[more] -= sum - left[less];
		if (left[more] < sum)
			small++;
	}
}

void *
draw_plan(const struct upstream *up, void *old)
{
	const struct view	*v = &up->view;
	struct cell		*c;
	uint64_t		*left;
	uint32_t		*order;

	(void)old;
	if (is_even(v))
		return NULL;
	c = must_calloc(v->n, sizeof(*c));
	left = must_calloc(v->n, sizeof(*left));
	order = must_calloc(v->n, sizeof(*order));
	fill_cells(v, c, left, order);
	free(left);
	free(order);
	return c;
}

static struct server *
draw(struct upstream *up)
{
	const struct cell	*c = up->view.plan;
	uint64_t		 r = rand_next(&up->serve->rand);
	size_t			 i;

	/* the upper half says which cell, the lower one where in it */
	i = (size_t)((r >> 32) * up->view.n >> 32);
	if (c != NULL && (uint32_t)r >= c[i].mark)
		i = c[i].other;
	return up->view.v[i];
}

/* Each may take the place of those before it, as likely as its weight. */
static struct server *
look_at_all(struct upstream *up, const struct pick *p,
    const struct server *but)
{
	const struct view	*v = &up->view;
	struct server		*found = NULL;
	uint64_t		 sum = 0;

	for (size_t i = 0; i < v->n; i++) {
		if (v->v[i] == but || !view_takes(up, v->v[i], p))
			continue;
		sum += v->weight[i];
		if (rand_below(&up->serve->rand, sum) < v->weight[i])
			found = v->v[i];
	}
	return found;
}

struct server *
draw_server(struct upstream *up, const struct pick *p,
    const struct server *but)
{
	struct server	*s;

	for (unsigned k = 0; k < DRAWS; k++) {
		s = draw(up);
		if (s != but && view_takes(up, s, p))
			return s;
	}
	return look_at_all(up, p, but);
}
