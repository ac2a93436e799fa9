/*
 * What a server is told about the client: X-Forwarded-For, -Proto and
 * -Host, X-Real-IP and Forwarded (RFC 7239).  Workers.
 *
 * What the peer says of somebody else is kept if it is a trusted proxy,
 * and dropped otherwise.  The chain of addresses is kept as it came and
 * the peer appended, if it stands in the field that is believed ([sluice]
 * client_field); else a chain of the client and the peer is written anew.
 */
#include "handler/proxy_forward.h"

#include "base/text.h"
#include "core/client.h"
#include "handler/proxy.h"
#include "io/proxy_proto.h"

/*
 * "X_Forwarded_For" is another field here, but the same to what is behind:
 * CGI, WSGI and PHP make one variable of both.
 */
static bool
is_disguised(struct str name)
{
	static const char *const	names[] = { "x-forwarded-", "x-real-ip",
		"x-request-id", "x-request-deadline" };
	struct str			one;
	char				buf[20];
	size_t				n = name.n < sizeof(buf) ? name.n :
		sizeof(buf);

	if (str_find(name, '_', 0) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		buf[i] = name.p[i] == '_' ? '-' : name.p[i];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		one = str_from(names[i]);
		if (str_eq_fold(str_sub(str_make(buf, n), 0, one.n), one))
			return true;
	}
	return false;
}

bool
proxy_forward_drops(const struct proxy *p, const struct hdr *h)
{
	switch (h->id) {
	case HDR_FORWARDED:
	case HDR_X_FORWARDED_FOR:
	case HDR_X_FORWARDED_HOST:
	case HDR_X_FORWARDED_PROTO:
	case HDR_X_REAL_IP:
		return true;
	case HDR_OTHER:
		/* -Port, -Server and the like are believed by some. */
		if ((h->name.p[0] | 0x20) != 'x')
			return false;
		if (is_disguised(h->name))
			return true;
		return (!p->x->trusted || p->forwarded == FORWARDED_OFF) &&
		    str_eq_fold(str_sub(h->name, 0, 12),
		    STR("x-forwarded-"));
	default:
		return false;
	}
}

/* --- one value --- */

/* As RFC 7239 6 writes a node. */
static void
add_node(struct text *t, const struct sock_peer *peer)
{
	switch (peer->family) {
	case AF_INET:
		text_add(t, STR("for="));
		sock_peer_text(t, peer);
		break;
	case AF_INET6:
		text_add(t, STR("for=\"["));
		sock_peer_text(t, peer);
		text_add(t, STR("]\""));
		break;
	default:
		text_add(t, STR("for=_unix"));
	}
}

static bool
is_same(const struct sock_peer *a, const struct sock_peer *b)
{
	return a->family == b->family &&
	    memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* A field of a trusted peer, if it is there once; else STR_NONE. */
static struct str
told_once(const struct exchange *x, enum hdr_id id)
{
	const struct hdr	*h = NULL;

	if (x->trusted)
		h = hdr_get(&x->req->hdrs, id);
	if (h == NULL || hdr_next(&x->req->hdrs, id, h) != NULL)
		return STR_NONE;
	return h->val;
}

/* Some proxies say so of a WebSocket; it is kept as they said it. */
static struct str
find_proto(const struct exchange *x)
{
	struct str	ws = x->secure ? STR("wss") : STR("ws");

	return str_eq_fold(told_once(x, HDR_X_FORWARDED_PROTO), ws) ? ws :
	    exchange_scheme(x);
}

bool
proxy_forward_secure(const struct exchange *x)
{
	struct str	proto = find_proto(x);

	return str_eq(proto, STR("https")) || str_eq(proto, STR("wss"));
}

static struct str
find_host(const struct exchange *x)
{
	struct str	told = told_once(x, HDR_X_FORWARDED_HOST);
	struct str	host;
	int		port;

	if (told.n > 0 && uri_parse_host(told, &host, &port) == FAIL_NONE)
		return told;
	return x->req->authority;
}

/* --- chains --- */

/*
 * What came in all lines of a field, with a comma behind each; but what
 * has a quote left open would swallow those behind it.
 */
static void
add_lines(struct text *t, const struct hdrs *hs, enum hdr_id id)
{
	const struct hdr	*h;
	struct str		 s;

	for (h = hdr_get(hs, id); h != NULL; h = hdr_next(hs, id, h)) {
		s = id == HDR_FORWARDED ? client_sound(h->val) : h->val;
		if (s.n == 0)
			continue;
		text_add(t, s);
		text_add(t, STR(", "));
	}
}

/* The chain up to the peer; the peer itself is the caller's. */
static void
add_chain(struct text *t, const struct exchange *x, enum client_field field,
    void (*add)(struct text *, const struct sock_peer *))
{
	static const uint16_t	ids[] = {
		[CLIENT_XFF] = HDR_X_FORWARDED_FOR,
		[CLIENT_FORWARDED] = HDR_FORWARDED
	};

	if (x->trusted && x->client_field == field)
		add_lines(t, &x->req->hdrs, (enum hdr_id)ids[field]);
	else if (!is_same(&x->acc.peer, &x->conn->peer)) {
		add(t, &x->acc.peer);
		if (field == CLIENT_FORWARDED && x->secure)
			text_add(t, STR(";proto=https"));
		text_add(t, STR(", "));
	}
}

static struct str
take_text(struct text *t, struct arena *a)
{
	struct str	s = arena_dup(a, text_str(t));

	text_fini(t);
	return s;
}

static void
add_x(struct proxy *p)
{
	struct exchange		*x = p->x;
	struct hdrs		*hs = &p->req.hdrs;
	struct str		 host = find_host(x);
	struct str		 ip = exchange_client_ip(x);
	struct str		 chain = STR_NONE;
	struct text		 t;

	if (x->trusted) {
		text_init(&t);
		add_chain(&t, x, CLIENT_XFF, sock_peer_text);
		sock_peer_text(&t, &x->conn->peer);
		chain = take_text(&t, x->arena);
	}
	if (x->trusted)
		hdr_add(x->arena, hs, HDR_X_FORWARDED_FOR, chain);
	else
		hdr_add_good(x->arena, hs, HDR_X_FORWARDED_FOR, ip);
	hdr_add(x->arena, hs, HDR_X_FORWARDED_PROTO, find_proto(x));
	if (host.n > 0)
		hdr_add(x->arena, hs, HDR_X_FORWARDED_HOST, host);
	hdr_add_good(x->arena, hs, HDR_X_REAL_IP, ip);
}

/* Our element tells of the connection to us alone, as RFC 7239 4 has it. */
static void
add_forwarded(struct proxy *p)
{
	struct exchange	*x = p->x;
	struct text	 t;

	text_init(&t);
	add_chain(&t, x, CLIENT_FORWARDED, add_node);
	add_node(&t, &x->conn->peer);
	if (x->req->authority.n > 0)
		text_fmt(&t, ";host=\"%.*s\"", STR_FMT(x->req->authority));
	text_add(&t, STR(";proto="));
	/* this connection's, whatever the client used */
	text_add(&t, x->req->scheme.n > 0 ? x->req->scheme : STR("http"));
	hdr_add(x->arena, &p->req.hdrs, HDR_FORWARDED,
	    take_text(&t, x->arena));
}

void
proxy_forward_add(struct proxy *p)
{
	if (p->forwarded == FORWARDED_X || p->forwarded == FORWARDED_BOTH)
		add_x(p);
	if (p->forwarded == FORWARDED_RFC || p->forwarded == FORWARDED_BOTH)
		add_forwarded(p);
}

/* --- the PROXY protocol --- */

/* Where the client's connection came in; none if that cannot be said. */
static struct sock_peer
local_of(const struct exchange *x)
{
	struct sock_peer	p = { .family = AF_UNSPEC };
	struct sock_addr	a;

	if (sock_local(io_fd(&x->conn->io), &a) == 0)
		sock_peer(&p, &a);
	return p;
}

void
proxy_forward_preface(struct proxy *p, int version)
{
	struct sock_peer	to;
	char			buf[PROXY_PROTO_OUT];
	size_t			n;

	if (version == SEND_PROXY_OFF)
		return;
	to = local_of(p->x);
	n = proxy_proto_build(buf, (unsigned)version, &p->x->acc.peer, &to);
	p->wait.first = arena_dup(p->x->arena, str_make(buf, n));
}
