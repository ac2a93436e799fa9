/*
 * The server side of HTTP/1.1 against a scripted floor above: what it asks
 * for is in the request's path, what it was told is in the log.
 */
#ifndef T_UNIT_H1_SERVER_ENV_H
#define T_UNIT_H1_SERVER_ENV_H

#include "h1_env.h"

#define OK5	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define OK5C	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"		\
		"Connection: close\r\n\r\nhello"
#define H	"Host: a\r\n"
#define WAIT	"GET /wait HTTP/1.1\r\n" H "\r\n"

/* a request as the floor above sees it; the latest one */
struct req {
	struct stream	*s;		/* NULL once closed */
	struct h1_tank	 tank;
	struct h1_tap	 tap;
	struct msg	 res;
	struct str	 target;
	unsigned	 nlast;
	uint64_t	 sent_at_last;
};

static struct h1_env	e;
static struct req	r;
static unsigned		nrequest, nclosed;
static enum fail	closed_why;

static inline struct chunk
constant(struct str s)
{
	struct chunk	c = { .kind = CHUNK_CONST, .n = s.n };

	c.u.mem.p = s.p;
	return c;
}

static inline void
head(unsigned status, int64_t body, unsigned flags)
{
	r.res = (struct msg){ .status = (uint16_t)status, .body = body,
	    .minor = 1 };
	r.s->out.ops->head(&r.s->out, &r.res, flags);
}

static inline enum flow
data(struct str s, unsigned flags)
{
	return r.s->out.ops->data(&r.s->out, constant(s), flags);
}

static inline void
reply(struct str text)
{
	head(200, (int64_t)text.n, 0);
	data(text, WAIST_END);
}

static inline void
reply_chunked(void)
{
	struct hdr	h = { .name = STR("X-Sum"), .val = STR("3") };
	struct hdrs	hs = { .v = &h, .n = 1, .cap = 1 };

	head(200, BODY_UNKNOWN, 0);
	data(STR("ab"), 0);
	data(STR("c"), 0);
	r.s->out.ops->trailers(&r.s->out, &hs);
	r.s->out.ops->end(&r.s->out);
}

static inline void
join(void)
{
	waist_join(&r.s->in, &r.tank.sink);
}

static inline void
act(struct stream *s)
{
	if (str_eq(r.target, STR("/hello")) || s->fail != FAIL_NONE)
		reply(s->fail == FAIL_NONE ? STR("hello") : STR("bad"));
	else if (str_eq(r.target, STR("/chunked")))
		reply_chunked();
	else if (str_eq(r.target, STR("/read")))
		join();
	else if (str_eq(r.target, STR("/stop"))) {
		s->in.ops->stop(&s->in, FAIL_NONE);
		reply(STR("hello"));
	}
}

static inline void
on_request(struct stream *s)
{
	nrequest++;
	ck_assert_ptr_eq(s->ctx, &e);
	ck_assert_uint_gt(s->begun_ns, 0);
	text_fini(&r.tank.got);
	r = (struct req){ .s = s };
	tank_init(&r.tank, &e.log, "in");
	r.tap.src.ops = &tap_ops;
	waist_join(&r.tap.src, &s->out);
	r.target = s->head->target;
	text_fmt(&e.log, "%.*s %.*s", STR_FMT(s->head->method),
	    STR_FMT(r.target));
	if (s->fail != FAIL_NONE)
		text_fmt(&e.log, " %s", fail_row(s->fail)->name);
	text_c(&e.log, ';');
	act(s);
}

static inline void
on_last(struct stream *s)
{
	ck_assert_ptr_eq(s, r.s);
	ck_assert_uint_eq(r.nlast, 0);
	r.nlast++;
	r.sent_at_last = s->sent;
}

static inline void
on_closed(struct stream *s, enum fail why)
{
	ck_assert_ptr_eq(s, r.s);
	nclosed++;
	closed_why = why;
	text_fmt(&e.log, "closed %s;", why == FAIL_NONE ? "well" :
	    fail_row(why)->name);
	r.s = NULL;
}

static const struct stream_up up = { on_request, on_last, on_closed };

static inline void
setup(void)
{
	env_init(&e);
	e.env.up = &up;
	r = (struct req){ .s = NULL };
	nrequest = nclosed = 0;
}

static inline void
begin(size_t size)
{
	env_pipe(&e, size);
	e.c = h1_server.open(e.io, &e.env, &e);
	ev_turn(e.ev, 0);
}

/* The connection as it must be after any test. */
static inline void
finish(void)
{
	if (e.c != NULL)
		h1_server.close(e.c, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(e.ngone, 1);
	ck_assert_uint_eq(nclosed, nrequest);
	text_fini(&r.tank.got);
	env_fini(&e);
}

static inline void
say(const char *s)
{
	env_send(&e, str_from(s), 0);
	env_run(&e);
}

#endif
