/*
 * The loop's backend for any POSIX system: poll; every process.
 *
 * Edge-triggering is made from the bits an ev_fd keeps: a condition is
 * asked for only while its bit is clear, so it is told once and again
 * after its owner met EAGAIN.  The array is closed up and its events are
 * set anew before each wait, as poll itself looks at every entry anyway;
 * while events are fired entries are only struck out or appended.
 */
#include "os/ev.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/must.h"

#ifndef POLLRDHUP
#define POLLRDHUP	0	/* there a read tells the end */
#endif

#define MAX_FDS	0xffff	/* slot numbers below the one for "none" */

struct poll {
	struct pollfd	*pfd;	/* own */
	struct ev_fd	**fds;	/* own; NULL: struck out */
	unsigned	 n;
	unsigned	 cap;
};

static int
open_poll(struct ev *ev, struct err *e)
{
	struct poll *po = ev_state(ev);

	(void)e;
	po->pfd = NULL;
	po->fds = NULL;
	po->n = po->cap = 0;
	return 0;
}

static void
close_poll(struct ev *ev)
{
	struct poll *po = ev_state(ev);

	free(po->pfd);
	free(po->fds);
}

static int
add(struct ev *ev, struct ev_fd *fd)
{
	struct poll *po = ev_state(ev);

	if (po->n == MAX_FDS) {
		errno = ENOSPC;
		return -1;
	}
	if (po->n == po->cap) {
		po->cap = po->cap == 0 ? 64 : po->cap * 2;
		po->pfd = must_realloc(po->pfd, po->cap * sizeof(*po->pfd));
		po->fds = must_realloc(po->fds, po->cap * sizeof(*po->fds));
	}
	fd->slot = (uint16_t)po->n++;
	po->fds[fd->slot] = fd;
	po->pfd[fd->slot].fd = fd->fd;
	po->pfd[fd->slot].revents = 0;
	return 0;
}

static void
del(struct ev *ev, struct ev_fd *fd, bool closing)
{
	struct poll *po = ev_state(ev);

	(void)closing;
	must(fd->slot < po->n && po->fds[fd->slot] == fd);
	po->fds[fd->slot] = NULL;
}

static void
close_up(struct poll *po)
{
	unsigned i, n = 0;

	for (i = 0; i < po->n; i++) {
		if (po->fds[i] == NULL)
			continue;
		po->fds[n] = po->fds[i];
		po->fds[n]->slot = (uint16_t)n;
		n++;
	}
	po->n = n;
}

/*
 * poll tells a hang-up or an error whether asked or not: once its owner
 * knows, an edge-triggered entry is passed over by a negative number.
 */
static void
ask(struct pollfd *p, const struct ev_fd *fd)
{
	p->fd = fd->fd;
	p->revents = 0;
	p->events = 0;
	if (fd->how & EV_LEVEL) {
		p->events = POLLIN;
		return;
	}
	if (fd->ready & (EV_HUP | EV_ERR)) {
		p->fd = -1;
		return;
	}
	if (!(fd->ready & EV_R))
		p->events |= POLLIN;
	if (!(fd->ready & EV_W))
		p->events |= POLLOUT;
	if (!(fd->ready & EV_RDHUP))
		p->events |= POLLRDHUP;
}

static unsigned
what_of(int revents)
{
	unsigned what = 0;

	must(!(revents & POLLNVAL));	/* closed, but not taken out */
	if (revents & POLLIN)
		what |= EV_R;
	if (revents & POLLOUT)
		what |= EV_W;
	if (revents & POLLRDHUP)
		what |= EV_RDHUP;
	if (revents & POLLHUP)
		what |= EV_HUP;
	if (revents & POLLERR)
		what |= EV_ERR;
	return what;
}

static void
wait(struct ev *ev, int ms)
{
	struct poll *po = ev_state(ev);
	unsigned i, n;
	int got;

	close_up(po);
	for (i = 0; i < po->n; i++)
		ask(&po->pfd[i], po->fds[i]);
	n = po->n;
	got = poll(po->pfd, n, ms);
	must(got >= 0 || errno == EINTR);
	ev_awake(ev);
	for (i = 0; i < n && got > 0; i++) {
		if (po->pfd[i].revents == 0)
			continue;
		got--;
		if (po->fds[i] != NULL)
			ev_fire(ev, po->fds[i], what_of(po->pfd[i].revents));
	}
}

const struct ev_backend ev_poll = {
	.name = "poll",
	.size = sizeof(struct poll),
	.open = open_poll,
	.close = close_poll,
	.add = add,
	.del = del,
	.wait = wait
};
