/*
 * The state that passes from one master to the next, as text.  Master;
 * the check of a new program reads it too.
 *
 * A line is a word and its values, which have no blanks: a byte that is
 * one, or no printable ASCII, stands as %XX.  Who reads goes on behind a
 * line that he does not understand: what the others say is still worth
 * having, above all the sockets.  Words that are unknown are skipped.
 */
#include "main/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/enc.h"
#include "base/must.h"
#include "core/mail.h"

#define VAR		"SLUICE_HANDOVER"
#define NAME		"sluice-handover"
#define FORMAT		NAME " 1"
#define STATE_BYTES	(1U << 20)
#define VALUES		9	/* of a line, with its word and one too many */

/* --- writing --- */

/* Adds a blank and a value. */
static void
put_word(struct text *t, struct str s)
{
	size_t i;

	text_c(t, ' ');
	for (i = 0; i < s.n; i++)
		if (s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '%')
			text_c(t, s.p[i]);
		else
			text_fmt(t, "%%%02x", (unsigned char)s.p[i]);
}

static void
put_bound(struct text *t, const struct bound *b)
{
	struct text addr;

	text_init(&addr);
	sock_text(&addr, &b->addr);
	text_fmt(t, "bound %d", b->fd);
	put_word(t, text_str(&addr));
	text_c(t, '\n');
	text_fini(&addr);
}

static void
put_child(struct text *t, const struct child *c)
{
	text_fmt(t, "child %d %u %llu", (int)c->pid, c->slot,
	    (unsigned long long)c->tag);
	put_word(t, str_from(c->row->name));
	text_fmt(t, " %u %d %d\n", c->index, c->chan.fd.fd, c->draining);
}

static void
put_state(struct master *m, struct text *t)
{
	struct list *l;
	int i;

	text_fmt(t, "%s\nlayout %016llx\nnumbers %llu\ntags %llu\n", FORMAT,
	    (unsigned long long)shm_layout(shm_regions),
	    (unsigned long long)m->numbers, (unsigned long long)m->tags);
	text_fmt(t, "places %d %d", m->pid_fd, m->ctl_fd);
	put_word(t, str_from(m->run_dir));
	put_word(t, str_from(m->state_dir));
	put_word(t, str_from(m->pid_file));
	text_add(t, STR("\nshm"));
	for (i = 0; i < SHM_NSEG; i++)
		text_fmt(t, " %d", shm_fd(m->proc.shm, i));
	text_c(t, '\n');
	for (i = 0; m->proc.mail != NULL && i < SLOT_MAX; i++)
		if (mail_fd(m->proc.mail, (unsigned)i) >= 0)
			text_fmt(t, "mail %d %d\n", i,
			    mail_fd(m->proc.mail, (unsigned)i));
	list_each(l, &m->bound)
		put_bound(t, container_of(l, struct bound, node));
	list_each(l, &m->children)
		put_child(t, container_of(l, struct child, node));
}

int
handover_write(struct master *m, struct err *e)
{
	struct text t;
	int fd;

	text_init(&t);
	put_state(m, &t);
	fd = memfd_create(NAME, MFD_CLOEXEC);
	if (fd < 0 || t.n > STATE_BYTES ||
	    write(fd, t.p, t.n) != (ssize_t)t.n) {
		err_sys(e, "cannot write the state");
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	text_fini(&t);
	return fd;
}

void
handover_inherit(struct master *m, int fd, bool on)
{
	struct list *l;
	int i, flag = on ? 0 : FD_CLOEXEC;

	if (fd >= 0)
		fcntl(fd, F_SETFD, flag);
	fcntl(m->pid_fd, F_SETFD, flag);
	fcntl(m->ctl_fd, F_SETFD, flag);
	for (i = 0; m->proc.shm != NULL && i < SHM_NSEG; i++)
		fcntl(shm_fd(m->proc.shm, i), F_SETFD, flag);
	for (i = 0; m->proc.mail != NULL && i < SLOT_MAX; i++)
		if (mail_fd(m->proc.mail, (unsigned)i) >= 0)
			fcntl(mail_fd(m->proc.mail, (unsigned)i), F_SETFD,
			    flag);
	list_each(l, &m->bound)
		fcntl(container_of(l, struct bound, node)->fd, F_SETFD, flag);
	list_each(l, &m->children)
		fcntl(container_of(l, struct child, node)->chan.fd.fd,
		    F_SETFD, flag);
}

void
handover_announce(int fd)
{
	char num[16];

	snprintf(num, sizeof(num), "%d", fd);
	if (fd < 0)
		unsetenv(VAR);
	else
		setenv(VAR, num, 1);
}

/* --- reading --- */

int
handover_find(void)
{
	const char *var = getenv(VAR);
	uint64_t fd;

	/* one that is not open was meant for another process */
	if (var == NULL || str_to_u64(str_from(var), INT_MAX, &fd) < 0 ||
	    fcntl((int)fd, F_GETFD) < 0)
		return -1;
	return (int)fd;
}

/* The word as it was before put_word, NUL-terminated. */
static int
get_word(struct str s, char *out, size_t size)
{
	size_t i, n = 0;
	int hi, lo;

	for (i = 0; i < s.n; i++) {
		if (n + 1 >= size)
			return -1;
		out[n] = s.p[i];
		if (s.p[i] == '%') {
			hi = i + 2 < s.n ? enc_unhex(s.p[i + 1]) : -1;
			lo = i + 2 < s.n ? enc_unhex(s.p[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return -1;
			out[n] = (char)(hi << 4 | lo);
			i += 2;
		}
		n++;
	}
	out[n] = '\0';
	return 0;
}

/* A descriptor; with none, "-1" is one too. */
static int
get_fd(struct str s, bool none, int *fd)
{
	uint64_t n;

	if (none && str_eq(s, STR("-1"))) {
		*fd = -1;
		return 0;
	}
	if (str_to_u64(s, INT_MAX, &n) < 0)
		return -1;
	*fd = (int)n;
	return 0;
}

static const struct proc_row *
find_role(struct str name)
{
	const struct proc_row *r;

	for (r = procs; r->name != NULL; r++)
		if (r->run != NULL && str_eq(str_from(r->name), name))
			return r;
	return NULL;
}

static int
get_places(struct master *m, const struct str *v, size_t n)
{
	char run[sizeof(m->run_dir)], state[sizeof(m->state_dir)];
	char file[sizeof(m->pid_file)];
	int pid, ctl;

	if (n != 6 || get_fd(v[1], true, &pid) < 0 ||
	    get_fd(v[2], true, &ctl) < 0 ||
	    get_word(v[3], run, sizeof(run)) < 0 ||
	    get_word(v[4], state, sizeof(state)) < 0 ||
	    get_word(v[5], file, sizeof(file)) < 0)
		return -1;
	m->pid_fd = pid;
	m->ctl_fd = ctl;
	memcpy(m->run_dir, run, sizeof(run));
	memcpy(m->state_dir, state, sizeof(state));
	memcpy(m->pid_file, file, sizeof(file));
	return 0;
}

static void
add_bound(struct master *m, int fd, const struct sock_addr *a)
{
	struct bound *b = must_calloc(1, sizeof(*b));

	b->fd = fd;
	b->addr = *a;
	list_add_tail(&m->bound, &b->node);
}

static int
get_bound(struct master *m, const struct str *v, size_t n)
{
	struct sock_addr a;
	char addr[256];
	int fd;

	if (n != 3 || get_fd(v[1], false, &fd) < 0 ||
	    get_word(v[2], addr, sizeof(addr)) < 0 ||
	    sock_parse(str_from(addr), -1, &a, NULL) < 0)
		return -1;
	add_bound(m, fd, &a);
	return 0;
}

static int
get_mail(struct master *m, const struct str *v, size_t n)
{
	uint64_t slot;
	int fd;

	if (n != 3 || str_to_u64(v[1], SLOT_MAX - 1, &slot) < 0 ||
	    get_fd(v[2], false, &fd) < 0)
		return -1;
	if (m->proc.mail == NULL)
		m->proc.mail = mail_new();
	mail_add(m->proc.mail, (unsigned)slot, fd);
	return 0;
}

static int
get_child(struct master *m, const struct str *v, size_t n)
{
	const struct proc_row *row = n == 8 ? find_role(v[4]) : NULL;
	uint64_t pid, slot, tag, index;
	struct child *c;
	int fd;

	if (row == NULL || str_to_u64(v[1], INT_MAX, &pid) < 0 || pid == 0 ||
	    str_to_u64(v[2], SLOT_MAX - 1, &slot) < 0 ||
	    str_to_u64(v[3], UINT64_MAX, &tag) < 0 ||
	    str_to_u64(v[5], SLOT_MAX - 1, &index) < 0 ||
	    get_fd(v[6], true, &fd) < 0)
		return -1;
	c = must_calloc(1, sizeof(*c));
	c->m = m;
	c->pid = (pid_t)pid;
	c->slot = (unsigned)slot;
	c->tag = tag;
	c->row = row;
	c->index = (unsigned)index;
	c->old = true;
	c->ready = true;
	c->chan.fd.fd = fd;
	list_add_tail(&m->children, &c->node);
	return 0;
}

static int
get_layout(struct str s, uint64_t *layout)
{
	uint64_t n = 0;
	size_t i;
	int d;

	for (i = 0; i < s.n; i++) {
		d = enc_unhex(s.p[i]);
		if (d < 0)
			return -1;
		n = n << 4 | (uint64_t)d;
	}
	*layout = n;
	return s.n == 16 ? 0 : -1;
}

static int
get_line(struct master *m, struct str line, struct handover *h)
{
	struct str v[VALUES];
	size_t i, n = 0;

	while (n < VALUES && str_word(&line, " ", &v[n]))
		n++;
	if (str_eq(v[0], STR("places")))
		return get_places(m, v, n);
	if (str_eq(v[0], STR("bound")))
		return get_bound(m, v, n);
	if (str_eq(v[0], STR("child")))
		return get_child(m, v, n);
	if (str_eq(v[0], STR("mail")))
		return get_mail(m, v, n);
	if (str_eq(v[0], STR("layout")))
		return n == 2 ? get_layout(v[1], &h->layout) : -1;
	if (str_eq(v[0], STR("numbers")))
		return n == 2 ? str_to_u64(v[1], UINT64_MAX, &m->numbers) : -1;
	if (str_eq(v[0], STR("tags")))
		return n == 2 ? str_to_u64(v[1], UINT64_MAX, &m->tags) : -1;
	if (!str_eq(v[0], STR("shm")))
		return 0;
	for (i = 0; i < SHM_NSEG; i++)
		if (n != 1 + SHM_NSEG || get_fd(v[1 + i], false,
		    &h->shm[i]) < 0)
			return -1;
	return 0;
}

static int
get_state(struct master *m, struct str rest, struct handover *h,
    struct err *e)
{
	struct str line;
	int rc = 0;

	if (!str_word(&rest, "\n", &line) || !str_eq(line, STR(FORMAT)))
		rc = err_set(e, "the state is of another format: \"%.*s\"",
		    (int)(line.n < 40 ? line.n : 40), line.p);
	while (str_word(&rest, "\n", &line))
		if (str_trim(line).n > 0 && get_line(m, line, h) < 0 &&
		    rc == 0)
			rc = err_set(e, "a line of the state is not "
			    "understood: \"%.*s\"",
			    (int)(line.n < 80 ? line.n : 80), line.p);
	if (rc == 0 && m->run_dir[0] == '\0')
		rc = err_set(e, "the state has no line of places");
	if (rc == 0 && h->shm[0] < 0)
		rc = err_set(e, "the state has no line of the board");
	return rc;
}

int
handover_read(struct master *m, int fd, struct handover *h, struct err *e)
{
	char *buf = must_calloc(1, STATE_BYTES);
	ssize_t n = pread(fd, buf, STATE_BYTES, 0);
	int i, rc;

	h->layout = 0;
	for (i = 0; i < SHM_NSEG; i++)
		h->shm[i] = -1;
	if (n <= 0)
		rc = err_sys(e, "cannot read the state");
	else
		rc = get_state(m, str_make(buf, (size_t)n), h, e);
	free(buf);
	return rc;
}

/* True if every process of before has its slot on the board. */
static bool
has_slots(const struct master *m, const struct shm *shm, struct err *e)
{
	uint32_t rows = shm_rows(shm, &board_slots);
	const struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->slot < rows)
			continue;
		err_set(e, "a process has slot %u, the board %u", c->slot,
		    rows);
		return false;
	}
	return true;
}

struct shm *
handover_board(const struct master *m, const struct handover *h,
    struct err *e)
{
	int i, fds[SHM_NSEG];
	struct shm *shm;

	for (i = 0; i < SHM_NSEG; i++)
		fds[i] = fcntl(h->shm[i], F_DUPFD_CLOEXEC, 0);
	shm = shm_adopt(fds, shm_regions, e);
	if (shm == NULL)
		for (i = 0; i < SHM_NSEG; i++)
			close(fds[i]);
	else if (!has_slots(m, shm, e))
		shm_free(&shm);
	for (i = 0; shm != NULL && i < SHM_NSEG; i++)
		close(h->shm[i]);
	return shm;
}

/* --- when not all was understood --- */

static bool
is_listening(int fd)
{
	socklen_t n = sizeof(int);
	int on = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 &&
	    on != 0;
}

static bool
is_named(const struct master *m, int fd)
{
	const struct list *l;

	if (fd == m->pid_fd || fd == m->ctl_fd)
		return true;
	for (unsigned i = 0; m->proc.mail != NULL && i < SLOT_MAX; i++)
		if (mail_fd(m->proc.mail, i) == fd)
			return true;
	list_each(l, &m->bound)
		if (container_of(l, struct bound, node)->fd == fd)
			return true;
	list_each(l, &m->children)
		if (container_of(l, struct child, node)->chan.fd.fd == fd)
			return true;
	return false;
}

static bool
is_control(const struct sock_addr *a)
{
	return a->u.sa.sa_family == AF_UNIX &&
	    str_ends(str_from(a->u.un.sun_path), STR("/control.sock"));
}

void
handover_take_rest(struct master *m)
{
	long fd, max = sysconf(_SC_OPEN_MAX);
	struct sock_addr a;

	if (max < 0 || max > 1 << 16)
		max = 1 << 16;
	for (fd = STDERR_FILENO + 1; fd < max; fd++) {
		if (fcntl((int)fd, F_GETFD) < 0 || is_named(m, (int)fd))
			continue;
		if (!is_listening((int)fd) || sock_local((int)fd, &a) < 0)
			close((int)fd);
		else if (!is_control(&a))
			add_bound(m, (int)fd, &a);
		else if (m->ctl_fd < 0)
			m->ctl_fd = (int)fd;
	}
}

/* --- the check --- */

static int
check_fds(const struct master *m, struct err *e)
{
	const struct list *l;
	struct child *c;
	struct bound *b;

	if (fcntl(m->pid_fd, F_GETFD) < 0)
		return err_sys(e, "the pid file");
	if (!is_listening(m->ctl_fd))
		return err_set(e, "the control socket does not listen");
	list_each(l, &m->bound) {
		b = container_of(l, struct bound, node);
		if (!is_listening(b->fd))
			return err_set(e, "descriptor %d does not listen",
			    b->fd);
	}
	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->chan.fd.fd >= 0 && fcntl(c->chan.fd.fd, F_GETFD) < 0)
			return err_sys(e, "the channel of pid %d",
			    (int)c->pid);
	}
	return 0;
}

static void
forget(struct master *m)
{
	struct list *l;

	shm_free(&m->proc.shm);
	mail_free(&m->proc.mail);
	while ((l = m->bound.next) != &m->bound) {
		list_del(l);
		free(container_of(l, struct bound, node));
	}
	while ((l = m->children.next) != &m->children) {
		list_del(l);
		free(container_of(l, struct child, node));
	}
	free(m);
}

int
handover_check(int fd, struct err *e)
{
	struct master *m = must_calloc(1, sizeof(*m));
	struct handover h;
	int rc;

	m->pid_fd = m->ctl_fd = -1;
	list_init(&m->children);
	list_init(&m->bound);
	rc = handover_read(m, fd, &h, e);
	if (rc == 0)
		rc = check_fds(m, e);
	/* with another layout there will be a new board */
	if (rc == 0 && h.layout == shm_layout(shm_regions)) {
		m->proc.shm = handover_board(m, &h, e);
		rc = m->proc.shm == NULL ? -1 : 0;
	}
	forget(m);
	return rc;
}
