/*
 * Probes of type grpc: the Check of grpc.health.v1.Health, over HTTP/2.
 * Health process.
 *
 * The server is well if the call ends with OK and its one message says
 * SERVING.  One that does not know the service says NOT_FOUND, one without
 * that protocol UNIMPLEMENTED; both are no servers for this upstream.
 */
#include "http/grpc.h"
#include "up/probe_int.h"

#define CHECK	STR("/grpc.health.v1.Health/Check")

static void
fail(struct probe *p, const char *what)
{
	probe_detail(p, "%s", what);
	probe_over(p, FAIL_PROBE_GRPC);
}

/* --- the question --- */

void
probe_grpc_ask(struct probe *p, struct msg *m)
{
	const struct probe_conf	*c = p->set->conf;

	p->grpc = -1;
	m->meth = METHOD_POST;
	m->method = msg_method_text(METHOD_POST);
	m->target = CHECK;
	m->trailers = true;
	m->body = BODY_UNKNOWN;
	hdr_add(&p->arena, &m->hdrs, HDR_CONTENT_TYPE, GRPC_TYPE);
	hdr_add(&p->arena, &m->hdrs, HDR_GRPC_TIMEOUT,
	    grpc_write_timeout(&p->arena, c->timeout));
}

void
probe_grpc_send(struct probe *p, struct stream *st)
{
	struct str	s = grpc_write_health(&p->arena,
	    p->set->conf->service);
	struct chunk	c = { .kind = CHUNK_CONST, .n = s.n };

	c.u.mem.p = s.p;
	st->out.ops->data(&st->out, c, WAIST_END);
}

/* --- the answer --- */

void
probe_grpc_status(struct probe *p, const struct hdrs *hs)
{
	p->grpc = grpc_read_status(hdr_val(hs, HDR_GRPC_STATUS));
}

bool
probe_grpc_head(struct probe *p, const struct msg *m)
{
	if (m->status != 200 || !grpc_is_type(hdr_val(&m->hdrs,
	    HDR_CONTENT_TYPE))) {
		probe_detail(p, "HTTP status %u, not gRPC", m->status);
		probe_over(p, FAIL_PROBE_GRPC);
		return false;
	}
	probe_grpc_status(p, &m->hdrs);
	return true;
}

void
probe_grpc_judge(struct probe *p)
{
	static const char *const	words[] = { "UNKNOWN", "SERVING",
		"NOT_SERVING", "SERVICE_UNKNOWN" };
	struct str			body = str_make(p->body, p->nbody);
	uint64_t			health;

	if (p->grpc > 0) {
		probe_detail(p, "%.*s", STR_FMT(grpc_name((unsigned)
		    p->grpc)));
		probe_over(p, FAIL_PROBE_GRPC);
	} else if (p->grpc < 0)
		fail(p, "no grpc-status");
	else if (grpc_read_health(body, &health) == -1)
		fail(p, "a malformed answer");
	else if (health != 1)
		fail(p, health < 4 ? words[health] : "an unknown state");
	else
		probe_over(p, FAIL_NONE);
}
