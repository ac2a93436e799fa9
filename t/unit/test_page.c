/*
 * Pages: references, the account of live bytes, large ones.
 */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/page.h"

START_TEST(new_is_empty)
{
	struct page_pool	 pool;
	struct page		*pg;

	page_pool_init(&pool, 4);
	pg = page_new(&pool);
	ck_assert_uint_eq(pg->refs, 1);
	ck_assert_uint_eq(pg->fill, 0);
	ck_assert_uint_eq(pg->cap, PAGE_ROOM);
	ck_assert_uint_eq(pool.live, PAGE_BYTES);
	memset(pg->data, 'x', pg->cap);
	page_unref(&pg);
	ck_assert_ptr_null(pg);
	ck_assert_uint_eq(pool.live, 0);
	page_pool_fini(&pool);
}
END_TEST

START_TEST(refs_are_counted)
{
	struct page_pool	 pool;
	struct page		*a;
	struct page		*b;

	page_pool_init(&pool, 4);
	a = page_new(&pool);
	b = page_ref(a);
	ck_assert_ptr_eq(a, b);
	page_unref(&a);
	ck_assert_ptr_null(a);
	ck_assert_uint_eq(b->refs, 1);
	ck_assert_uint_eq(pool.live, PAGE_BYTES);
	page_unref(&b);
	ck_assert_uint_eq(pool.live, 0);
	ck_assert_uint_eq(pool.small.nfree, 1);
	page_pool_fini(&pool);
}
END_TEST

START_TEST(unref_of_null)
{
	struct page	*pg = NULL;

	page_unref(&pg);
	ck_assert_ptr_null(pg);
}
END_TEST

/* A used page comes back as if new. */
START_TEST(reuse_resets)
{
	struct page_pool	 pool;
	struct page		*pg;
	struct page		*first;

	page_pool_init(&pool, 4);
	pg = first = page_new(&pool);
	pg->fill = 100;
	page_unref(&pg);
	pg = page_new(&pool);
	ck_assert_ptr_eq(pg, first);
	ck_assert_uint_eq(pg->fill, 0);
	ck_assert_uint_eq(pg->refs, 1);
	page_unref(&pg);
	page_pool_fini(&pool);
}
END_TEST

START_TEST(large_is_not_kept)
{
	struct page_pool	 pool;
	struct page		*small;
	struct page		*pg;

	page_pool_init(&pool, 4);
	small = page_new(&pool);
	pg = page_new_large(&pool);
	ck_assert_uint_eq(pg->cap, PAGE_LARGE - sizeof(*pg));
	ck_assert_uint_eq(pool.live, PAGE_BYTES + PAGE_LARGE);
	memset(pg->data, 'x', pg->cap);
	page_unref(&pg);
	ck_assert_uint_eq(pool.live, PAGE_BYTES);
	ck_assert_uint_eq(pool.small.nfree, 0);
	ck_assert_uint_eq(pool.small.nlive, 1);
	page_unref(&small);
	page_pool_fini(&pool);
}
END_TEST

START_TEST(unref_too_many)
{
	struct page_pool	 pool;
	struct page		*pg;

	page_pool_init(&pool, 4);
	pg = page_new(&pool);
	pg->refs = 0;
	page_unref(&pg);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("page");
	TCase	*tc = tcase_create("page");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, new_is_empty);
	tcase_add_test(tc, refs_are_counted);
	tcase_add_test(tc, unref_of_null);
	tcase_add_test(tc, reuse_resets);
	tcase_add_test(tc, large_is_not_kept);
	tcase_add_test_raise_signal(tc, unref_too_many, SIGABRT);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
