/*
 * What processes have of a server: buckets, sums, folding; and when each
 * failure was seen last.
 */
#include <check.h>
#include <stdlib.h>

#include "core/board.h"
#include "os/proc.h"
#include "up/server_use.h"
#include "up/upstream.h"
#include "up/use_sweep.h"

static const struct shm_region *const regions[] = {
	&board_slots, &board_panics, &board_stats, &board_totals,
	&board_globals, &board_rings, &board_flights, &board_lasts,
	&board_servers, &board_servers_live, &board_server_uses, NULL
};

static struct shm	*shm;
static struct proc	 proc;
static struct board	 board;

/* This process is that of a slot from now on. */
static void
become(unsigned slot)
{
	board_leave(&board);
	proc.slot = slot;
	board_enter(&board, shm, slot, RING_BYTES);
	proc.board = &board;
	self = &proc;
}

static void
setup(void)
{
	struct err	e;

	shm = shm_new(regions, &e);
	ck_assert_ptr_nonnull(shm);
	ck_assert_int_eq(board_grow(shm, 4, &e), 0);
	ck_assert_int_eq(shm_grow(shm, &board_servers, 64, &e), 0);
	ck_assert_int_eq(shm_grow(shm, &board_servers_live, 64, &e), 0);
	ck_assert_int_eq(use_grow(shm, 64, &e), 0);
	for (uint32_t i = 0; i < 64; i++)
		((struct board_server *)shm_row(shm, &board_servers,
		    i))->last = 1;
	board = (struct board){ .nfree = 0 };
	become(1);
}

static void
teardown(void)
{
	board_leave(&board);
	self = NULL;
	shm_free(&shm);
}

/* A server whose row has this tag, counted by this process. */
static void
make(struct server *s, uint32_t i, uint64_t tag)
{
	struct board_server	*row = shm_row(shm, &board_servers, i);

	row->tag = tag;
	*s = (struct server){ .board = row, .tag = tag };
	use_bind(s, shm, i);
	ck_assert_ptr_nonnull(s->use);
}

static struct use_sum
sum_of(uint32_t i, uint64_t tag)
{
	struct use_sum	sum = { .open = 0 };

	for (unsigned slot = 0; slot < 4; slot++)
		use_add(&sum, use_row(shm, i, slot), tag);
	return sum;
}

START_TEST(buckets)
{
	unsigned	b, before = 0;

	ck_assert_uint_eq(use_bucket(0), 0);
	ck_assert_uint_eq(use_bucket(USE_FIRST_US - 1), 0);
	ck_assert_uint_eq(use_bucket(USE_FIRST_US), 1);
	ck_assert_uint_eq(use_bucket(UINT64_MAX), USE_BUCKETS - 1);
	for (uint64_t us = 0; us < 100000000; us += us / 100 + 1) {
		b = use_bucket(us);
		ck_assert_uint_ge(b, before);
		ck_assert_uint_lt(us, use_bucket_end(b));
		if (b > 0)
			ck_assert_uint_ge(us, use_bucket_end(b - 1));
		before = b;
	}
}
END_TEST

START_TEST(rows_are_apart)
{
	/* neighbours of a block, of the next one, and of other slots */
	for (uint32_t i = 0; i < 64; i++)
		for (unsigned slot = 0; slot < 4; slot++)
			use_row(shm, i, slot)->tag = i * 4 + slot + 1;
	for (uint32_t i = 0; i < 64; i++)
		for (unsigned slot = 0; slot < 4; slot++)
			ck_assert_uint_eq(use_row(shm, i, slot)->tag,
			    i * 4 + slot + 1);
	ck_assert_ptr_null(use_row(shm, 64 * USE_BLOCK, 0));
	ck_assert_ptr_null(use_row(shm, 0, SLOT_MAX));
}
END_TEST

START_TEST(counts)
{
	struct server	s, t;
	struct use_sum	sum;

	make(&s, 3, 7);
	use_open(&s, 1);
	use_open(&s, 1);
	use_open(&s, -1);
	use_idle(&s, 1);
	use_active(&s, 1);
	for (unsigned i = 0; i < 90; i++)
		use_time(&s, 1000);
	for (unsigned i = 0; i < 10; i++)
		use_time(&s, 50000);
	sum = sum_of(3, 7);
	ck_assert_uint_eq(sum.open, 1);
	ck_assert_uint_eq(sum.idle, 1);
	ck_assert_uint_eq(sum.active, 1);
	ck_assert_uint_eq(sum.count, 100);
	ck_assert_uint_eq(sum.sum_us, 590000);
	ck_assert_uint_ge(use_quantile(&sum, 500), 512);
	ck_assert_uint_le(use_quantile(&sum, 500), 1024);
	ck_assert_uint_ge(use_quantile(&sum, 990), 32768);
	ck_assert_uint_le(use_quantile(&sum, 990), 65536);
	ck_assert_uint_gt(sum.mean_us, 1000);
	ck_assert_uint_lt(sum.mean_us, 50000);
	/* another server has nothing of it */
	make(&t, 4, 8);
	ck_assert_uint_eq(sum_of(4, 8).count, 0);
	ck_assert_uint_eq(use_quantile(&(struct use_sum){ .open = 0 }, 500),
	    0);
}
END_TEST

START_TEST(another_life)
{
	struct server	old, new;

	make(&old, 0, 1);
	use_open(&old, 1);
	make(&new, 0, 2);
	ck_assert_uint_eq(sum_of(0, 2).open, 0);
	use_open(&new, 1);
	/* the earlier life's connection ends: nobody counted it */
	use_open(&old, -1);
	use_time(&old, 5);
	ck_assert_uint_eq(sum_of(0, 2).open, 1);
	ck_assert_uint_eq(sum_of(0, 2).count, 0);
	ck_assert_uint_eq(sum_of(0, 1).open, 0);
}
END_TEST

START_TEST(twins_share)
{
	struct server	a, b;

	make(&a, 0, 1);
	use_open(&a, 1);
	make(&b, 0, 1);
	use_open(&b, 1);
	ck_assert_uint_eq(sum_of(0, 1).open, 2);
}
END_TEST

START_TEST(fold)
{
	struct server	one, two, gone;
	struct use_sum	sum;

	make(&one, 5, 9);
	make(&gone, 6, 1);
	use_time(&gone, 100);
	use_open(&one, 1);
	use_active(&one, 1);
	use_time(&one, 100);
	become(2);
	make(&two, 5, 9);
	use_open(&two, 1);
	use_time(&two, 200);
	ck_assert(use_has(shm, 2) && !use_has(shm, 0) && !use_has(shm, 3));
	ck_assert(!use_has(shm, 4000));
	/* its server's row has another life by now */
	((struct board_server *)shm_row(shm, &board_servers, 6))->tag = 2;
	use_fold(shm, 1);
	ck_assert(use_has(shm, 0));
	sum = sum_of(5, 9);
	ck_assert_uint_eq(sum.open, 1);
	ck_assert_uint_eq(sum.active, 0);
	ck_assert_uint_eq(sum.count, 2);
	ck_assert_uint_eq(sum.sum_us, 300);
	ck_assert_uint_eq(use_row(shm, 5, 1)->tag, 0);
	ck_assert_uint_eq(sum_of(6, 1).count, 0);
	ck_assert_uint_eq(sum_of(6, 2).count, 0);
	/* twice is once; a slot that counted nothing is none */
	use_fold(shm, 1);
	use_fold(shm, 3);
	use_fold(shm, 0);
	ck_assert_uint_eq(sum_of(5, 9).count, 2);
	use_fold(shm, 2);
	ck_assert_uint_eq(sum_of(5, 9).open, 0);
	ck_assert_uint_eq(sum_of(5, 9).count, 2);
}
END_TEST

static uint64_t
under_way(uint32_t i)
{
	const struct board_server_live	*l;

	l = shm_row(shm, &board_servers_live, i);
	return l->load & LOAD_ACTIVE;
}

/* The word of a server, and what this process says of it. */
static void
set_load(struct server *s, uint32_t i, unsigned word, unsigned own)
{
	struct board_server_live	*l;

	l = shm_row(shm, &board_servers_live, i);
	l->tag = s->tag;
	l->load = 1000ULL << LOAD_SHIFT | word;
	s->use->active = own;
}

/* Three looks in a row, the least of them is taken off. */
START_TEST(sweep)
{
	struct board_slot	*slot = shm_row(shm, &board_slots, 1);
	struct use_looks	 looks = { NULL, 0 };
	struct server		 a, b;

	slot->state = SLOT_SERVING;
	make(&a, 0, 7);
	make(&b, 1, 8);
	set_load(&a, 0, 5, 2);
	set_load(&b, 1, 1, 2);
	ck_assert_uint_eq(use_sweep(&looks, shm), 0);
	set_load(&a, 0, 6, 4);
	ck_assert_uint_eq(use_sweep(&looks, shm), 0);
	ck_assert_uint_eq(under_way(0), 6);
	set_load(&a, 0, 7, 3);
	ck_assert_uint_eq(use_sweep(&looks, shm), 1);
	/* attempts that were made are still counted */
	ck_assert_uint_eq(under_way(0), 5);
	ck_assert_uint_eq(((struct board_server_live *)shm_row(shm,
	    &board_servers_live, 0))->load >> LOAD_SHIFT, 1000);
	/* one that is too low is left alone: its time comes */
	ck_assert_uint_eq(under_way(1), 1);
	use_sweep_fini(&looks);
}
END_TEST

/* A look that finds all in order, or another life, begins anew. */
START_TEST(sweep_anew)
{
	struct board_slot	*slot = shm_row(shm, &board_slots, 1);
	struct use_looks	 looks = { NULL, 0 };
	struct server		 a;

	slot->state = SLOT_SERVING;
	make(&a, 0, 7);
	for (unsigned i = 0; i < 9; i++) {
		set_load(&a, 0, 1, i % 3 == 2);
		ck_assert_uint_eq(use_sweep(&looks, shm), 0);
	}
	for (unsigned i = 0; i < 6; i++) {
		make(&a, 0, 7 + i / 2);
		set_load(&a, 0, 1, 0);
		ck_assert_uint_eq(use_sweep(&looks, shm), 0);
	}
	/* a slot that nobody has says nothing, whatever is in its row */
	make(&a, 0, 20);
	set_load(&a, 0, 1, 1);
	slot->state = SLOT_FREE;
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(use_sweep(&looks, shm), i == 2);
	ck_assert_uint_eq(under_way(0), 0);
	use_sweep_fini(&looks);
}
END_TEST

/* A gauge may never be shown as a number beyond all bounds. */
START_TEST(below_zero)
{
	struct server	s;

	make(&s, 0, 1);
	use_open(&s, -1);
	ck_assert_uint_eq(sum_of(0, 1).open, 0);
}
END_TEST

START_TEST(without_board)
{
	struct server	s = { .tag = 1 };

	self = NULL;
	use_bind(&s, shm, 0);
	ck_assert_ptr_null(s.use);
	use_open(&s, 1);
	use_time(&s, 1);
	last_note(FAIL_NO_ROUTE, &(struct last_who){ .id = STR_INIT("a") },
	    1);
	self = &proc;
}
END_TEST

START_TEST(last)
{
	struct last_who		who = { STR_INIT("id-1"), STR_INIT("app"),
	    STR_INIT("10.0.0.1:80"), STR_INIT("192.0.2.1") };
	struct last_seen	seen;

	ck_assert(!last_find(shm, FAIL_NO_ROUTE, &seen));
	last_note(FAIL_NO_ROUTE, &who, 1000);
	ck_assert(!last_find(shm, FAIL_NOT_FOUND, &seen));
	ck_assert(last_find(shm, FAIL_NO_ROUTE, &seen));
	ck_assert_uint_eq(seen.ms, 1000);
	ck_assert(str_eq(seen.who.id, STR("id-1")));
	ck_assert(str_eq(seen.who.upstream, STR("app")));
	ck_assert(str_eq(seen.who.server, STR("10.0.0.1:80")));
	ck_assert(str_eq(seen.who.client, STR("192.0.2.1")));
	/* of two processes the later one */
	become(2);
	who.id = STR("id-2");
	last_note(FAIL_NO_ROUTE, &who, 2000);
	become(1);
	ck_assert(last_find(shm, FAIL_NO_ROUTE, &seen));
	ck_assert(str_eq(seen.who.id, STR("id-2")));
	who = (struct last_who){ .id = STR_INIT("") };
	last_note(FAIL_NO_ROUTE, &who, 3000);
	ck_assert(last_find(shm, FAIL_NO_ROUTE, &seen));
	ck_assert_uint_eq(seen.who.id.n + seen.who.server.n, 0);
}
END_TEST

START_TEST(last_is_cut)
{
	char			 long_text[4096];
	struct last_who		 who;
	struct last_seen	 seen;

	memset(long_text, 'x', sizeof(long_text));
	who.id = who.upstream = who.server = str_make(long_text,
	    sizeof(long_text));
	last_note(FAIL_INTERNAL, &who, 1);
	ck_assert(last_find(shm, FAIL_INTERNAL, &seen));
	ck_assert_uint_eq(seen.who.id.n, 64);
	ck_assert_uint_eq(seen.who.upstream.n, 63);
	ck_assert_uint_eq(seen.who.server.n, LAST_TEXT - 64 - 63);
}
END_TEST

/* Who died while it wrote, or went wild, is passed over. */
START_TEST(last_of_the_dead)
{
	struct last_who		 who = { .id = STR_INIT("id") };
	struct last_seen	 seen;
	struct board_last	*b = shm_row(shm, &board_lasts, 1);

	last_note(FAIL_INTERNAL, &who, 5);
	b->row[FAIL_INTERNAL].seq++;
	ck_assert(!last_find(shm, FAIL_INTERNAL, &seen));
	/* the slot's next process makes it good */
	last_note(FAIL_INTERNAL, &who, 6);
	ck_assert(last_find(shm, FAIL_INTERNAL, &seen));
	ck_assert_uint_eq(seen.ms, 6);
	b->row[FAIL_INTERNAL].id_n = 255;
	ck_assert(!last_find(shm, FAIL_INTERNAL, &seen));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("server_use");
	TCase	*tc = tcase_create("use");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, buckets);
	tcase_add_test(tc, rows_are_apart);
	tcase_add_test(tc, counts);
	tcase_add_test(tc, another_life);
	tcase_add_test(tc, twins_share);
	tcase_add_test(tc, fold);
	tcase_add_test(tc, sweep);
	tcase_add_test(tc, sweep_anew);
	tcase_add_test(tc, below_zero);
	tcase_add_test(tc, without_board);
	tcase_add_test(tc, last);
	tcase_add_test(tc, last_is_cut);
	tcase_add_test(tc, last_of_the_dead);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
