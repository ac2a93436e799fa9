/*
 * Writing without bounds: every length, every byte at every place of a
 * text, and nothing written behind the end.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/put.h"

#define LEN	50

static void
ck_number(uint64_t v)
{
	char	got[PUT_U64_MAX + 1], want[PUT_U64_MAX + 2];
	char	*end;

	memset(got, '!', sizeof(got));
	snprintf(want, sizeof(want), "%" PRIu64, v);
	end = put_u64(got, v);
	ck_assert_int_eq(*end, '!');
	*end = '\0';
	ck_assert_str_eq(got, want);
}

START_TEST(numbers)
{
	uint64_t	v = 1;

	for (int i = 0; i < 20; i++, v *= 10) {
		ck_number(v - 1);
		ck_number(v);
		ck_number(v + 1);
		ck_number(v * 9 + v / 2);
	}
	ck_number(UINT64_MAX);
	for (v = 0; v < 20000; v++)
		ck_number(v);
}
END_TEST

START_TEST(with_zeroes)
{
	char	got[5] = "", want[5];

	for (unsigned i = 0; i < 10000; i++) {
		snprintf(want, sizeof(want), "%04u", i);
		ck_assert_ptr_eq(put_four(got, i), got + 4);
		ck_assert_str_eq(got, want);
		put_two(got, i % 100);
		ck_assert_int_eq(memcmp(got, want + 2, 2), 0);
	}
}
END_TEST

START_TEST(strings)
{
	char	from[LEN], to[LEN + 1];

	for (size_t i = 0; i < LEN; i++)
		from[i] = (char)('A' + i);
	for (size_t n = 0; n <= LEN; n++) {
		memset(to, '!', sizeof(to));
		ck_assert_ptr_eq(put_str(to, str_make(from, n)), to + n);
		ck_assert_int_eq(memcmp(to, from, n), 0);
		ck_assert_int_eq(to[n], '!');
	}
	ck_assert_ptr_eq(put_str(to, STR_NONE), to);
}
END_TEST

/* The same, a byte at a time. */
static size_t
slow_json(char *out, struct str s)
{
	char	*p = out;
	size_t	 n;

	*p++ = '"';
	for (size_t i = 0; i < s.n; i += n) {
		n = 1;
		if (s.p[i] >= ' ' && s.p[i] < 0x7f && s.p[i] != '"' &&
		    s.p[i] != '\\')
			*p++ = s.p[i];
		else
			p = put_json_escape(p, str_sub(s, i, s.n), &n);
	}
	*p++ = '"';
	return (size_t)(p - out);
}

static size_t
slow_safe(char *out, struct str s)
{
	char	*p = out;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] == 0x7f)
			p += snprintf(p, 5, "\\x%02x", (unsigned char)s.p[i]);
		else {
			if (s.p[i] == '"' || s.p[i] == '\\')
				*p++ = '\\';
			*p++ = s.p[i];
		}
	}
	return (size_t)(p - out);
}

/* A copy of exactly its size: a sanitizer sees what is read behind it. */
static void
ck_escaped(struct str s)
{
	char	 got[PUT_JSON_MAX(LEN) + 1], want[PUT_JSON_MAX(LEN) + 8];
	char	*own = malloc(s.n + 1);
	size_t	 n;

	memcpy(own + 1, s.p, s.n);
	s = str_make(own + 1, s.n);
	memset(got, '!', sizeof(got));
	n = slow_json(want, s);
	ck_assert_uint_le(n, PUT_JSON_MAX(s.n));
	ck_assert_uint_eq((size_t)(put_json(got, s) - got), n);
	ck_assert_int_eq(memcmp(got, want, n), 0);
	ck_assert_int_eq(got[n], '!');
	memset(got, '!', sizeof(got));
	n = slow_safe(want, s);
	ck_assert_uint_le(n, PUT_SAFE_MAX(s.n));
	ck_assert_uint_eq((size_t)(put_safe(got, s) - got), n);
	ck_assert_int_eq(memcmp(got, want, n), 0);
	ck_assert_int_eq(got[n], '!');
	free(own);
}

START_TEST(every_byte_everywhere)
{
	char	s[LEN];

	for (size_t n = 0; n <= 35; n++)
		for (size_t at = 0; at < n; at++)
			for (int c = 0; c < 256; c++) {
				memset(s, 'x', n);
				s[at] = (char)c;
				ck_escaped(str_make(s, n));
			}
	ck_escaped(STR(""));
}
END_TEST

START_TEST(any_bytes)
{
	static const char	some[] = "abc \x7f\x80\xc2\x85\xc3\xa4\x1f\"\\";
	char			s[LEN];
	size_t			n;

	for (int turn = 0; turn < 100000; turn++) {
		n = (size_t)random() % (LEN + 1);
		for (size_t i = 0; i < n; i++)
			s[i] = turn % 2 ? (char)random() :
			    some[(size_t)random() % sizeof(some)];
		ck_escaped(str_make(s, n));
	}
}
END_TEST

START_TEST(worst)
{
	char	s[LEN];

	memset(s, 1, sizeof(s));
	ck_escaped(str_make(s, sizeof(s)));
	memset(s, 0xff, sizeof(s));
	ck_escaped(str_make(s, sizeof(s)));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("put");
	TCase	*tc = tcase_create("put");
	SRunner	*r = srunner_create(s);
	int	 failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, numbers);
	tcase_add_test(tc, with_zeroes);
	tcase_add_test(tc, strings);
	tcase_add_test(tc, every_byte_everywhere);
	tcase_add_test(tc, any_bytes);
	tcase_add_test(tc, worst);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
