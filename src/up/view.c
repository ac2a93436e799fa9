/*
 * Views of upstreams.  Workers.
 */
#include "up/view.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/census.h"
#include "up/names.h"
#include "up/pool.h"
#include "up/sticky.h"

/* A row that went on to another life says nothing of this server. */
static bool
is_alive(const struct server *s)
{
	return atomic_load_explicit(&s->live->tag, memory_order_relaxed) ==
	    s->tag;
}

static bool
has_room(const struct server *s)
{
	return s->nidle > 0 || pool_room(s) > 0;
}

struct view_rule
view_rule_for(const struct upstream *up, const struct tried *tried)
{
	struct view_rule	r = up->view.rule;

	if (r.tier == VIEW_PANIC && tried->n > 0)
		r.bars = STATE_AWAY;
	return r;
}

bool
view_takes(const struct upstream *up, const struct server *s,
    const struct pick *p)
{
	struct view_rule	rule = view_rule_for(up, p->tried);

	return census_admits(&rule, s->live) &&
	    !tried_has(p->tried, s) && has_room(s);
}

uint32_t
view_weight(const struct server *s)
{
	return state_weight(s->board, s->live);
}

uint32_t
view_active(const struct server *s)
{
	return (uint32_t)(atomic_load_explicit(&s->live->load,
	    memory_order_relaxed) & LOAD_ACTIVE);
}

void
view_fini(struct view *v)
{
	free(v->v);
	free(v->open);
	free(v->weight);
	free(v->plan);
	*v = (struct view){ .stale = true };
}

static struct census
count(const struct upstream *up)
{
	struct census	 c = { .main = 0 };
	struct server	*s;

	for (size_t i = 0; i < up->nserver; i++) {
		s = up->servers[i];
		if (is_alive(s))
			census_add(&c, s->board, s->live);
	}
	census_choose(&c, up->panic);
	return c;
}

uint32_t
view_share(const struct upstream *up, const struct server *s)
{
	if (!is_alive(s) || (atomic_load(&s->board->backup) != 0 &&
	    !up->view.rule.backups))
		return 0;
	return state_full_weight(s->board);
}

static int
by_row(const void *pa, const void *pb)
{
	const struct server	*a = *(struct server *const *)pa;
	const struct server	*b = *(struct server *const *)pb;

	return a->row < b->row ? -1 : a->row > b->row;
}

static void
fill(struct upstream *up)
{
	struct view	*v = &up->view;
	struct server	*s;

	for (size_t i = 0; i < up->nserver; i++) {
		s = up->servers[i];
		if (is_alive(s) && census_why_not(&v->rule, s->board,
		    s->live) == NULL)
			v->v[v->n++] = s;
	}
	if (v->n > 0)
		qsort(v->v, v->n, sizeof(*v->v), by_row);
	for (size_t i = 0; i < v->n; i++) {
		v->weight[i] = view_weight(v->v[i]);
		v->weight[i] += v->weight[i] == 0;
	}
}

/* Who is to be probed in time; n: that were counted a moment ago. */
static void
fill_open(struct upstream *up, size_t n)
{
	struct view	*v = &up->view;
	struct server	*s;

	v->nopen = 0;
	if (n == 0)
		return;
	v->open = must_calloc(n, sizeof(*v->open));
	for (size_t i = 0; i < up->nserver && v->nopen < n; i++) {
		s = up->servers[i];
		if (!is_alive(s) || !census_is_open(s->board, s->live))
			continue;
		s->probe_ms = 0;
		v->open[v->nopen++] = s;
	}
}

/* The epoch is read first: what changes meanwhile is seen the next time. */
static void
rebuild(struct upstream *up, uint64_t epoch)
{
	struct view	*v = &up->view;
	struct census	 c;
	void		*old = v->plan;

	v->plan = NULL;
	view_fini(v);
	c = count(up);
	v->stale = false;
	v->epoch = epoch;
	fill_open(up, c.open);
	v->rule = c.rule;
	v->v = must_calloc(up->nserver + 1, sizeof(*v->v));
	v->weight = must_calloc(up->nserver + 1, sizeof(*v->weight));
	fill(up);
	sticky_index(up);
	v->plan = old;
	if (up->balance->plan == NULL || v->n == 0)
		return;
	v->plan = up->balance->plan(up, old);
	if (v->plan != old)
		free(old);
}

void
view_refresh(struct upstream *up)
{
	uint64_t	epoch;

	members_refresh(up);
	epoch = atomic_load_explicit(&up->live->epoch, memory_order_acquire);
	if (up->view.stale || up->view.epoch != epoch)
		rebuild(up, epoch);
}
