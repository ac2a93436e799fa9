/*
 * HTTP/2, server side: time.  Workers.
 *
 * One timer of the connection looks at all its streams now and then: a
 * limit is noticed at most an eighth late, and never early.
 */
#include "codec/h2/h2_server.h"

#define SKIP_MS		2000	/* for the rest of an answered request */
#define RATE_FROM_MS	10000	/* min_rate holds after it */

static bool
is_slow(const struct h2c *c, const struct h2s *s, uint64_t now)
{
	uint64_t	waited = s->waited_ms + now - s->wait_ms;

	return waited > RATE_FROM_MS &&
	    s->in_got < c->env->limits.min_rate * waited / 1000;
}

static void
look_stream(struct h2c *c, struct h2s *s, uint64_t now)
{
	const struct codec_limits	*lim = &c->env->limits;

	h2_conn_tidy(s);
	if (s->wait_ms != 0 && !s->head_sent && !s->st.patient) {
		if (lim->body_ms > 0 && now - s->wait_ms >= lim->body_ms)
			h2_conn_in_fail(s, FAIL_BODY_TIMEOUT);
		else if (is_slow(c, s, now))
			h2_conn_in_fail(s, FAIL_BODY_TOO_SLOW);
	}
	if (!s->over && s->out.n > 0 && lim->write_ms > 0 &&
	    now - s->out_ms >= lim->write_ms && c->q.ring.n == 0)
		h2_conn_close_stream(s, FAIL_WRITE_TIMEOUT);
}

/* Answered, and the client does not come to the end of its request. */
static void
look_held(struct h2c *c, uint64_t now)
{
	struct list	*pos;
	struct h2s	*s;

	list_each(pos, &c->held) {
		s = container_of(pos, struct h2s, node);
		if (s->skip_ms != 0 && now - s->skip_ms >= SKIP_MS)
			h2_conn_reset(s, NGHTTP2_NO_ERROR);
	}
}

void
h2_server_look(struct h2c *c)
{
	const struct codec_limits	*lim = &c->env->limits;
	uint64_t			 now = ev_ms(c->env->ev);
	struct list			*pos, *tmp;

	if ((c->in_head || !c->greeted) && lim->header_ms > 0 &&
	    now - c->since >= lim->header_ms) {
		h2_conn_calm(c, FAIL_H2_HEADER_TIMEOUT, NULL);
		return;
	}
	if (h2_conn_is_stalled(c, now)) {
		h2_conn_die(c, FAIL_WRITE_TIMEOUT, true);
		return;
	}
	list_each_safe(pos, tmp, &c->streams) {
		look_stream(c, container_of(pos, struct h2s, node), now);
		if (c->state != H2C_OPEN)
			return;
	}
	look_held(c, now);
	h2_server_age(c);
}
