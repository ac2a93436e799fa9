/*
 * The outcome of a connect, tcp or unix; whether a connection that was
 * idle is still good.  Workers.
 *
 * A socket becomes writable when its connect is through, either way; why
 * it failed is in SO_ERROR, which reading clears.
 */
#include "io/io.h"

#include <errno.h>

#include "base/must.h"

/* Events tell the same, but only once a turn. */
bool
io_is_quiet(struct io *io)
{
	ssize_t	n;
	char	c;

	if (!io->open)
		return false;
	if (io->ops->quiet != NULL)
		return io->ops->quiet(io);
	if (io->fd.fd < 0)
		return true;
	do
		n = recv(io->fd.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

enum io_rc
io_peek(struct io *io, char *buf, size_t size, size_t *got)
{
	ssize_t	n;

	*got = 0;
	must(io->open && io->fd.fd >= 0);
	do
		n = recv(io->fd.fd, buf, size, MSG_PEEK | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n > 0)
		*got = (size_t)n;
	if (n == 0)
		return IO_EOF;
	if (n > 0 || errno == EAGAIN || errno == EWOULDBLOCK)
		return IO_OK;
	io->error = errno;
	return IO_ERR;
}

int
io_dialled(struct io *io)
{
	socklen_t	n = sizeof(int);
	int		error = 0;

	if (io->fd.fd < 0)
		return 0;
	if (getsockopt(io->fd.fd, SOL_SOCKET, SO_ERROR, &error, &n) == -1)
		return errno;
	return error;
}
