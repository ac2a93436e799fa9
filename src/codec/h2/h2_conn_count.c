/*
 * HTTP/2, both sides: what each frame costs the peer (h2_glitch.h), before
 * nghttp2 sees it.  Workers.
 */
#include "codec/h2/h2_conn.h"

static void
count_data(struct h2c *c, const struct h2_walked *f)
{
	bool	empty = f->n == 0 || ((f->flags & NGHTTP2_FLAG_PADDED) &&
	    f->n <= f->pad + 1U);

	if (empty && !(f->flags & NGHTTP2_FLAG_END_STREAM))
		h2_conn_count(c, H2_GLITCH_EMPTY);
	else
		h2_glitch_got(&c->glitch);
}

static void
count_continued(struct h2c *c, const struct h2_walked *f)
{
	enum fail	why = h2_glitch_continued(&c->glitch);

	c->head_wire += H2_HEAD + f->n;
	if (why != FAIL_NONE)
		h2_conn_calm(c, why, NULL);
}

/* RFC 9113 6.3: which nghttp2 passes over. */
static void
count_priority(struct h2c *c, const struct h2_walked *f)
{
	if (f->type == NGHTTP2_PRIORITY && f->id == 0) {
		c->code = NGHTTP2_PROTOCOL_ERROR;
		h2_conn_calm(c, FAIL_H2_PROTOCOL,
		    "a priority of stream 0");
	} else
		h2_conn_count(c, H2_GLITCH_PRIORITY);
}

/* Answers of the client to what we asked cost nothing. */
static void
count_unless_ack(struct h2c *c, const struct h2_walked *f,
    enum h2_glitch_kind k)
{
	if ((f->flags & NGHTTP2_FLAG_ACK) == 0)
		h2_conn_count(c, k);
}

static void
count_frame(struct h2c *c, const struct h2_walked *f)
{
	c->frames++;
	switch (f->type) {
	case NGHTTP2_DATA:
		count_data(c, f);
		break;
	case NGHTTP2_HEADERS:
		h2_glitch_head(&c->glitch);
		c->heads++;
		c->head_wire = H2_HEAD + f->n;
		break;
	case NGHTTP2_CONTINUATION:
		count_continued(c, f);
		break;
	case NGHTTP2_SETTINGS:
		count_unless_ack(c, f, H2_GLITCH_SETTINGS);
		break;
	case NGHTTP2_PING:
		count_unless_ack(c, f, H2_GLITCH_PING);
		break;
	case NGHTTP2_PRIORITY:
	case H2_PRIORITY_UPDATE:
		count_priority(c, f);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		h2_conn_count(c, H2_GLITCH_WINDOW);
		break;
	case NGHTTP2_RST_STREAM:
		break;
	default:
		h2_conn_count(c, H2_GLITCH_STRAY);
	}
}

void
h2_conn_walk(struct h2c *c, struct str in)
{
	struct h2_walked	f;

	while (c->why == FAIL_NONE && h2_walk_next(&c->walk, &in, &f))
		count_frame(c, &f);
}
