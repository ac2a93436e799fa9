/*
 * A whole process in one: configuration text, a generation, a listener
 * on the loopback, requests over plain sockets; reload and drain.
 */
#include <fcntl.h>

#include "serve_env.h"

#define HELLO	"[route hello]\npath = /hello\nrespond = 200 hi there\n"
#define MOVED	"[route moved]\npath = /moved\nredirect = 301 /hello\n"

START_TEST(serves)
{
	struct env	t;
	const char	*a;

	env_init(&t);
	env_conf(&t, HELLO MOVED);
	a = env_ask(&t, "GET /hello", "");
	env_has(a, "HTTP/1.1 200 OK\r\n");
	env_has(a, "\r\n\r\nhi there");
	env_has(a, "X-Request-Id: ");
	a = env_ask(&t, "POST /moved", "Content-Length: 0\r\n");
	env_has(a, "HTTP/1.1 301 ");
	env_has(a, "Location: /hello\r\n");
	a = env_ask(&t, "HEAD /hello", "");
	env_has(a, "Content-Length: 8\r\n");
	env_lacks(a, "hi there");
	env_has(env_ask(&t, "GET /none", ""), "HTTP/1.1 404 ");
	ck_assert_uint_eq(t.board.stat[STAT_FINISHED], 4);
	ck_assert_uint_eq(t.board.stat[STAT_STATUS_2XX], 2);
	ck_assert_uint_eq(t.board.stat[STAT_STATUS_3XX], 1);
	ck_assert_uint_eq(t.board.stat[STAT_STATUS_4XX], 1);
	env_fini(&t);
}
END_TEST

START_TEST(keeps_alive_and_pipelines)
{
	struct env	 t;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, HELLO);
	c = cli_open(&t);
	for (int i = 0; i < 40; i++)
		cli_send(c, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 40; i++)
		cli_expect(&t, c, "hi there");
	ck_assert_uint_eq(t.serve.nconn, 1);
	while (list_is_empty(&t.serve.conns_idle))
		ev_turn(t.ev, 2);
	ck_assert_uint_eq(t.board.stat[STAT_CONNS_IDLE], 1);
	ck_assert_uint_eq(conn_close_idle(&t.serve, 5), 1);
	cli_end(&t, c);
	cli_close(&c);
	ck_assert_uint_eq(t.board.stat[STAT_FINISHED], 40);
	env_fini(&t);
}
END_TEST

/* The last record in the ring, as JSON. */
static void
last_record(struct env *t, struct text *out)
{
	struct ring	 r;
	struct str	 rec;
	uint64_t	 pos;

	ck_assert(board_ring(&r, t->shm, 0));
	pos = ring_tail(&r);
	text_init(out);
	while (ring_next(&r, &pos, &rec)) {
		if (record_kind(rec) != RECORD_ACCESS)
			continue;
		out->n = 0;
		ck_assert_int_eq(record_json(out, rec, false), 0);
	}
	text_c(out, '\0');
}

START_TEST(one_record_for_each)
{
	struct env	 t;
	struct text	 rec;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, HELLO);
	env_ask(&t, "GET /hello?x=1", "User-Agent: me\r\n");
	last_record(&t, &rec);
	env_has(rec.p, "\"listener\":\"web\"");
	env_has(rec.p, "\"route\":\"hello\"");
	env_has(rec.p, "\"handler\":\"respond\"");
	env_has(rec.p, "\"status\":200");
	env_has(rec.p, "\"target\":\"/hello?x=1\"");
	env_has(rec.p, "\"user_agent\":\"me\"");
	env_has(rec.p, "\"client\":\"127.0.0.1\"");
	env_lacks(rec.p, "\"bytes_out\":0");
	text_fini(&rec);
	env_ask(&t, "GET /../x", "");
	last_record(&t, &rec);
	env_has(rec.p, "\"fail\":\"path_above_root\"");
	env_has(rec.p, "\"status\":400");
	text_fini(&rec);
	/* one that the codec refused */
	c = cli_open(&t);
	cli_send(c, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
	cli_end(&t, c);
	env_has(c->buf, "HTTP/1.1 400 ");
	cli_close(&c);
	last_record(&t, &rec);
	env_has(rec.p, "\"fail\":\"host_twice\"");
	text_fini(&rec);
	ck_assert_uint_eq(t.board.stat[STAT_FINISHED], 3);
	env_fini(&t);
}
END_TEST

START_TEST(no_record_when_off)
{
	struct env	t;
	struct text	rec;

	env_init(&t);
	env_conf(&t, HELLO "[log]\naccess = off\n");
	env_has(env_ask(&t, "GET /hello", ""), "hi there");
	last_record(&t, &rec);
	ck_assert_str_eq(rec.p, "");
	text_fini(&rec);
	ck_assert_uint_eq(t.board.stat[STAT_FINISHED], 1);
	env_fini(&t);
}
END_TEST

START_TEST(reload_goes_unnoticed)
{
	struct env	 t;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, HELLO);
	c = cli_open(&t);
	cli_send(c, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
	cli_expect(&t, c, "hi there");
	env_conf(&t, "[route new]\npath = /*\nrespond = 200 new one\n");
	ck_assert_uint_eq(gen_count(&t.gens), 1);
	cli_send(c, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
	cli_expect(&t, c, "new one");
	ck_assert_uint_eq(t.serve.nconn, 1);
	cli_close(&c);
	env_fini(&t);
}
END_TEST

START_TEST(a_refused_generation_changes_nothing)
{
	struct env	 t;
	struct text	 conf;
	struct err	 e;
	struct gen	*g;
	char		 dir[] = "/tmp/sl-serve-XXXXXX";
	int		 fd;

	env_init(&t);
	env_conf(&t, HELLO);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	text_init(&conf);
	text_fmt(&conf, "[route s]\npath = /*\nstatic = %s\n", dir);
	text_c(&conf, '\0');
	g = env_make(&t, conf.p);
	text_fini(&conf);
	ck_assert_int_eq(rmdir(dir), 0);
	fd = open(dir, O_CREAT | O_EXCL | O_WRONLY, 0600);
	ck_assert_int_ne(fd, -1);
	close(fd);
	ck_assert_int_eq(serve_prepare(&t.serve, g, &e), -1);
	ck_assert_int_eq(unlink(dir), 0);
	env_has(e.text, dir);
	gen_cancel(&t.gens);
	env_has(env_ask(&t, "GET /hello", ""), "hi there");
	env_fini(&t);
}
END_TEST

static void
on_drained(struct serve *s)
{
	container_of(s, struct env, serve)->drained++;
}

START_TEST(drains_when_idle)
{
	struct env	 t;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, HELLO);
	c = cli_open(&t);
	cli_send(c, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
	cli_expect(&t, c, "hi there");
	t.serve.drained = on_drained;
	serve_drain(&t.serve, PATIENCE_MS, 0);
	cli_end(&t, c);
	cli_close(&c);
	env_until(&t, &t.drained, 1);
	ck_assert_uint_eq(t.serve.nconn, 0);
	env_fini(&t);
}
END_TEST

/* A head that has begun is still answered, and told to be the last. */
START_TEST(drains_what_has_begun)
{
	struct env	 t;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, HELLO);
	c = cli_open(&t);
	cli_send(c, "GET /hello HTTP/1.1\r\nHo");
	while (t.serve.nconn == 0)
		ev_turn(t.ev, 2);
	ev_turn(t.ev, 2);
	t.serve.drained = on_drained;
	serve_drain(&t.serve, PATIENCE_MS, 0);
	ev_turn(t.ev, 0);
	ck_assert_uint_eq(t.drained, 0);
	cli_send(c, "st: a\r\n\r\n");
	cli_end(&t, c);
	env_has(c->buf, "Connection: close\r\n");
	env_has(c->buf, "hi there");
	cli_close(&c);
	env_until(&t, &t.drained, 1);
	env_fini(&t);
}
END_TEST

START_TEST(drain_has_an_end)
{
	struct env	 t;
	struct cli	*c;

	env_init(&t);
	env_conf(&t, HELLO);
	c = cli_open(&t);
	cli_send(c, "GET /hello HTTP/1.1\r\n");
	while (t.serve.nconn == 0)
		ev_turn(t.ev, 2);
	t.serve.drained = on_drained;
	serve_drain(&t.serve, 30, 0);
	cli_end(&t, c);
	cli_close(&c);
	env_until(&t, &t.drained, 1);
	env_fini(&t);
}
END_TEST

/* --- a call that a drain meets before its first step --- */

/* the preface, SETTINGS, and HEADERS of a POST to / */
static const char	call[] =
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" "\0\0\0\4\0\0\0\0\0"
	"\0\0\x26\1\5\0\0\0\1" "\x83\x86\x84" "\x01\x01" "a"
	"\x0f\x10\x10" "application/grpc" "\0\2te\x08" "trailers";

struct ender {
	struct env	t;
	struct ev_task	task;
	uint8_t		step;		/* of the exchange that it met */
	bool		met;
};

/* Posted before the loop reads: it runs before the wake of what is read. */
static void
on_ender(struct ev_task *task)
{
	struct ender	*e = container_of(task, struct ender, task);

	if (e->t.serve.nexchange == 0)
		return;
	e->met = true;
	e->step = container_of(e->t.serve.exchanges.next, struct exchange,
	    node)->step;
	exchange_abort_all(&e->t.serve, FAIL_DRAINING, true);
}

START_TEST(ends_what_has_not_begun)
{
	struct ender	 e = { .met = false };
	struct text	 rec;
	struct cli	*c;

	env_init(&e.t);
	env_conf(&e.t, "http = 2\n" HELLO);
	ev_task_init(&e.task, on_ender);
	c = cli_open(&e.t);
	ck_assert_int_eq(send(c->fd, call, sizeof(call) - 1, MSG_NOSIGNAL),
	    sizeof(call) - 1);
	while (!e.met) {
		ev_post(e.t.ev, EV_WAKE, &e.task);
		ev_turn(e.t.ev, 2);
	}
	ck_assert_uint_eq(e.step, STEP_BEGIN);
	while (e.t.board.stat[STAT_FINISHED] == 0)
		ev_turn(e.t.ev, 2);
	ck_assert_uint_eq(e.t.board.stat[STAT_STARTED], 1);
	last_record(&e.t, &rec);
	env_has(rec.p, "\"fail\":\"draining\"");
	env_has(rec.p, "\"grpc_status\":\"UNAVAILABLE\"");
	env_has(rec.p, "\"status\":200");
	env_has(rec.p, "\"id\":\"");
	text_fini(&rec);
	cli_close(&c);
	env_fini(&e.t);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("serve");
	TCase	*tc = tcase_create("serve");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, serves);
	tcase_add_test(tc, keeps_alive_and_pipelines);
	tcase_add_test(tc, one_record_for_each);
	tcase_add_test(tc, no_record_when_off);
	tcase_add_test(tc, reload_goes_unnoticed);
	tcase_add_test(tc, a_refused_generation_changes_nothing);
	tcase_add_test(tc, drains_when_idle);
	tcase_add_test(tc, drains_what_has_begun);
	tcase_add_test(tc, drain_has_an_end);
	tcase_add_test(tc, ends_what_has_not_begun);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 bad;

	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad == 0 ? 0 : 1;
}
