/*
 * Resolving: defaults, like, layers, overrides, references, objects made
 * by code, digests, dumps, the schema; and the speed of it.
 */
#include "conf_rows.h"

#include <jansson.h>
#include <time.h>

#include "conf/int.h"

static const void *
find(const struct t_load *t, const struct conf_section *s, const char *name)
{
	const void	*o;

	ck_assert_ptr_nonnull(t->conf);
	o = conf_find(t->conf, s, str_from(name));
	ck_assert_ptr_nonnull(o);
	return o;
}

static const struct t_upstream *
upstream(const struct t_load *t, const char *name)
{
	return find(t, &t_upstream, name);
}

static const struct t_route *
route(const struct t_load *t, const char *name)
{
	return find(t, &t_route, name);
}

static void
ck_list(struct conf_list l, const char *want)
{
	struct text	t;
	size_t		i;

	text_init(&t);
	for (i = 0; i < l.n; i++)
		text_fmt(&t, "%s%.*s", i > 0 ? "|" : "", STR_FMT(l.v[i]));
	text_c(&t, '\0');
	ck_assert_str_eq(t.p, want);
	text_fini(&t);
}

START_TEST(types)
{
	struct t_load			 t = { .l = NULL };
	const struct t_upstream		*u;
	const struct t_sluice		*s;
	const struct t_route		*r;

	t_load_text(&t, STR("[sluice]\nworkers = 7\ntrusted_proxies = a, b\t"
	    "c\nmatch = first\n[upstream u]\nserver = x\nserver = y w\n"
	    "balance = least_conn\ntimeout.connect = 1m\n"
	    "breaker.rate = 7 %\nsticky = cookie\ntoken = tok\n"
	    "watched = off\n[route r]\nheader.A = 1\nheader.b.c = 2\n"
	    "header.A = 3\nnote = one two\nnote = three\nmax_body = 2k\n"));
	ck_diag(&t, "");
	s = conf_one(t.conf, &t_sluice);
	ck_assert_int_eq(s->workers, 7);
	ck_list(s->trusted, "a|b|c");
	ck_assert_int_eq(s->match, 1);
	u = upstream(&t, "u");
	ck_list(u->servers, "x|y w");
	ck_assert_int_eq(u->balance, 1);
	ck_assert_uint_eq(u->connect, 60000);
	ck_assert_int_eq(u->rate, 7);
	ck_assert_int_eq(u->sticky, 1);
	ck_slice(u->token, "tok");
	ck_assert(!u->watch);
	ck_assert_uint_eq(u->obj.set, 7);
	ck_slice(u->obj.file, "t.conf");
	ck_assert_uint_eq(u->obj.line, 5);
	r = route(&t, "r");
	ck_assert_uint_eq(r->headers.n, 3);
	ck_slice(r->headers.v[1].key, "b.c");
	ck_slice(r->headers.v[2].val, "3");
	ck_list(r->notes, "one two|three");
	ck_assert_uint_eq(r->body, 2048);
	t_fini(&t);
}
END_TEST

START_TEST(defaults)
{
	struct t_load			 t = { .l = NULL };
	const struct t_upstream		*u;

	t_load_text(&t, STR("[upstream u]\nserver = x\n"
	    "timeout.connect = 1s\ntimeout.connect =\n"));
	ck_diag(&t, "");
	u = upstream(&t, "u");
	ck_assert_uint_eq(u->connect, 3000);
	ck_assert_int_eq(u->rate, 50);
	ck_assert(u->watch);
	ck_assert_ptr_null(u->token.p);
	ck_assert(!conf_is_set(t.l, &u->obj, "timeout.connect"));
	ck_assert(conf_is_set(t.l, &u->obj, "server"));
	ck_assert_int_eq(
	    ((const struct t_sluice *)conf_one(t.conf, &t_sluice))->workers,
	    2);
	ck_slice(t.conf->file, "t.conf");
	t_fini(&t);
}
END_TEST

START_TEST(layers)
{
	static char		*env[] = { "SLUICE_UPSTREAM_B__SERVER=env",
	    "SLUICE_SLUICE__WORKERS=5", NULL };
	static const char	*set[] = { "upstream.c.server=s1",
	    "upstream.c.server=s2", "sluice.workers=6",
	    "defaults.upstream.breaker.rate=9", NULL };
	struct t_load		 t = { .l = NULL };

	t.opts.env = env;
	t.opts.set = set;
	t_load_text(&t, STR("[upstream c]\nlike = b\nserver = 3\n"
	    "[defaults upstream]\nserver = d\ntimeout.connect = 7s\n"
	    "[upstream a]\nserver = 1\ntimeout.connect = 8s\n"
	    "[upstream b]\nlike = a\nserver = 2\n"
	    "[upstream e]\nserver =\nserver = 4\n"
	    "[upstream f]\nlike = a\nserver = 5\nserver =\nserver = 6\n"
	    "timeout.connect =\n"));
	ck_diag(&t, "");
	ck_list(upstream(&t, "a")->servers, "d|1");
	ck_list(upstream(&t, "b")->servers, "env");
	ck_list(upstream(&t, "c")->servers, "s1|s2");
	ck_list(upstream(&t, "e")->servers, "4");
	ck_list(upstream(&t, "f")->servers, "6");
	ck_assert_uint_eq(upstream(&t, "c")->connect, 8000);
	ck_assert_uint_eq(upstream(&t, "e")->connect, 7000);
	ck_assert_uint_eq(upstream(&t, "f")->connect, 3000);
	ck_assert_int_eq(upstream(&t, "a")->rate, 9);
	ck_assert_int_eq(
	    ((const struct t_sluice *)conf_one(t.conf, &t_sluice))->workers,
	    6);
	t_fini(&t);
}
END_TEST

START_TEST(like_wrong)
{
	struct t_load	t = { .l = NULL };
	struct text	c;
	int		i;

	ck_wrong(STR("[route a]\nlike = b\n[route b]\nlike = c\n"
	    "[route c]\nlike = b\n"),
	    "t.conf:4:8: error[E0211]: like runs in a circle: b -> c -> b\n"
	    "    4 | like = c\n"
	    "      |        ^ break the chain of like; see sluice.conf(5) "
	    "like\n1 error\n");
	ck_wrong(STR("[route a]\nlike = a\n"),
	    "t.conf:2:8: error[E0211]: like runs in a circle: a -> a\n"
	    "    2 | like = a\n"
	    "      |        ^ break the chain of like; see sluice.conf(5) "
	    "like\n1 error\n");
	ck_wrong(STR("[route abc]\n[route a]\nlike = abd\n"),
	    "t.conf:3:8: error[E0210]: route \"a\" uses route \"abd\", which "
	    "is not defined\n    3 | like = abd\n"
	    "      |        ^^^ defined routes: abc, a   (nearest: abc)\n"
	    "1 error\n");
	text_init(&c);
	for (i = 0; i <= CONF_LIKE_MAX + 1; i++)
		text_fmt(&c, "[route r%d]\n%s = r%d\n", i,
		    i <= CONF_LIKE_MAX ? "like" : "title", i + 1);
	t_load_text(&t, text_str(&c));
	ck_assert_uint_eq(diag_errors(conf_load_diags(t.l)), 1);
	ck_assert(diag_has(conf_load_diags(t.l), DIAG_LIKE_CYCLE));
	t_fini(&t);
	text_fini(&c);
}
END_TEST

START_TEST(empty_values)
{
	struct t_load	t = { .l = NULL };

	t_load_text(&t, STR("[defaults route]\ntitle = d\nheader.A = 1\n"
	    "header.B = 2\n[route a]\ntitle =\nheader.A =\n[route b]\n"
	    "[route c]\nupstream = x\nupstream = \n"));
	ck_diag(&t, "");
	/* A row that says so takes the empty value as one. */
	ck_assert_ptr_nonnull(route(&t, "a")->title.p);
	ck_slice(route(&t, "a")->title, "");
	ck_slice(route(&t, "b")->title, "d");
	ck_assert_uint_eq(route(&t, "a")->headers.n, 1);
	ck_slice(route(&t, "a")->headers.v[0].key, "B");
	ck_assert_ptr_null(route(&t, "c")->upstream.p);
	t_fini(&t);
}
END_TEST

START_TEST(aliases)
{
	struct t_load	t = { .l = NULL };

	t_load_text(&t, STR("[upstream a]\nserver = x\ntimeout = 4\n"
	    "sticky_sessions = on\nbalance = least_connections\n"
	    "watched = false\n[upstream b]\nserver = x\n"
	    "sticky_sessions = off\n"));
	ck_diag(&t,
	    "t.conf:3:1: warning[W0410]: \"timeout\" is read as "
	    "\"timeout.connect\"\n    3 | timeout = 4\n"
	    "      | ^^^^^^^ write \"timeout.connect\"\n"
	    "t.conf:4:1: warning[W0410]: \"sticky_sessions\" is read as "
	    "\"sticky\"\n    4 | sticky_sessions = on\n"
	    "      | ^^^^^^^^^^^^^^^ write \"sticky\"\n"
	    "t.conf:5:11: warning[W0410]: \"least_connections\" is read as "
	    "\"least_conn\"\n    5 | balance = least_connections\n"
	    "      |           ^^^^^^^^^^^^^^^^^ write \"least_conn\"\n"
	    "t.conf:6:11: warning[W0410]: \"false\" is read as \"off\"\n"
	    "    6 | watched = false\n"
	    "      |           ^^^^^ write \"off\"\n"
	    "t.conf:9:1: warning[W0410]: \"sticky_sessions\" is read as "
	    "\"sticky\"\n    9 | sticky_sessions = off\n"
	    "      | ^^^^^^^^^^^^^^^ write \"sticky\"\n5 warnings\n");
	ck_assert_uint_eq(upstream(&t, "a")->connect, 4000);
	ck_assert_int_eq(upstream(&t, "a")->sticky, 1);
	ck_assert_int_eq(upstream(&t, "a")->balance, 1);
	ck_assert(!upstream(&t, "a")->watch);
	ck_assert_int_eq(upstream(&t, "b")->sticky, 0);
	t_fini(&t);
}
END_TEST

START_TEST(references)
{
	struct t_load			 t = { .l = NULL };
	const struct t_upstream		*made;

	t_load_text(&t, STR("[route a]\nupstream = later\n"
	    "[upstream later]\nserver = x\n[route b]\nupstream = new\n"));
	ck_diag(&t, "");
	ck_assert_ptr_eq(route(&t, "a")->up, upstream(&t, "later"));
	made = upstream(&t, "made");
	ck_assert_ptr_eq(route(&t, "b")->up, made);
	ck_assert_uint_eq(made->connect, 3000);
	ck_assert_uint_eq(conf_all(t.conf, &t_upstream).n, 2);
	ck_assert_uint_eq(((struct t_done *)conf_data(t.conf,
	    &t_route))->routes, 2);
	ck_assert_ptr_null(conf_find(t.conf, &t_upstream, STR("mad")));
	ck_assert_ptr_nonnull(conf_part(&route(&t, "a")->obj,
	    &t_static_group));
	ck_assert_ptr_null(conf_part(&route(&t, "a")->obj,
	    &t_upstream_group));
	t_fini(&t);
	ck_wrong(STR("[upstream users]\nserver = a\n[upstream orders]\n"
	    "server = a\n[route orders]\nupstream = order\n"),
	    "t.conf:6:12: error[E0210]: route \"orders\" uses upstream "
	    "\"order\", which is not defined\n"
	    "    6 | upstream = order\n"
	    "      |            ^^^^^ defined upstreams: users, orders   "
	    "(nearest: orders)\n1 error\n");
}
END_TEST

/* What could not be read is told alone, not what it drags along. */
START_TEST(no_cascades)
{
	ck_wrong(STR("[upstream us\nserver = a\n[route a]\nupstream = us\n"
	    "[upstream b]\n"),
	    "t.conf:1:1: error[E0101]: no ] closes the section's header\n"
	    "    1 | [upstream us\n"
	    "      | ^^^^^^^^^^^^ write key = value, [type] or [type name]\n"
	    "1 error\n");
	ck_wrong(STR("[upstream a]\nserver = x\nbreaker.rate = x\n"
	    "[upstream b]\nlike = a\n[upstream c]\nlike = b\n"),
	    "t.conf:3:16: error[E0121]: breaker.rate: \"x\" is not a whole "
	    "number\n    3 | breaker.rate = x\n"
	    "      |                ^ write a whole number in the range; see "
	    "sluice.conf(5) breaker.rate\n1 error\n");
}
END_TEST

START_TEST(root_and_port)
{
	struct t_load		 t = { .l = NULL };
	const struct t_listener	*l;
	const struct t_static	*st;

	t.opts.root = "www";
	t.opts.port = "81";
	t_run(&t);
	ck_diag(&t, "");
	l = find(&t, &t_listener, "web");
	ck_list(l->bind, "0.0.0.0:81");
	st = conf_part(&route(&t, "site")->obj, &t_static_group);
	ck_assert(str_ends(st->root, STR("/www")));
	ck_assert(st->root.p[0] == '/');
	ck_list(route(&t, "site")->paths, "/*");
	t_fini(&t);
	t_load_text(&t, STR("[route a]\npath = /a/*\nstatic = /a\n"
	    "[route rest]\npath = /b, /*\nstatic = /rest\n"
	    "[listener web]\nbind = 1.1.1.1:1\n"));
	ck_diag(&t, "");
	st = conf_part(&route(&t, "rest")->obj, &t_static_group);
	ck_assert(str_ends(st->root, STR("/www")));
	ck_list(route(&t, "rest")->paths, "/b|/*");
	ck_assert_ptr_null(conf_find(t.conf, &t_route, STR("site")));
	l = find(&t, &t_listener, "web");
	ck_list(l->bind, "0.0.0.0:81");
	t_fini(&t);
	t.opts.root = NULL;
	t.opts.file = NULL;
	t.opts.port = "65536";
	t_run(&t);
	ck_diag(&t, "--port: error[E0132]: a port is a number up to 65535\n"
	    "      | 65536\n      | ^^^^^ write --port 8080\n1 error\n");
	t_fini(&t);
}
END_TEST

START_TEST(overrides)
{
	static char		*env[] = { "SLUICE_ROUTE_A_B__HEADER_X=1",
	    "SLUICE_ROUTE_NEW__TITLE= $$ \"x\" ", "SLUICE_CONF=x",
	    "SLUICE_DEFAULTS_ROUTE__MAX_BODY=1k", "SLUICE_TYPO=geheim1",
	    "SLUICE_ROUTE_A__NOPE=1", "OTHER=1", NULL };
	struct t_load		 t = { .l = NULL };

	t.opts.env = env;
	t_load_text(&t, STR("[route a-b]\n"));
	ck_diag(&t, "environment: warning[W0311]: environment variable "
	    "\"SLUICE_TYPO\" means no key\n      | SLUICE_TYPO\n"
	    "      | ^^^^^^^^^^^ unset it or correct its name\n"
	    "environment: warning[W0311]: environment variable "
	    "\"SLUICE_ROUTE_A__NOPE\" means no key\n"
	    "      | SLUICE_ROUTE_A__NOPE\n"
	    "      | ^^^^^^^^^^^^^^^^^^^^ unset it or correct its name\n"
	    "2 warnings\n");
	ck_assert_uint_eq(route(&t, "a-b")->headers.n, 1);
	ck_slice(route(&t, "a-b")->headers.v[0].key, "x");
	ck_slice(route(&t, "new")->title, " $$ \"x\" ");
	ck_assert_uint_eq(route(&t, "new")->body, 1024);
	t_fini(&t);
}
END_TEST

START_TEST(overrides_wrong)
{
	static const char	*set[] = { "sluice.workers", "sluice=1",
	    "route.A.title=1", "rout.a.title=1", "sluice.worker=2",
	    "upstream.u.token=geheim1\r", "sluice.workers=99", NULL };
	struct t_load		 t = { .l = NULL };

	t.opts.set = set;
	t_load_text(&t, STR("[upstream u]\nserver = a\n"));
	ck_diag(&t,
	    "--set: error[E0132]: there is no = in the override\n"
	    "      | sluice.workers\n"
	    "      | ^^^^^^^^^^^^^^ write --set SECTION.KEY=VALUE or "
	    "SECTION.NAME.KEY=VALUE\n"
	    "--set: error[E0132]: the override names no key\n"
	    "      | sluice=1\n"
	    "      | ^^^^^^^^ write --set SECTION.KEY=VALUE or "
	    "SECTION.NAME.KEY=VALUE\n"
	    "--set: error[E0103]: unknown section type \"rout\"\n"
	    "      | rout.a.title=1\n"
	    "      | ^^^^ did you mean \"route\"?\n"
	    "--set: error[E0132]: the override names no section of that "
	    "type\n      | route.A.title=1\n"
	    "      |       ^ write --set SECTION.KEY=VALUE or "
	    "SECTION.NAME.KEY=VALUE\n"
	    "--set: error[E0102]: unknown key \"worker\" in [sluice]\n"
	    "      | sluice.worker=2\n"
	    "      |        ^^^^^^ did you mean \"workers\"?\n"
	    "--set: error[E0125]: workers: \"99\" is out of bounds\n"
	    "      | sluice.workers=99\n"
	    "      |                ^^ 1 to 64\n"
	    "--set: error[E0130]: token: the value is not valid\n"
	    "      | upstream.u.token=***\n"
	    "      |                  ^^^ remove control characters; see "
	    "sluice.conf(5) token\n7 errors\n");
	t_fini(&t);
}
END_TEST

static uint64_t
digest_of(struct str c)
{
	struct t_load	t = { .l = NULL };
	uint64_t	d;

	t_load_text(&t, c);
	d = route(&t, "a")->obj.digest;
	ck_assert_uint_ne(t.conf->digest, 0);
	t_fini(&t);
	return d;
}

START_TEST(digests)
{
	uint64_t	d = digest_of(STR("[route a]\npath = /x\n"));

	ck_assert_uint_eq(d, digest_of(STR("# c\n\n[route a]\npath=/x\n"
	    "[route b]\n")));
	ck_assert_uint_eq(d, digest_of(STR("[route a]\npath = /y\npath =\n"
	    "path = /x\n")));
	ck_assert_uint_ne(d, digest_of(STR("[route a]\npath = /y\n")));
	ck_assert_uint_ne(d, digest_of(STR("[route a]\ntitle = /x\n")));
	ck_assert_uint_ne(d, digest_of(STR("[route a]\npath = /x\n"
	    "path = /x\n")));
	ck_assert_uint_eq(digest_of(STR("[route b]\npath = /x\n[route a]\n"
	    "like = b\n")), d);
}
END_TEST

static void
dump(struct t_load *t, enum conf_dump how, char **out)
{
	size_t	n;
	FILE	*f = open_memstream(out, &n);

	ck_assert_ptr_nonnull(t->conf);
	conf_dump(t->l, how, f);
	fclose(f);
}

START_TEST(dumps)
{
	struct t_load	 t = { .l = NULL };
	struct t_load	 again = { .l = NULL };
	char		*out;
	char		*out2;

	t_load_text(&t, STR("[upstream u]\nserver = a\ntimeout = 61\n"
	    "timeout = 60\nbreaker.rate = 50%\ntoken = geheim\n"
	    "[route r]\nlike = q\nheader.X = \" $ \"\n"
	    "[route q]\ntitle = \"\"\nmax_body = 2048\n"));
	dump(&t, CONF_DUMP_SET, &out);
	ck_assert_str_eq(out, "[upstream u]\nserver = a\n"
	    "timeout.connect = 1m\ntoken = ***\n\n"
	    "[route r]\nheader.X = \" $ \"\nmax_body = 2k\n"
	    "title = \"\"\n\n[route q]\nmax_body = 2k\ntitle = \"\"\n\n");
	/* What it prints reads back as the same. */
	t_load_text(&again, str_from(out));
	ck_diag(&again, "");
	dump(&again, CONF_DUMP_SET, &out2);
	ck_assert_str_eq(out, out2);
	t_fini(&again);
	free(out);
	free(out2);
	dump(&t, CONF_DUMP_ALL, &out);
	ck_assert_ptr_null(strstr(out, "geheim"));
	ck_assert_ptr_nonnull(strstr(out, "# default\nworkers = 2\n"));
	ck_assert_ptr_nonnull(strstr(out,
	    "# t.conf:4\ntimeout.connect = 1m\n"));
	ck_assert_ptr_nonnull(strstr(out, "# like, t.conf:12\n"
	    "max_body = 2k\n"));
	ck_assert_ptr_nonnull(strstr(out, "# trusted_proxies is not set\n"));
	t_fini(&t);
	free(out);
}
END_TEST

/* A file made from the schema sets every row, and is sound. */
START_TEST(schema)
{
	struct t_load	 t = { .l = NULL };
	char		*out;
	size_t		 n;
	FILE		*f = open_memstream(&out, &n);
	json_t		*js;
	json_t		*sec;
	json_t		*key;
	size_t		 i;
	size_t		 j;
	struct text	 c;

	schema_json(conf_sections, f);
	fclose(f);
	js = json_loads(out, 0, NULL);
	ck_assert_ptr_nonnull(js);
	ck_assert_int_eq(json_integer_value(json_object_get(js, "v")), 1);
	text_init(&c);
	json_array_foreach(json_object_get(js, "sections"), i, sec) {
		text_fmt(&c, "[%s%s]\n", json_string_value(
		    json_object_get(sec, "type")), json_is_true(
		    json_object_get(sec, "named")) ? " users" : "");
		json_array_foreach(json_object_get(sec, "keys"), j, key) {
			const char *k = json_string_value(
			    json_object_get(key, "key"));

			text_fmt(&c, "%s%s = %s\n", k, k[strlen(k) - 1] ==
			    '*' ? "x" : "", json_string_value(
			    json_object_get(key, "example")));
		}
	}
	for (i = 0; i < c.n; i++)
		if (c.p[i] == '*' && c.p[i - 1] == '.')
			c.p[i] = '-';
	t_load_text(&t, text_str(&c));
	ck_diag(&t, "");
	ck_assert_uint_eq(route(&t, "users")->obj.set, 8);
	t_fini(&t);
	text_fini(&c);
	json_decref(js);
	free(out);
}
END_TEST

START_TEST(manual)
{
	char	*out;
	size_t	 n;
	FILE	*f = open_memstream(&out, &n);

	schema_mdoc(conf_sections, f);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(out, ".Ss [upstream NAME]\n"));
	ck_assert_ptr_nonnull(strstr(out,
	    ".It Ic \\&timeout.connect No = Ar time\nTime to connect.\n"
	    "A number without a unit is milliseconds.\n"
	    "Range: 1ms to 1m.\nThe default is\n.Ql \\&3s .\n"
	    "Also read as\n.Ic \\&timeout .\n"
	    "A number without a unit is seconds with\n.Ic \\&timeout .\n"));
	ck_assert_ptr_nonnull(strstr(out, "The value is never shown.\n"));
	free(out);
}
END_TEST

/* 10,000 routes: a scan of all for each would take minutes. */
START_TEST(speed)
{
	struct t_load	t = { .l = NULL };
	struct text	c;
	struct timespec	a;
	struct timespec	b;
	int		i;

	text_init(&c);
	text_add(&c, STR("[upstream u]\nserver = a\n"));
	for (i = 0; i < 10000; i++)
		text_fmt(&c, "[route r%d]\npath = /r%d/*\nupstream = u\n"
		    "header.X-A = %d\nmax_body = 1m\ntimout = 1\n", i, i, i);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	t_load_text(&t, text_str(&c));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	ck_assert_uint_eq(diag_errors(conf_load_diags(t.l)), 10000);
	/* Far above what it takes, far below what squares would. */
	ck_assert_int_lt((b.tv_sec - a.tv_sec) * 1000 +
	    (b.tv_nsec - a.tv_nsec) / 1000000, 3000);
	t_fini(&t);
	text_fini(&c);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("conf_load");
	TCase	*tc = tcase_create("all");
	SRunner	*sr;
	int	 n;

	tcase_add_test(tc, types);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, layers);
	tcase_add_test(tc, like_wrong);
	tcase_add_test(tc, empty_values);
	tcase_add_test(tc, aliases);
	tcase_add_test(tc, references);
	tcase_add_test(tc, no_cascades);
	tcase_add_test(tc, root_and_port);
	tcase_add_test(tc, overrides);
	tcase_add_test(tc, overrides_wrong);
	tcase_add_test(tc, digests);
	tcase_add_test(tc, dumps);
	tcase_add_test(tc, schema);
	tcase_add_test(tc, manual);
	tcase_add_test(tc, speed);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
