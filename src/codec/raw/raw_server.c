/*
 * The side of whoever connected.  Its request is made up, its answer's
 * head is not written: what follows a head that upgrades is bytes alone,
 * and any other answer means that there is nobody to talk to.
 */
#include "codec/raw/raw.h"

#include <stdlib.h>

#include "base/must.h"

#define MAGIC	0x72617773

struct raw {
	struct codec_conn	 base;
	struct io		*io;		/* own until closed or taken */
	const struct codec_env	*env;		/* ref */
	void			*ctx;
	struct arena		 arena;
	struct stream		 st;
	struct ev_task		 begin;
	struct ev_task		 end;		/* answered otherwise */
	struct ev_task		 free;
	enum fail		 why;		/* of end */
	bool			 asked:1;	/* the request was told */
	bool			 open:1;	/* its head has upgraded */
	bool			 taken:1;
	bool			 dead:1;
};

static struct raw *
of(struct codec_conn *c)
{
	must(c->magic == MAGIC);
	return container_of(c, struct raw, base);
}

/* --- the end --- */

static void
on_free(struct ev_task *t)
{
	struct raw	*r = container_of(t, struct raw, free);
	struct arena	 a = r->arena;

	arena_fini(&a);
	free(r);
}

static void
untie(struct stream *st)
{
	if (st->in.to != NULL)
		st->in.to->from = NULL;
	if (st->out.from != NULL)
		st->out.from->to = NULL;
	st->in.to = NULL;
	st->out.from = NULL;
}

static void
die(struct raw *r, enum fail why)
{
	if (r->dead)
		return;
	r->dead = true;
	ev_cancel(&r->begin);
	ev_cancel(&r->end);
	if (!r->taken)
		io_close(r->io, false);
	untie(&r->st);
	if (r->asked)
		r->st.up->closed(&r->st, why);
	r->env->gone(r->ctx, why);
	ev_post(r->env->ev, EV_FREE, &r->free);
}

static void
on_end(struct ev_task *t)
{
	struct raw	*r = container_of(t, struct raw, end);

	die(r, r->why);
}

/* Later: whoever calls is in the middle of something. */
static void
end(struct raw *r, enum fail why)
{
	if (r->dead || r->taken)
		return;
	r->why = why;
	ev_post(r->env->ev, EV_WAKE, &r->end);
}

/* What it says is for the server; that it left is not. */
static void
on_io(struct io *io, unsigned what)
{
	if (what & IO_GONE)
		die(io->ctx, FAIL_CLIENT_GONE);
}

/* --- the answer --- */

static struct raw *
of_sink(struct sink *k)
{
	return container_of(k, struct raw, st.out);
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct raw	*r = of_sink(k);

	(void)m;
	if (flags & WAIST_INTERIM)
		return;
	if (flags & WAIST_UPGRADE)
		r->open = true;
	else
		end(r, FAIL_NONE);
}

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	(void)k;
	(void)flags;
	chunk_drop(&c);
	return FLOW_MORE;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	(void)k;
	(void)hs;
}

static void
on_body_end(struct sink *k)
{
	end(of_sink(k), FAIL_NONE);
}

static void
on_abort(struct sink *k, enum fail why)
{
	end(of_sink(k), why);
}

static const struct sink_ops sink_ops = {
	.head = on_head,
	.data = on_data,
	.trailers = on_trailers,
	.end = on_body_end,
	.abort = on_abort
};

/* --- the request --- */

static void
on_room(struct source *s)
{
	(void)s;
}

static void
on_stop(struct source *s, enum fail why)
{
	(void)s;
	(void)why;
}

static const struct source_ops source_ops = {
	.room = on_room,
	.stop = on_stop
};

static void
on_begin(struct ev_task *t)
{
	struct raw	*r = container_of(t, struct raw, begin);

	if (io_watch(r->io) == -1) {
		die(r, FAIL_NONE);
		return;
	}
	r->asked = true;
	r->st.up->request(&r->st);
}

static struct msg *
make_request(struct arena *a, struct str name)
{
	struct msg	*m = arena_alloc(a, sizeof(*m));

	m->meth = METHOD_CONNECT;
	m->method = msg_method_text(METHOD_CONNECT);
	m->host = m->authority = m->target = arena_dup(a, name);
	m->minor = 1;
	m->body = BODY_NONE;
	return m;
}

struct codec_conn *
raw_server_open(struct io *io, const struct codec_env *env, void *ctx,
    struct str name)
{
	struct raw	*r = must_calloc(1, sizeof(*r));

	r->base.magic = MAGIC;
	r->io = io;
	r->env = env;
	r->ctx = ctx;
	arena_init(&r->arena, env->arenas);
	ev_task_init(&r->begin, on_begin);
	ev_task_init(&r->end, on_end);
	ev_task_init(&r->free, on_free);
	r->st.in.ops = &source_ops;
	r->st.out.ops = &sink_ops;
	r->st.out.credit = INT64_MAX / 2;
	r->st.up = env->up;
	r->st.ctx = ctx;
	r->st.arena = &r->arena;
	r->st.head = make_request(&r->arena, name);
	r->st.begun_ns = ev_clock_ns();
	io->on = on_io;
	io->ctx = r;
	ev_post(env->ev, EV_READY, &r->begin);
	return &r->base;
}

/* --- as others have it --- */

/* There is one request, and it is under way. */
static void
drain(struct codec_conn *c, bool now)
{
	(void)of(c);
	(void)now;
}

static void
close_conn(struct codec_conn *c, enum fail why)
{
	die(of(c), why);
}

static struct io *
take(struct codec_conn *c, struct chunk *rest)
{
	struct raw	*r = of(c);

	must(r->open);
	*rest = (struct chunk){ .kind = CHUNK_CONST };
	r->taken = true;
	return r->io;
}

const struct server_codec raw_server = {
	.alpn = "",
	.drain = drain,
	.close = close_conn,
	.take = take
};
