/*
 * The reader: lines of any shape to assignments; files and includes.
 */
#include "conf_rows.h"

#include "conf/int.h"

static const struct t_route *
route(const struct t_load *t, const char *name)
{
	ck_assert_ptr_nonnull(t->conf);
	return conf_find(t->conf, &t_route, str_from(name));
}

/* A folder of the test's own to be in. */
static void
enter_folder(void)
{
	char	path[] = "/tmp/sluice-test-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path), 0);
}

static void
leave_folder(void)
{
	char	cmd[4200];
	char	path[4096];

	ck_assert_ptr_nonnull(getcwd(path, sizeof(path)));
	ck_assert(str_starts(str_from(path), STR("/tmp/sluice-test-")));
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", path);
	ck_assert_int_eq(system(cmd), 0);
}

static void
load_file(struct t_load *t, const char *file)
{
	t->opts.file = file;
	t->opts.file_given = true;
	t_run(t);
}

static void
ck_file(const char *file, const char *want)
{
	struct t_load	t = { .l = NULL };

	load_file(&t, file);
	ck_diag(&t, want);
	t_fini(&t);
}

START_TEST(plain)
{
	struct t_load		 t = { .l = NULL };
	const struct t_route	*r;

	t_load_text(&t, STR("# comment\n; too\n[route a]\npath=/a\n"
	    "  # indented comment\n\n\tpath\t =  /b /c \n[route b]\n"
	    "title = a ; b # c\n"));
	ck_diag(&t,
	    "t.conf:7:2: warning[W0310]: this indented line "
	    "continues the value above\n"
	    "    7 |  path  =  /b /c \n"
	    "      |  ^^^^^^^^^^^^^^ remove the indentation, or quote the "
	    "value\n"
	    "t.conf:9:15: warning[W0313]: what follows # belongs to the "
	    "value: comments are lines of their own\n"
	    "    9 | title = a ; b # c\n"
	    "      |               ^^^ put the comment on a line of its own, "
	    "or quote the value; see sluice.conf(5) title\n2 warnings\n");
	r = route(&t, "a");
	ck_assert_uint_eq(r->paths.n, 5);
	ck_slice(r->paths.v[4], "/c");
	ck_slice(route(&t, "b")->title, "a ; b # c");
	t_fini(&t);
}
END_TEST

START_TEST(endings)
{
	struct t_load	t = { .l = NULL };

	t_load_text(&t, STR("\xef\xbb\xbf[route a]\r\ntitle = x\r\n"
	    "\r\n[route b]\r\n"));
	ck_diag(&t, "");
	ck_slice(route(&t, "a")->title, "x");
	ck_assert_ptr_nonnull(route(&t, "b"));
	t_fini(&t);
	ck_wrong(STR("[route a]\n\xef\xbb\xbfpath = /\n"),
	    "t.conf:2:1: error[E0102]: unknown key \"\xef\xbb\xbfpath\" in "
	    "[route a]\n    2 | \xef\xbb\xbfpath = /\n"
	    "      | ^^^^^ remove the key or correct its name\n1 error\n");
}
END_TEST

START_TEST(no_text)
{
	ck_wrong(STR("[route a]\ntitle = a\0b\n"),
	    "t.conf:2:10: error[E0010]: there is a NUL byte in the file\n"
	    "    2 | title = a\\x00b\n"
	    "      |          ^^^^ remove the NUL byte; is this a text "
	    "file?\n1 error\n");
	ck_wrong(STR("[route a]\ntitle = a\rb\n"),
	    "t.conf:2:10: error[E0011]: there is a CR that no LF follows\n"
	    "    2 | title = a\\x0db\n"
	    "      |          ^^^^ end lines with LF or CR LF\n1 error\n");
}
END_TEST

START_TEST(empty_sections)
{
	struct t_load	t = { .l = NULL };

	t_load_text(&t, STR("[route a]\n[route b]\n[route c]"));
	ck_diag(&t, "");
	ck_assert_uint_eq(conf_all(t.conf, &t_route).n, 3);
	t_fini(&t);
	ck_wrong(STR("[upstream a]\n[route b]\n"),
	    "t.conf:1:1: error[E0111]: [upstream a] has no \"server\"\n"
	    "    1 | [upstream a]\n"
	    "      | ^^^^^^^^^^^^ set the key; see sluice.conf(5) server\n"
	    "1 error\n");
}
END_TEST

/* libinih alone would cut all of these. */
START_TEST(long_values)
{
	static const size_t	sizes[] = {
		190, 200, 8192, CONF_VALUE_MAX, CONF_VALUE_MAX + 1
	};
	struct t_load		t = { .l = NULL };
	struct text		c;
	size_t			n = sizes[_i];
	size_t			i;

	text_init(&c);
	text_add(&c, STR("[route a]\ntitle = "));
	for (i = 0; i < n; i++)
		text_c(&c, (char)(i % 200 == 7 ? ';' : 'a' + i % 26));
	text_add(&c, STR("\n[route b]\n"));
	t_load_text(&t, text_str(&c));
	ck_assert(diag_has(conf_load_diags(t.l), DIAG_VALUE_LONG) ==
	    (n > CONF_VALUE_MAX));
	if (n <= CONF_VALUE_MAX) {
		ck_assert_uint_eq(route(&t, "a")->title.n, n);
		ck_assert_int_eq(memcmp(route(&t, "a")->title.p, c.p + 18,
		    n), 0);
	}
	t_fini(&t);
	text_fini(&c);
}
END_TEST

START_TEST(long_names)
{
	struct t_load	t = { .l = NULL };
	char		c[100];
	char		name[65];

	memset(name, 'n', 64);
	name[63] = name[64] = '\0';
	snprintf(c, sizeof(c), "[route %s]\n", name);
	t_load_text(&t, str_from(c));
	ck_assert_ptr_nonnull(route(&t, name));
	t_fini(&t);
	name[63] = 'n';
	snprintf(c, sizeof(c), "[route %s]\n", name);
	ck_wrong(str_from(c),
	    "t.conf:1:8: error[E0104]: the section's name is longer than 63 "
	    "bytes\n    1 | [route nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	    "nnnnnnnnnnnnnnnnnnnnnnn]\n      |        ^^^^^^^^^^^^^^^^^^^^^^^"
	    "^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ use 1 to 63 of a-z, "
	    "0-9, _ and -\n1 error\n");
}
END_TEST

START_TEST(continued)
{
	struct t_load			 t = { .l = NULL };
	const struct t_listener		*l;

	t_load_text(&t, STR("[listener a]\nbind = 0.0.0.0:80\n"
	    "       [::]:80\n# comment\n\n\t:81\n"
	    "[upstream u]\nserver = a\n  weight=2\n"
	    "[route r]\ntitle = \"a\n  path = b\"\n"));
	ck_diag(&t, "");
	ck_assert_ptr_nonnull(t.conf);
	l = conf_find(t.conf, &t_listener, STR("a"));
	ck_assert_uint_eq(l->bind.n, 3);
	ck_slice(l->bind.v[1], "[::]:80");
	ck_slice(route(&t, "r")->title, "a path = b");
	t_fini(&t);
}
END_TEST

START_TEST(quotes)
{
	static const struct {
		const char	*text;
		const char	*want;
	} v[] = {
		{ "\"  a  \"", "  a  " }, { "\"a\" b", "\"a\" b" },
		{ "\"\"a\"\"", "\"a\"" }, { "a \"b\"", "a \"b\"" },
		{ "\"$$ ${env:X} ; # \"", "$$ ${env:X} ; # " },
		{ "\"\"", "" }, { "a$$b", "a$b" }, { "$", "$" },
		{ "${host}", "${host}" }, { "$${host}", "${host}" },
		{ "a${env:V}b", "avalb" }, { "${env:N:-d e}", "d e" },
		{ "${env:N:-}", "" }, { "${env:E:-x}", "x" },
		{ "${env:E}", "" }, { "${env:V:-x}${env:V}", "valval" },
		{ "${env:D}", "$$${env:V}" },
	};
	static char	*env[] = { "V=val", "E=", "D=$$${env:V}",
	    "VV=no", NULL };
	struct t_load	 t = { .l = NULL };
	char		 c[100];

	t.opts.env = env;
	snprintf(c, sizeof(c), "[route a]\ntitle = %s\n", v[_i].text);
	t_load_text(&t, str_from(c));
	ck_diag(&t, "");
	ck_slice(route(&t, "a")->title, v[_i].want);
	t_fini(&t);
}
END_TEST

START_TEST(quotes_open)
{
	ck_wrong(STR("[route a]\ntitle = \"abc\n"),
	    "t.conf:2:9: error[E0107]: the double quote is not closed\n"
	    "    2 | title = \"abc\n"
	    "      |         ^^^^ close the double quote; see "
	    "sluice.conf(5) title\n1 error\n");
	ck_wrong(STR("[route a]\ntitle = \"\n"),
	    "t.conf:2:9: error[E0107]: the double quote is not closed\n"
	    "    2 | title = \"\n"
	    "      |         ^ close the double quote; see "
	    "sluice.conf(5) title\n1 error\n");
}
END_TEST

START_TEST(expansions_wrong)
{
	ck_wrong(STR("[route a]\ntitle = x ${env:NOPE} ${env:\n"),
	    "t.conf:2:11: error[E0109]: environment variable is not set: "
	    "\"NOPE\"\n    2 | title = x ${env:NOPE} ${env:\n"
	    "      |           ^^^^^^^^^^^ set the variable, or give a "
	    "default: ${env:NAME:-x}; see sluice.conf(5) title\n"
	    "t.conf:2:23: error[E0109]: no } closes \"${env:\"\n"
	    "    2 | title = x ${env:NOPE} ${env:\n"
	    "      |                       ^^^^^^ set the variable, or give "
	    "a default: ${env:NAME:-x}; see sluice.conf(5) title\n"
	    "2 errors\n");
}
END_TEST

START_TEST(file_values)
{
	struct t_load	t = { .l = NULL };

	enter_folder();
	ck_assert_int_eq(mkdir("sub", 0700), 0);
	t_write("sub/secret", STR("s3cr$t\r\n\n"));
	t_write("sub/m.conf", STR("[route a]\ntitle = <${file:secret}>\n"));
	load_file(&t, "sub/m.conf");
	ck_diag(&t, "");
	ck_slice(route(&t, "a")->title, "<s3cr$t>");
	t_fini(&t);
	t_write("sub/n.conf", STR("[route a]\ntitle = ${file:none}\n"));
	load_file(&t, "sub/n.conf");
	ck_assert(diag_has(conf_load_diags(t.l), DIAG_FILE_OPEN));
	t_fini(&t);
	leave_folder();
}
END_TEST

START_TEST(includes)
{
	struct t_load		 t = { .l = NULL };
	const struct t_route	*r;

	enter_folder();
	ck_assert_int_eq(mkdir("conf.d", 0700), 0);
	ck_assert_int_eq(mkdir("conf.d/[x]", 0700), 0);
	t_write("m.conf", STR("[sluice]\ninclude = conf.d/*.conf\n"
	    "include = none/*.conf\n[route a]\npath = /m\nstatic = w\n"));
	t_write("conf.d/b.conf", STR("[route a]\npath = /b\n"));
	t_write("conf.d/B.conf", STR("[route a]\npath = /B\nstatic = w\n"));
	t_write("conf.d/a.conf", STR("\xef\xbb\xbf[sluice]\n"
	    "include = [x]/a*\n[route a]\npath = /a\n"));
	t_write("conf.d/[x]/a", STR("[route a]\npath = /xa\n"
	    "[sluice]\ninclude = ../z?\n"));
	t_write("conf.d/z1", STR("[route a]\npath = /z1\n"));
	load_file(&t, "m.conf");
	ck_diag(&t, "");
	r = route(&t, "a");
	/* The pattern [x] is a class; x is no folder, so nothing matched. */
	ck_assert_uint_eq(r->paths.n, 4);
	ck_slice(r->paths.v[0], "/m");
	ck_slice(r->paths.v[1], "/B");
	ck_slice(r->paths.v[2], "/a");
	ck_slice(r->paths.v[3], "/b");
	ck_assert(str_ends(((const struct t_static *)conf_part(&r->obj,
	    &t_static_group))->root, STR("/conf.d/w")));
	t_fini(&t);
	/* A folder's own brackets are no pattern. */
	t_write("conf.d/[x]/m", STR("[sluice]\ninclude = a\n"));
	load_file(&t, "conf.d/[x]/m");
	ck_diag(&t, "");
	ck_assert_uint_eq(route(&t, "a")->paths.n, 2);
	t_fini(&t);
	leave_folder();
}
END_TEST

START_TEST(include_cycle)
{
	enter_folder();
	t_write("a", STR("[sluice]\ninclude = b\n"));
	t_write("b", STR("[sluice]\ninclude = c\n"));
	t_write("c", STR("[sluice]\ninclude = ./a\n"));
	ck_file("a", "c:2:11: error[E0004]: files include each other: "
	    "a -> b -> c -> ./a\n    2 | include = ./a\n"
	    "      |           ^^^ remove one include of the chain; see "
	    "sluice.conf(5) include\n1 error\n");
	leave_folder();
}
END_TEST

START_TEST(include_depth)
{
	char	name[16];
	char	c[64];
	int	i;

	enter_folder();
	for (i = 0; i <= 9; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		snprintf(c, sizeof(c), "[sluice]\ninclude = f%d\n", i + 1);
		t_write(name, i < 9 ? str_from(c) : STR(""));
	}
	ck_file("f1", "");
	ck_file("f0", "f8:2:11: error[E0005]: \"f9\": is included more than "
	    "8 levels deep\n    2 | include = f9\n"
	    "      |           ^^ include files at most 8 levels deep; see "
	    "sluice.conf(5) include\n1 error\n");
	leave_folder();
}
END_TEST

START_TEST(include_wrong)
{
	enter_folder();
	ck_assert_int_eq(mkdir("d", 0700), 0);
	ck_assert_int_eq(symlink("gone", "l.conf"), 0);
	t_write("m", STR("[sluice]\ninclude = none\ninclude = d\n"
	    "include = *.conf\n"));
	ck_file("m", "m:2:11: error[E0003]: \"none\": No such file or "
	    "directory\n    2 | include = none\n"
	    "      |           ^^^^ correct the name, or use a glob, which "
	    "may match nothing; see sluice.conf(5) include\n"
	    "m:3:11: error[E0006]: \"d\": is a directory\n"
	    "    3 | include = d\n"
	    "      |           ^ name a regular file; see sluice.conf(5) "
	    "include\n"
	    "m:4:11: error[E0001]: \"l.conf\": vanished after it was "
	    "listed\n    4 | include = *.conf\n"
	    "      |           ^^^^^^ check the path and its permissions; "
	    "see sluice.conf(5) include\n3 errors\n");
	leave_folder();
}
END_TEST

START_TEST(unreadable)
{
	struct t_load	t = { .l = NULL };

	enter_folder();
	t_write("m", STR("[sluice]\ninclude = x\n"));
	t_write("x", STR(""));
	ck_assert_int_eq(chmod("x", 0), 0);
	ck_assert_int_eq(chmod(".", 0755), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(setegid(65534), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	}
	load_file(&t, "m");
	ck_assert(diag_has(conf_load_diags(t.l), DIAG_FILE_OPEN));
	ck_assert(diag_is_env(conf_load_diags(t.l)));
	ck_assert_ptr_null(t.conf);
	t_fini(&t);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	leave_folder();
}
END_TEST

START_TEST(main_file)
{
	struct t_load	t = { .l = NULL };

	enter_folder();
	ck_file("none", "error[E0001]: \"none\": No such file or directory\n"
	    "      = check the path and its permissions\n1 error\n");
	ck_file(".", "error[E0006]: \".\": is a directory\n"
	    "      = name a regular file\n1 error\n");
	ck_file("/dev/null", "error[E0006]: \"/dev/null\": is not a regular "
	    "file\n      = name a regular file\n1 error\n");
	t_write("big", STR("#\n"));
	ck_assert_int_eq(truncate("big", (16 << 20) + 1), 0);
	ck_file("big", "error[E0007]: \"big\": is larger than 16 MiB\n"
	    "      = split the file; one may have 16 MiB\n1 error\n");
	t.opts.file = "none";
	t_run(&t);
	ck_diag(&t, "notice[N0001]: there is no \"none\"; the built-in "
	    "configuration is used\n      = give -c FILE\n1 notice\n");
	ck_assert_ptr_nonnull(route(&t, "site"));
	ck_slice(t.conf->file, "");
	t_fini(&t);
	leave_folder();
}
END_TEST

START_TEST(twice)
{
	struct t_load	t = { .l = NULL };

	ck_wrong(STR("[route a]\npath = /a\n\n[route a]\n"),
	    "t.conf:4:1: error[E0105]: [route a] is twice in this file\n"
	    "    4 | [route a]\n"
	    "      | ^^^^^^^^^ the first is in line 1\n1 error\n");
	enter_folder();
	t_write("m", STR("[sluice]\ninclude = x\ninclude = x\n"
	    "include = ./x\n[route a]\npath = /1\n"));
	t_write("x", STR("[route a]\npath = /2\n"));
	load_file(&t, "m");
	ck_diag(&t, "");
	/* Named three times, read once. */
	ck_assert_uint_eq(route(&t, "a")->paths.n, 2);
	t_fini(&t);
	leave_folder();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("conf_reader");
	TCase	*tc = tcase_create("all");
	SRunner	*sr;
	int	 n;

	tcase_add_test(tc, plain);
	tcase_add_test(tc, endings);
	tcase_add_test(tc, no_text);
	tcase_add_test(tc, empty_sections);
	tcase_add_loop_test(tc, long_values, 0, 5);
	tcase_add_test(tc, long_names);
	tcase_add_test(tc, continued);
	tcase_add_loop_test(tc, quotes, 0, 17);
	tcase_add_test(tc, quotes_open);
	tcase_add_test(tc, expansions_wrong);
	tcase_add_test(tc, file_values);
	tcase_add_test(tc, includes);
	tcase_add_test(tc, include_cycle);
	tcase_add_test(tc, include_depth);
	tcase_add_test(tc, include_wrong);
	tcase_add_test(tc, unreadable);
	tcase_add_test(tc, main_file);
	tcase_add_test(tc, twice);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
