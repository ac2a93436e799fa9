/*
 * os/net: addresses and networks, and who belongs to them.
 */
#include "os/net.h"

#include <check.h>
#include <stdlib.h>

static bool
has(const char *net, const char *addr)
{
	struct net		n;
	struct sock_addr	a;
	struct sock_peer	p;
	struct err		e;
	const char		*why = net_parse(str_from(net), &n);

	ck_assert_msg(why == NULL, "%s: %s", net, why);
	ck_assert_msg(sock_parse(str_from(addr), 80, &a, &e) == 0, "%s",
	    e.text);
	sock_peer(&p, &a);
	return net_has(&n, &p);
}

START_TEST(members)
{
	ck_assert(has("10.0.0.0/8", "10.255.0.1"));
	ck_assert(!has("10.0.0.0/8", "11.0.0.1"));
	ck_assert(has("10.1.2.3", "10.1.2.3"));
	ck_assert(!has("10.1.2.3", "10.1.2.4"));
	ck_assert(has("0.0.0.0/0", "1.2.3.4"));
	ck_assert(!has("0.0.0.0/0", "[::1]"));
	ck_assert(has("::/0", "1.2.3.4"));
	ck_assert(has("::1", "[::1]"));
	ck_assert(has("fd00::/9", "[fd7f::1]"));
	ck_assert(!has("fd00::/9", "[fd80::1]"));
	ck_assert(has("192.168.0.0/23", "192.168.1.9"));
	ck_assert(!has("192.168.0.0/23", "192.168.2.9"));
	/* bits behind the length say nothing */
	ck_assert(has("10.9.9.9/8", "10.0.0.1"));
}
END_TEST

START_TEST(over_files)
{
	ck_assert(has("unix", "unix:/x"));
	ck_assert(!has("unix", "10.0.0.1"));
	ck_assert(!has("::/0", "unix:/x"));
}
END_TEST

START_TEST(wrong)
{
	static const char *const	words[] = { "", "x", "10.0.0",
	    "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/-1", "::1/129", "/8",
	    "unix:", "1.2.3.4:80", "::1%lo" };
	struct net			n;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		ck_assert_msg(net_parse(str_from(words[i]), &n) != NULL,
		    "%s", words[i]);
	ck_assert(net_parse(str_make("1.2.3.4\0", 8), &n) != NULL);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("net");
	TCase	*c = tcase_create("net");
	SRunner	*r = srunner_create(s);
	int	 failed;

	tcase_add_test(c, members);
	tcase_add_test(c, over_files);
	tcase_add_test(c, wrong);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
