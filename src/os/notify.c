/*
 * Telling the service manager.  Master.  One datagram per state to the
 * unix socket that NOTIFY_SOCKET names; '@' begins an abstract name.
 */
#include "os/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void
send_text(const char *text, size_t n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len;
	size_t pn;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	pn = strnlen(path, sizeof(un.sun_path));
	if (pn == sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, pn);
	if (path[0] == '@')
		un.sun_path[0] = '\0';
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + pn);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* a manager that is gone is no reason to stop serving */
	(void)!sendto(fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT,
	    (struct sockaddr *)&un, len);
	close(fd);
}

void
notify_send(const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n > 0)
		send_text(buf, (size_t)n < sizeof(buf) ? (size_t)n :
		    sizeof(buf) - 1);
}

void
notify_reloading(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	notify_send("RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)ts.tv_sec * 1000000ULL +
	    (unsigned long long)ts.tv_nsec / 1000ULL);
}
