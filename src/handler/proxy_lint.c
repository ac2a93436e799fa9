/*
 * What is odd about where a route forwards to.  Builder and tools.
 *
 * Whether an address is this machine's own is known of loopback alone:
 * the configuration may be checked on another machine than it is for.
 */
#include "handler/proxy_lint.h"

#include "core/listener.h"
#include "core/pass.h"
#include "core/route.h"
#include "core/version.h"
#include "handler/proxy.h"
#include "up/server_http.h"
#include "up/server_tls.h"

static bool
is_loopback(const struct sock_addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return ntohl(a->u.in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return a->u.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
}

/* "::" accepts connections of both families. */
static bool
is_any_for(const struct sock_addr *bind, const struct sock_addr *to)
{
	if (bind->u.sa.sa_family == AF_INET)
		return to->u.sa.sa_family == AF_INET &&
		    bind->u.in4.sin_addr.s_addr == INADDR_ANY;
	return bind->u.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&bind->u.in6.sin6_addr);
}

static bool
reaches(const struct sock_addr *bind, const struct sock_addr *to)
{
	if (sock_eq(bind, to))
		return true;
	return is_loopback(to) && is_any_for(bind, to) &&
	    sock_port(bind) == sock_port(to);
}

/* The listener of the route that an address leads to, or NULL. */
static const struct listener_conf *
find_listener(struct conf_load *load, const struct route *r,
    const struct sock_addr *to)
{
	struct conf_objs		 all;
	const struct listener_conf	*l;

	all = conf_all(conf_load_conf(load), &listener_section);
	for (size_t i = 0; i < all.n; i++) {
		l = all.v[i]->part[0];
		if (!route_has_listener(r, l->obj.name))
			continue;
		for (size_t k = 0; k < l->nbind; k++)
			if (reaches(&l->bind[k], to))
				return l;
	}
	return NULL;
}

void
proxy_lint_loop(struct conf_load *load, const struct conf_obj *obj,
    const struct upstream_conf *up, const struct conf_item *because)
{
	const struct listener_conf	*l;
	const struct server_conf	*s;
	struct sock_addr		 a;

	for (s = up->servers.v; s < up->servers.v + up->servers.n; s++) {
		if (s->name.n > 0 || sock_parse(s->text, -1, &a, NULL) == -1)
			continue;
		l = find_listener(load, obj->part[0], &a);
		if (l == NULL)
			continue;
		diag_at(conf_load_diags(load), DIAG_SERVER_SELF,
		    &because->vspan, obj, because->row->key,
		    "server \"%.*s\" is listener \"%.*s\" of this gateway, "
		    "which route \"%.*s\" is for: requests go round in "
		    "circles", STR_FMT(s->text), STR_FMT(l->obj.name),
		    STR_FMT(obj->name));
		return;
	}
}

/* The word that asks for what only HTTP/1.1 has, or NULL. */
static const struct conf_item *
find_upgrade(struct conf_load *load, const struct conf_obj *obj)
{
	const struct conf_item	*it = conf_item(load, obj, "upgrade");
	struct str		 rest, word;

	if (it != NULL)
		return it;
	it = conf_item(load, obj, "method");
	rest = it != NULL ? it->val : STR("");
	while (str_word(&rest, " \t,", &word))
		if (str_eq(word, STR("CONNECT")))
			return it;
	return NULL;
}

void
proxy_lint_upgrade(struct conf_load *load, const struct conf_obj *obj,
    const struct upstream_conf *up)
{
	const struct conf_item		*it = find_upgrade(load, obj);
	const struct server_conf	*s;

	if (it == NULL || up->servers.n == 0)
		return;
	for (s = up->servers.v; s < up->servers.v + up->servers.n; s++)
		if (server_http_of(up->http, s->h2, s->peer != NULL) !=
		    SERVER_H2)
			return;
	diag_at(conf_load_diags(load), DIAG_UPGRADE_H2, &it->vspan, obj,
	    it->row->key, "route \"%.*s\": its servers are spoken to over "
	    "HTTP/2 alone, so each such request fails (upgrade_on_h2)",
	    STR_FMT(obj->name));
}

static bool
names_code(struct str words)
{
	struct str	word;

	while (str_word(&words, " \t,", &word))
		if (str_starts(word, STR("grpc_")))
			return true;
	return false;
}

/* The assignment that makes sense for gRPC alone, or NULL. */
static const struct conf_item *
find_grpc(struct conf_load *load, const struct conf_obj *obj)
{
	const struct conf_item	*it = conf_item(load, obj, "health.type");

	if (it != NULL && str_eq(it->val, STR("grpc")))
		return it;
	it = conf_item(load, obj, "retry.on");
	if (it != NULL && names_code(it->val))
		return it;
	it = conf_item(load, obj, "max_answer_message");
	return it != NULL && !str_eq(it->val, STR("0")) ? it : NULL;
}

/* Or there is no listener at all, which others tell of. */
static bool
has_h2(const struct conf_objs *listeners, const struct route *r)
{
	const struct listener_conf	*l;
	bool				 any = false;

	for (size_t i = 0; i < listeners->n; i++) {
		l = listeners->v[i]->part[0];
		if (!route_has_listener(r, l->obj.name))
			continue;
		if (version_has_h2(l))
			return true;
		any = true;
	}
	return !any;
}

/* Of all routes to a named upstream the first one tells of it. */
static bool
is_told(struct conf_load *load, const struct conf_objs *listeners,
    const struct conf_obj *obj, struct str upstream)
{
	struct conf_objs		 all;
	const struct proxy_route	*p;
	bool				 before = true;

	all = conf_all(conf_load_conf(load), &route_section);
	for (size_t i = 0; i < all.n; i++) {
		before &= all.v[i] != obj;
		p = conf_part(all.v[i], &proxy_group);
		if (p != NULL && str_eq(p->upstream, upstream) &&
		    (before || has_h2(listeners, all.v[i]->part[0])))
			return true;
	}
	return false;
}

void
proxy_lint_grpc(struct conf_load *load, const struct conf_obj *obj,
    const struct upstream_conf *up)
{
	const struct proxy_route	*p = conf_part(obj, &proxy_group);
	const struct conf_item		*it = find_grpc(load, obj);
	struct conf_objs		 all;

	all = conf_all(conf_load_conf(load), &listener_section);
	if (has_h2(&all, obj->part[0]))
		return;
	if (it == NULL && p->upstream.n > 0) {
		it = find_grpc(load, &up->obj);
		if (it == NULL || is_told(load, &all, obj, p->upstream))
			return;
		obj = &up->obj;
	}
	if (it != NULL)
		diag_at(conf_load_diags(load), DIAG_GRPC_H1, &it->vspan, obj,
		    it->row->key, "%.*s: it is for gRPC, which none of the "
		    "listeners before it speaks: they have no HTTP/2",
		    STR_FMT(it->key));
}

int
proxy_lint_pass(struct conf_load *load, const struct conf_obj *obj,
    const struct upstream_conf *up, const struct conf_item *because)
{
	const struct server_tls_conf	*t;
	bool				 tls = false;

	if (!pass_is(obj->part[0]))
		return 0;
	t = conf_part(&up->obj, &server_tls_group);
	for (size_t i = 0; i < up->servers.n; i++)
		tls |= t->on || up->servers.v[i].peer != NULL;
	if (!tls)
		return 0;
	diag_at(conf_load_diags(load), DIAG_PASS, &because->vspan, obj,
	    because->row->key, "what is passed on is TLS already: its "
	    "servers stand without https:// and tls = on");
	return -1;
}
