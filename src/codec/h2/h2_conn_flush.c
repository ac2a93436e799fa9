/*
 * HTTP/2, both sides: writing.  Workers.
 *
 * nghttp2 makes frames of what there is, streams by their priorities, until
 * enough of them wait for the transport; then they leave in one write.
 */
#include "codec/h2/h2_conn.h"

/* With the last of its frames nghttp2 may have forgotten the stream. */
static struct h2s *
find(const struct h2c *c, int32_t id)
{
	if (c->framing != NULL && c->framing->id == id)
		return c->framing;
	return nghttp2_session_get_stream_user_data(c->ng, id);
}

/* Whose frame it is; bytes of it are counted for the log. */
static struct h2s *
owner(struct h2c *c, const uint8_t *p, size_t n)
{
	struct h2s	*s;
	uint32_t	 id;

	if (n < H2_HEAD || (p[3] != NGHTTP2_HEADERS &&
	    p[3] != NGHTTP2_CONTINUATION && p[3] != NGHTTP2_DATA))
		return NULL;
	id = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 |
	    (uint32_t)p[7] << 8 | p[8];
	s = find(c, (int32_t)(id & 0x7fffffff));
	if (s == NULL || s->over)
		return NULL;
	s->framed += n;
	return s;
}

/*
 * A frame that nghttp2 has made.  It told of it before it gave it to us, so
 * the end of its stream, if this is it, lies behind what is added now.
 */
static void
add(struct h2c *c, struct str frame)
{
	struct h2s	*s = owner(c, (const uint8_t *)frame.p, frame.n);

	h2_outq_copy(&c->q, frame, s);
	if (s != NULL && s->out_done)
		s->end_pos = c->q.put;
}

bool
h2_conn_pull(struct h2c *c)
{
	const uint8_t	*p;
	ssize_t		 n = 1;

	while (n > 0 && c->q.ring.bytes < H2_OUT_MAX &&
	    c->why == FAIL_NONE) {
		c->framing = NULL;
		n = nghttp2_session_mem_send(c->ng, &p);
		if (n > 0)
			add(c, str_make((const char *)p, (size_t)n));
	}
	if (n < 0)
		h2_conn_calm(c, FAIL_INTERNAL, nghttp2_strerror((int)n));
	return n >= 0;
}

static enum io_rc
write_out(struct h2c *c)
{
	enum io_rc	rc = IO_OK;
	size_t		n;

	while (rc == IO_OK && c->state == H2C_OPEN && h2_conn_pull(c) &&
	    c->q.ring.n > 0) {
		if (c->quota == 0) {
			h2_conn_push(c);
			return IO_AGAIN;
		}
		if (!io_can(c->io, IO_W))
			return IO_AGAIN;
		c->side->writes(c);
		rc = h2_outq_write(&c->q, c->io, h2_conn_sent, &n);
		h2_conn_spend(&c->quota, n);
		if (n > 0)
			c->moved = ev_ms(c->env->ev);
		c->side->wrote(c);
		h2_conn_attend(c);
	}
	return rc;
}

static bool
waits_for_body(struct h2c *c)
{
	struct list	*pos;
	struct h2s	*s;
	bool		 any = false;

	if (!c->head_alone)
		return false;
	c->head_alone = false;
	list_each(pos, &c->streams) {
		s = container_of(pos, struct h2s, node);
		any |= s->head_alone && s->broken == FAIL_NONE;
		s->head_alone = false;
	}
	return any;
}

/* What the peer said before may still have to be read. */
static void
fall_mute(struct h2c *c)
{
	if (c->side->server || c->eof) {
		c->side->broke(c);
		return;
	}
	c->mute = true;
	ev_post(c->env->ev, EV_READY, &c->task);
}

/*
 * A body may be at hand, in a buffer whose owner's task stands behind this
 * flush: one round of it is waited for, then both leave in one write.
 */
void
h2_conn_flush(struct h2c *c)
{
	enum io_rc	rc;

	if (c->state != H2C_OPEN || c->mute)
		return;
	h2_conn_turn(c);
	if (waits_for_body(c)) {
		h2_conn_push(c);
		return;
	}
	h2_conn_attend(c);
	rc = write_out(c);
	if (rc == IO_ERR)
		fall_mute(c);
	if (c->state == H2C_OPEN)
		c->side->settle(c);
}
