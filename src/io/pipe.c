/*
 * Pipes for splice.  Workers.
 *
 * An unprivileged user may have pipe-user-pages-soft pages in pipes, over
 * all its processes (64 MiB); beyond that the kernel gives pipes of two
 * pages, with which splice is slower than a copy.  So each worker has its
 * share, and whoever finds none left copies.  A pipe's slots hold pieces
 * of a packet, not pages: over loopback it may hold twice its size, and
 * off a network with small packets a third of it.  Whether it is full
 * only the kernel knows.
 */
#include "io/pipe.h"

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"

#define LOOK_MS		1000
#define SOFT_DEFAULT	(16384ULL * 4096)	/* the kernel's own */

#ifdef __linux__

/* A number of /proc/sys/fs; 0: none. */
static uint64_t
read_limit(const char *path)
{
	char	buf[32] = "";
	int	fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t	n;

	if (fd == -1)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return n > 0 ? strtoull(buf, NULL, 10) : 0;
}

void
pipe_pool_share(struct pipe_pool *pp, unsigned parts)
{
	uint64_t	page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t	soft, max;

	must(parts > 0);
	soft = read_limit("/proc/sys/fs/pipe-user-pages-soft") * page;
	if (soft == 0)		/* no limit at all */
		soft = SOFT_DEFAULT;
	max = read_limit("/proc/sys/fs/pipe-max-size");
	pp->large = max > 0 && max < PIPE_LARGE ? max : PIPE_LARGE;
	pp->budget = soft / 4 * 3 / parts;
}

static struct pipe *
make(size_t size)
{
	struct pipe	*p;
	int		 fd[2];
	int		 cap;

	if (FAULT("pipe_none") || pipe2(fd, O_NONBLOCK | O_CLOEXEC) == -1)
		return NULL;
	cap = fcntl(fd[1], F_SETPIPE_SZ, (int)size);
	if (cap < (int)size) {
		close(fd[0]);
		close(fd[1]);
		return NULL;
	}
	p = must_calloc(1, sizeof(*p));
	p->r = fd[0];
	p->w = fd[1];
	p->cap = (size_t)cap;
	return p;
}

static ssize_t
move(int from, int to, size_t n, unsigned flags)
{
	ssize_t	rc;

	do
		rc = splice(from, NULL, to, NULL, n, SPLICE_F_MOVE |
		    SPLICE_F_NONBLOCK | ((flags & IO_MORE) != 0 ?
		    SPLICE_F_MORE : 0));
	while (rc == -1 && errno == EINTR);
	return rc;
}

#else

void
pipe_pool_share(struct pipe_pool *pp, unsigned parts)
{
	(void)pp;
	(void)parts;
}

static struct pipe *
make(size_t size)
{
	(void)size;
	return NULL;
}

static ssize_t
move(int from, int to, size_t n, unsigned flags)
{
	(void)from;
	(void)to;
	(void)n;
	(void)flags;
	errno = ENOSYS;
	return -1;
}

#endif

/* --- the pool --- */

/* Whoever stalls gives it back, which takes it out of the list. */
static void
on_look(struct timer *t)
{
	struct pipe_pool	*pp = container_of(t, struct pipe_pool, look);
	struct list		*pos, *tmp;
	struct pipe		*p;

	list_each_safe(pos, tmp, &pp->busy) {
		p = container_of(pos, struct pipe, node);
		if (p->n > 0 && !p->moved && p->stalled != NULL)
			p->stalled(p);
		else
			p->moved = false;
	}
	if (pp->nbusy > 0)
		ev_timer(pp->ev, t, LOOK_MS);
}

static void
destroy(struct pipe_pool *pp, struct pipe *p)
{
	pp->used -= p->cap;
	close(p->r);
	close(p->w);
	free(p);
}

void
pipe_pool_init(struct pipe_pool *pp, struct ev *ev)
{
	*pp = (struct pipe_pool){ .ev = ev };
	list_init(&pp->kept);
	list_init(&pp->busy);
	timer_init(&pp->look, on_look);
}

void
pipe_pool_fini(struct pipe_pool *pp)
{
	struct pipe	*p;

	must(pp->nbusy == 0);
	ev_timer_off(pp->ev, &pp->look);
	while (pp->nkept > 0) {
		p = container_of(pp->kept.next, struct pipe, node);
		list_del(&p->node);
		pp->nkept--;
		destroy(pp, p);
	}
}

/* One of at least size bytes; any, if size is 0. */
static struct pipe *
take_kept(struct pipe_pool *pp, size_t size)
{
	struct list	*pos;
	struct pipe	*p;

	list_each(pos, &pp->kept) {
		p = container_of(pos, struct pipe, node);
		if (p->cap < size)
			continue;
		list_del(pos);
		pp->nkept--;
		return p;
	}
	return NULL;
}

/* Whom the system gave none asks again a second later. */
static bool
may_make(const struct pipe_pool *pp, size_t size)
{
	return pp->used + size <= pp->budget && (pp->failed_ms == 0 ||
	    ev_ms(pp->ev) - pp->failed_ms >= LOOK_MS);
}

bool
pipe_pool_has(const struct pipe_pool *pp)
{
	return pp->nkept > 0 || may_make(pp, PIPE_SMALL);
}

struct pipe *
pipe_get(struct pipe_pool *pp, uint64_t want)
{
	size_t		 size = PIPE_SMALL;
	struct pipe	*p;

	if (want > PIPE_SMALL && pp->used + pp->large <= pp->budget / 2)
		size = pp->large;
	p = take_kept(pp, size);
	if (p == NULL && may_make(pp, size)) {
		p = make(size);
		if (p != NULL)
			pp->used += p->cap;
		pp->failed_ms = p != NULL ? 0 : ev_ms(pp->ev);
	}
	if (p == NULL)
		p = take_kept(pp, 0);
	if (p == NULL)
		return NULL;
	p->pool = pp;
	p->moved = true;
	p->stalled = NULL;
	p->ctx = NULL;
	list_add_tail(&pp->busy, &p->node);
	if (pp->nbusy++ == 0)
		ev_timer(pp->ev, &pp->look, LOOK_MS);
	return p;
}

void
pipe_put(struct pipe_pool *pp, struct pipe **pipe)
{
	struct pipe	*p = *pipe;

	*pipe = NULL;
	if (p == NULL)
		return;
	list_del(&p->node);
	if (--pp->nbusy == 0)
		ev_timer_off(pp->ev, &pp->look);
	if (p->n > 0 || pp->nkept == PIPE_KEEP) {
		destroy(pp, p);
		return;
	}
	pp->nkept++;
	list_add(&pp->kept, &p->node);
}

/* --- bytes --- */

/* Nothing came: is it the end?  Urgent data looks like one to splice. */
static enum io_rc
check_end(struct io *from)
{
	ssize_t	n;
	char	c;

	do
		n = recv(from->fd.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == 0)
		return IO_EOF;
	from->error = n > 0 ? EPROTO : errno;
	return IO_ERR;
}

enum io_rc
pipe_fill(struct pipe *p, struct io *from, size_t max, size_t *got)
{
	ssize_t	n;

	*got = 0;
	must(from->open && (from->caps & IO_C_SPLICE) != 0);
	if (!io_can(from, IO_R))
		return IO_AGAIN;
	n = move(from->fd.fd, p->w, max, 0);
	if (n > 0) {
		*got = (size_t)n;
		p->n += (size_t)n;
		p->moved = true;
		return IO_OK;
	}
	if (n == 0)
		return check_end(from);
	if (errno == EAGAIN)
		return p->n > 0 ? IO_AGAIN : io_wait(from, from->rd_wait);
	from->error = errno;
	return IO_ERR;
}

enum io_rc
pipe_drain(struct pipe *p, struct io *to, size_t max, unsigned flags,
    size_t *put)
{
	ssize_t	n;

	*put = 0;
	must(p->n > 0 && to->open && (to->caps & IO_C_SPLICE) != 0);
	if (!io_can(to, IO_W))
		return IO_AGAIN;
	n = move(p->r, to->fd.fd, max < p->n ? max : p->n, flags);
	if (n > 0) {
		*put = (size_t)n;
		p->n -= (size_t)n;
		p->pool->moved += (uint64_t)n;
		p->moved = true;
		return IO_OK;
	}
	if (n == -1 && errno == EAGAIN)
		return io_wait(to, to->wr_wait);
	to->error = n == 0 ? EPIPE : errno;
	return IO_ERR;
}

ssize_t
pipe_read(struct pipe *p, void *buf, size_t n)
{
	ssize_t	got;

	do
		got = read(p->r, buf, n < p->n ? n : p->n);
	while (got == -1 && errno == EINTR);
	if (got <= 0)
		return -1;
	p->n -= (size_t)got;
	return got;
}
