/*
 * HTTP/1.1, server side: responses.  Workers, control.
 *
 * Calls of the sink fill the queue and post the flush, which runs once at
 * the end of the turn: head and body leave in one write.  A response that
 * breaks its promise of length, or is aborted, ends the connection before
 * its end can be taken for one.
 */
#include "codec/h1/h1_server.h"

#include "base/must.h"

static struct h1s *
of(struct sink *k)
{
	return container_of(k, struct h1s, st.out);
}

void
h1_server_push(struct h1s *s)
{
	struct h1c	*c = s->c;

	h1_server_turn(c);
	if (c->in.budget > 0 && s->q.bytes >= H1_PROMPT)
		ev_post_next(c->env->ev, &s->flush);
	else
		ev_post(c->env->ev, c->in.budget > 0 ? EV_FLUSH : EV_READY,
		    &s->flush);
}

/* --- heads --- */

/* Does the connection end with this response (RFC 9112 9.3)? */
static bool
is_final(struct h1s *s)
{
	const struct h1c		*c = s->c;
	const struct codec_limits	*lim = &c->env->limits;

	if (c->close || c->drain || s->fr.close)
		return true;
	if (lim->requests > 0 && c->requests >= lim->requests)
		return true;
	if (c->retire > 0 && ev_ms(c->env->ev) >> H1C_AGE_SHIFT >= c->retire)
		return true;
	if (s->st.fail != FAIL_NONE &&
	    (fail_row(s->st.fail)->flags & FAIL_F_Q))
		return true;
	if (s->body.drop)
		return !h1_server_skip(s);
	return s->expect && !s->body.done;
}

static bool
render(struct h1s *s, const struct msg *m, const struct h1_out *o)
{
	struct text	t;

	for (unsigned i = 0; h1_outq_text(&s->q, i, &t); i++) {
		h1_write_response(&t, m, o);
		if (!t.cut) {
			h1_outq_commit(&s->q, &t);
			return true;
		}
	}
	return false;
}

/* HTTP/1.0 knows none; one 100 is enough. */
static void
send_interim(struct h1s *s, const struct msg *m)
{
	struct h1_out	o = { .no_length = true };

	if (s->head.minor == 0 || (m->status == 100 && !s->expect))
		return;
	if (m->status == 100)
		s->expect = false;
	render(s, m, &o);
}

static void
send_head(struct h1s *s, struct msg *m, unsigned flags)
{
	struct h1_outq	*q = &s->q;
	struct h1c	*c = s->c;
	struct h1_out	 o = { .date = c->env->date };
	bool		 upgrade = (flags & WAIST_UPGRADE) != 0;

	q->bodyless = s->head.meth == METHOD_HEAD || m->status == 204 ||
	    m->status == 304;
	if ((flags & WAIST_END) && m->body == BODY_UNKNOWN && !q->bodyless)
		m->body = BODY_NONE;
	c->close = is_final(s);
	o.no_length = upgrade || m->body == BODY_UNKNOWN;
	if (o.no_length && !q->bodyless && !upgrade) {
		o.chunked = s->head.minor > 0;
		o.no_length = !o.chunked;
		c->close |= o.no_length;
	}
	o.close = c->close && !upgrade;
	o.keep10 = s->fr.keep10 && !o.close;
	q->chunked = o.chunked;
	q->left = q->bodyless || upgrade ? BODY_UNKNOWN : m->body;
	s->upgraded = upgrade;
	s->head_sent = true;
	s->head_alone = (flags & WAIST_END) == 0 && !upgrade;
	if (!upgrade)
		h1_outq_set_splice(q, &s->st.out, c->io, c->env->pipes);
	if (!render(s, m, &o))
		s->broken = FAIL_INTERNAL;
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct h1s	*s = of(k);

	if (s->c == NULL || s->head_sent || s->broken != FAIL_NONE)
		return;
	if (flags & WAIST_INTERIM)
		send_interim(s, m);
	else
		send_head(s, m, flags);
	if (flags & WAIST_END)
		h1_outq_end(&s->q);
	h1_server_push(s);
}

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct h1s	*s = of(k);
	enum flow	 flow;

	if (s->c == NULL || !s->head_sent) {
		chunk_drop(&c);
		return FLOW_FULL;
	}
	flow = h1_outq_data(&s->q, k, c, flags);
	s->head_alone = false;
	h1_server_push(s);
	return flow;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	struct h1s	*s = of(k);

	if (s->c != NULL)
		h1_outq_trailers(&s->q, hs);
}

static void
on_end(struct sink *k)
{
	struct h1s	*s = of(k);

	if (s->c == NULL || !s->head_sent)
		return;
	h1_outq_end(&s->q);
	h1_server_push(s);
}

static void
on_abort(struct sink *k, enum fail why)
{
	struct h1s	*s = of(k);

	h1_outq_forget(&s->q, k);
	if (s->c == NULL || s->broken != FAIL_NONE)
		return;
	s->broken = why == FAIL_NONE ? FAIL_INTERNAL : why;
	h1_server_push(s);
}

const struct sink_ops h1_server_out_ops = {
	.head = on_head,
	.data = on_data,
	.trailers = on_trailers,
	.end = on_end,
	.abort = on_abort
};

/* --- the flush --- */

static bool
is_answered(const struct h1s *s)
{
	return s->q.ended && s->q.n == 0 && !s->q.bad &&
	    s->broken == FAIL_NONE;
}

bool
h1_server_is_done(const struct h1s *s)
{
	if (!is_answered(s))
		return false;
	if (s->body.done || s->in_fail != FAIL_NONE)
		return true;
	return s->c->close && s->body.drop;
}

static void
tell_last(struct h1s *s)
{
	if (s->last_told || !s->q.ended ||
	    h1_outq_next(&s->q) < s->q.bytes)
		return;
	s->last_told = true;
	s->st.queued = s->q.bytes;
	s->st.up->last(&s->st);
}

/* Writes until it blocks, nothing is left or the turn's share is used up. */
static enum io_rc
write_out(struct h1s *s)
{
	struct h1c	*c = s->c;
	enum io_rc	 rc = IO_OK;
	size_t		 n;

	while (rc == IO_OK && h1_outq_has_work(&s->q)) {
		if (c->in.budget == 0) {
			h1_server_push(s);
			return IO_AGAIN;
		}
		if (!io_can(c->io, IO_W))
			return IO_AGAIN;
		tell_last(s);
		if (c->s != s)
			return IO_AGAIN;
		s->q.final = c->close && s->body.done;
		rc = h1_outq_write(&s->q, c->io, &s->st.out, &n);
		s->st.sent += n;
		s->moved |= n > 0;
		c->in.budget -= n < c->in.budget ? (uint32_t)n : c->in.budget;
	}
	return rc;
}

/* The answer is out: a request body that nobody took is in the way. */
static void
answered(struct h1s *s)
{
	struct h1c	*c = s->c;

	tell_last(s);
	if (c->s != s)
		return;
	if (!s->body.done && !h1_server_skip(s))
		c->close = true;
	if (h1_server_is_done(s))
		h1_server_finish(c);
	else
		ev_post(c->env->ev, EV_READY, &c->task);
}

bool
h1_server_must_reset(const struct h1s *s)
{
	return s->head_sent && !s->q.chunked && s->q.left == BODY_UNKNOWN;
}

/*
 * The body may be at hand, in a read buffer whose owner's task stands
 * behind this flush: one round of it is waited for, then both leave in
 * one write.
 */
static bool
waits_for_body(struct h1s *s)
{
	bool	alone = s->head_alone && s->broken == FAIL_NONE && !s->q.ended;

	s->head_alone = false;
	return alone;
}

void
h1_server_flush(struct h1s *s)
{
	struct h1c	*c = s->c;
	struct source	*from;
	enum io_rc	 rc;

	h1_server_turn(c);
	if (waits_for_body(s)) {
		h1_server_push(s);
		return;
	}
	if (s->q.bad || s->broken != FAIL_NONE) {
		/* the client is told what there was to tell, but no end */
		if (s->st.sent == 0 && !s->q.ended)
			write_out(s);
		h1_server_fail(c, s->broken != FAIL_NONE ? s->broken :
		    FAIL_INTERNAL, h1_server_must_reset(s));
		return;
	}
	rc = write_out(s);
	if (c->s != s)
		return;
	if (rc == IO_ERR || rc == IO_EOF) {
		h1_server_fail(c, rc == IO_ERR ? FAIL_CLIENT_GONE :
		    FAIL_FILE_CHANGED, h1_server_must_reset(s));
		return;
	}
	from = s->st.out.from;
	if (h1_outq_has_room(&s->q, &s->st.out) && from != NULL)
		from->ops->room(from);
	else if (is_answered(s))
		answered(s);
	h1_server_settle(c);
}
