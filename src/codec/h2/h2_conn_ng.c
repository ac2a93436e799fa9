/*
 * HTTP/2, both sides: what nghttp2 tells.  Workers.
 *
 * nghttp2 frames, packs heads and keeps the windows; it judges no message
 * (h2_head.c does).  Nothing is called up from within it but heads,
 * whose receivers only note: what else a frame means is noted here as
 * well, and looked at when nghttp2 has returned.
 */
#include "codec/h2/h2_conn.h"

#include "config.h"

#define FEW_WORDS	4	/* that each answer may waste */
#define UNREAD_MAX	1000	/* answers to SETTINGS and PINGs that wait */

static struct h2s *
find(struct h2c *c, int32_t id)
{
	return nghttp2_session_get_stream_user_data(c->ng, id);
}

int
h2_conn_verdict(const struct h2c *c)
{
	return c->why == FAIL_NONE ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

int
h2_conn_count(struct h2c *c, enum h2_glitch_kind k)
{
	/* a server's connection carries the answers of many strangers */
	uint32_t	more = c->side->server ? 0 : FEW_WORDS * c->nstream;
	enum fail	why = h2_glitch_add(&c->glitch, k,
			    ev_ms(c->env->ev), more);

	if (why != FAIL_NONE)
		h2_conn_calm(c, why, NULL);
	else if (h2_glitch_is_high(&c->glitch))
		c->side->high(c);
	return h2_conn_verdict(c);
}

/* --- frames that come --- */

int
h2_conn_break(struct h2c *c, uint32_t code, const char *what)
{
	c->code = code;
	h2_conn_calm(c, FAIL_H2_PROTOCOL, what);
	return h2_conn_verdict(c);
}

static int
on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *ctx)
{
	struct h2c	*c = ctx;

	(void)ng;
	if (hd->type == NGHTTP2_HEADERS)
		return c->side->number(c, hd->stream_id);
	return h2_conn_verdict(c);
}

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	struct h2c	*c = ctx;

	(void)ng;
	c->in_head = true;
	c->head_lost = 0;
	c->since = ev_ms(c->env->ev);
	c->heading = c->side->heading(c, f);
	return h2_conn_verdict(c);
}

/* One more of a head that nobody reads; true: it is no honest one. */
static bool
is_bomb(struct h2c *c, size_t n)
{
	uint64_t	max = c->env->limits.header_bytes;

	c->head_lost += n + H2_FIELD_COST;
	return max != 0 && c->head_lost > max * H2_BOMB;
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t nname, const uint8_t *val, size_t nval, uint8_t flags, void *ctx)
{
	struct h2c	*c = ctx;
	struct h2s	*s = c->heading;

	(void)ng;
	(void)f;
	(void)flags;
	if (s == NULL ? is_bomb(c, nname + nval) : !h2_head_field(&s->hp,
	    str_make((const char *)name, nname),
	    str_make((const char *)val, nval)))
		h2_conn_calm(c, FAIL_H2_HEADER_FLOOD, NULL);
	return h2_conn_verdict(c);
}

static void
got_headers(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s	*s = c->heading;

	c->in_head = false;
	c->heading = NULL;
	if (s != NULL)
		c->side->headed(s, f);
}

static int
got_data(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s	*s = find(c, f->hd.stream_id);
	bool		 end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (s != NULL && end)
		h2_conn_in_end(s);
	return 0;
}

static int
got_reset(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s		*s = find(c, f->hd.stream_id);
	enum h2_glitch_kind	 k;

	if (s == NULL)
		return h2_conn_count(c, H2_GLITCH_STRAY);
	h2_conn_tell(c, CODEC_RESET);
	k = c->side->waste(s);
	return k == H2_GLITCH_N ? 0 : h2_conn_count(c, k);
}

static void
got_ping(struct h2c *c, const nghttp2_frame *f)
{
	if ((f->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
		h2_conn_tell(c, CODEC_PINGED);
		return;
	}
	if (f->ping.opaque_data[0] != 0)
		c->side->other(c, f);
	else if (h2_bdp_answer(&c->bdp))
		nghttp2_session_set_local_window_size(c->ng,
		    NGHTTP2_FLAG_NONE, 0, (int32_t)h2_bdp_conn(&c->bdp));
}

static int
on_frame_recv(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	struct h2c	*c = ctx;

	(void)ng;
	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
		got_headers(c, f);
		return h2_conn_verdict(c);
	case NGHTTP2_DATA:
		return got_data(c, f);
	case NGHTTP2_RST_STREAM:
		return got_reset(c, f);
	case NGHTTP2_SETTINGS:
		c->greeted = true;
		c->side->other(c, f);
		return h2_conn_verdict(c);
	case NGHTTP2_PING:
		got_ping(c, f);
		return h2_conn_verdict(c);
	default:
		c->side->other(c, f);
		return h2_conn_verdict(c);
	}
}

static int
on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id,
    const uint8_t *p, size_t n, void *ctx)
{
	struct h2c	*c = ctx;
	struct h2s	*s = find(c, id);

	(void)flags;
	if (s == NULL) {
		nghttp2_session_consume(ng, id, n);
		return 0;
	}
	h2_conn_data(s, p, n);
	if (h2_bdp_data(&c->bdp, n))
		nghttp2_submit_ping(ng, NGHTTP2_FLAG_NONE, NULL);
	return 0;
}

/* A broken rule; what nghttp2 does about it comes with frames it sends. */
static int
on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *f, int error,
    void *ctx)
{
	struct h2c	*c = ctx;

	(void)ng;
	(void)f;
	c->what = nghttp2_strerror(error);
	return 0;
}

/* --- frames that leave --- */

/* nghttp2 says in its GOAWAY which rule it was. */
static void
note_rule(struct h2c *c, const nghttp2_goaway *f)
{
	size_t	n = f->opaque_data_len;

	if (n == 0 || c->judged)
		return;
	n = n < sizeof(c->rule) ? n : sizeof(c->rule) - 1;
	memcpy(c->rule, f->opaque_data, n);
	c->rule[n] = '\0';
	c->what = c->rule;
}

/* Neither our answer to something nor an end that was asked for. */
static int
sent_reset(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s	*s = find(c, f->hd.stream_id);
	uint32_t	 code = f->rst_stream.error_code;

	c->gone[c->ngone++ % H2_GONE] = f->hd.stream_id;
	h2_conn_tell(c, s == NULL && code == NGHTTP2_REFUSED_STREAM ?
	    CODEC_REFUSED : CODEC_DID_RESET);
	if (s == NULL && code == NGHTTP2_REFUSED_STREAM)
		return h2_conn_count(c, H2_GLITCH_REFUSED);
	if (s == NULL)
		return code == NGHTTP2_NO_ERROR ||
		    code == NGHTTP2_PROTOCOL_ERROR ? 0 :
		    h2_conn_count(c, H2_GLITCH_MADE);
	if (s->was_reset) {
		h2_glitch_crossed(&c->glitch);
		return 0;
	}
	s->was_reset = true;
	/* by SETTINGS it is the connection's, which nghttp2 does not tell */
	if (code == NGHTTP2_FLOW_CONTROL_ERROR)
		return h2_conn_break(c, code, "a window is too large");
	return h2_conn_count(c, H2_GLITCH_MADE);
}

static int
on_frame_send(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	struct h2c	*c = ctx;
	struct h2s	*s;

	(void)ng;
	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		c->framing = s = find(c, f->hd.stream_id);
		if (s != NULL && (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
			c->side->framed(s);
		break;
	case NGHTTP2_RST_STREAM:
		sent_reset(c, f);
		break;
	case NGHTTP2_GOAWAY:
		h2_conn_tell_bye(c);
		if (f->goaway.error_code == NGHTTP2_NO_ERROR) {
			c->side->warned(c);
			break;
		}
		note_rule(c, &f->goaway);
		c->judged = true;
		h2_conn_calm(c, FAIL_H2_PROTOCOL, c->what);
		break;
	default:
		break;
	}
	return 0;
}

static int
on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *ctx)
{
	struct h2s	*s = find(ctx, id);

	(void)ng;
	if (s == NULL)
		return 0;
	s->ng_open = false;
	s->c->wide -= s->in_window - H2_WINDOW;
	s->code = code;
	h2_glitch_closed(&s->c->glitch);
	h2_conn_note(s);
	return 0;
}

/* --- the session --- */

static void
set_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb,
	    on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb,
	    on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb,
	    on_data_chunk);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb,
	    on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb,
	    on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
	    on_stream_close);
	nghttp2_session_callbacks_set_send_data_callback(cb, h2_conn_send);
}

static nghttp2_option *
make_option(void)
{
	nghttp2_option	*o;

	must(nghttp2_option_new(&o) == 0);
	nghttp2_option_set_no_http_messaging(o, 1);
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_outbound_ack(o, UNREAD_MAX);
	nghttp2_option_set_builtin_recv_extension_type(o,
	    NGHTTP2_PRIORITY_UPDATE);
#if HAVE_NGHTTP2_RESET_LIMIT
	/* it counts those behind a whole answer, too: h2_glitch.h does not */
	nghttp2_option_set_stream_reset_rate_limit(o, UINT64_MAX, UINT64_MAX);
#endif
	return o;
}

nghttp2_session *
h2_conn_session(struct h2c *c)
{
	nghttp2_session_callbacks	*cb;
	nghttp2_option			*o = make_option();
	nghttp2_session			*ng;
	struct sizes			*s = c->env->sizes;
	nghttp2_mem			 mem;

	must(nghttp2_session_callbacks_new(&cb) == 0);
	set_callbacks(cb);
	if (s != NULL)
		mem = h2_mem(s);
	must((c->side->server ? nghttp2_session_server_new3 :
	    nghttp2_session_client_new3)(&ng, cb, c, o,
	    s != NULL ? &mem : NULL) == 0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(o);
	c->side->hello(c, ng);
	return ng;
}
