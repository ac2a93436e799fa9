/*
 * What changes between two configurations: values, many values, whole
 * sections, secrets; and the speed of it.
 */
#include "conf_rows.h"

#include <jansson.h>
#include <time.h>

#include "conf/delta.h"

#define U	"[upstream u]\nserver = a\n"

/* The changes from one text to another, each as "op section key old>new". */
static void
ck_delta(const char *old, const char *new, const char *want)
{
	struct t_load	 a = { .l = NULL }, b = { .l = NULL };
	struct text	 t;
	json_t		*j, *all, *c;
	char		 got[4096] = "";
	size_t		 i, n;

	t_load_text(&a, str_from(old));
	t_load_text(&b, str_from(new));
	ck_assert_ptr_nonnull(a.conf);
	ck_assert_ptr_nonnull(b.conf);
	text_init(&t);
	text_c(&t, '{');
	delta_write(a.conf, b.conf, NULL, &t);
	text_c(&t, '}');
	j = json_loadb(t.p, t.n, 0, NULL);
	ck_assert_ptr_nonnull(j);
	ck_assert_ptr_null(memmem(t.p, t.n, "s3cret", 6));
	all = json_object_get(j, "changes");
	for (i = 0; i < json_array_size(all); i++) {
		const char	*key, *from, *to, *note;

		c = json_array_get(all, i);
		key = json_string_value(json_object_get(c, "key"));
		from = json_string_value(json_object_get(c, "old"));
		to = json_string_value(json_object_get(c, "new"));
		note = json_string_value(json_object_get(c, "note"));
		n = strlen(got);
		snprintf(got + n, sizeof(got) - n, "%s %s %s %s>%s%s%s%s\n",
		    json_string_value(json_object_get(c, "op")),
		    json_string_value(json_object_get(c, "section")),
		    key != NULL ? key : "*", from != NULL ? from : "",
		    to != NULL ? to : "", json_object_get(c, "secret") !=
		    NULL ? " secret" : "", note != NULL ? " " : "",
		    note != NULL ? note : "");
	}
	ck_assert_str_eq(got, want);
	json_decref(j);
	text_fini(&t);
	t_fini(&a);
	t_fini(&b);
}

START_TEST(same)
{
	ck_delta("", "", "");
	ck_delta(U "timeout.connect = 3s\n", U "timeout = 3\n", "");
	ck_delta(U, U "timeout.connect = 3000ms\nwatched = true\n", "");
	ck_delta(U "balance = least_connections\n",
	    U "balance = least_conn\n", "");
	ck_delta("[route r]\npath = /a /b\n", "[route r]\npath = /a,/b\n",
	    "");
}
END_TEST

START_TEST(values)
{
	ck_delta(U, U "timeout.connect = 1s\n",
	    "~ upstream u timeout.connect 3s>1s\n");
	ck_delta(U "timeout.connect = 1s\n", U,
	    "~ upstream u timeout.connect 1s>3s\n");
	ck_delta(U "breaker.rate = 10%\n", U "breaker.rate = 20 %\n",
	    "~ upstream u breaker.rate 10%>20%\n");
	ck_delta("", "[sluice]\nworkers = 3\n",
	    "~ sluice workers 2>3\n");
	ck_delta("[defaults upstream]\nwatched = off\n" U, U,
	    "~ upstream u watched off>on\n");
	ck_delta("[route r]\nmax_body = 1m\n", "[route r]\nmax_body = 1g\n",
	    "~ route r max_body 1m>1g\n");
}
END_TEST

START_TEST(many)
{
	ck_delta("[route r]\npath = /a /b\n", "[route r]\npath = /b /c\n",
	    "~ route r path /a /b>/b /c\n");
	ck_delta("[route r]\n", "[route r]\nheader.A = 1\n",
	    "~ route r header.A >1\n");
	ck_delta("[route r]\nheader.A = 1\nheader.B = 2\n",
	    "[route r]\nheader.A = 1\nheader.B = 3\n",
	    "~ route r header.B 2>3\n");
	ck_delta("[upstream u]\nserver = a b\n",
	    "[upstream u]\nserver = b c x=1\n",
	    "+ upstream u server >b x=1\n+ upstream u server >c x=1\n"
	    "- upstream u server a> requests under way there go on\n"
	    "- upstream u server b> requests under way there go on\n");
	ck_delta("[upstream u]\nserver = a b\n",
	    "[upstream u]\nserver = b\nserver = a\n", "");
	ck_delta("[route r]\nnote = a b\nnote = c\n",
	    "[route r]\nnote = c\nnote = d e\n",
	    "+ route r note >d e\n- route r note a b>\n");
}
END_TEST

START_TEST(sections)
{
	ck_delta(U, U "[route r]\npath = /\n", "+ route r * >\n");
	ck_delta("[listener l]\nbind = a\n[upstream u]\nserver = a\n", "",
	    "- listener l * > its connections are drained\n"
	    "- upstream u * > requests under way go on with it\n");
	/* what code made for another key is told there */
	ck_delta(U "[route r]\nupstream = u\n", "[route r]\nupstream = new\n",
	    "+ upstream made * >\n"
	    "- upstream u * > requests under way go on with it\n"
	    "~ route r upstream u>new\n");
}
END_TEST

START_TEST(secrets)
{
	ck_delta(U "token = s3cret\n", U "token = s3cret\n", "");
	ck_delta(U "token = s3cret\n", U "token = s3cret2\n",
	    "~ upstream u token > secret\n");
	ck_delta(U, U "token = s3cret\n", "~ upstream u token > secret\n");
	ck_delta(U "token = s3cret\n", U, "~ upstream u token > secret\n");
	ck_delta("", U "token = s3cret\n", "+ upstream u * >\n");
}
END_TEST

/* Many routes are compared in no time: 4 ms for 20000 of them. */
START_TEST(speed)
{
	struct t_load	a = { .l = NULL }, b = { .l = NULL };
	struct text	t, out;
	struct timespec	from, to;
	int64_t		ms;

	text_init(&t);
	text_init(&out);
	for (int i = 0; i < 20000; i++)
		text_fmt(&t, "[route r%d]\npath = /%d\nnote = x\n", i, i);
	t_load_text(&a, text_str(&t));
	text_fmt(&t, "[route last]\npath = /last\n");
	t_load_text(&b, text_str(&t));
	clock_gettime(CLOCK_MONOTONIC, &from);
	delta_write(a.conf, b.conf, NULL, &out);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ms = (to.tv_sec - from.tv_sec) * 1000 +
	    (to.tv_nsec - from.tv_nsec) / 1000000;
	ck_assert_int_lt(ms, 2000);
	ck_assert_ptr_nonnull(memmem(out.p, out.n, "route last", 10));
	ck_assert_uint_lt(out.n, 500);
	text_fini(&t);
	text_fini(&out);
	t_fini(&a);
	t_fini(&b);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("delta");
	TCase	*tc = tcase_create("all");
	SRunner	*sr;
	int	 n;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, same);
	tcase_add_test(tc, values);
	tcase_add_test(tc, many);
	tcase_add_test(tc, sections);
	tcase_add_test(tc, secrets);
	tcase_add_test(tc, speed);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
