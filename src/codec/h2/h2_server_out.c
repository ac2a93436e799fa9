/*
 * HTTP/2, server side: responses.  Workers.
 *
 * Calls of the sink fill the stream's queue; nghttp2 asks for its bytes
 * when the turn ends, the most urgent stream first, as windows allow, and
 * they move to the connection's queue by reference.
 */
#include "codec/h2/h2_server.h"

#include <string.h>

#include "base/put.h"
#include "http/date.h"

#define SEND		65536	/* credit of a stream */
#define SEND_LEAST	16384	/* when memory is short */
#define SEND_FAST	262144	/* when there are few */
#define FEW		4	/* streams that may have more each */
#define STATUS_TEXT	4

static struct h2s *
of(struct sink *k)
{
	return container_of(k, struct h2s, st.out);
}

/* The more there is of all of them, the less of each. */
int64_t
h2_server_window(const struct h2s *s)
{
	const struct page_pool	*pool = s->c->env->pages;

	if (pool->soft > 0 && pool->live >= pool->soft)
		return SEND_LEAST;
	if (s->c->nstream <= FEW && (pool->soft == 0 ||
	    pool->live < pool->soft / 4))
		return SEND_FAST;
	return SEND;
}

/* --- heads --- */

static void
add_nv(nghttp2_nv *nv, size_t *n, struct str name, struct str val,
    unsigned flags)
{
	nv[(*n)++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
	    (uint8_t *)(uintptr_t)val.p, name.n, val.n, (uint8_t)flags };
}

/* Was it looked at, or does it stand the look? */
static bool
is_good(const struct hdr *h)
{
	return (h->flags & HDR_F_GOOD) != 0 ||
	    (hdr_is_token(h->name) && hdr_is_value(h->val));
}

/* Names of the table outlive the frame; the rest nghttp2 copies. */
static void
add_fields(nghttp2_nv *nv, size_t *n, const struct hdrs *hs, unsigned not)
{
	const struct hdr	*h;
	unsigned		 flags;
	bool			 known;

	for (size_t i = 0; i < hs->n; i++) {
		h = &hs->v[i];
		if ((h->flags & (not | HDR_F_DEAD)) != 0 ||
		    h->id == HDR_HOST || !is_good(h))
			continue;
		known = h->id != HDR_OTHER;
		flags = known ? NGHTTP2_NV_FLAG_NO_COPY_NAME :
		    NGHTTP2_NV_FLAG_NONE;
		/*
		 * One's secret, and what is never the same again: that
		 * would push out of HPACK's table all that comes each time.
		 */
		if (h->id == HDR_SET_COOKIE || h->id == HDR_X_REQUEST_ID)
			flags |= NGHTTP2_NV_FLAG_NO_INDEX;
		add_nv(nv, n, known ? hdr_name((enum hdr_id)h->id) : h->name,
		    str_trim(h->val), flags);
	}
}

/* RFC 9110 8.6: none on 1xx and 204; a 304 tells that of a 200, or none. */
static bool
tells_length(const struct msg *m)
{
	return m->status >= 200 && m->status != 204 &&
	    (m->body > 0 || (m->body == 0 && m->status != 304));
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
	add_nv(nv, n, STR(":status"), str_make(num, (size_t)(end - num)),
	    NGHTTP2_NV_FLAG_NO_COPY_NAME);
	add_fields(nv, n, &m->hdrs, HDR_F_HOP | HDR_F_FRAME);
	if (m->status >= 200 && hdr_get(&m->hdrs, HDR_DATE) == NULL)
		add_nv(nv, n, STR("date"), str_make(s->c->env->date,
		    DATE_LEN), NGHTTP2_NV_FLAG_NO_COPY_NAME);
	if (tells_length(m)) {
		num = end;
		end = put_u64(num, (uint64_t)m->body);
		add_nv(nv, n, STR("content-length"), str_make(num,
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
	    .read_callback = h2_server_read };
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

static bool
is_closed(const struct h2s *s)
{
	return s->over || !s->ng_open || s->broken != FAIL_NONE;
}

static void
end_out(struct h2s *s)
{
	if (s->out_ended)
		return;
	s->out_ended = true;
	if (s->out_left > 0 && !s->bodyless)
		s->broken = FAIL_INTERNAL;
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct h2s	*s = of(k);

	if (is_closed(s) || s->head_sent)
		return;
	must((flags & WAIST_UPGRADE) == 0);
	if (flags & WAIST_INTERIM)
		send_interim(s, m);
	else
		send_head(s, m, (flags & WAIST_END) != 0);
	if (flags & WAIST_END)
		end_out(s);
	if (s->broken != FAIL_NONE)
		h2_server_note(s);
	h2_server_push(s->c);
}

/* --- bodies --- */

/* nghttp2 asks again. */
static void
resume(struct h2s *s)
{
	if (s->deferred && s->ng_open && !s->was_reset) {
		s->deferred = false;
		nghttp2_session_resume_data(s->c->ng, s->id);
	}
	if (s->broken != FAIL_NONE)
		h2_server_note(s);
	h2_server_push(s->c);
}

/* Never silently more than was announced. */
static bool
fits(struct h2s *s, uint64_t n)
{
	if (s->out_left == BODY_UNKNOWN)
		return true;
	if (n > (uint64_t)s->out_left) {
		s->broken = FAIL_INTERNAL;
		return false;
	}
	s->out_left -= (int64_t)n;
	return true;
}

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct h2s	*s = of(k);

	must(c.kind != CHUNK_SPLICE);
	if (is_closed(s) || !s->head_sent) {
		chunk_drop(&c);
		return FLOW_FULL;
	}
	s->head_alone = false;
	if (s->bodyless || s->out_ended || c.n == 0 || !fits(s, c.n)) {
		chunk_drop(&c);
	} else {
		if (s->out.n == 0)
			s->out_ms = ev_ms(s->c->env->ev);
		k->credit -= (int64_t)c.n;
		h2_ring_add(&s->out, c, NULL);
	}
	if (flags & WAIST_END)
		end_out(s);
	resume(s);
	if (k->credit > 0)
		return FLOW_MORE;
	s->full = true;
	return FLOW_FULL;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	struct h2s	*s = of(k);
	struct hdrs	 own = { 0 };

	if (is_closed(s) || s->bodyless || s->out_ended || hs->n == 0)
		return;
	hdr_copy(&s->arena, &own, hs);
	s->trailer = arena_room(&s->arena, own.n * sizeof(*s->trailer));
	s->ntrailer = 0;
	add_fields(s->trailer, &s->ntrailer, &own,
	    HDR_F_NOTRAIL | HDR_F_HOP | HDR_F_FRAME);
}

static void
on_end(struct sink *k)
{
	struct h2s	*s = of(k);

	if (is_closed(s) || !s->head_sent)
		return;
	end_out(s);
	resume(s);
}

static void
on_abort(struct sink *k, enum fail why)
{
	struct h2s	*s = of(k);

	if (s->over || s->broken != FAIL_NONE)
		return;
	s->broken = why == FAIL_NONE ? FAIL_INTERNAL : why;
	h2_server_note(s);
}

const struct sink_ops h2_server_out_ops = {
	.head = on_head,
	.data = on_data,
	.trailers = on_trailers,
	.end = on_end,
	.abort = on_abort
};

/* --- what nghttp2 asks for --- */

/*
 * Bytes of one frame: pieces in memory, or of one file, so that a file
 * that was cut short is noticed before its frame has begun.
 */
static size_t
frame_size(const struct h2_ring *r, size_t max)
{
	const struct chunk	*c;
	uint64_t		 n = 0;

	if (max > H2_FILE_MAX)
		max = H2_FILE_MAX;
	for (uint32_t i = 0; i < r->n && n < max; i++) {
		c = &h2_ring_nth(r, i)->c;
		if (c->kind == CHUNK_FILE && i > 0)
			break;
		n += c->n;
		if (c->kind == CHUNK_FILE)
			break;
	}
	return n < max ? (size_t)n : max;
}

ssize_t
h2_server_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max,
    uint32_t *flags, nghttp2_data_source *src, void *ctx)
{
	struct h2s	*s = src->ptr;
	size_t		 n = frame_size(&s->out, max);

	(void)buf;
	(void)ctx;
	if (s->over || s->broken != FAIL_NONE || (n == 0 && !s->out_ended)) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (n > 0)
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < s->out.bytes || !s->out_ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->ntrailer > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(ng, id, s->trailer,
		    s->ntrailer) != 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return (ssize_t)n;
}

static void
took(struct h2s *s, size_t n)
{
	struct sink	*k = &s->st.out;
	int64_t		 most = h2_server_window(s) - (int64_t)s->out.bytes;

	s->framed += H2_HEAD + n;
	s->out_ms = ev_ms(s->c->env->ev);
	k->credit += (int64_t)n;
	if (k->credit > most || s->out.n == 0)
		k->credit = most;
	if (k->credit <= 0)
		s->full = true;
	if (s->full)
		h2_server_note(s);
	h2_glitch_sent(&s->c->glitch);
}

int
h2_server_send(nghttp2_session *ng, nghttp2_frame *f, const uint8_t *head,
    size_t n, nghttp2_data_source *src, void *ctx)
{
	struct h2s	*s = src->ptr;
	struct h2c	*c = ctx;
	struct h2_outq	*q = &c->q;
	struct str	 h = str_make((const char *)head, H2_HEAD);
	struct chunk	 k;
	size_t		 left = n;

	(void)ng;
	(void)f;
	if (q->ring.bytes >= H2_OUT_MAX)
		return NGHTTP2_ERR_WOULDBLOCK;
	if (s->over || s->broken != FAIL_NONE)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	must(s->out.n > 0 && n <= s->out.bytes);
	if (h2_ring_nth(&s->out, 0)->c.kind == CHUNK_FILE) {
		if (h2_outq_file(q, h, h2_ring_cut(&s->out, n), s) == -1) {
			s->broken = FAIL_FILE_CHANGED;
			h2_server_note(s);
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
		took(s, n);
		return 0;
	}
	h2_outq_copy(q, h, s);
	while (left > 0) {
		k = h2_ring_cut(&s->out, left);
		left -= (size_t)k.n;
		h2_outq_add(q, k, s);
	}
	took(s, n);
	return 0;
}

void
h2_server_room(struct h2s *s)
{
	struct source	*from = s->st.out.from;

	if (!s->full || s->out_ended || s->over || from == NULL ||
	    s->st.out.credit < h2_server_window(s) / 2)
		return;
	s->full = false;
	from->ops->room(from);
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
		h2_server_reset(s, s->reset);
	else if (!s->in_ended)
		h2_server_skip(s);
}
