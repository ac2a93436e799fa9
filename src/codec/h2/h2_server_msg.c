/*
 * HTTP/2, server side: requests and responses.  Workers.
 */
#include "codec/h2/h2_server.h"

#include "base/put.h"
#include "http/date.h"

#define STATUS_TEXT	4

/* --- requests --- */

static struct h2s *
begin(struct h2c *c, int32_t id)
{
	struct h2s	*s = h2_conn_stream(c, NULL);

	s->id = id;
	s->ng_open = true;
	h2_head_init(&s->hp, &s->arena, &c->env->limits, &s->head.hdrs,
	    false);
	nghttp2_session_set_stream_user_data(c->ng, id, s);
	return s;
}

/*
 * Trailers are one block, which ends the request (RFC 9113 8.1).  Nothing
 * is kept of what else there is: it could come for ever.
 */
static struct h2s *
begin_trailers(struct h2s *s, bool end)
{
	struct h2c	*c = s->c;

	if (end && s->in_fail == FAIL_NONE) {
		h2_head_init(&s->hp, &s->arena, &c->env->limits,
		    &s->trailers, true);
		return s;
	}
	if (!end && s->in_fail == FAIL_NONE)
		h2_server_spoil(s, FAIL_BAD_TRAILER);
	else if (!end)
		h2_conn_count(c, H2_GLITCH_MADE);
	s->in_ended |= end;
	return NULL;
}

struct h2s *
h2_server_heading(struct h2c *c, const nghttp2_frame *f)
{
	bool		 end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	int32_t		 id = f->hd.stream_id;
	struct h2s	*s;

	if (f->headers.cat == NGHTTP2_HCAT_REQUEST)
		return begin(c, id);
	s = nghttp2_session_get_stream_user_data(c->ng, id);
	return s == NULL ? NULL : begin_trailers(s, end);
}

static void
set_priority(struct h2s *s)
{
	nghttp2_extpri	p = { .urgency = s->hp.priority.urgency,
	    .inc = s->hp.priority.incremental };

	if (p.urgency == H2_URGENCY_DEF && !p.inc)
		return;
	nghttp2_session_change_extpri_stream_priority(s->c->ng, s->id, &p,
	    0);
}

/*
 * What is malformed gets an answer, and then the reset that RFC 9113 8.1.1
 * demands.  What is too large is no fault of the protocol's.
 */
static void
refuse(struct h2s *s, enum fail why)
{
	unsigned	status = fail_row(why)->status;

	s->st.fail = why;
	s->in_drop = true;
	if (status == 400)
		s->reset = NGHTTP2_PROTOCOL_ERROR;
}

static void
ask(struct h2s *s, bool end)
{
	struct h2c	*c = s->c;
	enum fail	 why = h2_head_finish(&s->hp, &s->head, end);

	c->requests++;
	c->last_id = s->id;
	s->in_ended = end;
	s->in_told = s->head.body == BODY_NONE;
	s->expect = s->head.expect;
	s->st.got += c->head_wire;
	s->out_ms = ev_ms(c->env->ev);
	if (why != FAIL_NONE) {
		refuse(s, why);
		if (s->reset != 0 && h2_conn_count(c, H2_GLITCH_MADE) != 0)
			return;
	} else {
		h2_glitch_opened(&c->glitch);
		set_priority(s);
	}
	s->asked = true;
	s->st.up->request(&s->st);
}

void
h2_server_headed(struct h2s *s, const nghttp2_frame *f)
{
	bool	end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (s->over) {
		/* it was answered meanwhile */
		if (s->hp.why != FAIL_NONE)
			h2_conn_reset(s, NGHTTP2_PROTOCOL_ERROR);
	} else if (f->headers.cat == NGHTTP2_HCAT_REQUEST)
		ask(s, end);
	else
		h2_conn_trailers(s);
}

void
h2_server_continue(struct h2s *s)
{
	nghttp2_nv	nv = { (uint8_t *)(uintptr_t)":status",
	    (uint8_t *)(uintptr_t)"100", 7, 3, NGHTTP2_NV_FLAG_NO_COPY_NAME |
	    NGHTTP2_NV_FLAG_NO_COPY_VALUE };

	if (!s->expect)
		return;
	s->expect = false;
	if (s->head_sent || s->in_got > 0 || !s->ng_open)
		return;
	nghttp2_submit_headers(s->c->ng, NGHTTP2_FLAG_NONE, s->id, NULL, &nv,
	    1, NULL);
	h2_conn_push(s->c);
}

/*
 * The request is malformed: after whatever answer there is, a reset.  The
 * client has made us do so, and has had a server begin on it.
 */
void
h2_server_spoil(struct h2s *s, enum fail why)
{
	if (s->in_fail != FAIL_NONE)
		return;
	s->in_fail = why;
	h2_conn_count(s->c, H2_GLITCH_MADE);
	if (s->reset == 0)
		s->reset = h2_code_of(why);
	if (s->out_done)
		h2_conn_reset(s, s->reset);
	h2_conn_note(s);
}

/* Nobody reads the rest: it is given back as it comes. */
static void
on_stop(struct source *src, enum fail why)
{
	struct h2s	*s = container_of(src, struct h2s, st.in);

	(void)why;
	s->in_drop = true;
	h2_conn_note(s);
}

const struct source_ops h2_server_in_ops = {
	.room = h2_conn_in_room,
	.stop = on_stop
};

/* --- responses --- */

/*
 * RFC 9110 8.6: none on 1xx and 204; a 304 tells that of a 200, or none.
 * A head of gRPC that is the whole answer stands for its trailers.
 */
static bool
tells_length(const struct msg *m)
{
	return m->status >= 200 && m->status != 204 &&
	    (m->body > 0 || (m->body == 0 && m->status != 304 &&
	    hdr_get(&m->hdrs, HDR_GRPC_STATUS) == NULL));
}

static nghttp2_nv *
make_head(struct h2s *s, const struct msg *m, size_t *n)
{
	nghttp2_nv	*nv = arena_room(&s->arena,
	    ((size_t)m->hdrs.n + 3) * sizeof(*nv));
	char		*num = arena_text(&s->arena, PUT_U64_MAX +
	    STATUS_TEXT);
	char		*end = put_u64(num, m->status);

	*n = 0;
	h2_conn_add_nv(nv, n, STR(":status"), str_make(num,
	    (size_t)(end - num)), NGHTTP2_NV_FLAG_NO_COPY_NAME);
	h2_conn_add_fields(s->c, nv, n, &m->hdrs, HDR_F_HOP | HDR_F_FRAME);
	if (m->status >= 200 && hdr_get(&m->hdrs, HDR_DATE) == NULL)
		h2_conn_add_nv(nv, n, STR("date"), str_make(s->c->env->date,
		    DATE_LEN), NGHTTP2_NV_FLAG_NO_COPY_NAME);
	if (tells_length(m)) {
		num = end;
		end = put_u64(num, (uint64_t)m->body);
		h2_conn_add_nv(nv, n, STR("content-length"), str_make(num,
		    (size_t)(end - num)), NGHTTP2_NV_FLAG_NO_COPY_NAME);
	}
	return nv;
}

/* One 100 is enough; a 101 has no meaning here (RFC 9113 8.6). */
static void
send_interim(struct h2s *s, const struct msg *m)
{
	nghttp2_nv	*nv;
	size_t		 n;

	if (m->status == 101 || (m->status == 100 && !s->expect))
		return;
	if (m->status == 100)
		s->expect = false;
	nv = make_head(s, m, &n);
	if (nghttp2_submit_headers(s->c->ng, NGHTTP2_FLAG_NONE, s->id, NULL,
	    nv, n, NULL) != 0)
		s->broken = FAIL_INTERNAL;
}

static void
send_head(struct h2s *s, struct msg *m, bool end)
{
	nghttp2_data_provider	 body = { .source.ptr = s,
	    .read_callback = h2_conn_read };
	nghttp2_nv		*nv;
	size_t			 n;

	s->bodyless = s->head.meth == METHOD_HEAD || m->status == 204 ||
	    m->status == 304;
	if (end && m->body == BODY_UNKNOWN && !s->bodyless)
		m->body = BODY_NONE;
	s->out_left = s->bodyless ? BODY_UNKNOWN : m->body;
	s->head_sent = true;
	s->head_alone = !end && !s->bodyless;
	s->c->head_alone |= s->head_alone;
	nv = make_head(s, m, &n);
	if (nghttp2_submit_response(s->c->ng, s->id, nv, n,
	    end || s->bodyless ? NULL : &body) != 0)
		s->broken = FAIL_INTERNAL;
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct h2s	*s = h2_conn_of_out(k);

	if (h2_conn_is_shut(s) || s->head_sent)
		return;
	must((flags & WAIST_UPGRADE) == 0);
	if (flags & WAIST_INTERIM)
		send_interim(s, m);
	else
		send_head(s, m, (flags & WAIST_END) != 0);
	if (flags & WAIST_END)
		h2_conn_end_out(s);
	if (s->broken != FAIL_NONE)
		h2_conn_note(s);
	h2_conn_push(s->c);
}

const struct sink_ops h2_server_out_ops = {
	.head = on_head,
	.data = h2_conn_out_data,
	.trailers = h2_conn_out_trailers,
	.end = h2_conn_out_end,
	.abort = h2_conn_out_abort
};

/* --- their end --- */

/*
 * There are clients that lose an answer when a reset stands behind it, be
 * the code NO_ERROR.  What is on its way anyway may come; of more they are
 * kept by the stream's window, until they have seen the answer.
 */
static void
skip(struct h2s *s)
{
	s->skip_ms = ev_ms(s->c->env->ev);
	s->skip_from = s->in_got;
}

/*
 * With the answer the stream is over: what is left of the request nobody
 * will read (RFC 9113 8.1), and one that was malformed is told so.
 */
void
h2_server_framed(struct h2s *s)
{
	if (s->out_done)
		return;
	s->out_done = true;
	s->end_pos = s->c->q.put;
	list_add_tail(&s->c->ending, &s->end);
	if (s->reset != 0)
		h2_conn_reset(s, s->reset);
	else if (!s->in_ended)
		skip(s);
}

/* The next write may hand their last bytes to the kernel. */
void
h2_server_writes(struct h2c *c)
{
	uint64_t	 to = c->q.out + h2_outq_next(&c->q);
	struct list	*pos;
	struct h2s	*s;

	list_each(pos, &c->ending) {
		s = container_of(pos, struct h2s, end);
		if (s->end_pos > to)
			break;
		if (s->last_told || s->over)
			continue;
		s->last_told = true;
		s->st.queued = s->framed - s->st.sent;
		s->st.up->last(&s->st);
	}
}

/* Those whose last byte is gone. */
void
h2_server_wrote(struct h2c *c)
{
	struct h2s	*s;

	while (!list_is_empty(&c->ending)) {
		s = container_of(c->ending.next, struct h2s, end);
		if (s->end_pos > c->q.out)
			break;
		list_del(&s->end);
		s->st.queued = 0;
		h2_conn_close_stream(s, FAIL_NONE);
	}
}
