/*
 * The limit of a request body whose length nobody said beforehand; of a
 * call of gRPC, which is a stream, that of each message.  Workers.
 *
 * It stands between the codec and the handler, a sink for the one and a
 * source for the other, with the handler's credit, and counts.  The chunk
 * that is too much is dropped; that it is over is told from a wake, for
 * the codec is the caller then.
 */
#include "core/int.h"
#include "http/grpc.h"

struct limit {
	struct exchange	*x;		/* ref */
	struct sink	 sink;		/* for the codec */
	struct source	 source;	/* for the handler */
	struct ev_task	 wake;
	uint64_t	 left;
	struct grpc_scan scan;		/* of a call: where its messages are */
	bool		 over:1;
};

static struct limit *
of(struct sink *k)
{
	return container_of(k, struct limit, sink);
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct sink	*to = of(k)->source.to;

	if (to != NULL)
		to->ops->head(to, m, flags);
}

static bool
is_too_much(struct limit *l, const struct chunk *c)
{
	if (!l->x->call)
		return c->n > l->left;
	return !grpc_scan(&l->scan, str_make(c->u.mem.p, (size_t)c->n),
	    l->x->max_body);
}

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct limit	*l = of(k);
	struct sink	*to = l->source.to;
	enum flow	 flow;

	if (!l->over && is_too_much(l, &c)) {
		l->over = true;
		ev_post(l->x->serve->ev, EV_WAKE, &l->wake);
	}
	if (l->over || to == NULL) {
		chunk_drop(&c);
		k->credit = 0;
		return FLOW_FULL;
	}
	l->left -= l->x->call ? 0 : c.n;
	flow = to->ops->data(to, c, flags);
	k->credit = to->credit;
	return flow;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	struct sink	*to = of(k)->source.to;

	if (to != NULL && !of(k)->over)
		to->ops->trailers(to, hs);
}

static void
on_end(struct sink *k)
{
	struct sink	*to = of(k)->source.to;

	if (to != NULL && !of(k)->over)
		to->ops->end(to);
}

static void
on_abort(struct sink *k, enum fail why)
{
	struct sink	*to = of(k)->source.to;

	if (to != NULL && !of(k)->over)
		to->ops->abort(to, why);
}

static const struct sink_ops sink_ops = {
	on_head, on_data, on_trailers, on_end, on_abort
};

/* The codec's end, while there is one. */
static struct source *
from(struct limit *l)
{
	return l->x->client != NULL && !l->over ? l->sink.from : NULL;
}

static void
on_room(struct source *s)
{
	struct limit	*l = container_of(s, struct limit, source);
	struct source	*in = from(l);

	if (in == NULL)
		return;
	l->sink.credit = s->to->credit;
	in->ops->room(in);
}

static void
on_stop(struct source *s, enum fail why)
{
	struct limit	*l = container_of(s, struct limit, source);
	struct source	*in = from(l);

	if (in != NULL)
		in->ops->stop(in, why);
}

static void
on_taken(struct source *s, uint64_t n, enum io_rc rc)
{
	struct limit	*l = container_of(s, struct limit, source);
	struct source	*in = from(l);

	if (in == NULL)
		return;
	l->sink.credit = s->to->credit;
	if (in->ops->taken != NULL)
		in->ops->taken(in, n, rc);
}

static void
on_hold(struct source *s)
{
	struct limit	*l = container_of(s, struct limit, source);

	waist_hold(&l->sink);
}

static const struct source_ops source_ops = {
	on_room, on_stop, on_taken, on_hold, NULL
};

static void
on_over(struct ev_task *t)
{
	struct limit	*l = container_of(t, struct limit, wake);
	struct exchange	*x = l->x;
	struct source	*in = &x->client->in;
	enum fail	 why = x->call ? FAIL_MESSAGE_TOO_LARGE :
	    FAIL_BODY_TOO_LARGE;

	in->ops->stop(in, why);
	if (l->source.to != NULL)
		l->source.to->ops->abort(l->source.to, why);
	exchange_give_up(x, why, STR(""));
}

struct source *
exchange_limit(struct exchange *x)
{
	struct limit	*l;

	if (x->body != NULL)
		return x->body;
	l = arena_alloc(x->arena, sizeof(*l));
	l->x = x;
	l->left = x->max_body;
	l->sink.ops = &sink_ops;
	l->source.ops = &source_ops;
	ev_task_init(&l->wake, on_over);
	waist_join(&x->client->in, &l->sink);
	x->body = &l->source;
	return x->body;
}

void
exchange_limit_end(struct exchange *x)
{
	if (x->body != NULL)
		ev_cancel(&container_of(x->body, struct limit, source)->wake);
}
