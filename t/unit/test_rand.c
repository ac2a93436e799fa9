/*
 * Random numbers: the generator's sequence, bounds, rough evenness.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

/* What the published algorithm gives from the state 1, 2, 3, 4. */
START_TEST(sequence_is_known)
{
	struct rand	r = { { 1, 2, 3, 4 } };

	ck_assert_uint_eq(rand_next(&r), 11520);
	ck_assert_uint_eq(rand_next(&r), 0);
	ck_assert_uint_eq(rand_next(&r), 1509978240);
	ck_assert_uint_eq(rand_next(&r), 1215971899390074240ULL);
}
END_TEST

START_TEST(seeds_differ)
{
	struct rand	a = { { 0 } };
	struct rand	b = { { 0 } };

	rand_seed(&a);
	rand_seed(&b);
	ck_assert_int_ne(memcmp(&a, &b, sizeof(a)), 0);
	ck_assert(rand_next(&a) != rand_next(&b));
}
END_TEST

START_TEST(below_stays_below)
{
	static const uint64_t	bounds[] = {
		2, 3, 5, 64, 65, 1000, (1ULL << 63) + 1, UINT64_MAX,
	};
	struct rand		r = { { 1, 2, 3, 4 } };
	size_t			i;
	int			k;

	ck_assert_uint_eq(rand_below(&r, 0), 0);
	ck_assert_uint_eq(rand_below(&r, 1), 0);
	for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
		for (k = 0; k < 1000; k++)
			ck_assert_uint_lt(rand_below(&r, bounds[i]),
			    bounds[i]);
}
END_TEST

/* 10,000 expected in each; 6 standard deviations are 600. */
START_TEST(below_is_even)
{
	struct rand	r = { { 1, 2, 3, 4 } };
	int		n[10] = { 0 };
	int		i;

	for (i = 0; i < 100000; i++)
		n[rand_below(&r, 10)]++;
	for (i = 0; i < 10; i++) {
		ck_assert_int_gt(n[i], 9400);
		ck_assert_int_lt(n[i], 10600);
	}
}
END_TEST

START_TEST(jitter_reaches_both_ends)
{
	struct rand	r = { { 1, 2, 3, 4 } };
	uint64_t	lo = UINT64_MAX;
	uint64_t	hi = 0;
	uint64_t	v;
	int		i;

	for (i = 0; i < 10000; i++) {
		v = rand_jitter(&r, 100, 10);
		lo = v < lo ? v : lo;
		hi = v > hi ? v : hi;
	}
	ck_assert_uint_eq(lo, 90);
	ck_assert_uint_eq(hi, 110);
}
END_TEST

START_TEST(jitter_edges)
{
	struct rand	r = { { 1, 2, 3, 4 } };
	int		i;

	ck_assert_uint_eq(rand_jitter(&r, 1000, 0), 1000);
	ck_assert_uint_eq(rand_jitter(&r, 0, 50), 0);
	ck_assert_uint_eq(rand_jitter(&r, 9, 10), 9);
	ck_assert_uint_eq(rand_jitter(&r, UINT64_MAX, 100), UINT64_MAX);
	for (i = 0; i < 1000; i++) {
		ck_assert_uint_le(rand_jitter(&r, 100, 500), 200);
		ck_assert_uint_ge(rand_jitter(&r, UINT64_MAX - 5, 100),
		    UINT64_MAX - 10);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("rand");
	TCase	*tc = tcase_create("rand");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, sequence_is_known);
	tcase_add_test(tc, seeds_differ);
	tcase_add_test(tc, below_stays_below);
	tcase_add_test(tc, below_is_even);
	tcase_add_test(tc, jitter_reaches_both_ends);
	tcase_add_test(tc, jitter_edges);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
