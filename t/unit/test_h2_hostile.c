/*
 * What a peer of HTTP/2 may send for ever, frame by frame, to either side:
 * it takes no memory beyond the windows, and the connection ends.
 */
#include "h2_frames.h"

/* --- heads --- */

/* Trailers that end nothing come again and again: none is kept. */
START_TEST(test_trailers)
{
	char	more[90];
	size_t	used;

	memset(more, AGAIN[0], sizeof(more));
	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	ck_assert_uint_eq(nex, 1);
	used = exs[0].s->arena->used;
	put(NGHTTP2_HEADERS, WHOLE, 1, more, sizeof(more));
	ck_assert_int_eq(exs[0].tank.why, FAIL_BAD_TRAILER);
	for (unsigned i = 0; i < 90; i++)
		put(NGHTTP2_HEADERS, WHOLE, 1, more, sizeof(more));
	ck_assert_ptr_nonnull(exs[0].s);
	ck_assert_uint_eq(exs[0].s->arena->used, used);
	/* with an end they are too late */
	put(NGHTTP2_HEADERS, WHOLE | END, 1, more, sizeof(more));
	ck_assert_uint_eq(exs[0].s->arena->used, used);
	env_run(&e);
	ck_assert_int_le(goaway(), 0);
	ck_assert_ptr_nonnull(e.c);
}
END_TEST

START_TEST(test_trailers_for_ever)
{
	char	more[90];

	memset(more, AGAIN[0], sizeof(more));
	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	for (unsigned i = 0; i < 800; i++)
		put(NGHTTP2_HEADERS, WHOLE, 1, more, sizeof(more));
	ck_assert_int_eq(goaway(), NGHTTP2_ENHANCE_YOUR_CALM);
	ck_assert_int_eq(exs[0].why, FAIL_H2_MADE_RESET_FLOOD);
}
END_TEST

/* Nobody reads them, but they have a bound nevertheless. */
START_TEST(test_trailers_bomb)
{
	static char	more[16384];

	memset(more, AGAIN[0], sizeof(more));
	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	put(NGHTTP2_HEADERS, WHOLE, 1, more, sizeof(more));
	ck_assert_int_eq(goaway(), NGHTTP2_ENHANCE_YOUR_CALM);
	ck_assert_int_eq(exs[0].why, FAIL_H2_HEADER_FLOOD);
}
END_TEST

/* --- bodies --- */

#define PIECES	60000
#define HELD	(256 << 10)	/* bytes in pages that a window may cost */

/* A body of pieces of one byte, each in a turn of its own. */
static void
send_pieces(int32_t id)
{
	for (unsigned i = 0; i < PIECES; i++)
		put(NGHTTP2_DATA, 0, id, i % 2 ? "b" : "a", 1);
}

/* Nobody takes any of it: it takes the room that its bytes take. */
static void
check_pieces(struct ex *x)
{
	struct source	*in = &x->s->in;

	ck_assert_uint_eq(x->tank.got.n, 0);
	ck_assert_uint_le(e.pages.live, HELD);
	ck_assert_uint_le(x->s->arena->used, 65536);
	x->tank.sink.credit = 2 * PIECES;
	in->ops->room(in);
	env_run(&e);
	ck_assert_uint_eq(x->tank.got.n, PIECES);
	for (unsigned i = 0; i < PIECES; i++)
		ck_assert_int_eq(x->tank.got.p[i], i % 2 ? 'b' : 'a');
	/* and none when it was taken */
	ck_assert_uint_le(e.pages.live, PAGE_BYTES);
}

START_TEST(test_pieces)
{
	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	send_pieces(1);
	check_pieces(&exs[0]);
	ck_assert_int_eq(goaway(), -1);
}
END_TEST

/* Large pieces are not copied, and stand in order with the small. */
START_TEST(test_mixed_pieces)
{
	static const size_t	sizes[] = { 1, 2048, 2049, 5, 9000, 2000,
		2000, 2000, 2000, 2000, 2000, 2000, 2000, 3, 16000, 1 };
	static char		body[16000];
	size_t			sum = 0, n = sizeof(sizes) / sizeof(*sizes);
	struct ex		*x = &exs[0];

	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	for (unsigned i = 0; i < n; i++) {
		memset(body, 'a' + (int)i, sizeof(body));
		put(NGHTTP2_DATA, i == n - 1 ? END : 0, 1, body, sizes[i]);
		x->tank.sink.credit = i % 3 == 0 ? 3000 : 0;
		x->s->in.ops->room(&x->s->in);
		env_run(&e);
	}
	x->tank.sink.credit = 1 << 20;
	x->s->in.ops->room(&x->s->in);
	env_run(&e);
	ck_assert(x->tank.end);
	for (unsigned i = 0; i < n; sum += sizes[i++])
		for (size_t at = sum; at < sum + sizes[i]; at++)
			ck_assert_int_eq(x->tank.got.p[at], 'a' + (int)i);
	ck_assert_uint_eq(x->tank.got.n, sum);
}
END_TEST

/* What is given back beyond the window: nothing, when memory is short. */
START_TEST(test_short)
{
	struct ex	*x = &exs[0];
	struct seen	 f;

	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	e.pages.soft = 1;
	for (unsigned i = 0; i < 8; i++) {
		static char	body[8192];

		put(NGHTTP2_DATA, 0, 1, body, sizeof(body) - (i == 7));
	}
	for (unsigned i = 0; nth(i, &f); i++)
		ck_assert(f.type != NGHTTP2_WINDOW_UPDATE || f.id == 0);
	x->tank.sink.credit = 1 << 20;
	x->tank.keep = false;
	x->s->in.ops->room(&x->s->in);
	env_run(&e);
	ck_assert_uint_eq(x->tank.got.n, 65535);
}
END_TEST

/* Lengths that are not what was announced cost what resets cost. */
START_TEST(test_wrong_lengths)
{
	char	one[] = POST "\x0f\x0d\x01" "1";

	for (int32_t id = 1; id < 240 && e.peer->open; id += 2) {
		put(NGHTTP2_HEADERS, WHOLE, id, one, sizeof(one) - 1);
		PUT(NGHTTP2_DATA, id % 4 == 1 ? 0 : END, id,
		    "too much");
	}
	ck_assert_int_eq(goaway(), NGHTTP2_ENHANCE_YOUR_CALM);
}
END_TEST

/* Too short, and trailers that are none. */
START_TEST(test_wrong_ends)
{
	char	one[] = POST "\x0f\x0d\x01" "9";

	for (int32_t id = 1; id < 240 && e.peer->open; id += 2) {
		put(NGHTTP2_HEADERS, WHOLE, id, one, sizeof(one) - 1);
		if (id % 4 == 1)
			PUT(NGHTTP2_DATA, END, id, "1");
		else
			PUT(NGHTTP2_HEADERS, WHOLE | END, id, "\x84");
	}
	ck_assert_int_eq(goaway(), NGHTTP2_ENHANCE_YOUR_CALM);
}
END_TEST

/* --- what is counted --- */

/* A head that is refused pays for nothing. */
START_TEST(test_refused_head)
{
	for (int32_t id = 1; id < 140; id += 2) {
		PUT(NGHTTP2_HEADERS, WHOLE | END, id, "\x82");
		for (unsigned i = 0; i < 20; i++)
			PUT(NGHTTP2_PRIORITY, 0, 9999, "\0\0\0\0\1");
	}
	ck_assert_int_eq(goaway(), NGHTTP2_ENHANCE_YOUR_CALM);
	ck_assert_int_eq(exs[0].why, FAIL_H2_PRIORITY_FLOOD);
}
END_TEST

/* Nor do trailers, or their like. */
START_TEST(test_stream_pays_once)
{
	PUT(NGHTTP2_HEADERS, WHOLE, 1, POST);
	for (unsigned k = 0; k < 50; k++) {
		PUT(NGHTTP2_HEADERS, WHOLE, 1, AGAIN);
		for (unsigned i = 0; i < 20; i++)
			PUT(NGHTTP2_PRIORITY, 0, 9999, "\0\0\0\0\1");
	}
	ck_assert_int_eq(goaway(), NGHTTP2_ENHANCE_YOUR_CALM);
	ck_assert_int_eq(exs[0].why, FAIL_H2_PRIORITY_FLOOD);
}
END_TEST

/* A client opens many before it knows the limit: those it repeats. */
START_TEST(test_many_at_once)
{
	struct seen	f;
	unsigned	refused = 0;

	for (int32_t id = 1; id < 2 * (MAX + 500); id += 2)
		PUT(NGHTTP2_HEADERS, WHOLE, id, POST);
	for (unsigned i = 0; nth(i, &f); i++)
		if (f.type == NGHTTP2_RST_STREAM) {
			refused++;
			ck_assert_uint_eq(word(f.p),
			    NGHTTP2_REFUSED_STREAM);
		}
	ck_assert_uint_eq(refused, 500);
	ck_assert_uint_eq(nex, MAX);
	ck_assert_uint_eq(nclosed, 0);
	ck_assert_int_eq(goaway(), -1);
}
END_TEST

/* --- ends --- */

/* GOAWAY, PING, and with its answer the GOAWAY that counts. */
static void
check_notice(struct seen *ping)
{
	struct seen	f = { 0 };
	unsigned	n = 0, i = 0;

	env_run(&e);
	while (nth(i, &f) && f.type != NGHTTP2_GOAWAY)
		i++;
	ck_assert_uint_eq(f.type, NGHTTP2_GOAWAY);
	ck_assert_uint_eq(word(f.p), 0x7fffffff);
	ck_assert(nth(i + 1, ping) && ping->type == NGHTTP2_PING);
	for (; nth(i, &f); i++)
		n += f.type == NGHTTP2_GOAWAY;
	ck_assert_uint_eq(n, 1);
}

/* The last frame that came, and behind it the end. */
static void
check_last(uint32_t last)
{
	struct seen	f, end = { 0 };

	for (unsigned i = 0; nth(i, &f); i++)
		end = f;
	ck_assert_uint_eq(end.type, NGHTTP2_GOAWAY);
	ck_assert_uint_eq(word(end.p), last);
	ck_assert_uint_eq(word(end.p + 4), NGHTTP2_NO_ERROR);
	ck_assert(e.eof);
}

START_TEST(test_two_goaways)
{
	struct seen	ping;

	h2_server.drain(e.c, false);
	check_notice(&ping);
	put(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, (const char *)ping.p, 8);
	env_run(&e);
	check_last(0);
}
END_TEST

/* Nobody answers; a request that crossed the notice is told of. */
START_TEST(test_crossed)
{
	struct msg	m = { .status = 204, .body = BODY_NONE };
	struct seen	ping;

	h2_server.drain(e.c, false);
	check_notice(&ping);
	PUT(NGHTTP2_HEADERS, WHOLE | END, 1, GET);
	ck_assert_uint_eq(nex, 1);
	exs[0].s->out.ops->head(&exs[0].s->out, &m, WAIST_END);
	env_run(&e);
	ck_assert_uint_eq(nclosed, 1);
	ck_assert(!e.eof);
	env_wait(&e, e.eof);
	check_last(1);
}
END_TEST

/* --- accounts --- */

/* Bytes of the stream's HEADERS and DATA that came. */
static uint64_t
count_came(int32_t id)
{
	struct seen	f;
	uint64_t	sum = 0;

	for (unsigned i = 0; nth(i, &f); i++)
		if (f.id == id && (f.type == NGHTTP2_HEADERS ||
		    f.type == NGHTTP2_CONTINUATION ||
		    f.type == NGHTTP2_DATA))
			sum += H2_HEAD + f.n;
	return sum;
}

static struct sink *
answer(struct ex *x, unsigned status, int64_t body, unsigned flags)
{
	struct sink	*k = &x->s->out;

	x->m = (struct msg){ .status = (uint16_t)status, .body = body };
	k->ops->head(k, &x->m, flags);
	return k;
}

/* Frames that nghttp2 makes belong to their streams, the last as well. */
START_TEST(test_bytes)
{
	struct hdrs	hs = { 0 }, big = { 0 };
	struct arena	a;
	struct sink	*k;
	struct chunk	c = { .kind = CHUNK_CONST, .n = 5 };
	static char	val[60000];

	PUT(NGHTTP2_HEADERS, WHOLE | END, 1, HEAD);
	PUT(NGHTTP2_HEADERS, WHOLE | END, 3, GET);
	PUT(NGHTTP2_HEADERS, WHOLE | END, 5, GET);
	PUT(NGHTTP2_HEADERS, WHOLE | END, 7, GET);
	PUT(NGHTTP2_HEADERS, WHOLE | END, 9, GET);
	ck_assert_uint_eq(nex, 5);
	arena_init(&a, &e.arenas);
	answer(&exs[0], 200, 100, WAIST_END);
	answer(&exs[1], 204, BODY_NONE, WAIST_END);
	/* trailers */
	k = answer(&exs[2], 200, BODY_UNKNOWN, 0);
	c.u.mem.p = "hello";
	k->ops->data(k, c, 0);
	hdr_add_name(&a, &hs, STR("x-sum"), STR("1"));
	k->ops->trailers(k, &hs);
	k->ops->end(k);
	/* an end that comes behind the body */
	k = answer(&exs[3], 200, BODY_UNKNOWN, 0);
	k->ops->data(k, c, 0);
	env_run(&e);
	k->ops->end(k);
	/* a head in several frames */
	memset(val, 'v', sizeof(val));
	exs[4].m = (struct msg){ .status = 200, .body = BODY_NONE };
	hdr_add_name(&a, &big, STR("x-big"), str_make(val, sizeof(val)));
	exs[4].m.hdrs = big;
	k = &exs[4].s->out;
	k->ops->head(k, &exs[4].m, WAIST_END);
	env_run(&e);
	env_run(&e);
	ck_assert_uint_eq(nclosed, 5);
	for (int i = 0; i < 5; i++) {
		ck_assert(exs[i].lasted && exs[i].why == FAIL_NONE);
		ck_assert_uint_gt(exs[i].sent, H2_HEAD);
		ck_assert_uint_eq(exs[i].sent, count_came(2 * i + 1));
	}
	ck_assert_uint_gt(exs[4].sent, 60000 * 5 / 8);
	arena_fini(&a);
}
END_TEST

/*
 * The transport is full to the last byte, and nothing waits for it: an
 * answer of one frame is not out.
 */
START_TEST(test_not_out)
{
	struct chunk	c = { .kind = CHUNK_CONST, .n = FULL - 4 * H2_HEAD };
	static char	body[FULL];
	struct sink	*k;

	c.u.mem.p = body;
	PUT(NGHTTP2_SETTINGS, 0, 0, "\0\4\0\1\0\0");	/* a stream's */
	PUT(NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\1\0\0");	/* and all's */
	PUT(NGHTTP2_HEADERS, WHOLE | END, 1, GET);
	PUT(NGHTTP2_HEADERS, WHOLE | END, 3, HEAD);
	k = answer(&exs[0], 200, BODY_UNKNOWN, 0);
	env_run(&e);
	k->ops->data(k, c, 0);
	for (int i = 0; i < 8; i++)		/* the peer reads nothing */
		ev_turn(e.ev, 0);
	answer(&exs[1], 200, 5, WAIST_END);
	for (int i = 0; i < 8; i++)
		ev_turn(e.ev, 0);
	ck_assert_ptr_nonnull(exs[1].s);
	ck_assert_uint_eq(nclosed, 0);
	h2_server.close(e.c, FAIL_CLIENT_GONE);
	ck_assert_int_eq(exs[1].why, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(exs[1].sent, 0);
}
END_TEST

/* A window of one byte, again and again, keeps nothing alive. */
START_TEST(test_trickle)
{
	struct chunk	c = { .kind = CHUNK_CONST, .n = 5000 };
	static char	body[5000];
	struct sink	*k;
	uint64_t	begun, last;

	e.env.limits.write_ms = 200;
	c.u.mem.p = body;
	PUT(NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0");
	PUT(NGHTTP2_HEADERS, WHOLE | END, 1, GET);
	k = answer(&exs[0], 200, 5000, 0);
	k->ops->data(k, c, WAIST_END);
	begun = last = ev_clock_ns() / 1000000;
	while (exs[0].s != NULL && last < begun + PATIENCE_MS) {
		ev_turn(e.ev, 5);
		if (ev_clock_ns() / 1000000 < last + 20)
			continue;
		last = ev_clock_ns() / 1000000;
		PUT(NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1");
	}
	ck_assert_int_eq(exs[0].why, FAIL_WRITE_TIMEOUT);
	ck_assert_ptr_nonnull(e.c);
}
END_TEST

/* --- the other side --- */

static void
open_client(void)
{
	setup();
	e.c = h2_client.open(e.io, &e.env, &e);
	PUT(NGHTTP2_SETTINGS, 0, 0, "");
	env_run(&e);
}

static void
close_client(void)
{
	if (e.c != NULL)
		h2_client.close(e.c, FAIL_DRAINING);
	ck_assert_uint_eq(e.ngone, 1);
	ck_assert_uint_eq(nclosed, nex);
	for (unsigned i = 0; i < nex; i++) {
		text_fini(&exs[i].tank.got);
		arena_fini(&exs[i].arena);
	}
	env_fini(&e);
}

/* A request without a body. */
static struct ex *
ask(void)
{
	struct ex	*x = &exs[nex++];
	struct sink	*k;

	*x = (struct ex){ .why = FAIL_NONE };
	arena_init(&x->arena, &e.arenas);
	join(x, h2_client.request(e.c, &x->arena));
	x->s->up = &up;
	x->m = (struct msg){ .method = STR("GET"), .target = STR("/"),
	    .authority = STR("a"), .minor = 1, .meth = METHOD_GET };
	k = &x->s->out;
	k->ops->head(k, &x->m, WAIST_END);
	env_run(&e);
	return x;
}

START_TEST(test_answer_pieces)
{
	struct ex	*x = ask();

	PUT(NGHTTP2_HEADERS, WHOLE, 1, "\x88");
	send_pieces(1);
	check_pieces(x);
}
END_TEST

/* Heads of an answer that do not end it come again and again. */
START_TEST(test_answer_heads)
{
	char		more[90];
	struct ex	*x = ask();
	size_t		used;

	memset(more, AGAIN[0], sizeof(more));
	PUT(NGHTTP2_HEADERS, WHOLE, 1, "\x88\x40\x01x\x01y");
	used = x->arena.used;
	for (unsigned i = 0; i < 100; i++)
		put(NGHTTP2_HEADERS, WHOLE, 1, more, sizeof(more));
	ck_assert_int_eq(x->why, FAIL_BAD_RESPONSE_TRAILER);
	ck_assert_uint_le(x->arena.used, used + 65536);
}
END_TEST

/* For streams that have ended, too: the connection ends. */
START_TEST(test_answers_for_ever)
{
	struct ex	*other;

	ask();
	PUT(NGHTTP2_HEADERS, WHOLE | END, 1, "\x88");
	ck_assert_uint_eq(nclosed, 1);
	other = ask();
	for (unsigned i = 0; i < 800 && e.c != NULL; i++)
		PUT(NGHTTP2_HEADERS, WHOLE, 1, "\x88");
	ck_assert_ptr_null(e.c);
	ck_assert_int_eq(other->why, FAIL_SERVER_FLOOD);
}
END_TEST

/* Answers that cross a reset are no such thing. */
START_TEST(test_crossing_answers)
{
	struct ex	*x;

	for (unsigned i = 0; i < MAX - 1; i++) {
		x = ask();
		x->s->in.ops->stop(&x->s->in, FAIL_CLIENT_GONE);
		env_run(&e);
		ck_assert_ptr_null(x->s);
		for (unsigned k = 0; k < 4; k++)
			PUT(NGHTTP2_HEADERS, WHOLE, (int32_t)i * 2 + 1,
			    "\x88");
	}
	ck_assert_ptr_nonnull(e.c);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h2_hostile");
	TCase	*t = tcase_create("server");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, open_server, close_server);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_trailers);
	tcase_add_test(t, test_trailers_for_ever);
	tcase_add_test(t, test_trailers_bomb);
	tcase_add_test(t, test_pieces);
	tcase_add_test(t, test_mixed_pieces);
	tcase_add_test(t, test_short);
	tcase_add_test(t, test_wrong_lengths);
	tcase_add_test(t, test_wrong_ends);
	tcase_add_test(t, test_refused_head);
	tcase_add_test(t, test_stream_pays_once);
	tcase_add_test(t, test_many_at_once);
	tcase_add_test(t, test_two_goaways);
	tcase_add_test(t, test_crossed);
	tcase_add_test(t, test_bytes);
	tcase_add_test(t, test_not_out);
	tcase_add_test(t, test_trickle);
	suite_add_tcase(s, t);
	t = tcase_create("client");
	tcase_add_checked_fixture(t, open_client, close_client);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_answer_pieces);
	tcase_add_test(t, test_answer_heads);
	tcase_add_test(t, test_answers_for_ever);
	tcase_add_test(t, test_crossing_answers);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
