/*
 * The write side of an HTTP/1.1 connection.  Workers, control.
 *
 * A ring of chunks.  Heads, chunk lines and small pieces of body lie one
 * behind the other in a page, so that a small answer is one piece and one
 * send ([M] 2.9 us, as two pieces 3.3).  The ring is bounded by credit:
 * what is not copied is larger than a line of a chunk.
 *
 * What is offered to be spliced fills a pipe when that is empty, and is
 * then a chunk of the ring, the only one of its kind.  So the head before
 * it leaves with the word that more follows, and a read that gives
 * nothing says that the socket is empty, not that the pipe is full.  With
 * the last bytes of an offer in the pipe the end is waited for, which the
 * source tells in the same turn: then it is known that they are the last.
 * A pipe that stands still for a second becomes pages: a slow reader does
 * not keep it from others.
 */
#include "codec/h1/h1_outq.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

#define RING_MIN	8
#define COPY_MAX	2048		/* bytes of body worth copying */
#define HEAD_MIN	1024		/* room in which a head may fit */
#define IOV_MAX_OURS	20
#define FILE_STEP	(2048 * 1024)	/* offered by one sendfile */
#define FILL_BELOW	(2 * PAGE_BYTES)	/* waiting before a pipe */

void
h1_outq_init(struct h1_outq *q, struct arena *a, struct page_pool *pool)
{
	*q = (struct h1_outq){ .arena = a, .pool = pool,
	    .window = H1_WINDOW, .left = BODY_UNKNOWN };
	if (pool->live < pool->soft / 4)
		q->window = H1_WINDOW_FAST;
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
	q->from = NULL;
	pipe_put(q->pipes, &q->pipe);
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

/* Bytes that the process may still have in pages. */
static size_t
pages_left(const struct h1_outq *q)
{
	const struct page_pool	*pool = q->pool;

	if (pool->soft == 0)
		return SIZE_MAX;
	return pool->live < pool->soft ? pool->soft - pool->live : 0;
}

/* What may wait: the more there is of all of them, the less of each. */
static int64_t
window_of(const struct h1_outq *q)
{
	size_t	left = pages_left(q);

	if (left == 0)
		return H1_WINDOW_LEAST;
	if (left < q->pool->soft / 2 && q->window > H1_WINDOW)
		return H1_WINDOW;
	return q->window;
}

/* Credit beyond the window was given when there was more. */
static void
bound_credit(const struct h1_outq *q, struct sink *k)
{
	int64_t	most = window_of(q) - (int64_t)q->bytes;

	if (k->credit > most)
		k->credit = most;
}

static void
add_body(struct h1_outq *q, struct chunk c)
{
	char	line[20];

	if (q->chunked)
		h1_outq_copy(q, str_make(line, h1_write_chunk(line, c.n)));
	if (c.n <= COPY_MAX && c.kind <= CHUNK_CONST) {
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

/* All of the credit is the offer's, until it is back. */
static void
take_offer(struct h1_outq *q, struct sink *k, const struct chunk *c)
{
	must(q->from == NULL && k->splice);
	q->from = c->u.from;
	q->offer = c->n;
	k->credit = 0;
}

enum flow
h1_outq_data(struct h1_outq *q, struct sink *k, struct chunk c,
    unsigned flags)
{
	if (q->bodyless || q->bad || q->ended || c.n == 0 ||
	    !fits(q, c.n))
		chunk_drop(&c);
	else if (c.kind == CHUNK_SPLICE) {
		take_offer(q, k, &c);
		return FLOW_FULL;
	} else {
		k->credit -= (int64_t)c.n;
		add_body(q, c);
		if (q->pool->live > q->pool->soft && q->pool->soft > 0)
			bound_credit(q, k);
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
	q->hold = false;
	if (q->bodyless)
		return;
	if (q->left > 0)
		q->bad = true;
	if (q->chunked && !q->last && !q->bad)
		add_last(q, NULL);
}

/* --- splicing --- */

void
h1_outq_set_splice(struct h1_outq *q, struct sink *k, const struct io *io,
    struct pipe_pool *pipes)
{
	q->pipes = pipes;
	q->splices = pipes != NULL && pipes->budget > 0 &&
	    (io->caps & IO_C_SPLICE) != 0 && !q->bodyless;
	k->splice = q->splices;
}

/* What is not taken may be offered again, or told as pages. */
static void
end_offer(struct h1_outq *q, struct sink *k)
{
	q->from = NULL;
	q->full = false;
	if (q->left != BODY_UNKNOWN)
		q->left += (int64_t)q->offer;
	q->offer = 0;
	k->credit = window_of(q) - (int64_t)q->bytes;
	if (k->credit <= 0)
		q->full = true;
}

void
h1_outq_forget(struct h1_outq *q, struct sink *k)
{
	if (q->from != NULL)
		end_offer(q, k);
}

static void
tell_taken(struct sink *k, uint64_t n, enum io_rc rc)
{
	struct source	*from = k->from;

	if (from != NULL && from->ops->taken != NULL)
		from->ops->taken(from, n, rc);
}

/* The chunk that stands for the pipe; it is there. */
static uint32_t
find_pipe(const struct h1_outq *q)
{
	uint32_t	i = 0;

	while (nth(q, i)->kind != CHUNK_SPLICE)
		must(++i < q->n);
	return i;
}

/* k chunks more between the i-th and the next. */
static void
widen(struct h1_outq *q, uint32_t i, uint32_t k)
{
	while (q->cap - q->n < k)
		grow(q);
	for (uint32_t j = q->n; --j > i; )
		*nth(q, j + k) = *nth(q, j);
	q->n += k;
}

/* Bytes of the pipe in a page of its own. */
static struct chunk
read_page(struct h1_outq *q, struct pipe *p)
{
	struct chunk	 c = { .kind = CHUNK_PAGE };
	struct page	*pg = page_new(q->pool);
	ssize_t		 n;

	while (pg->fill < pg->cap && p->n > 0) {
		n = pipe_read(p, pg->data + pg->fill, pg->cap - pg->fill);
		must(n > 0);
		pg->fill += (uint32_t)n;
	}
	c.n = pg->fill;
	c.u.mem.page = pg;
	c.u.mem.p = pg->data;
	return c;
}

static void
on_stalled(struct pipe *p)
{
	struct h1_outq	*q = p->ctx;
	uint32_t	 i = find_pipe(q);
	uint32_t	 n = (uint32_t)((p->n + PAGE_ROOM - 1) / PAGE_ROOM);

	if (pages_left(q) < p->n)
		return;
	widen(q, i, n - 1);
	for (uint32_t j = 0; j < n; j++)
		*nth(q, i + j) = read_page(q, p);
	must(p->n == 0);
	q->fast = false;
	pipe_put(q->pipes, &q->pipe);
}

static bool
get_pipe(struct h1_outq *q)
{
	if (q->pipe == NULL) {
		q->pipe = pipe_get(q->pipes, q->offer);
		if (q->pipe == NULL)
			return false;
		q->pipe->stalled = on_stalled;
		q->pipe->ctx = q;
	}
	return true;
}

/* How much: a large pipe is filled if the last one left at once. */
static size_t
fill_max(const struct h1_outq *q)
{
	size_t	max = q->pipe->cap;

	if (!q->fast && max > PIPE_SMALL)
		max = PIPE_SMALL;
	return q->offer < max ? (size_t)q->offer : max;
}

/* Takes what is there of an offer. */
static void
fill(struct h1_outq *q, struct sink *k)
{
	struct chunk	c = { .kind = CHUNK_SPLICE };
	enum io_rc	rc;
	size_t		n;

	if (!get_pipe(q)) {
		/* by pages, until one is free */
		k->splice = false;
		end_offer(q, k);
		tell_taken(k, 0, IO_AGAIN);
		return;
	}
	rc = pipe_fill(q->pipe, q->from, fill_max(q), &n);
	if (rc == IO_OK) {
		c.n = n;
		q->offer -= n;
		add_body(q, c);
		q->hold = q->offer == 0;
	} else
		pipe_put(q->pipes, &q->pipe);
	if (rc != IO_OK || q->offer == 0)
		end_offer(q, k);
	tell_taken(k, n, rc);
}

/* The front of the ring is the pipe. */
static enum io_rc
write_pipe(struct h1_outq *q, struct io *io, size_t *sent)
{
	struct pipe	*p = q->pipe;
	size_t		 n = (size_t)nth(q, 0)->n;
	enum io_rc	 rc;

	rc = pipe_drain(p, io, n, n < q->bytes ? IO_MORE : 0, sent);
	q->fast = rc == IO_OK && p->n == 0;
	if (p->n == 0 && q->from == NULL)
		pipe_put(q->pipes, &q->pipe);
	return rc;
}

/* --- writing --- */

bool
h1_outq_has_work(const struct h1_outq *q)
{
	return (q->n > 0 && !q->hold) || q->from != NULL;
}

/* Gathers the pieces in memory at the front of the ring. */
static int
gather(const struct h1_outq *q, struct iovec *v, uint64_t *sum)
{
	const struct chunk	*c;
	int			 i;

	*sum = 0;
	for (i = 0; i < IOV_MAX_OURS && (uint32_t)i < q->n; i++) {
		c = nth(q, (uint32_t)i);
		if (c->kind > CHUNK_CONST)
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
	if (nth(q, 0)->kind == CHUNK_SPLICE)
		return nth(q, 0)->n;
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
		else if (c->kind != CHUNK_SPLICE)
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
	if (q->from != NULL)
		return;
	k->credit += (int64_t)n;
	if (q->n == 0 && q->full)
		q->window = H1_WINDOW_FAST;
	if (q->n == 0)
		k->credit = q->window;
	bound_credit(q, k);
	if (k->credit <= 0)
		q->full = true;
	if (q->n == 0 && q->splices && !k->splice)
		k->splice = pipe_pool_has(q->pipes);
}

enum io_rc
h1_outq_write(struct h1_outq *q, struct io *io, struct sink *k, size_t *sent)
{
	struct iovec	v[IOV_MAX_OURS];
	uint64_t	sum;
	enum io_rc	rc;
	int		n;

	*sent = 0;
	if (q->from != NULL && q->bytes <= FILL_BELOW &&
	    (q->pipe == NULL || q->pipe->n == 0))
		fill(q, k);
	if (q->n == 0 || q->hold)
		return IO_AGAIN;
	if (nth(q, 0)->kind == CHUNK_FILE)
		rc = write_file(q, io, nth(q, 0), sent);
	else if (nth(q, 0)->kind == CHUNK_SPLICE)
		rc = write_pipe(q, io, sent);
	else {
		n = gather(q, v, &sum);
		rc = io_writev(io, v, n, sum < q->bytes ? IO_MORE :
		    q->final && q->ended ? IO_LAST : 0, sent);
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
	if (!q->full || q->ended || q->from != NULL ||
	    k->credit < window_of(q) / 2)
		return false;
	q->full = false;
	return true;
}
