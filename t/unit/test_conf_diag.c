/*
 * Diagnostics: golden texts of every kind of line, order, limits, JSON.
 */
#include "conf_rows.h"

#include <jansson.h>

#include "conf/int.h"

static struct conf_span
span(const char *file, unsigned line, unsigned col, unsigned len,
    const char *text)
{
	return (struct conf_span){ file, line, col, len, str_from(text) };
}

static void
ck_print(struct diags *d, const char *verdict, const char *want)
{
	struct text	t;

	text_init(&t);
	diag_print(d, &t, verdict);
	text_c(&t, '\0');
	ck_assert_str_eq(t.p, want);
	text_fini(&t);
}

/* The example of the manual. */
START_TEST(golden)
{
	struct diags		*d = diag_new();
	struct conf_span	 a = span("conf.d/20-api.conf", 31, 12, 5,
	    "upstream = order");
	struct conf_span	 b = span("conf.d/20-api.conf", 14, 1, 14,
	    "timout.connect = 3s");
	struct conf_span	 c = span("conf.d/30-old.conf", 5, 0, 0, "");
	struct conf_obj		 o = { .name = STR_INIT("users"),
	    .section = &t_upstream };

	diag_at(d, DIAG_ROUTE_EQUAL, &c, NULL, "", "route \"%s\" can never "
	    "match", "legacy");
	diag_at(d, DIAG_REF_UNKNOWN, &a, NULL, "upstream", "route "
	    "\"orders\" uses upstream \"order\", which is not defined");
	diag_hint(d, "defined upstreams: orders, users   (nearest: orders)");
	diag_at(d, DIAG_KEY_UNKNOWN, &b, &o, "timout.connect",
	    "unknown key \"timout.connect\" in [upstream users]");
	diag_hint(d, "did you mean \"%s\"?", "timeout.connect");
	ck_print(d, "configuration NOT loaded; generation 41 stays live",
	    "conf.d/20-api.conf:14:1: error[E0102]: unknown key "
	    "\"timout.connect\" in [upstream users]\n"
	    "   14 | timout.connect = 3s\n"
	    "      | ^^^^^^^^^^^^^^ did you mean \"timeout.connect\"?\n"
	    "conf.d/20-api.conf:31:12: error[E0210]: route \"orders\" uses "
	    "upstream \"order\", which is not defined\n"
	    "   31 | upstream = order\n"
	    "      |            ^^^^^ defined upstreams: orders, users   "
	    "(nearest: orders)\n"
	    "conf.d/30-old.conf:5: warning[W0302]: route \"legacy\" can "
	    "never match\n      = make one more specific or give it a "
	    "priority\n"
	    "2 errors, 1 warning - configuration NOT loaded; generation 41 "
	    "stays live\n");
	ck_assert_uint_eq(diag_errors(d), 2);
	ck_assert_uint_eq(diag_warnings(d), 1);
	ck_assert(diag_has(d, DIAG_KEY_UNKNOWN));
	ck_assert(!diag_has(d, DIAG_BIND));
	ck_assert(!diag_is_env(d));
	diag_free(&d);
	ck_assert_ptr_null(d);
}
END_TEST

/* Every id prints with its fix, and its kind is one of three. */
START_TEST(every_id)
{
	struct diags		*d;
	struct conf_span	 at = span("f", 1, 5, 1, "k = v");
	char			 want[1000];
	const char		*kind;
	int			 i;

	for (i = 0; i < DIAG_NID; i++) {
		kind = diag_code(i)[0] == 'E' ? "error" :
		    diag_code(i)[0] == 'W' ? "warning" : "notice";
		ck_assert(diag_code(i)[0] != 'N' || kind[0] == 'n');
		ck_assert_uint_eq(strlen(diag_code(i)), 5);
		ck_assert_uint_gt(strlen(diag_fix(i)), 5);
		d = diag_new();
		diag_at(d, i, &at, NULL, "", "text %d", i);
		snprintf(want, sizeof(want), "f:1:5: %s[%s]: text %d\n"
		    "    1 | k = v\n      |     ^ %s\n1 %s\n", kind,
		    diag_code(i), i, diag_fix(i), kind);
		ck_print(d, NULL, want);
		ck_assert(diag_is_env(d) == (str_starts(str_from(
		    diag_code(i)), STR("E05")) || i == DIAG_FILE_OPEN ||
		    i == DIAG_FILE_READ || i == DIAG_FILE_TYPE));
		diag_free(&d);
	}
}
END_TEST

START_TEST(limit)
{
	struct diags		*d = diag_new();
	struct conf_span	 at;
	struct text		 t;
	unsigned		 i;

	for (i = 1; i <= 25; i++) {
		at = span("a", i, 0, 0, "");
		diag_at(d, DIAG_ALIAS, &at, NULL, "", "w%u", i);
	}
	at = span("z", 9, 0, 0, "");
	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "late");
	text_init(&t);
	diag_print(d, &t, "no");
	text_c(&t, '\0');
	/* The error is among the twenty, though it stands last. */
	ck_assert_ptr_nonnull(strstr(t.p, "z:9: error[E0101]: late\n"));
	ck_assert_ptr_nonnull(strstr(t.p, "a:19: warning[W0410]: w19\n"));
	ck_assert_ptr_null(strstr(t.p, "w20"));
	ck_assert_ptr_nonnull(strstr(t.p,
	    "(6 more not shown)\n1 error, 25 warnings - no\n"));
	text_fini(&t);
	diag_free(&d);
}
END_TEST

/* More than are kept: an error still finds its place, and its hint. */
START_TEST(flood)
{
	struct diags		*d = diag_new();
	struct conf_span	 at;
	struct text		 t;
	unsigned		 i;

	for (i = 1; i <= 3000; i++) {
		at = span("a", i, 0, 0, "");
		diag_at(d, DIAG_ALIAS, &at, NULL, "", "w%u", i);
		diag_hint(d, "h%u", i);
	}
	ck_assert(!diag_has_room(d));
	at = span("a", 4000, 0, 0, "");
	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "late");
	diag_hint(d, "the hint");
	ck_assert_uint_eq(diag_warnings(d), 3000);
	text_init(&t);
	diag_print(d, &t, "");
	text_c(&t, '\0');
	ck_assert_ptr_nonnull(strstr(t.p,
	    "a:4000: error[E0101]: late\n      = the hint\n"));
	text_fini(&t);
	diag_free(&d);
}
END_TEST

START_TEST(told_once)
{
	struct diags		*d = diag_new();
	struct conf_span	 at = span("a", 1, 1, 1, "x");

	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "same");
	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "same");
	diag_hint(d, "of what was not kept");
	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "other");
	ck_assert_uint_eq(diag_errors(d), 2);
	ck_print(d, "", "a:1:1: error[E0101]: same\n    1 | x\n"
	    "      | ^ write key = value, [type] or [type name]\n"
	    "a:1:1: error[E0101]: other\n    1 | x\n"
	    "      | ^ write key = value, [type] or [type name]\n"
	    "2 errors\n");
	diag_free(&d);
}
END_TEST

START_TEST(windows)
{
	struct diags		*d = diag_new();
	char			 line[8193];
	struct conf_span	 at;
	struct text		 t;
	const char		*caret;
	const char		*nl;

	memset(line, 'a', 8192);
	line[8192] = '\0';
	line[4000] = 'X';
	at = span("f", 3, 4001, 1, line);
	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "long");
	text_init(&t);
	diag_print(d, &t, "");
	text_c(&t, '\0');
	ck_assert_uint_lt(t.n, 400);
	/* The caret stands below the X. */
	nl = strstr(t.p, "    3 | ");
	caret = strchr(strchr(nl, '\n'), '^');
	ck_assert_int_eq(strchr(nl, 'X') - nl,
	    caret - strchr(nl, '\n') - 1);
	ck_assert_ptr_nonnull(strstr(nl, " | ...aaa"));
	ck_assert_ptr_nonnull(strstr(nl, "aaa...\n"));
	text_fini(&t);
	diag_free(&d);
}
END_TEST

/* Tabs, wide and broken characters: the caret counts columns. */
START_TEST(columns)
{
	struct diags		*d = diag_new();
	struct conf_span	 at = span("f", 1, 10, 2,
	    "\tk = \xc3\xa4\xff\x01:\xc3\xb6");

	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "odd");
	ck_print(d, "", "f:1:10: error[E0101]: odd\n"
	    "    1 |  k = \xc3\xa4\\xff\\x01:\xc3\xb6\n"
	    "      |               ^ write key = value, [type] or [type "
	    "name]\n1 error\n");
	diag_free(&d);
	d = diag_new();
	at = span("f", 1, 6, 4, "a = b");
	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "behind the end");
	ck_print(d, "", "f:1:6: error[E0101]: behind the end\n"
	    "    1 | a = b\n"
	    "      |      ^ write key = value, [type] or [type name]\n"
	    "1 error\n");
	diag_free(&d);
}
END_TEST

/* Neither text nor hint nor line lets a secret through. */
START_TEST(secrets)
{
	struct t_load	 t = { .l = NULL };
	static char	*env[] = { "PW=geheimnis", NULL };
	char		*out;

	t.opts.env = env;
	t_load_text(&t, STR("[upstream u]\nserver = a\ntoken = geheim\x01"
	    "nis\n[upstream v]\nserver = a\ntokn = geheimnis2\n"
	    "[upstream w]\ntoken = geheimnis\n  timeout = geheimnis\n"
	    "server = bad geheimnis timeout = geheimnis\n"
	    "[route r]\nupstream = geheimnis timeout = geheimnis\n"
	    "[upstream x]\nserver = a\ntoken = \"geheimnis\n"
	    "[upstream y]\nserver = a\ntoken = geheimnis ${env:NO}\n"
	    "[upstream z]\nserver = a\ntoken = ${env:PW}\x02\n"));
	ck_assert_uint_ge(diag_errors(conf_load_diags(t.l)), 5);
	diag_print(conf_load_diags(t.l), &t.text, "");
	diag_json(conf_load_diags(t.l), &t.text);
	text_c(&t.text, '\0');
	ck_assert_ptr_nonnull(strstr(t.text.p, "    3 | token = ***\n"
	    "      |         ^^^ "));
	ck_assert_ptr_nonnull(strstr(t.text.p, "    6 | tokn = ***\n"
	    "      | ^^^^ did you mean \"token\"?\n"));
	out = strstr(t.text.p, "token = gehe");
	ck_assert_msg(out == NULL, "%s", t.text.p);
	ck_assert_ptr_null(strstr(t.text.p, "tokn = gehe"));
	t_fini(&t);
}
END_TEST

START_TEST(json)
{
	struct diags		*d = diag_new();
	struct conf_span	 at = span("f\"", 7, 3, 1, "k = v");
	struct conf_obj		 o = { .name = STR_INIT("u"),
	    .section = &t_upstream };
	struct text		 t;
	json_t			*js;
	json_t			*g;

	diag_at(d, DIAG_VALUE_TIME, &at, &o, "timeout.connect",
	    "\"x\" is %s", "no time");
	diag_at(d, DIAG_NO_USER, NULL, NULL, "", "plain");
	text_init(&t);
	diag_json(d, &t);
	js = json_loadb(t.p, t.n, 0, NULL);
	ck_assert_ptr_nonnull(js);
	ck_assert_int_eq(json_integer_value(json_object_get(js, "v")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(js, "errors")),
	    1);
	g = json_array_get(json_object_get(js, "diagnostics"), 1);
#define FIELD(f)	json_string_value(json_object_get(g, f))
	ck_assert_str_eq(FIELD("id"), "E0123");
	ck_assert_str_eq(FIELD("severity"), "error");
	ck_assert_str_eq(FIELD("file"), "f\"");
	ck_assert_int_eq(json_integer_value(json_object_get(g, "line")), 7);
	ck_assert_int_eq(json_integer_value(json_object_get(g, "col")), 3);
	ck_assert_str_eq(FIELD("section"), "upstream u");
	ck_assert_str_eq(FIELD("key"), "timeout.connect");
	ck_assert_str_eq(FIELD("text"), "\"x\" is no time");
	ck_assert_str_eq(FIELD("hint"), "");
	ck_assert_str_eq(FIELD("fix"), diag_fix(DIAG_VALUE_TIME));
	ck_assert_str_eq(FIELD("see"), "sluice.conf(5) timeout.connect");
	g = json_array_get(json_object_get(js, "diagnostics"), 0);
	ck_assert_str_eq(FIELD("severity"), "notice");
	ck_assert_str_eq(FIELD("see"), "sluice.conf(5)");
#undef FIELD
	json_decref(js);
	text_fini(&t);
	diag_free(&d);
}
END_TEST

START_TEST(colors)
{
	struct diags		*d = diag_new();
	struct conf_span	 at = span("f", 1, 1, 1, "x");

	diag_set_color(d, true);
	diag_at(d, DIAG_SYNTAX, &at, NULL, "", "t");
	ck_print(d, "", "f:1:1: \033[1;31merror[E0101]\033[0m: t\n"
	    "    1 | x\n      | \033[32m^ write key = value, [type] or "
	    "[type name]\033[0m\n1 error\n");
	diag_free(&d);
	ck_assert_int_eq(setenv("NO_COLOR", "1", 1), 0);
	ck_assert(!diag_wants_color(2));
	ck_assert_int_eq(unsetenv("NO_COLOR"), 0);
	ck_assert(!diag_wants_color(-1));
}
END_TEST

START_TEST(keys)
{
	ck_wrong(STR("x = 1\n[upstrem u]\nserver = a\n[nothing x]\n"
	    "[sluice x]\n[route]\n[route A]\n[route a] b\n[]\nnonsense\n"),
	    "t.conf:1:1: error[E0106]: key \"x\" stands before any section\n"
	    "    1 | x = 1\n      | ^ put the key below a [section]\n"
	    "t.conf:2:2: error[E0103]: unknown section type \"upstrem\"\n"
	    "    2 | [upstrem u]\n"
	    "      |  ^^^^^^^ did you mean \"upstream\"?\n"
	    "t.conf:4:2: error[E0103]: unknown section type \"nothing\"\n"
	    "    4 | [nothing x]\n"
	    "      |  ^^^^^^^ remove the section or correct its type\n"
	    "t.conf:5:9: error[E0104]: this section takes no name\n"
	    "    5 | [sluice x]\n"
	    "      |         ^ use 1 to 63 of a-z, 0-9, _ and -\n"
	    "t.conf:6:2: error[E0104]: this section needs a name\n"
	    "    6 | [route]\n"
	    "      |  ^^^^^ use 1 to 63 of a-z, 0-9, _ and -\n"
	    "t.conf:7:8: error[E0104]: the section's name has other "
	    "characters than a-z, 0-9, _ and -\n    7 | [route A]\n"
	    "      |        ^ use 1 to 63 of a-z, 0-9, _ and -\n"
	    "t.conf:8:10: error[E0101]: there is something behind the "
	    "section's header\n    8 | [route a] b\n"
	    "      |          ^^ write key = value, [type] or [type name]\n"
	    "t.conf:9:1: error[E0101]: the section's header is empty\n"
	    "    9 | []\n"
	    "      | ^^ write key = value, [type] or [type name]\n"
	    "t.conf:10:1: error[E0101]: this is neither key = value nor a "
	    "[section]\n   10 | nonsense\n"
	    "      | ^^^^^^^^ write key = value, [type] or [type name]\n"
	    "9 errors\n");
	ck_wrong(STR("[upstream u]\nserver = a\nservr = a\nmax_body = 1\n"
	    "host_header = 1\ntimeout.total = /\nmax_bdy = 1\n[admin]\n"
	    "cert = y\n[route r]\nheadr.X = 1\na b = c\n= d\n"),
	    "t.conf:3:1: error[E0102]: unknown key \"servr\" in [upstream "
	    "u]\n    3 | servr = a\n"
	    "      | ^^^^^ did you mean \"server\"?\n"
	    "t.conf:4:1: error[E0102]: unknown key \"max_body\" in "
	    "[upstream u]\n    4 | max_body = 1\n"
	    "      | ^^^^^^^^ \"max_body\" belongs to [route NAME]\n"
	    "t.conf:5:1: error[E0110]: key \"host_header\" in [upstream u] "
	    "is not obeyed yet\n    5 | host_header = 1\n"
	    "      | ^^^^^^^^^^^ leave the key out; this version does not obey "
	    "it yet\n"
	    "t.conf:6:1: error[E0110]: key \"timeout.total\" in [upstream u] "
	    "is not obeyed yet\n    6 | timeout.total = /\n"
	    "      | ^^^^^^^^^^^^^ leave the key out; this version does not "
	    "obey it yet\n"
	    "t.conf:7:1: error[E0102]: unknown key \"max_bdy\" in [upstream "
	    "u]\n    7 | max_bdy = 1\n"
	    "      | ^^^^^^^ did you mean \"max_body\" of [route NAME]?\n"
	    "t.conf:8:2: error[E0110]: section [admin] is not obeyed yet\n"
	    "    8 | [admin]\n"
	    "      |  ^^^^^ leave the key out; this version does not obey it "
	    "yet\n"
	    "t.conf:11:1: error[E0102]: unknown key \"headr.X\" in [route "
	    "r]\n   11 | headr.X = 1\n"
	    "      | ^^^^^^^ did you mean \"header.X\"?\n"
	    "t.conf:12:1: error[E0101]: a key is one word\n"
	    "   12 | a b = c\n"
	    "      | ^^^ write key = value, [type] or [type name]\n"
	    "t.conf:13:1: error[E0101]: there is no key before =\n"
	    "   13 | = d\n"
	    "      | ^ write key = value, [type] or [type name]\n"
	    "9 errors\n");
}
END_TEST

START_TEST(values)
{
	ck_wrong(STR("[sluice]\nworkers = 65\ntrusted_proxies = , ,\n"
	    "match = frst\n[upstream u]\nserver = a\nbreaker.rate = 101%\n"
	    "timeout.connect = 0ms\nwatched = yes\n[route r]\n"
	    "max_body = 16q\ntitle = a\x1b[1m\n"
	    "[upstream v]\nserver = aa\n  b bad\ntimeout.connect = 3 s\n"),
	    "t.conf:2:11: error[E0125]: workers: \"65\" is out of bounds\n"
	    "    2 | workers = 65\n      |           ^^ 1 to 64\n"
	    "t.conf:3:19: error[E0127]: trusted_proxies: there is no word "
	    "in the list\n    3 | trusted_proxies = , ,\n"
	    "      |                   ^^^ give a value or remove the line; "
	    "see sluice.conf(5) trusted_proxies\n"
	    "t.conf:4:9: error[E0124]: match: \"frst\" is none of the words "
	    "known here\n    4 | match = frst\n"
	    "      |         ^^^^ one of specific, first\n"
	    "t.conf:7:16: error[E0125]: breaker.rate: \"101%\" is out of "
	    "bounds\n    7 | breaker.rate = 101%\n"
	    "      |                ^^^^ 0 to 100\n"
	    "t.conf:8:19: error[E0125]: timeout.connect: \"0ms\" is out of "
	    "bounds\n    8 | timeout.connect = 0ms\n"
	    "      |                   ^^^ 1ms to 1m\n"
	    "t.conf:9:11: error[E0120]: watched: \"yes\" is neither on nor "
	    "off\n    9 | watched = yes\n"
	    "      |           ^^^ write on or off; see sluice.conf(5) "
	    "watched\n"
	    "t.conf:11:12: error[E0122]: max_body: \"16q\" is not a size\n"
	    "   11 | max_body = 16q\n"
	    "      |            ^^^ write a number with k, m or g, as in "
	    "16m; see sluice.conf(5) max_body\n"
	    "t.conf:12:10: error[E0130]: title: there is a control "
	    "character (0x1b)\n   12 | title = a\\x1b[1m\n"
	    "      |          ^^^^ remove control characters; see "
	    "sluice.conf(5) title\n"
	    "t.conf:15:5: error[E0126]: \"bad\" is no address\n"
	    "   15 |   b bad\n"
	    "      |     ^^^ write ADDRESS:PORT, [IPv6]:PORT or unix:PATH; "
	    "see sluice.conf(5) server\n"
	    "t.conf:16:19: error[E0123]: timeout.connect: \"3 s\" is not a "
	    "time\n   16 | timeout.connect = 3 s\n"
	    "      |                   ^^^ write a number with ms, s, m, h "
	    "or d, as in 30s; see sluice.conf(5) timeout.connect\n"
	    "10 errors\n");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("conf_diag");
	TCase	*tc = tcase_create("all");
	SRunner	*sr;
	int	 n;

	tcase_add_test(tc, golden);
	tcase_add_test(tc, every_id);
	tcase_add_test(tc, limit);
	tcase_add_test(tc, flood);
	tcase_add_test(tc, told_once);
	tcase_add_test(tc, windows);
	tcase_add_test(tc, columns);
	tcase_add_test(tc, secrets);
	tcase_add_test(tc, json);
	tcase_add_test(tc, colors);
	tcase_add_test(tc, keys);
	tcase_add_test(tc, values);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
