/*
 * HTTP/2, client side: requests and answers.  Workers.
 *
 * Heads and what becomes of them live in the arena of the exchange, which
 * may need them after the stream.
 */
#include "codec/h2/h2_client.h"

#include "base/put.h"
#include "base/text.h"
#include "http/uri.h"

#define INTERIM_MAX	8
#define OURS		8	/* fields of ours in a head, at most */

void
h2_client_fail(struct h2s *s, enum fail why, const char *what)
{
	if (s->over || s->broken != FAIL_NONE)
		return;
	s->broken = why;
	if (what != NULL)
		s->st.what = what;
	h2_conn_note(s);
}

/* --- requests --- */

static struct str
make_path(struct arena *a, struct str target)
{
	struct text	t;

	text_init_fixed(&t, arena_text(a, 3 * target.n), 3 * target.n);
	uri_put_target(&t, target);
	return text_str(&t);
}

static void
add_pseudo(struct h2s *s, const struct msg *m, nghttp2_nv *nv, size_t *n)
{
	struct str	host;
	int		port;

	h2_conn_add_nv(nv, n, STR(":method"), m->method,
	    NGHTTP2_NV_FLAG_NO_COPY_NAME);
	/* the scheme of this connection: servers compare the two */
	h2_conn_add_nv(nv, n, STR(":scheme"), s->c->io->caps & IO_C_SECURE ?
	    STR("https") : STR("http"), NGHTTP2_NV_FLAG_NO_COPY_NAME |
	    NGHTTP2_NV_FLAG_NO_COPY_VALUE);
	if (uri_parse_host(m->authority, &host, &port) == FAIL_NONE)
		h2_conn_add_nv(nv, n, STR(":authority"), m->authority,
		    NGHTTP2_NV_FLAG_NO_COPY_NAME);
	h2_conn_add_nv(nv, n, STR(":path"), make_path(&s->arena, m->target),
	    NGHTTP2_NV_FLAG_NO_COPY_NAME);
}

static nghttp2_nv *
make_head(struct h2s *s, const struct msg *m, size_t *n)
{
	nghttp2_nv	*nv = arena_room(&s->arena,
	    ((size_t)m->hdrs.n + OURS) * sizeof(*nv));
	char		*num = arena_text(&s->arena, PUT_U64_MAX);
	char		*end;

	*n = 0;
	add_pseudo(s, m, nv, n);
	h2_conn_add_fields(s->c, nv, n, &m->hdrs, HDR_F_HOP | HDR_F_FRAME);
	if (m->body > 0 || (m->body == 0 &&
	    msg_wants_length((enum http_method)m->meth))) {
		end = put_u64(num, (uint64_t)m->body);
		h2_conn_add_nv(nv, n, STR("content-length"), str_make(num,
		    (size_t)(end - num)), NGHTTP2_NV_FLAG_NO_COPY_NAME);
	}
	if (m->expect)
		h2_conn_add_nv(nv, n, STR("expect"), STR("100-continue"),
		    NGHTTP2_NV_FLAG_NO_COPY_NAME);
	if (m->trailers)
		h2_conn_add_nv(nv, n, STR("te"), STR("trailers"),
		    NGHTTP2_NV_FLAG_NO_COPY_NAME);
	return nv;
}

/* The server's limit is a wish; who passes it is refused there, or cut. */
static bool
is_too_large(struct h2c *c, const nghttp2_nv *nv, size_t n)
{
	uint32_t	max = nghttp2_session_get_remote_settings(c->ng,
	    NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
	uint64_t	sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += nv[i].namelen + nv[i].valuelen + H2_FIELD_COST;
	return sum > max;
}

/* Its stream's number; 0: it has failed. */
static int32_t
submit(struct h2s *s, const struct msg *m, bool end)
{
	nghttp2_data_provider	 body = { .source.ptr = s,
	    .read_callback = h2_conn_read };
	struct h2c		*c = s->c;
	nghttp2_nv		*nv;
	int32_t			 id;
	size_t			 n;

	if (m->upgrade || m->meth == METHOD_CONNECT) {
		h2_client_fail(s, FAIL_UPGRADE_ON_H2, NULL);
		return 0;
	}
	nv = make_head(s, m, &n);
	if (is_too_large(c, nv, n)) {
		h2_client_fail(s, FAIL_SERVER_HEAD_LIMIT, NULL);
		return 0;
	}
	id = nghttp2_submit_request(c->ng, NULL, nv, n, end ? NULL : &body,
	    s);
	if (id > 0)
		return id;
	/* its numbers are used up, or it is about to end */
	c->bye = H2_BYE_SAID;
	h2_client_fail(s, FAIL_SERVER_GOAWAY, nghttp2_strerror((int)id));
	return 0;
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct h2s	*s = h2_conn_of_out(k);
	bool		 end = (flags & WAIST_END) != 0;

	if (s->over || s->head_sent || s->broken != FAIL_NONE)
		return;
	if (end && m->body == BODY_UNKNOWN)
		m->body = BODY_NONE;
	if (s->c->mute || s->c->eof) {
		h2_client_fail(s, FAIL_SERVER_GOAWAY, H2_CLIENT_LOST);
		return;
	}
	s->meth = m->meth;
	s->out_left = m->body;
	s->head_sent = true;
	s->head_alone = !end;
	s->c->head_alone |= s->head_alone;
	s->out_ms = s->last = ev_ms(s->c->env->ev);
	s->c->unheard = true;
	s->id = submit(s, m, end);
	s->ng_open = s->id > 0;
	if (end)
		h2_conn_end_out(s);
	if (s->broken != FAIL_NONE)
		h2_conn_note(s);
	h2_conn_push(s->c);
}

const struct sink_ops h2_client_out_ops = {
	.head = on_head,
	.data = h2_conn_out_data,
	.trailers = h2_conn_out_trailers,
	.end = h2_conn_out_end,
	.abort = h2_conn_out_abort
};

/* --- answers --- */

struct h2s *
h2_client_heading(struct h2c *c, const nghttp2_frame *f)
{
	struct h2s	*s = nghttp2_session_get_stream_user_data(c->ng,
	    f->hd.stream_id);

	if (s == NULL || s->over || s->broken != FAIL_NONE)
		return NULL;
	s->st.begun = true;
	h2_head_init(&s->hp, s->st.arena, &c->env->limits, s->answered ?
	    &s->trailers : &s->head.hdrs, s->answered);
	s->hp.answer = true;
	return s;
}

static void
refuse(struct h2s *s, enum fail why, const char *what)
{
	s->reset = NGHTTP2_PROTOCOL_ERROR;
	h2_client_fail(s, why, what);
}

static void
pass_interim(struct h2s *s)
{
	struct sink	*to = s->st.in.to;
	struct msg	*m;

	if (++s->interims > INTERIM_MAX) {
		refuse(s, FAIL_UNEXPECTED_INTERIM, "more than eight");
		return;
	}
	s->st.begun = false;
	m = arena_alloc(s->st.arena, sizeof(*m));
	*m = s->head;
	s->head = (struct msg){ 0 };
	if (to != NULL)
		to->ops->head(to, m, WAIST_INTERIM);
}

static void
pass_final(struct h2s *s, bool end)
{
	struct sink	*to = s->st.in.to;

	h2_glitch_opened(&s->c->glitch);
	s->answered = true;
	s->in_ended = s->in_told = end;
	if (to != NULL)
		to->ops->head(to, &s->head, end ? WAIST_END : 0);
	h2_conn_note(s);
}

static void
got_trailers(struct h2s *s, bool end)
{
	const char	*what;
	enum fail	 why = h2_head_trailer(&s->hp, &what);

	if (why == FAIL_NONE && !end) {
		why = FAIL_BAD_RESPONSE_TRAILER;
		what = "they do not end the answer";
	}
	if (why != FAIL_NONE)
		refuse(s, why, what);
	else
		h2_conn_in_end(s);
}

void
h2_client_headed(struct h2s *s, const nghttp2_frame *f)
{
	bool		 end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	const char	*what;
	enum fail	 why;

	s->st.got += s->c->head_wire;
	s->last = s->c->heard;
	if (s->over || s->broken != FAIL_NONE)
		return;
	if (s->answered) {
		got_trailers(s, end);
		return;
	}
	why = h2_head_answer(&s->hp, &s->head, (enum http_method)s->meth,
	    end, &what);
	if (why != FAIL_NONE)
		refuse(s, why, what);
	else if (s->head.status < 200)
		pass_interim(s);
	else
		pass_final(s, end);
}

void
h2_client_spoil(struct h2s *s, enum fail why)
{
	(void)why;
	if (!s->answered)
		refuse(s, FAIL_BAD_RESPONSE_LINE, "a body before its head");
	else
		refuse(s, FAIL_RESPONSE_LENGTH_MISMATCH, s->head.bodyless ?
		    "a body where none may be" : NULL);
}

/* It was waited for in vain, and meanwhile nothing came of others either. */
static bool
is_silent(const struct h2s *s)
{
	return s->head_sent && s->c->heard <= s->last;
}

static bool
is_late(enum fail why)
{
	return why == FAIL_FIRST_BYTE_TIMEOUT || why == FAIL_SEND_TIMEOUT ||
	    why == FAIL_BETWEEN_TIMEOUT || why == FAIL_STREAM_IDLE_TIMEOUT;
}

/*
 * Nobody wants the answer: the stream ends, those beside it go on.  Where
 * the path may be dead no others are to wait in vain: the next one dials.
 * A caller's own deadline may be too near to say so; the server is asked.
 */
static void
on_stop(struct source *src, enum fail why)
{
	struct h2s	*s = container_of(src, struct h2s, st.in);

	if (is_late(why) && is_silent(s))
		s->c->bye = H2_BYE_SAID;
	else if (why == FAIL_DEADLINE_EXCEEDED && is_silent(s))
		h2_client_doubt(s->c);
	s->in_drop = s->in_told = true;
	h2_client_fail(s, why == FAIL_NONE ? FAIL_INTERNAL : why, NULL);
}

const struct source_ops h2_client_in_ops = {
	.room = h2_conn_in_room,
	.stop = on_stop
};
