/*
 * The server side of HTTP/1.1 against a scripted floor above: framing of
 * responses, keep-alive, pipelining, bodies, limits, times, ends.
 */
#include "h1_env.h"

/* a request as the floor above sees it; the latest one */
struct req {
	struct stream	*s;		/* NULL once closed */
	struct h1_tank	 tank;
	struct h1_tap	 tap;
	struct msg	 res;
	struct str	 target;
	unsigned	 nlast;
	uint64_t	 sent_at_last;
};

static struct h1_env	e;
static struct req	r;
static unsigned		nrequest, nclosed;
static enum fail	closed_why;

static struct chunk
constant(struct str s)
{
	struct chunk	c = { .kind = CHUNK_CONST, .n = s.n };

	c.u.mem.p = s.p;
	return c;
}

static void
head(unsigned status, int64_t body, unsigned flags)
{
	r.res = (struct msg){ .status = (uint16_t)status, .body = body,
	    .minor = 1 };
	r.s->out.ops->head(&r.s->out, &r.res, flags);
}

static enum flow
data(struct str s, unsigned flags)
{
	return r.s->out.ops->data(&r.s->out, constant(s), flags);
}

static void
reply(struct str text)
{
	head(200, (int64_t)text.n, 0);
	data(text, WAIST_END);
}

static void
reply_chunked(void)
{
	struct hdr	h = { .name = STR("X-Sum"), .val = STR("3") };
	struct hdrs	hs = { .v = &h, .n = 1, .cap = 1 };

	head(200, BODY_UNKNOWN, 0);
	data(STR("ab"), 0);
	data(STR("c"), 0);
	r.s->out.ops->trailers(&r.s->out, &hs);
	r.s->out.ops->end(&r.s->out);
}

static void
join(void)
{
	waist_join(&r.s->in, &r.tank.sink);
}

static void
act(struct stream *s)
{
	if (str_eq(r.target, STR("/hello")) || s->fail != FAIL_NONE)
		reply(s->fail == FAIL_NONE ? STR("hello") : STR("bad"));
	else if (str_eq(r.target, STR("/chunked")))
		reply_chunked();
	else if (str_eq(r.target, STR("/read")))
		join();
	else if (str_eq(r.target, STR("/stop"))) {
		s->in.ops->stop(&s->in, FAIL_NONE);
		reply(STR("hello"));
	}
}

static void
on_request(struct stream *s)
{
	nrequest++;
	ck_assert_ptr_eq(s->ctx, &e);
	ck_assert_uint_gt(s->begun_ns, 0);
	text_fini(&r.tank.got);
	r = (struct req){ .s = s };
	tank_init(&r.tank, &e.log, "in");
	r.tap.src.ops = &tap_ops;
	waist_join(&r.tap.src, &s->out);
	r.target = s->head->target;
	text_fmt(&e.log, "%.*s %.*s", STR_FMT(s->head->method),
	    STR_FMT(r.target));
	if (s->fail != FAIL_NONE)
		text_fmt(&e.log, " %s", fail_row(s->fail)->name);
	text_c(&e.log, ';');
	act(s);
}

static void
on_last(struct stream *s)
{
	ck_assert_ptr_eq(s, r.s);
	ck_assert_uint_eq(r.nlast, 0);
	r.nlast++;
	r.sent_at_last = s->sent;
}

static void
on_closed(struct stream *s, enum fail why)
{
	ck_assert_ptr_eq(s, r.s);
	nclosed++;
	closed_why = why;
	text_fmt(&e.log, "closed %s;", why == FAIL_NONE ? "well" :
	    fail_row(why)->name);
	r.s = NULL;
}

static const struct stream_up up = { on_request, on_last, on_closed };

static void
setup(void)
{
	env_init(&e);
	e.env.up = &up;
	r = (struct req){ .s = NULL };
	nrequest = nclosed = 0;
}

static void
begin(size_t size)
{
	env_pipe(&e, size);
	e.c = h1_server.open(e.io, &e.env, &e);
	ev_turn(e.ev, 0);
}

/* The connection as it must be after any test. */
static void
finish(void)
{
	if (e.c != NULL)
		h1_server.close(e.c, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(e.ngone, 1);
	ck_assert_uint_eq(nclosed, nrequest);
	text_fini(&r.tank.got);
	env_fini(&e);
}

static void
say(const char *s)
{
	env_send(&e, str_from(s), 0);
	env_run(&e);
}

#define OK5	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define OK5C	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"		\
		"Connection: close\r\n\r\nhello"
#define H	"Host: a\r\n"

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

/* --- credit of the response, last, files --- */

START_TEST(out_credit)
{
	struct str	block;
	char		buf[8192];
	size_t		sent = 0;
	unsigned	rooms = 0;

	memset(buf, 'x', sizeof(buf));
	block = str_make(buf, sizeof(buf));
	setup();
	begin(1000);
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	head(200, BODY_UNKNOWN, 0);
	while (sent < (1 << 20)) {
		while (sent < (1 << 20) && data(block, 0) == FLOW_MORE)
			sent += sizeof(buf);
		sent += sizeof(buf);
		ck_assert_int_le(r.s->out.credit, 0);
		rooms = r.tap.rooms;
		env_wait(&e, r.tap.rooms > rooms);
		ck_assert_uint_eq(r.tap.rooms, rooms + 1);
		ck_assert_int_gt(r.s->out.credit, 0);
	}
	r.s->out.ops->end(&r.s->out);
	env_wait(&e, r.s == NULL);
	env_run(&e);
	ck_assert_uint_gt(e.out.n, sent);
	ck_assert(str_ends(text_str(&e.out), STR("\r\n0\r\n\r\n")));
	ck_assert_uint_eq(r.nlast, 1);
	ck_assert_uint_gt(rooms, 3);
	finish();
}
END_TEST

static int
make_file(size_t n)
{
	char	name[] = "/tmp/test_h1_XXXXXX";
	int	fd = mkstemp(name);
	char	b;

	ck_assert_int_ge(fd, 0);
	unlink(name);
	for (size_t i = 0; i < n; i++) {
		b = (char)('a' + i % 26);
		if (i % 4096 == 0)
			ck_assert_int_eq(ftruncate(fd, (off_t)n), 0);
		if (i < 100 || i + 100 > n)
			ck_assert_int_eq(pwrite(fd, &b, 1, (off_t)i), 1);
	}
	return fd;
}

/* By sendfile and by pages; the last call comes before the last byte. */
START_TEST(file_range)
{
	size_t		n = 3 << 20;
	struct file	*f = file_new(make_file(n));
	struct chunk	c = { .kind = CHUNK_FILE, .n = n - 10 };

	setup();
	if (_i == 0)
		begin(10000);
	else {
		env_sockets(&e, IO_C_TRY);
		e.c = h1_server.open(e.io, &e.env, &e);
	}
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	head(200, (int64_t)n - 10, 0);
	f->refs++;
	c.u.file.file = f;
	c.u.file.off = 10;
	r.s->out.ops->data(&r.s->out, c, WAIST_END);
	env_wait(&e, r.s == NULL);
	env_run(&e);
	ck_assert_uint_eq(e.out.n, n - 10 +
	    sizeof("HTTP/1.1 200 OK\r\nContent-Length: 3145718\r\n\r\n") - 1);
	ck_assert_uint_eq(r.nlast, 1);
	ck_assert_uint_lt(r.sent_at_last, n - 10);
	ck_assert_uint_eq(f->refs, 1);
	file_unref(&f);
	finish();
}
END_TEST

START_TEST(file_too_short)
{
	struct file	*f = file_new(make_file(200));
	struct chunk	c = { .kind = CHUNK_FILE, .n = 300 };

	setup();
	begin(10000);
	say("GET /wait HTTP/1.1\r\n" H "\r\n");
	head(200, 300, 0);
	c.u.file.file = f;
	r.s->out.ops->data(&r.s->out, c, WAIST_END);
	env_run(&e);
	ck_text(&e.log, "GET /wait;closed file_changed;");
	ck_assert(e.eof || e.reset);
	finish();
}
END_TEST

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

#define WAIT "GET /wait HTTP/1.1\r\n" H "\r\n"

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
	h1_server.drain(e.c);
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
	h1_server.drain(e.c);
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
	h1_server.drain(e.c);
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
	h1_server.drain(e.c);
	env_run(&e);
	ck_assert(!e.eof);
	reply(STR("hello"));
	env_run(&e);
	ck_text(&e.out, OK5C);
	ck_assert(e.eof);
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
	tcase_add_test(t, out_credit);
	tcase_add_loop_test(t, file_range, 0, 2);
	tcase_add_test(t, file_too_short);
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
	tcase_add_test(t, drain_with_request);
	tcase_add_test(t, drain_busy);
	tcase_add_test(t, request_limit);
	tcase_add_test(t, age_limit);
	tcase_add_test(t, many_pipelined);
	tcase_add_loop_test(t, large_head, 0, 2);
	tcase_add_test(t, lingers);
	tcase_add_test(t, lingers_only_so_far);
	tcase_add_loop_test(t, header_time, 0, 2);
	tcase_add_test(t, idle_time);
	tcase_add_test(t, body_time);
	tcase_add_test(t, body_time_ends);
	tcase_add_test(t, write_time);
	tcase_add_test(t, upgrade);
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
