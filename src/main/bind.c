/*
 * Listening sockets.  Master.  One per address, opened when the first
 * generation names it and held until none does: workers come and go, the
 * queue of connections that wait to be accepted stays.
 */
#include "main/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "core/listener.h"

#define BACKLOG		4096

struct bound *
bind_find(struct master *m, const struct sock_addr *a)
{
	struct list *l;
	struct bound *b;

	list_each(l, &m->bound) {
		b = container_of(l, struct bound, node);
		if (sock_eq(&b->addr, a))
			return b;
	}
	return NULL;
}

static void
unbind(struct bound *b)
{
	list_del(&b->node);
	close(b->fd);
	if (b->addr.u.sa.sa_family == AF_UNIX)
		(void)unlink(b->addr.u.un.sun_path);
	free(b);
}

/* What to do about it depends on what stands in the way. */
static enum diag_id
blame(int error)
{
	switch (error) {
	case EACCES:
		return DIAG_PRIVILEGE;
	case EADDRNOTAVAIL:
		return DIAG_BIND_ADDR;
	case ENOENT:
	case ENOTDIR:
		return DIAG_BIND_PATH;
	default:
		return DIAG_BIND;
	}
}

static struct bound *
bind_one(struct master *m, const struct sock_addr *a, enum diag_id *id,
    struct err *e)
{
	struct bound *b;
	int fd;

	errno = 0;
	fd = sock_listen(a, BACKLOG, 0666, e);
	if (fd < 0) {
		*id = blame(errno);
		return NULL;
	}
	b = must_calloc(1, sizeof(*b));
	b->addr = *a;
	b->fd = fd;
	b->fresh = true;
	list_add_tail(&m->bound, &b->node);
	return b;
}

int
bind_all(struct master *m, const struct conf *conf, enum diag_id *id,
    struct err *e)
{
	const struct listen_addr *v;
	struct list *l;
	struct bound *b;
	size_t i, n;

	list_each(l, &m->bound)
		container_of(l, struct bound, node)->wanted = false;
	v = listener_addrs(conf, &n);
	for (i = 0; i < n; i++) {
		b = bind_find(m, v[i].addr);
		if (b == NULL)
			b = bind_one(m, v[i].addr, id, e);
		if (b == NULL)
			return -1;
		b->wanted = true;
	}
	return 0;
}

void
bind_settle(struct master *m, bool commit)
{
	struct list *l, *tmp;
	struct bound *b;

	list_each_safe(l, tmp, &m->bound) {
		b = container_of(l, struct bound, node);
		if (commit ? !b->wanted : b->fresh)
			unbind(b);
		else
			b->fresh = false;
	}
}

void
bind_close(struct master *m)
{
	while (!list_is_empty(&m->bound))
		unbind(container_of(m->bound.next, struct bound, node));
}

void
bind_close_control(struct master *m)
{
	char path[512];

	if (m->ctl_fd < 0)
		return;
	close(m->ctl_fd);
	m->ctl_fd = -1;
	snprintf(path, sizeof(path), "%s/control.sock", m->run_dir);
	(void)unlink(path);
}

int
bind_control(struct master *m, struct err *e)
{
	struct sock_addr a = { 0 };
	int n;

	if (m->ctl_fd >= 0)
		return 0;
	a.u.un.sun_family = AF_UNIX;
	n = snprintf(a.u.un.sun_path, sizeof(a.u.un.sun_path),
	    "%s/control.sock", m->run_dir);
	if (n < 0 || (size_t)n >= sizeof(a.u.un.sun_path))
		return err_set(e, "run_dir \"%s\" is too long for a unix "
		    "socket", m->run_dir);
	a.len = sizeof(a.u.un);
	m->ctl_fd = sock_listen(&a, 128, 0660, e);
	if (m->ctl_fd < 0)
		return -1;
	if (priv_is_root() && m->user.uid != 0)
		(void)!fchownat(AT_FDCWD, a.u.un.sun_path, 0, m->user.gid,
		    AT_SYMLINK_NOFOLLOW);
	return 0;
}
