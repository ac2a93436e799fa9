/*
 * Upgrade: another program takes over, with the same pid.  Master.  A
 * child first runs the new program with --handover-check and what would
 * be handed over; only when that ends well the master writes what it
 * holds into a memory file (handover.c) and execs in place.  The new
 * master adopts sockets, board and children, starts its own, and lets the
 * old ones drain.
 *
 * Old children speak the frames of another program: they are only told
 * by signals, and what they send is ignored.  With another layout of the
 * board, or one that cannot be taken over, there is a new one; the old
 * children keep the old one, their logger with them.
 */
#include "main/handover.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "core/mail.h"
#include "core/settings.h"
#include "os/fault.h"

#define CHECK_MS	30000
#define RETRY_MS	50

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

/* The check sees what it would be given; it is a copy of the master. */
static void
run_check(struct master *m, int out)
{
	char **argv = must_calloc((size_t)m->opts->argc + 2, sizeof(*argv));
	struct err e;
	int i, fd;

	sig_reset(&m->sig);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	fd = handover_write(m, &e);
	if (fd < 0) {
		dprintf(STDERR_FILENO, "%s\n", e.text);
		_exit(EXIT_ENV);
	}
	handover_inherit(m, fd, true);
	handover_announce(fd);
	for (i = 0; i < m->opts->argc; i++)
		argv[i] = m->opts->argv[i];
	argv[i] = (char[]){ "--handover-check" };
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
	m->check_pid = sig_fork();
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

static void
hand_over(struct master *m)
{
	sigset_t all, was;
	struct err e;
	int fd = handover_write(m, &e);

	if (fd < 0) {
		log_err(&self->lc, "upgrade: %s: going on", e.text);
		return;
	}
	log_info(&self->lc, "upgrade: handing over to \"%s\"", m->program);
	if (FAULT("handover_signal"))
		raise(SIGHUP);
	/* a signal between the two programs waits for the new one */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	sig_put_back(&m->sig);
	handover_inherit(m, fd, true);
	handover_announce(fd);
	if (!FAULT("handover_gone"))
		execv(m->program, m->opts->argv);
	handover_announce(-1);
	handover_inherit(m, fd, false);
	sigprocmask(SIG_SETMASK, &was, NULL);
	log_err(&self->lc, "upgrade: cannot run \"%s\": going on",
	    m->program);
	close(fd);
}

static void
on_retry(struct timer *t)
{
	struct master *m = container_of(t, struct master, check_kill);

	if (m->state != MASTER_SERVING)
		return;
	if (m->pub.step != PUBLISH_IDLE || m->rolling ||
	    m->plan.asker != 0)
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

void
upgrade_kill(struct master *m)
{
	if (m->check_pid <= 0)
		return;
	kill(m->check_pid, SIGKILL);
	while (waitpid(m->check_pid, NULL, 0) < 0 && errno == EINTR)
		;
	m->check_pid = 0;
}

/* --- taking over --- */

/* The sockets and nothing else are sure to be ours. */
static void
lose_board(struct master *m, const struct err *e)
{
	log_err(&self->lc, "upgrade: the state cannot be taken over: %s: "
	    "serving with a new board and new processes", e->text);
	m->old_board = true;
}

static int
read_state(struct master *m, int fd, struct handover *h, struct err *e)
{
	if (handover_read(m, fd, h, e) < 0)
		return -1;
	return FAULT("adopt_state") ? err_set(e, "fault point adopt_state") :
	    0;
}

static int
adopt_board(struct master *m, const struct handover *h, struct err *e)
{
	if (FAULT("adopt_board"))
		return err_set(e, "fault point adopt_board");
	m->proc.shm = handover_board(m, h, e);
	return m->proc.shm == NULL ? -1 : 0;
}

bool
upgrade_adopt(struct master *m)
{
	int i, fd = handover_find();
	struct handover h;
	struct err e;

	if (fd < 0)
		return false;
	/* it stays named: only what begins as a master looks at it */
	m->adopted = true;
	if (read_state(m, fd, &h, &e) < 0) {
		lose_board(m, &e);
		handover_take_rest(m);
		handover_inherit(m, -1, false);
		mail_free(&m->proc.mail);
		return true;
	}
	close(fd);
	handover_inherit(m, -1, false);
	m->old_board = h.layout != shm_layout(shm_regions);
	if (!m->old_board && adopt_board(m, &h, &e) < 0)
		lose_board(m, &e);
	for (i = 0; m->old_board && i < SHM_NSEG; i++)
		close(h.shm[i]);
	/* another board's slots are woken by another board's processes */
	if (m->old_board)
		mail_free(&m->proc.mail);
	return true;
}

void
upgrade_adopt_children(struct master *m)
{
	struct list *l;
	struct child *c;
	struct err e;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (m->old_board)
			c->slot = 0;
		c->born_ms = ev_ms(m->proc.ev);
		child_init(c);
		/* signals reach it without a channel as well */
		if (chan_open(&c->chan, m->proc.ev, c->chan.fd.fd,
		    child_on_frame, c, &e) < 0)
			log_warn(&self->lc, "upgrade: %s: no channel: %s",
			    c->name, e.text);
	}
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
			child_drain(c, 0, 2000, 0);
	}
}

void
upgrade_settle(struct master *m)
{
	const struct proc_row *worker = child_row("worker");
	const struct settings *s = master_settings(m);
	bool workers = upgrade_has_old(m, worker);
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (!c->old || c->draining)
			continue;
		if (c->row == worker)
			child_drain(c, 0, s->drain_timeout,
			    s->drain_streams);
		else if (!workers || c->row == child_row("control") ||
		    c->row == child_row("health"))
			child_drain(c, 0, 2000, 0);
	}
}
