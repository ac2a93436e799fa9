/*
 * What a client of HTTP/2 sends, behind its preface and SETTINGS: the whole
 * server side, with a floor above that answers some requests, reads the
 * bodies of some, resets some.  Nothing may be left over, whatever comes;
 * what reaches the floor above is a head that HTTP/1 could say.
 */
#include "base/must.h"
#include "codec/codec.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define HELLO	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define TURNS	12

static unsigned		nreq, nclosed, ngone;
static struct sink	reader;		/* of all who read */

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	(void)flags;
	must(c.n > 0 && (int64_t)c.n <= k->credit);
	chunk_drop(&c);
	return FLOW_MORE;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	(void)k;
	for (size_t i = 0; i < hs->n; i++)
		must(hdr_is_token(hs->v[i].name) &&
		    hdr_is_value(hs->v[i].val));
}

static void
on_end(struct sink *k)
{
	k->from = NULL;
}

static void
on_abort(struct sink *k, enum fail why)
{
	must(why != FAIL_NONE);
	k->from = NULL;
}

static const struct sink_ops	sink_ops = { NULL, on_data, on_trailers,
    on_end, on_abort };

static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return s.n > 0;
}

/* What a codec lets through can be said in HTTP/1, in one way. */
static void
check_head(const struct msg *m)
{
	struct str	host;
	int		port;

	must(hdr_is_token(m->method) && is_plain(m->target));
	must(m->target.p[0] == '/' || str_eq(m->target, STR("*")));
	must(uri_parse_host(m->authority, &host, &port) == FAIL_NONE);
	for (size_t i = 0; i < m->hdrs.n; i++) {
		const struct hdr	*h = &m->hdrs.v[i];

		must(hdr_is_token(h->name) && hdr_is_value(h->val));
		must(!str_has_upper(h->name));
		must((h->flags & HDR_F_DEAD) != 0 ||
		    ((h->flags & (HDR_F_HOP | HDR_F_FRAME)) == 0 &&
		    h->id != HDR_HOST));
	}
}

static void
answer(struct stream *s)
{
	struct msg	m = { .status = 200, .body = 5, .minor = 1 };
	struct chunk	c = { .kind = CHUNK_CONST, .n = 5 };

	c.u.mem.p = "hello";
	s->out.ops->head(&s->out, &m, 0);
	s->out.ops->data(&s->out, c, WAIST_END);
}

static void
on_request(struct stream *s)
{
	nreq++;
	if (s->fail != FAIL_NONE) {
		answer(s);
		return;
	}
	check_head(s->head);
	if (s->head->body != BODY_NONE && reader.from == NULL) {
		reader.ops = &sink_ops;
		reader.credit = 1000;
		waist_join(&s->in, &reader);
	}
	switch (s->head->target.n % 4) {
	case 0:
		s->out.ops->abort(&s->out, FAIL_INTERNAL);
		break;
	case 1:
		break;
	default:
		answer(s);
	}
}

static void
on_last(struct stream *s)
{
	(void)s;
}

static void
on_closed(struct stream *s, enum fail why)
{
	(void)s;
	(void)why;
	nclosed++;
}

static const struct stream_up	up = { on_request, on_last, on_closed };

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

	nreq = nclosed = ngone = 0;
	reader = (struct sink){ 0 };
	page_pool_init(&pages, 0);
	slab_init(&arenas, 8192, 0);
	slab_init(&conns, CODEC_CONN_MAX, 0);
	env = (struct codec_env){ .ev = ev, .pages = &pages,
	    .arenas = &arenas, .conns = &conns, .up = &up, .gone = on_gone,
	    .date = "Thu, 01 Jan 1970 00:00:00 GMT",
	    .limits = { .header_bytes = 32768, .header_field = 16384,
	    .header_count = 128, .target = 8192, .streams = 100 } };
	c = h2_server.open(io_mem_end(mem, 0, NULL), &env, &c);
	send_all(ev, peer, str_make(HELLO, sizeof(HELLO) - 1));
	send_all(ev, peer, str_make((const char *)p, n));
	for (int i = 0; i < TURNS; i++) {
		ev_turn(ev, 0);
		drain(peer);
	}
	if (c != NULL)
		h2_server.close(c, FAIL_CLIENT_GONE);
	io_close(peer, false);
	ev_turn(ev, 0);
	ev_turn(ev, 0);
	must(ngone == 1 && nclosed == nreq);
	must(pages.live == 0 && arenas.nlive == 0 && conns.nlive == 0);
	io_mem_free(&mem);
	slab_fini(&arenas);
	slab_fini(&conns);
	page_pool_fini(&pages);
	ev_free(&ev);
	return 0;
}
