/*
 * The names that are meant by one: domains and dots of resolv.conf.
 */
#include "control/search.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct search	s;

/* All names for one, with spaces between. */
static const char *
names(const char *name)
{
	static char	out[8192];
	char		one[DNS_NAME];

	out[0] = '\0';
	for (unsigned i = 0; search_name(&s, name, i, one); i++) {
		ck_assert_uint_lt(i, SEARCH_DOMAINS + 1);
		if (i > 0)
			strncat(out, " ", sizeof(out) - strlen(out) - 1);
		strncat(out, one, sizeof(out) - strlen(out) - 1);
	}
	return out;
}

static void
say(const char *text)
{
	memset(&s, 0, sizeof(s));
	s.ndots = 1;
	search_read(&s, str_from(text));
}

START_TEST(test_order)
{
	say("nameserver 1.2.3.4\nsearch a.test\tb.test.\n");
	ck_assert_str_eq(names("x"), "x.a.test x.b.test x");
	ck_assert_str_eq(names("x.y"), "x.y x.y.a.test x.y.b.test");
	ck_assert_str_eq(names("x."), "x");
	say("options edns0 ndots:2 rotate\nsearch a.test");
	ck_assert_str_eq(names("x.y"), "x.y.a.test x.y");
	ck_assert_str_eq(names("x.y.z"), "x.y.z x.y.z.a.test");
	say("");
	ck_assert_str_eq(names("x"), "x");
	ck_assert_str_eq(names("x.y"), "x.y");
}
END_TEST

START_TEST(test_text)
{
	/* the last holds; of a domain the first word */
	say("search a.test\ndomain b.test c.test\n");
	ck_assert_str_eq(names("x"), "x.b.test x");
	say("domain b.test\nsearch a.test\n#search c.test\n;search d.test\n");
	ck_assert_str_eq(names("x"), "x.a.test x");
	say("search .\n\n \noptions ndots:x\nsearchable d.test\n");
	ck_assert_str_eq(names("x"), "x");
	say("options ndots:999\nsearch a.test");
	ck_assert_uint_eq(s.ndots, SEARCH_NDOTS);
}
END_TEST

START_TEST(test_bounds)
{
	char	text[2 * DNS_NAME], name[DNS_NAME];

	snprintf(text, sizeof(text), "search");
	for (unsigned i = 0; i < SEARCH_DOMAINS + 4; i++)
		strncat(text, " d.test", 8);
	say(text);
	ck_assert_uint_eq(s.n, SEARCH_DOMAINS);
	/* a domain that is too long is left out, and a name of no use */
	memset(text, 'x', sizeof(text));
	memcpy(text, "search a ", 9);
	text[9 + DNS_NAME] = '\0';
	say(text);
	ck_assert_uint_eq(s.n, 1);
	memset(name, 'y', sizeof(name));
	name[DNS_NAME - 1] = '\0';
	ck_assert_str_eq(names(name), "");
	name[DNS_NAME - 2] = '\0';
	ck_assert_str_eq(names(name), name);
}
END_TEST

/* What is too long with one domain is asked for with the others. */
START_TEST(test_passed_over)
{
	char	text[2 * DNS_NAME], want[4 * DNS_NAME], far[200];

	memset(far, 'x', sizeof(far));
	far[sizeof(far) - 1] = '\0';
	snprintf(text, sizeof(text), "search a.test %s b.test", far);
	say(text);
	ck_assert_uint_eq(s.n, 3);
	memset(far, 'y', 80);
	far[80] = '\0';
	snprintf(want, sizeof(want), "%s.a.test %s.b.test %s", far, far, far);
	ck_assert_str_eq(names(far), want);
	far[40] = '.';
	snprintf(want, sizeof(want), "%s %s.a.test %s.b.test", far, far, far);
	ck_assert_str_eq(names(far), want);
}
END_TEST

START_TEST(test_environment)
{
	char	path[] = "/tmp/search-XXXXXX";
	int	fd = mkstemp(path);
	FILE	*f = fdopen(fd, "w");

	fputs("search file.test\noptions ndots:3\n", f);
	fclose(f);
	unsetenv("LOCALDOMAIN");
	unsetenv("RES_OPTIONS");
	search_load(&s, path);
	ck_assert_str_eq(names("x.y"), "x.y.file.test x.y");
	setenv("LOCALDOMAIN", "one.test two.test", 1);
	setenv("RES_OPTIONS", "debug ndots:2", 1);
	search_load(&s, path);
	ck_assert_str_eq(names("x.y"), "x.y.one.test x.y.two.test x.y");
	ck_assert_uint_eq(s.ndots, 2);
	setenv("LOCALDOMAIN", "", 1);
	search_load(&s, path);
	ck_assert_str_eq(names("x"), "x");
	remove(path);
}
END_TEST

int
main(void)
{
	Suite	*su = suite_create("search");
	TCase	*tc = tcase_create("search");
	SRunner	*r;
	int	 failed;

	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_text);
	tcase_add_test(tc, test_bounds);
	tcase_add_test(tc, test_passed_over);
	tcase_add_test(tc, test_environment);
	suite_add_tcase(su, tc);
	r = srunner_create(su);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
