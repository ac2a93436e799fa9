/*
 * Looks at choices: payloads of any kind, and cookies whose makers are
 * found by their keys alone.  What needs servers is in
 * t/test_control_choice.py.
 */
#include "up/look.h"

#include <check.h>
#include <stdlib.h>

#include "base/map.h"
#include "core/serve.h"
#include "os/ev.h"
#include "up/sticky.h"

#define HOUR	3600000ULL

static struct serve		serve;
static struct arena		arena;
static struct upstream		ups[3];
static const uint64_t		digest[3] = { 11, 12, 13 };

static struct sticky *
open_sticky(const char *name, uint64_t ttl)
{
	static const struct serve	none;
	static struct choice_conf	cc;
	static void			*parts[32];
	static struct upstream_conf	conf;

	cc = (struct choice_conf){ .sticky = STICKY_COOKIE,
	    .secret = STR("a secret of this test"), .ttl = ttl };
	parts[0] = &conf;
	for (size_t i = 1; upstream_section.groups[i] != NULL; i++)
		if (upstream_section.groups[i] == &choice_group)
			parts[i] = &cc;
	conf.obj = (struct conf_obj){ .name = str_from(name),
	    .section = &upstream_section, .part = parts };
	return sticky_new(&conf, &none);
}

/* Rows 10 and 11 are sticky, 12 is not. */
static void
setup(void)
{
	serve.ev = ev_new(NULL, NULL);
	arena_init(&arena, NULL);
	map_init(&serve.upstreams, 0);
	for (uint32_t i = 0; i < 3; i++) {
		ups[i] = (struct upstream){ .serve = &serve, .row = 10 + i,
		    .balance = &balancer_random, .cur = true };
		map_add(&serve.upstreams, str_make((const char *)&digest[i],
		    sizeof(digest[i])), &ups[i]);
	}
	ups[0].sticky = open_sticky("a", HOUR);
	ups[1].sticky = open_sticky("b", HOUR);
}

static void
teardown(void)
{
	sticky_free(&ups[0].sticky);
	sticky_free(&ups[1].sticky);
	map_fini(&serve.upstreams);
	arena_fini(&arena);
	ev_free(&serve.ev);
}

static struct look_ask
ask_for(uint32_t row, struct str cookie)
{
	struct look_ask	a = { .upstream = row, .given = 1 };

	a.ncookie = (uint8_t)cookie.n;
	memcpy(a.cookie, cookie.p, cookie.n);
	return a;
}

static struct look_told
look_at(uint32_t row, struct str cookie)
{
	struct look_ask		a = ask_for(row, cookie);
	struct look_told	told[LOOK_MAX];

	ck_assert_uint_eq(look_answer(&serve, str_make((const char *)&a,
	    sizeof(a)), told), 1);
	return told[0];
}

/* A value that the upstream made so long ago. */
static struct str
make(unsigned i, uint64_t ago)
{
	struct str	s = sticky_make(ups[i].sticky, &arena, 7,
			    ev_wall_ms(serve.ev) - ago, false);
	ptrdiff_t	eq = str_find(s, '=', 0);

	return str_sub(s, (size_t)eq + 1, (size_t)eq + 1 + STICKY_TEXT);
}

START_TEST(test_makers)
{
	struct look_told	t;

	t = look_at(10, make(1, 0));
	ck_assert(t.cookie == LOOK_OTHER && t.other == 11);
	t = look_at(11, make(0, 0));
	ck_assert(t.cookie == LOOK_OTHER && t.other == 10);
	t = look_at(10, make(1, 9 * HOUR));
	ck_assert(t.cookie == LOOK_OTHER && t.other == 11);
	t = look_at(10, make(0, 9 * HOUR));
	ck_assert(t.cookie == LOOK_LATE && t.other == LOOK_NOBODY);
	t = look_at(10, STR(""));
	ck_assert(t.cookie == LOOK_FORGED && t.server == LOOK_NOBODY);
	/* a twin that only old requests hold makes no cookies any more */
	ups[1].cur = false;
	ck_assert_uint_eq(look_at(10, make(1, 0)).cookie, LOOK_FORGED);
	ck_assert_uint_eq(look_at(11, make(1, 0)).upstream, LOOK_NOBODY);
	ck_assert_uint_eq(look_at(12, make(0, 0)).cookie, LOOK_NONE);
	ck_assert_uint_eq(look_at(99, make(0, 0)).upstream, LOOK_NOBODY);
}
END_TEST

/* Whole questions, at most so many; a length that lies is not obeyed. */
START_TEST(test_payloads)
{
	struct look_ask		v[LOOK_MAX + 1];
	struct look_told	told[LOOK_MAX];
	struct str		all = str_make((const char *)v, sizeof(v));

	for (size_t i = 0; i <= LOOK_MAX; i++)
		v[i] = ask_for(10 + (uint32_t)i, STR("x"));
	for (size_t n = 0; n <= sizeof(v); n++)
		ck_assert_uint_eq(look_answer(&serve, str_sub(all, 0, n),
		    told), n % sizeof(v[0]) == 0 && n < sizeof(v) ?
		    n / sizeof(v[0]) : 0);
	ck_assert(told[0].cookie == LOOK_FORGED && told[2].upstream == 12 &&
	    told[3].upstream == LOOK_NOBODY);
	v[0].ncookie = 255;
	ck_assert_uint_eq(look_answer(&serve, str_sub(all, 0, sizeof(v[0])),
	    told), 1);
	ck_assert_uint_eq(told[0].cookie, LOOK_NONE);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("look");
	TCase	*tc = tcase_create("look");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_makers);
	tcase_add_test(tc, test_payloads);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
