/*
 * Text: growth, fixed ones that are cut, and the three escapings.
 */
#include <check.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/text.h"

#define FFFD	"\xef\xbf\xbd"

struct pair {
	struct str	in;
	struct str	out;
};

typedef void (*add_fn)(struct text *, struct str);

static void
ck_text(struct text *t, struct str want)
{
	struct str	got = text_str(t);

	if (!str_eq(got, want))
		ck_abort_msg("got '%.*s', want '%.*s'", STR_FMT(got),
		    STR_FMT(want));
	t->n = 0;
}

/* In a growing text, and in a fixed one of exactly the right size. */
static void
ck_pairs(add_fn add, const struct pair *p, size_t n)
{
	char		mem[128];
	struct text	t;
	size_t		i;

	for (i = 0; i < n; i++) {
		text_init(&t);
		add(&t, p[i].in);
		ck_text(&t, p[i].out);
		text_fini(&t);
		text_init_fixed(&t, mem, p[i].out.n);
		add(&t, p[i].in);
		ck_assert(!t.cut);
		ck_text(&t, p[i].out);
	}
}

#define CK_PAIRS(add, p)	ck_pairs((add), (p), sizeof(p) / sizeof(*(p)))

START_TEST(grows)
{
	struct text	t;
	size_t		i;

	text_init(&t);
	ck_assert_uint_eq(text_str(&t).n, 0);
	text_add(&t, STR_NONE);
	for (i = 0; i < 10000; i++) {
		text_c(&t, (char)('a' + i % 26));
		text_add(&t, STR("-\0-"));
	}
	ck_assert_uint_eq(t.n, 40000);
	for (i = 0; i < 10000; i++) {
		ck_assert_int_eq(t.p[i * 4], (char)('a' + i % 26));
		ck_assert_int_eq(t.p[i * 4 + 2], '\0');
	}
	ck_assert(!t.cut);
	text_fini(&t);
	ck_assert_ptr_null(t.p);
	text_c(&t, 'x');
	ck_text(&t, STR("x"));
	text_fini(&t);
}
END_TEST

START_TEST(one_large_piece)
{
	char		*big = malloc(100000);
	struct text	 t;

	memset(big, 'b', 100000);
	text_init(&t);
	text_c(&t, 'a');
	text_add(&t, str_make(big, 100000));
	ck_assert_uint_eq(t.n, 100001);
	ck_assert_int_eq(t.p[100000], 'b');
	text_fini(&t);
	free(big);
}
END_TEST

START_TEST(fixed_exact)
{
	char		mem[4] = "...!";
	struct text	t;

	text_init_fixed(&t, mem, 3);
	text_add(&t, STR("ab"));
	text_c(&t, 'c');
	ck_assert(!t.cut);
	text_add(&t, STR_NONE);
	ck_assert(!t.cut);
	text_c(&t, 'd');
	ck_assert(t.cut);
	ck_text(&t, STR("abc"));
	ck_assert_int_eq(mem[3], '!');
	text_fini(&t);
	ck_assert_ptr_eq(t.p, mem);
}
END_TEST

/* After the first cut nothing is added, though it would fit. */
START_TEST(fixed_is_a_beginning)
{
	char		mem[8];
	struct text	t;

	text_init_fixed(&t, mem, 8);
	text_add(&t, STR("abc"));
	text_json(&t, STR("a\x01"));
	ck_assert(t.cut);
	text_c(&t, 'z');
	text_add(&t, STR("z"));
	ck_text(&t, STR("abc\"a"));
	text_init_fixed(&t, mem, 4);
	text_add(&t, STR("abcdef"));
	ck_assert(t.cut);
	ck_text(&t, STR("abcd"));
	text_init_fixed(&t, NULL, 0);
	text_c(&t, 'x');
	ck_assert(t.cut);
	ck_assert_uint_eq(t.n, 0);
}
END_TEST

/* Escapes and characters are never split, whatever the room. */
START_TEST(fixed_cuts_between)
{
	char		mem[64];
	struct text	t;
	size_t		cap;

	for (cap = 0; cap < 40; cap++) {
		text_init_fixed(&t, mem, cap);
		text_safe(&t, STR("\x01\xe2\x82\xac\x02\xff"));
		ck_assert_uint_eq(t.n, cap < 4 ? 0 : cap < 7 ? 4 : cap < 11 ?
		    7 : cap < 15 ? 11 : 15);
		ck_assert_int_eq(t.cut, cap < 15);
		text_init_fixed(&t, mem, cap);
		text_html(&t, STR("<\"'\xc3\xbc"));
		ck_assert_uint_eq(t.n, cap < 4 ? 0 : cap < 10 ? 4 : cap < 15 ?
		    10 : cap < 17 ? 15 : 17);
		ck_assert_int_eq(t.cut, cap < 17);
	}
}
END_TEST

START_TEST(numbers)
{
	struct text	t;

	text_init(&t);
	text_u64(&t, 0);
	ck_text(&t, STR("0"));
	text_u64(&t, UINT64_MAX);
	ck_text(&t, STR("18446744073709551615"));
	text_i64(&t, 0);
	ck_text(&t, STR("0"));
	text_i64(&t, -1);
	ck_text(&t, STR("-1"));
	text_i64(&t, INT64_MIN);
	ck_text(&t, STR("-9223372036854775808"));
	text_i64(&t, INT64_MAX);
	ck_text(&t, STR("9223372036854775807"));
	text_fini(&t);
}
END_TEST

/* Around 512, where results stop going through the stack. */
START_TEST(fmt_lengths)
{
	char		mem[600];
	struct text	t;
	int		n;

	for (n = 505; n < 520; n++) {
		text_init(&t);
		text_fmt(&t, "%s", "<");
		text_fmt(&t, "%*d>", n, 7);
		ck_assert_uint_eq(t.n, (size_t)n + 2);
		ck_assert_int_eq(t.p[n], '7');
		ck_assert_int_eq(t.p[n + 1], '>');
		text_fini(&t);
		text_init_fixed(&t, mem, (size_t)n);
		text_fmt(&t, "%*d", n, 7);
		ck_assert(!t.cut);
		ck_assert_int_eq(mem[n - 1], '7');
		text_init_fixed(&t, mem, 500);
		text_fmt(&t, "%*d", n, 7);
		ck_assert(t.cut);
		ck_assert_uint_eq(t.n, 500);
	}
	text_init_fixed(&t, mem, 3);
	text_fmt(&t, "%d", 12345);
	ck_assert(t.cut);
	ck_text(&t, STR("123"));
}
END_TEST

START_TEST(json)
{
	static const struct pair	p[] = {
		{ STR_INIT(""), STR_INIT("\"\"") },
		{ { NULL, 0 }, STR_INIT("\"\"") },
		{ STR_INIT("/a?b=c&d='<>"), STR_INIT("\"/a?b=c&d='<>\"") },
		{ STR_INIT("a\"b\\c/"), STR_INIT("\"a\\\"b\\\\c/\"") },
		{ STR_INIT("\b\f\n\r\t"), STR_INIT("\"\\b\\f\\n\\r\\t\"") },
		{ STR_INIT("\0\x1f\x7f"),
		    STR_INIT("\"\\u0000\\u001f\\u007f\"") },
		{ STR_INIT("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"),
		    STR_INIT("\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"") },
		{ STR_INIT("\xc2\x9b" "31m\xc2\xa0"),
		    STR_INIT("\"\\u009b31m\xc2\xa0\"") },
		{ STR_INIT("a\xff" "b"), STR_INIT("\"a" FFFD "b\"") },
		{ STR_INIT("\xc3"), STR_INIT("\"" FFFD "\"") },
		{ STR_INIT("\xc3\""), STR_INIT("\"" FFFD "\\\"\"") },
		{ STR_INIT("\xe2\x82"), STR_INIT("\"" FFFD FFFD "\"") },
		{ STR_INIT("\xed\xa0\x80"),
		    STR_INIT("\"" FFFD FFFD FFFD "\"") },
		{ STR_INIT("\xc0\xafx"), STR_INIT("\"" FFFD FFFD "x\"") },
		{ STR_INIT("\xf4\x90\x80\x80"),
		    STR_INIT("\"" FFFD FFFD FFFD FFFD "\"") },
	};

	CK_PAIRS(text_json, p);
}
END_TEST

/* Every pair of bytes: UTF-8 throughout, no bare quote, no control. */
START_TEST(json_always_parses)
{
	char		in[2];
	struct text	t;
	struct str	s;
	size_t		i;
	int		a;
	int		b;

	text_init(&t);
	for (a = 0; a < 256; a++) {
		for (b = 0; b < 256; b++) {
			in[0] = (char)a;
			in[1] = (char)b;
			t.n = 0;
			text_json(&t, str_make(in, 2));
			s = str_sub(text_str(&t), 1, t.n - 1);
			ck_assert(enc_is_utf8(s));
			for (i = 0; i < s.n; i++) {
				ck_assert_int_ge((unsigned char)s.p[i], 0x20);
				ck_assert_int_ne(s.p[i], '"');
				i += s.p[i] == '\\';
			}
			ck_assert_uint_eq(i, s.n);
		}
	}
	text_fini(&t);
}
END_TEST

START_TEST(safe)
{
	static const struct pair	p[] = {
		{ STR_INIT(""), STR_INIT("") },
		{ STR_INIT("plain \"'\\<&"), STR_INIT("plain \"'\\<&") },
		{ STR_INIT("\x1b[31m\n\t\0"),
		    STR_INIT("\\x1b[31m\\x0a\\x09\\x00") },
		{ STR_INIT("\x7f\xff\xc3"), STR_INIT("\\x7f\\xff\\xc3") },
		{ STR_INIT("gr\xc3\xbcn"), STR_INIT("gr\xc3\xbcn") },
		{ STR_INIT("\xc2\x9b" "2J"), STR_INIT("\\xc2\\x9b2J") },
		{ STR_INIT("\xc2\xa0"), STR_INIT("\xc2\xa0") },
	};

	CK_PAIRS(text_safe, p);
}
END_TEST

START_TEST(html)
{
	static const struct pair	p[] = {
		{ STR_INIT(""), STR_INIT("") },
		{ STR_INIT("<a href=\"x\">'&'</a>"),
		    STR_INIT("&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;"
		    "&lt;/a&gt;") },
		{ STR_INIT("gr\xc3\xbcn\n\\"), STR_INIT("gr\xc3\xbcn\n\\") },
		{ STR_INIT("\xff\x7f\xc2\x85"), STR_INIT("\xff\x7f\xc2\x85") },
	};

	CK_PAIRS(text_html, p);
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		uint64_t	v;
		struct str	out;
	} p[] = {
		{ 0, STR_INIT("0") }, { 1, STR_INIT("1") },
		{ 1000, STR_INIT("1000") }, { 1023, STR_INIT("1023") },
		{ 1024, STR_INIT("1k") }, { 1025, STR_INIT("1025") },
		{ 10240, STR_INIT("10k") }, { 1048576, STR_INIT("1m") },
		{ 1572864, STR_INIT("1536k") },
		{ 1073741824, STR_INIT("1g") },
		{ 1ULL << 40, STR_INIT("1024g") },
		{ UINT64_MAX, STR_INIT("18446744073709551615") },
	};
	struct text	t;
	size_t		i;

	text_init(&t);
	for (i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		text_size(&t, p[i].v);
		ck_text(&t, p[i].out);
	}
	text_fini(&t);
}
END_TEST

START_TEST(times)
{
	static const struct {
		uint64_t	v;
		struct str	out;
	} p[] = {
		{ 0, STR_INIT("0s") }, { 1, STR_INIT("1ms") },
		{ 999, STR_INIT("999ms") }, { 1000, STR_INIT("1s") },
		{ 1500, STR_INIT("1500ms") }, { 3000, STR_INIT("3s") },
		{ 60000, STR_INIT("1m") }, { 75000, STR_INIT("75s") },
		{ 3600000, STR_INIT("1h") }, { 5400000, STR_INIT("90m") },
		{ 86400000, STR_INIT("1d") }, { 90000000, STR_INIT("25h") },
		{ UINT64_MAX, STR_INIT("18446744073709551615ms") },
	};
	struct text	t;
	size_t		i;

	text_init(&t);
	for (i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		text_time(&t, p[i].v);
		ck_text(&t, p[i].out);
	}
	text_fini(&t);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, grows);
	tcase_add_test(tc, one_large_piece);
	tcase_add_test(tc, fixed_exact);
	tcase_add_test(tc, fixed_is_a_beginning);
	tcase_add_test(tc, fixed_cuts_between);
	tcase_add_test(tc, numbers);
	tcase_add_test(tc, fmt_lengths);
	tcase_add_test(tc, json);
	tcase_add_test(tc, json_always_parses);
	tcase_add_test(tc, safe);
	tcase_add_test(tc, html);
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, times);
}

int
main(void)
{
	Suite	*s = suite_create("text");
	TCase	*tc = tcase_create("text");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	add_tests(tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
