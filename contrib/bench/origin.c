/*
 * origin: the upstream that proxies are measured with.  One thread, epoll;
 * two system calls per request, nothing parsed but the path: /1k, /64k or
 * /2m say how large the answer is.  Byte i of a body is 'a' + i % 23.  The
 * body of a request, by Content-Length, is thrown away in the kernel; the
 * answer comes behind it.  Who begins with the preface of HTTP/2 has that.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "origin_h2.h"

enum { BODY_MAX = 16 << 20, BATCH = 256, REQUEST_MAX = 4096, STEP = 1 << 20 };

struct conn {
	int		fd;
	struct h2_origin *h2;		/* NULL: HTTP/1.1 */
	size_t		n;		/* of req */
	size_t		left;		/* of the request's body */
	size_t		head_sent;
	size_t		head_len;	/* 0: no answer under way */
	size_t		body_sent;
	size_t		body_len;
	char		head[160];
	char		req[REQUEST_MAX];
};

static char	*body;
static int	ep;

static void
drop(struct conn *c)
{
	close(c->fd);
	origin_h2_free(&c->h2);
	free(c);
}

static size_t
length_of(const char *s, size_t n)
{
	const char	*p = memchr(s, '/', n);
	char		*unit;
	size_t		len;

	len = p == NULL ? 0 : strtoul(p + 1, &unit, 10);
	if (len > 0 && *unit == 'k')
		len <<= 10;
	else if (len > 0 && *unit == 'm')
		len <<= 20;
	return len > BODY_MAX ? BODY_MAX : len;
}

static void
begin_answer(struct conn *c)
{
	size_t	len = length_of(c->req, c->n);

	c->body_len = len;
	c->body_sent = c->head_sent = 0;
	c->head_len = (size_t)snprintf(c->head, sizeof(c->head),
	    "HTTP/1.1 %s\r\nServer: origin\r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    len > 0 ? "200 OK" : "404 Not Found", len);
}

/* Returns false when the connection is gone. */
static bool
answer(struct conn *c)
{
	struct iovec	v[2];
	ssize_t		n;
	size_t		part;

	while (c->head_sent < c->head_len || c->body_sent < c->body_len) {
		v[0].iov_base = c->head + c->head_sent;
		v[0].iov_len = c->head_len - c->head_sent;
		v[1].iov_base = body + c->body_sent;
		v[1].iov_len = c->body_len - c->body_sent;
		n = writev(c->fd, v, 2);
		if (n == -1 && errno == EAGAIN)
			return true;
		if (n == -1) {
			drop(c);
			return false;
		}
		part = (size_t)n < v[0].iov_len ? (size_t)n : v[0].iov_len;
		c->head_sent += part;
		c->body_sent += (size_t)n - part;
	}
	c->head_len = 0;
	return true;
}

/* What of the request's body is still to come, its head being here. */
static size_t
body_left(const struct conn *c, const char *end)
{
	const char	*p = strcasestr(c->req, "\r\ncontent-length:");
	size_t		n, here = c->n - (size_t)(end + 4 - c->req);

	if (p == NULL || p > end)
		return 0;
	n = strtoull(p + 17, NULL, 10);
	return n > here ? n - here : 0;
}

/* Returns false when the rest is not here yet, or the connection is gone. */
static bool
drop_body(struct conn *c)
{
	ssize_t	got;

	while (c->left > 0) {
		got = recv(c->fd, NULL, c->left < STEP ? c->left : STEP,
		    MSG_TRUNC);
		if (got == -1 && errno == EAGAIN)
			return false;
		if (got <= 0) {
			drop(c);
			return false;
		}
		c->left -= (size_t)got;
	}
	return true;
}

/* Returns false when the connection is gone. */
static bool
flush_h2(struct conn *c)
{
	const char	*p;
	size_t		 n;
	ssize_t		 put;

	while ((n = origin_h2_pending(c->h2, &p)) > 0) {
		put = send(c->fd, p, n, MSG_NOSIGNAL);
		if (put == -1 && errno == EAGAIN)
			return true;
		if (put == -1) {
			drop(c);
			return false;
		}
		origin_h2_sent(c->h2, (size_t)put);
	}
	return true;
}

/* What is asked at once is answered at once. */
static void
on_h2(struct conn *c)
{
	static char	buf[65536];
	ssize_t		got = (ssize_t)c->n;

	memcpy(buf, c->req, c->n);
	c->n = 0;
	for (;;) {
		if (got > 0 && !origin_h2_take(c->h2, buf, (size_t)got)) {
			drop(c);
			return;
		}
		got = recv(c->fd, buf, sizeof(buf), 0);
		if (got == 0 || (got == -1 && errno != EAGAIN)) {
			drop(c);
			return;
		}
		if (got == -1)
			break;
	}
	flush_h2(c);
}

static void
on_event(struct conn *c)
{
	char	*end;
	ssize_t	got;

	if (c->h2 != NULL) {
		on_h2(c);
		return;
	}
	if (c->left > 0) {
		if (!drop_body(c))
			return;
		c->n = 0;
		if (!answer(c))
			return;
	}
	if (c->head_len > 0 && (!answer(c) || c->head_len > 0))
		return;
	for (;;) {
		got = recv(c->fd, c->req + c->n, REQUEST_MAX - 1 - c->n, 0);
		if (got == -1 && errno == EAGAIN)
			return;
		if (got <= 0) {
			drop(c);
			return;
		}
		c->n += (size_t)got;
		c->req[c->n] = '\0';
		if (c->n >= 4 && memcmp(c->req, "PRI ", 4) == 0) {
			c->h2 = origin_h2_new(body, length_of);
			on_h2(c);
			return;
		}
		end = strstr(c->req, "\r\n\r\n");
		if (end == NULL && c->n < REQUEST_MAX - 1)
			continue;
		/* no pipelining: what was read is one request */
		begin_answer(c);
		c->left = end == NULL ? 0 : body_left(c, end);
		if (!drop_body(c))
			return;
		c->n = 0;
		if (!answer(c) || c->head_len > 0)
			return;
		if (got < REQUEST_MAX / 2)
			return;		/* a short read: no more is there */
	}
}

static void
accept_all(int lfd)
{
	struct epoll_event	ev = { .events = EPOLLIN | EPOLLOUT |
				    EPOLLRDHUP | EPOLLET };
	struct conn		*c;
	int			fd, one = 1;

	while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = calloc(1, sizeof(*c));
		if (c == NULL)
			err(1, "calloc");
		c->fd = fd;
		ev.data.ptr = c;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1)
			err(1, "epoll_ctl");
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in	addr = { .sin_family = AF_INET };
	struct epoll_event	ev[BATCH];
	struct rlimit		rl;
	int			i, n, lfd, one = 1;

	if (argc != 2)
		errx(2, "usage: origin port");
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	body = malloc(BODY_MAX);
	if (body == NULL)
		err(1, "malloc");
	for (i = 0; i < BODY_MAX; i++)
		body[i] = (char)('a' + i % 23);
	addr.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(lfd, (struct sockaddr *)&addr, sizeof(addr)) == -1 ||
	    listen(lfd, 4096) == -1)
		err(1, "port %s", argv[1]);
	ep = epoll_create1(0);
	ev[0].events = EPOLLIN;
	ev[0].data.ptr = NULL;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev[0]) == -1)
		err(1, "epoll_ctl");
	for (;;) {
		n = epoll_wait(ep, ev, BATCH, -1);
		for (i = 0; i < n; i++)
			if (ev[i].data.ptr == NULL)
				accept_all(lfd);
			else
				on_event(ev[i].data.ptr);
	}
}
