/*
 * core/lease: limits, many processes at once, and what is repaired after
 * a holder was killed at any instruction.
 */
#include "core/lease.h"

#include <check.h>
#include <stdlib.h>

#include "kill.h"

#define NSLOT	4
#define NWORD	8

static const struct shm_region *const table[] = {
	&lease_heads, &lease_words, &lease_listeners, &lease_addrs,
	&lease_shadows, NULL
};

struct shared {
	_Atomic uint64_t	turns;
	_Atomic uint64_t	over;	/* times the limit was passed */
	struct shm		*shm;
	struct lease		*own[NSLOT];	/* of each slot */
	unsigned		slot;
	bool			holds;
};

static struct shared *
make(uint32_t limit)
{
	struct shared		*s = kill_shared(sizeof(*s));
	struct err		 e;
	struct lease_word	*w;

	s->shm = shm_new(table, &e);
	ck_assert_msg(s->shm != NULL, "%s", e.text);
	ck_assert_int_eq(lease_grow(s->shm, NSLOT, NWORD, &e), 0);
	for (unsigned i = 0; i < NSLOT; i++)
		s->own[i] = lease_open(s->shm, i);
	for (uint32_t i = 0; i < NWORD; i++) {
		w = shm_row(s->shm, &lease_words, i);
		atomic_store(&w->limit, limit);
		atomic_store(&w->tag, i + 1);
	}
	return s;
}

static void
drop(struct shared *s)
{
	for (unsigned i = 0; i < NSLOT; i++)
		lease_free(&s->own[i]);
	shm_free(&s->shm);
}

/* The slot's process is another one. */
static void
again(struct shared *s, unsigned slot)
{
	lease_return(s->shm, slot);
	lease_free(&s->own[slot]);
	s->own[slot] = lease_open(s->shm, slot);
}

static uint32_t
taken(const struct shared *s, uint32_t word)
{
	const struct lease_word	*w = shm_row(s->shm, &lease_words, word);

	return lease_count(&w->taken);
}

START_TEST(limit)
{
	struct shared		*s = make(3);
	struct lease_word	*w = shm_row(s->shm, &lease_words, 5);

	ck_assert(lease_take(s->own[0], 5));
	ck_assert(lease_take(s->own[1], 5));
	ck_assert(lease_take(s->own[0], 5));
	ck_assert(!lease_take(s->own[1], 5));
	ck_assert_uint_eq(atomic_load(&w->refused), 1);
	ck_assert(lease_take(s->own[1], 6));
	lease_give(s->own[0], 5);
	ck_assert(lease_take(s->own[1], 5));
	ck_assert_uint_eq(taken(s, 5), 3);
	ck_assert_uint_eq(taken(s, 6), 1);
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
	again(s, 1);
	ck_assert_uint_eq(taken(s, 5), 1);
	ck_assert_uint_eq(taken(s, 6), 0);
	atomic_store(&w->limit, 0);
	for (int i = 0; i < 1000; i++)
		ck_assert(lease_take(s->own[1], 5));
	drop(s);
}
END_TEST

START_TEST(give_of_nothing)
{
	struct shared	*s = make(3);

	ck_assert(lease_take(s->own[0], 5));
	lease_give(s->own[1], 5);
}
END_TEST

/* More words than shadows: those that hold nothing make room. */
START_TEST(many_words)
{
	struct shared	*s = make(1);
	const uint32_t	 n = LEASE_SHADOWS * 3;
	struct err	 e;

	ck_assert_int_eq(lease_grow(s->shm, NSLOT, n, &e), 0);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert(lease_take(s->own[2], i));
		if (i % 8 != 0)
			lease_give(s->own[2], i);
	}
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(taken(s, i), i % 8 == 0);
	/* as many as there are rows, and no more */
	for (uint32_t i = 1; i < n; i++)
		if (i % 8 != 0)
			ck_assert(lease_take(s->own[2], i) ==
			    (i - i / 8 + n / 8 <= LEASE_SHADOWS));
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
	for (uint32_t i = 0; i < n; i += 8)
		lease_give(s->own[2], i);
	lease_return(s->shm, 2);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(taken(s, i), 0);
	drop(s);
}
END_TEST

/* A word without a tag counts nothing: nothing is mended in it. */
START_TEST(no_tag)
{
	struct shared		*s = make(3);
	struct lease_word	*w = shm_row(s->shm, &lease_words, 5);

	atomic_store(&w->taken, 7);
	atomic_store(&w->tag, 0);
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
	ck_assert_uint_eq(taken(s, 5), 7);
	atomic_store(&w->tag, 1);
	ck_assert_uint_eq(lease_sweep(s->shm), 1);
	ck_assert_uint_eq(taken(s, 5), 0);
	drop(s);
}
END_TEST

/* A dead slot's lies do no more than their words allow. */
START_TEST(lies)
{
	struct shared		*s = make(3);
	struct lease_shadow	*sh = shm_row(s->shm, &lease_shadows, 1);

	ck_assert(lease_take(s->own[0], 5));
	ck_assert(lease_take(s->own[1], 7));
	atomic_store(&sh->top, UINT32_MAX);
	atomic_store(&sh->locking, UINT32_MAX);
	atomic_store(&sh->row[9].word, 6);
	atomic_store(&sh->row[9].held, UINT32_MAX);
	atomic_store(&sh->row[10].word, UINT32_MAX);
	atomic_store(&sh->row[10].held, 9);
	atomic_store(&sh->row[11].word, LEASE_ADDR + 1);
	atomic_store(&sh->row[11].held, 9);
	atomic_store(&sh->row[12].word, LEASE_LISTENER + 1);
	atomic_store(&sh->row[12].held, 9);
	atomic_store(&sh->row[13].word, UINT32_MAX - 7);
	atomic_store(&sh->row[13].intent, 1);
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
	lease_return(s->shm, 1);
	ck_assert_uint_eq(taken(s, 5), 0);
	ck_assert_uint_eq(lease_sweep(s->shm), 1);
	ck_assert_uint_eq(taken(s, 5), 1);
	for (unsigned i = 0; i < LEASE_SHADOWS; i++)
		ck_assert_uint_eq(atomic_load(&sh->row[i].word), 0);
	drop(s);
}
END_TEST

/* Rows that hold nothing are used again: few words need few rows. */
START_TEST(dense)
{
	struct shared		*s = make(0);
	struct lease_shadow	*sh = shm_row(s->shm, &lease_shadows, 1);

	for (uint32_t i = 0; i < 1000; i++) {
		ck_assert(lease_take(s->own[1], i % NWORD));
		ck_assert(lease_take(s->own[1], (i + 1) % NWORD));
		lease_give(s->own[1], i % NWORD);
		ck_assert_uint_eq(lease_used(s->own[1]), 1);
		lease_give(s->own[1], (i + 1) % NWORD);
	}
	ck_assert_uint_eq(lease_used(s->own[1]), 0);
	ck_assert_uint_eq(atomic_load(&sh->top), 2);
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
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
take_one(void *ctx)
{
	struct shared	*s = ctx;

	lease_take(s->own[1], 3);
}

static void
take_first(void *ctx)
{
	take_one(ctx);
}

static void
give_one(void *ctx)
{
	struct shared	*s = ctx;

	lease_give(s->own[1], 3);
}

/* Another process holds one; the word is never below what is held. */
static void
check_dead(void *ctx)
{
	struct shared	*s = ctx;

	lease_return(s->shm, 1);
	ck_assert_uint_ge(taken(s, 3), 1);
	ck_assert_uint_le(taken(s, 3), 2);
	lease_sweep(s->shm);
	ck_assert_uint_eq(taken(s, 3), 1);
	ck_assert_uint_eq(lease_sweep(s->shm), 0);
}

START_TEST(killed_each)
{
	struct shared	*s = make(9);

	ck_assert(lease_take(s->own[0], 3));
	kill_each(nothing, take_one, check_dead, s);
	kill_each(take_first, give_one, check_dead, s);
	drop(s);
}
END_TEST

/* --- many at once --- */

static void
loop(void *ctx)
{
	struct shared	*s = ctx;
	uint32_t	 word = 0;

	for (;;) {
		word = (word + 1) % 2;
		if (!lease_take(s->own[s->slot], word))
			continue;
		if (taken(s, word) > 2)
			atomic_fetch_add(&s->over, 1);
		atomic_fetch_add(&s->turns, 1);
		lease_give(s->own[s->slot], word);
	}
}

/*
 * One process takes and gives all the time while others are killed and
 * the sweep runs: the sweep must repair what the dead left and nothing
 * that the living hold.
 */
START_TEST(killed_soon)
{
	struct shared	*s = make(2);
	pid_t		 living;

	s->slot = 0;
	living = fork();
	ck_assert_int_ge(living, 0);
	if (living == 0) {
		struct shared	mine = *s;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint32_t word = 0; ; word = !word)
			if (lease_take(mine.own[0], word))
				lease_give(mine.own[0], word);
	}
	s->slot = 1;
	for (int round = 0; round < 300; round++) {
		kill_soon(loop, s, &s->turns, 300);
		lease_return(s->shm, 1);
		lease_sweep(s->shm);
	}
	kill_reap(living);
	lease_return(s->shm, 0);
	lease_sweep(s->shm);
	ck_assert_uint_eq(taken(s, 0), 0);
	ck_assert_uint_eq(taken(s, 1), 0);
	ck_assert_uint_eq(atomic_load(&s->over), 0);
	drop(s);
}
END_TEST

/* Nobody dies, the sweep runs all the time: it must never repair. */
START_TEST(sweep_of_the_living)
{
	struct shared	*s = make(2);
	pid_t		 pid[2];
	unsigned	 repaired = 0;

	for (unsigned i = 0; i < 2; i++) {
		pid[i] = fork();
		ck_assert_int_ge(pid[i], 0);
		if (pid[i] == 0) {
			struct shared	mine = *s;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (uint32_t word = 0; ; word = (word + 1) % 3)
				if (lease_take(mine.own[i], word))
					lease_give(mine.own[i], word);
		}
	}
	for (int n = 0; n < 3000; n++)
		repaired += lease_sweep(s->shm);
	for (unsigned i = 0; i < 2; i++)
		kill_reap(pid[i]);
	ck_assert_uint_eq(repaired, 0);
	drop(s);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("lease");
	TCase	*c = tcase_create("lease");

	tcase_set_timeout(c, 120);
	tcase_add_test(c, limit);
	tcase_add_test_raise_signal(c, give_of_nothing, SIGABRT);
	tcase_add_test(c, many_words);
	tcase_add_test(c, no_tag);
	tcase_add_test(c, lies);
	tcase_add_test(c, dense);
	tcase_add_test(c, killed_each);
	tcase_add_test(c, killed_soon);
	tcase_add_test(c, sweep_of_the_living);
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
