/*
 * os/sig: signals that a handler took but the loop did not see before
 * exec wait for whoever comes.
 */
#include "os/sig.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* what the loop was told, a bit per signal */
struct seen {
	unsigned	bits;
	int		calls;
};

static void
on_signal(void *ctx, int signo)
{
	struct seen	*s = ctx;

	s->bits |= 1U << signo;
	s->calls++;
}

static const int	signos[] = { SIGUSR1, SIGHUP, 0 };

START_TEST(waits_again)
{
	struct ev	*ev = ev_new(NULL, NULL);
	struct seen	 seen = { 0, 0 };
	sigset_t	 all, was, pending;
	struct sig	 s;

	ck_assert_int_eq(sig_open(&s, ev, signos, on_signal, &seen, NULL), 0);
	raise(SIGUSR1);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	sig_put_back(&s);
	ev_turn(ev, 0);
	ck_assert_int_eq(seen.calls, 0);
	sigpending(&pending);
	ck_assert_int_eq(sigismember(&pending, SIGUSR1), 1);
	ck_assert_int_eq(sigismember(&pending, SIGHUP), 0);
	/* the program goes on: it hears of it as if it came now */
	sigprocmask(SIG_SETMASK, &was, NULL);
	ev_turn(ev, 100);
	ck_assert_uint_eq(seen.bits, 1U << SIGUSR1);
	ck_assert_int_eq(seen.calls, 1);
	ev_del(ev, &s.fd, true);
	ev_free(&ev);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("sig_exec");
	TCase	*t = tcase_create("sig_exec");

	tcase_add_test(t, waits_again);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*r = srunner_create(suite());
	int	 failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
