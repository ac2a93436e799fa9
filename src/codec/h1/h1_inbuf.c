/*
 * The read buffer of an HTTP/1.1 connection.  Workers, control.
 *
 * Slices of a page are shared by reference with whoever got them, so what
 * was read never moves: new bytes go behind it, and only what nobody has
 * seen yet is copied when the page is full.
 */
#include "codec/h1/h1_inbuf.h"

#include <errno.h>
#include <string.h>

#include "base/must.h"

#define ROOM_MIN	2048	/* below it an empty page is not worth it */

struct str
h1_inbuf_str(const struct h1_inbuf *b)
{
	if (b->page == NULL)
		return STR_NONE;
	return str_make(b->page->data + b->pos, b->page->fill - b->pos);
}

bool
h1_inbuf_is_full(const struct h1_inbuf *b)
{
	return b->page != NULL && b->page->fill == b->page->cap;
}

void
h1_inbuf_skip(struct h1_inbuf *b, size_t n)
{
	if (n == 0)
		return;
	must(n <= b->page->fill - b->pos);
	b->pos += (uint32_t)n;
}

void
h1_inbuf_fini(struct h1_inbuf *b)
{
	page_unref(&b->page);
	b->pos = 0;
}

void
h1_inbuf_trim(struct h1_inbuf *b)
{
	if (b->page != NULL && b->pos == b->page->fill)
		h1_inbuf_fini(b);
}

struct chunk
h1_inbuf_cut(struct h1_inbuf *b, size_t n)
{
	struct chunk	c = { .kind = CHUNK_PAGE, .n = n };

	must(n > 0);
	c.u.mem.page = page_ref(b->page);
	c.u.mem.p = b->page->data + b->pos;
	h1_inbuf_skip(b, n);
	return c;
}

/* Puts another page in place, with what is unused at its front. */
static void
move(struct h1_inbuf *b, struct page *to)
{
	struct str	left = h1_inbuf_str(b);

	if (left.n > 0)
		memcpy(to->data, left.p, left.n);
	to->fill = (uint32_t)left.n;
	page_unref(&b->page);
	b->page = to;
	b->pos = 0;
}

static bool
make_room(struct h1_inbuf *b, struct page_pool *pool)
{
	struct page	*pg = b->page;
	size_t		 left = h1_inbuf_str(b).n;

	if (pg != NULL && left == 0 && pg->refs == 1)
		b->pos = pg->fill = 0;
	if (pg != NULL && pg->cap - pg->fill >= (left == 0 ? ROOM_MIN : 1))
		return true;
	if (left < PAGE_ROOM) {
		move(b, page_new(pool));
		return true;
	}
	if (left >= PAGE_LARGE - sizeof(struct page))
		return false;
	move(b, page_new_large(pool));
	return true;
}

enum io_rc
h1_inbuf_read(struct h1_inbuf *b, struct io *io, struct page_pool *pool,
    size_t *got)
{
	struct iovec	v;
	enum io_rc	rc;

	*got = 0;
	if (!io_can(io, IO_R))
		return IO_AGAIN;
	if (!make_room(b, pool)) {
		io->error = ENOBUFS;
		return IO_ERR;
	}
	v.iov_base = b->page->data + b->page->fill;
	v.iov_len = b->page->cap - b->page->fill;
	rc = io_readv(io, &v, 1, got);
	if (rc == IO_OK)
		b->page->fill += (uint32_t)*got;
	return rc;
}
