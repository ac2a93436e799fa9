/*
 * Opens what workers ask for.  Helper.
 *
 * openat2(2) resolves below the root and the kernel refuses what leads
 * out of it.  It refuses absolute links too, also those that end inside;
 * so a path that was refused is opened once more without that rule, and
 * /proc tells where what was opened stands.
 */
#include "main/helper_open.h"

#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <unistd.h>

/* a FIFO somebody put there must not hold the helper */
#define HOW	(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

int
helper_open_parse(struct str payload, struct ask_open *q, struct str *root,
    struct str *path)
{
	if (payload.n < sizeof(*q))
		return -1;
	memcpy(q, payload.p, sizeof(*q));
	payload = str_sub(payload, sizeof(*q), payload.n);
	if ((uint64_t)q->root_n + q->path_n + 2 != payload.n ||
	    q->flags > ASK_LINKS_FOLLOW)
		return -1;
	*root = str_sub(payload, 0, q->root_n);
	*path = str_sub(payload, q->root_n + 1, payload.n - 1);
	if (str_find(payload, '\0', 0) != (ptrdiff_t)q->root_n ||
	    str_find(*path, '\0', 0) != -1 || path->p[path->n] != '\0')
		return -1;
	return 0;
}

static int
open_at(int dir, const char *path, uint64_t resolve)
{
	struct open_how	how = { .flags = HOW,
	    .resolve = resolve | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* An absolute path, or one with a `..` that BENEATH does not watch over. */
static bool
climbs(const char *path)
{
	struct str	rest = str_from(path), word;

	if (path[0] == '/')
		return true;
	while (str_word(&rest, "/", &word))
		if (str_eq(word, STR("..")))
			return true;
	return false;
}

/* Where a descriptor's file stands. */
static int
place_of(int fd, char *buf, size_t size)
{
	char	link[32];
	ssize_t	n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlinkat(AT_FDCWD, link, buf, size - 1);
	if (n <= 0 || (size_t)n == size - 1 || buf[0] != '/')
		return -1;
	buf[n] = '\0';
	return 0;
}

static bool
is_below(int dir, int fd)
{
	char		root[PATH_MAX], file[PATH_MAX];
	struct str	r, f;

	if (place_of(dir, root, sizeof(root)) == -1 ||
	    place_of(fd, file, sizeof(file)) == -1)
		return false;
	r = str_from(root);
	f = str_from(file);
	return r.n == 1 || (str_starts(f, r) &&
	    (f.n == r.n || f.p[r.n] == '/'));
}

/* -1 with errno as it was if the link leads out of the root. */
static int
open_link(int dir, const char *path, bool anywhere)
{
	int	fd = climbs(path) ? -1 : open_at(dir, path, 0);

	if (fd != -1 && !anywhere && !is_below(dir, fd)) {
		close(fd);
		fd = -1;
	}
	if (fd == -1 && (!anywhere || climbs(path)))
		errno = EXDEV;
	return fd;
}

static int
open_below(int dir, const char *path, enum ask_links links)
{
	int	fd;

	switch (links) {
	case ASK_LINKS_OFF:
		return open_at(dir, path, RESOLVE_BENEATH |
		    RESOLVE_NO_SYMLINKS);
	case ASK_LINKS_FOLLOW:
		return open_link(dir, path, true);
	case ASK_LINKS_INSIDE:
		break;
	}
	fd = open_at(dir, path, RESOLVE_BENEATH);
	if (fd == -1 && errno == EXDEV)
		fd = open_link(dir, path, false);
	return fd;
}

int
helper_open(const char *root, const char *path, enum ask_links links)
{
	int	dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int	fd, was;

	if (dir == -1)
		return -1;
	fd = open_below(dir, path[0] != '\0' ? path : ".", links);
	was = errno;
	close(dir);
	errno = was;
	return fd;
}
