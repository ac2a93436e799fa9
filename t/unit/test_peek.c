/*
 * cli/peek: the board as sluicectl reads it, from read-only descriptors,
 * whatever stands in it.
 */
#include "cli/peek.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/board.h"

static const struct shm_region *const table[] = {
	&board_slots, &board_panics, &board_stats, &board_totals,
	&board_globals, &board_rings, &board_flights, &board_lasts,
	NULL
};

static struct shm	*shm;
static int		 fds[2];
static json_t		*hello;

static void
setup(void)
{
	struct err	e;

	shm = shm_new(table, &e);
	ck_assert(shm != NULL && board_grow(shm, 8, &e) == 0);
	fds[0] = shm_ro_fd(shm, SHM_DIR, &e);
	fds[1] = shm_ro_fd(shm, SHM_LIVE, &e);
	ck_assert(fds[0] != -1 && fds[1] != -1);
	hello = json_loads("{\"roles\":[\"master\",\"worker\",5],"
	    "\"states\":[\"free\",\"starting\",\"serving\"]}", 0, NULL);
	ck_assert_ptr_nonnull(hello);
}

static void
teardown(void)
{
	json_decref(hello);
	close(fds[0]);
	close(fds[1]);
	shm_free(&shm);
}

static struct board_slot *
slot(uint32_t i, uint32_t role)
{
	struct board_slot	*s = shm_row(shm, &board_slots, i);

	s->state = SLOT_SERVING;
	s->role = role;
	s->pid = 100 + i;
	return s;
}

static const char *
word(const json_t *all, size_t i, const char *name)
{
	const json_t	*v = json_object_get(json_array_get(all, i), name);

	ck_assert(json_is_string(v));
	return json_string_value(v);
}

START_TEST(slots_by_name)
{
	struct board_global	*g = shm_row(shm, &board_globals, 0);
	struct err		 e;
	json_t			*j, *all;

	slot(0, 0);
	slot(3, 1)->index = 3;
	slot(4, 2);
	slot(5, 3)->state = 77;
	g->generation = 9;
	j = peek_board(fds, hello, false, &e);
	ck_assert_msg(j != NULL, "%s", e.text);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(
	    j, "global"), "generation")), 9);
	all = json_object_get(j, "slots");
	ck_assert_uint_eq(json_array_size(all), 4);
	ck_assert_str_eq(word(all, 0, "name"), "master");
	ck_assert_str_eq(word(all, 1, "name"), "worker 3");
	ck_assert_str_eq(word(all, 1, "state"), "serving");
	ck_assert_str_eq(word(all, 2, "name"), "role 2");
	ck_assert_str_eq(word(all, 3, "name"), "role 3");
	ck_assert_str_eq(word(all, 3, "state"), "state 77");
	ck_assert_ptr_null(json_object_get(j, "stats"));
	json_decref(j);
}
END_TEST

START_TEST(every_counter)
{
	struct board_stat	*s = shm_row(shm, &board_stats, 3);
	struct err		 e;
	json_t			*j, *all, *r;
	size_t			 i, found = 0;

	slot(3, 1);
	s->v[STAT_FINISHED] = 5;
	s->v[STAT_CONNS] = (uint64_t)-1;
	j = peek_board(fds, hello, true, &e);
	ck_assert_msg(j != NULL, "%s", e.text);
	all = json_object_get(j, "stats");
	/* one per counter and process, and those that are gone */
	ck_assert_uint_eq(json_array_size(all), 2 * STAT_N);
	for (i = 0; i < json_array_size(all); i++) {
		r = json_object_get(json_array_get(all, i), "value");
		ck_assert(json_integer_value(r) == 0 ||
		    json_integer_value(r) == 5);
		found += json_integer_value(r) == 5;
	}
	ck_assert_uint_eq(found, 1);
	ck_assert_uint_gt(json_array_size(json_object_get(j, "regions")), 0);
	json_decref(j);
}
END_TEST

START_TEST(gone_wild)
{
	struct err	e;
	json_t		*j;

	for (uint32_t i = 0; i < 8; i++) {
		memset(shm_row(shm, &board_slots, i), 0xff,
		    sizeof(struct board_slot));
		memset(shm_row(shm, &board_stats, i), 0xff,
		    sizeof(struct board_stat));
	}
	j = peek_board(fds, hello, true, &e);
	ck_assert_ptr_nonnull(j);
	json_decref(j);
	j = peek_board(fds, NULL, true, &e);
	ck_assert_ptr_nonnull(j);
	json_decref(j);
}
END_TEST

START_TEST(not_our_board)
{
	int		null = open("/dev/null", O_RDONLY);
	int		bad[2] = { fds[1], fds[0] };
	struct err	e;

	/* the two in the wrong order: regions are not found */
	ck_assert_ptr_null(peek_board(bad, hello, false, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "not of this version"));
	bad[0] = null;
	ck_assert_ptr_null(peek_board(bad, hello, false, &e));
	bad[0] = fds[0];
	bad[1] = null;
	ck_assert_ptr_null(peek_board(bad, hello, false, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "no segment"));
	close(null);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("peek");
	TCase	*t = tcase_create("peek");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, slots_by_name);
	tcase_add_test(t, every_counter);
	tcase_add_test(t, gone_wild);
	tcase_add_test(t, not_our_board);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
