/*
 * core/limit: connections and arrivals of addresses, exact over many
 * processes, and what is left when one is killed at any instruction.
 */
#include "core/limit.h"

#include <check.h>
#include <stdlib.h>

#include "kill.h"

#define NSLOT	4
#define SEC	1000000000ULL

static const struct shm_region *const table[] = {
	&lease_heads, &lease_words, &lease_listeners, &lease_addrs,
	&lease_shadows, NULL
};

struct shared {
	_Atomic uint64_t	turns;
	_Atomic uint64_t	over;	/* times the limit was passed */
	_Atomic uint64_t	in[4];	/* per address, held right now */
	struct shm		*shm;
	struct lease		*own[NSLOT];
	uint64_t		tag;
	struct limit_rule	rule;
	uint32_t		word;		/* of the address */
	uint32_t		got;		/* by the one that is killed */
};

static struct shared *
make(void)
{
	struct shared	*s = kill_shared(sizeof(*s));
	struct err	 e;

	s->shm = shm_new(table, &e);
	ck_assert_msg(s->shm != NULL, "%s", e.text);
	ck_assert_int_eq(lease_grow(s->shm, NSLOT, 1, &e), 0);
	ck_assert_int_eq(limit_grow(s->shm, &e), 0);
	for (unsigned i = 0; i < NSLOT; i++)
		s->own[i] = lease_open(s->shm, i);
	return s;
}

static void
drop(struct shared *s)
{
	for (unsigned i = 0; i < NSLOT; i++)
		lease_free(&s->own[i]);
	shm_free(&s->shm);
}

static uint64_t
tag_of(struct shared *s, const char *listener, const char *addr)
{
	struct sock_addr	a;
	struct sock_peer	p;
	struct err		e;

	ck_assert_msg(sock_parse(str_from(addr), 80, &a, &e) == 0, "%s",
	    e.text);
	sock_peer(&p, &a);
	return limit_tag(s->own[0], str_from(listener), &p);
}

static uint32_t
taken(const struct shared *s, uint32_t word)
{
	const struct lease_bucket	*b;
	uint32_t			 i = word - 1 - LEASE_ADDR;

	b = shm_row(s->shm, &lease_addrs, i / 16);
	ck_assert_uint_eq(atomic_load(&b->lock), 0);
	return atomic_load(&b->entry[i % 16].taken);
}

START_TEST(addresses)
{
	static const struct {
		const char	*a, *b;
		bool		 same;
	} cases[] = {
		{ "1.2.3.4:5", "1.2.3.4:6", true },
		{ "1.2.3.4:5", "1.2.3.5:5", false },
		{ "[2001:db8::1]:5", "[2001:db8::ffff:0:0:1]:6", true },
		{ "[2001:db8:0:1::1]:5", "[2001:db8:0:2::1]:5", false },
		{ "[::ffff:1.2.3.4]:5", "1.2.3.4:5", true },
		{ "[::ffff:1.2.3.4]:5", "[::ffff:1.2.3.5]:5", false },
		{ "[::1]:5", "[::ffff:1.2.3.5]:5", false },
		{ "[::1]:5", "[::2]:5", true }
	};
	struct shared	*s = make();
	struct sock_peer unix_peer = { .family = AF_UNIX };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg((tag_of(s, "web", cases[i].a) ==
		    tag_of(s, "web", cases[i].b)) == cases[i].same,
		    "%s, %s", cases[i].a, cases[i].b);
	ck_assert_uint_ne(tag_of(s, "a", "1.2.3.4:5"),
	    tag_of(s, "b", "1.2.3.4:5"));
	ck_assert_uint_eq(limit_tag(s->own[0], STR("a"), &unix_peer), 0);
	drop(s);
}
END_TEST

START_TEST(number)
{
	struct shared		*s = make();
	struct limit_rule	 r = { .conns = 3 };
	uint32_t		 w[3], x, y;
	uint64_t		 a = tag_of(s, "web", "10.0.0.1:1");
	uint64_t		 b = tag_of(s, "web", "10.0.0.2:1");

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(limit_enter(s->own[i], a, &r, 0, &w[i]),
		    LIMIT_IN);
	ck_assert_int_eq(limit_enter(s->own[0], a, &r, 0, &x), LIMIT_CONNS);
	ck_assert_uint_eq(x, 0);
	ck_assert_int_eq(limit_enter(s->own[0], b, &r, 0, &x), LIMIT_IN);
	ck_assert_uint_eq(taken(s, w[0]), 3);
	ck_assert_uint_eq(w[0], w[1]);
	lease_give(s->own[1], w[1] - 1);
	ck_assert_int_eq(limit_enter(s->own[3], a, &r, 0, &y), LIMIT_IN);
	ck_assert_int_eq(limit_enter(s->own[3], a, &r, 0, &y), LIMIT_CONNS);
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
	/* a process that dies gives back its own only */
	lease_return(s->shm, 3);
	ck_assert_uint_eq(taken(s, w[0]), 2);
	lease_return(s->shm, 0);
	ck_assert_uint_eq(taken(s, w[0]), 1);
	ck_assert_uint_eq(taken(s, x), 0);
	/* without any rule nothing is counted */
	r.conns = 0;
	ck_assert_int_eq(limit_enter(s->own[1], a, &r, 0, &x), LIMIT_IN);
	ck_assert_uint_eq(x, 0);
	drop(s);
}
END_TEST

/* 5 at once, then one each second; who is refused pays nothing. */
START_TEST(rate)
{
	struct shared		*s = make();
	struct limit_rule	 r = { .gap_ns = SEC, .slack_ns = 4 * SEC };
	uint64_t		 t = 1000 * SEC;
	uint64_t		 tag = tag_of(s, "web", "10.0.0.1:1");
	uint32_t		 w;

	for (int round = 0; round < 3; round++, t += 100 * SEC) {
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(limit_enter(s->own[i % 4], tag, &r,
			    t, &w), LIMIT_IN);
		for (int i = 0; i < 9; i++)
			ck_assert_int_eq(limit_enter(s->own[i % 4], tag, &r,
			    t + SEC - 1, &w), LIMIT_RATE);
		for (int i = 1; i < 9; i++) {
			ck_assert_int_eq(limit_enter(s->own[i % 4], tag, &r,
			    t + (uint64_t)i * SEC, &w), LIMIT_IN);
			ck_assert_int_eq(limit_enter(s->own[i % 4], tag, &r,
			    t + (uint64_t)i * SEC, &w), LIMIT_RATE);
		}
		ck_assert_uint_eq(w, 0);
	}
	/* one who has too many open does not pay for the try */
	r.conns = 1;
	t += 100 * SEC;
	ck_assert_int_eq(limit_enter(s->own[0], tag, &r, t, &w), LIMIT_IN);
	for (int i = 0; i < 9; i++)
		ck_assert_int_eq(limit_enter(s->own[1], tag, &r, t,
		    &s->word), LIMIT_CONNS);
	lease_give(s->own[0], w - 1);
	ck_assert_int_eq(limit_enter(s->own[0], tag, &r, t, &w), LIMIT_IN);
	drop(s);
}
END_TEST

/* A tag of the given bucket. */
static uint64_t
in_bucket(uint32_t bucket, uint64_t n)
{
	return (uint64_t)bucket << 32 | n;
}

/* Who holds keeps his place; of the others the soonest even one goes. */
START_TEST(full_bucket)
{
	struct shared		*s = make();
	struct limit_rule	 conns = { .conns = 1 };
	struct limit_rule	 rates = { .gap_ns = SEC, .slack_ns = 0 };
	uint32_t		 w, held[LEASE_ENTRIES];
	uint64_t		 n;

	for (n = 0; n < LEASE_ENTRIES; n++)
		ck_assert_int_eq(limit_enter(s->own[0], in_bucket(7, n + 1),
		    &rates, 100 * SEC + n, &w), LIMIT_IN);
	/* the first one goes and is forgotten, the second is not */
	ck_assert_int_eq(limit_enter(s->own[0], in_bucket(7, 99), &conns,
	    100 * SEC, &held[0]), LIMIT_IN);
	ck_assert_int_eq(limit_enter(s->own[0], in_bucket(7, 2), &rates,
	    100 * SEC, &w), LIMIT_RATE);
	for (n = 1; n < LEASE_ENTRIES; n++)
		ck_assert_int_eq(limit_enter(s->own[0],
		    in_bucket(7, 99 + n), &conns, 0, &held[n]), LIMIT_IN);
	ck_assert_int_eq(limit_enter(s->own[0], in_bucket(7, 200), &conns,
	    0, &w), LIMIT_UNCOUNTED);
	ck_assert_uint_eq(w, 0);
	for (n = 0; n < LEASE_ENTRIES; n++)
		ck_assert_int_eq(limit_enter(s->own[1],
		    in_bucket(7, 99 + n), &conns, 0, &w), LIMIT_CONNS);
	lease_give(s->own[0], held[3] - 1);
	ck_assert_int_eq(limit_enter(s->own[1], in_bucket(7, 200), &conns,
	    0, &w), LIMIT_IN);
	ck_assert_uint_eq(w, held[3]);
	drop(s);
}
END_TEST

/* Shadow rows are kept for other leases; then nothing is counted. */
START_TEST(many_addresses)
{
	struct shared		*s = make();
	struct limit_rule	 r = { .conns = 1 };
	uint32_t		 w, in = 0, missed = 0;
	enum limit_rc		 rc;

	for (uint32_t i = 0; i < LEASE_SHADOWS + 100; i++) {
		rc = limit_enter(s->own[1], in_bucket(i % LEASE_BUCKETS,
		    i + 1), &r, 0, &w);
		in += rc == LIMIT_IN;
		missed += rc == LIMIT_UNCOUNTED;
	}
	ck_assert_uint_eq(in, LEASE_SHADOWS - 1024);
	ck_assert_uint_eq(missed, 1124);
	ck_assert(lease_take(s->own[1], 0));
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
	lease_return(s->shm, 1);
	for (uint32_t i = 0; i < LEASE_BUCKETS; i++)
		for (uint32_t k = 0; k < LEASE_ENTRIES; k++)
			ck_assert_uint_eq(taken(s, (LEASE_ADDR | i << 4 | k)
			    + 1), 0);
	drop(s);
}
END_TEST

/* The lock of one who died is opened with the rest; not that of others. */
START_TEST(lock_of_the_dead)
{
	struct shared		*s = make();
	struct limit_rule	 r = { .conns = 1 };
	struct lease_bucket	*b = shm_row(s->shm, &lease_addrs, 9);
	uint32_t		 w;

	atomic_store(&b->lock, 2);
	lease_locking(s->own[1], 9);
	lease_locking(s->own[2], 9);
	ck_assert_int_eq(limit_enter(s->own[0], in_bucket(9, 5), &r, 0, &w),
	    LIMIT_STUCK);
	ck_assert_uint_eq(w, 0);
	lease_return(s->shm, 2);
	ck_assert_uint_eq(atomic_load(&b->lock), 2);
	lease_return(s->shm, 1);
	ck_assert_uint_eq(atomic_load(&b->lock), 0);
	ck_assert_int_eq(limit_enter(s->own[0], in_bucket(9, 5), &r, 0, &w),
	    LIMIT_IN);
	drop(s);
}
END_TEST

/* --- killed at every instruction --- */

static void
nothing(void *ctx)
{
	(void)ctx;
}

static void
enter_one(void *ctx)
{
	struct shared	*s = ctx;

	limit_enter(s->own[1], s->tag, &s->rule, 5 * SEC, &s->got);
}

static void
give_one(void *ctx)
{
	struct shared	*s = ctx;

	lease_give(s->own[1], s->got - 1);
}

/* Another process holds one of the same address. */
static void
check_dead(void *ctx)
{
	struct shared	*s = ctx;
	uint32_t	 w;

	lease_return(s->shm, 1);
	ck_assert_uint_ge(taken(s, s->word), 1);
	ck_assert_uint_le(taken(s, s->word), 2);
	lease_sweep(s->shm);
	ck_assert_uint_eq(taken(s, s->word), 1);
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
	/* and one more may come, no two */
	ck_assert_int_eq(limit_enter(s->own[2], s->tag, &s->rule, 999 * SEC,
	    &w), LIMIT_IN);
	ck_assert_uint_eq(w, s->word);
	ck_assert_int_eq(limit_enter(s->own[2], s->tag, &s->rule, 999 * SEC,
	    &w), LIMIT_CONNS);
	lease_give(s->own[2], s->word - 1);
}

START_TEST(killed_each)
{
	struct shared	*s = make();

	s->tag = in_bucket(3, 77);
	s->rule.conns = 2;
	ck_assert_int_eq(limit_enter(s->own[0], s->tag, &s->rule, 0,
	    &s->word), LIMIT_IN);
	kill_each(nothing, enter_one, check_dead, s);
	kill_each(enter_one, give_one, check_dead, s);
	drop(s);
}
END_TEST

/* The first of its address: the entry is made too. */
static void
check_alone(void *ctx)
{
	struct shared		*s = ctx;
	struct lease_bucket	*b = shm_row(s->shm, &lease_addrs, 3);
	uint32_t		 sum = 0;

	lease_return(s->shm, 1);
	lease_sweep(s->shm);
	ck_assert_uint_eq(atomic_load(&b->lock), 0);
	for (unsigned i = 0; i < LEASE_ENTRIES; i++)
		sum += lease_count(&b->entry[i].taken);
	ck_assert_uint_eq(sum, 0);
	memset(b, 0, sizeof(*b));
}

START_TEST(killed_alone)
{
	struct shared	*s = make();

	s->tag = in_bucket(3, 77);
	s->rule = (struct limit_rule){ 1, SEC, 0 };
	kill_each(nothing, enter_one, check_alone, s);
	drop(s);
}
END_TEST

/* --- many at once --- */

static void
loop_as(struct shared *s, unsigned slot)
{
	struct lease	*own = s->own[slot];
	uint32_t	 w;

	for (unsigned n = 0; ; n++) {
		/* four addresses that share two buckets */
		if (limit_enter(own, in_bucket(n & 1, 1 + n % 4),
		    &s->rule, 0, &w) != LIMIT_IN)
			continue;
		if (atomic_fetch_add(&s->in[n % 4], 1) >= s->rule.conns)
			atomic_fetch_add(&s->over, 1);
		atomic_fetch_sub(&s->in[n % 4], 1);
		atomic_fetch_add(&s->turns, 1);
		lease_give(own, w - 1);
	}
}

static void
loop(void *ctx)
{
	loop_as(ctx, 1);
}

static pid_t
start(struct shared *s, unsigned slot)
{
	pid_t	pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		loop_as(s, slot);
	}
	return pid;
}

/* Nobody dies: the limit holds, and the sweep never repairs. */
START_TEST(many_at_once)
{
	struct shared	*s = make();
	pid_t		 pid[3];
	unsigned	 repaired = 0;

	s->rule.conns = 2;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t	was = atomic_load(&s->turns);

		pid[i] = start(s, i + 1);
		while (atomic_load(&s->turns) == was)
			sched_yield();
	}
	for (int n = 0; n < 300; n++)
		repaired += lease_sweep(s->shm);
	for (unsigned i = 0; i < 3; i++)
		kill_reap(pid[i]);
	ck_assert_uint_eq(repaired, 0);
	ck_assert_uint_eq(atomic_load(&s->over), 0);
	drop(s);
}
END_TEST

/* Some are killed all the time; in the end nothing is held or locked. */
START_TEST(killed_soon)
{
	struct shared	*s = make();
	pid_t		 living;

	s->rule.conns = 2;
	living = start(s, 0);
	while (atomic_load(&s->turns) < 10)
		sched_yield();
	for (int round = 0; round < 200; round++) {
		kill_soon(loop, s, &s->turns, 300);
		lease_return(s->shm, 1);
		lease_sweep(s->shm);
	}
	kill_reap(living);
	lease_return(s->shm, 0);
	lease_sweep(s->shm);
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t k = 0; k < LEASE_ENTRIES; k++)
			ck_assert_uint_eq(taken(s, (LEASE_ADDR | i << 4 | k)
			    + 1), 0);
	drop(s);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("limit");
	TCase	*c = tcase_create("limit");

	tcase_set_timeout(c, 120);
	tcase_add_test(c, addresses);
	tcase_add_test(c, number);
	tcase_add_test(c, rate);
	tcase_add_test(c, full_bucket);
	tcase_add_test(c, many_addresses);
	tcase_add_test(c, lock_of_the_dead);
	tcase_add_test(c, killed_each);
	tcase_add_test(c, killed_alone);
	tcase_add_test(c, many_at_once);
	tcase_add_test(c, killed_soon);
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
