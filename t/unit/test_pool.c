/*
 * The pool of connections to servers: reuse, what a server does to idle
 * connections, how long and how many are kept, twins that go.
 */
#include "pool_env.h"
#include "up/server_tls.h"

START_TEST(test_reuse)
{
	struct fix	*f = setup(64, 0);
	struct up_conn	*a = get(f, 0, false);
	struct up_conn	*b = get(f, 1, false);
	int		 one = take(f);
	int		 two = take(f);

	ck_assert(!f->wish[0].w.reused);
	ck_assert_uint_gt(f->wish[0].w.dial_ns, 0);
	ck_assert_ptr_ne(a, b);
	pool_put(a, true);
	pool_put(b, true);
	ck_assert_uint_eq(f->server->nidle, 2);
	/* The one that was used last is the first to be used again. */
	ck_assert_ptr_eq(get(f, 2, false), b);
	ck_assert(f->wish[2].w.reused);
	ck_assert_uint_eq(f->wish[2].w.dial_ns, 0);
	/* A wish for a fresh one leaves the pool alone. */
	ck_assert_ptr_ne(get(f, 3, true), a);
	ck_assert_uint_eq(f->server->nidle, 1);
	ck_assert_uint_eq(f->server->nopen, 3);
	pool_put(b, false);
	pool_put(f->wish[3].conn, false);
	wait_open(f, f->server, 1);
	close(one);
	close(two);
	teardown(f);
}
END_TEST

START_TEST(test_idle_ends)
{
	struct fix	*f = setup(64, 0);
	int		 fd;

	pool_put(get(f, 0, false), true);
	fd = take(f);
	close(fd);
	wait_idle(f, 0);
	ck_assert_uint_eq(f->server->nopen, 0);
	/* Nobody asked for it. */
	pool_put(get(f, 1, false), true);
	fd = take(f);
	ck_assert_int_eq(write(fd, "HTTP/1.1 408 Late\r\n\r\n", 21), 21);
	wait_idle(f, 0);
	wait_open(f, f->server, 0);
	close(fd);
	teardown(f);
}
END_TEST

/* Its server came under another line meanwhile: it is nobody's. */
START_TEST(test_other_peer)
{
	static const struct tls_peer	 peer;
	struct fix	*f = setup(64, 0);
	struct up_conn	*c = get(f, 0, false);
	int		 fd = take(f);

	server_tls_set(f->server, &peer);
	pool_put(c, true);
	ck_assert_uint_eq(f->server->nidle, 0);
	wait_open(f, f->server, 0);
	server_tls_set(f->server, NULL);
	pool_put(get(f, 1, false), true);
	ck_assert_uint_eq(f->server->nidle, 1);
	close(fd);
	teardown(f);
}
END_TEST

/* Before the loop has heard of it. */
START_TEST(test_closed_is_not_given)
{
	struct fix	*f = setup(64, 0);
	struct up_conn	*a = get(f, 0, false);
	struct up_conn	*b = get(f, 1, false);
	int		 one = take(f), two = take(f);

	pool_put(a, true);
	pool_put(b, true);
	close(two);
	ask(f, 2, f->server, 3000, false);
	ck_assert_uint_eq(f->server->nidle, 0);
	wait_calls(f, 2, 1);
	ck_assert_ptr_eq(f->wish[2].conn, a);
	ck_assert(f->wish[2].w.reused);
	pool_put(a, true);
	close(one);
	a = get(f, 3, false);
	ck_assert(!f->wish[3].w.reused);
	pool_put(a, false);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

START_TEST(test_too_many)
{
	struct fix	*f = setup(128, 0);
	unsigned	 n = IDLE_MAX + 3;
	struct up_conn	*c[IDLE_MAX + 3];

	for (unsigned i = 0; i < n; i++)
		c[i] = get(f, i, false);
	for (unsigned i = 0; i < n; i++)
		pool_put(c[i], true);
	/* A burst that comes again finds all of them. */
	for (unsigned i = 0; i < n; i++)
		ck_assert_ptr_eq(get(f, i, false), c[n - 1 - i]);
	ck_assert_uint_eq(f->server->nidle, 0);
	for (unsigned i = 0; i < n; i++)
		pool_put(c[i], true);
	ck_assert_uint_eq(f->server->nidle, n);
	/* If none does, those that came last go. */
	wait_open(f, f->server, IDLE_MAX);
	for (unsigned i = 0; i < IDLE_MAX; i++)
		ck_assert_ptr_eq(get(f, i, false), c[IDLE_MAX - 1 - i]);
	ck_assert_uint_eq(f->server->nidle, 0);
	for (unsigned i = 0; i < IDLE_MAX; i++)
		pool_put(c[i], true);
	pool_close_idle(f->server);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

/* A taken connection whose end arrives before it is handed over. */
START_TEST(test_dies_between)
{
	struct fix	*f = setup(64, 0);
	struct up_conn	*a = get(f, 0, false);
	int		 fd = take(f);

	pool_put(a, true);
	close(fd);
	ask(f, 1, f->server, 3000, false);
	wait_calls(f, 1, 1);
	ck_assert_ptr_nonnull(f->wish[1].conn);
	pool_put(f->wish[1].conn, false);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

static void
move_clock(struct fix *f, uint64_t ms)
{
	uint64_t	end = ev_ms(f->serve.ev) + ms;

	while (ev_ms(f->serve.ev) < end)
		ev_turn(f->serve.ev, (int)(end - ev_ms(f->serve.ev)));
}

START_TEST(test_requests)
{
	struct fix	*f = setup(64, 0);
	struct arena	 a;
	struct up_conn	*c;
	int		 fd;

	arena_init(&a, NULL);
	f->server->upstream->pool.requests = 1;
	c = get(f, 0, false);
	fd = take(f);
	/* One that served nobody may serve yet. */
	pool_put(c, true);
	ck_assert_ptr_eq(get(f, 1, false), c);
	pool_stream(c, &a)->keep = true;
	pool_put(c, true);
	ck_assert_uint_eq(f->server->nidle, 0);
	wait_open(f, f->server, 0);
	close(fd);
	teardown(f);
	arena_fini(&a);
}
END_TEST

START_TEST(test_age)
{
	struct fix	*f = setup(64, 0);
	struct up_conn	*c;

	f->server->upstream->pool.age = 100;
	c = get(f, 0, false);
	pool_put(c, true);
	ck_assert_uint_eq(f->server->nidle, 1);
	/* Also while it is idle, long before pool.idle. */
	wait_idle(f, 0);
	c = get(f, 1, false);
	ck_assert(!f->wish[1].w.reused);
	move_clock(f, 110);
	pool_put(c, true);
	ck_assert_uint_eq(f->server->nidle, 0);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

START_TEST(test_idle_time)
{
	struct fix	*f = setup(64, 0);
	struct up_conn	*a, *b;
	uint64_t	 t0;

	/* The one that ends first is not the one that came first. */
	a = get(f, 0, false);
	b = get(f, 1, false);
	pool_put(a, true);
	f->server->upstream->pool.idle = 50;
	pool_put(b, true);
	t0 = ev_ms(f->serve.ev);
	wait_idle(f, 1);
	ck_assert_uint_ge(ev_ms(f->serve.ev) - t0, 50);
	ck_assert_ptr_eq(get(f, 2, false), a);
	pool_put(a, true);
	wait_idle(f, 0);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

START_TEST(test_none_kept)
{
	struct fix	*f = setup(64, 0);

	f->server->upstream->pool.size = 0;
	pool_put(get(f, 0, false), true);
	ck_assert_uint_eq(f->server->nidle, 0);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

/* Another server list: another twin, the same row, the same pool. */
START_TEST(test_twins)
{
	struct fix	*f = setup(64, 0);
	struct server	*old = f->server;
	struct up_conn	*idle = get(f, 0, false);
	struct up_conn	*busy = get(f, 1, false);

	pool_put(idle, true);
	publish(f, 2);
	f->server = server_of(f);
	ck_assert_ptr_ne(f->server, old);
	ck_assert_uint_eq(f->server->nidle, 1);
	/* What was in use counts for the old twin, and is not kept. */
	ck_assert_uint_eq(f->serve.upstreams.n, 2);
	ck_assert_uint_eq(old->nopen, 1);
	pool_put(busy, true);
	for (unsigned t = 0; t < PATIENCE && f->serve.upstreams.n > 1; t++)
		ev_turn(f->serve.ev, TURN_MS);
	ck_assert_uint_eq(f->serve.upstreams.n, 1);
	ck_assert_ptr_eq(get(f, 2, false), idle);
	pool_put(idle, true);
	/* The same content: the same twin. */
	ck_assert_int_eq(upstream_part.prepare(&f->serve, &f->conf, NULL),
	    0);
	upstream_part.commit(&f->serve, &f->conf);
	ck_assert_ptr_eq(server_of(f), f->server);
	ck_assert_uint_eq(f->server->nidle, 1);
	/* A generation that is cancelled leaves nothing. */
	set_conf(f, 3);
	ck_assert_int_eq(upstream_part.prepare(&f->serve, &f->conf, NULL),
	    0);
	ck_assert_uint_eq(f->serve.upstreams.n, 2);
	upstream_part.cancel(&f->serve);
	ck_assert_uint_eq(f->serve.upstreams.n, 1);
	teardown(f);
}
END_TEST

/* Another twin with these limits takes over what the last one had. */
static void
tighten(struct fix *f, struct pool_limits l)
{
	set_conf(f, f->uc.digest + 1);
	f->uc.pool = l;
	up_env_publish(&f->serve, &f->conf);
	f->server = server_of(f);
}

/* What idles when pool.* is tightened ends by the new limits. */
START_TEST(test_tightened)
{
	const struct pool_limits	 some[] = {
		{ .size = 0, .idle = 55000 },
		{ .size = 8, .idle = 55000, .age = 1 }
	};
	struct fix	*f = setup(64, 0);
	uint64_t	 t0;

	for (unsigned i = 0; i < 2; i++) {
		pool_put(get(f, 0, true), true);
		ck_assert_uint_eq(f->server->nidle, 1);
		move_clock(f, 5);
		tighten(f, some[i]);
		ck_assert_uint_eq(f->server->nidle, 0);
		ck_assert_uint_eq(f->server->nopen, 0);
		publish(f, f->uc.digest + 1);
		f->server = server_of(f);
	}
	pool_put(get(f, 0, false), true);
	tighten(f, (struct pool_limits){ .size = 8, .idle = 50 });
	ck_assert_uint_eq(f->server->nidle, 1);
	t0 = ev_ms(f->serve.ev);
	wait_idle(f, 0);
	ck_assert_uint_ge(ev_ms(f->serve.ev) - t0, 50);
	/* A longer time does not bring back what has begun to end. */
	tighten(f, (struct pool_limits){ .size = 8, .idle = 500 });
	pool_put(get(f, 0, false), true);
	tighten(f, (struct pool_limits){ .size = 8, .idle = 55000 });
	ck_assert_uint_eq(f->server->nidle, 1);
	wait_idle(f, 0);
	teardown(f);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("pool");
	TCase	*t = tcase_create("pool");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, test_reuse);
	tcase_add_test(t, test_idle_ends);
	tcase_add_test(t, test_other_peer);
	tcase_add_test(t, test_closed_is_not_given);
	tcase_add_test(t, test_too_many);
	tcase_add_test(t, test_dies_between);
	tcase_add_test(t, test_requests);
	tcase_add_test(t, test_age);
	tcase_add_test(t, test_idle_time);
	tcase_add_test(t, test_none_kept);
	tcase_add_test(t, test_twins);
	tcase_add_test(t, test_tightened);
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
