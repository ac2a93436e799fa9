/*
 * load: asks one server over many connections and checks every answer, by
 * HTTP/1.1 or, with -m, by many streams of HTTP/2 on each.  One thread,
 * epoll.
 *
 * Three ways: as fast as it goes (every connection has one request under
 * way), at a fixed rate (-r: requests are due by the clock, and latency
 * counts from when one was due, so that a server that stalls cannot hide
 * it), and held (-H, -B: connections are kept until standard input ends).
 * Bodies are thrown away in the kernel (MSG_TRUNC): what is measured is
 * the server.  With -s each request has a number of its own in its path,
 * and those are told that had no whole answer.  The last line of the
 * output is one JSON object.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <unistd.h>

#include "load_h1.h"
#include "load_h2.h"
#include "load_time.h"
#include "load_tls.h"

enum { HEAD_MAX = 2048, BATCH = 256, LOST_MAX = 4096 };

enum state { CLOSED, CONNECTING, SHAKING, FREE, HEAD, BODY, ENDING,
    STREAMS };

struct conn {
	int		fd;
	struct tls_client *tls;		/* NULL: plain */
	struct h2_client *h2;		/* NULL: HTTP/1.1 */
	enum state	state;
	bool		last;		/* the server will close */
	bool		used;		/* has had an answer */
	uint64_t	due;		/* when its request was due */
	uint64_t	left;		/* of the body */
	uint64_t	up;		/* of the request's, not yet sent */
	uint64_t	number;		/* of its request */
	size_t		n;		/* of head */
	char		head[HEAD_MAX];
};

static struct {
	/* set once */
	struct sockaddr_in addr;
	const char	*path;
	const char	*host;
	unsigned	conns;
	unsigned	streams;	/* of each; 0: HTTP/1.1 */
	unsigned	paths;		/* number put for a % in the path */
	uint64_t	total;		/* requests, 0: by time */
	uint64_t	length;		/* of each body */
	uint64_t	upload;		/* of each request's; 0: a GET */
	double		seconds;
	double		rate;
	bool		fresh;		/* a connection for each request */
	bool		tls;
	bool		hold;
	bool		burst;
	bool		numbers;	/* a number of its own for a % */

	/* state */
	int		ep;
	struct conn	*conn;
	struct conn	**idle;		/* stack of free connections */
	unsigned	nidle;
	unsigned	busy;
	bool		ready;		/* all are connected */
	bool		stopping;
	uint64_t	start;
	uint64_t	sent;
	uint64_t	done;
	uint64_t	bytes;
	uint64_t	reconnects;
	uint64_t	errors;
	char		why[160];
	uint64_t	seed;
	uint64_t	number;		/* the next one */
	uint64_t	lost[LOST_MAX];	/* numbers without an answer */
	unsigned	nlost;
} g;

static char	junk[65536];

static void	open_conn(struct conn *);
static void	lose(struct conn *, const char *);

static void
failed(struct conn *c, const char *what)
{
	if (g.errors++ == 0)
		snprintf(g.why, sizeof(g.why), "%s%s%.60s", what,
		    c->n > 0 ? ": " : "", c->n > 0 ? c->head : "");
}

static bool
over(void)
{
	if (g.total > 0)
		return g.sent >= g.total;
	return now() - g.start >= (uint64_t)(g.seconds * 1e9);
}

static ssize_t
conn_send(struct conn *c, const void *p, size_t n)
{
	return c->tls != NULL ? tls_send(c->tls, p, n) :
	    send(c->fd, p, n, MSG_NOSIGNAL);
}

/* Into p, or thrown away where that is junk. */
static ssize_t
conn_recv(struct conn *c, void *p, size_t n)
{
	if (c->tls == NULL)
		return recv(c->fd, p, n, p == junk && n > 1 ? MSG_TRUNC : 0);
	return tls_recv(c->tls, p, p == junk && n > sizeof(junk) ?
	    sizeof(junk) : n);
}

static void
close_conn(struct conn *c)
{
	if (c->h2 != NULL)
		g.busy -= h2_busy(c->h2);
	h2_free(&c->h2);
	tls_free(&c->tls);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (c->state == HEAD || c->state == BODY || c->state == ENDING)
		g.busy--;
	c->state = CLOSED;
}

/* The connection is lost; another one takes its place. */
static void
lose(struct conn *c, const char *what)
{
	if (what != NULL)
		failed(c, what);
	if ((c->state == HEAD || c->state == BODY) && g.nlost < LOST_MAX)
		g.lost[g.nlost++] = c->number;
	close_conn(c);
	if (g.errors > 1000)
		g.stopping = true;
	if (!g.stopping && !g.hold)
		open_conn(c);
}

static void
drop_idle(const struct conn *c)
{
	for (unsigned i = 0; i < g.nidle;)
		if (g.idle[i] == c)
			g.idle[i] = g.idle[--g.nidle];
		else
			i++;
}

/* The path of the next request; buf is for one with a number. */
static const char *
next_path(struct conn *c, char *buf, size_t size)
{
	const char	*mark = strchr(g.path, '%');

	if (mark == NULL)
		return g.path;
	g.seed = g.seed * 6364136223846793005 + 1442695040888963407;
	c->number = g.numbers ? g.number++ : (g.seed >> 33) % g.paths;
	snprintf(buf, size, "%.*s%llu%s", (int)(mark - g.path), g.path,
	    (unsigned long long)c->number, mark + 1);
	return buf;
}

/* --- HTTP/2 --- */

/* What was asked in a turn leaves in one call, as far as it goes. */
static void
flush_h2(struct conn *c)
{
	const char	*p;
	size_t		 n;
	ssize_t		 put;

	while (c->h2 != NULL && (n = h2_pending(c->h2, &p)) > 0) {
		put = conn_send(c, p, n);
		if (put == -1 && errno == EAGAIN)
			return;
		if (put == -1) {
			lose(c, "send");
			return;
		}
		h2_sent(c->h2, (size_t)put);
	}
}

static void
ask_h2(struct conn *c, uint64_t due)
{
	char	path[512];

	if (!h2_ask(c->h2, next_path(c, path, sizeof(path)), due)) {
		failed(c, "the connection takes no more");
		return;
	}
	g.sent++;
	g.busy++;
}

/* A stream of it is free. */
static void
free_stream(struct conn *c)
{
	if (g.stopping)
		return;
	if (g.rate > 0)
		g.idle[g.nidle++] = c;
	else if (over())
		g.stopping = true;
	else
		ask_h2(c, now());
}

static void
on_done(void *ctx, uint64_t due, const char *why)
{
	struct conn	*c = ctx;

	g.busy--;
	if (why != NULL) {
		failed(c, why);
	} else {
		note(now() - due);
		g.done++;
		g.bytes += g.length;
	}
	free_stream(c);
}

static void
start_h2(struct conn *c)
{
	c->state = STREAMS;
	c->h2 = h2_new(g.tls, g.host, g.length, on_done, c);
	for (unsigned i = 0; i < g.streams; i++)
		free_stream(c);
	flush_h2(c);
}

static void
read_h2(struct conn *c)
{
	static char	buf[65536];	/* what is junk the kernel drops */
	ssize_t		got;

	while (c->h2 != NULL) {
		got = conn_recv(c, buf, sizeof(buf));
		if (got == -1 && errno == EAGAIN)
			break;
		if (got <= 0 || !h2_take(c->h2, buf, (size_t)got)) {
			drop_idle(c);
			lose(c, got <= 0 ? "cut off" : "no HTTP/2, or GOAWAY");
			return;
		}
	}
	flush_h2(c);
}

/* As much of the request's body as goes. */
static void
send_body(struct conn *c)
{
	static char	zero[1 << 20];
	ssize_t		n;

	while (c->up > 0) {
		n = conn_send(c, zero, c->up < sizeof(zero) ? c->up :
		    sizeof(zero));
		if (n == -1 && errno == EAGAIN)
			return;
		if (n == -1) {
			lose(c, "send");
			return;
		}
		c->up -= (uint64_t)n;
	}
}

static void
send_request(struct conn *c, uint64_t due)
{
	char	buf[1024], path[512];
	size_t	n;

	n = h1_request(buf, sizeof(buf), next_path(c, path, sizeof(path)),
	    g.host, g.upload, g.fresh);
	c->up = g.upload;
	c->state = HEAD;
	c->n = 0;
	c->due = due;
	c->last = false;
	g.sent++;
	g.busy++;
	if (conn_send(c, buf, n) != (ssize_t)n) {
		/* an idle connection may be closed under our hands */
		if (c->used && (errno == EPIPE || errno == ECONNRESET)) {
			g.sent--;
			g.reconnects++;
			lose(c, NULL);
		} else {
			lose(c, "send");
		}
	} else {
		send_body(c);
	}
}

static void
set_free(struct conn *c)
{
	c->state = FREE;
	if (g.stopping)
		return;
	if (g.rate > 0 || g.burst) {
		g.idle[g.nidle++] = c;
	} else if (g.hold) {
		if (!c->used)
			send_request(c, now());
	} else if (over()) {
		g.stopping = true;
	} else {
		send_request(c, now());
	}
}

static void
open_conn(struct conn *c)
{
	struct epoll_event	ev = { .data.ptr = c };
	struct sockaddr_in	from = { .sin_family = AF_INET };
	int			one = 1, small = 4096;
	static unsigned		turn;

	c->used = false;
	c->n = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (c->fd < 0)
		err(1, "socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (g.burst)	/* what is not read must wait in the server */
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small,
		    sizeof(small));
	/* eight addresses: ports do not run out */
	from.sin_addr.s_addr = htonl(0x7f000002 + turn++ % 8);
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
	    sizeof(one));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) == -1)
		err(1, "bind");
	c->state = CONNECTING;
	if (connect(c->fd, (struct sockaddr *)&g.addr, sizeof(g.addr)) == -1
	    && errno != EINPROGRESS) {
		warn("connect");
		lose(c, "connect");
		return;
	}
	ev.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP;
	if (epoll_ctl(g.ep, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		err(1, "epoll_ctl");
}

static void
answered(struct conn *c)
{
	uint64_t	t = now();

	note(t - c->due);
	g.done++;
	c->used = true;
	if (g.fresh) {	/* the server closes: it is the one that said so */
		c->state = ENDING;
		return;
	}
	g.busy--;
	if (c->last) {
		g.reconnects++;
		c->state = FREE;
		lose(c, NULL);
	} else {
		set_free(c);
	}
}

/* Returns false when the connection is gone. */
static bool
take_head(struct conn *c, size_t got)
{
	char		*end;
	const char	*len, *how;
	size_t		body;

	c->n += got;
	c->head[c->n] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL) {
		if (c->n < HEAD_MAX - 1)
			return true;
		lose(c, "head too long");
		return false;
	}
	body = c->n - (size_t)(end + 4 - c->head);
	end[2] = '\0';
	len = h1_field(c->head, "content-length:");
	how = h1_field(c->head, "connection:");
	c->last = how != NULL && strncasecmp(how, "close", 5) == 0;
	if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0) {
		lose(c, "status");
		return false;
	}
	c->left = len == NULL ? 0 : strtoull(len, NULL, 10);
	if (len == NULL || c->left != g.length || body > c->left) {
		lose(c, "length");
		return false;
	}
	g.bytes += c->left;
	c->left -= body;
	c->state = BODY;
	return true;
}

static void
ended(struct conn *c)
{
	if (c->state == ENDING) {
		lose(c, NULL);
	} else if (c->state == FREE || (c->state == HEAD && c->used &&
	    c->n == 0)) {
		g.reconnects++;
		lose(c, g.hold ? "closed while idle" : NULL);
	} else {
		lose(c, c->state == CONNECTING ? "connect" :
		    c->state == SHAKING ? "handshake" : "cut off");
	}
}

static void
read_conn(struct conn *c)
{
	ssize_t	got;
	bool	in_head;

	while (c->fd >= 0) {
		in_head = c->state == HEAD;
		if (c->state == FREE || c->state == ENDING)
			got = conn_recv(c, junk, 1);
		else if (in_head)
			got = conn_recv(c, c->head + c->n,
			    HEAD_MAX - 1 - c->n);
		else
			got = conn_recv(c, junk, c->left > 1 << 20 ?
			    1 << 20 : (size_t)c->left);
		if (got == -1 && errno == EAGAIN)
			return;
		if (got <= 0) {
			if (c->state == FREE)
				drop_idle(c);
			ended(c);
			return;
		}
		if (c->state == FREE || c->state == ENDING) {
			lose(c, "more than was asked for");
			return;
		}
		if (in_head && !take_head(c, (size_t)got))
			return;
		if (!in_head)
			c->left -= (uint64_t)got;
		if (c->state == BODY && c->left == 0) {
			answered(c);
			/* what came was all; the next answer is an event */
			if (c->state != ENDING)
				return;
		}
	}
}

/* The handshake goes on, or the connection is ready. */
static void
shake(struct conn *c)
{
	int	rc = c->tls == NULL ? 1 : tls_go(c->tls);

	if (rc < 0)
		lose(c, "handshake");
	else if (rc > 0 && g.streams > 0)
		start_h2(c);
	else if (rc > 0)
		set_free(c);
}

static void
on_event(struct conn *c, uint32_t events)
{
	if (c->state == CONNECTING) {
		int		e = 0;
		socklen_t	n = sizeof(e);

		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n);
		if (e != 0 || (events & (EPOLLERR | EPOLLHUP)) != 0) {
			errno = e;
			warn("connect");
			lose(c, "connect");
			return;
		}
		if ((events & EPOLLOUT) == 0)
			return;
		if (g.tls)
			c->tls = tls_new(c->fd);
		c->state = SHAKING;
		shake(c);
	} else if (c->state == SHAKING) {
		shake(c);
	}
	if (c->state == SHAKING)
		return;
	if (c->h2 != NULL) {
		read_h2(c);
		return;
	}
	if (c->fd >= 0 && c->up > 0 && (events & EPOLLOUT) != 0)
		send_body(c);
	if (c->fd >= 0 && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP |
	    EPOLLERR)) != 0)
		read_conn(c);
}

/* Sends what is due; returns how long the next one may be waited for. */
static struct timespec
pace(void)
{
	struct timespec	ts = { 0, 10000000 };
	uint64_t	due, t;

	if (g.rate <= 0 || g.stopping || !g.ready)
		return ts;
	if (over()) {
		g.stopping = true;
		return ts;
	}
	for (;;) {
		due = g.start + (uint64_t)((double)g.sent * 1e9 / g.rate);
		t = now();
		if (due > t) {
			if (due - t < 10000000)
				ts.tv_nsec = (long)(due - t);
			return ts;
		}
		if (g.nidle == 0)
			return ts;
		if (g.streams > 0)
			ask_h2(g.idle[--g.nidle], due);
		else
			send_request(g.idle[--g.nidle], due);
	}
}

/* Sends what is due, all of a connection in one call. */
static struct timespec
pace_all(void)
{
	struct timespec	ts = pace();

	for (unsigned i = 0; g.rate > 0 && g.streams > 0 && i < g.conns; i++)
		flush_h2(&g.conn[i]);
	return ts;
}

static void
turn(void)
{
	struct epoll_event	ev[BATCH];
	struct timespec		ts = pace_all();
	int			i, n;

	n = epoll_pwait2(g.ep, ev, BATCH, &ts, NULL);
	if (n == -1 && errno != EINTR)
		err(1, "epoll_wait");
	for (i = 0; i < n; i++)
		on_event(ev[i].data.ptr, ev[i].events);
	if (!g.stopping && g.rate <= 0 && !g.hold && g.ready && over())
		g.stopping = true;
}

static void
run_load(void)
{
	unsigned	i;
	uint64_t	end;

	for (i = 0; i < g.conns; i++)
		open_conn(&g.conn[i]);
	if (g.rate > 0) {	/* the clock starts with all connected */
		end = now() + 5000000000;
		while (g.nidle < g.conns * (g.streams + !g.streams) &&
		    now() < end) {
			turn();
		}
	}
	g.start = now();
	g.ready = true;
	while (!g.stopping)
		turn();
	end = now() + 10000000000;
	while (g.busy > 0 && now() < end)
		turn();
	if (g.busy > 0)
		for (i = 0; i < g.conns; i++)
			if (g.conn[i].state >= HEAD &&
			    (g.conn[i].h2 == NULL ||
			    h2_busy(g.conn[i].h2) > 0)) {
				failed(&g.conn[i], "no answer, or no end");
				break;
			}
}

static void
wait_input(void)
{
	char	c;

	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
}

static void	report(void);

/* Opens 200 at a time, so that no listen queue overflows. */
static void
run_held(void)
{
	unsigned	i, n;
	uint64_t	end = now() + 60000000000;

	for (i = 0; i < g.conns && g.errors == 0;) {
		for (n = 0; n < 200 && i < g.conns; n++)
			open_conn(&g.conn[i++]);
		while ((g.burst ? g.nidle : g.done) < i && g.errors == 0 &&
		    now() < end)
			turn();
	}
	if (g.burst) {
		/* all ask, nobody reads for a second */
		g.burst = false;
		while (g.nidle > 0)
			send_request(g.idle[--g.nidle], now());
		sleep(1);
		while (g.busy > 0 && g.errors == 0 && now() < end)
			turn();
	}
	if (g.done != g.conns && g.errors == 0)
		failed(&g.conn[0], "not all were answered");
	report();
	wait_input();
}

static void
report(void)
{
	printf("{\"requests\": %llu, \"errors\": %llu, \"why\": \"",
	    (unsigned long long)g.done, (unsigned long long)g.errors);
	for (const char *p = g.why; *p != '\0'; p++)
		putchar(*p < ' ' || *p == '"' || *p == '\\' ? ' ' : *p);
	printf("\", \"seconds\": %.6f, \"bytes\": %llu, \"reconnects\": %llu,"
	    " \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f",
	    (double)(now() - g.start) / 1e9, (unsigned long long)g.bytes,
	    (unsigned long long)g.reconnects, quantile(0.5), quantile(0.99),
	    (double)slowest() / 1000);
	if (g.tls)
		printf(", \"handshakes\": %llu, \"offered\": %llu, "
		    "\"resumed\": %llu",
		    (unsigned long long)tls_count.shaken,
		    (unsigned long long)tls_count.offered,
		    (unsigned long long)tls_count.resumed);
	if (g.numbers) {
		printf(", \"numbers\": %llu, \"unanswered\": [",
		    (unsigned long long)g.number);
		for (unsigned i = 0; i < g.nlost; i++)
			printf("%s%llu", i > 0 ? ", " : "",
			    (unsigned long long)g.lost[i]);
		printf("]");
	}
	printf("}\n");
}

static void
usage(void)
{
	fprintf(stderr, "usage: load [-BHkRst] [-c conns] [-d seconds]"
	    " [-n requests] [-r rate]\n\t[-m streams] [-p paths] [-u length]"
	    " [-V 2]"
	    " -l length port path\n"
	    "-H hold idle connections  -B all ask at once, then hold\n"
	    "-m so many streams of HTTP/2 on each connection\n"
	    "-k a connection for each request  -p a %% in path becomes"
	    " 0..paths-1\n-s a %% in path becomes the request's number\n"
	    "-t by TLS 1.3  -R sessions are resumed  -V 2: by TLS 1.2\n"
	    "-u each request has a body of so many bytes\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	int		opt;
	unsigned	i, version = 3;
	bool		resume = false;
	struct rlimit	rl;
	static char	host[32];

	g.conns = 64;
	g.seconds = 2;
	g.paths = 1;
	while ((opt = getopt(argc, argv, "BHkRstc:d:m:n:r:p:l:u:V:")) != -1)
		switch (opt) {
		case 'B': g.burst = g.hold = true; break;
		case 'H': g.hold = true; break;
		case 'k': g.fresh = true; break;
		case 'R': g.tls = resume = true; break;
		case 's': g.numbers = true; break;
		case 't': g.tls = true; break;
		case 'V':
			g.tls = true;
			version = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'c': g.conns = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': g.seconds = strtod(optarg, NULL); break;
		case 'm':
			g.streams = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'n': g.total = strtoull(optarg, NULL, 10); break;
		case 'r': g.rate = strtod(optarg, NULL); break;
		case 'p': g.paths = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'l': g.length = strtoull(optarg, NULL, 10); break;
		case 'u': g.upload = strtoull(optarg, NULL, 10); break;
		default: usage();
		}
	if (argc - optind != 2 || g.conns == 0 || g.paths == 0 ||
	    (g.streams > 0 && (g.hold || g.fresh || g.upload > 0)))
		usage();
	if (g.tls)
		tls_setup(version, resume, g.streams > 0);
	g.addr.sin_family = AF_INET;
	g.addr.sin_port = htons((uint16_t)strtoul(argv[optind], NULL, 10));
	g.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	g.path = argv[optind + 1];
	snprintf(host, sizeof(host), "127.0.0.1:%.5s", argv[optind]);
	g.host = host;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	g.conn = calloc(g.conns, sizeof(*g.conn));
	g.idle = calloc((size_t)g.conns * (g.streams + !g.streams),
	    sizeof(struct conn *));
	g.ep = epoll_create1(EPOLL_CLOEXEC);
	if (g.conn == NULL || g.idle == NULL || g.ep < 0)
		err(1, "set-up");
	for (i = 0; i < g.conns; i++)
		g.conn[i].fd = -1;
	g.start = now();
	if (g.hold) {
		run_held();
	} else {
		run_load();
		report();
	}
	return g.errors > 0 || g.done == 0;
}
