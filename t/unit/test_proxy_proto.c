/*
 * io/proxy_proto: headers of the PROXY protocol, read and written.
 */
#include "io/proxy_proto.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

#define SIGN	"\r\n\r\n\0\r\nQUIT\n"

static struct proxy_proto	p;

/* Every shorter piece is MORE, or BAD if the whole is. */
static enum proxy_proto_rc
parse(struct str s)
{
	enum proxy_proto_rc	rc, part;

	rc = proxy_proto_parse(s, &p);
	for (size_t i = 0; i < s.n; i++) {
		struct proxy_proto	q;

		part = proxy_proto_parse(str_sub(s, 0, i), &q);
		if (rc == PROXY_PROTO_DONE && i < p.used)
			ck_assert_int_eq(part, PROXY_PROTO_MORE);
		else if (rc == PROXY_PROTO_MORE)
			ck_assert_int_eq(part, PROXY_PROTO_MORE);
		else
			ck_assert(part == rc || part == PROXY_PROTO_MORE);
	}
	return rc;
}

static const char *
peer_text(const struct sock_peer *peer)
{
	static char	buf[80];
	struct text	t;

	text_init_fixed(&t, buf, sizeof(buf) - 1);
	sock_peer_text(&t, peer);
	text_fmt(&t, " %u", peer->port);
	buf[text_str(&t).n] = '\0';
	return buf;
}

START_TEST(v1)
{
	ck_assert_int_eq(parse(STR("PROXY TCP4 192.0.2.1 10.0.0.1 5000 80"
	    "\r\nGET / HTTP/1.1\r\n")), PROXY_PROTO_DONE);
	ck_assert_uint_eq(p.used, 39);
	ck_assert(p.told && p.version == 1);
	ck_assert_str_eq(peer_text(&p.from), "192.0.2.1 5000");
	ck_assert_str_eq(peer_text(&p.to), "10.0.0.1 80");
	ck_assert_int_eq(parse(STR("PROXY TCP6 2001:db8::1 ::1 0 65535"
	    "\r\n")), PROXY_PROTO_DONE);
	ck_assert_str_eq(peer_text(&p.from), "2001:db8::1 0");
	ck_assert_int_eq(parse(STR("PROXY UNKNOWN\r\n")), PROXY_PROTO_DONE);
	ck_assert(!p.told && p.used == 15);
	ck_assert_int_eq(parse(STR("PROXY UNKNOWN what ever\r\nrest")),
	    PROXY_PROTO_DONE);
	ck_assert(!p.told && p.used == 25);
	ck_assert_int_eq(parse(STR("PROXY TCP6 ffff:f...f:ffff")),
	    PROXY_PROTO_MORE);
}
END_TEST

START_TEST(v1_bad)
{
	static const char *const	bad[] = {
		"GET / HTTP/1.1\r\n", "PROXX", "proxy TCP4 ", "PROXY  TCP4",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
		"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.400 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx",
		"PROXY TCP4\r\n", "PROXY \r\n", "PROXY UDP4 1.2.3.4 1.2.3.4 "
		"1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", "\r\n\r\nG",
		"\x16\x03\x01",
		"PROXY UNKNOWN 0123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234\r\n"
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum proxy_proto_rc	rc = parse(str_from(bad[i]));

		ck_assert_msg(i == 3 ? rc != PROXY_PROTO_DONE :
		    rc == PROXY_PROTO_BAD && p.why[0] != '\0', "%s", bad[i]);
	}
}
END_TEST

#define V2(...)								\
	str_make((const char *)(const uint8_t[]){			\
	    0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 'Q', 'U', 'I', 'T',	\
	    0x0a, __VA_ARGS__ }, 12 + sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define IP4	192, 0, 2, 1, 10, 0, 0, 1, 0x13, 0x88, 0, 80

START_TEST(v2)
{
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 12, IP4, 'G')),
	    PROXY_PROTO_DONE);
	ck_assert(p.told && p.version == 2);
	ck_assert_uint_eq(p.used, 28);
	ck_assert_str_eq(peer_text(&p.from), "192.0.2.1 5000");
	ck_assert_str_eq(peer_text(&p.to), "10.0.0.1 80");
	/* TLVs are passed over */
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 19, IP4, 0x04, 0, 0, 0xea,
	    0, 1, 'x')), PROXY_PROTO_DONE);
	ck_assert_uint_eq(p.used, 35);
	ck_assert(!p.secure);
	/* but that of TLS */
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 20, IP4, 0x20, 0, 5, 1, 0,
	    0, 0, 0)), PROXY_PROTO_DONE);
	ck_assert(p.secure && p.used == 36);
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 20, IP4, 0x20, 0, 5, 6, 0,
	    0, 0, 0)), PROXY_PROTO_DONE);
	ck_assert(!p.secure);
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 16, IP4, 0x20, 0, 1, 1)),
	    PROXY_PROTO_DONE);
	ck_assert(!p.secure);
	ck_assert_int_eq(parse(V2(0x21, 0x21, 0, 36, 0x20, 1, 0xd, 0xb8, 0,
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 1, 1, 0, 0, 80)), PROXY_PROTO_DONE);
	ck_assert_str_eq(peer_text(&p.from), "2001:db8::1 256");
	/* an IPv4 client of an IPv6 socket is one of IPv4 */
	ck_assert_int_eq(parse(V2(0x21, 0x21, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0xff, 0xff, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 1, 1, 0, 0, 80)), PROXY_PROTO_DONE);
	ck_assert_str_eq(peer_text(&p.from), "192.0.2.9 256");
	/* nobody is told of */
	ck_assert_int_eq(parse(V2(0x20, 0, 0, 0)), PROXY_PROTO_DONE);
	ck_assert(!p.told);
	ck_assert_int_eq(parse(V2(0x20, 0x11, 0, 12, IP4)),
	    PROXY_PROTO_DONE);
	ck_assert(!p.told && p.used == 28);
	ck_assert_int_eq(parse(V2(0x21, 0, 0, 2, 1, 2)), PROXY_PROTO_DONE);
	ck_assert(!p.told && p.used == 18);
	ck_assert_int_eq(parse(V2(0x21, 0x12, 0, 12, IP4)),
	    PROXY_PROTO_DONE);
	ck_assert(!p.told);
}
END_TEST

START_TEST(v2_unix)
{
	char	buf[16 + 216] = SIGN;

	buf[12] = 0x21;
	buf[13] = 0x31;
	buf[15] = (char)216;
	ck_assert_int_eq(parse(str_make(buf, sizeof(buf))),
	    PROXY_PROTO_DONE);
	ck_assert(p.told && p.from.family == AF_UNIX && p.used == 232);
	buf[15] = (char)215;
	ck_assert_int_eq(parse(str_make(buf, sizeof(buf))), PROXY_PROTO_BAD);
}
END_TEST

START_TEST(v2_bad)
{
	ck_assert_int_eq(parse(V2(0x11, 0x11, 0, 12, IP4)), PROXY_PROTO_BAD);
	ck_assert_int_eq(parse(V2(0x22, 0x11, 0, 12, IP4)), PROXY_PROTO_BAD);
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 11, IP4)), PROXY_PROTO_BAD);
	ck_assert_int_eq(parse(V2(0x21, 0x21, 0, 12, IP4)), PROXY_PROTO_BAD);
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0xff, 0xff, IP4)),
	    PROXY_PROTO_BAD);
	/* TLVs: cut off, too long */
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 14, IP4, 4, 0)),
	    PROXY_PROTO_BAD);
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 16, IP4, 4, 0, 2, 0)),
	    PROXY_PROTO_BAD);
	ck_assert_int_eq(parse(V2(0x21, 0x11, 0, 17, IP4, 3, 0, 2, 0, 0)),
	    PROXY_PROTO_BAD);
	/* longer than anybody sends, though not yet there */
	ck_assert_int_eq(proxy_proto_parse(V2(0x21, 0x11, 0x10, 0), &p),
	    PROXY_PROTO_BAD);
}
END_TEST

START_TEST(crc)
{
	char		buf[64];
	size_t		n;
	uint32_t	sum;
	struct sock_peer from = { .family = AF_INET, .port = 1 };

	/* RFC 3720 B.4 and the usual check value */
	ck_assert_uint_eq(proxy_proto_crc(STR("12345"), STR("6789")),
	    0xe3069283U);
	memset(buf, 0, sizeof(buf));
	ck_assert_uint_eq(proxy_proto_crc(str_make(buf, 32), STR("")),
	    0x8a9136aaU);
	n = proxy_proto_build(buf, 2, &from, &from);
	ck_assert_uint_eq(n, 28);
	buf[15] = 12 + 7;
	memcpy(buf + n, "\x03\0\x04\0\0\0\0", 7);
	n += 7;
	ck_assert_int_eq(parse(str_make(buf, n)), PROXY_PROTO_BAD);
	sum = proxy_proto_crc(str_make(buf, n), STR(""));
	for (int i = 0; i < 4; i++)
		buf[n - 4 + (size_t)i] = (char)(sum >> (24 - 8 * i));
	ck_assert_int_eq(parse(str_make(buf, n)), PROXY_PROTO_DONE);
	for (size_t i = 12; i < n; i++) {
		/* with another type it is no sum */
		if (i == n - 7)
			continue;
		buf[i] ^= 1;
		ck_assert_int_ne(proxy_proto_parse(str_make(buf, n), &p) ==
		    PROXY_PROTO_DONE && p.told, 1);
		buf[i] ^= 1;
	}
}
END_TEST

/* What is written is read as the same. */
START_TEST(build)
{
	static const struct sock_peer	v4 = { .ip = { [10] = 0xff,
	    [11] = 0xff, [12] = 192, [14] = 2, [15] = 1 }, .port = 65535,
	    .family = AF_INET };
	static const struct sock_peer	v6 = { .ip = { 0x20, 1, 0xd, 0xb8,
	    [15] = 7 }, .port = 443, .family = AF_INET6 };
	static const struct sock_peer	file = { .family = AF_UNIX };
	char				out[PROXY_PROTO_OUT];
	size_t				n;

	for (unsigned v = 1; v <= 2; v++) {
		n = proxy_proto_build(out, v, &v4, &v4);
		ck_assert_int_eq(parse(str_make(out, n)), PROXY_PROTO_DONE);
		ck_assert(p.used == n && p.told && p.version == v);
		ck_assert_str_eq(peer_text(&p.from), "192.0.2.1 65535");
		n = proxy_proto_build(out, v, &v6, &v6);
		ck_assert_int_eq(parse(str_make(out, n)), PROXY_PROTO_DONE);
		ck_assert_str_eq(peer_text(&p.from), "2001:db8::7 443");
		/* two kinds */
		n = proxy_proto_build(out, v, &v4, &v6);
		ck_assert_int_eq(parse(str_make(out, n)), PROXY_PROTO_DONE);
		ck_assert(memcmp(p.from.ip, v4.ip, 16) == 0 && p.told);
		n = proxy_proto_build(out, v, &v6, &v4);
		ck_assert_int_eq(parse(str_make(out, n)), PROXY_PROTO_DONE);
		ck_assert_str_eq(peer_text(&p.from), "2001:db8::7 443");
		/* files have no address */
		n = proxy_proto_build(out, v, &v4, &file);
		ck_assert_int_eq(parse(str_make(out, n)), PROXY_PROTO_DONE);
		ck_assert_str_eq(peer_text(&p.from), "192.0.2.1 65535");
		ck_assert_uint_eq(p.to.port, 0);
		n = proxy_proto_build(out, v, &file, &v4);
		ck_assert_int_eq(parse(str_make(out, n)), PROXY_PROTO_DONE);
		ck_assert(!p.told && p.used == n);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("proxy_proto");
	TCase	*tc = tcase_create("proxy_proto");
	SRunner	*r;
	int	 failed;

	tcase_add_test(tc, v1);
	tcase_add_test(tc, v1_bad);
	tcase_add_test(tc, v2);
	tcase_add_test(tc, v2_unix);
	tcase_add_test(tc, v2_bad);
	tcase_add_test(tc, crc);
	tcase_add_test(tc, build);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
