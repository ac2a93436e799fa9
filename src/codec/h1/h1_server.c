/*
 * HTTP/1.1, server side: the life of a connection.  Workers, control.
 *
 * A connection is idle (nothing is held but its struct), within a head,
 * running a request, or lingering: answered, with what still comes being
 * read and dropped, for a close with unread bytes would reset the answer
 * away.  h1_server_go does what the state allows and is called by the
 * loop alone: by events of the io, by the connection's task and timer.
 * Calls from above only note and post the task, so nobody is called back
 * from within its own call but by close().
 *
 * A client that ends its direction has left, if what it asks for waits for
 * somebody else (waits); what is answered here it still gets whole.
 *
 * Reading and writing share a budget per turn, of which each request
 * costs a sixteenth; what is left over goes on in the next turn.
 */
#include "codec/h1/h1_server.h"

#include "base/must.h"

#define LINGER_MS	2000		/* after an answer */
#define APART_MS	20		/* that an answer may take unwatched */
#define LINGER_BYTES	(256 * 1024)
#define WRITE_LOOKS	16	/* of a limit: how late a stall is noticed */

static struct h1c *
of(struct codec_conn *cc)
{
	struct h1c	*c = container_of(cc, struct h1c, base);

	must(cc->magic == H1_SERVER_MAGIC);
	return c;
}

void
h1_server_turn(struct h1c *c)
{
	uint16_t	turn = (uint16_t)ev_counts(c->env->ev)->turns;

	if (c->turn == turn)
		return;
	c->turn = turn;
	c->in.budget = H1_TURN;
}

/* Goes on later in this turn, or in the next one. */
static void
post(struct h1c *c)
{
	h1_server_turn(c);
	ev_post(c->env->ev, c->in.budget > 0 ? EV_FLUSH : EV_READY, &c->task);
}

void
h1_server_idle(struct h1c *c, bool idle)
{
	if (c->idle == idle)
		return;
	c->idle = idle;
	if (c->env->idle != NULL)
		c->env->idle(c->ctx, idle);
}

static void
set_timer(struct h1c *c, uint64_t ms)
{
	if (ms > 0)
		ev_timer(c->env->ev, &c->timer, ms);
	else
		ev_timer_off(c->env->ev, &c->timer);
}

/* --- the end --- */

static void
die(struct h1c *c, enum fail why, bool reset)
{
	bool	taken = c->state == H1C_TAKEN;

	must(c->s == NULL);
	c->state = H1C_DEAD;
	ev_timer_off(c->env->ev, &c->timer);
	h1_inbuf_fini(&c->in);
	if (!taken)
		io_close(c->io, reset);
	ev_cancel(&c->task);
	ev_post(c->env->ev, EV_FREE, &c->task);
	c->env->gone(c->ctx, why);
}

static void
on_free_stream(struct ev_task *t)
{
	struct h1s	*s = container_of(t, struct h1s, free);
	struct arena	 a = s->arena;

	page_unref(&s->head_page);
	arena_fini(&a);
}

static void
untie(struct stream *st)
{
	if (st->in.to != NULL)
		st->in.to->from = NULL;
	if (st->out.from != NULL)
		st->out.from->to = NULL;
	st->in.to = NULL;
	st->out.from = NULL;
}

/* Tells both directions why they end early. */
static void
break_off(struct h1s *s, enum fail why)
{
	struct sink	*to = s->st.in.to;
	struct source	*from = s->st.out.from;
	bool		 open = !s->body.done && !s->body.drop;

	h1_body_fini(&s->body);
	if (to != NULL && open && !s->in_told)
		to->ops->abort(to, why);
	if (from != NULL && !s->q.ended)
		from->ops->stop(from, why);
}

/* The stream is over; its memory lasts until the end of the turn. */
static void
close_stream(struct h1c *c, enum fail why)
{
	struct h1s	*s = c->s;

	c->s = NULL;
	s->c = NULL;
	ev_cancel(&s->flush);
	if (s->asked && why != FAIL_NONE)
		break_off(s, why);
	h1_body_fini(&s->body);
	h1_outq_fini(&s->q);
	untie(&s->st);
	ev_post(c->env->ev, EV_FREE, &s->free);
	if (s->asked)
		s->st.up->closed(&s->st, why);
}

void
h1_server_fail(struct h1c *c, enum fail why, bool reset)
{
	if (c->s != NULL)
		close_stream(c, why);
	if (c->state != H1C_DEAD)
		die(c, why, reset);
}

static void
drop_input(struct h1c *c)
{
	enum io_rc	rc;
	size_t		got;

	do {
		rc = h1_inbuf_read(&c->in, c->io, c->env->pages, &got);
		c->requests += (uint32_t)got;
		h1_inbuf_skip(&c->in, got);
	} while (rc == IO_OK && c->requests < LINGER_BYTES);
	h1_inbuf_fini(&c->in);
	if (rc != IO_AGAIN)
		die(c, FAIL_NONE, false);
}

void
h1_server_linger(struct h1c *c, uint64_t ms)
{
	h1_inbuf_fini(&c->in);
	if (io_shutdown(c->io) != IO_OK) {
		die(c, FAIL_NONE, false);
		return;
	}
	c->state = H1C_LINGER;
	c->requests = 0;
	set_timer(c, ms);
	h1_server_idle(c, false);
	drop_input(c);
}

/*
 * With nothing unread in sight the close is clean at once: a connection
 * of one request costs no second read.
 */
void
h1_server_end(struct h1c *c, enum fail why, bool reset)
{
	if (!reset && (h1_inbuf_str(&c->in).n > 0 || io_can(c->io, IO_R)))
		h1_server_linger(c, LINGER_MS);
	else
		die(c, why, reset);
}

/*
 * Was it answered before it had all come?  The client may be sending, and
 * what comes after a close would reset the answer away (RFC 9112 9.6).
 */
static bool
is_early(const struct h1s *s)
{
	return !s->body.done || s->in_fail != FAIL_NONE ||
	    (s->st.fail != FAIL_NONE &&
	    (fail_row(s->st.fail)->flags & FAIL_F_Q));
}

/*
 * The answer is out.  The next request, if it is here, waits for the task:
 * this may be its predecessor's flush.
 */
void
h1_server_finish(struct h1c *c)
{
	bool	early = is_early(c->s);

	c->state = H1C_IDLE;
	close_stream(c, FAIL_NONE);
	if (c->state != H1C_IDLE)
		return;
	if (early) {
		h1_server_linger(c, LINGER_MS);
		return;
	}
	if (c->close) {
		h1_server_end(c, FAIL_NONE, false);
		return;
	}
	h1_inbuf_trim(&c->in);
	set_timer(c, c->env->limits.idle_ms);
	if (c->in.page != NULL || c->drain || io_can(c->io, IO_R))
		post(c);
	else
		h1_server_idle(c, true);
}

/* --- before the loop takes over --- */

static bool
waits_for_body(const struct h1s *s)
{
	bool	answered = s->q.ended && s->q.n == 0;

	return s->wait_ms != 0 && (!s->head_sent || answered);
}

/* After ms without progress: when to look again, or 0 if that is enough. */
static uint64_t
next_look(uint64_t limit, uint64_t ms)
{
	uint64_t	step = limit / WRITE_LOOKS + 1;

	if (ms >= limit)
		return 0;
	return limit - ms < step ? limit - ms : step;
}

/* Writing comes first: a client that takes nothing is not asked for more. */
static void
arm(struct h1c *c, struct h1s *s)
{
	const struct codec_limits	*lim = &c->env->limits;
	enum h1s_timer			 want = H1S_NONE;

	if (s->q.n > 0)
		want = H1S_WRITE;
	else if (waits_for_body(s))
		want = H1S_BODY;
	if (want == s->timer && (!s->moved || want == H1S_NONE))
		return;
	s->timer = (uint8_t)want;
	s->moved = false;
	if (want == H1S_WRITE) {
		s->unsent = io_unsent(c->io);
		s->took_ms = ev_ms(c->env->ev);
	}
	set_timer(c, want == H1S_NONE ? 0 : want == H1S_WRITE ?
	    next_look(lim->write_ms, 0) : lim->body_ms);
}

/*
 * A first request whose handler has only been posted may be answered in
 * this turn: its flush is waited for, with which the connection may end.
 */
static bool
may_end_at_once(struct h1c *c)
{
	if (c->tried || c->s == NULL)
		return false;
	c->tried = true;
	if (c->s->fr.close)
		h1_server_push(c->s);
	return c->s->fr.close;
}

/*
 * Whose client said that it asks once is not watched for a moment: if the
 * answer comes in it, the connection ends without the loop knowing it.
 */
static bool
may_wait_apart(struct h1c *c, struct h1s *s)
{
	if (s == NULL || c->state != H1C_RUN || s->slow || !s->fr.close ||
	    !s->body.done || s->q.n > 0 || io_is_watched(c->io))
		return false;
	if (s->timer != H1S_WATCH) {
		s->timer = H1S_WATCH;
		set_timer(c, APART_MS);
	}
	return true;
}

void
h1_server_settle(struct h1c *c)
{
	struct h1s	*s = c->s;

	if (c->state == H1C_DEAD || c->state == H1C_TAKEN)
		return;
	if (s != NULL && ev_is_posted(&s->flush))
		return;
	if (may_end_at_once(c) || may_wait_apart(c, s))
		return;
	if (io_watch(c->io) == -1) {
		h1_server_fail(c, FAIL_CLIENT_GONE, false);
		return;
	}
	if (c->state == H1C_RUN)
		arm(c, s);
	else if (c->state == H1C_IDLE && c->in.page == NULL &&
	    !ev_is_posted(&c->task))
		h1_server_idle(c, true);
}

/* --- events --- */

static void
run(struct h1c *c)
{
	struct h1s	*s = c->s;

	if (c->io->fd.ready & (EV_HUP | EV_ERR)) {
		h1_server_fail(c, FAIL_CLIENT_GONE, false);
		return;
	}
	h1_server_read_body(c);
	if (c->s == s && h1_server_has_left(s))
		h1_server_fail(c, FAIL_CLIENT_GONE, h1_server_must_reset(s));
}

void
h1_server_go(struct h1c *c)
{
	bool	more = true;

	h1_server_turn(c);
	while (more) {
		switch (c->state) {
		case H1C_IDLE:
		case H1C_HEAD:
			more = h1_server_read_head(c);
			break;
		case H1C_RUN:
			run(c);
			more = false;
			break;
		case H1C_LINGER:
			drop_input(c);
			more = false;
			break;
		default:
			return;
		}
	}
	h1_server_settle(c);
}

/* A write that was blocked may go on; all else follows from the state. */
static void
on_io(struct io *io, unsigned what)
{
	struct h1c	*c = io->ctx;

	must(c->base.magic == H1_SERVER_MAGIC);
	if ((what & IO_W) && c->s != NULL && h1_outq_has_work(&c->s->q))
		h1_server_push(c->s);
	if (what & (IO_R | IO_GONE))
		h1_server_go(c);
}

static void
on_task(struct ev_task *t)
{
	struct h1c	*c = container_of(t, struct h1c, task);

	if (c->state != H1C_DEAD) {
		h1_server_go(c);
		return;
	}
	c->base.magic = 0;
	slab_put(c->env->conns, c);
}

static void
on_body_time(struct h1c *c)
{
	struct h1s	*s = c->s;

	h1_server_body_fail(c, FAIL_BODY_TIMEOUT);
	if (c->s == s && h1_server_is_done(s))
		h1_server_finish(c);
	h1_server_settle(c);
}

/*
 * The kernel may hold megabytes and ask for more only when a third of
 * them is gone: a client that takes some of them has not stalled.  Nobody
 * tells of that, so it is looked at now and then: a stall is noticed at
 * most one step late, and never early.
 */
static void
on_write_time(struct h1c *c)
{
	struct h1s	*s = c->s;
	uint64_t	 now = ev_ms(c->env->ev), next;
	size_t		 left = io_unsent(c->io);

	if (left < s->unsent)
		s->took_ms = now;
	s->unsent = left;
	next = next_look(c->env->limits.write_ms, now - s->took_ms);
	if (next == 0) {
		h1_server_fail(c, FAIL_WRITE_TIMEOUT, true);
		return;
	}
	s->timer = H1S_WRITE;
	set_timer(c, next);
}

static void
on_timer(struct timer *t)
{
	struct h1c	*c = container_of(t, struct h1c, timer);
	uint8_t		 what;

	switch (c->state) {
	case H1C_IDLE:
		h1_server_linger(c, H1C_IDLE_LINGER);
		break;
	case H1C_HEAD:
		h1_server_refuse(c, FAIL_HEADER_TIMEOUT);
		h1_server_settle(c);
		break;
	case H1C_RUN:
		what = c->s->timer;
		c->s->timer = H1S_NONE;
		if (what == H1S_WRITE)
			on_write_time(c);
		else if (what == H1S_BODY)
			on_body_time(c);
		else if (what == H1S_WATCH) {
			c->s->slow = true;
			h1_server_settle(c);
		}
		break;
	case H1C_LINGER:
		die(c, FAIL_NONE, false);
		break;
	default:
		break;
	}
}

/* --- the codec --- */

/* Connections that began together do not end together: 10 % either way. */
static uint32_t
retire_time(const struct codec_env *env, const struct h1c *c)
{
	uint64_t	age = env->limits.age_ms;
	uint64_t	mix = ev_clock_ns() ^ (uintptr_t)c;

	if (age == 0)
		return 0;
	mix *= UINT64_C(0x9e3779b97f4a7c15);
	age = age / 10 * 9 + (age / 5) * (mix >> 56) / 256;
	return (uint32_t)((ev_ms(env->ev) + age) >> H1C_AGE_SHIFT) + 1;
}

static struct codec_conn *
open_conn(struct io *io, const struct codec_env *env, void *ctx)
{
	struct h1c	*c = slab_get(env->conns);

	must(env->conns->size >= sizeof(*c));
	*c = (struct h1c){ .base.magic = H1_SERVER_MAGIC, .io = io,
	    .env = env, .ctx = ctx, .in.budget = H1_TURN };
	c->retire = retire_time(env, c);
	timer_init(&c->timer, on_timer);
	ev_task_init(&c->task, on_task);
	io->on = on_io;
	io->ctx = c;
	set_timer(c, env->limits.header_ms);
	ev_post(env->ev, EV_READY, &c->task);
	return &c->base;
}

/*
 * A request may be on its way to an idle connection: it is waited for a
 * moment and answered, so that nobody who is busy loses one.  A first
 * request has the time that it had.
 */
static void
drain_conn(struct codec_conn *cc, bool now)
{
	struct h1c	*c = of(cc);

	c->drain = true;
	if (now && c->state == H1C_HEAD)
		h1_server_fail(c, FAIL_NONE, false);
	else if (now && c->state == H1C_IDLE)
		h1_server_end(c, FAIL_NONE, false);
	if (c->state != H1C_IDLE)
		return;
	if (c->requests > 0)
		set_timer(c, H1C_DRAIN_GRACE);
	c->io->fd.ready |= c->io->rd_wait;
	ev_post(c->env->ev, EV_READY, &c->task);
}

static void
close_conn(struct codec_conn *cc, enum fail why)
{
	h1_server_fail(of(cc), why, false);
}

static struct io *
take_conn(struct codec_conn *cc, struct chunk *rest)
{
	struct h1c	*c = of(cc);
	struct h1s	*s = c->s;
	size_t		 n;
	enum io_rc	 rc = IO_OK;

	must(c->state == H1C_RUN && s->upgraded);
	while (s->q.n > 0 && rc == IO_OK) {
		rc = h1_outq_write(&s->q, c->io, &s->st.out, &n);
		s->st.sent += n;
	}
	if (s->q.n > 0) {
		s->q.full = true;
		h1_server_push(s);
		return NULL;
	}
	n = h1_inbuf_str(&c->in).n;
	*rest = (struct chunk){ .kind = CHUNK_CONST };
	if (n > 0)
		*rest = h1_inbuf_cut(&c->in, n);
	h1_inbuf_fini(&c->in);
	ev_timer_off(c->env->ev, &c->timer);
	ev_cancel(&c->task);
	ev_cancel(&s->flush);
	c->state = H1C_TAKEN;
	/* it may go on for hours: nothing of the request is kept */
	s->head = (struct msg){ .meth = s->head.meth,
	    .minor = s->head.minor };
	page_unref(&s->head_page);
	page_unref(&s->q.page);
	return c->io;
}

/* Frees a stream's arena, which it lives in itself. */
void
h1_server_init_free(struct h1s *s)
{
	ev_task_init(&s->free, on_free_stream);
}

const struct server_codec h1_server = {
	.alpn = "http/1.1",
	.open = open_conn,
	.drain = drain_conn,
	.close = close_conn,
	.take = take_conn
};

_Static_assert(sizeof(struct h1c) <= CODEC_CONN_MAX, "a codec connection");
