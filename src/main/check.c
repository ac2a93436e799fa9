/*
 * What sluiced does without serving: -t, -T, --dump-set, --dump-schema,
 * -s, -V, --handover-check.  One short-lived process of the caller.
 */
#include "main/check.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "conf/gen.h"
#include "config.h"
#include "control/names.h"
#include "core/board.h"
#include "core/settings.h"
#include "main/budget.h"
#include "main/fail_doc.h"
#include "main/handover.h"
#include "main/reach.h"

#define CHECK_BYTES	GEN_SLOT_BYTES

static void
on_full(void *ctx)
{
	longjmp(*(jmp_buf *)ctx, 1);
}

static void
on_unresolved(void *ctx, const struct conf_obj *obj,
    const struct server_conf *c, const char *why)
{
	struct conf_load *cl = ctx;
	struct conf_span at = conf_obj_span(obj);

	diag_at(conf_load_diags(cl), DIAG_NAME_UNRESOLVED, &at, obj,
	    "server", "\"%.*s\" does not resolve: %s", STR_FMT(c->text),
	    why);
}

/* Only where it is asked for: a check is to be the same everywhere. */
static void
check_names(struct conf_load *cl, const struct conf *conf)
{
	struct err e;

	if (names_check(conf, on_unresolved, cl, &e) < 0)
		diag_at(conf_load_diags(cl), DIAG_NAME_UNRESOLVED, NULL, NULL,
		    "", "%s", e.text);
}

/* Loads as the builder does, into memory that goes with the process. */
static struct conf *
load(const struct opts *o, struct conf_load **cl, struct arena *a)
{
	struct conf_opts co;
	struct conf *conf;
	struct diags *d;
	jmp_buf full;
	void *mem;

	mem = mmap(NULL, CHECK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(mem != MAP_FAILED);
	arena_init_fixed(a, mem, CHECK_BYTES, on_full, &full);
	opts_conf(o, &co);
	*cl = conf_load_new(&co);
	d = conf_load_diags(*cl);
	diag_set_color(d, diag_wants_color(STDERR_FILENO));
	if (setjmp(full) != 0) {
		diag_at(d, DIAG_GEN_SIZE, NULL, NULL, "", "the configuration "
		    "does not fit into %lu MiB", CHECK_BYTES >> 20);
		return NULL;
	}
	conf = conf_load_run(*cl, a);
	if (conf != NULL && budget_check(*cl, conf) < 0)
		return NULL;
	if (conf != NULL)
		reach_check(*cl, conf);
	if (conf != NULL && o->strict_dns)
		check_names(*cl, conf);
	return conf;
}

static int
verdict(const struct opts *o, const struct diags *d, bool loaded)
{
	if (diag_errors(d) > 0 || !loaded)
		return diag_is_env(d) ? EXIT_ENV : EXIT_CONFIG;
	return o->strict && diag_warnings(d) > 0 ? EXIT_WARN : EXIT_OK;
}

/* A load that ran out of room left things half made: nobody frees them. */
static void
leave(const struct diags *d, int code)
{
	if (!diag_has(d, DIAG_GEN_SIZE))
		return;
	fflush(NULL);
	_exit(code);
}

static int
test(const struct opts *o)
{
	struct conf_load *cl;
	struct arena a;
	struct text t;
	struct conf *conf = load(o, &cl, &a);
	struct diags *d = conf_load_diags(cl);
	int code = verdict(o, d, conf != NULL);

	text_init(&t);
	if (o->json) {
		diag_json(d, &t);
		fwrite(t.p, 1, t.n, stdout);
	} else {
		diag_print(d, &t, code == EXIT_OK ? "configuration OK" :
		    code == EXIT_WARN ? "warnings count as errors with -W" :
		    "configuration NOT usable");
		if (t.n > 0)
			fwrite(t.p, 1, t.n, stderr);
	}
	text_fini(&t);
	leave(d, code);
	conf_load_free(&cl);
	return code;
}

static int
dump(const struct opts *o)
{
	struct conf_load *cl;
	struct arena a;
	struct text t;
	struct conf *conf = load(o, &cl, &a);
	struct diags *d = conf_load_diags(cl);
	int code = verdict(o, d, conf != NULL);

	if (conf != NULL)
		conf_dump(cl, o->mode == MODE_DUMP ? CONF_DUMP_ALL :
		    CONF_DUMP_SET, stdout);
	text_init(&t);
	if (diag_errors(d) + diag_warnings(d) > 0)
		diag_print(d, &t, "");
	if (t.n > 0)
		fwrite(t.p, 1, t.n, stderr);
	text_fini(&t);
	leave(d, code);
	conf_load_free(&cl);
	return code;
}

/* The pid in a pid file whose lock somebody holds; -1 if nobody does. */
static pid_t
read_pid(const char *path)
{
	char buf[32];
	uint64_t pid = 0;
	ssize_t n;
	struct stat st, proc;
	char dir[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0) {
		fprintf(stderr, "sluiced: cannot open pid file \"%s\": %s: "
		    "is it running? (-p FILE names another)\n", path,
		    strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
		fprintf(stderr, "sluiced: pid file \"%s\" is stale: nobody "
		    "is running\n", path);
		close(fd);
		return -1;
	}
	n = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? -1 :
	    read(fd, buf, sizeof(buf));
	close(fd);
	if (n < 2 || str_to_u64(str_trim(str_make(buf, (size_t)n - 1)),
	    1U << 22, &pid) < 0 || pid == 0) {
		fprintf(stderr, "sluiced: pid file \"%s\" holds no pid\n",
		    path);
		return -1;
	}
	/* the folder may be another user's: only the writer's own process */
	snprintf(dir, sizeof(dir), "/proc/%llu", (unsigned long long)pid);
	if (stat(dir, &proc) == 0 && proc.st_uid != st.st_uid) {
		fprintf(stderr, "sluiced: pid file \"%s\" names a process of "
		    "another user: nobody is told\n", path);
		return -1;
	}
	return (pid_t)pid;
}

/* what -s takes */
static const struct {
	const char	*word;
	int		 signo;
} words[] = {
	{ "reload", SIGHUP }, { "drain", SIGTERM }, { "stop", SIGTERM },
	{ "reopen", SIGUSR1 }, { "upgrade", SIGUSR2 },
};
#define NWORD	(sizeof(words) / sizeof(words[0]))

static int
dump_words(void)
{
	size_t i;

	opts_words();
	for (i = 0; i < NWORD; i++)
		printf("signal\t%s\n", words[i].word);
	conf_dump_words(stdout);
	return EXIT_OK;
}

/* Where the daemon of that configuration says its pid; an exit code. */
static int
find_pidfile(const struct opts *o, char *path, size_t size)
{
	struct conf_load *cl;
	struct arena a;
	struct conf *conf;

	if (o->pidfile != NULL) {
		snprintf(path, size, "%s", o->pidfile);
		return EXIT_OK;
	}
	conf = load(o, &cl, &a);
	if (conf == NULL) {
		fprintf(stderr, "sluiced: the configuration, which names "
		    "run_dir, does not load: see sluiced -t, or give "
		    "-p FILE\n");
		leave(conf_load_diags(cl), EXIT_CONFIG);
	} else
		snprintf(path, size, "%.*s/sluiced.pid",
		    STR_FMT(settings_get(conf)->run_dir));
	conf_load_free(&cl);
	return conf == NULL ? EXIT_CONFIG : EXIT_OK;
}

static int
send_signal(const struct opts *o)
{
	char path[512];
	int code;
	size_t i;
	pid_t pid;

	for (i = 0; i < NWORD; i++)
		if (strcmp(o->signal, words[i].word) == 0)
			break;
	if (i == NWORD) {
		fprintf(stderr, "sluiced: -s takes reload, drain, stop, "
		    "reopen or upgrade, not \"%s\"\n", o->signal);
		return EXIT_USAGE;
	}
	code = find_pidfile(o, path, sizeof(path));
	if (code != EXIT_OK)
		return code;
	pid = read_pid(path);
	if (pid < 0)
		return EXIT_ENV;
	if (kill(pid, words[i].signo) < 0) {
		fprintf(stderr, "sluiced: cannot signal pid %d: %s\n",
		    (int)pid, strerror(errno));
		return EXIT_ENV;
	}
	return EXIT_OK;
}

/*
 * What the running master wants to know of a successor; it says what it
 * would hand over.
 */
static int
handover(const struct opts *o)
{
	int code = test(o), fd = handover_find();
	struct err e;

	if (code == EXIT_OK && fd >= 0 && handover_check(fd, &e) < 0) {
		fprintf(stderr, "sluiced: cannot take over: %s\n", e.text);
		code = EXIT_ENV;
	}
	if (code == EXIT_OK)
		printf("sluiced %s layout %016llx\n", SL_VERSION,
		    (unsigned long long)shm_layout(shm_regions));
	return code;
}

int
check_run(const struct opts *o)
{
	switch (o->mode) {
	case MODE_TEST:
		return test(o);
	case MODE_DUMP:
	case MODE_DUMP_SET:
		return dump(o);
	case MODE_DUMP_SCHEMA:
		conf_dump_schema(stdout);
		return EXIT_OK;
	case MODE_DUMP_MDOC:
		conf_dump_mdoc(stdout);
		fail_doc_print(stdout);
		return EXIT_OK;
	case MODE_DUMP_WORDS:
		return dump_words();
	case MODE_SIGNAL:
		return send_signal(o);
	case MODE_HANDOVER:
		return handover(o);
	case MODE_VERSION:
		printf("sluiced %s\n", SL_VERSION);
		return EXIT_OK;
	default:
		opts_usage();
		return EXIT_OK;
	}
}
