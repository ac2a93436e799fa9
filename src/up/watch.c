/*
 * Which servers are watched.  Health process.
 *
 * A walk over the generation marks what it finds and makes what is new;
 * what it did not find is dropped.  It is done at each commit, and when a
 * list of a name has changed, which the tick sees.
 */
#include "up/watch.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/names.h"
#include "up/slow_start.h"

#define TICK_MS		100
#define TRIM_TICKS	10	/* between looks at what a burst took */

/* a walk over a generation */
struct walk {
	struct watch		*w;
	struct upstream_rows	 rows;
	struct watch_up		*old;	/* of the walk before */
	size_t			 nold;
	bool			*begun;	/* own; of this one */
	uint32_t		 nbegun;
};

/* --- what is known --- */

static struct watched *
find(const struct watch *w, uint32_t row, uint64_t tag)
{
	struct watched	*s = row < w->nrow ? w->by_row[row] : NULL;

	return s != NULL && s->tag == tag ? s : NULL;
}

static void
drop(struct watch *w, uint32_t row)
{
	struct watched	*s = w->by_row[row];

	if (s == NULL)
		return;
	w->by_row[row] = NULL;
	probes_drop(&w->probes, s);
	free(s);
}

static void
grow(struct watch *w)
{
	uint32_t	n = upstream_rows_used(w->shm);

	if (n <= w->nrow)
		return;
	w->by_row = must_realloc(w->by_row, n * sizeof(*w->by_row));
	while (w->nrow < n)
		w->by_row[w->nrow++] = NULL;
}

/* Whether who comes to the upstream now comes to others. */
static bool
has_begun(const struct watch *w, uint32_t upstream)
{
	return upstream < w->nbegun && w->begun[upstream];
}

static struct watched *
make(struct walk *k, uint32_t row, uint64_t tag)
{
	struct watch	*w = k->w;
	struct watched	*s = must_calloc(1, sizeof(*s));

	drop(w, row);
	s->row = row;
	s->tag = tag;
	s->board = shm_row(w->shm, &board_servers, row);
	s->live = shm_row(w->shm, &board_servers_live, row);
	probes_add(&w->probes, s);
	w->by_row[row] = s;
	return s;
}

static void
add_member(struct watch_up *up, struct watched *s)
{
	if (up->n == up->cap) {
		up->cap = up->cap == 0 ? 8 : up->cap * 2;
		up->v = must_realloc(up->v, up->cap * sizeof(*up->v));
	}
	up->v[up->n++] = s;
}

static void
add_row(struct walk *k, struct watch_up *up, const struct server_conf *c,
    uint32_t row)
{
	struct watch			*w = k->w;
	const struct board_server	*b;
	struct watched			*s;
	uint64_t			 tag;

	/* a name may have had it since the walk began */
	if (row >= w->nrow)
		grow(w);
	if (row >= w->nrow)
		return;
	b = shm_row(w->shm, &board_servers, row);
	tag = atomic_load(&b->tag);
	if (tag == 0)
		return;
	s = find(w, row, tag);
	if (s != NULL && s->seen)
		return;
	if (s == NULL) {
		s = make(k, row, tag);
		if (has_begun(w, up->row))
			slow_start_begin(w->shm, row, tag,
			    up->watch->slow_start);
	}
	s->seen = true;
	s->named = c->name.n > 0;
	s->conf = c;
	s->up = up;
	add_member(up, s);
}

static void
add_name(struct walk *k, struct watch_up *up, const struct server_conf *c,
    uint32_t at)
{
	struct watch		*w = k->w;
	struct watch_name	*m;
	uint32_t		 row[NAME_MEMBERS];
	uint32_t		 state;
	int			 n;

	w->names = must_realloc(w->names,
	    (w->nname + 1) * sizeof(*w->names));
	m = &w->names[w->nname++];
	m->row = shm_row(w->shm, &board_names, at);
	m->tag = atomic_load(&m->row->tag);
	state = atomic_load(&m->row->state);
	n = names_read(m->row, row, &m->version);
	/* control has an answer a moment before its list is there */
	if (state == NAME_ASKING || (state == NAME_HELD && n <= 0))
		up->asking = true;
	/* it is written all the while: the next tick tries again */
	if (n == -1)
		m->version = 1;
	for (int i = 0; i < n; i++)
		add_row(k, up, c, row[i]);
}

/* --- the walk --- */

static int64_t
row_of(const struct upstream_rows *rows, const struct upstream_conf *c,
    const struct server_conf *s)
{
	return s->name.n > 0 ? upstream_rows_name(rows, c->obj.name,
	    s->text) : upstream_rows_server(rows, c->obj.name, s->text);
}

static void
add_upstream(struct walk *k, const struct upstream_conf *c)
{
	int64_t		 at = upstream_rows_find(&k->rows, c->obj.name);
	struct watch_up	*up = &k->w->ups[k->w->nup];

	if (at < 0)
		return;
	k->w->nup++;
	up->conf = c;
	up->watch = watch_conf_of(c);
	up->row = (uint32_t)at;
	probe_set_open(&up->probes, &k->w->probes.env, c);
	for (size_t i = 0; i < c->servers.n; i++) {
		at = row_of(&k->rows, c, &c->servers.v[i]);
		if (at >= 0 && c->servers.v[i].name.n > 0)
			add_name(k, up, &c->servers.v[i], (uint32_t)at);
		else if (at >= 0)
			add_row(k, up, &c->servers.v[i], (uint32_t)at);
	}
	up->begun = has_begun(k->w, up->row) || (up->n > 0 && !up->asking);
	if (up->row < k->nbegun)
		k->begun[up->row] = up->begun;
}

static void
free_ups(struct watch_up *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		probe_set_close(&v[i].probes);
		free(v[i].v);
	}
	free(v);
}

/* What is not in the generation any more, and what it wants otherwise. */
static void
settle(struct watch *w)
{
	for (uint32_t i = 0; i < w->nrow; i++) {
		if (w->by_row[i] == NULL)
			continue;
		if (!w->by_row[i]->seen)
			drop(w, i);
		else
			probes_settle(&w->probes, w->by_row[i]);
	}
}

static void
walk(struct watch *w, const struct conf *conf)
{
	struct conf_objs	all = conf_all(conf, &upstream_section);
	struct walk		k = { .w = w, .old = w->ups, .nold = w->nup };

	k.nbegun = shm_rows(w->shm, &board_upstreams);
	k.begun = must_calloc(k.nbegun + 1, sizeof(*k.begun));
	upstream_rows_open(&k.rows, w->shm);
	grow(w);
	for (uint32_t i = 0; i < w->nrow; i++)
		if (w->by_row[i] != NULL)
			w->by_row[i]->seen = false;
	w->conf = conf;
	w->nname = 0;
	w->nup = 0;
	w->ups = must_calloc(all.n + 1, sizeof(*w->ups));
	for (size_t i = 0; i < all.n; i++)
		add_upstream(&k, (const struct upstream_conf *)all.v[i]);
	upstream_rows_close(&k.rows);
	settle(w);
	free_ups(k.old, k.nold);
	free(w->begun);
	w->begun = k.begun;
	w->nbegun = k.nbegun;
	/* what the walk took is as much as what is kept */
	must_trim();
}

/* Those of an upstream that are not watched yet. */
static void
lead_in(struct watch *w, const struct upstream_rows *rows,
    const struct upstream_conf *c)
{
	const struct board_server	*b;
	uint64_t			 tag;
	int64_t				 at;

	for (size_t i = 0; i < c->servers.n; i++) {
		at = row_of(rows, c, &c->servers.v[i]);
		if (at < 0 || c->servers.v[i].name.n > 0)
			continue;
		b = shm_row(w->shm, &board_servers, (uint32_t)at);
		tag = atomic_load(&b->tag);
		if (find(w, (uint32_t)at, tag) == NULL)
			slow_start_begin(w->shm, (uint32_t)at, tag,
			    watch_conf_of(c)->slow_start);
	}
}

void
watch_prepare(struct watch *w, const struct conf *conf)
{
	struct conf_objs		 all;
	const struct upstream_conf	*c;
	struct upstream_rows		 rows;
	int64_t				 at;

	all = conf_all(conf, &upstream_section);
	upstream_rows_open(&rows, w->shm);
	for (size_t i = 0; i < all.n; i++) {
		c = (const struct upstream_conf *)all.v[i];
		at = upstream_rows_find(&rows, c->obj.name);
		if (at >= 0 && has_begun(w, (uint32_t)at))
			lead_in(w, &rows, c);
	}
	upstream_rows_close(&rows);
}

void
watch_commit(struct watch *w, const struct conf *conf)
{
	walk(w, conf);
}

/* --- the tick --- */

static bool
names_moved(const struct watch *w)
{
	const struct watch_name	*m;

	for (size_t i = 0; i < w->nname; i++) {
		m = &w->names[i];
		if (atomic_load(&m->row->tag) == m->tag && atomic_load(
		    &m->row->version) != m->version)
			return true;
	}
	return false;
}

/*
 * A process that was killed between a word and its telling left workers
 * with an old view.  It may be about to tell, though: what has not been
 * told from one look to the next is told here.
 */
static void
look_at_digest(struct watch *w, struct watched *s)
{
	uint64_t	now = state_digest(s->board, s->live);
	bool		told = atomic_load(&s->live->told) == now;

	if (!told && s->untold && now == s->digest)
		state_repeat(w->shm, s->row);
	s->untold = !told;
	s->digest = now;
}

static void
on_tick(struct timer *t)
{
	struct watch	*w = container_of(t, struct watch, tick);
	uint64_t	 now = ev_ms(w->ev);
	struct watched	*s;

	ev_timer(w->ev, t, TICK_MS);
	if (++w->ticks % TRIM_TICKS == 0)
		probes_trim(&w->probes);
	if (names_moved(w))
		walk(w, w->conf);
	for (uint32_t i = 0; i < w->nrow; i++) {
		s = w->by_row[i];
		if (s == NULL || atomic_load(&s->live->tag) != s->tag)
			continue;
		outlier_look(w, s, now);
		if ((atomic_load(&s->live->state) &
		    STATE_BIT(SERVER_SLOW)) != 0)
			slow_start_go(w->shm, s->row, s->tag,
			    s->up->watch->slow_start, now, &s->slow_ms);
		look_at_digest(w, s);
	}
}

void
watch_init(struct watch *w, struct ev *ev, struct shm *shm,
    const struct conf *conf)
{
	memset(w, 0, sizeof(*w));
	w->ev = ev;
	w->shm = shm;
	rand_seed(&w->rand);
	probes_init(&w->probes, ev, shm, &w->rand);
	timer_init(&w->tick, on_tick);
	ev_timer(ev, &w->tick, TICK_MS);
	walk(w, conf);
}

void
watch_fini(struct watch *w)
{
	ev_timer_off(w->ev, &w->tick);
	for (uint32_t i = 0; i < w->nrow; i++)
		drop(w, i);
	free_ups(w->ups, w->nup);
	free(w->begun);
	free(w->by_row);
	free(w->names);
	probes_fini(&w->probes);
}
