/*
 * Bytes both ways between two transports.  Workers.
 *
 * What one read brought is written before the next one: when the write
 * blocks, reading stops, and the sender feels it by its kernel's buffers.
 * A read takes one page at first, twice as many after one that filled all
 * and else as many as that took; from some on bytes are spliced, until there
 * are none for a moment or nobody takes them for a second.
 *
 * A side that takes no more may still have something to say, such as why:
 * its own direction goes on until its end or error, then the relay ends
 * as broken.  What the kernel still has for the other side is not to be
 * lost by that: it is told the end behind it, and what it says is dropped
 * until it ends, too, or LINGER_MS passed.
 */
#include "io/relay.h"

#include <errno.h>

#include "base/must.h"

#define TURN_BYTES	(256 * 1024)
#define LINGER_MS	2000
#define HELD_PAGES	4	/* of a read after one that was not taken */
#define FAST_PAGES	8	/* of a read that a pipe would do better */
#define PIPE_BYTES	(RELAY_PAGES * PAGE_ROOM)

static unsigned
side_of(const struct relay *r, const struct io *io)
{
	return io == r->way[0].from ? 0 : 1;
}

static void
drop_pages(struct relay_way *w)
{
	for (; w->at < w->n; w->at++)
		page_unref(&w->page[w->at]);
	w->at = w->n = 0;
	w->pos = 0;
}

static void
drop_all(struct relay *r, struct relay_way *w)
{
	drop_pages(w);
	if (w->pipe != NULL)
		pipe_put(r->pipes, &w->pipe);
}

void
relay_stop(struct relay *r)
{
	ev_timer_off(r->ev, &r->idle);
	ev_cancel(&r->task);
	for (unsigned i = 0; i < 2; i++)
		drop_all(r, &r->way[i]);
	r->on = false;
}

static void
end(struct relay *r, enum relay_end how, unsigned side)
{
	relay_stop(r);
	r->over(r, how, side);
}

static void
note(struct relay *r, const struct io *io, size_t got, size_t put)
{
	size_t	n = got + put;

	r->moved_ms = ev_ms(r->ev);
	r->budget -= n < r->budget ? (uint32_t)n : r->budget;
	if (r->moved != NULL)
		r->moved(r, side_of(r, io), got, put);
}

/* That side failed: the end, unless the other one has something to get. */
static void
break_off(struct relay *r, unsigned side)
{
	struct io	*left = r->way[side].to;

	if (io_unsent(left) == 0 || io_shutdown(left) != IO_OK) {
		end(r, RELAY_BROKEN, side);
		return;
	}
	drop_all(r, &r->way[0]);
	drop_all(r, &r->way[1]);
	r->broken = (uint8_t)(side + 1);
	r->linger = true;
	ev_timer(r->ev, &r->idle, LINGER_MS);
	ev_post(r->ev, EV_READY, &r->task);
}

/* Unread bytes would make the kernel reset what is to be closed. */
static void
drop_in(struct relay *r)
{
	unsigned	 side = r->broken - 1u;
	struct io	*left = r->way[side].to;
	struct page	*pg = page_new(r->pages);
	struct iovec	 v = { pg->data, PAGE_ROOM };
	enum io_rc	 rc = IO_OK;
	size_t		 got;

	while (rc == IO_OK && r->budget > 0) {
		rc = io_readv(left, &v, 1, &got);
		r->budget -= got < r->budget ? (uint32_t)got : r->budget;
	}
	page_unref(&pg);
	if (rc == IO_OK)
		ev_post(r->ev, EV_READY, &r->task);
	else if (rc != IO_AGAIN)
		end(r, RELAY_BROKEN, side);
}

/* --- one direction --- */

/* The side that this direction leads to takes no more. */
static void
lose(struct relay *r, struct relay_way *w)
{
	if (r->broken == 0)
		r->broken = (uint8_t)(side_of(r, w->to) + 1);
	drop_all(r, w);
	w->eof = w->shut = true;
	/* what it said before, its error at last, is there to be read */
	w->to->fd.ready |= w->to->rd_wait;
	ev_post(r->ev, EV_READY, &r->task);
}

static void
skip(struct relay_way *w, size_t n)
{
	size_t	left;

	while (n > 0) {
		left = w->page[w->at]->fill - w->pos;
		if (n < left) {
			w->pos += (uint32_t)n;
			return;
		}
		n -= left;
		page_unref(&w->page[w->at++]);
		w->pos = 0;
	}
	if (w->at == w->n)
		w->at = w->n = 0;
}

/* One write; false: no more goes now. */
static bool
write_out(struct relay *r, struct relay_way *w)
{
	struct iovec	v[RELAY_PAGES];
	enum io_rc	rc;
	size_t		put;
	int		n = 1;

	v[0] = (struct iovec){ w->page[w->at]->data + w->pos,
	    w->page[w->at]->fill - w->pos };
	for (unsigned i = w->at + 1u; i < w->n; i++, n++)
		v[n] = (struct iovec){ w->page[i]->data,
		    w->page[i]->fill };
	rc = io_writev(w->to, v, n, 0, &put);
	if (rc == IO_ERR) {
		lose(r, w);
		return false;
	}
	if (rc != IO_OK)
		return false;
	skip(w, put);
	note(r, w->to, 0, put);
	if (w->n > 0 && w->want > HELD_PAGES)
		w->want = HELD_PAGES;
	return true;
}

/* What was read stays, the other pages go back. */
static void
keep_pages(struct relay_way *w, struct page **pg, unsigned n, size_t got)
{
	size_t	len;

	for (unsigned i = 0; i < n; i++) {
		len = got < PAGE_ROOM ? got : PAGE_ROOM;
		got -= len;
		if (len == 0) {
			page_unref(&pg[i]);
			continue;
		}
		pg[i]->fill = (uint32_t)len;
		w->page[w->n++] = pg[i];
	}
}

/* True: there is something to do with. */
static bool
read_in(struct relay *r, struct relay_way *w)
{
	struct page	*pg[RELAY_PAGES];
	struct iovec	 v[RELAY_PAGES];
	unsigned	 n = w->want;
	enum io_rc	 rc;
	size_t		 got;

	if (!io_can(w->from, IO_R))
		return false;
	for (unsigned i = 0; i < n; i++) {
		pg[i] = page_new(r->pages);
		v[i] = (struct iovec){ pg[i]->data, PAGE_ROOM };
	}
	rc = io_readv(w->from, v, (int)n, &got);
	keep_pages(w, pg, n, got);
	if (got < n * PAGE_ROOM)
		w->want = (uint8_t)(got / PAGE_ROOM + 1);
	else if (n < RELAY_PAGES)
		w->want = (uint8_t)(n * 2);
	if (got > 0)
		note(r, w->from, got, 0);
	w->eof = rc == IO_EOF;
	if (rc == IO_ERR)
		break_off(r, side_of(r, w->from));
	return rc == IO_OK || rc == IO_EOF;
}

/* --- through a pipe --- */

/* Nobody takes what is in it: others may have the pipe. */
static void
on_stalled(struct pipe *p)
{
	struct relay		*r = p->ctx;
	struct relay_way	*w = &r->way[p == r->way[0].pipe ? 0 : 1];
	struct page		*pg;
	ssize_t			 n;

	while (p->n > 0 && w->n < RELAY_PAGES) {
		pg = page_new(r->pages);
		n = pipe_read(p, pg->data, PAGE_ROOM);
		if (n < 0) {
			page_unref(&pg);
			break;
		}
		pg->fill = (uint32_t)n;
		w->page[w->n++] = pg;
	}
	if (p->n > 0) {
		lose(r, w);
		return;
	}
	pipe_put(r->pipes, &w->pipe);
	w->want = 1;
}

static bool
takes_pipe(struct relay *r, struct relay_way *w)
{
	if (w->want < FAST_PAGES || w->eof || w->n > 0 || r->pipes == NULL ||
	    (w->from->caps & w->to->caps & IO_C_SPLICE) == 0)
		return false;
	w->pipe = pipe_get(r->pipes, PIPE_SMALL);
	if (w->pipe == NULL)
		return false;
	w->pipe->stalled = on_stalled;
	w->pipe->ctx = r;
	return true;
}

/* The pipe goes back as soon as there is nothing for it. */
static bool
fill(struct relay *r, struct relay_way *w)
{
	enum io_rc	rc;
	size_t		got;

	rc = pipe_fill(w->pipe, w->from, PIPE_BYTES, &got);
	if (rc == IO_OK) {
		w->want = (uint8_t)(got / PAGE_ROOM + 1);
		note(r, w->from, got, 0);
		return true;
	}
	pipe_put(r->pipes, &w->pipe);
	if (w->want > RELAY_PAGES)
		w->want = RELAY_PAGES;
	w->eof = rc == IO_EOF;
	if (rc == IO_ERR)
		break_off(r, side_of(r, w->from));
	return rc == IO_EOF;
}

/* One move; false: no more goes now. */
static bool
splice_on(struct relay *r, struct relay_way *w)
{
	enum io_rc	rc;
	size_t		put;

	if (w->pipe->n == 0)
		return fill(r, w);
	rc = pipe_drain(w->pipe, w->to, w->pipe->n, 0, &put);
	if (rc == IO_ERR)
		lose(r, w);
	if (rc != IO_OK)
		return false;
	note(r, w->to, 0, put);
	return true;
}

/*
 * All was passed on; so is the end, but for a side that the other one is
 * lost to: how that ends is break_off's.
 */
static void
shut(struct relay *r, struct relay_way *w)
{
	const struct relay_way	*back = &r->way[side_of(r, w->to)];

	w->shut = true;
	if (r->broken != 0 || io_shutdown(w->to) == IO_OK)
		return;
	/* who has said all and is closed needs not be told */
	if (w->to->error != ENOTCONN || !back->eof)
		lose(r, w);
}

/* Moves what can be moved now. */
static void
pump(struct relay *r, struct relay_way *w)
{
	while (!w->shut) {
		if (r->budget == 0) {
			ev_post(r->ev, EV_READY, &r->task);
			return;
		}
		if (w->pipe != NULL || takes_pipe(r, w)) {
			if (!splice_on(r, w))
				return;
		} else if (w->n > 0) {
			if (!write_out(r, w))
				return;
		} else if (w->eof)
			shut(r, w);
		else if (!read_in(r, w))
			return;
	}
}

/* --- both --- */

static void
run(struct relay *r)
{
	uint64_t	turn = ev_counts(r->ev)->turns;

	if (r->turn != turn) {
		r->turn = turn;
		r->budget = TURN_BYTES;
	}
	if (r->linger) {
		drop_in(r);
		return;
	}
	pump(r, &r->way[0]);
	if (r->on && !r->linger)
		pump(r, &r->way[1]);
	if (!r->on || r->linger || !r->way[0].shut || !r->way[1].shut)
		return;
	if (r->broken != 0)
		break_off(r, r->broken - 1u);
	else
		end(r, RELAY_DONE, 0);
}

static void
on_task(struct ev_task *t)
{
	run(container_of(t, struct relay, task));
}

static void
on_io(struct io *io, unsigned what)
{
	struct relay	*r = io->ctx;

	(void)what;
	if (r->on)
		run(r);
}

/* Moving does not touch the timer: it looks whether anything did. */
static void
on_idle(struct timer *t)
{
	struct relay	*r = container_of(t, struct relay, idle);
	uint64_t	 quiet = ev_ms(r->ev) - r->moved_ms;

	if (r->linger)
		end(r, RELAY_BROKEN, r->broken - 1u);
	else if (quiet < r->idle_ms)
		ev_timer(r->ev, t, r->idle_ms - quiet);
	else
		end(r, RELAY_IDLE, 0);
}

void
relay_init(struct relay *r)
{
	timer_init(&r->idle, on_idle);
	ev_task_init(&r->task, on_task);
	for (unsigned i = 0; i < 2; i++)
		r->way[i].want = 1;
}

void
relay_put(struct relay *r, unsigned side, struct page *pg, struct str bytes)
{
	struct relay_way	*w = &r->way[side];
	struct page		*own;

	must(w->n == 0 && bytes.n <= PAGE_LARGE);
	/* a slice ends where a page does only if nobody wrote behind it */
	own = page_new_sized(r->pages, bytes.n);
	memcpy(own->data, bytes.p, bytes.n);
	own->fill = (uint32_t)bytes.n;
	page_unref(&pg);
	w->page[w->n++] = own;
}

static void
own(struct relay *r, struct io *io)
{
	io->on = on_io;
	io->ctx = r;
	/* it may have been told and left: tried, and then watched */
	io->fd.ready |= (uint8_t)(io->rd_wait | io->wr_wait);
	(void)io_watch(io);
}

void
relay_start(struct relay *r, struct io *a, struct io *b)
{
	r->way[0].from = r->way[1].to = a;
	r->way[1].from = r->way[0].to = b;
	r->on = true;
	r->moved_ms = ev_ms(r->ev);
	own(r, a);
	own(r, b);
	if (r->idle_ms > 0)
		ev_timer(r->ev, &r->idle, r->idle_ms);
	ev_post(r->ev, EV_FLUSH, &r->task);
}
