/*
 * HTTP/2, client side: the life of a connection to a server.  Workers.
 *
 * Many requests, each a stream; how many at a time the server says, and
 * limits.streams.  A stream is over when its answer was handed on, or when
 * it was reset; what the request still had is not wanted then.  A server
 * that ends the connection (GOAWAY, or its transport) ends those streams
 * alone whose answers are not whole; those that it has not looked at fail
 * with a row that says so, and may be asked elsewhere.
 *
 * Calls from above only note and post a task: failures are told from the
 * loop, never from within a call, but by close().
 */
#include "codec/h2/h2_client.h"

#define LOOKS	4		/* of a limit */
#define LOOK_MIN	20	/* ms */
#define LOOK_MAX	5000
#define PING_WAIT	10000	/* for an answer, at most */

/* --- its first words --- */

static void
say_hello(struct h2c *c, nghttp2_session *ng)
{
	const nghttp2_settings_entry	v[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
		    (uint32_t)c->env->limits.header_bytes }
	};

	must(nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, v,
	    sizeof(v) / sizeof(v[0])) == 0);
	must(nghttp2_session_set_local_window_size(ng, NGHTTP2_FLAG_NONE, 0,
	    H2_WINDOW_CONN) == 0);
}

/* --- frames --- */

/* Heads for streams that are over; a few may have crossed our reset. */
static int
check_number(struct h2c *c, int32_t id)
{
	const struct h2s	*s;

	s = nghttp2_session_get_stream_user_data(c->ng, id);
	return s == NULL || s->over ? h2_conn_count(c, H2_GLITCH_STRAY) :
	    h2_conn_verdict(c);
}

static enum h2_glitch_kind
no_waste(const struct h2s *s)
{
	(void)s;
	return H2_GLITCH_N;
}

static void
on_other(struct h2c *c, const nghttp2_frame *f)
{
	switch (f->hd.type) {
	case NGHTTP2_SETTINGS:
		if ((f->hd.flags & NGHTTP2_FLAG_ACK) == 0)
			h2_conn_tell(c, CODEC_ROOM);
		break;
	case NGHTTP2_GOAWAY:
		c->warned = true;
		c->bye = H2_BYE_SAID;
		c->max_id = f->goaway.last_stream_id;
		c->code = f->goaway.error_code;
		h2_conn_tell(c, CODEC_GOAWAY);
		break;
	default:
		break;
	}
}

/* No more requests on this one. */
static void
retire(struct h2c *c)
{
	c->bye = H2_BYE_SAID;
}

static void
no_wait(struct h2s *s)
{
	(void)s;
}

static void
on_framed(struct h2s *s)
{
	s->out_done = true;
}

/* --- streams --- */

/* In either way that a server has; its answer has not begun. */
static bool
wants_h1(const struct h2s *s)
{
	const struct h2c	*c = s->c;

	return s->code == NGHTTP2_HTTP_1_1_REQUIRED || (c->warned &&
	    c->code == NGHTTP2_HTTP_1_1_REQUIRED && s->id > c->max_id);
}

/* nghttp2 has closed it before its answer was whole. */
static enum fail
why_closed(struct h2s *s)
{
	struct h2c	*c = s->c;

	if (s->was_reset) {
		s->st.what = h2_conn_what(s);
		return s->answered ? FAIL_RESET_IN_BODY :
		    FAIL_SERVER_H2_PROTOCOL;
	}
	s->st.what = h2_code_name(s->code);
	s->st.code = s->code;
	s->st.coded = true;
	if (s->answered)
		return FAIL_RESET_IN_BODY;
	if (wants_h1(s))
		return FAIL_SERVER_WANTS_H1;
	if (s->code != NGHTTP2_REFUSED_STREAM)
		return FAIL_SERVER_RESET;
	s->st.what = NULL;
	if (c->warned && s->id > c->max_id)
		return FAIL_SERVER_GOAWAY;
	return FAIL_STREAM_REFUSED;
}

/* The server takes no more of the request; its answer may still come. */
static void
lose_out(struct h2s *s)
{
	struct source	*from = s->st.out.from;

	if (s->out_ended || s->out_lost)
		return;
	s->out_lost = true;
	h2_ring_fini(&s->out);
	if (from != NULL)
		from->ops->stop(from, FAIL_SEND_ERROR);
}

/* Its place is free now, if it was not before. */
static void
forget(struct h2s *s)
{
	struct h2c	*c = s->c;
	bool		 held = s->held && !s->ng_open;

	h2_conn_try_free(s);
	if (held)
		h2_conn_tell(c, CODEC_PLACE);
}

static void
attend(struct h2s *s)
{
	if (s->over) {
		forget(s);
		return;
	}
	if (s->broken == FAIL_NONE && s->id > 0 && !s->ng_open &&
	    !s->in_ended)
		s->broken = why_closed(s);
	if (s->broken != FAIL_NONE) {
		h2_conn_close_stream(s, s->broken);
		return;
	}
	if (s->id > 0 && !s->ng_open)
		lose_out(s);
	h2_conn_feed(s);
	if (s->over)
		return;
	if (s->in_told && s->in_ended)
		h2_conn_close_stream(s, FAIL_NONE);
	else
		h2_conn_room(s);
}

static bool
is_through(const struct h2s *s)
{
	return s->out_done && s->in_ended;
}

static const char *
kind_of(enum fail why)
{
	return fail_row(why)->name + sizeof("h2_") - 1;
}

/* How a stream fails with its connection. */
static enum fail
blame(struct h2s *s, enum fail why)
{
	struct h2c	*c = s->c;
	bool		 ours = (fail_row(why)->flags & FAIL_F_N) == 0;

	if (why == FAIL_NONE)
		why = FAIL_RESET_BEFORE_HEAD;
	/* the server has not got a byte of it: it came too late */
	if (s->st.sent == 0) {
		s->st.what = why == FAIL_RESET_BEFORE_HEAD ? H2_CLIENT_LOST :
		    fail_row(why)->name;
		return FAIL_SERVER_GOAWAY;
	}
	if (why == FAIL_H2_PROTOCOL)
		s->st.what = h2_conn_what(s);
	else if (!ours)
		s->st.what = kind_of(why);
	else if (c->warned && c->code != NGHTTP2_NO_ERROR)
		s->st.what = h2_code_name(c->code);
	else if (s->answered && why != FAIL_RESET_BEFORE_HEAD)
		s->st.what = fail_row(why)->name;
	if (s->answered)
		return FAIL_RESET_IN_BODY;
	if (why == FAIL_H2_PROTOCOL)
		return FAIL_SERVER_H2_PROTOCOL;
	if (!ours)
		return FAIL_SERVER_FLOOD;
	return why == FAIL_RESET_BEFORE_HEAD && s->st.begun ?
	    FAIL_RESET_IN_HEAD : why;
}

/* --- the end of the connection --- */

/*
 * Neither reads nor writes give anything any more.  Answers that are here
 * as a whole go on to their readers, unless the connection was judged: of
 * what broke a rule nghttp2 tells with the GOAWAY that it makes.
 */
static void
lose(struct h2c *c)
{
	struct list	*pos, *tmp;
	struct h2s	*s;
	enum fail	 why;

	if (!c->mute)
		(void)h2_conn_pull(c);
	why = c->why != FAIL_NONE ? c->why : FAIL_RESET_BEFORE_HEAD;
	c->eof = c->mute = true;
	c->bye = H2_BYE_SAID;
	h2_conn_tell(c, CODEC_LOST);
	/* who has only ended his own direction still hears why */
	if (c->why == FAIL_NONE)
		h2_outq_fini(&c->q);
	list_each_safe(pos, tmp, &c->streams) {
		s = container_of(pos, struct h2s, node);
		if (!s->in_ended && s->broken == FAIL_NONE)
			h2_client_fail(s, blame(s, why), NULL);
	}
	h2_conn_attend(c);
}

static void
leave(struct h2c *c)
{
	h2_conn_die(c, FAIL_NONE, false);
}

/* --- time --- */

static uint64_t
least(uint64_t a, uint64_t b)
{
	return b > 0 && b < a ? b : a;
}

static uint64_t
look_ms(const struct h2c *c)
{
	const struct codec_limits	*lim = &c->env->limits;
	uint64_t			 ms = LOOK_MAX * LOOKS;

	ms = least(least(ms, lim->write_ms), lim->ping_ms) / LOOKS;
	return ms < LOOK_MIN ? LOOK_MIN : ms;
}

void
h2_client_doubt(struct h2c *c)
{
	c->doubted = ev_ms(c->env->ev);
	if (c->env->limits.ping_ms > 0)
		ev_timer(c->env->ev, &c->timer, LOOK_MIN);
}

/* Those whose path is dead may all be in a hurry: once, they need not wait. */
static bool
is_asked_early(const struct h2c *c, uint64_t now)
{
	return c->doubted > 0 && c->heard <= c->doubted && (c->pinged == 0 ||
	    now - c->pinged >= c->env->limits.ping_ms);
}

/* Requests are under way, or were in vain, and nothing came for a while. */
static void
ask_life(struct h2c *c, uint64_t now)
{
	static const uint8_t	mark[8] = "life";
	uint64_t		ping = c->env->limits.ping_ms;

	if (ping == 0)
		return;
	if (c->pinging && c->heard >= c->pinged)
		c->pinging = false;
	if (!c->pinging && (now - c->heard >= ping ||
	    is_asked_early(c, now))) {
		c->pinging = true;
		c->pinged = now;
		h2_conn_tell(c, CODEC_PING);
		nghttp2_submit_ping(c->ng, NGHTTP2_FLAG_NONE, mark);
		h2_conn_push(c);
	} else if (c->pinging && now - c->pinged >= least(PING_WAIT, ping))
		h2_conn_calm(c, FAIL_PING_TIMEOUT, NULL);
}

static void settle(struct h2c *);

static void
on_time(struct h2c *c)
{
	uint64_t	 now = ev_ms(c->env->ev);
	struct list	*pos;

	list_each(pos, &c->streams)
		h2_conn_tidy(container_of(pos, struct h2s, node));
	if (!c->mute) {
		ask_life(c, now);
		if (h2_conn_is_stalled(c, now))
			h2_conn_calm(c, FAIL_SEND_TIMEOUT, NULL);
	}
	settle(c);
}

static void
set_time(struct h2c *c)
{
	if (c->nstream == 0 && (!c->unheard || c->env->limits.ping_ms == 0)) {
		ev_timer_off(c->env->ev, &c->timer);
		c->pinging = false;
	} else if (!timer_is_armed(&c->timer))
		ev_timer(c->env->ev, &c->timer, look_ms(c));
}

static void
settle(struct h2c *c)
{
	if (c->state != H2C_OPEN)
		return;
	if (c->why != FAIL_NONE) {
		h2_conn_end_judged(c);
		return;
	}
	if (c->nstream == 0 && (c->mute || c->warned)) {
		h2_conn_die(c, FAIL_NONE, false);
		return;
	}
	if (!c->mute && io_watch(c->io) == -1)
		lose(c);
	set_time(c);
}

static void
no_write(struct h2c *c)
{
	(void)c;
}

/* --- the codec --- */

static const struct h2_side client = {
	.in_ops = &h2_client_in_ops,
	.out_ops = &h2_client_out_ops,
	.hello = say_hello,
	.number = check_number,
	.heading = h2_client_heading,
	.headed = h2_client_headed,
	.waste = no_waste,
	.other = on_other,
	.high = retire,
	.spoil = h2_client_spoil,
	.waits = no_wait,
	.framed = on_framed,
	.warned = no_write,
	.attend = attend,
	.is_through = is_through,
	.blame = blame,
	.writes = no_write,
	.wrote = no_write,
	.read = no_write,
	.eof = lose,
	.broke = lose,
	.settle = settle,
	.leave = leave,
	.timer = on_time
};

static struct codec_conn *
open_conn(struct io *io, const struct codec_env *env, void *ctx)
{
	struct h2c	*c = h2_conn_new(io, env, ctx, &client);

	c->heard = ev_ms(env->ev);
	h2_conn_push(c);
	ev_post(env->ev, EV_READY, &c->task);
	return &c->base;
}

/* Until the server has said how many it takes, it gets one at a time. */
static uint64_t
most_streams(const struct h2c *c)
{
	uint64_t	max = c->env->limits.streams;
	uint32_t	said = 1;

	if (c->state != H2C_OPEN || c->why != FAIL_NONE || c->eof || c->mute ||
	    c->bye != H2_BYE_NONE ||
	    !nghttp2_session_check_request_allowed(c->ng))
		return 0;
	if (c->greeted)
		said = nghttp2_session_get_remote_settings(c->ng,
		    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	return max == 0 || said < max ? said : max;
}

static unsigned
count_room(const struct codec_conn *cc)
{
	const struct h2c	*c = h2_conn_of(cc);
	uint64_t		 max = most_streams(c), n;

	n = (uint64_t)c->nstream + c->nheld;
	return n < max ? (unsigned)(max - n) : 0;
}

static bool
it_lasts(const struct codec_conn *cc)
{
	return most_streams(h2_conn_of(cc)) > 0;
}

static struct stream *
new_stream(struct codec_conn *cc, struct arena *a)
{
	struct h2c	*c = h2_conn_of(cc);
	struct h2s	*s = h2_conn_stream(c, a);

	s->asked = true;
	s->reset = NGHTTP2_CANCEL;
	s->st.keep = true;
	/* who never gets a word is to be asked all the same */
	if (c->nstream == 1 && !c->unheard)
		c->heard = ev_ms(c->env->ev);
	set_time(c);
	return &s->st;
}

/* From within nghttp2 it is only noted. */
static void
close_conn(struct codec_conn *cc, enum fail why)
{
	struct h2c	*c = h2_conn_of(cc);

	if (c->state != H2C_OPEN)
		return;
	if (c->within) {
		h2_conn_calm(c, why != FAIL_NONE ? why :
		    FAIL_RESET_BEFORE_HEAD, NULL);
		return;
	}
	if (!c->mute)
		h2_conn_goaway(c, NGHTTP2_NO_ERROR);
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

const struct client_codec h2_client = {
	.alpn = "h2",
	.open = open_conn,
	.request = new_stream,
	.room = count_room,
	.lasts = it_lasts,
	.close = close_conn,
	.take = take_conn
};
