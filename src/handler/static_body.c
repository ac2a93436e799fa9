/*
 * The body of an answer from a file: text between parts, bytes in memory,
 * pieces of an open file.  Workers.
 *
 * sendfile(2) waits for the disk, so before a piece of a file is given
 * away it is seen to that the kernel has it in memory; a helper reads it
 * there if not.  What was all there holds for a while.  The file is held
 * until the stream is closed, so its bytes go as constant ones.
 */
#include "handler/static_file.h"

#include "base/must.h"
#include "os/fs.h"

#define STEP	(4UL << 20)	/* given away at once */
#define WARM_MS	1000

static void ask_helper(struct static_body *, uint64_t off, uint64_t n);

static void
finish(struct static_body *b)
{
	b->n = 0;
	ask_cancel(&b->q);
	file_unref(&b->warm);
}

/* Takes n bytes off the front; true if that was the last of all. */
static bool
advance(struct static_body *b, uint64_t n)
{
	struct static_part	*p = &b->v[b->at];

	if (p->text.p != NULL)
		p->text = str_sub(p->text, (size_t)n, p->text.n);
	p->off += n;
	p->n -= n;
	if (p->n == 0)
		b->at++;
	return b->at == b->n;
}

static struct chunk
cut_chunk(struct static_body *b)
{
	struct static_part	*p = &b->v[b->at];
	struct chunk		 c = { .n = p->n };

	/* no kind holds memory of its own: all of it may go at once */
	if (p->text.p != NULL || b->file->page != NULL) {
		c.kind = CHUNK_CONST;
		c.u.mem.p = p->text.p != NULL ? p->text.p :
		    b->file->page->data + p->off;
		return c;
	}
	if (c.n > STEP)
		c.n = STEP;
	c.kind = CHUNK_FILE;
	c.u.file.file = file_ref(b->file->file);
	c.u.file.off = p->off;
	return c;
}

/* False if the next piece is not in memory: it was asked for then. */
static bool
is_warm(struct static_body *b)
{
	struct static_part	*p = &b->v[b->at];
	struct static_file	*f = b->file;
	uint64_t		 n = p->n < STEP ? p->n : STEP;
	uint64_t		 now = ev_ms(b->x->serve->ev);

	if (p->text.p != NULL || f->page != NULL || b->x->serve->ask == NULL ||
	    now < f->warm_ms)
		return true;
	if (p->n == f->size && fs_is_cached(f->file->fd, 0, f->size)) {
		f->warm_ms = now + WARM_MS;
		return true;
	}
	if (fs_is_cached(f->file->fd, p->off, n))
		return true;
	ask_helper(b, p->off, n);
	return false;
}

static void
pump(struct static_body *b, bool warm)
{
	struct sink	*to = b->src.to;
	struct chunk	 c;
	bool		 last;

	while (b->n > 0 && to != NULL && to->credit > 0) {
		if (!warm && !is_warm(b))
			return;
		warm = false;
		c = cut_chunk(b);
		last = advance(b, c.n);
		to->ops->data(to, c, last ? WAIST_END : 0);
		if (last)
			finish(b);
	}
}

/* Without an answer it is sent all the same, and may wait. */
static void
on_warm(struct question *q, struct frame *m)
{
	struct static_body	*b = container_of(q, struct static_body, q);

	(void)m;
	file_unref(&b->warm);
	pump(b, true);
}

static void
ask_helper(struct static_body *b, uint64_t off, uint64_t n)
{
	b->asked = (struct ask_warm){ off, n };
	b->q.on = on_warm;
	b->warm = file_ref(b->file->file);
	b->q.fd = &b->warm->fd;
	ask_send(b->x->serve->ask, &b->q, CHAN_WARM,
	    str_make((const char *)&b->asked, sizeof(b->asked)),
	    STATIC_ASK_MS);
}

static void
on_room(struct source *src)
{
	struct static_body	*b = container_of(src, struct static_body,
	    src);

	if (b->q.ask == NULL)
		pump(b, false);
}

static void
on_stop(struct source *src, enum fail why)
{
	struct static_body	*b = container_of(src, struct static_body,
	    src);

	(void)why;
	finish(b);
}

static const struct source_ops body_ops = {
	.room = on_room,
	.stop = on_stop
};

void
static_body_start(struct static_body *b)
{
	b->src.ops = &body_ops;
	waist_join(&b->src, exchange_body(b->x));
	pump(b, false);
}

void
static_body_cancel(struct static_body *b)
{
	finish(b);
	static_file_unref(&b->file);
}
