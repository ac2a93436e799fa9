/*
 * core/client: whose address it is when proxies say.
 */
#include "core/client.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct net	 nets[8];
static struct trust	 trust = { nets, 0 };
static struct arena	 arena;
static struct hdrs	 hs;
static bool		 secure;

static void
setup(void)
{
	arena_init(&arena, NULL);
	memset(&hs, 0, sizeof(hs));
	trust.n = 0;
	ck_assert(net_parse(STR("10.0.0.0/8"), &nets[trust.n++]) == NULL);
	ck_assert(net_parse(STR("fd00::/8"), &nets[trust.n++]) == NULL);
	ck_assert(net_parse(STR("unix"), &nets[trust.n++]) == NULL);
}

static void
teardown(void)
{
	arena_fini(&arena);
}

static void
line(enum hdr_id id, const char *val)
{
	hdr_add(&arena, &hs, id, str_from(val));
}

/* The client of a peer, as "ADDRESS PORT". */
static const char *
find_of(enum client_field f, const char *peer)
{
	static char		buf[80];
	struct sock_peer	p, c;
	struct text		t;

	ck_assert_int_eq(client_read(str_from(peer), &p), 0);
	secure = false;
	(void)client_find(&trust, f, &hs, &p, &c, &secure);
	text_init_fixed(&t, buf, sizeof(buf) - 1);
	sock_peer_text(&t, &c);
	text_fmt(&t, " %u", c.port);
	buf[text_str(&t).n] = '\0';
	memset(&hs, 0, sizeof(hs));
	return buf;
}

/* The client when 10.0.0.1 passes one line on. */
static const char *
find_one(enum client_field f, const char *val)
{
	static const enum hdr_id	ids[] = { HDR_X_FORWARDED_FOR,
		HDR_FORWARDED, HDR_X_REAL_IP };

	line(ids[f], val);
	return find_of(f, "10.0.0.1:5");
}

#define ck_xff(val, want)						\
	ck_assert_str_eq(find_one(CLIENT_XFF, val), want)
#define ck_fwd(val, want)						\
	ck_assert_str_eq(find_one(CLIENT_FORWARDED, val), want)

START_TEST(nobody_trusted)
{
	trust.n = 0;
	ck_xff("192.0.2.1", "10.0.0.1 5");
	trust.n = 3;
	line(HDR_X_FORWARDED_FOR, "192.0.2.1");
	ck_assert_str_eq(find_of(CLIENT_XFF, "192.0.2.9:7"), "192.0.2.9 7");
	line(HDR_FORWARDED, "for=192.0.2.1");
	line(HDR_X_REAL_IP, "192.0.2.1");
	ck_assert_str_eq(find_of(CLIENT_XFF, "10.0.0.1"), "10.0.0.1 0");
}
END_TEST

START_TEST(right_to_left)
{
	ck_xff("192.0.2.1", "192.0.2.1 0");
	ck_xff("192.0.2.1:81", "192.0.2.1 81");
	ck_xff("6.6.6.6, 192.0.2.1", "192.0.2.1 0");
	ck_xff("6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1 0");
	ck_xff("10.0.0.3,10.0.0.2", "10.0.0.3 0");
	ck_xff(" , 192.0.2.1 ,, 10.0.0.2,", "192.0.2.1 0");
	ck_xff("", "10.0.0.1 5");
	ck_xff("2001:db8::1", "2001:db8::1 0");
	ck_xff("[2001:db8::1]:443, fd00::2", "2001:db8::1 443");
	ck_xff("[2001:db8::1]", "2001:db8::1 0");
	ck_xff("::ffff:192.0.2.4", "192.0.2.4 0");
	ck_xff("192.0.2.1, unix", "192.0.2.1 0");
}
END_TEST

START_TEST(several_lines)
{
	line(HDR_X_FORWARDED_FOR, "6.6.6.6");
	line(HDR_X_FORWARDED_FOR, "192.0.2.1, 10.0.0.9");
	line(HDR_X_FORWARDED_FOR, "10.0.0.8");
	ck_assert_str_eq(find_of(CLIENT_XFF, "10.0.0.1"), "192.0.2.1 0");
	line(HDR_FORWARDED, "for=6.6.6.6, for=192.0.2.1");
	line(HDR_FORWARDED, "for=10.0.0.8;proto=https");
	ck_assert_str_eq(find_of(CLIENT_FORWARDED, "10.0.0.1"),
	    "192.0.2.1 0");
	/* what was taken out is not there */
	line(HDR_X_FORWARDED_FOR, "192.0.2.1");
	hdr_del(&hs, HDR_X_FORWARDED_FOR);
	ck_assert_str_eq(find_of(CLIENT_XFF, "10.0.0.1"), "10.0.0.1 0");
}
END_TEST

START_TEST(chain_ends)
{
	static const char *const	bad[] = { "unknown", "_hidden",
		"1.2.3", "1.2.3.4.5", "192.0.2.1:", "192.0.2.1:x",
		"192.0.2.1:65536", "[::1", "[192.0.2.1]", "[::1]x",
		"[::1]:", "::g", "a b", "\"192.0.2.1\"", "fe80::1%eth0",
		"localhost", "1.2.3.4:123456", ":80", "[]", "[]:1" };
	char				val[80];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(val, sizeof(val), "6.6.6.6, %s, 10.0.0.2",
		    bad[i]);
		ck_assert_msg(strcmp(find_one(CLIENT_XFF, val),
		    "10.0.0.2 0") == 0, "%s", bad[i]);
		ck_xff(bad[i], "10.0.0.1 5");
	}
}
END_TEST

START_TEST(forwarded)
{
	ck_fwd("for=192.0.2.1", "192.0.2.1 0");
	ck_fwd("For=\"192.0.2.1:47\";proto=http;by=10.9.9.9", "192.0.2.1 47");
	ck_fwd("by=1.1.1.1 ; host=\"a;b,c\" ; for=192.0.2.1 , for=10.0.0.2",
	    "192.0.2.1 0");
	ck_fwd("for=\"[2001:db8::1]:4711\"", "2001:db8::1 4711");
	ck_fwd("for=\"[2001:db8::1]:_port\"", "2001:db8::1 0");
	ck_fwd("for=6.6.6.6, for=192.0.2.1, for=_unix", "192.0.2.1 0");
	/* the chain ends */
	ck_fwd("for=6.6.6.6, for=unknown, for=10.0.0.2", "10.0.0.2 0");
	ck_fwd("for=6.6.6.6, for=_x, for=10.0.0.2", "10.0.0.2 0");
	ck_fwd("for=6.6.6.6, proto=http, for=10.0.0.2", "10.0.0.2 0");
	ck_fwd("for=6.6.6.6, for=1.1.1.1;for=2.2.2.2, for=10.0.0.2",
	    "10.0.0.2 0");
	ck_fwd("for=6.6.6.6;x=\"open, for=10.0.0.2", "10.0.0.2 0");
	ck_fwd("for=6.6.6.6;x=\"a\\\", for=10.0.0.2", "10.0.0.2 0");
	ck_fwd("for=\"192.0.2.1\\\"", "10.0.0.1 5");
	ck_fwd("for=", "10.0.0.1 5");
	ck_fwd("for", "10.0.0.1 5");
}
END_TEST

/* What the nearest proxy wrote is found behind whatever it passed on. */
START_TEST(open_quote)
{
	static const char *const	bad[] = { "\"", "for=\"", "x=\"a\\",
		"for=\"6.6.6.6", "for=6.6.6.6;x=\"", "\\\"", "\"\"\"",
		"\"\\\\\"\"",
		"for=6.6.6.6, for=\"[::1]\";by=\"" };
	static const char *const	own[] = { "for=192.0.2.1",
		"for=\"192.0.2.1\"", "by=\"a,\\\",b\\\\\";for=192.0.2.1",
		"for=192.0.2.1, for=\"10.0.0.2\"", "for=192.0.2.1 , ," };
	char				val[160];
	struct str			s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++) {
			(void)snprintf(val, sizeof(val), "%s, %s", bad[i],
			    own[k]);
			ck_assert_msg(strcmp(find_one(CLIENT_FORWARDED, val),
			    "192.0.2.1 0") == 0, "%s", val);
			s = client_sound(str_from(val));
			ck_assert_msg(str_eq(s, str_from(own[k])), "%s: %.*s",
			    val, STR_FMT(s));
		}
		s = client_sound(str_from(bad[i]));
		ck_assert_msg(s.n == 0, "%s: %.*s", bad[i], STR_FMT(s));
	}
	ck_assert(str_eq(client_sound(STR("for=a;x=\"b,c\", d")),
	    STR("for=a;x=\"b,c\", d")));
}
END_TEST

static bool
is_secure(enum client_field f)
{
	(void)find_of(f, "10.0.0.1:5");
	return secure;
}

START_TEST(scheme)
{
	line(HDR_X_FORWARDED_PROTO, "HTTPS");
	ck_assert(is_secure(CLIENT_XFF));
	line(HDR_X_FORWARDED_PROTO, "wss");
	ck_assert(is_secure(CLIENT_REAL_IP));
	line(HDR_X_FORWARDED_PROTO, "gopher");
	ck_assert(!is_secure(CLIENT_XFF));
	line(HDR_X_FORWARDED_PROTO, "https");
	line(HDR_X_FORWARDED_PROTO, "https");
	ck_assert(!is_secure(CLIENT_XFF));
	/* of whom is not trusted */
	line(HDR_X_FORWARDED_PROTO, "https");
	ck_assert_str_eq(find_of(CLIENT_XFF, "192.0.2.9:7"), "192.0.2.9 7");
	ck_assert(!secure);
	/* the client's own element says it, not a proxy's */
	line(HDR_FORWARDED, "for=192.0.2.1;proto=https,for=10.0.0.2;"
	    "proto=http");
	ck_assert(is_secure(CLIENT_FORWARDED));
	line(HDR_FORWARDED, "for=6.6.6.6;proto=https,for=192.0.2.1;"
	    "proto=http");
	line(HDR_X_FORWARDED_PROTO, "https");
	ck_assert(!is_secure(CLIENT_FORWARDED));
	/* the other field may be the client's own */
	line(HDR_FORWARDED, "for=192.0.2.1");
	line(HDR_X_FORWARDED_PROTO, "https");
	ck_assert(!is_secure(CLIENT_FORWARDED));
	line(HDR_X_FORWARDED_PROTO, "https");
	ck_assert(!is_secure(CLIENT_FORWARDED));
	/* nor is that of a field that is not read */
	line(HDR_FORWARDED, "for=192.0.2.1;proto=https");
	ck_assert(!is_secure(CLIENT_XFF));
}
END_TEST

START_TEST(real_ip)
{
	ck_assert_str_eq(find_one(CLIENT_REAL_IP, "192.0.2.1"),
	    "192.0.2.1 0");
	ck_assert_str_eq(find_one(CLIENT_REAL_IP, "1.1.1.1, 2.2.2.2"),
	    "10.0.0.1 5");
	line(HDR_X_REAL_IP, "192.0.2.1");
	line(HDR_X_REAL_IP, "192.0.2.2");
	ck_assert_str_eq(find_of(CLIENT_REAL_IP, "10.0.0.1"), "10.0.0.1 0");
}
END_TEST

/* Who sends a long chain does not make us read it all. */
START_TEST(bounded)
{
	struct text	t;
	char		one[32];

	for (int f = CLIENT_XFF; f <= CLIENT_FORWARDED; f++) {
		text_init(&t);
		text_add(&t, f == CLIENT_XFF ? STR("192.0.2.1") :
		    STR("for=192.0.2.1"));
		for (int i = 1; i <= 40; i++) {
			(void)snprintf(one, sizeof(one), "%s10.1.1.%d",
			    f == CLIENT_XFF ? ", " : ", for=", i);
			text_add(&t, str_from(one));
		}
		text_c(&t, '\0');
		/* 32 of 40, from the right */
		ck_assert_str_eq(find_one((enum client_field)f,
		    text_str(&t).p), "10.1.1.9 0");
		text_fini(&t);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("client");
	TCase	*tc = tcase_create("client");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nobody_trusted);
	tcase_add_test(tc, right_to_left);
	tcase_add_test(tc, several_lines);
	tcase_add_test(tc, chain_ends);
	tcase_add_test(tc, forwarded);
	tcase_add_test(tc, open_quote);
	tcase_add_test(tc, scheme);
	tcase_add_test(tc, real_ip);
	tcase_add_test(tc, bounded);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
