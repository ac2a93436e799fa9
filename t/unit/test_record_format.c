/*
 * core/record_format: each form of an access record and of a line, and
 * what hostile texts look like in it.
 */
#include <check.h>
#include <stdlib.h>

#include "core/record.h"

#define RING	(1 << 20)

static char		*mem;
static struct ring	 ring;
static struct text	 out;

static void
setup(void)
{
	mem = calloc(1, RING + sizeof(struct ring_head));
	ck_assert_ptr_nonnull(mem);
	ring_attach(&ring, mem, RING + sizeof(struct ring_head), RING);
	text_init(&out);
}

static void
teardown(void)
{
	text_fini(&out);
	free(mem);
}

static struct access
request(void)
{
	struct access	a = { .num = { 0 } };

	a.num[ACCESS_TIME] = 1795248577123;
	a.num[ACCESS_STATUS] = 200;
	a.num[ACCESS_BYTES_IN] = 80;
	a.num[ACCESS_BYTES_OUT] = 1234;
	a.num[ACCESS_DURATION] = 800;
	a.str[ACCESS_ID] = STR("id-1");
	a.str[ACCESS_VERSION] = STR("1.1");
	a.str[ACCESS_METHOD] = STR("GET");
	a.str[ACCESS_HOST] = STR("a.example");
	a.str[ACCESS_TARGET] = STR("/x?y=1");
	a.str[ACCESS_USER_AGENT] = STR("curl/8 \"x\"");
	a.peer.family = AF_INET;
	memcpy(a.peer.ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x01\x02\x03", 16);
	return a;
}

static void
check_last(const struct record_style *s, const char *want)
{
	struct str	rec;
	uint64_t	pos = ring_tail(&ring);

	ck_assert(ring_next(&ring, &pos, &rec));
	ring_release(&ring, pos);
	out.n = 0;
	ck_assert_int_eq(record_write(&out, rec, s), 0);
	text_c(&out, '\0');
	ck_assert_str_eq(out.p, want);
}

static void
check(struct record_style s, const struct access *a, const char *want)
{
	size_t	n;

	ck_assert(access_put(&ring, a, &n));
	ring_commit(&ring, n);
	check_last(&s, want);
}

static void
check_line(struct record_style s, const char *want)
{
	struct log_ids		ids = { .module = "upstream", .conn = 7,
		.request = STR("id-1") };
	struct record_line	l = { .wall_ms = 1795248577123,
		.level = LOG_WARN, .role = "worker", .index = 2,
		.ids = &ids, .text = STR("it said \"no\"\n") };

	ck_assert(record_put_line(&ring, &l));
	check_last(&s, want);
}

START_TEST(common)
{
	struct access		a = request();
	struct record_style	s = { .form = FORM_COMMON };

	check(s, &a, "10.1.2.3 - - [21/Nov/2026:08:09:37 +0000] "
	    "\"GET /x?y=1 HTTP/1.1\" 200 1234\n");
	s.form = FORM_COMBINED;
	check(s, &a, "10.1.2.3 - - [21/Nov/2026:08:09:37 +0000] "
	    "\"GET /x?y=1 HTTP/1.1\" 200 1234 \"-\" "
	    "\"curl/8 \\\"x\\\"\"\n");
	/* a head that was never read */
	a.str[ACCESS_METHOD] = a.str[ACCESS_VERSION] = STR("");
	a.str[ACCESS_TARGET] = a.str[ACCESS_USER_AGENT] = STR("");
	a.num[ACCESS_BYTES_OUT] = 0;
	a.num[ACCESS_STATUS] = 408;
	check(s, &a, "10.1.2.3 - - [21/Nov/2026:08:09:37 +0000] \"-\" 408 - "
	    "\"-\" \"-\"\n");
}
END_TEST

START_TEST(hostile)
{
	struct access	a = request();

	a.str[ACCESS_TARGET] = STR("/\"\\\n\x1b[31m\xc3\xa4");
	check((struct record_style){ .form = FORM_COMMON }, &a,
	    "10.1.2.3 - - [21/Nov/2026:08:09:37 +0000] "
	    "\"GET /\\\"\\\\\\x0a\\x1b[31m\\xc3\\xa4 HTTP/1.1\" 200 1234\n");
	check((struct record_style){ .form = FORM_TEMPLATE,
	    .tmpl = STR("${target}") }, &a,
	    "/\\\"\\\\\\x0a\\x1b[31m\\xc3\\xa4\n");
}
END_TEST

START_TEST(logfmt)
{
	struct access		a = request();
	struct record_style	s = { .form = FORM_LOGFMT };

	check(s, &a, "time=2026-11-21T08:09:37.123Z id=id-1 client=10.1.2.3 "
	    "version=1.1 method=GET host=a.example target=\"/x?y=1\" "
	    "status=200 bytes_in=80 bytes_out=1234 duration_us=800 "
	    "user_agent=\"curl/8 \\\"x\\\"\"\n");
	s.no_times = true;
	a.str[ACCESS_USER_AGENT] = STR("");
	check(s, &a, "time=2026-11-21T08:09:37.123Z id=id-1 client=10.1.2.3 "
	    "version=1.1 method=GET host=a.example target=\"/x?y=1\" "
	    "status=200 bytes_in=80 bytes_out=1234\n");
	check_line(s, "time=2026-11-21T08:09:37.123Z level=warning "
	    "process=\"worker 2\" module=upstream request=id-1 connection=7 "
	    "msg=\"it said \\\"no\\\"\\x0a\"\n");
}
END_TEST

START_TEST(plain)
{
	struct access		a = request();
	struct record_style	s = { .form = FORM_PLAIN };
	static const char	line[] = "2026-11-21T08:09:37.123Z warning "
	    "worker 2: it said \\\"no\\\"\\x0a module=upstream "
	    "request=id-1\n";

	check(s, &a, "2026-11-21T08:09:37.123Z 10.1.2.3 GET a.example/x?y=1 "
	    "200 1234B 800us id=id-1\n");
	check_line(s, line);
	/* the forms that have no place for lines of processes */
	s.form = FORM_COMBINED;
	check_line(s, line);
}
END_TEST

START_TEST(json)
{
	struct access		a = request();
	struct record_style	s = { .form = FORM_JSON, .no_times = true };

	check(s, &a, "{\"time\":\"2026-11-21T08:09:37.123Z\",\"id\":\"id-1\","
	    "\"client\":\"10.1.2.3\",\"version\":\"1.1\",\"method\":\"GET\","
	    "\"host\":\"a.example\",\"target\":\"/x?y=1\",\"status\":200,"
	    "\"bytes_in\":80,\"bytes_out\":1234,"
	    "\"user_agent\":\"curl/8 \\\"x\\\"\"}\n");
}
END_TEST

START_TEST(template)
{
	struct access		a = request();
	struct record_style	s = { .form = FORM_TEMPLATE };

	s.tmpl = STR("${client}|${time}|${status}|${route}|$|$x|");
	check(s, &a, "10.1.2.3|2026-11-21T08:09:37.123Z|200|-|$|$x|\n");
}
END_TEST

static const struct {
	const char	*tmpl;
	const char	*rest;	/* where it is wrong; NULL: it is not */
} templates[] = {
	{ "", NULL }, { "x", NULL }, { "$", NULL }, { "${id}", NULL },
	{ "a ${id} b", NULL }, { "${", "${" }, { "a ${id", "${id" },
	{ "${nothing}", "${nothing}" }, { "${}", "${}" },
	{ "${id} ${Status} x", "${Status} x" },
};

START_TEST(templates_read)
{
	struct str	rest = str_from(templates[_i].tmpl), piece;
	const char	*why;
	int		field;

	while (record_template_next(&rest, &piece, &field, &why))
		ck_assert(field >= 0 || piece.n > 0);
	ck_assert((why != NULL) == (templates[_i].rest != NULL));
	if (why != NULL)
		ck_assert(str_eq(rest, str_from(templates[_i].rest)));
}
END_TEST

/* Nothing that is no record is written. */
START_TEST(malformed)
{
	struct access		a = request();
	struct str		rec;
	char			copy[RECORD_MAX];
	uint64_t		pos = ring_tail(&ring);
	size_t			n;

	ck_assert(access_put(&ring, &a, &n));
	ring_commit(&ring, n);
	ck_assert(ring_next(&ring, &pos, &rec));
	memcpy(copy, rec.p, rec.n);
	for (int form = FORM_JSON; form <= FORM_TEMPLATE; form++) {
		struct record_style s = { .form = (enum record_form)form };

		for (n = 0; n < rec.n; n++)
			ck_assert_int_eq(record_write(&out,
			    str_make(copy, n), &s), -1);
		ck_assert_uint_eq(out.n, 0);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("record_format");
	TCase	*c = tcase_create("record_format");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, common);
	tcase_add_test(c, hostile);
	tcase_add_test(c, logfmt);
	tcase_add_test(c, plain);
	tcase_add_test(c, json);
	tcase_add_test(c, template);
	tcase_add_loop_test(c, templates_read, 0,
	    (int)(sizeof(templates) / sizeof(templates[0])));
	tcase_add_test(c, malformed);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
