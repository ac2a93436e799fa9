/*
 * Encodings: every byte as hex digit, every code point as UTF-8, and the
 * malformed sequences of RFC 3629.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/enc.h"

START_TEST(unhex_every_byte)
{
	static const char	digits[] = "0123456789abcdef0123456789ABCDEF";
	const char		*at;
	int			 c;

	for (c = 0; c < 256; c++) {
		at = memchr(digits, c, sizeof(digits) - 1);
		ck_assert_int_eq(enc_unhex((char)c),
		    at == NULL ? -1 : (int)(at - digits) % 16);
	}
}
END_TEST

START_TEST(hex_both_ways)
{
	unsigned char	in[256];
	char		out[513];
	int		i;

	for (i = 0; i < 256; i++)
		in[i] = (unsigned char)i;
	out[512] = '!';
	enc_hex(in, 256, out);
	for (i = 0; i < 256; i++)
		ck_assert_int_eq(enc_unhex(out[2 * i]) * 16 +
		    enc_unhex(out[2 * i + 1]), i);
	ck_assert_int_eq(out[512], '!');
	ck_assert_int_eq(memcmp(out + 2 * 0xab, "ab", 2), 0);
	enc_hex(NULL, 0, out);
}
END_TEST

/* However much of it goes by blocks. */
START_TEST(hex_each_length)
{
	unsigned char	in[70];
	char		out[2 * sizeof(in) + 1], want[3];
	size_t		n, i;

	for (i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)(i * 37 + 11);
	for (n = 0; n <= sizeof(in); n++) {
		memset(out, '!', sizeof(out));
		enc_hex(in, n, out);
		for (i = 0; i < n; i++) {
			snprintf(want, sizeof(want), "%02x", in[i]);
			ck_assert_int_eq(memcmp(out + 2 * i, want, 2), 0);
		}
		ck_assert_int_eq(out[2 * n], '!');
	}
}
END_TEST

static size_t
encode(unsigned cp, char *p)
{
	if (cp < 0x80) {
		p[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		p[0] = (char)(0xc0 | cp >> 6);
		p[1] = (char)(0x80 | (cp & 63));
		return 2;
	}
	if (cp < 0x10000) {
		p[0] = (char)(0xe0 | cp >> 12);
		p[1] = (char)(0x80 | (cp >> 6 & 63));
		p[2] = (char)(0x80 | (cp & 63));
		return 3;
	}
	p[0] = (char)(0xf0 | cp >> 18);
	p[1] = (char)(0x80 | (cp >> 12 & 63));
	p[2] = (char)(0x80 | (cp >> 6 & 63));
	p[3] = (char)(0x80 | (cp & 63));
	return 4;
}

/* Past the last one too, and without the surrogates. */
START_TEST(every_code_point)
{
	char		buf[4];
	unsigned	cp;
	size_t		n;
	bool		good;

	for (cp = 0; cp < 0x1fffff; cp++) {
		n = encode(cp, buf);
		good = cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
		if (enc_utf8_len(str_make(buf, n)) != (good ? n : 0))
			ck_abort_msg("code point %x", cp);
		if (enc_utf8_len(str_make(buf, n - 1)) != 0)
			ck_abort_msg("code point %x, short", cp);
	}
}
END_TEST

START_TEST(malformed)
{
	static const struct str	bad[] = {
		STR_INIT("\x80"), STR_INIT("\xbf"), STR_INIT("\xc0\x80"),
		STR_INIT("\xc1\xbf"), STR_INIT("\xc2"), STR_INIT("\xc2\x41"),
		STR_INIT("\xe0\x9f\xbf"), STR_INIT("\xe1\x80"),
		STR_INIT("\xe1\x80\xc0"), STR_INIT("\xed\xa0\x80"),
		STR_INIT("\xf0\x8f\xbf\xbf"), STR_INIT("\xf1\x80\x80"),
		STR_INIT("\xf1\x80\x80\x00"), STR_INIT("\xf4\x90\x80\x80"),
		STR_INIT("\xf5\x80\x80\x80"), STR_INIT("\xfe"),
		STR_INIT("\xff"),
	};
	char			buf[32];
	size_t			i;
	size_t			at;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_uint_eq(enc_utf8_len(bad[i]), 0);
		/* At every distance from the words of eight bytes. */
		for (at = 0; at <= 16; at++) {
			memset(buf, 'x', sizeof(buf));
			memcpy(buf + at, bad[i].p, bad[i].n);
			ck_assert(!enc_is_utf8(str_make(buf, at + bad[i].n)));
			ck_assert(!enc_is_utf8(str_make(buf, 24)));
		}
	}
}
END_TEST

START_TEST(well_formed)
{
	ck_assert(enc_is_utf8(STR_NONE));
	ck_assert(enc_is_utf8(STR("plain ascii, rather long\0too")));
	ck_assert(enc_is_utf8(STR("gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac")));
	ck_assert(enc_is_utf8(STR("1234567\xf0\x9f\x98\x80" "12345678")));
	ck_assert_uint_eq(enc_utf8_len(STR_NONE), 0);
	ck_assert_uint_eq(enc_utf8_len(STR("\0")), 1);
	ck_assert_uint_eq(enc_utf8_len(STR("\xc3\xbc" "x")), 2);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("enc");
	TCase	*tc = tcase_create("enc");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, unhex_every_byte);
	tcase_add_test(tc, hex_both_ways);
	tcase_add_test(tc, hex_each_length);
	tcase_add_test(tc, every_code_point);
	tcase_add_test(tc, malformed);
	tcase_add_test(tc, well_formed);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
