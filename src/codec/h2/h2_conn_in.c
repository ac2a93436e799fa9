/*
 * HTTP/2, both sides: bodies that come.  Workers.
 *
 * A body's bytes stay in the page that they were read into, unless they
 * are few: those lie one behind the other in a page of their stream, or
 * each byte that waits could keep a page of its own.  They are given back
 * to the stream's window when the sink has taken them, so that who is slow
 * stops its own stream; to the connection's at once, up to HOLD, else then,
 * too.  Windows are widened by no more than half of that: the rest is for
 * as many streams as there usually are, with their first windows full.
 */
#include "codec/h2/h2_conn.h"

#define H2_SKIP_MAX	1048576	/* of a body nobody reads */
#define HOLD		(16 << 20)	/* bytes that stop nobody else */
#define WIDE		(HOLD / 2)

#include <string.h>

/* --- bodies --- */

void
h2_conn_give_back(struct h2s *s, uint64_t n)
{
	struct h2c	*c = s->c;
	uint64_t	 owed = n < s->owed ? n : s->owed;

	s->owed -= owed;
	c->held_in -= n - owed;
	if (owed > 0)
		nghttp2_session_consume_connection(c->ng, owed);
	if (n > 0 && s->ng_open)
		nghttp2_session_consume_stream(c->ng, s->id, n);
}

/*
 * n bytes are to be held for a stream.  Of the connection's window they are
 * given back at once, so that a reader who is slow stops its own stream
 * alone; but not without bound.
 */
static void
hold(struct h2s *s, size_t n)
{
	struct h2c	*c = s->c;

	if (c->held_in + n > HOLD || h2_conn_is_short(c)) {
		s->owed += n;
		return;
	}
	c->held_in += n;
	nghttp2_session_consume_connection(c->ng, n);
}

void
h2_conn_in_fail(struct h2s *s, enum fail why)
{
	struct sink	*to = s->st.in.to;

	if (s->in_fail != FAIL_NONE)
		return;
	s->in_fail = why;
	s->wait_ms = 0;
	h2_conn_give_back(s, s->in.bytes);
	h2_ring_fini(&s->in);
	page_unref(&s->small);
	if (!s->in_drop && !s->in_told && to != NULL) {
		s->in_told = true;
		to->ops->abort(to, why);
	}
}

void
h2_conn_trailers(struct h2s *s)
{
	if (s->hp.why != FAIL_NONE)
		s->c->side->spoil(s, FAIL_BAD_TRAILER);
	s->st.got += s->c->head_wire;
	h2_conn_in_end(s);
}

void
h2_conn_in_end(struct h2s *s)
{
	if (s->head.body > 0 && !s->head.bodyless &&
	    s->in_got != (uint64_t)s->head.body)
		s->c->side->spoil(s, FAIL_LENGTH_MISMATCH);
	s->in_ended = true;
	h2_conn_note(s);
}

static const char *
copy_small(struct h2s *s, const char *p, size_t n)
{
	struct page	*pg = s->small;
	char		*to;

	if (pg != NULL && pg->refs == 1)
		pg->fill = 0;
	if (pg != NULL && pg->cap - pg->fill < n)
		page_unref(&s->small);
	if (s->small == NULL)
		s->small = page_new(s->c->env->pages);
	pg = s->small;
	to = pg->data + pg->fill;
	memcpy(to, p, n);
	pg->fill += (uint32_t)n;
	return to;
}

static struct chunk
chunk_of(struct h2s *s, const char *p, size_t n)
{
	struct chunk	 k = { .kind = CHUNK_PAGE, .n = n };
	struct page	*pg = s->c->in;

	must(p >= pg->data && p + n <= pg->data + pg->fill);
	if (n <= H2_COPY_MAX) {
		p = copy_small(s, p, n);
		pg = s->small;
	}
	k.u.mem.page = page_ref(pg);
	k.u.mem.p = p;
	return k;
}

void
h2_conn_tidy(struct h2s *s)
{
	if (s->small != NULL && s->small->refs == 1)
		page_unref(&s->small);
}

/* Time is counted only while we wait for the client, not it for us. */
static void
came(struct h2s *s)
{
	if (s->wait_ms != 0)
		s->waited_ms += ev_ms(s->c->env->ev) - s->wait_ms;
	s->wait_ms = 0;
}

/* Nobody is to have them. */
static void
skip(struct h2s *s, size_t n)
{
	if (s->skip_ms != 0 && s->in_got > s->skip_from + H2_SKIP_MAX)
		nghttp2_session_consume_connection(s->c->ng, n);
	else
		nghttp2_session_consume(s->c->ng, s->id, n);
}

static bool
is_too_much(struct h2s *s)
{
	return s->head.bodyless || (s->head.body != BODY_UNKNOWN &&
	    s->in_got > (uint64_t)s->head.body);
}

void
h2_conn_data(struct h2s *s, const uint8_t *p, size_t n)
{
	came(s);
	s->last = s->c->heard;
	s->in_got += n;
	s->st.got += n;
	if (is_too_much(s))
		s->c->side->spoil(s, FAIL_LENGTH_MISMATCH);
	if (s->in_drop || s->in_fail != FAIL_NONE || s->over ||
	    s->skip_ms != 0) {
		skip(s, n);
		return;
	}
	hold(s, n);
	h2_ring_add(&s->in, chunk_of(s, (const char *)p, n), NULL);
	h2_conn_note(s);
}

/* A stream whose reader keeps up may have what the path has. */
static void
widen(struct h2s *s)
{
	struct h2c	*c = s->c;
	uint64_t	 more;

	if (s->in_window >= c->bdp.window || s->in_ended || !s->ng_open ||
	    h2_conn_is_short(c))
		return;
	more = c->bdp.window - s->in_window;
	if (more > WIDE - c->wide)
		more = WIDE - c->wide;
	if (more == 0)
		return;
	c->wide += more;
	s->in_window += (uint32_t)more;
	nghttp2_session_set_local_window_size(c->ng, NGHTTP2_FLAG_NONE,
	    s->id, (int32_t)s->in_window);
	h2_conn_push(c);
}

static void
tell_fail(struct h2s *s)
{
	enum fail	why = s->in_fail;

	s->in_fail = FAIL_NONE;
	h2_conn_in_fail(s, why);
}

static void
tell_end(struct h2s *s, struct sink *to)
{
	struct hdrs	*hs;

	s->in_told = true;
	s->wait_ms = 0;
	if (s->trailers.n > 0) {
		hs = arena_alloc(s->st.arena, sizeof(*hs));
		*hs = s->trailers;
		to->ops->trailers(to, hs);
	}
	to->ops->end(to);
}

static bool
hand_on(struct h2s *s, struct sink *to)
{
	struct chunk	c;
	unsigned	flags;
	uint64_t	n;

	while (s->in.n > 0 && to->credit > 0 && !s->in_drop) {
		c = h2_ring_cut(&s->in, (uint64_t)to->credit);
		n = c.n;
		flags = s->in.n == 0 && s->in_ended && s->trailers.n == 0 &&
		    s->in_fail == FAIL_NONE ? WAIST_END : 0;
		s->in_told = flags != 0;
		to->ops->data(to, c, flags);
		h2_conn_give_back(s, n);
		if (s->over || s->st.in.to != to || s->in_told)
			return false;
	}
	return s->in.n == 0 && !s->in_drop;
}

void
h2_conn_feed(struct h2s *s)
{
	struct sink	*to = s->st.in.to;

	/* whoever has it was told that it has no body: no answer holds */
	if (s->in_fail != FAIL_NONE && s->head.body == BODY_NONE) {
		h2_conn_close_stream(s, s->in_fail);
		return;
	}
	if (s->in_drop || s->over) {
		h2_conn_give_back(s, s->in.bytes);
		h2_ring_fini(&s->in);
		page_unref(&s->small);
		s->wait_ms = 0;
		return;
	}
	if (s->in_told || to == NULL)
		return;
	if (s->in_fail != FAIL_NONE)
		tell_fail(s);
	else if (!hand_on(s, to))
		came(s);
	else if (s->in_ended)
		tell_end(s, to);
	else if (to->credit > 0) {
		s->c->side->waits(s);
		widen(s);
		if (s->wait_ms == 0)
			s->wait_ms = ev_ms(s->c->env->ev);
	}
	h2_conn_tidy(s);
	h2_conn_push(s->c);
}

/* --- the source's call --- */

void
h2_conn_in_room(struct source *src)
{
	h2_conn_note(container_of(src, struct h2s, st.in));
}
