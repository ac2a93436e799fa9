/*
 * The server side of HTTP/1.1: clients that leave, draining, what lingers,
 * times.
 */
#include "h1_server_env.h"

/* --- ends --- */

START_TEST(half_close)
{
	setup();
	begin(4096);
	say("GET /wait HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H
	    "\r\n");
	io_shutdown(e.peer);
	env_run(&e);
	ck_assert_ptr_nonnull(r.s);
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5 OK5);
	ck_assert(e.eof);
	finish();
}
END_TEST

static void
waits(void)
{
	r.s->in.ops->waits(&r.s->in);
}

/* Is the request over, as of a client that left? */
static void
ck_left(bool left)
{
	env_run(&e);
	ck_assert(left == (r.s == NULL));
	if (left)
		ck_assert_int_eq(closed_why, FAIL_CLIENT_GONE);
}

/* The end is known before or after it is said that the answer waits. */
START_TEST(left_while_it_waits)
{
	setup();
	begin(4096);
	say(WAIT);
	if (_i == 0)
		waits();
	ck_left(false);
	io_shutdown(e.peer);
	ck_left(_i == 0);
	if (_i == 1) {
		waits();
		ck_left(true);
	}
	ck_text(&e.log, "GET /wait;closed client_gone;");
	ck_text(&e.out, "");
	ck_assert(e.eof || e.reset);
	ck_assert_uint_eq(r.tap.stops, 1);
	ck_assert_int_eq(e.gone_why, FAIL_CLIENT_GONE);
	finish();
}
END_TEST

/* Request and end in one: the last thing asked counts, not those before. */
START_TEST(left_behind_the_last)
{
	setup();
	begin(4096);
	say(WAIT WAIT);
	io_shutdown(e.peer);
	env_run(&e);
	waits();
	ck_left(false);
	ck_assert_uint_eq(nrequest, 1);
	reply(STR("hello"));
	env_run(&e);
	ck_assert_uint_eq(nrequest, 2);
	ck_text(&e.out, OK5);
	waits();
	ck_left(true);
	ck_text(&e.out, OK5);
	finish();
}
END_TEST

/* What comes with the end itself is another request. */
START_TEST(asks_and_leaves)
{
	struct iovec	v;
	size_t		n;

	setup();
	begin(4096);
	say(WAIT);
	waits();
	ck_left(false);
	v.iov_base = (char *)(uintptr_t)WAIT;
	v.iov_len = sizeof(WAIT) - 1;
	ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &n), IO_OK);
	io_shutdown(e.peer);
	ck_left(false);
	reply(STR("hello"));
	env_run(&e);
	ck_assert_uint_eq(nrequest, 2);
	waits();
	ck_left(true);
	finish();
}
END_TEST

/* A body that nobody reads yet is no other request; a cut one is told. */
START_TEST(left_with_a_body)
{
	setup();
	begin(4096);
	say("POST /wait HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n");
	waits();
	say(_i == 0 ? "abc" : _i == 1 ? "ab" : "abc" WAIT);
	io_shutdown(e.peer);
	ck_left(_i == 0);
	if (_i > 0) {
		join();
		r.s->in.ops->room(&r.s->in);
		env_run(&e);
		ck_text(&e.log, _i == 1 ? "POST /wait;in abort body_cut;" :
		    "POST /wait;in end;");
		ck_left(false);
		reply(STR("hello"));
		env_run(&e);
		ck_assert_uint_eq(nrequest, _i == 1 ? 1 : 2);
	}
	finish();
}
END_TEST

/* Within an answer; a length that only the end tells must not look whole. */
START_TEST(left_within_the_answer)
{
	setup();
	begin(4096);
	say(_i == 0 ? WAIT : "GET /wait HTTP/1.0\r\n\r\n");
	waits();
	head(200, BODY_UNKNOWN, 0);
	data(STR("some"), 0);
	ck_left(false);
	io_shutdown(e.peer);
	ck_left(true);
	ck_assert_uint_gt(e.out.n, 0);
	ck_assert(e.reset == (_i == 1));
	finish();
}
END_TEST

/* It may, or nobody is waited for: the answer is all here. */
START_TEST(half_close_is_fine)
{
	setup();
	e.env.limits.half_close = _i == 0;
	begin(4096);
	say(WAIT);
	waits();
	if (_i == 1)
		reply(STR("hello"));
	io_shutdown(e.peer);
	env_run(&e);
	if (_i == 0) {
		ck_left(false);
		reply(STR("hello"));
		env_run(&e);
	}
	ck_text(&e.out, OK5);
	ck_assert(e.eof);
	finish();
}
END_TEST

START_TEST(client_gone)
{
	setup();
	if (_i == 0)
		begin(4096);
	else {
		env_sockets(&e, IO_C_TRY);
		e.c = h1_server.open(e.io, &e.env, &e);
	}
	say("POST /read HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nabc");
	io_close(e.peer, _i == 0);
	env_wait(&e, r.s == NULL);
	ck_text(&e.log, "POST /read;in abort client_gone;"
	    "closed client_gone;");
	ck_assert_uint_eq(r.tap.stops, 1);
	ck_assert_int_eq(e.gone_why, FAIL_CLIENT_GONE);
	finish();
}
END_TEST

START_TEST(gone_in_head)
{
	setup();
	begin(4096);
	if (_i > 0)
		say("GET /hello HTT");
	io_shutdown(e.peer);
	env_run(&e);
	ck_assert_uint_eq(nrequest, 0);
	ck_text(&e.out, "");
	ck_assert(e.eof);
	finish();
}
END_TEST

/* Between requests: the next one is waited for a moment, then it ends. */
START_TEST(drain_idle)
{
	setup();
	begin(4096);
	say("GET /hello HTTP/1.1\r\n" H "\r\n");
	h1_server.drain(e.c, false);
	env_run(&e);
	ck_assert(!e.eof);
	if (_i == 1)
		say("GET /hello HTTP/1.1\r\n" H "\r\n");
	env_wait(&e, e.eof);
	ck_assert(!e.reset);
	ck_text(&e.out, _i == 1 ? OK5 OK5C : OK5);
	io_close(e.peer, false);
	env_run(&e);
	finish();
}
END_TEST

/* Before the first request: it has the time that it had. */
START_TEST(drain_fresh)
{
	setup();
	e.env.limits.header_ms = 1000;
	begin(4096);
	h1_server.drain(e.c, false);
	env_run(&e);
	ck_assert(!e.eof);
	say("GET /hello HTTP/1.1\r\n" H "\r\n");
	ck_assert(e.eof && !e.reset);
	ck_text(&e.out, OK5C);
	io_close(e.peer, false);
	env_run(&e);
	finish();
}
END_TEST

/* What it was let in by holds no more: it is asked nothing else. */
START_TEST(drain_now)
{
	setup();
	begin(4096);
	if (_i > 0)
		say("GET /hello HTTP/1.1\r\n" H "\r\n");
	if (_i == 2)
		say("GET /hello HTTP/1.1\r\n");
	h1_server.drain(e.c, true);
	env_run(&e);
	ck_assert(e.eof && !e.reset);
	ck_text(&e.out, _i == 0 ? "" : OK5);
	io_close(e.peer, false);
	env_wait(&e, e.c == NULL);
	finish();
}
END_TEST

/* A request that is here already, although no event has told of it. */
START_TEST(drain_with_request)
{
	struct iovec	v;
	size_t		n;
	char		req[] = "GET /hello HTTP/1.1\r\n" H "\r\n";

	setup();
	env_sockets(&e, IO_C_TRY);
	e.c = h1_server.open(e.io, &e.env, &e);
	env_run(&e);
	v.iov_base = req;
	v.iov_len = sizeof(req) - 1;
	ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &n), IO_OK);
	h1_server.drain(e.c, false);
	env_run(&e);
	ck_text(&e.out, OK5C);
	ck_assert(e.eof && !e.reset);
	finish();
}
END_TEST

START_TEST(drain_busy)
{
	setup();
	begin(4096);
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	h1_server.drain(e.c, false);
	env_run(&e);
	ck_assert(!e.eof);
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5C);
	ck_assert(e.eof);
	finish();
}
END_TEST

START_TEST(age_limit)
{
	setup();
	e.env.limits.age_ms = 1;
	begin(4096);
	for (int i = 0; i < 2000 && !e.eof; i++) {
		ev_turn(e.ev, 1);
		say("GET /hello HTTP/1.1\r\n" H "\r\n");
	}
	ck_assert(e.eof);
	ck_assert(str_ends(text_str(&e.out), STR(OK5C)));
	finish();
}
END_TEST

/* The answer to a client that goes on sending is not reset away. */
START_TEST(lingers)
{
	char		junk[2000];

	memset(junk, 'x', sizeof(junk));
	setup();
	begin(4096);
	say("GET  HTTP/1.1\r\n\r\n");
	ck_assert(e.eof);
	for (int i = 0; i < 60; i++)
		env_send(&e, str_make(junk, sizeof(junk)), 0);
	ck_assert_ptr_nonnull(e.c);
	ck_assert(!e.reset);
	io_close(e.peer, false);
	env_run(&e);
	ck_assert_ptr_null(e.c);
	finish();
}
END_TEST

START_TEST(lingers_only_so_far)
{
	char	junk[4000];

	memset(junk, 'x', sizeof(junk));
	setup();
	begin(4096);
	say("GET  HTTP/1.1\r\n\r\n");
	for (int i = 0; i < 80 && e.c != NULL; i++)
		env_send(&e, str_make(junk, sizeof(junk)), 0);
	ck_assert_ptr_null(e.c);
	finish();
}
END_TEST

/* --- time --- */

START_TEST(header_time)
{
	setup();
	e.env.limits.header_ms = 30;
	begin(4096);
	if (_i == 1)
		say("GET /hel");
	env_wait(&e, e.eof);
	if (_i == 1)
		ck_text(&e.log, "  header_timeout;closed well;");
	ck_assert_uint_eq(nrequest, (unsigned)_i);
	finish();
}
END_TEST

START_TEST(idle_time)
{
	setup();
	e.env.limits.idle_ms = 30;
	begin(4096);
	say("GET /hello HTTP/1.1\r\n" H "\r\n");
	ck_assert(!e.eof);
	env_wait(&e, e.eof);
	ck_text(&e.out, OK5);
	finish();
}
END_TEST

START_TEST(body_time)
{
	setup();
	e.env.limits.body_ms = 30;
	begin(4096);
	say("POST /read HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n01");
	env_wait(&e, r.tank.why != FAIL_NONE);
	ck_text(&e.log, "POST /read;in abort body_timeout;");
	reply(STR("hello"));
	env_wait(&e, e.eof);
	ck_text(&e.out, OK5C);
	finish();
}
END_TEST

/* Once the head of the response is sent a slow body is no failure. */
START_TEST(body_time_ends)
{
	uint64_t	until;

	setup();
	e.env.limits.body_ms = 20;
	begin(4096);
	say("POST /read HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n01");
	head(200, 5, 0);
	until = ev_ms(e.ev) + 80;
	while (ev_ms(e.ev) < until)
		ev_turn(e.ev, 5);
	ck_assert_int_eq(r.tank.why, FAIL_NONE);
	say("234");
	ck_assert(r.tank.end);
	data(STR("hello"), WAIST_END);
	env_run(&e);
	ck_text(&e.out, OK5);
	finish();
}
END_TEST

START_TEST(write_time)
{
	static char	big[40000];

	setup();
	e.env.limits.write_ms = 30;
	env_pipe(&e, 1000);
	e.c = h1_server.open(e.io, &e.env, &e);
	env_send(&e, STR("GET /wait HTTP/1.1\r\n" H "\r\n"), 0);
	head(200, sizeof(big), 0);
	data(str_make(big, sizeof(big)), WAIST_END);
	while (e.ngone == 0)
		ev_turn(e.ev, 50);
	ck_text(&e.log, "GET /wait;closed write_timeout;");
	finish();
}
END_TEST

/* --- upgrade, close from above --- */

START_TEST(closed_from_above)
{
	setup();
	begin(4096);
	say("POST /read HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n01");
	head(200, 5, 0);
	data(STR("he"), 0);
	h1_server.close(e.c, FAIL_DRAINING);
	ck_text(&e.log, "POST /read;in abort draining;closed draining;");
	ck_assert_uint_eq(r.tap.stops, 1);
	finish();
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("h1_server_ends");
	TCase	*t = tcase_create("all");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, half_close);
	tcase_add_loop_test(t, left_while_it_waits, 0, 2);
	tcase_add_test(t, left_behind_the_last);
	tcase_add_test(t, asks_and_leaves);
	tcase_add_loop_test(t, left_with_a_body, 0, 3);
	tcase_add_loop_test(t, left_within_the_answer, 0, 2);
	tcase_add_loop_test(t, half_close_is_fine, 0, 2);
	tcase_add_loop_test(t, client_gone, 0, 2);
	tcase_add_loop_test(t, gone_in_head, 0, 2);
	tcase_add_loop_test(t, drain_idle, 0, 2);
	tcase_add_test(t, drain_fresh);
	tcase_add_loop_test(t, drain_now, 0, 3);
	tcase_add_test(t, drain_with_request);
	tcase_add_test(t, drain_busy);
	tcase_add_test(t, age_limit);
	tcase_add_test(t, lingers);
	tcase_add_test(t, lingers_only_so_far);
	tcase_add_loop_test(t, header_time, 0, 2);
	tcase_add_test(t, idle_time);
	tcase_add_test(t, body_time);
	tcase_add_test(t, body_time_ends);
	tcase_add_test(t, write_time);
	tcase_add_test(t, closed_from_above);
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
