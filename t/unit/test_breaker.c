/*
 * up/breaker: what opens and closes it, and that a half-open one lets
 * through as many as it says, by many processes and with some killed.
 */
#include <check.h>
#include <stdlib.h>

#include "kill.h"
#include "up/breaker_int.h"
#include "up/state.h"

#define NPROC	4
#define TURNS	200
#define TAG	7

static const struct shm_region *const table[] = {
	&board_servers, &board_paths, &board_upstream_names,
	&board_servers_live, &board_upstreams,
	&board_breakers, &board_breaker_probes, &board_breaker_confs, NULL
};

static struct {
	struct shm			*shm;
	struct board_breaker_conf	*conf;
	struct board_breaker		*b;
	struct board_server_live	*live;
	struct breaker			 br;
} f;

static void
setup(void)
{
	struct board_server	*s;
	struct err		 e;

	f.shm = shm_new(table, &e);
	ck_assert_msg(f.shm != NULL, "%s", e.text);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(shm_grow(f.shm, table[i], 1, &e), 0);
	ck_assert_int_eq(shm_grow(f.shm, &board_breaker_confs, 1, &e), 0);
	ck_assert_int_eq(breaker_grow(f.shm, 1, &e), 0);
	s = shm_row(f.shm, &board_servers, 0);
	atomic_store(&s->tag, TAG);
	f.live = shm_row(f.shm, &board_servers_live, 0);
	atomic_store(&f.live->tag, TAG);
	f.b = shm_row(f.shm, &board_breakers, 0);
	f.conf = shm_row(f.shm, &board_breaker_confs, 0);
	f.conf->failures = 5;
	f.conf->rate = 50;
	f.conf->requests = 20;
	f.conf->window = 600000;
	f.conf->open = 5000;
	f.conf->open_max = 60000;
	f.conf->probes = 3;
	f.conf->successes = 3;
	f.conf->was_on = f.conf->on = 1;
	breaker_begin(f.shm, 0, TAG);
	ck_assert(breaker_find(&f.br, f.shm, 0, TAG));
}

static void
teardown(void)
{
	shm_free(&f.shm);
}

static enum breaker_state
state(void)
{
	return WORD_STATE(atomic_load(&f.b->word));
}

static bool
has_bit(void)
{
	return (atomic_load(&f.live->state) & STATE_BIT(SERVER_OPEN)) != 0;
}

static void
spoil(unsigned n)
{
	while (n-- > 0)
		breaker_judge(&f.br, FAIL_DIAL_REFUSED);
}

/* Its time is over. */
static void
expire(void)
{
	ck_assert_int_eq(state(), BREAKER_OPEN);
	atomic_store(&f.b->until, UNTIL(WORD_TURN(f.b->word), 1));
}

static bool
take(struct breaker_ticket *t)
{
	return breaker_take(&f.br, 1, 60000, t);
}

/* Half open, with three probes under way. */
static void
begin(struct breaker_ticket t[3])
{
	struct breaker_ticket	more;

	if (state() == BREAKER_CLOSED)
		spoil(5);
	expire();
	for (int i = 0; i < 3; i++)
		ck_assert(take(&t[i]));
	ck_assert(!take(&more));
	ck_assert_int_eq(state(), BREAKER_HALF);
	ck_assert(has_bit());
}

START_TEST(test_row)
{
	struct breaker_look	k;
	struct breaker_ticket	t;

	spoil(4);
	breaker_judge(&f.br, FAIL_NONE);
	ck_assert_uint_eq(breaker_look(&f.br).failures, 0);
	spoil(4);
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	ck_assert(!has_bit());
	spoil(1);
	ck_assert_int_eq(state(), BREAKER_OPEN);
	ck_assert(has_bit());
	ck_assert_int_eq(f.live->why[SERVER_OPEN], FAIL_DIAL_REFUSED);
	k = breaker_look(&f.br);
	ck_assert(k.ms > 4000 && k.ms <= 5000);
	ck_assert(!take(&t));
	/* what was under way does not count any more */
	spoil(20);
	breaker_judge(&f.br, FAIL_NONE);
	ck_assert_uint_eq(f.b->opened, 1);
	breaker_close(&f.br);
	ck_assert(!has_bit());
	spoil(4);
	ck_assert_int_eq(state(), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_rate)
{
	f.conf->failures = 0;
	for (int i = 0; i < 10; i++) {
		spoil(1);
		ck_assert_int_eq(state(), BREAKER_CLOSED);
		breaker_judge(&f.br, FAIL_NONE);
	}
	spoil(1);
	ck_assert_int_eq(state(), BREAKER_OPEN);
	/* after it closed the window begins anew */
	breaker_close(&f.br);
	spoil(19);
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	spoil(1);
	ck_assert_int_eq(state(), BREAKER_OPEN);
	breaker_close(&f.br);
	/* 49 % */
	for (int i = 0; i < 51; i++)
		breaker_judge(&f.br, FAIL_NONE);
	spoil(49);
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	spoil(2);
	ck_assert_int_eq(state(), BREAKER_OPEN);
}
END_TEST

/* What is older than the window does not count. */
START_TEST(test_window)
{
	f.conf->failures = 0;
	spoil(19);
	for (int i = 0; i < BREAKER_BUCKETS; i++)
		f.b->bucket[i] -= 0x1000000000ULL * BREAKER_BUCKETS;
	spoil(19);
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	spoil(1);
	ck_assert_int_eq(state(), BREAKER_OPEN);
}
END_TEST

START_TEST(test_good_probes)
{
	struct breaker_ticket	t[3];

	begin(t);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(state(), BREAKER_HALF);
		ck_assert(breaker_end(&f.br, &t[i], BREAKER_GOOD,
		    FAIL_NONE));
	}
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	ck_assert(!has_bit());
	/* two of three are enough if it says so; the third is any attempt */
	f.conf->successes = 2;
	begin(t);
	ck_assert(breaker_end(&f.br, &t[2], BREAKER_GOOD, FAIL_NONE));
	ck_assert(breaker_end(&f.br, &t[0], BREAKER_GOOD, FAIL_NONE));
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	ck_assert(!breaker_end(&f.br, &t[1], BREAKER_BAD,
	    FAIL_DIAL_REFUSED));
	ck_assert_int_eq(state(), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_bad_probe)
{
	static const unsigned	ms[] = { 10000, 20000, 40000, 60000, 60000 };
	struct breaker_ticket	t[3];
	struct breaker_look	k;

	for (int i = 0; i < 5; i++) {
		begin(t);
		ck_assert(breaker_end(&f.br, &t[0], BREAKER_GOOD,
		    FAIL_NONE));
		ck_assert(breaker_end(&f.br, &t[1], BREAKER_BAD,
		    FAIL_SERVER_ERROR));
		ck_assert_int_eq(state(), BREAKER_OPEN);
		ck_assert(!breaker_end(&f.br, &t[2], BREAKER_GOOD,
		    FAIL_NONE));
		k = breaker_look(&f.br);
		ck_assert(k.ms > ms[i] - 1000 && k.ms <= ms[i]);
		ck_assert_int_eq(f.live->why[SERVER_OPEN],
		    FAIL_SERVER_ERROR);
	}
	/* it has forgotten once it was closed */
	begin(t);
	for (int i = 0; i < 3; i++)
		(void)breaker_end(&f.br, &t[i], BREAKER_GOOD, FAIL_NONE);
	spoil(5);
	ck_assert_uint_le(breaker_look(&f.br).ms, 5000);
}
END_TEST

/* Clients that leave say nothing, and do not hold it half open. */
START_TEST(test_void_probes)
{
	struct breaker_ticket	t[3], one;

	begin(t);
	ck_assert(breaker_end(&f.br, &t[0], BREAKER_VOID, FAIL_NONE));
	ck_assert(!take(&one));
	ck_assert(breaker_end(&f.br, &t[1], BREAKER_FREE, FAIL_NONE));
	ck_assert(take(&one));
	ck_assert_uint_eq(f.b->probed, 3);
	ck_assert(breaker_end(&f.br, &one, BREAKER_GOOD, FAIL_NONE));
	ck_assert_int_eq(state(), BREAKER_HALF);
	ck_assert(breaker_end(&f.br, &t[2], BREAKER_GOOD, FAIL_NONE));
	ck_assert_int_eq(state(), BREAKER_OPEN);
	ck_assert_uint_le(breaker_look(&f.br).ms, 5000);
}
END_TEST

/* A probe without an answer in time: who asks next finds out, or health. */
START_TEST(test_late_probe)
{
	struct breaker_ticket	t;
	uint64_t		since = breaker_ms();

	spoil(5);
	expire();
	f.conf->timeout = 1;
	ck_assert(take(&t));
	while (state() == BREAKER_HALF) {
		ck_assert_uint_lt(breaker_ms() - since, 10000);
		breaker_sweep(f.shm);
	}
	ck_assert_uint_eq(f.b->lost, 1);
	ck_assert(!breaker_end(&f.br, &t, BREAKER_GOOD, FAIL_NONE));
	expire();
	while (state() != BREAKER_OPEN || f.b->lost < 3) {
		ck_assert_uint_lt(breaker_ms() - since, 10000);
		(void)take(&t);
		if (f.b->opened == 3)
			break;
	}
	ck_assert_uint_ge(f.b->opened, 3);
}
END_TEST

START_TEST(test_dead_owner)
{
	struct breaker_ticket	t[3];

	begin(t);
	breaker_fold(f.shm, 2);
	ck_assert_int_eq(state(), BREAKER_HALF);
	breaker_fold(f.shm, 1);
	ck_assert_int_eq(state(), BREAKER_OPEN);
	ck_assert_uint_eq(f.b->lost, 3);
	ck_assert_int_eq(f.live->why[SERVER_OPEN], FAIL_WORKER_LOST);
}
END_TEST

/* Who dies within an opening leaves what health sets right. */
START_TEST(test_mended)
{
	f.b->word = WORD(BREAKER_OPEN, 9, 1, 0);
	breaker_sweep(f.shm);
	ck_assert(has_bit());
	ck_assert_uint_gt(breaker_look(&f.br).ms, 9000);
	f.b->word = WORD(BREAKER_CLOSED, 9, 0, 0);
	breaker_sweep(f.shm);
	ck_assert(!has_bit());
	/* it is configured no more */
	spoil(5);
	f.conf->on = 0;
	ck_assert(!breaker_find(&f.br, f.shm, 0, TAG));
	breaker_sweep(f.shm);
	ck_assert(!has_bit());
	ck_assert_int_eq(state(), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_other_life)
{
	struct breaker_ticket	t[3];
	struct breaker		old = f.br;

	begin(t);
	breaker_begin(f.shm, 0, TAG + 1);
	ck_assert(!breaker_find(&f.br, f.shm, 0, TAG));
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	ck_assert(!breaker_end(&old, &t[0], BREAKER_BAD, FAIL_DIAL_REFUSED));
	ck_assert_int_eq(state(), BREAKER_CLOSED);
}
END_TEST

/* A row without a breaker is not touched; it gets its life with one. */
START_TEST(test_later)
{
	struct board_server	*s = shm_row(f.shm, &board_servers, 0);

	atomic_store(&s->tag, TAG + 1);
	f.conf->was_on = f.conf->on = 0;
	breaker_begin(f.shm, 0, TAG + 1);
	ck_assert_uint_eq(f.b->tag, TAG);
	ck_assert(!breaker_find(&f.br, f.shm, 0, TAG + 1));
	atomic_store(&s->upstream_row, 1);
	breaker_begin_all(f.shm, 0);
	ck_assert_uint_eq(f.b->tag, TAG);
	atomic_store(&s->upstream_row, 0);
	f.b->word = WORD(BREAKER_OPEN, 9, 1, 0);
	breaker_begin_all(f.shm, 0);
	f.conf->was_on = f.conf->on = 1;
	ck_assert(breaker_find(&f.br, f.shm, 0, TAG + 1));
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	/* once more is nothing: it goes on counting */
	f.b->word = WORD(BREAKER_CLOSED, 9, 0, 2);
	breaker_begin_all(f.shm, 0);
	ck_assert_uint_eq(f.b->word, WORD(BREAKER_CLOSED, 9, 0, 2));
}
END_TEST

/* --- many processes --- */

struct shared {
	_Atomic uint64_t	go, end;	/* the turn */
	_Atomic uint32_t	asked, ended;
	_Atomic uint32_t	taken;
	_Atomic uint32_t	held[NPROC];
};

static void
await(const _Atomic uint64_t *p, uint64_t turn)
{
	while (atomic_load(p) < turn)
		sched_yield();
}

/* In each turn: asks for more than there are, then ends them well. */
static void
work(struct shared *s, unsigned slot, uint64_t turn)
{
	struct breaker_ticket	t[5];
	unsigned		n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;; turn++) {
		await(&s->go, turn);
		n = 0;
		for (int i = 0; i < 5; i++) {
			n += breaker_take(&f.br, slot, 60000, &t[n]);
			sched_yield();
		}
		atomic_store(&s->held[slot], n);
		atomic_fetch_add(&s->taken, n);
		atomic_fetch_add(&s->asked, 1);
		await(&s->end, turn);
		while (n > 0)
			(void)breaker_end(&f.br, &t[--n], BREAKER_GOOD,
			    FAIL_NONE);
		atomic_fetch_add(&s->ended, 1);
	}
}

static pid_t
start(struct shared *s, unsigned slot, uint64_t turn)
{
	pid_t	pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		work(s, slot, turn);
	return pid;
}

static void
await_all(const _Atomic uint32_t *p, uint32_t n)
{
	uint64_t	since = breaker_ms();

	while (atomic_load(p) < n) {
		ck_assert_uint_lt(breaker_ms() - since, 30000);
		sched_yield();
	}
}

/* One that holds a probe is killed: the turn is over. */
static void
kill_holder(struct shared *s, pid_t pid[NPROC], uint64_t turn)
{
	unsigned	i = 0;

	while (atomic_load(&s->held[i]) == 0)
		i++;
	kill_reap(pid[i]);
	ck_assert_int_eq(state(), BREAKER_HALF);
	breaker_fold(f.shm, i);
	ck_assert_int_eq(state(), BREAKER_OPEN);
	atomic_fetch_add(&s->ended, 1);
	pid[i] = start(s, i, turn + 1);
}

START_TEST(test_processes)
{
	struct shared	*s = kill_shared(sizeof(*s));
	pid_t		 pid[NPROC];

	for (unsigned i = 0; i < NPROC; i++)
		pid[i] = start(s, i, 1);
	for (uint64_t turn = 1; turn <= TURNS; turn++) {
		if (state() == BREAKER_CLOSED)
			spoil(5);
		expire();
		s->taken = s->asked = s->ended = 0;
		atomic_store(&s->go, turn);
		await_all(&s->asked, NPROC);
		ck_assert_uint_eq(atomic_load(&s->taken), 3);
		if (turn % 4 == 0)
			kill_holder(s, pid, turn);
		atomic_store(&s->end, turn);
		await_all(&s->ended, NPROC);
		ck_assert_int_eq(state(), turn % 4 == 0 ? BREAKER_OPEN :
		    BREAKER_CLOSED);
	}
	ck_assert_uint_eq(f.b->probed, 3 * TURNS);
	ck_assert_uint_eq(f.b->half, TURNS);
	for (unsigned i = 0; i < NPROC; i++)
		kill_reap(pid[i]);
}
END_TEST

/* --- killed at each instruction --- */

static void
prepare_take(void *ctx)
{
	(void)ctx;
	breaker_close(&f.br);
	spoil(5);
	expire();
}

static void
op_take(void *ctx)
{
	struct breaker_ticket	t;

	(void)ctx;
	ck_assert(breaker_take(&f.br, 2, 60000, &t));
}

/*
 * What it held ends its turn; if it held nothing, three are let through.
 * Then all goes on.
 */
static void
check_take(void *ctx)
{
	struct breaker_ticket	t[4];
	unsigned		n = 0;

	(void)ctx;
	breaker_fold(f.shm, 2);
	if (state() == BREAKER_OPEN && breaker_look(&f.br).ms > 0)
		expire();
	while (n < 4 && breaker_take(&f.br, 1, 60000, &t[n]))
		n++;
	ck_assert_uint_eq(n, 3);
	while (n > 0)
		(void)breaker_end(&f.br, &t[--n], BREAKER_GOOD, FAIL_NONE);
	ck_assert_int_eq(state(), BREAKER_CLOSED);
	ck_assert(!has_bit());
}

START_TEST(test_killed_taking)
{
	kill_each(prepare_take, op_take, check_take, NULL);
}
END_TEST

static void
prepare_open(void *ctx)
{
	(void)ctx;
	breaker_close(&f.br);
	spoil(4);
}

static void
op_open(void *ctx)
{
	(void)ctx;
	spoil(1);
}

/* Open or not: after a sweep word, bit and time say the same. */
static void
check_open(void *ctx)
{
	(void)ctx;
	breaker_sweep(f.shm);
	ck_assert_int_eq(has_bit(), state() == BREAKER_OPEN);
	if (state() == BREAKER_OPEN)
		ck_assert_uint_gt(breaker_look(&f.br).ms, 1000);
	else
		ck_assert_uint_ge(breaker_look(&f.br).failures, 4);
}

START_TEST(test_killed_opening)
{
	kill_each(prepare_open, op_open, check_open, NULL);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("breaker");
	TCase	*tc = tcase_create("breaker");
	TCase	*many = tcase_create("processes");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_row);
	tcase_add_test(tc, test_rate);
	tcase_add_test(tc, test_window);
	tcase_add_test(tc, test_good_probes);
	tcase_add_test(tc, test_bad_probe);
	tcase_add_test(tc, test_void_probes);
	tcase_add_test(tc, test_late_probe);
	tcase_add_test(tc, test_dead_owner);
	tcase_add_test(tc, test_mended);
	tcase_add_test(tc, test_other_life);
	tcase_add_test(tc, test_later);
	tcase_add_checked_fixture(many, setup, teardown);
	tcase_set_timeout(many, 300);
	tcase_add_test(many, test_processes);
	tcase_add_test(many, test_killed_taking);
	tcase_add_test(many, test_killed_opening);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, many);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
