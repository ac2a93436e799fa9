/*
 * The pool of connections to servers: dialling and its failures, reuse,
 * what a server does to idle connections, limits, twins that go.
 */
#include "up/breaker.h"
#include "up/fail_count.h"
#include "up/server_use.h"
#include "up/pool.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "up/outlier.h"
#include "up/probes.h"
#include "up/queue.h"
#include "up/outlier.h"
#include "up/probes.h"
#include "up/retry.h"
#include "up_env.h"

#define TURN_MS		20
#define PATIENCE	250	/* turns: 5 s */
#define NWAIT		80
#define IDLE_MAX	64

static const struct shm_region *const regions[] = {
	&board_servers, &board_paths, &board_upstream_names,
	&board_servers_live, &board_server_uses,
	&board_retries, &board_retry_uses, &board_outliers, &board_probes,
	&board_breakers, &board_breaker_probes, &board_breaker_confs,
	&board_fail_counts,
	&board_upstreams, &board_names, &board_queues, &board_slots,
	&lease_words, &lease_shadows, &lease_heads, &lease_listeners,
	&lease_addrs, &board_outliers, &board_probes, NULL
};

/* a wish and what came of it */
struct wish {
	struct pool_wait	 w;
	struct up_conn		*conn;
	enum fail		 why;
	unsigned		 calls;
};

/* a process with one upstream "u" of two servers, and one listener */
struct fix {
	struct serve		 serve;
	struct proc		 proc;
	struct upstream_conf	 uc;
	struct server_conf	 sc[2];
	struct up_env		 env;		/* of conf */
	struct conf		 conf;
	int			 fd;		/* of the listener */
	char			 text[32];	/* its address */
	struct server		*server;
	struct wish		 wish[NWAIT];
};

static void
set_conf(struct fix *f, uint64_t number)
{
	f->uc.balance = &balancer_round_robin;
	f->uc.pool = (struct pool_limits){ IDLE_MAX, 55000, 0, 0, 100, 0 };
	f->uc.queue = (struct queue_limits){ .length = 16, .timeout = 20000 };
	f->uc.digest = number;
	up_env_set(&f->env, &f->conf, &f->uc, f->sc, 2, number);
}

static void
publish(struct fix *f, uint64_t number)
{
	set_conf(f, number);
	up_env_publish(&f->serve, &f->conf);
}

static struct server *
server_of(struct fix *f)
{
	struct upstream	*up = upstream_get(&f->serve, &f->uc);
	struct server	*s;

	ck_assert_ptr_nonnull(up);
	s = up->servers[0];
	upstream_put(&up);
	return s;
}

static struct fix *
setup(int backlog, uint32_t max_conns)
{
	struct fix	*f = calloc(1, sizeof(*f));
	struct sock_addr a;
	struct text	 t;
	struct err	 e;

	f->serve.ev = ev_new(NULL, &e);
	f->serve.shm = shm_new(regions, &e);
	ck_assert_ptr_nonnull(f->serve.shm);
	ck_assert_int_eq(lease_grow(f->serve.shm, 2, 8, &e), 0);
	f->serve.lease = lease_open(f->serve.shm, 0);
	page_pool_init(&f->serve.pages, 16);
	slab_init(&f->serve.arenas, 8192, 4);
	slab_init(&f->serve.codecs, CODEC_CONN_MAX, 4);
	f->proc.ev = f->serve.ev;
	self = &f->proc;
	sock_parse(STR("127.0.0.1:0"), -1, &a, &e);
	f->fd = sock_listen(&a, backlog, 0, &e);
	ck_assert_int_ne(f->fd, -1);
	sock_local(f->fd, &a);
	text_init_fixed(&t, f->text, sizeof(f->text));
	sock_text(&t, &a);
	f->sc[0].text = text_str(&t);
	f->sc[0].max_conns = max_conns;
	f->sc[1].text = STR("unix:/nowhere/at/all");
	publish(f, 1);
	f->server = server_of(f);
	return f;
}

static void
teardown(struct fix *f)
{
	upstream_part.fini(&f->serve);
	for (unsigned i = 0; i < 3; i++)
		ev_turn(f->serve.ev, 0);
	ck_assert_uint_eq(f->serve.upstreams.n, 0);
	queue_part.fini(&f->serve);
	ev_free(&f->serve.ev);
	slab_fini(&f->serve.codecs);
	slab_fini(&f->serve.arenas);
	page_pool_fini(&f->serve.pages);
	lease_free(&f->serve.lease);
	lease_free(&f->serve.lease);
	shm_free(&f->serve.shm);
	close(f->fd);
	self = NULL;
	free(f);
}

static void
on_given(struct pool_wait *w, struct up_conn *c, enum fail why)
{
	struct wish	*i = container_of(w, struct wish, w);

	i->conn = c;
	i->why = why;
	i->calls++;
}

static void
ask(struct fix *f, unsigned i, struct server *s, uint64_t ms, bool fresh)
{
	f->wish[i] = (struct wish){ .calls = 0 };
	f->wish[i].w.on = on_given;
	f->wish[i].w.careful = true;
	pool_get(s, &f->wish[i].w, ms, fresh);
	/* Never from within. */
	ck_assert_uint_eq(f->wish[i].calls, 0);
}

static void
wait_calls(struct fix *f, unsigned i, unsigned n)
{
	for (unsigned t = 0; t < PATIENCE && f->wish[i].calls < n; t++)
		ev_turn(f->serve.ev, TURN_MS);
	ck_assert_uint_eq(f->wish[i].calls, n);
}

static struct up_conn *
get(struct fix *f, unsigned i, bool fresh)
{
	ask(f, i, f->server, 3000, fresh);
	wait_calls(f, i, 1);
	ck_assert_ptr_nonnull(f->wish[i].conn);
	return f->wish[i].conn;
}

static void
wait_idle(struct fix *f, unsigned n)
{
	for (unsigned t = 0; t < PATIENCE && f->server->nidle != n; t++)
		ev_turn(f->serve.ev, TURN_MS);
	ck_assert_uint_eq(f->server->nidle, n);
}

static void
wait_open(struct fix *f, struct server *s, unsigned n)
{
	for (unsigned t = 0; t < PATIENCE && s->nopen != n; t++)
		ev_turn(f->serve.ev, TURN_MS);
	ck_assert_uint_eq(s->nopen, n);
}

/* The server's end of the next connection. */
static int
take(struct fix *f)
{
	struct sock_addr	a;
	int			fd;

	for (unsigned t = 0; t < PATIENCE; t++) {
		fd = sock_accept(f->fd, &a);
		if (fd != -1)
			return fd;
		ev_turn(f->serve.ev, TURN_MS);
	}
	ck_abort_msg("nobody connected");
	return -1;
}

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
	ck_assert_uint_eq(f->server->nidle, IDLE_MAX);
	wait_open(f, f->server, IDLE_MAX);
	/* The oldest went. */
	for (unsigned i = 0; i < IDLE_MAX; i++)
		ck_assert_ptr_eq(get(f, i, false), c[n - 1 - i]);
	ck_assert_uint_eq(f->server->nidle, 0);
	for (unsigned i = 0; i < IDLE_MAX; i++)
		pool_put(f->wish[i].conn, true);
	pool_close_idle(f->server);
	wait_open(f, f->server, 0);
	teardown(f);
}
END_TEST

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

int
main(void)
{
	Suite	*s = suite_create("pool");
	TCase	*tc = tcase_create("pool");
	SRunner	*sr;
	int	 failed;

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_reuse);
	tcase_add_test(tc, test_idle_ends);
	tcase_add_test(tc, test_closed_is_not_given);
	tcase_add_test(tc, test_too_many);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_no_watch);
	tcase_add_test(tc, test_timeout);
	tcase_add_test(tc, test_cancel);
	tcase_add_test(tc, test_limit);
	tcase_add_test(tc, test_dies_between);
	tcase_add_test(tc, test_requests);
	tcase_add_test(tc, test_age);
	tcase_add_test(tc, test_idle_time);
	tcase_add_test(tc, test_none_kept);
	tcase_add_test(tc, test_makes_place);
	tcase_add_test(tc, test_shared_idle);
	tcase_add_test(tc, test_unlimited_idle);
	tcase_add_test(tc, test_first);
	tcase_add_test(tc, test_twins);
	tcase_add_test(tc, test_tightened);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
