/*
 * The console: stderr of sluiced -f.  Logger.
 *
 * A terminal may be stopped and a pipe may have no reader, and the log
 * must not wait for either.  Making the descriptor non-blocking would do
 * so for the shell that shares it, so each write is asked for first and
 * small enough not to wait: a pipe that is writable takes PIPE_BUF bytes.
 */
#include "main/logger.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE_MS	100	/* for a reader who just is slower */

bool
logger_console_colours(int fd)
{
	const char	*no = getenv("NO_COLOR");

	return isatty(fd) == 1 && (no == NULL || no[0] == '\0');
}

/* The lines at the beginning that fit into one write. */
static struct str
piece(struct str lines)
{
	size_t	n = lines.n < LOGGER_LINE ? lines.n : LOGGER_LINE;

	while (n > 0 && n < lines.n && lines.p[n - 1] != '\n')
		n--;
	return str_sub(lines, 0, n > 0 ? n : LOGGER_LINE);
}

/* True also when the console is gone: then a write says so. */
static bool
is_writable(struct logger_console *c)
{
	struct pollfd	p = { .fd = c->fd, .events = POLLOUT };

	c->stuck = poll(&p, 1, c->stuck ? 0 : PATIENCE_MS) != 1;
	return !c->stuck;
}

/* False: later.  What nobody will ever read counts as written. */
static bool
put(struct logger_console *c, struct str s)
{
	ssize_t	n;

	while (s.n > 0) {
		if (!is_writable(c))
			return false;
		n = write(c->fd, s.p, s.n);
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			return true;
		s = str_sub(s, n > 0 ? (size_t)n : 0, s.n);
	}
	return true;
}

static uint64_t
count(struct str lines)
{
	uint64_t	n = 0;

	for (size_t i = 0; i < lines.n; i++)
		n += lines.p[i] == '\n';
	return n;
}

static void
tell_skipped(struct logger_console *c)
{
	struct text	t;
	char		buf[80];

	if (c->skipped == 0 || !is_writable(c))
		return;
	text_init_fixed(&t, buf, sizeof(buf));
	text_fmt(&t, "console: %llu lines not shown\n",
	    (unsigned long long)c->skipped);
	if (put(c, text_str(&t)))
		c->skipped = 0;
}

size_t
logger_console_put(struct logger_console *c, struct str lines)
{
	size_t		done = 0;
	struct str	s;

	tell_skipped(c);
	while (done < lines.n) {
		s = piece(str_sub(lines, done, lines.n));
		if (!put(c, s))
			break;
		done += s.n;
	}
	if (!c->keeps)
		c->skipped += count(str_sub(lines, done, lines.n));
	return done;
}
