/*
 * The proxy from a client's socket to a server's and back.
 */
#include "proxy_case.h"

/* --- heads --- */

START_TEST(test_forward)
{
	struct peer	*c;
	struct peer	*s;
	char		*head;

	start_one("");
	c = client_new(t);
	peer_send(t, c, "GET /a/./b%41?q=%2F HTTP/1.1\r\nHost: a.example\r\n"
	    "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"
	    "X-Forwarded-Port: 66\r\nX-Real-IP: 6.6.6.6\r\n"
	    "X-Request-ID: mine\r\nVia: 1.0 them\r\nX-Own: kept\r\n"
	    "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
	    "Upgrade: websocket\r\nTE: gzip\r\n\r\n");
	s = server_accept(t, 0);
	head = peer_head(t, s);
	ck_assert_int_eq(strncmp(head, "GET /a/bA?q=%2F HTTP/1.1\r\n", 26),
	    0);
	ck_has(head, "\r\nHost: a.example\r\n");
	ck_has(head, "\r\nVia: 1.0 them\r\n");
	ck_has(head, "\r\nVia: 1.1 sluice\r\n");
	ck_has(head, "\r\nX-Forwarded-For: 127.0.0.1\r\n");
	ck_has(head, "\r\nX-Forwarded-Proto: http\r\n");
	ck_has(head, "\r\nX-Forwarded-Host: a.example\r\n");
	ck_has(head, "\r\nX-Real-Ip: 127.0.0.1\r\n");
	ck_has(head, "\r\nX-Request-Id: ");
	ck_has(head, "\r\nX-Own: kept\r\n");
	ck_lacks(head, "6.6.6.6");
	ck_lacks(head, "-port");
	ck_lacks(head, ": mine");
	ck_lacks(head, "x-hop");
	ck_lacks(head, "upgrade");
	ck_lacks(head, "keep-alive");
	peer_send(t, s, "HTTP/1.1 201 Made\r\nServer: theirs\r\n"
	    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Own: 1\r\n"
	    "Connection: close, X-Hop\r\nX-Hop: 1\r\n"
	    "Content-Length: 5\r\n\r\nhello");
	head = peer_head(t, c);
	ck_has(head, "HTTP/1.1 201 Made\r\n");
	ck_has(head, "\r\nServer: theirs\r\n");
	ck_has(head, "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
	ck_has(head, "\r\nVia: 1.1 sluice\r\n");
	ck_has(head, "\r\nContent-Length: 5\r\n");
	ck_lacks(head, "x-hop");
	peer_expect(t, c, "hello");
	peer_free(c);
	peer_free(s);
}
END_TEST

struct rewrite {
	const char	*keys;		/* of the route */
	const char	*path;		/* of the route */
	const char	*sent;
	const char	*got;
};

static const struct rewrite rewrites[] = {
	{ "", "/*", "/", "/" },
	{ "", "/*", "/a%20b?", "/a%20b?" },
	{ "strip_prefix = auto\n", "/app/*", "/app/x/y?z", "/x/y?z" },
	{ "strip_prefix = auto\n", "/app/*", "/app/", "/" },
	{ "strip_prefix = auto\n", "/app/*", "/app//x", "//x" },
	{ "strip_prefix = /app\n", "/*", "/app/x", "/x" },
	{ "strip_prefix = /app/\n", "/*", "/app", "/" },
	{ "strip_prefix = /app\n", "/*", "/apple", "/apple" },
	{ "add_prefix = /v1\n", "/*", "/x?y", "/v1/x?y" },
	{ "strip_prefix = auto\nadd_prefix = /v2/\n", "/v1/*", "/v1/x",
	    "/v2/x" },
	{ "strip_prefix = auto\n", "/app", "/app?a", "/?a" },
	{ "strip_prefix = auto\n", "/u/:id/*", "/u/7/x", "/x" },
	{ "strip_prefix = auto\n", "~ ^/u/", "/u/7", "/u/7" },
	{ "rewrite = ^/a/(.*)$$ /b/$1\n", "/*", "/a/c?d", "/b/c?d" },
	{ "rewrite = ^/a/(.*)$$ /b/$1\n", "/*", "/c/a/b", "/c/a/b" },
	{ "rewrite = ^/(a) /1$1\nrewrite = ^/ /2\n", "/*", "/ab", "/1a" },
	{ "rewrite = ^/(a) /1$1\nrewrite = ^/ /2\n", "/*", "/b", "/2" },
	{ "rewrite = ^/(x)?(.*)$$ /$2?q=$1&${query}\n", "/*", "/xy?z",
	    "/y?q=x&z" },
	{ "rewrite = ^ /q?${query}\n", "/*", "/xy", "/q" },
	{ "rewrite = ^/u /${path.id}/${host}${path}\n", "/u/:id", "/u/7",
	    "/7/a/u/7" },
	{ "strip_prefix = auto\nrewrite = ^/(.*) /i/$1\nadd_prefix = /v\n",
	    "/x/*", "/x/y", "/v/i/y" },
	/* what is put together is a path again */
	{ "rewrite = ^/(.)/(.)/ /x/$1$2/y\n", "/*", "/a/b/", "/x/ab/y" },
	{ "rewrite = ^/d(.*)$$ /x/.$1/y\n", "/*", "/d.", "/y" },
	{ "encoded_slash = keep\n", "/*", "/a%2fb%5C", "/a%2Fb%5C" },
	{ "encoded_slash = keep\n", "/a/:id/c", "/a/%2f/c", "/a/%2F/c" }
};

START_TEST(test_rewrite)
{
	const struct rewrite	*r = &rewrites[_i];
	struct peer		*c;
	struct peer		*s;
	char			 text[768];

	snprintf(text, sizeof(text), "[route r]\npath = %s\ntarget = $0\n%s",
	    r->path, r->keys);
	env_start(t, text);
	c = client_new(t);
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
	    r->sent);
	peer_send(t, c, text);
	s = server_accept(t, 0);
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n", r->got);
	ck_has(peer_head(t, s), text);
	peer_send(t, s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	peer_free(c);
	peer_free(s);
}
END_TEST

START_TEST(test_host)
{
	static const char *const	keys[] = { "host_header = preserve\n",
		"host_header = server\n", "host_header = b.example\n" };
	char				want[64];
	struct peer			*c;
	struct peer			*s;

	start_one(keys[_i]);
	c = client_new(t);
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	snprintf(want, sizeof(want), "\r\nHost: 127.0.0.1:%u\r\n",
	    t->back_port[0]);
	ck_has(peer_head(t, s), _i == 0 ? "\r\nHost: a.example\r\n" :
	    _i == 1 ? want : "\r\nHost: b.example\r\n");
	peer_send(t, s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	peer_free(c);
	peer_free(s);
}
END_TEST

START_TEST(test_max_forwards)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, "OPTIONS /x HTTP/1.1\r\nHost: a\r\n"
	    "Max-Forwards: 0\r\n\r\n");
	peer_expect(t, c, "HTTP/1.1 200 OK\r\n");
	peer_expect(t, c, "\r\n\r\n");
	ck_assert(server_is_alone(t, 0));
	peer_send(t, c, "OPTIONS /x HTTP/1.1\r\nHost: a\r\n"
	    "Max-Forwards: 7\r\n\r\n");
	s = server_accept(t, 0);
	ck_has(peer_head(t, s), "\r\nMax-Forwards: 6\r\n");
	peer_send(t, s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	peer_free(c);
	peer_free(s);
}
END_TEST

START_TEST(test_interim)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	peer_head(t, s);
	peer_send(t, s, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
	peer_expect(t, c, "HTTP/1.1 103 Early Hints\r\n");
	peer_expect(t, c, "Link: </x>\r\n");
	peer_expect(t, c, "\r\n\r\n");
	peer_send(t, s, OK_SMALL);
	peer_expect(t, c, "HTTP/1.1 200 OK\r\n");
	peer_expect(t, c, "\r\n\r\nhi");
	peer_free(c);
	peer_free(s);
}
END_TEST

/*
 * What a browser asks and a server answers takes two chunks of the arenas,
 * the stream's and the exchange's (which holds what is sent to the server,
 * whatever the version): a third of each of many requests under way would
 * be cold memory.
 */
START_TEST(test_memory)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, "GET /articles/2024/a-picture.html?page=2 HTTP/1.1\r\n"
	    "Host: www.a.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux "
	    "x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
	    "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"
	    "Accept-Language: en-US,en;q=0.5\r\n"
	    "Accept-Encoding: gzip, deflate, br\r\n"
	    "Referer: https://www.a.example/articles\r\n"
	    "Cookie: session=0123456789abcdef0123456789abcdef\r\n"
	    "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n"
	    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n"
	    "Priority: u=0, i\r\n\r\n");
	s = server_accept(t, 0);
	serve_one(s, "HTTP/1.1 200 OK\r\nServer: theirs\r\n"
	    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
	    "Content-Type: text/html\r\nCache-Control: no-store\r\n"
	    "Vary: accept-encoding\r\nEtag: \"66f0a1b2-400\"\r\n"
	    "Content-Length: 2\r\n\r\nhi");
	peer_expect(t, c, "\r\n\r\nhi");
	ck_assert_uint_eq(t->serve.arenas.most, 2);
	peer_free(c);
	peer_free(s);
}
END_TEST

/* --- bodies --- */

START_TEST(test_reuse)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, GET("/1"));
	s = server_accept(t, 0);
	for (unsigned i = 0; i < 3; i++) {
		serve_one(s, OK_SMALL);
		peer_expect(t, c, "\r\n\r\nhi");
		peer_send(t, c, GET("/n"));
	}
	serve_one(s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	ck_assert(server_is_alone(t, 0));
	peer_free(c);
	peer_free(s);
}
END_TEST

START_TEST(test_chunked)
{
	struct peer	*c;
	struct peer	*s;
	char		*head;

	start_one("");
	c = client_new(t);
	peer_send(t, c, "POST /u HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n"
	    "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
	s = server_accept(t, 0);
	head = peer_head(t, s);
	ck_has(head, "\r\nTransfer-Encoding: chunked\r\n");
	ck_has(head, "\r\nTE: trailers\r\n");
	/* Each part goes through when it is there. */
	peer_send(t, c, "3\r\nabc\r\n");
	peer_expect(t, s, "abc\r\n");
	peer_send(t, c, "2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n");
	peer_expect(t, s, "de\r\n");
	peer_expect(t, s, "0\r\nX-Sum: 5\r\n\r\n");
	peer_send(t, s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	    "Trailer: X-End\r\n\r\n4\r\nwxyz\r\n");
	peer_expect(t, c, "\r\nTransfer-Encoding: chunked\r\n");
	peer_expect(t, c, "wxyz\r\n");
	peer_send(t, s, "0\r\nX-End: 1\r\n\r\n");
	peer_expect(t, c, "0\r\nX-End: 1\r\n\r\n");
	/* Both connections go on. */
	peer_send(t, c, GET("/n"));
	serve_one(s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	peer_free(c);
	peer_free(s);
}
END_TEST

/* Nothing but heads, ends and trailers. */
START_TEST(test_empty)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, "POST /u HTTP/1.1\r\nHost: a\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
	s = server_accept(t, 0);
	peer_head(t, s);
	peer_expect(t, s, "0\r\n\r\n");
	peer_send(t, s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	    "X-Own: 1\r\n\r\n0\r\n\r\n");
	ck_has(peer_head(t, c), "\r\nX-Own: 1\r\n");
	peer_expect(t, c, "0\r\n\r\n");
	peer_send(t, c, "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n");
	peer_head(t, s);
	peer_send(t, s, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
	ck_has(peer_head(t, c), "\r\nContent-Length: 99\r\n");
	peer_send(t, c, "DELETE /d HTTP/1.1\r\nHost: a\r\n\r\n");
	peer_head(t, s);
	peer_send(t, s, "HTTP/1.1 204 No Content\r\nX-Own: 2\r\n\r\n");
	ck_has(peer_head(t, c), "\r\nX-Own: 2\r\n");
	peer_send(t, c, "POST /p HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 0\r\n\r\n");
	ck_has(peer_head(t, s), "\r\nContent-Length: 0\r\n");
	peer_send(t, s, "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n");
	ck_has(peer_head(t, c), "\r\nETag: \"a\"\r\n");
	ck_assert(server_is_alone(t, 0));
	peer_free(c);
	peer_free(s);
}
END_TEST

/* More than any buffer holds, both ways; the receiver stalls at first. */
START_TEST(test_large)
{
	const size_t	 size = 15 << 20;	/* below limits.body */
	char		*piece = malloc(65537);
	struct peer	*c;
	struct peer	*s;
	struct peer	*from;
	struct peer	*to;
	size_t		 sent = 0;
	size_t		 got;
	uint64_t	 end;

	start_one("");
	memset(piece, 'x', 65536);
	piece[65536] = '\0';
	c = client_new(t);
	peer_send(t, c, _i == 0 ? GET("/") : "PUT / HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 15728640\r\n\r\n");
	s = server_accept(t, 0);
	peer_head(t, s);
	if (_i == 0)
		peer_send(t, s, "HTTP/1.1 200 OK\r\n"
		    "Content-Length: 15728640\r\n\r\n");
	from = _i == 0 ? s : c;
	to = _i == 0 ? c : s;
	if (_i == 0)
		peer_head(t, c);
	/* Until everything between is full, and that is not our memory. */
	for (unsigned full = 0; full < 50 && sent < size;
	    ev_turn(t->ev, 1)) {
		ssize_t n = send(from->fd, piece, size - sent < 65536 ?
		    size - sent : 65536, MSG_DONTWAIT | MSG_NOSIGNAL);

		full = n > 0 ? 0 : full + 1;
		sent += n > 0 ? (size_t)n : 0;
		ck_assert_uint_lt(t->serve.pages.live, 1 << 20);
	}
	end = now_ms() + PATIENCE_MS;
	for (got = to->n; got < size && now_ms() < end;) {
		ssize_t n;

		to->n = 0;
		peer_read(to);
		got += to->n;
		if (sent < size) {
			n = send(from->fd, piece, size - sent < 65536 ?
			    size - sent : 65536, MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		}
		ev_turn(t->ev, 0);
	}
	ck_assert_uint_eq(got, size);
	if (_i == 1)
		peer_send(t, s, OK_SMALL);
	to->n = 0;
	peer_send(t, c, GET("/n"));
	if (_i == 1)
		peer_expect(t, c, "\r\n\r\nhi");
	serve_one(s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	free(piece);
	peer_free(c);
	peer_free(s);
}
END_TEST

START_TEST(test_until_close)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	peer_head(t, s);
	peer_send(t, s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
	peer_expect(t, c, "abc");
	peer_free(s);
	peer_expect(t, c, "0\r\n\r\n");
	peer_free(c);
}
END_TEST

/* The answer needs no body: it goes through at once. */
START_TEST(test_early)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, "POST /u HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 1000000\r\n\r\nabc");
	s = server_accept(t, 0);
	peer_head(t, s);
	peer_expect(t, s, "abc");
	peer_send(t, s, "HTTP/1.1 413 Too Large\r\n"
	    "Content-Length: 2\r\n\r\nno");
	peer_expect(t, c, "HTTP/1.1 413 Too Large\r\n");
	peer_expect(t, c, "\r\n\r\nno");
	/* The half-sent request is given up. */
	peer_end(t, s);
	peer_free(c);
	peer_free(s);
}
END_TEST

START_TEST(test_expect)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, "POST /u HTTP/1.1\r\nHost: a\r\n"
	    "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	s = server_accept(t, 0);
	ck_has(peer_head(t, s), "\r\nExpect: 100-continue\r\n");
	if (_i == 0) {
		/* The server does not want it: the client need not send. */
		peer_send(t, s, "HTTP/1.1 403 No\r\n"
		    "Content-Length: 0\r\n\r\n");
		ck_has(peer_head(t, c), "HTTP/1.1 403 No\r\n");
	} else {
		/* It says so, or says nothing for a second. */
		if (_i == 1)
			peer_send(t, s, "HTTP/1.1 100 Continue\r\n\r\n");
		ck_has(peer_head(t, c), "HTTP/1.1 100 Continue\r\n");
		peer_send(t, c, "abc");
		peer_expect(t, s, "abc");
		peer_send(t, s, OK_SMALL);
		ck_has(peer_head(t, c), "HTTP/1.1 200 OK\r\n");
		peer_expect(t, c, "hi");
	}
	peer_free(c);
	peer_free(s);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("proxy");
	TCase	*tc = tcase_create("proxy");
	SRunner	*sr;
	int	 failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_forward);
	tcase_add_loop_test(tc, test_rewrite, 0, N(rewrites));
	tcase_add_loop_test(tc, test_host, 0, 3);
	tcase_add_test(tc, test_max_forwards);
	tcase_add_test(tc, test_interim);
	tcase_add_test(tc, test_memory);
	tcase_add_test(tc, test_reuse);
	tcase_add_test(tc, test_chunked);
	tcase_add_test(tc, test_empty);
	tcase_add_loop_test(tc, test_large, 0, 2);
	tcase_add_test(tc, test_until_close);
	tcase_add_test(tc, test_early);
	tcase_add_loop_test(tc, test_expect, 0, 3);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
