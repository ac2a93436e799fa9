/*
 * Directories on Linux: inotify.  Who renews a file writes it anew or
 * renames another into its place; links are made, and renamed too.
 */
#include "os/dirwatch.h"

#include <sys/inotify.h>

#include <stdalign.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"

#define EVENTS	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | \
		IN_DELETE | IN_ONLYDIR)

struct dirwatch {
	struct ev	*ev;	/* ref */
	struct ev_fd	 fd;	/* own */
	dirwatch_fn	 on;
	void		*ctx;
};

static void
tell(struct dirwatch *w, const char *buf, size_t n)
{
	struct inotify_event	e;

	for (size_t i = 0; i + sizeof(e) <= n; i += sizeof(e) + e.len) {
		memcpy(&e, buf + i, sizeof(e));
		/* some were lost: it may have been any */
		if (e.len > 0 || (e.mask & IN_Q_OVERFLOW) != 0)
			w->on(w->ctx, e.len == 0 ? STR_NONE :
			    str_from(buf + i + sizeof(e)));
	}
}

static void
on_fd(struct ev_fd *f, unsigned what)
{
	struct dirwatch	*w = container_of(f, struct dirwatch, fd);
	alignas(struct inotify_event) char buf[8192];
	ssize_t		 n = read(f->fd, buf, sizeof(buf));

	(void)what;
	if (n > 0)
		tell(w, buf, (size_t)n);
}

struct dirwatch *
dirwatch_new(struct ev *ev, dirwatch_fn on, void *ctx, struct err *e)
{
	struct dirwatch	*w;
	int		 fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd == -1) {
		err_sys(e, "inotify");
		return NULL;
	}
	w = must_calloc(1, sizeof(*w));
	w->ev = ev;
	w->on = on;
	w->ctx = ctx;
	ev_fd_init(&w->fd, fd, on_fd);
	if (ev_add(ev, &w->fd, EV_R, e) == -1) {
		close(fd);
		free(w);
		return NULL;
	}
	return w;
}

void
dirwatch_free(struct dirwatch **wp)
{
	struct dirwatch	*w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	ev_del(w->ev, &w->fd, false);
	close(w->fd.fd);
	free(w);
}

int
dirwatch_add(struct dirwatch *w, const char *path, struct err *e)
{
	return inotify_add_watch(w->fd.fd, path, EVENTS) == -1 ?
	    err_sys(e, "\"%s\"", path) : 0;
}
