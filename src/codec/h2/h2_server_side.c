/*
 * HTTP/2, server side: the life of a connection.  Workers.
 *
 * A stream is over for those above when the kernel has its last byte, or
 * when it was reset.  Times are looked at by one timer, which runs while
 * there are streams.
 */
#include "codec/h2/h2_server.h"

#define LINGER_MS	500	/* behind the last word */
#define LINGER_BYTES	65536
#define BYE_MS		1000	/* for the answer to the notice */
#define LOOK_MIN	20	/* ms */
#define LOOK_MAX	1000
#define LOOKS		8	/* of a limit */
#define AGE_PART	5	/* ages differ by a fifth */

static void
set_idle(struct h2c *c, bool idle)
{
	if (c->idle == idle)
		return;
	c->idle = idle;
	if (c->env->idle != NULL)
		c->env->idle(c->ctx, idle);
}

/* --- the end --- */

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
		h2_conn_die(c, FAIL_NONE, false);
}

/*
 * Nothing more is said.  What still comes is read and dropped for a
 * moment, for a close with unread bytes would reset the last words away.
 */
static void
linger(struct h2c *c)
{
	if (c->state == H2C_LINGER) {
		drop_input(c);
		return;
	}
	if (io_shutdown(c->io) != IO_OK) {
		h2_conn_die(c, FAIL_NONE, false);
		return;
	}
	c->state = H2C_LINGER;
	set_idle(c, false);
	ev_timer(c->env->ev, &c->timer, LINGER_MS);
	drop_input(c);
}

/* --- GOAWAY --- */

void
h2_server_bye(struct h2c *c)
{
	if (c->bye != H2_BYE_NONE || c->state != H2C_OPEN)
		return;
	c->bye = H2_BYE_NOTICE;
	c->bye_at = ev_ms(c->env->ev);
	nghttp2_submit_shutdown_notice(c->ng);
	ev_timer(c->env->ev, &c->timer, BYE_MS);
	h2_conn_push(c);
}

/*
 * The notice is made: only now comes the PING whose answer tells that it
 * has arrived, for nghttp2 sends PINGs before all that waits.
 */
static void
ask_answer(struct h2c *c)
{
	static const uint8_t	mark[8] = "bye";

	if (c->bye == H2_BYE_NOTICE)
		nghttp2_submit_ping(c->ng, NGHTTP2_FLAG_NONE, mark);
}

/* The second step: the notice has reached the client. */
static void
bye_done(struct h2c *c)
{
	if (c->bye == H2_BYE_SAID || c->state != H2C_OPEN)
		return;
	c->bye = H2_BYE_SAID;
	nghttp2_submit_goaway(c->ng, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(c->ng),
	    NGHTTP2_NO_ERROR, NULL, 0);
	h2_conn_push(c);
}

void
h2_server_age(struct h2c *c)
{
	const struct codec_limits	*lim = &c->env->limits;

	if ((lim->requests > 0 && c->requests >= lim->requests) ||
	    (c->retire > 0 && ev_ms(c->env->ev) >= c->retire))
		h2_server_bye(c);
}

/* --- frames --- */

/* Trailers may be on their way to a stream that we have reset. */
static bool
is_gone(const struct h2c *c, int32_t id)
{
	for (unsigned i = 0; i < H2_GONE; i++)
		if (c->gone[i] == id)
			return true;
	return false;
}

/* RFC 9113 5.1.1: nghttp2 lets numbers pass that are not new. */
static int
check_number(struct h2c *c, int32_t id)
{
	if (id > c->max_id) {
		c->max_id = id;
		return h2_conn_verdict(c);
	}
	if (id <= 0 || nghttp2_session_find_stream(c->ng, id) != NULL)
		return h2_conn_verdict(c);
	if (is_gone(c, id))
		return h2_conn_count(c, H2_GLITCH_STRAY);
	return h2_conn_break(c, NGHTTP2_PROTOCOL_ERROR,
	    "a stream's number is not new");
}

static void
say_hello(struct h2c *c, nghttp2_session *ng)
{
	const struct codec_limits	*lim = &c->env->limits;
	nghttp2_settings_entry		 v[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		    (uint32_t)lim->streams },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
		    (uint32_t)lim->header_bytes }
	};
	size_t				 n = sizeof(v) / sizeof(v[0]);

	if (lim->header_bytes == 0 || lim->header_bytes > UINT32_MAX)
		n--;
	must(nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, v, n) == 0);
	must(nghttp2_session_set_local_window_size(ng, NGHTTP2_FLAG_NONE, 0,
	    H2_WINDOW_CONN) == 0);
}

/* Before its answer was on the way, or within it. */
static enum h2_glitch_kind
waste(const struct h2s *s)
{
	if (!s->head_sent)
		return H2_GLITCH_RESET;
	return s->out_done || s->was_reset ? H2_GLITCH_N : H2_GLITCH_CUT;
}

/* The answer to the PING behind the notice; the client's own GOAWAY. */
static void
on_other(struct h2c *c, const nghttp2_frame *f)
{
	if (f->hd.type == NGHTTP2_PING && c->bye == H2_BYE_NOTICE)
		bye_done(c);
	else if (f->hd.type == NGHTTP2_GOAWAY) {
		c->warned = true;
		h2_conn_tell(c, CODEC_GOAWAY);
	}
}

/* --- streams --- */

/* nghttp2 has closed it, and its answer is not on the way. */
static enum fail
why_closed(struct h2s *s)
{
	if (s->broken != FAIL_NONE)
		return s->broken;
	if (s->was_reset) {
		s->st.what = h2_conn_what(s);
		return FAIL_H2_PROTOCOL;
	}
	s->st.what = h2_code_name(s->code);
	return FAIL_CLIENT_RESET;
}

static void
attend(struct h2s *s)
{
	if (s->over) {
		h2_conn_try_free(s);
		return;
	}
	if (!s->ng_open && !s->out_done) {
		h2_conn_close_stream(s, why_closed(s));
		return;
	}
	if (s->broken != FAIL_NONE && !s->out_done) {
		h2_conn_close_stream(s, s->broken);
		return;
	}
	h2_conn_feed(s);
	if (!s->over)
		h2_conn_room(s);
}

/* What is left of the request is skipped, not reset. */
static bool
has_answered(const struct h2s *s)
{
	return s->out_done;
}

static enum fail
blame(struct h2s *s, enum fail why)
{
	(void)s;
	return why;
}

/* --- before the loop takes over --- */

/* All is said, of which nghttp2 may have some yet, and answered. */
static bool
is_through(const struct h2c *c)
{
	return c->bye == H2_BYE_SAID && c->nstream == 0 &&
	    c->q.ring.n == 0 && !nghttp2_session_want_write(c->ng);
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
static void
settle(struct h2c *c)
{
	if (c->state != H2C_OPEN)
		return;
	if (c->why != FAIL_NONE) {
		h2_conn_end_judged(c);
		return;
	}
	/* the client has ended it: nghttp2 passes over all that follows */
	if (c->warned && c->nstream == 0)
		bye_done(c);
	if (is_through(c)) {
		linger(c);
		return;
	}
	if (c->eof && c->nstream == 0 && c->q.ring.n == 0) {
		h2_conn_die(c, FAIL_NONE, false);
		return;
	}
	if (io_watch(c->io) == -1) {
		h2_conn_die(c, FAIL_CLIENT_GONE, false);
		return;
	}
	set_times(c);
}

/* RFC 9113 9.1: a client that ends its direction is gone. */
static void
end_of_input(struct h2c *c)
{
	struct list	*pos, *tmp;
	struct h2s	*s;

	if (c->env->limits.half_close && (c->io->fd.ready & EV_HUP) == 0)
		return;
	list_each_safe(pos, tmp, &c->streams) {
		s = container_of(pos, struct h2s, node);
		if (!s->out_done)
			h2_conn_close_stream(s, FAIL_CLIENT_GONE);
	}
}

static void
lose(struct h2c *c)
{
	h2_conn_die(c, FAIL_CLIENT_GONE, false);
}

/* --- time --- */

static void
on_time(struct h2c *c)
{
	if (c->state == H2C_LINGER) {
		h2_conn_die(c, FAIL_NONE, false);
		return;
	}
	if (c->bye == H2_BYE_NOTICE &&
	    ev_ms(c->env->ev) - c->bye_at >= BYE_MS)
		bye_done(c);
	if (is_busy(c))
		h2_server_look(c);
	else
		h2_server_bye(c);
	if (c->state == H2C_OPEN && nghttp2_session_want_write(c->ng))
		h2_conn_push(c);
	settle(c);
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

static const struct h2_side server = {
	.server = true,
	.in_ops = &h2_server_in_ops,
	.out_ops = &h2_server_out_ops,
	.hello = say_hello,
	.number = check_number,
	.heading = h2_server_heading,
	.headed = h2_server_headed,
	.waste = waste,
	.other = on_other,
	.high = h2_server_bye,
	.spoil = h2_server_spoil,
	.waits = h2_server_continue,
	.framed = h2_server_framed,
	.warned = ask_answer,
	.attend = attend,
	.is_through = has_answered,
	.blame = blame,
	.writes = h2_server_writes,
	.wrote = h2_server_wrote,
	.read = h2_server_age,
	.eof = end_of_input,
	.broke = lose,
	.settle = settle,
	.leave = linger,
	.timer = on_time
};

static struct codec_conn *
open_conn(struct io *io, const struct codec_env *env, void *ctx)
{
	struct h2c	*c = h2_conn_new(io, env, ctx, &server);

	c->retire = retire_time(c);
	ev_timer(env->ev, &c->timer, look_ms(c));
	ev_post(env->ev, EV_READY, &c->task);
	return &c->base;
}

/* A request may be on its way: GOAWAY says which ones were too late. */
static void
drain_conn(struct codec_conn *cc, bool now)
{
	struct h2c	*c = h2_conn_of(cc);

	h2_server_bye(c);
	if (now) {
		/* sent before more is read, which then was never begun */
		bye_done(c);
		h2_conn_flush(c);
	}
	if (c->state == H2C_DEAD)
		return;
	c->io->fd.ready |= c->io->rd_wait;
	h2_conn_post(c);
}

/* In a turn's last flush no body is waited for. */
static void
flush_all(struct h2c *c)
{
	h2_conn_turn(c);
	c->quota = UINT32_MAX;
	h2_conn_flush(c);
	if (c->state == H2C_OPEN)
		h2_conn_flush(c);
}

/*
 * No stream ends with a bare end of the connection, which says neither
 * that it is cut nor that it may be asked elsewhere: those that were ended
 * above have frames that wait, with the final GOAWAY before what is reset
 * here for want of an end, or of a window for it.
 */
static void
say_last(struct h2c *c, enum fail why)
{
	bye_done(c);
	flush_all(c);
	while (c->state == H2C_OPEN && !list_is_empty(&c->streams))
		h2_conn_close_stream(container_of(c->streams.next,
		    struct h2s, node), why);
	if (c->state == H2C_OPEN)
		flush_all(c);
	/* nobody waits for the client: what has come is read at least */
	if (c->state == H2C_OPEN)
		linger(c);
}

static void
close_conn(struct codec_conn *cc, enum fail why)
{
	struct h2c	*c = h2_conn_of(cc);

	if (why == FAIL_DRAINING && c->state == H2C_OPEN && !c->within &&
	    c->why == FAIL_NONE)
		say_last(c, why);
	h2_conn_die(c, why, false);
}

static struct io *
take_conn(struct codec_conn *cc, struct chunk *rest)
{
	(void)cc;
	(void)rest;
	must(!"a connection of many streams is given away");
	return NULL;
}

static const char *
what_ended(const struct codec_conn *cc)
{
	return h2_conn_of(cc)->what;
}

const struct server_codec h2_server = {
	.alpn = "h2",
	.open = open_conn,
	.drain = drain_conn,
	.close = close_conn,
	.take = take_conn,
	.what = what_ended
};
