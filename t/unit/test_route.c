/*
 * Routes: specificity, conditions, 405, the index with 10,000 of them,
 * and what is said of patterns that cannot be.
 */
#include "serve_env.h"

#include "core/rewrite.h"

#define WEB	"[listener web]\nbind = 127.0.0.1:80\n"

struct world {
	struct arena	 a;
	struct conf	*conf;
	struct exchange	 x;
	struct msg	 req;
	enum fail	 why;
	uint32_t	 allow;
};

static void
setup(struct world *w, const char *routes)
{
	struct text	t;

	memset(w, 0, sizeof(*w));
	arena_init(&w->a, NULL);
	text_init(&t);
	text_fmt(&t, "%s[listener other]\nbind = 127.0.0.1:81\n%s", WEB,
	    routes);
	text_c(&t, '\0');
	w->conf = env_load(&w->a, t.p, NULL);
	text_fini(&t);
	w->x.req = &w->req;
	w->x.arena = &w->a;
	w->x.acc.str[ACCESS_LISTENER] = STR("web");
}

static void
teardown(struct world *w)
{
	arena_fini(&w->a);
}

/* The name of the route, or "-". */
static const char *
find(struct world *w, const char *method, const char *host,
    const char *path)
{
	static char		 name[80];
	const struct route	*r;

	w->req.method = str_from(method);
	w->req.meth = (uint8_t)msg_method(w->req.method);
	w->x.host = str_from(host);
	w->x.path = str_from(path);
	w->x.allow_more = STR_NONE;
	w->why = FAIL_NONE;
	w->allow = 0;
	r = route_match(w->conf, &w->x, &w->why, &w->allow);
	if (r == NULL)
		return "-";
	ck_assert_int_eq(str_to_c(r->obj.name, name, sizeof(name)), 0);
	return name;
}

static void
is(struct world *w, const char *host, const char *path, const char *want)
{
	const char	*got = find(w, "GET", host, path);

	ck_assert_msg(strcmp(got, want) == 0, "%s%s: %s, not %s", host, path,
	    got, want);
}

#define ROUTE(name, keys)	"[route " name "]\n" keys "respond = 200 x\n"

START_TEST(most_specific_host)
{
	struct world	w;

	setup(&w,
	    ROUTE("any", "path = /*\n")
	    ROUTE("wild", "host = *.example\npath = /*\n")
	    ROUTE("deep", "host = *.x.example\npath = /*\n")
	    ROUTE("exact", "host = A.example b.example\npath = /*\n")
	    ROUTE("only", "host = *.example\npath = /only\n"));
	is(&w, "a.example", "/", "exact");
	is(&w, "b.example", "/", "exact");
	is(&w, "c.example", "/", "wild");
	is(&w, "y.x.example", "/", "deep");
	is(&w, "z.y.x.example", "/", "deep");
	is(&w, "x.example", "/", "wild");
	is(&w, "example", "/", "any");
	is(&w, "aexample", "/", "any");
	is(&w, "", "/", "any");
	is(&w, "[::1]", "/", "any");
	/* the host is asked first, the path of another comes after it */
	is(&w, "a.example", "/only", "exact");
	is(&w, "c.example", "/only", "only");
	teardown(&w);
}
END_TEST

START_TEST(less_specific_host_when_path_is_missing)
{
	struct world	w;

	setup(&w,
	    ROUTE("any", "path = /*\n")
	    ROUTE("wild", "host = *.example\npath = /w\n")
	    ROUTE("exact", "host = a.example\npath = /a\n"));
	is(&w, "a.example", "/a", "exact");
	is(&w, "a.example", "/w", "wild");
	is(&w, "a.example", "/x", "any");
	teardown(&w);
}
END_TEST

START_TEST(most_specific_path)
{
	struct world	w;

	setup(&w,
	    ROUTE("all", "path = *\n")
	    ROUTE("exact", "path = /a/b\n")
	    ROUTE("short", "path = /a/*\n")
	    ROUTE("long", "path = /a/b/*\n")
	    ROUTE("part", "path = /a/bc*\n")
	    ROUTE("two", "path = /t /u/*\n")
	    ROUTE("coded", "path = /%61%7e/%c3%a9\n"));
	is(&w, "", "/", "all");
	is(&w, "", "/a", "all");
	is(&w, "", "/a/", "short");
	is(&w, "", "/a/b", "exact");
	is(&w, "", "/a/b/", "long");
	is(&w, "", "/a/b/c/d", "long");
	is(&w, "", "/a/bb", "short");
	is(&w, "", "/a/bc", "part");
	is(&w, "", "/a/bcd/e", "part");
	is(&w, "", "/t", "two");
	is(&w, "", "/t/", "all");
	is(&w, "", "/u/", "two");
	is(&w, "", "/a~/%C3%A9", "coded");
	teardown(&w);
}
END_TEST

START_TEST(conditions_then_priority_then_order)
{
	struct world	w;

	setup(&w,
	    ROUTE("plain", "path = /p\npriority = 100\n")
	    ROUTE("cond", "path = /p\nmethod = GET\n")
	    ROUTE("low", "path = /q\npriority = -1\n")
	    ROUTE("first", "path = /q\npriority = 5\n")
	    ROUTE("second", "path = /q\npriority = 5\n")
	    ROUTE("both", "path = /p\nmethod = PUT\nlistener = web\n")
	    ROUTE("other", "path = /q\nlistener = other\n"));
	is(&w, "", "/p", "cond");
	ck_assert_str_eq(find(&w, "POST", "", "/p"), "plain");
	ck_assert_str_eq(find(&w, "PUT", "", "/p"), "both");
	is(&w, "", "/q", "first");
	w.x.acc.str[ACCESS_LISTENER] = STR("other");
	is(&w, "", "/q", "other");
	ck_assert_str_eq(find(&w, "PUT", "", "/p"), "plain");
	teardown(&w);
}
END_TEST

START_TEST(proxy_before_static)
{
	struct world	w;

	setup(&w,
	    "[route files]\npath = /*\nstatic = /\n"
	    "[route app]\npath = /*\ntarget = 127.0.0.1:1\n");
	is(&w, "", "/x", "app");
	teardown(&w);
}
END_TEST

START_TEST(method_lets_the_next_try)
{
	struct world	w;

	setup(&w,
	    ROUTE("get", "path = /m\nmethod = GET\n")
	    ROUTE("put", "path = /m\nmethod = PUT DELETE\n")
	    ROUTE("own", "path = /o\nmethod = PURGE BAN\n")
	    ROUTE("wide", "path = /w/*\n")
	    ROUTE("narrow", "path = /w/x\nmethod = POST\n"));
	ck_assert_str_eq(find(&w, "HEAD", "", "/m"), "get");
	ck_assert_str_eq(find(&w, "DELETE", "", "/m"), "put");
	ck_assert_str_eq(find(&w, "PURGE", "", "/o"), "own");
	ck_assert_str_eq(find(&w, "GET", "", "/w/x"), "wide");
	ck_assert_str_eq(find(&w, "POST", "", "/w/x"), "narrow");
	ck_assert_str_eq(find(&w, "PATCH", "", "/m"), "-");
	ck_assert_int_eq(w.why, FAIL_METHOD_NOT_ALLOWED);
	ck_assert_uint_eq(w.allow, METHOD_BIT(METHOD_GET) |
	    METHOD_BIT(METHOD_HEAD) | METHOD_BIT(METHOD_PUT) |
	    METHOD_BIT(METHOD_DELETE));
	/* methods are case-sensitive */
	ck_assert_str_eq(find(&w, "get", "", "/m"), "-");
	ck_assert_int_eq(w.why, FAIL_METHOD_NOT_ALLOWED);
	ck_assert_str_eq(find(&w, "GET", "", "/o"), "-");
	ck_assert(str_eq(w.x.allow_more, STR("PURGE, BAN")));
	ck_assert_str_eq(find(&w, "GET", "", "/none"), "-");
	ck_assert_int_eq(w.why, FAIL_NO_ROUTE);
	teardown(&w);
}
END_TEST

/* Another listener's route is no reason for a 405. */
START_TEST(only_the_method_alone)
{
	struct world	w;

	setup(&w, ROUTE("o", "path = /m\nmethod = GET\nlistener = other\n"));
	ck_assert_str_eq(find(&w, "PUT", "", "/m"), "-");
	ck_assert_int_eq(w.why, FAIL_NO_ROUTE);
	teardown(&w);
}
END_TEST

START_TEST(rest_of_a_path)
{
	static const struct {
		const char	*path;
		struct str	 rest;
	} t[] = {
		{ "/e", STR_INIT("") }, { "/x/", STR_INIT("") },
		{ "/x/a/b", STR_INIT("a/b") }, { "/x/y/b", STR_INIT("b") },
		{ "/p/1", STR_INIT("") }, { "/p/1/a/b", STR_INIT("a/b") },
		{ "/other", STR_INIT("other") },
	};
	struct world		 w;

	setup(&w, ROUTE("r", "path = /e /x/* /x/y/* /p/:a /p/:a/* /*\n"));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		is(&w, "", t[i].path, "r");
		ck_assert_msg(str_eq(route_rest(&w.x), t[i].rest), "%s",
		    t[i].path);
	}
	teardown(&w);
}
END_TEST

/* The values of the parameters, "a,b". */
static void
caught(struct world *w, const char *path, const char *route,
    const char *want)
{
	char	got[200] = "";
	size_t	n = 0;

	is(w, "", path, route);
	for (uint32_t i = 0; i < w->x.pattern->ncap; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s",
		    i == 0 ? "" : ",", STR_FMT(w->x.caps[i]));
	ck_assert_msg(strcmp(got, want) == 0, "%s: %s, not %s", path, got,
	    want);
}

START_TEST(parameters)
{
	struct world	w;

	setup(&w,
	    ROUTE("any", "path = /*\n")
	    ROUTE("user", "path = /users/:id\n")
	    ROUTE("me", "path = /users/me\n")
	    ROUTE("post", "path = /users/:id/posts/:post\n")
	    ROUTE("mine", "path = /users/me/*\n")
	    ROUTE("files", "path = /users/:id/files/*\n")
	    ROUTE("old", "path = /users/:id/files/old/*\n")
	    ROUTE("under", "path = /users/*\n")
	    ROUTE("two", "path = /t/:a/:b\n")
	    ROUTE("rest", "path = /t/:a/*\n")
	    ROUTE("alice", "path = /users/al*\n"));
	caught(&w, "/users/42", "user", "42");
	caught(&w, "/users/me", "me", "");
	caught(&w, "/users/mee", "user", "mee");
	caught(&w, "/users/a%2Fb", "user", "a%2Fb");
	caught(&w, "/users/42/posts/7", "post", "42,7");
	caught(&w, "/users/me/posts/7", "mine", "");
	caught(&w, "/users/42/files/", "files", "42");
	caught(&w, "/users/42/files/x/y", "files", "42");
	caught(&w, "/users/42/files/old/y", "old", "42");
	caught(&w, "/users/42/files", "under", "");
	caught(&w, "/users/", "under", "");
	caught(&w, "/users//posts/7", "under", "");
	caught(&w, "/users/alan", "alice", "");
	caught(&w, "/users/42/posts/", "under", "");
	caught(&w, "/users/42/posts/7/", "under", "");
	caught(&w, "/users", "any", "");
	caught(&w, "/t/1/2", "two", "1,2");
	caught(&w, "/t/1/2/3", "rest", "1");
	caught(&w, "/t/1/", "rest", "1");
	caught(&w, "/t/1", "any", "");
	teardown(&w);
}
END_TEST

/* What was caught on a way that failed is forgotten. */
START_TEST(parameters_and_conditions)
{
	struct world	w;

	setup(&w,
	    ROUTE("put", "path = /a/:x/b/:y\nmethod = PUT\n")
	    ROUTE("get", "path = /a/:z/*\nmethod = GET\n")
	    ROUTE("same", "path = /a/:other/b/:name\nmethod = POST\n"));
	caught(&w, "/a/1/b/2", "get", "1");
	ck_assert_str_eq(find(&w, "PUT", "", "/a/1/b/2"), "put");
	ck_assert_int_eq(route_find_name(w.x.pattern, STR("y")), 1);
	ck_assert_str_eq(find(&w, "POST", "", "/a/1/b/2"), "same");
	ck_assert_int_eq(route_find_name(w.x.pattern, STR("y")), -1);
	ck_assert_str_eq(find(&w, "DELETE", "", "/a/1/b/2"), "-");
	ck_assert_int_eq(w.why, FAIL_METHOD_NOT_ALLOWED);
	ck_assert_uint_eq(w.allow, METHOD_BIT(METHOD_GET) |
	    METHOD_BIT(METHOD_HEAD) | METHOD_BIT(METHOD_PUT) |
	    METHOD_BIT(METHOD_POST));
	teardown(&w);
}
END_TEST

START_TEST(the_first_of_the_file)
{
	struct world	w;

	setup(&w, "[sluice]\nmatch = first\n"
	    ROUTE("wide", "path = /w/*\nmethod = POST\n")
	    ROUTE("param", "path = /w/:x\n")
	    ROUTE("exact", "path = /w/x\npriority = 9\n")
	    ROUTE("host", "path = /h\nhost = a.example\nmethod = PUT\n")
	    ROUTE("all", "path = /*\n")
	    ROUTE("late", "path = /late\nhost = a.example\n"));
	ck_assert_str_eq(find(&w, "POST", "", "/w/x"), "wide");
	is(&w, "", "/w/x", "param");
	is(&w, "", "/w/x/y", "all");
	is(&w, "a.example", "/late", "all");
	ck_assert_str_eq(find(&w, "PUT", "a.example", "/h"), "host");
	is(&w, "a.example", "/h", "all");
	teardown(&w);
}
END_TEST

/* --- ten thousand --- */

static uint64_t
time_lookups(struct world *w, unsigned n, unsigned every)
{
	char		 path[64], name[32];
	uint64_t	 from = ev_clock_ns();

	for (unsigned i = 0; i < n; i += every) {
		snprintf(path, sizeof(path), "/svc%u/x", i);
		snprintf(name, sizeof(name), "p%u", i);
		is(w, "", path, name);
		snprintf(path, sizeof(path), "/exact/%u", i);
		snprintf(name, sizeof(name), "e%u", i);
		is(w, "", path, name);
		snprintf(path, sizeof(path), "h%u.example", i);
		snprintf(name, sizeof(name), "h%u", i);
		is(w, path, "/any", name);
		is(w, "", "/svcx", "-");
	}
	return (ev_clock_ns() - from) / (n / every);
}

static void
add_routes(struct text *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		text_fmt(t, "[route p%u]\npath = /svc%u/*\nrespond = 200 x\n"
		    "[route e%u]\npath = /exact/%u\nrespond = 200 x\n"
		    "[route h%u]\nhost = h%u.example\nrespond = 200 x\n",
		    i, i, i, i, i, i);
	text_c(t, '\0');
}

START_TEST(ten_thousand_routes)
{
	struct world	few, many;
	struct text	t;
	uint64_t	a, b;

	text_init(&t);
	add_routes(&t, 10);
	setup(&few, t.p);
	text_fini(&t);
	text_init(&t);
	add_routes(&t, 10000);
	setup(&many, t.p);
	text_fini(&t);
	time_lookups(&few, 10, 1);
	a = time_lookups(&few, 10, 1);
	b = time_lookups(&many, 10000, 1);
	/* caches miss more; a list would be a thousand times slower */
	ck_assert_msg(b < 60 * a + 50000, "%llu ns and %llu ns",
	    (unsigned long long)a, (unsigned long long)b);
	teardown(&few);
	teardown(&many);
}
END_TEST

START_TEST(nested_prefixes)
{
	struct world	w;
	struct text	t;
	char		path[200] = "", name[16];

	text_init(&t);
	for (unsigned i = 0; i < 60; i++) {
		snprintf(path + 2 * i, sizeof(path) - 2 * i, "/%c",
		    'a' + i % 26);
		text_fmt(&t, "[route n%u]\npath = %s/*\nrespond = 200 x\n",
		    i, path);
	}
	text_c(&t, '\0');
	setup(&w, t.p);
	text_fini(&t);
	for (unsigned i = 60; i-- > 0;) {
		path[2 * i + 2] = '/';
		path[2 * i + 3] = '\0';
		snprintf(name, sizeof(name), "n%u", i);
		is(&w, "", path, name);
	}
	is(&w, "", "/b", "-");
	teardown(&w);
}
END_TEST

START_TEST(prefixes)
{
	struct world		 w;
	const struct rewrite	*r;

	setup(&w, ROUTE("a", "path = /a/*\nstrip_prefix = auto\n"
	    "add_prefix = /v1/\n")
	    ROUTE("b", "path = /b/*\nstrip_prefix = /a%41\n"));
	is(&w, "", "/a/", "a");
	r = conf_part(conf_find(w.conf, &route_section, STR("a")),
	    &rewrite_group);
	ck_assert(str_eq(r->strip, STR("auto")));
	ck_assert(str_eq(r->add, STR("/v1")));
	r = conf_part(conf_find(w.conf, &route_section, STR("b")),
	    &rewrite_group);
	/* As the path that it is compared with. */
	ck_assert(str_eq(r->strip, STR("/aA")));
	ck_assert_uint_eq(r->add.n, 0);
	teardown(&w);
}
END_TEST

/* --- what is said --- */

START_TEST(rewrites_that_cannot_be)
{
	env_says(WEB ROUTE("r", "strip_prefix = a\n"), true, "E0128");
	env_says(WEB ROUTE("r", "strip_prefix = /a?b\n"), true, "E0128");
	env_says(WEB ROUTE("r", "add_prefix = auto\n"), true, "E0128");
	env_says(WEB ROUTE("r", "rewrite = ^/a\n"), true, "E0128");
	env_says(WEB ROUTE("r", "rewrite = ^/a b\n"), true, "E0128");
	env_says(WEB ROUTE("r", "rewrite = ^/(a /b\n"), true, "E0135");
	env_says(WEB ROUTE("r", "rewrite = ^/a /${x}\n"), true, "E0133");
	env_says(WEB ROUTE("r", "rewrite = ^/a /${path.x}\n"), true,
	    "E0133");
	env_says(WEB "[route r]\nstatic = /tmp\nencoded_slash = keep\n",
	    false, "W0306");
}
END_TEST


START_TEST(patterns_that_cannot_be)
{
	env_says(WEB ROUTE("r", "path = /a*b\n"), true, "E0128");
	env_says(WEB ROUTE("r", "path = /a/:\n"), true, "E0128");
	env_says(WEB ROUTE("r", "path = /a/:id.x\n"), true, "E0128");
	env_says(WEB ROUTE("r", "path = /a/:id*\n"), true, "E0128");
	env_says(WEB ROUTE("r", "path = /a/:9\n"), true, "E0128");
	env_says(WEB ROUTE("r", "path = /:a/:a\n"), true, "E0128");
	env_says(WEB ROUTE("r", "path = /:a/:b/:c/:d/:e/:f/:g/:h/:i\n"),
	    true, "E0128");
	env_says(WEB ROUTE("r", "path = ~ ^/a(\n"), true, "E0135");
	env_says(WEB ROUTE("r", "path = ~\n"), true, "E0135");
	env_says(WEB ROUTE("r", "path = /../a\n"), true, "E0128");
	env_says(WEB ROUTE("r", "path = /a%00\n"), true, "E0128");
	env_says(WEB ROUTE("r", "host = a*.example\n"), true, "E0128");
	env_says(WEB ROUTE("r", "host = a.example:80\n"), true, "E0128");
	env_says(WEB ROUTE("r", "host = a..example\n"), true, "E0128");
	env_says(WEB ROUTE("r", "method = G(T\n"), true, "E0128");
	env_says(WEB ROUTE("r", "listener = wab\n"), true, "E0210");
}
END_TEST

START_TEST(handlers_of_a_route)
{
	env_says(WEB "[route r]\npath = /*\n", true, "E0230");
	env_says(WEB "[route r]\nrespond = 200 a\nredirect = 301 /\n", true,
	    "E0231");
	env_says(WEB "[route r]\nrespond = 99 a\n", true, "E0129");
	env_says(WEB "[route r]\nrespond = a\n", true, "E0129");
	env_says(WEB "[route r]\nrespond = 204 a\n", true, "E0129");
	env_says(WEB "[route r]\nredirect = 200 /\n", true, "E0129");
	env_says(WEB "[route r]\nredirect = 301\n", true, "E0129");
	env_says(WEB "[route r]\nredirect = 301 /${x}\n", true, "E0133");
	env_says(WEB "[route r]\nredirect = 301 /${path\n", true, "E0133");
	env_says(WEB "[route r]\npath = /:a\nredirect = 301 /${path.b}\n",
	    true, "E0133");
	env_says(WEB "[route r]\nrespond = 200 ${path.b}\n", true, "E0133");
	env_says(WEB "[route r]\nstatic = /nowhere\n", false, "W0304");
	env_says(WEB "[route r]\nstatic = /etc/passwd\n", true, "E0302");
}
END_TEST

START_TEST(warnings)
{
	env_says(WEB ROUTE("r", "path = api/*\n"), false, "W0303");
	env_says(WEB ROUTE("a", "path = /x\n") ROUTE("b", "path = /x\n"),
	    false, "W0302");
	env_says(WEB ROUTE("a", "path = /x\nmethod = GET PUT\n")
	    ROUTE("b", "path = /x\nmethod = PUT\n"), false, "W0302");
}
END_TEST

#define FIRST(a, b) \
	"[sluice]\nmatch = first\n" ROUTE("a", a) ROUTE("b", b)

START_TEST(never_reached)
{
	static const char *const	t[] = {
	    ROUTE("a", "path = /x\npriority = 1\n") ROUTE("b", "path = /x\n"),
	    ROUTE("a", "path = /x/:a\npriority = 1\n")
	    ROUTE("b", "path = /x/:b\n"),
	    ROUTE("a", "path = ~ ^/x\npriority = 1\n")
	    ROUTE("b", "path = ~^/x\n"),
	    ROUTE("a", "path = /x\nmethod = GET PUT\npriority = 1\n")
	    ROUTE("b", "path = /x\nmethod = PUT\n"),
	    ROUTE("a", "path = /x /y\npriority = 1\n")
	    ROUTE("b", "path = /y /x\n"),
	    "[route files]\nstatic = /\n[route app]\ntarget = 127.0.0.1:1\n",
	    "[sluice]\nmatch = first\n" ROUTE("a", "")
	    ROUTE("b", "path = /x\nmethod = PUT\n"),
	    "[sluice]\nmatch = first\n" ROUTE("a", "path = /x\n")
	    ROUTE("b", "path = /x\nfrom = 10.0.0.0/8\n"),
	    FIRST("path = /a/*\n", "path = /a/b/*\n"),
	    FIRST("path = /a/*\n", "path = /a/b/c\n"),
	    FIRST("path = /a/*\n", "path = /a/:id/x\n"),
	    FIRST("path = /a*\n", "path = /a/b*\n"),
	    FIRST("path = /u/:id\n", "path = /u/me\n"),
	    FIRST("path = /u/:id\n", "path = /u/:name\n"),
	    FIRST("path = /:a/:b/*\n", "path = /u/:id/x/*\n"),
	    FIRST("path = /:a/x\n", "path = /u/x\n"),
	    FIRST("path = ~^/x\n", "path = ~^/x\nhost = a.example\n"),
	    FIRST("host = *.x.example\n", "host = www.x.example\n"),
	    FIRST("host = *.example\n", "host = *.x.example\n"),
	    FIRST("path = /a/*\n", "path = /a/b\nhost = *.x.example\n"),
	    FIRST("path = /a/*\nheader.b = 1\nheader.b = 2\n",
		"path = /a/b\nheader.B = 1\nquery.c = d\n"),
	    FIRST("query.a = *\n", "query.a = 1\n"),
	    FIRST("cookie.a = 1\n", "cookie.b = 2\ncookie.a = 1\n"),
	    FIRST("from = 10.0.0.0/8 ::1\n", "from = 10.1.0.0/16\n"),
	    FIRST("method = GET PURGE\n", "method = PURGE\n"),
	    FIRST("not.method = GET\n", "method = POST\n"),
	    FIRST("not.header.a = 1\n", "not.header.a = *\n"),
	    FIRST("upgrade = *\n", "upgrade = websocket\n"),
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct text	c;

		text_init(&c);
		text_fmt(&c, WEB "%s%c", t[i], 0);
		env_says(c.p, false, "W0301");
		text_fini(&c);
	}
}
END_TEST

START_TEST(no_warnings)
{
	struct arena	a;
	struct text	why;

	arena_init(&a, NULL);
	ck_assert_ptr_nonnull(env_load(&a, WEB
	    "[listener two]\nbind = 127.0.0.1:81\n"
	    ROUTE("a", "path = /x\nmethod = GET\n")
	    ROUTE("b", "path = /x\nmethod = PUT\n")
	    ROUTE("c", "path = /y\nlistener = web\n")
	    ROUTE("d", "path = /y\nlistener = two\n")
	    ROUTE("e", "path = /z\n")
	    ROUTE("f", "path = /z\nmethod = GET\npriority = 1\n")
	    ROUTE("f2", "path = /z\nmethod = PURGE\n")
	    ROUTE("f3", "path = /z /z2\nmethod = PUT GET\n")
	    ROUTE("f4", "path = /z\nfrom = 10.0.0.1\nfrom = 10.0.0.2\n")
	    ROUTE("g", "path = /z /z\nhost = a.example\n"), &why));
	env_lacks(why.p, "W03");
	text_fini(&why);
	ck_assert_ptr_nonnull(env_load(&a, "[sluice]\nmatch = first\n" WEB
	    ROUTE("a", "host = a.example\n") ROUTE("b", "path = /b/c\n")
	    ROUTE("c", "path = /b/*\n") ROUTE("d", ""), &why));
	env_lacks(why.p, "W03");
	text_fini(&why);
	arena_fini(&a);
}
END_TEST

START_TEST(reached_behind_others)
{
	static const char *const	t[] = {
	    FIRST("path = /a/b/*\n", "path = /a/*\n"),
	    FIRST("path = /a/*\n", "path = /a /b\n"),
	    FIRST("path = /a/*\n", "path = /a*\n"),
	    FIRST("path = /u/:id\n", "path = /u/*\n"),
	    FIRST("path = /u/:id\n", "path = /u/me*\n"),
	    FIRST("path = /u/:id\n", "path = /u/\n"),
	    FIRST("path = /u/me\n", "path = /u/:id\n"),
	    FIRST("path = /u/:id/*\n", "path = /u/me\n"),
	    FIRST("host = *.x.example\n", "host = x.example\n"),
	    FIRST("host = www.x.example\n", "host = *.x.example\n"),
	    FIRST("path = /a/*\nheader.b = 1\n", "path = /a/b\n"),
	    FIRST("header.b = 1\n", "header.b = *\n"),
	    FIRST("header.b = 1\nheader.c = *\n", "header.b = 1\n"),
	    FIRST("cookie.a = 1\n", "cookie.A = 1\n"),
	    FIRST("from = 10.1.0.0/16\n", "from = 10.0.0.0/8\n"),
	    FIRST("from = 10.0.0.0/8\n", "not.from = 10.0.0.0/8\n"),
	    FIRST("not.from = 10.0.0.0/8\n", "not.from = 10.1.0.0/16\n"),
	    FIRST("method = GET\n", "method = GET PURGE\n"),
	    FIRST("upgrade = websocket\n", "upgrade = *\n"),
	};
	struct arena	a;
	struct text	why, c;

	arena_init(&a, NULL);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		text_init(&c);
		text_fmt(&c, WEB "%s%c", t[i], 0);
		ck_assert_ptr_nonnull(env_load(&a, c.p, &why));
		env_lacks(why.p, "W03");
		text_fini(&why);
		text_fini(&c);
	}
	arena_fini(&a);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("route");
	TCase	*tc = tcase_create("match");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, most_specific_host);
	tcase_add_test(tc, less_specific_host_when_path_is_missing);
	tcase_add_test(tc, most_specific_path);
	tcase_add_test(tc, conditions_then_priority_then_order);
	tcase_add_test(tc, proxy_before_static);
	tcase_add_test(tc, method_lets_the_next_try);
	tcase_add_test(tc, only_the_method_alone);
	tcase_add_test(tc, rest_of_a_path);
	tcase_add_test(tc, prefixes);
	tcase_add_test(tc, parameters);
	tcase_add_test(tc, parameters_and_conditions);
	tcase_add_test(tc, the_first_of_the_file);
	tcase_add_test(tc, ten_thousand_routes);
	tcase_add_test(tc, nested_prefixes);
	suite_add_tcase(s, tc);
	tc = tcase_create("said");
	tcase_add_test(tc, patterns_that_cannot_be);
	tcase_add_test(tc, rewrites_that_cannot_be);
	tcase_add_test(tc, handlers_of_a_route);
	tcase_add_test(tc, warnings);
	tcase_add_test(tc, never_reached);
	tcase_add_test(tc, no_warnings);
	tcase_add_test(tc, reached_behind_others);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 bad;

	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad == 0 ? 0 : 1;
}
