/*
 * A process with one upstream "u" of two servers, the first of which is a
 * listener of the test's, and wishes for connections to them.
 */
#ifndef T_UNIT_POOL_ENV_H
#define T_UNIT_POOL_ENV_H

#include "up/pool.h"

#include <stdlib.h>
#include <unistd.h>

#include "up/breaker.h"
#include "up/fail_count.h"
#include "up/outlier.h"
#include "up/probes.h"
#include "up/queue.h"
#include "up/retry.h"
#include "up/server_use.h"
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
	&lease_addrs, NULL
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

static inline void
set_conf(struct fix *f, uint64_t number)
{
	f->uc.balance = &balancer_round_robin;
	f->uc.pool = (struct pool_limits){ IDLE_MAX, 55000, 0, 0, 100, 0 };
	f->uc.queue = (struct queue_limits){ .length = 16, .timeout = 20000 };
	f->uc.digest = number;
	up_env_set(&f->env, &f->conf, &f->uc, f->sc, 2, number);
}

static inline void
publish(struct fix *f, uint64_t number)
{
	set_conf(f, number);
	up_env_publish(&f->serve, &f->conf);
}

static inline struct server *
server_of(struct fix *f)
{
	struct upstream	*up = upstream_get(&f->serve, &f->uc);
	struct server	*s;

	ck_assert_ptr_nonnull(up);
	s = up->servers[0];
	upstream_put(&up);
	return s;
}

static inline struct fix *
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

static inline void
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
	shm_free(&f->serve.shm);
	close(f->fd);
	self = NULL;
	free(f);
}

static inline void
on_given(struct pool_wait *w, struct up_conn *c, enum fail why)
{
	struct wish	*i = container_of(w, struct wish, w);

	i->conn = c;
	i->why = why;
	i->calls++;
}

static inline void
ask(struct fix *f, unsigned i, struct server *s, uint64_t ms, bool fresh)
{
	f->wish[i] = (struct wish){ .calls = 0 };
	f->wish[i].w.on = on_given;
	f->wish[i].w.careful = true;
	pool_get(s, &f->wish[i].w, ms, fresh);
	/* Never from within. */
	ck_assert_uint_eq(f->wish[i].calls, 0);
}

static inline void
wait_calls(struct fix *f, unsigned i, unsigned n)
{
	for (unsigned t = 0; t < PATIENCE && f->wish[i].calls < n; t++)
		ev_turn(f->serve.ev, TURN_MS);
	ck_assert_uint_eq(f->wish[i].calls, n);
}

static inline struct up_conn *
get(struct fix *f, unsigned i, bool fresh)
{
	ask(f, i, f->server, 3000, fresh);
	wait_calls(f, i, 1);
	ck_assert_ptr_nonnull(f->wish[i].conn);
	return f->wish[i].conn;
}

static inline void
wait_idle(struct fix *f, unsigned n)
{
	for (unsigned t = 0; t < PATIENCE && f->server->nidle != n; t++)
		ev_turn(f->serve.ev, TURN_MS);
	ck_assert_uint_eq(f->server->nidle, n);
}

static inline void
wait_open(struct fix *f, struct server *s, unsigned n)
{
	for (unsigned t = 0; t < PATIENCE && s->nopen != n; t++)
		ev_turn(f->serve.ev, TURN_MS);
	ck_assert_uint_eq(s->nopen, n);
}

/* The server's end of the next connection. */
static inline int
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

#endif
