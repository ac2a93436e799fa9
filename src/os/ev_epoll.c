/*
 * The loop's backend for Linux: epoll; every process.
 *
 * One registration per descriptor carries a pointer to its ev_fd.  The
 * events of a wait are kept while they are fired; a descriptor that is
 * taken out meanwhile is struck from those still to come.
 */
#include "os/ev.h"

#ifdef __linux__

#include <sys/epoll.h>

#include <errno.h>
#include <unistd.h>

#include "base/must.h"

#define BATCH	256

struct epoll {
	int			fd;
	pid_t			pid;		/* that made it */
	int			at;		/* being fired */
	int			n;		/* events of this wait */
	struct epoll_event	ev[BATCH];
};

static int
open_epoll(struct ev *ev, struct err *e)
{
	struct epoll *ep = ev_state(ev);

	ep->fd = epoll_create1(EPOLL_CLOEXEC);
	if (ep->fd == -1)
		return err_sys(e, "epoll_create1");
	ep->pid = getpid();
	return 0;
}

static void
close_epoll(struct ev *ev)
{
	struct epoll *ep = ev_state(ev);

	close(ep->fd);
}

static int
add(struct ev *ev, struct ev_fd *fd)
{
	struct epoll *ep = ev_state(ev);
	struct epoll_event e = { .data.ptr = fd };

	if (fd->how & EV_READS)
		e.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
	else if (!(fd->how & EV_LEVEL))
		e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	else if (fd->how & EV_EXCLUSIVE)
		e.events = EPOLLIN | EPOLLEXCLUSIVE;
	else
		e.events = EPOLLIN;
	return epoll_ctl(ep->fd, EPOLL_CTL_ADD, fd->fd, &e);
}

/*
 * Closing the last descriptor of a file takes it out of the set.  After
 * fork the child shares the set: it must not take out what is its
 * parent's (getpid costs 40 ns, and few callers come here).
 */
static void
del(struct ev *ev, struct ev_fd *fd, bool closing)
{
	struct epoll *ep = ev_state(ev);
	int i;

	for (i = ep->at; i < ep->n; i++)
		if (ep->ev[i].data.ptr == fd)
			ep->ev[i].data.ptr = NULL;
	if (!closing && getpid() == ep->pid)
		epoll_ctl(ep->fd, EPOLL_CTL_DEL, fd->fd, NULL);
}

static unsigned
what_of(uint32_t events)
{
	unsigned what = 0;

	if (events & EPOLLIN)
		what |= EV_R;
	if (events & EPOLLOUT)
		what |= EV_W;
	if (events & EPOLLRDHUP)
		what |= EV_RDHUP;
	if (events & EPOLLHUP)
		what |= EV_HUP;
	if (events & EPOLLERR)
		what |= EV_ERR;
	return what;
}

static void
wait(struct ev *ev, int ms)
{
	struct epoll *ep = ev_state(ev);
	struct epoll_event *e;

	ep->at = 0;
	ep->n = epoll_wait(ep->fd, ep->ev, BATCH, ms);
	must(ep->n >= 0 || errno == EINTR);
	ev_awake(ev);
	while (ep->at < ep->n) {
		e = &ep->ev[ep->at++];
		if (e->data.ptr != NULL)
			ev_fire(ev, e->data.ptr, what_of(e->events));
	}
	ep->n = 0;
}

const struct ev_backend ev_epoll = {
	.name = "epoll",
	.size = sizeof(struct epoll),
	.open = open_epoll,
	.close = close_epoll,
	.add = add,
	.del = del,
	.wait = wait
};

#endif /* __linux__ */
