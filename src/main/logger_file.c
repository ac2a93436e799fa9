/*
 * The log's file: appends a ring's records so that none is lost and none
 * is there twice, whenever the logger is killed.  Logger.
 *
 * Before a write the ring notes file, size, length and the tail after it;
 * behind it the tail moves and the note goes.  A note that is found later
 * is decided by what stands in the file from the noted offset on:
 *
 *	all of the text		the write was done: the tail moves
 *	a part, then the end	the rest is written, the tail moves
 *	nothing of it		it was not begun: the records are read again
 *
 * The bytes are compared with the text made anew, so another writer of
 * the file (the logger of the program before, on a board of another
 * layout) can at worst double a line.  A record that this program renders
 * otherwise than the one before is judged by the size alone.
 *
 * A file that was renamed is looked for by its inode, in the folder of
 * the log.  One that is not found was taken away with its lines: then
 * the records are written again, since a doubled line has its id and a
 * lost one has nothing.
 */
#include "main/logger.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"

#define MODE	0640
#define TRIES	3	/* of opening a file that goes away */

void
logger_file_init(struct logger_file *f)
{
	*f = (struct logger_file){ .fd = -1 };
}

void
logger_file_close(struct logger_file *f)
{
	if (f->fd != -1)
		close(f->fd);
	f->fd = -1;
}

/*
 * Opens the file and says with a lock that it is in use; 1: it is gone
 * meanwhile, by somebody who held that lock.
 */
static int
open_locked(struct logger_file *n, const char *path, struct err *e)
{
	struct stat	st;

	n->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC |
	    O_NONBLOCK | O_NOCTTY, MODE);
	if (n->fd == -1)
		return err_sys(e, "cannot open \"%s\"", path);
	/* where there are no locks nothing is compressed */
	if (flock(n->fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK) {
		close(n->fd);
		return err_set(e, "\"%s\" is being compressed", path);
	}
	if (fstat(n->fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(n->fd);
		return err_set(e, "\"%s\" is no regular file", path);
	}
	if (st.st_nlink == 0) {
		close(n->fd);
		return 1;
	}
	n->dev = st.st_dev;
	n->ino = st.st_ino;
	n->size = (uint64_t)st.st_size;
	n->since = st.st_size > 0 ? st.st_mtime : time(NULL);
	return 0;
}

int
logger_file_open(struct logger_file *f, const char *dir, const char *name,
    struct err *e)
{
	struct logger_file	n = { .fd = -1 };
	char			path[sizeof(n.dir) + sizeof(n.name)];
	int			rc = 1;

	if (str_to_c(str_from(dir), n.dir, sizeof(n.dir)) == -1)
		return err_set(e, "the path of the log's folder is too long");
	if (str_to_c(str_from(name), n.name, sizeof(n.name)) == -1)
		return err_set(e, "the name of the log file is too long");
	snprintf(path, sizeof(path), "%s/%s", n.dir, n.name);
	for (int i = 0; i < TRIES && rc == 1; i++)
		rc = open_locked(&n, path, e);
	if (rc == 1)
		err_set(e, "\"%s\" is taken away again and again", path);
	if (rc != 0)
		return -1;
	logger_file_close(f);
	*f = n;
	return 0;
}

bool
logger_file_is_linked(const struct logger_file *f)
{
	struct stat	st;

	return f->fd != -1 && fstat(f->fd, &st) == 0 && st.st_nlink > 0;
}

/* 0, or -1 with errno: then a part of it may be written. */
static int
write_all(int fd, struct str s)
{
	ssize_t	n;

	while (s.n > 0) {
		n = write(fd, s.p, s.n);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		s = str_sub(s, (size_t)n, s.n);
	}
	return 0;
}

/*
 * Once per file: what a lost power or a foreign hand tore must not run
 * into the next line.
 */
static int
end_torn_line(struct logger_file *f)
{
	off_t	size = lseek(f->fd, 0, SEEK_END);
	char	last = '\n';

	if (size > 0 && pread(f->fd, &last, 1, size - 1) != 1)
		return -1;
	if (last != '\n' && write_all(f->fd, STR("\n")) == -1)
		return -1;
	f->seen = true;
	return 0;
}

static void
finish(struct ring *r, uint64_t tail)
{
	ring_release(r, tail);
	ring_intent_clear(r);
}

int
logger_file_put(struct logger_file *f, struct ring *r, struct str text,
    uint64_t pos, struct err *e)
{
	struct ring_intent	i = { .len = text.n, .tail = pos };
	struct stat		st;

	if ((!f->seen && end_torn_line(f) == -1) || fstat(f->fd, &st) == -1)
		return err_sys(e, "cannot write \"%s/%s\"", f->dir, f->name);
	i.dev = st.st_dev;
	i.ino = st.st_ino;
	i.off = (uint64_t)st.st_size;
	ring_intent_set(r, &i);
	if (FAULT("logger_crash_before"))
		kill(getpid(), SIGKILL);
	if (write_all(f->fd, text) == -1) {
		f->seen = false;
		return err_sys(e, "cannot write \"%s/%s\"", f->dir, f->name);
	}
	if (FAULT("logger_crash"))
		kill(getpid(), SIGKILL);
	finish(r, pos);
	f->size = i.off + i.len;
	return 0;
}

/* The noted file among those of the folder; -1 if it is not there. */
static int
find_file(const char *dir, const struct ring_intent *i)
{
	DIR		*d = opendir(dir);
	struct dirent	*de;
	struct stat	 st;
	int		 fd = -1;

	if (d == NULL)
		return -1;
	while (fd == -1 && (de = readdir(d)) != NULL) {
		if (de->d_ino != i->ino)
			continue;
		fd = openat(dirfd(d), de->d_name, O_RDWR | O_APPEND |
		    O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd == -1 || (fstat(fd, &st) == 0 &&
		    S_ISREG(st.st_mode) && st.st_dev == i->dev))
			continue;
		close(fd);
		fd = -1;
	}
	closedir(d);
	return fd;
}

/* Bytes of the text that stand in the file where it was to be written. */
static uint64_t
written(int fd, const struct ring_intent *i, struct str text)
{
	struct stat	st;
	char		buf[4096];
	uint64_t	have, at, n;

	if (fstat(fd, &st) == -1 || (uint64_t)st.st_size <= i->off)
		return 0;
	have = (uint64_t)st.st_size - i->off;
	if (have > i->len)
		have = i->len;
	if (text.n != i->len)
		return have == i->len ? have : 0;
	for (at = 0; at < have; at += n) {
		n = have - at < sizeof(buf) ? have - at : sizeof(buf);
		if (pread(fd, buf, n, (off_t)(i->off + at)) != (ssize_t)n ||
		    memcmp(buf, text.p + at, n) != 0)
			return 0;
	}
	return have;
}

/* A note is believed if a logger can have made it. */
static bool
is_sane(const struct ring *r, const struct ring_intent *i)
{
	uint64_t	ahead = i->tail - ring_tail(r);

	return ahead != 0 && ahead <= ring_used(r) && i->off <= INT64_MAX &&
	    i->len <= INT64_MAX - i->off;
}

static int
settle(int fd, struct ring *r, const struct ring_intent *i, struct str text)
{
	uint64_t	have = written(fd, i, text);

	if (have == 0) {
		ring_intent_clear(r);
		return 0;
	}
	if (write_all(fd, str_sub(text, have, i->len)) == -1)
		return -1;
	finish(r, i->tail);
	return 0;
}

int
logger_file_settle(struct logger_file *f, struct ring *r,
    struct logger_text *t, struct err *e)
{
	struct ring_intent	i;
	int			fd = f->fd, rc;

	if (!ring_intent_get(r, &i))
		return 0;
	if (!is_sane(r, &i)) {
		ring_intent_clear(r);
		return 0;
	}
	if (fd == -1 || f->dev != i.dev || f->ino != i.ino)
		fd = find_file(f->dir, &i);
	if (fd == -1) {
		ring_intent_clear(r);
		return 0;
	}
	logger_text_fill(t, r, i.tail, SIZE_MAX);
	rc = settle(fd, r, &i, text_str(&t->json));
	if (rc == -1)
		err_sys(e, "cannot write \"%s/%s\"", f->dir, f->name);
	if (fd != f->fd)
		close(fd);
	return rc;
}
