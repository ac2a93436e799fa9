/*
 * HTTP/2, both sides: messages that leave.  Workers.
 *
 * Calls of the sink fill the stream's queue; nghttp2 asks for its bytes
 * when the turn ends, the most urgent stream first, as windows allow, and
 * they move to the connection's queue by reference.
 */
#include "codec/h2/h2_conn_out.h"

#include "codec/h2/h2_conn.h"

#define SEND		65536	/* credit of a stream */
#define SEND_LEAST	16384	/* when memory is short */
#define SEND_FAST	262144	/* when there are few */
#define PROGRESS	1024	/* bytes; or all that there is */
#define FEW		4	/* streams that may have more each */
#define ID_PUTS		1024	/* heads for one id that is indexed */

struct h2s *
h2_conn_of_out(struct sink *k)
{
	return container_of(k, struct h2s, st.out);
}

bool
h2_conn_is_short(const struct h2c *c)
{
	const struct page_pool	*pool = c->env->pages;

	return pool->soft > 0 && pool->live >= pool->soft;
}

/* The more there is of all of them, the less of each. */
int64_t
h2_conn_window(const struct h2s *s)
{
	const struct page_pool	*pool = s->c->env->pages;

	if (h2_conn_is_short(s->c))
		return SEND_LEAST;
	if (s->c->nstream <= FEW && (pool->soft == 0 ||
	    pool->live < pool->soft / 4))
		return SEND_FAST;
	return SEND;
}

/* --- heads --- */

void
h2_conn_add_nv(nghttp2_nv *nv, size_t *n, struct str name, struct str val,
    unsigned flags)
{
	nv[(*n)++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
	    (uint8_t *)(uintptr_t)val.p, name.n, val.n, (uint8_t)flags };
}

/* Was it looked at, or does it stand the look? */
static bool
is_good(const struct hdr *h, struct str *val)
{
	*val = h->val;
	if (h->flags & HDR_F_GOOD)
		return true;
	*val = str_trim(*val);
	return hdr_is_token(h->name) && hdr_is_value(*val);
}

/*
 * A client's secrets are none of another's table; and what is never the
 * same again would push out of it all that comes each time.  But now and
 * then it goes in, so that its name is there and need not be spelt.
 */
static unsigned
index_flag(struct h2c *c, unsigned id)
{
	switch (id) {
	case HDR_X_REQUEST_ID:
		return c->nid++ % ID_PUTS == 0 ? NGHTTP2_NV_FLAG_NONE :
		    NGHTTP2_NV_FLAG_NO_INDEX;
	case HDR_SET_COOKIE:
	case HDR_COOKIE:
	case HDR_AUTHORIZATION:
		return NGHTTP2_NV_FLAG_NO_INDEX;
	default:
		return NGHTTP2_NV_FLAG_NONE;
	}
}

/* Names of the table outlive the frame; the rest nghttp2 copies. */
void
h2_conn_add_fields(struct h2c *c, nghttp2_nv *nv, size_t *n,
    const struct hdrs *hs, unsigned not)
{
	const struct hdr	*h;
	struct str		 val;

	for (size_t i = 0; i < hs->n; i++) {
		h = &hs->v[i];
		if ((h->flags & (not | HDR_F_DEAD)) != 0 ||
		    h->id == HDR_HOST || !is_good(h, &val))
			continue;
		if (h->id == HDR_OTHER)
			h2_conn_add_nv(nv, n, h->name, val,
			    NGHTTP2_NV_FLAG_NONE);
		else
			h2_conn_add_nv(nv, n, hdr_name((enum hdr_id)h->id),
			    val, NGHTTP2_NV_FLAG_NO_COPY_NAME |
			    index_flag(c, h->id));
	}
}

bool
h2_conn_is_shut(const struct h2s *s)
{
	return s->over || !s->ng_open || s->broken != FAIL_NONE;
}

void
h2_conn_end_out(struct h2s *s)
{
	if (s->out_ended)
		return;
	s->out_ended = true;
	if (s->out_left > 0 && !s->bodyless)
		s->broken = FAIL_INTERNAL;
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
		h2_conn_note(s);
	h2_conn_push(s->c);
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

enum flow
h2_conn_out_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct h2s	*s = h2_conn_of_out(k);

	must(c.kind != CHUNK_SPLICE);
	if (h2_conn_is_shut(s) || !s->head_sent) {
		chunk_drop(&c);
		k->credit = 0;
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
		h2_conn_end_out(s);
	resume(s);
	if (k->credit > 0)
		return FLOW_MORE;
	s->full = true;
	return FLOW_FULL;
}

void
h2_conn_out_trailers(struct sink *k, const struct hdrs *hs)
{
	struct h2s	*s = h2_conn_of_out(k);
	struct hdrs	 own = { 0 };

	if (h2_conn_is_shut(s) || s->bodyless || s->out_ended || hs->n == 0)
		return;
	hdr_copy(&s->arena, &own, hs);
	s->trailer = arena_room(&s->arena, own.n * sizeof(*s->trailer));
	s->ntrailer = 0;
	h2_conn_add_fields(s->c, s->trailer, &s->ntrailer, &own,
	    HDR_F_NOTRAIL | HDR_F_HOP | HDR_F_FRAME);
}

void
h2_conn_out_end(struct sink *k)
{
	struct h2s	*s = h2_conn_of_out(k);

	if (h2_conn_is_shut(s) || !s->head_sent)
		return;
	h2_conn_end_out(s);
	resume(s);
}

void
h2_conn_out_abort(struct sink *k, enum fail why)
{
	struct h2s	*s = h2_conn_of_out(k);

	if (s->over || s->broken != FAIL_NONE)
		return;
	s->broken = why == FAIL_NONE ? FAIL_INTERNAL : why;
	h2_conn_note(s);
}

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

/* No frame comes of it; nghttp2 resets the stream, as we want it to. */
static int
give_up(struct h2s *s)
{
	s->was_reset = true;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

ssize_t
h2_conn_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max,
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
			return give_up(s);
	}
	return (ssize_t)n;
}

/* Who lets out a byte now and then has stalled as well. */
static void
note_progress(struct h2s *s, size_t n)
{
	s->out_some += n;
	if (s->out_some < PROGRESS && s->out.n > 0)
		return;
	s->out_some = 0;
	s->out_ms = ev_ms(s->c->env->ev);
}

static void
took(struct h2s *s, size_t n)
{
	struct sink	*k = &s->st.out;
	int64_t		 most = h2_conn_window(s) - (int64_t)s->out.bytes;

	s->framed += H2_HEAD + n;
	note_progress(s, n);
	k->credit += (int64_t)n;
	if (k->credit > most || s->out.n == 0)
		k->credit = most;
	if (k->credit <= 0)
		s->full = true;
	if (s->full)
		h2_conn_note(s);
	h2_glitch_sent(&s->c->glitch);
}

int
h2_conn_send(nghttp2_session *ng, nghttp2_frame *f, const uint8_t *head,
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
		return give_up(s);
	must(s->out.n > 0 && n <= s->out.bytes);
	if (h2_ring_nth(&s->out, 0)->c.kind == CHUNK_FILE) {
		if (h2_outq_file(q, h, h2_ring_cut(&s->out, n), s) == -1) {
			s->broken = FAIL_FILE_CHANGED;
			h2_conn_note(s);
			return give_up(s);
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
h2_conn_room(struct h2s *s)
{
	struct source	*from = s->st.out.from;
	int64_t		 window = h2_conn_window(s);

	if (!s->full || s->out_ended || s->over || from == NULL)
		return;
	/* it may have grown since the last byte was taken */
	if (s->out.n == 0)
		s->st.out.credit = window;
	if (s->st.out.credit < window / 2)
		return;
	s->full = false;
	from->ops->room(from);
}

