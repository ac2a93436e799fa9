/*
 * main/logger: what writers committed stands in the file once and in
 * order, however often the logger is killed, its file renamed or full.
 */
#include "logger_env.h"

#include <sys/resource.h>

#define RECORDS		3000U	/* of each writer */

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

static Suite *
suite(void)
{
	Suite	*s = suite_create("logger_kill");
	TCase	*t = tcase_create("killed");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_killed, 0, 2);
	tcase_add_loop_test(t, test_killed_renamed, 0, 2);
	tcase_add_loop_test(t, test_killed_each, 0, 2);
	tcase_add_loop_test(t, test_full, 0, 2);
	suite_add_tcase(s, t);
	t = tcase_create("notes");
	tcase_set_timeout(t, 20);
	tcase_add_test(t, test_full_and_free);
	tcase_add_loop_test(t, test_note, 0, 2);
	tcase_add_test(t, test_note_gone);
	tcase_add_test(t, test_note_foreign);
	tcase_add_test(t, test_note_lies);
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
	return failed == 0 ? 0 : 1;
}
