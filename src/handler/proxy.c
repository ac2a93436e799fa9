/*
 * Handler proxy: asks a server of an upstream and passes its answer on.
 * Workers.
 *
 * An attempt is a list of steps (proxy.steps) with one driver.  It ends
 * with an answer's head, which is handed to the exchange, or with a
 * failure.  Then another attempt follows if a pooled connection turned
 * out to be dead (once, the same server, a fresh connection, and only if
 * the request may be repeated: RFC 9110 9.2.2), or as proxy_retry.c
 * decides.  After the head only the pumps run (proxy_pump.c); a failure
 * then aborts the client's stream.
 *
 * What is held: a wait of the pool, or a connection with its stream.
 * Both are let go before exchange_handler_done(); a stream is gone when
 * its codec has called closed().
 */
#include "handler/proxy.h"

#include "base/must.h"
#include "handler/proxy_deadline.h"
#include "handler/proxy_gather.h"
#include "os/fault.h"
#include "up/retry.h"
#include "up/server_http.h"
#include "up/server_use.h"

#define EXPECT_MS	1000	/* for a 100 (RFC 9110 10.1.1) */

static struct proxy *
of(struct exchange *x)
{
	struct proxy	*p = x->hctx;

	must(p->magic == PROXY_MAGIC);
	return p;
}

static struct ev *
loop_of(struct proxy *p)
{
	return p->x->serve->ev;
}

/* --- the end --- */

/* True while the pool or a codec knows this exchange. */
static bool
is_tied(const struct proxy *p)
{
	return p->s != NULL || p->conn != NULL || p->wait.waiting;
}

/* All is over and nothing is held: the exchange may go. */
static void
finish(struct proxy *p)
{
	struct source	*from = p->req_in.from;

	if (p->done || is_tied(p))
		return;
	p->done = true;
	/* Nobody reads on: the codec drops the rest, or closes. */
	if (from != NULL && !p->req_end)
		from->ops->stop(from, FAIL_NONE);
	ev_timer_off(loop_of(p), &p->quiet);
	ev_timer_off(loop_of(p), &p->total);
	proxy_gather_end(p);
	proxy_keep_end(p);
	ev_cancel(&p->wake);
	attempt_end(&p->attempt);
	server_unref(&p->server);
	upstream_put(&p->up);
	exchange_handler_done(p->x);
}

void
proxy_note(struct proxy *p, enum fail why)
{
	if (p->why == FAIL_NONE)
		p->why = why;
}

void
proxy_stop(struct proxy *p, enum fail why)
{
	struct stream	*s = p->s;

	if (s == NULL || p->stopped || (p->res_end && p->req_end))
		return;
	p->stopped = true;
	ev_timer_off(loop_of(p), &p->quiet);
	if (!p->res_end)
		s->in.ops->stop(&s->in, why);
	/* That may have closed the whole stream. */
	if (p->s == s && !p->req_end)
		s->out.ops->abort(&s->out, why);
}

/* What the codec says of an answer that it refused. */
static void
take_cause(struct proxy *p, const struct stream *s)
{
	if (s == NULL)
		return;
	proxy_grpc_cause(p, s);
	if (s->what == NULL)
		return;
	p->what = s->what;
	p->error = 0;
}

void
proxy_give_up(struct proxy *p, enum fail why)
{
	if (p->over || p->done)
		return;
	p->over = true;
	take_cause(p, p->s);
	p->x->error_type = proxy_error_type(p, why);
	proxy_leave_queue(p);
	pool_cancel(&p->wait);
	proxy_relay_end(p);
	proxy_note(p, why);
	proxy_retry_note(p);
	proxy_tell(p, why, NULL);
	proxy_fallback_page(p, why);
	exchange_fail(p->x, why, proxy_cause(p));
	proxy_stop(p, why);
	finish(p);
}

/* --- attempts --- */

/*
 * A pooled connection may have been closed by the server at the moment
 * it was taken: nothing came, and nothing that cannot be sent again was
 * lost.
 */
static bool
may_replay(const struct proxy *p)
{
	if (p->replayed || !p->wait.reused || p->got ||
	    proxy_keep_lost(p) ||
	    (p->why != FAIL_RESET_BEFORE_HEAD && p->why != FAIL_SEND_ERROR))
		return false;
	return !p->sent || msg_is_idempotent(p->req.meth);
}

/*
 * It takes this over HTTP/1.1 alone, and may have that: so do others for a
 * while, but calls of gRPC, which are nothing without HTTP/2.
 */
static bool
is_for_h1(struct proxy *p)
{
	if (p->why != FAIL_SERVER_WANTS_H1 || p->wait.h1 || p->wait.h2 ||
	    server_http(p->server) != SERVER_ALPN)
		return false;
	server_want_h1(p->server);
	p->wait.h1 = !proxy_keep_lost(p);
	return p->wait.h1;
}

/* The same server may be asked again. */
static void
forget_asked(struct proxy *p)
{
	proxy_retry_note(p);
	p->tried.n--;
	p->step = PROXY_PICK;
}

/* Decides after a failed attempt: true if another one is to be made. */
static bool
plan_again(struct proxy *p)
{
	if (p->over || p->server == NULL)
		return false;
	if (!p->again.redo && may_replay(p)) {
		retry_note_replay(p->up);
		p->replayed = true;
		p->fresh = true;
		forget_asked(p);
		return true;
	}
	if (!p->again.redo && is_for_h1(p)) {
		proxy_tell(p, p->why, "it is asked again over HTTP/1.1");
		retry_note_replay(p->up);
		forget_asked(p);
		return true;
	}
	return proxy_retry_unseen(p) || proxy_retry_next(p);
}

static void
fail_attempt(struct proxy *p)
{
	if (p->over)
		finish(p);
	else if (plan_again(p) || proxy_fallback_next(p)) {
		if (!p->again.pause)
			proxy_run(p);
	} else
		proxy_give_up(p, p->why);
}

static enum step_rc
st_pick(struct proxy *p)
{
	struct server	*s;

	proxy_retry_mark(p);
	s = proxy_pick(p);
	if (s != NULL)
		server_ref(s);
	server_unref(&p->server);
	p->server = s;
	if (s == NULL)
		return STEP_NEXT;
	tried_add(&p->tried, p->x->arena, s);
	return STEP_NEXT;
}

static enum step_rc
st_connect(struct proxy *p)
{
	struct access	*acc = &p->x->acc;

	p->why = FAIL_NONE;
	p->what = "";
	p->error = 0;
	p->stopped = false;
	p->told = false;
	p->got = p->sent = false;
	p->x->received = 0;
	p->x->grpc_reset = GRPC_STATUS_NONE;
	p->step = PROXY_SEND;
	acc->num[ACCESS_CONNECT] = 0;
	proxy_retry_begin(p);
	log_dbg(&p->x->lc, "server \"%.*s\": chosen by %s of \"%.*s\", "
	    "attempt %llu, connections here %u open, %u idle",
	    STR_FMT(p->server->text), p->up->balance->name,
	    STR_FMT(p->up->name), (unsigned long long)
	    acc->num[ACCESS_ATTEMPTS], p->server->nopen, p->server->nidle);
	attempt_begin(&p->attempt, p->server);
	pool_get(p->server, &p->wait, p->times.connect, p->fresh);
	return STEP_WAIT;
}

/* A server was asked besides the one that was chosen. */
static void
note_asked(struct proxy *p, struct server *s)
{
	if (!tried_has(&p->tried, s))
		tried_add(&p->tried, p->x->arena, s);
}

/* Another address of the same name was dialled besides, and failed. */
static void
lose_server(struct proxy *p, struct server *s, enum fail why)
{
	struct attempt	a = { .server = NULL };

	note_asked(p, s);
	if (p->attempt.server == s)
		attempt_failed(&p->attempt, why);
	else {
		attempt_init(&a);
		attempt_begin(&a, s);
		attempt_failed(&a, why);
		attempt_end(&a);
	}
	log_dbg(&p->x->lc, "server \"%.*s\": %s; the other address is "
	    "waited for", STR_FMT(s->text), fail_row(why)->name);
}

/* Another address of the same name was quicker, or failed later. */
static void
take_server(struct proxy *p, struct server *s)
{
	server_unref(&p->server);
	p->server = server_ref(s);
	note_asked(p, s);
	attempt_begin(&p->attempt, s);
	p->x->acc.str[ACCESS_SERVER] = arena_dup(p->x->arena, s->text);
}

static void
on_given(struct pool_wait *w, struct up_conn *conn, enum fail why)
{
	struct proxy	*p = container_of(w, struct proxy, wait);

	must(p->magic == PROXY_MAGIC);
	if (conn == NULL && proxy_retry_anew(p)) {
		proxy_run(p);
		return;
	}
	if (!w->reused)
		p->x->acc.num[ACCESS_CONNECT] = w->dial_ns / 1000;
	if (w->lost != NULL)
		lose_server(p, w->lost, w->lost_why);
	if (w->server != p->server)
		take_server(p, w->server);
	if (conn == NULL) {
		if (w->counted)
			attempt_excuse(&p->attempt);
		proxy_note(p, why);
		/* which is of the server, and of no longer life */
		p->what = w->what == NULL ? "" :
		    arena_dup(p->x->arena, str_from(w->what)).p;
		p->error = w->error;
		fail_attempt(p);
		return;
	}
	p->conn = conn;
	proxy_run(p);
}

static void on_closed(struct stream *, enum fail);

static const struct stream_up proxy_up = { .closed = on_closed };

static enum step_rc
st_send(struct proxy *p)
{
	uint64_t	ms = p->times.first_byte;

	p->s = pool_stream(p->conn, p->x->arena);
	p->s->up = &proxy_up;
	p->s->ctx = p;
	p->x->acc.str[ACCESS_SERVER_VERSION] = pool_version(p->conn);
	p->hold = p->req.expect && !p->req_used;
	p->sent_ns = ev_clock_ns();
	proxy_set_host(p);
	proxy_deadline_tell(p);
	p->moved_ms = ev_ms(loop_of(p));
	if (p->x->call)
		ms = proxy_grpc_quiet(p);
	if (p->hold)
		ms = EXPECT_MS;
	if (ms > 0)
		ev_timer(loop_of(p), &p->quiet, ms);
	proxy_join(p);
	return STEP_NEXT;
}

static enum step_rc
st_answer(struct proxy *p)
{
	return p->answered ? STEP_DONE : STEP_WAIT;
}

static enum step_rc (*const steps[PROXY_NSTEP])(struct proxy *) = {
#define STEP(id, fn, text)	[PROXY_##id] = fn,
#include "handler/proxy.steps"
#undef STEP
};

static const char *const step_names[PROXY_NSTEP] = {
#define STEP(id, fn, text)	[PROXY_##id] = #id,
#include "handler/proxy.steps"
#undef STEP
};

void
proxy_run(struct proxy *p)
{
	enum step_rc	rc;

	must(!p->running);
	p->running = true;
	do {
		log_dbg(&p->x->lc, "proxy: %s", step_names[p->step]);
		rc = steps[p->step](p);
		if (rc == STEP_NEXT)
			p->step++;
	} while (rc == STEP_NEXT && p->step < PROXY_NSTEP);
	p->running = false;
	if (rc == STEP_FAIL)
		fail_attempt(p);
}

/*
 * The stream is gone, with an answer or without.  What follows waits for
 * a wake: the codec is the caller.
 */
static void
on_closed(struct stream *s, enum fail why)
{
	struct proxy	*p = s->ctx;
	const char	*alert;

	must(p->magic == PROXY_MAGIC && p->s == s);
	p->got = s->got > 0;
	alert = p->got ? NULL : pool_alert(p->conn);
	p->sent = s->sent > 0;
	if (s->head != NULL && s->head->status >= 200)
		p->x->received = s->head->status;
	p->s = NULL;
	proxy_untie(p);
	ev_timer_off(loop_of(p), &p->quiet);
	pool_put(p->conn, s->keep && !p->stopped);
	p->conn = NULL;
	take_cause(p, s);
	if (alert != NULL) {
		p->what = alert;
		p->why = FAIL_TLS_UPSTREAM_ALERT;
	}
	if (!p->res_end)
		proxy_note(p, why != FAIL_NONE ? why :
		    FAIL_RESET_BEFORE_HEAD);
	ev_post(loop_of(p), EV_WAKE, &p->wake);
}

/* The answer is complete, and so is all that was to be done with it. */
static bool
is_through(const struct proxy *p)
{
	return p->answered && p->res_end && (p->open || p->bare);
}

static void
on_wake(struct ev_task *t)
{
	struct proxy	*p = container_of(t, struct proxy, wake);

	proxy_release(p);
	if (p->s != NULL && p->res_end) {
		/* Nobody will read the rest of the request. */
		proxy_stop(p, FAIL_NONE);
		return;
	}
	if (is_tied(p))
		return;
	if (p->over || is_through(p))
		finish(p);
	else if (!p->answered)
		fail_attempt(p);
	else if (!p->res_end)
		proxy_give_up(p, p->why);
}

/* --- the answer --- */

/* A 100 is between the client and us, as is its expectation. */
void
proxy_interim(struct proxy *p, const struct msg *m)
{
	if (m->status == 100)
		proxy_let_body(p);
	else
		exchange_interim(p->x, proxy_make_answer(p, m));
	proxy_moved(p);
}

void
proxy_answer(struct proxy *p, const struct msg *m)
{
	p->answered = true;
	p->bare = p->res_end;
	proxy_keep_end(p);
	p->x->acc.num[ACCESS_FIRST_BYTE] =
	    (ev_clock_ns() - p->sent_ns) / 1000;
	use_time(p->server, p->x->acc.num[ACCESS_FIRST_BYTE]);
	attempt_answered(&p->attempt, m->status);
	if (m->status >= 500)
		proxy_note_error(p, FAIL_SERVER_ERROR);
	proxy_moved(p);
	p->res = proxy_make_answer(p, m);
	proxy_grpc_answer(p, m);
	proxy_choice_answer(p);
	if (p->bare) {
		attempt_complete(&p->attempt);
		proxy_ended(p);
	}
	exchange_respond(p->x, p->res, p->bare ? WAIST_END : 0);
}

void
proxy_ended(struct proxy *p)
{
	ev_timer_off(loop_of(p), &p->quiet);
	/* The codec lets go of the head's bytes before the client has it. */
	if (!p->open)
		proxy_own_answer(p);
	if (p->s != NULL && !p->req_end)
		ev_post(loop_of(p), EV_WAKE, &p->wake);
}

/* --- time --- */

static void
arm_quiet(struct proxy *p)
{
	uint64_t	ms;

	if (p->hold || p->s == NULL || p->over || p->stopped ||
	    p->again.drop)
		return;
	ms = p->answered ? p->times.between : p->times.first_byte;
	if (p->x->call)
		ms = proxy_grpc_quiet(p);
	if (ms > 0 && !p->res_end)
		ev_timer(loop_of(p), &p->quiet, ms);
	else
		ev_timer_off(loop_of(p), &p->quiet);
}

void
proxy_moved(struct proxy *p)
{
	p->moved_ms = ev_ms(loop_of(p));
	arm_quiet(p);
}

/*
 * Is it the client whom everybody waits for?  Its codec has own limits.
 * What it was allowed counts: a server that took a little gives no room.
 */
bool
proxy_is_clients_turn(const struct proxy *p)
{
	if (p->answered)
		return !p->open || p->res_in.credit <= 0;
	return !p->req_end && !p->req_stop && p->s != NULL &&
	    p->req_in.credit > 0;
}

/* What is late: that it takes the request, or that it answers. */
static enum fail
late_row(const struct proxy *p)
{
	return !p->req_told && !p->req_stop ? FAIL_SEND_TIMEOUT :
	    FAIL_FIRST_BYTE_TIMEOUT;
}

static void
on_quiet(struct timer *t)
{
	struct proxy	*p = container_of(t, struct proxy, quiet);

	if (p->step == PROXY_QUEUE || p->again.pause) {
		p->again.pause = false;
		p->step = PROXY_PICK;
		proxy_run(p);
	} else if (p->again.drop)
		proxy_stop(p, FAIL_SERVER_ERROR);
	else if (p->hold) {
		proxy_let_body(p);
		proxy_moved(p);
	} else if (proxy_grpc_idles(p))
		proxy_give_up(p, FAIL_STREAM_IDLE_TIMEOUT);
	else if (proxy_is_clients_turn(p))
		arm_quiet(p);
	else if (p->answered) {
		proxy_note(p, FAIL_BETWEEN_TIMEOUT);
		proxy_give_up(p, FAIL_BETWEEN_TIMEOUT);
	} else {
		if (p->s != NULL && p->s->begun)
			p->what = "its head began, but did not end";
		proxy_note(p, late_row(p));
		proxy_stop(p, p->why);
	}
}

static void
on_total(struct timer *t)
{
	struct proxy	*p = container_of(t, struct proxy, total);

	if (!(p->answered && p->res_end))
		proxy_give_up(p, p->due_why);
}

/* --- the handler --- */

static struct proxy *
make(struct exchange *x, const struct proxy_route *r)
{
	struct proxy	*p = arena_alloc(x->arena, sizeof(*p));

	p->magic = PROXY_MAGIC;
	p->x = x;
	p->times = r->times;
	p->call_first = r->call_first;
	p->deadline = (uint8_t)r->deadline;
	p->buffering = (uint8_t)r->buffering;
	p->max_message = x->grpc && x->req->major == 2 ? r->max_message : 0;
	p->wait.on = on_given;
	p->wait.tried = &p->tried;
	p->wait.raw = p->wait.single = x->conn->raw;
	p->what = "";
	timer_init(&p->quiet, on_quiet);
	timer_init(&p->total, on_total);
	ev_task_init(&p->wake, on_wake);
	attempt_init(&p->attempt);
	p->attempt.cut = proxy_retry_cut;
	p->limits = r->up->queue;
	p->again.conf = *proxy_retry_of(x);
	p->up_conf = r->up;
	proxy_fallback_init(p);
	proxy_init_pumps(p);
	proxy_init_queue(p);
	x->hctx = p;
	return p;
}

static void
start(struct exchange *x)
{
	const struct proxy_route	*r = handler_part(x);
	struct proxy			*p = make(x, r);

	p->up = upstream_get(x->serve, r->up);
	if (p->up == NULL) {
		proxy_give_up(p, FAIL_INTERNAL);
		return;
	}
	x->acc.str[ACCESS_UPSTREAM] = arena_dup(x->arena, p->up->name);
	proxy_choice_init(p, r);
	if (proxy_make_request(p, r) == -1) {
		p->over = true;
		exchange_reply(x, 200, STR("text/plain"), STR(""));
		finish(p);
		return;
	}
	p->req_end = p->req.body == BODY_NONE;
	p->wait.h1 = p->req.upgrade || p->req.meth == METHOD_CONNECT;
	p->wait.h2 = x->grpc;
	p->wait.careful = p->req.body != BODY_NONE ||
	    !msg_is_idempotent(p->req.meth);
	proxy_keep_begin(p);
	if (proxy_deadline_start(p))
		proxy_run(p);
	else
		proxy_give_up(p, p->due_why);
}

static void
body(struct exchange *x)
{
	struct proxy	*p = of(x);

	if (p->over)
		return;
	if (p->relay != NULL) {
		proxy_relay_begin(p);
		return;
	}
	proxy_open_body(p);
	ev_post(loop_of(p), EV_WAKE, &p->wake);
}

/* The client is gone, or time is up: let go. */
static void
cut(struct exchange *x, enum fail why)
{
	struct proxy	*p = of(x);

	p->over = true;
	proxy_leave_queue(p);
	pool_cancel(&p->wait);
	proxy_relay_end(p);
	proxy_stop(p, why);
	finish(p);
}

const struct handler handler_proxy = {
	.name = "proxy", .group = &proxy_group, .start = start, .body = body,
	.abort = cut, .tunnels = true, .waits = true,
	.calls = proxy_grpc_calls
};
