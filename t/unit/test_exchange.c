/*
 * Exchanges with a handler of the test's own: steps, answers, failures
 * before and after the head, bodies and their limit, ends of every kind.
 */
#include "serve_env.h"

#define LIMIT	"[limits]\nbody = 100\n[route r]\nrespond = 200 x\n"

/* what the handler was asked and told; one test, one process */
struct seen {
	struct env	 t;
	struct handler	 h;
	struct exchange	*x;
	unsigned	 starts, bodies, cuts;
	enum fail	 cut;
	/* the request's body */
	struct sink	 sink;
	uint64_t	 got;
	bool		 ended;
	unsigned	 aborts;
	enum fail	 abort;
	/* the answer's body */
	struct source	 source;
	unsigned	 stops;
};

static struct seen *
seen_of(struct exchange *x)
{
	return container_of(x->serve, struct seen, t.serve);
}

/* --- as a sink --- */

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct seen	*s = container_of(k, struct seen, sink);

	ck_assert_int_ge(k->credit, (int64_t)c.n);
	k->credit -= (int64_t)c.n;
	s->got += c.n;
	s->ended |= (flags & WAIST_END) != 0;
	chunk_drop(&c);
	return k->credit > 0 ? FLOW_MORE : FLOW_FULL;
}

static void
on_end(struct sink *k)
{
	container_of(k, struct seen, sink)->ended = true;
}

static void
on_abort(struct sink *k, enum fail why)
{
	struct seen	*s = container_of(k, struct seen, sink);

	s->aborts++;
	s->abort = why;
	exchange_fail(s->x, why, STR("body"));
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	(void)k;
	(void)hs;
}

static const struct sink_ops	sink_ops = { NULL, on_data, on_trailers,
	on_end, on_abort };

static void
read_body(struct seen *s, int64_t credit)
{
	struct source	*from = exchange_request(s->x);

	s->sink.ops = &sink_ops;
	s->sink.credit = credit;
	waist_join(from, &s->sink);
	from->ops->room(from);
}

/* --- as a source --- */

static void
on_room(struct source *src)
{
	(void)src;
}

static void
on_stop(struct source *src, enum fail why)
{
	(void)why;
	container_of(src, struct seen, source)->stops++;
}

static const struct source_ops	source_ops = {
	.room = on_room,
	.stop = on_stop
};

static void
start_answer(struct seen *s)
{
	struct msg	*m = exchange_new_head(s->x, 200);

	m->body = BODY_UNKNOWN;
	exchange_respond(s->x, m, 0);
}

static void
give(struct seen *s, const char *text, unsigned flags)
{
	struct sink	*to = s->source.to;
	struct chunk	 c = { .kind = CHUNK_CONST, .n = strlen(text) };

	c.u.mem.p = text;
	to->ops->data(to, c, flags);
}

/* --- the handler --- */

static void
start(struct exchange *x)
{
	struct seen	*s = seen_of(x);

	s->starts++;
	s->x = x;
	if (str_starts(x->path, STR("/reply"))) {
		exchange_reply(x, 200, STR("text/plain"), STR("first"));
		exchange_reply(x, 200, STR("text/plain"), STR("second"));
		exchange_handler_done(x);
	} else if (str_eq(x->path, STR("/fail")))
		exchange_fail(x, FAIL_NO_SERVER, STR("because"));
	else if (str_eq(x->path, STR("/read")))
		read_body(s, 1000);
	else if (str_eq(x->path, STR("/slow")))
		read_body(s, 4);
	else if (str_eq(x->path, STR("/stream")))
		start_answer(s);
}

static void
body(struct exchange *x)
{
	struct seen	*s = seen_of(x);

	s->bodies++;
	s->source.ops = &source_ops;
	waist_join(&s->source, exchange_body(x));
}

static void
cut(struct exchange *x, enum fail why)
{
	struct seen	*s = seen_of(x);

	s->cuts++;
	s->cut = why;
	exchange_handler_done(x);
}

static struct seen *
setup(const char *conf)
{
	struct seen	*s = must_calloc(1, sizeof(*s));

	env_init(&s->t);
	s->h = (struct handler){ .name = "probe", .start = start,
	    .body = body, .abort = cut };
	s->t.serve.only = &s->h;
	env_conf(&s->t, conf);
	return s;
}

static void
teardown(struct seen *s)
{
	env_fini(&s->t);
	free(s);
}

static void
done(struct seen *s, struct cli **c)
{
	exchange_handler_done(s->x);
	cli_end(&s->t, *c);
	cli_close(c);
}

#define HOST	"Host: a\r\n"
#define LAST	"Connection: close\r\n"

/* --- targets and methods --- */

START_TEST(methods_of_the_server)
{
	struct seen	*s = setup(LIMIT);
	const char	*a;

	a = env_ask(&s->t, "OPTIONS *", "");
	env_has(a, "HTTP/1.1 204 ");
	env_has(a, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n");
	a = env_ask(&s->t, "TRACE /", "");
	env_has(a, "HTTP/1.1 405 ");
	env_has(a, "trace_refused");
	env_has(a, "Allow: GET, ");
	env_has(env_ask(&s->t, "GET *", ""), "HTTP/1.1 400 ");
	ck_assert_uint_eq(s->starts, 0);
	teardown(s);
}
END_TEST

START_TEST(one_path)
{
	struct seen	*s = setup(LIMIT);

	env_has(env_ask(&s->t, "GET http://t.example/a/../reply?x", ""),
	    "first");
	env_has(env_ask(&s->t, "GET http://t.example", "X: y\r\n"
	    "Content-Length: 101\r\n"), "HTTP/1.1 413 ");
	env_has(env_ask(&s->t, "GET /../reply", ""), "path_above_root");
	env_has(env_ask(&s->t, "GET /%00", ""), "bad_path");
	teardown(s);
}
END_TEST

/* UUIDv7 of our own, whatever the client says. */
START_TEST(request_id)
{
	struct seen	*s = setup(LIMIT);
	const char	*a;
	char		 ids[2][37];

	for (int i = 0; i < 2; i++) {
		a = env_ask(&s->t, "GET /reply", "X-Request-ID: mine\r\n");
		env_lacks(a, "mine");
		a = strstr(a, "X-Request-Id: ");
		ck_assert_ptr_nonnull(a);
		memcpy(ids[i], a + 14, 36);
		ids[i][36] = '\0';
		ck_assert_uint_eq(strspn(ids[i], "0123456789abcdef-"), 36);
		ck_assert_int_eq(ids[i][14], '7');
		ck_assert_ptr_nonnull(strchr("89ab", ids[i][19]));
	}
	ck_assert_int_lt(strncmp(ids[0], ids[1], 13), 1);
	ck_assert_str_ne(ids[0], ids[1]);
	teardown(s);
}
END_TEST

/* --- answers --- */

START_TEST(first_answer_counts)
{
	struct seen	*s = setup(LIMIT);
	const char	*a = env_ask(&s->t, "GET /reply", "");

	env_has(a, "first");
	env_lacks(a, "second");
	ck_assert_uint_eq(s->cuts, 0);
	teardown(s);
}
END_TEST

START_TEST(failure_before_the_head)
{
	struct seen	*s = setup(LIMIT);
	const char	*a = env_ask(&s->t, "GET /fail",
	    "Accept: application/json\r\n");

	env_has(a, "HTTP/1.1 503 ");
	env_has(a, "\"fail\":\"no_server\"");
	env_has(a, "Retry-After: ");
	/* it did not say that it is done */
	ck_assert_uint_eq(s->cuts, 1);
	teardown(s);
}
END_TEST

START_TEST(failure_after_the_head)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
	env_until(&s->t, &s->bodies, 1);
	give(s, "some", 0);
	cli_expect(&s->t, c, "some");
	exchange_fail(s->x, FAIL_RESET_IN_BODY, STR("gone"));
	cli_end(&s->t, c);
	env_lacks(c->buf, "0\r\n\r\n");
	cli_close(&c);
	ck_assert_uint_eq(s->cuts, 1);
	teardown(s);
}
END_TEST

START_TEST(generation_goes_with_the_head)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "GET /wait HTTP/1.1\r\n" HOST LAST "\r\n");
	env_until(&s->t, &s->starts, 1);
	ck_assert_uint_eq(s->t.gens.cur->uses, 2);
	start_answer(s);
	env_until(&s->t, &s->bodies, 1);
	ck_assert_uint_eq(s->t.gens.cur->uses, 1);
	env_conf(&s->t, LIMIT);
	ck_assert_uint_eq(gen_count(&s->t.gens), 1);
	give(s, "all", WAIST_END);
	done(s, &c);
	teardown(s);
}
END_TEST

START_TEST(too_old_generation_is_ended)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "GET /wait HTTP/1.1\r\n" HOST LAST "\r\n");
	env_until(&s->t, &s->starts, 1);
	env_conf(&s->t, LIMIT);
	ck_assert_uint_eq(gen_count(&s->t.gens), 2);
	s->t.log.level = LOG_ERR;
	exchange_expire(&s->t.serve, 2);
	ck_assert_uint_eq(s->cuts, 0);
	exchange_expire(&s->t.serve, 1);
	ck_assert_uint_eq(s->cuts, 1);
	cli_end(&s->t, c);
	env_has(c->buf, "generation_expired");
	cli_close(&c);
	ck_assert_uint_eq(gen_count(&s->t.gens), 1);
	teardown(s);
}
END_TEST

START_TEST(interim_answers)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "GET /wait HTTP/1.1\r\n" HOST LAST "\r\n");
	env_until(&s->t, &s->starts, 1);
	exchange_interim(s->x, exchange_new_head(s->x, 103));
	cli_expect(&s->t, c, "HTTP/1.1 103 ");
	exchange_reply(s->x, 200, STR("text/plain"), STR("end"));
	exchange_handler_done(s->x);
	cli_end(&s->t, c);
	env_has(c->buf, "end");
	cli_close(&c);
	ck_assert_uint_eq(s->t.board.stat[STAT_STATUS_1XX], 1);
	teardown(s);
}
END_TEST

START_TEST(head_has_no_body)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "HEAD /stream HTTP/1.1\r\n" HOST LAST "\r\n");
	cli_end(&s->t, c);
	env_has(c->buf, "HTTP/1.1 200 ");
	cli_close(&c);
	ck_assert_uint_eq(s->bodies, 0);
	ck_assert_uint_eq(s->cuts, 1);
	ck_assert_int_eq(s->cut, FAIL_NONE);
	teardown(s);
}
END_TEST

/* --- the client's end --- */

/* By a reset always; by its end if the handler waits for somebody. */
START_TEST(client_leaves_a_waiting_one)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);
	struct linger	 reset = { _i == 0, 0 };

	s->h.waits = _i == 1;
	cli_send(c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
	env_until(&s->t, &s->starts, 1);
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	cli_close(&c);
	env_until(&s->t, &s->cuts, 1);
	ck_assert_int_eq(s->cut, FAIL_CLIENT_GONE);
	env_until(&s->t, &s->t.serve.nexchange, 0);
	teardown(s);
}
END_TEST

START_TEST(all_are_ended)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
	env_until(&s->t, &s->starts, 1);
	exchange_abort_all(&s->t.serve, FAIL_DRAINING, true);
	ck_assert_int_eq(s->cut, FAIL_DRAINING);
	cli_end(&s->t, c);
	cli_close(&c);
	env_until(&s->t, &s->t.serve.nexchange, 0);
	ck_assert_uint_eq(s->cuts, 1);
	teardown(s);
}
END_TEST

/* --- request bodies --- */

START_TEST(length_over_the_limit)
{
	struct seen	*s = setup(LIMIT);
	const char	*a;

	a = env_ask(&s->t, "POST /read", "Content-Length: 101\r\n");
	env_has(a, "HTTP/1.1 413 ");
	env_has(a, "Connection: close\r\n");
	ck_assert_uint_eq(s->starts, 0);
	teardown(s);
}
END_TEST

START_TEST(chunks_within_the_limit)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "POST /read HTTP/1.1\r\n" HOST LAST
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "32\r\n01234567890123456789012345678901234567890123456789\r\n"
	    "32\r\n01234567890123456789012345678901234567890123456789\r\n");
	while (s->got < 100)
		ev_turn(s->t.ev, 2);
	ck_assert(!s->ended);
	cli_send(c, "0\r\n\r\n");
	while (!s->ended)
		ev_turn(s->t.ev, 2);
	exchange_reply(s->x, 200, STR("text/plain"), STR("thanks"));
	exchange_handler_done(s->x);
	cli_end(&s->t, c);
	env_has(c->buf, "thanks");
	cli_close(&c);
	ck_assert_uint_eq(s->aborts, 0);
	teardown(s);
}
END_TEST

START_TEST(chunks_over_the_limit)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "POST /read HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "32\r\n01234567890123456789012345678901234567890123456789\r\n");
	while (s->got < 50)
		ev_turn(s->t.ev, 2);
	cli_send(c,
	    "33\r\n012345678901234567890123456789012345678901234567890\r\n");
	cli_expect(&s->t, c, "HTTP/1.1 413 ");
	cli_expect(&s->t, c, "body_too_large");
	ck_assert_uint_le(s->got, 100);
	ck_assert_uint_eq(s->aborts, 1);
	ck_assert_int_eq(s->abort, FAIL_BODY_TOO_LARGE);
	cli_end(&s->t, c);
	cli_close(&c);
	ck_assert_uint_eq(s->cuts, 1);
	teardown(s);
}
END_TEST

START_TEST(credit_holds)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "POST /slow HTTP/1.1\r\n" HOST LAST
	    "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n");
	while (s->got < 4)
		ev_turn(s->t.ev, 2);
	for (int i = 0; i < 5; i++)
		ev_turn(s->t.ev, 1);
	ck_assert_uint_eq(s->got, 4);
	s->sink.credit = 100;
	s->sink.from->ops->room(s->sink.from);
	while (!s->ended)
		ev_turn(s->t.ev, 2);
	ck_assert_uint_eq(s->got, 10);
	exchange_reply(s->x, 200, STR("text/plain"), STR("ok"));
	exchange_handler_done(s->x);
	cli_end(&s->t, c);
	cli_close(&c);
	teardown(s);
}
END_TEST

START_TEST(body_that_is_cut)
{
	struct seen	*s = setup(LIMIT);
	struct cli	*c = cli_open(&s->t);

	cli_send(c, "POST /read HTTP/1.1\r\n" HOST
	    "Content-Length: 50\r\n\r\nfew");
	while (s->got < 3)
		ev_turn(s->t.ev, 2);
	shutdown(c->fd, SHUT_WR);
	cli_end(&s->t, c);
	env_has(c->buf, "body_cut");
	ck_assert_int_eq(s->abort, FAIL_BODY_CUT);
	cli_close(&c);
	teardown(s);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("exchange");
	TCase	*tc = tcase_create("exchange");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, methods_of_the_server);
	tcase_add_test(tc, one_path);
	tcase_add_test(tc, request_id);
	tcase_add_test(tc, first_answer_counts);
	tcase_add_test(tc, failure_before_the_head);
	tcase_add_test(tc, failure_after_the_head);
	tcase_add_test(tc, generation_goes_with_the_head);
	tcase_add_test(tc, too_old_generation_is_ended);
	tcase_add_test(tc, interim_answers);
	tcase_add_test(tc, head_has_no_body);
	tcase_add_loop_test(tc, client_leaves_a_waiting_one, 0, 2);
	tcase_add_test(tc, all_are_ended);
	tcase_add_test(tc, length_over_the_limit);
	tcase_add_test(tc, chunks_within_the_limit);
	tcase_add_test(tc, chunks_over_the_limit);
	tcase_add_test(tc, credit_holds);
	tcase_add_test(tc, body_that_is_cut);
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
