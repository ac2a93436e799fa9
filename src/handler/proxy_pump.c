/*
 * The two bodies of a proxied exchange.  Workers.
 *
 * Each direction is a sink that takes from one stream and a source that
 * gives to the other.  Credit is handed through: our sink has what the
 * stream behind it has, so nothing is ever kept here but trailers and an
 * end that came before the other side was there to take them.
 */
#include "handler/proxy.h"

#include "base/must.h"
#include "handler/proxy_gather.h"

/* Ours takes what the one behind it takes; NULL: nothing. */
static void
follow(struct sink *ours, const struct sink *to)
{
	ours->credit = to != NULL ? to->credit : 0;
	ours->splice = to != NULL && to->splice;
}

/* --- request: client to server --- */

/* What is to be kept has to be seen. */
static void
follow_request(struct proxy *p, const struct sink *to)
{
	follow(&p->req_in, to);
	p->req_in.splice = p->req_in.splice && !proxy_keep_is_on(p);
}

static struct proxy *
of_req_in(struct sink *k)
{
	struct proxy	*p = container_of(k, struct proxy, req_in);

	must(p->magic == PROXY_MAGIC);
	return p;
}

/* The client's codec is to send nothing; who has sent all may be gone. */
static void
hold_request(struct proxy *p)
{
	if (!p->req_end) {
		waist_hold(&p->req_in);
		return;
	}
	p->req_in.credit = 0;
	p->req_in.splice = false;
}

void
proxy_hold_body(struct proxy *p)
{
	hold_request(p);
	p->req_stop = true;
}

static void
on_req_head(struct sink *k, struct msg *m, unsigned flags)
{
	/* The head was there before the handler. */
	(void)k;
	(void)m;
	(void)flags;
}

static enum flow
on_req_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct proxy	*p = of_req_in(k);
	struct stream	*s = p->s;
	bool		 waits = proxy_keep_add(p, &c);
	enum flow	 flow;

	p->req_used = true;
	p->req_end |= (flags & WAIST_END) != 0;
	if (s == NULL || p->stopped || waits) {
		chunk_drop(&c);
		k->credit = 0;
		/* No further attempt without what is lost here. */
		if (s == NULL && !p->answered && proxy_keep_lost(p))
			proxy_give_up(p, FAIL_INTERNAL);
		return FLOW_FULL;
	}
	proxy_moved(p);
	p->req_told = p->req_end;
	flow = s->out.ops->data(&s->out, c, flags);
	/* The call may have ended the stream. */
	follow_request(p, p->s == s ? &s->out : NULL);
	return flow;
}

static void
on_req_trailers(struct sink *k, const struct hdrs *hs)
{
	struct proxy	*p = of_req_in(k);

	p->req_trailers = hs;
}

/* The stream has the whole body: its trailers and its end, once. */
static void
end_request(struct proxy *p)
{
	struct stream	*s = p->s;

	if (p->req_told)
		return;
	p->req_told = true;
	if (p->req_trailers != NULL)
		s->out.ops->trailers(&s->out, p->req_trailers);
	s->out.ops->end(&s->out);
}

static void
on_req_end(struct sink *k)
{
	struct proxy	*p = of_req_in(k);

	p->req_end = true;
	if (p->s == NULL || p->stopped || !proxy_keep_send(p))
		return;
	proxy_moved(p);
	end_request(p);
}

/* The client did not send it all, or too much. */
static void
on_req_abort(struct sink *k, enum fail why)
{
	proxy_give_up(of_req_in(k), why);
}

static const struct sink_ops req_in_ops = {
	on_req_head, on_req_data, on_req_trailers, on_req_end, on_req_abort
};

/*
 * Lets the client send as much as the server takes, which has what was
 * kept first.
 */
static void
pull_request(struct proxy *p)
{
	struct source	*from = p->req_in.from;

	if (from == NULL || p->s == NULL || p->hold || p->stopped ||
	    p->req_told || p->req_stop || !proxy_keep_send(p))
		return;
	if (p->req_end) {
		end_request(p);
		return;
	}
	follow_request(p, &p->s->out);
	if (p->req_in.credit > 0)
		from->ops->room(from);
}

static void
on_req_room(struct source *s)
{
	struct proxy	*p = container_of(s, struct proxy, req_out);

	proxy_moved(p);
	pull_request(p);
}

/* The server wants no more of the body; its answer may still come. */
static void
on_req_stop(struct source *s, enum fail why)
{
	struct proxy	*p = container_of(s, struct proxy, req_out);

	(void)why;
	proxy_hold_body(p);
}

static void
on_req_taken(struct source *s, uint64_t n, enum io_rc rc)
{
	struct proxy	*p = container_of(s, struct proxy, req_out);
	struct source	*from = p->req_in.from;

	if (n > 0)
		proxy_moved(p);
	if (p->s != NULL)
		follow_request(p, &p->s->out);
	if (from != NULL && from->ops->taken != NULL)
		from->ops->taken(from, n, rc);
}

static const struct source_ops req_out_ops = {
	.room = on_req_room,
	.stop = on_req_stop,
	.taken = on_req_taken
};

/* --- answer: server to client --- */

static struct proxy *
of_res_in(struct sink *k)
{
	struct proxy	*p = container_of(k, struct proxy, res_in);

	must(p->magic == PROXY_MAGIC);
	return p;
}

static void
take_head(struct proxy *p, const struct msg *m)
{
	/* One that answers well without a 100 will take the body. */
	p->req_stop |= p->hold && m->status >= 300;
	proxy_let_body(p);
	proxy_answer(p, m);
}

void
proxy_release(struct proxy *p)
{
	const struct msg	*m = p->held;

	p->held = NULL;
	if (m != NULL && !p->over && !p->stopped)
		take_head(p, m);
}

static void
on_res_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct proxy	*p = of_res_in(k);

	if (p->over || p->stopped || p->again.drop)
		return;
	if (flags & WAIST_INTERIM) {
		proxy_interim(p, m);
		return;
	}
	if (flags & WAIST_UPGRADE) {
		proxy_upgrade(p, m);
		return;
	}
	proxy_grpc_judge(p, &m->hdrs);
	if (proxy_retry_drops(p, m, (flags & WAIST_END) != 0))
		return;
	p->res_end = (flags & WAIST_END) != 0;
	if (!proxy_grpc_holds(p, m))
		take_head(p, m);
}

static enum flow
on_res_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct proxy	*p = of_res_in(k);
	struct sink	*to = p->res_out.to;
	enum flow	 flow;

	if (p->again.drop) {
		k->credit -= (int64_t)c.n;
		chunk_drop(&c);
		if ((flags & WAIST_END) == 0)
			proxy_retry_dropped(p, k->credit);
		return k->credit > 0 ? FLOW_MORE : FLOW_FULL;
	}
	p->res_end |= (flags & WAIST_END) != 0;
	if (p->res_end)
		attempt_complete(&p->attempt);
	if (p->over || to == NULL) {
		chunk_drop(&c);
		k->credit = 0;
		return FLOW_FULL;
	}
	if (!proxy_grpc_data(p, &c)) {
		chunk_drop(&c);
		k->credit = 0;
		return FLOW_FULL;
	}
	proxy_moved(p);
	flow = to->ops->data(to, c, flags);
	follow(k, p->over ? NULL : to);
	if (p->res_end)
		proxy_ended(p);
	return flow;
}

static void
on_res_trailers(struct sink *k, const struct hdrs *hs)
{
	struct proxy	*p = of_res_in(k);
	struct sink	*to = p->res_out.to;

	if (p->over || p->again.drop)
		return;
	proxy_grpc_judge(p, hs);
	if (proxy_grpc_drops(p, hs))
		return;
	proxy_release(p);
	proxy_grpc_trailers(p, hs);
	if (to == NULL)
		p->res_trailers = hs;
	else
		to->ops->trailers(to, hs);
}

static void
on_res_end(struct sink *k)
{
	struct proxy	*p = of_res_in(k);
	struct sink	*to = p->res_out.to;

	if (p->again.drop)
		return;
	p->res_end = true;
	attempt_complete(&p->attempt);
	if (p->over)
		return;
	if (to != NULL)
		to->ops->end(to);
	proxy_ended(p);
}

/*
 * Before the head the stream's closed() decides about another attempt;
 * after it the client must not take what it has for the whole.
 */
static void
on_res_abort(struct sink *k, enum fail why)
{
	struct proxy	*p = of_res_in(k);

	proxy_release(p);
	/* Nothing may be said to this stream any more. */
	p->stopped = true;
	proxy_note(p, why);
	if (p->answered && !p->res_end)
		proxy_give_up(p, why);
}

static const struct sink_ops res_in_ops = {
	on_res_head, on_res_data, on_res_trailers, on_res_end, on_res_abort
};

static void
pull_answer(struct proxy *p)
{
	if (p->s == NULL || p->res_end || p->stopped ||
	    p->res_out.to == NULL)
		return;
	follow(&p->res_in, p->res_out.to);
	if (p->res_in.credit > 0)
		p->s->in.ops->room(&p->s->in);
}

static void
on_res_room(struct source *s)
{
	struct proxy	*p = container_of(s, struct proxy, res_out);

	/* The pause was the client's. */
	proxy_moved(p);
	pull_answer(p);
}

static void
on_res_stop(struct source *s, enum fail why)
{
	proxy_stop(container_of(s, struct proxy, res_out), why);
}

static void
on_res_taken(struct source *s, uint64_t n, enum io_rc rc)
{
	struct proxy	*p = container_of(s, struct proxy, res_out);

	if (p->s == NULL)
		return;
	if (n > 0)
		proxy_moved(p);
	follow(&p->res_in, s->to);
	if (p->s->in.ops->taken != NULL)
		p->s->in.ops->taken(&p->s->in, n, rc);
}

static const struct source_ops res_out_ops = {
	.room = on_res_room,
	.stop = on_res_stop,
	.taken = on_res_taken
};

/* --- joining --- */

void
proxy_init_pumps(struct proxy *p)
{
	p->req_in.ops = &req_in_ops;
	p->req_out.ops = &req_out_ops;
	p->res_in.ops = &res_in_ops;
	p->res_out.ops = &res_out_ops;
}

void
proxy_join(struct proxy *p)
{
	struct stream	*s = p->s;
	bool		 bare = p->req.body == BODY_NONE;

	waist_join(&p->req_out, &s->out);
	waist_join(&s->in, &p->res_in);
	p->req_told = bare;
	s->out.ops->head(&s->out, &p->req, bare ? WAIST_END : 0);
	if (bare || p->s == NULL)
		return;
	if (p->req_in.from == NULL)
		waist_join(exchange_request(p->x), &p->req_in);
	/* It may have come, or ended with nothing, before this stream. */
	proxy_keep_rewind(p);
	pull_request(p);
}

void
proxy_untie(struct proxy *p)
{
	p->req_out.to = NULL;
	p->res_in.from = NULL;
	hold_request(p);
	waist_hold(&p->res_in);
	p->req_stop = p->req_told = false;
}

void
proxy_let_body(struct proxy *p)
{
	if (!p->hold)
		return;
	p->hold = false;
	pull_request(p);
}

void
proxy_open_body(struct proxy *p)
{
	struct sink	*to = proxy_gather_begin(p, exchange_body(p->x));

	p->open = true;
	waist_join(&p->res_out, to);
	if (p->res_trailers != NULL)
		to->ops->trailers(to, p->res_trailers);
	if (p->res_end)
		to->ops->end(to);
	else
		pull_answer(p);
}
