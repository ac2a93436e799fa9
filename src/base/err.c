/*
 * The error of set-up code.  Builder, master at its start, command lines.
 *
 * The text has a fixed room and is cut when it is longer; of a system
 * error the reason at the end is kept whole and the sentence gives way,
 * because a long path is known to the reader and the reason is not.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* By way of a buffer: an argument may be the text that is replaced. */
static void __attribute__((format(printf, 3, 0)))
put(struct err *e, size_t room, const char *fmt, va_list ap)
{
	char	buf[sizeof(e->text)];

	vsnprintf(buf, room, fmt, ap);
	memcpy(e->text, buf, strnlen(buf, room - 1) + 1);
}

int
err_set(struct err *e, const char *fmt, ...)
{
	va_list	ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	put(e, sizeof(e->text), fmt, ap);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	const char	*why = strerror(errno);
	char		*end;
	size_t		 room;
	va_list		 ap;

	if (e == NULL)
		return -1;
	room = sizeof(e->text) - strnlen(why, sizeof(e->text) / 2) - 2;
	va_start(ap, fmt);
	put(e, room, fmt, ap);
	va_end(ap);
	end = e->text + strnlen(e->text, room);
	snprintf(end, sizeof(e->text) - (size_t)(end - e->text), ": %s", why);
	return -1;
}
