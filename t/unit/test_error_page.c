/*
 * Built-in errors: what Accept prefers, what each form has in it.
 */
#include "core/int.h"
#include "serve_env.h"

struct world {
	struct arena	a;
	struct exchange	x;
	struct msg	req;
};

static void
setup(struct world *w, enum fail why)
{
	memset(w, 0, sizeof(*w));
	arena_init(&w->a, NULL);
	w->x.arena = &w->a;
	w->x.req = &w->req;
	w->x.fail = why;
	w->x.id = STR("0190-id");
}

static const char *
type_for(struct world *w, const char *accept)
{
	struct str	v;

	w->req.hdrs = (struct hdrs){ 0 };
	if (accept != NULL)
		hdr_add(&w->a, &w->req.hdrs, HDR_ACCEPT, str_from(accept));
	error_page(&w->x);
	ck_assert(w->x.error_page);
	ck_assert_int_eq(w->x.res->body, (int64_t)w->x.reply.n);
	v = hdr_val(&w->x.res->hdrs, HDR_CONTENT_TYPE);
	return str_starts(v, STR("application/problem+json")) ? "json" :
	    str_starts(v, STR("text/html")) ? "html" :
	    str_starts(v, STR("text/plain")) ? "text" : "?";
}

START_TEST(what_accept_prefers)
{
	static const char *const	cases[][2] = {
		{ NULL, "text" }, { "", "text" }, { "*/*", "text" },
		{ "application/json", "json" }, { "APPLICATION/JSON", "json" },
		{ "application/*", "json" }, { "text/*", "text" },
		{ "text/html,application/xhtml+xml,*/*;q=0.8", "html" },
		{ "text/html;q=0.1, application/json", "json" },
		{ "text/html;q=0.5, application/json;q=0.50", "html" },
		{ "application/json;q=0, text/html", "html" },
		{ "application/json;q=0", "text" },
		{ "text/html;q=nonsense", "text" }, { ";;;,,", "text" },
		{ "text/html;q=1.001", "text" }, { "text/html;q=1", "html" },
		{ "text/html; charset=x ; Q=0.2, text/plain;q=0.1", "html" },
		{ "image/png", "text" }, { "text/html;q=0.0001", "text" }
	};
	struct world			w;

	setup(&w, FAIL_NOT_FOUND);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(strcmp(type_for(&w, cases[i][0]),
		    cases[i][1]) == 0, "%s: not %s", cases[i][0],
		    cases[i][1]);
	arena_fini(&w.a);
}
END_TEST

static void
check_has(struct str s, const char *want)
{
	ck_assert_msg(memmem(s.p, s.n, want, strlen(want)) != NULL,
	    "no %s in %.*s", want, STR_FMT(s));
}

START_TEST(what_is_in_it)
{
	static const char *const	accept[] = { "application/json",
		"text/html", "text/plain" };
	struct world			w;

	for (int why = FAIL_NONE + 1; why < FAIL_N; why++) {
		if (fail_row(why)->status == 0)
			continue;
		for (size_t i = 0; i < 3; i++) {
			setup(&w, why);
			type_for(&w, accept[i]);
			ck_assert_uint_eq(w.x.res->status,
			    fail_row(why)->status);
			check_has(w.x.reply, fail_row(why)->name);
			check_has(w.x.reply, "0190-id");
			check_has(w.x.reply, fail_row(why)->text);
			ck_assert_ptr_nonnull(hdr_get(&w.x.res->hdrs,
			    HDR_CACHE_CONTROL));
			arena_fini(&w.a);
		}
	}
}
END_TEST

START_TEST(fields_by_status)
{
	struct world	w;

	setup(&w, FAIL_METHOD_NOT_ALLOWED);
	w.x.allow = METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_PUT);
	w.x.allow_more = STR("PURGE");
	type_for(&w, NULL);
	ck_assert(str_eq(hdr_val(&w.x.res->hdrs, HDR_ALLOW),
	    STR("GET, PUT, PURGE")));
	ck_assert_ptr_null(hdr_get(&w.x.res->hdrs, HDR_RETRY_AFTER));
	arena_fini(&w.a);
	setup(&w, FAIL_OVERLOAD);
	type_for(&w, NULL);
	ck_assert_ptr_nonnull(hdr_get(&w.x.res->hdrs, HDR_RETRY_AFTER));
	ck_assert_ptr_null(hdr_get(&w.x.res->hdrs, HDR_ALLOW));
	arena_fini(&w.a);
}
END_TEST

/* --- pages of the configuration --- */

static void
check_page(struct world *w, struct conf *c, enum fail why, const char *type,
    const char *body)
{
	struct serve	serve = { .only = NULL };
	struct gen	gen = { .conf = c };

	setup(w, why);
	w->x.serve = &serve;
	w->x.gen = &gen;
	w->x.id = STR("i<\"");
	w->x.host = STR("a&'\"<\\");
	error_page(&w->x);
	ck_assert_msg(str_eq(w->x.reply, str_from(body)), "%.*s",
	    STR_FMT(w->x.reply));
	ck_assert(str_eq(hdr_val(&w->x.res->hdrs, HDR_CONTENT_TYPE),
	    str_from(type)));
	ck_assert_int_eq((w->x.res_flags & WAIST_END) != 0,
	    body[0] == '\0');
	arena_fini(&w->a);
}

START_TEST(values_are_escaped)
{
	struct arena	 out;
	struct conf	*c;
	struct world	 w;

	arena_init(&out, NULL);
	c = env_load(&out, "[sluice]\n"
	    "error_page.404 = html:<p>${host}${request_id}\n"
	    "error_page.405 = json:{\"h\":\"${host}\",\"i\":"
	    "\"${request_id}\"}\n"
	    "error_page.5xx = text: ${status} ${reason} ${fail} ${host}\n"
	    "error_page.503 = text:\n"
	    "[listener web]\nbind = 127.0.0.1:1\n"
	    "[route all]\nrespond = 200 x\n", NULL);
	check_page(&w, c, FAIL_NOT_FOUND, "text/html; charset=utf-8",
	    "<p>a&amp;&#39;&quot;&lt;\\i&lt;&quot;");
	check_page(&w, c, FAIL_METHOD_NOT_ALLOWED, "application/json",
	    "{\"h\":\"a&'\\\"<\\\\\",\"i\":\"i<\\\"\"}");
	check_page(&w, c, FAIL_INTERNAL, "text/plain; charset=utf-8",
	    "500 Internal Server Error internal a&'\"<\\");
	check_page(&w, c, FAIL_OVERLOAD, "text/plain; charset=utf-8", "");
	arena_fini(&out);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("error_page");
	TCase	*tc = tcase_create("error_page");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_accept_prefers);
	tcase_add_test(tc, what_is_in_it);
	tcase_add_test(tc, fields_by_status);
	tcase_add_test(tc, values_are_escaped);
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
