/*
 * Ranges, as a table; the answer is written as text.
 */
#include <check.h>
#include <stdlib.h>

#include "base/text.h"
#include "http/range.h"

#define TEN	"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9"

static const struct {
	const char	*in;
	uint64_t	 size;
	const char	*out;	/* "none", "416" or ranges */
} ranges[] = {
	{ "bytes=0-4", 10, "0-4 " },
	{ "bytes=0-0", 10, "0-0 " },
	{ "BYTES=0-0", 10, "0-0 " },
	{ "bytes=5-", 10, "5-9 " },
	{ "bytes=0-", 10, "0-9 " },
	{ "bytes=9-9", 10, "9-9 " },
	{ "bytes=0-9", 10, "0-9 " },
	{ "bytes=0-10", 10, "0-9 " },
	{ "bytes=5-18446744073709551616", 10, "5-9 " },
	{ "bytes=-3", 10, "7-9 " },
	{ "bytes=-10", 10, "0-9 " },
	{ "bytes=-99999999999999999999999", 10, "0-9 " },
	{ "bytes=0-0,-1", 10, "0-0 9-9 " },
	{ "bytes=\t0-0 , ,\t4-5,", 10, "0-0 4-5 " },
	{ "bytes=7-8,0-1", 10, "7-8 0-1 " },
	{ "bytes=20-30,0-1", 10, "0-1 " },
	{ "bytes=-0,0-1", 10, "0-1 " },
	{ "bytes=0-1", UINT64_MAX, "0-1 " },
	{ "bytes=-1", UINT64_MAX,
	    "18446744073709551614-18446744073709551614 " },
	{ TEN, 10, "0-9 " },
	{ "bytes=0-,0-", 10, "0-9 " },
	{ "bytes=0-5,5-9", 10, "0-9 " },
	{ "bytes=0-1,3-4", 10, "0-1 3-4 " },
	{ "bytes=0-1,2-4", 10, "0-4 " },
	{ "bytes=2-4,0-1", 10, "0-4 " },
	{ "bytes=0-1,4-5,8-9,3-8", 10, "0-1 3-9 " },
	{ "bytes=8-9,0-1,4-5,1-8", 10, "0-9 " },
	{ "bytes=0-1,8-9,-2", 10, "0-1 8-9 " },
	{ "bytes=6-7,0-1,7-8", 10, "6-8 0-1 " },
	{ "bytes=0-1,6-7,5-6", 10, "0-1 5-7 " },
	{ "bytes=5-5,-1,5-6", UINT64_MAX, "5-6 "
	    "18446744073709551614-18446744073709551614 " },
	{ "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,"
	    "22-22,24-24,26-26,28-28,30-30", 99, "0-0 2-2 4-4 6-6 8-8 10-10 "
	    "12-12 14-14 16-16 18-18 20-20 22-22 24-24 26-26 28-28 30-30 " },
	{ "bytes=10-", 10, "416" },
	{ "bytes=10-20", 10, "416" },
	{ "bytes=99999999999999999999-", 10, "416" },
	{ "bytes=-0", 10, "416" },
	{ "bytes=0-", 0, "416" },
	{ "bytes=0-0", 0, "416" },
	{ "bytes=-5", 0, "none" },
	{ "", 10, "none" },
	{ "bytes", 10, "none" },
	{ "bytes=", 10, "none" },
	{ "bytes=,", 10, "none" },
	{ "bytes=-", 10, "none" },
	{ "bytes=5", 10, "none" },
	{ "bytes=4-2", 10, "none" },
	{ "bytes=4-2,0-1", 10, "none" },
	{ "bytes=0-1,x", 10, "none" },
	{ "bytes=a-b", 10, "none" },
	{ "bytes=+1-2", 10, "none" },
	{ "bytes=1-+2", 10, "none" },
	{ "bytes=--1", 10, "none" },
	{ "bytes=1--2", 10, "none" },
	{ "bytes=1 -2", 10, "none" },
	{ "bytes=0x1-2", 10, "none" },
	{ "bytes = 0-1", 10, "none" },
	{ "bytes:0-1", 10, "none" },
	{ "items=0-1", 10, "none" },
	{ " bytes=0-1", 10, "none" },
	{ TEN "," TEN, 10, "none" },
	{ "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,"
	    "22-22,24-24,26-26,28-28,30-30,32-32", 99, "none" }
};

START_TEST(range)
{
	struct range	v[RANGE_MAX];
	struct text	t;
	unsigned	n;
	unsigned	i;
	enum range_rc	rc;

	text_init(&t);
	rc = range_parse(str_from(ranges[_i].in), ranges[_i].size, v, &n);
	if (rc == RANGE_NONE)
		text_add(&t, STR("none"));
	else if (rc == RANGE_UNSATISFIABLE)
		text_add(&t, STR("416"));
	for (i = 0; rc == RANGE_OK && i < n; i++)
		text_fmt(&t, "%llu-%llu ", (unsigned long long)v[i].first,
		    (unsigned long long)v[i].last);
	ck_assert_msg(str_eq(text_str(&t), str_from(ranges[_i].out)),
	    "%s: '%.*s', not '%s'", ranges[_i].in, STR_FMT(t),
	    ranges[_i].out);
	text_fini(&t);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("http_range");
	TCase	*tc = tcase_create("range");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, range, 0,
	    (int)(sizeof(ranges) / sizeof(ranges[0])));
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
