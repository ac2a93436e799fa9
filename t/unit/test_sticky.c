/*
 * Sticky cookies: what is made is read again, and nothing else is; and
 * the Cookie field they stand in.
 */
#include "up/sticky.h"

#include <check.h>
#include <stdlib.h>

#include "http/cookie.h"

#define NOW	1800000000000ULL	/* wall ms */
#define HOUR	3600000ULL

static struct choice_conf	cc;
static void			*parts[32];
static struct upstream_conf	up;
static struct arena		arena;

/* The twin's part for a secret, an upstream's name and a time to live. */
static struct sticky *
open_sticky(const char *secret, const char *name, uint64_t ttl)
{
	static const struct serve	none;

	cc = (struct choice_conf){ .sticky = STICKY_COOKIE,
		.secret = str_from(secret), .ttl = ttl };
	parts[0] = &up;
	for (size_t i = 1; upstream_section.groups[i] != NULL; i++)
		if (upstream_section.groups[i] == &choice_group)
			parts[i] = &cc;
	up.obj = (struct conf_obj){ .name = str_from(name),
		.section = &upstream_section, .part = parts };
	arena_init(&arena, NULL);
	return sticky_new(&up, &none);
}

static void
done(struct sticky *st)
{
	sticky_free(&st);
	arena_fini(&arena);
}

/* The value within "NAME=VALUE; Path=...". */
static struct str
value_of(struct str set)
{
	ptrdiff_t	eq = str_find(set, '=', 0);

	return str_sub(set, (size_t)eq + 1, (size_t)str_find(set, ';', 0));
}

START_TEST(test_made)
{
	struct sticky		*st = open_sticky("secret", "app", 8 * HOUR);
	uint64_t		 n = sticky_number(st, STR("10.0.0.1:80"));
	struct sticky_told	 told;
	struct str		 set, val;

	set = sticky_make(st, &arena, n, NOW, true);
	val = value_of(set);
	ck_assert(str_eq(set, arena_fmt(&arena, "sluice_app=%.*s; Path=/; "
	    "Max-Age=28800; HttpOnly; SameSite=Lax; Secure",
	    STR_FMT(val))));
	ck_assert_uint_eq(val.n, STICKY_TEXT);
	ck_assert(sticky_read(st, val, NOW + HOUR, &told));
	ck_assert(told.number == n && !told.old && !told.late);
	ck_assert(sticky_read(st, val, NOW + 5 * HOUR, &told));
	ck_assert(told.number == n && told.old);
	/* clocks of machines may differ */
	ck_assert(sticky_read(st, val, NOW - HOUR, &told));
	ck_assert(!sticky_read(st, val, NOW + 9 * HOUR, &told));
	ck_assert(told.number == 0 && told.late);
	ck_assert(n != sticky_number(st, STR("10.0.0.2:80")));
	done(st);
}
END_TEST

START_TEST(test_session)
{
	struct sticky		*st = open_sticky("secret", "@api", 0);
	struct sticky_told	 told;
	struct str		 set;

	set = sticky_make(st, &arena, 7, NOW, false);
	ck_assert(str_eq(sticky_name(st), STR("sluice.api")));
	ck_assert(str_eq(set, arena_fmt(&arena, "sluice.api=%.*s; Path=/; "
	    "HttpOnly; SameSite=Lax", STR_FMT(value_of(set)))));
	ck_assert(sticky_read(st, value_of(set), NOW + 9999 * HOUR, &told));
	ck_assert(told.number == 7 && !told.old);
	done(st);
}
END_TEST

/* Each changed, lost or added character makes it invalid. */
START_TEST(test_forged)
{
	struct sticky		*st = open_sticky("secret", "app", 0);
	struct sticky_told	 told;
	struct str		 val;
	char			 buf[STICKY_TEXT + 1];

	val = value_of(sticky_make(st, &arena, 7, NOW, false));
	for (size_t i = 0; i < STICKY_TEXT; i++)
		for (int c = 0; c < 256; c++) {
			memcpy(buf, val.p, STICKY_TEXT);
			buf[i] = (char)c;
			if (sticky_read(st, str_make(buf, STICKY_TEXT), NOW,
			    &told) != (buf[i] == val.p[i]))
				ck_abort_msg("%zu: %d", i, c);
		}
	for (size_t n = 0; n < STICKY_TEXT; n++)
		ck_assert(!sticky_read(st, str_sub(val, 0, n), NOW, &told) &&
		    !told.late);
	buf[STICKY_TEXT] = 'A';
	memcpy(buf, val.p, STICKY_TEXT);
	ck_assert(!sticky_read(st, str_make(buf, sizeof(buf)), NOW, &told));
	done(st);
}
END_TEST

/* Good for one upstream and one secret, on any machine that has it. */
START_TEST(test_keys)
{
	static const char	*const who[][2] = {
		{ "secret", "app" }, { "secret", "other" },
		{ "Secret", "app" }
	};
	struct sticky_told	 told;
	struct sticky		*st;
	struct str		 val;
	uint64_t		 n;
	char			 buf[STICKY_TEXT];

	st = open_sticky("secret", "app", 0);
	n = sticky_number(st, STR("10.0.0.1:80"));
	val = value_of(sticky_make(st, &arena, n, NOW, false));
	memcpy(buf, val.p, sizeof(buf));
	done(st);
	for (size_t i = 0; i < 3; i++) {
		st = open_sticky(who[i][0], who[i][1], 0);
		ck_assert(sticky_read(st, str_make(buf, sizeof(buf)), NOW,
		    &told) == (i == 0));
		ck_assert((sticky_number(st, STR("10.0.0.1:80")) == n) ==
		    (i == 0));
		done(st);
	}
}
END_TEST

/* --- the field --- */

static const struct {
	const char	*field, *val, *left;
} fields[] = {
	{ "sid=1", "1", NULL },
	{ "a=1; sid=2; b=3", "2", "a=1; b=3" },
	{ "a=1;sid=2;b=3", "2", "a=1; b=3" },
	{ "sid=\"q r\"; sid=2", "q r", NULL },
	{ " sid = 2 ;x", "2", "x" },
	{ "sid; SID=1; xsid=2", NULL, "sid; SID=1; xsid=2" },
	{ "sid=", "", NULL },
	{ "a=sid=4", NULL, "a=sid=4" },
	{ "", NULL, "" },
};

static bool
is_sid(const void *ctx, struct str name)
{
	ck_assert_ptr_eq(ctx, &arena);
	return str_eq(name, STR("sid"));
}

START_TEST(test_field)
{
	struct hdrs	 hs = { .v = NULL };
	struct str	 val;

	arena_init(&arena, NULL);
	hdr_add(&arena, &hs, HDR_COOKIE, STR("z=0"));
	hdr_add(&arena, &hs, HDR_COOKIE, str_from(fields[_i].field));
	val = cookie_get(&hs, STR("sid"));
	ck_assert((val.p == NULL) == (fields[_i].val == NULL));
	if (val.p != NULL)
		ck_assert(str_eq(val, str_from(fields[_i].val)));
	cookie_drop(&arena, &hs, is_sid, &arena);
	ck_assert(str_eq(hs.v[0].val, STR("z=0")));
	ck_assert((hs.v[1].flags & HDR_F_DEAD) ==
	    (fields[_i].left == NULL ? HDR_F_DEAD : 0));
	if (fields[_i].left != NULL)
		ck_assert(str_eq(hs.v[1].val, str_from(fields[_i].left)));
	arena_fini(&arena);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("sticky");
	TCase	*tc = tcase_create("sticky");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, test_made);
	tcase_add_test(tc, test_session);
	tcase_add_test(tc, test_forged);
	tcase_add_test(tc, test_keys);
	tcase_add_loop_test(tc, test_field, 0,
	    sizeof(fields) / sizeof(fields[0]));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
