/*
 * An exchange from its beginning to its end, and what handlers and
 * filters do with it.  Workers and control.
 *
 * The codec calls up when it has read a head; everything after that
 * happens in wakes, so that neither calls into the other's middle.  One
 * driver runs the steps (exchange.steps).  A failure before the head
 * makes an error page the response and goes on with the response hooks;
 * after it the stream is aborted.  The codec's closed() ends the
 * exchange; its memory goes when the handler has let go too.
 */
#include "core/exchange.h"

#include "base/must.h"
#include "os/fault.h"
#include "core/error_grpc.h"
#include "core/handler.h"
#include "core/int.h"
#include "core/listener.h"
#include "http/grpc.h"

/* --- the end --- */

static void
on_free(struct ev_task *t)
{
	struct exchange	*x = container_of(t, struct exchange, free);
	struct serve	*s = x->serve;
	struct arena	 mem = x->mem;

	list_del(&x->node);
	s->nexchange--;
	arena_fini(&mem);
	serve_check_drained(s);
}

static void
try_free(struct exchange *x)
{
	if (x->client == NULL && !x->handling && !x->running)
		ev_post(x->serve->ev, EV_FREE, &x->free);
}

void
exchange_cut(struct exchange *x, enum fail why)
{
	if (!x->handling || x->cut)
		return;
	x->cut = true;
	if (x->handler->abort != NULL)
		x->handler->abort(x, why);
	else
		x->handling = false;
}

void
exchange_handler_done(struct exchange *x)
{
	x->handling = false;
	try_free(x);
}

static void
on_closed(struct stream *s, enum fail why)
{
	struct exchange	*x = s->ctx;

	must(x->client == s);
	if (x->fail == FAIL_NONE && !x->counted && why != FAIL_NONE)
		exchange_note(x, why, s->what != NULL ?
		    str_from(s->what) : STR(""));
	exchange_end(x);
	exchange_limit_end(x);
	x->serve->nstream -= x->stream;
	x->client = NULL;
	x->conn = NULL;
	ev_cancel(&x->wake);
	ev_timer_off(x->serve->ev, &x->deadline);
	exchange_cut(x, why);
	if (x->gen != NULL)
		gen_unref(x->serve->gens, &x->gen);
	x->route = NULL;
	try_free(x);
}

static void
on_last(struct stream *s)
{
	exchange_end(s->ctx);
}

/* --- the driver --- */

/* What the answer of a step leads to, when it is not just the next one. */
static bool
turn_off(struct exchange *x, enum step_rc rc)
{
	if (x->client == NULL || x->aborted)
		return false;
	if (rc == STEP_FAIL && !x->error_page)
		exchange_give_up(x, x->fail != FAIL_NONE ? x->fail :
		    FAIL_INTERNAL, STR(""));
	switch (rc) {
	case STEP_NEXT:
		x->step++;
		break;
	case STEP_DONE:
		x->step = STEP_RESPONSE;
		break;
	case STEP_WAIT:
		return x->client != NULL && x->error_page &&
		    x->step < STEP_RESPONSE;
	case STEP_FAIL:
		x->step = x->step < STEP_RESPONSE ? STEP_RESPONSE : STEP_HEAD;
		break;
	}
	return x->client != NULL && !x->aborted;
}

/* One step; false: nothing more now. */
static bool
advance(struct exchange *x)
{
	enum step_rc	rc;

	if (x->error_page && x->step < STEP_RESPONSE)
		x->step = STEP_RESPONSE;
	rc = exchange_step(x);
	if (x->route != NULL && !x->error_page && FAULT("step_fail"))
		rc = STEP_FAIL;
	if (rc != STEP_NEXT || x->client == NULL || x->aborted)
		return turn_off(x, rc);
	x->step++;
	return true;
}

static void
on_wake(struct ev_task *t)
{
	struct exchange	*x = container_of(t, struct exchange, wake);

	if (x->client == NULL || x->aborted || x->step == STEP_BODY)
		return;
	must(!x->running);
	x->running = true;
	while (advance(x))
		;
	x->running = false;
	try_free(x);
}

static void
on_deadline(struct timer *t)
{
	exchange_give_up(container_of(t, struct exchange, deadline),
	    FAIL_TOTAL_TIMEOUT, STR(""));
}

void
exchange_go(struct exchange *x)
{
	if (x->client != NULL)
		ev_post(x->serve->ev, EV_WAKE, &x->wake);
}

static void
on_request(struct stream *s)
{
	struct conn	*c = s->ctx;
	struct serve	*serve = c->listener->serve;
	struct arena	 mem;
	struct exchange	*x;

	arena_init(&mem, &serve->arenas);
	x = arena_alloc(&mem, sizeof(*x));
	x->mem = mem;
	x->arena = &x->mem;
	x->serve = serve;
	x->conn = c;
	x->client = s;
	s->ctx = x;
	x->req = s->head != NULL ? s->head :
	    arena_alloc(x->arena, sizeof(*x->req));
	x->fail = s->fail;
	x->grpc = grpc_is_request(x->req);
	x->grpc_status = x->grpc_reset = GRPC_STATUS_NONE;
	x->out = &s->out;
	x->max_body = 0;
	x->step = STEP_BEGIN;
	x->lc.log = serve->log;
	x->lc.ids.conn = c->no;
	timer_init(&x->deadline, on_deadline);
	ev_task_init(&x->wake, on_wake);
	ev_task_init(&x->free, on_free);
	list_add_tail(&serve->exchanges, &x->node);
	serve->nexchange++;
	exchange_go(x);
}

const struct stream_up exchange_up = { on_request, on_last, on_closed };

/* --- answers --- */

struct msg *
exchange_new_head(struct exchange *x, unsigned status)
{
	struct msg	*m = arena_alloc(x->arena, sizeof(*m));

	m->status = (uint16_t)status;
	m->reason = msg_reason(status);
	m->minor = 1;
	return m;
}

/* The first answer counts: a handler's may come after an error page. */
static bool
may_respond(const struct exchange *x)
{
	return x->client != NULL && !x->aborted && x->res == NULL;
}

void
exchange_respond(struct exchange *x, struct msg *res, unsigned flags)
{
	if (!may_respond(x))
		return;
	x->res = res;
	x->res_flags = flags;
	if (!x->running)
		exchange_go(x);
}

void
exchange_interim(struct exchange *x, struct msg *res)
{
	struct sink	*out;

	if (x->client == NULL || x->aborted || x->head_sent)
		return;
	out = &x->client->out;
	stat_add(STAT_STATUS_1XX, 1);
	out->ops->head(out, res, WAIST_INTERIM);
}

void
exchange_reply(struct exchange *x, unsigned status, struct str type,
    struct str text)
{
	struct msg	*m;

	if (!may_respond(x) || error_grpc_reply(x, status, text))
		return;
	m = exchange_new_head(x, status);
	m->body = (int64_t)text.n;
	if (text.n > 0)
		hdr_add(x->arena, &m->hdrs, HDR_CONTENT_TYPE, type);
	x->reply = text;
	exchange_respond(x, m, text.n == 0 ? WAIST_END : 0);
}

void
exchange_redirect(struct exchange *x, unsigned status, struct str place)
{
	struct msg	*m;

	if (!may_respond(x) || error_grpc_reply(x, status,
	    arena_fmt(x->arena, "this is at %.*s", STR_FMT(place))))
		return;
	m = exchange_new_head(x, status);
	hdr_add(x->arena, &m->hdrs, HDR_LOCATION, place);
	exchange_respond(x, m, WAIST_END);
}

static void
abort_client(struct exchange *x, enum fail why)
{
	struct sink	*out = &x->client->out;

	if (x->aborted)
		return;
	x->aborted = true;
	out->ops->abort(out, why);
}

void
exchange_note(struct exchange *x, enum fail why, struct str cause)
{
	if (x->counted)
		return;
	x->fail = why;
	x->acc.str[ACCESS_CAUSE] = cause;
}

void
exchange_fail(struct exchange *x, enum fail why, struct str cause)
{
	must(why != FAIL_NONE);
	if (x->client == NULL || x->aborted)
		return;
	if (x->head_sent || (fail_row(why)->status == 0 &&
	    !error_grpc_tells(x, why))) {
		exchange_note(x, why, cause);
		if (!error_grpc_end(x, why))
			abort_client(x, why);
		return;
	}
	if (x->error_page)
		return;
	exchange_note(x, why, cause);
	/* a drain may come before its first step */
	exchange_begin(x);
	error_page(x);
	if (!x->running)
		exchange_go(x);
}

void
exchange_give_up(struct exchange *x, enum fail why, struct str cause)
{
	exchange_cut(x, why);
	exchange_fail(x, why, cause);
}

/* --- bodies --- */

struct sink *
exchange_body(struct exchange *x)
{
	return x->out;
}

struct source *
exchange_request(struct exchange *x)
{
	must(x->client != NULL);
	if (x->max_body == 0 || (x->req->body != BODY_UNKNOWN && !x->call))
		return &x->client->in;
	return exchange_limit(x);
}

void
exchange_skip_request(struct exchange *x)
{
	struct source	*in;

	if (x->client == NULL || x->skipped || x->client->in.to != NULL)
		return;
	x->skipped = true;
	in = &x->client->in;
	in->ops->stop(in, FAIL_NONE);
}

/* What the credit allows of a small answer. */
static void
on_room(struct source *s)
{
	struct exchange	*x = container_of(s, struct exchange, reply_src);
	struct sink	*to = s->to;
	struct chunk	 c;

	while (x->reply.n > 0 && to->credit > 0 && !x->aborted &&
	    x->client != NULL) {
		c = (struct chunk){ .kind = CHUNK_CONST, .n = x->reply.n };
		if ((uint64_t)to->credit < c.n)
			c.n = (uint64_t)to->credit;
		c.u.mem.p = x->reply.p;
		x->reply = str_sub(x->reply, c.n, x->reply.n);
		to->ops->data(to, c, x->reply.n == 0 ? WAIST_END : 0);
	}
}

static void
on_stop(struct source *s, enum fail why)
{
	(void)why;
	container_of(s, struct exchange, reply_src)->reply = STR_NONE;
}

static const struct source_ops reply_ops = {
	.room = on_room,
	.stop = on_stop
};

void
exchange_send_reply(struct exchange *x)
{
	x->reply_src.ops = &reply_ops;
	waist_join(&x->reply_src, exchange_body(x));
	on_room(&x->reply_src);
}

/* --- others --- */

struct str
exchange_client_ip(struct exchange *x)
{
	char	buf[SOCK_PEER_MAX];

	return arena_dup(x->arena, str_make(buf,
	    (size_t)(sock_peer_put(buf, &x->acc.peer) - buf)));
}

struct str
exchange_scheme(const struct exchange *x)
{
	return x->secure ? STR("https") : STR("http");
}

void
exchange_abort_all(struct serve *s, enum fail why, bool streams)
{
	struct list	*pos, *tmp;
	struct exchange	*x;

	list_each_safe(pos, tmp, &s->exchanges) {
		x = container_of(pos, struct exchange, node);
		if (x->client == NULL)
			continue;
		if (x->stream && !streams) {
			x->conn->spared = true;
			continue;
		}
		exchange_note(x, why, STR(""));
		exchange_cut(x, why);
		if (x->client == NULL)
			continue;
		/* its trailers say why, if they can be sent at all */
		if (error_grpc_takes(x))
			exchange_fail(x, why, STR(""));
		else
			abort_client(x, why);
	}
}

void
exchange_expire(struct serve *s, uint64_t generation)
{
	struct list	*pos, *tmp;
	struct exchange	*x;

	list_each_safe(pos, tmp, &s->exchanges) {
		x = container_of(pos, struct exchange, node);
		if (x->gen == NULL || x->gen->number != generation ||
		    x->client == NULL)
			continue;
		log_warn(&x->lc, "request: ended at step %u: generation %llu "
		    "is the oldest of too many", x->step,
		    (unsigned long long)generation);
		exchange_give_up(x, FAIL_GENERATION_EXPIRED,
		    STR("its generation is too old"));
	}
}
