/*
 * The proxy handler alone: its exchange, pool and codec are doubles that
 * the tests move step by step, so every order of events can be had.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "core/settings.h"
#include "handler/proxy.h"
#include "up/server_use.h"

/* --- the doubles --- */

/* a server's stream, as its codec would have it */
struct far {
	struct stream	 s;
	bool		 open;
	struct str	 method;
	struct str	 target;
	unsigned	 flags;		/* of the head */
	uint64_t	 bytes;		/* of the request's body */
	unsigned	 ends;
	unsigned	 trailers;
	unsigned	 rooms;		/* the proxy can take more */
	enum fail	 stopped;
	bool		 is_stopped;
	enum fail	 aborted;
	bool		 is_aborted;
};

static struct {
	struct serve		 serve;
	struct exchange		 x;
	struct arena		 arena;
	struct msg		 req;
	struct proxy_route	 part;
	struct upstream_conf	 uc;
	struct upstream		 up;
	struct server		 servers[3];
	struct server		*members[3];
	unsigned		 next;		/* server of the next pick */
	unsigned		 unknown;	/* looks until one is known */
	/* pool */
	struct pool_wait	*wait;
	struct server		*asked;
	bool			 fresh;
	unsigned		 asks;
	unsigned		 cancels;
	bool			 full;		/* no server has room */
	bool			 due;		/* others wait */
	enum fail		 no_queue;	/* why none may wait */
	struct queue_wait	*queued;
	unsigned		 joins;
	unsigned		 puts;
	bool			 put_keep;
	struct far		*far;		/* of the last attempt */
	unsigned		 failed;	/* servers blamed */
	struct board_server_live live[3];
	/* retries */
	struct retry_conf	 retry;
	unsigned		 firsts, takes;
	bool			 poor;		/* the budget has nothing */
	/* the client's side */
	struct source		 from;		/* of the request's body */
	unsigned		 from_rooms;
	struct sink		 to;		/* of the answer's body */
	uint64_t		 bytes;
	unsigned		 ends;
	unsigned		 trailers;
	/* the exchange */
	unsigned		 status;	/* of the answer; 0: none */
	unsigned		 res_flags;
	unsigned		 interims;
	enum fail		 fail;
	struct str		 cause;
	unsigned		 done;
} w;

static void
far_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct far	*f = container_of(k, struct far, s.out);

	f->method = m->method;
	f->target = m->target;
	f->flags = flags;
}

static enum flow
far_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct far	*f = container_of(k, struct far, s.out);

	f->bytes += c.n;
	f->ends += (flags & WAIST_END) != 0;
	k->credit -= (int64_t)c.n;
	chunk_drop(&c);
	return k->credit > 0 ? FLOW_MORE : FLOW_FULL;
}

static void
far_trailers(struct sink *k, const struct hdrs *hs)
{
	(void)hs;
	container_of(k, struct far, s.out)->trailers++;
}

static void
far_end(struct sink *k)
{
	container_of(k, struct far, s.out)->ends++;
}

static void
far_abort(struct sink *k, enum fail why)
{
	struct far	*f = container_of(k, struct far, s.out);

	f->is_aborted = true;
	f->aborted = why;
}

static void
far_room(struct source *s)
{
	container_of(s, struct far, s.in)->rooms++;
}

static void
far_stop(struct source *s, enum fail why)
{
	struct far	*f = container_of(s, struct far, s.in);

	f->is_stopped = true;
	f->stopped = why;
}

static const struct sink_ops far_sink = {
	far_head, far_data, far_trailers, far_end, far_abort
};
static const struct source_ops far_source = {
	.room = far_room,
	.stop = far_stop
};

void
pool_get(struct server *s, struct pool_wait *wait, uint64_t ms, bool fresh)
{
	(void)ms;
	/* It is claimed with the choice. */
	ck_assert(wait->claimed && wait->server == s);
	wait->claimed = false;
	wait->waiting = true;
	wait->reused = false;
	wait->what = "";
	wait->error = 0;
	w.wait = wait;
	w.asked = s;
	w.fresh = fresh;
	w.asks++;
}

bool
pool_claim(struct server *s, struct pool_wait *wait, bool fresh)
{
	(void)fresh;
	wait->server = s;
	wait->claimed = !w.full;
	return wait->claimed;
}

bool
queue_is_due(struct upstream *up, const struct tried *tried,
    const struct server *want)
{
	(void)up;
	(void)tried;
	(void)want;
	return w.due;
}

enum fail
queue_join(struct queue_wait *q, const struct queue_limits *l)
{
	ck_assert_ptr_eq(q->upstream, &w.up);
	ck_assert_int_eq(l->length, 7);
	ck_assert_ptr_null(w.queued);
	w.joins++;
	if (w.no_queue != FAIL_NONE)
		return w.no_queue;
	w.queued = q;
	q->in = (struct queue *)(void *)&w;
	return FAIL_NONE;
}

void
queue_leave(struct queue_wait *q)
{
	ck_assert_ptr_eq(q, w.queued);
	q->in = NULL;
	w.queued = NULL;
}

uint64_t
queue_time(const struct queue_wait *q)
{
	(void)q;
	return 1000;
}

void
pool_cancel(struct pool_wait *wait)
{
	w.cancels += wait->waiting;
	wait->waiting = false;
}

struct stream *
pool_stream(struct up_conn *c, struct arena *a)
{
	struct far	*f = arena_alloc(a, sizeof(*f));

	(void)c;
	f->open = true;
	f->s.out.ops = &far_sink;
	f->s.out.credit = 100;
	f->s.in.ops = &far_source;
	w.far = f;
	return &f->s;
}

void
pool_put(struct up_conn *c, bool keep)
{
	(void)c;
	w.puts++;
	w.put_keep = keep;
}

struct upstream *
upstream_get(struct serve *serve, const struct upstream_conf *c)
{
	(void)serve;
	(void)c;
	w.up.uses++;
	return &w.up;
}

void
upstream_put(struct upstream **up)
{
	if (*up != NULL)
		(*up)->uses--;
	*up = NULL;
}

struct server *
upstream_pick(struct upstream *up, const struct pick *p)
{
	return up->balance->pick(up, p);
}

bool
upstream_any_left(struct upstream *up, const struct tried *tried)
{
	for (size_t i = 0; i < up->nserver; i++)
		if (!tried_has(tried, up->servers[i]))
			return true;
	return false;
}

void
use_time(const struct server *s, uint64_t us)
{
	(void)us;
	ck_assert_ptr_eq(s, w.asked);
}

void
view_refresh(struct upstream *up)
{
	(void)up;
}

bool
view_takes(const struct upstream *up, const struct server *s,
    const struct pick *p)
{
	(void)up;
	return !tried_has(p->tried, s);
}

/* What a request says of the choice: nothing. */
void
proxy_choice_init(struct proxy *p, const struct proxy_route *r)
{
	(void)p;
	(void)r;
}

void
proxy_choice_request(struct proxy *p)
{
	(void)p;
}

uint64_t
proxy_choice_hash(const struct proxy *p)
{
	(void)p;
	return 0;
}

struct server *
proxy_choice_server(struct proxy *p)
{
	(void)p;
	return NULL;
}

void
proxy_choice_answer(struct proxy *p)
{
	(void)p;
}

/* What decides is in test_retry.c; here nothing is waited for. */
const struct retry_conf *
proxy_retry_of(const struct exchange *x)
{
	(void)x;
	return &w.retry;
}

void
retry_earn(const struct upstream *up, const struct retry_conf *c)
{
	ck_assert_ptr_eq(up, &w.up);
	(void)c;
	w.firsts++;
}

bool
retry_take(const struct upstream *up)
{
	ck_assert_ptr_eq(up, &w.up);
	w.takes++;
	return !w.poor;
}

enum fail
upstream_why(const struct upstream *unused)
{
	(void)unused;
	if (w.unknown == 0)
		return FAIL_NO_SERVER;
	if (--w.unknown == 0)
		w.up.nserver = 3;
	return FAIL_NONE;
}

void
attempt_init(struct attempt *a)
{
	list_init(&a->node);
}

void
attempt_begin(struct attempt *a, struct server *s)
{
	a->server = s;
}

void
attempt_answered(struct attempt *a, int status)
{
	(void)status;
	a->judged = true;
}

void
attempt_failed(struct attempt *a, enum fail why)
{
	ck_assert_ptr_nonnull(a->server);
	w.failed += (fail_row(why)->flags & FAIL_F_B) != 0;
}

void
retry_note_replay(const struct upstream *up)
{
	ck_assert_ptr_nonnull(up);
}

void
attempt_complete(struct attempt *a)
{
	ck_assert_ptr_nonnull(a->server);
}

void
attempt_end(struct attempt *a)
{
	a->server = NULL;
}

bool
breaker_goes_on(const struct upstream *up, const struct attempt *a,
    const struct pick *p)
{
	(void)up;
	(void)a;
	(void)p;
	return false;
}

void
breaker_return(struct shm *shm, struct breaker_ticket *t)
{
	(void)shm;
	(void)t;
}

const struct settings *
settings_get(const struct conf *c)
{
	static const struct settings	none;

	(void)c;
	return &none;
}

/* Relays have tests of their own, with real connections. */
void
proxy_upgrade(struct proxy *p, const struct msg *m)
{
	(void)m;
	proxy_note(p, FAIL_UNEXPECTED_UPGRADE);
	proxy_stop(p, FAIL_UNEXPECTED_UPGRADE);
}

void
proxy_relay_begin(struct proxy *p)
{
	(void)p;
}

void
proxy_relay_end(struct proxy *p)
{
	(void)p;
}

static struct server *
pick(struct upstream *up, const struct pick *p)
{
	for (size_t i = 0; i < up->nserver; i++)
		if (!tried_has(p->tried, up->servers[i]))
			return up->servers[i];
	return NULL;
}

static const struct balancer in_order = { "in_order", pick, NULL };

const void *
handler_part(const struct exchange *x)
{
	(void)x;
	return &w.part;
}

struct str
exchange_scheme(const struct exchange *x)
{
	(void)x;
	return STR("http");
}

struct str
exchange_client_ip(struct exchange *x)
{
	(void)x;
	return STR("192.0.2.1");
}

void
exchange_respond(struct exchange *x, struct msg *res, unsigned flags)
{
	(void)x;
	ck_assert_uint_eq(w.status, 0);
	w.status = res->status;
	w.res_flags = flags;
}

void
exchange_interim(struct exchange *x, struct msg *res)
{
	(void)x;
	(void)res;
	w.interims++;
}

void
exchange_reply(struct exchange *x, unsigned status, struct str type,
    struct str text)
{
	(void)x;
	(void)type;
	(void)text;
	w.status = status;
}

void
exchange_fail(struct exchange *x, enum fail why, struct str cause)
{
	(void)x;
	ck_assert_int_eq(w.fail, FAIL_NONE);
	w.fail = why;
	w.cause = cause;
}

struct sink *
exchange_body(struct exchange *x)
{
	(void)x;
	return &w.to;
}

struct source *
exchange_request(struct exchange *x)
{
	(void)x;
	return &w.from;
}

/* Nothing may be held when the handler says so. */
void
exchange_handler_done(struct exchange *x)
{
	(void)x;
	ck_assert(w.far == NULL || !w.far->open);
	ck_assert(w.wait == NULL || !w.wait->waiting);
	ck_assert_uint_eq(w.up.uses, 0);
	w.done++;
}

/* --- the client's ends --- */

static void
from_room(struct source *s)
{
	(void)s;
	w.from_rooms++;
}

static void
from_stop(struct source *s, enum fail why)
{
	(void)s;
	(void)why;
}

static enum flow
to_data(struct sink *k, struct chunk c, unsigned flags)
{
	w.bytes += c.n;
	w.ends += (flags & WAIST_END) != 0;
	k->credit -= (int64_t)c.n;
	return k->credit > 0 ? FLOW_MORE : FLOW_FULL;
}

static void
to_trailers(struct sink *k, const struct hdrs *hs)
{
	(void)k;
	(void)hs;
	ck_assert_uint_eq(w.ends, 0);
	w.trailers++;
}

static void
to_end(struct sink *k)
{
	(void)k;
	w.ends++;
}

static const struct source_ops from_ops = {
	.room = from_room,
	.stop = from_stop
};
static const struct sink_ops to_ops = {
	NULL, to_data, to_trailers, to_end, NULL
};

/* --- moving them --- */

static void
setup(void)
{
	struct err	e;

	memset(&w, 0, sizeof(w));
	arena_init(&w.arena, NULL);
	w.serve.ev = ev_new(NULL, &e);
	ck_assert_ptr_nonnull(w.serve.ev);
	page_pool_init(&w.serve.pages, 0);
	w.x.serve = &w.serve;
	w.x.arena = &w.arena;
	w.x.req = &w.req;
	w.x.path = STR("/p");
	w.x.uri.path = w.x.path;
	w.req.method = STR("GET");
	w.req.meth = METHOD_GET;
	w.req.target = w.x.path;
	w.req.authority = STR("a.example");
	w.req.minor = 1;
	w.part.up = &w.uc;
	w.uc.queue.length = 7;
	w.retry.on = RETRY_ON_CONNECT;
	w.retry.tries = 2;
	w.retry.body = 64;
	for (size_t i = 0; i < 3; i++) {
		w.servers[i].text = STR("10.0.0.1:1");
		w.servers[i].tag = i + 1;
		w.servers[i].live = &w.live[i];
		w.servers[i].uses = 1;
		w.members[i] = &w.servers[i];
	}
	w.up.name = STR("u");
	w.up.servers = w.members;
	w.up.nserver = 3;
	w.up.balance = &in_order;
	w.from.ops = &from_ops;
	w.to.ops = &to_ops;
	w.to.credit = 50;
}

static void
teardown(void)
{
	ev_turn(w.serve.ev, 0);
	ck_assert_uint_eq(w.done, 1);
	ck_assert_uint_eq(w.serve.pages.live, 0);
	page_pool_fini(&w.serve.pages);
	ev_free(&w.serve.ev);
	arena_fini(&w.arena);
}

static void
method(const char *name, int64_t body)
{
	w.req.method = str_from(name);
	w.req.meth = (uint8_t)msg_method(w.req.method);
	w.req.body = body;
}

static struct proxy *
start(void)
{
	handler_proxy.start(&w.x);
	return w.x.hctx;
}

static void
give(bool reused)
{
	struct pool_wait	*p = w.wait;

	ck_assert(p->waiting);
	p->waiting = false;
	p->reused = reused;
	p->on(p, (struct up_conn *)(void *)&w, FAIL_NONE);
}

static void
refuse(enum fail why, int error)
{
	struct pool_wait	*p = w.wait;

	ck_assert(p->waiting);
	p->waiting = false;
	p->what = "connect";
	p->error = error;
	p->on(p, NULL, why);
}

/* What the server's codec would do. */
static struct sink *
answers(void)
{
	return w.far->s.in.to;
}

static void
answer(unsigned status, unsigned flags)
{
	struct msg	*m = arena_alloc(&w.arena, sizeof(*m));

	m->status = (uint16_t)status;
	m->minor = 1;
	answers()->ops->head(answers(), m, flags);
}

static void
closes(enum fail why, bool keep)
{
	w.far->open = false;
	w.far->s.keep = keep;
	w.far->s.up->closed(&w.far->s, why);
	ev_turn(w.serve.ev, 0);
}

static struct chunk
bytes(uint64_t n)
{
	static const char	text[256];

	ck_assert_uint_le(n, sizeof(text));
	return (struct chunk){ .kind = CHUNK_CONST, .n = n, .u.mem.p = text };
}

static void
sleep_ms(unsigned ms)
{
	uint64_t	end = ev_clock_ns() + ms * 1000000ULL;

	while (ev_clock_ns() < end)
		ev_turn(w.serve.ev, 1);
}

/* --- answers --- */

START_TEST(test_plain)
{
	start();
	ck_assert_ptr_eq(w.asked, &w.servers[0]);
	ck_assert(!w.fresh);
	give(false);
	ck_assert(str_eq(w.far->method, STR("GET")));
	ck_assert_uint_eq(w.far->flags, WAIST_END);
	answer(200, 0);
	ck_assert_uint_eq(w.status, 200);
	/* No byte before the client's side is there. */
	ck_assert_int_eq(answers()->credit, 0);
	ck_assert_uint_eq(w.far->rooms, 0);
	handler_proxy.body(&w.x);
	ck_assert_int_eq(answers()->credit, 50);
	ck_assert_uint_eq(w.far->rooms, 1);
	ck_assert_int_eq(answers()->ops->data(answers(), bytes(30), 0),
	    FLOW_MORE);
	ck_assert_int_eq(answers()->credit, 20);
	ck_assert_int_eq(answers()->ops->data(answers(), bytes(20), 0),
	    FLOW_FULL);
	w.to.credit = 10;
	w.to.from->ops->room(w.to.from);
	ck_assert_int_eq(answers()->credit, 10);
	ck_assert_uint_eq(w.far->rooms, 2);
	answers()->ops->data(answers(), bytes(5), WAIST_END);
	ck_assert_uint_eq(w.bytes, 55);
	ck_assert_uint_eq(w.ends, 1);
	ck_assert_uint_eq(w.done, 0);
	closes(FAIL_NONE, true);
	ck_assert_uint_eq(w.done, 1);
	ck_assert(w.put_keep);
	ck_assert_int_eq(w.fail, FAIL_NONE);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_ATTEMPTS], 1);
}
END_TEST

/* The server is through before the exchange wants the body. */
START_TEST(test_end_first)
{
	struct hdrs	hs = { .n = 0 };

	start();
	give(false);
	answer(200, 0);
	answers()->ops->trailers(answers(), &hs);
	answers()->ops->end(answers());
	closes(FAIL_NONE, true);
	ck_assert_uint_eq(w.done, 0);
	ck_assert_uint_eq(w.ends, 0);
	handler_proxy.body(&w.x);
	ck_assert_uint_eq(w.trailers, 1);
	ck_assert_uint_eq(w.ends, 1);
	ev_turn(w.serve.ev, 0);
}
END_TEST

START_TEST(test_bare)
{
	start();
	give(false);
	answer(204, WAIST_END);
	ck_assert_uint_eq(w.res_flags, WAIST_END);
	closes(FAIL_NONE, true);
	ck_assert_uint_eq(w.done, 1);
}
END_TEST

START_TEST(test_cut_answer)
{
	start();
	give(false);
	answer(200, 0);
	if (_i == 1)
		handler_proxy.body(&w.x);
	answers()->ops->abort(answers(), FAIL_RESET_IN_BODY);
	ck_assert_int_eq(w.fail, FAIL_RESET_IN_BODY);
	/* A stream that failed is not spoken to. */
	ck_assert(!w.far->is_stopped && !w.far->is_aborted);
	closes(FAIL_RESET_IN_BODY, false);
	ck_assert_uint_eq(w.done, 1);
	ck_assert_uint_eq(w.asks, 1);
	ck_assert(!w.put_keep);
}
END_TEST

/* --- attempts --- */

START_TEST(test_others)
{
	method("POST", 10);
	start();
	refuse(FAIL_DIAL_REFUSED, ECONNREFUSED);
	ck_assert_ptr_eq(w.asked, &w.servers[1]);
	refuse(FAIL_DIAL_TIMEOUT, ETIMEDOUT);
	ck_assert_ptr_eq(w.asked, &w.servers[2]);
	ck_assert_int_eq(w.fail, FAIL_NONE);
	refuse(FAIL_DIAL_REFUSED, ECONNREFUSED);
	ck_assert_int_eq(w.fail, FAIL_DIAL_REFUSED);
	ck_assert(str_eq(w.cause, STR("connect: Connection refused")));
	ck_assert_uint_eq(w.asks, 3);
	ck_assert_uint_eq(w.failed, 3);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_ATTEMPTS], 3);
	ck_assert_uint_eq(w.done, 1);
}
END_TEST

START_TEST(test_limit)
{
	w.up.nserver = 1;
	start();
	refuse(FAIL_DIAL_LIMIT, 0);
	ck_assert_int_eq(w.fail, FAIL_DIAL_LIMIT);
	/* A full server is none that fails. */
	ck_assert_uint_eq(w.failed, 0);
}
END_TEST

START_TEST(test_nobody)
{
	w.up.nserver = 0;
	start();
	ck_assert_int_eq(w.fail, FAIL_NO_SERVER);
}
END_TEST

/* --- waiting for room --- */

START_TEST(test_queue)
{
	w.full = true;
	start();
	ck_assert_uint_eq(w.joins, 1);
	ck_assert_uint_eq(w.asks, 0);
	/* Woken in vain: it keeps its place. */
	w.queued->on(w.queued, FAIL_NONE);
	ck_assert_ptr_nonnull(w.queued);
	ck_assert_uint_eq(w.joins, 1);
	w.full = false;
	w.queued->on(w.queued, FAIL_NONE);
	ck_assert_ptr_null(w.queued);
	ck_assert_uint_eq(w.asks, 1);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_ATTEMPTS], 1);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_QUEUE], 1000);
	/* The next server's turn: it waits once more, behind others. */
	w.due = true;
	refuse(FAIL_DIAL_REFUSED, ECONNREFUSED);
	ck_assert_uint_eq(w.joins, 2);
	/* whose turn it is is said by the wake */
	w.queued->on(w.queued, FAIL_NONE);
	ck_assert_ptr_eq(w.asked, &w.servers[1]);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_QUEUE], 2000);
	give(false);
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
	closes(FAIL_CLIENT_GONE, false);
}
END_TEST

static const enum fail refusals[] = { FAIL_QUEUE_FULL, FAIL_DIAL_LIMIT };

START_TEST(test_no_queue)
{
	w.full = true;
	w.no_queue = refusals[_i];
	start();
	ck_assert_int_eq(w.fail, refusals[_i]);
	ck_assert_uint_eq(w.asks, 0);
	ck_assert_uint_eq(w.failed, 0);
}
END_TEST

/* In time, by the client's end, by timeout.total. */
START_TEST(test_queue_ends)
{
	struct queue_wait	*q;

	w.full = true;
	w.part.times.total = _i == 2 ? 1 : 0;
	start();
	q = w.queued;
	switch (_i) {
	case 0:
		queue_leave(q);
		q->on(q, FAIL_QUEUE_TIMEOUT);
		ck_assert_int_eq(w.fail, FAIL_QUEUE_TIMEOUT);
		break;
	case 1:
		handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
		break;
	case 2:
		sleep_ms(5);
		ck_assert_int_eq(w.fail, FAIL_TOTAL_TIMEOUT);
		break;
	}
	ck_assert_ptr_null(w.queued);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_QUEUE], 1000);
	ck_assert_uint_eq(w.x.acc.num[ACCESS_ATTEMPTS], 0);
}
END_TEST

/* A pooled connection was dead, and meanwhile its place is gone. */
START_TEST(test_replay_waits)
{
	start();
	give(true);
	w.far->s.sent = 99;
	w.full = true;
	closes(FAIL_RESET_BEFORE_HEAD, false);
	ck_assert_uint_eq(w.joins, 1);
	ck_assert_uint_eq(w.asks, 1);
	w.full = false;
	w.queued->on(w.queued, FAIL_NONE);
	ck_assert(w.fresh);
	ck_assert_ptr_eq(w.asked, &w.servers[0]);
	ck_assert_uint_eq(w.failed, 0);
	give(false);
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
	closes(FAIL_CLIENT_GONE, false);
}
END_TEST

struct lost {
	const char	*method;
	int64_t		 body;
	bool		 reused;
	bool		 used;		/* body bytes went out */
	uint64_t	 sent;
	uint64_t	 got;
	enum fail	 why;
	bool		 again;
};

static const struct lost losts[] = {
	{ "GET", 0, true, false, 99, 0, FAIL_RESET_BEFORE_HEAD, true },
	{ "GET", 0, true, false, 0, 0, FAIL_SEND_ERROR, true },
	{ "GET", 0, false, false, 99, 0, FAIL_RESET_BEFORE_HEAD, false },
	{ "GET", 0, true, false, 99, 1, FAIL_RESET_BEFORE_HEAD, false },
	{ "GET", 0, true, false, 99, 9, FAIL_RESET_IN_HEAD, false },
	{ "GET", 0, true, false, 99, 0, FAIL_BAD_RESPONSE_LINE, false },
	{ "POST", 0, true, false, 99, 0, FAIL_RESET_BEFORE_HEAD, false },
	{ "POST", 0, true, false, 0, 0, FAIL_RESET_BEFORE_HEAD, true },
	{ "POST", 9, true, false, 0, 0, FAIL_SEND_ERROR, true },
	/* its body was kept; it is too long for that */
	{ "PUT", 9, true, true, 99, 0, FAIL_RESET_BEFORE_HEAD, true },
	{ "PUT", 99, true, true, 99, 0, FAIL_RESET_BEFORE_HEAD, false },
	{ "PUT", 9, true, false, 99, 0, FAIL_RESET_BEFORE_HEAD, true },
	{ "BREW", 0, true, false, 99, 0, FAIL_RESET_BEFORE_HEAD, false }
};

static void
turns(unsigned ms)
{
	uint64_t	end = ev_clock_ns() / 1000000 + ms;

	while (w.done == 0 && w.asks == 0 &&
	    ev_clock_ns() / 1000000 < end)
		ev_turn(w.serve.ev, 5);
}

/* The first answer to a name comes while a request waits for it. */
START_TEST(test_name_comes)
{
	w.up.nserver = 0;
	w.unknown = 4;
	w.part.times.connect = 3000;
	start();
	ck_assert_uint_eq(w.asks, 0);
	turns(3000);
	ck_assert_uint_eq(w.asks, 1);
	ck_assert_uint_eq(w.unknown, 0);
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
}
END_TEST

START_TEST(test_name_never)
{
	w.up.nserver = 0;
	w.unknown = 100;
	w.part.times.connect = 60;
	start();
	ck_assert_uint_eq(w.done, 0);
	turns(3000);
	ck_assert_int_eq(w.fail, FAIL_NAME_TIMEOUT);
}
END_TEST

START_TEST(test_name_gone_client)
{
	w.up.nserver = 0;
	w.unknown = 100;
	w.part.times.connect = 3000;
	start();
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(w.done, 1);
	turns(50);
}
END_TEST

START_TEST(test_lost)
{
	const struct lost	*l = &losts[_i];
	struct proxy		*p;

	method(l->method, l->body);
	p = start();
	give(l->reused);
	if (l->used)
		p->req_in.ops->data(&p->req_in, bytes(3), 0);
	w.far->s.sent = l->sent;
	w.far->s.got = l->got;
	closes(l->why, false);
	ck_assert_uint_eq(w.asks, l->again ? 2 : 1);
	if (!l->again) {
		ck_assert_int_eq(w.fail, l->why);
		return;
	}
	/* The same server; no blame for a connection that was too old. */
	ck_assert(w.fresh);
	ck_assert_ptr_eq(w.asked, &w.servers[0]);
	ck_assert_uint_eq(w.failed, 0);
	give(true);
	ck_assert(str_eq(w.far->target, STR("/p")));
	ck_assert_uint_eq(w.far->bytes, l->used ? 3 : 0);
	/* And only once. */
	w.far->s.sent = l->sent;
	closes(FAIL_RESET_BEFORE_HEAD, false);
	ck_assert_uint_eq(w.asks, 2);
	ck_assert_int_eq(w.fail, FAIL_RESET_BEFORE_HEAD);
}
END_TEST

/* --- the request's body --- */

START_TEST(test_upload)
{
	struct proxy	*p;
	struct hdrs	 hs = { .n = 0 };

	method("PUT", BODY_UNKNOWN);
	p = start();
	/* Nobody takes it yet, so nobody may send. */
	ck_assert_int_eq(p->req_in.credit, 0);
	give(false);
	ck_assert_uint_eq(w.far->flags, 0);
	ck_assert_ptr_eq(w.from.to, &p->req_in);
	ck_assert_int_eq(p->req_in.credit, 100);
	ck_assert_uint_eq(w.from_rooms, 1);
	ck_assert_int_eq(p->req_in.ops->data(&p->req_in, bytes(100), 0),
	    FLOW_FULL);
	ck_assert_int_eq(p->req_in.credit, 0);
	w.far->s.out.credit = 40;
	w.far->s.out.from->ops->room(w.far->s.out.from);
	ck_assert_int_eq(p->req_in.credit, 40);
	ck_assert_uint_eq(w.from_rooms, 2);
	p->req_in.ops->trailers(&p->req_in, &hs);
	p->req_in.ops->end(&p->req_in);
	ck_assert_uint_eq(w.far->bytes, 100);
	ck_assert_uint_eq(w.far->trailers, 1);
	ck_assert_uint_eq(w.far->ends, 1);
	answer(204, WAIST_END);
	closes(FAIL_NONE, true);
	ck_assert(w.put_keep);
	ck_assert_int_eq(p->req_in.credit, 0);
}
END_TEST

/* A chunked body of nothing, whose end comes between two attempts. */
START_TEST(test_end_between)
{
	struct proxy	*p;
	struct hdrs	 hs = { .n = 0 };

	method("PUT", BODY_UNKNOWN);
	p = start();
	give(true);
	w.far->open = false;
	w.far->s.up->closed(&w.far->s, FAIL_RESET_BEFORE_HEAD);
	p->req_in.ops->trailers(&p->req_in, &hs);
	p->req_in.ops->end(&p->req_in);
	ev_turn(w.serve.ev, 0);
	ck_assert_uint_eq(w.asks, 2);
	give(false);
	ck_assert_uint_eq(w.far->trailers, 1);
	ck_assert_uint_eq(w.far->ends, 1);
	answer(204, WAIST_END);
	closes(FAIL_NONE, true);
}
END_TEST

START_TEST(test_body_cut)
{
	struct proxy	*p;

	method("PUT", 10);
	p = start();
	give(false);
	p->req_in.ops->data(&p->req_in, bytes(3), 0);
	p->req_in.ops->abort(&p->req_in, FAIL_BODY_CUT);
	ck_assert_int_eq(w.fail, FAIL_BODY_CUT);
	ck_assert(w.far->is_stopped);
	ck_assert_uint_eq(w.done, 0);
	closes(FAIL_BODY_CUT, false);
	ck_assert_uint_eq(w.done, 1);
	ck_assert_uint_eq(w.failed, 0);
}
END_TEST

START_TEST(test_early_answer)
{
	struct proxy	*p;

	method("PUT", 10);
	p = start();
	give(false);
	p->req_in.ops->data(&p->req_in, bytes(3), 0);
	answer(413, WAIST_END);
	ck_assert_uint_eq(w.status, 413);
	/* The rest of the request is given up, from a wake. */
	ck_assert(!w.far->is_aborted);
	ev_turn(w.serve.ev, 0);
	ck_assert(w.far->is_aborted);
	ck_assert_uint_eq(p->req_in.ops->data(&p->req_in, bytes(3), 0),
	    FLOW_FULL);
	ck_assert_uint_eq(w.far->bytes, 3);
	closes(FAIL_NONE, true);
	ck_assert(!w.put_keep);
	ck_assert_int_eq(w.fail, FAIL_NONE);
}
END_TEST

START_TEST(test_expect)
{
	struct proxy	*p;

	method("PUT", 10);
	w.req.expect = true;
	p = start();
	give(false);
	ck_assert_int_eq(p->req_in.credit, 0);
	answer(103, WAIST_INTERIM);
	ck_assert_uint_eq(w.interims, 1);
	ck_assert_int_eq(p->req_in.credit, 0);
	if (_i == 0)
		answer(100, WAIST_INTERIM);
	else if (_i == 1)
		answer(200, 0);
	else
		answer(401, 0);
	/* Our own codec says 100 when the body is wanted. */
	ck_assert_uint_eq(w.interims, 1);
	ck_assert_int_eq(p->req_in.credit, _i < 2 ? 100 : 0);
	if (_i == 0)
		answer(200, 0);
	handler_proxy.body(&w.x);
	answers()->ops->end(answers());
	ev_turn(w.serve.ev, 0);
	ck_assert(w.far->is_aborted);
	closes(FAIL_NONE, false);
}
END_TEST

/* --- ends that others make --- */

START_TEST(test_cut)
{
	start();
	if (_i > 0)
		give(false);
	if (_i > 1)
		answer(200, 0);
	handler_proxy.abort(&w.x, FAIL_CLIENT_GONE);
	ck_assert_int_eq(w.fail, FAIL_NONE);
	if (_i == 0) {
		ck_assert_uint_eq(w.cancels, 1);
		return;
	}
	ck_assert(w.far->is_stopped);
	ck_assert_int_eq(w.far->stopped, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(w.done, 0);
	closes(FAIL_CLIENT_GONE, false);
	ck_assert_uint_eq(w.done, 1);
	ck_assert_uint_eq(w.asks, 1);
}
END_TEST

START_TEST(test_quiet)
{
	struct proxy	*p;

	w.part.times.first_byte = 30;
	method("PUT", 10);
	p = start();
	give(false);
	/* The client is slow: that is not the server's fault. */
	sleep_ms(50);
	ck_assert(!w.far->is_stopped);
	p->req_in.ops->data(&p->req_in, bytes(10), WAIST_END);
	sleep_ms(50);
	ck_assert(w.far->is_stopped);
	ck_assert_int_eq(w.far->stopped, FAIL_FIRST_BYTE_TIMEOUT);
	closes(FAIL_FIRST_BYTE_TIMEOUT, false);
	ck_assert_int_eq(w.fail, FAIL_FIRST_BYTE_TIMEOUT);
	ck_assert_uint_eq(w.failed, 1);
}
END_TEST

START_TEST(test_between)
{
	w.part.times.first_byte = 10000;
	w.part.times.between = 30;
	start();
	give(false);
	answer(200, 0);
	handler_proxy.body(&w.x);
	/* The client does not take it: nor is that. */
	answers()->ops->data(answers(), bytes(50), 0);
	sleep_ms(50);
	ck_assert(!w.far->is_stopped);
	w.to.credit = 50;
	w.to.from->ops->room(w.to.from);
	sleep_ms(50);
	ck_assert_int_eq(w.fail, FAIL_BETWEEN_TIMEOUT);
	ck_assert(w.far->is_stopped);
	closes(FAIL_BETWEEN_TIMEOUT, false);
}
END_TEST

START_TEST(test_total)
{
	w.part.times.total = 30;
	start();
	if (_i == 1)
		give(false);
	sleep_ms(50);
	ck_assert_int_eq(w.fail, FAIL_TOTAL_TIMEOUT);
	if (_i == 0)
		ck_assert_uint_eq(w.cancels, 1);
	else
		closes(FAIL_TOTAL_TIMEOUT, false);
}
END_TEST

#define N(a)	((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite	*s = suite_create("proxy_steps");
	TCase	*tc = tcase_create("proxy_steps");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_plain);
	tcase_add_test(tc, test_end_first);
	tcase_add_test(tc, test_bare);
	tcase_add_loop_test(tc, test_cut_answer, 0, 2);
	tcase_add_test(tc, test_others);
	tcase_add_test(tc, test_limit);
	tcase_add_test(tc, test_queue);
	tcase_add_loop_test(tc, test_no_queue, 0, N(refusals));
	tcase_add_loop_test(tc, test_queue_ends, 0, 3);
	tcase_add_test(tc, test_replay_waits);
	tcase_add_test(tc, test_nobody);
	tcase_add_loop_test(tc, test_lost, 0, N(losts));
	tcase_add_test(tc, test_upload);
	tcase_add_test(tc, test_end_between);
	tcase_add_test(tc, test_body_cut);
	tcase_add_test(tc, test_early_answer);
	tcase_add_loop_test(tc, test_expect, 0, 3);
	tcase_add_loop_test(tc, test_cut, 0, 3);
	tcase_add_test(tc, test_quiet);
	tcase_add_test(tc, test_between);
	tcase_add_test(tc, test_name_comes);
	tcase_add_test(tc, test_name_never);
	tcase_add_test(tc, test_name_gone_client);
	tcase_add_loop_test(tc, test_total, 0, 2);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
