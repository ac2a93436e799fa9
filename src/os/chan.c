/*
 * Channels between processes; every process.
 *
 * A frame is one SOCK_SEQPACKET message, so it arrives whole or not at
 * all.  The buffer a frame is read into exists while frames are read, not
 * while the channel is idle.  At most TURN frames are taken in one go;
 * what is left goes by the ready list.
 */
#include "os/chan.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

#define TURN	32	/* frames read before others have their turn */
#define NS_PER_MS	1000000

_Static_assert(sizeof(struct frame_head) == 24, "no padding on the wire");

/* a frame that waits for room */
struct waiting {
	struct list		node;
	struct frame_head	head;
	unsigned		nfd;
	int			fds[CHAN_FDS];	/* own */
	char			data[];
};

/* ancillary data of one message */
union control {
	struct cmsghdr	align;
	char		buf[CMSG_SPACE(CHAN_FDS * sizeof(int))];
};

enum rc {
	GOT,
	NOTHING,	/* now */
	GONE,		/* the end, or an error of the socket */
	BAD		/* not a frame */
};

static void
close_fds(const int *fds, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (fds[i] != -1)
			close(fds[i]);
}

/*
 * All that came, in order; false when the kernel had to leave some out:
 * more than a frame has, or this process has no number free for them.
 */
static bool
take_fds(struct msghdr *msg, struct frame *m)
{
	struct cmsghdr *c;
	size_t i, n;
	int fd;

	m->nfd = 0;
	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
			    sizeof(fd));
			if (m->nfd < CHAN_FDS)
				m->fds[m->nfd++] = fd;
			else
				close(fd);
		}
	}
	return !(msg->msg_flags & MSG_CTRUNC);
}

/*
 * ECONNRESET says that the other end closed with frames of ours unread;
 * it is told once and before the frames it left for us, hence the second
 * attempt.
 */
static ssize_t
receive(int fd, struct msghdr *msg)
{
	size_t room = msg->msg_controllen;
	bool again = true;
	ssize_t n;

	for (;;) {
		msg->msg_controllen = room;
		n = recvmsg(fd, msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n == -1 && errno == ECONNRESET && again) {
			again = false;
			continue;
		}
		if (n != -1 || errno != EINTR)
			return n;
	}
}

/* With anything but GOT no descriptor is left in m. */
static enum rc
read_frame(int fd, struct frame *m, char *buf, size_t size)
{
	union control ctl;
	struct iovec iov[2] = {
		{ &m->head, sizeof(m->head) },
		{ buf, size }
	};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof(ctl.buf)
	};
	ssize_t n = receive(fd, &msg);

	if (n == -1)
		return errno == EAGAIN ? NOTHING : GONE;
	if (n == 0)
		return GONE;
	m->data = buf;
	if (!take_fds(&msg, m) || (msg.msg_flags & MSG_TRUNC) ||
	    (size_t)n < sizeof(m->head) || m->head.op == CHAN_NONE ||
	    m->head.len != (size_t)n - sizeof(m->head)) {
		close_fds(m->fds, m->nfd);
		m->nfd = 0;
		return BAD;
	}
	return GOT;
}

/*
 * 0, or -1 with errno.  A message is sent whole or refused, so there is
 * no half-sent frame to remember.
 */
static int
write_frame(int fd, const struct frame_head *h, const void *data,
    const int *fds, unsigned nfd)
{
	union control ctl;
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)h, sizeof(*h) },
		{ (void *)(uintptr_t)data, h->len }
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (nfd > 0) {
		memset(&ctl, 0, sizeof(ctl));
		msg.msg_control = ctl.buf;
		msg.msg_controllen = CMSG_SPACE(nfd * sizeof(int));
		ctl.align.cmsg_level = SOL_SOCKET;
		ctl.align.cmsg_type = SCM_RIGHTS;
		ctl.align.cmsg_len = CMSG_LEN(nfd * sizeof(int));
		memcpy(CMSG_DATA(&ctl.align), fds, nfd * sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

static void
drop(struct chan *c, struct waiting *w)
{
	list_del(&w->node);
	c->nout--;
	close_fds(w->fds, w->nfd);
	free(w);
}

static void
drop_waiting(struct chan *c)
{
	while (!list_is_empty(&c->out))
		drop(c, container_of(c->out.next, struct waiting, node));
}

/*
 * A frame that was taken over and cannot be sent must not just be
 * missing: the channel ends, which the read side tells.
 */
static void
send_waiting(struct chan *c)
{
	struct waiting *w;

	while (!list_is_empty(&c->out)) {
		w = container_of(c->out.next, struct waiting, node);
		if (write_frame(c->fd.fd, &w->head, w->data, w->fds,
		    w->nfd) == 0) {
			drop(c, w);
		} else if (errno == EAGAIN) {
			c->fd.ready &= (uint8_t)~EV_W;
			return;
		} else {
			drop_waiting(c);
			shutdown(c->fd.fd, SHUT_RDWR);
		}
	}
}

/* The owner may have closed the channel in on(). */
static void
deliver(struct chan *c, struct frame *m)
{
	c->on(c, m);
	close_fds(m->fds, m->nfd);
}

static void
receive_some(struct chan *c)
{
	char *buf = must_alloc(CHAN_BYTES);
	enum rc rc = GOT;
	struct frame m;
	int i;

	/* on() may close the channel, or the last frame end it. */
	for (i = 0; i < TURN && rc == GOT && chan_is_open(c); i++) {
		rc = read_frame(c->fd.fd, &m, buf, CHAN_BYTES);
		if (rc == GOT)
			deliver(c, &m);
	}
	free(buf);
	if (!chan_is_open(c))
		return;
	if (rc == GOT) {
		ev_post(c->ev, EV_READY, &c->ready);
	} else if (rc == NOTHING) {
		c->fd.ready &= (uint8_t)~EV_R;
	} else {
		c->on(c, NULL);
		chan_close(c);
	}
}

static void
on_ready(struct ev_task *t)
{
	receive_some(container_of(t, struct chan, ready));
}

/*
 * While the task is posted frames are known to be left, and what is told
 * now brings no other work.
 */
static void
on_event(struct ev_fd *fd, unsigned what)
{
	struct chan *c = container_of(fd, struct chan, fd);

	if (what & EV_W)
		send_waiting(c);
	if ((what & EV_R) && !ev_is_posted(&c->ready))
		receive_some(c);
}

int
chan_open(struct chan *c, struct ev *ev, int fd, chan_fn on, void *ctx,
    struct err *e)
{
	ev_fd_init(&c->fd, fd, on_event);
	c->ev = ev;
	c->on = on;
	c->ctx = ctx;
	c->nout = 0;
	list_init(&c->out);
	ev_task_init(&c->ready, on_ready);
	if (ev_add(ev, &c->fd, EV_EDGE, e) == -1) {
		close(fd);
		c->ev = NULL;
		return -1;
	}
	return 0;
}

void
chan_close(struct chan *c)
{
	if (!chan_is_open(c))
		return;
	/* A forked child may hold this end too: take it out of the loop. */
	ev_del(c->ev, &c->fd, false);
	ev_cancel(&c->ready);
	drop_waiting(c);
	close(c->fd.fd);
	c->fd.fd = -1;
	c->ev = NULL;
}

bool
chan_is_open(const struct chan *c)
{
	return c->ev != NULL;
}

/*
 * Copies the frame: neither data nor descriptors need outlive the call.
 * -1 when the process has no descriptor left for a copy.
 */
static int
enqueue(struct chan *c, const struct frame_head *h, const void *data,
    const int *fds, unsigned nfd)
{
	struct waiting *w = must_alloc(sizeof(*w) + h->len);

	w->head = *h;
	if (h->len > 0)
		memcpy(w->data, data, h->len);
	for (w->nfd = 0; w->nfd < nfd; w->nfd++) {
		w->fds[w->nfd] = fcntl(fds[w->nfd], F_DUPFD_CLOEXEC, 0);
		if (w->fds[w->nfd] == -1) {
			close_fds(w->fds, w->nfd);
			free(w);
			return -1;
		}
	}
	list_add_tail(&c->out, &w->node);
	c->nout++;
	return 0;
}

int
chan_send(struct chan *c, const struct frame_head *h, const void *data,
    const int *fds, unsigned nfd)
{
	must(h->len <= CHAN_BYTES && h->op != CHAN_NONE && nfd <= CHAN_FDS);
	if (!chan_is_open(c))
		return -1;
	/* Behind frames that wait it must wait, too: they keep their order. */
	if (c->nout == 0) {
		if (write_frame(c->fd.fd, h, data, fds, nfd) == 0)
			return 0;
		if (errno != EAGAIN)
			return -1;
		c->fd.ready &= (uint8_t)~EV_W;
	}
	if (c->nout == CHAN_QUEUE)
		return -1;
	return enqueue(c, h, data, fds, nfd);
}

/* Milliseconds left until ns, rounded up; 0 when it has passed. */
static int
ms_until(uint64_t ns)
{
	uint64_t now = ev_clock_ns();

	return now >= ns ? 0 : (int)((ns - now + NS_PER_MS - 1) / NS_PER_MS);
}

int
chan_recv_wait(int fd, struct frame *m, char *buf, size_t size, int ms)
{
	uint64_t end = ev_clock_ns() + (uint64_t)ms * NS_PER_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	enum rc rc;
	int left;

	for (;;) {
		left = ms_until(end);
		if (poll(&p, 1, left) == -1 && errno != EINTR)
			return -1;
		rc = read_frame(fd, m, buf, size);
		if (rc != NOTHING)
			return rc == GOT ? 0 : -1;
		if (left == 0)
			return -1;
	}
}
