/*
 * Balancer round_robin, by weight.  Workers.
 *
 * One cursor on the board is advanced by all workers, and all have made
 * the same schedule from the same words, so the order holds over all of
 * them.  A server of weight w stands at (2k + 1) / 2w of the round for
 * each k below w: evenly, and for 5:3:1 A B A A B C A B A.  A server that
 * cannot be asked gives its turn to the next one in the schedule.  A
 * further attempt of a request goes to whose turn comes next and leaves it
 * to him: if it took turns, every first attempt of two servers would meet
 * the same one, for the turns of the other were all taken by retries.
 */
#include "up/round_robin.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/upstream.h"

#define ROUND_MAX	4096	/* turns, if servers are fewer */

/* a turn: the k-th of w of one server */
struct turn {
	uint32_t	k, w;
	uint32_t	i;		/* of view.v */
};

struct schedule {
	size_t		n;
	uint32_t	i[];		/* of view.v */
};

static uint64_t
gcd(uint64_t a, uint64_t b)
{
	uint64_t	r;

	while (b != 0) {
		r = a % b;
		a = b;
		b = r;
	}
	return a;
}

static int
by_place(const void *pa, const void *pb)
{
	const struct turn	*a = pa, *b = pb;
	uint64_t		 x = (2ULL * a->k + 1) * b->w;
	uint64_t		 y = (2ULL * b->k + 1) * a->w;

	if (x != y)
		return x < y ? -1 : 1;
	return a->i < b->i ? -1 : a->i > b->i;
}

/* Turns of a server in one round, which is no longer than can be held. */
static uint32_t
turns_of(uint32_t weight, uint64_t div, uint64_t sum)
{
	uint64_t	w = weight / div;

	if (sum > ROUND_MAX)
		w = (w * ROUND_MAX + sum / 2) / sum;
	return w > 0 ? (uint32_t)w : 1;
}

static void *
plan(const struct upstream *up, void *old)
{
	const struct view	*v = &up->view;
	uint64_t		 div = 0, sum = 0;
	size_t			 n = 0, at = 0;
	struct schedule		*s;
	struct turn		*all;
	uint32_t		 w;

	(void)old;
	for (size_t i = 0; i < v->n; i++)
		div = gcd(div, v->weight[i]);
	for (size_t i = 0; i < v->n; i++)
		sum += v->weight[i] / div;
	for (size_t i = 0; i < v->n; i++)
		n += turns_of(v->weight[i], div, sum);
	all = must_calloc(n, sizeof(*all));
	for (size_t i = 0; i < v->n; i++) {
		w = turns_of(v->weight[i], div, sum);
		for (uint32_t k = 0; k < w; k++)
			all[at++] = (struct turn){ k, w, (uint32_t)i };
	}
	qsort(all, n, sizeof(*all), by_place);
	s = must_alloc(sizeof(*s) + n * sizeof(s->i[0]));
	s->n = n;
	for (size_t i = 0; i < n; i++)
		s->i[i] = all[i].i;
	free(all);
	return s;
}

size_t
round_robin_turn(const uint32_t *weight, size_t n, uint64_t cursor)
{
	struct upstream		 up = { .view = { .n = n } };
	struct schedule		*s;
	size_t			 i;

	/* read alone */
	up.view.weight = (uint32_t *)(uintptr_t)weight;
	s = plan(&up, NULL);
	i = s->i[cursor % s->n];
	free(s);
	return i;
}

static struct server *
pick(struct upstream *up, const struct pick *p)
{
	const struct schedule	*s = up->view.plan;
	struct server		*one;
	uint64_t		 at;

	at = p->tried->n > 0 ? atomic_load(&up->live->cursor) :
	    atomic_fetch_add_explicit(&up->live->cursor, 1,
	    memory_order_relaxed);
	for (size_t k = 0; k < s->n; k++) {
		one = up->view.v[s->i[(at + k) % s->n]];
		if (view_takes(up, one, p))
			return one;
	}
	return NULL;
}

const struct balancer balancer_round_robin = {
	.name = "round_robin", .pick = pick, .plan = plan
};
