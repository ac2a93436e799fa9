/*
 * The common part of every transport.  Workers, control.
 *
 * A transport moves bytes and says how it went; here its answers become
 * readiness bits.  AGAIN clears the bit of the direction the transport
 * waits for and makes sure that events come.  A short read has emptied
 * the socket, so it counts as AGAIN without the empty read that would
 * prove it, unless the peer's end is already known: no event will tell
 * that again.
 */
#include "io/io.h"

#include "base/must.h"

static size_t
count_bytes(const struct iovec *v, int n)
{
	size_t	sum = 0;

	for (int i = 0; i < n; i++)
		sum += v[i].iov_len;
	return sum;
}

enum io_rc
io_wait(struct io *io, uint8_t dir)
{
	io->fd.ready &= (uint8_t)~dir;
	return (dir & IO_W ? io_watch_writes(io) : io_watch(io)) == 0 ?
	    IO_AGAIN : IO_ERR;
}

bool
io_can(const struct io *io, unsigned dir)
{
	unsigned	need = 0;

	if (!io->open)
		return false;
	if ((dir & IO_R) && !io->held)
		need |= io->rd_wait;
	if (dir & IO_W)
		need |= io->wr_wait;
	return (io->fd.ready & need) == need;
}

enum io_rc
io_readv(struct io *io, const struct iovec *v, int n, size_t *got)
{
	enum io_rc	rc;

	*got = 0;
	must(io->open);
	if (!io_can(io, IO_R))
		return IO_AGAIN;
	rc = io->ops->readv(io, v, n, got);
	if (rc == IO_AGAIN)
		return io_wait(io, io->rd_wait);
	io->short_read = rc == IO_OK && *got < count_bytes(v, n);
	if (io->short_read && (io->fd.ready & IO_GONE) == 0 &&
	    io->rd_wait == IO_R)
		io->fd.ready &= (uint8_t)~IO_R;
	return rc;
}

enum io_rc
io_writev(struct io *io, const struct iovec *v, int n, unsigned flags,
    size_t *put)
{
	enum io_rc	rc;

	*put = 0;
	must(io->open);
	if (!io_can(io, IO_W))
		return IO_AGAIN;
	rc = io->ops->writev(io, v, n, flags, put);
	return rc == IO_AGAIN ? io_wait(io, io->wr_wait) : rc;
}

enum io_rc
io_sendfile(struct io *io, int fd, uint64_t off, size_t n, size_t *put)
{
	enum io_rc	rc;

	*put = 0;
	must(io->open && io->ops->sendfile != NULL);
	if (!io_can(io, IO_W))
		return IO_AGAIN;
	rc = io->ops->sendfile(io, fd, off, n, put);
	return rc == IO_AGAIN ? io_wait(io, io->wr_wait) : rc;
}

enum io_rc
io_shutdown(struct io *io)
{
	must(io->open);
	return io->ops->shutdown(io);
}

void
io_close(struct io *io, bool reset)
{
	if (!io->open)
		return;
	io->open = false;
	io->ops->close(io, reset);
}

size_t
io_unsent(const struct io *io)
{
	if (!io->open || io->ops->unsent == NULL)
		return 0;
	return io->ops->unsent(io);
}

int
io_fd(const struct io *io)
{
	return io->fd.fd;
}
