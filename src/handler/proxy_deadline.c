/*
 * How long an exchange may take in all: timeout.total of the route, and
 * what the client has left, which X-Request-Deadline (milliseconds) and
 * grpc-timeout (the gRPC protocol over HTTP/2, "Timeout") say.  Workers.
 *
 * The nearer end holds.  Each attempt tells its server how much is left
 * of it, so that nobody works for an answer that nobody waits for.
 */
#include "handler/proxy_deadline.h"

#include "handler/proxy.h"
#include "http/grpc.h"

#define FAR_MS	(UINT64_C(30) * 24 * 60 * 60 * 1000)	/* later: no end */

/* --- the fields --- */

/* "1500": milliseconds from the arrival of the request. */
static uint64_t
read_deadline(struct str s)
{
	uint64_t	ms;

	if (str_to_u64(s, UINT64_MAX, &ms) == -1)
		return FAR_MS;
	return ms < FAR_MS ? ms : FAR_MS;
}

/* Less than 1 ms is none. */
static uint64_t
read_grpc(struct str s)
{
	uint64_t	ms = grpc_read_timeout(s);

	return ms < FAR_MS ? ms : FAR_MS;
}

/* The least that the lines of a field say; *text: how, if it is wanted. */
static uint64_t
least(const struct hdrs *hs, enum hdr_id id, uint64_t (*read)(struct str),
    struct str *text)
{
	const struct hdr	*h;
	uint64_t		 ms = FAR_MS, one;

	for (h = hdr_get(hs, id); h != NULL; h = hdr_next(hs, id, h)) {
		one = read(h->val);
		if (one >= ms)
			continue;
		ms = one;
		if (text != NULL)
			*text = h->val;
	}
	return ms;
}

bool
proxy_deadline_drops(const struct proxy *p, const struct hdr *h)
{
	return h->id == HDR_X_REQUEST_DEADLINE &&
	    p->deadline != DEADLINE_OFF;
}

/* --- the exchange --- */

static bool
is_believed(const struct proxy *p)
{
	return p->deadline == DEADLINE_ON ||
	    (p->deadline == DEADLINE_TRUSTED && p->x->trusted);
}

/* What the client has left, if it is believed; FAR_MS: no word of it. */
static uint64_t
clients_time(const struct proxy *p)
{
	const struct hdrs	*hs = &p->x->req->hdrs;
	uint64_t		 a = FAR_MS, b = FAR_MS;
	bool			 believed = is_believed(p);

	if (believed)
		a = least(hs, HDR_X_REQUEST_DEADLINE, read_deadline, NULL);
	/* a call of gRPC is as urgent as its caller says */
	if (believed || (p->deadline != DEADLINE_OFF && p->x->grpc))
		b = least(hs, HDR_GRPC_TIMEOUT, read_grpc, NULL);
	return a < b ? a : b;
}

bool
proxy_deadline_is_clients(const struct proxy *p)
{
	const struct hdrs	*hs = &p->x->req->hdrs;

	/* with deadline = off the server has both as they came */
	return hdr_get(hs, HDR_GRPC_TIMEOUT) != NULL ||
	    ((p->deadline == DEADLINE_OFF || is_believed(p)) &&
	    hdr_get(hs, HDR_X_REQUEST_DEADLINE) != NULL);
}

bool
proxy_deadline_start(struct proxy *p)
{
	struct ev	*ev = p->x->serve->ev;
	uint64_t	 ms = clients_time(p);

	p->due_why = FAIL_DEADLINE_EXCEEDED;
	if (p->times.total > 0 && p->times.total <= ms) {
		ms = p->times.total;
		p->due_why = FAIL_TOTAL_TIMEOUT;
	}
	if (ms == 0)
		return false;
	if (ms < FAR_MS) {
		p->due_ms = ev_ms(ev) + ms;
		ev_timer(ev, &p->total, ms);
	}
	return true;
}

void
proxy_deadline_tell(struct proxy *p)
{
	struct arena	*a = p->x->arena;
	struct hdrs	*hs = &p->req.hdrs;
	uint64_t	 now = ev_ms(p->x->serve->ev), left, own;
	struct str	 text = STR("");

	if (p->due_ms == 0 || p->deadline == DEADLINE_OFF)
		return;
	/* it ends with the answer's head: the stream has no such end */
	if (p->req.upgrade || p->req.meth == METHOD_CONNECT)
		return;
	left = p->due_ms > now ? p->due_ms - now : 1;
	hdr_set(a, hs, HDR_X_REQUEST_DEADLINE,
	    arena_fmt(a, "%llu", (unsigned long long)left));
	if (hdr_get(hs, HDR_GRPC_TIMEOUT) == NULL)
		return;
	/* whom we do not believe may still be in more of a hurry */
	own = least(&p->x->req->hdrs, HDR_GRPC_TIMEOUT, read_grpc, &text);
	hdr_set(a, hs, HDR_GRPC_TIMEOUT, own < left ? text :
	    grpc_write_timeout(a, left));
}
