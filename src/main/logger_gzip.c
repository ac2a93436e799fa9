/*
 * Compresses rotated files.  A child of the logger, which may be killed at
 * any point: NAME.gz.tmp is written and synced before it becomes NAME.gz,
 * and only then NAME goes.  One killed between the two is told from a
 * NAME.gz of other lines by the sum and the length at its end.
 */
#include "main/logger_rotate.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#include "os/fault.h"

#define MODE	0640
#define WINDOW	(15 + 16)	/* bits; 16: with gzip's head and end */

struct zip {
	int		 dir;		/* ref */
	int		 in;		/* own, locked */
	int		 out;		/* own, locked */
	struct stat	 st;		/* of in */
	const char	*name;		/* ref */
	char		 gz[LOGGER_NAME + 8];
	char		 tmp[LOGGER_NAME + 8];
	uint64_t	 size;		/* bytes read */
	uint32_t	 sum;		/* CRC-32 of them */
};

static int
write_all(int fd, const unsigned char *p, size_t n)
{
	ssize_t	did;

	while (n > 0) {
		did = write(fd, p, n);
		if (did == -1 && errno == EINTR)
			continue;
		if (did <= 0)
			return -1;
		p += did;
		n -= (size_t)did;
	}
	return 0;
}

static enum gzip_rc
open_files(struct zip *z)
{
	z->in = openat(z->dir, z->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (z->in == -1)
		return errno == ENOENT ? GZIP_BUSY : GZIP_FAILED;
	if (flock(z->in, LOCK_EX | LOCK_NB) == -1)
		return errno == EWOULDBLOCK ? GZIP_BUSY : GZIP_FAILED;
	if (fstat(z->in, &z->st) == -1 || !S_ISREG(z->st.st_mode))
		return GZIP_FAILED;
	z->out = openat(z->dir, z->tmp, O_WRONLY | O_CREAT | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC, MODE);
	if (z->out == -1)
		return GZIP_FAILED;
	if (flock(z->out, LOCK_EX | LOCK_NB) == -1) {
		close(z->out);
		z->out = -1;
		return GZIP_BUSY;
	}
	if (ftruncate(z->out, 0) == -1)
		return GZIP_FAILED;
	(void)fchmod(z->out, z->st.st_mode & 0777);
	return GZIP_OK;
}

/* All that the compressor gives for what it has. */
static int
deflate_some(struct zip *z, z_stream *s, int flush)
{
	unsigned char	out[32768];

	do {
		s->next_out = out;
		s->avail_out = sizeof(out);
		if (deflate(s, flush) == Z_STREAM_ERROR ||
		    write_all(z->out, out, sizeof(out) - s->avail_out) == -1)
			return -1;
	} while (s->avail_out == 0);
	return 0;
}

static int
pump(struct zip *z, z_stream *s)
{
	unsigned char	in[32768];
	ssize_t		n;

	do {
		n = read(z->in, in, sizeof(in));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		z->size += (uint64_t)n;
		z->sum = (uint32_t)crc32(z->sum, in, (unsigned)n);
		s->next_in = in;
		s->avail_in = (unsigned)n;
		if (deflate_some(z, s, n == 0 ? Z_FINISH : Z_NO_FLUSH) == -1)
			return -1;
	} while (n != 0);
	return 0;
}

static int
compress_file(struct zip *z)
{
	struct timespec	times[2] = { z->st.st_mtim, z->st.st_mtim };
	z_stream	s = { .next_in = NULL };
	int		rc;

	if (deflateInit2(&s, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW, 8,
	    Z_DEFAULT_STRATEGY) != Z_OK)
		return -1;
	rc = pump(z, &s);
	deflateEnd(&s);
	/* its age is that of its lines */
	return rc == 0 && futimens(z->out, times) == 0 ? fsync(z->out) : -1;
}

static uint32_t
le32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

/* 1: NAME.gz has these lines, 0: there is none, -1: it has others. */
static int
look_at_gz(const struct zip *z)
{
	int		fd = openat(z->dir, z->gz, O_RDONLY | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC);
	unsigned char	end[8];
	bool		same;

	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	same = lseek(fd, -(off_t)sizeof(end), SEEK_END) != -1 &&
	    read(fd, end, sizeof(end)) == sizeof(end) &&
	    le32(end) == z->sum && le32(end + 4) == (uint32_t)z->size;
	close(fd);
	return same ? 1 : -1;
}

/* True if the name is still that of the file, and nothing was added. */
static bool
is_as_read(const struct zip *z)
{
	struct stat	st;

	return fstatat(z->dir, z->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == z->st.st_dev && st.st_ino == z->st.st_ino &&
	    (uint64_t)st.st_size == z->size;
}

static enum gzip_rc
replace(struct logger_rotate *r, struct zip *z)
{
	int	had = look_at_gz(z);

	if (!is_as_read(z))
		return GZIP_BUSY;
	if (had == -1) {
		/* it is compressed under that name, the next time */
		if (flock(z->dir, LOCK_EX | LOCK_NB) == -1)
			return GZIP_BUSY;
		had = logger_rotate_aside(r, z->dir, z->name);
		flock(z->dir, LOCK_UN);
		return had == -1 ? GZIP_FAILED : GZIP_BUSY;
	}
	if (FAULT("gzip_crash"))
		kill(getpid(), SIGKILL);
	if (had == 0 && (renameat(z->dir, z->tmp, z->dir, z->gz) == -1 ||
	    fsync(z->dir) == -1))
		return GZIP_FAILED;
	if (FAULT("gzip_crash_renamed"))
		kill(getpid(), SIGKILL);
	if (unlinkat(z->dir, z->name, 0) == -1)
		return GZIP_FAILED;
	return GZIP_OK;
}

enum gzip_rc
logger_gzip(struct logger_rotate *r, int dir, const char *name)
{
	struct zip	z = { .dir = dir, .in = -1, .out = -1, .name = name };
	enum gzip_rc	rc;

	snprintf(z.gz, sizeof(z.gz), "%s.gz", name);
	snprintf(z.tmp, sizeof(z.tmp), "%s.gz.tmp", name);
	rc = open_files(&z);
	if (rc == GZIP_OK && compress_file(&z) == -1)
		rc = GZIP_FAILED;
	if (rc == GZIP_OK)
		rc = replace(r, &z);
	/* after it became NAME.gz there is none of that name */
	if (z.out != -1) {
		unlinkat(dir, z.tmp, 0);
		close(z.out);
	}
	if (z.in != -1)
		close(z.in);
	return rc;
}

int
logger_gzip_all(struct logger_rotate *r, const char *dir, const struct vec *v)
{
	int		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum gzip_rc	rc, worst = GZIP_OK;

	if (fd == -1)
		return GZIP_FAILED;
	for (size_t i = 0; i < v->n; i++) {
		rc = logger_gzip(r, fd, ((struct rotated *)vec_at(v, i))->name);
		if (rc > worst)
			worst = rc;
	}
	close(fd);
	return (int)worst;
}
