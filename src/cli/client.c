/*
 * The client of the control socket.  sluicectl.  One connection and one
 * request; what comes is collected until the answer is whole, descriptors
 * included, and is read with the parsers of the server's own codec: what
 * they refuse is told as "no HTTP".
 */
#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "codec/h1/h1.h"
#include "os/ev.h"
#include "os/sock.h"

#define PIECE		65536
#define ANSWER_MAX	(64U << 20)
#define LET_IN	"only root, the user of sluiced and its group are let in"

static const struct codec_limits limits = {
	.header_bytes = 16384, .header_field = 8192, .header_count = 64
};

/* a request under way */
struct ask {
	struct answer	*a;		/* ref */
	struct text	 in;		/* own: what came, unread */
	struct arena	 mem;		/* own */
	uint64_t	 end_ns;	/* of waiting */
	int		 fd;		/* own */
	bool		 eof;
	const struct client_follow *to;	/* ref; NULL: to a->body */
};

void
client_free(struct answer *a)
{
	while (a->nfd > 0)
		close(a->fds[--a->nfd]);
	text_fini(&a->body);
}

/* --- bytes --- */

static int
dial(struct ask *k, const char *path, struct err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (n >= sizeof(un.sun_path))
		return err_set(e, "the path is too long for a unix socket");
	memcpy(un.sun_path, path, n + 1);
	k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (k->fd < 0)
		return err_sys(e, "socket");
	if (connect(k->fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		k->a->reached = true;
	else if (errno == EACCES)
		return err_set(e, "no permission: " LET_IN);
	else
		return err_set(e, "%s", strerror(errno));
	return 0;
}

static int
send_request(struct ask *k, const char *meth, const char *target,
    struct err *e)
{
	struct text t;
	size_t at = 0;
	ssize_t n = 0;

	text_init(&t);
	text_fmt(&t, "%s %s HTTP/1.1\r\nHost: localhost\r\n"
	    "User-Agent: sluicectl\r\nAccept: application/json\r\n"
	    "Connection: close\r\nContent-Length: 0\r\n\r\n", meth, target);
	while (at < t.n) {
		n = send(k->fd, t.p + at, t.n - at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		at += (size_t)n;
	}
	text_fini(&t);
	/* who is not let in sees the end of the connection when reading */
	return n < 0 && errno != EPIPE ?
	    err_set(e, "sending: %s", strerror(errno)) : 0;
}

/* Keeps what fits; the rest of a stranger's descriptors is closed. */
static void
take_fds(struct answer *a, struct msghdr *m)
{
	struct cmsghdr *c;
	size_t i, n;
	int fd;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd),
			    sizeof(fd));
			if (a->nfd < CLIENT_FDS)
				a->fds[a->nfd++] = fd;
			else
				close(fd);
		}
	}
}

static int
wait_for(struct ask *k, struct err *e)
{
	struct pollfd p = { .fd = k->fd, .events = POLLIN };
	uint64_t now = ev_clock_ns();
	bool ever = k->end_ns == UINT64_MAX;
	int rc;

	if (now >= k->end_ns)
		return err_set(e, "no answer in time");
	rc = poll(&p, 1, ever ? -1 :
	    (int)((k->end_ns - now) / 1000000) + 1);
	if (rc < 0 && errno != EINTR)
		return err_sys(e, "poll");
	return 0;
}

/* Reads what there is, or waits for it. */
static int
read_more(struct ask *k, struct err *e)
{
	union {
		struct cmsghdr	head;
		char		room[CMSG_SPACE(CLIENT_FDS * sizeof(int))];
	} c;
	char buf[PIECE];
	struct iovec v = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
	    .msg_control = &c, .msg_controllen = sizeof(c) };
	ssize_t n;

	if (k->eof)
		return err_set(e, k->in.n + k->a->status == 0 ?
		    "the connection was closed: " LET_IN :
		    "the answer ended early");
	n = recvmsg(k->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return wait_for(k, e);
	if (n < 0 && errno != ECONNRESET)
		return err_set(e, "reading: %s", strerror(errno));
	k->eof = n <= 0;
	if (n > 0) {
		take_fds(k->a, &m);
		text_add(&k->in, str_make(buf, (size_t)n));
	}
	return k->in.n + k->a->body.n > ANSWER_MAX ?
	    err_set(e, "the answer is too long") : 0;
}

/* Forgets the first n bytes of what came. */
static void
drop(struct ask *k, size_t n)
{
	k->in.n -= n;
	memmove(k->in.p, k->in.p + n, k->in.n);
}

/* --- the answer --- */

static int
no_http(struct err *e, enum fail why)
{
	return err_set(e, "what answers there speaks no HTTP: %s",
	    fail_row(why)->text);
}

static int
read_head(struct ask *k, enum http_method meth, struct h1_framing *f,
    struct err *e)
{
	size_t seen = 0, used = 0;
	enum fail why = FAIL_NONE;
	struct msg m = { 0 };
	enum h1_rc rc;

	do {
		rc = h1_find_head(text_str(&k->in), &limits, false, &seen,
		    &used, &why);
		if (rc == H1_MORE && read_more(k, e) < 0)
			return -1;
	} while (rc == H1_MORE);
	if (rc == H1_DONE)
		why = h1_parse_response(str_make(k->in.p, used), &limits,
		    &k->mem, meth, &m, f);
	if (why != FAIL_NONE)
		return no_http(e, why);
	k->a->status = m.status;
	drop(k, used);
	return 0;
}

/* Bytes of the body; those of an answer that goes on are not kept. */
static void
take(struct ask *k, struct str data)
{
	if (k->to == NULL || k->a->status != 200)
		text_add(&k->a->body, data);
	else if (data.n > 0)
		k->to->fn(k->to->ctx, data);
}

static int
read_chunked(struct ask *k, struct err *e)
{
	struct h1_chunked c = { .limits = &limits, .arena = &k->mem };
	enum fail why = FAIL_NONE;
	struct str data;
	enum h1_rc rc;
	size_t used;

	for (;;) {
		data = STR_NONE;
		used = 0;
		rc = h1_chunk_next(&c, text_str(&k->in), &data, &used, &why);
		if (rc == H1_BAD)
			return no_http(e, why);
		take(k, data);
		drop(k, used);
		if (rc == H1_DONE)
			return 0;
		if (data.n == 0 && read_more(k, e) < 0)
			return -1;
	}
}

static int
read_body(struct ask *k, const struct h1_framing *f, struct err *e)
{
	if (f->chunked)
		return read_chunked(k, e);
	while (f->until_close ? !k->eof : k->in.n < (uint64_t)f->length) {
		if (f->until_close) {
			take(k, text_str(&k->in));
			k->in.n = 0;
		}
		if (read_more(k, e) < 0)
			return -1;
	}
	take(k, str_make(k->in.p, f->until_close ? k->in.n :
	    (size_t)f->length));
	return 0;
}

static int
read_answer(struct ask *k, enum http_method meth, struct err *e)
{
	struct h1_framing f;

	do {
		memset(&f, 0, sizeof(f));
		if (read_head(k, meth, &f, e) < 0)
			return -1;
	} while (k->a->status < 200);
	if (k->to != NULL && k->a->status == 200)
		k->end_ns = UINT64_MAX;
	return read_body(k, &f, e);
}

struct request {
	const char			*meth;
	const char			*target;
	unsigned			 ms;
	const struct client_follow	*to;
};

static int
ask(const char *path, const struct request *q, struct answer *a,
    struct err *e)
{
	struct ask k = { .a = a, .fd = -1, .to = q->to };
	int rc = -1;

	memset(a, 0, sizeof(*a));
	text_init(&a->body);
	text_init(&k.in);
	arena_init(&k.mem, NULL);
	k.end_ns = ev_clock_ns() + (uint64_t)q->ms * 1000000;
	if (dial(&k, path, e) == 0 &&
	    send_request(&k, q->meth, q->target, e) == 0)
		rc = read_answer(&k, msg_method(str_from(q->meth)), e);
	arena_fini(&k.mem);
	text_fini(&k.in);
	if (k.fd >= 0)
		close(k.fd);
	return rc;
}

int
client_ask(const char *path, const char *meth, const char *target,
    unsigned ms, struct answer *a, struct err *e)
{
	struct request q = { meth, target, ms, NULL };

	return ask(path, &q, a, e);
}

int
client_follow(const char *path, const char *target, unsigned ms,
    const struct client_follow *to, struct answer *a, struct err *e)
{
	struct request q = { "GET", target, ms, to };

	return ask(path, &q, a, e);
}
