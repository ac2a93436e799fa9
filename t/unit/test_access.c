/*
 * core/access: records and their JSON lines, cutting, and records that
 * are no records.
 */
#include "core/access.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>

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

/* The record that was committed last; the ring is empty afterwards. */
static struct str
take(void)
{
	struct str	rec = STR_NONE;
	uint64_t	pos = ring_tail(&ring);

	ck_assert(ring_next(&ring, &pos, &rec));
	ring_release(&ring, pos);
	return rec;
}

static void
check_line(struct str rec, const char *want)
{
	out.n = 0;
	ck_assert_int_eq(record_json(&out, rec, false), 0);
	text_c(&out, '\0');
	ck_assert_str_eq(out.p, want);
}

static void
put(const struct access *a)
{
	size_t	n;

	ck_assert(access_put(&ring, a, &n));
	ck_assert_uint_le(n, RECORD_MAX);
	ck_assert_uint_eq(ring_used(&ring), 0);
	ring_commit(&ring, n);
}

static void
set_peer(struct access *a, const char *ip)
{
	struct sock_addr	addr;

	ck_assert_int_eq(sock_parse(str_from(ip), -1, &addr, NULL), 0);
	sock_peer(&a->peer, &addr);
}

START_TEST(least)
{
	struct access	a = { .num = { [ACCESS_TIME] = 1700000000123 } };

	set_peer(&a, "127.0.0.1:9");
	put(&a);
	check_line(take(), "{\"time\":\"2023-11-14T22:13:20.123Z\","
	    "\"client\":\"127.0.0.1\",\"status\":0,\"bytes_in\":0,"
	    "\"bytes_out\":0,\"duration_us\":0}\n");
}
END_TEST

/* Every field, in the order of the table. */
START_TEST(most)
{
	struct access	a = { 0 };
	struct text	want;
	struct str	rec;

	for (unsigned i = 0; i < ACCESS_N; i++) {
		a.num[i] = i + 1000;
		a.str[i] = str_from(access_rows[i].name);
	}
	a.num[ACCESS_TIME] = 0;
	a.str[ACCESS_TARGET] = STR("/\"\n\\\xff\xc3\xa4");
	set_peer(&a, "[2001:db8::1]:80");
	put(&a);
	text_init(&want);
	text_add(&want, STR("{\"time\":\"1970-01-01T00:00:00.000Z\""));
	for (unsigned i = 1; i < ACCESS_N; i++) {
		text_fmt(&want, ",\"%s\":", access_rows[i].name);
		if (i == ACCESS_TARGET)
			text_add(&want, STR("\"/\\\"\\n\\\\\xef\xbf\xbd"
			    "\xc3\xa4\""));
		else if (access_rows[i].type == ACCESS_STR_T)
			text_fmt(&want, "\"%s\"", access_rows[i].name);
		else if (access_rows[i].type == ACCESS_IP_T)
			text_add(&want, STR("\"2001:db8::1\""));
		else
			text_u64(&want, i + 1000);
	}
	text_add(&want, STR("}\n"));
	text_c(&want, '\0');
	rec = take();
	ck_assert_int_eq(record_kind(rec), RECORD_ACCESS);
	check_line(rec, want.p);
	text_fini(&want);
}
END_TEST

/* Long texts are cut, short ones beside them are whole. */
START_TEST(cut)
{
	struct access	a = { 0 };
	static char	big[RECORD_MAX];

	memset(big, 'x', sizeof(big));
	a.str[ACCESS_TARGET] = str_make(big, sizeof(big));
	a.str[ACCESS_USER_AGENT] = STR("tail");
	put(&a);
	ck_assert_int_eq(record_json(&out, take(), false), 0);
	ck_assert_uint_gt(out.n, RECORD_STR_MAX);
	ck_assert_uint_lt(out.n, RECORD_STR_MAX + 400);
	text_c(&out, '\0');
	ck_assert_ptr_nonnull(strstr(out.p, "\"user_agent\":\"tail\""));
	for (unsigned i = 0; i < ACCESS_N; i++)
		a.str[i] = str_make(big, sizeof(big));
	a.str[ACCESS_USER_AGENT] = STR("tail");
	put(&a);
	out.n = 0;
	ck_assert_int_eq(record_json(&out, take(), false), 0);
	text_c(&out, '\0');
	ck_assert_ptr_nonnull(strstr(out.p, "\"user_agent\":\"tail\""));
}
END_TEST

START_TEST(full)
{
	struct access	a = { 0 };
	size_t		n;

	while (access_put(&ring, &a, &n))
		ring_commit(&ring, n);
	ck_assert_uint_eq(atomic_load(&ring.h->dropped), 1);
	take();
}
END_TEST

START_TEST(lines)
{
	struct log_ids		ids = { .module = "proxy",
		.request = STR("r\"1") };
	struct record_line	l = {
		.wall_ms = 1, .level = LOG_WARN, .role = "worker",
		.index = 2, .ids = &ids, .text = STR("a: b\tc"),
	};
	struct str		rec;

	ck_assert(record_put_line(&ring, &l));
	rec = take();
	ck_assert_int_eq(record_kind(rec), RECORD_LINE);
	check_line(rec, "{\"time\":\"1970-01-01T00:00:00.001Z\","
	    "\"level\":\"warning\",\"process\":\"worker 2\","
	    "\"module\":\"proxy\",\"request\":\"r\\\"1\","
	    "\"msg\":\"a: b\\tc\"}\n");
	ids = (struct log_ids){ .fields = (const struct log_field[]){
		{ "client_port", STR("81"), true }, { "none", STR(""), false },
		{ "sni", STR("a\"b"), false } }, .nfield = 3 };
	ck_assert(record_put_line(&ring, &l));
	check_line(take(), "{\"time\":\"1970-01-01T00:00:00.001Z\","
	    "\"level\":\"warning\",\"process\":\"worker 2\","
	    "\"client_port\":81,\"sni\":\"a\\\"b\","
	    "\"msg\":\"a: b\\tc\"}\n");
	ids = (struct log_ids){ .conn = 77 };
	l.index = 0;
	l.role = "logger";
	l.text = STR_NONE;
	ck_assert(record_put_line(&ring, &l));
	check_line(take(), "{\"time\":\"1970-01-01T00:00:00.001Z\","
	    "\"level\":\"warning\",\"process\":\"logger\","
	    "\"connection\":77,\"msg\":\"\"}\n");
}
END_TEST

/* Each byte of a record changed: rendered or refused, never half. */
static void
spoil(struct str rec)
{
	char	copy[RECORD_MAX + 1];
	size_t	was = out.n;

	for (size_t n = 0; n < rec.n; n++) {
		memcpy(copy, rec.p, n);
		ck_assert_int_eq(record_json(&out, str_make(copy, n),
		    false), -1);
		ck_assert_uint_eq(out.n, was);
	}
	for (size_t i = 0; i < rec.n; i++) {
		memcpy(copy, rec.p, rec.n);
		copy[i] ^= (char)(1 + random() % 255);
		if (record_json(&out, str_make(copy, rec.n), false) == -1)
			ck_assert_uint_eq(out.n, was);
		else
			ck_assert_int_eq(out.p[out.n - 1], '\n');
		out.n = was;
	}
	memset(copy, 0, sizeof(copy));
	ck_assert_int_eq(record_json(&out, str_make(copy, sizeof(copy)),
	    false), -1);
	ck_assert_int_eq(record_kind(str_make(copy, sizeof(copy))),
	    RECORD_NONE);
}

START_TEST(no_records)
{
	struct access		a = { .str = { [ACCESS_HOST] = STR("h") } };
	struct log_ids		ids = { .module = "m",
		.request = STR("r"), .conn = 1 };
	struct record_line	l = { 1, LOG_ERR, "r", 1, &ids, STR("t") };

	text_add(&out, STR("before"));
	put(&a);
	spoil(take());
	ck_assert(record_put_line(&ring, &l));
	spoil(take());
	ck_assert(str_eq(text_str(&out), STR("before")));
	ck_assert_int_eq(record_json(&out, STR_NONE, false), -1);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("access");
	TCase	*c = tcase_create("access");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, least);
	tcase_add_test(c, most);
	tcase_add_test(c, cut);
	tcase_add_test(c, full);
	tcase_add_test(c, lines);
	tcase_add_test(c, no_records);
	suite_add_tcase(s, c);
	return s;
}

int
main(void)
{
	SRunner	*r = srunner_create(suite());
	int	 failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
