/*
 * Heads on their way through: what a gateway writes anew (RFC 9110 7.6).
 * Workers.
 *
 * Hop-by-hop fields and framing were taken out by the codecs.  What is
 * told about the client is proxy_forward.c's.  An upgrade that was
 * asked for is left out, which makes it an ordinary request (7.8).
 */
#include "handler/proxy.h"

#include "base/must.h"
#include "base/text.h"

/* What is written anew; the id of a trusted peer is ours already. */
static bool
is_ours(const struct proxy *p, const struct hdr *h)
{
	return h->id == HDR_X_REQUEST_ID || proxy_forward_drops(p, h) ||
	    proxy_deadline_drops(p, h);
}

/* The fields that go on, with room for ours behind them. */
static void
copy_fields(struct proxy *p, struct hdrs *dst, const struct hdrs *src,
    bool request)
{
	const struct hdr	*h;
	unsigned		 drop = HDR_F_DEAD | HDR_F_HOP | HDR_F_FRAME;

	dst->cap = (uint16_t)(src->n + 12);
	dst->n = 0;
	dst->v = arena_alloc(p->x->arena, dst->cap * sizeof(*dst->v));
	for (size_t i = 0; i < src->n; i++) {
		h = &src->v[i];
		if ((h->flags & drop) == 0 && !(request && is_ours(p, h)))
			dst->v[dst->n++] = *h;
	}
}

static struct str
via_text(unsigned minor)
{
	return minor == 0 ? STR("1.0 sluice") : STR("1.1 sluice");
}

static void
add_ours(struct proxy *p)
{
	struct exchange	*x = p->x;
	struct arena	*a = x->arena;
	struct hdrs	*hs = &p->req.hdrs;

	hdr_add(a, hs, HDR_VIA, via_text(x->req->minor));
	proxy_forward_add(p);
	if (x->id.n > 0)
		hdr_add(a, hs, HDR_X_REQUEST_ID, x->id);
}

/* --- target --- */

static struct str
make_target(const struct exchange *x)
{
	struct text	t;
	size_t		n;

	if (x->uri.star)
		return STR("*");
	/* Nothing changed: the client's own bytes. */
	if (x->path.p == x->req->target.p && x->path.n == x->uri.path.n)
		return x->req->target;
	n = x->path.n + 1 + x->uri.query.n;
	text_init_fixed(&t, arena_text(x->arena, n), n);
	text_add(&t, x->path);
	if (x->uri.has_query)
		text_c(&t, '?');
	text_add(&t, x->uri.query);
	return text_str(&t);
}

/* --- heads --- */

/* RFC 9110 7.6.2; -1: it may go no further. */
static int
count_forwards(struct proxy *p)
{
	struct hdrs	*hs = &p->req.hdrs;
	struct hdr	*h = hdr_get(hs, HDR_MAX_FORWARDS);
	uint64_t	 n;

	if (h == NULL || p->req.meth != METHOD_OPTIONS ||
	    str_to_u64(h->val, UINT32_MAX, &n) == -1)
		return 0;
	if (n == 0)
		return -1;
	hdr_set(p->x->arena, hs, HDR_MAX_FORWARDS,
	    arena_fmt(p->x->arena, "%llu", (unsigned long long)(n - 1)));
	return 0;
}

int
proxy_make_request(struct proxy *p, const struct proxy_route *r)
{
	struct exchange	*x = p->x;

	p->req = *x->req;
	p->forwarded = (uint8_t)r->up->told.forwarded;
	copy_fields(p, &p->req.hdrs, &x->req->hdrs, true);
	p->req.target = make_target(x);
	p->req.upgrade = false;
	p->req.protocol = STR_NONE;
	/* The generation may be gone when a later attempt needs it. */
	if (r->host.how == HOST_TEXT)
		p->req.authority = arena_dup(x->arena, r->host.text);
	p->host_header = r->host.how;
	add_ours(p);
	proxy_forward_preface(p, r->up->told.send_proxy);
	return count_forwards(p);
}

void
proxy_set_host(struct proxy *p)
{
	bool	none = p->x->req->authority.n == 0;

	if (p->host_header != HOST_SERVER &&
	    !(p->host_header == HOST_PRESERVE && none))
		return;
	p->req.authority = p->server->addr.u.sa.sa_family == AF_UNIX ?
	    STR("localhost") : p->server->text;
}

struct msg *
proxy_make_answer(struct proxy *p, const struct msg *from)
{
	struct msg	*res = arena_alloc(p->x->arena, sizeof(*res));

	*res = *from;
	copy_fields(p, &res->hdrs, &from->hdrs, false);
	hdr_add(p->x->arena, &res->hdrs, HDR_VIA, via_text(from->minor));
	return res;
}

void
proxy_own_answer(struct proxy *p)
{
	struct arena	*a = p->x->arena;
	struct hdr	*h;

	p->res->reason = arena_dup(a, p->res->reason);
	for (size_t i = 0; i < p->res->hdrs.n; i++) {
		h = &p->res->hdrs.v[i];
		/* Names of known fields may be our own table's. */
		if (h->id == HDR_OTHER || h->name.p != hdr_name(h->id).p)
			h->name = arena_dup(a, h->name);
		h->val = arena_dup(a, h->val);
	}
}
