/*
 * GET /v1/upstreams, ?name=: upstreams, their servers, and what all
 * workers have of each.  Control process.  Rows of `dir` are the master's
 * and believed; those of `live` are written by workers, so their numbers
 * are shown and never used as an index or a size.
 */
#include "control/int.h"

#include <stdlib.h>

#include "base/must.h"
#include "os/proc.h"
#include "up/census.h"
#include "up/names.h"
#include "up/queue.h"
#include "up/server_use.h"

#define GONE_MS	5000	/* that a server is shown as removed */

/* a question about many rows: which slots count */
struct walk {
	struct str	 name;		/* "": all */
	uint64_t	*named;		/* own: bit per row: a name has it */
	uint64_t	 live;		/* generation */
	uint32_t	 rows;		/* of servers, when it began */
	struct census	*views;		/* own: by row of upstream_live */
	uint32_t	 nview;
	uint8_t		 slot[SLOT_MAX];	/* 1: it is in use */
};

static void
set_num(json_t *j, const char *name, uint64_t v)
{
	json_object_set_new(j, name, api_num(v));
}

/* Slot 0 holds the times of those that are gone. */
static void
find_slots(struct walk *w)
{
	uint32_t			 n = shm_rows(self->shm, &board_slots);
	const struct board_slot		*s;

	for (uint32_t i = 0; i < n && i < SLOT_MAX; i++) {
		s = shm_row(self->shm, &board_slots, i);
		w->slot[i] = (i == 0 || s->state != SLOT_FREE) &&
		    use_has(self->shm, i);
	}
}

/* Rows of servers that came from a name of the live generation. */
static void
find_named(struct walk *w)
{
	uint32_t		 n = upstream_rows_used(self->shm);
	uint32_t		 row[NAME_MEMBERS];
	uint64_t		 version;
	const struct board_name	*nm;
	int			 k;

	w->rows = n;
	w->live = self->gens->cur->conf->number;
	w->named = must_calloc(n / 64 + 1, sizeof(*w->named));
	for (uint32_t i = 0; i < shm_rows(self->shm, &board_names); i++) {
		nm = shm_row(self->shm, &board_names, i);
		if (atomic_load(&nm->tag) == 0 ||
		    atomic_load(&nm->generation) < w->live)
			continue;
		k = names_read(nm, row, &version);
		while (k-- > 0)
			if (row[k] < n)
				w->named[row[k] / 64] |= 1ULL << row[k] % 64;
	}
}

static void
add_up(const struct walk *w, uint32_t i, uint64_t tag, struct use_sum *sum)
{
	const struct server_use	*u;

	for (unsigned slot = 0; slot < SLOT_MAX; slot++) {
		u = w->slot[slot] ? use_row(self->shm, i, slot) : NULL;
		if (u != NULL)
			use_add(sum, u, tag);
	}
}

static json_t *
describe_times(const struct use_sum *sum)
{
	json_t	*all = json_array(), *j;

	for (unsigned i = 0; i < USE_BUCKETS; i++) {
		if (sum->bucket[i] == 0)
			continue;
		j = json_pack("{s:o}", "count", api_num(sum->bucket[i]));
		if (use_bucket_end(i) != UINT64_MAX)
			set_num(j, "below_us", use_bucket_end(i));
		json_array_append_new(all, j);
	}
	j = json_object();
	set_num(j, "count", sum->count);
	set_num(j, "sum_us", sum->sum_us);
	set_num(j, "lately_us", sum->mean_us);
	set_num(j, "p50_us", use_quantile(sum, 500));
	set_num(j, "p90_us", use_quantile(sum, 900));
	set_num(j, "p99_us", use_quantile(sum, 990));
	json_object_set_new(j, "buckets", all);
	return j;
}

/* What a failure is called; NULL if the number is none. */
static const char *
fail_name(uint64_t why)
{
	return why == FAIL_NONE || why >= FAIL_N ? NULL :
	    fail_row((enum fail)why)->name;
}

static json_t *
describe_last(const struct board_server_live *l)
{
	uint64_t	 last = atomic_load(&l->last_fail);
	const char	*name = fail_name(last >> 48);

	if (name == NULL)
		return json_null();
	return json_pack("{s:s, s:o}", "fail", name, "ms",
	    api_num(last & 0xffffffffffffULL));
}

/* A server that is configured no more may have connections to end. */
static bool
is_member(const struct walk *w, uint32_t i, const struct board_server *s)
{
	return atomic_load(&s->generation) >= w->live ||
	    (w->named[i / 64] >> i % 64 & 1) != 0;
}

static struct census *
census_of(const struct walk *w, const struct board_server *s)
{
	uint32_t	row = atomic_load(&s->upstream_row);

	return row < w->nview ? &w->views[row] : NULL;
}

/* Who may be asked, of all upstreams. */
static void
find_views(struct walk *w)
{
	struct conf_objs		 all = conf_all(
	    self->gens->cur->conf, &upstream_section);
	const struct upstream_conf	*c;
	const struct board_server	*s;
	struct upstream_rows		 rows;
	struct census			*one;
	int64_t				 at;

	w->nview = shm_rows(self->shm, &board_upstreams);
	w->views = must_calloc(w->nview + 1, sizeof(*w->views));
	for (uint32_t i = 0; i < w->rows; i++) {
		s = shm_row(self->shm, &board_servers, i);
		one = census_of(w, s);
		if (one != NULL && atomic_load(&s->tag) != 0 &&
		    is_member(w, i, s))
			census_add(one, s, shm_row(self->shm,
			    &board_servers_live, i));
	}
	upstream_rows_open(&rows, self->shm);
	for (size_t i = 0; i < all.n; i++) {
		c = (const struct upstream_conf *)all.v[i];
		at = upstream_rows_find(&rows, c->obj.name);
		if (at >= 0 && at < w->nview)
			census_choose(&w->views[at], (unsigned)c->panic);
	}
	upstream_rows_close(&rows);
}

static void
add_state(json_t *j, const struct board_server *s,
    const struct board_server_live *l)
{
	uint64_t	  word = atomic_load(&l->state);
	enum server_state state = state_of(word);
	uint64_t	  ms = state_since_ms(word);
	const char	 *why = state == SERVER_UP ? NULL :
	    fail_name(atomic_load(&l->why[state]));

	json_object_set_new(j, "state", json_string(state_names[state]));
	json_object_set_new(j, "why", why == NULL ? json_null() :
	    json_string(why));
	set_num(j, "since_ms", ms != 0 ? ms : atomic_load(&s->since_ms));
}

static uint64_t
max_conns(const struct board_server *s)
{
	uint32_t			 lease = atomic_load(&s->lease);
	const struct lease_word		*w;

	if (lease == 0 || lease > shm_rows(self->shm, &lease_words))
		return 0;
	w = shm_row(self->shm, &lease_words, lease - 1);
	return atomic_load(&w->limit);
}

/* Is it some time since it was configured, or its name had it? */
static bool
is_long_gone(const struct board_server *s)
{
	uint64_t	left = atomic_load(&s->left_ms);
	uint64_t	made = self->gens->cur->conf->made_ms;

	if (left != 0 && left + GONE_MS > ev_ms(self->ev))
		return false;
	return left != 0 || made + GONE_MS <= ev_wall_ms(self->ev);
}

/* NULL: it is gone, and nothing of it is left. */
static json_t *
describe_server(const struct walk *w, uint32_t i,
    const struct board_server *s)
{
	const struct board_server_live	*l;
	struct use_sum			 sum = { .open = 0 };
	json_t				*j;

	l = shm_row(self->shm, &board_servers_live, i);
	add_up(w, i, atomic_load(&s->tag), &sum);
	if (!is_member(w, i, s) && sum.open == 0 && is_long_gone(s))
		return NULL;
	j = json_object();
	json_object_set_new(j, "address", api_text(row_text_addr(
	    self->shm, i)));
	add_state(j, s, l);
	if (!is_member(w, i, s))
		json_object_set_new(j, "state", json_string("removed"));
	api_add_balance(j, i, is_member(w, i, s) ? census_of(w, s) : NULL);
	set_num(j, "max_conns", max_conns(s));
	set_num(j, "http", atomic_load(&l->http));
	set_num(j, "attempts", atomic_load(&l->load) >> LOAD_SHIFT);
	set_num(j, "failures", atomic_load(&l->failures));
	json_object_set_new(j, "last_failure", describe_last(l));
	json_object_set_new(j, "connections", json_pack("{s:o, s:o, s:o}",
	    "open", api_num(sum.open), "idle", api_num(sum.idle),
	    "active", api_num(sum.active)));
	json_object_set_new(j, "first_byte", describe_times(&sum));
	api_add_probe(j, i, atomic_load(&s->tag));
	return j;
}

/* The upstream's entry, made when it is its first server. */
static json_t *
find_upstream(json_t *all, struct str name)
{
	const struct upstream_conf	*c;
	char				 key[ROW_UPSTREAM + 1];
	json_t				*j;

	must(str_to_c(name, key, sizeof(key)) == 0);
	j = json_object_get(all, key);
	if (j != NULL)
		return j;
	c = conf_find(self->gens->cur->conf, &upstream_section, name);
	j = json_pack("{s:s, s:s?, s:[]}", "name", key, "balance",
	    c == NULL ? NULL : c->balance->name, "servers");
	json_object_set_new(all, key, j);
	return j;
}

/* Requests that wait for a connection to any of its servers. */
static void
add_queue(const struct walk *w, json_t *j, const struct upstream_rows *rows)
{
	struct str			 name;
	int64_t				 at;
	const struct board_upstream	*u;
	json_t				*q;

	name = str_from(json_string_value(json_object_get(j, "name")));
	at = upstream_rows_find(rows, name);
	if (at < 0)
		return;
	u = shm_row(self->shm, &board_upstreams, (uint32_t)at);
	q = json_object();
	set_num(q, "waiting", queue_waiting(self->shm, u));
	set_num(q, "waited", atomic_load(&u->queued));
	set_num(q, "timed_out", atomic_load(&u->timed_out));
	set_num(q, "refused", atomic_load(&u->refused));
	json_object_set_new(j, "queue", q);
	if (at < w->nview)
		api_add_view(j, (uint32_t)at, &w->views[at]);
}

static bool
is_asked_for(const struct walk *w, struct str name)
{
	return w->name.n == 0 || str_eq(name, w->name);
}

/* Those of the configuration, though no name of theirs has an address. */
static void
add_configured(const struct walk *w, json_t *all,
    const struct upstream_rows *rows)
{
	struct conf_objs	objs = conf_all(self->gens->cur->conf,
				    &upstream_section);

	for (size_t i = 0; i < objs.n; i++)
		if (is_asked_for(w, objs.v[i]->name) &&
		    upstream_rows_find(rows, objs.v[i]->name) >= 0)
			find_upstream(all, objs.v[i]->name);
}

static void
add_servers(const struct walk *w, json_t *all)
{
	const struct board_server	*s;
	struct str			 name;
	json_t				*j;

	for (uint32_t i = 0; i < w->rows; i++) {
		s = shm_row(self->shm, &board_servers, i);
		name = row_text_upstream(self->shm, i);
		if (atomic_load(&s->tag) == 0 || !is_asked_for(w, name))
			continue;
		j = describe_server(w, i, s);
		if (j != NULL)
			json_array_append_new(json_object_get(find_upstream(
			    all, name), "servers"), j);
	}
}

static json_t *
list(const struct walk *w)
{
	json_t			*all = json_object(), *out;
	struct upstream_rows	 rows;
	json_t			*j;
	void			*it;

	upstream_rows_open(&rows, self->shm);
	add_configured(w, all, &rows);
	add_servers(w, all);
	out = json_array();
	for (it = json_object_iter(all); it != NULL;
	    it = json_object_iter_next(all, it)) {
		j = json_object_iter_value(it);
		add_queue(w, j, &rows);
		json_array_append(out, j);
	}
	upstream_rows_close(&rows);
	json_decref(all);
	return out;
}

void
api_upstreams(struct exchange *x)
{
	struct walk	 w = { .name = STR_INIT("") };
	json_t		*all;

	if (api_query_name(x, &w.name) == -1)
		return;
	find_slots(&w);
	find_named(&w);
	find_views(&w);
	all = list(&w);
	free(w.named);
	free(w.views);
	if (w.name.n > 0 && json_array_size(all) == 0) {
		json_decref(all);
		api_error(x, 404, "no_upstream",
		    "There is no upstream of that name.");
		return;
	}
	api_answer(x, 200, json_pack("{s:i, s:o, s:o}", "v", 1, "now_ms",
	    api_num(ev_wall_ms(self->ev)), "upstreams", all));
}
