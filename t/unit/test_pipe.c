/*
 * Pipes for splice: bytes arrive as they were sent, a pool keeps to its
 * budget, what is not empty is closed, and who stalls is told.
 */
#include "io/pipe.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "pair_env.h"

static unsigned			 nstalled;

static void
begin(void)
{
	pair_init();
	nstalled = 0;
}

static unsigned
count_fds(void)
{
	DIR		*d = opendir("/proc/self/fd");
	unsigned	 n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

START_TEST(test_bytes)
{
	struct pipe	*p;
	char		 buf[8] = "";
	size_t		 n;

	begin();
	p = pipe_get(&pipes, PIPE_SMALL);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_ge(p->cap, PIPE_SMALL);
	ck_assert_int_eq(pipe_fill(p, &in, 100, &n), IO_AGAIN);
	ck_assert(!io_can(&in, IO_R));
	ck_assert_int_eq(write(far_in, "abcdef", 6), 6);
	ev_turn(ev, 0);
	ck_assert_int_eq(pipe_fill(p, &in, 4, &n), IO_OK);
	ck_assert_uint_eq(n, 4);
	ck_assert_uint_eq(p->n, 4);
	ck_assert_int_eq(pipe_drain(p, &out, 3, 0, &n), IO_OK);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(pipe_drain(p, &out, 100, 0, &n), IO_OK);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(p->n, 0);
	ck_assert_int_eq(pipe_fill(p, &in, 100, &n), IO_OK);
	ck_assert_uint_eq(n, 2);
	/* nothing more, but a pipe with something in it cannot tell */
	ck_assert_int_eq(pipe_fill(p, &in, 100, &n), IO_AGAIN);
	ck_assert(io_can(&in, IO_R));
	ck_assert_int_eq(pipe_read(p, buf, sizeof(buf)), 2);
	ck_assert_str_eq(buf, "ef");
	ck_assert_int_eq(read(far_out, buf, sizeof(buf)), 4);
	ck_assert(memcmp(buf, "abcd", 4) == 0);
	pipe_put(&pipes, &p);
	ck_assert_ptr_null(p);
	ck_assert_uint_eq(pipes.nkept, 1);
	pair_fini();
}
END_TEST

START_TEST(test_ends)
{
	struct pipe	*p;
	size_t		 n;

	begin();
	p = pipe_get(&pipes, PIPE_SMALL);
	ck_assert_int_eq(write(far_in, "x", 1), 1);
	shutdown(far_in, SHUT_WR);
	ev_turn(ev, 0);
	ck_assert_int_eq(pipe_fill(p, &in, 100, &n), IO_OK);
	ck_assert_int_eq(pipe_fill(p, &in, 100, &n), IO_EOF);
	close(far_out);
	far_out = -1;
	ck_assert_int_eq(pipe_drain(p, &out, 100, 0, &n), IO_ERR);
	ck_assert_int_eq(out.error, EPIPE);
	pipe_put(&pipes, &p);
	/* what was not empty is gone */
	ck_assert_uint_eq(pipes.nkept, 0);
	ck_assert_uint_eq(pipes.used, 0);
	far_out = dup(far_in);
	pair_fini();
}
END_TEST

START_TEST(test_full)
{
	static char	 big[PIPE_LARGE];
	struct pipe	*p;
	size_t		 n, sum = 0;

	begin();
	p = pipe_get(&pipes, PIPE_SMALL);
	while (write(far_in, big, sizeof(big)) > 0)
		ev_turn(ev, 0);
	for (;;) {
		ev_turn(ev, 0);
		if (pipe_fill(p, &in, sizeof(big), &n) != IO_OK)
			break;
		sum += n;
		(void)!write(far_in, big, sizeof(big));
	}
	/* it is full, the socket is not empty: nothing to wait for there */
	ck_assert(io_can(&in, IO_R));
	ck_assert_uint_eq(p->n, sum);
	ck_assert_uint_ge(sum, 16384);
	while (p->n > 0)
		ck_assert_int_gt(pipe_read(p, big, sizeof(big)), 0);
	pipe_put(&pipes, &p);
	ck_assert_uint_eq(pipes.nkept, 1);
	pair_fini();
}
END_TEST

START_TEST(test_budget)
{
	struct pipe	*p[8] = { NULL };
	unsigned	 fds;

	begin();
	fds = count_fds();
	pipes.budget = 2 * PIPE_LARGE + PIPE_SMALL;
	p[0] = pipe_get(&pipes, UINT64_MAX);
	ck_assert_uint_eq(p[0]->cap, PIPE_LARGE);
	/* half of it is used */
	for (int i = 1; i < 6; i++) {
		p[i] = pipe_get(&pipes, UINT64_MAX);
		ck_assert_uint_eq(p[i]->cap, PIPE_SMALL);
	}
	ck_assert_ptr_null(pipe_get(&pipes, UINT64_MAX));
	ck_assert_uint_eq(count_fds(), fds + 12);
	pipe_put(&pipes, &p[3]);
	p[3] = pipe_get(&pipes, UINT64_MAX);
	ck_assert_ptr_nonnull(p[3]);
	for (int i = 0; i < 6; i++)
		pipe_put(&pipes, &p[i]);
	ck_assert_uint_eq(pipes.nkept, 6);
	pipes.budget = 0;
	p[0] = pipe_get(&pipes, 1);
	ck_assert_ptr_nonnull(p[0]);
	pipe_put(&pipes, &p[0]);
	pair_fini();
}
END_TEST

START_TEST(test_share)
{
	uint64_t	all;

	begin();
	all = pipes.budget;
	ck_assert_uint_gt(all, 0);
	pipe_pool_share(&pipes, 4);
	ck_assert_uint_eq(pipes.budget, all / 4);
	pair_fini();
	/* a pool nobody gave a share */
	begin();
	pipe_pool_init(&pipes, ev);
	ck_assert_ptr_null(pipe_get(&pipes, 1));
	pair_fini();
}
END_TEST

static struct pipe	*held;

static void
on_stalled(struct pipe *p)
{
	char	c;

	ck_assert_ptr_eq(p, held);
	nstalled++;
	ck_assert_int_eq(pipe_read(p, &c, 1), 1);
	pipe_put(&pipes, &held);
}

START_TEST(test_stall)
{
	struct pipe	*idle;
	size_t		 n;

	begin();
	held = pipe_get(&pipes, 1);
	idle = pipe_get(&pipes, 1);
	held->stalled = idle->stalled = on_stalled;
	ck_assert_int_eq(write(far_in, "x", 1), 1);
	ev_turn(ev, 0);
	ck_assert_int_eq(pipe_fill(held, &in, 1, &n), IO_OK);
	/* it moved since the last look: the next one tells */
	while (nstalled == 0)
		ev_turn(ev, 3000);
	ck_assert_ptr_null(held);
	ck_assert_uint_eq(pipes.nkept, 1);
	pipe_put(&pipes, &idle);
	ck_assert(!timer_is_armed(&pipes.look));
	ck_assert_uint_eq(nstalled, 1);
	pair_fini();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("pipe");
	TCase	*t = tcase_create("pipe");
	SRunner	*r;
	int	 failed;

	signal(SIGPIPE, SIG_IGN);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, test_bytes);
	tcase_add_test(t, test_ends);
	tcase_add_test(t, test_full);
	tcase_add_test(t, test_budget);
	tcase_add_test(t, test_share);
	tcase_add_test(t, test_stall);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
