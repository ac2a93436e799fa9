/*
 * Requests without TLS that are led to it, or refused.  Workers.
 */
#include "core/https.h"

#include "core/handler.h"
#include "core/route.h"
#include "core/secure.h"

#define ACME	"/.well-known/acme-challenge/"

const struct https_listener *
https_of(const struct conf *c, struct str listener)
{
	const struct listener_conf	*l = conf_find(c, &listener_section,
	    listener);

	return l == NULL || l->obj.part == NULL ? NULL :
	    conf_part(&l->obj, &https_listener_group);
}

static bool
fits(struct str pattern, struct str path)
{
	if (!str_ends(pattern, STR("*")))
		return str_eq(pattern, path);
	return str_starts(path, str_sub(pattern, 0, pattern.n - 1));
}

bool
https_exempts(const struct https_listener *h, struct str path)
{
	if (str_starts(path, STR(ACME)))
		return true;
	for (size_t i = 0; i < h->exempt.n; i++)
		if (fits(h->exempt.v[i], path))
			return true;
	return false;
}

/* One that has no listener, such as control's, is let be. */
static const struct https_listener *
listener_of(const struct exchange *x)
{
	if (x->gen == NULL || x->conn->listener == NULL)
		return NULL;
	return https_of(x->gen->conf, x->conn->listener->name);
}

enum https_need
https_look(const struct exchange *x)
{
	const struct https_listener	*h;
	const struct https_route	*r = NULL;

	if (x->secure)
		return HTTPS_OFF;
	if (x->route != NULL)
		r = x->route->https;
	if (r != NULL && r->need == HTTPS_REFUSE)
		return HTTPS_REFUSE;
	h = listener_of(x);
	if (h != NULL && https_exempts(h, x->path))
		return HTTPS_OFF;
	if ((r != NULL && r->need == HTTPS_REDIRECT) ||
	    (h != NULL && h->port != 0))
		/* a client of HTTP/1.0 that names no host can be led nowhere */
		return x->host.n > 0 ? HTTPS_REDIRECT : HTTPS_REFUSE;
	return HTTPS_OFF;
}

/* --- where to --- */

/* The first port of a listener with TLS, 443 before all; 0: none. */
static unsigned
find_port(const struct conf *c)
{
	const struct listen_addr	*v;
	unsigned			 port, found = 0;
	size_t				 n;

	v = listener_addrs(c, &n);
	for (size_t i = 0; i < n; i++) {
		if (!secure_has(v[i].conf))
			continue;
		port = sock_port(v[i].addr);
		if (port == 443 || found == 0)
			found = port;
	}
	return found;
}

unsigned
https_port(const struct conf *c, const struct https_listener *h)
{
	unsigned	port;

	if (h != NULL && h->port > 0)
		return (unsigned)h->port;
	port = find_port(c);
	return port == 0 ? 443 : port;
}

struct str
https_place(struct arena *a, const struct conf *c,
    const struct https_listener *h, const struct exchange *x)
{
	unsigned	port = https_port(c, h);
	struct str	target = x->req->target;

	if (target.n == 0 || target.p[0] != '/')
		target = STR("/");
	if (port == 443)
		return arena_fmt(a, "https://%.*s%.*s", STR_FMT(x->host),
		    STR_FMT(target));
	return arena_fmt(a, "https://%.*s:%u%.*s", STR_FMT(x->host),
	    port, STR_FMT(target));
}

/*
 * 308 keeps the method and the body, which a browser would drop with 301;
 * GET and HEAD have none, and 301 is older than many a client.
 */
static void
start(struct exchange *x)
{
	bool	plain = x->req->meth == METHOD_GET ||
	    x->req->meth == METHOD_HEAD;

	exchange_skip_request(x);
	exchange_redirect(x, plain ? 301 : 308, https_place(x->arena,
	    x->gen->conf, listener_of(x), x));
	exchange_handler_done(x);
}

const struct handler handler_https = {
	.name = "redirect", .start = start
};

/* --- HSTS --- */

struct str
https_hsts(const struct exchange *x)
{
	const struct https_route	*r = NULL;
	const struct https_listener	*h;

	if (!x->secure)
		return STR("");
	if (x->route != NULL)
		r = x->route->https;
	if (r != NULL && r->own_hsts)
		return r->hsts;
	h = listener_of(x);
	return h != NULL ? h->hsts : STR("");
}

void
https_mark(struct exchange *x)
{
	struct str	val = https_hsts(x);

	if (val.n > 0)
		hdr_set(x->arena, &x->res->hdrs,
		    HDR_STRICT_TRANSPORT_SECURITY, val);
}
