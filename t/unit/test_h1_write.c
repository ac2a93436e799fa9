/*
 * Heads, chunks and trailers as they are written: framing is our own, and
 * no value can end its line.
 */
#include <check.h>
#include <stdlib.h>

#include "codec/h1/h1.h"

#define DATE	"Sun, 06 Nov 1994 08:49:37 GMT"

static struct arena	a;
static struct text	t;
static struct msg	m;

static void
setup(void)
{
	arena_init(&a, NULL);
	text_init(&t);
	m = (struct msg){ .method = STR("GET"), .meth = METHOD_GET,
	    .authority = STR("a.example"), .target = STR("/x?y") };
}

static void
teardown(void)
{
	text_fini(&t);
	arena_fini(&a);
}

static void
add(const char *name, struct str val)
{
	hdr_add_name(&a, &m.hdrs, str_from(name), val);
}

static void
expect(const char *want)
{
	ck_assert_msg(str_eq(text_str(&t), str_from(want)),
	    "expected\n%sbut was\n%.*s", want, STR_FMT(t));
}

static void
request(bool chunked, const char *want)
{
	t.n = 0;
	h1_write_request(&t, &m, chunked);
	expect(want);
}

/* Lines that stand as they came are copied as such, and only those. */
START_TEST(lines_as_they_came)
{
	static const struct codec_limits lim = { .header_bytes = 4096,
	    .header_field = 4096, .header_count = 100, .target = 1000 };
	struct h1_framing		 f;

	ck_assert_int_eq(h1_parse_request(STR("GET /x?y HTTP/1.1\r\n"
	    "Aa: 1\r\nBb: 2\r\nHost: a.example\r\nCc:3\r\nDd: 4 \r\n"
	    "Ee:  5\r\nFf: \r\nConnection: Gg\r\nGg: 6\r\nHh: 7\r\n"
	    "Ii: 8\r\nJj: 9\r\n\r\n"), &lim, &a, &m, &f), FAIL_NONE);
	/* one of a run is taken out, one is another's */
	m.hdrs.v[m.hdrs.n - 3].flags |= HDR_F_DEAD;
	hdr_add(&a, &m.hdrs, HDR_VIA, STR("1.1 b"));
	request(false, "GET /x?y HTTP/1.1\r\nHost: a.example\r\nAa: 1\r\n"
	    "Bb: 2\r\nCc: 3\r\nDd: 4\r\nEe: 5\r\nFf: \r\n"
	    "Ii: 8\r\nJj: 9\r\nVia: 1.1 b\r\n\r\n");
	m.hdrs.n = 0;
	m.host = STR_NONE;
	m.authority = STR("a b");
	request(false, "GET /x?y HTTP/1.1\r\nHost: \r\n\r\n");
}
END_TEST

static void
response(unsigned status, struct h1_out o, const char *want)
{
	t.n = 0;
	m.status = (uint16_t)status;
	h1_write_response(&t, &m, &o);
	expect(want);
}

#define GET	"GET /x?y HTTP/1.1\r\nHost: a.example\r\n"
#define OUT(...)	((struct h1_out){ __VA_ARGS__ })

START_TEST(least_request)
{
	request(false, GET "\r\n");
}
END_TEST

START_TEST(request_bodies)
{
	m.body = 5;
	request(false, GET "Content-Length: 5\r\n\r\n");
	m.body = BODY_UNKNOWN;
	request(true, GET "Transfer-Encoding: chunked\r\n\r\n");
	m.expect = true;
	request(true, GET "Transfer-Encoding: chunked\r\n"
	    "Expect: 100-continue\r\n\r\n");
	m.expect = false;
	m.body = 0;
	m.method = STR("POST");
	m.meth = METHOD_POST;
	request(false, "POST /x?y HTTP/1.1\r\nHost: a.example\r\n"
	    "Content-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(unknown_length_is_a_panic)
{
	m.body = BODY_UNKNOWN;
	h1_write_request(&t, &m, false);
}
END_TEST

START_TEST(fields_keep_their_case_and_ours_have_one)
{
	add("x-LOWER", STR("1"));
	add("ACCEPT", STR("2"));
	hdr_add(&a, &m.hdrs, HDR_X_FORWARDED_FOR, STR("3"));
	hdr_add(&a, &m.hdrs, HDR_ETAG, STR("4"));
	hdr_add(&a, &m.hdrs, HDR_VIA, STR(""));
	request(false, GET "x-LOWER: 1\r\nACCEPT: 2\r\n"
	    "X-Forwarded-For: 3\r\nETag: 4\r\nVia: \r\n\r\n");
}
END_TEST

START_TEST(framing_fields_are_ours_alone)
{
	add("Content-Length", STR("7"));
	add("Transfer-Encoding", STR("gzip"));
	add("Connection", STR("x"));
	add("Keep-Alive", STR("x"));
	add("Upgrade", STR("x"));
	add("TE", STR("x"));
	add("Host", STR("b"));
	add("Proxy-Connection", STR("x"));
	m.body = 5;
	request(false, GET "Content-Length: 5\r\n\r\n");
	request(true, GET "Transfer-Encoding: chunked\r\n\r\n");
	response(200, OUT(.chunked = true),
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}
END_TEST

START_TEST(nothing_splits_a_head)
{
	add("A", STR("b\r\nC: d"));
	add("A", STR("b\n"));
	add("A", STR("b\0"));
	add("A\r\nB", STR("c"));
	add("A:", STR("c"));
	add("", STR("c"));
	hdr_add(&a, &m.hdrs, HDR_VIA, STR("x\r"));
	m.target = STR("/a b\r\nC: d\xe9");
	m.authority = STR("a\r\nb");
	request(false, "GET /a%20b%0D%0AC:%20d%E9 HTTP/1.1\r\n"
	    "Host: \r\n\r\n");
	m.reason = STR("a\r\nB: c");
	response(404, OUT(.no_length = true),
	    "HTTP/1.1 404 Not Found\r\n\r\n");
	m.upgrade = true;
	m.protocol = STR("x\r\ny");
	response(404, OUT(.no_length = true),
	    "HTTP/1.1 404 Not Found\r\n\r\n");
}
END_TEST

START_TEST(bad_method_is_a_panic)
{
	m.method = STR("GET /x");
	h1_write_request(&t, &m, false);
}
END_TEST

START_TEST(connect_and_upgrade)
{
	m.method = STR("CONNECT");
	m.meth = METHOD_CONNECT;
	m.authority = STR("a:443");
	request(false, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
	teardown();
	setup();
	m.upgrade = true;
	m.protocol = STR("websocket");
	request(false, GET "Upgrade: websocket\r\n"
	    "Connection: upgrade\r\n\r\n");
	m.trailers = true;
	request(false, GET "Upgrade: websocket\r\nTE: trailers\r\n"
	    "Connection: upgrade, TE\r\n\r\n");
	m.upgrade = false;
	request(false, GET "TE: trailers\r\nConnection: TE\r\n\r\n");
	m.upgrade = true;
	response(101, OUT(.no_length = true),
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: upgrade\r\n\r\n");
}
END_TEST

START_TEST(responses)
{
	m.body = 5;
	response(200, OUT(.date = DATE), "HTTP/1.1 200 OK\r\nDate: " DATE
	    "\r\nContent-Length: 5\r\n\r\n");
	response(200, OUT(.close = true), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 5\r\nConnection: close\r\n\r\n");
	response(200, OUT(.keep10 = true), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 5\r\nConnection: keep-alive\r\n\r\n");
	response(299, OUT(.close = false), "HTTP/1.1 299 \r\n"
	    "Content-Length: 5\r\n\r\n");
	m.reason = STR("Fine \xe9");
	response(200, OUT(.close = false), "HTTP/1.1 200 Fine \xe9\r\n"
	    "Content-Length: 5\r\n\r\n");
}
END_TEST

START_TEST(date_of_the_message_wins)
{
	add("dAtE", STR("yesterday"));
	response(200, OUT(.date = DATE), "HTTP/1.1 200 OK\r\n"
	    "dAtE: yesterday\r\nContent-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(statuses_without_length)
{
	m.body = 0;
	response(204, OUT(.chunked = true),
	    "HTTP/1.1 204 No Content\r\n\r\n");
	response(100, OUT(.chunked = true), "HTTP/1.1 100 Continue\r\n\r\n");
	response(304, OUT(.close = false),
	    "HTTP/1.1 304 Not Modified\r\n\r\n");
	m.body = 7;
	response(304, OUT(.close = false), "HTTP/1.1 304 Not Modified\r\n"
	    "Content-Length: 7\r\n\r\n");
	m.body = BODY_UNKNOWN;
	m.bodyless = true;
	response(200, OUT(.close = false), "HTTP/1.1 200 OK\r\n\r\n");
	m.body = 0;
	response(200, OUT(.close = false),
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(endless_without_a_word_is_a_panic)
{
	m.body = BODY_UNKNOWN;
	m.status = 200;
	h1_write_response(&t, &m, &OUT(.close = false));
}
END_TEST

static const struct {
	uint64_t	 n;
	const char	*out;
} sizes[] = {
	{ 0, "0\r\n" },
	{ 1, "1\r\n" },
	{ 15, "f\r\n" },
	{ 16, "10\r\n" },
	{ 500, "1f4\r\n" },
	{ 65536, "10000\r\n" },
	{ INT64_MAX, "7fffffffffffffff\r\n" },
	{ UINT64_MAX, "ffffffffffffffff\r\n" }
};

START_TEST(chunk_size)
{
	char	buf[18];
	size_t	n = h1_write_chunk(buf, sizes[_i].n);

	ck_assert(str_eq(str_make(buf, n), str_from(sizes[_i].out)));
}
END_TEST

START_TEST(last_chunk)
{
	h1_write_last(&t, NULL);
	expect("0\r\n\r\n");
	t.n = 0;
	add("X-Sum", STR("1"));
	add("Content-Length", STR("5"));
	add("Set-Cookie", STR("a=b"));
	add("Host", STR("b"));
	add("A", STR("b\r\nc"));
	h1_write_last(&t, &m.hdrs);
	expect("0\r\nX-Sum: 1\r\n\r\n");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h1_write");
	TCase	*tc = tcase_create("write");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, least_request);
	tcase_add_test(tc, request_bodies);
	tcase_add_test_raise_signal(tc, unknown_length_is_a_panic, SIGABRT);
	tcase_add_test(tc, fields_keep_their_case_and_ours_have_one);
	tcase_add_test(tc, framing_fields_are_ours_alone);
	tcase_add_test(tc, nothing_splits_a_head);
	tcase_add_test_raise_signal(tc, bad_method_is_a_panic, SIGABRT);
	tcase_add_test(tc, connect_and_upgrade);
	tcase_add_test(tc, responses);
	tcase_add_test(tc, date_of_the_message_wins);
	tcase_add_test(tc, lines_as_they_came);
	tcase_add_test(tc, statuses_without_length);
	tcase_add_test_raise_signal(tc, endless_without_a_word_is_a_panic,
	    SIGABRT);
	tcase_add_loop_test(tc, chunk_size, 0,
	    (int)(sizeof(sizes) / sizeof(sizes[0])));
	tcase_add_test(tc, last_chunk);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
