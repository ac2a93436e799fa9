/*
 * A small server that accepts the other way: N processes, each with a
 * listening socket of its own on one port (SO_REUSEPORT).  The kernel
 * gives every new connection to one of them by hash, whether it is awake
 * or not.  t/soak/test_stall.py measures sluice beside it.
 *
 *	reuseport PORT N
 *
 * Prints the pids of its processes, one a line, when all listen; answers
 * every request that ends with an empty line; ends with its parent.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int
listen_on(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons((unsigned short)port),
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, 1024) < 0)
		die("listen");
	return fd;
}

static void
watch(int ep, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

/* Requests of the test come whole: one read, one answer. */
static void
serve(int fd)
{
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n <= 0 || send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
		close(fd);
}

static void
run(int lfd)
{
	struct epoll_event ev[64];
	int i, n, fd, ep = epoll_create1(0);

	watch(ep, lfd);
	for (;;) {
		n = epoll_wait(ep, ev, 64, -1);
		for (i = 0; i < n; i++) {
			if (ev[i].data.fd != lfd) {
				serve(ev[i].data.fd);
				continue;
			}
			fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);
			if (fd >= 0)
				watch(ep, fd);
		}
	}
}

int
main(int argc, char **argv)
{
	int i, lfd, n = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
	pid_t pid;

	for (i = 0; i < n; i++) {
		lfd = listen_on((int)strtol(argv[1], NULL, 10));
		pid = fork();
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			run(lfd);
		}
		close(lfd);
		printf("%d\n", (int)pid);
	}
	fflush(stdout);
	pause();
	return 0;
}
