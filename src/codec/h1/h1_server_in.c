/*
 * HTTP/1.1, server side: requests.  Workers, control.
 *
 * The arena of a request begins with the first byte of its head.  Bytes
 * behind a request stay where they are until its response is through.
 */
#include "codec/h1/h1_server.h"

#include <errno.h>

#include "base/must.h"

#define REQUEST_COST	(H1_TURN / 16)
#define RATE_FROM_MS	10000		/* min_rate holds after it */
#define DROP_MAX	65536		/* of a chunked body nobody reads */

static void
charge(struct h1c *c, size_t n)
{
	c->in.budget -= n < c->in.budget ? (uint32_t)n : c->in.budget;
}

/* --- heads --- */

static void
on_flush(struct ev_task *t)
{
	h1_server_flush(container_of(t, struct h1s, flush));
}

/* The first byte of a request. */
static void
begin(struct h1c *c)
{
	struct arena	 a;
	struct h1s	*s;

	arena_init(&a, c->env->arenas);
	s = arena_alloc(&a, sizeof(*s));
	s->arena = a;
	s->c = c;
	s->st.in.ops = &h1_server_in_ops;
	s->st.out.ops = &h1_server_out_ops;
	s->st.up = c->env->up;
	s->st.ctx = c->ctx;
	s->st.arena = &s->arena;
	s->st.head = &s->head;
	s->st.begun_ns = ev_clock_ns();
	h1_outq_init(&s->q, &s->arena, c->env->pages);
	s->st.out.credit = s->q.window;
	ev_task_init(&s->flush, on_flush);
	h1_server_init_free(s);
	c->s = s;
	c->state = H1C_HEAD;
	c->close = false;
	h1_server_idle(c, false);
}

/* A head that comes in pieces has so long; most come whole. */
static void
time_head(struct h1c *c)
{
	if (c->s->timed)
		return;
	c->s->timed = true;
	if (c->env->limits.header_ms > 0)
		ev_timer(c->env->ev, &c->timer, c->env->limits.header_ms);
	else
		ev_timer_off(c->env->ev, &c->timer);
}

/*
 * The head is through, for better or worse: up with it.  A timer of the
 * time before may run on: until something else is waited for it is nothing
 * when it fires, and it is put off, not set anew, when this is over.
 */
static void
ask(struct h1c *c)
{
	struct h1s	*s = c->s;

	c->state = H1C_RUN;
	c->requests++;
	charge(c, REQUEST_COST);
	s->asked = true;
	s->st.up->request(&s->st);
}

void
h1_server_refuse(struct h1c *c, enum fail why)
{
	struct h1s	*s = c->s;

	s->st.fail = why;
	s->st.got += h1_inbuf_str(&c->in).n;
	h1_body_fini(&s->body);
	c->close = true;
	ask(c);
}

static void
parse(struct h1c *c, size_t used)
{
	struct h1s	*s = c->s;
	struct str	 head = str_sub(h1_inbuf_str(&c->in), 0, used);
	enum fail	 why;

	s->head_page = page_ref(c->in.page);
	why = h1_parse_request(head, &c->env->limits, &s->arena, &s->head,
	    &s->fr);
	if (why != FAIL_NONE && (fail_row(why)->flags & FAIL_F_Q)) {
		h1_server_refuse(c, why);
		return;
	}
	h1_inbuf_skip(&c->in, used);
	s->st.got += used;
	h1_body_init(&s->body, &s->fr, &c->env->limits, &s->arena);
	s->expect = s->head.expect && !s->body.done;
	s->st.fail = why;
	if (why != FAIL_NONE)
		h1_body_drop(&s->body);
	ask(c);
}

/* True if the head is through. */
static bool
scan(struct h1c *c)
{
	struct h1s	*s = c->s;
	enum fail	 why;
	size_t		 used;

	switch (h1_find_head(h1_inbuf_str(&c->in), &c->env->limits, true,
	    &s->seen, &used, &why)) {
	case H1_DONE:
		parse(c, used);
		return true;
	case H1_BAD:
		h1_server_refuse(c, why);
		return true;
	default:
		return false;
	}
}

/* No more comes: without a whole head there is nobody to answer. */
static void
end_of_input(struct h1c *c, enum io_rc rc)
{
	if (rc == IO_ERR && c->io->error == ENOBUFS)
		h1_server_refuse(c, FAIL_HEADER_TOO_LARGE);
	else if (c->state == H1C_IDLE)
		h1_server_fail(c, FAIL_NONE, false);
	else
		h1_server_fail(c, FAIL_CLIENT_GONE, false);
}

bool
h1_server_read_head(struct h1c *c)
{
	enum io_rc	rc;
	size_t		got;

	if (c->in.budget == 0) {
		ev_post(c->env->ev, EV_READY, &c->task);
		return false;
	}
	if (h1_inbuf_str(&c->in).n > 0) {
		if (c->s == NULL)
			begin(c);
		if (scan(c))
			return true;
		time_head(c);
	}
	rc = h1_inbuf_read(&c->in, c->io, c->env->pages, &got);
	charge(c, got);
	if (rc == IO_OK)
		return true;
	if (rc != IO_AGAIN) {
		end_of_input(c, rc);
		return c->state == H1C_RUN;
	}
	h1_inbuf_trim(&c->in);
	return false;
}

/* --- bodies --- */

void
h1_server_body_fail(struct h1c *c, enum fail why)
{
	struct h1s	*s = c->s;
	struct sink	*to = s->st.in.to;
	bool		 tell = !s->body.drop && !s->body.done;

	s->in_fail = why;
	s->wait_ms = 0;
	c->close = true;
	h1_body_fini(&s->body);
	s->in_told = to != NULL || !tell;
	if (to != NULL && tell)
		to->ops->abort(to, why);
}

/* Time is counted only while we wait for the client, not it for us. */
static bool
is_too_slow(struct h1c *c, struct h1s *s)
{
	uint64_t	now = ev_ms(c->env->ev);

	if (s->wait_ms != 0)
		s->waited_ms += now - s->wait_ms;
	s->wait_ms = 0;
	return !s->head_sent && s->waited_ms > RATE_FROM_MS &&
	    s->body.got < c->env->limits.min_rate * s->waited_ms / 1000;
}

static void
send_continue(struct h1s *s)
{
	struct h1c	*c = s->c;

	s->expect = false;
	/* who has begun to send does not wait for it (RFC 9110 10.1.1) */
	if (h1_inbuf_str(&c->in).n > 0)
		return;
	h1_outq_copy(&s->q, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	h1_server_push(s);
}

/* What a pump that stopped means; the stream is still there. */
static void
judge(struct h1c *c, enum h1_pump rc)
{
	switch (rc) {
	case H1_PUMP_WAIT:
		c->s->wait_ms = ev_ms(c->env->ev);
		break;
	case H1_PUMP_YIELD:
		ev_post(c->env->ev, EV_READY, &c->task);
		break;
	case H1_PUMP_EOF:
		h1_server_body_fail(c, FAIL_BODY_CUT);
		break;
	case H1_PUMP_BAD:
		h1_server_body_fail(c, c->s->body.why);
		break;
	case H1_PUMP_ERR:
		h1_server_fail(c, FAIL_CLIENT_GONE, false);
		break;
	default:
		break;
	}
}

static void
pump(struct h1c *c, struct h1s *s)
{
	struct h1_feed	f = { &c->in, c->io, c->env, &s->st,
	    &c->in.budget, false };
	uint64_t	before = s->body.got;
	bool		slow = is_too_slow(c, s);
	enum h1_pump	rc;

	rc = h1_body_pump(&s->body, &f);
	if (c->s != s)
		return;
	if (s->body.got != before)
		s->moved = true;
	if (rc == H1_PUMP_WAIT && slow)
		h1_server_body_fail(c, FAIL_BODY_TOO_SLOW);
	else
		judge(c, rc);
}

/* A chunked body that nobody wants is read only so far. */
static void
bound_drop(struct h1c *c, struct h1s *s)
{
	if (s->body.drop && !s->body.done && s->body.got > s->skip_from &&
	    s->body.got - s->skip_from > DROP_MAX)
		c->close = true;
}

/*
 * Before the response's head nothing is dropped: whether it is worth it
 * is decided there.
 */
void
h1_server_read_body(struct h1c *c)
{
	struct h1s	*s = c->s;
	struct sink	*to = s->st.in.to;

	if (s->in_fail != FAIL_NONE && !s->in_told && to != NULL) {
		s->in_told = true;
		to->ops->abort(to, s->in_fail);
		return;
	}
	if (!s->body.done && (!s->body.drop || s->head_sent)) {
		if (s->expect && to != NULL && to->credit > 0 &&
		    !s->head_sent)
			send_continue(s);
		pump(c, s);
		if (c->s != s)
			return;
		bound_drop(c, s);
	}
	if (h1_server_is_done(s))
		h1_server_finish(c);
}

/*
 * Of the request's body so much has not been taken; false: nobody can tell
 * where it ends, or it is being read by somebody.
 */
static bool
rest_of_body(const struct h1s *s, size_t *n)
{
	*n = 0;
	if (s->body.done)
		return true;
	if (s->st.in.to != NULL || s->body.chunked || s->body.drop ||
	    s->body.left >= (int64_t)PAGE_ROOM)
		return false;
	*n = (size_t)s->body.left;
	return true;
}

/*
 * Whether something stands before the end only a read tells: it comes once
 * in a connection's life.  A body that is cut short is for who reads it.
 */
bool
h1_server_has_left(struct h1s *s)
{
	struct h1c	*c = s->c;
	enum io_rc	 rc = IO_OK;
	size_t		 rest, got;

	if (!s->waits || s->upgraded || s->q.ended ||
	    s->in_fail != FAIL_NONE || c->env->limits.half_close ||
	    !(c->io->fd.ready & EV_RDHUP) || !rest_of_body(s, &rest))
		return false;
	while (rc == IO_OK && h1_inbuf_str(&c->in).n <= rest)
		rc = h1_inbuf_read(&c->in, c->io, c->env->pages, &got);
	if (rc == IO_EOF || rc == IO_ERR)
		return h1_inbuf_str(&c->in).n == rest;
	h1_inbuf_trim(&c->in);
	return false;
}

/*
 * The client's wish for a 100 that did not come means that it may never
 * send the body.
 */
bool
h1_server_skip(struct h1s *s)
{
	struct h1c	*c = s->c;
	uint32_t	 budget = H1_TURN;
	struct h1_feed	 f = { &c->in, NULL, c->env, &s->st, &budget,
	    false };

	if (s->body.done)
		return true;
	h1_body_drop(&s->body);
	if (h1_body_pump(&s->body, &f) == H1_PUMP_BAD)
		return false;
	s->skip_from = s->body.got;
	if (s->body.done)
		return true;
	return !s->expect && (s->body.chunked || s->body.left <= DROP_MAX);
}

/* --- the source's calls --- */

static struct h1c *
conn_of(struct source *src)
{
	return container_of(src, struct h1s, st.in)->c;
}

static void
wake(struct h1c *c)
{
	if (c == NULL || c->state != H1C_RUN)
		return;
	h1_server_turn(c);
	ev_post(c->env->ev, c->in.budget > 0 ? EV_FLUSH : EV_READY,
	    &c->task);
}

static void
on_room(struct source *src)
{
	wake(conn_of(src));
}

static void
on_stop(struct source *src, enum fail why)
{
	struct h1s	*s = container_of(src, struct h1s, st.in);

	(void)why;
	h1_body_drop(&s->body);
	wake(s->c);
}

static void
on_taken(struct source *src, uint64_t n, enum io_rc rc)
{
	struct h1s	*s = container_of(src, struct h1s, st.in);

	s->moved |= n > 0;
	if (h1_body_taken(&s->body, &s->st, n, rc))
		wake(s->c);
}

/* An end that is known already is not told by the loop again. */
static void
on_waits(struct source *src)
{
	struct h1s	*s = container_of(src, struct h1s, st.in);

	s->waits = true;
	if (s->c != NULL && (s->c->io->fd.ready & EV_RDHUP))
		wake(s->c);
}

const struct source_ops h1_server_in_ops = {
	.room = on_room,
	.stop = on_stop,
	.taken = on_taken,
	.waits = on_waits
};
