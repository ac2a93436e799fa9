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

#include "os/fault.h"

#define HOW	(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define PLACE	(O_PATH | O_DIRECTORY | O_CLOEXEC)

/* since Linux 6.5; one number on every system */
#ifndef SYS_cachestat
#define SYS_cachestat	451
#endif
#define PAGE		4096

int
fs_open_below(int dir, const char *path, unsigned flags)
{
	struct open_how	how = { .flags = HOW,
	    .resolve = RESOLVE_NO_MAGICLINKS };
	int		fd;

	if ((flags & FS_ANYWHERE) == 0)
		how.resolve |= RESOLVE_BENEATH;
	if (flags & FS_NO_LINKS)
		how.resolve |= RESOLVE_NO_SYMLINKS;
	if (flags & FS_PATH)
		how.flags = PLACE;
	if (flags & FS_CACHED)
		how.resolve |= RESOLVE_CACHED;
	fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	/* a rename somewhere is enough: once more */
	if (fd == -1 && errno == EAGAIN && (flags & FS_CACHED))
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	return fd;
}

ssize_t
fs_read_cached(int fd, void *buf, size_t n, uint64_t off)
{
	struct iovec	v = { buf, n };
	ssize_t		got;

	if (FAULT("fs_cold_read")) {
		errno = EAGAIN;
		return -1;
	}
	got = preadv2(fd, &v, 1, (off_t)off, RWF_NOWAIT);
	if (got == -1 && (errno == EOPNOTSUPP || errno == ENOSYS))
		errno = EAGAIN;
	return got;
}

/* Where the kernel does not tell, the ends stand for the whole. */
static bool
probe(int fd, uint64_t off, uint64_t n)
{
	char	c;

	return fs_read_cached(fd, &c, 1, off) >= 0 &&
	    fs_read_cached(fd, &c, 1, off + n - 1) >= 0;
}

bool
fs_is_cached(int fd, uint64_t off, uint64_t n)
{
	struct { uint64_t off, len; }			range = { off, n };
	struct { uint64_t cached, dirty, wb, out, new; } st = { 0 };

	if (FAULT("fs_cold_read"))
		return false;
	if (n == 0)
		return true;
	if (syscall(SYS_cachestat, fd, &range, &st, 0) == -1)
		return errno == EOPNOTSUPP || probe(fd, off, n);
	return st.cached > (off + n - 1) / PAGE - off / PAGE;
}
