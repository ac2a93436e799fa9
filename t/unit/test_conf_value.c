/*
 * Values: words to numbers, units, bounds, every overflow refused.
 */
#include "conf_rows.h"

struct scaled {
	const char	*text;
	enum conf_unit	 bare;
	uint64_t	 want;
	bool		 ok;
};

static const struct scaled times[] = {
	{ "0", CONF_COUNT, 0, true },
	{ "250ms", CONF_COUNT, 250, true },
	{ "3s", CONF_COUNT, 3000, true },
	{ "5m", CONF_COUNT, 300000, true },
	{ "1h", CONF_COUNT, 3600000, true },
	{ "30d", CONF_COUNT, 30ULL * 86400000, true },
	{ "5", CONF_MS, 5, true },
	{ "5", CONF_SECONDS, 5000, true },
	{ "5", CONF_DAYS, 5ULL * 86400000, true },
	{ "106751991167d", CONF_COUNT, 106751991167ULL * 86400000, true },
	{ "106751991168d", CONF_COUNT, 0, false },
	{ "18446744073709551616ms", CONF_COUNT, 0, false },
	{ "9223372036854775808ms", CONF_COUNT, 0, false },
	{ "99999999999999999999999999d", CONF_COUNT, 0, false },
	{ "5", CONF_COUNT, 0, false }, { "", CONF_MS, 0, false },
	{ "s", CONF_MS, 0, false }, { "-1s", CONF_MS, 0, false },
	{ "+1s", CONF_MS, 0, false }, { "1 s", CONF_MS, 0, false },
	{ "1S", CONF_MS, 0, false }, { "1.5s", CONF_MS, 0, false },
	{ "1h30m", CONF_MS, 0, false }, { "1sx", CONF_MS, 0, false },
};

static const struct scaled sizes[] = {
	{ "512", CONF_BYTES, 512, true }, { "0", CONF_BYTES, 0, true },
	{ "16k", CONF_BYTES, 16384, true },
	{ "16m", CONF_BYTES, 16777216, true },
	{ "2g", CONF_BYTES, 2147483648, true },
	{ "3", CONF_MEGABYTES, 3145728, true },
	{ "8589934591g", CONF_BYTES, 8589934591ULL << 30, true },
	{ "8589934592g", CONF_BYTES, 0, false },
	{ "9223372036854775807", CONF_BYTES, INT64_MAX, true },
	{ "9223372036854775808", CONF_BYTES, 0, false },
	{ "17592186044416", CONF_MEGABYTES, 0, false },
	{ "", CONF_BYTES, 0, false }, { "k", CONF_BYTES, 0, false },
	{ "1kb", CONF_BYTES, 0, false }, { "1t", CONF_BYTES, 0, false },
	{ "-1", CONF_BYTES, 0, false }, { "0x10", CONF_BYTES, 0, false },
};

static void
ck_scaled(const struct scaled *s, bool size)
{
	uint64_t	v = 77;
	struct err	e = { "" };
	int		rc;

	rc = (size ? conf_val_size : conf_val_time)(str_from(s->text),
	    s->bare, &v, &e);
	ck_assert_msg((rc == 0) == s->ok, "%s: %d", s->text, rc);
	ck_assert_uint_eq(v, s->ok ? s->want : 77);
	ck_assert((e.text[0] != '\0') == (rc != 0));
}

START_TEST(time_words)
{
	ck_scaled(&times[_i], false);
}
END_TEST

START_TEST(size_words)
{
	ck_scaled(&sizes[_i], true);
}
END_TEST

START_TEST(bool_words)
{
	static const char *const	bad[] = {
		"", "ON", "yes", "1", "of", "onn", "tru"
	};
	bool				v = false;
	struct err			e;
	size_t				i;

	ck_assert_int_eq(conf_val_bool(STR("on"), &v, &e), 0);
	ck_assert(v);
	ck_assert_int_eq(conf_val_bool(STR("off"), &v, &e), 0);
	ck_assert(!v);
	ck_assert_int_eq(conf_val_bool(STR("true"), &v, &e), 0);
	ck_assert(v);
	ck_assert_int_eq(conf_val_bool(STR("false"), &v, &e), 0);
	ck_assert(!v);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(conf_val_bool(str_from(bad[i]), &v, &e),
		    -1);
}
END_TEST

START_TEST(int_words)
{
	static const struct {
		const char	*text;
		int64_t		 min;
		int64_t		 max;
		int64_t		 want;
		int		 rc;
	} v[] = {
		{ "0", 0, 0, 0, 0 }, { "42", 0, 0, 42, 0 },
		{ "-3", -5, 5, -3, 0 }, { "-6", -5, 5, 0, -1 },
		{ "6", -5, 5, 0, -1 }, { "5", -5, 5, 5, 0 },
		{ "9223372036854775807", 0, 0, INT64_MAX, 0 },
		{ "9223372036854775808", 0, 0, 0, -1 },
		{ "-9223372036854775807", INT64_MIN, 0, -INT64_MAX, 0 },
		{ "99999999999999999999", 0, 0, 0, -1 },
		{ "", 0, 0, 0, -1 }, { "-", 0, 0, 0, -1 },
		{ "--1", -9, 9, 0, -1 }, { "+1", 0, 9, 0, -1 },
		{ "1 ", 0, 9, 0, -1 }, { "1k", 0, 9, 0, -1 },
	};
	int64_t		got;
	struct err	e;
	size_t		i;
	int		rc;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		got = 0;
		rc = conf_val_int(str_from(v[i].text), v[i].min, v[i].max,
		    &got, &e);
		ck_assert_msg(rc == v[i].rc, "%s: %d", v[i].text, rc);
		ck_assert_int_eq(got, v[i].want);
	}
}
END_TEST

START_TEST(enum_words)
{
	const char	*choices = "off|on,yes,sure|auto";
	int		 v = -1;
	struct err	 e;

	ck_assert_int_eq(conf_val_enum(STR("off"), choices, &v, &e), 0);
	ck_assert_int_eq(v, 0);
	ck_assert_int_eq(conf_val_enum(STR("sure"), choices, &v, &e), 0);
	ck_assert_int_eq(v, 1);
	ck_assert_int_eq(conf_val_enum(STR("auto"), choices, &v, &e), 0);
	ck_assert_int_eq(v, 2);
	ck_assert_int_eq(conf_val_enum(STR("aut"), choices, &v, &e), -1);
	ck_assert_int_eq(conf_val_enum(STR("on,yes"), choices, &v, &e), -1);
	ck_assert_int_eq(conf_val_enum(STR("off|on"), choices, &v, &e), -1);
	ck_assert_int_eq(conf_val_enum(STR(""), choices, &v, &e), -1);
	ck_assert_int_eq(v, 2);
}
END_TEST

/* A long value is quoted in part only, and the reason fits. */
START_TEST(long_words)
{
	char		buf[5000];
	bool		v;
	struct err	e;

	memset(buf, 'x', sizeof(buf));
	ck_assert_int_eq(conf_val_bool(str_make(buf, sizeof(buf)), &v, &e),
	    -1);
	ck_assert_uint_lt(strlen(e.text), 100);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("conf_value");
	TCase	*tc = tcase_create("all");
	SRunner	*sr;
	int	 n;

	tcase_add_loop_test(tc, time_words, 0,
	    sizeof(times) / sizeof(times[0]));
	tcase_add_loop_test(tc, size_words, 0,
	    sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(tc, bool_words);
	tcase_add_test(tc, int_words);
	tcase_add_test(tc, enum_words);
	tcase_add_test(tc, long_words);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
