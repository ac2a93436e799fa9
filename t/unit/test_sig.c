/*
 * os/sig: signals as events, and what a fork makes of them: a child's are
 * never told to its parent.
 */
#include "os/sig.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS	5000

static struct ev	*ev;
static struct sig	 sig;
static struct timer	 late;
static int		 seen[8];
static unsigned		 nseen;

static const int	 usual[] = { SIGTERM, SIGUSR1, 0 };

static void
on_sig(void *ctx, int signo)
{
	ck_assert_ptr_eq(ctx, &sig);
	ck_assert_uint_lt(nseen, 8);
	seen[nseen++] = signo;
	ev_stop(ev);
}

static void
on_late(struct timer *t)
{
	(void)t;
	ev_stop(ev);
}

/* The next signals that the loop tells, or none within ms. */
static void
run(uint64_t ms)
{
	nseen = 0;
	timer_init(&late, on_late);
	ev_timer(ev, &late, ms);
	ev_run(ev);
	ev_timer_off(ev, &late);
}

static void
setup(void)
{
	struct err	e;

	ev = ev_new(NULL, &e);
	ck_assert_ptr_nonnull(ev);
	ck_assert_int_eq(sig_open(&sig, ev, usual, on_sig, &sig, &e), 0);
}

static int
wait_status(pid_t pid)
{
	int	st;

	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	return st;
}

START_TEST(told_by_the_loop)
{
	kill(getpid(), SIGUSR1);
	run(WAIT_MS);
	ck_assert_uint_eq(nseen, 1);
	ck_assert_int_eq(seen[0], SIGUSR1);
}
END_TEST

/* As early as can be: the handlers are still the parent's. */
START_TEST(early_signal_stays_in_the_child)
{
	pid_t	pid = sig_fork();
	int	st;

	if (pid == 0) {
		kill(getpid(), SIGTERM);
		sig_reset(&sig);
		_exit(1);
	}
	st = wait_status(pid);
	ck_assert(WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM);
	run(50);
	ck_assert_uint_eq(nseen, 0);
}
END_TEST

/* A child with handlers of its own gets what came before it had them. */
START_TEST(early_signal_waits)
{
	struct sig	own;
	struct err	e;
	pid_t		pid = sig_fork();

	if (pid == 0) {
		kill(getpid(), SIGTERM);
		sig_forget(&sig);
		ev = ev_new(NULL, &e);
		if (ev == NULL ||
		    sig_open(&own, ev, usual, on_sig, &sig, &e) < 0)
			_exit(2);
		sig_unblock();
		run(WAIT_MS);
		_exit(nseen == 1 && seen[0] == SIGTERM ? 0 : 1);
	}
	ck_assert_int_eq(wait_status(pid), 0);
}
END_TEST

START_TEST(parent_is_as_before)
{
	sigset_t	was, now;
	pid_t		pid;

	sigemptyset(&was);
	sigaddset(&was, SIGUSR2);
	sigprocmask(SIG_SETMASK, &was, NULL);
	pid = sig_fork();
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, NULL, &now);
		_exit(sigismember(&now, SIGTERM) &&
		    !sigismember(&now, SIGSEGV) &&
		    !sigismember(&now, SIGABRT) ? 0 : 1);
	}
	ck_assert_int_eq(wait_status(pid), 0);
	sigprocmask(SIG_SETMASK, NULL, &now);
	ck_assert(sigismember(&now, SIGUSR2));
	ck_assert(!sigismember(&now, SIGTERM));
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("sig");
	TCase	*c = tcase_create("sig");

	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, told_by_the_loop);
	tcase_add_test(c, early_signal_stays_in_the_child);
	tcase_add_test(c, early_signal_waits);
	tcase_add_test(c, parent_is_as_before);
	suite_add_tcase(s, c);
	return s;
}

int
main(void)
{
	SRunner	*r = srunner_create(suite());
	int	 failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
