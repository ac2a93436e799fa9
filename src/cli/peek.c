/*
 * Reading the board without asking anybody: from the read-only descriptors
 * that the control socket hands out.  sluicectl.  Every bound is checked by
 * the view, every row is of the layout that this program was built with or
 * is not read at all; numbers in it are shown and nothing else.
 */
#include "cli/peek.h"

#include <string.h>

#include "base/str.h"
#include "core/board.h"
#include "os/ev.h"

/* both segments and the words of the answer */
struct peek {
	struct shm_view	*dir;		/* own */
	struct shm_view	*live;		/* own */
	const json_t	*roles;		/* ref */
	const json_t	*states;	/* ref */
	uint64_t	 now_ms;	/* monotonic */
};

static const struct shm_region *const shown[] = {
	&board_globals, &board_totals, &board_slots, &board_stats
};
#define NSHOWN	(sizeof(shown) / sizeof(shown[0]))

static struct shm_view *
view_of(const struct peek *p, const struct shm_region *r)
{
	return r->seg == SHM_DIR ? p->dir : p->live;
}

static int
open_views(struct peek *p, const int fds[2], struct err *e)
{
	size_t i;

	p->dir = shm_view_open(fds[0], e);
	if (p->dir == NULL)
		return -1;
	p->live = shm_view_open(fds[1], e);
	if (p->live == NULL)
		return -1;
	for (i = 0; i < NSHOWN; i++)
		if (!shm_view_is(view_of(p, shown[i]), shown[i]))
			return err_set(e, "the board's region \"%s\" is not "
			    "of this version", shown[i]->name);
	return 0;
}

/* --- words --- */

static void
set_num(json_t *j, const char *name, uint64_t v)
{
	json_object_set_new(j, name, json_integer(v > INT64_MAX ? INT64_MAX :
	    (json_int_t)v));
}

static json_t *
name_slot(const struct peek *p, const struct board_slot *s)
{
	const json_t *role = json_array_get(p->roles, s->role);

	if (!json_is_string(role))
		return json_sprintf("role %u", s->role);
	if (s->index == 0)
		return json_string(json_string_value(role));
	return json_sprintf("%s %u", json_string_value(role), s->index);
}

static json_t *
name_state(const struct peek *p, uint32_t state)
{
	const json_t *v = json_array_get(p->states, state);

	if (!json_is_string(v))
		return json_sprintf("state %u", state);
	return json_string(json_string_value(v));
}

/* --- rows --- */

/* A gauge is a difference: below zero it is a reader's instant. */
static uint64_t
settle(enum stat_id id, uint64_t v)
{
	return stat_rows[id].kind == STAT_GAUGE && v > INT64_MAX ? 0 : v;
}

static uint64_t
stat_of(const struct peek *p, uint32_t slot, enum stat_id id)
{
	const struct board_stat *row = shm_view_row(p->live,
	    board_stats.name, slot);

	return row == NULL ? 0 : settle(id, row->v[id]);
}

static json_t *
read_slot(const struct peek *p, const struct board_slot *s, uint32_t i)
{
	const struct board_global *g = shm_view_row(p->dir,
	    board_globals.name, 0);
	uint64_t beat = s->beat_ms;
	json_t *j = json_object();

	set_num(j, "slot", i);
	json_object_set_new(j, "name", name_slot(p, s));
	json_object_set_new(j, "state", name_state(p, s->state));
	set_num(j, "pid", s->pid);
	set_num(j, "tag", s->tag);
	set_num(j, "started_ms", s->started_ms);
	set_num(j, "beat_age_ms", p->now_ms > beat ? p->now_ms - beat : 0);
	/* the master, the first, takes none: what is live is its word */
	set_num(j, "generation", i == 0 && g != NULL ? g->generation :
	    s->generation);
	set_num(j, "generations", s->generations);
	set_num(j, "accepts", s->accepts);
	set_num(j, "accept_rate", s->accept_rate);
	set_num(j, "busy_permille", s->busy_permille);
	set_num(j, "started", stat_of(p, i, STAT_STARTED));
	set_num(j, "finished", stat_of(p, i, STAT_FINISHED));
	return j;
}

static json_t *
read_slots(const struct peek *p)
{
	uint32_t i, n = shm_view_rows(p->live, board_slots.name);
	const struct board_slot *s;
	json_t *all = json_array();

	for (i = 0; i < n && i < SLOT_MAX; i++) {
		s = shm_view_row(p->live, board_slots.name, i);
		if (s != NULL && s->state != SLOT_FREE)
			json_array_append_new(all, read_slot(p, s, i));
	}
	return all;
}

static json_t *
read_global(const struct peek *p)
{
	const struct board_global *g = shm_view_row(p->dir,
	    board_globals.name, 0);
	json_t *j = json_object();

	if (g == NULL)
		return j;
	set_num(j, "generation", g->generation);
	set_num(j, "reloads", g->reloads);
	set_num(j, "reloads_failed", g->reloads_failed);
	set_num(j, "restarts", g->restarts);
	set_num(j, "nworker", g->nworker);
	set_num(j, "started_ms", g->started_ms);
	return j;
}

/* --- everything --- */

static json_t *
read_regions(const struct peek *p)
{
	json_t *all = json_array(), *j;
	size_t i;

	for (i = 0; i < NSHOWN; i++) {
		j = json_pack("{s:s, s:s, s:s}", "name", shown[i]->name,
		    "segment", shown[i]->seg == SHM_DIR ? "dir" : "live",
		    "text", shown[i]->text);
		set_num(j, "rows", shm_view_rows(view_of(p, shown[i]),
		    shown[i]->name));
		set_num(j, "stride", shown[i]->stride);
		json_array_append_new(all, j);
	}
	return all;
}

static void
add_stat(json_t *all, const char *name, json_t *process, uint64_t v)
{
	json_t *j = json_pack("{s:s, s:o}", "name", name, "process", process);

	set_num(j, "value", v);
	json_array_append_new(all, j);
}

/* Failures have one name in common: their own word says more. */
static const char *
name_of(enum stat_id id, char *buf, size_t size)
{
	if (id < STAT_FAIL0)
		return stat_rows[id].name;
	if (id < STAT_TRY0)
		return stat_rows[id].fail;
	snprintf(buf, size, "attempt %s", stat_rows[id].fail);
	return buf;
}

static json_t *
read_stats(const struct peek *p, const json_t *slots)
{
	const struct board_stat *total = shm_view_row(p->dir,
	    board_totals.name, 0);
	json_t *all = json_array(), *s;
	char buf[64];
	const char *name;
	unsigned id;
	size_t i;

	for (id = 0; id < STAT_N; id++) {
		name = name_of((enum stat_id)id, buf, sizeof(buf));
		for (i = 0; i < json_array_size(slots); i++) {
			s = json_array_get(slots, i);
			add_stat(all, name,
			    json_incref(json_object_get(s, "name")),
			    stat_of(p, (uint32_t)json_integer_value(
			    json_object_get(s, "slot")), (enum stat_id)id));
		}
		if (total != NULL)
			add_stat(all, name,
			    json_string("(gone)"), settle((enum stat_id)id,
			    total->v[id]));
	}
	return all;
}

json_t *
peek_board(const int fds[2], const json_t *hello, bool all, struct err *e)
{
	struct peek p = { .roles = json_object_get(hello, "roles"),
	    .states = json_object_get(hello, "states"),
	    .now_ms = ev_clock_ns() / 1000000 };
	json_t *j = NULL, *slots;

	if (open_views(&p, fds, e) == 0) {
		slots = read_slots(&p);
		j = json_pack("{s:i, s:o, s:o}", "v", 1, "global",
		    read_global(&p), "slots", slots);
		if (all) {
			json_object_set_new(j, "regions", read_regions(&p));
			json_object_set_new(j, "stats",
			    read_stats(&p, slots));
		}
	}
	shm_view_free(&p.dir);
	shm_view_free(&p.live);
	return j;
}
