/*
 * The write side of an HTTP/2 connection (h2_outq.h).  Workers, control.
 *
 * Pieces that lie one behind the other in a page are offered to the kernel
 * as one, be they of different streams: thirty answers of a turn are one
 * send, not thirty vectors.
 */
#include "codec/h2/h2_outq.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

#define IOV_MAX_OURS	64
#define ROOM_MIN	256	/* below it a page is not worth the rest */

void
h2_outq_init(struct h2_outq *q, struct page_pool *pool)
{
	*q = (struct h2_outq){ .pool = pool };
	h2_ring_init(&q->ring, NULL);
}

void
h2_outq_fini(struct h2_outq *q)
{
	h2_ring_fini(&q->ring);
	page_unref(&q->page);
}

static size_t
room_of(const struct h2_outq *q)
{
	return q->page == NULL ? 0 : q->page->cap - q->page->fill;
}

static void
need_page(struct h2_outq *q, size_t least)
{
	if (q->page != NULL && room_of(q) >= least)
		return;
	page_unref(&q->page);
	q->page = page_new(q->pool);
}

/* n bytes at the page's fill are ready to go. */
static void
put(struct h2_outq *q, size_t n, void *of)
{
	struct chunk	 c = { .kind = CHUNK_PAGE, .n = n };
	char		*p = q->page->data + q->page->fill;
	struct h2_part	*tail = NULL;

	q->page->fill += (uint32_t)n;
	q->put += n;
	if (q->ring.n > 0)
		tail = h2_ring_nth(&q->ring, q->ring.n - 1);
	if (tail != NULL && tail->of == of && tail->c.kind == CHUNK_PAGE &&
	    tail->c.u.mem.p + tail->c.n == p) {
		tail->c.n += n;
		q->ring.bytes += n;
		return;
	}
	c.u.mem.page = page_ref(q->page);
	c.u.mem.p = p;
	h2_ring_add(&q->ring, c, of);
}

void
h2_outq_copy(struct h2_outq *q, struct str s, void *of)
{
	size_t	n;

	while (s.n > 0) {
		need_page(q, s.n < ROOM_MIN ? s.n : ROOM_MIN);
		n = s.n < room_of(q) ? s.n : room_of(q);
		memcpy(q->page->data + q->page->fill, s.p, n);
		put(q, n, of);
		s = str_sub(s, n, s.n);
	}
}

void
h2_outq_add(struct h2_outq *q, struct chunk c, void *of)
{
	must(c.kind <= CHUNK_CONST);
	if (c.n <= H2_COPY_MAX) {
		h2_outq_copy(q, str_make(c.u.mem.p, (size_t)c.n), of);
		chunk_drop(&c);
		return;
	}
	q->put += c.n;
	h2_ring_add(&q->ring, c, of);
}

/* Reads n bytes of the chunk's file; false: it has less. */
static bool
read_file(const struct chunk *c, char *to)
{
	uint64_t	at = 0;
	ssize_t		n;

	while (at < c->n) {
		n = pread(c->u.file.file->fd, to + at, (size_t)(c->n - at),
		    (off_t)(c->u.file.off + at));
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += (uint64_t)n;
	}
	return true;
}

int
h2_outq_file(struct h2_outq *q, struct str head, struct chunk c, void *of)
{
	size_t	n = head.n + (size_t)c.n;
	char	*p;
	int	rc = -1;

	must(head.n == H2_HEAD && c.n <= H2_FILE_MAX);
	need_page(q, n);
	p = q->page->data + q->page->fill;
	memcpy(p, head.p, head.n);
	if (read_file(&c, p + head.n)) {
		put(q, n, of);
		rc = 0;
	}
	chunk_drop(&c);
	return rc;
}

/* --- writing --- */

static bool
extends(const struct iovec *v, const char *p)
{
	return (const char *)v->iov_base + v->iov_len == p;
}

static int
gather(const struct h2_outq *q, struct iovec *v, uint64_t *sum)
{
	const struct chunk	*c;
	int			 n = 0;

	*sum = 0;
	for (uint32_t i = 0; i < q->ring.n; i++) {
		c = &h2_ring_nth(&q->ring, i)->c;
		if (n > 0 && extends(&v[n - 1], c->u.mem.p)) {
			v[n - 1].iov_len += (size_t)c->n;
		} else {
			if (n == IOV_MAX_OURS)
				break;
			v[n].iov_base = (char *)(uintptr_t)c->u.mem.p;
			v[n].iov_len = (size_t)c->n;
			n++;
		}
		*sum += c->n;
	}
	return n;
}

uint64_t
h2_outq_next(const struct h2_outq *q)
{
	struct iovec	v[IOV_MAX_OURS];
	uint64_t	sum;

	if (q->ring.n <= IOV_MAX_OURS)
		return q->ring.bytes;
	gather(q, v, &sum);
	return sum;
}

static void
consume(struct h2_outq *q, size_t n, void (*sent)(void *, size_t))
{
	struct h2_part	*p;
	size_t		 part;

	q->out += n;
	while (n > 0) {
		p = h2_ring_nth(&q->ring, 0);
		part = n < p->c.n ? n : (size_t)p->c.n;
		if (p->of != NULL)
			sent(p->of, part);
		h2_ring_skip(&q->ring, part);
		n -= part;
	}
}

enum io_rc
h2_outq_write(struct h2_outq *q, struct io *io,
    void (*sent)(void *, size_t), size_t *n)
{
	struct iovec	v[IOV_MAX_OURS];
	uint64_t	sum;
	enum io_rc	rc;
	int		nv = gather(q, v, &sum);

	*n = 0;
	if (nv == 0)
		return IO_AGAIN;
	rc = io_writev(io, v, nv, sum < q->ring.bytes ? IO_MORE : 0, n);
	consume(q, *n, sent);
	if (q->ring.n == 0)
		page_unref(&q->page);
	return rc;
}

void
h2_outq_disown(struct h2_outq *q, const void *of)
{
	for (uint32_t i = 0; i < q->ring.n; i++)
		if (h2_ring_nth(&q->ring, i)->of == of)
			h2_ring_nth(&q->ring, i)->of = NULL;
}
