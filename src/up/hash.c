/*
 * Balancer hash: a key's requests go to one server, by Maglev's table of
 * all members, with bounded load.  Workers.
 *
 * Who may not be asked keeps its places; its keys go on by further hashes
 * of theirs, each to another server, and come back with it.  So a change
 * of state moves that server's keys alone, and the table is made anew only
 * when members or weights change.  Slow start has no part in the table
 * but in the bound.
 *
 * The bound (hash.load percent of its share of what is under way) needs
 * the sum over all servers, which is as old as a millisecond, or longer
 * with many of them.  While requests become more it is too low, and a
 * server gets rather less than allowed.
 */
#include "up/hash.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/maglev.h"
#include "up/upstream.h"

#define HOPS		32	/* hashes, until all are looked at */
#define SUM_PER_MS	64	/* servers that are added up */

struct plan {
	uint64_t	 sign;		/* of members and weights */
	uint64_t	 weight;	/* of the view */
	uint64_t	 active;	/* of the view */
	uint64_t	 until_ms;	/* loop time; 0: not known */
	size_t		 n;
	uint32_t	 size;
	struct server	**v;		/* behind it; refs of members */
	uint16_t	*at;		/* behind that */
};

/* a member that has places */
struct place {
	struct server	*s;
	uint64_t	 hash;
	uint32_t	 weight;
};

static uint64_t
mix(uint64_t h)
{
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ h >> 27) * 0x94d049bb133111ebULL;
	return h ^ h >> 31;
}

/* FNV-1a, then stirred: short keys differ in all bits. */
uint64_t
hash_key(struct str key)
{
	uint64_t	h = STR_HASH0;

	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (unsigned char)key.p[i]) * 1099511628211ULL;
	return mix(h);
}

/* The next of the hashes of a key. */
static uint64_t
go_on(uint64_t h)
{
	return mix(h + 0x9e3779b97f4a7c15ULL);
}

/* --- the table --- */

/* By what they are, not by their order in the file. */
static int
by_hash(const void *pa, const void *pb)
{
	const struct place	*a = pa, *b = pb;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return str_cmp(a->s->text, b->s->text);
}

/* Members with places, of which there may be at most MAGLEV_MAX. */
static size_t
list_places(const struct upstream *up, struct place *v)
{
	uint32_t	weight;
	size_t		n = 0;

	for (size_t i = 0; i < up->nserver && n < MAGLEV_MAX; i++) {
		weight = view_share(up, up->servers[i]);
		if (weight > 0)
			v[n++] = (struct place){ up->servers[i],
			    hash_key(up->servers[i]->text), weight };
	}
	qsort(v, n, sizeof(*v), by_hash);
	return n;
}

static uint64_t
sign(const struct place *v, size_t n)
{
	uint64_t	h = n;

	for (size_t i = 0; i < n; i++)
		h = mix(mix(h ^ v[i].hash) + v[i].weight);
	return h;
}

static struct plan *
make_table(const struct place *v, size_t n)
{
	struct maglev_member	*m = must_calloc(n, sizeof(*m));
	uint32_t		 size = maglev_size(n);
	struct plan		*p;

	for (size_t i = 0; i < n; i++)
		m[i] = (struct maglev_member){ v[i].hash, v[i].weight };
	p = must_calloc(1, sizeof(*p) + n * sizeof(p->v[0]) +
	    size * sizeof(p->at[0]));
	p->n = n;
	p->size = size;
	p->v = (struct server **)(void *)(p + 1);
	p->at = (uint16_t *)(void *)(p->v + n);
	/* a weight may have become 0 since the view was made */
	if (n > 0)
		maglev_fill(p->at, size, m, n);
	free(m);
	return p;
}

static void *
plan(const struct upstream *up, void *old)
{
	const struct view	*v = &up->view;
	struct plan		*p = old;
	struct place		*all;
	uint64_t		 is;
	size_t			 n;

	all = must_calloc(up->nserver, sizeof(*all));
	n = list_places(up, all);
	is = sign(all, n);
	if (p == NULL || p->sign != is)
		p = make_table(all, n);
	p->sign = is;
	p->until_ms = 0;
	for (size_t i = 0; i < n; i++)
		p->v[i] = all[i].s;
	p->weight = 0;
	for (size_t i = 0; i < v->n; i++)
		p->weight += v->weight[i];
	free(all);
	return p;
}

/* --- the bound --- */

static void
add_up(const struct upstream *up, struct plan *p)
{
	uint64_t	now = ev_ms(up->serve->ev);

	if (now < p->until_ms)
		return;
	p->active = 0;
	for (size_t i = 0; i < up->view.n; i++)
		p->active += view_active(up->view.v[i]);
	p->until_ms = now + 1 + up->view.n / SUM_PER_MS;
}

/* With one more it has no more than its share and what is added to it. */
static bool
is_within(const struct upstream *up, const struct plan *p,
    const struct server *s)
{
	uint64_t	active = view_active(s);

	/* rounded up: the first request is always within */
	return active == 0 || active * 100 * p->weight <
	    up->hash_load * (p->active + 1) * view_weight(s);
}

/* --- choosing --- */

/*
 * Hardly anybody may be asked, or all have what they may: the one with
 * the least for its weight.
 */
static struct server *
find_least(const struct upstream *up, const struct pick *p)
{
	const struct view	*v = &up->view;
	struct server		*best = NULL, *s;
	uint64_t		 least = 0, per = 0, active;
	size_t			 at;

	for (size_t i = 0; i < v->n; i++) {
		at = (p->hash + i) % v->n;
		s = v->v[at];
		if (!view_takes(up, s, p))
			continue;
		active = view_active(s);
		if (best != NULL && active * per >= least * v->weight[at])
			continue;
		best = s;
		least = active;
		per = v->weight[at];
	}
	return best;
}

/* a key's way through the table */
struct way {
	uint64_t	h;
	unsigned	hops;
};

static struct server *
next_stop(const struct plan *p, struct way *w)
{
	struct server	*s;

	if (w->hops == HOPS || p->n == 0)
		return NULL;
	s = p->v[p->at[w->h % p->size]];
	w->h = go_on(w->h);
	w->hops++;
	return s;
}

static enum hash_stop
stop_at(const struct upstream *up, const struct pick *want,
    const struct server *s)
{
	if (!view_takes(up, s, want))
		return HASH_OUT;
	return up->hash_load == 0 || is_within(up, up->view.plan, s) ?
	    HASH_TAKES : HASH_OVER;
}

static struct server *
pick(struct upstream *up, const struct pick *want)
{
	struct plan	*p = up->view.plan;
	struct way	 w = { .h = want->hash };
	struct server	*s;

	if (up->hash_load > 0)
		add_up(up, p);
	while ((s = next_stop(p, &w)) != NULL)
		if (stop_at(up, want, s) == HASH_TAKES)
			return s;
	return find_least(up, want);
}

size_t
hash_follow(struct upstream *up, const struct pick *want,
    struct hash_place *v, size_t n)
{
	struct plan	*p = up->view.plan;
	struct way	 w = { .h = want->hash };
	struct server	*s;
	size_t		 have = 0, i;

	if (up->hash_load > 0)
		add_up(up, p);
	while (have < n && (s = next_stop(p, &w)) != NULL) {
		for (i = 0; i < have && v[i].s != s; i++)
			;
		if (i == have)
			v[have++] = (struct hash_place){ s,
			    stop_at(up, want, s) };
	}
	return have;
}

const struct balancer balancer_hash = {
	.name = "hash", .pick = pick, .plan = plan
};
