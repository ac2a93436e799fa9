/*
 * The proxy handler alone: its exchange, pool and codec are doubles that
 * the tests move step by step, so every order of events can be had.
 */
#ifndef SL_T_STEPS_ENV_H
#define SL_T_STEPS_ENV_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "core/conn.h"
#include "core/settings.h"
#include "handler/proxy.h"
#include "up/server_use.h"

#define N(a)	((int)(sizeof(a) / sizeof((a)[0])))

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
	struct conn		 conn;
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

bool
queue_has_room(struct upstream *up, const struct tried *tried)
{
	return upstream_any_left(up, tried);
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
retry_take(const struct upstream *up, bool again)
{
	ck_assert_ptr_eq(up, &w.up);
	(void)again;
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

static inline void
setup(void)
{
	struct err	e;

	memset(&w, 0, sizeof(w));
	arena_init(&w.arena, NULL);
	w.serve.ev = ev_new(NULL, &e);
	ck_assert_ptr_nonnull(w.serve.ev);
	page_pool_init(&w.serve.pages, 0);
	w.x.serve = &w.serve;
	w.x.conn = &w.conn;
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

static inline void
teardown(void)
{
	ev_turn(w.serve.ev, 0);
	ck_assert_uint_eq(w.done, 1);
	ck_assert_uint_eq(w.serve.pages.live, 0);
	page_pool_fini(&w.serve.pages);
	ev_free(&w.serve.ev);
	arena_fini(&w.arena);
}

static inline void
method(const char *name, int64_t body)
{
	w.req.method = str_from(name);
	w.req.meth = (uint8_t)msg_method(w.req.method);
	w.req.body = body;
}

static inline struct proxy *
start(void)
{
	handler_proxy.start(&w.x);
	return w.x.hctx;
}

static inline void
give(bool reused)
{
	struct pool_wait	*p = w.wait;

	ck_assert(p->waiting);
	p->waiting = false;
	p->reused = reused;
	p->on(p, (struct up_conn *)(void *)&w, FAIL_NONE);
}

static inline void
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
static inline struct sink *
answers(void)
{
	return w.far->s.in.to;
}

static inline void
answer(unsigned status, unsigned flags)
{
	struct msg	*m = arena_alloc(&w.arena, sizeof(*m));

	m->status = (uint16_t)status;
	m->minor = 1;
	answers()->ops->head(answers(), m, flags);
}

static inline void
closes(enum fail why, bool keep)
{
	w.far->open = false;
	w.far->s.keep = keep;
	w.far->s.up->closed(&w.far->s, why);
	ev_turn(w.serve.ev, 0);
}

static inline struct chunk
bytes(uint64_t n)
{
	static const char	text[256];

	ck_assert_uint_le(n, sizeof(text));
	return (struct chunk){ .kind = CHUNK_CONST, .n = n, .u.mem.p = text };
}

static inline void
sleep_ms(unsigned ms)
{
	uint64_t	end = ev_clock_ns() + ms * 1000000ULL;

	while (ev_clock_ns() < end)
		ev_turn(w.serve.ev, 1);
}

#endif
