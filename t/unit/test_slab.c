/*
 * Slabs: reuse, the bound on what is kept, and poison under ASan; slabs by
 * size.
 */
#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/sizes.h"

#ifdef __has_feature
#define HAS_ASAN_FEATURE	__has_feature(address_sanitizer)
#else
#define HAS_ASAN_FEATURE	0
#endif

#if defined(__SANITIZE_ADDRESS__) || HAS_ASAN_FEATURE
#include <sanitizer/asan_interface.h>
#define WITH_ASAN		1
#define is_poisoned(p)		__asan_address_is_poisoned(p)
#else
#define WITH_ASAN		0
#define is_poisoned(p)		((void)(p), 0)
#endif

START_TEST(last_in_first_out)
{
	struct slab	 s;
	void		*a;
	void		*b;

	slab_init(&s, 64, 8);
	a = slab_get(&s);
	b = slab_get(&s);
	ck_assert_ptr_ne(a, b);
	ck_assert_uint_eq(s.nlive, 2);
	slab_put(&s, a);
	slab_put(&s, b);
	ck_assert_uint_eq(s.nlive, 0);
	ck_assert_uint_eq(s.nfree, 2);
	ck_assert_ptr_eq(slab_get(&s), b);
	ck_assert_ptr_eq(slab_get(&s), a);
	ck_assert_uint_eq(s.nfree, 0);
	ck_assert_ptr_null(s.free);
	slab_put(&s, a);
	slab_put(&s, b);
	slab_fini(&s);
	ck_assert_uint_eq(s.nfree, 0);
}
END_TEST

START_TEST(keeps_no_more)
{
	struct slab	 s;
	void		*p[10];
	int		 i;

	slab_init(&s, 32, 4);
	for (i = 0; i < 10; i++)
		p[i] = slab_get(&s);
	for (i = 0; i < 10; i++)
		slab_put(&s, p[i]);
	ck_assert_uint_eq(s.nfree, 4);
	slab_trim(&s, 9);
	ck_assert_uint_eq(s.nfree, 4);
	slab_trim(&s, 1);
	ck_assert_uint_eq(s.nfree, 1);
	ck_assert_uint_eq(s.keep, 4);
	ck_assert_ptr_eq(slab_get(&s), p[0]);
	ck_assert_ptr_null(s.free);
	slab_put(&s, p[0]);
	slab_fini(&s);
}
END_TEST

START_TEST(keep_nothing)
{
	struct slab	s;

	slab_init(&s, 16, 0);
	slab_put(&s, slab_get(&s));
	ck_assert_uint_eq(s.nfree, 0);
	ck_assert_ptr_null(s.free);
	slab_fini(&s);
}
END_TEST

/* The link needs a word: smaller objects get one. */
START_TEST(tiny_objects)
{
	struct slab	 s;
	void		*a;
	void		*b;

	slab_init(&s, 1, 4);
	ck_assert_uint_ge(s.size, sizeof(void *));
	a = slab_get(&s);
	b = slab_get(&s);
	slab_put(&s, a);
	slab_put(&s, b);
	ck_assert_ptr_eq(slab_get(&s), b);
	ck_assert_ptr_eq(slab_get(&s), a);
	slab_put(&s, a);
	slab_put(&s, b);
	slab_fini(&s);
}
END_TEST

/* What is out when the slab goes comes back without being kept. */
START_TEST(put_after_fini)
{
	struct slab	 s;
	void		*p;

	slab_init(&s, 64, 8);
	p = slab_get(&s);
	slab_fini(&s);
	slab_put(&s, p);
	ck_assert_uint_eq(s.nfree, 0);
	ck_assert_uint_eq(s.nlive, 0);
}
END_TEST

START_TEST(poisoned_while_free)
{
	struct slab	 s;
	char		*p;
	size_t		 i;

	slab_init(&s, 128, 8);
	p = slab_get(&s);
	memset(p, 1, 128);
	slab_put(&s, p);
	for (i = 0; i < 128; i++)
		ck_assert(!WITH_ASAN || is_poisoned(p + i));
	ck_assert_ptr_eq(slab_get(&s), p);
	for (i = 0; i < 128; i++)
		ck_assert(!is_poisoned(p + i));
	memset(p, 2, 128);
	slab_put(&s, p);
	slab_fini(&s);
}
END_TEST

START_TEST(put_too_many)
{
	struct slab	 s;
	void		*p;

	slab_init(&s, 64, 8);
	p = slab_get(&s);
	slab_put(&s, p);
	slab_put(&s, p);
}
END_TEST

#if WITH_ASAN
START_TEST(put_twice)
{
	struct slab	 s;
	void		*p;

	slab_init(&s, 64, 8);
	p = slab_get(&s);
	ck_assert_ptr_ne(p, slab_get(&s));
	slab_put(&s, p);
	slab_put(&s, p);
}
END_TEST
#endif

/* Each length has what it asked for, aligned, and is found again. */
START_TEST(any_size)
{
	struct sizes	 s;
	char		*p[1200];

	sizes_init(&s, 2000);
	for (size_t n = 0; n < 1200; n++) {
		p[n] = sizes_get(&s, n);
		ck_assert_uint_eq((uintptr_t)p[n] % 16, 0);
		memset(p[n], (int)(n & 0x7f), n);
	}
	for (size_t n = 0; n < 1200; n++) {
		for (size_t i = 0; i < n; i++)
			ck_assert_int_eq(p[n][i], (int)(n & 0x7f));
		sizes_put(p[n]);
	}
	for (unsigned i = 0; i < SIZES_N; i++)
		ck_assert_uint_eq(s.of[i].nlive, 0);
	ck_assert_ptr_eq(sizes_get(&s, 40), p[48]);
	ck_assert_ptr_eq(sizes_get(&s, 500), p[1008]);
	sizes_put(p[48]);
	sizes_put(p[1008]);
	sizes_trim(&s, 3);
	for (unsigned i = 0; i < SIZES_N; i++)
		ck_assert_uint_eq(s.of[i].nfree, 3);
	sizes_fini(&s);
}
END_TEST

START_TEST(another_size)
{
	struct sizes	 s;
	char		*p;

	sizes_init(&s, 8);
	p = sizes_again(&s, NULL, 10);
	memcpy(p, "0123456789", 10);
	p = sizes_again(&s, p, 5000);
	ck_assert_mem_eq(p, "0123456789", 10);
	memset(p, 'x', 5000);
	p = sizes_again(&s, p, 3);
	ck_assert_mem_eq(p, "xxx", 3);
	sizes_put(p);
	sizes_put(NULL);
	sizes_fini(&s);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("slab");
	TCase	*tc = tcase_create("slab");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, last_in_first_out);
	tcase_add_test(tc, keeps_no_more);
	tcase_add_test(tc, keep_nothing);
	tcase_add_test(tc, tiny_objects);
	tcase_add_test(tc, put_after_fini);
	tcase_add_test(tc, poisoned_while_free);
	tcase_add_test(tc, any_size);
	tcase_add_test(tc, another_size);
	tcase_add_test_raise_signal(tc, put_too_many, SIGABRT);
#if WITH_ASAN
	tcase_add_test_raise_signal(tc, put_twice, SIGABRT);
#endif
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
