/*
 * core/expr: what expressions mean, and where they are wrong.
 */
#include "core/expr.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct access
record(void)
{
	struct access	a = { .num = { 0 } };

	a.num[ACCESS_TIME] = 1795248577123;	/* 2026-11-21T08:09:37.123Z */
	a.num[ACCESS_STATUS] = 502;
	a.num[ACCESS_DURATION] = 20500;
	a.num[ACCESS_BYTES_OUT] = 65536;
	a.str[ACCESS_METHOD] = STR("GET");
	a.str[ACCESS_HOST] = STR("api.example.com");
	a.str[ACCESS_TARGET] = STR("/v1/users?q=\"x\" y");
	a.str[ACCESS_ROUTE] = STR("");
	a.peer.family = AF_INET;
	a.peer.port = 4711;
	memcpy(a.peer.ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x01\x02\x03", 16);
	return a;
}

static const struct {
	const char	*text;
	bool		 fits;
} cases[] = {
	{ "", true },
	{ "  ", true },
	{ "status=502", true },
	{ "status = 502", true },
	{ "status != 502", false },
	{ "status>=500", true },
	{ "status > 502", false },
	{ "status<=502", true },
	{ "status < 502", false },
	{ "method=GET", true },
	{ "method=get", false },
	{ "method = \"GET\"", true },
	{ "route = \"\"", true },
	{ "route != \"\"", false },
	{ "fail = \"\"", true },
	{ "host ~ ^api\\.", true },
	{ "host ~ \"^api\\.(?!example)\"", false },
	{ "target ~ \"q=\\\"x\\\" y$\"", true },
	{ "fail ~ ^$", true },
	{ "duration_us > 20ms", true },
	{ "duration_us >= 20500us", true },
	{ "duration_us < 1s", true },
	{ "duration_us < 1m", true },
	{ "duration_us = 20500", true },
	{ "bytes_out = 64k", true },
	{ "bytes_out < 1m", true },
	{ "bytes_out >= 1g", false },
	{ "client = 10.1.2.3", true },
	{ "client = 10.0.0.0/8", true },
	{ "client = 10.1.2.3/32", true },
	{ "client = 11.0.0.0/8", false },
	{ "client != 11.0.0.0/8", true },
	{ "client = ::/0", true },
	{ "client = 0.0.0.0/0", true },
	{ "client = 2001:db8::/32", false },
	{ "client ~ ^10", true },
	{ "client_port = 4711", true },
	{ "time > 2026-11-21T08", true },
	{ "time < 2026-11-21T08:09:38", true },
	{ "time ~ 2026", true },
	{ "status=502 and method=GET", true },
	{ "status=502 AND method=POST", false },
	{ "status=200 or method=GET", true },
	{ "not status=502", false },
	{ "not not status=502", true },
	{ "not status=200 and method=GET", true },
	{ "not (status=200 and method=GET)", true },
	/* and binds closer than or */
	{ "status=502 or status=200 and method=POST", true },
	{ "(status=502 or status=200) and method=POST", false },
	{ "method=POST and status=200 or status=502", true },
	{ "(((status=502)))", true },
	{ "not(status=502)or(method=GET)", true },
};

START_TEST(meaning)
{
	struct access	 a = record();
	struct expr	*x;
	struct err	 e;
	size_t		 at;

	x = expr_new(str_from(cases[_i].text), &at, &e);
	ck_assert_msg(x != NULL, "%s: %s at %zu", cases[_i].text, e.text, at);
	ck_assert_msg(expr_match(x, &a) == cases[_i].fits, "%s",
	    cases[_i].text);
	expr_free(&x);
	ck_assert_ptr_null(x);
}
END_TEST

static const struct {
	const char	*text;
	size_t		 at;
	const char	*why;
} bad[] = {
	{ "statsu=1", 0, "no such field" },
	{ "status", 6, "is missing" },
	{ "status 500", 7, "is missing" },
	{ "status !500", 7, "is missing" },
	{ "status=", 7, "value" },
	{ "status=)", 7, "value" },
	{ "status=abc", 7, "number" },
	{ "status=500ms", 7, "number" },
	{ "status=99999999999999999999", 7, "number" },
	{ "bytes_out = 99999999999999g", 12, "number" },
	{ "status ~ 5..", 9, "regular" },
	{ "duration_us > 3days", 14, "time" },
	{ "method < GET", 9, "=, != or ~" },
	{ "client > 10.0.0.1", 9, "=, != or ~" },
	{ "client = here", 9, "address" },
	{ "client = 10.0.0.0/33", 9, "0 to 32" },
	{ "host ~ \"(\"", 7, "parenthesis" },
	{ "host = \"x", 7, "quote" },
	{ "(status=1", 0, "parenthesis" },
	{ "status=1)", 8, "and" },
	{ "status=1 method=GET", 9, "and" },
	{ "status=1 and", 12, "field" },
	{ "not", 3, "field" },
	{ "()", 1, "field" },
	{ "=1", 0, "field" },
};

START_TEST(refused)
{
	struct expr	*x;
	struct err	 e;
	size_t		 at;

	x = expr_new(str_from(bad[_i].text), &at, &e);
	ck_assert_msg(x == NULL, "%s", bad[_i].text);
	ck_assert_msg(strstr(e.text, bad[_i].why) != NULL, "%s: %s",
	    bad[_i].text, e.text);
	ck_assert_msg(at == bad[_i].at, "%s: %zu", bad[_i].text, at);
}
END_TEST

/* Long and deep ones end with a word, not with the stack. */
START_TEST(bounds)
{
	static char	 big[EXPR_MAX + 2];
	struct expr	*x;
	struct err	 e;
	size_t		 at;

	memset(big, '(', EXPR_MAX);
	ck_assert_ptr_null(expr_new(str_make(big, EXPR_MAX), &at, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "deep"));
	memset(big, ' ', EXPR_MAX + 1);
	ck_assert_ptr_null(expr_new(str_make(big, EXPR_MAX + 1), &at, &e));
	big[0] = '\0';
	for (int i = 0; i < 40; i++)
		strcat(big, i == 0 ? "status=1" : " or status=1");
	x = expr_new(str_from(big), &at, &e);
	ck_assert_ptr_null(x);
	ck_assert_ptr_nonnull(strstr(e.text, "long"));
}
END_TEST

/* An evil expression costs a bounded time and does not fit. */
START_TEST(evil)
{
	struct access	 a = record();
	char		 subject[2000];
	struct expr	*x;
	struct err	 e;
	size_t		 at;

	memset(subject, 'a', sizeof(subject));
	a.str[ACCESS_TARGET] = str_make(subject, sizeof(subject));
	x = expr_new(STR("target ~ \"^(a+)+$|^(a*)*b\""), &at, &e);
	ck_assert_ptr_nonnull(x);
	(void)expr_match(x, &a);
	expr_free(&x);
	x = expr_new(STR("target ~ \"^(a+)+b$\""), &at, &e);
	ck_assert_ptr_nonnull(x);
	ck_assert(!expr_match(x, &a));
	expr_free(&x);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("expr");
	TCase	*c = tcase_create("expr");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(c, meaning, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_loop_test(c, refused, 0, (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(c, bounds);
	tcase_add_test(c, evil);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
