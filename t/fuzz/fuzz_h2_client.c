/*
 * What a server of HTTP/2 sends, behind its SETTINGS: the whole client side,
 * with six requests under way of which some are let go, one reads slowly,
 * one uploads.  Nothing may be left over, whatever comes; what reaches the
 * floor above is a head that HTTP/1 could say.
 */
#include "base/must.h"
#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define HELLO	"\0\0\0\4\0\0\0\0\0"
#define TURNS	12
#define REQS	6

struct req {
	struct stream	*s;		/* NULL once closed */
	struct arena	 arena;
	struct sink	 sink;
	struct source	 src;
	bool		 headed;	/* the final head came */
	bool		 ended;
};

static struct req	reqs[REQS];
static unsigned		nclosed, ngone;

static struct req *
of(struct sink *k)
{
	return (struct req *)(void *)((char *)k -
	    offsetof(struct req, sink));
}

static void
check_fields(const struct hdrs *hs)
{
	for (size_t i = 0; i < hs->n; i++) {
		const struct hdr	*h = &hs->v[i];

		must(hdr_is_token(h->name) && hdr_is_value(h->val));
		must(!str_has_upper(h->name));
		must((h->flags & HDR_F_DEAD) != 0 ||
		    (h->flags & (HDR_F_HOP | HDR_F_FRAME)) == 0);
	}
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct req	*r = of(k);

	must(!r->headed && !r->ended);
	must(m->status >= 100 && m->status < 600 && m->status != 101);
	must((m->status < 200) == ((flags & WAIST_INTERIM) != 0));
	check_fields(&m->hdrs);
	r->headed = m->status >= 200;
	r->ended = (flags & WAIST_END) != 0;
}

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct req	*r = of(k);

	must(r->headed && !r->ended);
	must(c.n > 0 && (int64_t)c.n <= k->credit);
	r->ended = (flags & WAIST_END) != 0;
	if (r == &reqs[3])
		k->credit -= (int64_t)c.n;
	chunk_drop(&c);
	return k->credit > 0 ? FLOW_MORE : FLOW_FULL;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	must(of(k)->headed && !of(k)->ended);
	check_fields(hs);
}

static void
on_end(struct sink *k)
{
	must(of(k)->headed && !of(k)->ended);
	of(k)->ended = true;
}

static void
on_abort(struct sink *k, enum fail why)
{
	must(why != FAIL_NONE && !of(k)->ended);
	of(k)->ended = true;
}

static const struct sink_ops	sink_ops = { on_head, on_data, on_trailers,
    on_end, on_abort };

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

static const struct source_ops	source_ops = { .room = on_room,
    .stop = on_stop };

static void
on_closed(struct stream *s, enum fail why)
{
	struct req	*r = s->ctx;

	/* an answer that is not whole has a reason */
	must(r->s == s && (why != FAIL_NONE || r->ended));
	r->s = NULL;
	nclosed++;
}

static const struct stream_up	up = { .closed = on_closed };

static void
ask(struct codec_conn *c, struct req *r, struct slab *arenas, bool body)
{
	struct msg	m = { .method = STR("GET"), .meth = METHOD_GET,
	    .target = STR("/"), .authority = STR("a"), .minor = 1,
	    .body = body ? BODY_UNKNOWN : BODY_NONE };

	*r = (struct req){ .sink = { .ops = &sink_ops, .credit = 1000 },
	    .src = { .ops = &source_ops } };
	arena_init(&r->arena, arenas);
	r->s = h2_client.request(c, &r->arena);
	r->s->up = &up;
	r->s->ctx = r;
	waist_join(&r->src, &r->s->out);
	waist_join(&r->s->in, &r->sink);
	r->s->out.ops->head(&r->s->out, &m, body ? 0 : WAIST_END);
}

static void
on_gone(void *ctx, enum fail why)
{
	(void)why;
	*(struct codec_conn **)ctx = NULL;
	ngone++;
}

static void
on_peer(struct io *io, unsigned what)
{
	(void)io;
	(void)what;
}

static void
drain(struct io *peer)
{
	char		buf[4096];
	struct iovec	v = { buf, sizeof(buf) };
	size_t		n;

	while (peer->open && io_readv(peer, &v, 1, &n) == IO_OK)
		;
}

static void
send_all(struct ev *ev, struct io *peer, struct str s)
{
	struct iovec	v;
	size_t		n;

	for (int i = 0; i < 200 && s.n > 0; i++) {
		v = (struct iovec){ (void *)(uintptr_t)s.p, s.n };
		if (io_writev(peer, &v, 1, 0, &n) == IO_ERR)
			return;
		s = str_sub(s, n, s.n);
		ev_turn(ev, 0);
		drain(peer);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct codec_conn	*c;
	struct page_pool	 pages;
	struct slab		 arenas, conns;
	struct codec_env	 env;
	struct ev		*ev = ev_new(&ev_poll, NULL);
	struct io_mem		*mem = io_mem_new(ev, 65536);
	struct io		*peer = io_mem_end(mem, 1, on_peer);

	nclosed = ngone = 0;
	page_pool_init(&pages, 0);
	slab_init(&arenas, 8192, 0);
	slab_init(&conns, CODEC_CONN_MAX, 0);
	env = (struct codec_env){ .ev = ev, .pages = &pages,
	    .arenas = &arenas, .conns = &conns, .gone = on_gone,
	    .limits = { .header_bytes = 32768, .header_field = 16384,
	    .header_count = 128, .streams = 100 } };
	c = h2_client.open(io_mem_end(mem, 0, NULL), &env, &c);
	for (unsigned i = 0; i < REQS; i++)
		ask(c, &reqs[i], &arenas, i == 2);
	send_all(ev, peer, str_make(HELLO, sizeof(HELLO) - 1));
	send_all(ev, peer, str_make((const char *)p, n));
	if (reqs[1].s != NULL)
		reqs[1].s->in.ops->stop(&reqs[1].s->in, FAIL_CLIENT_GONE);
	if (reqs[2].s != NULL)
		reqs[2].s->out.ops->end(&reqs[2].s->out);
	for (int i = 0; i < TURNS; i++) {
		ev_turn(ev, 0);
		drain(peer);
	}
	if (c != NULL)
		h2_client.close(c, FAIL_NONE);
	for (unsigned i = 0; i < REQS; i++)
		arena_fini(&reqs[i].arena);
	io_close(peer, false);
	ev_turn(ev, 0);
	ev_turn(ev, 0);
	must(ngone == 1 && nclosed == REQS);
	must(pages.live == 0 && arenas.nlive == 0 && conns.nlive == 0);
	io_mem_free(&mem);
	slab_fini(&arenas);
	slab_fini(&conns);
	page_pool_fini(&pages);
	ev_free(&ev);
	return 0;
}
