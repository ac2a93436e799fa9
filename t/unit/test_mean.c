/*
 * base/mean: the first value, the share of each further one, its bounds.
 */
#include "base/mean.h"

#include <check.h>

START_TEST(first)
{
	ck_assert_uint_eq(mean_next(0, 1234, 3), 1234);
	ck_assert_uint_eq(mean_next(0, 0, 3), 1);
	ck_assert_uint_eq(mean_next(0, 1ULL << 40, 4), UINT32_MAX);
}
END_TEST

START_TEST(share)
{
	ck_assert_uint_eq(mean_next(800, 1600, 3), 900);
	ck_assert_uint_eq(mean_next(1600, 800, 4), 1550);
	ck_assert_uint_eq(mean_next(800, 800, 1), 800);
	ck_assert_uint_eq(mean_next(UINT32_MAX, UINT64_MAX, 4), UINT32_MAX);
}
END_TEST

/* However small what follows is: 0 would mean that nothing came yet. */
START_TEST(never_none)
{
	for (unsigned shift = 1; shift < 6; shift++) {
		uint32_t	mean = 100000, was = 0;

		while (mean != was) {
			was = mean;
			mean = mean_next(mean, 0, shift);
			ck_assert_uint_gt(mean, 0);
			ck_assert_uint_le(mean, was);
		}
		ck_assert_uint_lt(mean, 1U << shift);
	}
}
END_TEST

/* It comes to what comes for long, from either side. */
START_TEST(follows)
{
	uint32_t	low = 1, high = 1000000;

	for (int i = 0; i < 200; i++) {
		low = mean_next(low, 5000, 3);
		high = mean_next(high, 5000, 3);
	}
	ck_assert_uint_ge(low, 5000 - 8);
	ck_assert_uint_le(high, 5000 + 8);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("mean");
	TCase	*tc = tcase_create("mean");
	SRunner	*r = srunner_create(s);
	int	 failed;

	tcase_add_test(tc, first);
	tcase_add_test(tc, share);
	tcase_add_test(tc, never_none);
	tcase_add_test(tc, follows);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
