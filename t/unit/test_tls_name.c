/*
 * The name in a first message: as it was meant, or none at all.
 */
#include "tls/hello.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct str
name_of(const char *ext, size_t n, char buf[TLS_NAME_MAX])
{
	return tls_hello_name(str_make(ext, n), buf);
}

#define NAME(lit)	name_of("" lit, sizeof(lit) - 1, buf)

START_TEST(names)
{
	char	buf[TLS_NAME_MAX];

	ck_assert(str_eq(NAME("\0\4\0\0\1a"), STR("a")));
	ck_assert(str_eq(NAME("\0\014\0\0\011A.eXample"), STR("a.example")));
	ck_assert(str_eq(NAME("\0\5\0\0\2a."), STR("a")));
	/* behind a name of a type that nobody knows */
	ck_assert(str_eq(NAME("\0\010\1\0\1b\0\0\1a"), STR("a")));
}
END_TEST

START_TEST(no_names)
{
	char	buf[TLS_NAME_MAX];

	ck_assert(NAME("").p == NULL);
	ck_assert(NAME("\0").p == NULL);
	ck_assert(NAME("\0\0").p == NULL);
	ck_assert(NAME("\0\4\0\0\1").p == NULL);
	ck_assert(NAME("\0\4\0\0\2a").p == NULL);
	ck_assert(NAME("\0\3\0\0\1a").p == NULL);
	ck_assert(NAME("\0\4\0\0\1ab").p == NULL);
	ck_assert(NAME("\0\3\0\0\0").p == NULL);
	ck_assert(NAME("\0\4\0\0\1.").p == NULL);
	ck_assert(NAME("\0\4\1\0\1a").p == NULL);
	ck_assert(NAME("\0\001\0").p == NULL);
}
END_TEST

START_TEST(long_names)
{
	char	buf[TLS_NAME_MAX], big[300];

	memset(big, 'a', sizeof(big));
	ck_assert_uint_eq(tls_hello_fold(str_make(big, TLS_NAME_MAX),
	    buf).n, TLS_NAME_MAX);
	ck_assert(tls_hello_fold(str_make(big, TLS_NAME_MAX + 1), buf).p ==
	    NULL);
	big[TLS_NAME_MAX] = '.';
	ck_assert_uint_eq(tls_hello_fold(str_make(big, TLS_NAME_MAX + 1),
	    buf).n, TLS_NAME_MAX);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("hello");
	TCase	*tc = tcase_create("hello");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, names);
	tcase_add_test(tc, no_names);
	tcase_add_test(tc, long_names);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
