/*
 * Attempts at servers that go out of service: those that may be repeated
 * are cut and asked of another one at once, others wait on.  And a 503
 * that is dropped while its request still comes.
 */
#include "up/state.h"
#include "up/upstream.h"

#include "proxy_env.h"

static struct env	 env;
static struct env	*const t = &env;

static void
setup(void)
{
	env_init(t);
}

static void
teardown(void)
{
	env_fini(t);
}

static void
begin(const char *more)
{
	struct text	c;

	text_init(&c);
	text_fmt(&c, "[upstream u]\nbalance = round_robin\n"
	    "server = $0 $1\n%s\n"
	    "[route r]\npath = /*\nupstream = u\n", more);
	text_c(&c, '\0');
	env_start(t, c.p);
	text_fini(&c);
}

/* Row of the server on one of the test's ports. */
static uint32_t
row_of(unsigned i)
{
	const struct board_server	*b;
	uint32_t			 n;
	char				 want[32];

	n = shm_rows(t->serve.shm, &board_servers);
	snprintf(want, sizeof(want), "127.0.0.1:%u", t->back_port[i]);
	for (uint32_t k = 0; k < n; k++) {
		b = shm_row(t->serve.shm, &board_servers, k);
		if (atomic_load(&b->tag) != 0 &&
		    str_eq(str_make(b->addr, b->addr_len), str_from(want)))
			return k;
	}
	ck_abort_msg("server %u has no row", i);
	return 0;
}

/* As another process sets it; this one has no mailbox. */
static void
set_state(unsigned i, enum server_state state, bool on)
{
	uint32_t			 row = row_of(i);
	const struct board_server	*b;

	b = shm_row(t->serve.shm, &board_servers, row);
	ck_assert(state_change(t->serve.shm, row, atomic_load(&b->tag),
	    state, on, FAIL_DIAL_REFUSED));
	attempt_on_mail(&t->serve, atomic_load(&b->upstream_row));
}

static void
turn_for(unsigned ms)
{
	uint64_t	end = now_ms() + ms;

	while (now_ms() < end)
		ev_turn(t->ev, 1);
}

static void
serve_one(struct peer *s, const char *body)
{
	char	buf[256];

	peer_head(t, s);
	snprintf(buf, sizeof(buf), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	peer_send(t, s, buf);
}

static const struct down {
	enum server_state	 state;
	const char		*request;
	const char		*rest;		/* its body, as it is read */
	bool			 cut;
} downs[] = {
	{ SERVER_DOWN, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", true },
	{ SERVER_EJECTED, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", true },
	{ SERVER_MAINTENANCE, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "",
	    true },
	/* these let what runs come to its end */
	{ SERVER_DRAIN, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", false },
	{ SERVER_OPEN, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", false },
	{ SERVER_SLOW, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", false },
	/* the body goes to the other one as well */
	{ SERVER_DOWN, "PUT / HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 4\r\n\r\nbody", "body", true },
	{ SERVER_DOWN, "POST / HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 4\r\n\r\nbody", "body", false }
};

static void
expect_rest(struct peer *s, const struct down *d)
{
	if (d->rest[0] != '\0')
		peer_expect(t, s, d->rest);
}

START_TEST(test_hangs)
{
	const struct down	*d = &downs[_i];
	struct peer		*c, *a, *b;

	begin("");
	c = client_new(t);
	peer_send(t, c, d->request);
	a = server_accept(t, 0);
	peer_head(t, a);
	expect_rest(a, d);
	set_state(0, d->state, true);
	if (d->cut) {
		peer_end(t, a);
		b = server_accept(t, 1);
		serve_one(b, "from b");
		expect_rest(b, d);
		peer_expect(t, c, "\r\n\r\nfrom b");
		peer_free(b);
	} else {
		ck_assert(server_is_alone(t, 1));
		peer_send(t, a, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n"
		    "\r\nfrom a");
		peer_expect(t, c, "\r\n\r\nfrom a");
	}
	peer_free(a);
	peer_free(c);
}
END_TEST

static const struct begun {
	const char	*first;		/* bytes of the answer */
	bool		 passed;	/* the client gets them */
	const char	*rest;
} begun[] = {
	{ "HTTP/1.1 103 Early Hints\r\n\r\n", true,
	    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfrom a" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfr", true, "om a" },
	{ "HTTP/1.1 200 OK\r\nContent-", false, "Length: 6\r\n\r\nfrom a" },
	{ "H", false, "TTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfrom a" }
};

/* An answer that has begun, even an interim one, is waited for. */
START_TEST(test_begun)
{
	const struct begun	*b = &begun[_i];
	struct peer		*c, *a;

	begin("");
	c = client_new(t);
	peer_send(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	a = server_accept(t, 0);
	peer_head(t, a);
	peer_send(t, a, b->first);
	if (b->passed)
		peer_head(t, c);
	else
		turn_for(10);
	set_state(0, SERVER_DOWN, true);
	ck_assert(server_is_alone(t, 1));
	peer_send(t, a, b->rest);
	peer_expect(t, c, "om a");
	peer_free(a);
	peer_free(c);
}
END_TEST

static const char *const bars[] = {
	"retry.tries = 0\n", "retry.on = off\n",
	"retry.budget = 0\nretry.floor = 0\n"
};

/* Who may not be repeated waits on, and has its answer. */
START_TEST(test_waits_on)
{
	struct peer	*c, *a;

	begin(bars[_i]);
	c = client_new(t);
	peer_send(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	a = server_accept(t, 0);
	peer_head(t, a);
	set_state(0, SERVER_DOWN, true);
	ck_assert(server_is_alone(t, 1));
	peer_send(t, a, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
	    "from a");
	peer_expect(t, c, "\r\n\r\nfrom a");
	peer_free(a);
	peer_free(c);
}
END_TEST

/* Nobody is left: the last one is waited for. */
START_TEST(test_last)
{
	struct peer	*c, *a;

	begin("panic = 0\n");
	set_state(1, SERVER_DOWN, true);
	c = client_new(t);
	peer_send(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	a = server_accept(t, 0);
	peer_head(t, a);
	set_state(0, SERVER_DOWN, true);
	peer_send(t, a, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
	    "from a");
	peer_expect(t, c, "\r\n\r\nfrom a");
	/* and the next one has nobody to ask */
	peer_send(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	peer_expect(t, c, "HTTP/1.1 503 ");
	peer_expect(t, c, "no_server");
	peer_free(a);
	peer_free(c);
}
END_TEST

/* A pooled connection that died is not made anew at a server that left. */
START_TEST(test_replay)
{
	struct peer	*c, *a, *b;

	begin("");
	c = client_new(t);
	peer_send(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	a = server_accept(t, 0);
	serve_one(a, "one");
	peer_expect(t, c, "\r\n\r\none");
	peer_send(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	b = server_accept(t, 1);
	serve_one(b, "two");
	peer_expect(t, c, "\r\n\r\ntwo");
	peer_send(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	peer_head(t, a);
	/* drain lets it be; then it closes */
	set_state(0, SERVER_DRAIN, true);
	peer_free(a);
	peer_free(b);
	b = server_accept(t, 1);
	serve_one(b, "three");
	peer_expect(t, c, "\r\n\r\nthree");
	ck_assert(server_is_alone(t, 0));
	peer_free(b);
	peer_free(c);
}
END_TEST

/*
 * The 503 is dropped while the client still sends, more than is kept: the
 * other server gets all of it, whenever the answer comes to its end.
 */
START_TEST(test_upload)
{
	char		 more[2001];
	struct peer	*c, *a, *b;

	memset(more, 'x', 2000);
	more[2000] = '\0';
	begin("retry.body = 1k\nretry.backoff = 0\n");
	c = client_new(t);
	peer_send(t, c, "PUT / HTTP/1.1\r\nHost: a\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n4\r\nhead\r\n");
	a = server_accept(t, 0);
	peer_expect(t, a, "head\r\n");
	peer_send(t, a, "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n"
	    "Content-Length: 5\r\n\r\n");
	turn_for(5);
	peer_send(t, c, "7d0\r\n");
	peer_send(t, c, more);
	peer_send(t, c, "\r\n0\r\n\r\n");
	turn_for(5);
	(void)send(a->fd, "later", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
	b = server_accept(t, 1);
	peer_expect(t, b, "head\r\n");
	peer_expect(t, b, more);
	peer_expect(t, b, "\r\n0\r\n\r\n");
	peer_send(t, b, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
	    "from b");
	peer_expect(t, c, "\r\n\r\nfrom b");
	peer_free(a);
	peer_free(b);
	peer_free(c);
}
END_TEST

static struct upstream	*twin;
static unsigned		 ncut;

/* As when names have changed while others are asked instead. */
static void
on_cut(struct attempt *a, enum fail why)
{
	struct server	*s = a->server;

	ck_assert_int_eq(why, FAIL_DIAL_REFUSED);
	ncut++;
	for (size_t i = 0; i < twin->nserver; i++)
		if (twin->servers[i] == s) {
			twin->nserver--;
			memmove(&twin->servers[i], &twin->servers[i + 1],
			    (twin->nserver - i) * sizeof(s));
			server_unref(&s);
			return;
		}
}

/* No attempt is passed over when members change meanwhile. */
START_TEST(test_members_change)
{
	struct attempt	 a[3] = { { .cut = on_cut }, { .cut = on_cut },
		{ .cut = on_cut } };
	struct str	 key;
	void		*val;
	size_t		 at = 0;

	env_start(t, "[upstream u]\npanic = 0\nserver = $0 $1 $2\n"
	    "[route r]\npath = /*\nupstream = u\n");
	ck_assert(map_next(&t->serve.upstreams, &at, &key, &val));
	twin = val;
	ck_assert_uint_eq(twin->nserver, 3);
	for (unsigned i = 0; i < 3; i++) {
		attempt_init(&a[i]);
		attempt_begin(&a[i], twin->servers[i]);
		ck_assert(state_change(t->serve.shm, twin->servers[i]->row,
		    twin->servers[i]->tag, SERVER_DOWN, true,
		    FAIL_DIAL_REFUSED));
	}
	ncut = 0;
	attempt_on_mail(&t->serve, twin->row);
	ck_assert_uint_eq(ncut, 3);
	for (unsigned i = 0; i < 3; i++)
		attempt_end(&a[i]);
}
END_TEST

#define N(v)	((int)(sizeof(v) / sizeof((v)[0])))

int
main(void)
{
	Suite	*s = suite_create("retry_cut");
	TCase	*tc = tcase_create("cut");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, test_hangs, 0, N(downs));
	tcase_add_loop_test(tc, test_begun, 0, N(begun));
	tcase_add_loop_test(tc, test_waits_on, 0, N(bars));
	tcase_add_test(tc, test_last);
	tcase_add_test(tc, test_replay);
	tcase_add_test(tc, test_upload);
	tcase_add_test(tc, test_members_change);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
