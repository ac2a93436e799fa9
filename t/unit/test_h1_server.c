/*
 * The server side of HTTP/1.1: what goes in and what comes out, bodies,
 * promises, limits.
 */
#include "h1_server_env.h"

/* --- what goes in, what comes out --- */

static const struct {
	const char	*in;
	const char	*out;
	const char	*log;
	bool		 open;	/* the connection goes on */
} cases[] = {
	{ "GET /hello HTTP/1.1\r\n" H "\r\n", OK5,
	    "GET /hello;closed well;", true },
	{ "GET /hello HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H
	    "\r\n", OK5 OK5,
	    "GET /hello;closed well;GET /hello;closed well;", true },
	{ "GET /hello HTTP/1.1\r\n" H "Connection: close\r\n\r\n"
	    "GET /never HTTP/1.1\r\n" H "\r\n", OK5C,
	    "GET /hello;closed well;", false },
	{ "GET /hello HTTP/1.0\r\n\r\n", OK5C, "GET /hello;closed well;",
	    false },
	{ "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
	    "Connection: keep-alive\r\n\r\nhello",
	    "GET /hello;closed well;", true },
	{ "HEAD /hello HTTP/1.1\r\n" H "\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
	    "HEAD /hello;closed well;", true },
	{ "GET /chunked HTTP/1.1\r\n" H "\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 3\r\n\r\n",
	    "GET /chunked;closed well;", true },
	{ "HEAD /chunked HTTP/1.1\r\n" H "\r\n",
	    "HTTP/1.1 200 OK\r\n\r\n", "HEAD /chunked;closed well;", true },
	{ "GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc",
	    "GET /chunked;closed well;", false },
	/* refused by the parser: answered, then the end */
	{ "GET  HTTP/1.1\r\n" H "\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
	    "Connection: close\r\n\r\nbad",
	    "GET  bad_request_line;closed well;", false },
	{ "GET /x HTTP/1.1\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
	    "Connection: close\r\n\r\nbad", "  bare_lf;closed well;", false },
	/* a body that nobody reads is dropped */
	{ "POST /stop HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
	    "GET /hello HTTP/1.1\r\n" H "\r\n", OK5 OK5,
	    "POST /stop;closed well;GET /hello;closed well;", true },
	{ "POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" H "\r\n", OK5 OK5,
	    "POST /hello;closed well;GET /hello;closed well;", true },
	/* more than is dropped for the sake of a connection */
	{ "POST /stop HTTP/1.1\r\n" H "Content-Length: 1000000\r\n\r\nabc",
	    OK5C, "POST /stop;closed well;", false },
	{ "POST /stop HTTP/1.1\r\n" H "Content-Length: 3\r\n"
	    "Expect: 100-continue\r\n\r\n", OK5C,
	    "POST /stop;closed well;", false },
	{ "\r\nGET /hello HTTP/1.1\r\n" H "\r\n", OK5,
	    "GET /hello;closed well;", true },
};

static void
run_case(int i, size_t step)
{
	setup();
	begin(4096);
	env_send(&e, str_from(cases[i].in), step);
	env_run(&e);
	ck_text(&e.out, cases[i].out);
	if (step == 0 || cases[i].open)
		ck_text(&e.log, cases[i].log);
	ck_assert(e.eof == !cases[i].open);
	ck_assert(!e.reset);
	if (cases[i].open) {
		ck_assert_int_eq(e.idle, 1);
		ck_assert_uint_eq(e.pages.live, 0);
		ck_assert_uint_eq(e.arenas.nlive, 0);
	}
	ck_assert_uint_eq(r.nlast, 1);
	finish();
}

START_TEST(whole)
{
	run_case(_i, 0);
}
END_TEST

START_TEST(by_bytes)
{
	run_case(_i, 1);
}
END_TEST

/* --- bodies --- */

static const char *const bodies[] = {
	"POST /read HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789",
	"POST /read HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\nX-A: b\r\n\r\n"
};

START_TEST(read_body)
{
	setup();
	begin(4096);
	env_send(&e, str_from(bodies[_i & 1]), _i < 2 ? 0 : 1);
	env_run(&e);
	ck_text(&r.tank.got, "0123456789");
	ck_text(&e.log, _i & 1 ? "POST /read;in trailer X-A=b;in end;" :
	    "POST /read;in end;");
	ck_assert_int_eq(e.idle, 0);
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5);
	say("GET /hello HTTP/1.1\r\n" H "\r\n");
	ck_text(&e.out, OK5 OK5);
	finish();
}
END_TEST

/* What nobody has credit for is not read. */
START_TEST(credit)
{
	setup();
	begin(65536);
	say(_i == 0 ?
	    "POST /wait HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n"
	    "0123456789" :
	    "POST /wait HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "a\r\n0123456789\r\n0\r\n\r\n");
	ck_assert_uint_eq(r.tank.got.n, 0);
	r.tank.sink.credit = 3;
	r.tank.keep = true;
	join();
	r.s->in.ops->room(&r.s->in);
	env_run(&e);
	ck_text(&r.tank.got, "012");
	r.tank.sink.credit = 4;
	r.s->in.ops->room(&r.s->in);
	env_run(&e);
	ck_text(&r.tank.got, "0123456");
	ck_assert(!r.tank.end);
	r.tank.sink.credit = 100;
	r.s->in.ops->room(&r.s->in);
	env_run(&e);
	ck_text(&r.tank.got, "0123456789");
	ck_assert(r.tank.end);
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5);
	finish();
}
END_TEST

/* A body of many pages, through a narrow pipe and sockets. */
START_TEST(big_body)
{
	size_t		 n = 3 << 20;
	char		*body = must_alloc(n);
	struct text	 all;

	for (size_t i = 0; i < n; i++)
		body[i] = (char)(i * 7 + i / 251);
	setup();
	text_init(&all);
	text_add(&all, STR("PUT /read HTTP/1.1\r\n" H));
	if (_i & 1)
		text_fmt(&all, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", n);
	else
		text_fmt(&all, "Content-Length: %zu\r\n\r\n", n);
	text_add(&all, str_make(body, n));
	if (_i & 1)
		text_add(&all, STR("\r\n0\r\n\r\n"));
	if (_i & 2) {
		env_sockets(&e, IO_C_TRY);
		e.c = h1_server.open(e.io, &e.env, &e);
	} else
		begin(30000);
	env_send(&e, text_str(&all), 0);
	env_wait(&e, r.tank.end);
	ck_assert(str_eq(text_str(&r.tank.got), str_make(body, n)));
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5);
	finish();
	text_fini(&all);
	free(body);
}
END_TEST

/* The pages of a read follow the last one: 1, 2, 4, 3, and no more than 4. */
START_TEST(read_sizes)
{
	static char	body[400000];
	struct str	rest = str_make(body, sizeof(body));
	size_t		step[] = { 89080, 95000, 95000, 120920 };

	setup();
	begin(130000);
	say("PUT /read HTTP/1.1\r\n" H "Content-Length: 400000\r\n\r\n");
	r.tank.sink.credit = 1 << 20;
	for (int i = 0; i < 4; i++) {
		env_send(&e, str_sub(rest, 0, step[i]), 0);
		rest = str_sub(rest, step[i], rest.n);
		env_run(&e);
	}
	ck_assert(r.tank.end);
	ck_assert_uint_eq(r.tank.got.n, sizeof(body));
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5);
	finish();
}
END_TEST

START_TEST(cut_body)
{
	setup();
	begin(4096);
	say("POST /read HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n012");
	io_shutdown(e.peer);
	env_run(&e);
	ck_text(&e.log, "POST /read;in abort body_cut;");
	r.s->fail = FAIL_BODY_CUT;
	head(400, 0, WAIST_END);
	env_run(&e);
	ck_text(&e.out, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n");
	ck_assert(e.eof);
	finish();
}
END_TEST

START_TEST(bad_chunk)
{
	setup();
	begin(4096);
	say("POST /read HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabcd\r\n");
	ck_text(&e.log, "POST /read;in abort bad_chunk;");
	r.s->fail = FAIL_BAD_CHUNK;
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5C);
	ck_assert(e.eof && !e.reset);
	finish();
}
END_TEST

/* --- Expect --- */

START_TEST(expect)
{
	setup();
	begin(4096);
	say("POST /wait HTTP/1.1\r\n" H "Content-Length: 5\r\n"
	    "Expect: 100-continue\r\n\r\n");
	ck_text(&e.out, "");
	join();
	r.s->in.ops->room(&r.s->in);
	env_run(&e);
	ck_text(&e.out, "HTTP/1.1 100 Continue\r\n\r\n");
	say("01234");
	ck_text(&r.tank.got, "01234");
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, "HTTP/1.1 100 Continue\r\n\r\n" OK5);
	finish();
}
END_TEST

START_TEST(expect_but_sent)
{
	setup();
	begin(4096);
	say("POST /read HTTP/1.1\r\n" H "Content-Length: 5\r\n"
	    "Expect: 100-continue\r\n\r\n01234");
	ck_text(&e.log, "POST /read;in end;");
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5);
	finish();
}
END_TEST

START_TEST(interim)
{
	struct msg	m = { .status = 103, .minor = 1 };

	setup();
	begin(4096);
	say(_i == 0 ? "GET /wait HTTP/1.1\r\n" H "\r\n" :
	    "GET /wait HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	hdr_add_name(r.s->arena, &m.hdrs, STR("Link"), STR("</a>"));
	r.s->out.ops->head(&r.s->out, &m, WAIST_INTERIM);
	env_run(&e);
	ck_text(&e.out, _i == 0 ?
	    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" : "");
	reply(STR("hello"));
	env_run(&e);
	ck_assert(str_ends(text_str(&e.out), STR("\r\n\r\nhello")));
	finish();
}
END_TEST

/* --- responses that break their promise --- */

START_TEST(short_or_long)
{
	setup();
	begin(4096);
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	head(200, 5, 0);
	env_run(&e);
	data(_i == 0 ? STR("hell") : STR("hello!"), WAIST_END);
	env_run(&e);
	ck_assert(e.eof || e.reset);
	ck_assert(!str_ends(text_str(&e.out), STR("hello")));
	ck_text(&e.log, "GET /wait;closed internal;");
	ck_assert_uint_eq(r.nlast, 0);
	finish();
}
END_TEST

START_TEST(aborted)
{
	setup();
	begin(4096);
	say(_i == 0 ? "GET /wait HTTP/1.1\r\n" H "\r\n" :
	    "GET /wait HTTP/1.0\r\n\r\n");
	head(200, BODY_UNKNOWN, 0);
	data(STR("part"), 0);
	env_run(&e);
	r.s->out.ops->abort(&r.s->out, FAIL_RESET_IN_BODY);
	env_run(&e);
	ck_text(&e.log, "GET /wait;closed reset_in_body;");
	/* until close: a clean end would make it look whole */
	ck_assert(_i == 0 ? e.eof : e.reset);
	finish();
}
END_TEST

START_TEST(status_without_body)
{
	setup();
	begin(4096);
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	head(_i == 0 ? 204 : 304, 0, 0);
	data(STR("dropped"), WAIST_END);
	env_run(&e);
	ck_text(&e.out, _i == 0 ? "HTTP/1.1 204 No Content\r\n\r\n" :
	    "HTTP/1.1 304 Not Modified\r\n\r\n");
	ck_text(&e.log, "GET /wait;closed well;");
	finish();
}
END_TEST

START_TEST(request_limit)
{
	setup();
	e.env.limits.requests = 2;
	begin(4096);
	say("GET /hello HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H
	    "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");
	ck_text(&e.out, OK5 OK5C);
	ck_assert(e.eof);
	finish();
}
END_TEST

START_TEST(many_pipelined)
{
	struct text	t;

	setup();
	begin(100000);
	text_init(&t);
	for (int i = 0; i < 500; i++)
		text_add(&t, STR("GET /hello HTTP/1.1\r\n" H "\r\n"));
	env_send(&e, text_str(&t), 0);
	env_wait(&e, nclosed == 500);
	env_run(&e);
	ck_assert_uint_eq(e.out.n, 500 * (sizeof(OK5) - 1));
	text_fini(&t);
	finish();
}
END_TEST

/* A head of more than a page moves to a large one. */
START_TEST(large_head)
{
	struct text	t;

	setup();
	begin(65536);
	text_init(&t);
	text_add(&t, STR("GET /hello HTTP/1.1\r\n" H "\r\n"
	    "GET /hello HTTP/1.1\r\n" H));
	for (int i = 0; i < 30; i++) {
		text_fmt(&t, "X-%d: ", i);
		for (int j = 0; j < 1000; j++)
			text_c(&t, 'x');
		text_add(&t, STR("\r\n"));
	}
	text_add(&t, STR("\r\n"));
	env_send(&e, text_str(&t), _i == 0 ? 0 : 700);
	env_run(&e);
	ck_text(&e.out, OK5 OK5);
	text_fini(&t);
	finish();
}
END_TEST

START_TEST(upgrade)
{
	struct chunk	rest;
	struct io	*io;

	setup();
	begin(4096);
	say("GET /wait HTTP/1.1\r\n" H "Upgrade: x\r\n"
	    "Connection: upgrade\r\n\r\nbytes");
	r.res = (struct msg){ .status = 101, .minor = 1, .upgrade = true,
	    .protocol = STR("x") };
	r.s->out.ops->head(&r.s->out, &r.res, WAIST_UPGRADE);
	io = h1_server.take(e.c, &rest);
	ck_assert_ptr_eq(io, e.io);
	ck_assert(str_eq(str_make(rest.u.mem.p, rest.n), STR("bytes")));
	chunk_drop(&rest);
	env_run(&e);
	ck_text(&e.out, "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: x\r\nConnection: upgrade\r\n\r\n");
	h1_server.close(e.c, FAIL_NONE);
	ck_text(&e.log, "GET /wait;closed well;");
	ck_assert(io->open);
	io->on = env_on_peer;
	io_close(io, false);
	finish();
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("h1_server");
	TCase	*t = tcase_create("all");
	int	 n = (int)(sizeof(cases) / sizeof(cases[0]));

	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, whole, 0, n);
	tcase_add_loop_test(t, by_bytes, 0, n);
	tcase_add_loop_test(t, read_body, 0, 4);
	tcase_add_loop_test(t, credit, 0, 2);
	tcase_add_loop_test(t, big_body, 0, 4);
	tcase_add_test(t, read_sizes);
	tcase_add_test(t, cut_body);
	tcase_add_test(t, bad_chunk);
	tcase_add_test(t, expect);
	tcase_add_test(t, expect_but_sent);
	tcase_add_loop_test(t, interim, 0, 2);
	tcase_add_loop_test(t, short_or_long, 0, 2);
	tcase_add_loop_test(t, aborted, 0, 2);
	tcase_add_loop_test(t, status_without_body, 0, 2);
	tcase_add_test(t, request_limit);
	tcase_add_test(t, many_pipelined);
	tcase_add_loop_test(t, large_head, 0, 2);
	tcase_add_test(t, upgrade);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
