/*
 * The client side of HTTP/2: how streams end, and connections with theirs:
 * resets, GOAWAY, a transport that breaks, broken rules, silence, floods.
 */
#include "h2_client_env.h"

/* More than a turn reads stands before the end of the connection. */
START_TEST(test_end_behind_answers)
{
	const uint8_t	*p;
	struct iovec	 v;
	ssize_t		 n;
	size_t		 put;

	start();
	for (int i = 0; i < 10; i++)
		ask("GET", 0);
	turns(2);
	for (int i = 0; i < 10; i++)
		answer(2 * i + 1, ":status 200", 60000);
	while ((n = nghttp2_session_mem_send(server, &p)) > 0) {
		v = (struct iovec){ (void *)(uintptr_t)p, (size_t)n };
		ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &put), IO_OK);
		ck_assert_uint_eq(put, v.iov_len);
	}
	io_close(e.peer, false);
	for (int i = 0; i < 20; i++)
		ev_turn(e.ev, 0);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(reqs[i].why, FAIL_NONE);
		ck_assert_uint_eq(reqs[i].tank.got.n, 60000);
	}
}
END_TEST

/* The connection is judged before a byte of a request has left. */
START_TEST(test_unsent_behind_judged)
{
	static const char	 wrong[] = "\0\0\0\0\0\0\0\0\0";
	struct iovec		 v = { (void *)(uintptr_t)wrong, 9 };
	struct req		*sent, *unsent;
	size_t			 put;

	start();
	sent = ask("GET", 0);
	turns(2);
	ck_assert(gots[1].head);
	/* DATA of stream 0 */
	ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &put), IO_OK);
	unsent = ask("GET", 0);
	for (int i = 0; i < 5; i++)
		ev_turn(e.ev, 0);
	ck_assert_int_eq(sent->why, FAIL_SERVER_H2_PROTOCOL);
	ck_assert_int_eq(unsent->why, FAIL_SERVER_GOAWAY);
	ck_assert_str_eq(unsent->what, "h2_protocol");
	e.c = NULL;
}
END_TEST

static const struct {
	uint32_t	code;
	bool		answered;
	enum fail	why;
} resets[] = {
	{ NGHTTP2_REFUSED_STREAM, false, FAIL_STREAM_REFUSED },
	{ NGHTTP2_INTERNAL_ERROR, false, FAIL_SERVER_RESET },
	{ NGHTTP2_NO_ERROR, false, FAIL_SERVER_RESET },
	{ NGHTTP2_CANCEL, false, FAIL_SERVER_RESET },
	{ NGHTTP2_HTTP_1_1_REQUIRED, false, FAIL_SERVER_WANTS_H1 },
	{ NGHTTP2_HTTP_1_1_REQUIRED, true, FAIL_RESET_IN_BODY },
	{ NGHTTP2_INTERNAL_ERROR, true, FAIL_RESET_IN_BODY },
	{ NGHTTP2_REFUSED_STREAM, true, FAIL_RESET_IN_BODY },
};

START_TEST(test_reset)
{
	struct req	*r, *other;

	start();
	r = ask("GET", 0);
	other = ask("GET", 0);
	turns(2);
	if (resets[_i].answered)
		interim(1, ":status 200", false);
	turns(2);
	nghttp2_submit_rst_stream(server, 0, 1, resets[_i].code);
	turns(2);
	ck_assert_int_eq(r->why, resets[_i].why);
	ck_assert_ptr_nonnull(other->s);
	answer(3, ":status 200", 0);
	turns(2);
	ck_assert_int_eq(other->why, FAIL_NONE);
}
END_TEST

START_TEST(test_goaway)
{
	struct req	*below, *above;

	start();
	below = ask("GET", 0);
	above = ask("POST", 100);
	turns(2);
	nghttp2_submit_goaway(server, 0, 1, NGHTTP2_NO_ERROR, NULL, 0);
	turns(2);
	ck_assert_int_eq(above->why, FAIL_SERVER_GOAWAY);
	ck_assert_ptr_nonnull(below->s);
	ck_assert_uint_eq(notes[CODEC_GOAWAY], 1);
	ck_assert_uint_eq(h2_client.room(e.c), 0);
	answer(1, ":status 200", 9);
	turns(3);
	ck_assert_int_eq(below->why, FAIL_NONE);
	/* with the last stream the connection has ended */
	ck_assert_ptr_null(e.c);
}
END_TEST

/* A whole answer that waits for its reader survives the connection. */
START_TEST(test_lost)
{
	struct req	*whole, *open, *part;

	start();
	whole = ask("GET", 0);
	open = ask("GET", 0);
	part = ask("GET", 0);
	whole->tank.sink.credit = 0;
	turns(2);
	answer(1, ":status 200", 1000);
	interim(5, ":status 200", false);
	turns(3);
	io_close(e.peer, _i == 1);
	for (int i = 0; i < 4; i++)
		ev_turn(e.ev, 0);
	ck_assert_int_eq(open->why, FAIL_RESET_BEFORE_HEAD);
	ck_assert_int_eq(part->why, FAIL_RESET_IN_BODY);
	ck_assert_ptr_nonnull(whole->s);
	ck_assert_uint_ge(notes[CODEC_LOST], 1);
	/* who was given it before that is told at once */
	open = ask("GET", 0);
	ev_turn(e.ev, 0);
	ck_assert_int_eq(open->why, FAIL_SERVER_GOAWAY);
	ck_assert_str_eq(open->what, "the connection was lost");
	whole->tank.sink.credit = 5000;
	whole->s->in.ops->room(&whole->s->in);
	for (int i = 0; i < 4; i++)
		ev_turn(e.ev, 0);
	ck_assert_int_eq(whole->why, FAIL_NONE);
	ck_assert_uint_eq(whole->tank.got.n, 1000);
	ck_assert_ptr_null(e.c);
	e.peer = NULL;
}
END_TEST

START_TEST(test_closed)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	h2_client.close(e.c, FAIL_NONE);
	ck_assert_int_eq(r->why, FAIL_RESET_BEFORE_HEAD);
	ev_turn(e.ev, 0);
	env_drain(&e);
	/* its last frame is GOAWAY NO_ERROR */
	ck_assert_uint_ge(e.out.n, 17);
	ck_assert_int_eq(e.out.p[e.out.n - 14], NGHTTP2_GOAWAY);
	e.out.n = 0;
}
END_TEST

START_TEST(test_protocol)
{
	static const char	frame[] = "\0\0\1\0\0\0\0\0\0x";
	struct req		*r;

	start();
	r = ask("GET", 0);
	turns(2);
	env_send(&e, str_make(frame, sizeof(frame) - 1), 0);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_SERVER_H2_PROTOCOL);
	ck_assert_ptr_null(e.c);
}
END_TEST

/* What it was is told, too, if the server ends the connection at once. */
START_TEST(test_not_h2)
{
	char		 text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct iovec	 v = { text, sizeof(text) - 1 };
	struct req	*sent, *unsent;
	size_t		 put;

	sent = ask("GET", 0);
	turns(2);
	unsent = _i > 0 ? ask("GET", 0) : NULL;
	ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &put), IO_OK);
	ck_assert_uint_eq(put, v.iov_len);
	io_close(e.peer, false);
	for (int i = 0; i < 5; i++)
		ev_turn(e.ev, 0);
	ck_assert_int_eq(sent->why, FAIL_SERVER_H2_PROTOCOL);
	ck_assert_str_eq(sent->what, "SETTINGS expected");
	if (unsent != NULL)
		ck_assert_int_eq(unsent->why, FAIL_SERVER_GOAWAY);
	ck_assert_ptr_null(e.c);
}
END_TEST

START_TEST(test_push)
{
	static const char	frame[] = "\0\0\5\5\4\0\0\0\1\0\0\0\2\x82";
	struct req		*r;

	start();
	r = ask("GET", 0);
	turns(2);
	env_send(&e, str_make(frame, sizeof(frame) - 1), 0);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_SERVER_H2_PROTOCOL);
}
END_TEST

START_TEST(test_ping)
{
	struct req	*r;

	e.env.limits.ping_ms = 80;
	start();
	r = ask("GET", 0);
	turns(2);
	/* who is alive answers, however long it takes otherwise */
	for (uint64_t end = ev_clock_ns() + 400000000; ev_clock_ns() < end; )
		turn();
	ck_assert_uint_ge(notes[CODEC_PING], 2);
	ck_assert_ptr_nonnull(r->s);
	env_wait(&e, r->s == NULL);
	ck_assert_int_eq(r->why, FAIL_PING_TIMEOUT);
	ck_assert_ptr_null(e.c);
	e.out.n = 0;
}
END_TEST

/* Requests that end before a word came, one by one: the first one counts. */
START_TEST(test_unheard)
{
	struct req	*r;

	e.env.limits.ping_ms = 80;
	start();
	do {
		r = ask("GET", 0);
		for (int i = 0; i < 3; i++)
			ev_turn(e.ev, 2);
		if (r->s != NULL)
			r->s->in.ops->stop(&r->s->in, FAIL_CLIENT_GONE);
		for (int i = 0; i < 3; i++)
			ev_turn(e.ev, 2);
	} while (_i == 0 && e.c != NULL);
	/* or one alone, behind which it is idle */
	env_wait(&e, e.c == NULL);
	ck_assert_int_eq(e.gone_why, FAIL_PING_TIMEOUT);
	ck_assert_uint_eq(notes[CODEC_PING], 1);
	e.out.n = 0;
}
END_TEST

/* An idle connection is asked once, if at all. */
START_TEST(test_unheard_alive)
{
	struct req	*r;

	e.env.limits.ping_ms = 40;
	start();
	r = ask("GET", 0);
	turns(2);
	r->s->in.ops->stop(&r->s->in, FAIL_CLIENT_GONE);
	for (uint64_t end = ev_clock_ns() + 300000000; ev_clock_ns() < end; )
		turn();
	ck_assert_uint_eq(notes[CODEC_PING], 1);
	ck_assert_ptr_nonnull(e.c);
}
END_TEST

/* What is told of the connection by whom nobody answers. */
static const struct {
	enum fail	why;
	bool		head;		/* of the answer came */
	bool		other;		/* something of another came */
	unsigned	room;
} silent[] = {
	{ FAIL_FIRST_BYTE_TIMEOUT, false, false, 0 },
	{ FAIL_SEND_TIMEOUT, false, false, 0 },
	{ FAIL_BETWEEN_TIMEOUT, true, false, 0 },
	{ FAIL_FIRST_BYTE_TIMEOUT, false, true, 100 },
	{ FAIL_BETWEEN_TIMEOUT, true, true, 100 },
	{ FAIL_CLIENT_GONE, false, false, 100 },
};

static void
pass_ms(void)
{
	uint64_t	was = ev_ms(e.ev);

	while (ev_ms(e.ev) == was)
		ev_turn(e.ev, 1);
}

START_TEST(test_silent)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	if (silent[_i].head)
		interim(1, ":status 200", false);
	turns(2);
	pass_ms();
	if (silent[_i].other)
		nghttp2_submit_ping(server, 0, NULL);
	turns(2);
	r->s->in.ops->stop(&r->s->in, silent[_i].why);
	turns(2);
	ck_assert_int_eq(r->why, silent[_i].why);
	ck_assert_uint_eq(h2_client.room(e.c), silent[_i].room);
	ck_assert_int_eq(h2_client.lasts(e.c), silent[_i].room > 0);
}
END_TEST

static const struct {
	const char	*frame;
	size_t		 n;
	const char	*kind;
} floods[] = {
	{ "\0\0\0\4\0\0\0\0\0", 9, "settings_flood" },
	{ "\0\0\x8\6\0\0\0\0\0" "12345678", 17, "ping_flood" },
	{ "\0\0\5\2\0\0\0\0\1" "\0\0\0\0\1", 14, "priority_flood" },
	{ "\0\0\4\x8\0\0\0\0\0\0\0\0\1", 13, "window_flood" },
	{ "\0\0\0\xbb\0\0\0\0\0", 9, "stray_flood" },
};

START_TEST(test_flood)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	for (int i = 0; i < 3000 && e.c != NULL && e.peer->open; i++)
		env_send(&e, str_make(floods[_i].frame, floods[_i].n), 0);
	ck_assert_int_eq(r->why, FAIL_SERVER_FLOOD);
	ck_assert_str_eq(r->what, floods[_i].kind);
	ck_assert_ptr_null(e.c);
	e.out.n = 0;
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h2_client_end");
	TCase	*tc = tcase_create("h2_client_end");
	SRunner	*sr;
	int	 bad_ones;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_end_behind_answers);
	tcase_add_test(tc, test_unsent_behind_judged);
	LOOP(test_reset, resets);
	tcase_add_test(tc, test_goaway);
	tcase_add_loop_test(tc, test_lost, 0, 2);
	tcase_add_test(tc, test_closed);
	tcase_add_test(tc, test_protocol);
	tcase_add_loop_test(tc, test_not_h2, 0, 2);
	tcase_add_test(tc, test_push);
	tcase_add_test(tc, test_ping);
	tcase_add_loop_test(tc, test_unheard, 0, 2);
	tcase_add_test(tc, test_unheard_alive);
	LOOP(test_silent, silent);
	LOOP(test_flood, floods);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	bad_ones = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad_ones == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
