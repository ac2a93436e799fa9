/*
 * The side of a server that is dialled: it has said yes as soon as the
 * connection is there.
 */
#include "codec/raw/raw.h"

#include <stdlib.h>

#include "base/must.h"

#define MAGIC	0x72617763

struct raw {
	struct codec_conn	 base;
	struct io		*io;		/* own until closed or taken */
	const struct codec_env	*env;		/* ref */
	void			*ctx;
	struct stream		*st;		/* of the caller's arena */
	struct ev_task		 answer;
	struct ev_task		 free;
	bool			 taken:1;
	bool			 dead:1;
};

/* a stream knows its connection by this */
struct half {
	struct stream	 st;
	struct raw	*r;		/* NULL: it is over */
	struct msg	 head;
};

static struct raw *
of(struct codec_conn *c)
{
	must(c->magic == MAGIC);
	return container_of(c, struct raw, base);
}

static void
on_free(struct ev_task *t)
{
	free(container_of(t, struct raw, free));
}

static void
end_stream(struct raw *r, enum fail why)
{
	struct stream	*st = r->st;

	r->st = NULL;
	if (st == NULL)
		return;
	container_of(st, struct half, st)->r = NULL;
	if (st->in.to != NULL)
		st->in.to->from = NULL;
	if (st->out.from != NULL)
		st->out.from->to = NULL;
	st->in.to = NULL;
	st->out.from = NULL;
	st->up->closed(st, why);
}

static void
die(struct raw *r, enum fail why)
{
	if (r->dead)
		return;
	r->dead = true;
	ev_cancel(&r->answer);
	if (!r->taken)
		io_close(r->io, false);
	end_stream(r, why);
	r->env->gone(r->ctx, why);
	ev_post(r->env->ev, EV_FREE, &r->free);
}

static void
on_io(struct io *io, unsigned what)
{
	if (what & IO_GONE)
		die(io->ctx, FAIL_RESET_BEFORE_HEAD);
}

static struct codec_conn *
open_conn(struct io *io, const struct codec_env *env, void *ctx)
{
	struct raw	*r = must_calloc(1, sizeof(*r));

	r->base.magic = MAGIC;
	r->io = io;
	r->env = env;
	r->ctx = ctx;
	ev_task_init(&r->free, on_free);
	io->on = on_io;
	io->ctx = r;
	return &r->base;
}

/* --- the request, and its answer --- */

static void
on_answer(struct ev_task *t)
{
	struct raw	*r = container_of(t, struct raw, answer);
	struct half	*h = container_of(r->st, struct half, st);
	struct sink	*to = h->st.in.to;

	h->head.status = 200;
	h->head.reason = msg_reason(200);
	h->head.minor = 1;
	h->st.head = &h->head;
	if (to != NULL)
		to->ops->head(to, &h->head, WAIST_UPGRADE);
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct half	*h = container_of(k, struct half, st.out);

	(void)m;
	(void)flags;
	if (h->r != NULL)
		ev_post(h->r->env->ev, EV_WAKE, &h->r->answer);
}

/* Nobody sends a body with CONNECT. */
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
	(void)k;
}

static void
on_abort(struct sink *k, enum fail why)
{
	struct half	*h = container_of(k, struct half, st.out);

	if (h->r != NULL)
		die(h->r, why);
}

static const struct sink_ops sink_ops = {
	.head = on_head,
	.data = on_data,
	.trailers = on_trailers,
	.end = on_body_end,
	.abort = on_abort
};

static void
on_room(struct source *s)
{
	(void)s;
}

static void
on_stop(struct source *s, enum fail why)
{
	struct half	*h = container_of(s, struct half, st.in);

	if (h->r != NULL && !h->r->taken)
		die(h->r, why);
}

static const struct source_ops source_ops = {
	.room = on_room,
	.stop = on_stop
};

static struct stream *
request(struct codec_conn *c, struct arena *arena)
{
	struct raw	*r = of(c);
	struct half	*h = arena_alloc(arena, sizeof(*h));

	must(r->st == NULL);
	h->r = r;
	h->st.in.ops = &source_ops;
	h->st.out.ops = &sink_ops;
	h->st.out.credit = INT64_MAX / 2;
	h->st.arena = arena;
	ev_task_init(&r->answer, on_answer);
	r->st = &h->st;
	return &h->st;
}

static unsigned
room(const struct codec_conn *c)
{
	(void)c;
	return 0;
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

	*rest = (struct chunk){ .kind = CHUNK_CONST };
	r->taken = true;
	return r->io;
}

const struct client_codec raw_client = {
	.alpn = "",
	.open = open_conn,
	.request = request,
	.room = room,
	.close = close_conn,
	.take = take
};
