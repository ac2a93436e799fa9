/*
 * Vectors: growth keeps what was there, new elements are zero.
 */
#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

struct item {
	uint64_t	a;
	char		b[5];
};

START_TEST(push_grows)
{
	struct vec	 v;
	struct item	*it;
	size_t		 i;

	vec_init(&v, sizeof(*it));
	ck_assert_ptr_null(v.p);
	for (i = 0; i < 1000; i++) {
		it = vec_push(&v);
		ck_assert_uint_eq(it->a, 0);
		ck_assert_int_eq(it->b[4], 0);
		memset(it, 0xff, sizeof(*it));
		it->a = i;
	}
	ck_assert_uint_eq(v.n, 1000);
	ck_assert_uint_ge(v.cap, 1000);
	for (i = 0; i < 1000; i++) {
		it = vec_at(&v, i);
		ck_assert_uint_eq(it->a, i);
	}
	vec_fini(&v);
}
END_TEST

START_TEST(fini_starts_anew)
{
	struct vec	v;

	vec_init(&v, 1);
	vec_push(&v);
	vec_fini(&v);
	ck_assert_uint_eq(v.n, 0);
	ck_assert_uint_eq(v.cap, 0);
	ck_assert_ptr_null(v.p);
	ck_assert_ptr_nonnull(vec_push(&v));
	ck_assert_uint_eq(v.n, 1);
	vec_fini(&v);
}
END_TEST

START_TEST(at_the_end)
{
	struct vec	v;

	vec_init(&v, 4);
	vec_push(&v);
	vec_at(&v, 1);
}
END_TEST

START_TEST(at_of_empty)
{
	struct vec	v;

	vec_init(&v, 4);
	vec_at(&v, 0);
}
END_TEST

START_TEST(size_zero)
{
	struct vec	v;

	vec_init(&v, 0);
}
END_TEST

START_TEST(size_overflow)
{
	struct vec	v;

	vec_init(&v, 16);
	v.n = v.cap = SIZE_MAX / 16;
	vec_push(&v);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("vec");
	TCase	*tc = tcase_create("vec");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, push_grows);
	tcase_add_test(tc, fini_starts_anew);
	tcase_add_test_raise_signal(tc, at_the_end, SIGABRT);
	tcase_add_test_raise_signal(tc, at_of_empty, SIGABRT);
	tcase_add_test_raise_signal(tc, size_zero, SIGABRT);
	tcase_add_test_raise_signal(tc, size_overflow, SIGABRT);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
