/*
 * The pool of connections to servers: dialling and its failures, limits,
 * who gives a place to whom.
 */
#include "pool_env.h"

#include <errno.h>
#include <poll.h>

#include "up/pool_int.h"

START_TEST(test_refused)
{
	struct fix	*f = setup(8, 0);

	close(f->fd);
	ask(f, 0, f->server, 3000, false);
	wait_calls(f, 0, 1);
	ck_assert_ptr_null(f->wish[0].conn);
	ck_assert_int_eq(f->wish[0].why, FAIL_DIAL_REFUSED);
	ck_assert_int_eq(f->wish[0].w.error, ECONNREFUSED);
	ck_assert_str_eq(f->wish[0].w.what, "connect");
	ask(f, 1, f->server->upstream->servers[1], 3000, false);
	wait_calls(f, 1, 1);
	ck_assert_ptr_null(f->wish[1].conn);
	ck_assert_int_eq(f->wish[1].why, FAIL_DIAL_UNREACHABLE);
	ck_assert_int_eq(f->wish[1].w.error, ENOENT);
	ck_assert_uint_eq(f->server->nopen, 0);
	f->fd = -1;
	teardown(f);
}
END_TEST

/* What our system has too little of is no fault of the server. */
START_TEST(test_no_watch)
{
	struct fix	*f;

	setenv("SLUICE_FAULT", "dial_watch:1", 1);
	f = setup(8, 1);
	ask(f, 0, f->server, 3000, false);
	wait_calls(f, 0, 1);
	ck_assert_ptr_null(f->wish[0].conn);
	ck_assert_int_eq(f->wish[0].why, FAIL_DIAL_EXHAUSTED);
	ck_assert_int_eq(f->wish[0].w.error, ENOSPC);
	ck_assert_str_eq(f->wish[0].w.what, "watch");
	ck_assert_uint_eq(f->server->nopen, 0);
	/* its place was given back */
	pool_put(get(f, 1, false), false);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

/* A full queue of a listener drops further attempts in silence. */
START_TEST(test_timeout)
{
	struct fix	*f = setup(0, 0);
	unsigned	 n = 0;
	uint64_t	 t0;

	do {
		ask(f, n, f->server, 200, true);
		t0 = ev_clock_ns();
		wait_calls(f, n, 1);
	} while (f->wish[n].conn != NULL && ++n < 16);
	ck_assert_uint_lt(n, 16);
	ck_assert_int_eq(f->wish[n].why, FAIL_DIAL_TIMEOUT);
	ck_assert_uint_ge((ev_clock_ns() - t0) / 1000000, 190);
	ck_assert_uint_eq(f->server->nopen, n);
	while (n-- > 0)
		pool_put(f->wish[n].conn, false);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

START_TEST(test_cancel)
{
	struct fix	*f = setup(64, 0);
	struct up_conn	*a;

	/* while it is dialled */
	ask(f, 0, f->server, 3000, false);
	ck_assert_uint_eq(f->server->nopen, 1);
	pool_cancel(&f->wish[0].w);
	ck_assert_uint_eq(f->server->nopen, 0);
	/* while a pooled one is about to be given */
	a = get(f, 1, false);
	pool_put(a, true);
	ask(f, 2, f->server, 3000, false);
	ck_assert_uint_eq(f->server->nidle, 0);
	pool_cancel(&f->wish[2].w);
	ck_assert_uint_eq(f->server->nidle, 1);
	/* when there is nothing to cancel */
	pool_cancel(&f->wish[2].w);
	for (unsigned i = 0; i < 5; i++)
		ev_turn(f->serve.ev, 1);
	ck_assert_uint_eq(f->wish[0].calls, 0);
	ck_assert_uint_eq(f->wish[2].calls, 0);
	ck_assert_ptr_eq(get(f, 3, false), a);
	pool_put(a, false);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

START_TEST(test_limit)
{
	struct fix		*f = setup(64, 1);
	struct lease_word	*w;
	struct up_conn		*a = get(f, 0, false);

	w = shm_row(f->serve.shm, &lease_words,
	    atomic_load(&f->server->board->lease) - 1);
	ck_assert_uint_eq(lease_count(&w->taken), 1);
	ask(f, 1, f->server, 3000, false);
	wait_calls(f, 1, 1);
	ck_assert_ptr_null(f->wish[1].conn);
	ck_assert_int_eq(f->wish[1].why, FAIL_DIAL_LIMIT);
	/* An idle one holds its place, and can be had. */
	pool_put(a, true);
	ck_assert_uint_eq(lease_count(&w->taken), 1);
	ck_assert_ptr_eq(get(f, 2, false), a);
	pool_put(a, false);
	wait_open(f, f->server, 0);
	ck_assert_uint_eq(lease_count(&w->taken), 0);
	pool_put(get(f, 3, false), false);
	wait_open(f, f->server, 0);
	/* A dial that fails gives it back. */
	close(f->fd);
	ask(f, 4, f->server, 3000, false);
	wait_calls(f, 4, 1);
	ck_assert_int_eq(f->wish[4].why, FAIL_DIAL_REFUSED);
	ck_assert_uint_eq(lease_count(&w->taken), 0);
	f->fd = -1;
	teardown(f);
}
END_TEST

/* A fresh one, though the limit is reached by those that are idle. */
START_TEST(test_makes_place)
{
	struct fix		*f = setup(64, 2);
	struct up_conn		*a = get(f, 0, false);
	struct up_conn		*b = get(f, 1, false);
	struct lease_word	*w;

	w = shm_row(f->serve.shm, &lease_words,
	    atomic_load(&f->server->board->lease) - 1);
	ck_assert_uint_eq(pool_room(f->server), 0);
	pool_put(a, true);
	pool_put(b, true);
	ck_assert_uint_eq(pool_room(f->server), 2);
	ask(f, 2, f->server, 3000, true);
	ck_assert_uint_eq(lease_count(&w->taken), 2);
	ck_assert_uint_eq(f->server->nidle, 1);
	wait_calls(f, 2, 1);
	ck_assert_ptr_nonnull(f->wish[2].conn);
	ck_assert(!f->wish[2].w.reused);
	/* What is claimed and not used goes back. */
	f->wish[3] = (struct wish){ .w.on = on_given };
	pool_give_up(f->server, 1);
	ck_assert_uint_eq(lease_count(&w->taken), 1);
	ck_assert(pool_claim(f->server, &f->wish[3].w, false));
	ck_assert_uint_eq(lease_count(&w->taken), 2);
	ck_assert(!pool_claim(f->server, &f->wish[4].w, false));
	pool_cancel(&f->wish[3].w);
	ck_assert_uint_eq(lease_count(&w->taken), 1);
	/* One over a limit that was lowered does not become idle. */
	atomic_store(&w->limit, 1);
	ck_assert_ptr_nonnull(f->wish[2].conn);
	f->wish[4] = (struct wish){ .w.on = on_given };
	atomic_store(&w->limit, 2);
	b = get(f, 4, false);
	atomic_store(&w->limit, 1);
	pool_put(b, true);
	ck_assert_uint_eq(f->server->nidle, 0);
	wait_open(f, f->server, 1);
	pool_put(f->wish[2].conn, true);
	ck_assert_uint_eq(f->server->nidle, 1);
	teardown(f);
}
END_TEST

/* Somebody in the process of slot 1 has waited for long. */
static void
other_waits(struct fix *f, struct lease *other)
{
	struct board_queue	*b;
	uint32_t		 word;
	uint64_t		 us = ev_clock_ns() / 1000 - 900000;

	b = shm_row(f->serve.shm, &board_queues, f->server->upstream->row);
	atomic_store(&b->cell[1], us << 16 | 2);
	word = atomic_load(&f->server->upstream->live->queue) - 1;
	ck_assert(lease_take_max(other, word, 0));
}

/* who waits, and takes what there is */
struct taker {
	struct queue_wait	 q;
	struct tried		 tried;
	struct fix		*f;
	struct wish		 wish;
};

static void
on_room(struct queue_wait *q, enum fail why)
{
	struct taker	*t = container_of(q, struct taker, q);

	ck_assert_int_eq(why, FAIL_NONE);
	if (pool_claim(t->f->server, &t->wish.w, false))
		queue_leave(q);
}

/* One is given up for who waits elsewhere, one serves who waits here. */
START_TEST(test_shared_idle)
{
	struct fix	*f = setup(64, 2);
	struct lease	*other = lease_open(f->serve.shm, 1);
	struct up_conn	*a = get(f, 0, false), *b = get(f, 1, false);
	struct taker	 t = { .q.on = on_room, .f = f, .wish.w.on =
		on_given };

	pool_put(a, true);
	pool_put(b, true);
	other_waits(f, other);
	t.q.upstream = f->server->upstream;
	t.q.tried = &t.tried;
	ck_assert_int_eq(queue_join(&t.q, &f->uc.queue), FAIL_NONE);
	for (unsigned i = 0; i < 3; i++)
		ev_turn(f->serve.ev, 0);
	ck_assert(t.wish.w.claimed && t.wish.w.reused);
	ck_assert_uint_eq(f->server->nidle, 0);
	ck_assert_uint_eq(f->server->nopen, 1);
	ck_assert_uint_eq(pool_room(f->server), 1);
	/* There is a place for who still waits: it may stay. */
	pool_cancel(&t.wish.w);
	ck_assert_uint_eq(f->server->nidle, 1);
	pool_close_idle(f->server);
	lease_free(&other);
	teardown(f);
}
END_TEST

/* What has no limit is no place that anybody waits for. */
START_TEST(test_unlimited_idle)
{
	struct fix		*f = setup(64, 0);
	struct lease		*other = lease_open(f->serve.shm, 1);
	struct board_queue	*b;
	uint32_t		 row = f->server->upstream->row;

	b = shm_row(f->serve.shm, &board_queues, row);
	pool_put(get(f, 0, false), true);
	ck_assert_uint_eq(atomic_load(&b->idle[0]), 1);
	other_waits(f, other);
	queue_on_mail(&f->serve, MAIL_IDLE, row);
	for (unsigned i = 0; i < 3; i++)
		ev_turn(f->serve.ev, 0);
	ck_assert_uint_eq(f->server->nidle, 1);
	/* and nobody is asked again for what helps nobody */
	ck_assert_uint_eq(atomic_load(&b->idle[0]), 0);
	lease_free(&other);
	teardown(f);
}
END_TEST

/* Bytes go ahead; such a connection is nobody else's. */
START_TEST(test_first)
{
	struct fix	*f = setup(64, 0);
	char		 buf[16] = "";
	struct pollfd	 p = { .events = POLLIN };

	pool_put(get(f, 0, false), true);
	close(take(f));
	f->wish[1] = (struct wish){ .w.on = on_given,
	    .w.first = STR("PROXY x\r\n") };
	pool_get(f->server, &f->wish[1].w, 3000, false);
	wait_calls(f, 1, 1);
	ck_assert_ptr_nonnull(f->wish[1].conn);
	ck_assert(!f->wish[1].w.reused);
	p.fd = take(f);
	/* they wait for the request, but not for ever */
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_eq(read(p.fd, buf, sizeof(buf)), 9);
	ck_assert_str_eq(buf, "PROXY x\r\n");
	wait_idle(f, 0);
	pool_put(f->wish[1].conn, true);
	ck_assert_uint_eq(f->server->nidle, 0);
	wait_open(f, f->server, 0);
	close(p.fd);
	teardown(f);
}
END_TEST

/* --- connections of HTTP/2 that end --- */

static const char	hello[] = "\0\0\0\4\0\0\0\0\0";
static const char	bye[] = "\0\0\10\7\0\0\0\0\0\0\0\0\1\0\0\0\0";

static void
say(int fd, const char *frame, size_t n)
{
	ck_assert_int_eq(write(fd, frame, n - 1), (ssize_t)(n - 1));
}

static void
on_closed(struct stream *s, enum fail why)
{
	(void)why;
	pool_put(s->ctx, false);
}

static const struct stream_up up = { .closed = on_closed };

/* A request is under way on the connection, and keeps it open. */
static void
begin_stream(struct up_conn *c, struct arena *a)
{
	struct stream	*s = pool_stream(c, a);

	s->up = &up;
	s->ctx = c;
}

static struct fix *
setup_h2(void)
{
	struct fix	*f = setup(8, 0);

	f->sc[0].h2 = f->sc[0].plain = true;
	publish(f, 2);
	f->server = server_of(f);
	return f;
}

/*
 * Its server ends the connection, and who was promised it (0), or waits for
 * its first words (1), is told no failure: it has asked nobody.
 */
START_TEST(test_goaway)
{
	struct fix	*f = setup_h2();
	struct arena	 a;
	struct up_conn	*c;
	int		 fd;

	arena_init(&a, &f->serve.arenas);
	ask(f, 0, f->server, 3000, false);
	if (_i == 1)
		ask(f, 1, f->server, 3000, false);
	fd = take(f);
	wait_calls(f, 0, 1);
	c = f->wish[0].conn;
	ck_assert_ptr_nonnull(c);
	begin_stream(c, &a);
	say(fd, hello, sizeof(hello));
	while (_i == 0 && pool_share_room(f->server) == 0)
		ev_turn(f->serve.ev, TURN_MS);
	say(fd, bye, sizeof(bye));
	if (_i == 0)
		ask(f, 1, f->server, 3000, false);
	wait_calls(f, 1, 1);
	ck_assert_ptr_null(f->wish[1].conn);
	ck_assert_int_eq(f->wish[1].why, FAIL_SERVER_GOAWAY);
	ck_assert(f->wish[1].w.anew);
	/* whose turn it is goes to another connection */
	ck_assert_ptr_ne(get(f, 2, false), c);
	ck_assert_uint_eq(f->server->nopen, 2);
	pool_close(f->wish[2].conn);
	pool_put(f->wish[2].conn, false);
	pool_close(c);
	wait_open(f, f->server, 0);
	arena_fini(&a);
	close(fd);
	teardown(f);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("pool_dial");
	TCase	*t = tcase_create("dial");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, test_refused);
	tcase_add_test(t, test_no_watch);
	tcase_add_test(t, test_timeout);
	tcase_add_test(t, test_cancel);
	tcase_add_test(t, test_limit);
	tcase_add_test(t, test_makes_place);
	tcase_add_test(t, test_shared_idle);
	tcase_add_test(t, test_unlimited_idle);
	tcase_add_test(t, test_first);
	tcase_add_loop_test(t, test_goaway, 0, 2);
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
