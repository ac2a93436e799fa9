/*
 * The outcome of a connect, tcp or unix.  Workers.
 *
 * A socket becomes writable when its connect is through, either way; why
 * it failed is in SO_ERROR, which reading clears.
 */
#include "io/io.h"

#include <errno.h>

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
