/*
 * os/fault: points that are armed, and counts shared by processes.
 */
#include "os/fault.h"

#include <check.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(unarmed)
{
	unsetenv("SLUICE_FAULT");
	FAULT_INIT();
	ck_assert(!FAULT("x"));
}
END_TEST

#ifdef SL_FAULTS
START_TEST(armed)
{
	setenv("SLUICE_FAULT", "one,two:2,three:0,four:2+1", 1);
	for (int i = 0; i < 9; i++)
		ck_assert(FAULT("one"));
	ck_assert(FAULT("two"));
	ck_assert(FAULT("two"));
	ck_assert(!FAULT("two"));
	ck_assert(!FAULT("three"));
	ck_assert(!FAULT("four"));
	ck_assert(!FAULT("four"));
	ck_assert(FAULT("four"));
	ck_assert(!FAULT("four"));
	ck_assert(!FAULT("on"));
	ck_assert(!FAULT("ones"));
}
END_TEST

START_TEST(shared)
{
	int	status;
	pid_t	pid;

	setenv("SLUICE_FAULT", "x:1", 1);
	FAULT_INIT();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(FAULT("x") ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(!FAULT("x"));
}
END_TEST

START_TEST(nonsense)
{
	setenv("SLUICE_FAULT", "x:y", 1);
	FAULT_INIT();
}
END_TEST
#endif

static Suite *
suite(void)
{
	Suite	*s = suite_create("fault");
	TCase	*c = tcase_create("fault");

	tcase_add_test(c, unarmed);
#ifdef SL_FAULTS
	tcase_add_test(c, armed);
	tcase_add_test(c, shared);
	tcase_add_test_raise_signal(c, nonsense, SIGABRT);
#endif
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
