/*
 * The client side of HTTP/1.1: requests written, responses read, and what
 * of a connection is left after them.
 */
#include "h1_env.h"

static struct h1_env	e;
static struct h1_tank	res;
static struct h1_tap	req;
static struct stream	*s;
static struct arena	arena;
static struct msg	m;
static unsigned		nclosed, nstreams;
static enum fail	why_closed;
static bool		kept;

static void
on_closed(struct stream *st, enum fail why)
{
	ck_assert_ptr_eq(st, s);
	nclosed++;
	why_closed = why;
	kept = st->keep;
	if (kept)
		ck_assert_uint_eq(h1_client.room(e.c), 1);
	text_fmt(&e.log, "closed %s%s;", why == FAIL_NONE ? "well" :
	    fail_row(why)->name, kept ? " keep" : "");
	s = NULL;
}

static const struct stream_up up = { .closed = on_closed };

static void
ask(const char *method, int64_t body, unsigned flags)
{
	s = h1_client.request(e.c, &arena);
	nstreams++;
	s->up = &up;
	tank_init(&res, &e.log, "res");
	req = (struct h1_tap){ .src.ops = &tap_ops };
	waist_join(&req.src, &s->out);
	waist_join(&s->in, &res.sink);
	m = (struct msg){ .method = str_from(method), .target = STR("/x"),
	    .authority = STR("a"), .body = body, .minor = 1 };
	m.meth = (uint8_t)msg_method(m.method);
	s->out.ops->head(&s->out, &m, flags);
}

static void
begin(size_t size)
{
	env_init(&e);
	e.env.up = &up;
	env_pipe(&e, size);
	e.c = h1_client.open(e.io, &e.env, &e);
	arena_init(&arena, &e.arenas);
	nclosed = nstreams = 0;
}

static void
get(void)
{
	ask("GET", 0, WAIST_END);
	env_run(&e);
	ck_text(&e.out, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void
come(const char *text)
{
	env_send(&e, str_from(text), 0);
	env_run(&e);
}

static void
finish(void)
{
	if (e.c != NULL)
		h1_client.close(e.c, FAIL_NONE);
	ck_assert_uint_eq(e.ngone, 1);
	ck_assert_uint_eq(nclosed, nstreams);
	env_run(&e);
	text_fini(&res.got);
	arena_fini(&arena);
	env_fini(&e);
}

static struct chunk
constant(struct str t)
{
	struct chunk	c = { .kind = CHUNK_CONST, .n = t.n };

	c.u.mem.p = t.p;
	return c;
}

/* --- responses --- */

static const struct {
	const char	*in;
	const char	*got;
	const char	*log;
	bool		 eof;	/* the server ends after it */
} cases[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello",
	    "res head 200 OK;res end;closed well keep;", false },
	{ "HTTP/1.1 204 No\r\n\r\n", "",
	    "res head 204 No end;closed well keep;", false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nhel\r\n2\r\nlo\r\n0\r\nX-A: b\r\n\r\n", "hello",
	    "res head 200 OK;res trailer X-A=b;res end;closed well keep;",
	    false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    "", "res head 200 OK;res end;closed well keep;", false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n"
	    "\r\n", "", "res head 200 OK end;closed well;", false },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi",
	    "res head 200 OK;res end;closed well;", false },
	{ "HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end",
	    "res head 200 OK;res end;closed well;", true },
	{ "HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "",
	    "res head 103 E interim;res head 100 C interim;"
	    "res head 200 OK end;closed well keep;", false },
	/* failures */
	{ "", "", "res abort reset_before_head;closed reset_before_head;",
	    true },
	{ "HTTP/1.1 200", "", "res abort reset_in_head;"
	    "closed reset_in_head;", true },
	{ "HTTP/1.1 100 C\r\n\r\n", "", "res head 100 C interim;"
	    "res abort reset_in_head;closed reset_in_head;", true },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "hel",
	    "res head 200 OK;res abort reset_in_body;closed reset_in_body;",
	    true },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nhel\r\n", "hel",
	    "res head 200 OK;res abort reset_in_body;closed reset_in_body;",
	    true },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nhell\r\n", NULL, "res head 200 OK;"
	    "res abort bad_response_chunk;closed bad_response_chunk;",
	    false },
	{ "FTP/1.1 200 OK\r\n\r\n", "", "res abort bad_response_line;"
	    "closed bad_response_line;", false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n"
	    "\r\n", "", "res abort bad_response_framing;"
	    "closed bad_response_framing;", false },
	{ "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", "",
	    "res abort bad_response_field;closed bad_response_field;",
	    false },
	{ "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "",
	    "res abort unexpected_upgrade;closed unexpected_upgrade;",
	    false },
};

static void
run_case(int i, size_t step)
{
	begin(4096);
	get();
	env_send(&e, str_from(cases[i].in), step);
	if (cases[i].eof)
		io_shutdown(e.peer);
	env_run(&e);
	if (cases[i].got != NULL)
		ck_text(&res.got, cases[i].got);
	ck_text(&e.log, cases[i].log);
	ck_assert_int_eq(e.c != NULL, kept);
	ck_assert_int_eq(e.idle, kept);
	if (kept)
		ck_assert_uint_eq(e.pages.live, 0);
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

START_TEST(head_method)
{
	begin(4096);
	ask("HEAD", 0, WAIST_END);
	env_run(&e);
	come("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	ck_text(&e.log, "res head 200 OK end;closed well keep;");
	ck_assert_int_eq(m.body, 0);
	finish();
}
END_TEST

START_TEST(again)
{
	begin(4096);
	for (int i = 0; i < 3; i++) {
		text_fini(&e.out);
		text_fini(&e.log);
		text_init(&e.out);
		text_init(&e.log);
		get();
		ck_assert_int_eq(e.idle, 0);
		ck_assert_uint_eq(h1_client.room(e.c), 0);
		come("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
		ck_text(&e.log, "res head 200 OK;res end;closed well keep;");
		ck_assert_int_eq(e.idle, 1);
		text_fini(&res.got);
	}
	text_init(&res.got);
	finish();
}
END_TEST

/* Bytes behind a response: nothing of them may reach the next request. */
START_TEST(surplus)
{
	struct text	t;

	begin(65536);
	get();
	text_init(&t);
	text_fmt(&t, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
	    _i == 0 ? 5 : 40000);
	for (int i = 0; i < (_i == 0 ? 5 : 40000); i++)
		text_c(&t, 'x');
	text_add(&t, STR("HTTP/1.1 200 Evil\r\nContent-Length: 0\r\n\r\n"));
	env_send(&e, text_str(&t), 0);
	env_run(&e);
	ck_text(&e.log, "res head 200 OK;res end;closed well;");
	ck_assert_ptr_null(e.c);
	text_fini(&t);
	finish();
}
END_TEST

START_TEST(while_idle)
{
	begin(4096);
	get();
	come("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	ck_assert_ptr_nonnull(e.c);
	if (_i == 0)
		come("x");
	else if (_i == 1)
		io_shutdown(e.peer);
	else
		io_close(e.peer, true);
	env_run(&e);
	ck_assert_ptr_null(e.c);
	ck_assert_int_eq(e.gone_why, FAIL_NONE);
	finish();
}
END_TEST

/* The dial's owner has had the event that says so. */
START_TEST(before_asked)
{
	static const char *const log[] = {
		"res abort bad_response_line;closed bad_response_line;",
		"res abort reset_before_head;closed reset_before_head;",
		"res abort reset_before_head;closed reset_before_head;"
	};

	env_init(&e);
	e.env.up = &up;
	env_sockets(&e, 0);
	e.io->on = env_on_peer;
	if (_i == 2)
		io_shutdown(e.peer);
	else
		env_send(&e, STR("HTTP/1.1 200 Evil\r\n"
		    "Content-Length: 0\r\n\r\n"), 0);
	env_wait(&e, io_can(e.io, IO_R));
	e.c = h1_client.open(e.io, &e.env, &e);
	arena_init(&arena, &e.arenas);
	nclosed = nstreams = 0;
	ask("GET", 0, WAIST_END);
	s->reused = _i == 1;
	env_run(&e);
	ck_text(&e.log, log[_i]);
	/* None of the request has left. */
	ck_text(&e.out, "");
	ck_assert_ptr_null(e.c);
	finish();
}
END_TEST

START_TEST(too_many_interims)
{
	begin(4096);
	get();
	for (int i = 0; i < 9; i++)
		come("HTTP/1.1 103 E\r\n\r\n");
	ck_assert_int_eq(why_closed, FAIL_UNEXPECTED_INTERIM);
	finish();
}
END_TEST

/* --- requests --- */

START_TEST(body_by_length)
{
	begin(4096);
	ask("POST", 5, 0);
	env_run(&e);
	s->out.ops->data(&s->out, constant(STR("he")), 0);
	env_run(&e);
	s->out.ops->data(&s->out, constant(STR("llo")), WAIST_END);
	env_run(&e);
	ck_text(&e.out, "POST /x HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 5\r\n\r\nhello");
	come("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	ck_text(&e.log, "res head 200 OK end;closed well keep;");
	finish();
}
END_TEST

START_TEST(body_chunked)
{
	struct hdr	h = { .name = STR("X-A"), .val = STR("b") };
	struct hdrs	hs = { .v = &h, .n = 1, .cap = 1 };

	begin(4096);
	ask("POST", BODY_UNKNOWN, 0);
	s->out.ops->data(&s->out, constant(STR("hello")), 0);
	s->out.ops->trailers(&s->out, &hs);
	s->out.ops->end(&s->out);
	env_run(&e);
	ck_text(&e.out, "POST /x HTTP/1.1\r\nHost: a\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
	    "X-A: b\r\n\r\n");
	come("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	ck_assert(kept);
	finish();
}
END_TEST

START_TEST(body_wrong)
{
	begin(4096);
	ask("POST", 5, 0);
	s->out.ops->data(&s->out, constant(_i == 0 ? STR("hell") :
	    STR("hello!")), WAIST_END);
	env_run(&e);
	ck_text(&e.log, "res abort internal;closed internal;");
	finish();
}
END_TEST

START_TEST(out_credit)
{
	static char	buf[8192];
	size_t		sent = 0;
	unsigned	rooms;

	begin(1000);
	ask("POST", 1 << 20, 0);
	while (sent < (1 << 20)) {
		do
			sent += sizeof(buf);
		while (s->out.ops->data(&s->out, constant(str_make(buf,
		    sizeof(buf))), sent == (1 << 20) ? WAIST_END : 0) ==
		    FLOW_MORE && sent < (1 << 20));
		rooms = req.rooms;
		if (sent < (1 << 20))
			env_wait(&e, req.rooms > rooms);
	}
	env_wait(&e, e.out.n > sent);
	come("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	ck_assert(kept);
	ck_assert_uint_gt(req.rooms, 3);
	finish();
}
END_TEST

/* An answer before the request is through goes on; the connection ends. */
START_TEST(early)
{
	begin(4096);
	ask("POST", 10, 0);
	s->out.ops->data(&s->out, constant(STR("01234")), 0);
	env_run(&e);
	come("HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nno");
	ck_text(&e.log, "res head 403 No;");
	s->out.ops->data(&s->out, constant(STR("5")), 0);
	come("pe");
	ck_text(&res.got, "nope");
	ck_text(&e.log, "res head 403 No;res end;closed well;");
	ck_assert_uint_eq(req.stops, 1);
	finish();
}
END_TEST

/* The server closed after an answer that is still in the socket. */
START_TEST(early_in_socket)
{
	static char	big[40000];
	char		answer[] = "HTTP/1.1 413 Big\r\nContent-Length: 2\r\n"
	    "Connection: close\r\n\r\nno";
	struct iovec	v = { answer, sizeof(answer) - 1 };
	size_t		n;

	begin(65536);
	ask("POST", 1000000, 0);
	env_run(&e);
	ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &n), IO_OK);
	io_close(e.peer, false);
	s->out.ops->data(&s->out, constant(str_make(big, sizeof(big))), 0);
	env_run(&e);
	ck_text(&e.log, "res head 413 Big;res end;closed well;");
	finish();
}
END_TEST

START_TEST(send_error)
{
	static char	big[40000];

	begin(1000);
	ask("POST", 1000000, 0);
	s->out.ops->data(&s->out, constant(str_make(big, sizeof(big))), 0);
	ev_turn(e.ev, 0);
	io_close(e.peer, true);
	env_run(&e);
	ck_assert(why_closed == FAIL_SEND_ERROR ||
	    why_closed == FAIL_RESET_BEFORE_HEAD);
	ck_assert_uint_eq(req.stops, 1);
	finish();
}
END_TEST

START_TEST(aborted)
{
	begin(4096);
	ask("POST", 10, 0);
	s->out.ops->data(&s->out, constant(STR("01234")), 0);
	env_run(&e);
	if (_i == 0)
		s->out.ops->abort(&s->out, FAIL_CLIENT_GONE);
	else
		s->in.ops->stop(&s->in, FAIL_CLIENT_GONE);
	ck_assert_ptr_nonnull(s);
	env_run(&e);
	ck_assert_int_eq(why_closed, FAIL_CLIENT_GONE);
	ck_assert(!kept && e.eof + e.reset > 0);
	finish();
}
END_TEST

/* --- credit of the response --- */

START_TEST(in_credit)
{
	begin(65536);
	ask("GET", 0, WAIST_END);
	res.keep = true;
	res.sink.credit = 3;
	env_run(&e);
	come(_i == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" :
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n0\r\n\r\n");
	ck_text(&res.got, "hel");
	res.sink.credit = 10;
	s->in.ops->room(&s->in);
	env_run(&e);
	ck_text(&res.got, "hello");
	ck_assert(kept);
	finish();
}
END_TEST

/* What there is no credit for stays in the transport. */
START_TEST(pauses)
{
	static char	buf[30000];
	struct iovec	v = { buf, sizeof(buf) };
	size_t		n;
	size_t		total = 0;

	begin(20000);
	ask("GET", 0, WAIST_END);
	res.keep = true;
	res.sink.credit = 1000;
	env_run(&e);
	come("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
	while (total < 300000) {
		if (v.iov_len > 300000 - total)
			v.iov_len = 300000 - total;
		if (io_writev(e.peer, &v, 1, 0, &n) == IO_AGAIN) {
			ck_assert_uint_le(total, res.got.n + 20000 + 16384);
			res.sink.credit += 5000;
			s->in.ops->room(&s->in);
		}
		total += n;
		ev_turn(e.ev, 0);
	}
	res.sink.credit = 300000;
	if (s != NULL)
		s->in.ops->room(&s->in);
	env_run(&e);
	ck_assert_uint_eq(res.got.n, 300000);
	ck_assert(kept);
	finish();
}
END_TEST

/* --- upgrade, close --- */

START_TEST(upgrade)
{
	struct chunk	rest;
	struct io	*io;

	begin(4096);
	s = h1_client.request(e.c, &arena);
	nstreams++;
	s->up = &up;
	tank_init(&res, &e.log, "res");
	waist_join(&s->in, &res.sink);
	m = (struct msg){ .method = STR("GET"), .target = STR("/x"),
	    .meth = METHOD_GET, .authority = STR("a"), .upgrade = true,
	    .protocol = STR("x"), .minor = 1 };
	s->out.ops->head(&s->out, &m, WAIST_END);
	env_run(&e);
	come("HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
	    "bytes");
	ck_text(&e.log, "res head 101 S upgrade;");
	io = h1_client.take(e.c, &rest);
	ck_assert_ptr_eq(io, e.io);
	ck_assert(str_eq(str_make(rest.u.mem.p, rest.n), STR("bytes")));
	chunk_drop(&rest);
	h1_client.close(e.c, FAIL_NONE);
	ck_assert(io->open);
	io->on = env_on_peer;
	io_close(io, false);
	finish();
}
END_TEST

START_TEST(closed_from_above)
{
	begin(4096);
	get();
	h1_client.close(e.c, FAIL_DRAINING);
	ck_text(&e.log, "res abort draining;closed draining;");
	finish();
}
END_TEST

/* Over real sockets, with an answer larger than their buffers. */
START_TEST(sockets)
{
	size_t		 n = 4 << 20;
	char		*body = must_calloc(1, n);
	struct text	 t;

	env_init(&e);
	env_sockets(&e, 0);
	e.c = h1_client.open(e.io, &e.env, &e);
	arena_init(&arena, &e.arenas);
	nclosed = nstreams = 0;
	ev_turn(e.ev, 0);
	get();
	text_init(&t);
	text_fmt(&t, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
	text_add(&t, str_make(body, n));
	env_send(&e, text_str(&t), 0);
	env_wait(&e, s == NULL);
	ck_assert_uint_eq(res.got.n, n);
	ck_assert(kept);
	text_fini(&t);
	free(body);
	finish();
}
END_TEST

static Suite *
suite(void)
{
	Suite	*su = suite_create("h1_client");
	TCase	*t = tcase_create("all");
	int	 n = (int)(sizeof(cases) / sizeof(cases[0]));

	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, whole, 0, n);
	tcase_add_loop_test(t, by_bytes, 0, n);
	tcase_add_test(t, head_method);
	tcase_add_test(t, again);
	tcase_add_loop_test(t, surplus, 0, 2);
	tcase_add_loop_test(t, while_idle, 0, 3);
	tcase_add_loop_test(t, before_asked, 0, 3);
	tcase_add_test(t, too_many_interims);
	tcase_add_test(t, body_by_length);
	tcase_add_test(t, body_chunked);
	tcase_add_loop_test(t, body_wrong, 0, 2);
	tcase_add_test(t, out_credit);
	tcase_add_test(t, early);
	tcase_add_test(t, early_in_socket);
	tcase_add_test(t, send_error);
	tcase_add_loop_test(t, aborted, 0, 2);
	tcase_add_loop_test(t, in_credit, 0, 2);
	tcase_add_test(t, pauses);
	tcase_add_test(t, upgrade);
	tcase_add_test(t, closed_from_above);
	tcase_add_test(t, sockets);
	suite_add_tcase(su, t);
	return su;
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
