/*
 * The loop's backend for the BSDs and macOS: kqueue; every process.
 *
 * A descriptor has two filters, read and write, both with EV_CLEAR (edge)
 * and its ev_fd as udata; a level-triggered one has the read filter
 * alone.  As with epoll, events of a descriptor that is taken out while
 * the batch is fired are struck.  The names EV_ADD, EV_DELETE, EV_CLEAR,
 * EV_EOF, EV_ERROR and EV_SET are the system's, not ev.h's.
 *
 * Elsewhere the file is empty, but for the lint, which gives it the
 * header of contrib/kqueue-shim.
 */
#include "os/ev.h"

#if __has_include(<sys/event.h>)

#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"

#define BATCH	256

struct kq {
	int		fd;
	int		at;		/* being fired */
	int		n;		/* events of this wait */
	struct kevent	ev[BATCH];
};

static int
open_kq(struct ev *ev, struct err *e)
{
	struct kq *kq = ev_state(ev);

	kq->fd = kqueue();
	if (kq->fd == -1)
		return err_sys(e, "kqueue");
	fcntl(kq->fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

static void
close_kq(struct ev *ev)
{
	struct kq *kq = ev_state(ev);

	close(kq->fd);
}

static int
add(struct ev *ev, struct ev_fd *fd)
{
	struct kq *kq = ev_state(ev);
	struct kevent ch[2];
	int n = 1;

	if (fd->how & EV_LEVEL) {
		EV_SET(&ch[0], fd->fd, EVFILT_READ, EV_ADD, 0, 0, fd);
	} else {
		EV_SET(&ch[0], fd->fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0,
		    fd);
		EV_SET(&ch[1], fd->fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0,
		    fd);
		n = 2;
	}
	return kevent(kq->fd, ch, n, NULL, 0, NULL);
}

/* Closing a descriptor takes its filters away. */
static void
del(struct ev *ev, struct ev_fd *fd, bool closing)
{
	struct kq *kq = ev_state(ev);
	struct kevent ch;
	int i;

	for (i = kq->at; i < kq->n; i++)
		if (kq->ev[i].udata == fd)
			kq->ev[i].udata = NULL;
	if (closing)
		return;
	EV_SET(&ch, fd->fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
	kevent(kq->fd, &ch, 1, NULL, 0, NULL);
	if (fd->how & EV_LEVEL)
		return;
	EV_SET(&ch, fd->fd, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
	kevent(kq->fd, &ch, 1, NULL, 0, NULL);
}

/* The end on the write side: nothing written will be read any more. */
static unsigned
what_of(const struct kevent *k)
{
	unsigned what = k->filter == EVFILT_WRITE ? EV_W : EV_R;

	if (k->flags & EV_ERROR)
		return what | EV_ERR;
	if (k->flags & EV_EOF) {
		what |= k->filter == EVFILT_WRITE ? EV_HUP : EV_RDHUP;
		if (k->fflags != 0)
			what |= EV_ERR;
	}
	return what;
}

static void
wait(struct ev *ev, int ms)
{
	struct kq *kq = ev_state(ev);
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	struct kevent *k;

	kq->at = 0;
	kq->n = kevent(kq->fd, NULL, 0, kq->ev, BATCH, ms < 0 ? NULL : &ts);
	must(kq->n >= 0 || errno == EINTR);
	ev_awake(ev);
	while (kq->at < kq->n) {
		k = &kq->ev[kq->at++];
		if (k->udata != NULL)
			ev_fire(ev, k->udata, what_of(k));
	}
	kq->n = 0;
}

const struct ev_backend ev_kqueue = {
	.name = "kqueue",
	.size = sizeof(struct kq),
	.open = open_kq,
	.close = close_kq,
	.add = add,
	.del = del,
	.wait = wait
};

#endif /* __has_include(<sys/event.h>) */
