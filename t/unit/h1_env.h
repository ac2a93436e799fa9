/*
 * A codec under test: a loop, pools, and a pipe in memory (or a pair of
 * sockets) whose other end the test plays.  Nothing moves but by turns.
 */
#ifndef SL_T_H1_ENV_H
#define SL_T_H1_ENV_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "codec/codec.h"

#define PATIENCE_MS	5000

struct h1_env {
	struct ev		*ev;
	struct page_pool	 pages;
	struct slab		 arenas;
	struct slab		 conns;
	struct codec_env	 env;
	struct io_mem		*mem;
	struct io		*io;		/* of the codec */
	struct io		*peer;		/* the test's end */
	struct io		 sock[2];
	struct codec_conn	*c;		/* NULL: gone */
	unsigned		 ngone;
	enum fail		 gone_why;
	int			 idle;		/* as last told, -1: never */
	struct text		 out;		/* what the peer got */
	struct text		 log;		/* calls up, in words */
	bool			 eof;
	bool			 reset;
};

/* a sink that writes down what it is told */
struct h1_tank {
	struct sink	 sink;
	struct text	*log;
	struct text	 got;
	bool		 end;
	bool		 keep;		/* credit is not given back */
	enum fail	 why;
	const char	*name;
};

/* a source whose calls are counted */
struct h1_tap {
	struct source	 src;
	unsigned	 rooms;
	unsigned	 stops;
	enum fail	 why;
};

static inline void
tank_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct h1_tank	*t = container_of(k, struct h1_tank, sink);

	text_fmt(t->log, "%s head %u %.*s%s%s%s;", t->name, m->status,
	    STR_FMT(m->reason), flags & WAIST_INTERIM ? " interim" : "",
	    flags & WAIST_END ? " end" : "",
	    flags & WAIST_UPGRADE ? " upgrade" : "");
	t->end |= (flags & WAIST_END) != 0;
}

static inline enum flow
tank_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct h1_tank	*t = container_of(k, struct h1_tank, sink);

	ck_assert(!t->end);
	ck_assert_int_eq(c.kind, CHUNK_PAGE);
	ck_assert_uint_gt(c.n, 0);
	ck_assert_int_le((int64_t)c.n, k->credit);
	text_add(&t->got, str_make(c.u.mem.p, c.n));
	if (t->keep)
		k->credit -= (int64_t)c.n;
	chunk_drop(&c);
	if (flags & WAIST_END) {
		t->end = true;
		text_fmt(t->log, "%s end;", t->name);
	}
	return k->credit > 0 ? FLOW_MORE : FLOW_FULL;
}

static inline void
tank_trailers(struct sink *k, const struct hdrs *hs)
{
	struct h1_tank	*t = container_of(k, struct h1_tank, sink);

	for (size_t i = 0; i < hs->n; i++)
		text_fmt(t->log, "%s trailer %.*s=%.*s;", t->name,
		    STR_FMT(hs->v[i].name), STR_FMT(hs->v[i].val));
}

static inline void
tank_end(struct sink *k)
{
	struct h1_tank	*t = container_of(k, struct h1_tank, sink);

	ck_assert(!t->end);
	t->end = true;
	text_fmt(t->log, "%s end;", t->name);
}

static inline void
tank_abort(struct sink *k, enum fail why)
{
	struct h1_tank	*t = container_of(k, struct h1_tank, sink);

	t->why = why;
	text_fmt(t->log, "%s abort %s;", t->name, fail_row(why)->name);
}

static const struct sink_ops tank_ops = {
	tank_head, tank_data, tank_trailers, tank_end, tank_abort
};

static inline void
tank_init(struct h1_tank *t, struct text *log, const char *name)
{
	*t = (struct h1_tank){ .sink.ops = &tank_ops, .log = log,
	    .name = name };
	t->sink.credit = 65536;
	text_init(&t->got);
}

static inline void
tap_room(struct source *s)
{
	container_of(s, struct h1_tap, src)->rooms++;
}

static inline void
tap_stop(struct source *s, enum fail why)
{
	struct h1_tap	*t = container_of(s, struct h1_tap, src);

	t->stops++;
	t->why = why;
}

static const struct source_ops tap_ops = {
	.room = tap_room,
	.stop = tap_stop
};

static inline void
env_gone(void *ctx, enum fail why)
{
	struct h1_env	*e = ctx;

	e->ngone++;
	e->gone_why = why;
	e->c = NULL;
}

static inline void
env_idle(void *ctx, bool idle)
{
	((struct h1_env *)ctx)->idle = idle;
}

/* The peer's end: takes what comes, at once. */
static inline void
env_drain(struct h1_env *e)
{
	char		buf[8192];
	struct iovec	v = { buf, sizeof(buf) };
	enum io_rc	rc = IO_OK;
	size_t		n;

	while (rc == IO_OK && io_can(e->peer, IO_R)) {
		rc = io_readv(e->peer, &v, 1, &n);
		text_add(&e->out, str_make(buf, n));
		e->eof |= rc == IO_EOF;
		e->reset |= rc == IO_ERR;
		if (rc == IO_EOF || rc == IO_ERR)
			return;
	}
}

static inline void
env_on_peer(struct io *io, unsigned what)
{
	(void)io;
	(void)what;
}

static inline void
env_init(struct h1_env *e)
{
	*e = (struct h1_env){ .idle = -1 };
	e->ev = ev_new(NULL, NULL);
	ck_assert_ptr_nonnull(e->ev);
	page_pool_init(&e->pages, 0);
	slab_init(&e->arenas, 8192, 0);
	slab_init(&e->conns, CODEC_CONN_MAX, 0);
	e->env = (struct codec_env){ .ev = e->ev, .pages = &e->pages,
	    .arenas = &e->arenas, .conns = &e->conns, .gone = env_gone,
	    .idle = env_idle };
	e->env.limits = (struct codec_limits){ .header_bytes = 32768,
	    .header_field = 16384, .header_count = 128, .target = 8192 };
	text_init(&e->out);
	text_init(&e->log);
}

static inline void
env_pipe(struct h1_env *e, size_t size)
{
	e->mem = io_mem_new(e->ev, size);
	e->io = io_mem_end(e->mem, 0, NULL);
	e->peer = io_mem_end(e->mem, 1, env_on_peer);
}

/* A pair of sockets: the codec's end as if just accepted. */
static inline void
env_sockets(struct h1_env *e, unsigned caps)
{
	int	fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fd), 0);
	e->io = &e->sock[0];
	e->peer = &e->sock[1];
	ck_assert_int_eq(io_sock_open(e->io, e->ev, fd[0], caps, NULL,
	    NULL), 0);
	ck_assert_int_eq(io_sock_open(e->peer, e->ev, fd[1], 0, env_on_peer,
	    NULL), 0);
}

/* Enough turns for everything that needs no time. */
static inline void
env_run(struct h1_env *e)
{
	for (int i = 0; i < 12; i++) {
		ev_turn(e->ev, 0);
		if (e->peer->open)
			env_drain(e);
	}
}

#define env_wait(e, cond) do {						\
	uint64_t until = ev_clock_ns() / 1000000 + PATIENCE_MS;		\
	while (!(cond)) {						\
		ck_assert_msg(ev_clock_ns() / 1000000 < until,		\
		    "waited in vain: %s", #cond);			\
		ev_turn((e)->ev, 20);					\
		if ((e)->peer->open)					\
			env_drain(e);					\
	}								\
} while (0)

/* Sends all of it, by pieces of at most step bytes with turns between. */
static inline void
env_send(struct h1_env *e, struct str s, size_t step)
{
	struct iovec	v;
	size_t		n;
	enum io_rc	rc = IO_OK;
	uint64_t	until = ev_clock_ns() / 1000000 + PATIENCE_MS;

	while (s.n > 0 && rc != IO_ERR) {
		v.iov_base = (char *)(uintptr_t)s.p;
		v.iov_len = step > 0 && step < s.n ? step : s.n;
		rc = io_writev(e->peer, &v, 1, 0, &n);
		s = str_sub(s, n, s.n);
		ev_turn(e->ev, 0);
		env_drain(e);
		ck_assert(ev_clock_ns() / 1000000 < until);
	}
}

static inline void
env_fini(struct h1_env *e)
{
	if (e->peer != NULL)
		io_close(e->peer, false);
	for (int i = 0; i < 4; i++)
		ev_turn(e->ev, 0);
	ck_assert_uint_eq(e->conns.nlive, 0);
	ck_assert_uint_eq(e->pages.live, 0);
	ck_assert_uint_eq(e->arenas.nlive, 0);
	io_mem_free(&e->mem);
	slab_fini(&e->arenas);
	slab_fini(&e->conns);
	page_pool_fini(&e->pages);
	text_fini(&e->out);
	text_fini(&e->log);
	ev_free(&e->ev);
}

#define ck_text(t, want) do {						\
	struct str	have_ = text_str(t);				\
	struct str	want_ = str_from(want);				\
	ck_assert_msg(str_eq(have_, want_), "%s:%d: have \"%.*s\", "	\
	    "want \"%.*s\"", __FILE__, __LINE__, STR_FMT(have_),	\
	    STR_FMT(want_));						\
} while (0)

#endif
