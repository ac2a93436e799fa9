/*
 * main/logger: what writers committed stands in the file once and in
 * order, however often the logger is killed, its file renamed or full.
 */
#include "main/logger.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "core/access.h"
#include "kill.h"

#define NWRITER		3
#define RECORDS		3000U	/* of each writer */

static const struct shm_region *const regions[] = {
	&board_slots, &board_panics, &board_stats, &board_totals,
	&board_globals, &board_rings, &board_flights, &board_lasts,
	NULL
};

/* what a test's processes share */
struct shared {
	_Atomic uint64_t	turns;		/* of a drainer's loop */
	_Atomic uint64_t	put;		/* records of prepare */
};

struct bed {
	struct shm	*shm;
	struct shared	*s;
	char		 dir[64];
	struct logger	 l;
	struct board	 b[NWRITER];
	bool		 splits;	/* lines have a file of their own */
	unsigned	 files;		/* renamed ones */
	uint64_t	 want[NWRITER];	/* number that the next line has */
	uint64_t	 next[NWRITER];	/* lines there are, of all files */
};

static struct bed *
make(void)
{
	struct bed	*b = calloc(1, sizeof(*b));
	struct err	 e;

	b->s = kill_shared(sizeof(*b->s));
	b->shm = shm_new(regions, &e);
	ck_assert_msg(b->shm != NULL, "%s", e.text);
	ck_assert_int_eq(board_grow(b->shm, 16, &e), 0);
	snprintf(b->dir, sizeof(b->dir), "/tmp/sluice-log-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(b->dir));
	logger_init(&b->l, b->shm);
	return b;
}

#define LINES_FILE	UINT_MAX

static void
path_of(const struct bed *b, unsigned i, char *path, size_t size)
{
	if (i == 0)
		snprintf(path, size, "%s/sluice.log", b->dir);
	else if (i == LINES_FILE)
		snprintf(path, size, "%s/error.log", b->dir);
	else
		snprintf(path, size, "%s/sluice.log.%u", b->dir, i);
}

static void
done(struct bed *b)
{
	char	path[128];

	logger_fini(&b->l);
	for (unsigned i = 0; i < NWRITER; i++)
		board_leave(&b->b[i]);
	shm_free(&b->shm);
	for (unsigned i = 0; i <= b->files; i++) {
		path_of(b, i, path, sizeof(path));
		unlink(path);
	}
	path_of(b, LINES_FILE, path, sizeof(path));
	unlink(path);
	ck_assert_int_eq(rmdir(b->dir), 0);
	munmap(b->s, sizeof(*b->s));
	free(b);
}

/* Also in children, which may not speak to Check: they are killed. */
static void
open_log(struct bed *b)
{
	must(logger_file_open(&b->l.file[0], b->dir,
	    "sluice.log", NULL) == 0);
	b->l.nfile = b->splits ? 2 : 1;
	if (b->splits)
		must(logger_file_open(&b->l.file[1], b->dir, "error.log",
		    NULL) == 0);
}

/* As another process finds it. */
static void
start_anew(struct bed *b)
{
	logger_fini(&b->l);
	logger_init(&b->l, b->shm);
	open_log(b);
}

/* --- records: writer w's number n, an access record or a line --- */

static bool
put_access(struct ring *r, unsigned w, uint64_t n)
{
	struct access	a = { .num = { [ACCESS_TIME] = 1700000000000,
	    [ACCESS_STATUS] = 200, [ACCESS_WORKER] = w } };
	char		id[32], fill[400];
	size_t		len;

	snprintf(id, sizeof(id), "%llu", (unsigned long long)n);
	memset(fill, 'a' + (int)(n % 26), sizeof(fill));
	a.str[ACCESS_ID] = str_from(id);
	a.str[ACCESS_TARGET] = str_make(fill, n * 2654435761u % 400);
	if (!access_put(r, &a, &len))
		return false;
	ring_commit(r, len);
	return true;
}

static bool
put_line(struct ring *r, unsigned w, uint64_t n)
{
	struct log_ids		ids = { .module = "test" };
	char			text[64];
	struct record_line	l = { 1700000000000, LOG_INFO, "worker", w,
	    &ids, STR_NONE };

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	l.text = str_from(text);
	return record_put_line(r, &l);
}

static bool
is_line(uint64_t n)
{
	return n % 5 == 0;
}

static bool
put(struct ring *r, unsigned w, uint64_t n)
{
	return is_line(n) ? put_line(r, w + 1, n) : put_access(r, w + 1, n);
}

/* The slot of writer w; each puts its records, waiting for room. */
static void
enter(struct bed *b, unsigned w, size_t size)
{
	board_enter(&b->b[w], b->shm, w + 1, size);
}

static pid_t
fork_writer(struct bed *b, unsigned w, size_t size)
{
	struct timespec	ms = { 0, 200000 };
	pid_t		pid = fork();
	struct ring	*r = &b->b[w].ring;

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter(b, w, size);
	for (uint64_t n = 0; n < RECORDS;) {
		if (ring_used(r) < size / 2 && put(r, w, n))
			n++;
		else
			nanosleep(&ms, NULL);
	}
	_exit(0);
}

/* --- what the file says --- */

/* Moves the number that is wanted on to one that the file has. */
static void
skip(struct bed *b, unsigned w, bool lines)
{
	while (b->splits && is_line(b->want[w]) != lines)
		b->want[w]++;
}

/* The line's number is the one after that of its writer's last. */
static void
check_line(struct bed *b, const char *line)
{
	json_t		*j = json_loads(line, 0, NULL);
	const char	*text, *name;
	uint64_t	 w, n;

	ck_assert_msg(j != NULL, "no JSON: %s", line);
	text = json_string_value(json_object_get(j, "id"));
	w = (uint64_t)json_integer_value(json_object_get(j, "worker"));
	if (text == NULL) {
		text = json_string_value(json_object_get(j, "msg"));
		name = json_string_value(json_object_get(j, "process"));
		ck_assert(text != NULL && name != NULL);
		ck_assert_int_eq(strncmp(name, "worker ", 7), 0);
		w = strtoull(name + 7, NULL, 10);
	}
	n = strtoull(text, NULL, 10);
	ck_assert(w >= 1 && w <= NWRITER);
	skip(b, (unsigned)w - 1, is_line(n));
	ck_assert_msg(n == b->want[w - 1], "writer %u: %u, not %u",
	    (unsigned)w, (unsigned)n, (unsigned)b->want[w - 1]);
	b->want[w - 1]++;
	b->next[w - 1]++;
	json_decref(j);
}

static void
check_file(struct bed *b, unsigned i)
{
	char	 path[128], *line = NULL;
	size_t	 size = 0;
	FILE	*f;

	path_of(b, i, path, sizeof(path));
	f = fopen(path, "r");
	if (f == NULL)
		return;
	while (getline(&line, &size, f) > 0)
		check_line(b, line);
	fclose(f);
	free(line);
}

/* The renamed files, the oldest first, then the one that is open. */
static void
check_files(struct bed *b)
{
	memset(b->next, 0, sizeof(b->next));
	memset(b->want, 0, sizeof(b->want));
	for (unsigned i = 1; i <= b->files + 1; i++)
		check_file(b, i <= b->files ? i : 0);
	memset(b->want, 0, sizeof(b->want));
	if (b->splits)
		check_file(b, LINES_FILE);
}

static off_t
file_size(const struct bed *b)
{
	char		path[128];
	struct stat	st;

	path_of(b, 0, path, sizeof(path));
	return stat(path, &st) == 0 ? st.st_size : 0;
}

static void
drain_now(struct bed *b)
{
	struct err	e;
	enum logger_rc	rc;

	do {
		rc = logger_drain(&b->l, &e);
		ck_assert_msg(rc != LOGGER_FAILED, "%s", e.text);
	} while (!logger_is_empty(&b->l));
}

/* --- killed --- */

static void
drain_for_ever(void *ctx)
{
	struct bed	*b = ctx;
	struct err	 e;

	start_anew(b);
	for (;;) {
		if (logger_drain(&b->l, &e) == LOGGER_FAILED)
			_exit(4);
		atomic_fetch_add(&b->s->turns, 1);
		if (logger_is_empty(&b->l))
			sched_yield();
	}
}

/* A rotation by somebody who tells nobody. */
static void
rename_log(struct bed *b)
{
	char	from[128], to[128];

	path_of(b, 0, from, sizeof(from));
	path_of(b, b->files + 1, to, sizeof(to));
	if (rename(from, to) == 0)
		b->files++;
}

static bool
has_ended(pid_t *pid)
{
	int	status;

	if (*pid == 0)
		return true;
	if (waitpid(*pid, &status, WNOHANG) != *pid)
		return false;
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	*pid = 0;
	return true;
}

/*
 * Writers that go on while loggers are killed; with `renames` each of
 * some finds another file than the one it was killed at.
 */
static void
kill_often(bool renames, bool splits)
{
	struct bed	*b = make();
	pid_t		 pids[NWRITER];
	unsigned	 running = NWRITER, kills = 0;

	b->splits = splits;
	for (unsigned w = 0; w < NWRITER; w++)
		pids[w] = fork_writer(b, w, w == 0 ? RING_SIZE_MIN * 8 :
		    RING_SIZE_MIN * 64);
	while (running > 0) {
		kill_soon(drain_for_ever, b, &b->s->turns, 300);
		kills++;
		if (renames && random() % 3 == 0)
			rename_log(b);
		running = 0;
		for (unsigned w = 0; w < NWRITER; w++)
			running += !has_ended(&pids[w]);
	}
	ck_assert_uint_gt(kills, 5);
	open_log(b);
	drain_now(b);
	check_files(b);
	for (unsigned w = 0; w < NWRITER; w++)
		ck_assert_uint_eq(b->next[w], RECORDS);
	done(b);
}

START_TEST(test_killed)
{
	kill_often(false, _i == 1);
}
END_TEST

START_TEST(test_killed_renamed)
{
	kill_often(true, _i == 1);
}
END_TEST

/* One instruction after the other: three records, one write. */
static void
each_prepare(void *ctx)
{
	struct bed	*b = ctx;

	enter(b, 0, RING_BYTES);
	for (unsigned i = 0; i < 3; i++) {
		must(put_line(&b->b[0].ring, 1, atomic_load(&b->s->put)));
		atomic_fetch_add(&b->s->put, 1);
	}
	start_anew(b);
}

static void
each_op(void *ctx)
{
	struct bed	*b = ctx;
	struct err	 e;

	must(logger_drain(&b->l, &e) != LOGGER_FAILED);
}

static void
each_check(void *ctx)
{
	struct bed	*b = ctx;

	start_anew(b);
	drain_now(b);
	check_files(b);
	ck_assert_uint_eq(b->next[0], atomic_load(&b->s->put));
}

START_TEST(test_killed_each)
{
	struct bed	*b = make();

	b->splits = _i == 1;
	kill_each(each_prepare, each_op, each_check, b);
	done(b);
}
END_TEST

/* --- the file is full --- */

/* Drains with so many bytes left; true if they were too few. */
static bool
drain_within(struct bed *b, off_t room)
{
	struct rlimit	rl = { .rlim_cur = (rlim_t)(file_size(b) + room),
	    .rlim_max = RLIM_INFINITY };
	struct err	e;
	int		status;
	pid_t		pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &rl);
		logger_fini(&b->l);
		logger_init(&b->l, b->shm);
		open_log(b);
		for (int i = 0; i < 4; i++)
			if (logger_drain(&b->l, &e) == LOGGER_FAILED &&
			    i == 3)
				_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) == 1;
}

START_TEST(test_full)
{
	struct bed	*b = make();
	uint64_t	 n[2] = { 0, 0 };
	unsigned	 failed = 0;

	b->splits = _i == 1;
	enter(b, 0, RING_BYTES);
	enter(b, 1, RING_BYTES);
	for (int i = 0; i < 300; i++) {
		for (int k = 0; k < 10; k++) {
			ck_assert(put(&b->b[0].ring, 0, n[0]++));
			ck_assert(put(&b->b[1].ring, 1, n[1]++));
		}
		failed += drain_within(b, random() % 20000);
	}
	ck_assert_uint_gt(failed, 20);
	open_log(b);
	drain_now(b);
	check_files(b);
	ck_assert_uint_eq(b->next[0], n[0]);
	ck_assert_uint_eq(b->next[1], n[1]);
	done(b);
}
END_TEST

/*
 * One process sees the disk full and free again; nothing is torn.  Check
 * writes to files too, so it is not spoken to meanwhile.
 */
START_TEST(test_full_and_free)
{
	struct bed	*b = make();
	struct rlimit	 was, rl;
	struct err	 e;
	enum logger_rc	 rc[2];

	signal(SIGXFSZ, SIG_IGN);
	open_log(b);
	enter(b, 0, RING_BYTES);
	for (uint64_t n = 0; n < 20; n++)
		ck_assert(put(&b->b[0].ring, 0, n));
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	rl = was;
	rl.rlim_cur = 1000;
	must(setrlimit(RLIMIT_FSIZE, &rl) == 0);
	rc[0] = logger_drain(&b->l, &e);
	rc[1] = logger_drain(&b->l, &e);
	must(setrlimit(RLIMIT_FSIZE, &was) == 0);
	ck_assert_int_eq(rc[0], LOGGER_FAILED);
	ck_assert_int_eq(rc[1], LOGGER_FAILED);
	ck_assert_ptr_nonnull(strstr(e.text, "sluice.log"));
	ck_assert_int_eq(file_size(b), 1000);
	ck_assert_uint_eq(b->l.failed, 1);
	drain_now(b);
	check_files(b);
	ck_assert_uint_eq(b->next[0], 20);
	done(b);
}
END_TEST

/* --- notes and what stands in the file --- */

/* As a logger leaves it that was killed in its write of all records. */
static struct ring_intent
leave_note(struct bed *b, size_t written)
{
	struct ring		*r = &b->b[0].ring;
	struct logger_text	 t;
	struct ring_intent	 i = { .dev = b->l.file[0].dev,
	    .ino = b->l.file[0].ino, .off = (uint64_t)file_size(b) };

	logger_text_init(&t);
	logger_text_fill(&t, r, UINT64_MAX, SIZE_MAX);
	i.len = t.json.n;
	i.tail = t.pos;
	if (written > t.json.n)
		written = t.json.n;
	ck_assert_int_eq(write(b->l.file[0].fd, t.json.p, written), written);
	ring_intent_set(r, &i);
	logger_text_fini(&t);
	return i;
}

/* Killed after any number of bytes, by itself or by a rename. */
START_TEST(test_note)
{
	struct bed	*b = make();
	uint64_t	 n = 0;

	open_log(b);
	enter(b, 0, RING_BYTES);
	for (size_t written = 0; written < 400; written += 7) {
		ck_assert(put_line(&b->b[0].ring, 1, n++));
		ck_assert(put_line(&b->b[0].ring, 1, n++));
		leave_note(b, written);
		ck_assert(put_line(&b->b[0].ring, 1, n++));
		if (_i == 1) {
			rename_log(b);
			open_log(b);
		}
		b->l.unsettled = true;
		drain_now(b);
		check_files(b);
		ck_assert_uint_eq(b->next[0], n);
	}
	done(b);
}
END_TEST

/* The noted file is gone: its lines come again, in the new one. */
START_TEST(test_note_gone)
{
	struct bed	*b = make();
	char		 path[128];

	open_log(b);
	enter(b, 0, RING_BYTES);
	ck_assert(put_line(&b->b[0].ring, 1, 0));
	leave_note(b, SIZE_MAX);
	path_of(b, 0, path, sizeof(path));
	unlink(path);
	open_log(b);
	b->l.unsettled = true;
	drain_now(b);
	check_files(b);
	ck_assert_uint_eq(b->next[0], 1);
	done(b);
}
END_TEST

/* Somebody else wrote there: nothing is lost, nor mixed with it. */
START_TEST(test_note_foreign)
{
	struct bed	*b = make();
	char		 path[128], line[512];
	FILE		*f;

	open_log(b);
	enter(b, 0, RING_BYTES);
	ck_assert(put_line(&b->b[0].ring, 1, 0));
	leave_note(b, 0);
	ck_assert_int_eq(write(b->l.file[0].fd, "{\"torn\":", 8), 8);
	b->l.unsettled = true;
	drain_now(b);
	path_of(b, 0, path, sizeof(path));
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	ck_assert_str_eq(line, "{\"torn\":\n");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	check_line(b, line);
	ck_assert_ptr_null(fgets(line, sizeof(line), f));
	fclose(f);
	done(b);
}
END_TEST

/* What no logger can have noted is not believed. */
START_TEST(test_note_lies)
{
	struct bed		*b = make();
	struct ring_intent	 i;

	open_log(b);
	enter(b, 0, RING_BYTES);
	for (uint64_t n = 0; n < 6; n++) {
		ck_assert(put_line(&b->b[0].ring, 1, n));
		i = leave_note(b, 0);
		switch (n) {
		case 0:
			i.tail += 4096;
			break;
		case 1:
			i.tail = ring_tail(&b->b[0].ring) - 8;
			break;
		case 2:
			i.off = UINT64_MAX;
			break;
		case 3:
			i.len = UINT64_MAX;
			break;
		case 4:
			i.len = 1;
			break;
		default:
			i.ino++;
		}
		ring_intent_set(&b->b[0].ring, &i);
		b->l.unsettled = true;
		drain_now(b);
		check_files(b);
		ck_assert_uint_eq(b->next[0], n + 1);
	}
	done(b);
}
END_TEST

/* --- rings --- */

START_TEST(test_lost_told)
{
	struct bed	*b = make();
	uint64_t	 n = 0, more = 0;

	open_log(b);
	enter(b, 0, RING_SIZE_MIN);
	enter(b, 1, RING_BYTES);
	while (put_line(&b->b[0].ring, 1, n))
		n++;
	while (more < 5 && !put_line(&b->b[0].ring, 1, n))
		more++;
	ck_assert_uint_eq(more, 5);
	ck_assert_uint_eq(logger_lost(&b->l), 6);
	ck_assert(!put_line(&b->b[0].ring, 1, n));
	logger_told(&b->l);
	ck_assert_uint_eq(logger_lost(&b->l), 1);
	logger_told(&b->l);
	ck_assert_uint_eq(logger_lost(&b->l), 0);
	drain_now(b);
	check_files(b);
	ck_assert_uint_eq(b->next[0], n);
	done(b);
}
END_TEST

/* Slots that come while it runs; a full ring makes it come at once. */
START_TEST(test_rows_and_pace)
{
	struct bed	*b = make();
	struct err	 e;
	struct board	 late;
	uint64_t	 n = 0, n0;

	open_log(b);
	ck_assert_int_eq(logger_drain(&b->l, &e), LOGGER_IDLE);
	ck_assert_uint_eq(b->l.waited, 0);
	enter(b, 0, RING_BYTES);
	ck_assert(put(&b->b[0].ring, 0, n++));
	ck_assert_int_eq(logger_drain(&b->l, &e), LOGGER_IDLE);
	while (ring_used(&b->b[0].ring) < 32 << 10)
		ck_assert(put(&b->b[0].ring, 0, n++));
	n0 = ring_used(&b->b[0].ring);
	ck_assert_int_eq(logger_drain(&b->l, &e), LOGGER_IDLE);
	ck_assert_uint_eq(b->l.waited, n0);
	while (ring_used(&b->b[0].ring) < RING_BYTES / 4 * 3)
		ck_assert(put(&b->b[0].ring, 0, n++));
	logger_set_mark(&b->l);
	ck_assert(!logger_is_past_mark(&b->l));
	ck_assert_int_eq(logger_drain(&b->l, &e), LOGGER_MORE);
	ck_assert(!logger_is_past_mark(&b->l));
	drain_now(b);
	ck_assert(logger_is_past_mark(&b->l));
	ck_assert_int_eq(board_grow(b->shm, 40, &e), 0);
	board_enter(&late, b->shm, 39, RING_BYTES);
	ck_assert(put_line(&late.ring, 2, 0));
	ck_assert(logger_is_past_mark(&b->l));
	ck_assert(!logger_is_empty(&b->l));
	drain_now(b);
	board_leave(&late);
	check_files(b);
	ck_assert_uint_eq(b->next[0], n);
	ck_assert_uint_eq(b->next[1], 1);
	done(b);
}
END_TEST

/* A writer gone wild costs its own records, no one else's. */
START_TEST(test_wild_writer)
{
	struct bed	*b = make();
	char		*p;

	open_log(b);
	enter(b, 0, RING_BYTES);
	enter(b, 1, RING_BYTES);
	ck_assert(put(&b->b[0].ring, 0, 0));
	p = ring_reserve(&b->b[0].ring, 100);
	memset(p, 0xff, 100);
	ring_commit(&b->b[0].ring, 100);
	ck_assert(put(&b->b[0].ring, 0, 1));
	ck_assert(put(&b->b[1].ring, 1, 0));
	drain_now(b);
	ck_assert_uint_eq(b->l.text.bad, 1);
	check_files(b);
	ck_assert_uint_eq(b->next[0], 2);
	ck_assert_uint_eq(b->next[1], 1);
	atomic_fetch_add(&b->b[0].ring.h->head, 4096);
	drain_now(b);
	ck_assert_uint_eq(logger_lost(&b->l), 1);
	done(b);
}
END_TEST

/* --- the file itself --- */

START_TEST(test_open)
{
	struct bed	*b = make();
	struct err	 e;
	char		 path[128], twice[8192];
	int		 fd;

	ck_assert(!logger_file_is_linked(&b->l.file[0]));
	open_log(b);
	ck_assert(logger_file_is_linked(&b->l.file[0]));
	fd = b->l.file[0].fd;
	ck_assert_int_eq(logger_file_open(&b->l.file[0], "/nowhere/x", "x", &e),
	    -1);
	memset(twice, 'a', sizeof(twice));
	twice[sizeof(twice) - 1] = '\0';
	ck_assert_int_eq(logger_file_open(&b->l.file[0], twice, "x", &e), -1);
	ck_assert_int_eq(b->l.file[0].fd, fd);
	path_of(b, 0, path, sizeof(path));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(!logger_file_is_linked(&b->l.file[0]));
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(logger_file_open(&b->l.file[0], b->dir,
	    "sluice.log", &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "no regular file"));
	ck_assert_int_eq(unlink(path), 0);
	open_log(b);
	done(b);
}
END_TEST

START_TEST(test_company)
{
	struct bed		*b = make();
	struct board_slot	*s = shm_row(b->shm, &board_slots, 3);
	struct timespec		 long_time = { 100, 0 };
	pid_t			 pid;

	ck_assert(!logger_has_company(b->shm));
	s->pid = (uint32_t)getpid();
	ck_assert(!logger_has_company(b->shm));
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		nanosleep(&long_time, NULL);
		_exit(0);
	}
	s->pid = (uint32_t)pid;
	ck_assert(logger_has_company(b->shm));
	kill_reap(pid);
	ck_assert(!logger_has_company(b->shm));
	done(b);
}
END_TEST

/* --- the console --- */

static void
use_console(struct bed *b, int fds[2])
{
	ck_assert_int_eq(pipe(fds), 0);
	b->l.to_console = true;
	b->l.console.fd = fds[1];
	setenv("TZ", "UTC", 1);
}

static void
read_text(int fd, char *buf, size_t size)
{
	ssize_t	n = read(fd, buf, size - 1);

	ck_assert_int_ge(n, 0);
	buf[n] = '\0';
}

static void
put_odd(struct ring *r)
{
	struct access	a = { .num = { [ACCESS_TIME] = 1700000000123,
	    [ACCESS_STATUS] = 502, [ACCESS_BYTES_OUT] = 1234,
	    [ACCESS_DURATION] = 1850 } };
	size_t		n;

	a.peer.family = AF_INET;
	a.peer.ip[10] = a.peer.ip[11] = 0xff;
	a.peer.ip[12] = 127;
	a.peer.ip[15] = 1;
	a.str[ACCESS_METHOD] = STR("GET");
	a.str[ACCESS_HOST] = STR("ex.org");
	a.str[ACCESS_TARGET] = STR("/\033[31m");
	a.str[ACCESS_ROUTE] = STR("www");
	a.str[ACCESS_FAIL] = STR("connect");
	ck_assert(access_put(r, &a, &n));
	ring_commit(r, n);
}

START_TEST(test_console)
{
	struct bed	*b = make();
	char		 buf[4096];
	int		 fds[2];

	open_log(b);
	use_console(b, fds);
	enter(b, 0, RING_BYTES);
	put_odd(&b->b[0].ring);
	ck_assert(put_line(&b->b[0].ring, 2, 7));
	drain_now(b);
	read_text(fds[0], buf, sizeof(buf));
	ck_assert_str_eq(buf,
	    "22:13:20.123 127.0.0.1 GET ex.org/\\x1b[31m 502 1234B 1.8ms"
	    " route=www fail=connect\n"
	    "22:13:20.000 info worker 2: 7\n");
	ck_assert_int_gt(file_size(b), 100);
	b->l.text.colour = true;
	put_odd(&b->b[0].ring);
	drain_now(b);
	read_text(fds[0], buf, sizeof(buf));
	ck_assert_ptr_nonnull(strstr(buf, " \033[31m502\033[0m "));
	ck_assert(!logger_console_colours(fds[1]));
	close(fds[0]);
	close(fds[1]);
	done(b);
}
END_TEST

/* Nobody reads: the file has all, the reader is told what he missed. */
START_TEST(test_console_stuck)
{
	struct bed	*b = make();
	char		*buf = malloc(1 << 20);
	uint64_t	 n = 0, lines = 0;
	int		 fds[2];

	open_log(b);
	use_console(b, fds);
	enter(b, 0, RING_BYTES);
	for (int i = 0; i < 10; i++) {
		while (ring_used(&b->b[0].ring) < 32 << 10)
			ck_assert(put_line(&b->b[0].ring, 1, n++));
		drain_now(b);
	}
	ck_assert(b->l.console.stuck);
	ck_assert_uint_gt(b->l.console.skipped, 0);
	read_text(fds[0], buf, 1 << 20);
	for (char *p = buf; *p != '\0'; p++)
		lines += *p == '\n';
	ck_assert_uint_eq(lines + b->l.console.skipped, n);
	ck_assert(put_line(&b->b[0].ring, 1, n++));
	drain_now(b);
	read_text(fds[0], buf, 1 << 20);
	ck_assert_ptr_nonnull(strstr(buf, "lines not shown\n"));
	ck_assert_uint_eq(b->l.console.skipped, 0);
	check_files(b);
	ck_assert_uint_eq(b->next[0], n);
	close(fds[0]);
	close(fds[1]);
	free(buf);
	done(b);
}
END_TEST

/* Without a file what is not shown stays; a console that is gone takes. */
START_TEST(test_console_alone)
{
	struct bed	*b = make();
	char		*buf = malloc(1 << 20), *p;
	uint64_t	 n = 0, next = 0;
	struct err	 e;
	int		 fds[2];

	use_console(b, fds);
	b->l.to_file = false;
	enter(b, 0, RING_BYTES);
	for (; n < 5000; n++)
		ck_assert(put_line(&b->b[0].ring, 1, n));
	while (!logger_is_empty(&b->l)) {
		(void)logger_drain(&b->l, &e);
		read_text(fds[0], buf, 1 << 20);
		for (p = buf; (p = strstr(p, "worker 1: ")) != NULL; p++)
			ck_assert_uint_eq(strtoull(p + 10, NULL, 10), next++);
	}
	ck_assert_uint_eq(next, n);
	ck_assert_uint_eq(b->l.console.skipped, 0);
	signal(SIGPIPE, SIG_IGN);
	close(fds[0]);
	ck_assert(put_line(&b->b[0].ring, 1, n));
	drain_now(b);
	close(fds[1]);
	free(buf);
	done(b);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("logger");
	TCase	*t = tcase_create("killed");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_killed, 0, 2);
	tcase_add_loop_test(t, test_killed_renamed, 0, 2);
	tcase_add_loop_test(t, test_killed_each, 0, 2);
	tcase_add_loop_test(t, test_full, 0, 2);
	suite_add_tcase(s, t);
	t = tcase_create("logger");
	tcase_set_timeout(t, 20);
	tcase_add_test(t, test_full_and_free);
	tcase_add_loop_test(t, test_note, 0, 2);
	tcase_add_test(t, test_note_gone);
	tcase_add_test(t, test_note_foreign);
	tcase_add_test(t, test_note_lies);
	tcase_add_test(t, test_lost_told);
	tcase_add_test(t, test_rows_and_pace);
	tcase_add_test(t, test_wild_writer);
	tcase_add_test(t, test_open);
	tcase_add_test(t, test_company);
	tcase_add_test(t, test_console);
	tcase_add_test(t, test_console_stuck);
	tcase_add_test(t, test_console_alone);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
