/*
 * Ejections by many threads at once, which stand for processes: never more
 * than the share, never the last; and a turn whose owner died.
 */
#include "up/outlier.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "up/probes.h"
#include "up/slow_start.h"
#include "up/upstream.h"
#include "up/view.h"

#define N	8
#define THREADS	8

static struct {
	struct shm		*shm;
	struct watch_conf	 conf;
	struct outlier_set	 set;
	uint32_t		 rows[N];
	_Atomic bool		 go;
	_Atomic unsigned	 did;
} f;

static struct board_server_live *
live(uint32_t i)
{
	return shm_row(f.shm, &board_servers_live, i);
}

static struct board_outlier *
turn(void)
{
	return shm_row(f.shm, &board_outliers, 0);
}

static void
setup(size_t n, int64_t share)
{
	struct err		 e;
	struct board_server	*b;

	memset(&f, 0, sizeof(f));
	f.shm = shm_new(shm_regions, &e);
	ck_assert_ptr_nonnull(f.shm);
	ck_assert_int_eq(shm_grow(f.shm, &board_servers, N, &e), 0);
	ck_assert_int_eq(shm_grow(f.shm, &board_servers_live, N, &e), 0);
	ck_assert_int_eq(shm_grow(f.shm, &board_upstreams, 1, &e), 0);
	ck_assert_int_eq(shm_grow(f.shm, &board_outliers, 1, &e), 0);
	f.conf.outlier = (struct outlier_conf){ .on = true,
	    .consecutive = 5, .time = 1000, .max_time = 2500,
	    .share = share };
	for (uint32_t i = 0; i < N; i++) {
		b = shm_row(f.shm, &board_servers, i);
		b->tag = live(i)->tag = i + 1;
		b->weight = 1;
		f.rows[i] = i;
	}
	f.set = (struct outlier_set){ f.shm, &f.conf, 0, f.rows, n };
}

static void
teardown(void)
{
	shm_free(&f.shm);
}

static unsigned
count(enum server_state s)
{
	unsigned	n = 0;

	for (uint32_t i = 0; i < f.set.n; i++)
		n += (live(i)->state & STATE_BIT(s)) != 0;
	return n;
}

static bool
eject(uint32_t i)
{
	return outlier_eject(&f.set, i, i + 1, FAIL_SERVER_ERROR, 1000);
}

static const struct {
	size_t		n;
	int64_t		share;
	unsigned	most;
} shares[] = {
	{ 1, 100, 0 }, { 2, 50, 1 }, { 2, 100, 1 }, { 3, 50, 1 },
	{ 3, 67, 2 }, { 4, 50, 2 }, { 8, 0, 1 }, { 8, 100, 7 }, { 8, 30, 2 }
};

START_TEST(test_share)
{
	setup(shares[_i].n, shares[_i].share);
	for (uint32_t i = 0; i < f.set.n; i++)
		eject(i);
	ck_assert_uint_eq(count(SERVER_EJECTED), shares[_i].most);
	ck_assert_uint_eq(turn()->ejections, shares[_i].most);
	ck_assert_uint_eq((uint32_t)turn()->turn, 0);
	teardown();
}
END_TEST

static void *
thread(void *arg)
{
	uint32_t	at = (uint32_t)(uintptr_t)arg;

	while (!f.go)
		;
	for (uint32_t i = 0; i < N; i++)
		f.did += eject((i + at) % N);
	return NULL;
}

/* Many want to eject many: what is done is what one alone may do. */
START_TEST(test_threads)
{
	pthread_t	t[THREADS];

	for (unsigned round = 0; round < 50; round++) {
		setup(N, 50);
		for (uintptr_t i = 0; i < THREADS; i++)
			ck_assert_int_eq(pthread_create(&t[i], NULL, thread,
			    (void *)i), 0);
		f.go = true;
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		ck_assert_uint_eq(count(SERVER_EJECTED), N / 2);
		ck_assert_uint_eq(turn()->ejections, N / 2);
		ck_assert_uint_eq((uint32_t)turn()->turn, 0);
		/* a bit that a helper set is his */
		ck_assert_uint_le(f.did, N / 2);
		teardown();
	}
}
END_TEST

/* Where nobody listens nothing is borne: neither counted nor spared. */
START_TEST(test_absent)
{
	setup(4, 25);
	ck_assert(outlier_eject(&f.set, 0, 1, FAIL_DIAL_REFUSED, 1000));
	ck_assert(eject(1));
	ck_assert(!eject(2));
	ck_assert(outlier_eject(&f.set, 2, 3, FAIL_DIAL_UNREACHABLE, 1000));
	ck_assert(!outlier_eject(&f.set, 3, 4, FAIL_DIAL_REFUSED, 1000));
	teardown();
}
END_TEST

/* Down servers are no part of the share; the last is not taken. */
START_TEST(test_down)
{
	setup(4, 25);
	live(0)->state = live(1)->state = STATE_BIT(SERVER_DOWN);
	ck_assert(eject(0));
	ck_assert(eject(1));
	ck_assert(eject(2));
	ck_assert(!eject(3));
	live(2)->state = 0;
	/* who weighs nothing takes no requests */
	((struct board_server *)shm_row(f.shm, &board_servers, 3))->override
	    = 1;
	ck_assert(!eject(2));
	live(3)->state = STATE_BIT(SERVER_DRAIN);
	ck_assert(!eject(2));
	teardown();
}
END_TEST

/* A process that took the turn and died: the next one sets its bit. */
START_TEST(test_dead)
{
	setup(4, 50);
	turn()->turn = 7ULL << 32 | 2;
	ck_assert(eject(3));
	ck_assert_uint_eq(count(SERVER_EJECTED), 2);
	ck_assert_int_eq(state_of(live(1)->state), SERVER_EJECTED);
	ck_assert_uint_eq(live(1)->eject_until, 2000);
	ck_assert(!eject(0));
	/* what nobody can be, does no harm */
	turn()->turn = 9ULL << 32 | 0xffffffff;
	ck_assert(!eject(0));
	ck_assert_uint_eq((uint32_t)turn()->turn, 0);
	teardown();
}
END_TEST

/* Longer each time, up to the longest; a row of another life is not it. */
START_TEST(test_time)
{
	static const uint64_t	until[] = { 2000, 3000, 3500, 3500 };

	setup(4, 50);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert(eject(0));
		ck_assert(!eject(0));
		ck_assert_uint_eq(live(0)->eject_until, until[i]);
		live(0)->fails = 5;
		outlier_end(f.shm, 0, 0, 1);
		ck_assert_uint_eq(live(0)->state >> STATE_SHIFT, 0);
		ck_assert_uint_eq(live(0)->fails, 0);
	}
	ck_assert(!outlier_eject(&f.set, 0, 77, FAIL_SERVER_ERROR, 1000));
	ck_assert(eject(0));
	outlier_end(f.shm, 1000, 0, 1);
	ck_assert_int_eq(state_of(live(0)->state), SERVER_SLOW);
	ck_assert_uint_eq(live(0)->ramp, RAMP_FIRST);
	/* failing in it, it begins anew, and all are told */
	live(0)->ramp = 700;
	slow_start_begin(f.shm, 0, 1, 1000);
	ck_assert_uint_eq(live(0)->ramp, 700);
	ck_assert(eject(0));
	outlier_end(f.shm, 1000, 0, 1);
	ck_assert_int_eq(state_of(live(0)->state), SERVER_SLOW);
	ck_assert_uint_eq(live(0)->ramp, RAMP_FIRST);
	teardown();
}
END_TEST

/* Steps of a tenth; none while it is held back; the end. */
START_TEST(test_slow)
{
	const struct board_upstream	*u;
	uint64_t			 begun = 0, epoch;

	setup(2, 50);
	u = shm_row(f.shm, &board_upstreams, 0);
	slow_start_begin(f.shm, 0, 1, 0);
	ck_assert_uint_eq(live(0)->state, 0);
	slow_start_begin(f.shm, 0, 9, 1000);
	ck_assert_uint_eq(live(0)->state, 0);
	slow_start_begin(f.shm, 0, 1, 1000);
	slow_start_go(f.shm, 0, 1, 1000, 50000, &begun);
	ck_assert_uint_ge(begun, 49900);
	begun = 50000;
	for (unsigned ms = 0; ms < 1000; ms += 100) {
		epoch = u->epoch;
		slow_start_go(f.shm, 0, 1, 1000, 50000 + ms, &begun);
		ck_assert_uint_eq(live(0)->ramp, ms < 200 ? 100 : ms);
		ck_assert_uint_eq(u->epoch - epoch, ms >= 200);
	}
	live(0)->state |= STATE_BIT(SERVER_DOWN);
	slow_start_go(f.shm, 0, 1, 1000, 60000, &begun);
	ck_assert_uint_eq(begun, 0);
	ck_assert_uint_eq(live(0)->ramp, 900);
	live(0)->state &= ~STATE_BIT(SERVER_DOWN);
	begun = 70000;
	slow_start_go(f.shm, 0, 1, 1000, 71000, &begun);
	ck_assert_int_eq(state_of(live(0)->state), SERVER_UP);
	teardown();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("outlier");
	TCase	*tc = tcase_create("outlier");
	SRunner	*sr;
	int	 failed;

	tcase_add_loop_test(tc, test_share, 0,
	    sizeof(shares) / sizeof(shares[0]));
	tcase_add_test(tc, test_threads);
	tcase_add_test(tc, test_absent);
	tcase_add_test(tc, test_down);
	tcase_add_test(tc, test_dead);
	tcase_add_test(tc, test_time);
	tcase_add_test(tc, test_slow);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
