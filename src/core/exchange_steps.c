/*
 * The steps of an exchange (exchange.steps), each a small function.
 * Workers and control.
 */
#include "core/ask.h"
#include "core/chain.h"
#include "core/error_grpc.h"
#include "core/handler.h"
#include "core/health.h"
#include "core/https.h"
#include "core/int.h"
#include "core/listener.h"
#include "core/pass.h"
#include "core/rewrite.h"
#include "core/route.h"
#include "core/secure_identity.h"
#include "core/settings.h"

/* --- the request --- */

/*
 * What the codec refused has no step between its beginning and its
 * error page.
 */
static enum step_rc
st_begin(struct exchange *x)
{
	exchange_begin(x);
	if (x->fail == FAIL_NONE && LOG_DEBUGS(x->lc.log))
		exchange_debug(x);
	return x->fail != FAIL_NONE ? STEP_FAIL : STEP_NEXT;
}

static enum step_rc
fail_with(struct exchange *x, enum fail why)
{
	x->fail = why;
	return STEP_FAIL;
}

/* OPTIONS * asks for the server as a whole (RFC 9110 9.3.7). */
static enum step_rc
answer_star(struct exchange *x)
{
	struct msg	*m = exchange_new_head(x, 204);

	hdr_add(x->arena, &m->hdrs, HDR_ALLOW,
	    error_allow(x->arena, METHODS_ALL, STR("")));
	exchange_respond(x, m, WAIST_END);
	return STEP_DONE;
}

/* Lower case, without port and without the dot of the DNS root. */
static void
set_host(struct exchange *x)
{
	struct str	host = x->req->host;
	char		*p;

	if (host.n > 1 && host.p[host.n - 1] == '.')
		host.n--;
	x->host = host;
	if (!str_has_upper(host))
		return;
	p = arena_text(x->arena, host.n);
	for (size_t i = 0; i < host.n; i++)
		p[i] = host.p[i] >= 'A' && host.p[i] <= 'Z' ?
		    (char)(host.p[i] | 0x20) : host.p[i];
	x->host = str_make(p, host.n);
}

enum fail
exchange_target(struct exchange *x)
{
	enum fail	why;

	set_host(x);
	/* It has no path; routes that name the method see the shortest. */
	if (x->req->meth == METHOD_CONNECT) {
		x->uri.path = x->path = STR("/");
		return FAIL_NONE;
	}
	uri_split(x->req->target, &x->uri);
	if (x->uri.star)
		return FAIL_NONE;
	why = uri_normalise(x->arena, x->uri.path, false, &x->path);
	if (why != FAIL_BAD_PATH || (x->serve != NULL &&
	    x->serve->only != NULL))
		return why;
	/* Whether a slash in disguise is right the route knows. */
	x->odd_slash = true;
	return uri_normalise(x->arena, x->uri.path, true, &x->path);
}

static enum step_rc
st_target(struct exchange *x)
{
	struct str	cause = STR("");
	enum fail	why;

	x->allow = METHODS_ALL;
	/*
	 * What another port is for is of another origin (RFC 9110 7.4); a
	 * trusted proxy passes on what its client said.
	 */
	if (x->req->scheme.n > 0 && !x->trusted && x->secure !=
	    str_eq(x->req->scheme, STR("https")))
		return fail_with(x, FAIL_MISDIRECTED);
	why = exchange_target(x);
	if (why == FAIL_NONE)
		why = identity_host(x, &cause);
	if (why != FAIL_NONE) {
		exchange_fail(x, why, cause);
		return STEP_FAIL;
	}
	if (x->uri.star && x->req->meth == METHOD_TRACE)
		return fail_with(x, FAIL_TRACE_REFUSED);
	if (x->uri.star)
		return x->req->meth == METHOD_OPTIONS ? answer_star(x) :
		    fail_with(x, FAIL_BAD_TARGET);
	return STEP_NEXT;
}

static void
take_health(struct exchange *x)
{
	x->route = NULL;
	x->handler = &handler_health;
}

static void
take_https(struct exchange *x)
{
	x->route = NULL;
	x->handler = &handler_https;
}

static void
take_route(struct exchange *x)
{
	x->handler = x->route->handler;
	x->acc.str[ACCESS_ROUTE] = arena_dup(x->arena, x->route->obj.name);
}

/* Never offered; Allow says what the path's route would answer. */
static enum step_rc
refuse_trace(struct exchange *x)
{
	const struct route	*r = NULL;
	enum fail		 why;
	uint32_t		 allow = 0;

	if (x->serve->only == NULL)
		r = route_match(x->gen->conf, x, &why, &allow);
	if (r != NULL)
		allow = r->handler->methods;
	if (allow != 0)
		x->allow = allow;
	return fail_with(x, FAIL_TRACE_REFUSED);
}

/* Only for a route that says so, and whose handler can. */
static enum step_rc
route_connect(struct exchange *x)
{
	enum fail	why;
	uint32_t	allow = 0;

	if (x->conn->raw)
		x->route = pass_route(x);
	else if (x->serve->only == NULL)
		x->route = route_match(x->gen->conf, x, &why, &allow);
	if (x->route == NULL || !x->route->handler->tunnels) {
		x->route = NULL;
		x->allow_more = STR("");
		return fail_with(x, FAIL_CONNECT_REFUSED);
	}
	take_route(x);
	x->acc.str[ACCESS_HANDLER] = str_from(x->handler->name);
	return STEP_NEXT;
}

static enum step_rc
st_route(struct exchange *x)
{
	enum fail	why = FAIL_NO_ROUTE;
	enum https_need	need;

	if (x->req->meth == METHOD_TRACE)
		return refuse_trace(x);
	if (x->req->meth == METHOD_CONNECT)
		return route_connect(x);
	x->handler = x->serve->only;
	if (x->handler == NULL) {
		x->route = route_match(x->gen->conf, x, &why, &x->allow);
		need = https_look(x);
		if (health_takes(x->gen->conf, x))
			take_health(x);
		else if (need == HTTPS_REFUSE)
			return fail_with(x, FAIL_TLS_REQUIRED);
		else if (need == HTTPS_REDIRECT)
			take_https(x);
		else if (x->route == NULL)
			return fail_with(x, x->odd_slash ? FAIL_BAD_PATH :
			    why);
		else
			take_route(x);
	}
	x->acc.str[ACCESS_HANDLER] = str_from(x->handler->name);
	return STEP_NEXT;
}

static enum step_rc
st_client(struct exchange *x)
{
	struct str	cause;
	enum fail	why;

	if (x->route == NULL)
		return STEP_NEXT;
	why = identity_check(x, &cause);
	if (why == FAIL_NONE)
		return STEP_NEXT;
	exchange_fail(x, why, cause);
	return STEP_FAIL;
}

static enum step_rc
st_rewrite(struct exchange *x)
{
	enum fail	why;

	if (x->route == NULL)
		return STEP_NEXT;
	why = rewrite_run(x);
	return why != FAIL_NONE ? fail_with(x, why) : STEP_NEXT;
}

/*
 * A field of the client's alone lifts no limit: it speaks as clients of
 * gRPC do, and is led to servers that can be asked so.
 */
static bool
is_call(const struct exchange *x)
{
	return x->grpc && x->req->major == 2 && x->req->trailers &&
	    x->route != NULL && x->handler->calls != NULL &&
	    x->handler->calls(x);
}

static enum step_rc
st_limits(struct exchange *x)
{
	x->call = x->client->patient = is_call(x);
	if (x->call && !x->stream) {
		x->stream = true;
		x->serve->nstream++;
	}
	x->max_body = x->route != NULL ? x->route->max_body :
	    settings_limits(x->gen->conf)->body;
	if (x->max_body > 0 && x->req->body > 0 && !x->call &&
	    (uint64_t)x->req->body > x->max_body)
		return fail_with(x, FAIL_BODY_TOO_LARGE);
	return STEP_NEXT;
}

static enum step_rc
st_request(struct exchange *x)
{
	return chain_request(x);
}

static enum step_rc
st_handle(struct exchange *x)
{
	struct source	*in = &x->client->in;

	x->handling = true;
	if (x->handler->waits && in->ops->waits != NULL)
		in->ops->waits(in);
	x->handler->start(x);
	return STEP_NEXT;
}

static enum step_rc
st_answer(struct exchange *x)
{
	return x->res != NULL ? STEP_NEXT : STEP_WAIT;
}

/* --- the response --- */

static enum step_rc
st_response(struct exchange *x)
{
	return chain_response(x);
}

/* Answers without content, whatever the handler has (RFC 9110 6.4.1). */
static bool
is_bodyless(const struct exchange *x)
{
	return x->req->meth == METHOD_HEAD || x->res->status == 204 ||
	    x->res->status == 304;
}

static enum step_rc
st_head(struct exchange *x)
{
	struct sink	*out = &x->client->out;
	bool		 more = (x->res_flags & WAIST_END) == 0;

	if (x->res_flags & WAIST_UPGRADE)
		more = false;
	else
		exchange_skip_request(x);
	if (is_bodyless(x) && (x->res_flags & WAIST_UPGRADE) == 0) {
		x->res->bodyless = true;
		x->res_flags |= WAIST_END;
	}
	if (x->id.n > 0) {
		hdr_del(&x->res->hdrs, HDR_X_REQUEST_ID);
		hdr_add_good(x->arena, &x->res->hdrs, HDR_X_REQUEST_ID,
		    x->id);
	}
	https_mark(x);
	error_grpc_note(x, &x->res->hdrs);
	if (x->error_page)
		x->client->fail = x->fail;
	x->acc.num[ACCESS_STATUS] = x->res->status;
	x->head_sent = true;
	chain_wrap(x);
	exchange_drop_gen(x);
	out->ops->head(out, x->res, x->res_flags);
	if (more && (x->res_flags & WAIST_END))
		exchange_cut(x, FAIL_NONE);
	return STEP_NEXT;
}

static enum step_rc
st_body(struct exchange *x)
{
	if (x->res_flags & WAIST_END)
		return STEP_WAIT;
	if (x->reply.n > 0)
		exchange_send_reply(x);
	else if (x->handling && x->handler->body != NULL)
		x->handler->body(x);
	return STEP_WAIT;
}

/* --- the list --- */

static const struct {
	const char	*name;
	enum step_rc	(*run)(struct exchange *);
} steps[STEP_N] = {
#define STEP(id, fn, text)	[STEP_##id] = { #id, fn },
#include "core/exchange.steps"
#undef STEP
};

enum step_rc
exchange_step(struct exchange *x)
{
	static const char *const	answers[] = {
		[STEP_NEXT] = "next", [STEP_DONE] = "done",
		[STEP_WAIT] = "wait", [STEP_FAIL] = "fail"
	};
	unsigned			 at = x->step;
	enum step_rc			 rc = steps[at].run(x);

	log_dbg(&x->lc, "step %s: %s", steps[at].name, answers[rc]);
	return rc;
}

const void *
handler_part(const struct exchange *x)
{
	return x->route->part;
}
