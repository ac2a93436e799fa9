/*
 * Answers of name servers as they come off the wire.
 */
#include "control/dns.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define QUESTION	"\3app\4test\0\0\1\0\1"
#define HEAD(n)		"\0\7\x81\x80\0\1\0" n "\0\0\0\0" QUESTION
#define A(ttl, ip)	"\xc0\x0c\0\1\0\1" ttl "\0\4" ip

static struct dns_answer	a;

/* The input in memory of its own, so that a byte too far is noticed. */
static int
parse(const char *p, size_t n, enum dns_type type)
{
	uint8_t	*copy = malloc(n + (n == 0));
	int	 rc;

	memcpy(copy, p, n);
	rc = dns_parse(copy, n, type, &a);
	free(copy);
	return rc;
}
#define PARSE(s, type)	parse(s, sizeof(s) - 1, type)

START_TEST(test_addresses)
{
	ck_assert_int_eq(PARSE(HEAD("\2") A("\0\0\0\5", "\x7f\0\0\2")
	    A("\0\0\0\4", "\x7f\0\0\3"), DNS_A), 0);
	ck_assert_uint_eq(a.n, 2);
	ck_assert_uint_eq(a.ttl, 4);
	ck_assert_mem_eq(a.rec[0].ip, "\x7f\0\0\2", 4);
	ck_assert_mem_eq(a.rec[1].ip, "\x7f\0\0\3", 4);
	/* Other types are passed over. */
	ck_assert_int_eq(PARSE(HEAD("\1") A("\0\0\0\5", "\x7f\0\0\2"),
	    DNS_AAAA), 0);
	ck_assert_uint_eq(a.n, 0);
}
END_TEST

START_TEST(test_ttl)
{
	/* An alias that runs out sooner; the highest bit set is 0. */
	ck_assert_int_eq(PARSE(HEAD("\2") "\xc0\x0c\0\5\0\1\0\0\0\3\0\2"
	    "\xc0\x0c" A("\0\0\0\5", "\x7f\0\0\2"), DNS_A), 0);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_uint_eq(a.ttl, 3);
	ck_assert_int_eq(PARSE(HEAD("\1") A("\x80\0\0\0", "\x7f\0\0\2"),
	    DNS_A), 0);
	ck_assert_uint_eq(a.ttl, 0);
	/* Of another class: neither taken nor counted. */
	ck_assert_int_eq(PARSE(HEAD("\2") A("\0\0\0\5", "\x7f\0\0\2")
	    "\xc0\x0c\0\1\0\3\0\0\0\1\0\4\1\2\3\4", DNS_A), 0);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_uint_eq(a.ttl, 5);
}
END_TEST

#define SRV(target, len) "\xc0\x0c\0\x21\0\1\0\0\0\7\0" len \
	"\0\1\0\2\0\x50" target

START_TEST(test_services)
{
	ck_assert_int_eq(PARSE(HEAD("\1") SRV("\1A\xc0\x10", "\12"),
	    DNS_SRV), 0);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_uint_eq(a.rec[0].priority, 1);
	ck_assert_uint_eq(a.rec[0].weight, 2);
	ck_assert_uint_eq(a.rec[0].port, 80);
	ck_assert_str_eq(a.rec[0].host, "a.test");
	/* Nobody is there, by RFC 2782: the target is the root. */
	ck_assert_int_eq(PARSE(HEAD("\1") SRV("\0", "\7"), DNS_SRV), 0);
	ck_assert_uint_eq(a.n, 0);
	/* No name of a host: left out. */
	ck_assert_int_eq(PARSE(HEAD("\1") SRV("\3a b\0", "\x0b"), DNS_SRV),
	    0);
	ck_assert_uint_eq(a.n, 0);
}
END_TEST

struct bad {
	const char	*p;
	size_t		 n;
	enum dns_type	 type;
};
#define BAD(s, type)	{ s, sizeof(s) - 1, type }

static const struct bad bad[] = {
	BAD("", DNS_A),
	BAD("\0\7\x81\x80\0\1\0\1\0\0\0", DNS_A),
	BAD("\0\7\x81\x80\0\1\0\1\0\0\0\0\3app\4te", DNS_A),
	BAD("\0\7\x81\x80\0\1\0\1\0\0\0\0\x50" "app", DNS_A),
	BAD(HEAD("\1"), DNS_A),
	BAD(HEAD("\1") "\xc0\x0c\0\1\0\1\0\0\0\1\0", DNS_A),
	BAD(HEAD("\1") "\xc0\x0c\0\1\0\1\0\0\0\1\0\4abc", DNS_A),
	BAD(HEAD("\1") "\xc0\x0c\0\1\0\1\0\0\0\1\0\3abc", DNS_A),
	BAD(HEAD("\1") "\xc0\x0c\0\x1c\0\1\0\0\0\1\0\4abcd", DNS_AAAA),
	BAD(HEAD("\1") "\xc0\x0c\0\x21\0\1\0\0\0\1\0\5abcde", DNS_SRV),
	/* a target that ends behind its record, leads nowhere, or round */
	BAD(HEAD("\1") SRV("\3abc", "\12"), DNS_SRV),
	BAD(HEAD("\1") SRV("\xc0\xff", "\10"), DNS_SRV),
	BAD(HEAD("\1") SRV("\xc0\x2c", "\10"), DNS_SRV)
};

START_TEST(test_malformed)
{
	ck_assert_int_eq(parse(bad[_i].p, bad[_i].n, bad[_i].type), -1);
}
END_TEST

START_TEST(test_bounds)
{
	char	buf[16384];
	size_t	n = sizeof(HEAD("\0")) - 1;
	char	label[65];

	/* More records than are taken. */
	memcpy(buf, HEAD("\xff"), n);
	for (unsigned i = 0; i < 255; i++) {
		memcpy(buf + n, A("\0\0\0\5", "\x7f\0\0\2"), 16);
		n += 16;
	}
	ck_assert_int_eq(parse(buf, n, DNS_A), 0);
	ck_assert_uint_eq(a.n, DNS_RECORDS);
	ck_assert(a.cut);
	/* A target of 255 bytes and more is no name of a host. */
	memset(label, 'x', sizeof(label));
	label[0] = 63;
	n = sizeof(HEAD("\0")) - 1;
	memcpy(buf, HEAD("\1"), n);
	memcpy(buf + n, "\xc0\x0c\0\x21\0\1\0\0\0\7\1\x47" "\0\1\0\2\0\x50",
	    18);
	n += 18;
	for (unsigned i = 0; i < 5; i++, n += 64)
		memcpy(buf + n, label, 64);
	buf[n++] = '\0';
	ck_assert_int_eq(parse(buf, n, DNS_SRV), 0);
	ck_assert_uint_eq(a.n, 0);
}
END_TEST

/* n addresses, 10.0.0.0 and so on, told from the one at `from` on. */
static void
parse_many(unsigned n, unsigned from)
{
	char	buf[16384];
	size_t	at = sizeof(HEAD("\0")) - 1;

	memcpy(buf, HEAD("\0"), at);
	buf[6] = (char)(n >> 8);
	buf[7] = (char)n;
	for (unsigned i = 0; i < n; i++, at += 16) {
		memcpy(buf + at, A("\0\0\0\5", "\12\0\0\0"), 16);
		buf[at + 14] = (char)((i + from) % n >> 8);
		buf[at + 15] = (char)((i + from) % n);
	}
	ck_assert_int_eq(parse(buf, at, DNS_A), 0);
}

/* Of too many the same ones stay, however they are turned round. */
START_TEST(test_order)
{
	struct dns_answer	first;

	for (unsigned i = 0; i < 100; i += 7) {
		parse_many(100, i);
		ck_assert_uint_eq(a.n, 100);
		ck_assert(!a.cut);
		for (unsigned k = 0; k < 100; k++)
			ck_assert_uint_eq(a.rec[k].ip[3], k);
	}
	parse_many(300, 0);
	first = a;
	for (unsigned i = 1; i < 300; i += 13) {
		parse_many(300, i);
		ck_assert(a.cut);
		ck_assert_uint_eq(a.n, DNS_RECORDS);
		for (unsigned k = 0; k < DNS_RECORDS; k++)
			ck_assert_mem_eq(a.rec[k].ip, first.rec[k].ip, 16);
	}
	/* the best priority is among those that stay */
	ck_assert_int_eq(PARSE(HEAD("\3") SRV("\1B\0", "\x09")
	    SRV("\1A\0", "\x09") "\xc0\x0c\0\x21\0\1\0\0\0\7\0\x09"
	    "\0\0\0\2\0\x50\1C\0", DNS_SRV), 0);
	ck_assert_uint_eq(a.n, 3);
	ck_assert_str_eq(a.rec[0].host, "c");
	ck_assert_str_eq(a.rec[1].host, "a");
	ck_assert_str_eq(a.rec[2].host, "b");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("dns");
	TCase	*tc = tcase_create("dns");
	SRunner	*r;
	int	 failed;

	tcase_add_test(tc, test_addresses);
	tcase_add_test(tc, test_ttl);
	tcase_add_test(tc, test_services);
	tcase_add_loop_test(tc, test_malformed, 0,
	    (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(tc, test_bounds);
	tcase_add_test(tc, test_order);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
