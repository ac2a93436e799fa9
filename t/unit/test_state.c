/*
 * States of servers: each change moves the upstream's epoch once, and
 * health tells again only of what whoever changed it cannot have told.
 */
#include "up/state.h"

#include <check.h>

#include "up/slow_start.h"
#include "up/watch.h"
#include "up_env.h"

#define SLOW_MS	1000
#define LOOKS	4	/* of health: enough for what takes two */

static struct {
	struct ev		*ev;
	struct shm		*shm;
	struct upstream_conf	 uc;
	struct server_conf	 sc;
	struct up_env		 env;
	struct conf		 conf;
	struct watch		 watch;
	struct board_upstream	*up;
	struct board_server	*board;
	struct board_server_live *live;
	uint32_t		 row;
	uint64_t		 epoch;		/* as last asked for */
} f;

static void
find_rows(void)
{
	struct upstream_rows	r;
	int64_t			at, up;

	upstream_rows_open(&r, f.shm);
	at = upstream_rows_server(&r, STR("u"), f.sc.text);
	up = upstream_rows_find(&r, STR("u"));
	upstream_rows_close(&r);
	ck_assert(at >= 0 && up >= 0);
	f.row = (uint32_t)at;
	f.up = shm_row(f.shm, &board_upstreams, (uint32_t)up);
	f.board = shm_row(f.shm, &board_servers, f.row);
	f.live = shm_row(f.shm, &board_servers_live, f.row);
}

static void
setup(void)
{
	struct err	e;

	memset(&f, 0, sizeof(f));
	f.ev = ev_new(NULL, &e);
	f.shm = shm_new(shm_regions, &e);
	ck_assert_ptr_nonnull(f.shm);
	f.sc.text = STR("127.0.0.1:1");
	up_env_set(&f.env, &f.conf, &f.uc, &f.sc, 1, 1);
	ck_assert_msg(upstream_link_rows(f.shm, &f.conf, 1, &e) == 0, "%s",
	    e.text);
	upstream_settle_rows(f.shm, &f.conf);
	find_rows();
	watch_init(&f.watch, f.ev, f.shm, &f.conf);
	f.epoch = f.up->epoch;
}

static void
teardown(void)
{
	watch_fini(&f.watch);
	ev_free(&f.ev);
	shm_free(&f.shm);
}

static bool
is_told(void)
{
	return f.live->told == state_digest(f.board, f.live);
}

/* How often workers were sent to look again since this was asked last. */
static unsigned
moves(void)
{
	uint64_t	was = f.epoch;

	f.epoch = f.up->epoch;
	return (unsigned)(f.epoch - was);
}

static bool
set(enum server_state s, bool on)
{
	return state_change(f.shm, f.row, f.board->tag, s, on, FAIL_NONE);
}

static void
looks(unsigned n)
{
	for (n += f.watch.ticks; f.watch.ticks < n;)
		ev_turn(f.ev, 1000);
}

#define ck_moves(n) do {						\
	ck_assert_uint_eq(moves(), (n));				\
	ck_assert(is_told());						\
} while (0)

/* Whoever changes a word tells of it; once, and health adds nothing. */
START_TEST(test_once)
{
	ck_moves(0);
	ck_assert(set(SERVER_DRAIN, true));
	ck_moves(1);
	ck_assert(!set(SERVER_DRAIN, true));
	ck_moves(0);
	/* weaker and stronger ones */
	ck_assert(set(SERVER_OPEN, true));
	ck_moves(1);
	ck_assert(set(SERVER_MAINTENANCE, true));
	ck_moves(1);
	ck_assert(set(SERVER_OPEN, false));
	ck_moves(1);
	state_set_weight(f.shm, f.row, 1 + 7);
	ck_moves(1);
	state_set_weight(f.shm, f.row, 1 + 7);
	ck_moves(0);
	looks(LOOKS);
	ck_moves(0);
	ck_assert(set(SERVER_MAINTENANCE, false));
	state_set_weight(f.shm, f.row, 0);
	ck_assert(set(SERVER_DRAIN, false));
	ck_moves(3);
	looks(LOOKS);
	ck_moves(0);
}
END_TEST

static void
come_back(enum server_state s)
{
	slow_start_begin(f.shm, f.row, f.board->tag, SLOW_MS);
	ck_assert(set(s, false));
	ck_assert_int_eq(state_of(f.live->state), SERVER_SLOW);
	ck_assert_uint_eq(f.live->ramp, RAMP_FIRST);
}

/* A return with slow start is one change, also out of a slow start. */
START_TEST(test_slow)
{
	uint64_t	begun = 0, now = 50000;

	ck_assert(set(SERVER_DOWN, true));
	ck_moves(1);
	come_back(SERVER_DOWN);
	ck_moves(1);
	slow_start_go(f.shm, f.row, f.board->tag, SLOW_MS, now, &begun);
	ck_moves(0);
	begun = now;
	slow_start_go(f.shm, f.row, f.board->tag, SLOW_MS, now + 500,
	    &begun);
	ck_assert_uint_eq(f.live->ramp, 500);
	ck_moves(1);
	ck_assert(set(SERVER_EJECTED, true));
	ck_moves(1);
	come_back(SERVER_EJECTED);
	ck_moves(1);
	begun = now;
	slow_start_go(f.shm, f.row, f.board->tag, SLOW_MS, now + SLOW_MS,
	    &begun);
	ck_assert_int_eq(state_of(f.live->state), SERVER_UP);
	ck_moves(1);
	/* new, and nothing held it back */
	slow_start_begin(f.shm, f.row, f.board->tag, SLOW_MS);
	ck_moves(1);
}
END_TEST

/* The word of one that died before it told of it. */
static void
die_after(uint64_t word)
{
	atomic_store(&f.live->state, word);
	ck_assert(!is_told());
}

START_TEST(test_died)
{
	die_after(STATE_BIT(SERVER_DRAIN) | 12345);
	looks(LOOKS);
	ck_moves(1);
	/* told in part: those that wait there are called off by a letter */
	die_after(STATE_BIT(SERVER_MAINTENANCE) | 12346);
	state_touch(f.shm, f.row);
	moves();
	looks(LOOKS);
	ck_moves(1);
	looks(LOOKS);
	ck_moves(0);
}
END_TEST

/* What comes on top tells nothing of what was there before. */
START_TEST(test_died_before)
{
	die_after(STATE_BIT(SERVER_MAINTENANCE) | 12345);
	ck_assert(set(SERVER_DRAIN, true));
	state_set_weight(f.shm, f.row, 1 + 7);
	ck_assert_uint_eq(moves(), 2);
	ck_assert(!is_told());
	looks(LOOKS);
	ck_moves(1);
}
END_TEST

/* Between word and telling health looks once, and lets the other tell. */
START_TEST(test_about_to_tell)
{
	die_after(STATE_BIT(SERVER_DRAIN) | 12345);
	looks(1);
	ck_assert_uint_eq(moves(), 0);
	state_repeat(f.shm, f.row);
	ck_moves(1);
	looks(LOOKS);
	ck_moves(0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("state");
	TCase	*tc = tcase_create("state");
	SRunner	*sr;
	int	 failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_once);
	tcase_add_test(tc, test_slow);
	tcase_add_test(tc, test_died);
	tcase_add_test(tc, test_died_before);
	tcase_add_test(tc, test_about_to_tell);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
