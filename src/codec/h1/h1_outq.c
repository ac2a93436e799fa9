/*
 * The write side of an HTTP/1.1 connection.  Workers, control.
 *
 * A ring of chunks.  Heads, chunk lines and small pieces of body lie one
 * behind the other in a page, so that a small answer is one piece and one
 * send ([M] 2.9 us, as two pieces 3.3).  The ring is bounded by credit:
 * what is not copied is larger than a line of a chunk.
 */
#include "codec/h1/h1_outq.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

#define RING_MIN	8
#define COPY_MAX	2048		/* bytes of body worth copying */
#define HEAD_MIN	1024		/* room in which a head may fit */
#define IOV_MAX_OURS	16
#define FILE_STEP	(2048 * 1024)	/* offered by one sendfile */

void
h1_outq_init(struct h1_outq *q, struct arena *a, struct page_pool *pool)
{
	*q = (struct h1_outq){ .arena = a, .pool = pool,
	    .window = H1_WINDOW, .left = BODY_UNKNOWN };
}

void
h1_outq_fini(struct h1_outq *q)
{
	while (q->n > 0) {
		chunk_drop(&q->ring[q->at]);
		q->at = (q->at + 1) % q->cap;
		q->n--;
	}
	q->bytes = 0;
	page_unref(&q->page);
	q->bodyless = true;
	q->full = false;
}

static struct chunk *
nth(const struct h1_outq *q, uint32_t i)
{
	return &q->ring[(q->at + i) % q->cap];
}

/* The old ring stays in the arena: doubling wastes as much as is used. */
static void
grow(struct h1_outq *q)
{
	uint32_t	 cap = q->cap == 0 ? RING_MIN : q->cap * 2;
	struct chunk	*ring = arena_room(q->arena, cap * sizeof(*ring));

	for (uint32_t i = 0; i < q->n; i++)
		ring[i] = *nth(q, i);
	q->ring = ring;
	q->cap = cap;
	q->at = 0;
}

static void
add(struct h1_outq *q, struct chunk c)
{
	if (q->n == q->cap)
		grow(q);
	*nth(q, q->n) = c;
	q->n++;
	q->bytes += c.n;
}

/* --- rendering --- */

static size_t
room_of(const struct h1_outq *q)
{
	return q->page == NULL ? 0 : q->page->cap - q->page->fill;
}

static void
set_page(struct h1_outq *q, struct page *pg)
{
	page_unref(&q->page);
	q->page = pg;
}

/* n bytes at the page's fill are ready to go. */
static void
put(struct h1_outq *q, size_t n)
{
	struct page	*pg = q->page;
	char		*p = pg->data + pg->fill;
	struct chunk	*tail;
	struct chunk	 c = { .kind = CHUNK_PAGE, .n = n };

	if (n == 0)
		return;
	pg->fill += (uint32_t)n;
	tail = q->n > 0 ? nth(q, q->n - 1) : NULL;
	if (tail != NULL && tail->kind == CHUNK_PAGE &&
	    tail->u.mem.page == pg && tail->u.mem.p + tail->n == p) {
		tail->n += n;
		q->bytes += n;
		return;
	}
	c.u.mem.page = page_ref(pg);
	c.u.mem.p = p;
	add(q, c);
}

bool
h1_outq_text(struct h1_outq *q, unsigned try, struct text *t)
{
	if (try > 2)
		return false;
	if (try == 2)
		set_page(q, page_new_large(q->pool));
	else if (try == 1 || room_of(q) < HEAD_MIN)
		set_page(q, page_new(q->pool));
	text_init_fixed(t, q->page->data + q->page->fill, room_of(q));
	return true;
}

void
h1_outq_commit(struct h1_outq *q, const struct text *t)
{
	must(!t->cut && t->p == q->page->data + q->page->fill);
	put(q, t->n);
}

void
h1_outq_copy(struct h1_outq *q, struct str s)
{
	must(s.n <= PAGE_ROOM);
	if (room_of(q) < s.n)
		set_page(q, page_new(q->pool));
	memcpy(q->page->data + q->page->fill, s.p, s.n);
	put(q, s.n);
}

/* --- the message --- */

static void
add_body(struct h1_outq *q, struct chunk c)
{
	char	line[20];

	if (q->chunked)
		h1_outq_copy(q, str_make(line, h1_write_chunk(line, c.n)));
	if (c.kind != CHUNK_FILE && c.n <= COPY_MAX) {
		h1_outq_copy(q, str_make(c.u.mem.p, (size_t)c.n));
		chunk_drop(&c);
	} else
		add(q, c);
	if (q->chunked)
		h1_outq_copy(q, STR("\r\n"));
}

/* Never silently more than was announced. */
static bool
fits(struct h1_outq *q, uint64_t n)
{
	if (q->left == BODY_UNKNOWN)
		return true;
	if (n > (uint64_t)q->left) {
		q->bad = true;
		return false;
	}
	q->left -= (int64_t)n;
	return true;
}

enum flow
h1_outq_data(struct h1_outq *q, struct sink *k, struct chunk c,
    unsigned flags)
{
	must(c.kind != CHUNK_SPLICE);
	if (q->bodyless || q->bad || q->ended || c.n == 0 ||
	    !fits(q, c.n))
		chunk_drop(&c);
	else {
		k->credit -= (int64_t)c.n;
		add_body(q, c);
	}
	if (flags & WAIST_END)
		h1_outq_end(q);
	if (k->credit > 0)
		return FLOW_MORE;
	q->full = true;
	return FLOW_FULL;
}

static void
add_last(struct h1_outq *q, const struct hdrs *trailers)
{
	struct text	t;

	q->last = true;
	for (unsigned i = 0; h1_outq_text(q, i, &t); i++) {
		h1_write_last(&t, trailers);
		if (!t.cut) {
			h1_outq_commit(q, &t);
			return;
		}
	}
	/* larger than any head may be: told by leaving the end out */
	q->bad = true;
}

void
h1_outq_trailers(struct h1_outq *q, const struct hdrs *hs)
{
	if (q->chunked && !q->last && !q->bodyless && !q->ended)
		add_last(q, hs);
}

void
h1_outq_end(struct h1_outq *q)
{
	if (q->ended)
		return;
	q->ended = true;
	if (q->bodyless)
		return;
	if (q->left > 0)
		q->bad = true;
	if (q->chunked && !q->last && !q->bad)
		add_last(q, NULL);
}

/* --- writing --- */

/* Gathers the pieces in memory at the front of the ring. */
static int
gather(const struct h1_outq *q, struct iovec *v, uint64_t *sum)
{
	const struct chunk	*c;
	int			 i;

	*sum = 0;
	for (i = 0; i < IOV_MAX_OURS && (uint32_t)i < q->n; i++) {
		c = nth(q, (uint32_t)i);
		if (c->kind == CHUNK_FILE)
			break;
		v[i].iov_base = (char *)(uintptr_t)c->u.mem.p;
		v[i].iov_len = (size_t)c->n;
		*sum += c->n;
	}
	return i;
}

static size_t
file_step(const struct chunk *c)
{
	return c->n < FILE_STEP ? (size_t)c->n : FILE_STEP;
}

uint64_t
h1_outq_next(const struct h1_outq *q)
{
	struct iovec	v[IOV_MAX_OURS];
	uint64_t	sum;

	if (q->n == 0)
		return 0;
	if (nth(q, 0)->kind == CHUNK_FILE)
		return file_step(nth(q, 0));
	gather(q, v, &sum);
	return sum;
}

/* Over a transport without sendfile: by way of a page. */
static enum io_rc
copy_file(struct h1_outq *q, struct io *io, const struct chunk *c,
    size_t *sent)
{
	struct page	*pg = page_new(q->pool);
	struct iovec	 v = { pg->data, pg->cap };
	enum io_rc	 rc = IO_EOF;
	ssize_t		 n;

	if (v.iov_len > c->n)
		v.iov_len = (size_t)c->n;
	do
		n = pread(c->u.file.file->fd, pg->data, v.iov_len,
		    (off_t)c->u.file.off);
	while (n == -1 && errno == EINTR);
	if (n > 0) {
		v.iov_len = (size_t)n;
		rc = io_writev(io, &v, 1, 0, sent);
	}
	page_unref(&pg);
	return rc;
}

static enum io_rc
write_file(struct h1_outq *q, struct io *io, const struct chunk *c,
    size_t *sent)
{
	if (!(io->caps & IO_C_SENDFILE))
		return copy_file(q, io, c, sent);
	return io_sendfile(io, c->u.file.file->fd, c->u.file.off,
	    file_step(c), sent);
}

static void
consume(struct h1_outq *q, size_t n)
{
	struct chunk	*c;
	size_t		 part;

	q->bytes -= n;
	while (n > 0) {
		c = nth(q, 0);
		part = n < c->n ? n : (size_t)c->n;
		n -= part;
		c->n -= part;
		if (c->kind == CHUNK_FILE)
			c->u.file.off += part;
		else
			c->u.mem.p += part;
		if (c->n > 0)
			return;
		chunk_drop(c);
		q->at = (q->at + 1) % q->cap;
		q->n--;
	}
}

/* Framing is given back with the body: never more than the window. */
static void
give_credit(struct h1_outq *q, struct sink *k, size_t n)
{
	k->credit += (int64_t)n;
	if (q->n == 0 && q->full)
		q->window = H1_WINDOW_FAST;
	if (q->n == 0 || k->credit > q->window)
		k->credit = q->window;
}

enum io_rc
h1_outq_write(struct h1_outq *q, struct io *io, struct sink *k, size_t *sent)
{
	struct iovec	v[IOV_MAX_OURS];
	uint64_t	sum;
	enum io_rc	rc;
	int		n;

	must(q->n > 0);
	*sent = 0;
	if (nth(q, 0)->kind == CHUNK_FILE)
		rc = write_file(q, io, nth(q, 0), sent);
	else {
		n = gather(q, v, &sum);
		rc = io_writev(io, v, n, sum < q->bytes ? IO_MORE : 0, sent);
	}
	if (*sent == 0)
		return rc;
	consume(q, *sent);
	give_credit(q, k, *sent);
	if (q->n == 0)
		page_unref(&q->page);
	return rc;
}

bool
h1_outq_has_room(struct h1_outq *q, const struct sink *k)
{
	if (!q->full || q->ended || k->credit < q->window / 2)
		return false;
	q->full = false;
	return true;
}
