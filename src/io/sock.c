/*
 * Plain sockets, TCP and unix.  Workers, control.
 *
 * An accepted socket is tried before it is watched: a connection of one
 * request that is there already never enters the event loop.  epoll tells
 * what is ready at the moment of ADD, so nothing is missed by adding late.
 */
#include "io/io.h"

#ifdef __linux__
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <linux/sockios.h>
#endif

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/must.h"

#define NO_SLOT	0xffff		/* ev_fd: not watched */

static enum io_rc
fail(struct io *io)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return IO_AGAIN;
	io->error = errno;
	return IO_ERR;
}

/* One piece goes by recv and send, which are cheaper in the kernel. */
static enum io_rc
sock_readv(struct io *io, const struct iovec *v, int n, size_t *got)
{
	ssize_t	rc;

	do
		rc = n == 1 ? recv(io->fd.fd, v->iov_base, v->iov_len, 0) :
		    readv(io->fd.fd, v, n);
	while (rc == -1 && errno == EINTR);
	if (rc == -1)
		return fail(io);
	*got = (size_t)rc;
	return rc > 0 ? IO_OK : IO_EOF;
}

static enum io_rc
sock_writev(struct io *io, const struct iovec *v, int n, unsigned flags,
    size_t *put)
{
	struct msghdr	m = { .msg_iov = (struct iovec *)(uintptr_t)v,
	    .msg_iovlen = (size_t)n };
	int		how = MSG_NOSIGNAL;
	ssize_t		rc;

	if (flags & IO_MORE)
		how |= MSG_MORE;
	do
		rc = n == 1 ? send(io->fd.fd, v->iov_base, v->iov_len, how) :
		    sendmsg(io->fd.fd, &m, how);
	while (rc == -1 && errno == EINTR);
	if (rc == -1)
		return fail(io);
	*put = (size_t)rc;
	return IO_OK;
}

#ifdef __linux__
static enum io_rc
sock_sendfile(struct io *io, int fd, uint64_t off, size_t n, size_t *put)
{
	off_t	at = (off_t)off;
	ssize_t	rc;

	must(off <= INT64_MAX);
	do
		rc = sendfile(io->fd.fd, fd, &at, n);
	while (rc == -1 && errno == EINTR);
	if (rc == -1)
		return fail(io);
	*put = (size_t)rc;
	return rc > 0 ? IO_OK : IO_EOF;
}

static size_t
sock_unsent(const struct io *io)
{
	int	n;

	if (ioctl(io->fd.fd, SIOCOUTQ, &n) == -1 || n < 0)
		return 0;
	return (size_t)n;
}
#define CAPS	(IO_C_SPLICE | IO_C_SENDFILE)
#else
#define sock_sendfile	NULL
#define sock_unsent	NULL
#define CAPS	0
#endif

static enum io_rc
sock_shutdown(struct io *io)
{
	if (shutdown(io->fd.fd, SHUT_WR) == 0)
		return IO_OK;
	io->error = errno;
	return IO_ERR;
}

static void
sock_close(struct io *io, bool reset)
{
	if (reset)
		sock_set_reset(io->fd.fd);
	ev_del(io->ev, &io->fd, true);
	close(io->fd.fd);
	io->fd.fd = -1;
}

static const struct io_ops sock_ops = {
	.name = "sock",
	.readv = sock_readv,
	.writev = sock_writev,
	.sendfile = sock_sendfile,
	.shutdown = sock_shutdown,
	.close = sock_close,
	.unsent = sock_unsent
};

/* Wire events become those of the owner (a layer may have turned them). */
static void
on_fd(struct ev_fd *fd, unsigned what)
{
	struct io	*io = container_of(fd, struct io, fd);
	unsigned	 told = what & IO_GONE;

	if (what & io->rd_wait)
		told |= IO_R;
	if (what & io->wr_wait)
		told |= IO_W;
	if (told != 0)
		io->on(io, told);
}

int
io_sock_open(struct io *io, struct ev *ev, int fd, unsigned caps, io_fn on,
    struct err *e)
{
	*io = (struct io){ .ops = &sock_ops, .ev = ev, .on = on,
	    .caps = (uint8_t)(caps | CAPS), .rd_wait = IO_R, .wr_wait = IO_W,
	    .open = true };
	ev_fd_init(&io->fd, fd, on_fd);
	if (caps & IO_C_TRY) {
		io->fd.ready = EV_R | EV_W;
		return 0;
	}
	if (ev_add(ev, &io->fd, EV_EDGE, e) == 0)
		return 0;
	io->open = false;
	return -1;
}

bool
io_is_watched(const struct io *io)
{
	return io->fd.fd < 0 || io->fd.slot != NO_SLOT;
}

static int
watch(struct io *io, unsigned how)
{
	if (ev_add(io->ev, &io->fd, how, NULL) == 0)
		return 0;
	io->error = errno;
	return -1;
}

int
io_watch(struct io *io)
{
	return io_is_watched(io) ? 0 : watch(io, EV_EDGE);
}

int
io_watch_reads(struct io *io)
{
	return io_is_watched(io) ? 0 : watch(io, EV_EDGE | EV_READS);
}

int
io_watch_writes(struct io *io)
{
	if (io_is_watched(io) && (io->fd.how & EV_READS) == 0)
		return 0;
	if (io_is_watched(io))
		ev_del(io->ev, &io->fd, false);
	return watch(io, EV_EDGE);
}
