/*
 * HTTP/2, server side: the life of a connection.  Workers.
 *
 * One connection has many streams, each the end of one exchange.  What
 * comes is read into a page and goes through nghttp2, whose callbacks note
 * what happened; then each stream that was noted is looked at.  All that
 * is to be sent in a turn leaves in one write at its end: nghttp2 makes
 * frames of it, streams by their priorities, as long as not too much waits
 * for the transport.
 *
 * A stream is over for those above when the kernel has its last byte, or
 * when it was reset; its memory lasts until nghttp2 has forgotten it too.
 *
 * Times are looked at by one timer, which runs while there are streams.
 */
#include "codec/h2/h2_server.h"

#include <stdlib.h>
#include <string.h>

#define LINGER_MS	500	/* behind the last word */
#define LINGER_BYTES	65536
#define BYE_MS		1000	/* for the answer to the notice */
#define LOOK_MIN	20	/* ms */
#define LOOK_MAX	1000
#define LOOKS		8	/* of a limit */
#define READ_LEAST	2048	/* room in a page worth a read */
#define AGE_PART	5	/* ages differ by a fifth */

static struct h2c *
of(struct codec_conn *cc)
{
	struct h2c	*c = container_of(cc, struct h2c, base);

	must(cc->magic == H2_SERVER_MAGIC);
	return c;
}

void
h2_server_turn(struct h2c *c)
{
	uint64_t	turn = ev_counts(c->env->ev)->turns;

	if (c->turn == turn)
		return;
	c->turn = turn;
	c->budget = H2_TURN;
}

void
h2_server_charge(struct h2c *c, size_t n)
{
	c->budget -= n < c->budget ? (uint32_t)n : c->budget;
}

void
h2_server_push(struct h2c *c)
{
	if (c->state != H2C_OPEN)
		return;
	h2_server_turn(c);
	ev_post(c->env->ev, c->budget > 0 ? EV_FLUSH : EV_READY, &c->flush);
}

/* Goes on later in this turn, or in the next one. */
static void
post(struct h2c *c)
{
	h2_server_turn(c);
	ev_post(c->env->ev, c->budget > 0 ? EV_WAKE : EV_READY, &c->task);
}

void
h2_server_note(struct h2s *s)
{
	struct h2c	*c = s->c;

	if (c->state == H2C_DEAD)
		return;
	if (list_is_empty(&s->todo))
		list_add_tail(&c->todo, &s->todo);
	post(c);
}

static void
set_idle(struct h2c *c, bool idle)
{
	if (c->idle == idle)
		return;
	c->idle = idle;
	if (c->env->idle != NULL)
		c->env->idle(c->ctx, idle);
}

/* --- the end of a stream --- */

static void
on_free_stream(struct ev_task *t)
{
	struct h2s	*s = container_of(t, struct h2s, free);
	struct arena	 a = s->arena;

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
break_off(struct h2s *s, enum fail why)
{
	struct sink	*to = s->st.in.to;
	struct source	*from = s->st.out.from;

	if (to != NULL && !s->in_told && !s->in_drop) {
		s->in_told = true;
		to->ops->abort(to, why == FAIL_NONE ? FAIL_BODY_CUT : why);
	}
	if (from != NULL && !s->out_ended)
		from->ops->stop(from, why);
}

/* Its memory goes when nghttp2 has forgotten it, too. */
static void
try_free(struct h2s *s)
{
	struct h2c	*c = s->c;

	if (!s->over || s->ng_open)
		return;
	list_del(&s->node);
	list_del(&s->todo);
	list_del(&s->end);
	h2_outq_disown(&c->q, s);
	/* a reset may overtake the frames of its trailers */
	if (c->heading == s)
		c->heading = NULL;
	ev_task_init(&s->free, on_free_stream);
	ev_post(c->env->ev, EV_FREE, &s->free);
}

void
h2_server_reset(struct h2s *s, uint32_t code)
{
	struct h2c	*c = s->c;

	if (!s->ng_open || s->was_reset || c->state != H2C_OPEN)
		return;
	s->was_reset = true;
	nghttp2_submit_rst_stream(c->ng, NGHTTP2_FLAG_NONE, s->id, code);
	h2_server_push(c);
}

void
h2_server_close_stream(struct h2s *s, enum fail why)
{
	struct h2c	*c = s->c;

	if (s->over)
		return;
	s->over = true;
	list_del(&s->node);
	list_add_tail(&c->held, &s->node);
	c->nstream--;
	if (s->asked)
		break_off(s, why);
	untie(&s->st);
	if (!s->out_done)
		h2_server_reset(s, s->reset != 0 ? s->reset :
		    h2_code_of(why));
	if (s->in.bytes > 0 && c->state == H2C_OPEN)
		nghttp2_session_consume(c->ng, s->id, s->in.bytes);
	h2_ring_fini(&s->in);
	h2_ring_fini(&s->out);
	if (s->asked)
		s->st.up->closed(&s->st, why);
	try_free(s);
}

static void
close_all(struct h2c *c, enum fail why)
{
	while (!list_is_empty(&c->streams))
		h2_server_close_stream(container_of(c->streams.next,
		    struct h2s, node), why);
}

/* --- the end of a connection --- */

void
h2_server_die(struct h2c *c, enum fail why, bool reset_it)
{
	struct h2s	*s;

	if (c->state == H2C_DEAD)
		return;
	c->state = H2C_DEAD;
	close_all(c, why);
	while (!list_is_empty(&c->held)) {
		s = container_of(c->held.next, struct h2s, node);
		s->ng_open = false;
		try_free(s);
	}
	ev_timer_off(c->env->ev, &c->timer);
	ev_cancel(&c->flush);
	nghttp2_session_del(c->ng);
	h2_outq_fini(&c->q);
	page_unref(&c->in);
	io_close(c->io, reset_it);
	ev_cancel(&c->task);
	ev_post(c->env->ev, EV_FREE, &c->task);
	c->env->gone(c->ctx, c->why != FAIL_NONE ? c->why : why);
}

static void
drop_input(struct h2c *c)
{
	char		 buf[4096];
	struct iovec	 v = { buf, sizeof(buf) };
	enum io_rc	 rc;
	size_t		 got;

	do {
		rc = io_readv(c->io, &v, 1, &got);
		c->dropped += (uint32_t)got;
	} while (rc == IO_OK && c->dropped < LINGER_BYTES);
	if (rc != IO_AGAIN || io_watch(c->io) == -1)
		h2_server_die(c, FAIL_NONE, false);
}

/*
 * Nothing more is said.  What still comes is read and dropped for a
 * moment, for a close with unread bytes would reset the last words away.
 */
static void
linger(struct h2c *c)
{
	if (io_shutdown(c->io) != IO_OK) {
		h2_server_die(c, FAIL_NONE, false);
		return;
	}
	c->state = H2C_LINGER;
	set_idle(c, false);
	ev_timer(c->env->ev, &c->timer, LINGER_MS);
	drop_input(c);
}

static void
put_goaway(struct h2c *c, uint32_t code)
{
	uint8_t	f[17] = { 0, 0, 8, NGHTTP2_GOAWAY };

	for (unsigned i = 0; i < 4; i++) {
		f[9 + i] = (uint8_t)((uint32_t)c->last_id >> (24 - 8 * i));
		f[13 + i] = (uint8_t)(code >> (24 - 8 * i));
	}
	h2_outq_copy(&c->q, str_make((const char *)f, sizeof(f)), NULL);
}

void
h2_server_sent(void *of_stream, size_t n)
{
	struct h2s	*s = of_stream;

	s->st.sent += n;
}

static uint32_t
last_code(const struct h2c *c)
{
	switch (c->why) {
	case FAIL_H2_PROTOCOL:
		return NGHTTP2_PROTOCOL_ERROR;
	case FAIL_INTERNAL:
		return NGHTTP2_INTERNAL_ERROR;
	case FAIL_H2_HEADER_TIMEOUT:
		return c->greeted ? NGHTTP2_ENHANCE_YOUR_CALM :
		    NGHTTP2_SETTINGS_TIMEOUT;
	default:
		return NGHTTP2_ENHANCE_YOUR_CALM;
	}
}

/*
 * The connection was judged.  nghttp2 is not asked any more: after an error
 * of a callback it makes no promise, so the last frame is our own.
 */
static void
end_judged(struct h2c *c)
{
	enum io_rc	rc = IO_OK;
	size_t		n;

	close_all(c, c->why);
	if (!c->judged)
		put_goaway(c, c->code != 0 ? c->code : last_code(c));
	while (rc == IO_OK && c->q.ring.n > 0)
		rc = h2_outq_write(&c->q, c->io, h2_server_sent, &n);
	linger(c);
}

void
h2_server_calm(struct h2c *c, enum fail why, const char *what)
{
	if (c->why != FAIL_NONE || c->state != H2C_OPEN)
		return;
	c->why = why;
	c->what = what;
	post(c);
}

/* --- GOAWAY --- */

void
h2_server_bye(struct h2c *c)
{
	static const uint8_t	mark[8] = "bye";

	if (c->bye != H2_BYE_NONE || c->state != H2C_OPEN)
		return;
	c->bye = H2_BYE_NOTICE;
	c->bye_at = ev_ms(c->env->ev);
	nghttp2_submit_shutdown_notice(c->ng);
	nghttp2_submit_ping(c->ng, NGHTTP2_FLAG_NONE, mark);
	ev_timer(c->env->ev, &c->timer, BYE_MS);
	h2_server_push(c);
}

void
h2_server_bye_done(struct h2c *c)
{
	if (c->bye == H2_BYE_SAID || c->state != H2C_OPEN)
		return;
	c->bye = H2_BYE_SAID;
	nghttp2_submit_goaway(c->ng, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(c->ng),
	    NGHTTP2_NO_ERROR, NULL, 0);
	h2_server_push(c);
}

void
h2_server_age(struct h2c *c)
{
	const struct codec_limits	*lim = &c->env->limits;

	if ((lim->requests > 0 && c->requests >= lim->requests) ||
	    (c->retire > 0 && ev_ms(c->env->ev) >= c->retire))
		h2_server_bye(c);
}

/* --- what was noted --- */

/* nghttp2 has closed it, and its answer is not on the way. */
static enum fail
why_closed(struct h2s *s)
{
	if (s->broken != FAIL_NONE)
		return s->broken;
	if (s->was_reset) {
		s->st.what = s->c->what;
		return FAIL_H2_PROTOCOL;
	}
	s->st.what = h2_code_name(s->code);
	return FAIL_CLIENT_RESET;
}

static void
attend(struct h2s *s)
{
	if (s->over) {
		try_free(s);
		return;
	}
	if (!s->ng_open && !s->out_done) {
		h2_server_close_stream(s, why_closed(s));
		return;
	}
	if (s->broken != FAIL_NONE && !s->out_done) {
		h2_server_close_stream(s, s->broken);
		return;
	}
	h2_server_feed(s);
	if (!s->over)
		h2_server_room(s);
}

/* A stream that is noted again meanwhile is looked at again. */
void
h2_server_attend(struct h2c *c)
{
	struct h2s	*s;

	while (c->state == H2C_OPEN && !list_is_empty(&c->todo)) {
		s = container_of(c->todo.next, struct h2s, todo);
		list_del(&s->todo);
		attend(s);
	}
}

/* --- before the loop takes over --- */

/* All is said, and nobody is left to be answered. */
static bool
is_through(const struct h2c *c)
{
	return c->bye == H2_BYE_SAID && c->nstream == 0 && c->q.ring.n == 0;
}

static uint64_t
look_ms(const struct h2c *c)
{
	const struct codec_limits	*lim = &c->env->limits;
	uint64_t	v[] = { lim->header_ms, lim->body_ms,
			    lim->write_ms };
	uint64_t	ms = LOOK_MAX * LOOKS;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (v[i] > 0 && v[i] < ms)
			ms = v[i];
	ms /= LOOKS;
	return ms < LOOK_MIN ? LOOK_MIN : ms;
}

/* Is there anything whose time is looked at? */
static bool
is_busy(const struct h2c *c)
{
	return c->nstream > 0 || c->in_head || c->q.ring.n > 0 ||
	    !c->greeted || !list_is_empty(&c->held);
}

static void
set_times(struct h2c *c)
{
	bool	busy = is_busy(c);

	if (busy == !c->idle && timer_is_armed(&c->timer))
		return;
	set_idle(c, !busy);
	if (c->bye == H2_BYE_NOTICE)
		return;
	if (busy)
		ev_timer(c->env->ev, &c->timer, look_ms(c));
	else if (c->env->limits.idle2_ms > 0)
		ev_timer(c->env->ev, &c->timer, c->env->limits.idle2_ms);
	else
		ev_timer_off(c->env->ev, &c->timer);
}

/* What is to be done before the loop takes over. */
void
h2_server_settle(struct h2c *c)
{
	if (c->state != H2C_OPEN)
		return;
	if (c->why != FAIL_NONE) {
		end_judged(c);
		return;
	}
	if (is_through(c)) {
		linger(c);
		return;
	}
	if (c->eof && c->nstream == 0 && c->q.ring.n == 0) {
		h2_server_die(c, FAIL_NONE, false);
		return;
	}
	if (io_watch(c->io) == -1) {
		h2_server_die(c, FAIL_CLIENT_GONE, false);
		return;
	}
	set_times(c);
}

/* --- reading --- */

static struct page *
room_to_read(struct h2c *c)
{
	struct page	*pg = c->in;

	if (pg != NULL && pg->refs == 1)
		pg->fill = 0;
	if (pg != NULL && pg->cap - pg->fill < READ_LEAST)
		page_unref(&c->in);
	if (c->in == NULL)
		c->in = page_new(c->env->pages);
	return c->in;
}

/* nghttp2 takes it all, unless the connection was judged meanwhile. */
static void
digest(struct h2c *c, const char *p, size_t n)
{
	ssize_t	used;

	h2_server_walk(c, str_make(p, n));
	if (c->why != FAIL_NONE)
		return;
	used = nghttp2_session_mem_recv(c->ng, (const uint8_t *)p, n);
	if (used >= 0)
		return;
	if (used == NGHTTP2_ERR_FLOODED)
		h2_server_calm(c, FAIL_H2_UNREAD, NULL);
	else if (used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
		h2_server_calm(c, FAIL_H2_CONTINUATION_FLOOD, NULL);
	else
		h2_server_calm(c, FAIL_H2_PROTOCOL,
		    nghttp2_strerror((int)used));
}

static enum io_rc
read_once(struct h2c *c)
{
	struct page	*pg = room_to_read(c);
	struct iovec	 v = { pg->data + pg->fill, pg->cap - pg->fill };
	enum io_rc	 rc;
	size_t		 got;

	rc = io_readv(c->io, &v, 1, &got);
	if (rc != IO_OK)
		return rc;
	pg->fill += (uint32_t)got;
	h2_server_charge(c, got);
	digest(c, v.iov_base, got);
	return IO_OK;
}

/* RFC 9113 9.1: a client that ends its direction is gone. */
static void
end_of_input(struct h2c *c)
{
	struct list	*pos, *tmp;
	struct h2s	*s;

	c->eof = true;
	page_unref(&c->in);
	if (c->env->limits.half_close && (c->io->fd.ready & EV_HUP) == 0)
		return;
	list_each_safe(pos, tmp, &c->streams) {
		s = container_of(pos, struct h2s, node);
		if (!s->out_done)
			h2_server_close_stream(s, FAIL_CLIENT_GONE);
	}
}

static void
go(struct h2c *c)
{
	enum io_rc	rc = IO_OK;

	h2_server_turn(c);
	while (rc == IO_OK && !c->eof && c->why == FAIL_NONE &&
	    c->budget > 0 && c->state == H2C_OPEN) {
		rc = read_once(c);
		h2_server_attend(c);
	}
	if (c->state != H2C_OPEN)
		return;
	if (rc == IO_ERR || (c->io->fd.ready & (EV_HUP | EV_ERR)))
		h2_server_die(c, FAIL_CLIENT_GONE, false);
	else if (rc == IO_EOF)
		end_of_input(c);
	else if (rc == IO_OK && !c->eof && c->why == FAIL_NONE)
		ev_post(c->env->ev, EV_READY, &c->task);
	if (c->state != H2C_OPEN)
		return;
	if (c->in != NULL && (c->in->refs > 1 || rc == IO_AGAIN))
		page_unref(&c->in);
	h2_server_age(c);
	if (nghttp2_session_want_write(c->ng))
		h2_server_push(c);
	h2_server_settle(c);
}

static void
on_flush(struct ev_task *t)
{
	h2_server_flush(container_of(t, struct h2c, flush));
}

static void
on_io(struct io *io, unsigned what)
{
	struct h2c	*c = io->ctx;

	must(c->base.magic == H2_SERVER_MAGIC);
	if (c->state == H2C_LINGER) {
		drop_input(c);
		return;
	}
	if (what & IO_W)
		h2_server_push(c);
	if (what & (IO_R | IO_GONE))
		go(c);
}

static void
on_task(struct ev_task *t)
{
	struct h2c	*c = container_of(t, struct h2c, task);

	switch (c->state) {
	case H2C_DEAD:
		c->base.magic = 0;
		free(c);
		break;
	case H2C_LINGER:
		drop_input(c);
		break;
	default:
		h2_server_attend(c);
		go(c);
		break;
	}
}

/* --- time --- */

static void
on_timer(struct timer *t)
{
	struct h2c	*c = container_of(t, struct h2c, timer);

	if (c->state == H2C_LINGER) {
		h2_server_die(c, FAIL_NONE, false);
		return;
	}
	if (c->bye == H2_BYE_NOTICE &&
	    ev_ms(c->env->ev) - c->bye_at >= BYE_MS)
		h2_server_bye_done(c);
	if (is_busy(c))
		h2_server_look(c);
	else
		h2_server_bye(c);
	if (c->state == H2C_OPEN && nghttp2_session_want_write(c->ng))
		h2_server_push(c);
	h2_server_settle(c);
}

/* --- the codec --- */

/* Connections that began together do not end together: 10 % either way. */
static uint64_t
retire_time(const struct h2c *c)
{
	uint64_t	age = c->env->limits.age_ms;
	uint64_t	mix = ev_clock_ns() ^ (uintptr_t)c;

	if (age == 0)
		return 0;
	mix *= UINT64_C(0x9e3779b97f4a7c15);
	return ev_ms(c->env->ev) + age / 10 * 9 +
	    (age / AGE_PART) * (mix >> 56) / 256;
}

static struct codec_conn *
open_conn(struct io *io, const struct codec_env *env, void *ctx)
{
	struct h2c	*c = must_calloc(1, sizeof(*c));

	c->base.magic = H2_SERVER_MAGIC;
	c->io = io;
	c->env = env;
	c->ctx = ctx;
	c->since = c->moved = c->glitch.ms = ev_ms(env->ev);
	c->retire = retire_time(c);
	timer_init(&c->timer, on_timer);
	ev_task_init(&c->task, on_task);
	ev_task_init(&c->flush, on_flush);
	list_init(&c->streams);
	list_init(&c->held);
	list_init(&c->todo);
	list_init(&c->ending);
	h2_outq_init(&c->q, env->pages);
	h2_bdp_init(&c->bdp);
	h2_walk_init(&c->walk);
	c->ng = h2_server_session(c);
	io->on = on_io;
	io->ctx = c;
	ev_timer(env->ev, &c->timer, look_ms(c));
	ev_post(env->ev, EV_READY, &c->task);
	return &c->base;
}

/* A request may be on its way: GOAWAY says which ones were too late. */
static void
drain_conn(struct codec_conn *cc)
{
	struct h2c	*c = of(cc);

	h2_server_bye(c);
	c->io->fd.ready |= c->io->rd_wait;
	post(c);
}

static void
close_conn(struct codec_conn *cc, enum fail why)
{
	h2_server_die(of(cc), why, false);
}

static struct io *
take_conn(struct codec_conn *cc, struct chunk *rest)
{
	(void)cc;
	(void)rest;
	must(!"a connection of many streams is given away");
	return NULL;
}

const struct server_codec h2_server = {
	.alpn = "h2",
	.open = open_conn,
	.drain = drain_conn,
	.close = close_conn,
	.take = take_conn
};
