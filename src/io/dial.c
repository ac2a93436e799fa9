/*
 * The outcome of a connect, tcp or unix; whether a connection that was
 * idle is still good.  Workers.
 *
 * A socket becomes writable when its connect is through, either way; why
 * it failed is in SO_ERROR, which reading clears.
 */
#include "io/io.h"

#include <errno.h>

/* Events tell the same, but only once a turn. */
bool
io_is_quiet(const struct io *io)
{
	ssize_t	n;
	char	c;

	if (!io->open)
		return false;
	if (io->fd.fd < 0)
		return true;
	do
		n = recv(io->fd.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK);
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
