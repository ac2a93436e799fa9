/*
 * Files below state_dir that are root's, or whose sluiced is started by.
 * Every step is relative to the open folder, and none follows a link.
 */
#include "tls/cert_state.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"

/* Nobody but root and this user may write there. */
static int
check_owner(int fd, const char *path, struct err *e)
{
	struct stat	st;

	if (fstat(fd, &st) == -1)
		return err_sys(e, "\"%s\"", path);
	if ((st.st_uid != geteuid() && st.st_uid != 0) ||
	    (st.st_mode & 022) != 0)
		return err_set(e, "\"%s\" belongs to somebody else, or others "
		    "may write to it", path);
	return 0;
}

int
cert_state_open(struct str state_dir, bool make, struct err *e)
{
	char	path[PATH_MAX];
	int	fd, n = snprintf(path, sizeof(path), "%.*s/tls",
	    STR_FMT(state_dir));

	if (n < 0 || n >= (int)sizeof(path))
		return err_set(e, "the path of state_dir is too long");
	if (make && mkdir(path, 0755) == -1 && errno != EEXIST)
		return err_sys(e, "\"%s\" cannot be made", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return err_sys(e, "\"%s\" cannot be opened", path);
	if (check_owner(fd, path, e) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static char *
read_all(int fd, size_t size, size_t *n)
{
	char	*buf = must_alloc(size + 1);
	ssize_t	 got;

	for (*n = 0; *n < size; *n += (size_t)got) {
		got = read(fd, buf + *n, size - *n);
		if (got == -1 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			break;
	}
	return buf;
}

struct str
cert_state_read(int dir, const char *name, size_t max)
{
	int		 fd = openat(dir, name, O_RDONLY | O_NOFOLLOW |
	    O_CLOEXEC | O_NONBLOCK);
	struct stat	 st;
	struct str	 s = STR_NONE;
	size_t		 n;

	if (fd == -1)
		return s;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= (off_t)max) {
		s.p = read_all(fd, (size_t)st.st_size, &n);
		s.n = n;
	}
	close(fd);
	return s;
}

static int
write_all(int fd, struct str s)
{
	ssize_t	put;

	while (s.n > 0) {
		put = write(fd, s.p, s.n);
		if (put == -1 && errno != EINTR)
			return -1;
		if (put > 0)
			s = str_sub(s, (size_t)put, s.n);
	}
	return 0;
}

int
cert_state_write(int dir, const char *name, struct str s, unsigned mode,
    struct err *e)
{
	char	temp[64];
	int	fd, rc;

	snprintf(temp, sizeof(temp), ".%s.new", name);
	/* of a builder that was killed */
	(void)unlinkat(dir, temp, 0);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, mode);
	if (fd == -1)
		return err_sys(e, "\"%s\" cannot be made", temp);
	rc = write_all(fd, s);
	/* a crash of the machine must not leave half of a key */
	if (rc == 0)
		rc = fdatasync(fd);
	if (close(fd) == -1 || rc == -1 ||
	    renameat(dir, temp, dir, name) == -1) {
		err_sys(e, "\"%s\" cannot be written", name);
		(void)unlinkat(dir, temp, 0);
		return -1;
	}
	return 0;
}
