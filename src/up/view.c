/*
 * Views of upstreams.  Workers.
 */
#include "up/view.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/names.h"
#include "up/pool.h"
#include "up/sticky.h"

static uint64_t
state_word(const struct server *s)
{
	return atomic_load_explicit(&s->live->state, memory_order_acquire);
}

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

uint64_t
view_bars(const struct upstream *up, const struct tried *tried)
{
	return up->view.tier == VIEW_PANIC && tried->n > 0 ? STATE_AWAY :
	    up->view.bars;
}

bool
view_takes(const struct upstream *up, const struct server *s,
    const struct pick *p)
{
	return (state_word(s) & view_bars(up, p->tried)) == 0 &&
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

/* what there is of each kind */
struct census {
	size_t	main, main_ok;	/* no backups, that the operator allows */
	size_t	backup_ok;
	size_t	open;
};

static bool
is_backup(const struct server *s)
{
	return atomic_load(&s->board->backup) != 0;
}

/* One that the operator allows to be asked. */
static bool
is_allowed(const struct server *s, uint64_t word)
{
	return is_alive(s) && view_weight(s) > 0 &&
	    (word & (STATE_BIT(SERVER_DRAIN) |
	    STATE_BIT(SERVER_MAINTENANCE))) == 0;
}

static struct census
count(const struct upstream *up)
{
	struct census	 c = { 0 };
	struct server	*s;
	uint64_t	 word;

	for (size_t i = 0; i < up->nserver; i++) {
		s = up->servers[i];
		word = state_word(s);
		if (!is_allowed(s, word))
			continue;
		c.open += (word & STATE_BIT(SERVER_OPEN)) != 0;
		if (is_backup(s))
			c.backup_ok += (word & STATE_AWAY) == 0;
		else {
			c.main++;
			c.main_ok += (word & STATE_AWAY) == 0;
		}
	}
	return c;
}

uint32_t
view_share(const struct upstream *up, const struct server *s)
{
	if (!is_alive(s) || (is_backup(s) && up->view.tier != VIEW_BACKUP))
		return 0;
	return state_full_weight(s->board);
}

static enum view_tier
choose_tier(const struct upstream *up, const struct census *c)
{
	if (c->main_ok > 0 && c->main_ok * 100 >= c->main * up->panic)
		return VIEW_MAIN;
	if (c->backup_ok > 0)
		return VIEW_BACKUP;
	return c->main_ok > 0 ? VIEW_PANIC : VIEW_EMPTY;
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

	for (size_t i = 0; i < up->nserver && v->tier != VIEW_EMPTY; i++) {
		s = up->servers[i];
		if (is_alive(s) && view_weight(s) > 0 &&
		    (state_word(s) & v->bars) == 0 &&
		    (v->tier == VIEW_BACKUP || !is_backup(s)))
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
	uint64_t	 word;

	v->nopen = 0;
	if (n == 0)
		return;
	v->open = must_calloc(n, sizeof(*v->open));
	for (size_t i = 0; i < up->nserver && v->nopen < n; i++) {
		s = up->servers[i];
		word = state_word(s);
		if (!is_allowed(s, word) ||
		    (word & STATE_BIT(SERVER_OPEN)) == 0)
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
	v->tier = choose_tier(up, &c);
	v->bars = v->tier == VIEW_PANIC ? STATE_SHUT : STATE_AWAY;
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
