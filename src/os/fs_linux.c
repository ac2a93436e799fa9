/*
 * Files on Linux.  Workers, helpers.
 *
 * RESOLVE_BENEATH has the kernel hold a path below its directory whatever
 * links it meets, and RESOLVE_CACHED and RWF_NOWAIT have it give up where
 * it would wait for the disk.  O_NONBLOCK: a FIFO that somebody put there
 * must not hold the process.
 */
#include "os/fs.h"

#include <sys/syscall.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#define HOW	(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

int
fs_open_below(int dir, const char *path, unsigned flags)
{
	struct open_how	how = { .flags = HOW,
	    .resolve = RESOLVE_NO_MAGICLINKS };

	if ((flags & FS_ANYWHERE) == 0)
		how.resolve |= RESOLVE_BENEATH;
	if (flags & FS_NO_LINKS)
		how.resolve |= RESOLVE_NO_SYMLINKS;
	if (flags & FS_CACHED)
		how.resolve |= RESOLVE_CACHED;
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

ssize_t
fs_read_cached(int fd, void *buf, size_t n, uint64_t off)
{
	struct iovec	v = { buf, n };
	ssize_t		got;

	got = preadv2(fd, &v, 1, (off_t)off, RWF_NOWAIT);
	if (got == -1 && (errno == EOPNOTSUPP || errno == ENOSYS))
		errno = EAGAIN;
	return got;
}
