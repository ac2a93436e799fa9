/*
 * Failures on the way to a server and back, and attempts after them.
 */
#include "proxy_case.h"

/* --- failures and attempts --- */

START_TEST(test_next_server)
{
	struct peer	*c;
	struct peer	*s;

	env_start(t, "[route r]\npath = /*\ntargets = $0 $1\n"
	    "balance = round_robin\n");
	close(t->back[0]);
	t->back[0] = -1;
	c = client_new(t);
	/* Whosever turn it is, and whatever the method. */
	for (unsigned i = 0; i < 4; i++) {
		peer_send(t, c, "POST / HTTP/1.1\r\nHost: a\r\n"
		    "Content-Length: 3\r\n\r\nabc");
		if (i == 0)
			s = server_accept(t, 1);
		peer_expect(t, s, "\r\n\r\nabc");
		peer_send(t, s, OK_SMALL);
		peer_expect(t, c, "\r\n\r\nhi");
	}
	peer_free(c);
	peer_free(s);
}
END_TEST

START_TEST(test_turns)
{
	struct peer	*c[6];
	struct peer	*s[6];

	env_start(t, "[route r]\npath = /*\ntargets = $0 $1 $2\n"
	    "balance = round_robin\n");
	for (unsigned i = 0; i < 6; i++) {
		c[i] = client_new(t);
		peer_send(t, c[i], GET("/"));
		s[i] = server_accept(t, i % 3);
		peer_head(t, s[i]);
	}
	for (unsigned i = 0; i < 6; i++) {
		peer_send(t, s[i], OK_SMALL);
		peer_expect(t, c[i], "\r\n\r\nhi");
		peer_free(c[i]);
		peer_free(s[i]);
	}
}
END_TEST

START_TEST(test_all_refuse)
{
	struct peer	*c;
	char		*head;

	env_start(t, "[route r]\npath = /*\ntargets = $0 $1\n"
	    "balance = round_robin\n");
	for (unsigned i = 0; i < 2; i++) {
		close(t->back[i]);
		t->back[i] = -1;
	}
	c = client_new(t);
	peer_send(t, c, GET("/"));
	head = peer_head(t, c);
	ck_has(head, "HTTP/1.1 502 Bad Gateway\r\n");
	ck_has(head, "\r\nProxy-Status: sluice; error=connection_refused; "
	    "details=\"dial_refused\"\r\n");
	/* The client's connection is none the worse for it. */
	c->n = 0;
	peer_send(t, c, GET("/"));
	ck_has(peer_head(t, c), "HTTP/1.1 502 Bad Gateway\r\n");
	peer_free(c);
}
END_TEST

struct reset {
	const char	*request;
	const char	*partial;	/* what the server says before */
	bool		 replayed;
};

static const struct reset resets[] = {
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", true },
	{ "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "",
	    true },
	{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "",
	    false },
	{ "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "",
	    true },
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 20", false }
};

/* A pooled connection that dies as it is used. */
START_TEST(test_stale)
{
	const struct reset	*r = &resets[_i];
	struct peer		*c;
	struct peer		*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	serve_one(s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	peer_send(t, c, r->request);
	peer_head(t, s);
	peer_send(t, s, r->partial);
	peer_free(s);
	if (r->replayed) {
		s = server_accept(t, 0);
		serve_one(s, OK_SMALL);
		peer_expect(t, c, "\r\n\r\nhi");
		/* Once is enough: now it was no stale one. */
		peer_send(t, c, GET("/"));
		peer_head(t, s);
		peer_free(s);
		s = server_accept(t, 0);
		peer_head(t, s);
		peer_free(s);
	}
	ck_has(peer_head(t, c), "HTTP/1.1 502 Bad Gateway\r\n");
	ck_assert(server_is_alone(t, 0));
	peer_free(c);
}
END_TEST

START_TEST(test_silent)
{
	struct peer	*c;
	struct peer	*s;
	uint64_t	 t0;

	start_one(_i == 0 ? "timeout.first_byte = 200ms\n" :
	    "timeout.connect = 100ms\ntimeout.total = 200ms\n");
	c = client_new(t);
	t0 = now_ms();
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	peer_head(t, s);
	ck_has(peer_head(t, c), "HTTP/1.1 504 Gateway Timeout\r\n");
	ck_assert_uint_ge(now_ms() - t0, 190);
	peer_end(t, s);
	peer_free(c);
	peer_free(s);
}
END_TEST

/* A body that goes on keeps the first byte's limit away. */
START_TEST(test_slow_upload)
{
	struct peer	*c;
	struct peer	*s;
	uint64_t	 end;

	start_one("timeout.first_byte = 150ms\n");
	c = client_new(t);
	peer_send(t, c, "POST / HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 5\r\n\r\n");
	s = server_accept(t, 0);
	peer_head(t, s);
	for (unsigned i = 0; i < 5; i++) {
		for (end = now_ms() + 100; now_ms() < end;)
			ev_turn(t->ev, 2);
		peer_send(t, c, "x");
		peer_expect(t, s, "x");
	}
	peer_send(t, s, OK_SMALL);
	peer_expect(t, c, "HTTP/1.1 200 OK\r\n");
	peer_free(c);
	peer_free(s);
}
END_TEST

struct broken {
	const char	*answer;	/* as far as it comes */
	const char	*keys;
	bool		 stays;		/* the server does not close */
};

static const struct broken brokens[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "", false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	    "", false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\nzz\r\n", "", true },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	    "timeout.between = 100ms\n", true }
};

/* Half an answer must never look like a whole one. */
START_TEST(test_broken_body)
{
	const struct broken	*b = &brokens[_i];
	struct peer		*c;
	struct peer		*s;

	start_one(b->keys);
	c = client_new(t);
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	peer_head(t, s);
	peer_send(t, s, b->answer);
	peer_expect(t, c, "HTTP/1.1 200 OK\r\n");
	if (!b->stays) {
		peer_expect(t, c, "abc");
		close(s->fd);
		s->fd = -1;
	}
	peer_end(t, c);
	ck_assert_ptr_null(strstr(c->buf, "0\r\n\r\n"));
	if (b->stays)
		peer_end(t, s);
	peer_free(c);
	peer_free(s);
}
END_TEST

START_TEST(test_client_gone)
{
	struct peer	*c;
	struct peer	*s;

	start_one("");
	c = client_new(t);
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	peer_head(t, s);
	if (_i == 1)
		peer_send(t, s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
		    "\r\nabc");
	if (_i == 1)
		peer_expect(t, c, "abc");
	sock_set_reset(c->fd);
	peer_free(c);
	peer_end(t, s);
	turns_while(t, &t->serve.nexchange, 0);
	peer_free(s);
}
END_TEST

START_TEST(test_limit)
{
	struct peer	*c;
	struct peer	*d;
	struct peer	*s;
	char		*head;

	env_start(t, "[route r]\npath = /*\ntarget = $0 max_conns=1\n");
	c = client_new(t);
	d = client_new(t);
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	peer_head(t, s);
	peer_send(t, d, GET("/"));
	head = peer_head(t, d);
	ck_has(head, "HTTP/1.1 503 Service Unavailable\r\n");
	ck_has(head, "\r\nRetry-After: ");
	peer_send(t, s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	/* The pooled one is there for everybody. */
	d->n = 0;
	peer_send(t, d, GET("/"));
	serve_one(s, OK_SMALL);
	peer_expect(t, d, "HTTP/1.1 200 OK\r\n");
	peer_free(c);
	peer_free(d);
	peer_free(s);
}
END_TEST

/* A request under way survives that its upstream goes. */
START_TEST(test_reload)
{
	struct peer	*c;
	struct peer	*d;
	struct peer	*s;
	struct peer	*s2;

	start_one("");
	c = client_new(t);
	peer_send(t, c, GET("/"));
	s = server_accept(t, 0);
	peer_head(t, s);
	env_start(t, "[route r]\npath = /*\ntarget = $1\n");
	d = client_new(t);
	peer_send(t, d, GET("/"));
	s2 = server_accept(t, 1);
	serve_one(s2, OK_SMALL);
	peer_expect(t, d, "\r\n\r\nhi");
	peer_send(t, s, OK_SMALL);
	peer_expect(t, c, "\r\n\r\nhi");
	/* Its connection is not kept. */
	peer_end(t, s);
	ck_assert_uint_eq(t->serve.upstreams.n, 1);
	ck_assert_uint_eq(gen_count(&t->gens), 1);
	peer_free(c);
	peer_free(d);
	peer_free(s);
	peer_free(s2);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("proxy_fail");
	TCase	*tc = tcase_create("proxy_fail");
	SRunner	*sr;
	int	 failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_next_server);
	tcase_add_test(tc, test_turns);
	tcase_add_test(tc, test_all_refuse);
	tcase_add_loop_test(tc, test_stale, 0, N(resets));
	tcase_add_loop_test(tc, test_silent, 0, 2);
	tcase_add_test(tc, test_slow_upload);
	tcase_add_loop_test(tc, test_broken_body, 0, N(brokens));
	tcase_add_loop_test(tc, test_client_gone, 0, 2);
	tcase_add_test(tc, test_limit);
	tcase_add_test(tc, test_reload);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
