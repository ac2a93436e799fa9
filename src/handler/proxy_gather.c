/*
 * buffering = on: small pieces of an answer are gathered, so that a server
 * that writes them one by one does not cost a write, a packet and a chunk
 * each.  Workers.
 *
 * It is a sink behind the pump and a source before the client.  It holds
 * at most a page, never more than the client's credit, and for at most
 * GATHER_MS; whatever is large, and the end, goes on at once.
 */
#include "handler/proxy_gather.h"

#include "base/must.h"
#include "handler/proxy.h"

#define GATHER_MS	200
#define LARGE		(PAGE_BYTES / 4)	/* not worth copying */

struct gather {
	struct sink		 in;		/* from the pump */
	struct source		 out;		/* to the client */
	struct proxy		*p;		/* ref */
	struct page		*page;		/* own; NULL: nothing is held */
	uint32_t		 pos;		/* sent up to here */
	struct timer		 timer;		/* of the oldest byte */
};

static uint32_t
held(const struct gather *g)
{
	return g->page == NULL ? 0 : g->page->fill - g->pos;
}

/* What may come: as much as may go on, with what is here. */
static void
set_credit(struct gather *g)
{
	struct sink	*to = g->out.to;

	g->in.credit = to == NULL ? 0 : to->credit - (int64_t)held(g);
}

static void
drop(struct gather *g)
{
	ev_timer_off(g->p->x->serve->ev, &g->timer);
	page_unref(&g->page);
}

/* Passes on what is here; flags as of data(). */
static void
push(struct gather *g, unsigned flags)
{
	struct sink	*to = g->out.to;
	struct chunk	 c = { .kind = CHUNK_PAGE, .n = held(g) };

	ev_timer_off(g->p->x->serve->ev, &g->timer);
	if (c.n == 0 || to == NULL)
		return;
	c.u.mem.p = g->page->data + g->pos;
	c.u.mem.page = page_ref(g->page);
	g->pos = g->page->fill;
	/* what is full has no further use here */
	if (g->page->cap - g->page->fill < LARGE)
		page_unref(&g->page);
	to->ops->data(to, c, flags);
}

/* --- from the pump --- */

static struct gather *
of_in(struct sink *k)
{
	return container_of(k, struct gather, in);
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	/* The exchange has sent it. */
	(void)k;
	(void)m;
	(void)flags;
}

static void
copy(struct gather *g, const struct chunk *c)
{
	struct page	*pg = g->page;

	if (pg != NULL && pg->cap - pg->fill < c->n) {
		push(g, 0);
		page_unref(&g->page);
	}
	if (g->page == NULL) {
		g->page = page_new(&g->p->x->serve->pages);
		g->pos = 0;
	}
	pg = g->page;
	if (held(g) == 0)
		ev_timer(g->p->x->serve->ev, &g->timer, GATHER_MS);
	memcpy(pg->data + pg->fill, c->u.mem.p, c->n);
	pg->fill += (uint32_t)c->n;
}

static bool
is_small(const struct chunk *c)
{
	return (c->kind == CHUNK_PAGE || c->kind == CHUNK_CONST) &&
	    c->n < LARGE;
}

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct gather	*g = of_in(k);
	bool		 end = (flags & WAIST_END) != 0;

	if (g->out.to == NULL)
		chunk_drop(&c);
	else if (is_small(&c)) {
		copy(g, &c);
		chunk_drop(&c);
		if (end || (int64_t)held(g) >= g->out.to->credit ||
		    g->page->cap - g->page->fill < LARGE)
			push(g, flags);
	} else {
		push(g, 0);
		if (g->out.to != NULL)
			g->out.to->ops->data(g->out.to, c, flags);
		else
			chunk_drop(&c);
	}
	set_credit(g);
	return g->in.credit > 0 ? FLOW_MORE : FLOW_FULL;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	struct gather	*g = of_in(k);

	push(g, 0);
	if (g->out.to != NULL)
		g->out.to->ops->trailers(g->out.to, hs);
}

static void
on_end(struct sink *k)
{
	struct gather	*g = of_in(k);

	push(g, 0);
	if (g->out.to != NULL)
		g->out.to->ops->end(g->out.to);
}

static void
on_abort(struct sink *k, enum fail why)
{
	struct gather	*g = of_in(k);

	push(g, 0);
	if (g->out.to != NULL)
		g->out.to->ops->abort(g->out.to, why);
}

static const struct sink_ops in_ops = {
	on_head, on_data, on_trailers, on_end, on_abort
};

/* --- to the client --- */

static void
on_room(struct source *s)
{
	struct gather	*g = container_of(s, struct gather, out);
	struct source	*from = g->in.from;

	set_credit(g);
	if (from != NULL)
		from->ops->room(from);
}

static void
on_stop(struct source *s, enum fail why)
{
	struct gather	*g = container_of(s, struct gather, out);
	struct source	*from = g->in.from;

	drop(g);
	g->in.credit = 0;
	if (from != NULL)
		from->ops->stop(from, why);
}

static const struct source_ops out_ops = {
	.room = on_room,
	.stop = on_stop
};

static void
on_timer(struct timer *t)
{
	struct gather	*g = container_of(t, struct gather, timer);

	push(g, 0);
	set_credit(g);
}

/* --- the choice --- */

/*
 * Events are of use only at once.  A server may ask the same for any other
 * answer by X-Accel-Buffering: no, a field known from nginx.
 */
static bool
is_urgent(const struct msg *res)
{
	struct str		 events = STR("text/event-stream");
	const struct hdr	*h;

	h = hdr_get_name(&res->hdrs, STR("x-accel-buffering"));
	if (h != NULL && str_eq_fold(h->val, STR("no")))
		return true;
	return str_eq_fold(str_sub(hdr_val(&res->hdrs, HDR_CONTENT_TYPE), 0,
	    events.n), events);
}

struct sink *
proxy_gather_begin(struct proxy *p, struct sink *to)
{
	struct gather	*g;

	if (p->buffering != BUFFERING_ON || p->res_end || p->x->grpc ||
	    is_urgent(p->res))
		return to;
	g = arena_alloc(p->x->arena, sizeof(*g));
	g->p = p;
	g->in.ops = &in_ops;
	g->out.ops = &out_ops;
	timer_init(&g->timer, on_timer);
	waist_join(&g->out, to);
	set_credit(g);
	p->gather = g;
	return &g->in;
}

void
proxy_gather_end(struct proxy *p)
{
	if (p->gather != NULL)
		drop(p->gather);
}
