/*
 * Bodies, read.  Workers, control.
 *
 * A body by length, or until the connection ends, is read straight into
 * fresh pages, no further than its end or the sink's credit, so that the
 * rest stays in the kernel.  Chunks pass through the read buffer and go
 * on as slices of it.  A piece is held until it is known whether the end
 * follows at once, which then goes with it: one call, and one write less.
 *
 * Any call up may stop the body or end its stream: what is looked at
 * after one is only the body itself, which lasts until the turn's end.
 */
#include "codec/h1/h1_body.h"

#include <errno.h>

#include "base/must.h"

#define PAGES_MAX	16		/* of one read */
#define PAGES_FIRST	8		/* behind a page that was full */
#define SPLICE_MIN	(256 * 1024)	/* left of a body, to be worth it */
#define SPLICE_FROM	65536		/* come of one without a length */

void
h1_body_init(struct h1_body *b, const struct h1_framing *f,
    const struct codec_limits *lim, struct arena *a)
{
	*b = (struct h1_body){ .left = f->length, .pages = 1,
	    .chunked = f->chunked, .until_close = f->until_close };
	b->chunk.limits = lim;
	b->chunk.arena = a;
	b->done = !f->chunked && !f->until_close && f->length == 0;
}

void
h1_body_drop(struct h1_body *b)
{
	if (b->held.n > 0)
		chunk_drop(&b->held);
	b->drop = true;
	b->lent = false;
}

void
h1_body_fini(struct h1_body *b)
{
	h1_body_drop(b);
	b->done = true;
}

/* --- to the sink --- */

static void
give(struct h1_body *b, struct stream *st, struct chunk c, bool end)
{
	struct sink	*to = st->in.to;

	if (b->drop || to == NULL)
		chunk_drop(&c);
	else
		to->ops->data(to, c, end ? WAIST_END : 0);
}

static void
give_end(struct h1_body *b, struct stream *st)
{
	struct sink	*to = st->in.to;

	if (!b->drop && to != NULL)
		to->ops->end(to);
}

/* How many bytes may be told now. */
static uint64_t
credit_of(const struct h1_body *b, const struct stream *st)
{
	if (b->drop)
		return INT64_MAX;
	if (st->in.to == NULL || st->in.to->credit <= 0)
		return 0;
	return (uint64_t)st->in.to->credit;
}

static void
count(struct h1_body *b, const struct h1_feed *f, size_t n)
{
	b->got += n;
	f->st->got += n;
	*f->budget -= n < *f->budget ? (uint32_t)n : *f->budget;
}

/* --- by length, or until the end --- */

/* n bytes of a body by length are about to be told. */
static bool
is_last(struct h1_body *b, uint64_t n)
{
	if (b->until_close)
		return false;
	b->left -= (int64_t)n;
	if (b->left == 0)
		b->done = true;
	return b->left == 0;
}

static uint64_t
bound(const struct h1_body *b, uint64_t n)
{
	if (b->until_close || n < (uint64_t)b->left)
		return n;
	return (uint64_t)b->left;
}

/* The next read follows what this one brought. */
static void
adapt(struct h1_body *b, size_t got, size_t asked)
{
	if (got < asked)
		b->pages = (uint8_t)((got + PAGE_ROOM - 1) / PAGE_ROOM);
	else
		b->pages = b->pages < PAGES_MAX / 2 ?
		    (uint8_t)(b->pages * 2) : PAGES_MAX;
}

/* Pages with what was read; a sink may stop while it is being told. */
static void
give_pages(struct h1_body *b, struct stream *st, struct page **pg, size_t got)
{
	struct chunk	c;
	bool		end;

	for (int i = 0; got > 0; i++) {
		c = (struct chunk){ .kind = CHUNK_PAGE };
		c.n = got < PAGE_ROOM ? got : PAGE_ROOM;
		c.u.mem.page = pg[i];
		c.u.mem.p = pg[i]->data;
		pg[i]->fill = (uint32_t)c.n;
		pg[i] = NULL;
		got -= (size_t)c.n;
		end = is_last(b, c.n);
		give(b, st, c, end);
	}
}

static enum h1_pump
read_pages(struct h1_body *b, const struct h1_feed *f, uint64_t max)
{
	struct page	*pg[PAGES_MAX] = { NULL };
	struct iovec	 v[PAGES_MAX + 1];
	size_t		 asked = 0;
	size_t		 over = f->alone && !b->until_close &&
	    max == (uint64_t)b->left;
	size_t		 got;
	enum io_rc	 rc;
	int		 n = 0;

	if (f->io == NULL || !io_can(f->io, IO_R))
		return H1_PUMP_WAIT;
	while (n < b->pages && asked < max) {
		pg[n] = page_new(f->env->pages);
		v[n].iov_base = pg[n]->data;
		v[n].iov_len = max - asked < PAGE_ROOM ?
		    (size_t)(max - asked) : PAGE_ROOM;
		asked += v[n++].iov_len;
	}
	/* the last read asks for one byte that may not come */
	over = over && asked == max;
	v[n].iov_base = &(char){ 0 };
	v[n].iov_len = over;
	rc = io_readv(f->io, v, n + (int)over, &got);
	if (rc == IO_OK) {
		if (got > asked) {
			b->excess = true;
			got = asked;
		}
		count(b, f, got);
		adapt(b, got, asked);
		give_pages(b, f->st, pg, got);
	}
	while (n > 0)
		page_unref(&pg[--n]);
	if (rc == IO_OK)
		return H1_PUMP_GO;
	if (rc == IO_AGAIN)
		return H1_PUMP_WAIT;
	return rc == IO_EOF ? H1_PUMP_EOF : H1_PUMP_ERR;
}

/* No more comes: the end of a body that has no other, else too early. */
static enum h1_pump
end_input(struct h1_body *b, struct stream *st, enum h1_pump rc)
{
	if (rc != H1_PUMP_EOF || !b->until_close)
		return rc;
	b->done = true;
	give_end(b, st);
	return H1_PUMP_GO;
}

static bool
may_lend(const struct h1_body *b, const struct h1_feed *f)
{
	struct sink	*to = f->st->in.to;

	if (b->drop || to == NULL || !to->splice || f->io == NULL ||
	    (f->io->caps & IO_C_SPLICE) == 0 || !io_can(f->io, IO_R))
		return false;
	return b->until_close ? b->got >= SPLICE_FROM :
	    b->left >= SPLICE_MIN;
}

/* What waits in the io, and all that will follow, is the sink's to take. */
static enum h1_pump
lend(struct h1_body *b, const struct h1_feed *f)
{
	struct chunk	c = { .kind = CHUNK_SPLICE, .n = INT64_MAX };

	if (!b->until_close)
		c.n = (uint64_t)b->left;
	c.u.from = f->io;
	b->lent = true;
	give(b, f->st, c, false);
	return H1_PUMP_PAUSE;
}

bool
h1_body_taken(struct h1_body *b, struct stream *st, uint64_t n,
    enum io_rc rc)
{
	if (!b->lent)
		return false;
	b->got += n;
	st->got += n;
	if (!b->until_close) {
		must(n <= (uint64_t)b->left);
		b->left -= (int64_t)n;
	}
	if (rc == IO_OK && (b->until_close || b->left > 0))
		return false;
	b->lent = false;
	if (rc == IO_EOF || rc == IO_ERR)
		b->ended = (uint8_t)rc;
	return true;
}

/* How the sink found the end. */
static enum h1_pump
end_lent(struct h1_body *b, struct stream *st)
{
	if (b->ended == IO_ERR)
		return H1_PUMP_ERR;
	if (b->ended == IO_EOF)
		return end_input(b, st, H1_PUMP_EOF);
	b->done = true;
	give_end(b, st);
	return H1_PUMP_GO;
}

static bool
is_lent_over(const struct h1_body *b)
{
	return b->ended != IO_OK ||
	    (!b->chunked && !b->until_close && b->left == 0);
}

static enum h1_pump
step_plain(struct h1_body *b, const struct h1_feed *f, uint64_t credit)
{
	struct str	in = h1_inbuf_str(f->buf);
	uint64_t	max = bound(b, credit);
	struct chunk	c;
	bool		end;

	if (in.n > 0) {
		if (h1_inbuf_is_full(f->buf))
			b->pages = PAGES_FIRST;
		c = h1_inbuf_cut(f->buf, in.n < max ? in.n : (size_t)max);
		count(b, f, (size_t)c.n);
		end = is_last(b, c.n);
		give(b, f->st, c, end);
		return H1_PUMP_GO;
	}
	if (may_lend(b, f))
		return lend(b, f);
	return end_input(b, f->st, read_pages(b, f, max));
}

/* --- chunked --- */

/* Bytes without end are a trailer section that no page holds. */
static enum h1_pump
read_more(struct h1_body *b, const struct h1_feed *f)
{
	size_t	got;

	if (f->io == NULL)
		return H1_PUMP_WAIT;
	switch (h1_inbuf_read(f->buf, f->io, f->env->pages, &got)) {
	case IO_OK:
		return H1_PUMP_GO;
	case IO_AGAIN:
		return H1_PUMP_WAIT;
	case IO_EOF:
		return H1_PUMP_EOF;
	default:
		if (f->io->error != ENOBUFS)
			return H1_PUMP_ERR;
		b->why = FAIL_HEADER_TOO_LARGE;
		return H1_PUMP_BAD;
	}
}

static struct chunk
take_held(struct h1_body *b)
{
	struct chunk	c = b->held;

	b->held.n = 0;
	return c;
}

/* Part of what is held, for want of credit. */
static void
give_part(struct h1_body *b, struct stream *st, uint64_t credit)
{
	struct chunk	c = b->held;

	c.n = credit;
	page_ref(c.u.mem.page);
	b->held.n -= credit;
	b->held.u.mem.p += credit;
	give(b, st, c, false);
}

static void
finish_chunked(struct h1_body *b, struct stream *st)
{
	struct chunk	last = take_held(b);
	bool		trailers = b->chunk.trailers.n > 0;

	b->done = true;
	if (last.n > 0)
		give(b, st, last, !trailers);
	if (trailers && !b->drop && st->in.to != NULL)
		st->in.to->ops->trailers(st->in.to, &b->chunk.trailers);
	if (trailers || last.n == 0)
		give_end(b, st);
}

/* The slice that was just decoded, which ends what is used of buf. */
static void
hold(struct h1_body *b, struct h1_inbuf *buf, struct str data)
{
	b->held = (struct chunk){ .kind = CHUNK_PAGE, .n = data.n };
	b->held.u.mem.page = page_ref(buf->page);
	b->held.u.mem.p = data.p;
}

static enum h1_pump
step_chunked(struct h1_body *b, const struct h1_feed *f, uint64_t credit)
{
	struct chunk	last;
	struct str	data;
	size_t		used;
	enum h1_rc	rc;

	if (b->held.n > credit) {
		give_part(b, f->st, credit);
		return H1_PUMP_GO;
	}
	rc = h1_chunk_next(&b->chunk, h1_inbuf_str(f->buf), &data, &used,
	    &b->why);
	if (rc == H1_BAD)
		return H1_PUMP_BAD;
	last = take_held(b);
	if (data.n > 0 && !b->drop)
		hold(b, f->buf, data);
	h1_inbuf_skip(f->buf, used);
	count(b, f, used);
	if (rc == H1_DONE) {
		b->held = last;
		finish_chunked(b, f->st);
		return H1_PUMP_GO;
	}
	if (last.n > 0) {
		give(b, f->st, last, false);
		return H1_PUMP_GO;
	}
	return data.n > 0 ? H1_PUMP_GO : read_more(b, f);
}

enum h1_pump
h1_body_pump(struct h1_body *b, const struct h1_feed *f)
{
	enum h1_pump	rc = H1_PUMP_GO;
	uint64_t	credit;

	while (rc == H1_PUMP_GO) {
		if (b->done)
			return H1_PUMP_END;
		if (b->lent)
			return H1_PUMP_PAUSE;
		if (is_lent_over(b)) {
			rc = end_lent(b, f->st);
			continue;
		}
		credit = credit_of(b, f->st);
		if (credit == 0)
			return H1_PUMP_PAUSE;
		if (*f->budget == 0)
			return H1_PUMP_YIELD;
		rc = b->chunked ? step_chunked(b, f, credit) :
		    step_plain(b, f, credit);
	}
	return rc;
}
