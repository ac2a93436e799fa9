/*
 * Errors of set-up code: filled, wrapped, cut, with the reason kept.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

START_TEST(set_returns_minus_one)
{
	struct err	e;

	ck_assert_int_eq(err_set(&e, "key \"%s\": %d", "bind", 7), -1);
	ck_assert_str_eq(e.text, "key \"bind\": 7");
	ck_assert_int_eq(err_set(NULL, "%s", "x"), -1);
	ck_assert_int_eq(err_sys(NULL, "%s", "x"), -1);
}
END_TEST

START_TEST(set_wraps_itself)
{
	struct err	e;

	err_set(&e, "too long");
	err_set(&e, "a.conf:3: %s", e.text);
	ck_assert_str_eq(e.text, "a.conf:3: too long");
}
END_TEST

START_TEST(sys_adds_reason)
{
	struct err	e;

	errno = ENOENT;
	ck_assert_int_eq(err_sys(&e, "open %s", "/x"), -1);
	ck_assert_str_eq(e.text, "open /x: No such file or directory");
	errno = EACCES;
	err_sys(&e, "again: %s", "y");
	ck_assert_str_eq(e.text, "again: y: Permission denied");
}
END_TEST

/* Lengths around the room there is: never past it, the reason whole. */
START_TEST(long_is_cut)
{
	const char	*why = ": Permission denied";
	struct err	 e;
	int		 n;
	size_t		 len;

	for (n = 480; n < 600; n++) {
		err_set(&e, "%*d", n, 1);
		len = (size_t)n < sizeof(e.text) ? (size_t)n :
		    sizeof(e.text) - 1;
		ck_assert_uint_eq(strlen(e.text), len);
		errno = EACCES;
		err_sys(&e, "%*d", n, 1);
		len = strlen(e.text);
		ck_assert_uint_le(len, sizeof(e.text) - 1);
		ck_assert_uint_eq(len, (size_t)n + strlen(why) <
		    sizeof(e.text) ? (size_t)n + strlen(why) :
		    sizeof(e.text) - 1);
		ck_assert_str_eq(e.text + len - strlen(why), why);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("err");
	TCase	*tc = tcase_create("err");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, set_returns_minus_one);
	tcase_add_test(tc, set_wraps_itself);
	tcase_add_test(tc, sys_adds_reason);
	tcase_add_test(tc, long_is_cut);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
