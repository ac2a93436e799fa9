/*
 * Retries: the decision, the wait, and the budget, which holds over
 * processes and their deaths.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/board.h"
#include "handler/proxy_retry.h"
#include "os/ev.h"
#include "os/proc.h"
#include "up/upstream.h"

#define NPROC	4
#define FIRSTS	20000	/* of each */

/* --- the decision --- */

struct decision {
	unsigned	 on;
	enum fail	 why;
	const char	*method;
	bool		 sent;
	bool		 lost;
	unsigned	 made;
	enum retry_no	 want;
};

#define ALL	(RETRY_ON_CONNECT | RETRY_ON_REFUSED | RETRY_ON_RESET | \
		RETRY_ON_FIRST_BYTE | RETRY_ON_503)

static const struct decision decisions[] = {
	/* nothing could be sent: any method */
	{ ALL, FAIL_DIAL_REFUSED, "GET", false, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_DIAL_REFUSED, "POST", false, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_DIAL_TIMEOUT, "BREW", false, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_DIAL_LIMIT, "POST", false, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_DIAL_UNREACHABLE, "POST", true, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_DIAL_REFUSED, "PUT", false, true, 0, RETRY_NO_BODY },
	/* it ended before its answer */
	{ ALL, FAIL_RESET_BEFORE_HEAD, "GET", true, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_RESET_BEFORE_HEAD, "PUT", true, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_RESET_BEFORE_HEAD, "PUT", true, true, 0,
	    RETRY_NO_BODY },
	{ ALL, FAIL_RESET_BEFORE_HEAD, "POST", true, false, 0,
	    RETRY_NO_METHOD },
	{ ALL, FAIL_RESET_BEFORE_HEAD, "POST", false, false, 0,
	    RETRY_NO_OK },
	{ ALL, FAIL_RESET_IN_HEAD, "DELETE", true, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_SEND_ERROR, "OPTIONS", true, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_SEND_ERROR, "PATCH", true, false, 0, RETRY_NO_METHOD },
	/* too slow, or busy */
	{ ALL, FAIL_FIRST_BYTE_TIMEOUT, "GET", true, false, 0,
	    RETRY_NO_OK },
	{ ALL, FAIL_SEND_TIMEOUT, "PUT", true, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_FIRST_BYTE_TIMEOUT, "POST", true, false, 0,
	    RETRY_NO_METHOD },
	{ ALL, FAIL_SERVER_ERROR, "HEAD", true, false, 0, RETRY_NO_OK },
	{ ALL, FAIL_SERVER_ERROR, "POST", true, false, 0, RETRY_NO_METHOD },
	/* a call that a code ended */
	{ ALL, FAIL_GRPC_ERROR, "POST", true, false, 0, RETRY_NO_COND },
	{ RETRY_ON_GRPC(8), FAIL_GRPC_ERROR, "POST", true, false, 0,
	    RETRY_NO_COND },
	{ RETRY_ON_GRPC(14), FAIL_GRPC_ERROR, "POST", true, false, 0,
	    RETRY_NO_OK },
	{ RETRY_ON_GRPC(14), FAIL_GRPC_ERROR, "POST", true, true, 0,
	    RETRY_NO_BODY },
	{ RETRY_ON_GRPC(14), FAIL_RESET_BEFORE_HEAD, "POST", true, false, 0,
	    RETRY_NO_COND },
	/* the number of them */
	{ ALL, FAIL_DIAL_REFUSED, "GET", false, false, 1, RETRY_NO_OK },
	{ ALL, FAIL_DIAL_REFUSED, "GET", false, false, 2, RETRY_NO_TRIES },
	/* what was not asked for */
	{ 0, FAIL_DIAL_REFUSED, "GET", false, false, 0, RETRY_NO_COND },
	{ RETRY_ON_RESET, FAIL_DIAL_REFUSED, "GET", false, false, 0,
	    RETRY_NO_COND },
	{ RETRY_ON_CONNECT, FAIL_RESET_BEFORE_HEAD, "GET", true, false, 0,
	    RETRY_NO_COND },
	{ RETRY_ON_RESET, FAIL_FIRST_BYTE_TIMEOUT, "GET", true, false, 0,
	    RETRY_NO_COND },
	{ ALL & ~RETRY_ON_503, FAIL_SERVER_ERROR, "GET", true, false, 0,
	    RETRY_NO_COND },
	/* a server that went out of service: under any condition */
	{ RETRY_ON_503, FAIL_ATTEMPT_CUT, "GET", true, false, 0,
	    RETRY_NO_OK },
	{ ALL, FAIL_ATTEMPT_CUT, "POST", true, false, 0, RETRY_NO_METHOD },
	{ ALL, FAIL_ATTEMPT_CUT, "POST", false, false, 0, RETRY_NO_OK },
	{ 0, FAIL_ATTEMPT_CUT, "GET", true, false, 0, RETRY_NO_COND },
	/* which is none of the tries */
	{ ALL, FAIL_ATTEMPT_CUT, "GET", true, false, 2, RETRY_NO_OK },
	/* what another server would not do better */
	{ ALL, FAIL_BAD_RESPONSE_LINE, "GET", true, false, 0,
	    RETRY_NO_COND },
	{ ALL, FAIL_RESPONSE_HEAD_TOO_LARGE, "GET", true, false, 0,
	    RETRY_NO_COND },
	{ ALL, FAIL_TOTAL_TIMEOUT, "GET", true, false, 0, RETRY_NO_COND },
	{ ALL, FAIL_CLIENT_GONE, "GET", true, false, 0, RETRY_NO_COND },
	{ ALL, FAIL_RESET_IN_BODY, "GET", true, false, 0, RETRY_NO_COND },
	{ ALL, FAIL_BODY_TOO_LARGE, "PUT", true, false, 0, RETRY_NO_COND }
};

START_TEST(test_judge)
{
	const struct decision	*d = &decisions[_i];
	struct retry_conf	 c = { .on = d->on, .tries = 2 };
	struct retry_ask	 a = { d->why, METHOD_GET, d->sent, d->lost,
		d->made, RETRY_ON_GRPC(14) };

	a.meth = msg_method(str_from(d->method));
	ck_assert_int_eq(proxy_retry_judge(&c, &a), d->want);
}
END_TEST

START_TEST(test_wait)
{
	struct retry_conf	c = { .backoff = 25, .backoff_max = 250 };
	static const uint64_t	most[] = { 25, 50, 100, 200, 250, 250 };
	uint64_t		ms, least, high;
	struct rand		r;

	rand_seed(&r);
	for (unsigned made = 0; made < 6; made++) {
		least = UINT64_MAX;
		high = 0;
		for (int i = 0; i < 5000; i++) {
			ms = proxy_retry_wait(&c, made, &r);
			least = ms < least ? ms : least;
			high = ms > high ? ms : high;
		}
		/* all of it, and no more */
		ck_assert_uint_eq(least, 0);
		ck_assert_uint_eq(high, most[made] - 1);
	}
	/* the number is the configuration's, whatever it is */
	ck_assert_uint_lt(proxy_retry_wait(&c, 4000000000U, &r), 250);
	c.backoff = 0;
	ck_assert_uint_eq(proxy_retry_wait(&c, 9, &r), 0);
	c.backoff = 300;
	for (int i = 0; i < 100; i++)
		ck_assert_uint_lt(proxy_retry_wait(&c, 0, &r), 250);
}
END_TEST

/* --- the budget --- */

static const struct shm_region *const regions[] = {
	&board_slots, &board_panics, &board_stats, &board_totals,
	&board_globals, &board_rings, &board_flights, &board_lasts,
	&board_upstreams, &board_retries, &board_retry_uses, NULL
};

#define TAG	77

static struct shm	*shm;
static struct proc	 proc;
static struct board	 board;
static struct serve	 serve;
static struct upstream	 up;

/* This process is that of a slot from now on. */
static void
become(unsigned slot)
{
	board_leave(&board);
	proc.slot = slot;
	board_enter(&board, shm, slot, RING_BYTES);
	proc.board = &board;
	self = &proc;
	board.slot->state = SLOT_SERVING;
	serve.shm = shm;
	up.serve = &serve;
	up.row = 3;
	up.live = shm_row(shm, &board_upstreams, up.row);
	retry_bind(&up);
	ck_assert_ptr_nonnull(up.retry);
}

static void
link_row(const struct retry_conf *c)
{
	struct err	e;

	ck_assert_int_eq(retry_link(shm, 3, true, c, &e), 0);
}

static void
setup(void)
{
	struct board_upstream	*u;
	struct err		 e;

	shm = shm_new(regions, &e);
	ck_assert_ptr_nonnull(shm);
	ck_assert_int_eq(board_grow(shm, NPROC + 1, &e), 0);
	ck_assert_int_eq(shm_grow(shm, &board_upstreams, 40, &e), 0);
	u = shm_row(shm, &board_upstreams, 3);
	u->tag = TAG;
	board = (struct board){ .nfree = 0 };
}

static void
teardown(void)
{
	board_leave(&board);
	self = NULL;
	shm_free(&shm);
}

static unsigned
take_all(void)
{
	unsigned	n = 0;

	while (retry_take(&up, false))
		n++;
	return n;
}

START_TEST(test_cap)
{
	const struct retry_conf	c = { .budget = 20, .floor = 3 };
	struct retry_sum	sum;
	unsigned		n;

	link_row(&c);
	become(1);
	/* ten seconds' worth at the start, and what came meanwhile */
	n = take_all();
	/* a request that is refused twice is one */
	ck_assert(!retry_take(&up, true));
	ck_assert_uint_eq(up.retry->refused, 1);
	ck_assert(n == 30 || n == 31);
	for (int i = 0; i < 100; i++)
		retry_earn(&up, &c);
	n += take_all();
	ck_assert(n == 50 || n == 51);
	/* more than the cap is not kept */
	for (int i = 0; i < 10000; i++)
		retry_earn(&up, &c);
	n = take_all();
	ck_assert(n == 30 || n == 31);
	retry_sum(&sum, shm, 3, TAG);
	ck_assert_uint_eq(sum.firsts, 10100);
	ck_assert_uint_eq(sum.earned, 10100 * 200);
	ck_assert_uint_ge(sum.again, 80);
}
END_TEST

START_TEST(test_none)
{
	const struct retry_conf	c = { .budget = 0, .floor = 0 };

	link_row(&c);
	become(1);
	retry_earn(&up, &c);
	ck_assert_uint_eq(take_all(), 0);
}
END_TEST

/* The share alone, exactly: each fifth request allows one. */
START_TEST(test_share)
{
	const struct retry_conf	c = { .budget = 20, .floor = 0 };

	link_row(&c);
	become(1);
	ck_assert_uint_eq(retry_left(shm, 3, TAG), 1);
	ck_assert_uint_eq(take_all(), 1);
	for (int i = 1; i <= 100; i++) {
		retry_earn(&up, &c);
		ck_assert_uint_eq(retry_left(shm, 3, TAG), i % 5 == 0);
		ck_assert_uint_eq(take_all(), i % 5 == 0);
	}
	/* what is not taken is kept up to the cap, and shown so */
	for (int i = 0; i < 50; i++)
		retry_earn(&up, &c);
	ck_assert_uint_eq(retry_left(shm, 3, TAG), 1);
	ck_assert_uint_eq(take_all(), 1);
	ck_assert_uint_eq(retry_left(shm, 3, TAG), 0);
}
END_TEST

/* Another floor neither makes credit of the past nor takes it back. */
START_TEST(test_settle)
{
	struct retry_conf	c = { .budget = 0, .floor = 1 };
	unsigned		n;

	link_row(&c);
	become(1);
	n = take_all();
	ck_assert(n == 10 || n == 11);
	c.floor = 1000;
	retry_settle(shm, 3, &c);
	n = take_all();
	ck_assert_uint_lt(n, 500);
	c.floor = 1;
	retry_settle(shm, 3, &c);
	(void)take_all();
	c.floor = 0;
	retry_settle(shm, 3, &c);
	ck_assert_uint_eq(take_all(), 0);
	c.floor = 1;
	retry_settle(shm, 3, &c);
	ck_assert_uint_le(take_all(), 1);
}
END_TEST

/* What a dead process earned stays; another upstream begins at nothing. */
START_TEST(test_fold)
{
	const struct retry_conf	c = { .budget = 100, .floor = 0 };
	struct board_upstream	*u = shm_row(shm, &board_upstreams, 3);
	struct retry_sum	 sum;

	link_row(&c);
	become(2);
	ck_assert_uint_eq(take_all(), 1);
	for (int i = 0; i < 5; i++)
		retry_earn(&up, &c);
	retry_note_cut(&up);
	become(1);
	retry_earn(&up, &c);
	retry_note_cut(&up);
	retry_fold(shm, 2);
	retry_fold(shm, 2);
	retry_sum(&sum, shm, 3, TAG);
	ck_assert_uint_eq(sum.firsts, 6);
	ck_assert_uint_eq(sum.earned, 6000);
	ck_assert_uint_eq(sum.again, 1);
	ck_assert_uint_eq(sum.refused, 1);
	ck_assert_uint_eq(sum.cut, 2);
	/* its slot's next process has a row of its own */
	become(2);
	ck_assert_uint_eq(up.retry->firsts, 0);
	u->tag = TAG + 1;
	retry_sum(&sum, shm, 3, TAG + 1);
	ck_assert_uint_eq(sum.firsts, 0);
	/* a twin of before counts nowhere */
	retry_earn(&up, &c);
	ck_assert(!retry_take(&up, false));
	retry_fold(shm, 2);
	retry_sum(&sum, shm, 3, TAG + 1);
	ck_assert_uint_eq(sum.firsts, 0);
}
END_TEST

struct tally {
	_Atomic uint64_t firsts[NPROC];
	_Atomic uint64_t taken[NPROC];
};

/* Requests of one process, each of which wants a retry. */
static void
run(unsigned n, const struct retry_conf *c, struct tally *t)
{
	become(n + 1);
	for (unsigned i = 0; i < FIRSTS; i++) {
		atomic_fetch_add(&t->firsts[n], 1);
		retry_earn(&up, c);
		if (retry_take(&up, false))
			atomic_fetch_add(&t->taken[n], 1);
	}
}

/*
 * Four processes, one of which is killed in the midst of it and folded
 * while the others go on: never more than the share, and next to nothing
 * less.  A process that dies loses at most what it was about to use.
 */
START_TEST(test_processes)
{
	const struct retry_conf	 c = { .budget = 20, .floor = 1 };
	struct tally		*t;
	pid_t			 pid[NPROC];
	uint64_t		 firsts = 0, taken = 0, ns, s;
	int			 status;

	t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(t, MAP_FAILED);
	ns = ev_clock_ns();
	link_row(&c);
	for (unsigned n = 0; n < NPROC; n++) {
		pid[n] = fork();
		ck_assert_int_ne(pid[n], -1);
		if (pid[n] == 0) {
			run(n, &c, t);
			_exit(0);
		}
	}
	while (atomic_load(&t->firsts[0]) < FIRSTS / 10)
		usleep(100);
	kill(pid[0], SIGKILL);
	for (unsigned n = 0; n < NPROC; n++) {
		ck_assert_int_eq(waitpid(pid[n], &status, 0), pid[n]);
		if (n == 0)
			retry_fold(shm, 1);
		else
			ck_assert(WIFEXITED(status) &&
			    WEXITSTATUS(status) == 0);
	}
	for (unsigned n = 0; n < NPROC; n++) {
		firsts += t->firsts[n];
		taken += t->taken[n];
	}
	/* the share, the cap and one a second: no more */
	become(1);
	taken += take_all();
	s = (ev_clock_ns() - ns) / 1000000000 + 1;
	ck_assert_uint_le(taken, firsts / 5 + 10 + s);
	/* less by what the dead took and had no time to count */
	ck_assert_uint_ge(taken + 2, firsts / 5 + 10);
	munmap(t, sizeof(*t));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("retry");
	TCase	*tc = tcase_create("decision");
	SRunner	*sr;
	int	 failed;

	tcase_add_loop_test(tc, test_judge, 0,
	    sizeof(decisions) / sizeof(decisions[0]));
	tcase_add_test(tc, test_wait);
	suite_add_tcase(s, tc);
	tc = tcase_create("budget");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_cap);
	tcase_add_test(tc, test_none);
	tcase_add_test(tc, test_share);
	tcase_add_test(tc, test_settle);
	tcase_add_test(tc, test_fold);
	tcase_add_test(tc, test_processes);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
