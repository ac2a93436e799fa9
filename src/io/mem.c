/*
 * A pipe in memory with two ends, for tests and for parts that talk to
 * themselves.  What one end does becomes an event of the other, told from
 * the loop's ready list: never from within the call.
 */
#include "io/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

struct mem_end {
	struct io	 io;
	struct mem_end	*peer;		/* of the same io_mem */
	char		*buf;		/* own: bytes for this end to read */
	size_t		 at;
	size_t		 n;
	bool		 ended:1;	/* the peer sends no more */
	bool		 cut:1;		/* the peer reset or closed */
	unsigned	 news;		/* to be told */
	struct ev_task	 tell;
};

struct io_mem {
	size_t		size;
	struct mem_end	end[2];
};

static struct mem_end *
of(struct io *io)
{
	return container_of(io, struct mem_end, io);
}

static size_t
size_of(const struct mem_end *e)
{
	const struct mem_end	*first = e < e->peer ? e : e->peer;

	return container_of(first, struct io_mem, end[0])->size;
}

static void
tell(struct mem_end *e, unsigned what)
{
	e->news |= what;
	ev_post(e->io.ev, EV_READY, &e->tell);
}

static void
on_tell(struct ev_task *t)
{
	struct mem_end	*e = container_of(t, struct mem_end, tell);
	unsigned	 what = e->news;

	e->news = 0;
	if (e->io.open)
		ev_fire(e->io.ev, &e->io.fd, what);
}

static enum io_rc
mem_readv(struct io *io, const struct iovec *v, int n, size_t *got)
{
	struct mem_end	*e = of(io);
	char		*to;
	size_t		 len;

	for (int i = 0; i < n; i++) {
		to = v[i].iov_base;
		len = v[i].iov_len < e->n ? v[i].iov_len : e->n;
		memcpy(to, e->buf + e->at, len);
		e->at += len;
		e->n -= len;
		*got += len;
	}
	if (e->n == 0)
		e->at = 0;
	if (*got > 0) {
		tell(e->peer, EV_W);
		return IO_OK;
	}
	if (e->cut && !e->ended) {
		io->error = ECONNRESET;
		return IO_ERR;
	}
	return e->ended ? IO_EOF : IO_AGAIN;
}

static enum io_rc
mem_writev(struct io *io, const struct iovec *v, int n, unsigned flags,
    size_t *put)
{
	struct mem_end	*e = of(io);
	struct mem_end	*p = e->peer;
	size_t		 room;
	size_t		 len;

	(void)flags;
	if (e->cut) {
		io->error = EPIPE;
		return IO_ERR;
	}
	memmove(p->buf, p->buf + p->at, p->n);
	p->at = 0;
	room = size_of(e) - p->n;
	for (int i = 0; i < n && room > 0; i++) {
		len = v[i].iov_len < room ? v[i].iov_len : room;
		memcpy(p->buf + p->n, v[i].iov_base, len);
		p->n += len;
		room -= len;
		*put += len;
	}
	if (*put == 0)
		return IO_AGAIN;
	tell(p, EV_R);
	return IO_OK;
}

static enum io_rc
mem_shutdown(struct io *io)
{
	struct mem_end	*p = of(io)->peer;

	p->ended = true;
	tell(p, EV_R | EV_RDHUP);
	return IO_OK;
}

static void
mem_close(struct io *io, bool reset)
{
	struct mem_end	*e = of(io);
	struct mem_end	*p = e->peer;

	ev_cancel(&e->tell);
	p->cut = true;
	/* like a socket that is closed with bytes nobody has read */
	if (reset || e->n > 0) {
		p->n = 0;
		tell(p, EV_R | EV_W | EV_RDHUP | EV_HUP | EV_ERR);
		return;
	}
	p->ended = true;
	tell(p, EV_R | EV_RDHUP | EV_HUP);
}

static const struct io_ops mem_ops = {
	.name = "mem",
	.readv = mem_readv,
	.writev = mem_writev,
	.shutdown = mem_shutdown,
	.close = mem_close
};

static void
on_fd(struct ev_fd *fd, unsigned what)
{
	struct io	*io = container_of(fd, struct io, fd);

	if (io->on != NULL)
		io->on(io, what);
}

struct io_mem *
io_mem_new(struct ev *ev, size_t size)
{
	struct io_mem	*m = must_calloc(1, sizeof(*m));
	struct mem_end	*e;

	m->size = size;
	for (int i = 0; i < 2; i++) {
		e = &m->end[i];
		e->io = (struct io){ .ops = &mem_ops, .ev = ev,
		    .caps = IO_C_LOCAL, .rd_wait = IO_R, .wr_wait = IO_W,
		    .open = true };
		ev_fd_init(&e->io.fd, -1, on_fd);
		e->io.fd.ready = EV_W;
		e->peer = &m->end[1 - i];
		e->buf = must_alloc(size);
		ev_task_init(&e->tell, on_tell);
	}
	return m;
}

void
io_mem_free(struct io_mem **mp)
{
	struct io_mem	*m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		ev_cancel(&m->end[i].tell);
		free(m->end[i].buf);
	}
	free(m);
}

struct io *
io_mem_end(struct io_mem *m, unsigned which, io_fn on)
{
	must(which < 2);
	m->end[which].io.on = on;
	return &m->end[which].io;
}
