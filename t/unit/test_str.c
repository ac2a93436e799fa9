/*
 * Slices: the edges of length 0, NULL and 8, and numbers at their bounds.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

#define IS(s, lit)	ck_assert(str_eq((s), STR(lit)))

START_TEST(from_takes_null)
{
	ck_assert_ptr_null(str_from(NULL).p);
	ck_assert_uint_eq(str_from(NULL).n, 0);
	ck_assert_uint_eq(str_from("").n, 0);
	IS(str_from("abc"), "abc");
}
END_TEST

START_TEST(eq_compares_bytes)
{
	ck_assert(str_eq(STR_NONE, STR("")));
	ck_assert(!str_eq(STR("a"), STR("b")));
	ck_assert(!str_eq(STR("a"), STR("ab")));
	ck_assert(str_eq(STR("a\0b"), STR("a\0b")));
	ck_assert(!str_eq(STR("a\0b"), STR("a\0c")));
}
END_TEST

/* Every pair of bytes, against the plain definition of folding. */
START_TEST(eq_fold_all_pairs)
{
	char	x[11];
	char	y[11];
	int	a;
	int	b;
	int	fa;
	int	fb;
	size_t	n;

	for (a = 0; a < 256; a++) {
		for (b = 0; b < 256; b++) {
			fa = a >= 'A' && a <= 'Z' ? a + 32 : a;
			fb = b >= 'A' && b <= 'Z' ? b + 32 : b;
			n = (size_t)_i;
			memset(x, 'q', sizeof(x));
			memset(y, 'Q', sizeof(y));
			x[n - 1] = (char)a;
			y[n - 1] = (char)b;
			ck_assert_int_eq(str_eq_fold(str_make(x, n),
			    str_make(y, n)), fa == fb);
			x[n / 2] = (char)a;
			y[n / 2] = (char)b;
			ck_assert_int_eq(str_eq_fold(str_make(x, n),
			    str_make(y, n)), fa == fb);
		}
	}
}
END_TEST

START_TEST(eq_fold_lengths)
{
	ck_assert(str_eq_fold(STR_NONE, STR("")));
	ck_assert(!str_eq_fold(STR("host"), STR("hosts")));
	ck_assert(str_eq_fold(STR("Transfer-Encoding"),
	    STR("tRANSFER-eNCODING")));
	ck_assert(!str_eq_fold(STR("transfer_encoding"),
	    STR("transfer-encoding")));
	ck_assert(!str_eq_fold(STR("content-lengtH"),
	    STR("content-length ")));
}
END_TEST

START_TEST(cmp_orders)
{
	ck_assert_int_eq(str_cmp(STR_NONE, STR("")), 0);
	ck_assert_int_lt(str_cmp(STR("a"), STR("ab")), 0);
	ck_assert_int_gt(str_cmp(STR("ab"), STR("a")), 0);
	ck_assert_int_lt(str_cmp(STR("aa"), STR("b")), 0);
	ck_assert_int_gt(str_cmp(STR("\xff"), STR("a")), 0);
	ck_assert_int_eq(str_cmp(STR("ab"), STR("ab")), 0);
	ck_assert_int_lt(str_cmp(STR_NONE, STR("a")), 0);
}
END_TEST

START_TEST(starts_and_ends)
{
	ck_assert(str_starts(STR("abc"), STR("ab")));
	ck_assert(str_starts(STR("abc"), STR_NONE));
	ck_assert(str_starts(STR_NONE, STR("")));
	ck_assert(!str_starts(STR("a"), STR("ab")));
	ck_assert(!str_starts(STR("xbc"), STR("ab")));
	ck_assert(str_ends(STR("abc"), STR("bc")));
	ck_assert(str_ends(STR("abc"), STR("abc")));
	ck_assert(str_ends(STR_NONE, STR_NONE));
	ck_assert(!str_ends(STR("bc"), STR("abc")));
	ck_assert(!str_ends(STR("abx"), STR("bc")));
}
END_TEST

START_TEST(find_from)
{
	ck_assert_int_eq(str_find(STR("a,b,c"), ',', 0), 1);
	ck_assert_int_eq(str_find(STR("a,b,c"), ',', 1), 1);
	ck_assert_int_eq(str_find(STR("a,b,c"), ',', 2), 3);
	ck_assert_int_eq(str_find(STR("a,b,c"), ',', 4), -1);
	ck_assert_int_eq(str_find(STR("a,b,c"), ',', 99), -1);
	ck_assert_int_eq(str_find(STR_NONE, ',', 0), -1);
	ck_assert_int_eq(str_find(STR("a\0b"), '\0', 0), 1);
}
END_TEST

START_TEST(trim_both_ends)
{
	IS(str_trim(STR(" \t a b\t ")), "a b");
	IS(str_trim(STR(" \t ")), "");
	IS(str_trim(STR("\r\na\v")), "\r\na\v");
	ck_assert_uint_eq(str_trim(STR_NONE).n, 0);
}
END_TEST

START_TEST(sub_is_cut)
{
	IS(str_sub(STR("abcd"), 1, 3), "bc");
	IS(str_sub(STR("abcd"), 2, SIZE_MAX), "cd");
	IS(str_sub(STR("abcd"), 9, 12), "");
	IS(str_sub(STR("abcd"), 3, 1), "");
	ck_assert_uint_eq(str_sub(STR_NONE, 0, 5).n, 0);
	ck_assert_uint_eq(str_sub(STR_NONE, 3, 5).n, 0);
}
END_TEST

START_TEST(word_skips_empty)
{
	struct str	rest = STR(", a,b\0c ,,d, ");
	struct str	w;

	ck_assert(str_word(&rest, ", ", &w));
	IS(w, "a");
	ck_assert(str_word(&rest, ", ", &w));
	IS(w, "b\0c");
	ck_assert(str_word(&rest, ", ", &w));
	IS(w, "d");
	ck_assert(!str_word(&rest, ", ", &w));
	IS(w, "d");
	ck_assert_uint_eq(rest.n, 0);
	rest = STR_NONE;
	ck_assert(!str_word(&rest, ",", &w));
	rest = STR("whole");
	ck_assert(str_word(&rest, "", &w));
	IS(w, "whole");
}
END_TEST

START_TEST(to_u64_bounds)
{
	uint64_t	v = 7;

	ck_assert_int_eq(str_to_u64(STR("0"), 0, &v), 0);
	ck_assert_uint_eq(v, 0);
	ck_assert_int_eq(str_to_u64(STR("18446744073709551615"),
	    UINT64_MAX, &v), 0);
	ck_assert_uint_eq(v, UINT64_MAX);
	v = 7;
	ck_assert_int_eq(str_to_u64(STR("18446744073709551616"),
	    UINT64_MAX, &v), -1);
	ck_assert_int_eq(str_to_u64(STR("99999999999999999999999"),
	    UINT64_MAX, &v), -1);
	ck_assert_int_eq(str_to_u64(STR("256"), 255, &v), -1);
	ck_assert_int_eq(str_to_u64(STR("9"), 5, &v), -1);
	ck_assert_uint_eq(v, 7);
	ck_assert_int_eq(str_to_u64(STR("0255"), 255, &v), 0);
	ck_assert_uint_eq(v, 255);
}
END_TEST

START_TEST(to_u64_digits_only)
{
	static const char *const	bad[] = {
		"", "-1", "+1", " 1", "1 ", "0x10", "1a", ":", "/", "1,0",
		"\xb1",
	};
	uint64_t			v = 7;

	ck_assert_int_eq(str_to_u64(str_from(bad[_i]), UINT64_MAX, &v), -1);
	ck_assert_uint_eq(v, 7);
}
END_TEST

START_TEST(to_c_fits_or_not)
{
	char	buf[4];

	ck_assert_int_eq(str_to_c(STR("abc"), buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "abc");
	ck_assert_int_eq(str_to_c(STR("abcd"), buf, sizeof(buf)), -1);
	ck_assert_int_eq(str_to_c(STR("a\0b"), buf, sizeof(buf)), -1);
	ck_assert_int_eq(str_to_c(STR_NONE, buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "");
	ck_assert_int_eq(str_to_c(STR(""), buf, 0), -1);
}
END_TEST

START_TEST(distance_counts_edits)
{
	char	longer[65];

	memset(longer, 'a', sizeof(longer));
	ck_assert_uint_eq(str_distance(STR(""), STR(""), 3), 0);
	ck_assert_uint_eq(str_distance(STR_NONE, STR("ab"), 3), 2);
	ck_assert_uint_eq(str_distance(STR("kitten"), STR("sitting"), 5), 3);
	ck_assert_uint_eq(str_distance(STR("sitting"), STR("kitten"), 5), 3);
	ck_assert_uint_eq(str_distance(STR("balance"), STR("balanec"), 2), 2);
	ck_assert_uint_eq(str_distance(STR("bind"), STR("upstream"), 2), 3);
	ck_assert_uint_eq(str_distance(str_make(longer, 64), STR(""),
	    UINT32_MAX), 64);
	ck_assert_uint_eq(str_distance(str_make(longer, 65), STR("a"), 2), 3);
	ck_assert_uint_eq(str_distance(STR("a"), str_make(longer, 65), 2), 3);
}
END_TEST

/* The whole matrix, by the book. */
static unsigned
count_edits(struct str a, struct str b)
{
	unsigned	m[17][17];

	for (size_t i = 0; i <= a.n; i++)
		for (size_t j = 0; j <= b.n; j++) {
			unsigned	best = i == 0 ? (unsigned)j :
			    m[i - 1][j] + 1;

			if (i > 0 && j == 0)
				best = (unsigned)i;
			if (j > 0 && m[i][j - 1] + 1 < best)
				best = m[i][j - 1] + 1;
			if (i > 0 && j > 0 && m[i - 1][j - 1] +
			    (a.p[i - 1] != b.p[j - 1]) < best)
				best = m[i - 1][j - 1] +
				    (a.p[i - 1] != b.p[j - 1]);
			m[i][j] = best;
		}
	return m[a.n][b.n];
}

START_TEST(distance_of_any_words)
{
	uint64_t	x = 1;
	char		buf[2][16];
	size_t		n[2];

	for (int i = 0; i < 20000; i++) {
		struct str	a, b;
		unsigned	want, max = (unsigned)i % 6;

		for (int k = 0; k < 2; k++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			n[k] = (size_t)(x >> 60);
			for (size_t j = 0; j < n[k]; j++)
				buf[k][j] = (char)('a' + (x >> (8 + j)) % 3);
		}
		a = str_make(buf[0], n[0]);
		b = str_make(buf[1], n[1]);
		want = count_edits(a, b);
		ck_assert_uint_eq(str_distance(a, b, max),
		    want > max ? max + 1 : want);
	}
}
END_TEST

/* Every bit of every byte counts, as do the length and the seed. */
START_TEST(hash_tells_apart)
{
	char		 mem[24] = { 0 };
	uint64_t	 seen[24 * 8 + 26];
	size_t		 n = 0;

	seen[n++] = str_hash(STR_NONE, STR_HASH0);
	seen[n++] = str_hash(str_make(mem, sizeof(mem)), 1);
	for (size_t i = 1; i <= sizeof(mem); i++)
		seen[n++] = str_hash(str_make(mem, i), STR_HASH0);
	for (size_t i = 0; i < sizeof(mem) * 8; i++) {
		mem[i / 8] = (char)(1 << i % 8);
		seen[n++] = str_hash(str_make(mem, sizeof(mem)), STR_HASH0);
		mem[i / 8] = 0;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_uint_ne(seen[i], seen[j]);
	ck_assert_uint_eq(seen[4],
	    str_hash(str_make(mem + 7, 3), STR_HASH0));
}
END_TEST

static unsigned
max_of(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* Names that count up spread over a table's low bits. */
START_TEST(hash_spreads)
{
	static const struct {
		const char	*before, *after;
		int		 digits;
	} forms[] = {
		{ "/r/", "/x", 1 }, { "/r", "", 1 }, { "", "", 1 },
		{ "/route/", "", 5 }, { "/a/longer/one/", "", 1 },
		{ "", ".example.com", 6 }, { "/x/", "/y/z", 4 },
		{ "h", ".a", 1 }
	};
	unsigned	hits[16384], most;
	char		name[64];

	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		memset(hits, 0, sizeof(hits));
		most = 0;
		for (int i = 0; i < 8192; i++) {
			snprintf(name, sizeof(name), "%s%0*d%s",
			    forms[f].before, forms[f].digits, i,
			    forms[f].after);
			most = max_of(most, ++hits[str_hash(str_from(name),
			    STR_HASH0) & 16383]);
		}
		/* of a random spread it is 6 or 7 */
		ck_assert_msg(most < 12, "%s: %u", name, most);
	}
}
END_TEST

START_TEST(upper_case_is_seen)
{
	char	mem[20];

	memset(mem, '@', sizeof(mem));
	ck_assert(!str_has_upper(str_make(mem, sizeof(mem))));
	for (size_t i = 0; i < sizeof(mem); i++) {
		for (const char *c = "[`az{\xc1\xda"; *c != '\0'; c++) {
			mem[i] = *c;
			ck_assert(!str_has_upper(str_make(mem, sizeof(mem))));
		}
		for (const char *c = "AMZ"; *c != '\0'; c++) {
			mem[i] = *c;
			ck_assert(str_has_upper(str_make(mem, sizeof(mem))));
			ck_assert(!str_has_upper(str_make(mem, i)));
		}
		mem[i] = '-';
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("str");
	TCase	*tc = tcase_create("str");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, from_takes_null);
	tcase_add_test(tc, eq_compares_bytes);
	tcase_add_loop_test(tc, eq_fold_all_pairs, 1, 12);
	tcase_add_test(tc, eq_fold_lengths);
	tcase_add_test(tc, cmp_orders);
	tcase_add_test(tc, starts_and_ends);
	tcase_add_test(tc, find_from);
	tcase_add_test(tc, trim_both_ends);
	tcase_add_test(tc, sub_is_cut);
	tcase_add_test(tc, word_skips_empty);
	tcase_add_test(tc, to_u64_bounds);
	tcase_add_loop_test(tc, to_u64_digits_only, 0, 11);
	tcase_add_test(tc, to_c_fits_or_not);
	tcase_add_test(tc, distance_counts_edits);
	tcase_add_test(tc, distance_of_any_words);
	tcase_add_test(tc, hash_tells_apart);
	tcase_add_test(tc, hash_spreads);
	tcase_add_test(tc, upper_case_is_seen);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
