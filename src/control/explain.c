/*
 * Explain: a request is written as a client would send it, read with the
 * parser of the server and routed with route_match itself, which tells
 * what it tries.  Control process; sluicectl, offline.
 *
 * Which listener would take it follows from the port of the URL.
 */
#include "control/explain.h"

#include <stdlib.h>

#include "base/must.h"
#include "codec/h1/h1.h"
#include "control/explain_choice.h"
#include "control/explain_tls.h"
#include "control/explain_url.h"
#include "control/int.h"
#include "core/chain.h"
#include "core/handler.h"
#include "core/health.h"
#include "core/https.h"
#include "core/pass.h"
#include "core/rewrite.h"
#include "core/route.h"
#include "core/secure.h"
#include "core/secure_host.h"
#include "core/settings.h"
#include "core/version.h"
#include "handler/proxy.h"
#include "http/grpc.h"
#include "tls/hello.h"

#define OTHERS_MAX	100

/* a question being answered */
struct search {
	struct route_trace	 trace;		/* of this */
	const struct conf	*conf;
	const struct shm	*shm;		/* ref, or NULL */
	struct explain_looks	*looks;		/* ref, or NULL */
	struct exchange		 x;
	struct conn		 conn;		/* of x */
	struct listener		 listener;	/* of conn */
	struct gen		 gen;		/* of x: conf alone */
	const struct listen_addr *addr;		/* of conf; NULL: none */
	bool			 guessed;	/* no listener has the port */
	struct explain_origin	 origin;
	bool			 tls;		/* the listener has it */
	char			 name[TLS_NAME_MAX]; /* room of sni */
	struct str		 sni;
	json_t			*shaken;	/* own: of the handshake */
	json_t			*asks;		/* own: of clients */
	json_t			*led;		/* own: the redirect */
	struct msg		 req;
	struct map		 seen;		/* own: routes that were met */
	json_t			*tried;		/* own */
	const struct route	*found;
	bool			 routed;	/* it was fit for that */
	bool			 health;	/* [health] answers */
	bool			 passed;	/* found has the connection */
};

/* --- the request --- */

static bool
speaks(const struct listener_conf *l, enum explain_scheme want)
{
	return want == SCHEME_NONE || secure_has(l) == (want ==
	    SCHEME_HTTPS);
}

/* The address with that port, else the first one that speaks so. */
static void
find_listener(struct search *s)
{
	const struct listen_addr	*v, *first = NULL;
	size_t				 n;

	v = listener_addrs(s->conf, &n);
	for (size_t i = 0; i < n; i++) {
		if (s->origin.port != 0 &&
		    sock_port(v[i].addr) == s->origin.port) {
			s->addr = &v[i];
			return;
		}
		if (first == NULL && speaks(v[i].conf, s->origin.scheme))
			first = &v[i];
	}
	s->guessed = s->origin.port != 0;
	s->addr = first != NULL || n == 0 ? first : &v[0];
	/* then it is asked as it can be */
	if (first == NULL)
		s->origin.scheme = SCHEME_NONE;
}

static int
write_head(const struct search *s, const struct explain *q,
    struct str target, struct text *t, struct err *e)
{
	struct str	host_of = s->origin.authority.p != NULL ?
	    s->origin.authority : STR("localhost");
	struct str	meth = q->method.n > 0 ? q->method : STR("GET");
	bool		host = false;

	text_fmt(t, "%.*s %s%.*s HTTP/1.1\r\n", STR_FMT(meth),
	    target.n == 0 || target.p[0] == '?' ? "/" : "",
	    STR_FMT(target));
	for (unsigned i = 0; i < q->nfield; i++) {
		struct str	f = q->field[i];
		ptrdiff_t	at = str_find(f, ':', 0);

		if (at <= 0 || str_find(f, '\n', 0) >= 0)
			return err_set(e, "\"%.*s\" is no field: NAME: VALUE",
			    STR_FMT(str_sub(f, 0, 200)));
		host |= str_eq_fold(str_sub(f, 0, (size_t)at), STR("host"));
		text_fmt(t, "%.*s\r\n", STR_FMT(f));
	}
	if (!host)
		text_fmt(t, "Host: %.*s\r\n", STR_FMT(host_of));
	text_add(t, STR("\r\n"));
	return 0;
}

static int
set_peer(struct search *s, struct str from, struct err *e)
{
	struct sock_addr	a;
	struct text		t;
	int			rc;

	text_init(&t);
	text_fmt(&t, str_find(from, ':', 0) >= 0 ? "[%.*s]" : "%.*s",
	    STR_FMT(from));
	rc = sock_parse(from.n > 0 ? text_str(&t) : STR("127.0.0.1"), 1, &a,
	    NULL);
	if (rc == -1 || a.u.sa.sa_family == AF_UNIX ||
	    sock_port(&a) != 1)
		rc = err_set(e, "\"%.*s\" is no address of a client",
		    STR_FMT(str_sub(from, 0, 200)));
	else
		sock_peer(&s->x.acc.peer, &a);
	text_fini(&t);
	s->conn.peer = s->x.acc.peer;
	return rc;
}

/* Reads what a client would send; the row it fails with. */
static enum fail
read_head(struct search *s, struct str head)
{
	static const struct codec_limits	none = {
		.header_bytes = 65536, .header_field = 65536,
		.header_count = 256, .target = 65536
	};
	const struct codec_limits	*limits = &none;
	struct h1_framing		 f = { .length = 0 };
	size_t				 seen = 0, used = 0;
	enum fail			 why = FAIL_NONE;
	enum h1_rc			 rc;
	bool				 secure = s->tls;

	if (s->addr != NULL)
		limits = &s->addr->conf->limits;
	rc = h1_find_head(head, limits, true, &seen, &used, &why);
	if (rc == H1_DONE && used == head.n)
		why = h1_parse_request(head, limits, s->x.arena, &s->req, &f);
	else if (rc != H1_BAD)
		why = FAIL_BAD_TARGET;
	s->x.req = &s->req;
	s->x.trusted = client_find(&settings_get(s->conf)->trusted,
	    (enum client_field)settings_get(s->conf)->client_field,
	    &s->req.hdrs, &s->conn.peer, &s->x.acc.peer, &secure);
	s->x.secure = secure;
	return why != FAIL_NONE ? why : exchange_target(&s->x);
}

/* --- the route --- */

static void
on_tried(struct route_trace *t, const struct route *r, const char *failed,
    bool not)
{
	struct search	*s = container_of(t, struct search, trace);
	json_t		*why = json_null();

	if (map_add(&s->seen, r->obj.name, (void *)(uintptr_t)r) != NULL)
		return;
	if (failed != NULL)
		why = json_sprintf("%s%s", not ? "not." : "", failed);
	json_array_append_new(s->tried, json_pack("{s:o, s:o}", "route",
	    api_text(r->obj.name), "failed", why));
}

static bool
has_host(const struct route *r, struct str host)
{
	struct str	want;

	for (size_t i = 0; i < r->hosts.n; i++) {
		want = r->hosts.v[i];
		if (want.n == 0 || str_eq(want, host) ||
		    (want.p[0] == '.' && host.n > want.n &&
		    str_ends(host, want)))
			return true;
	}
	return r->hosts.n == 0;
}

/* Routes that pass connections on are none of requests. */
static const char *
why_other(const struct route *r, struct str host)
{
	if (!has_host(r, host))
		return "host";
	return pass_is(r) ? "tls" : "path";
}

/* Those whose host or path is another one; none if no route was looked for. */
static json_t *
list_others(struct search *s)
{
	struct conf_objs	 all = conf_all(s->conf, &route_section);
	const struct route	*r;
	json_t			*j = json_array();

	for (size_t i = 0; s->routed && i < all.n; i++) {
		r = all.v[i]->part[0];
		if (map_find(&s->seen, r->obj.name) != NULL)
			continue;
		if (json_array_size(j) == OTHERS_MAX)
			break;
		json_array_append_new(j, json_pack("{s:o, s:s}", "route",
		    api_text(r->obj.name), "failed",
		    why_other(r, s->x.host)));
	}
	return j;
}

/* --- what it leads to --- */

/* The words of the route on a handler's keys. */
static json_t *
list_settings(const struct route *r)
{
	const struct conf_group	*g = r->handler->group;
	const struct conf_row	*row;
	json_t			*j = json_array();

	for (size_t i = 0; i < r->obj.nlines; i++)
		for (row = g->rows; row->key != NULL; row++)
			if (row == r->obj.lines[i].row)
				json_array_append_new(j, json_pack(
				    "{s:o, s:o}", "key",
				    api_text(r->obj.lines[i].key), "value",
				    row->flags & CONF_F_SECRET ?
				    json_string("***") :
				    api_text(r->obj.lines[i].val)));
	return j;
}

static json_t *
list_filters(const struct route *r)
{
	const struct chain_link	*l;
	const struct conf_obj	*o;
	json_t			*j = json_array();

	for (uint32_t i = 0; r->chain != NULL && i < r->chain->n; i++) {
		l = &r->chain->link[i];
		o = l->filter->section != NULL ? l->conf : NULL;
		json_array_append_new(j, json_pack("{s:s, s:o}", "filter",
		    l->filter->name, "name",
		    api_text(o != NULL ? o->name : STR(""))));
	}
	return j;
}

/* Keys are made of the path as the route leaves it. */
static void
add_upstream(struct search *s, const struct route *r, json_t *j)
{
	struct explain_at		 at = { &s->x, s->shm, s->looks };
	const struct proxy_route	*p;

	if (r->handler != &handler_proxy)
		return;
	p = conf_part(&r->obj, &proxy_group);
	if (p == NULL || p->up == NULL || p->up->servers.n == 0)
		return;
	s->x.route = r;
	(void)rewrite_run(&s->x);
	json_object_set_new(j, "upstream", explain_choice(&at, p->up));
}

/* [health] goes before routes of any path, and has no keys of a route. */
static void
add_health(json_t *j)
{
	json_object_set_new(j, "route", json_null());
	json_object_set_new(j, "handler", json_pack("{s:s, s:[]}", "name",
	    handler_health.name, "settings"));
}

/* Led to https before a route is asked; or by what its route says. */
static void
add_redirect(struct search *s, json_t *j)
{
	json_object_set_new(j, "route", json_null());
	json_object_set_new(j, "handler", json_pack("{s:s, s:[]}", "name",
	    handler_https.name, "settings"));
	json_object_set(j, "redirect", s->led);
}

static void
add_route(struct search *s, json_t *j)
{
	const struct route	*r = s->found;

	json_object_set_new(j, "route", json_pack("{s:o, s:o, s:i}", "name",
	    api_text(r->obj.name), "file", api_text(r->obj.file), "line",
	    (int)r->obj.line));
	json_object_set_new(j, "filters", list_filters(r));
	json_object_set_new(j, "handler", json_pack("{s:s, s:o}", "name",
	    r->handler->name, "settings", list_settings(r)));
	if (s->asks != NULL)
		json_object_set(j, "client", s->asks);
	add_upstream(s, r, j);
}

/* Whoever makes a call of gRPC speaks HTTP/2. */
static void
add_grpc(json_t *answer, enum fail why)
{
	enum grpc_status	code = grpc_of_fail(why);

	json_object_set_new(answer, "status", json_integer(200));
	json_object_set_new(answer, "grpc_status",
	    api_text(grpc_name(code)));
	json_object_set_new(answer, "grpc_code",
	    json_integer((json_int_t)code));
}

/* No route: the built-in error. */
static void
add_answer(const struct search *s, enum fail why, uint32_t allow, json_t *j)
{
	const struct fail_row	*row = fail_row(why);
	struct text		 t;

	text_init(&t);
	for (unsigned m = METHOD_OTHER + 1; m < METHOD_N; m++)
		if (row->status == 405 && (allow & METHOD_BIT(m)) != 0)
			text_fmt(&t, "%s%.*s", t.n > 0 ? ", " : "",
			    STR_FMT(msg_method_text((enum http_method)m)));
	if (s->x.allow_more.n > 0)
		text_fmt(&t, "%s%.*s", t.n > 0 ? ", " : "",
		    STR_FMT(s->x.allow_more));
	json_object_set_new(j, "route", json_null());
	json_object_set_new(j, "answer", json_pack("{s:i, s:s, s:s, s:o}",
	    "status", why == FAIL_NONE ? 204 : (int)row->status, "fail",
	    row->name, "text", why == FAIL_NONE ? "for the whole server" :
	    row->text,
	    "allow", api_text(text_str(&t))));
	text_fini(&t);
	if (why != FAIL_NONE && row->status != 0 &&
	    grpc_is_request(&s->req))
		add_grpc(json_object_get(j, "answer"), why);
}

/* --- all of it --- */

static json_t *
describe_request(const struct search *s)
{
	bool		tunnel = s->req.meth == METHOD_CONNECT;
	struct text	t, via;
	json_t		*j;

	text_init(&t);
	text_init(&via);
	sock_peer_text(&t, &s->x.acc.peer);
	if (s->x.trusted)
		sock_peer_text(&via, &s->conn.peer);
	j = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "scheme",
	    s->x.secure ? "https" : "http", "method",
	    api_text(s->req.method), "host", api_text(tunnel ?
	    s->req.authority : s->x.host), "path", api_text(tunnel ?
	    STR("") : s->x.path), "query", api_text(s->x.uri.query), "from",
	    api_text(text_str(&t)), "proxy", s->x.trusted ?
	    api_text(text_str(&via)) : json_null());
	text_fini(&t);
	text_fini(&via);
	return j;
}

/* What the key http says; auto is an empty list. */
static json_t *
describe_versions(uint32_t bits)
{
	json_t	*all = json_array();

	for (unsigned i = 0; codecs[i].alpn != NULL; i++)
		if (bits & 1U << i)
			json_array_append_new(all,
			    json_string(codecs[i].version));
	return all;
}

static json_t *
describe_listener(const struct search *s)
{
	struct text	t;
	json_t		*j;

	if (s->addr == NULL)
		return json_null();
	text_init(&t);
	sock_text(&t, s->addr->addr);
	j = json_pack("{s:o, s:o, s:b, s:o}", "name",
	    api_text(s->addr->conf->obj.name), "address",
	    api_text(text_str(&t)), "guessed", s->guessed, "http",
	    describe_versions(s->addr->conf->http));
	if (grpc_is_request(&s->req) && !version_has_h2(s->addr->conf))
		json_object_set_new(j, "note", json_string("no call of gRPC "
		    "can come here: it speaks no HTTP/2 (http = 1.1 2)"));
	text_fini(&t);
	return j;
}

/* Null: there is no handshake, or none that would be heard. */
static json_t *
describe_tls(const struct search *s)
{
	json_t	*j;

	if (s->passed)
		return json_pack("{s:o, s:b}", "name", api_text(s->sni),
		    "passed", 1);
	if (s->shaken == NULL)
		return json_null();
	j = json_incref(s->shaken);
	json_object_set_new(j, "hsts", api_text(https_hsts(&s->x)));
	return j;
}

/* %2F and the like are refused unless the route says otherwise. */
static void
check_slash(struct search *s, enum fail *why)
{
	const struct rewrite	*w = s->found == NULL ? NULL :
	    conf_part(&s->found->obj, &rewrite_group);

	if (!s->x.odd_slash || (w != NULL && w->keeps))
		return;
	s->found = NULL;
	*why = FAIL_BAD_PATH;
}

/* What the steps of an exchange ask behind the route. */
static void
check_health(struct search *s)
{
	s->x.route = s->found;
	s->health = health_takes(s->conf, &s->x);
	if (s->health)
		s->found = s->x.route = NULL;
}

/* Routes that fit and stand behind the one that was found. */
static void
mark_later(struct search *s)
{
	json_t	*j;
	size_t	 i;

	json_array_foreach(s->tried, i, j)
		if (json_is_null(json_object_get(j, "failed")) &&
		    (s->found == NULL || !str_eq(s->found->obj.name,
		    str_from(json_string_value(json_object_get(j,
		    "route"))))))
			json_object_set_new(j, "later", json_true());
}

/* What takes requests by their path, [health] too, is not asked of these. */
static void
route_tunnel(struct search *s, enum fail *why, uint32_t *allow)
{
	s->routed = true;
	s->found = route_explain(s->conf, &s->x, why, allow, &s->trace);
	if (s->found != NULL && s->found->handler->tunnels)
		return;
	s->found = NULL;
	s->x.allow_more = STR("");
	*allow = METHODS_ALL;
	*why = FAIL_CONNECT_REFUSED;
}

/* Led to https, or refused; else whoever answers at the path. */
static void
find_answer(struct search *s, enum fail *why, uint32_t *allow)
{
	enum https_need	need;

	s->routed = true;
	s->found = route_explain(s->conf, &s->x, why, allow, &s->trace);
	s->x.route = s->found;
	need = https_look(&s->x);
	check_health(s);
	if (!s->health && need == HTTPS_REFUSE)
		*why = FAIL_TLS_REQUIRED;
	else if (!s->health && need == HTTPS_REDIRECT)
		s->led = explain_tls_redirect(s->conf, &s->x);
	else if (s->found != NULL)
		s->asks = explain_tls_client(s->conf, s->tls ?
		    s->addr->conf : NULL, &s->x, why);
	if (*why == FAIL_TLS_REQUIRED || *why == FAIL_CLIENT_CERT_MISSING ||
	    s->led != NULL)
		s->found = NULL;
	else
		check_slash(s, why);
}

static void
find_tunnel(struct search *s, enum fail *why, uint32_t *allow)
{
	route_tunnel(s, why, allow);
	if (s->found == NULL)
		return;
	s->x.route = s->found;
	s->asks = explain_tls_client(s->conf, s->tls ? s->addr->conf : NULL,
	    &s->x, why);
	if (*why == FAIL_CLIENT_CERT_MISSING)
		s->found = NULL;
}

/* By a connection that was opened for that name; see identity_host(). */
static bool
may_come(const struct search *s, const struct listener_conf *l)
{
	if (l->passes && pass_find(s->conf, l->obj.name, s->x.host,
	    &s->x) != NULL)
		return false;
	return secure_host_same(s->conf, l, s->sni, s->x.host);
}

/*
 * What is decided before any request: by the port, and by the name in a
 * handshake, which is that of the URL or else the request's.
 */
static enum fail
shake(struct search *s, enum fail why)
{
	const struct listener_conf	*l;
	struct str			 host = s->x.host;
	int				 port;

	if (s->addr == NULL)
		return why;
	l = s->addr->conf;
	if (s->tls != (s->origin.scheme == SCHEME_HTTPS) &&
	    s->origin.scheme != SCHEME_NONE)
		return s->tls ? FAIL_PLAIN_ON_TLS : FAIL_TLS_ON_PLAIN;
	if (!s->tls)
		return why;
	if (s->origin.scheme != SCHEME_NONE)
		(void)uri_parse_host(s->origin.authority, &host, &port);
	if (s->req.meth != METHOD_CONNECT)
		s->sni = explain_tls_name(host, s->name, sizeof(s->name));
	s->found = !l->passes ? NULL : pass_find(s->conf, l->obj.name,
	    s->sni, &s->x);
	s->passed = s->found != NULL;
	if (s->passed)
		return FAIL_NONE;
	s->shaken = explain_tls(s->conf, l, s->sni, &why);
	if (why == FAIL_NONE && s->req.meth != METHOD_CONNECT &&
	    !may_come(s, l))
		why = FAIL_MISDIRECTED_REQUEST;
	return why;
}

/* The route, or the row of what else is answered. */
static enum fail
decide(struct search *s, enum fail why, uint32_t *allow)
{
	if (why != FAIL_NONE || s->passed)
		return why;
	if (s->req.meth == METHOD_TRACE)
		return FAIL_TRACE_REFUSED;
	if (s->req.meth == METHOD_CONNECT)
		find_tunnel(s, &why, allow);
	else if (s->x.uri.star)
		return s->req.meth == METHOD_OPTIONS ? FAIL_NONE :
		    FAIL_BAD_TARGET;
	else
		find_answer(s, &why, allow);
	mark_later(s);
	return why;
}

static json_t *
conclude(struct search *s, enum fail why)
{
	uint32_t	 allow = 0;
	json_t		*j;

	why = decide(s, shake(s, why), &allow);
	j = json_pack("{s:i, s:o, s:o, s:o, s:o, s:O, s:o}", "v", 1,
	    "generation", api_num(s->conf->number), "request",
	    describe_request(s), "listener", describe_listener(s), "tls",
	    describe_tls(s), "candidates", s->tried, "others",
	    list_others(s));
	if (s->found != NULL)
		add_route(s, j);
	else if (s->health)
		add_health(j);
	else if (s->led != NULL)
		add_redirect(s, j);
	else
		add_answer(s, why, allow, j);
	return j;
}

/* Sets what is asked; -1 if it is no request. */
static int
ask(struct search *s, const struct explain *q, struct text *head,
    struct err *e)
{
	struct str	target = q->url;
	int		rc;

	rc = str_eq(q->method, STR("CONNECT")) ?
	    explain_url_connect(s->x.arena, &target, &s->origin, e) :
	    explain_url(&target, &s->origin, e);
	if (rc == -1 || set_peer(s, q->from, e) == -1 ||
	    write_head(s, q, target, head, e) == -1)
		return -1;
	find_listener(s);
	if (s->addr == NULL)
		return 0;
	s->tls = secure_has(s->addr->conf);
	s->listener.name = s->addr->conf->obj.name;
	s->listener.addr = *s->addr->addr;
	s->x.acc.str[ACCESS_LISTENER] = s->listener.name;
	return 0;
}

json_t *
explain_run(const struct conf *conf, const struct explain *q,
    const struct shm *shm, struct err *e)
{
	struct search	*s = must_calloc(1, sizeof(*s));
	struct text	 head;
	json_t		*j = NULL;

	s->trace.on = on_tried;
	s->conf = conf;
	s->shm = shm;
	s->looks = q->looks;
	s->conn.listener = &s->listener;
	s->gen.conf = conf;
	s->x.gen = &s->gen;
	s->x.conn = &s->conn;
	s->x.arena = &s->x.mem;
	s->tried = json_array();
	arena_init(&s->x.mem, NULL);
	map_init(&s->seen, 0);
	text_init(&head);
	if (ask(s, q, &head, e) == 0)
		j = conclude(s, read_head(s, text_str(&head)));
	text_fini(&head);
	map_fini(&s->seen);
	arena_fini(&s->x.mem);
	json_decref(s->tried);
	json_decref(s->shaken);
	json_decref(s->asks);
	json_decref(s->led);
	free(s);
	return j;
}
