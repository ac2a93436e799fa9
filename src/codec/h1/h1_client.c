/*
 * HTTP/1.1, client side: one connection to a server.  Workers.
 *
 * One stream at a time.  Its request leaves by the flush at the end of
 * the turn; the response is read as it comes, whatever became of the
 * request: an answer that came early goes on, and one that lies in the
 * socket is preferred to the error of a write.  A connection may serve
 * again only if both messages ended where their framing said and nothing
 * else came.  Time is measured above.
 *
 * Calls from above only note and post a task: failures are told from the
 * loop, never from within a call, but by close().
 */
#include "codec/h1/h1_body.h"
#include "codec/h1/h1_outq.h"

#include <errno.h>

#include "base/must.h"

#define MAGIC		0x4831434c	/* "H1CL" */
#define INTERIM_MAX	8

struct h1cs;

struct h1cc {
	struct codec_conn	 base;
	bool			 dead:1;
	bool			 taken:1;
	bool			 used_up:1;	/* no further request */
	struct io		*io;		/* own until closed or taken */
	const struct codec_env	*env;		/* ref */
	void			*ctx;		/* of the floor above */
	struct ev_task		 task;		/* goes on; at last frees */
	struct h1_inbuf		 in;
	uint64_t		 turn;		/* that in.budget is of */
	struct h1cs		*s;		/* the stream, or NULL */
};

/* a stream; of the caller's arena */
struct h1cs {
	struct stream		 st;
	struct h1cc		*c;		/* ref; NULL: it is over */
	struct ev_task		 flush;
	struct h1_outq		 q;
	struct msg		 head;		/* of the response */
	struct h1_framing	 fr;
	struct h1_body		 body;
	size_t			 seen;		/* of the head, scanned */
	enum fail		 broken;	/* from a call: fail soon */
	uint8_t			 meth;		/* of the request */
	uint8_t			 interims;
	bool			 asked:1;	/* its head is queued */
	bool			 wants_upgrade:1;
	bool			 upgraded:1;
	bool			 in_head:1;	/* a byte of a head came */
	bool			 answered:1;	/* the final head is through */
	bool			 in_told:1;	/* in's abort was called */
	bool			 out_lost:1;	/* the server takes no more */
};

static struct h1cc *
of(const struct codec_conn *cc)
{
	must(cc->magic == MAGIC);
	return container_of((struct codec_conn *)(uintptr_t)cc, struct h1cc,
	    base);
}

/* Another turn may have begun: its budget is whole. */
static void
begin_turn(struct h1cc *c)
{
	uint64_t	turn = ev_counts(c->env->ev)->turns;

	if (c->turn == turn)
		return;
	c->turn = turn;
	c->in.budget = H1_TURN;
}

static void
post(struct h1cc *c, struct ev_task *t)
{
	begin_turn(c);
	ev_post(c->env->ev, c->in.budget > 0 ? EV_FLUSH : EV_READY, t);
}

/* --- the end --- */

static void
die(struct h1cc *c, enum fail why)
{
	if (c->dead)
		return;
	c->dead = true;
	h1_inbuf_fini(&c->in);
	if (!c->taken)
		io_close(c->io, false);
	ev_cancel(&c->task);
	ev_post(c->env->ev, EV_FREE, &c->task);
	c->env->gone(c->ctx, why);
}

static void
untie(struct stream *st)
{
	if (st->in.to != NULL)
		st->in.to->from = NULL;
	if (st->out.from != NULL)
		st->out.from->to = NULL;
	st->in.to = NULL;
	st->out.from = NULL;
}

static void
close_stream(struct h1cc *c, enum fail why)
{
	struct h1cs	*s = c->s;
	struct sink	*to = s->st.in.to;
	struct source	*from = s->st.out.from;
	bool		 open = !(s->answered && s->body.done) &&
	    !s->body.drop && !s->in_told;

	c->s = NULL;
	s->c = NULL;
	ev_cancel(&s->flush);
	h1_body_fini(&s->body);
	if (to != NULL && open && why != FAIL_NONE)
		to->ops->abort(to, why);
	if (from != NULL && !s->q.ended)
		from->ops->stop(from, why);
	h1_outq_fini(&s->q);
	untie(&s->st);
	if (s->st.up != NULL && s->st.up->closed != NULL)
		s->st.up->closed(&s->st, why);
}

static void
fail(struct h1cc *c, enum fail why)
{
	c->used_up = true;
	if (c->s != NULL)
		close_stream(c, why);
	die(c, why);
}

/* The same, and what the server did. */
static void
fail_by(struct h1cc *c, enum fail why, const char *what)
{
	c->s->st.what = what;
	fail(c, why);
}

/* Both directions ended where their framing said, and nothing is left. */
static bool
may_keep(struct h1cc *c, const struct h1cs *s)
{
	size_t	got;

	if (s->fr.close || s->fr.until_close || s->out_lost || c->used_up ||
	    s->body.excess || !s->q.ended || s->q.n > 0 ||
	    h1_inbuf_str(&c->in).n > 0)
		return false;
	/* a body that was read to its last byte hides what is behind it */
	return h1_inbuf_read(&c->in, c->io, c->env->pages, &got) == IO_AGAIN;
}

/* The response is complete.  What the request still had is not wanted. */
static void
finish(struct h1cc *c)
{
	struct h1cs	*s = c->s;

	s->st.keep = may_keep(c, s);
	c->used_up = !s->st.keep;
	h1_inbuf_trim(&c->in);
	close_stream(c, FAIL_NONE);
	if (c->used_up)
		die(c, FAIL_NONE);
	else if (!c->dead && c->env->idle != NULL && c->s == NULL)
		c->env->idle(c->ctx, true);
}

/* --- the response --- */

static bool
read_more(struct h1cc *c)
{
	struct h1cs	*s = c->s;
	enum io_rc	 rc;
	size_t		 got;

	rc = h1_inbuf_read(&c->in, c->io, c->env->pages, &got);
	c->in.budget -= got < c->in.budget ? (uint32_t)got : c->in.budget;
	if (rc == IO_OK) {
		s->in_head = s->st.begun = true;
		return true;
	}
	if (rc == IO_AGAIN && (s->in_head || !s->out_lost)) {
		h1_inbuf_trim(&c->in);
		return false;
	}
	s->st.got += h1_inbuf_str(&c->in).n;
	if (rc == IO_ERR && c->io->error == ENOBUFS)
		fail_by(c, FAIL_RESPONSE_HEAD_TOO_LARGE,
		    "it is longer than all that is read of one");
	else if (s->in_head)
		fail(c, FAIL_RESET_IN_HEAD);
	else
		fail(c, s->out_lost ? FAIL_SEND_ERROR :
		    FAIL_RESET_BEFORE_HEAD);
	return false;
}

/* A 1xx is passed on, a final one follows. */
static bool
pass_interim(struct h1cc *c)
{
	struct h1cs	*s = c->s;
	struct sink	*to = s->st.in.to;

	if (++s->interims > INTERIM_MAX) {
		fail_by(c, FAIL_UNEXPECTED_INTERIM, "more than eight");
		return false;
	}
	s->seen = 0;
	s->st.begun = h1_inbuf_str(&c->in).n > 0;
	if (to != NULL)
		to->ops->head(to, &s->head, WAIST_INTERIM);
	return c->s == s;
}

/* A 101, or the tunnel of a CONNECT: bytes both ways from here. */
static bool
pass_upgrade(struct h1cc *c)
{
	struct h1cs	*s = c->s;
	struct sink	*to = s->st.in.to;

	if (!s->wants_upgrade) {
		fail_by(c, FAIL_UNEXPECTED_UPGRADE, "it was asked for none");
		return false;
	}
	s->upgraded = true;
	s->answered = true;
	c->used_up = true;
	if (to != NULL)
		to->ops->head(to, &s->head, WAIST_UPGRADE);
	return false;
}

static bool
pass_final(struct h1cc *c)
{
	struct h1cs	*s = c->s;
	struct sink	*to = s->st.in.to;

	h1_body_init(&s->body, &s->fr, &c->env->limits, s->st.arena);
	s->st.keep_s = s->fr.keep_s;
	s->answered = true;
	if (to != NULL)
		to->ops->head(to, &s->head, s->body.done ? WAIST_END : 0);
	return c->s == s;
}

static bool
parse(struct h1cc *c, size_t used)
{
	struct h1cs	*s = c->s;
	struct str	 head = str_sub(h1_inbuf_str(&c->in), 0, used);
	enum fail	 why;

	/* a copy: the exchange may need its slices after the stream */
	head = arena_dup(s->st.arena, head);
	why = h1_parse_response(head, &c->env->limits, s->st.arena,
	    (enum http_method)s->meth, &s->head, &s->fr);
	h1_inbuf_skip(&c->in, used);
	s->st.got += used;
	if (why != FAIL_NONE) {
		fail_by(c, why, s->fr.what);
		return false;
	}
	if (s->head.upgrade || s->head.status == 101)
		return pass_upgrade(c);
	if (s->head.status < 200)
		return pass_interim(c);
	return pass_final(c);
}

/* True: go on. */
static bool
read_head(struct h1cc *c)
{
	struct h1cs	*s = c->s;
	struct str	 in = h1_inbuf_str(&c->in);
	enum fail	 why;
	size_t		 used;

	if (in.n == 0)
		return read_more(c);
	switch (h1_find_head(in, &c->env->limits, false, &s->seen, &used,
	    &why)) {
	case H1_DONE:
		return parse(c, used);
	case H1_BAD:
		s->st.got += in.n;
		fail_by(c, why, h1_blame_head(in, why));
		return false;
	default:
		return read_more(c);
	}
}

/* The rows of a chunked request are those of a response here. */
static enum fail
blame_chunk(enum fail why)
{
	switch (why) {
	case FAIL_BAD_CHUNK:
		return FAIL_BAD_RESPONSE_CHUNK;
	case FAIL_HEADER_TOO_LARGE:
	case FAIL_FIELD_TOO_LARGE:
	case FAIL_TOO_MANY_FIELDS:
		return FAIL_RESPONSE_TRAILER_TOO_LARGE;
	default:
		return FAIL_BAD_RESPONSE_TRAILER;
	}
}

static void
read_body(struct h1cc *c)
{
	struct h1cs	*s = c->s;
	struct h1_feed	 f = { &c->in, c->io, c->env, &s->st,
	    &c->in.budget, true };
	enum h1_pump	 rc = h1_body_pump(&s->body, &f);

	if (c->s != s)
		return;
	switch (rc) {
	case H1_PUMP_END:
		finish(c);
		break;
	case H1_PUMP_YIELD:
		ev_post(c->env->ev, EV_READY, &c->task);
		break;
	case H1_PUMP_EOF:
	case H1_PUMP_ERR:
		fail(c, FAIL_RESET_IN_BODY);
		break;
	case H1_PUMP_BAD:
		fail_by(c, blame_chunk(s->body.why), s->body.chunk.what);
		break;
	default:
		h1_inbuf_trim(&c->in);
		break;
	}
}

/*
 * What bytes before the request say of the server: a pooled connection
 * has an end that was late, but who speaks first on a new one does not
 * speak HTTP, or tries to answer what nobody has asked.
 */
static enum fail
blame_early(const struct h1cc *c, enum io_rc rc)
{
	if (c->s == NULL)
		return FAIL_NONE;
	return rc == IO_OK && !c->s->st.reused ? FAIL_BAD_RESPONSE_LINE :
	    FAIL_RESET_BEFORE_HEAD;
}

/* Whatever comes while nothing was asked ends the connection. */
static void
check_idle(struct h1cc *c)
{
	enum io_rc	rc;
	size_t		got;

	rc = h1_inbuf_read(&c->in, c->io, c->env->pages, &got);
	if (rc == IO_AGAIN)
		h1_inbuf_trim(&c->in);
	else
		fail(c, blame_early(c, rc));
}

/* What comes before the first byte of a request has left answers nobody. */
static bool
is_asked(const struct h1cc *c)
{
	return c->s != NULL && (c->s->st.sent > 0 || c->s->out_lost);
}

/* --- the request --- */

/*
 * The server takes no more.  Its answer may be here already; the read
 * after this tells.
 */
static void
lose_out(struct h1cc *c, struct h1cs *s)
{
	struct source	*from = s->st.out.from;

	s->out_lost = true;
	c->io->fd.ready |= c->io->rd_wait;
	h1_outq_fini(&s->q);
	if (from != NULL && !s->q.ended)
		from->ops->stop(from, FAIL_SEND_ERROR);
}

static enum io_rc
write_out(struct h1cc *c, struct h1cs *s)
{
	enum io_rc	rc = IO_OK;
	size_t		n;

	while (rc == IO_OK && h1_outq_has_work(&s->q)) {
		if (c->in.budget == 0) {
			post(c, &s->flush);
			return IO_AGAIN;
		}
		rc = h1_outq_write(&s->q, c->io, &s->st.out, &n);
		s->st.sent += n;
		c->in.budget -= n < c->in.budget ? (uint32_t)n :
		    c->in.budget;
	}
	return rc;
}

static void go(struct h1cc *);

static void
on_flush(struct ev_task *t)
{
	struct h1cs	*s = container_of(t, struct h1cs, flush);
	struct h1cc	*c = s->c;
	struct source	*from = s->st.out.from;
	enum io_rc	 rc;

	begin_turn(c);
	if (s->q.bad && s->broken == FAIL_NONE)
		s->broken = FAIL_INTERNAL;
	if (s->broken != FAIL_NONE) {
		fail(c, s->broken);
		return;
	}
	/* It came with the connect: no event of its own will tell. */
	if (!is_asked(c) && io_can(c->io, IO_R)) {
		check_idle(c);
		if (c->s != s)
			return;
	}
	rc = s->out_lost ? IO_OK : write_out(c, s);
	if (rc == IO_EOF) {
		fail(c, FAIL_FILE_CHANGED);
		return;
	}
	if (rc == IO_ERR)
		lose_out(c, s);
	else if (h1_outq_has_room(&s->q, &s->st.out) && from != NULL)
		from->ops->room(from);
	/* what was told before is not told again */
	if (c->s == s && !s->answered && io_can(c->io, IO_R))
		go(c);
}

/* --- events --- */

static void
go(struct h1cc *c)
{
	struct h1cs	*s;

	begin_turn(c);
	while (!c->dead && !c->taken && (s = c->s) != NULL && s->asked) {
		if (s->broken != FAIL_NONE) {
			fail(c, s->broken);
			return;
		}
		if (s->upgraded)
			return;
		if (s->answered) {
			read_body(c);
			return;
		}
		if (c->in.budget == 0) {
			ev_post(c->env->ev, EV_READY, &c->task);
			return;
		}
		if (!read_head(c))
			return;
	}
}

static void
on_io(struct io *io, unsigned what)
{
	struct h1cc	*c = io->ctx;

	must(c->base.magic == MAGIC);
	if ((what & IO_W) && c->s != NULL && h1_outq_has_work(&c->s->q))
		post(c, &c->s->flush);
	if ((what & (IO_R | IO_GONE)) == 0)
		return;
	if (is_asked(c))
		go(c);
	else
		check_idle(c);
}

static void
on_task(struct ev_task *t)
{
	struct h1cc	*c = container_of(t, struct h1cc, task);

	if (!c->dead) {
		go(c);
		return;
	}
	c->base.magic = 0;
	slab_put(c->env->conns, c);
}

/* --- the sink's and the source's calls --- */

static struct h1cs *
of_out(struct sink *k)
{
	return container_of(k, struct h1cs, st.out);
}

static bool
render(struct h1cs *s, const struct msg *m, bool chunked)
{
	struct text	t;

	for (unsigned i = 0; h1_outq_text(&s->q, i, &t); i++) {
		h1_write_request(&t, m, chunked);
		if (!t.cut) {
			h1_outq_commit(&s->q, &t);
			return true;
		}
	}
	return false;
}

static void
on_head(struct sink *k, struct msg *m, unsigned flags)
{
	struct h1cs	*s = of_out(k);
	bool		 chunked = m->body == BODY_UNKNOWN;

	if (s->c == NULL || s->asked)
		return;
	if ((flags & WAIST_END) && chunked) {
		m->body = BODY_NONE;
		chunked = false;
	}
	s->asked = true;
	s->meth = m->meth;
	s->wants_upgrade = m->upgrade || m->meth == METHOD_CONNECT;
	s->q.chunked = chunked;
	s->q.left = m->body;
	h1_outq_set_splice(&s->q, k, s->c->io, s->c->env->pipes);
	if (!render(s, m, chunked))
		s->broken = FAIL_INTERNAL;
	if (flags & WAIST_END)
		h1_outq_end(&s->q);
	post(s->c, &s->flush);
}

static enum flow
on_data(struct sink *k, struct chunk c, unsigned flags)
{
	struct h1cs	*s = of_out(k);
	enum flow	 flow;

	if (s->c == NULL || !s->asked || s->out_lost) {
		chunk_drop(&c);
		k->credit = 0;
		return FLOW_FULL;
	}
	flow = h1_outq_data(&s->q, k, c, flags);
	if (s->q.bytes >= H1_PROMPT && s->c->in.budget > 0)
		ev_post_next(s->c->env->ev, &s->flush);
	else
		post(s->c, &s->flush);
	return flow;
}

static void
on_trailers(struct sink *k, const struct hdrs *hs)
{
	struct h1cs	*s = of_out(k);

	if (s->c != NULL)
		h1_outq_trailers(&s->q, hs);
}

static void
on_end(struct sink *k)
{
	struct h1cs	*s = of_out(k);

	if (s->c == NULL || !s->asked)
		return;
	h1_outq_end(&s->q);
	post(s->c, &s->flush);
}

/* Said from a task: whoever calls may be in the midst of something. */
static void
break_soon(struct h1cs *s, enum fail why)
{
	if (s->c == NULL || s->broken != FAIL_NONE)
		return;
	s->broken = why == FAIL_NONE ? FAIL_INTERNAL : why;
	s->c->used_up = true;
	post(s->c, &s->flush);
}

static void
on_abort(struct sink *k, enum fail why)
{
	struct h1cs	*s = of_out(k);

	h1_outq_forget(&s->q, k);
	break_soon(s, why);
}

static const struct sink_ops out_ops = {
	.head = on_head,
	.data = on_data,
	.trailers = on_trailers,
	.end = on_end,
	.abort = on_abort
};

static void
on_room(struct source *src)
{
	struct h1cs	*s = container_of(src, struct h1cs, st.in);

	if (s->c != NULL)
		post(s->c, &s->c->task);
}

static void
on_stop(struct source *src, enum fail why)
{
	struct h1cs	*s = container_of(src, struct h1cs, st.in);

	h1_body_drop(&s->body);
	s->in_told = true;
	break_soon(s, why);
}

static void
on_taken(struct source *src, uint64_t n, enum io_rc rc)
{
	struct h1cs	*s = container_of(src, struct h1cs, st.in);

	if (s->c != NULL && h1_body_taken(&s->body, &s->st, n, rc))
		post(s->c, &s->c->task);
}

static const struct source_ops in_ops = {
	.room = on_room,
	.stop = on_stop,
	.taken = on_taken
};

/* --- the codec --- */

static struct codec_conn *
open_conn(struct io *io, const struct codec_env *env, void *ctx)
{
	struct h1cc	*c = slab_get(env->conns);

	must(env->conns->size >= sizeof(*c));
	*c = (struct h1cc){ .base.magic = MAGIC, .io = io, .env = env,
	    .ctx = ctx, .in.budget = H1_TURN };
	ev_task_init(&c->task, on_task);
	io->on = on_io;
	io->ctx = c;
	return &c->base;
}

static unsigned
count_room(const struct codec_conn *cc)
{
	const struct h1cc	*c = of(cc);

	return !c->dead && !c->used_up && c->s == NULL;
}

static struct stream *
new_stream(struct codec_conn *cc, struct arena *a)
{
	struct h1cc	*c = of(cc);
	struct h1cs	*s = arena_alloc(a, sizeof(*s));

	must(count_room(cc) == 1);
	s->c = c;
	s->st.in.ops = &in_ops;
	s->st.out.ops = &out_ops;
	s->st.up = c->env->up;
	s->st.ctx = c->ctx;
	s->st.arena = a;
	s->st.head = &s->head;
	s->st.begun_ns = ev_clock_ns();
	ev_task_init(&s->flush, on_flush);
	h1_outq_init(&s->q, a, c->env->pages);
	s->st.out.credit = s->q.window;
	c->s = s;
	if (c->env->idle != NULL)
		c->env->idle(c->ctx, false);
	return &s->st;
}

static void
close_conn(struct codec_conn *cc, enum fail why)
{
	fail(of(cc), why);
}

static struct io *
take_conn(struct codec_conn *cc, struct chunk *rest)
{
	struct h1cc	*c = of(cc);
	struct h1cs	*s = c->s;
	size_t		 n = h1_inbuf_str(&c->in).n;

	must(s != NULL && s->upgraded);
	if (s->q.n > 0) {
		s->q.full = true;
		return NULL;
	}
	*rest = (struct chunk){ .kind = CHUNK_CONST };
	if (n > 0)
		*rest = h1_inbuf_cut(&c->in, n);
	h1_inbuf_fini(&c->in);
	ev_cancel(&c->task);
	ev_cancel(&s->flush);
	page_unref(&s->q.page);
	c->taken = true;
	return c->io;
}

const struct client_codec h1_client = {
	.alpn = "http/1.1",
	.open = open_conn,
	.request = new_stream,
	.room = count_room,
	.close = close_conn,
	.take = take_conn
};

_Static_assert(sizeof(struct h1cc) <= CODEC_CONN_MAX, "a codec connection");
