/*
 * What the control API tells of the gateway: processes, generations,
 * counters.  Control process.  All is read from the board, `live` of it
 * written by processes that may have gone wild: a number there is shown,
 * never used as an index or a size.
 */
#include "control/int.h"

#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>

#include "config.h"
#include "os/proc.h"

/* a row of the board's slots, read once */
struct seen {
	uint32_t	slot;
	uint32_t	pid;
	uint32_t	state;
	uint32_t	role;
	uint32_t	index;
	uint64_t	started_ms;
	uint64_t	beat_ms;
	uint64_t	generation;
	uint64_t	generations;
	uint64_t	accepts;
	uint64_t	accept_rate;
	uint64_t	busy;
	bool		stepped;
};

const char *
api_state_name(unsigned state)
{
	static const char *const name[] = {
		[SLOT_FREE] = "free", [SLOT_STARTING] = "starting",
		[SLOT_SERVING] = "serving", [SLOT_DRAINING] = "draining",
		[SLOT_DEAD] = "dead"
	};

	return state < sizeof(name) / sizeof(name[0]) ? name[state] :
	    "unknown";
}

/* --- reading --- */

static const struct board_global *
global(void)
{
	return shm_row(self->shm, &board_globals, 0);
}

/* False if the slot is free. */
static bool
look(uint32_t i, struct seen *p)
{
	const struct board_slot *s = shm_row(self->shm, &board_slots, i);

	p->state = s->state;
	if (p->state == SLOT_FREE)
		return false;
	p->slot = i;
	p->pid = s->pid;
	p->role = s->role;
	p->index = s->index;
	/* the master lives as long as the gateway */
	p->started_ms = i == 0 ? global()->started_ms : s->started_ms;
	p->beat_ms = s->beat_ms;
	p->generation = i == 0 ? global()->generation : s->generation;
	p->generations = s->generations;
	p->accepts = s->accepts;
	p->accept_rate = s->accept_rate;
	p->busy = s->busy_permille;
	p->stepped = s->stepped == 1;
	return true;
}

/* The row of a role; NULL if the number is none. */
static const struct proc_row *
find_role(uint32_t role)
{
	uint32_t i;

	for (i = 0; procs[i].name != NULL; i++)
		if (i == role)
			return &procs[i];
	return NULL;
}

/* Workers are the role whose number the generation says. */
static bool
is_worker(const struct seen *p)
{
	const struct proc_row *r = find_role(p->role);

	return r != NULL && r->count == 0;
}

/* Time since then; 0 if it lies ahead. */
static uint64_t
since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

/* A gauge is a difference: below zero it is a reader's instant. */
static uint64_t
settle(enum stat_id id, uint64_t v)
{
	return stat_rows[id].kind == STAT_GAUGE && v > INT64_MAX ? 0 : v;
}

/* As it is told; NULL: there is nothing to tell. */
static json_t *
number(enum stat_id id, uint64_t v)
{
	int64_t left;

	if (stat_rows[id].kind != STAT_LEFT)
		return api_num(settle(id, v));
	return stat_left(v, &left) ? json_integer(left) : NULL;
}

static uint64_t
count(uint32_t slot, enum stat_id id)
{
	const struct board_stat *row = shm_row(self->shm, &board_stats, slot);

	return settle(id, atomic_load_explicit(&row->v[id],
	    memory_order_acquire));
}

/* --- objects --- */

/* "worker 2", "logger": as titles and the log have it. */
static json_t *
name_process(const struct seen *p)
{
	const struct proc_row *r = find_role(p->role);
	const char *role = r == NULL ? "unknown" : r->name;
	char name[64];

	if (p->index == 0)
		snprintf(name, sizeof(name), "%s", role);
	else
		snprintf(name, sizeof(name), "%s %u", role, p->index);
	return json_pack("{s:s, s:s, s:I, s:I}", "name", name, "role", role,
	    "index", (json_int_t)p->index, "pid", (json_int_t)p->pid);
}

static void
set_num(json_t *j, const char *name, uint64_t v)
{
	json_object_set_new(j, name, api_num(v));
}

static json_t *
describe(const struct seen *p)
{
	uint64_t wall = ev_wall_ms(self->ev), now = ev_ms(self->ev);
	uint64_t finished = count(p->slot, STAT_FINISHED);
	json_t *j = name_process(p);

	set_num(j, "slot", p->slot);
	json_object_set_new(j, "state", json_string(api_state_name(p->state)));
	set_num(j, "generation", p->generation);
	set_num(j, "generations", p->generations);
	set_num(j, "started_ms", p->started_ms);
	set_num(j, "uptime_ms", since(wall, p->started_ms));
	set_num(j, "beat_age_ms", since(now, p->beat_ms));
	set_num(j, "busy_permille", p->busy);
	set_num(j, "accepts", p->accepts);
	set_num(j, "accept_rate", p->accept_rate);
	json_object_set_new(j, "stepped_back", json_boolean(p->stepped));
	set_num(j, "connections", count(p->slot, STAT_CONNS));
	set_num(j, "requests", finished);
	set_num(j, "in_flight", since(count(p->slot, STAT_STARTED), finished));
	return j;
}

static json_t *
describe_sums(void)
{
	uint64_t v[STAT_N];
	json_t *j = json_object();
	unsigned i;

	stat_sums(self->shm, v);
	for (i = 0; i < STAT_FAIL0; i++)
		json_object_set_new(j, stat_rows[i].name,
		    number((enum stat_id)i, v[i]));
	return j;
}

/* The live generation, as the control process has it mapped. */
static void
add_live(json_t *j)
{
	const struct conf *conf = self->gens->cur->conf;

	set_num(j, "generation", conf->number);
	set_num(j, "generation_ms", conf->made_ms);
	json_object_set_new(j, "file", api_text(conf->file));
}

static json_t *
describe_reloads(void)
{
	return json_pack("{s:o, s:o}", "published", api_num(global()->reloads),
	    "failed", api_num(global()->reloads_failed));
}

static json_t *
describe_log(void)
{
	uint64_t v[STAT_N];

	stat_sums(self->shm, v);
	return json_pack("{s:b, s:o, s:o}", "failing",
	    v[STAT_LOG_FAILING] > 0, "waiting_bytes",
	    api_num(v[STAT_LOG_WAITING]), "dropped",
	    api_num(v[STAT_LOG_DROPPED] + v[STAT_LOG_UNTOLD]));
}

/* --- answers --- */

void
api_state_version(struct exchange *x)
{
	api_answer(x, 200, json_pack("{s:i, s:s, s:s, s:{s:s, s:s, s:s}}",
	    "v", 1,
	    "program", "sluiced", "version", SL_VERSION, "libraries",
	    "openssl", OpenSSL_version(OPENSSL_VERSION_STRING),
	    "jansson", jansson_version_str(),
	    "nghttp2", nghttp2_version(0)->version_str));
}

/* What a load balancer or a person wants to know first. */
static const char *
verdict(unsigned serving, unsigned draining)
{
	if (serving > 0)
		return "serving";
	return draining > 0 ? "draining" : "starting";
}

void
api_state_status(struct exchange *x)
{
	uint32_t i, n = shm_rows(self->shm, &board_slots);
	unsigned serving = 0, draining = 0;
	json_t *j, *all = json_array();
	struct seen p, master;

	for (i = 0; i < n; i++) {
		if (!look(i, &p))
			continue;
		serving += is_worker(&p) && p.state == SLOT_SERVING;
		draining += is_worker(&p) && p.state == SLOT_DRAINING;
		json_array_append_new(all, describe(&p));
	}
	j = json_pack("{s:i, s:s, s:b, s:s}", "v", 1, "state",
	    verdict(serving, draining), "ready", serving > 0, "version",
	    SL_VERSION);
	if (look(0, &master))
		set_num(j, "pid", master.pid);
	add_live(j);
	set_num(j, "now_ms", ev_wall_ms(self->ev));
	set_num(j, "started_ms", global()->started_ms);
	set_num(j, "uptime_ms", since(ev_wall_ms(self->ev),
	    global()->started_ms));
	json_object_set_new(j, "workers", json_pack("{s:o, s:i}", "wanted",
	    api_num(global()->nworker), "serving", (int)serving));
	json_object_set_new(j, "reloads", describe_reloads());
	set_num(j, "restarts", global()->restarts);
	json_object_set_new(j, "log", describe_log());
	json_object_set_new(j, "processes", all);
	json_object_set_new(j, "sums", describe_sums());
	api_answer(x, 200, j);
}

void
api_state_conns(unsigned nth, uint64_t *all, uint64_t *of_nth)
{
	uint32_t i, n = shm_rows(self->shm, &board_slots);
	struct seen p;
	uint64_t v;

	*all = *of_nth = 0;
	for (i = 0; i < n; i++) {
		if (!look(i, &p) || !is_worker(&p))
			continue;
		v = count(i, STAT_CONNS);
		*all += v;
		if (p.index > nth)
			*of_nth += v;
	}
}

/* The entry of a generation by number, made when it is the first. */
static json_t *
find_gen(json_t *gens, uint64_t number)
{
	uint64_t live = self->gens->cur->conf->number;
	json_t *g, *want = api_num(number);
	size_t i;

	for (i = 0; i < json_array_size(gens); i++) {
		g = json_array_get(gens, i);
		if (!json_equal(json_object_get(g, "number"), want))
			continue;
		json_decref(want);
		return g;
	}
	g = json_pack("{s:o, s:b, s:[]}", "number", want, "live",
	    number == live, "processes");
	json_array_append_new(gens, g);
	return g;
}

void
api_state_gens(struct exchange *x)
{
	uint32_t i, n = shm_rows(self->shm, &board_slots);
	json_t *j, *all = json_array(), *gens = json_array(), *one;
	struct seen p;

	for (i = 1; i < n; i++) {
		if (!look(i, &p) || p.state == SLOT_DEAD)
			continue;
		one = name_process(&p);
		set_num(one, "generation", p.generation);
		set_num(one, "generations", p.generations);
		json_array_append_new(all, one);
		json_array_append_new(json_object_get(find_gen(gens,
		    p.generation), "processes"), name_process(&p));
	}
	j = json_pack("{s:i, s:i}", "v", 1, "max", GEN_LIVE);
	add_live(j);
	json_object_set_new(j, "reloads", describe_reloads());
	json_object_set_new(j, "generations", gens);
	json_object_set_new(j, "processes", all);
	api_answer(x, 200, j);
}

static json_t *
describe_stat(enum stat_id id, uint64_t sum)
{
	uint32_t i, n = shm_rows(self->shm, &board_slots);
	json_t *each = json_array(), *one;
	struct seen p;

	for (i = 0; i < n; i++) {
		if (!look(i, &p))
			continue;
		one = name_process(&p);
		json_object_set_new(one, "value", number(id, count(i, id)));
		json_array_append_new(each, one);
	}
	return json_pack("{s:s, s:s*, s:s, s:s, s:o*, s:o}", "name",
	    stat_rows[id].name, "fail", stat_rows[id].fail, "kind",
	    stat_rows[id].kind != STAT_COUNTER ? "gauge" : "counter", "help",
	    stat_rows[id].help, "sum", number(id, sum), "processes", each);
}

/* What a client does is no failure of an attempt. */
static bool
is_of_servers(unsigned row)
{
	enum fail	why = (enum fail)(row + 1);

	return why == FAIL_SERVER_ERROR || why == FAIL_GRPC_ERROR ||
	    why == FAIL_ATTEMPT_CUT ||
	    (fail_row(why)->proxy[0] != '\0' && why != FAIL_RETRY_BUDGET);
}

void
api_state_metrics(struct exchange *x)
{
	uint64_t v[STAT_N];
	json_t *all = json_array();
	unsigned i;

	stat_sums(self->shm, v);
	for (i = 0; i < STAT_N; i++)
		if (stat_rows[i].kind == STAT_LEFT && v[i] == 0)
			continue;
		else if (i < STAT_TRY0 || is_of_servers(i - STAT_TRY0))
			json_array_append_new(all,
			    describe_stat((enum stat_id)i, v[i]));
	api_answer(x, 200, json_pack("{s:i, s:o}", "v", 1, "metrics", all));
}
