/*
 * Methods, reasons and fields; the runs of allowed bytes, with and without
 * SSE2.
 */
#include <check.h>
#include <ctype.h>
#include <stdlib.h>

#include "base/rand.h"
#include "base/scan.h"
#include "http/msg.h"

static struct arena	a;
static struct hdrs	hs;

static void
setup(void)
{
	arena_init(&a, NULL);
	hs = (struct hdrs){ 0 };
}

static void
teardown(void)
{
	arena_fini(&a);
}

static void
add(const char *name, const char *val)
{
	hdr_add_name(&a, &hs, str_from(name), str_from(val));
}

static void
expect_str(struct str got, const char *want)
{
	ck_assert_msg(str_eq(got, str_from(want)), "'%.*s' is not '%s'",
	    STR_FMT(got), want);
}

START_TEST(methods)
{
	struct str	s;
	unsigned	i;

	for (i = METHOD_OTHER + 1; i < METHOD_N; i++) {
		s = msg_method_text(i);
		ck_assert_uint_gt(s.n, 0);
		ck_assert_uint_eq(msg_method(s), i);
	}
	expect_str(msg_method_text(METHOD_OTHER), "");
	expect_str(msg_method_text(METHOD_PATCH), "PATCH");
	ck_assert_uint_eq(msg_method(STR("get")), METHOD_OTHER);
	ck_assert_uint_eq(msg_method(STR("GEX")), METHOD_OTHER);
	ck_assert_uint_eq(msg_method(STR("HEAP")), METHOD_OTHER);
	ck_assert_uint_eq(msg_method(STR("")), METHOD_OTHER);
	ck_assert_uint_eq(msg_method(STR("PROPFIND")), METHOD_OTHER);
	ck_assert(msg_is_idempotent(METHOD_GET));
	ck_assert(msg_is_idempotent(METHOD_DELETE));
	ck_assert(!msg_is_idempotent(METHOD_POST));
	ck_assert(!msg_is_idempotent(METHOD_PATCH));
	ck_assert(!msg_is_idempotent(METHOD_CONNECT));
	ck_assert(!msg_is_idempotent(METHOD_OTHER));
}
END_TEST

START_TEST(reasons)
{
	expect_str(msg_reason(100), "Continue");
	expect_str(msg_reason(200), "OK");
	expect_str(msg_reason(404), "Not Found");
	expect_str(msg_reason(431), "Request Header Fields Too Large");
	expect_str(msg_reason(451), "Unavailable For Legal Reasons");
	expect_str(msg_reason(511), "Network Authentication Required");
	expect_str(msg_reason(299), "");
	expect_str(msg_reason(418), "");
	expect_str(msg_reason(0), "");
	expect_str(msg_reason(600), "");
}
END_TEST

/* Each row is found in any case, and no name that is nearly one. */
START_TEST(ids)
{
	char		name[64];
	struct str	s;
	unsigned	id;
	size_t		i;

	for (id = HDR_OTHER + 1; id < HDR_N; id++) {
		s = hdr_name(id);
		ck_assert_uint_eq(hdr_find_id(s), id);
		for (i = 0; i < s.n; i++)
			name[i] = (char)toupper((unsigned char)s.p[i]);
		ck_assert_uint_eq(hdr_find_id(str_make(name, s.n)), id);
		for (i = 0; i < s.n; i++) {
			memcpy(name, s.p, s.n);
			name[i] ^= 0x05;
			ck_assert_uint_eq(hdr_find_id(str_make(name, s.n)),
			    HDR_OTHER);
		}
		ck_assert_uint_ne(hdr_find_id(str_sub(s, 1, s.n)), id);
	}
	ck_assert_uint_eq(hdr_find_id(STR("")), HDR_OTHER);
	ck_assert_uint_eq(hdr_find_id(STR("x")), HDR_OTHER);
	ck_assert_uint_eq(hdr_find_id(STR("x-forwarded-protocols")),
	    HDR_OTHER);
	/* a folded letter is a letter: '@' | 0x20 is no '`' */
	ck_assert_uint_eq(hdr_find_id(STR("ho\x13t")), HDR_OTHER);
	ck_assert_uint_eq(hdr_find_id(STR("content\rtype")), HDR_OTHER);
	ck_assert(hdr_flags(HDR_CONNECTION) & HDR_F_HOP);
	ck_assert(hdr_flags(HDR_CONTENT_LENGTH) & HDR_F_FRAME);
	ck_assert_uint_eq(hdr_flags(HDR_OTHER), 0);
}
END_TEST

START_TEST(get_and_next)
{
	struct hdr	*h;

	add("Vary", "a");
	add("X-One", "1");
	add("vARY", "b");
	expect_str(hdr_val(&hs, HDR_VARY), "a");
	h = hdr_get(&hs, HDR_VARY);
	expect_str(h->name, "Vary");
	h = hdr_next(&hs, HDR_VARY, h);
	expect_str(h->val, "b");
	ck_assert_ptr_null(hdr_next(&hs, HDR_VARY, h));
	expect_str(hdr_get_name(&hs, STR("x-ONE"))->val, "1");
	expect_str(hdr_get_name(&hs, STR("VARY"))->val, "a");
	ck_assert_ptr_null(hdr_get_name(&hs, STR("x-two")));
	ck_assert_ptr_null(hdr_get(&hs, HDR_DATE));
	ck_assert_ptr_null(hdr_val(&hs, HDR_DATE).p);
}
END_TEST

START_TEST(del_and_set)
{
	add("Vary", "a");
	add("Vary", "b");
	add("X-One", "1");
	hdr_del(&hs, HDR_VARY);
	ck_assert_ptr_null(hdr_get(&hs, HDR_VARY));
	hdr_set(&a, &hs, HDR_VARY, STR("c"));
	hdr_set(&a, &hs, HDR_VARY, STR("d"));
	expect_str(hdr_val(&hs, HDR_VARY), "d");
	ck_assert_ptr_null(hdr_next(&hs, HDR_VARY, hdr_get(&hs, HDR_VARY)));
	expect_str(hdr_get(&hs, HDR_VARY)->name, "vary");
}
END_TEST

START_TEST(copy_is_deep)
{
	char		name[] = "X-One";
	char		val[] = "1";
	struct hdrs	dst = { 0 };

	hdr_add_name(&a, &hs, str_from(name), str_from(val));
	add("Vary", "gone");
	hdr_del(&hs, HDR_VARY);
	hdr_add(&a, &hs, HDR_DATE, STR("now"));
	hdr_copy(&a, &dst, &hs);
	memset(name, 'z', 5);
	memset(val, 'z', 1);
	ck_assert_uint_eq(dst.n, 2);
	expect_str(dst.v[0].name, "X-One");
	expect_str(dst.v[0].val, "1");
	ck_assert_ptr_eq(dst.v[1].name.p, hdr_name(HDR_DATE).p);
}
END_TEST

START_TEST(grows)
{
	unsigned	i;

	for (i = 0; i < 1000; i++)
		hdr_add(&a, &hs, i == 999 ? HDR_AGE : HDR_VIA, STR("v"));
	ck_assert_uint_eq(hs.n, 1000);
	ck_assert_ptr_eq(hdr_get(&hs, HDR_AGE), &hs.v[999]);
}
END_TEST

START_TEST(tokens)
{
	struct str	rest = STR(" a ,, b\t,");
	struct str	word;

	add("Connection", "keep-alive, Upgrade ,");
	add("Connection", "x");
	ck_assert(hdr_has_token(&hs, HDR_CONNECTION, STR("upgrade")));
	ck_assert(hdr_has_token(&hs, HDR_CONNECTION, STR("X")));
	ck_assert(!hdr_has_token(&hs, HDR_CONNECTION, STR("up")));
	ck_assert(!hdr_has_token(&hs, HDR_VIA, STR("x")));
	ck_assert(hdr_cut_element(&rest, &word));
	expect_str(word, "a");
	ck_assert(hdr_cut_element(&rest, &word));
	expect_str(word, "");
	ck_assert(hdr_cut_element(&rest, &word));
	expect_str(word, "b");
	ck_assert(hdr_cut_element(&rest, &word));
	expect_str(word, "");
	ck_assert(!hdr_cut_element(&rest, &word));
}
END_TEST

START_TEST(classes)
{
	ck_assert(hdr_is_token(STR("a-Z09!#$%&'*+.^_`|~")));
	ck_assert(!hdr_is_token(STR("")));
	ck_assert(!hdr_is_token(STR("a b")));
	ck_assert(!hdr_is_token(STR("a\xe4")));
	ck_assert(hdr_is_value(STR("")));
	ck_assert(hdr_is_value(STR("a \t\xe4~")));
	ck_assert(!hdr_is_value(STR("a\r")));
	ck_assert(!hdr_is_value(STR("\n0123456789abcdef")));
	ck_assert(!hdr_is_value(STR("0123456789abcdef\x7f")));
	ck_assert(!hdr_is_value(STR("\0")));
}
END_TEST

/* One odd byte at every place of every length around the step. */
START_TEST(scan_each_byte)
{
	char		buf[50];
	struct str	s;
	size_t		n;
	size_t		at;
	int		c;

	for (c = 0; c < 256; c++)
		for (n = 1; n <= sizeof(buf); n += n < 36 ? 1 : 7)
			for (at = 0; at < n; at++) {
				memset(buf, 'a', sizeof(buf));
				buf[at] = (char)c;
				s = str_make(buf, n);
				ck_assert_uint_eq(scan_value(s),
				    scan_plain(s, SCAN_VALUE));
				ck_assert_uint_eq(scan_target(s),
				    scan_plain(s, SCAN_TARGET));
				ck_assert_uint_eq(scan_token(s),
				    scan_plain(s, SCAN_TOKEN));
			}
}
END_TEST

/* The first of a byte, at every place of every length around the step. */
START_TEST(scan_first)
{
	char		buf[50];
	size_t		n, at;
	unsigned	bits;

	for (n = 0; n <= sizeof(buf); n++)
		for (at = 0; at <= n; at++) {
			memset(buf, 'a', sizeof(buf));
			if (at < n)
				buf[at] = ':';
			if (at + 1 < n)
				buf[n - 1] = ':';
			ck_assert_uint_eq(scan_to(str_make(buf, n), ':'), at);
		}
	for (at = 0; at < SCAN_STEP; at++) {
		memset(buf, 'a', sizeof(buf));
		buf[at] = buf[3] = ':';
		bits = 1U << at | 1U << 3;
		ck_assert_uint_eq(scan_bits(buf, ':'), bits);
	}
}
END_TEST

/* What is plain in a path is a part of what a target may have. */
START_TEST(scan_of_paths)
{
	char	c;

	for (int i = 0; i < 256; i++) {
		c = (char)i;
		ck_assert_int_eq(scan_path(str_make(&c, 1)) == 1,
		    i > 0x20 && i < 0x7f && strchr("%\\#?.", i) == NULL);
	}
}
END_TEST

START_TEST(scan_random)
{
	struct rand	r;
	char		buf[64];
	struct str	s;
	unsigned	i;
	size_t		k;

	rand_seed(&r);
	for (i = 0; i < 200000; i++) {
		for (k = 0; k < sizeof(buf); k++)
			buf[k] = (char)(rand_below(&r, 12) == 0 ?
			    rand_next(&r) : ' ' + rand_below(&r, 95));
		k = rand_below(&r, 16);
		s = str_make(buf + k, rand_below(&r, sizeof(buf) - k));
		ck_assert_uint_eq(scan_value(s), scan_plain(s, SCAN_VALUE));
		ck_assert_uint_eq(scan_target(s),
		    scan_plain(s, SCAN_TARGET));
	}
}
END_TEST

/* The table against the grammar (RFC 9110 5.5 and 5.6.2). */
START_TEST(scan_table)
{
	unsigned	c;

	for (c = 0; c < 256; c++) {
		ck_assert_int_eq(scan_is((char)c, SCAN_TOKEN), c < 128 &&
		    c != 0 && (isalnum((int)c) ||
		    strchr("!#$%&'*+-.^_`|~", (int)c) != NULL));
		ck_assert_int_eq(scan_is((char)c, SCAN_VALUE),
		    c == '\t' || (c >= ' ' && c != 127));
		ck_assert_int_eq(scan_is((char)c, SCAN_TARGET),
		    c > ' ' && c < 127);
		ck_assert_int_eq(scan_is((char)c, SCAN_NAME), c < 128 &&
		    c != 0 && (isalnum((int)c) ||
		    strchr("-._~", (int)c) != NULL));
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("http_hdr");
	TCase	*tc = tcase_create("hdr");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, methods);
	tcase_add_test(tc, reasons);
	tcase_add_test(tc, ids);
	tcase_add_test(tc, get_and_next);
	tcase_add_test(tc, del_and_set);
	tcase_add_test(tc, copy_is_deep);
	tcase_add_test(tc, grows);
	tcase_add_test(tc, tokens);
	tcase_add_test(tc, classes);
	tcase_add_test(tc, scan_each_byte);
	tcase_add_test(tc, scan_first);
	tcase_add_test(tc, scan_of_paths);
	tcase_add_test(tc, scan_random);
	tcase_add_test(tc, scan_table);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
