/*
 * Calls of gRPC (proxy_grpc.h).  Workers.
 */
#include "handler/proxy_grpc.h"

#include "base/must.h"
#include "core/error_grpc.h"
#include "handler/proxy.h"
#include "handler/proxy_deadline.h"
#include "http/grpc.h"
#include "up/server_http.h"

/* --- requests --- */

bool
proxy_grpc_calls(const struct exchange *x)
{
	const struct proxy_route	*r = handler_part(x);
	const struct server_conf	*s = r->up->servers.v;

	for (size_t i = 0; i < r->up->servers.n; i++, s++)
		if (server_http_of(r->up->http, s->h2, s->peer != NULL) !=
		    SERVER_H1)
			return true;
	return false;
}

/* --- heads --- */

/* Something between, or no server of gRPC at all, speaks HTTP. */
static bool
is_http(const struct msg *m)
{
	return (m->status != 200 || !grpc_is_type(hdr_val(&m->hdrs,
	    HDR_CONTENT_TYPE))) && hdr_get(&m->hdrs, HDR_GRPC_STATUS) == NULL;
}

void
proxy_grpc_answer(struct proxy *p, const struct msg *m)
{
	struct str	id = p->x->id, text;

	if (!error_grpc_takes(p->x) || !is_http(m))
		return;
	log_dbg(&p->x->lc, "grpc: an answer of HTTP, status %u", m->status);
	text = m->status != 200 ? arena_fmt(p->x->arena,
	    "the server answered with HTTP status %u", m->status) :
	    STR("the server's answer is none of gRPC");
	if (id.n > 0)
		text = arena_fmt(p->x->arena, "%.*s (%.*s)", STR_FMT(text),
		    STR_FMT(id));
	p->res = error_grpc_make(p->x, m->status, text,
	    "the server answered with");
	p->bare = true;
	if (p->res_end)
		return;
	proxy_stop(p, FAIL_NONE);
	p->res_end = true;
}

/* --- the server's fault --- */

void
proxy_grpc_judge(struct proxy *p, const struct hdrs *hs)
{
	int	code;

	if (!p->x->grpc)
		return;
	code = grpc_read_status(hdr_val(hs, HDR_GRPC_STATUS));
	if (code < 0 || !grpc_is_servers_fault((unsigned)code,
	    proxy_deadline_is_clients(p)))
		return;
	attempt_erred(&p->attempt, FAIL_GRPC_ERROR);
	proxy_note_error(p, FAIL_GRPC_ERROR);
}

const char *
proxy_grpc_code(const struct hdrs *hs)
{
	int	code = grpc_read_status(hdr_val(hs, HDR_GRPC_STATUS));

	must(code >= 0 && code < GRPC_N);
	return grpc_name((unsigned)code).p;
}

/* --- heads that may be followed by nothing but trailers --- */

bool
proxy_grpc_holds(struct proxy *p, const struct msg *m)
{
	struct msg	*own;

	if (!p->x->grpc || p->res_end || m->major != 2 || m->status != 200 ||
	    ((p->again.conf.on & RETRY_ON_GRPCS) == 0 &&
	    !p->attempt.probe.held))
		return false;
	own = arena_room(p->x->arena, sizeof(*own));
	*own = *m;
	p->held = own;
	ev_post(p->x->serve->ev, EV_WAKE, &p->wake);
	return true;
}

bool
proxy_grpc_drops(struct proxy *p, const struct hdrs *hs)
{
	struct msg	end = { .status = 200, .hdrs = *hs };

	if (p->held == NULL || !proxy_retry_drops(p, &end, true))
		return false;
	p->held = NULL;
	return true;
}

/* --- messages --- */

bool
proxy_grpc_data(struct proxy *p, const struct chunk *c)
{
	struct str	s;

	if (p->max_message == 0)
		return true;
	s = str_make(c->u.mem.p, (size_t)c->n);
	if (grpc_scan(&p->messages, s, p->max_message))
		return true;
	p->what = arena_fmt(p->x->arena, "%llu bytes",
	    (unsigned long long)p->messages.left).p;
	p->error = 0;
	proxy_give_up(p, FAIL_ANSWER_MESSAGE_TOO_LARGE);
	return false;
}

void
proxy_grpc_trailers(struct proxy *p, const struct hdrs *hs)
{
	error_grpc_note(p->x, hs);
}

void
proxy_grpc_cause(struct proxy *p, const struct stream *s)
{
	int	status = s->coded ? grpc_of_reset(s->code) : -1;

	if (status >= 0)
		p->x->grpc_reset = (uint8_t)status;
}

/* --- time --- */

uint64_t
proxy_grpc_quiet(const struct proxy *p)
{
	uint64_t	idle = p->times.stream_idle;
	uint64_t	first = p->call_first;

	if (p->answered || first == 0)
		return idle;
	return idle > 0 && idle < first ? idle : first;
}

bool
proxy_grpc_idles(const struct proxy *p)
{
	return p->x->call && p->times.stream_idle > 0 &&
	    ev_ms(p->x->serve->ev) - p->moved_ms >= p->times.stream_idle;
}
