/*
 * The builder.  Forked by the master for each reload: it has the master's
 * right to read files but no network and 60 seconds; it loads the
 * configuration, compiles it into a memory file at the slot it was given
 * and hands the file and the diagnostics back.  Being a fork of the
 * master it sees the same tables at the same addresses.  A builder that
 * plans (main/plan.c) hands out what would change in place of the files.
 */
#include "main/master.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "conf/delta.h"
#include "core/settings.h"
#include "main/budget.h"
#include "main/plan_files.h"
#include "main/reach.h"
#include "os/fault.h"
#include "tls/cert.h"

#define BUILD_MS	60000
#define FILES		(1 + GEN_NKEYS)	/* of a generation */

/* the builder's answer: head of the CHAN_BUILT frame's payload */
struct built {
	int32_t		exit_code;	/* EXIT_OK, EXIT_CONFIG, EXIT_ENV */
	uint32_t	errors;
	uint32_t	warnings;
	uint32_t	unpaired;	/* 1: a key of another chain */
	uint32_t	text_n;		/* bytes of text, then of JSON */
	uint32_t	json_n;
};

/* --- in the builder --- */

static void
on_full(void *ctx)
{
	longjmp(*(jmp_buf *)ctx, 1);
}

/* Sends diagnostics and, if there are any, files. */
static void
answer(int fd, struct built *b, struct diags *d, const int *files,
    unsigned nfile)
{
	struct text t, j;
	struct frame_head h = { .op = CHAN_BUILT };
	struct chan ch;
	struct ev *ev;
	char *buf;
	size_t room = CHAN_BYTES - sizeof(*b);

	text_init(&t);
	text_init(&j);
	diag_print(d, &t, b->exit_code == EXIT_OK ? "" :
	    "configuration NOT loaded");
	diag_json(d, &j);
	b->errors = diag_errors(d);
	b->warnings = diag_warnings(d);
	b->unpaired = diag_has(d, DIAG_CERT_KEY);
	/* text first; JSON that does not fit is left out, not cut */
	b->text_n = (uint32_t)(t.n < room / 2 ? t.n : room / 2);
	b->json_n = (uint32_t)(j.n < room - b->text_n ? j.n : 0);
	buf = must_alloc(CHAN_BYTES);
	memcpy(buf, b, sizeof(*b));
	if (b->text_n > 0)
		memcpy(buf + sizeof(*b), t.p, b->text_n);
	if (b->json_n > 0)
		memcpy(buf + sizeof(*b) + b->text_n, j.p, b->json_n);
	h.len = (uint32_t)sizeof(*b) + b->text_n + b->json_n;
	ev = ev_new(NULL, NULL);
	if (ev == NULL || chan_open(&ch, ev, fd, NULL, NULL, NULL) < 0 ||
	    chan_send(&ch, &h, buf, files,
	    b->exit_code == EXIT_OK ? nfile : 0) < 0)
		_exit(EXIT_ENV);
	free(buf);
	text_fini(&t);
	text_fini(&j);
}

/* Such a key is obeyed at the start alone (reload class upgrade). */
static void
warn_moved(struct conf_load *cl, const struct conf_obj *obj, const char *key,
    struct str now, const char *was)
{
	const struct conf_item *it = conf_item(cl, obj, key);

	if (str_eq(now, str_from(was)))
		return;
	diag_at(conf_load_diags(cl), DIAG_START_ONLY,
	    it != NULL ? &it->kspan : NULL, obj, key,
	    "a reload does not change %s: \"%s\" stays in use", key, was);
}

static void
warn_start_only(const struct master *m, struct conf_load *cl,
    const struct conf *conf)
{
	const struct settings *s = settings_get(conf);

	if (m->gens.cur == NULL)
		return;
	warn_moved(cl, &s->obj, "run_dir", s->run_dir, m->run_dir);
	warn_moved(cl, &s->obj, "state_dir", s->state_dir, m->state_dir);
}

/* What would change, as a file of its own. */
static int
write_plan(struct master *m, struct conf_load *cl, const struct conf *conf)
{
	const struct conf *live = m->gens.cur->conf;
	unsigned was = settings_workers(live), want = settings_workers(conf);
	int fd = memfd_create("sluice-plan", MFD_CLOEXEC);
	struct text t;

	text_init(&t);
	text_add(&t, STR("{\"v\":1,"));
	delta_write(live, conf, plan_files_tell, &t);
	plan_files_retired(live, conf, &t);
	/* workers that are more start, others end: none is restarted */
	text_fmt(&t, ",\"workers\":{\"old\":%u,\"new\":%u},\"restarts\":0}\n",
	    was, want);
	if (fd < 0 || write(fd, t.p, t.n) != (ssize_t)t.n) {
		diag_at(conf_load_diags(cl), DIAG_FILE_OPEN, NULL, NULL, "",
		    "the memory file of a plan: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	text_fini(&t);
	return fd;
}

/* At the first start the folder is not there yet. */
static void
keep_certs(struct conf_load *cl, const struct conf *conf)
{
	const struct settings *s = settings_get(conf);
	struct priv_user user;
	char dir[256];
	struct err e;

	if (tls_certs(conf)->n == 0 ||
	    str_to_c(s->state_dir, dir, sizeof(dir)) < 0 ||
	    reach_user(s, &user, &e) < 0)
		return;
	if (priv_make_dir(dir, &user, 0750, &e) < 0 ||
	    tls_certs_keep(cl, s->state_dir, &e) < 0)
		diag_at(conf_load_diags(cl), DIAG_CERT_KEEP, NULL, NULL, "",
		    "certificates are looked at anew each time: %s", e.text);
}

/* Makes the files of a generation; -1 if it has errors. */
static int
compile(struct master *m, struct conf_load *cl, jmp_buf *full, int *files)
{
	struct gen_keys_file keys = { .kind = GEN_KEYS };
	struct gen_keys_file probe = { .kind = GEN_PROBE };
	struct arena a;
	struct err e;
	struct conf *conf;

	files[0] = gen_create(&m->gens, m->pub.slot, &a, on_full, full, &e);
	files[1] = gen_create_keys(&m->gens, m->pub.slot, &keys, on_full,
	    full, &e);
	files[2] = gen_create_keys(&m->gens, m->pub.slot, &probe, on_full,
	    full, &e);
	if (files[0] < 0 || files[1] < 0 || files[2] < 0) {
		diag_at(conf_load_diags(cl), DIAG_FILE_OPEN, NULL, NULL, "",
		    "the memory file of a generation: %s", e.text);
		return -1;
	}
	conf_load_keys(cl, &keys.arena, &probe.arena);
	conf = conf_load_run(cl, &a);
	if (conf == NULL || budget_check(cl, conf) < 0)
		return -1;
	warn_start_only(m, cl, conf);
	reach_check(cl, conf);
	conf->number = m->pub.number;
	if (m->plan.inside) {
		files[0] = write_plan(m, cl, conf);
		return files[0] < 0 ? -1 : 0;
	}
	keep_certs(cl, conf);
	gen_finish(&m->gens, m->pub.slot, &a, conf);
	gen_finish_keys(&m->gens, m->pub.slot, &keys, conf->number);
	gen_finish_keys(&m->gens, m->pub.slot, &probe, conf->number);
	return 0;
}

static void
build(struct master *m, int fd)
{
	struct built b = { .exit_code = EXIT_OK };
	struct conf_opts co;
	struct conf_load *cl;
	struct diags *d;
	jmp_buf full;
	int files[FILES] = { -1, -1, -1 };
	volatile int rc = -1;

	opts_conf(m->opts, &co);
	cl = conf_load_new(&co);
	d = conf_load_diags(cl);
	diag_set_color(d, m->state == MASTER_STARTING &&
	    diag_wants_color(STDERR_FILENO));
	if (setjmp(full) == 0)
		rc = compile(m, cl, &full, files);
	else
		diag_at(d, DIAG_GEN_SIZE, NULL, NULL, "", "the configuration "
		    "does not fit into %lu MiB", GEN_SLOT_BYTES >> 20);
	if (diag_errors(d) > 0 || rc < 0)
		b.exit_code = diag_is_env(d) ? EXIT_ENV : EXIT_CONFIG;
	answer(fd, &b, d, files, m->plan.inside ? 1 : FILES);
}

static void
builder_main(struct master *m, int fd, pid_t parent)
{
	struct err e;

	sig_forget(&m->sig);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	sig_unblock();
	if (FAULT("builder_early"))
		pause();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_ENV);
	/* no socket, channel or lock of the master outlives it in here */
	fd = dup2(fd, 3);
	syscall(SYS_close_range, 4U, ~0U, 0);
	proc_set_title("sluiced: builder");
	rand_seed(&m->proc.rand);
	if (priv_no_network(&e) < 0)
		_exit(EXIT_ENV);
	if (FAULT("builder_hang"))
		pause();
	if (FAULT("builder_crash"))
		raise(SIGKILL);
	build(m, fd);
	_exit(0);
}

/* --- in the master --- */

bool
build_read(const struct frame *f, struct build_answer *a)
{
	struct built b;

	if (f == NULL || f->head.op != CHAN_BUILT || f->head.len < sizeof(b))
		return false;
	memcpy(&b, f->data, sizeof(b));
	if ((uint64_t)b.text_n + b.json_n + sizeof(b) != f->head.len)
		return false;
	a->exit_code = b.exit_code;
	a->warnings = b.warnings;
	a->unpaired = b.unpaired != 0;
	a->text = str_make(f->data + sizeof(b), b.text_n);
	a->json = str_make(f->data + sizeof(b) + b.text_n, b.json_n);
	return true;
}

static void
on_built(struct chan *ch, struct frame *f)
{
	struct master *m = ch->ctx;
	struct build_answer a;

	if (m->pub.answered || !build_read(f, &a))
		return;
	m->pub.answered = true;
	m->pub.exit_code = a.exit_code;
	m->pub.warnings = a.warnings;
	m->pub.unpaired = a.unpaired;
	text_add(&m->pub.diags, a.text);
	text_add(&m->pub.json, a.json);
	if (f->nfd == FILES) {
		m->pub.fd = f->fds[0];
		f->fds[0] = -1;
		for (int i = 0; i < GEN_NKEYS; i++) {
			m->pub.keys_fd[i] = f->fds[1 + i];
			f->fds[1 + i] = -1;
		}
	}
	/* the file may be sealed only when the builder's mapping is gone */
}

pid_t
build_fork(struct master *m, bool plan, int *fd, struct err *e)
{
	pid_t pid, parent = getpid();
	int fds[2];

	if (sock_pair(fds, e) < 0)
		return 0;
	pid = sig_fork();
	if (pid == 0) {
		close(fds[0]);
		if (plan)
			plan_enter(m);
		builder_main(m, fds[1], parent);
	}
	close(fds[1]);
	*fd = fds[0];
	if (pid > 0)
		return pid;
	close(fds[0]);
	err_sys(e, "cannot fork the builder");
	return 0;
}

int
build_start(struct master *m, struct err *e)
{
	int fd;

	m->pub.answered = false;
	publish_no_files(m);
	m->pub.pid = build_fork(m, false, &fd, e);
	if (m->pub.pid == 0)
		return -1;
	if (FAULT("builder_chan"))
		dup2(STDIN_FILENO, fd);
	if (chan_open(&m->pub.chan, m->proc.ev, fd, on_built, m, e) < 0) {
		build_kill(m);
		return -1;
	}
	ev_timer(m->proc.ev, &m->pub.deadline, BUILD_MS);
	return 0;
}

void
build_kill(struct master *m)
{
	if (m->pub.pid <= 0)
		return;
	kill(m->pub.pid, SIGKILL);
	while (waitpid(m->pub.pid, NULL, 0) < 0 && errno == EINTR)
		;
	m->pub.pid = 0;
	ev_timer_off(m->proc.ev, &m->pub.deadline);
	chan_close(&m->pub.chan);
}

void
build_reaped(struct master *m, int status)
{
	struct frame f = { .nfd = 0 };
	char *buf;

	m->pub.pid = 0;
	if (m->pub.step != PUBLISH_BUILD)
		return;
	ev_timer_off(m->proc.ev, &m->pub.deadline);
	/* its answer may still lie in the channel */
	if (!m->pub.answered && chan_is_open(&m->pub.chan)) {
		buf = must_alloc(CHAN_BYTES);
		if (chan_recv_wait(m->pub.chan.fd.fd, &f, buf, CHAN_BYTES,
		    0) == 0)
			on_built(&m->pub.chan, &f);
		free(buf);
	}
	chan_close(&m->pub.chan);
	if (!m->pub.answered)
		publish_fail(m, "the builder died (%s %d) before it answered",
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
		    WEXITSTATUS(status));
	else if (m->pub.fd < 0)
		publish_fail(m, "the configuration has errors");
	else
		publish_built(m);
}
