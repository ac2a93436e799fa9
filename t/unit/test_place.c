/*
 * Places of users other than root: which folder, and who may trust it.
 */
#include <sys/stat.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/place.h"

START_TEST(names)
{
	char	buf[64], want[64];

	ck_assert_int_eq(place_run_dir(buf, sizeof(buf),
	    STR("/run/user/7")), 0);
	ck_assert_str_eq(buf, "/run/user/7/sluice");
	snprintf(want, sizeof(want), "/tmp/sluice-%u", (unsigned)geteuid());
	ck_assert_int_eq(place_run_dir(buf, sizeof(buf), STR("")), 0);
	ck_assert_str_eq(buf, want);
	ck_assert_int_eq(place_run_dir(buf, 8, STR("")), -1);
}
END_TEST

START_TEST(trust)
{
	char		dir[] = "/tmp/sluice-place-XXXXXX", link[64];
	struct err	e;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(place_check(dir, &e), 0);
	ck_assert_int_eq(chmod(dir, 0770), 0);
	ck_assert_int_eq(place_check(dir, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "others may write"));
	ck_assert_int_eq(chmod(dir, 0702), 0);
	ck_assert_int_eq(place_check(dir, &e), -1);
	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(place_check(dir, &e), 0);
	snprintf(link, sizeof(link), "%s.link", dir);
	ck_assert_int_eq(symlink(dir, link), 0);
	ck_assert_int_eq(place_check(link, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "is no directory"));
	ck_assert_int_eq(unlink(link), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(dir, 65534, 65534), 0);
		ck_assert_int_eq(place_check(dir, &e), -1);
		ck_assert_ptr_nonnull(strstr(e.text, "belongs to user 65534"));
	}
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(place_check(dir, &e), -1);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("place");
	TCase	*c = tcase_create("place");
	SRunner	*r;
	int	 bad;

	tcase_add_test(c, names);
	tcase_add_test(c, trust);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? 0 : 1;
}
