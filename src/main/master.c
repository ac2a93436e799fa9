/*
 * The master: start, signals, stop.  It holds what must outlive every
 * other process: listening sockets, the board, the roster.  One loop; all
 * it does is a reaction to a signal, a death, a frame or a timer.
 */
#include "main/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "core/access.h"
#include "core/lease.h"
#include "core/mail.h"
#include "core/secret.h"
#include "core/secure.h"
#include "core/settings.h"
#include "core/ticket.h"
#include "main/certwatch.h"
#include "main/panic.h"
#include "main/reach.h"
#include "os/fault.h"
#include "os/notify.h"
#include "os/place.h"

#define FIRST_MS	1000	/* until the first generation is tried again */
#define FIRST_MAX_MS	60000
#define STOP_MS		30000	/* without a generation that says it */

/* --- the log: stderr while starting, then the ring of slot 0 --- */

static void
put_ring(struct log *log, enum log_level level, const struct log_ids *ids,
    struct str text)
{
	struct master *m = log->ctx;
	uint64_t ms = ids->wall_ms != 0 ? ids->wall_ms :
	    ev_wall_ms(m->proc.ev);
	struct record_line line = { ms, level, "master", 0, ids, text };

	record_put_line(&m->board.ring, &line);
}

static void
log_to_ring(struct master *m)
{
	m->proc.log.put = put_ring;
	m->proc.log.ctx = m;
}

/* --- places and user, once --- */

static int
find_user(struct master *m, const struct settings *s, struct err *e)
{
	char why[160];
	int rc = reach_user(s, &m->user, e);

	if (rc <= 0)
		return rc;
	snprintf(why, sizeof(why), "user \"%.*s\" does not exist: running "
	    "as \"%s\"", STR_FMT(s->user), REACH_FALLBACK);
	publish_say(m, DIAG_NO_USER, why);
	return 0;
}

/* The pid file: locked for as long as the master lives. */
static int
open_pid_file(struct master *m, enum diag_id *id, struct err *e)
{
	struct stat st;
	char buf[32];
	int n, fd;

	if (m->opts->pidfile != NULL)
		n = snprintf(m->pid_file, sizeof(m->pid_file), "%s",
		    m->opts->pidfile);
	else
		n = snprintf(m->pid_file, sizeof(m->pid_file),
		    "%s/sluiced.pid", m->run_dir);
	if (n < 0 || (size_t)n >= sizeof(m->pid_file))
		return err_set(e, "the path of the pid file is too long");
	/* the folder is another user's: follow nothing that lies there */
	fd = open(m->pid_file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK, 0644);
	if (fd < 0)
		return err_sys(e, "cannot open pid file \"%s\"", m->pid_file);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		close(fd);
		return err_set(e, "pid file \"%s\" is no plain file",
		    m->pid_file);
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		*id = DIAG_RUNNING;
		return err_set(e, "pid file \"%s\" is locked: sluiced runs "
		    "already", m->pid_file);
	}
	m->pid_fd = fd;
	n = snprintf(buf, sizeof(buf), "%d\n", (int)getpid());
	if (ftruncate(m->pid_fd, 0) < 0 || write(m->pid_fd, buf, (size_t)n) !=
	    n)
		return err_sys(e, "cannot write pid file \"%s\"",
		    m->pid_file);
	return 0;
}

/* One that the user did not name must be safe from others. */
static int
make_run_dir(struct master *m, struct err *e)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char own[sizeof(m->run_dir)];

	if (priv_is_root())
		return priv_make_dir(m->run_dir, &m->user, 0775, e);
	if (priv_make_dir(m->run_dir, &m->user, 0755, e) < 0)
		return -1;
	if (place_run_dir(own, sizeof(own), str_from(xdg != NULL ? xdg :
	    "")) == -1 || strcmp(own, m->run_dir) != 0)
		return 0;
	return place_check(m->run_dir, e);
}

int
master_first(struct master *m, const struct conf *conf, enum diag_id *id,
    struct err *e)
{
	const struct settings *s = settings_get(conf);
	char log_dir[512];

	if (m->gens.cur != NULL)
		return 0;
	*id = DIAG_USER;
	if (find_user(m, s, e) < 0)
		return -1;
	/* the state may have been lost on the way */
	if (m->adopted && m->run_dir[0] != '\0')
		return 0;
	*id = DIAG_DIRECTORY;
	if (str_to_c(s->run_dir, m->run_dir, sizeof(m->run_dir)) < 0 ||
	    str_to_c(s->state_dir, m->state_dir, sizeof(m->state_dir)) < 0)
		return err_set(e, "run_dir or state_dir is too long");
	if (settings_log_dir(conf, log_dir, sizeof(log_dir), e) < 0)
		return -1;
	/* the master goes on making and removing files there, as group */
	if (make_run_dir(m, e) < 0 ||
	    priv_make_dir(m->state_dir, &m->user, 0750, e) < 0 ||
	    priv_make_dir(log_dir, &m->user, 0750, e) < 0)
		return -1;
	if (m->pid_fd < 0 && open_pid_file(m, id, e) < 0)
		return -1;
	return bind_control(m, e);
}

const struct settings *
master_settings(const struct master *m)
{
	return settings_get(m->gens.cur->conf);
}

/* --- readiness --- */

static void
tell_starter(struct master *m, int code)
{
	unsigned char c = (unsigned char)code;

	if (m->ready_fd < 0)
		return;
	(void)!write(m->ready_fd, &c, 1);
	close(m->ready_fd);
	m->ready_fd = -1;
}

static bool
all_ready(struct master *m)
{
	const struct proc_row *r;
	struct list *l;
	struct child *c;
	unsigned n, i;

	/* one that waits for its restart is not there at all */
	for (r = procs; r->name != NULL; r++) {
		n = r->count > 0 ? r->count : settings_workers(
		    m->gens.cur->conf);
		for (i = 0; r->run != NULL && i < n; i++)
			if (child_find(m, r, i) == NULL)
				return false;
	}

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (!c->ready && !c->old && !c->draining)
			return false;
	}
	return true;
}

static struct str
scheme_of(const struct master *m, const struct bound *b)
{
	const struct listen_addr *v;
	size_t n;

	if (b->addr.u.sa.sa_family == AF_UNIX)
		return STR(" ");
	v = listener_addrs(m->gens.cur->conf, &n);
	for (size_t i = 0; i < n; i++)
		if (sock_eq(v[i].addr, &b->addr) && secure_has(v[i].conf))
			return STR(" https://");
	return STR(" http://");
}

static void
say_ready(struct master *m)
{
	struct list *l;
	struct bound *b;
	struct text t;

	text_init(&t);
	list_each(l, &m->bound) {
		b = container_of(l, struct bound, node);
		text_add(&t, scheme_of(m, b));
		sock_text(&t, &b->addr);
	}
	if (t.n == 0)
		text_add(&t, STR(" nothing"));
	log_info(&self->lc, "ready: pid %d, %u workers, listening on%.*s",
	    (int)getpid(), child_count(m, child_row("worker")),
	    STR_FMT(text_str(&t)));
	notify_send("READY=1\nMAINPID=%d\nSTATUS=generation %llu, listening "
	    "on%.*s", (int)getpid(),
	    (unsigned long long)m->gens.cur->number, STR_FMT(text_str(&t)));
	text_fini(&t);
}

/* The first generation is committed: start everybody. */
static void
first_generation(struct master *m)
{
	struct err e;

	if (priv_is_root() && priv_limit_master(&e) < 0)
		log_warn(&self->lc, "privileges: %s", e.text);
	log_to_ring(m);
	if (!m->old_board)
		upgrade_drain_logger(m);
	if (child_spawn_roles(m, &e) < 0) {
		log_err(&self->lc, "start: %s", e.text);
		/* which one is all the same: it starts all that are missing */
		reap_retry(m, child_row("control"));
	}
	roll_fit(m);
}

static void
on_first(struct timer *t)
{
	struct master *m = container_of(t, struct master, first);

	if (m->state == MASTER_STARTING && m->gens.cur == NULL)
		publish_start(m, 0);
}

/*
 * The program before could publish, this one cannot yet: its processes go
 * on serving while there are any.
 */
static void
first_failed(struct master *m)
{
	if (child_count(m, child_row("worker")) == 0) {
		log_err(&self->lc, "upgrade: failed: no generation could be "
		    "published, and no worker of the program before is left "
		    "to serve: stopping");
		m->failed = true;
		master_stop(m, true);
		return;
	}
	m->first_ms = m->first_ms == 0 ? FIRST_MS : m->first_ms * 2;
	if (m->first_ms > FIRST_MAX_MS)
		m->first_ms = FIRST_MAX_MS;
	log_err(&self->lc, "upgrade: the processes of the program before go "
	    "on serving; tried again in %u s", (unsigned)(m->first_ms / 1000));
	notify_send("STATUS=upgrade: no generation yet: %s", m->pub.why);
	ev_timer(m->proc.ev, &m->first, m->first_ms);
}

static void
publish_failed(struct master *m)
{
	if (m->state == MASTER_SERVING) {
		notify_send("READY=1\nSTATUS=reload failed: %s", m->pub.why);
	} else if (m->state == MASTER_STARTING &&
	    child_count(m, NULL) == 0) {
		tell_starter(m, m->pub.exit_code);
		m->state = MASTER_GONE;
		ev_stop(m->proc.ev);
	} else if (m->state == MASTER_STARTING && m->gens.cur == NULL) {
		first_failed(m);
	}
}

void
master_published(struct master *m, bool failed)
{
	if (failed) {
		publish_failed(m);
		return;
	}
	ev_timer_off(m->proc.ev, &m->first);
	if (m->state == MASTER_STARTING &&
	    child_find(m, child_row("control"), 0) == NULL) {
		first_generation(m);
		return;
	}
	roll_fit(m);
	if (m->state == MASTER_SERVING)
		notify_send("READY=1\nSTATUS=generation %llu",
		    (unsigned long long)m->gens.cur->number);
}

void
master_give_up(struct master *m, const char *role)
{
	log_err(&self->lc, "start: failed: every %s dies at once", role);
	m->failed = true;
	tell_starter(m, EXIT_ENV);
	master_stop(m, true);
}

/* --- stop --- */

static void
drain_roles(struct master *m, bool logger_too)
{
	const struct proc_row *logger = child_row("logger");
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (!c->draining && (logger_too || c->row != logger))
			child_drain(c, 0, logger_too ? 5000 : 2000, 0);
	}
}

static unsigned
others_than(struct master *m, const char *name)
{
	return child_count(m, NULL) - child_count(m, child_row(name));
}

void
master_advance(struct master *m)
{
	if (m->state == MASTER_STARTING && m->gens.cur != NULL &&
	    all_ready(m)) {
		m->state = MASTER_SERVING;
		m->board.slot->state = SLOT_SERVING;
		say_ready(m);
		tell_starter(m, EXIT_OK);
		if (!m->opts->foreground)
			proc_leave_terminal();
		publish_again(m);
	}
	/* another try may have been far away */
	if (m->state == MASTER_STARTING && timer_is_armed(&m->first) &&
	    child_count(m, child_row("worker")) == 0)
		ev_timer(m->proc.ev, &m->first, 0);
	if (m->state == MASTER_SERVING && upgrade_has_old(m, NULL))
		upgrade_settle(m);
	if (m->state == MASTER_STOPPING &&
	    child_count(m, child_row("worker")) == 0) {
		m->state = MASTER_ROLES;
		drain_roles(m, false);
	}
	if (m->state == MASTER_ROLES && others_than(m, "logger") == 0) {
		log_info(&self->lc, "stop: all processes have ended");
		m->state = MASTER_LOGGER;
		drain_roles(m, true);
	}
	if (m->state == MASTER_LOGGER && child_count(m, NULL) == 0) {
		m->state = MASTER_GONE;
		ev_stop(m->proc.ev);
	}
}

static void
kill_workers(struct master *m)
{
	const struct proc_row *worker = child_row("worker");
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->row == worker)
			kill(c->pid, SIGKILL);
	}
}

/* The workers have taken who waited: from now on nobody is let in. */
static void
on_stop_listening(struct timer *t)
{
	bind_close(container_of(t, struct master, stop));
}

/* Nothing was ever published, and nobody else serves. */
static void
stop_at_once(struct master *m)
{
	tell_starter(m, EXIT_ENV);
	m->state = MASTER_GONE;
	ev_stop(m->proc.ev);
}

void
master_stop(struct master *m, bool now)
{
	const struct proc_row *worker = child_row("worker");
	uint64_t delay = 0, limit = STOP_MS;
	struct list *l;
	struct child *c;

	if (m->gens.cur == NULL && child_count(m, NULL) == 0) {
		stop_at_once(m);
		return;
	}
	if (now)
		kill_workers(m);
	if (m->state >= MASTER_STOPPING)
		return;
	if (m->gens.cur != NULL) {
		delay = master_settings(m)->drain_delay;
		limit = master_settings(m)->stop;
	}
	m->state = MASTER_STOPPING;
	m->board.slot->state = SLOT_DRAINING;
	notify_send("STOPPING=1\nSTATUS=draining");
	log_info(&self->lc, "stop: draining for up to %llu ms",
	    (unsigned long long)(delay + limit));
	publish_stop(m);
	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->row == worker)
			child_drain(c, delay, limit, 0);
	}
	timer_init(&m->stop, on_stop_listening);
	ev_timer(m->proc.ev, &m->stop, delay);
	master_advance(m);
}

/* --- signals --- */

static void
reopen_logs(struct master *m)
{
	struct frame_head h = { .op = CHAN_REOPEN };
	struct child *c = child_find(m, child_row("logger"), 0);

	if (c != NULL)
		(void)chan_send(&c->chan, &h, NULL, NULL, 0);
}

static void
on_signal(void *ctx, int signo)
{
	struct master *m = ctx;

	switch (signo) {
	case SIGCHLD:
		reap_all(m);
		break;
	case SIGHUP:
		publish_start(m, 0);
		break;
	case SIGTERM:
	case SIGQUIT:
		master_stop(m, false);
		break;
	case SIGINT:
		master_stop(m, m->ints++ > 0);
		break;
	case SIGUSR1:
		reopen_logs(m);
		break;
	case SIGUSR2:
		upgrade_start(m);
		break;
	default:
		break;
	}
}

static void
on_beat(void *ctx, uint64_t now)
{
	struct master *m = ctx;

	if (m->board.slot != NULL)
		m->board.slot->beat_ms = now;
}

/* --- start --- */

/* Goes to the background; the starter waits until the master serves. */
static int
detach(struct master *m)
{
	unsigned char code = EXIT_ENV;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid > 0) {
		close(fds[1]);
		if (read(fds[0], &code, 1) != 1)
			code = EXIT_ENV;
		_exit(code);
	}
	close(fds[0]);
	m->ready_fd = fds[1];
	setsid();
	return 0;
}

static int
init(struct master *m, struct err *e)
{
	static const int signos[] = { SIGCHLD, SIGHUP, SIGTERM, SIGQUIT,
	    SIGINT, SIGUSR1, SIGUSR2, 0 };
	struct board_global *g;
	sigset_t none;

	m->proc.ev = ev_new(NULL, e);
	if (m->proc.ev == NULL ||
	    sig_open(&m->sig, m->proc.ev, signos, on_signal, m, e) < 0 ||
	    gen_reserve(&m->gens, e) < 0)
		return -1;
	/* they were held back while one program became the other */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	m->proc.gens = &m->gens;
	if (m->proc.shm == NULL) {
		m->proc.shm = shm_new(shm_regions, e);
		if (m->proc.shm == NULL ||
		    board_grow(m->proc.shm, 16, e) < 0 ||
		    lease_grow(m->proc.shm, 16, 0, e) < 0)
			return -1;
		if (secret_grow(m->proc.shm, e) < 0 ||
		    ticket_rotate(m->proc.shm, ev_wall_ms(m->proc.ev),
		    UINT64_MAX, e) < 0)
			return -1;
		g = shm_row(m->proc.shm, &board_globals, 0);
		g->started_ms = ev_wall_ms(m->proc.ev);
	}
	if (m->proc.mail == NULL)
		m->proc.mail = mail_new();
	mail_set_board(m->proc.mail, m->proc.shm);
	upgrade_adopt_children(m);
	board_enter(&m->board, m->proc.shm, 0, RING_BYTES);
	self->board = &m->board;
	m->board.slot->pid = (uint32_t)getpid();
	m->board.slot->role = (uint32_t)(child_row("master") - procs);
	/* an upgrade goes on with the board of one that serves */
	if (m->board.slot->state != SLOT_SERVING)
		m->board.slot->state = SLOT_STARTING;
	ev_set_beat(m->proc.ev, on_beat, m, 1000);
	return 0;
}

static void
prepare_self(struct master *m, struct opts *o)
{
	memset(m, 0, sizeof(*m));
	m->opts = o;
	m->pid_fd = m->ctl_fd = m->ready_fd = m->check_fd = -1;
	publish_no_files(m);
	for (unsigned i = 0; i < GEN_NKEYS; i++)
		m->keys_fd[i] = -1;
	list_init(&m->children);
	list_init(&m->bound);
	self = &m->proc;
	self->row = child_row("master");
	self->lc.log = &self->log;
	log_init_stderr(&self->log, LOG_INFO);
	rand_seed(&self->rand);
	reap_init(m);
	timer_init(&m->check_kill, NULL);
	timer_init(&m->first, on_first);
}

static void
leave(struct master *m)
{
	certwatch_fini(m);
	build_kill(m);
	plan_kill(m);
	if (m->pid_fd >= 0)
		(void)unlink(m->pid_file);
	bind_close(m);
	bind_close_control(m);
	upgrade_kill(m);
	notify_send("STATUS=stopped");
}

int
master_run(struct opts *o)
{
	struct master *m = must_calloc(1, sizeof(*m));
	struct err e;

	FAULT_INIT();
	prepare_self(m, o);
	if (!upgrade_adopt(m) && !o->foreground && detach(m) < 0)
		return EXIT_ENV;
	if (init(m, &e) < 0) {
		log_err(&self->lc, "start: %s", e.text);
		tell_starter(m, EXIT_ENV);
		return EXIT_ENV;
	}
	panic_init();
	proc_set_title("sluiced: master");
	reap_watch(m);
	reap_all(m);
	publish_start(m, 0);
	ev_run(m->proc.ev);
	leave(m);
	if (m->failed)
		return EXIT_ENV;
	return m->gens.cur != NULL ? EXIT_OK : m->pub.exit_code;
}
