/*
 * Lookups against a name server of the test's own: which questions come,
 * in which order, and who gets its turn.
 */
#include "control/lookup.h"

#include <sys/socket.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/ev.h"

#define TURNS	32	/* lookups under way at once */
#define QUIET	50	/* ms */

static struct ev	*ev;
static struct lookups	 all;
static int		 server;
static unsigned		 told;

/* a question as it came */
static char		 name[DNS_NAME];
static uint8_t		 query[512];
static size_t		 nquery;
static struct sockaddr_in from;
static enum dns_type	 type;

static void
on_changed(void *ctx, struct lookup *l)
{
	(void)ctx;
	(void)l;
	told++;
}

/* Turns the loop until a question is there; false: none came. */
static bool
next_question(unsigned ms)
{
	uint64_t	end = ev_clock_ns() + (uint64_t)ms * 1000000;
	socklen_t	len;
	ssize_t		n;
	size_t		at = 12, out = 0;

	do {
		ev_turn(ev, 1);
		len = sizeof(from);
		n = recvfrom(server, query, sizeof(query), MSG_DONTWAIT,
		    (struct sockaddr *)&from, &len);
	} while (n == -1 && ev_clock_ns() < end);
	if (n == -1)
		return false;
	while (query[at] != 0) {
		if (out > 0)
			name[out++] = '.';
		memcpy(name + out, query + at + 1, query[at]);
		out += query[at];
		at += query[at] + 1U;
	}
	name[out] = '\0';
	type = (enum dns_type)(query[at + 1] << 8 | query[at + 2]);
	nquery = at + 5;
	return true;
}

/* Answers it: a record's type and data, or the code of a refusal. */
static void
reply(uint8_t rcode, const void *data, size_t n)
{
	uint8_t	out[1024];
	uint8_t	head[12] = { 0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60,
		(uint8_t)(n >> 8), (uint8_t)n };

	memcpy(out, query, nquery);
	out[2] = 0x81;
	out[3] = 0x80 | rcode;
	memset(out + 6, 0, 6);
	if (data != NULL) {
		out[7] = 1;
		memcpy(out + nquery, head, 12);
		memcpy(out + nquery + 12, data, n);
	}
	ck_assert_int_ge(sendto(server, out, nquery +
	    (data != NULL ? 12 + n : 0), 0, (struct sockaddr *)&from,
	    sizeof(from)), 0);
}

static void
setup(void)
{
	struct sockaddr_in	a = { .sin_family = AF_INET };
	socklen_t		len = sizeof(a);
	struct err		e = { "" };
	char			text[32];

	setenv("LOCALDOMAIN", "dom.test", 1);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(getsockname(server, (struct sockaddr *)&a, &len), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(a.sin_port));
	ev = ev_new(NULL, &e);
	ck_assert_ptr_nonnull(ev);
	memset(&all, 0, sizeof(all));
	all.changed = on_changed;
	all.quiet = true;
	ck_assert_msg(lookups_open(&all, ev, text, &e) == 0, "%s", e.text);
}

static void
teardown(void)
{
	lookups_close(&all);
	/* what was put off to the end of a turn */
	ev_turn(ev, 0);
	ev_free(&ev);
	close(server);
}

static struct lookup *
get(unsigned i, enum lookup_kind kind)
{
	char	text[32];

	snprintf(text, sizeof(text), "n%u.test", i);
	return lookup_get(&all, str_from(text), kind);
}

/* The domains are for what somebody wrote, not for what a service says. */
START_TEST(test_targets_are_whole)
{
	static const uint8_t	srv[] = "\0\1\0\2\0\x50\1c\0";
	struct lookup		*l;

	l = lookup_get(&all, STR("c"), LOOKUP_HOST);
	ck_assert(next_question(5000));
	ck_assert_str_eq(name, "c.dom.test");
	lookup_put(&l);
	while (next_question(QUIET))
		continue;
	l = lookup_get(&all, STR("_s._tcp.test"), LOOKUP_SRV);
	ck_assert(next_question(5000));
	ck_assert_int_eq(type, DNS_SRV);
	reply(0, srv, sizeof(srv) - 1);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(next_question(5000));
		ck_assert_str_eq(name, "c");
		reply(3, NULL, 0);
	}
	/* the next one is a second later */
	ck_assert(!next_question(QUIET));
	ck_assert_int_eq(l->target[0].host->state, NAME_ERROR);
	lookup_put(&l);
}
END_TEST

/* Whoever has a turn and goes before he asks leaves it to the next. */
START_TEST(test_turns)
{
	struct lookup	*l[2 * TURNS + 3];
	unsigned	 n = sizeof(l) / sizeof(l[0]);
	unsigned	 asked = 0;

	for (unsigned i = 0; i < n; i++)
		l[i] = get(i, LOOKUP_HOST);
	for (unsigned i = 0; i < 2 * TURNS; i++)
		ck_assert(next_question(5000));
	ck_assert_uint_eq(all.nasking, TURNS);
	ck_assert(!next_question(QUIET));
	/* their turns go to the next 32, who go before the loop turns */
	for (unsigned i = 0; i < 2 * TURNS; i++)
		lookup_put(&l[i]);
	ck_assert_uint_eq(all.nasking, 3);
	/* two questions for the name, two for it in the domain */
	while (all.nasking > 0)
		if (next_question(QUIET)) {
			reply(3, NULL, 0);
			asked++;
		}
	ck_assert_uint_eq(asked, 3 * 4);
	for (unsigned i = 2 * TURNS; i < n; i++)
		lookup_put(&l[i]);
	ck_assert_uint_eq(all.nasking, 0);
}
END_TEST

START_TEST(test_turns_after_reopen)
{
	struct lookup	*l[TURNS + 1];
	struct err	 e;
	char		 text[32];
	struct sockaddr_in a;
	socklen_t	 len = sizeof(a);

	for (unsigned i = 0; i <= TURNS; i++)
		l[i] = get(i, LOOKUP_HOST);
	ck_assert(next_question(5000));
	ck_assert_int_eq(getsockname(server, (struct sockaddr *)&a, &len), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(a.sin_port));
	ck_assert_int_eq(lookups_reopen(&all, text, &e), 0);
	ck_assert_uint_eq(all.nasking, TURNS);
	ck_assert(next_question(5000));
	for (unsigned i = 0; i <= TURNS; i++)
		lookup_put(&l[i]);
	ck_assert_uint_eq(all.nasking, 0);
}
END_TEST

/* A service of more addresses than there is room for, in any order. */
START_TEST(test_members)
{
	static uint8_t		 ip[8][128][16];
	struct lookup		 host[8], srv;
	struct lookup_target	 t[8];
	static struct name_member one[NAME_MEMBERS], two[NAME_MEMBERS];

	memset(host, 0, sizeof(host));
	memset(&srv, 0, sizeof(srv));
	srv.kind = LOOKUP_SRV;
	srv.target = t;
	srv.ntarget = 8;
	for (unsigned i = 0; i < 8; i++) {
		for (unsigned k = 0; k < 128; k++) {
			ip[i][k][0] = 10;
			ip[i][k][2] = (uint8_t)i;
			ip[i][k][3] = (uint8_t)(127 - k);
		}
		host[i].ip[0] = ip[i];
		host[i].nip[0] = 128;
		t[i] = (struct lookup_target){ &host[7 - i], 1, 5, 80 };
	}
	ck_assert_uint_eq(lookup_members(&srv, 0, one), NAME_MEMBERS);
	for (unsigned i = 0; i < NAME_MEMBERS; i++) {
		ck_assert_uint_eq(one[i].ip[2], i / 128);
		ck_assert_uint_eq(one[i].ip[3], i % 128);
	}
	for (unsigned i = 0; i < 8; i++)
		t[i].host = &host[(i + 3) % 8];
	ck_assert_uint_eq(lookup_members(&srv, 0, two), NAME_MEMBERS);
	ck_assert_mem_eq(one, two, sizeof(one));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("lookup");
	TCase	*tc = tcase_create("lookup");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_targets_are_whole);
	tcase_add_test(tc, test_turns);
	tcase_add_test(tc, test_turns_after_reopen);
	tcase_add_test(tc, test_members);
	tcase_set_timeout(tc, 30);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
