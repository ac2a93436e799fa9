/*
 * HTTP/2, both sides: the life of a connection.  Workers.
 *
 * One connection has many streams, each the end of one exchange.  What one
 * side alone does is its struct h2_side.  What
 * comes is read into a page and goes through nghttp2, whose callbacks note
 * what happened; then each stream that was noted is looked at.  All that
 * is to be sent in a turn leaves in one write at its end: nghttp2 makes
 * frames of it, streams by their priorities, as long as not too much waits
 * for the transport.
 *
 * A stream that is over for those above lasts until nghttp2 has forgotten
 * it, too.
 */
#include "codec/h2/h2_conn.h"

#include <stdlib.h>
#include <string.h>

#define H2_CONN_MAGIC	0x4832434e	/* "H2CN" */
#define H2_TURN		262144	/* bytes in one turn, each way */
#define HEAD_COST	4096	/* of a client's head, beside its bytes */
#define FRAME_COST	512	/* of any frame of it */
#define ANSWER_COST	1024	/* of a server's head: it was asked for */
#define SIP_FIRST	512	/* bytes to read at a time where heads come */
#define SIP_MIN		256
#define SIP_MAX		2048
#define SIP_HEADS	32	/* of a client, that it should have at most */
#define FEW_HEADS	8	/* of a server's read */
#define READ_LEAST	2048	/* room in a page worth a read */

struct h2c *
h2_conn_of(const struct codec_conn *cc)
{
	struct h2c	*c = container_of((struct codec_conn *)(uintptr_t)cc,
	    struct h2c, base);

	must(cc->magic == H2_CONN_MAGIC);
	return c;
}

void
h2_conn_tell(const struct h2c *c, enum codec_note what)
{
	if (c->env->note != NULL)
		c->env->note(c->ctx, what);
}

void
h2_conn_tell_bye(struct h2c *c)
{
	if (!c->bye_told)
		h2_conn_tell(c, CODEC_BYE);
	c->bye_told = true;
}

void
h2_conn_turn(struct h2c *c)
{
	uint64_t	turn = ev_counts(c->env->ev)->turns;

	if (c->turn == turn)
		return;
	c->turn = turn;
	c->budget = c->quota = H2_TURN;
}

void
h2_conn_spend(uint32_t *left, size_t n)
{
	*left -= n < *left ? (uint32_t)n : *left;
}

void
h2_conn_push(struct h2c *c)
{
	if (c->state != H2C_OPEN)
		return;
	h2_conn_turn(c);
	ev_post(c->env->ev, c->quota > 0 ? EV_FLUSH : EV_READY, &c->flush);
}

void
h2_conn_post(struct h2c *c)
{
	h2_conn_turn(c);
	ev_post(c->env->ev, c->budget > 0 ? EV_WAKE : EV_READY, &c->task);
}

void
h2_conn_note(struct h2s *s)
{
	struct h2c	*c = s->c;

	if (c->state == H2C_DEAD)
		return;
	if (list_is_empty(&s->todo))
		list_add_tail(&c->todo, &s->todo);
	h2_conn_post(c);
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

void
h2_conn_try_free(struct h2s *s)
{
	struct h2c	*c = s->c;

	if (!s->over || s->ng_open)
		return;
	list_del(&s->node);
	c->nheld -= s->held;
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
h2_conn_reset(struct h2s *s, uint32_t code)
{
	struct h2c	*c = s->c;

	if (!s->ng_open || s->was_reset || c->state != H2C_OPEN)
		return;
	s->was_reset = true;
	nghttp2_submit_rst_stream(c->ng, NGHTTP2_FLAG_NONE, s->id, code);
	h2_conn_push(c);
}

void
h2_conn_close_stream(struct h2s *s, enum fail why)
{
	struct h2c	*c = s->c;

	if (s->over)
		return;
	s->over = true;
	list_del(&s->node);
	list_add_tail(&c->held, &s->node);
	/* to the peer it is open until it hears that it is not */
	s->held = s->ng_open;
	c->nheld += s->held;
	c->nstream--;
	h2_conn_tell(c, CODEC_CLOSED);
	if (s->asked)
		break_off(s, why);
	untie(&s->st);
	/* its messages' memory may go */
	if (!c->side->server && c->heading == s)
		c->heading = NULL;
	if (!c->side->is_through(s))
		h2_conn_reset(s, s->reset != 0 ? s->reset :
		    h2_code_of(why));
	if (c->state == H2C_OPEN)
		h2_conn_give_back(s, s->in.bytes);
	h2_ring_fini(&s->in);
	h2_ring_fini(&s->out);
	page_unref(&s->small);
	if (s->asked && s->st.up != NULL)
		s->st.up->closed(&s->st, why);
	h2_conn_try_free(s);
}

static void
close_all(struct h2c *c, enum fail why)
{
	struct h2s	*s;

	while (!list_is_empty(&c->streams)) {
		s = container_of(c->streams.next, struct h2s, node);
		h2_conn_close_stream(s, c->side->blame(s, why));
	}
}

/* --- the end of a connection --- */

void
h2_conn_die(struct h2c *c, enum fail why, bool reset_it)
{
	struct h2s	*s;

	if (c->state == H2C_DEAD)
		return;
	c->state = H2C_DEAD;
	close_all(c, why);
	while (!list_is_empty(&c->held)) {
		s = container_of(c->held.next, struct h2s, node);
		s->ng_open = false;
		h2_conn_try_free(s);
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
write_rest(struct h2c *c)
{
	enum io_rc	rc = IO_OK;
	size_t		n;

	while (rc == IO_OK && c->q.ring.n > 0)
		rc = h2_outq_write(&c->q, c->io, h2_conn_sent, &n);
}

void
h2_conn_goaway(struct h2c *c, uint32_t code)
{
	uint8_t	f[17] = { 0, 0, 8, NGHTTP2_GOAWAY };

	for (unsigned i = 0; i < 4; i++) {
		f[9 + i] = (uint8_t)((uint32_t)c->last_id >> (24 - 8 * i));
		f[13 + i] = (uint8_t)(code >> (24 - 8 * i));
	}
	h2_outq_copy(&c->q, str_make((const char *)f, sizeof(f)), NULL);
	h2_conn_tell_bye(c);
	write_rest(c);
}

void
h2_conn_sent(void *of_stream, size_t n)
{
	struct h2s	*s = of_stream;

	s->st.sent += n;
	s->last = ev_ms(s->c->env->ev);
}

static uint32_t
last_code(const struct h2c *c)
{
	switch (c->why) {
	case FAIL_H2_PROTOCOL:
		return NGHTTP2_PROTOCOL_ERROR;
	case FAIL_PING_TIMEOUT:
	case FAIL_SEND_TIMEOUT:
		return NGHTTP2_NO_ERROR;
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
void
h2_conn_end_judged(struct h2c *c)
{
	close_all(c, c->why);
	if (c->judged)
		write_rest(c);
	else
		h2_conn_goaway(c, c->code != 0 ? c->code :
		    last_code(c));
	c->side->leave(c);
}

void
h2_conn_calm(struct h2c *c, enum fail why, const char *what)
{
	if (c->why != FAIL_NONE || c->state != H2C_OPEN)
		return;
	c->why = why;
	c->what = what;
	h2_conn_post(c);
}

const char *
h2_conn_what(const struct h2s *s)
{
	const char	*what = s->c->what;

	return what == NULL ? NULL : arena_fmt(s->st.arena, "%s", what).p;
}

/* --- what was noted --- */

/* A stream that is noted again meanwhile is looked at again. */
void
h2_conn_attend(struct h2c *c)
{
	struct h2s	*s;

	while (c->state == H2C_OPEN && !list_is_empty(&c->todo)) {
		s = container_of(c->todo.next, struct h2s, todo);
		list_del(&s->todo);
		c->side->attend(s);
	}
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

	h2_conn_walk(c, str_make(p, n));
	if (c->why != FAIL_NONE)
		return;
	c->within = true;
	used = nghttp2_session_mem_recv(c->ng, (const uint8_t *)p, n);
	c->within = false;
	if (used >= 0)
		return;
	if (used == NGHTTP2_ERR_FLOODED)
		h2_conn_calm(c, FAIL_H2_UNREAD, NULL);
	else if (used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
		h2_conn_calm(c, FAIL_H2_CONTINUATION_FLOOD, NULL);
	else if (used == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
		h2_conn_calm(c, FAIL_H2_PROTOCOL,
		    "it did not begin as HTTP/2 does");
	else
		h2_conn_calm(c, FAIL_H2_PROTOCOL,
		    nghttp2_strerror((int)used));
}

static uint32_t
cost_of(const struct h2c *c, uint32_t heads, uint32_t frames)
{
	return c->side->server ? heads * HEAD_COST + frames * FRAME_COST :
	    heads * ANSWER_COST;
}

/*
 * A head costs far more than its bytes, as do small frames, and what was
 * read is digested as a whole: behind the rest of a frame little is read at
 * a time of a client, so that a turn can end between many.  A server's
 * heads were asked for: where bodies come, all that there is is read.
 */
static size_t
most_to_read(const struct h2c *c)
{
	if (c->side->server)
		return c->walk.left + c->sip;
	return c->bulky ? SIZE_MAX : SIP_MAX;
}

/* By the size of heads that came, and whether there was more. */
static void
learn(struct h2c *c, size_t got, bool full, uint32_t heads)
{
	size_t	n = c->sip;

	c->bulky = heads < FEW_HEADS && (c->bulky || full);
	if (heads > SIP_HEADS)
		n = got * SIP_HEADS / heads;
	else if (full && heads <= SIP_HEADS / 2)
		n *= 2;
	c->sip = (uint16_t)(n < SIP_MIN ? SIP_MIN : n < SIP_MAX ? n :
	    SIP_MAX);
}

static enum io_rc
read_once(struct h2c *c)
{
	struct page	*pg = room_to_read(c);
	struct iovec	 v = { pg->data + pg->fill, pg->cap - pg->fill };
	uint32_t	 heads = c->heads;
	uint32_t	 frames = c->frames;
	enum io_rc	 rc;
	size_t		 got;

	if (v.iov_len > most_to_read(c))
		v.iov_len = most_to_read(c);
	rc = io_readv(c->io, &v, 1, &got);
	if (rc != IO_OK)
		return rc;
	pg->fill += (uint32_t)got;
	c->heard = ev_ms(c->env->ev);
	c->unheard = false;
	digest(c, v.iov_base, got);
	heads = c->heads - heads;
	h2_conn_spend(&c->budget,
	    got + cost_of(c, heads, c->frames - frames));
	learn(c, got, got == v.iov_len, heads);
	return IO_OK;
}

static void
go(struct h2c *c)
{
	enum io_rc	rc = IO_OK;
	bool		more;

	h2_conn_turn(c);
	while (rc == IO_OK && !c->eof && c->why == FAIL_NONE &&
	    c->budget > 0 && c->state == H2C_OPEN) {
		rc = read_once(c);
		h2_conn_attend(c);
	}
	if (c->state != H2C_OPEN)
		return;
	/* what came before the end is read first */
	more = rc == IO_OK && !c->eof && c->why == FAIL_NONE;
	/*
	 * It broke; or all was read, and it takes nothing (mute) or the
	 * kernel says that both directions are over.
	 */
	if (rc == IO_ERR || (!more && (c->mute ||
	    (c->io->fd.ready & (EV_HUP | EV_ERR)) != 0)))
		c->side->broke(c);
	else if (rc == IO_EOF) {
		c->eof = true;
		page_unref(&c->in);
		c->side->eof(c);
	} else if (more)
		ev_post(c->env->ev, EV_READY, &c->task);
	if (c->state != H2C_OPEN)
		return;
	if (c->in != NULL && (c->in->refs > 1 || rc == IO_AGAIN))
		page_unref(&c->in);
	c->side->read(c);
	if (nghttp2_session_want_write(c->ng))
		h2_conn_push(c);
	c->side->settle(c);
}

static void
on_flush(struct ev_task *t)
{
	h2_conn_flush(container_of(t, struct h2c, flush));
}

static void
on_io(struct io *io, unsigned what)
{
	struct h2c	*c = io->ctx;

	must(c->base.magic == H2_CONN_MAGIC);
	if (c->state == H2C_LINGER) {
		c->side->leave(c);
		return;
	}
	if (what & IO_W)
		h2_conn_push(c);
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
		c->side->leave(c);
		break;
	default:
		h2_conn_attend(c);
		go(c);
		break;
	}
}

/* --- time --- */

static void
on_timer(struct timer *t)
{
	struct h2c	*c = container_of(t, struct h2c, timer);

	c->side->timer(c);
}

/* Megabytes may wait in the kernel: who takes some has not stalled. */
bool
h2_conn_is_stalled(struct h2c *c, uint64_t now)
{
	size_t	left = io_unsent(c->io);

	if (c->q.ring.n == 0 || left < c->unsent)
		c->moved = now;
	c->unsent = left;
	return c->env->limits.write_ms > 0 &&
	    now - c->moved >= c->env->limits.write_ms;
}

/* --- its beginning --- */

struct h2c *
h2_conn_new(struct io *io, const struct codec_env *env, void *ctx,
    const struct h2_side *side)
{
	struct h2c	*c = must_calloc(1, sizeof(*c));

	c->base.magic = H2_CONN_MAGIC;
	c->side = side;
	c->io = io;
	c->env = env;
	c->ctx = ctx;
	c->since = c->moved = c->glitch.ms = ev_ms(env->ev);
	c->sip = SIP_FIRST;
	timer_init(&c->timer, on_timer);
	ev_task_init(&c->task, on_task);
	ev_task_init(&c->flush, on_flush);
	list_init(&c->streams);
	list_init(&c->held);
	list_init(&c->todo);
	list_init(&c->ending);
	h2_outq_init(&c->q, env->pages);
	h2_bdp_init(&c->bdp);
	h2_walk_init(&c->walk, side->server);
	c->ng = h2_conn_session(c);
	io->on = on_io;
	io->ctx = c;
	return c;
}

struct h2s *
h2_conn_stream(struct h2c *c, struct arena *up)
{
	struct arena	 a;
	struct h2s	*s;

	arena_init(&a, c->env->arenas);
	s = arena_alloc(&a, sizeof(*s));
	s->arena = a;
	s->c = c;
	s->out_left = BODY_UNKNOWN;
	s->in_window = H2_WINDOW;
	s->st.in.ops = c->side->in_ops;
	s->st.out.ops = c->side->out_ops;
	s->st.up = c->env->up;
	s->st.ctx = c->ctx;
	s->st.arena = up != NULL ? up : &s->arena;
	s->st.head = &s->head;
	s->st.begun_ns = ev_clock_ns();
	h2_ring_init(&s->in, &s->arena);
	h2_ring_init(&s->out, &s->arena);
	s->st.out.credit = h2_conn_window(s);
	list_init(&s->todo);
	list_init(&s->end);
	list_add_tail(&c->streams, &s->node);
	c->nstream++;
	h2_conn_tell(c, CODEC_OPENED);
	return s;
}
