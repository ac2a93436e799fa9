/*
 * POST /v1/servers?upstream= &server= &do=drain|up|down|weight &weight=:
 * what operators want of a server.  Control process, which alone writes
 * these words.  They lie on the board: all workers obey from their next
 * choice on, reloads keep them, and a restart begins without them.
 *
 * drain: no new requests, but what has begun goes on, upgraded
 * connections as well, and clients that are bound to the server are still
 * sent there.  down: not these either.  up: neither, and what the gateway
 * itself found (ejected, breaker open) is forgotten.
 */
#include "control/int.h"

#include "os/proc.h"
#include "up/breaker.h"
#include "up/outlier.h"
#include "up/slow_start.h"
#include "up/state.h"
#include "up/upstream.h"
#include "up/watch_conf.h"

enum order { ORDER_NONE, ORDER_DRAIN, ORDER_DOWN, ORDER_UP, ORDER_WEIGHT };

static const char *const orders[] = {
	[ORDER_DRAIN] = "drain", [ORDER_DOWN] = "down", [ORDER_UP] = "up",
	[ORDER_WEIGHT] = "weight"
};

struct question {
	struct str	upstream;
	struct str	server;
	enum order	order;
	bool		weighs;		/* a weight is said */
	bool		is_default;
	uint64_t	weight;
};

/* --- the question --- */

static int
read_order(struct question *q, struct str val)
{
	for (unsigned i = ORDER_DRAIN; i <= ORDER_WEIGHT; i++)
		if (str_eq(val, str_from(orders[i])))
			q->order = (enum order)i;
	return q->order == ORDER_NONE ? -1 : 0;
}

static int
read_weight(struct question *q, struct str val)
{
	q->weighs = true;
	q->is_default = str_eq(val, STR("default"));
	return q->is_default ? 0 : str_to_u64(val, WEIGHT_MAX, &q->weight);
}

static int
read_word(struct arena *a, struct question *q, struct str word)
{
	struct str	name, val;

	if (api_read_word(a, word, &name, &val) == -1)
		return -1;
	if (str_eq(name, STR("upstream")))
		q->upstream = val;
	else if (str_eq(name, STR("server")))
		q->server = val;
	else if (str_eq(name, STR("do")))
		return read_order(q, val);
	else if (str_eq(name, STR("weight")))
		return read_weight(q, val);
	else
		return -1;
	return 0;
}

static int
read_question(struct exchange *x, struct question *q)
{
	struct str	rest = x->uri.query, word;

	while (str_word(&rest, "&", &word))
		if (read_word(x->arena, q, word) == -1)
			return -1;
	return q->upstream.n > 0 && q->server.n > 0 &&
	    q->order != ORDER_NONE &&
	    q->weighs == (q->order == ORDER_WEIGHT) ? 0 : -1;
}

/* --- the row --- */

/* the search, and the nearest names where it fails */
struct search {
	const struct question	*q;
	const struct board_server *found;
	uint32_t		 row;
	bool			 known;		/* the upstream */
	struct str		 near_up, near_server;
	unsigned		 d_up, d_server;
};

static void
come_near(struct str want, struct str is, struct str *near, unsigned *d)
{
	unsigned	k;

	if (*d == 0)
		return;
	k = str_distance(want, is, *d - 1);
	if (k < *d) {
		*d = k;
		*near = is;
	}
}

static void
look_at(struct search *s, uint32_t i)
{
	const struct board_server	*b = shm_row(self->shm,
	    &board_servers, i);
	struct str			 up, addr, want = s->q->server;

	if (atomic_load(&b->tag) == 0)
		return;
	up = row_text_upstream(self->shm, i);
	addr = row_text_addr(self->shm, i);
	if (!str_eq(up, s->q->upstream)) {
		come_near(s->q->upstream, up, &s->near_up, &s->d_up);
		return;
	}
	s->known = true;
	/* rows have the path of a unix socket alone */
	if (str_starts(want, STR("unix:")))
		want = str_sub(want, 5, want.n);
	if (str_eq(addr, want)) {
		s->found = b;
		s->row = i;
	} else
		come_near(want, addr, &s->near_server, &s->d_server);
}

static void
refuse(struct exchange *x, const struct search *s)
{
	struct str	near = s->known ? s->near_server : s->near_up;
	struct str	want = s->known ? s->q->server : s->q->upstream;
	struct text	t;

	text_init(&t);
	text_add(&t, s->known ? STR("There is no server \"") :
	    STR("There is no upstream \""));
	text_safe(&t, str_sub(want, 0, 128));
	text_c(&t, '"');
	if (s->known)
		text_fmt(&t, " of upstream \"%.*s\"",
		    STR_FMT(s->q->upstream));
	if (near.n > 0)
		text_fmt(&t, "; \"%.*s\" is one", STR_FMT(near));
	text_add(&t, STR("."));
	text_c(&t, '\0');
	api_error(x, 404, s->known ? "no_server" : "no_upstream", t.p);
	text_fini(&t);
}

/* --- what is done --- */

static void
set_bit(const struct search *s, enum server_state state, bool on)
{
	(void)state_change(self->shm, s->row, atomic_load(&s->found->tag),
	    state, on, FAIL_NONE);
}

/* Who was away is led in as the configuration has it; 0: at once. */
static uint64_t
slow_ms(const struct search *s, const struct board_server_live *l)
{
	const struct upstream_conf	*c;

	c = conf_find(self->gens->cur->conf, &upstream_section,
	    s->q->upstream);
	return c != NULL && (atomic_load(&l->state) & STATE_AWAY) != 0 ?
	    watch_conf_of(c)->slow_start : 0;
}

static void
bring_up(const struct search *s)
{
	uint64_t	tag = atomic_load(&s->found->tag), ms;
	struct breaker	br;

	ms = slow_ms(s, shm_row(self->shm, &board_servers_live, s->row));
	slow_start_begin(self->shm, s->row, tag, ms);
	set_bit(s, SERVER_DRAIN, false);
	set_bit(s, SERVER_MAINTENANCE, false);
	outlier_forget(self->shm, ms, s->row, tag);
	if (breaker_find(&br, self->shm, s->row, tag))
		breaker_close(&br);
}

static void
obey(const struct search *s)
{
	const struct question	*q = s->q;

	log_info(&self->lc, "server \"%.*s\" of \"%.*s\": operator: %s",
	    STR_FMT(row_text_addr(self->shm, s->row)),
	    STR_FMT(row_text_upstream(self->shm, s->row)), orders[q->order]);
	switch (q->order) {
	case ORDER_DRAIN:
		set_bit(s, SERVER_DRAIN, true);
		set_bit(s, SERVER_MAINTENANCE, false);
		break;
	case ORDER_DOWN:
		set_bit(s, SERVER_MAINTENANCE, true);
		set_bit(s, SERVER_DRAIN, false);
		break;
	case ORDER_UP:
		bring_up(s);
		break;
	case ORDER_WEIGHT:
		state_set_weight(self->shm, s->row,
		    q->is_default ? 0 : q->weight + 1);
		break;
	case ORDER_NONE:
		break;
	}
}

static void
answer(struct exchange *x, const struct search *s)
{
	const struct board_server_live	*l;
	uint64_t			 over, word;
	enum server_state		 state;
	enum fail			 why;

	l = shm_row(self->shm, &board_servers_live, s->row);
	over = atomic_load(&s->found->override);
	word = atomic_load(&l->state);
	state = state_of(word);
	why = state == SERVER_UP ? FAIL_NONE :
	    (enum fail)atomic_load(&l->why[state]);
	api_answer(x, 200, json_pack("{s:i, s:o, s:o, s:s, s:s?, s:o, s:o, "
	    "s:o}", "v", 1, "upstream", api_text(s->q->upstream), "server",
	    api_text(row_text_addr(self->shm, s->row)), "state",
	    state_names[state], "why", why == FAIL_NONE || why >= FAIL_N ?
	    NULL : fail_row(why)->name, "weight",
	    api_num(atomic_load(&s->found->weight)), "override",
	    over == 0 ? json_null() : api_num(over - 1), "active",
	    api_num(atomic_load(&l->load) & LOAD_ACTIVE)));
}

void
api_servers(struct exchange *x)
{
	struct question	q = { .upstream = STR_INIT("") };
	struct search	s = { .q = &q };
	uint32_t	n;

	if (read_question(x, &q) == -1) {
		api_error(x, 400, "bad_query", "The query is upstream, "
		    "server, do (drain, up, down or weight) and, for that, "
		    "weight (0 to 1000, or default).");
		return;
	}
	s.d_up = (unsigned)q.upstream.n / 2 + 1;
	s.d_server = (unsigned)q.server.n / 2 + 1;
	n = upstream_rows_used(self->shm);
	for (uint32_t i = 0; i < n; i++)
		look_at(&s, i);
	if (s.found == NULL) {
		refuse(x, &s);
		return;
	}
	obey(&s);
	answer(x, &s);
}
