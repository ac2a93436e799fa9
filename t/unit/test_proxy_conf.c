/*
 * The proxy's keys of [route]: what they choose, merge and refuse.
 */
#include <check.h>
#include <stdio.h>

#include "core/listener.h"
#include "core/pass.h"
#include "handler/proxy.h"

/* a [route] with the proxy's keys alone */
struct t_route {
	struct conf_obj	obj;
};

static const struct conf_row		 no_rows[] = { { .key = NULL } };
static const struct conf_group		 own = { "route", no_rows,
	sizeof(struct t_route), NULL };
static const struct conf_group *const	 groups[] = { &own, &proxy_group,
	&pass_group, NULL };
static const struct conf_section	 t_route = { .type = "route",
	.named = true, .groups = groups, .text = "Routes." };
static const struct conf_section *const	 sections[] = { &t_route,
	&listener_section, &upstream_section, NULL };

static struct conf_load	*load;
static struct arena	 arena;
static struct conf	*conf;

static void
run(const char *text)
{
	struct str		mem = str_from(text);
	struct conf_opts	o = { .file = "t.conf", .file_given = true,
		.sections = sections, .builtin = "", .memory = &mem };

	arena_init(&arena, NULL);
	load = conf_load_new(&o);
	conf = conf_load_run(load, &arena);
}

static void
teardown(void)
{
	conf_load_free(&load);
	arena_fini(&arena);
}

static const struct proxy_route *
part(const char *name)
{
	const struct conf_obj	*o;

	ck_assert_ptr_nonnull(conf);
	o = conf_find(conf, &t_route, str_from(name));
	ck_assert_ptr_nonnull(o);
	return conf_part(o, &proxy_group);
}

START_TEST(test_named)
{
	run("[route a]\nupstream = u\n[route b]\nupstream = u\n"
	    "timeout.first_byte = 5s\ntimeout.total = 9s\n[route c]\n"
	    "[upstream u]\nserver = 10.0.0.1:1\ntimeout.first_byte = 7s\n"
	    "timeout.connect = 2s\ntimeout.total = 8s\n"
	    "[upstream v]\nserver = 10.0.0.1:1\n");
	ck_assert_ptr_nonnull(part("a")->up);
	ck_assert_ptr_eq(part("a")->up, part("b")->up);
	ck_assert_ptr_null(part("c")->up);
	ck_assert(str_eq(part("a")->up->obj.name, STR("u")));
	ck_assert_uint_eq(part("a")->times.first_byte, 7000);
	ck_assert_uint_eq(part("a")->times.total, 8000);
	ck_assert_uint_eq(part("b")->times.connect, 2000);
	ck_assert_uint_eq(part("b")->times.first_byte, 5000);
	ck_assert_uint_eq(part("b")->times.between, 60000);
	ck_assert_uint_eq(part("b")->times.total, 9000);
	/* v is in nobody's use. */
	ck_assert_uint_eq(diag_warnings(conf_load_diags(load)), 1);
	ck_assert(diag_has(conf_load_diags(load), DIAG_UNUSED));
}
END_TEST

START_TEST(test_unnamed)
{
	const struct upstream_conf	*up;

	run("[route a]\ntarget = 10.0.0.1:1 max_conns=4\n"
	    "[route b]\ntargets = 10.0.0.1:1 10.0.0.2:1\n"
	    "targets = 10.0.0.3:1\n");
	up = part("a")->up;
	ck_assert(str_eq(up->obj.name, STR("@a")));
	ck_assert_uint_eq(up->servers.n, 1);
	ck_assert_uint_eq(up->servers.v[0].max_conns, 4);
	ck_assert_uint_eq(up->times.connect, 3000);
	ck_assert_ptr_nonnull(up->balance);
	ck_assert_uint_ne(up->digest, 0);
	ck_assert_uint_eq(part("b")->up->servers.n, 3);
	ck_assert_uint_ne(part("b")->up->digest, up->digest);
	ck_assert_uint_eq(conf_all(conf, &upstream_section).n, 2);
	ck_assert_uint_eq(diag_warnings(conf_load_diags(load)), 0);
}
END_TEST

struct bad {
	const char	*keys;
	enum diag_id	 id;
};

static const struct bad bad[] = {
	{ "upstream = user", DIAG_REF_UNKNOWN },
	{ "upstream = users\ntarget = 10.0.0.1:1", DIAG_ROUTE_HANDLERS },
	{ "target = 10.0.0.1:1\ntargets = 10.0.0.1:1", DIAG_ROUTE_HANDLERS },
	{ "target = app", DIAG_SERVER_NAME },
	{ "upstream = users\ntimeout.connect = 2s\ntimeout.total = 1s",
	    DIAG_TIME_ORDER }
};

START_TEST(test_bad)
{
	char		buf[512];
	struct text	t;

	snprintf(buf, sizeof(buf), "[upstream users]\nserver = 10.0.0.1:1\n"
	    "[route r]\n%s\n", bad[_i].keys);
	run(buf);
	text_init(&t);
	diag_print(conf_load_diags(load), &t, "");
	text_c(&t, '\0');
	ck_assert_msg(diag_has(conf_load_diags(load), bad[_i].id), "%s", t.p);
	ck_assert_uint_eq(diag_errors(conf_load_diags(load)), 1);
	if (bad[_i].id == DIAG_REF_UNKNOWN)
		ck_assert_msg(strstr(t.p, "users") != NULL, "%s", t.p);
	text_fini(&t);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("proxy_conf");
	TCase	*tc = tcase_create("proxy_conf");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, test_named);
	tcase_add_test(tc, test_unnamed);
	tcase_add_loop_test(tc, test_bad, 0, sizeof(bad) / sizeof(bad[0]));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
