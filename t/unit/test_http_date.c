/*
 * Dates: the three forms, the calendar against libc's, the edges.
 */
#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "http/date.h"

#define NOW	1795219200	/* 21 Nov 2026 */

static const struct {
	const char	*in;
	int64_t		 out;	/* -1: none */
} dates[] = {
	{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
	{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
	{ "Sun Nov  6 08:49:37 1994", 784111777 },
	{ "Wed Nov 16 08:49:37 1994", 784975777 },
	{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
	{ "Fri, 31 Dec 1999 23:59:60 GMT", 946684800 },
	{ "Mon, 29 Feb 2016 00:00:00 GMT", 1456704000 },
	{ "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 },
	{ "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
	/* 2076 is 50 years ahead, 2077 is not believed */
	{ "Wednesday, 01-Jan-76 00:00:00 GMT", 3345062400 },
	{ "Saturday, 01-Jan-77 00:00:00 GMT", 220924800 },
	{ "", -1 },
	{ "0", -1 },
	{ "Sun", -1 },
	{ "Sun, ", -1 },
	{ "sun, 06 Nov 1994 08:49:37 GMT", -1 },
	{ "Son, 06 Nov 1994 08:49:37 GMT", -1 },
	{ "Sun,06 Nov 1994 08:49:37 GMT", -1 },
	{ "Sun, 6 Nov 1994 08:49:37 GMT", -1 },
	{ "Sun, 06 nov 1994 08:49:37 GMT", -1 },
	{ "Sun, 06 Nov 94 08:49:37 GMT", -1 },
	{ "Sun, 06 Nov 1994 8:49:37 GMT", -1 },
	{ "Sun, 06 Nov 1994 08:49:37", -1 },
	{ "Sun, 06 Nov 1994 08:49:37 UTC", -1 },
	{ "Sun, 06 Nov 1994 08:49:37 +0000", -1 },
	{ "Sun, 06 Nov 1994 08:49:37 GMT ", -1 },
	{ " Sun, 06 Nov 1994 08:49:37 GMT", -1 },
	{ "Sun, 06 Nov 1994 24:00:00 GMT", -1 },
	{ "Sun, 06 Nov 1994 08:60:37 GMT", -1 },
	{ "Sun, 06 Nov 1994 08:49:61 GMT", -1 },
	{ "Sun, 00 Nov 1994 08:49:37 GMT", -1 },
	{ "Thu, 31 Nov 1994 08:49:37 GMT", -1 },
	{ "Tue, 29 Feb 2015 00:00:00 GMT", -1 },
	{ "Thu, 29 Feb 1900 00:00:00 GMT", -1 },
	{ "Sun, 06 Nov 0000 08:49:37 GMT", -1 },
	{ "Sun, -6 Nov 1994 08:49:37 GMT", -1 },
	{ "Sun Nov 06 08:49:37 1994 GMT", -1 },
	{ "Sun Nov 6 08:49:37 1994", -1 },
	{ "Sun, 06-Nov-94 08:49:37 GMT", -1 },
	{ "Sunday, 06 Nov 1994 08:49:37 GMT", -1 }
};

START_TEST(parse)
{
	int64_t	t = -2;
	int	rc = date_parse(str_from(dates[_i].in), NOW, &t);

	ck_assert_int_eq(rc, dates[_i].out < 0 ? -1 : 0);
	ck_assert_int_eq(t, dates[_i].out < 0 ? -2 : dates[_i].out);
}
END_TEST

static void
check_format(int64_t t)
{
	char		got[DATE_LEN + 1] = "";
	char		want[64];
	struct tm	tm;
	time_t		tt = (time_t)t;
	int64_t		back;

	gmtime_r(&tt, &tm);
	strftime(want, sizeof(want), "%a, %d %b ", &tm);
	date_format(t, got);
	ck_assert_int_eq(strncmp(got, want, 12), 0);
	strftime(want, sizeof(want), " %H:%M:%S GMT", &tm);
	ck_assert_str_eq(got + 16, want);
	ck_assert_int_eq(date_parse(str_from(got), NOW, &back), 0);
	ck_assert_int_eq(back, t);
}

START_TEST(format)
{
	int64_t	t;

	/* every day of 400 years, at times that wander */
	for (t = -7000000000; t < 6000000000; t += 86461)
		check_format(t);
	check_format(-62135596800);
	check_format(253402300799);
}
END_TEST

START_TEST(format_edges)
{
	char	got[DATE_LEN + 1] = "";

	date_format(INT64_MIN, got);
	ck_assert_str_eq(got, "Mon, 01 Jan 0001 00:00:00 GMT");
	date_format(INT64_MAX, got);
	ck_assert_str_eq(got, "Fri, 31 Dec 9999 23:59:59 GMT");
}
END_TEST

START_TEST(iso)
{
	char	got[DATE_ISO_LEN + 1] = "";

	date_iso(0, got);
	ck_assert_str_eq(got, "1970-01-01T00:00:00.000Z");
	date_iso(784111777123, got);
	ck_assert_str_eq(got, "1994-11-06T08:49:37.123Z");
	date_iso(UINT64_MAX, got);
	ck_assert_str_eq(got, "9999-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(clf)
{
	char	got[DATE_CLF_LEN + 1] = "";

	date_clf(0, got);
	ck_assert_str_eq(got, "[01/Jan/1970:00:00:00 +0000]");
	date_clf(784111777, got);
	ck_assert_str_eq(got, "[06/Nov/1994:08:49:37 +0000]");
	date_clf(UINT64_MAX, got);
	ck_assert_str_eq(got, "[31/Dec/9999:23:59:59 +0000]");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("http_date");
	TCase	*tc = tcase_create("date");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, parse, 0,
	    (int)(sizeof(dates) / sizeof(dates[0])));
	tcase_add_test(tc, format);
	tcase_add_test(tc, format_edges);
	tcase_add_test(tc, iso);
	tcase_add_test(tc, clf);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
