/*
 * Targets, hosts and paths, as tables.
 */
#include <check.h>
#include <stdlib.h>

#include "http/uri.h"

static struct arena	a;

static void
setup(void)
{
	arena_init(&a, NULL);
}

static void
teardown(void)
{
	arena_fini(&a);
}

#define BAD	FAIL_BAD_PATH
#define ABOVE	FAIL_PATH_ABOVE_ROOT

/* out NULL: refused with why, whether slashes are kept or not */
static const struct {
	const char	*in;
	const char	*out;
	enum fail	 why;
} paths[] = {
	{ "/", "/", 0 },
	{ "/a/b.c", "/a/b.c", 0 },
	{ "/a//b///", "/a//b///", 0 },
	{ "//a", "//a", 0 },
	{ "/%61%2D%2e%5F%7e%5a", "/a-._~Z", 0 },
	{ "/%20%c3%a9", "/%20%C3%A9", 0 },
	{ "/%C3%A9", "/%C3%A9", 0 },
	{ "/%2541", "/%2541", 0 },
	{ "/%25%34%31", "/%2541", 0 },
	{ "/!$&'()*+,;=:@", "/!$&'()*+,;=:@", 0 },
	{ "/a\"<>[]^`{|}", "/a\"<>[]^`{|}", 0 },
	{ "/%0d%0a", "/%0D%0A", 0 },
	{ "/%3F%23", "/%3F%23", 0 },
	{ "/.", "/", 0 },
	{ "/./", "/", 0 },
	{ "/./a", "/a", 0 },
	{ "/a/.", "/a/", 0 },
	{ "/a/./b", "/a/b", 0 },
	{ "/a/..", "/", 0 },
	{ "/a/../", "/", 0 },
	{ "/a/b/..", "/a/", 0 },
	{ "/a/b/../c", "/a/c", 0 },
	{ "/a/b/c/../../d", "/a/d", 0 },
	{ "/a//../b", "/a/b", 0 },
	{ "//..", "/", 0 },
	{ "/a/%2e%2E/b", "/b", 0 },
	{ "/a/.%2e/b", "/b", 0 },
	{ "/a/%2e/b", "/a/b", 0 },
	{ "/%20/a//b/../c/", "/%20/a//c/", 0 },
	{ "/%20/./a/../..", "/", 0 },
	{ "/.a", "/.a", 0 },
	{ "/..a", "/..a", 0 },
	{ "/a..", "/a..", 0 },
	{ "/...", "/...", 0 },
	{ "/a./b", "/a./b", 0 },
	{ "/..", NULL, ABOVE },
	{ "/../", NULL, ABOVE },
	{ "/../a", NULL, ABOVE },
	{ "/a/../..", NULL, ABOVE },
	{ "/a/../../b", NULL, ABOVE },
	{ "/%2e%2e/a", NULL, ABOVE },
	{ "/./..", NULL, ABOVE },
	{ "/%00", NULL, BAD },
	{ "/a%0", NULL, BAD },
	{ "/a%", NULL, BAD },
	{ "/%g0", NULL, BAD },
	{ "/%0g", NULL, BAD },
	{ "/%%41", NULL, BAD },
	{ "/%u0041", NULL, BAD },
	{ "/a b", NULL, BAD },
	{ "/a\tb", NULL, BAD },
	{ "/a\rb", NULL, BAD },
	{ "/caf\xc3\xa9", NULL, BAD },
	{ "/a?b", NULL, BAD },
	{ "/a#b", NULL, BAD },
	{ "a", NULL, BAD },
	{ "*", NULL, BAD }
};

START_TEST(path)
{
	struct str	in = str_from(paths[_i].in);
	struct str	out;
	int		keep;

	for (keep = 0; keep < 2; keep++) {
		ck_assert_msg(uri_normalise(&a, in, keep, &out) ==
		    paths[_i].why, "%s", paths[_i].in);
		if (paths[_i].out == NULL)
			continue;
		ck_assert_msg(str_eq(out, str_from(paths[_i].out)),
		    "%s became %.*s", paths[_i].in, STR_FMT(out));
		if (str_eq(in, out))
			ck_assert_ptr_eq(in.p, out.p);
	}
}
END_TEST

START_TEST(kept_slashes)
{
	struct str	out;

	ck_assert_int_eq(uri_normalise(&a, STR("/a%2fb"), false, &out), BAD);
	ck_assert_int_eq(uri_normalise(&a, STR("/a%5Cb"), false, &out), BAD);
	ck_assert_int_eq(uri_normalise(&a, STR("/a\\b"), false, &out), BAD);
	ck_assert_int_eq(uri_normalise(&a, STR("/a%2f..%5c\\"), true, &out),
	    FAIL_NONE);
	ck_assert(str_eq(out, STR("/a%2F..%5C%5C")));
	ck_assert_int_eq(uri_normalise(&a, STR(""), false, &out), FAIL_NONE);
	ck_assert_uint_eq(out.n, 0);
}
END_TEST

static const struct {
	const char	*in;
	const char	*out;	/* NULL: refused */
} decodes[] = {
	{ "", "" },
	{ "/a", "/a" },
	{ "%2F%41+", "/A+" },
	{ "caf%C3%a9", "caf\xc3\xa9" },
	{ "%2541", "%41" },
	{ "%00", NULL },
	{ "a%4", NULL },
	{ "%", NULL },
	{ "%zz", NULL }
};

START_TEST(decode)
{
	struct str	out;
	int		rc = uri_decode(&a, str_from(decodes[_i].in), &out);

	ck_assert_int_eq(rc, decodes[_i].out == NULL ? -1 : 0);
	if (rc == 0)
		ck_assert(str_eq(out, str_from(decodes[_i].out)));
}
END_TEST

static const struct {
	const char	*in;
	const char	*host;	/* NULL: refused */
	int		 port;
} hosts[] = {
	{ "a", "a", -1 },
	{ "a.example:8080", "a.example", 8080 },
	{ "A-b_c~d.", "A-b_c~d.", -1 },
	{ "a:", "a", -1 },
	{ "a:0", "a", 0 },
	{ "a:00080", "a", 80 },
	{ "a:65535", "a", 65535 },
	{ "127.0.0.1:1", "127.0.0.1", 1 },
	{ "[::1]", "[::1]", -1 },
	{ "[2001:db8::1.2.3.4]:443", "[2001:db8::1.2.3.4]", 443 },
	{ "", NULL, 0 },
	{ ":80", NULL, 0 },
	{ "a:65536", NULL, 0 },
	{ "a:000080", NULL, 0 },
	{ "a:-1", NULL, 0 },
	{ "a:+1", NULL, 0 },
	{ "a:8x", NULL, 0 },
	{ "a:1:2", NULL, 0 },
	{ "a b", NULL, 0 },
	{ "a/b", NULL, 0 },
	{ "u@a", NULL, 0 },
	{ "a%41", NULL, 0 },
	{ "a,b", NULL, 0 },
	{ ".a", NULL, 0 },
	{ "a..b", NULL, 0 },
	{ ".", NULL, 0 },
	{ "[::1", NULL, 0 },
	{ "[]", NULL, 0 },
	{ "[::1]x", NULL, 0 },
	{ "[::1%25lo]", NULL, 0 },
	{ "[::g]", NULL, 0 },
	{ "[1.2.3.4]", NULL, 0 },
	{ "::1", NULL, 0 },
	{ "caf\xc3\xa9", NULL, 0 }
};

START_TEST(host)
{
	struct str	got;
	int		port;
	enum fail	why;

	why = uri_parse_host(str_from(hosts[_i].in), &got, &port);
	ck_assert_int_eq(why,
	    hosts[_i].host == NULL ? FAIL_BAD_HOST : FAIL_NONE);
	if (why != FAIL_NONE)
		return;
	ck_assert(str_eq(got, str_from(hosts[_i].host)));
	ck_assert_int_eq(port, hosts[_i].port);
}
END_TEST

START_TEST(target)
{
	struct uri	u;

	ck_assert_int_eq(uri_parse_target(STR("/a?b?c"), false, &u), 0);
	ck_assert(str_eq(u.path, STR("/a")) && str_eq(u.query, STR("b?c")));
	ck_assert(u.has_query && !u.star && u.authority.n == 0);
	ck_assert_int_eq(uri_parse_target(STR("/a?"), false, &u), 0);
	ck_assert(u.has_query && u.query.n == 0);
	ck_assert_int_eq(uri_parse_target(STR("/a"), false, &u), 0);
	ck_assert(!u.has_query);
	ck_assert_int_eq(uri_parse_target(STR("*"), false, &u), 0);
	ck_assert(u.star && u.path.n == 0);
	ck_assert_int_eq(uri_parse_target(STR("http://a:1/b"), false, &u), 0);
	ck_assert(str_eq(u.scheme, STR("http")));
	ck_assert(str_eq(u.authority, STR("a:1")));
	ck_assert(str_eq(u.path, STR("/b")));
	ck_assert_int_eq(uri_parse_target(STR("x+y-1.z://a?q"), false, &u),
	    0);
	ck_assert(u.path.n == 0 && str_eq(u.query, STR("q")));
	ck_assert_int_eq(uri_parse_target(STR("a:443"), true, &u), 0);
	ck_assert(str_eq(u.authority, STR("a:443")) && u.path.n == 0);
	ck_assert_int_eq(uri_parse_target(STR("a"), true, &u),
	    FAIL_BAD_TARGET);
	ck_assert_int_eq(uri_parse_target(STR(""), false, &u),
	    FAIL_BAD_TARGET);
	ck_assert_int_eq(uri_parse_target(STR("a/b"), false, &u),
	    FAIL_BAD_TARGET);
	ck_assert_int_eq(uri_parse_target(STR("/a#b"), false, &u),
	    FAIL_BAD_TARGET);
}
END_TEST

#define N(v)	(int)(sizeof(v) / sizeof((v)[0]))

int
main(void)
{
	Suite	*s = suite_create("http_uri");
	TCase	*tc = tcase_create("uri");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, path, 0, N(paths));
	tcase_add_test(tc, kept_slashes);
	tcase_add_loop_test(tc, decode, 0, N(decodes));
	tcase_add_loop_test(tc, host, 0, N(hosts));
	tcase_add_test(tc, target);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
