/*
 * Upgrade: another program takes over, with the same pid.  Master.  A
 * child first runs the new program with --handover-check; only when that
 * ends well the master writes what it holds into a memory file (one fact
 * a line) and execs in place.  The new master adopts sockets, board and
 * children, starts its own, and lets the old ones drain.
 *
 * Old children speak the frames of another program: they are only told
 * by signals, and what they send is ignored.  With another layout of the
 * board it makes a new one; the old children keep the old one, their
 * logger with them.
 */
#include "main/master.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "core/settings.h"

#define VAR		"SLUICE_HANDOVER"
#define FORMAT		"sluice-handover 1"
#define CHECK_MS	30000
#define RETRY_MS	50
#define STATE_BYTES	(1U << 20)

/* --- the program --- */

/*
 * The path by which this program was started, made absolute; a symbolic
 * link stays one, so that switching it is how a new version is named.
 */
static int
find_program(const char *argv0, char *out, size_t size)
{
	const char *path = getenv("PATH");
	struct str rest = str_from(path != NULL ? path : ""), dir;
	char cwd[PATH_MAX];
	int n;

	if (argv0[0] == '/') {
		n = snprintf(out, size, "%s", argv0);
	} else if (strchr(argv0, '/') != NULL) {
		if (getcwd(cwd, sizeof(cwd)) == NULL)
			return -1;
		n = snprintf(out, size, "%s/%s", cwd, argv0);
	} else {
		while (str_word(&rest, ":", &dir)) {
			n = snprintf(out, size, "%.*s/%s", STR_FMT(dir),
			    argv0);
			if (n > 0 && (size_t)n < size &&
			    access(out, X_OK) == 0)
				return 0;
		}
		return -1;
	}
	return n > 0 && (size_t)n < size ? 0 : -1;
}

/* --- the check --- */

static void
run_check(struct master *m, int out)
{
	char **argv = must_calloc((size_t)m->opts->argc + 2, sizeof(*argv));
	int i;

	sig_reset(&m->sig);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	for (i = 0; i < m->opts->argc; i++)
		argv[i] = m->opts->argv[i];
	argv[i] = (char[]){ "--handover-check" };
	unsetenv(VAR);
	execv(m->program, argv);
	dprintf(STDERR_FILENO, "cannot run \"%s\": %s\n", m->program,
	    strerror(errno));
	_exit(127);
}

static void
on_check_late(struct timer *t)
{
	struct master *m = container_of(t, struct master, check_kill);

	log_err(&self->lc, "upgrade: the check took longer than %d s: "
	    "killed", CHECK_MS / 1000);
	kill(m->check_pid, SIGKILL);
}

void
upgrade_start(struct master *m)
{
	bool busy;
	int fds[2];

	busy = m->check_pid > 0 || timer_is_armed(&m->check_kill);
	if (m->state != MASTER_SERVING || busy) {
		log_warn(&self->lc, "upgrade: not now: %s",
		    busy ? "one is under way" :
		    "starting or stopping");
		return;
	}
	if (find_program(m->opts->argv[0], m->program,
	    sizeof(m->program)) < 0) {
		log_err(&self->lc, "upgrade: cannot tell which file \"%s\" "
		    "was started from", m->opts->argv[0]);
		return;
	}
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return;
	m->check_pid = fork();
	if (m->check_pid == 0)
		run_check(m, fds[1]);
	close(fds[1]);
	m->check_fd = fds[0];
	if (m->check_pid < 0) {
		m->check_pid = 0;
		close(fds[0]);
		log_err(&self->lc, "upgrade: cannot fork");
		return;
	}
	log_info(&self->lc, "upgrade: checking \"%s\"", m->program);
	timer_init(&m->check_kill, on_check_late);
	ev_timer(m->proc.ev, &m->check_kill, CHECK_MS);
}

/* --- handing over --- */

static int
put_state(struct master *m, struct text *t)
{
	struct list *l;
	struct bound *b;
	struct child *c;
	int i;

	text_fmt(t, "%s\nlayout %016llx\nnumbers %llu\ntags %llu\n", FORMAT,
	    (unsigned long long)shm_layout(shm_regions),
	    (unsigned long long)m->numbers, (unsigned long long)m->tags);
	text_fmt(t, "places %d %d %s %s %s\n", m->pid_fd, m->ctl_fd,
	    m->run_dir, m->state_dir, m->pid_file);
	text_fmt(t, "shm");
	for (i = 0; i < SHM_NSEG; i++)
		text_fmt(t, " %d", shm_fd(m->proc.shm, i));
	text_c(t, '\n');
	list_each(l, &m->bound) {
		b = container_of(l, struct bound, node);
		text_fmt(t, "bound %d ", b->fd);
		sock_text(t, &b->addr);
		text_c(t, '\n');
	}
	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		text_fmt(t, "child %d %u %llu %s %u %d %d\n", (int)c->pid,
		    c->slot, (unsigned long long)c->tag, c->row->name,
		    c->index, c->chan.fd.fd, c->draining);
	}
	return t->cut ? -1 : 0;
}

/* on: the descriptors named in the state survive exec. */
static void
set_inherit(struct master *m, int state_fd, bool on)
{
	struct list *l;
	int i, flag = on ? 0 : FD_CLOEXEC;

	fcntl(state_fd, F_SETFD, flag);
	fcntl(m->pid_fd, F_SETFD, flag);
	fcntl(m->ctl_fd, F_SETFD, flag);
	for (i = 0; i < SHM_NSEG; i++)
		fcntl(shm_fd(m->proc.shm, i), F_SETFD, flag);
	list_each(l, &m->bound)
		fcntl(container_of(l, struct bound, node)->fd, F_SETFD, flag);
	list_each(l, &m->children)
		fcntl(container_of(l, struct child, node)->chan.fd.fd,
		    F_SETFD, flag);
}

static void
hand_over(struct master *m)
{
	struct text t;
	sigset_t all, was;
	char num[16];
	int fd;

	fd = memfd_create("sluice-handover", MFD_CLOEXEC);
	text_init(&t);
	if (fd < 0 || put_state(m, &t) < 0 ||
	    write(fd, t.p, t.n) != (ssize_t)t.n) {
		log_err(&self->lc, "upgrade: cannot write the state: %s",
		    strerror(errno));
		goto out;
	}
	log_info(&self->lc, "upgrade: handing over to \"%s\"", m->program);
	/* a signal between the two programs waits for the new one */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	set_inherit(m, fd, true);
	snprintf(num, sizeof(num), "%d", fd);
	setenv(VAR, num, 1);
	execv(m->program, m->opts->argv);
	unsetenv(VAR);
	set_inherit(m, fd, false);
	sigprocmask(SIG_SETMASK, &was, NULL);
	log_err(&self->lc, "upgrade: cannot run \"%s\": going on",
	    m->program);
out:
	text_fini(&t);
	if (fd >= 0)
		close(fd);
}

static void
on_retry(struct timer *t)
{
	struct master *m = container_of(t, struct master, check_kill);

	if (m->state != MASTER_SERVING)
		return;
	if (m->pub.step != PUBLISH_IDLE || m->rolling)
		ev_timer(m->proc.ev, &m->check_kill, RETRY_MS);
	else
		hand_over(m);
}

/* Logs what the check printed, a line each; true if it was a sluiced. */
static bool
tell_output(struct master *m)
{
	char buf[4096];
	struct str rest, line;
	struct text t;
	bool ours = false;
	ssize_t n = read(m->check_fd, buf, sizeof(buf));

	if (n <= 0)
		return false;
	rest = str_make(buf, (size_t)n);
	while (str_word(&rest, "\n", &line)) {
		ours |= str_starts(line, STR("sluiced "));
		text_init(&t);
		text_safe(&t, line);
		log_info(&self->lc, "upgrade: check: %.*s",
		    STR_FMT(text_str(&t)));
		text_fini(&t);
	}
	return ours;
}

void
upgrade_checked(struct master *m, int status)
{
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	ev_timer_off(m->proc.ev, &m->check_kill);
	m->check_pid = 0;
	/* some other program may end well, too */
	good &= tell_output(m);
	close(m->check_fd);
	m->check_fd = -1;
	if (!good) {
		log_err(&self->lc, "upgrade: refused: \"%s\" --handover-check "
		    "ended with %s %d; this program goes on", m->program,
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
		    WEXITSTATUS(status));
		return;
	}
	timer_init(&m->check_kill, on_retry);
	ev_timer(m->proc.ev, &m->check_kill, 0);
}

/* --- taking over --- */

static int
adopt_child(struct master *m, const char *line)
{
	struct child *c = must_calloc(1, sizeof(*c));
	char role[24];
	unsigned long long tag;
	int pid, fd, draining;

	if (sscanf(line, "child %d %u %llu %23s %u %d %d", &pid, &c->slot,
	    &tag, role, &c->index, &fd, &draining) != 7) {
		free(c);
		return -1;
	}
	c->m = m;
	c->pid = pid;
	c->tag = tag;
	c->old = true;
	c->ready = true;
	c->row = child_row(role);
	c->chan.fd.fd = fd;
	list_add_tail(&m->children, &c->node);
	return 0;
}

static int
adopt_bound(struct master *m, struct str line)
{
	struct bound *b = must_calloc(1, sizeof(*b));
	struct str word, rest = line;
	uint64_t fd;

	if (!str_word(&rest, " ", &word) || !str_word(&rest, " ", &word) ||
	    str_to_u64(word, INT_MAX, &fd) < 0 ||
	    sock_parse(str_trim(rest), -1, &b->addr, NULL) < 0) {
		free(b);
		return -1;
	}
	b->fd = (int)fd;
	list_add_tail(&m->bound, &b->node);
	return 0;
}

static int
adopt_line(struct master *m, const char *line, uint64_t *layout, int *fds)
{
	unsigned long long n;

	if (sscanf(line, "layout %llx", &n) == 1)
		*layout = n;
	else if (sscanf(line, "numbers %llu", &n) == 1)
		m->numbers = n;
	else if (sscanf(line, "tags %llu", &n) == 1)
		m->tags = n;
	else if (strncmp(line, "shm ", 4) == 0)
		return sscanf(line, "shm %d %d %d %d", &fds[0], &fds[1],
		    &fds[2], &fds[3]) == 4 ? 0 : -1;
	else if (strncmp(line, "places ", 7) == 0)
		return sscanf(line, "places %d %d %255s %255s %511s",
		    &m->pid_fd, &m->ctl_fd, m->run_dir, m->state_dir,
		    m->pid_file) == 5 ? 0 : -1;
	else if (strncmp(line, "bound ", 6) == 0)
		return adopt_bound(m, str_from(line));
	else if (strncmp(line, "child ", 6) == 0)
		return adopt_child(m, line);
	return 0;
}

static int
read_state(struct master *m, char *buf, uint64_t *layout, int *fds,
    struct err *e)
{
	char *line, *save = NULL;

	if (strncmp(buf, FORMAT "\n", sizeof(FORMAT)) != 0)
		return err_set(e, "the state is of another format");
	for (line = strtok_r(buf, "\n", &save); line != NULL;
	    line = strtok_r(NULL, "\n", &save))
		if (adopt_line(m, line, layout, fds) < 0)
			return err_set(e, "the state is malformed: \"%.80s\"",
			    line);
	return 0;
}

static void
close_on_exec(struct master *m)
{
	struct list *l;

	fcntl(m->pid_fd, F_SETFD, FD_CLOEXEC);
	fcntl(m->ctl_fd, F_SETFD, FD_CLOEXEC);
	list_each(l, &m->bound)
		fcntl(container_of(l, struct bound, node)->fd, F_SETFD,
		    FD_CLOEXEC);
	list_each(l, &m->children)
		fcntl(container_of(l, struct child, node)->chan.fd.fd,
		    F_SETFD, FD_CLOEXEC);
}

int
upgrade_adopt(struct master *m, struct err *e)
{
	const char *var = getenv(VAR);
	char *buf;
	uint64_t fd, layout = 0;
	ssize_t n;
	int i, fds[SHM_NSEG] = { -1, -1, -1, -1 };

	if (var == NULL || str_to_u64(str_from(var), INT_MAX, &fd) < 0)
		return 0;
	/* it stays set: only what begins as a master looks at it */
	buf = must_calloc(1, STATE_BYTES + 1);
	n = pread((int)fd, buf, STATE_BYTES, 0);
	close((int)fd);
	if (n <= 0 || read_state(m, buf, &layout, fds, e) < 0) {
		free(buf);
		return n <= 0 ? err_sys(e, "cannot read the state") : -1;
	}
	free(buf);
	close_on_exec(m);
	m->adopted = true;
	if (layout == shm_layout(shm_regions)) {
		m->proc.shm = shm_adopt(fds, shm_regions, e);
		return m->proc.shm == NULL ? -1 : 1;
	}
	m->old_board = true;
	for (i = 0; i < SHM_NSEG; i++)
		close(fds[i]);
	return 1;
}

int
upgrade_adopt_children(struct master *m, struct err *e)
{
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (m->old_board)
			c->slot = 0;
		c->born_ms = ev_ms(m->proc.ev);
		child_init(c);
		if (chan_open(&c->chan, m->proc.ev, c->chan.fd.fd,
		    child_on_frame, c, e) < 0)
			return -1;
	}
	return 0;
}

/* --- letting the old ones go --- */

bool
upgrade_has_old(struct master *m, const struct proc_row *row)
{
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->old && (row == NULL || c->row == row))
			return true;
	}
	return false;
}

void
upgrade_drain_logger(struct master *m)
{
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->old && !c->draining && c->row == child_row("logger"))
			child_drain(c, 0, 2000);
	}
}

void
upgrade_settle(struct master *m)
{
	const struct proc_row *worker = child_row("worker");
	uint64_t ms = master_settings(m)->drain_timeout;
	bool workers = upgrade_has_old(m, worker);
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (!c->old || c->draining)
			continue;
		if (c->row == worker)
			child_drain(c, 0, ms);
		else if (!workers || c->row == child_row("control") ||
		    c->row == child_row("health"))
			child_drain(c, 0, 2000);
	}
}
