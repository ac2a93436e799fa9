/*
 * core/board, core/stat, core/flight: sums that never go back, and the
 * requests of a process that was killed at any instruction: each has a
 * log record or is called lost, never both, never neither.
 */
#include "core/board.h"

#include <check.h>
#include <stdlib.h>

#include "kill.h"
#include "os/proc.h"

#define SLOT	3
#define REQS	(1 << 20)	/* requests a test can tell apart */

static const struct shm_region *const table[] = {
	&board_slots, &board_panics, &board_stats, &board_totals,
	&board_globals, &board_rings, &board_flights, &board_lasts,
	NULL
};

struct shared {
	_Atomic uint64_t	turns;
	struct shm		*shm;
	uint64_t		lost;		/* called so */
	uint64_t		logged;		/* records in the ring */
	uint64_t		worst;		/* highest number seen */
	uint8_t			seen[REQS];	/* times */
};

/* the process under test, in a child */
static struct proc	proc;
static struct board	board;

static struct shared *
make(unsigned slots)
{
	struct shared	*s = kill_shared(sizeof(*s));
	struct err	 e;

	s->shm = shm_new(table, &e);
	ck_assert_msg(s->shm != NULL, "%s", e.text);
	ck_assert_msg(board_grow(s->shm, slots, &e) == 0, "%s", e.text);
	return s;
}

static void
enter(void *ctx)
{
	struct shared	*s = ctx;

	board_enter(&board, s->shm, SLOT, RING_BYTES);
	proc.board = &board;
	self = &proc;
}

static void
leave(void)
{
	board_leave(&board);
	self = NULL;
}

static struct board_flight *
begin(uint64_t no)
{
	struct board_flight	*f = flight_take();
	struct flight_text	 t = {
		STR("id"), STR("GET"), STR("host.test"), STR("/a?b")
	};

	if (f != NULL) {
		f->begun_ms = no;
		f->port = 80;
		flight_set(f, &t);
	}
	flight_open(f);
	return f;
}

static void
end_logged(struct board_flight *f, uint64_t no)
{
	char	*p = ring_reserve(&board.ring, sizeof(no));

	if (p == NULL)
		abort();
	memcpy(p, &no, sizeof(no));
	flight_closing(f, ring_pos(&board.ring));
	ring_commit(&board.ring, sizeof(no));
	flight_close(f);
}

static void
see(struct shared *s, uint64_t no)
{
	if (no >= REQS)
		ck_abort_msg("request %lu", no);
	s->seen[no]++;
	if (no > s->worst)
		s->worst = no;
}

static void
on_lost(void *ctx, const struct board_flight *f)
{
	struct shared		*s = ctx;
	struct flight_text	 t;

	ck_assert(flight_get(f, &t) && str_eq(t.target, STR("/a?b")) &&
	    str_eq(t.method, STR("GET")) && str_eq(t.host, STR("host.test")));
	ck_assert_uint_eq(f->port, 80);
	s->lost++;
	see(s, f->begun_ms);
}

static void
drain(struct shared *s)
{
	struct ring	r;
	struct str	rec;
	uint64_t	pos, no;

	if (!board_ring(&r, s->shm, SLOT))
		return;
	pos = ring_tail(&r);
	while (ring_next(&r, &pos, &rec)) {
		memcpy(&no, rec.p, sizeof(no));
		s->logged++;
		see(s, no);
	}
	ring_release(&r, pos);
}

static uint64_t
total(const struct shared *s, enum stat_id id)
{
	return stat_sum(s->shm, id);
}

START_TEST(counters)
{
	struct shared	*s = make(8);
	uint64_t	 v[STAT_N];

	stat_add(STAT_CONNS, 5);	/* no board yet */
	enter(s);
	ck_assert_ptr_eq(board_self(), &board);
	stat_add(STAT_CONNS, 5);
	stat_sub(STAT_CONNS, 2);
	stat_add(STAT_CONNS_TOTAL, 5);
	ck_assert_uint_eq(total(s, STAT_CONNS), 3);
	board_fold(s->shm, SLOT, on_lost, s);
	/* what was open is gone, what happened stays */
	ck_assert_uint_eq(total(s, STAT_CONNS), 0);
	ck_assert_uint_eq(total(s, STAT_CONNS_TOTAL), 5);
	leave();
	enter(s);
	stat_add(STAT_CONNS_TOTAL, 1);
	stat_sums(s->shm, v);
	ck_assert_uint_eq(v[STAT_CONNS_TOTAL], 6);
	ck_assert_uint_eq(v[STAT_CONNS], 0);
	leave();
	for (unsigned i = 0; i < STAT_N; i++)
		ck_assert_uint_gt(str_from(stat_rows[i].name).n, 3);
	shm_free(&s->shm);
}
END_TEST

START_TEST(grow)
{
	struct shared	*s = make(1);
	struct err	 e;

	ck_assert_int_eq(board_grow(s->shm, SLOT_MAX + 1, &e), -1);
	ck_assert_msg(board_grow(s->shm, SLOT_MAX, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(shm_rows(s->shm, &board_rings), SLOT_MAX);
	board_enter(&board, s->shm, SLOT_MAX - 1, RING_BYTES_WORKER);
	ck_assert_ptr_nonnull(ring_reserve(&board.ring, RING_RECORD_MAX));
	leave();
	ck_assert_uint_gt(board_cost(2, 5), 2 * (9 << 20) + 5 * (1 << 20));
	ck_assert_uint_lt(board_cost(2, 5), 2 * (10 << 20) + 5 * (2 << 20));
	shm_free(&s->shm);
}
END_TEST

START_TEST(texts)
{
	char			 big[400];
	struct board_flight	 f = { 0 };
	struct flight_text	 t = {
		STR("i"), STR("GET"), STR(""), STR("/")
	};
	struct flight_text	 g;

	flight_set(&f, &t);
	ck_assert(flight_get(&f, &g));
	ck_assert(str_eq(g.id, t.id) && str_eq(g.method, t.method) &&
	    str_eq(g.host, t.host) && str_eq(g.target, t.target));
	memset(big, 'x', sizeof(big));
	t = (struct flight_text){ STR_NONE, STR("GET"), STR("h"),
	    str_make(big, sizeof(big)) };
	flight_set(&f, &t);
	ck_assert(flight_get(&f, &g));
	ck_assert_uint_eq(g.target.n, sizeof(f.text) - 4);
	t.id = t.method = t.host = t.target;
	flight_set(&f, &t);
	ck_assert(flight_get(&f, &g));
	ck_assert_uint_ge(g.target.n, 32);
	f.target_n = 1000;
	ck_assert(!flight_get(&f, &g));
	f.target_n = 0;
	f.method_n = UINT32_MAX;
	ck_assert(!flight_get(&f, &g));
}
END_TEST

START_TEST(flights)
{
	struct shared		*s = make(8);
	struct board_flight	*a, *b;

	enter(s);
	a = begin(1);
	b = begin(2);
	ck_assert(a != NULL && b != NULL && a != b);
	ck_assert_uint_eq(total(s, STAT_STARTED), 2);
	end_logged(a, 1);
	flight_close(b);
	ck_assert_uint_eq(total(s, STAT_FINISHED), 2);
	ck_assert_ptr_eq(begin(3), b);
	ck_assert_uint_eq(atomic_load(&board.slot->flight_top), 2);
	board_fold(s->shm, SLOT, on_lost, s);
	ck_assert_uint_eq(s->lost, 1);
	ck_assert_uint_eq(s->seen[3], 1);
	ck_assert_uint_eq(total(s, STAT_LOST), 1);
	ck_assert_uint_eq(total(s, STAT_STARTED), 3);
	ck_assert_uint_eq(total(s, STAT_FINISHED), 2);
	ck_assert_uint_eq(atomic_load(&board.slot->flight_top), 0);
	/* a second fold finds nothing */
	board_fold(s->shm, SLOT, on_lost, s);
	ck_assert_uint_eq(s->lost, 1);
	ck_assert_uint_eq(total(s, STAT_LOST), 1);
	leave();
	shm_free(&s->shm);
}
END_TEST

/* Without a free row a request counts all the same. */
START_TEST(no_row_left)
{
	struct shared		*s = make(8);
	struct board_flight	*f = NULL;

	enter(s);
	for (uint64_t i = 0; i < FLIGHT_PER_SLOT; i++)
		ck_assert_ptr_nonnull(f = begin(i));
	ck_assert_ptr_null(begin(9));
	ck_assert_ptr_null(begin(9));
	ck_assert_uint_eq(total(s, STAT_FLIGHT_FULL), 2);
	end_logged(NULL, 9);
	end_logged(f, 9);
	ck_assert_ptr_eq(begin(9), f);
	board_fold(s->shm, SLOT, on_lost, s);
	ck_assert_uint_eq(s->lost, FLIGHT_PER_SLOT);
	ck_assert_uint_eq(total(s, STAT_STARTED), FLIGHT_PER_SLOT + 3);
	ck_assert_uint_eq(total(s, STAT_FINISHED), 2);
	ck_assert_uint_eq(total(s, STAT_LOST), FLIGHT_PER_SLOT + 1);
	leave();
	shm_free(&s->shm);
}
END_TEST

START_TEST(two_on_their_way_out)
{
	struct shared		*s = make(8);
	struct board_flight	*a, *b;

	enter(s);
	a = begin(1);
	b = begin(2);
	flight_closing(a, 0);
	flight_closing(b, 0);
}
END_TEST

static void
on_any(void *ctx, const struct board_flight *f)
{
	struct flight_text	 t;

	(void)ctx;
	ck_assert(flight_get(f, &t));
}

/* Whatever a process wrote before it died, the sums hold. */
START_TEST(lies)
{
	struct shared		*s = make(8);
	uint64_t		 v[STAT_N], was[STAT_N] = { 0 };

	for (int round = 0; round < 300; round++) {
		enter(s);
		begin(1);
		end_logged(begin(2), 2);
		stat_add(STAT_BYTES_IN, 7);
		for (int i = 0; i < 40; i++)
			((char *)board.flight)[random() % 512] =
			    (char)random();
		for (int i = 0; i < 3; i++)
			atomic_store(&board.stat[random() % 64],
			    (uint64_t)random() << random() % 33);
		atomic_store(&board.slot->flight_top,
		    (uint64_t)random() << 20);
		drain(s);
		board_fold(s->shm, SLOT, on_any, s);
		leave();
		stat_sums(s->shm, v);
		ck_assert_uint_eq(v[STAT_STARTED],
		    v[STAT_FINISHED] + v[STAT_LOST]);
		for (unsigned i = 0; i < STAT_N; i++) {
			ck_assert_uint_ge(v[i], was[i]);
			was[i] = v[i];
		}
	}
	shm_free(&s->shm);
}
END_TEST

/* --- killed at every instruction --- */

/* Two requests run when the step comes. */
static struct board_flight	*one, *two;

static void
prepare(void *ctx)
{
	struct shared	*s = ctx;

	enter(ctx);
	one = begin(s->worst + 1);
	two = begin(s->worst + 2);
}

static void
op_open(void *ctx)
{
	struct shared	*s = ctx;

	begin(s->worst + 3);
}

static void
op_close(void *ctx)
{
	struct shared	*s = ctx;

	end_logged(one, s->worst + 1);
}

static void
op_close_silently(void *ctx)
{
	(void)ctx;
	flight_close(one);
}

static void
settle(struct shared *s)
{
	uint64_t	v[STAT_N];

	drain(s);
	board_fold(s->shm, SLOT, on_lost, s);
	stat_sums(s->shm, v);
	ck_assert_uint_eq(v[STAT_LOST], s->lost);
	ck_assert_uint_eq(v[STAT_STARTED],
	    v[STAT_FINISHED] + v[STAT_LOST]);
}

/* Each request was seen once: as a record, or as lost. */
static void
check_each(void *ctx)
{
	struct shared	*s = ctx;
	uint64_t	 was = s->worst;

	settle(s);
	ck_assert_uint_eq(total(s, STAT_FINISHED), s->logged);
	ck_assert_uint_ge(s->worst, was + 2);
	for (uint64_t no = was + 1; no <= s->worst; no++)
		if (s->seen[no] != 1)
			ck_abort_msg("request %lu: seen %u times", no,
			    s->seen[no]);
}

/* The request that has no record may be finished or lost. */
static void
check_silent(void *ctx)
{
	struct shared	*s = ctx;
	uint64_t	 was = s->worst;

	settle(s);
	ck_assert_uint_eq(s->worst, was + 2);
	ck_assert_uint_le(s->seen[was + 1], 1);
	ck_assert_uint_eq(s->seen[was + 2], 1);
}

START_TEST(killed_in_open)
{
	struct shared	*s = make(8);

	kill_each(prepare, op_open, check_each, s);
	shm_free(&s->shm);
}
END_TEST

START_TEST(killed_in_close)
{
	struct shared	*s = make(8);

	kill_each(prepare, op_close, check_each, s);
	ck_assert_uint_gt(s->logged, 2);
	shm_free(&s->shm);
}
END_TEST

START_TEST(killed_in_silent_close)
{
	struct shared	*s = make(8);

	kill_each(prepare, op_close_silently, check_silent, s);
	ck_assert_uint_gt(total(s, STAT_FINISHED), 2);
	shm_free(&s->shm);
}
END_TEST

/* A dozen requests at a time; the oldest ends, a new one begins. */
static void
loop(void *ctx)
{
	struct shared		*s = ctx;
	struct board_flight	*f[12] = { NULL };
	uint64_t		 no = s->worst + 1;

	enter(ctx);
	for (;; no++) {
		if (no > s->worst + 12)
			end_logged(f[no % 12], no - 12);
		f[no % 12] = begin(no);
		atomic_fetch_add(&s->turns, 1);
		while (ring_used(&board.ring) > RING_BYTES / 2)
			;
	}
}

START_TEST(killed_soon)
{
	struct shared	*s = make(8);

	for (int round = 0; round < 200; round++) {
		kill_soon(loop, s, &s->turns, 100);
		check_each(s);
		if (s->worst > REQS - 100000)
			break;
	}
	shm_free(&s->shm);
}
END_TEST

/* Sums read while rows are folded never go back and never tear. */
START_TEST(sums_while_folding)
{
	struct shared	*s = make(8);
	uint64_t	 v[STAT_N], was = 0;
	pid_t		 pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			enter(s);
			for (int i = 0; i < 100; i++)
				flight_close(begin(1));
			board_fold(s->shm, SLOT, on_lost, s);
			atomic_fetch_add(&s->turns, 1);
			leave();
		}
	}
	while (atomic_load(&s->turns) < 2000) {
		stat_sums(s->shm, v);
		if (v[STAT_STARTED] < was || v[STAT_FINISHED] > v[STAT_STARTED])
			ck_abort_msg("%lu after %lu, %lu finished",
			    v[STAT_STARTED], was, v[STAT_FINISHED]);
		was = v[STAT_STARTED];
	}
	kill_reap(pid);
	shm_free(&s->shm);
}
END_TEST

/* A master that died in the middle is not waited for for ever. */
START_TEST(sums_after_master)
{
	struct shared		*s = make(8);
	struct board_global	*g = shm_row(s->shm, &board_globals, 0);

	enter(s);
	stat_add(STAT_CONNS, 3);
	atomic_store(&g->fold_seq, 1);
	ck_assert_uint_eq(total(s, STAT_CONNS), 3);
	leave();
	shm_free(&s->shm);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("board");
	TCase	*c = tcase_create("board");

	tcase_set_timeout(c, 120);
	tcase_add_test(c, counters);
	tcase_add_test(c, grow);
	tcase_add_test(c, texts);
	tcase_add_test(c, flights);
	tcase_add_test(c, no_row_left);
	tcase_add_test_raise_signal(c, two_on_their_way_out, SIGABRT);
	tcase_add_test(c, lies);
	tcase_add_test(c, killed_in_open);
	tcase_add_test(c, killed_in_close);
	tcase_add_test(c, killed_in_silent_close);
	tcase_add_test(c, killed_soon);
	tcase_add_test(c, sums_while_folding);
	tcase_add_test(c, sums_after_master);
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
