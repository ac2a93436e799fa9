/*
 * The pure parts of gRPC: which requests are its, status codes, fields,
 * lengths of messages.
 */
#include <check.h>
#include <stdlib.h>

#include "http/grpc.h"

/* --- requests --- */

static const struct {
	const char	*type;
	bool		 is;
} types[] = {
	{ "application/grpc", true }, { "application/grpc+proto", true },
	{ "application/grpc+json", true }, { "Application/GRPC", true },
	{ "application/grpc;charset=utf-8", true },
	{ "application/grpc ; a=b", true }, { "application/grpc-web", false },
	{ "application/grpc-web+proto", false },
	{ "application/grpc-web-text", false }, { "application/grp", false },
	{ "application/json", false }, { "", false }
};

START_TEST(test_types)
{
	struct arena	a;
	struct msg	m = { .meth = METHOD_POST };

	arena_init(&a, NULL);
	ck_assert_int_eq(grpc_is_type(str_from(types[_i].type)),
	    types[_i].is);
	ck_assert(!grpc_is_request(&m));
	hdr_add(&a, &m.hdrs, HDR_CONTENT_TYPE, str_from(types[_i].type));
	ck_assert_int_eq(grpc_is_request(&m), types[_i].is);
	m.meth = METHOD_GET;
	ck_assert(!grpc_is_request(&m));
	arena_fini(&a);
}
END_TEST

/* --- status --- */

START_TEST(test_names)
{
	ck_assert(str_eq(grpc_name(0), STR("OK")));
	ck_assert(str_eq(grpc_name(14), STR("UNAVAILABLE")));
	ck_assert(str_eq(grpc_name(16), STR("UNAUTHENTICATED")));
	ck_assert_uint_eq(grpc_name(17).n, 0);
	ck_assert_int_eq(GRPC_N, 17);
	ck_assert_int_eq(grpc_read_status(STR("0")), 0);
	ck_assert_int_eq(grpc_read_status(STR("16")), 16);
	ck_assert_int_eq(grpc_read_status(STR("99")), 99);
	ck_assert_int_eq(grpc_read_status(STR("")), -1);
	ck_assert_int_eq(grpc_read_status(STR("-1")), -1);
	ck_assert_int_eq(grpc_read_status(STR("100")), -1);
	ck_assert_int_eq(grpc_read_status(STR("OK")), -1);
}
END_TEST

/* The table of the protocol's description. */
START_TEST(test_of_http)
{
	static const struct {
		unsigned		http;
		enum grpc_status	grpc;
	} map[] = {
		{ 400, GRPC_INTERNAL }, { 401, GRPC_UNAUTHENTICATED },
		{ 403, GRPC_PERMISSION_DENIED }, { 404, GRPC_UNIMPLEMENTED },
		{ 429, GRPC_UNAVAILABLE }, { 502, GRPC_UNAVAILABLE },
		{ 503, GRPC_UNAVAILABLE }, { 504, GRPC_UNAVAILABLE },
		{ 200, GRPC_UNKNOWN }, { 302, GRPC_UNKNOWN },
		{ 418, GRPC_UNKNOWN }, { 500, GRPC_UNKNOWN }
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		ck_assert_int_eq(grpc_of_http(map[i].http), map[i].grpc);
}
END_TEST

START_TEST(test_of_fail)
{
	static const struct {
		enum fail		why;
		enum grpc_status	grpc;
	} map[] = {
		{ FAIL_NONE, GRPC_OK }, { FAIL_NO_ROUTE, GRPC_UNIMPLEMENTED },
		{ FAIL_METHOD_NOT_ALLOWED, GRPC_UNIMPLEMENTED },
		{ FAIL_CLIENT_CERT_MISSING, GRPC_PERMISSION_DENIED },
		{ FAIL_DEADLINE_EXCEEDED, GRPC_DEADLINE_EXCEEDED },
		{ FAIL_TOTAL_TIMEOUT, GRPC_DEADLINE_EXCEEDED },
		{ FAIL_FIRST_BYTE_TIMEOUT, GRPC_UNAVAILABLE },
		{ FAIL_QUEUE_TIMEOUT, GRPC_UNAVAILABLE },
		{ FAIL_DIAL_REFUSED, GRPC_UNAVAILABLE },
		{ FAIL_OVERLOAD, GRPC_UNAVAILABLE },
		{ FAIL_BODY_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED },
		{ FAIL_HEADER_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED },
		{ FAIL_INTERNAL, GRPC_INTERNAL },
		{ FAIL_BAD_PATH, GRPC_INTERNAL },
		{ FAIL_CLIENT_RESET, GRPC_CANCELLED },
		{ FAIL_CLIENT_GONE, GRPC_CANCELLED },
		{ FAIL_RESET_IN_BODY, GRPC_UNAVAILABLE },
		{ FAIL_SERVER_H2_PROTOCOL, GRPC_INTERNAL },
		{ FAIL_RESPONSE_LENGTH_MISMATCH, GRPC_INTERNAL },
		{ FAIL_MISDIRECTED, GRPC_UNKNOWN },
		{ FAIL_MISDIRECTED_REQUEST, GRPC_UNKNOWN }
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		ck_assert_msg(grpc_of_fail(map[i].why) == map[i].grpc, "%s",
		    fail_row(map[i].why)->name);
	for (unsigned i = FAIL_NONE + 1; i < FAIL_N; i++)
		ck_assert_msg(grpc_of_fail((enum fail)i) != GRPC_OK &&
		    grpc_of_fail((enum fail)i) < GRPC_N, "%s",
		    fail_row((enum fail)i)->name);
}
END_TEST

/* --- fields --- */

START_TEST(test_encode)
{
	struct arena	a;

	arena_init(&a, NULL);
	ck_assert(str_eq(grpc_encode(&a, STR("as it is: ~!")),
	    STR("as it is: ~!")));
	ck_assert(str_eq(grpc_encode(&a, STR("100%\t\xe2\x98\xba\r\n\x7f")),
	    STR("100%25%09%E2%98%BA%0D%0A%7F")));
	ck_assert_uint_eq(grpc_encode(&a, STR("")).n, 0);
	arena_fini(&a);
}
END_TEST

static const struct {
	const char	*text;
	uint64_t	 ms;
} timeouts[] = {
	{ "1H", 3600000 }, { "2M", 120000 }, { "3S", 3000 }, { "4m", 4 },
	{ "5000u", 5 }, { "999u", 0 }, { "6000000n", 6 }, { "0S", 0 },
	{ "99999999H", UINT64_C(359999996400000) }, { "00000001S", 1000 },
	{ "123456789m", GRPC_FAR }, { "5", GRPC_FAR }, { "S", GRPC_FAR },
	{ "", GRPC_FAR }, { "5s", GRPC_FAR }, { "-5S", GRPC_FAR },
	{ "1.5S", GRPC_FAR }, { " 5S", GRPC_FAR }, { "5 S", GRPC_FAR }
};

START_TEST(test_read_timeout)
{
	ck_assert_uint_eq(grpc_read_timeout(str_from(timeouts[_i].text)),
	    timeouts[_i].ms);
}
END_TEST

START_TEST(test_write_timeout)
{
	static const struct {
		uint64_t	 ms;
		const char	*text;
	} map[] = {
		{ 0, "0m" }, { 1, "1m" }, { 99999999, "99999999m" },
		{ 100000000, "100000S" }, { UINT64_C(99999999999),
		    "99999999S" }, { UINT64_C(100000000000), "1666666M" },
		{ UINT64_MAX, "99999999H" }
	};
	struct arena	a;

	arena_init(&a, NULL);
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		ck_assert(str_eq(grpc_write_timeout(&a, map[i].ms),
		    str_from(map[i].text)));
	arena_fini(&a);
}
END_TEST

/* --- messages --- */

START_TEST(test_scan)
{
	static const char	in[] = "\0\0\0\0\3abc" "\1\0\0\0\0"
		"\0\0\0\1\0";
	struct grpc_scan	g;
	size_t			n = sizeof(in) - 1;

	for (size_t step = 1; step <= n; step++) {
		g = (struct grpc_scan){ 0 };
		for (size_t i = 0; i < n; i += step)
			ck_assert(grpc_scan(&g, str_make(in + i, n - i < step ?
			    n - i : step), 256));
		ck_assert_uint_eq(g.messages, 3);
		ck_assert_uint_eq(g.left, 256);
		ck_assert(!grpc_scan_is_whole(&g));
		g = (struct grpc_scan){ 0 };
		for (size_t i = 0; i + 5 < n; i += step)
			ck_assert(grpc_scan(&g, str_make(in + i, n - 5 - i <
			    step ? n - 5 - i : step), 255));
		ck_assert(grpc_scan_is_whole(&g));
		ck_assert(!grpc_scan(&g, str_make(in + n - 5, 5), 255));
	}
}
END_TEST

START_TEST(test_scan_any)
{
	struct grpc_scan	g = { 0 };

	ck_assert(grpc_scan_is_whole(&g));
	ck_assert(grpc_scan(&g, STR("\0\xff\xff\xff\xff"), 0));
	ck_assert_uint_eq(g.left, UINT32_MAX);
	g = (struct grpc_scan){ 0 };
	ck_assert(!grpc_scan(&g, STR("\0\xff\xff\xff\xff"), UINT32_MAX - 1));
}
END_TEST

/* --- health --- */

START_TEST(test_health)
{
	static const struct {
		struct str	body;
		int64_t		status;		/* -1: malformed */
	} answers[] = {
		{ STR_INIT("\0\0\0\0\2\10\1"), 1 },
		{ STR_INIT("\0\0\0\0\2\10\2"), 2 },
		{ STR_INIT("\0\0\0\0\0"), 0 },
		{ STR_INIT("\0\0\0\0\3\10\x81\1"), 129 },
		/* unknown fields are skipped */
		{ STR_INIT("\0\0\0\0\6\22\2ab\10\1"), 1 },
		{ STR_INIT("\0\0\0\0\7\35" "abcd\10\1"), 1 },
		{ STR_INIT("\0\0\0\0\4\20\5\10\1"), 1 },
		{ STR_INIT("\0\0\0\0\13\31" "abcdefgh\10\1"), 1 },
		{ STR_INIT(""), -1 },
		{ STR_INIT("\0\0\0\0"), -1 },
		{ STR_INIT("\0\0\0\0\2\10"), -1 },
		{ STR_INIT("\0\0\0\0\1\10"), -1 },
		{ STR_INIT("\1\0\0\0\2\10\1"), -1 },
		{ STR_INIT("\0\0\0\0\2\10\1\0\0\0\0\0"), -1 },
		{ STR_INIT("\0\0\0\0\4\22\3ab"), -1 },
		{ STR_INIT("\0\0\0\0\3\13\10\1"), -1 }
	};
	uint64_t	v;
	int		rc;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		rc = grpc_read_health(answers[i].body, &v);
		ck_assert_msg(answers[i].status < 0 ? rc == -1 : rc == 0 &&
		    v == (uint64_t)answers[i].status, "%zu", i);
	}
}
END_TEST

START_TEST(test_health_request)
{
	struct arena	a;
	char		name[255];
	struct str	s;

	arena_init(&a, NULL);
	ck_assert(str_eq(grpc_write_health(&a, STR("")),
	    STR("\0\0\0\0\0")));
	ck_assert(str_eq(grpc_write_health(&a, STR("a.b")),
	    STR("\0\0\0\0\5\12\3a.b")));
	memset(name, 'x', sizeof(name));
	s = grpc_write_health(&a, str_make(name, sizeof(name)));
	ck_assert(str_starts(s, STR("\0\0\0\1\2\12\xff\1x")));
	ck_assert_uint_eq(s.n, 5 + 258);
	arena_fini(&a);
}
END_TEST

#define N(v)	(int)(sizeof(v) / sizeof((v)[0]))

int
main(void)
{
	Suite	*s = suite_create("grpc");
	TCase	*tc = tcase_create("grpc");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, test_types, 0, N(types));
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_of_http);
	tcase_add_test(tc, test_of_fail);
	tcase_add_test(tc, test_encode);
	tcase_add_loop_test(tc, test_read_timeout, 0, N(timeouts));
	tcase_add_test(tc, test_write_timeout);
	tcase_add_test(tc, test_scan);
	tcase_add_test(tc, test_scan_any);
	tcase_add_test(tc, test_health);
	tcase_add_test(tc, test_health_request);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
