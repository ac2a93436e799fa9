/*
 * HTTP/2, server side: requests.  Workers.
 *
 * A body's bytes stay in the page that they were read into.  They are
 * given back to the windows when the sink has taken them: a handler that
 * is slow stops its own stream, and of the connection's window it holds
 * what its stream's allows.
 */
#include "codec/h2/h2_server.h"

#include <string.h>

struct h2s *
h2_server_begin(struct h2c *c, int32_t id)
{
	struct arena	 a;
	struct h2s	*s;

	arena_init(&a, c->env->arenas);
	s = arena_alloc(&a, sizeof(*s));
	s->arena = a;
	s->c = c;
	s->id = id;
	s->ng_open = true;
	s->out_left = BODY_UNKNOWN;
	s->in_window = H2_WINDOW;
	s->st.in.ops = &h2_server_in_ops;
	s->st.out.ops = &h2_server_out_ops;
	s->st.up = c->env->up;
	s->st.ctx = c->ctx;
	s->st.arena = &s->arena;
	s->st.head = &s->head;
	s->st.begun_ns = ev_clock_ns();
	h2_ring_init(&s->in, &s->arena);
	h2_ring_init(&s->out, &s->arena);
	s->st.out.credit = h2_server_window(s);
	h2_head_init(&s->hp, &s->arena, &c->env->limits, &s->head.hdrs,
	    false);
	list_init(&s->todo);
	list_init(&s->end);
	list_add_tail(&c->streams, &s->node);
	c->nstream++;
	return s;
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

void
h2_server_ask(struct h2s *s, bool end)
{
	struct h2c	*c = s->c;
	enum fail	 why = h2_head_finish(&s->hp, &s->head, end);
	enum fail	 flood;

	c->requests++;
	c->last_id = s->id;
	s->in_ended = end;
	s->in_told = s->head.body == BODY_NONE;
	s->expect = s->head.expect;
	s->st.got += c->head_wire;
	s->out_ms = ev_ms(c->env->ev);
	if (why != FAIL_NONE) {
		refuse(s, why);
		flood = s->reset == 0 ? FAIL_NONE : h2_glitch_add(
		    &c->glitch, H2_GLITCH_MADE, ev_ms(c->env->ev));
		if (flood != FAIL_NONE) {
			h2_server_calm(c, flood, NULL);
			return;
		}
	} else
		set_priority(s);
	s->asked = true;
	s->st.up->request(&s->st);
}

/* --- bodies --- */

static void
give_back(struct h2s *s, size_t n)
{
	if (n > 0)
		nghttp2_session_consume(s->c->ng, s->id, n);
}

void
h2_server_in_fail(struct h2s *s, enum fail why)
{
	struct sink	*to = s->st.in.to;

	if (s->in_fail != FAIL_NONE)
		return;
	s->in_fail = why;
	s->wait_ms = 0;
	give_back(s, s->in.bytes);
	h2_ring_fini(&s->in);
	if (!s->in_drop && !s->in_told && to != NULL) {
		s->in_told = true;
		to->ops->abort(to, why);
	}
}

/* The request is malformed: after whatever answer there is, a reset. */
static void
spoil(struct h2s *s, enum fail why)
{
	if (s->in_fail != FAIL_NONE)
		return;
	s->in_fail = why;
	if (s->reset == 0)
		s->reset = h2_code_of(why);
	if (s->out_done)
		h2_server_reset(s, s->reset);
	h2_server_note(s);
}

void
h2_server_trailers(struct h2s *s, bool end)
{
	if (s->hp.why != FAIL_NONE || !end)
		spoil(s, FAIL_BAD_TRAILER);
	s->st.got += s->c->head_wire;
	h2_server_in_end(s);
}

void
h2_server_in_end(struct h2s *s)
{
	if (s->head.body > 0 && s->in_got != (uint64_t)s->head.body)
		spoil(s, FAIL_LENGTH_MISMATCH);
	s->in_ended = true;
	h2_server_note(s);
}

static struct chunk
chunk_of(struct h2c *c, const char *p, size_t n)
{
	struct chunk	 k = { .kind = CHUNK_PAGE, .n = n };
	struct page	*pg = c->in;

	must(p >= pg->data && p + n <= pg->data + pg->fill);
	k.u.mem.page = page_ref(pg);
	k.u.mem.p = p;
	return k;
}

/* Time is counted only while we wait for the client, not it for us. */
static void
came(struct h2s *s)
{
	if (s->wait_ms != 0)
		s->waited_ms += ev_ms(s->c->env->ev) - s->wait_ms;
	s->wait_ms = 0;
}

static void
skip(struct h2s *s, size_t n)
{
	if (s->skip_ms != 0 && s->in_got > s->skip_from + H2_SKIP_MAX)
		nghttp2_session_consume_connection(s->c->ng, n);
	else
		give_back(s, n);
}

static bool
is_too_much(struct h2s *s)
{
	return s->head.body != BODY_UNKNOWN &&
	    s->in_got > (uint64_t)s->head.body;
}

void
h2_server_data(struct h2s *s, const uint8_t *p, size_t n)
{
	came(s);
	s->in_got += n;
	s->st.got += n;
	if (is_too_much(s))
		spoil(s, FAIL_LENGTH_MISMATCH);
	if (s->in_drop || s->in_fail != FAIL_NONE || s->over) {
		skip(s, n);
		return;
	}
	h2_ring_add(&s->in, chunk_of(s->c, (const char *)p, n), NULL);
	h2_server_note(s);
}

/*
 * There are clients that lose an answer when a reset stands behind it, be
 * the code NO_ERROR.  What is on its way anyway may come; of more they are
 * kept by the stream's window, until they have seen the answer.
 */
void
h2_server_skip(struct h2s *s)
{
	s->skip_ms = ev_ms(s->c->env->ev);
	s->skip_from = s->in_got;
	s->in_drop = true;
}

/* A stream whose reader keeps up may have what the path has. */
static void
widen(struct h2s *s)
{
	struct h2c	*c = s->c;

	if (s->in_window >= c->bdp.window || s->in_ended || !s->ng_open)
		return;
	s->in_window = c->bdp.window;
	nghttp2_session_set_local_window_size(c->ng, NGHTTP2_FLAG_NONE,
	    s->id, (int32_t)s->in_window);
	h2_server_push(c);
}

static void
tell_fail(struct h2s *s)
{
	enum fail	why = s->in_fail;

	s->in_fail = FAIL_NONE;
	h2_server_in_fail(s, why);
}

static void
tell_end(struct h2s *s, struct sink *to)
{
	s->in_told = true;
	s->wait_ms = 0;
	if (s->trailers.n > 0)
		to->ops->trailers(to, &s->trailers);
	to->ops->end(to);
}

static void
send_continue(struct h2s *s)
{
	nghttp2_nv	nv = { (uint8_t *)(uintptr_t)":status",
	    (uint8_t *)(uintptr_t)"100", 7, 3, NGHTTP2_NV_FLAG_NO_COPY_NAME |
	    NGHTTP2_NV_FLAG_NO_COPY_VALUE };

	s->expect = false;
	if (s->head_sent || s->in_got > 0 || !s->ng_open)
		return;
	nghttp2_submit_headers(s->c->ng, NGHTTP2_FLAG_NONE, s->id, NULL, &nv,
	    1, NULL);
	h2_server_push(s->c);
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
		give_back(s, n);
		if (s->over || s->st.in.to != to || s->in_told)
			return false;
	}
	return s->in.n == 0 && !s->in_drop;
}

void
h2_server_feed(struct h2s *s)
{
	struct sink	*to = s->st.in.to;

	/* whoever has it was told that it has no body: no answer holds */
	if (s->in_fail != FAIL_NONE && s->head.body == BODY_NONE) {
		h2_server_close_stream(s, s->in_fail);
		return;
	}
	if (s->in_drop || s->over) {
		give_back(s, s->in.bytes);
		h2_ring_fini(&s->in);
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
		if (s->expect)
			send_continue(s);
		widen(s);
		if (s->wait_ms == 0)
			s->wait_ms = ev_ms(s->c->env->ev);
	}
	h2_server_push(s->c);
}

/* --- the source's calls --- */

static struct h2s *
of(struct source *src)
{
	return container_of(src, struct h2s, st.in);
}

static void
on_room(struct source *src)
{
	h2_server_note(of(src));
}

/* Nobody reads the rest: it is given back as it comes. */
static void
on_stop(struct source *src, enum fail why)
{
	struct h2s	*s = of(src);

	(void)why;
	s->in_drop = true;
	h2_server_note(s);
}

/* An end that is known already is not told by the loop again. */
static void
on_waits(struct source *src)
{
	struct h2s	*s = of(src);

	if (s->c->eof)
		h2_server_note(s);
}

const struct source_ops h2_server_in_ops = {
	.room = on_room,
	.stop = on_stop,
	.waits = on_waits
};
