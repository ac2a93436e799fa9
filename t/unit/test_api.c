/*
 * control/api: answers made from a board that may hold anything, and
 * orders that the master answers, or does not.  The exchange is played by
 * this file, the master by the other end of a channel.
 */
#include "control/api.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "control/int.h"
#include "os/proc.h"

static const struct shm_region *const table[] = {
	&board_slots, &board_panics, &board_stats, &board_totals,
	&board_globals, &board_rings, &board_flights, &board_lasts,
	NULL
};

const struct proc_row procs[] = {
	{ .name = "master", .count = 1 },
	{ .name = "control", .count = 1 },
	{ .name = "worker", .count = 0 },
	{ .name = NULL },
};

static struct proc	proc;
static struct gen	gen;
static struct gens	gens;
static struct conf	conf;
static struct api	*api;
static int		master;		/* the other end of the channel */
static const int	ro_fd[2] = { 0, 1 };

/* --- the exchange, as far as the handler sees it --- */

struct play {
	struct exchange	 x;
	struct conn	 conn;
	struct msg	 req, res;
	unsigned	 status;	/* 0: no answer yet */
	unsigned	 answers;
	json_t		*body;		/* own */
};

void
exchange_skip_request(struct exchange *x)
{
	x->skipped = true;
}

/* The real ones need routes and bodies, and those the real exchange. */
void
api_explain(struct exchange *x)
{
	api_error(x, 400, "bad_query", "Not here.");
}

void
api_explain_forget(struct exchange *x)
{
	(void)x;
}

void
api_explain_give_up(struct api *a)
{
	(void)a;
}

void
api_upstreams(struct exchange *x)
{
	api_error(x, 400, "bad_query", "Not here.");
}

void
api_names(struct exchange *x)
{
	api_error(x, 400, "bad_query", "Not here.");
}

void
api_log(struct exchange *x)
{
	api_error(x, 400, "bad_query", "Not here.");
}

void
api_log_body(struct exchange *x)
{
	(void)x;
}

void
api_log_forget(struct exchange *x)
{
	(void)x;
}

void
api_log_give_up(struct api *a)
{
	(void)a;
}

void
exchange_handler_done(struct exchange *x)
{
	x->handling = false;
}

void
exchange_reply(struct exchange *x, unsigned status, struct str type,
    struct str text)
{
	struct play	*p = container_of(x, struct play, x);

	ck_assert(str_eq(type, STR("application/json")));
	ck_assert(text.n > 0 && text.p[text.n - 1] == '\n');
	p->status = status;
	p->answers++;
	p->body = json_loadb(text.p, text.n, 0, NULL);
	ck_assert(json_is_object(p->body));
	ck_assert_int_eq(json_integer_value(json_object_get(p->body, "v")),
	    1);
	x->res = &p->res;
}

static struct play *
ask(enum http_method meth, const char *path)
{
	struct play	*p = must_calloc(1, sizeof(*p));

	p->x.serve = &api->serve;
	p->x.conn = &p->conn;
	p->conn.io.fd.fd = -1;
	p->x.arena = &p->x.mem;
	arena_init(&p->x.mem, NULL);
	p->x.req = &p->req;
	p->req.meth = (uint8_t)meth;
	p->x.path = str_from(path);
	p->x.handling = true;
	api_handler.start(&p->x);
	ck_assert(p->x.skipped);
	return p;
}

static void
end(struct play *p)
{
	json_decref(p->body);
	arena_fini(&p->x.mem);
	free(p);
}

static json_int_t
num(const json_t *j, const char *name)
{
	ck_assert(json_is_integer(json_object_get(j, name)));
	return json_integer_value(json_object_get(j, name));
}

static const char *
word(const json_t *j, const char *name)
{
	ck_assert(json_is_string(json_object_get(j, name)));
	return json_string_value(json_object_get(j, name));
}

/* --- the world around --- */

static void
on_master(struct chan *c, struct frame *f)
{
	(void)c;
	(void)f;
}

static void
setup(void)
{
	struct board_slot	*s;
	struct err		 e;
	int			 fds[2];

	api = must_calloc(1, sizeof(*api));
	proc.shm = shm_new(table, &e);
	ck_assert(proc.shm != NULL && board_grow(proc.shm, 8, &e) == 0);
	proc.ev = ev_new(NULL, &e);
	ck_assert(proc.ev != NULL);
	rand_seed(&proc.rand);
	gen.conf = &conf;
	gens.cur = &gen;
	conf.number = 7;
	proc.gens = &gens;
	proc.tag = 5;
	self = &proc;
	ck_assert_int_eq(sock_pair(fds, &e), 0);
	master = fds[1];
	ck_assert_int_eq(chan_open(&proc.master, proc.ev, fds[0], on_master,
	    NULL, &e), 0);
	api->serve.ev = proc.ev;
	api->serve.shm = proc.shm;
	api_init(api, ro_fd);
	s = shm_row(proc.shm, &board_slots, 0);
	s->state = SLOT_SERVING;
	s->pid = 100;
	s = shm_row(proc.shm, &board_slots, 1);
	s->state = SLOT_SERVING;
	s->pid = 101;
	s->role = 2;
	s->index = 1;
	s->generation = 7;
}

static void
teardown(void)
{
	chan_close(&proc.master);
	ev_free(&proc.ev);
	shm_free(&proc.shm);
	close(master);
	free(api);
}

/* The order that the master got; its id. */
static uint64_t
ordered(enum frame_op op)
{
	struct frame	 f;
	char		*buf = must_alloc(CHAN_BYTES);

	ck_assert_int_eq(chan_recv_wait(master, &f, buf, CHAN_BYTES, 1000),
	    0);
	ck_assert_int_eq(f.head.op, op);
	free(buf);
	return f.head.id;
}

/* --- what is read --- */

START_TEST(status_of_a_sane_board)
{
	struct play	*p = ask(METHOD_GET, API_STATUS);
	json_t		*all = json_object_get(p->body, "processes");

	ck_assert_uint_eq(p->status, 200);
	ck_assert_str_eq(word(p->body, "state"), "serving");
	ck_assert_int_eq(num(p->body, "generation"), 7);
	ck_assert_uint_eq(json_array_size(all), 2);
	ck_assert_str_eq(word(json_array_get(all, 0), "name"), "master");
	ck_assert_str_eq(word(json_array_get(all, 1), "name"), "worker 1");
	end(p);
}
END_TEST

/* Every word of `live` may be anything: no crash, and valid JSON. */
START_TEST(a_board_gone_wild)
{
	static const char	*const paths[] = { API_STATUS,
	    API_GENERATIONS, API_METRICS };
	struct play		*p;
	unsigned		 i, k;
	uint8_t			 byte;

	for (k = 0; k < 3; k++) {
		byte = (uint8_t[]){ 0xff, 0x80, 0x7f }[k];
		for (i = 0; i < 8; i++) {
			memset(shm_row(proc.shm, &board_slots, i), byte,
			    sizeof(struct board_slot));
			memset(shm_row(proc.shm, &board_stats, i), byte,
			    sizeof(struct board_stat));
		}
		for (i = 0; i < 3; i++) {
			p = ask(METHOD_GET, paths[i]);
			ck_assert_uint_eq(p->status, 200);
			end(p);
		}
	}
	p = ask(METHOD_GET, API_STATUS);
	ck_assert(json_is_false(json_object_get(p->body, "ready")));
	ck_assert_str_eq(word(json_array_get(json_object_get(p->body,
	    "processes"), 1), "state"), "unknown");
	end(p);
}
END_TEST

/* The reader's instant between two writes of a gauge. */
START_TEST(a_gauge_below_zero)
{
	struct board_stat	*s = shm_row(proc.shm, &board_stats, 1);
	struct play		*p;

	s->v[STAT_CONNS] = (uint64_t)-1;
	p = ask(METHOD_GET, API_STATUS);
	ck_assert_int_eq(num(json_object_get(p->body, "sums"),
	    stat_rows[STAT_CONNS].name), 0);
	end(p);
}
END_TEST

START_TEST(generations_by_number)
{
	struct board_slot	*s = shm_row(proc.shm, &board_slots, 2);
	struct play		*p;
	json_t			*g;

	s->state = SLOT_DRAINING;
	s->role = 2;
	s->index = 2;
	s->generation = 5;
	s->generations = 3;
	p = ask(METHOD_GET, API_GENERATIONS);
	g = json_object_get(p->body, "generations");
	ck_assert_uint_eq(json_array_size(g), 2);
	ck_assert(json_is_true(json_object_get(json_array_get(g, 0),
	    "live")));
	ck_assert_int_eq(num(json_array_get(g, 1), "number"), 5);
	ck_assert(json_is_false(json_object_get(json_array_get(g, 1),
	    "live")));
	end(p);
}
END_TEST

/* No unix socket, no descriptors. */
START_TEST(board_needs_a_socket)
{
	struct play	*p = ask(METHOD_GET, API_BOARD);

	ck_assert_uint_eq(p->status, 409);
	ck_assert_str_eq(word(p->body, "error"), "no_descriptors");
	end(p);
}
END_TEST

/* --- orders --- */

START_TEST(reload_done)
{
	struct play		*p = ask(METHOD_POST, API_RELOAD);
	struct api_outcome	 o = { .generation = 8 };

	ck_assert_uint_eq(p->status, 0);
	o.id = ordered(CHAN_RELOAD);
	ck_assert_uint_ne(o.id, 0);
	o.id++;
	api_report(api, &o);
	ck_assert_uint_eq(p->answers, 0);
	o.id--;
	api_report(api, &o);
	api_report(api, &o);
	ck_assert_uint_eq(p->answers, 1);
	ck_assert_uint_eq(p->status, 200);
	ck_assert_int_eq(num(p->body, "generation"), 8);
	ck_assert(json_is_array(json_object_get(p->body, "diagnostics")));
	ck_assert_uint_eq(api->norder, 0);
	end(p);
}
END_TEST

START_TEST(reload_failed)
{
	static const struct {
		struct str	json;
		size_t		n;	/* diagnostics told */
	} cases[] = {
		{ STR_INIT("{\"v\":1,\"diagnostics\":[{\"id\":\"E1\"}]}"),
		    1 },
		{ STR_INIT("{\"v\":1,\"diagnostics\":3}"), 0 },
		{ STR_INIT("{\"v\":1,\"diagnos"), 0 },
		{ STR_INIT(""), 0 },
	};
	struct api_outcome	 o = { .generation = 7, .code = 1 };
	struct play		*p;
	size_t			 i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p = ask(METHOD_POST, API_RELOAD);
		o.id = ordered(CHAN_RELOAD);
		o.why = STR("bad \xff byte");
		o.text = STR("a.conf:1: error\n");
		o.json = cases[i].json;
		api_report(api, &o);
		ck_assert_uint_eq(p->status, 409);
		ck_assert_str_eq(word(p->body, "error"), "reload_failed");
		ck_assert_str_eq(word(p->body, "why"), "bad \\xff byte");
		ck_assert_uint_eq(json_array_size(json_object_get(p->body,
		    "diagnostics")), cases[i].n);
		end(p);
	}
}
END_TEST

START_TEST(one_roll_at_a_time)
{
	struct play		*a = ask(METHOD_POST, API_ROLL), *b;
	struct api_outcome	 o = { .generation = 7 };

	b = ask(METHOD_POST, API_ROLL);
	ck_assert_uint_eq(b->status, 409);
	ck_assert_str_eq(word(b->body, "error"), "rolling");
	end(b);
	/* a reload is another matter */
	b = ask(METHOD_POST, API_RELOAD);
	ck_assert_uint_eq(b->status, 0);
	o.id = ordered(CHAN_ASK_ROLL);
	api_report(api, &o);
	ck_assert_uint_eq(a->status, 200);
	ck_assert_uint_eq(b->status, 0);
	api_give_up(api);
	ck_assert_uint_eq(b->status, 503);
	end(a);
	end(b);
}
END_TEST

/* Who has gone is forgotten, and takes no room. */
START_TEST(the_asker_leaves)
{
	struct play		*p[API_ORDERS + 1];
	struct api_outcome	 o = { .generation = 8 };
	unsigned		 i;

	for (i = 0; i < API_ORDERS; i++)
		p[i] = ask(METHOD_POST, API_RELOAD);
	p[i] = ask(METHOD_POST, API_RELOAD);
	ck_assert_uint_eq(p[i]->status, 503);
	end(p[i]);
	o.id = ordered(CHAN_RELOAD);
	api_handler.abort(&p[0]->x, FAIL_CLIENT_GONE);
	ck_assert(!p[0]->x.handling);
	ck_assert_uint_eq(api->norder, API_ORDERS - 1);
	end(p[0]);
	api_report(api, &o);
	p[0] = ask(METHOD_POST, API_RELOAD);
	ck_assert_uint_eq(p[0]->status, 0);
	api_give_up(api);
	ck_assert_uint_eq(api->norder, 0);
	for (i = 0; i < API_ORDERS; i++) {
		ck_assert_uint_eq(p[i]->answers, 1);
		end(p[i]);
	}
}
END_TEST

/* What the process before had ordered is not taken for one of ours. */
START_TEST(ids_of_a_life)
{
	struct api_outcome	o = { .generation = 8 };
	struct play		*p;
	uint64_t		 old[3];

	for (unsigned i = 0; i < 3; i++) {
		p = ask(METHOD_POST, API_RELOAD);
		old[i] = ordered(CHAN_RELOAD);
		api_handler.abort(&p->x, FAIL_CLIENT_GONE);
		end(p);
	}
	proc.tag++;
	api_init(api, ro_fd);
	p = ask(METHOD_POST, API_RELOAD);
	o.id = ordered(CHAN_RELOAD);
	ck_assert_uint_eq(o.id >> 32, proc.tag);
	for (unsigned i = 0; i < 3; i++) {
		struct api_outcome	was = { .id = old[i], .code = 1 };

		api_report(api, &was);
		ck_assert_uint_eq(p->answers, 0);
	}
	api_report(api, &o);
	ck_assert_uint_eq(p->status, 200);
	end(p);
}
END_TEST

START_TEST(no_orders_while_stopping)
{
	struct play	*p;

	proc.draining = true;
	p = ask(METHOD_POST, API_RELOAD);
	ck_assert_uint_eq(p->status, 503);
	ck_assert_str_eq(word(p->body, "error"), "draining");
	end(p);
	proc.draining = false;
	chan_close(&proc.master);
	p = ask(METHOD_POST, API_RELOAD);
	ck_assert_uint_eq(p->status, 503);
	ck_assert_str_eq(word(p->body, "error"), "no_master");
	end(p);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("api");
	TCase	*t = tcase_create("api");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, status_of_a_sane_board);
	tcase_add_test(t, a_board_gone_wild);
	tcase_add_test(t, a_gauge_below_zero);
	tcase_add_test(t, generations_by_number);
	tcase_add_test(t, board_needs_a_socket);
	tcase_add_test(t, reload_done);
	tcase_add_test(t, reload_failed);
	tcase_add_test(t, one_roll_at_a_time);
	tcase_add_test(t, the_asker_leaves);
	tcase_add_test(t, ids_of_a_life);
	tcase_add_test(t, no_orders_while_stopping);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
