/*
 * HTTP/2, server side: what nghttp2 tells.  Workers.
 *
 * nghttp2 frames, packs heads and keeps the windows; it judges no message
 * (h2_head.c does).  Nothing is called up from within it but request(),
 * which only notes: what else a frame means is noted here as well, and
 * looked at when nghttp2 has returned.
 */
#include "codec/h2/h2_server.h"

#define UNREAD_MAX	1000	/* answers to SETTINGS and PINGs that wait */
#define FIRST_SETTINGS	4

static struct h2s *
find(struct h2c *c, int32_t id)
{
	return nghttp2_session_get_stream_user_data(c->ng, id);
}

/* To nghttp2, which ends the session with it. */
static int
verdict(const struct h2c *c)
{
	return c->why == FAIL_NONE ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

int
h2_server_count(struct h2c *c, enum h2_glitch_kind k)
{
	enum fail	why = h2_glitch_add(&c->glitch, k,
			    ev_ms(c->env->ev));

	if (why != FAIL_NONE)
		h2_server_calm(c, why, NULL);
	else if (h2_glitch_is_high(&c->glitch))
		h2_server_bye(c);
	return verdict(c);
}

/* --- frames that come --- */

static int
break_off(struct h2c *c, uint32_t code, const char *what)
{
	c->code = code;
	h2_server_calm(c, FAIL_H2_PROTOCOL, what);
	return verdict(c);
}

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
		return verdict(c);
	}
	if (id <= 0 || nghttp2_session_find_stream(c->ng, id) != NULL)
		return verdict(c);
	if (is_gone(c, id))
		return h2_server_count(c, H2_GLITCH_STRAY);
	return break_off(c, NGHTTP2_PROTOCOL_ERROR,
	    "a stream's number is not new");
}

static int
on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *ctx)
{
	struct h2c	*c = ctx;

	(void)ng;
	if (hd->type == NGHTTP2_HEADERS)
		return check_number(c, hd->stream_id);
	return verdict(c);
}

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	struct h2c	*c = ctx;
	struct h2s	*s;

	c->in_head = true;
	c->since = ev_ms(c->env->ev);
	if (f->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s = h2_server_begin(c, f->hd.stream_id);
		nghttp2_session_set_stream_user_data(ng, s->id, s);
		return 0;
	}
	s = find(c, f->hd.stream_id);
	if (s != NULL)
		h2_head_init(&s->hp, &s->arena, &c->env->limits,
		    &s->trailers, true);
	return 0;
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t nname, const uint8_t *val, size_t nval, uint8_t flags, void *ctx)
{
	struct h2c	*c = ctx;
	struct h2s	*s = find(c, f->hd.stream_id);

	(void)ng;
	(void)flags;
	if (s != NULL && !h2_head_field(&s->hp,
	    str_make((const char *)name, nname),
	    str_make((const char *)val, nval)))
		h2_server_calm(c, FAIL_H2_HEADER_FLOOD, NULL);
	return verdict(c);
}

static void
got_headers(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s	*s = find(c, f->hd.stream_id);
	bool		 end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	c->in_head = false;
	if (s == NULL)
		return;
	if (s->over) {
		/* it was answered before */
		if (s->hp.why != FAIL_NONE || !end)
			h2_server_reset(s, NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	if (f->headers.cat == NGHTTP2_HCAT_REQUEST)
		h2_server_ask(s, end);
	else
		h2_server_trailers(s, end);
}

static int
got_data(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s	*s = find(c, f->hd.stream_id);
	bool		 end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (s != NULL && end)
		h2_server_in_end(s);
	return 0;
}

/* Before its answer was on the way: work was done for nothing. */
static int
got_reset(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s	*s = find(c, f->hd.stream_id);

	if (s == NULL)
		return h2_server_count(c, H2_GLITCH_STRAY);
	return s->out_done ? 0 : h2_server_count(c, H2_GLITCH_RESET);
}

static void
got_ping(struct h2c *c, const nghttp2_frame *f)
{
	if ((f->hd.flags & NGHTTP2_FLAG_ACK) == 0)
		return;
	if (f->ping.opaque_data[0] == 'b') {
		if (c->bye == H2_BYE_NOTICE)
			h2_server_bye_done(c);
	} else if (h2_bdp_answer(&c->bdp)) {
		nghttp2_session_set_local_window_size(c->ng,
		    NGHTTP2_FLAG_NONE, 0, (int32_t)h2_bdp_conn(&c->bdp));
	}
}

static int
on_frame_recv(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	struct h2c	*c = ctx;

	(void)ng;
	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
		got_headers(c, f);
		return verdict(c);
	case NGHTTP2_DATA:
		return got_data(c, f);
	case NGHTTP2_RST_STREAM:
		return got_reset(c, f);
	case NGHTTP2_SETTINGS:
		c->greeted = true;
		return 0;
	case NGHTTP2_PING:
		got_ping(c, f);
		return 0;
	default:
		return 0;
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
	h2_server_data(s, p, n);
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

/* Neither our answer to something nor an end that was asked for. */
static int
sent_reset(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s	*s = find(c, f->hd.stream_id);
	uint32_t	 code = f->rst_stream.error_code;

	c->gone[c->ngone++ % H2_GONE] = f->hd.stream_id;
	if (s == NULL)
		return code == NGHTTP2_NO_ERROR ||
		    code == NGHTTP2_PROTOCOL_ERROR ? 0 :
		    h2_server_count(c, H2_GLITCH_MADE);
	if (s->was_reset)
		return 0;
	s->was_reset = true;
	/* by SETTINGS it is the connection's, which nghttp2 does not tell */
	if (code == NGHTTP2_FLOW_CONTROL_ERROR)
		return break_off(c, code, "a window is too large");
	return h2_server_count(c, H2_GLITCH_MADE);
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
		s = find(c, f->hd.stream_id);
		if (s != NULL && (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
			h2_server_framed(s);
		break;
	case NGHTTP2_RST_STREAM:
		sent_reset(c, f);
		break;
	case NGHTTP2_GOAWAY:
		if (f->goaway.error_code == NGHTTP2_NO_ERROR)
			break;
		c->judged = true;
		h2_server_calm(c, FAIL_H2_PROTOCOL, c->what);
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
	s->code = code;
	h2_server_note(s);
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
	nghttp2_session_callbacks_set_send_data_callback(cb, h2_server_send);
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
	return o;
}

static void
say_hello(struct h2c *c, nghttp2_session *ng)
{
	const struct codec_limits	*lim = &c->env->limits;
	nghttp2_settings_entry		 v[FIRST_SETTINGS] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		    (uint32_t)lim->streams },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
		    (uint32_t)lim->header_bytes }
	};
	size_t				 n = FIRST_SETTINGS;

	if (lim->header_bytes == 0 || lim->header_bytes > UINT32_MAX)
		n--;
	must(nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, v, n) == 0);
	must(nghttp2_session_set_local_window_size(ng, NGHTTP2_FLAG_NONE, 0,
	    H2_WINDOW_CONN) == 0);
}

nghttp2_session *
h2_server_session(struct h2c *c)
{
	nghttp2_session_callbacks	*cb;
	nghttp2_option			*o = make_option();
	nghttp2_session			*ng;

	must(nghttp2_session_callbacks_new(&cb) == 0);
	set_callbacks(cb);
	must(nghttp2_session_server_new2(&ng, cb, c, o) == 0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(o);
	say_hello(c, ng);
	return ng;
}
