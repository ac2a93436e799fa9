/*
 * main/logger: its pace, what is lost, writers gone wild, its file, the
 * console.
 */
#include "logger_env.h"

#include <fcntl.h>

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
	TCase	*t = tcase_create("logger");

	tcase_set_timeout(t, 20);
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
	return failed == 0 ? 0 : 1;
}
