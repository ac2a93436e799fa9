/*
 * The table of failures, and the counted files of the waist.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/waist.h"

START_TEST(rows)
{
	const struct fail_row	*r;
	struct str		 name;
	unsigned		 i;
	size_t			 k;

	for (i = FAIL_NONE + 1; i < FAIL_N; i++) {
		r = fail_row((enum fail)i);
		name = str_from(r->name);
		ck_assert_uint_gt(name.n, 0);
		for (k = 0; k < name.n; k++)
			ck_assert(name.p[k] == '_' ||
			    (name.p[k] >= 'a' && name.p[k] <= 'z') ||
			    (name.p[k] >= '0' && name.p[k] <= '9'));
		ck_assert(r->status == 0 ||
		    (r->status >= 400 && r->status <= 599));
		ck_assert(str_ends(str_from(r->text), STR(".")));
		ck_assert_msg(r->advice != NULL && str_ends(
		    str_from(r->advice), STR(".")), "%s: no advice", r->name);
		/* the first of that name: so no name is there twice */
		ck_assert_uint_eq(fail_find(name), i);
		/* nobody gets a status behind a head, or asks again */
		ck_assert((r->flags & FAIL_F_C) == 0 || (r->status == 0 &&
		    (r->flags & (FAIL_F_R | FAIL_F_S)) == 0));
		/* what was not sent is a server's failure, never a client's */
		ck_assert((r->flags & FAIL_F_S) == 0 || r->status >= 500);
	}
}
END_TEST

START_TEST(none)
{
	ck_assert_str_eq(fail_row(FAIL_NONE)->name, "");
	ck_assert_uint_eq(fail_row(FAIL_NONE)->status, 0);
	ck_assert_uint_eq(fail_find(STR("")), FAIL_NONE);
	ck_assert_uint_eq(fail_find(STR("bare_l")), FAIL_NONE);
	ck_assert_uint_eq(fail_find(STR("bare_lff")), FAIL_NONE);
	ck_assert_uint_eq(fail_find(STR("bare_lf")), FAIL_BARE_LF);
}
END_TEST

static void
ck_near(const char *word, const char *want)
{
	struct text	t;

	text_init(&t);
	fail_near(str_from(word), &t);
	text_c(&t, '\0');
	ck_assert_str_eq(t.p, want);
	text_fini(&t);
}

START_TEST(words)
{
	ck_assert(fail_is(FAIL_DIAL_REFUSED, STR("Dial_Refused")));
	ck_assert(fail_is(FAIL_DIAL_REFUSED, STR("502")));
	ck_assert(!fail_is(FAIL_DIAL_REFUSED, STR("50")));
	ck_assert(!fail_is(FAIL_DIAL_TIMEOUT, STR("502")));
	ck_assert(!fail_is(FAIL_CLIENT_GONE, STR("0")));
	ck_assert(!fail_is(FAIL_DIAL_REFUSED, STR("")));
	ck_near("dial_refsed", "dial_refused");
	ck_near("Dial-Refused", "dial_refused");
	ck_near("refused", "connect_refused, trace_refused, "
	    "client_cert_refused, proxy_refused, tls_client_refused");
	ck_near("zzzzzz", "");
	ck_near("", "");
}
END_TEST

START_TEST(unknown_row_is_a_panic)
{
	fail_row(FAIL_N);
}
END_TEST

static struct file *
open_null(int *fd)
{
	*fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(*fd, 0);
	return file_new(*fd);
}

START_TEST(file_is_closed_with_its_last_reference)
{
	int		 fd;
	struct file	*f = open_null(&fd);
	struct file	*g = f;
	struct chunk	 c = { .kind = CHUNK_FILE, .n = 5,
			    .u.file = { .file = f } };

	f->refs++;
	file_unref(&f);
	ck_assert_ptr_null(f);
	ck_assert_uint_eq(g->refs, 1);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	chunk_drop(&c);
	ck_assert_ptr_null(c.u.file.file);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	file_unref(&f);
}
END_TEST

START_TEST(page_is_dropped)
{
	struct page_pool pool;
	struct chunk	 c = { .kind = CHUNK_PAGE };
	struct page	*pg;

	page_pool_init(&pool, 0);
	c.u.mem.page = page_new(&pool);
	pg = page_ref(c.u.mem.page);
	chunk_drop(&c);
	ck_assert_ptr_null(c.u.mem.page);
	ck_assert_uint_eq(pg->refs, 1);
	page_unref(&pg);
	ck_assert_uint_eq(pool.live, 0);
	/* nothing is held by these */
	c = (struct chunk){ .kind = CHUNK_CONST, .n = 1, .u.mem.p = "x" };
	chunk_drop(&c);
	c = (struct chunk){ .kind = CHUNK_SPLICE, .n = 1 };
	chunk_drop(&c);
	page_pool_fini(&pool);
}
END_TEST

START_TEST(join)
{
	struct source	from = { 0 };
	struct sink	to = { 0 };

	waist_join(&from, &to);
	ck_assert_ptr_eq(from.to, &to);
	ck_assert_ptr_eq(to.from, &from);
}
END_TEST

START_TEST(join_twice_is_a_panic)
{
	struct source	from = { 0 };
	struct sink	to = { 0 };

	waist_join(&from, &to);
	waist_join(&from, &to);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("http_fail");
	TCase	*tc = tcase_create("fail");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, rows);
	tcase_add_test(tc, none);
	tcase_add_test(tc, words);
	tcase_add_test_raise_signal(tc, unknown_row_is_a_panic, SIGABRT);
	tcase_add_test(tc, file_is_closed_with_its_last_reference);
	tcase_add_test(tc, page_is_dropped);
	tcase_add_test(tc, join);
	tcase_add_test_raise_signal(tc, join_twice_is_a_panic, SIGABRT);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
