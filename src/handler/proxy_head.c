/*
 * Heads on their way through: what a gateway writes anew (RFC 9110 7.6).
 * Workers.
 *
 * Hop-by-hop fields and framing were taken out by the codecs.  What is
 * told about the client is proxy_forward.c's.  An upgrade goes on as it
 * was asked for (7.8), but not one to HTTP in another form.
 */
#include "handler/proxy.h"

#include "base/must.h"
#include "base/text.h"
#include "handler/proxy_deadline.h"
#include "handler/proxy_forward.h"
#include "handler/proxy_identity.h"

/* What is written anew; the id of a trusted peer is ours already. */
static bool
is_ours(const struct proxy *p, const struct hdr *h)
{
	return h->id == HDR_X_REQUEST_ID || proxy_forward_drops(p, h) ||
	    proxy_identity_drops(p->x, h) ||
	    proxy_deadline_drops(p, h);
}

/* The fields that go on, with room for most of ours behind them. */
static void
copy_fields(struct proxy *p, struct hdrs *dst, const struct hdrs *src,
    bool request)
{
	const struct hdr	*h;
	unsigned		 drop = HDR_F_DEAD | HDR_F_HOP | HDR_F_FRAME;

	dst->cap = (uint16_t)(src->n + (request ? 12 : 6));
	dst->n = 0;
	dst->v = arena_room(p->x->arena, dst->cap * sizeof(*dst->v));
	for (size_t i = 0; i < src->n; i++) {
		h = &src->v[i];
		if ((h->flags & drop) == 0 && !(request && is_ours(p, h)))
			dst->v[dst->n++] = *h;
	}
}

static struct str
via_text(const struct msg *m)
{
	if (m->major == 2)
		return STR("2.0 sluice");
	return m->minor == 0 ? STR("1.0 sluice") : STR("1.1 sluice");
}

static void
add_ours(struct proxy *p)
{
	struct exchange	*x = p->x;
	struct arena	*a = x->arena;
	struct hdrs	*hs = &p->req.hdrs;

	hdr_add_good(a, hs, HDR_VIA, via_text(x->req));
	proxy_forward_add(p);
	proxy_identity_add(x, hs);
	if (x->id.n > 0)
		hdr_add_good(a, hs, HDR_X_REQUEST_ID, x->id);
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

/* --- upgrades --- */

/*
 * What would make of the connection HTTP again, or hide it: requests
 * within would be chosen and checked by no route.
 */
static bool
is_http(struct str word)
{
	static const struct str	names[] = { STR("http"), STR("h2c"),
	    STR("h2"), STR("tls") };
	ptrdiff_t		slash = str_find(word, '/', 0);

	if (slash >= 0)
		word.n = (size_t)slash;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq_fold(word, names[i]))
			return true;
	return false;
}

/* The protocols that are left; none: it is an ordinary request. */
static void
set_upgrade(struct proxy *p)
{
	struct str	rest = p->req.protocol, word;
	struct text	t;

	p->req.upgrade &= p->req.meth != METHOD_HEAD;
	if (!p->req.upgrade) {
		p->req.protocol = STR_NONE;
		return;
	}
	text_init_fixed(&t, arena_text(p->x->arena, 2 * rest.n),
	    2 * rest.n);
	while (hdr_cut_element(&rest, &word)) {
		if (word.n == 0 || is_http(word))
			continue;
		if (t.n > 0)
			text_add(&t, STR(", "));
		text_add(&t, word);
	}
	p->req.protocol = text_str(&t);
	p->req.upgrade = t.n > 0;
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

/* Its authority is what it asks for. */
static bool
is_connect(const struct proxy *p)
{
	return p->req.meth == METHOD_CONNECT;
}

int
proxy_make_request(struct proxy *p, const struct proxy_route *r)
{
	struct exchange	*x = p->x;

	p->req = *x->req;
	p->forwarded = (uint8_t)r->up->told.forwarded;
	copy_fields(p, &p->req.hdrs, &x->req->hdrs, true);
	proxy_choice_request(p);
	p->req.target = make_target(x);
	set_upgrade(p);
	/* The generation may be gone when a later attempt needs it. */
	if (r->host.how == HOST_TEXT && !is_connect(p))
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

	if (is_connect(p))
		return;
	if (p->host_header != HOST_SERVER &&
	    !(p->host_header == HOST_PRESERVE && none))
		return;
	p->req.authority = p->server->addr.family == AF_UNIX ?
	    STR("localhost") : server_host(p->server);
}

struct msg *
proxy_make_answer(struct proxy *p, const struct msg *from)
{
	struct msg	*res = arena_room(p->x->arena, sizeof(*res));

	*res = *from;
	copy_fields(p, &res->hdrs, &from->hdrs, false);
	hdr_add_good(p->x->arena, &res->hdrs, HDR_VIA,
	    via_text(from));
	return res;
}

void
proxy_own_answer(struct proxy *p)
{
	struct arena	*a = p->x->arena;
	struct hdr	*h;

	p->res->reason = arena_dup(a, p->res->reason);
	if (p->res->protocol.n > 0)
		p->res->protocol = arena_dup(a, p->res->protocol);
	for (size_t i = 0; i < p->res->hdrs.n; i++) {
		h = &p->res->hdrs.v[i];
		if ((h->flags & HDR_F_OURS) == 0)
			h->name = arena_dup(a, h->name);
		h->val = arena_dup(a, h->val);
		h->flags &= (uint16_t)~HDR_F_LINE;
	}
}
