/*
 * Whom a balancer would choose now.  Control process; sluicectl, offline.
 *
 * The rows of the members say who is a candidate, with the same rule as
 * workers have; then the balancer's own schedule, where it has one that
 * all workers share, says who is next.  Nothing is changed by looking.
 */
#include "control/explain_pick.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/vec.h"
#include "control/int.h"
#include "up/breaker.h"
#include "up/census.h"
#include "up/hash.h"
#include "up/look.h"
#include "up/names.h"
#include "up/round_robin.h"
#include "up/sticky.h"

struct pick_view {
	const struct shm	*shm;		/* ref */
	const struct upstream_conf *up;		/* ref */
	const struct board_upstream *live;	/* NULL: not on the board */
	const struct look_told	*told;		/* ref, or NULL */
	struct vec		 rows;		/* own: uint32_t, in order */
	struct census		 census;
};

static const struct board_server *
row_of(const struct pick_view *v, uint32_t i)
{
	return shm_row(v->shm, &board_servers, i);
}

static const struct board_server_live *
live_of(const struct pick_view *v, uint32_t i)
{
	return shm_row(v->shm, &board_servers_live, i);
}

/* --- members --- */

static void
add_row(struct pick_view *v, int64_t at)
{
	if (at >= 0 && (uint64_t)at < shm_rows(v->shm, &board_servers) &&
	    atomic_load(&row_of(v, (uint32_t)at)->tag) != 0)
		*(uint32_t *)vec_push(&v->rows) = (uint32_t)at;
}

static void
add_named(struct pick_view *v, int64_t at)
{
	uint32_t	row[NAME_MEMBERS];
	uint64_t	version;
	int		n;

	if (at < 0)
		return;
	n = names_read(shm_row(v->shm, &board_names, (uint32_t)at), row,
	    &version);
	for (int i = 0; i < n; i++)
		add_row(v, row[i]);
}

static int
by_number(const void *a, const void *b)
{
	uint32_t	x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
find_members(struct pick_view *v)
{
	const struct server_conf	*c;
	struct upstream_rows		 rows;
	int64_t				 at;

	upstream_rows_open(&rows, v->shm);
	at = upstream_rows_find(&rows, v->up->obj.name);
	if (at >= 0)
		v->live = shm_row(v->shm, &board_upstreams, (uint32_t)at);
	for (size_t i = 0; i < v->up->servers.n; i++) {
		c = &v->up->servers.v[i];
		if (c->name.n > 0)
			add_named(v, upstream_rows_name(&rows,
			    v->up->obj.name, c->text));
		else
			add_row(v, upstream_rows_server(&rows,
			    v->up->obj.name, c->text));
	}
	upstream_rows_close(&rows);
	if (v->rows.n > 0)
		qsort(v->rows.p, v->rows.n, sizeof(uint32_t), by_number);
	for (size_t i = 0; i < v->rows.n; i++)
		census_add(&v->census, row_of(v, *(uint32_t *)vec_at(
		    &v->rows, i)), live_of(v, *(uint32_t *)vec_at(&v->rows,
		    i)));
	census_choose(&v->census, (unsigned)v->up->panic);
}

/* --- who is next --- */

/* It may have lost all of it since it was found to be in the view. */
static uint32_t
weight_of(const struct pick_view *v, uint32_t i)
{
	uint32_t	w = state_weight(row_of(v, i), live_of(v, i));

	return w > 0 ? w : 1;
}

/* Attempts under way, for what it weighs. */
static double
busy_of(const struct pick_view *v, uint32_t i)
{
	uint64_t	n = atomic_load(&live_of(v, i)->load) & LOAD_ACTIVE;

	return (double)n / weight_of(v, i);
}

/* The turn that the cursor stands at, by the balancer's own schedule. */
static int64_t
next_turn(const struct pick_view *v, const uint32_t *rows, size_t n)
{
	uint32_t	*weight = must_calloc(n, sizeof(*weight));
	int64_t		 at;

	for (size_t i = 0; i < n; i++)
		weight[i] = weight_of(v, rows[i]);
	at = round_robin_turn(weight, n, atomic_load(&v->live->cursor));
	free(weight);
	return rows[at];
}

static int64_t
least_busy(const struct pick_view *v, const uint32_t *rows, size_t n)
{
	size_t	best = 0, same = 1;

	for (size_t i = 1; i < n; i++) {
		if (busy_of(v, rows[i]) < busy_of(v, rows[best])) {
			best = i;
			same = 1;
		} else if (busy_of(v, rows[i]) <= busy_of(v, rows[best]))
			same++;
	}
	return same == 1 ? (int64_t)rows[best] : -1;
}

/* What a worker's table says; without that the rule alone. */
static const char *
by_key(const struct pick_view *v, int64_t *next)
{
	const struct look_told	*t = v->told;

	if (t == NULL || t->picked >= shm_rows(v->shm, &board_servers) ||
	    t->nway == 0)
		return choice_conf(v->up)->load == 0 ? "by the hash of its "
		    "key, however busy that server is" : "by the hash of "
		    "its key, for as long as that server is not much busier "
		    "than the mean";
	*next = t->picked;
	if (t->way[0].server == t->picked)
		return "by the hash of its key";
	return t->way[0].how == HASH_OVER ? "the next on its key's way: the "
	    "first has more than its share" : "the next on its key's way: "
	    "the first is not asked";
}

static const char *
rule_of(const struct pick_view *v, const uint32_t *rows, size_t n,
    int64_t *next)
{
	const char	*name = v->up->balance->name;

	*next = n == 1 ? (int64_t)rows[0] : -1;
	if (n == 0)
		return "nobody may be asked";
	if (n == 1)
		return "the only one";
	if (strcmp(name, "round_robin") == 0) {
		*next = v->live == NULL ? -1 : next_turn(v, rows, n);
		return "the next turn of the schedule";
	}
	if (strcmp(name, "least_conn") == 0) {
		*next = least_busy(v, rows, n);
		return "who has least under way for its weight";
	}
	if (strcmp(name, "two_choices") == 0) {
		*next = n == 2 ? least_busy(v, rows, n) : -1;
		return n == 2 ? "of these two, who has less under way for "
		    "its weight" : "two are drawn by weight, and who has "
		    "less under way for its weight is asked";
	}
	if (strcmp(name, "hash") == 0)
		return by_key(v, next);
	return "drawn by weight";
}

/* --- the answer --- */

static json_t *
name_row(const struct pick_view *v, uint32_t i)
{
	return api_text(row_text_addr(v->shm, i));
}

static json_t *
describe(const struct pick_view *v, uint32_t i)
{
	const struct board_server_live	*l = live_of(v, i);

	return json_pack("{s:o, s:f, s:o, s:s}", "server", name_row(v, i),
	    "weight", state_weight(row_of(v, i), l) / 10.0, "active",
	    api_num(atomic_load(&l->load) & LOAD_ACTIVE), "state",
	    state_names[state_of(atomic_load(&l->state))]);
}

/* An open breaker whose time is over goes before all others. */
static bool
is_due(const struct pick_view *v, uint32_t i)
{
	struct breaker_look	k;
	struct breaker		br;

	/* it is looked at alone, whatever the finder may do with it */
	if (!breaker_find(&br, (struct shm *)(uintptr_t)v->shm, i,
	    atomic_load(&row_of(v, i)->tag)))
		return false;
	k = breaker_look(&br);
	return (k.state == BREAKER_OPEN && k.ms == 0) ||
	    (k.state == BREAKER_HALF &&
	    k.let < atomic_load(&br.conf->probes));
}

static void
sort_out(const struct pick_view *v, json_t *j)
{
	json_t		*in = json_array(), *out = json_array();
	uint32_t	*rows = must_calloc(v->rows.n + 1, sizeof(*rows)), i;
	const char	*why, *rule;
	int64_t		 next, due = -1;
	size_t		 n = 0;

	for (size_t k = 0; k < v->rows.n; k++) {
		i = *(uint32_t *)vec_at(&v->rows, k);
		why = census_why_not(&v->census.rule, row_of(v, i),
		    live_of(v, i));
		if (why == NULL) {
			json_array_append_new(in, describe(v, i));
			rows[n++] = i;
			continue;
		}
		if (due < 0 && strcmp(why, "open") == 0 && is_due(v, i))
			due = i;
		json_array_append_new(out, json_pack("{s:o, s:s}", "server",
		    name_row(v, i), "why", why));
	}
	rule = rule_of(v, rows, n, &next);
	if (due >= 0) {
		next = due;
		rule = "its breaker is to be probed";
	}
	if (v->told != NULL && v->told->cookie == LOOK_GOOD &&
	    v->told->server < shm_rows(v->shm, &board_servers)) {
		next = v->told->server;
		rule = "its cookie names it";
	}
	json_object_set_new(j, "candidates", in);
	json_object_set_new(j, "passed_over", out);
	json_object_set_new(j, "rule", json_string(rule));
	json_object_set_new(j, "next", next < 0 ? json_null() :
	    name_row(v, (uint32_t)next));
	free(rows);
}

void
explain_pick(json_t *j, const struct shm *shm,
    const struct upstream_conf *up, const struct look_told *told)
{
	struct pick_view	v = { .shm = shm, .up = up, .told = told };

	if (shm == NULL) {
		json_object_set_new(j, "next", up->servers.n == 1 &&
		    up->servers.v[0].name.n == 0 ?
		    api_text(up->servers.v[0].text) : json_null());
		json_object_set_new(j, "rule", json_string("nothing runs: "
		    "how its servers are is not known"));
		return;
	}
	vec_init(&v.rows, sizeof(uint32_t));
	find_members(&v);
	json_object_set_new(j, "tier",
	    json_string(census_tiers[v.census.rule.tier]));
	sort_out(&v, j);
	vec_fini(&v.rows);
}
