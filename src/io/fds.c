/*
 * Descriptors that travel with bytes (SCM_RIGHTS): the control API hands
 * out the board so.  Control process.  A one-shot layer: for one write the
 * transport's operations are a copy of its own with another writev, which
 * puts the old ones back; nobody else pays for it, not even by a field.
 */
#include "io/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/must.h"

#define FDS_MAX		4

struct fds {
	struct io_ops		 ops;	/* io.ops points here */
	const struct io_ops	*old;	/* const */
	const int		*fd;	/* ref */
	unsigned		 n;
};

static struct fds *
fds_of(const struct io *io)
{
	return container_of((struct io_ops *)(uintptr_t)io->ops, struct fds,
	    ops);
}

static void
put_back(struct io *io)
{
	struct fds *f = fds_of(io);

	io->ops = f->old;
	free(f);
}

static enum io_rc
send_fds(struct io *io, const struct iovec *v, int n, unsigned flags,
    size_t *put)
{
	const struct fds *f = fds_of(io);
	union {
		struct cmsghdr	head;
		char		room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} c;
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)v,
	    .msg_iovlen = (size_t)n, .msg_control = &c,
	    .msg_controllen = CMSG_SPACE(f->n * sizeof(int)) };
	ssize_t sent;

	memset(&c, 0, sizeof(c));
	c.head.cmsg_level = SOL_SOCKET;
	c.head.cmsg_type = SCM_RIGHTS;
	c.head.cmsg_len = CMSG_LEN(f->n * sizeof(int));
	memcpy(CMSG_DATA(&c.head), f->fd, f->n * sizeof(int));
	do
		sent = sendmsg(io->fd.fd, &m, MSG_NOSIGNAL |
		    ((flags & IO_MORE) != 0 ? MSG_MORE : 0));
	while (sent < 0 && errno == EINTR);
	if (sent > 0) {
		put_back(io);
		*put = (size_t)sent;
		return IO_OK;
	}
	if (sent == 0 || errno == EAGAIN)
		return IO_AGAIN;
	io->error = errno;
	return IO_ERR;
}

static void
close_fds(struct io *io, bool reset)
{
	put_back(io);
	io->ops->close(io, reset);
}

int
io_send_fds(struct io *io, const int *fd, unsigned n)
{
	struct fds *f;

	if ((io->caps & IO_C_LOCAL) == 0 || io->fd.fd < 0 ||
	    io->ops->writev == send_fds)
		return -1;
	must(n > 0 && n <= FDS_MAX);
	f = must_calloc(1, sizeof(*f));
	f->ops = *io->ops;
	f->ops.writev = send_fds;
	f->ops.close = close_fds;
	f->old = io->ops;
	f->fd = fd;
	f->n = n;
	io->ops = &f->ops;
	return 0;
}
