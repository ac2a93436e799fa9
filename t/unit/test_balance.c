/*
 * Balancers over views of the test: who is chosen, how often, and who is
 * passed over.
 */
#include "up/upstream.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "up/hash.h"

#define NMAX	130

/* an upstream with servers, as two workers have it */
static struct {
	struct board_upstream	  board;
	struct board_server	  rows[NMAX];
	struct board_server_live  lives[NMAX];
	struct server		  s[NMAX];
	struct server		 *v[NMAX];
	uint32_t		  weight[NMAX];
	struct upstream		  a, b;		/* twins */
	struct serve		  serve;
} f;

static void
look_anew(const struct balancer *by, size_t n)
{
	struct upstream	*twins[] = { &f.a, &f.b };

	for (size_t i = 0; i < 2; i++) {
		free(twins[i]->view.plan);
		twins[i]->serve = &f.serve;
		twins[i]->servers = f.v;
		twins[i]->nserver = n;
		twins[i]->live = &f.board;
		twins[i]->balance = by;
		twins[i]->view = (struct view){ .v = f.v, .n = n,
			.weight = f.weight, .rule = { STATE_AWAY, VIEW_MAIN,
			false, false } };
		if (by->plan != NULL)
			twins[i]->view.plan = n == 0 ? NULL :
			    by->plan(twins[i], NULL);
	}
}

/* Servers with tags from 1 on. */
static void
setup(const struct balancer *by, size_t n, const uint32_t *weight)
{
	memset(&f, 0, sizeof(f));
	rand_seed(&f.serve.rand);
	for (size_t i = 0; i < n; i++) {
		f.s[i].tag = i + 1;
		f.s[i].row = (uint32_t)i;
		f.s[i].board = &f.rows[i];
		f.s[i].live = &f.lives[i];
		f.v[i] = &f.s[i];
		f.weight[i] = weight == NULL ? 1 : weight[i];
		f.rows[i].weight = f.weight[i];
	}
	look_anew(by, n);
}

static void
teardown(void)
{
	free(f.a.view.plan);
	free(f.b.view.plan);
}

/* The number of the server that is chosen for a key; -1: none. */
static int
choose_for(struct upstream *up, const struct tried *tried, uint64_t key)
{
	const struct pick	 p = { .tried = tried, .hash = key };
	const struct server	*s = up->balance->pick(up, &p);

	return s == NULL ? -1 : (int)s->row;
}

static int
choose(struct upstream *up, const struct tried *tried)
{
	return choose_for(up, tried, 0);
}

START_TEST(test_turns)
{
	uint64_t	tags[3] = { 1, 2, 3 };
	struct tried	none = { .n = 0 };
	struct tried	first = { tags, 1, 3 };
	struct tried	all = { tags, 3, 3 };

	setup(&balancer_round_robin, 3, NULL);
	for (int i = 0; i < 9; i++)
		ck_assert_int_eq(choose(i % 2 == 0 ? &f.a : &f.b, &none),
		    i % 3);
	/*
	 * The turn of the one that was asked falls to its neighbour, whose
	 * own it leaves where it is.
	 */
	ck_assert_int_eq(choose(&f.a, &first), 1);
	ck_assert_int_eq(choose(&f.a, &first), 1);
	ck_assert_int_eq(choose(&f.a, &none), 0);
	ck_assert_int_eq(choose(&f.a, &first), 1);
	ck_assert_int_eq(choose(&f.a, &none), 1);
	ck_assert_int_eq(choose(&f.a, &first), 2);
	ck_assert_int_eq(choose(&f.a, &all), -1);
	teardown();
}
END_TEST

START_TEST(test_turns_by_weight)
{
	static const uint32_t	weights[][4] = {
		{ 5, 3, 1 }, { 50, 30, 10 }, { 2, 1, 1 }, { 1000, 1, 1 }
	};
	static const char	*const turns[] = {
		"010012010", "010012010", "0120", NULL
	};
	const char		*want = turns[_i];
	struct tried		 none = { .n = 0 };
	unsigned		 got[3] = { 0 };

	setup(&balancer_round_robin, 3, weights[_i]);
	for (size_t i = 0; want != NULL && i < 3 * strlen(want); i++)
		ck_assert_int_eq(choose(i % 2 == 0 ? &f.a : &f.b, &none),
		    want[i % strlen(want)] - '0');
	for (size_t i = 0; want == NULL && i < 10020; i++)
		got[choose(&f.a, &none)]++;
	if (want == NULL) {
		ck_assert_uint_eq(got[0], 10000);
		ck_assert_uint_eq(got[1], 10);
		ck_assert_uint_eq(got[2], 10);
	}
	teardown();
}
END_TEST

/* A round of 6,300,000 turns is made of 4,096. */
START_TEST(test_turns_long)
{
	static const uint32_t	weight[3] = { 6299900, 99, 1 };
	struct tried		none = { .n = 0 };
	unsigned		got[3] = { 0 };

	setup(&balancer_round_robin, 3, weight);
	for (size_t i = 0; i < 4098; i++)
		got[choose(&f.a, &none)]++;
	ck_assert_uint_eq(got[0], 4096);
	ck_assert_uint_eq(got[1], 1);
	ck_assert_uint_eq(got[2], 1);
	teardown();
}
END_TEST

/* A state that came after the view was made counts at once. */
START_TEST(test_states)
{
	struct tried	none = { .n = 0 };

	setup(&balancer_round_robin, 3, NULL);
	f.lives[1].state = STATE_BIT(SERVER_DOWN);
	for (int i = 0; i < 9; i++)
		ck_assert_int_ne(choose(&f.a, &none), 1);
	f.lives[1].state = STATE_BIT(SERVER_SLOW);
	ck_assert_int_eq(choose(&f.a, &none), 0);
	ck_assert_int_eq(choose(&f.a, &none), 1);
	teardown();
}
END_TEST

START_TEST(test_turns_wide)
{
	struct tried	tried = { .n = 0 };
	struct arena	arena;

	arena_init(&arena, NULL);
	setup(&balancer_round_robin, NMAX, NULL);
	for (unsigned i = 0; i < NMAX - 1; i++)
		tried_add(&tried, &arena, &f.s[i]);
	ck_assert_int_eq(choose(&f.a, &tried), NMAX - 1);
	arena_fini(&arena);
	teardown();
}
END_TEST

static const struct balancer	*const by_chance[] = {
	&balancer_random, &balancer_two_choices, &balancer_least_conn
};

/*
 * Idle servers get their shares: of 90,000 draws each is off by no more
 * than six standard deviations.
 */
START_TEST(test_chance_by_weight)
{
	static const uint32_t	 weights[][3] = {
		{ 5, 3, 1 }, { 3, 3, 3 }, { 1000, 1, 500 }
	};
	const uint32_t		*w = weights[_i / 3];
	struct tried		 none = { .n = 0 };
	unsigned		 got[3] = { 0 };
	double			 share, n = 90000;

	setup(by_chance[_i % 3], 3, w);
	for (unsigned i = 0; i < (unsigned)n; i++)
		got[choose(&f.a, &none)]++;
	for (size_t i = 0; i < 3; i++) {
		share = (double)w[i] / (w[0] + w[1] + w[2]);
		ck_assert_double_lt((got[i] - n * share) *
		    (got[i] - n * share), 36 * n * share * (1 - share) + 1);
	}
	teardown();
}
END_TEST

/* Whoever is drawn, a server that may not be asked never is. */
START_TEST(test_chance_states)
{
	uint64_t	tag = 3;
	struct tried	none = { .n = 0 }, third = { &tag, 1, 1 };
	bool		seen[NMAX] = { false };

	setup(by_chance[_i], NMAX, NULL);
	/* all but three, one of them asked already */
	for (size_t i = 3; i < NMAX; i++)
		f.lives[i].state = STATE_BIT(SERVER_EJECTED);
	for (int i = 0; i < 1000; i++)
		seen[choose(&f.a, &third)] = true;
	for (size_t i = 0; i < NMAX; i++)
		ck_assert(seen[i] == (i < 2));
	f.lives[0].state = f.lives[1].state = STATE_BIT(SERVER_DOWN);
	ck_assert_int_eq(choose(&f.a, &third), -1);
	ck_assert_int_eq(choose(&f.a, &none), 2);
	teardown();
}
END_TEST

/* Attempts under way over all workers, for what a server weighs. */
START_TEST(test_least_conn)
{
	static const uint32_t	weight[4] = { 4, 1, 2, 1 };
	struct tried		none = { .n = 0 };
	bool			seen[4] = { false };

	setup(&balancer_least_conn, 4, weight);
	f.lives[0].load = 9ULL << LOAD_SHIFT | 8;
	f.lives[1].load = 2;
	f.lives[2].load = 5;
	f.lives[3].load = 1;
	ck_assert_int_eq(choose(&f.a, &none), 3);
	f.lives[3].load = 3;
	for (int i = 0; i < 200; i++)
		seen[choose(&f.b, &none)] = true;
	ck_assert(seen[0] && seen[1] && !seen[2] && !seen[3]);
	teardown();
}
END_TEST

/* The busiest is never taken, for it is never the better one of two. */
START_TEST(test_two_choices)
{
	struct tried	none = { .n = 0 };

	setup(&balancer_two_choices, 5, NULL);
	for (size_t i = 0; i < 5; i++)
		f.lives[i].load = 3;
	f.lives[2].load = 4;
	for (int i = 0; i < 1000; i++)
		ck_assert_int_ne(choose(&f.a, &none), 2);
	teardown();
}
END_TEST

/* Held requests are spread far better than by mere chance. */
START_TEST(test_two_choices_spread)
{
	struct tried	none = { .n = 0 };
	uint64_t	most = 0;

	setup(&balancer_two_choices, 100, NULL);
	for (int i = 0; i < 1000; i++)
		f.lives[choose(&f.a, &none)].load++;
	for (size_t i = 0; i < 100; i++)
		most = f.lives[i].load > most ? f.lives[i].load : most;
	/* ten on average; by chance the most is about 20 */
	ck_assert_uint_le(most, 14);
	teardown();
}
END_TEST

/* --- hash --- */

#define NKEY	10000

/* A key of the test as the handler makes it. */
static uint64_t
key_of(unsigned i)
{
	char	buf[16];
	int	n = snprintf(buf, sizeof(buf), "client %u", i);

	return hash_key(str_make(buf, (size_t)n));
}

/* Servers with addresses and no bound. */
static void
setup_hash(size_t n, const uint32_t *weight)
{
	static char	text[NMAX][32];

	setup(&balancer_random, 0, NULL);
	for (size_t i = 0; i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "10.0.0.%zu:80", i);
		f.s[i].tag = i + 1;
		f.s[i].text = str_from(text[i]);
		f.s[i].row = (uint32_t)i;
		f.s[i].board = &f.rows[i];
		f.s[i].live = &f.lives[i];
		f.lives[i].tag = i + 1;
		f.v[i] = &f.s[i];
		f.weight[i] = 10 * (weight == NULL ? 1 : weight[i]);
		f.rows[i].weight = f.weight[i] / 10;
	}
	look_anew(&balancer_hash, n);
}

/* Where all keys go. */
static void
map_keys(int to[NKEY])
{
	struct tried	none = { .n = 0 };

	for (unsigned i = 0; i < NKEY; i++)
		to[i] = choose_for(i % 2 == 0 ? &f.a : &f.b, &none,
		    key_of(i));
}

START_TEST(test_hash_shares)
{
	static const uint32_t	weight[3] = { 5, 3, 1 };
	int			to[NKEY], again[NKEY];
	unsigned		got[3] = { 0 };

	setup_hash(3, weight);
	map_keys(to);
	map_keys(again);
	for (unsigned i = 0; i < NKEY; i++)
		got[to[i]]++;
	ck_assert(memcmp(to, again, sizeof(to)) == 0);
	/* keys are chance, but always the same */
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_gt(got[i] * 9, NKEY * weight[i] * 95 / 100);
		ck_assert_uint_lt(got[i] * 9, NKEY * weight[i] * 105 / 100);
	}
	teardown();
}
END_TEST

/* Of ten one goes for ever: at most 1/10 + 2 % of the keys move. */
START_TEST(test_hash_removal)
{
	int		was[NKEY], is[NKEY];
	unsigned	moved = 0, own = 0;

	setup_hash(10, NULL);
	map_keys(was);
	f.v[_i] = f.v[9];
	look_anew(&balancer_hash, 9);
	map_keys(is);
	for (unsigned i = 0; i < NKEY; i++) {
		own += was[i] == _i;
		moved += was[i] != is[i];
		ck_assert(is[i] != _i);
	}
	ck_assert_uint_ge(moved, own);
	ck_assert_uint_le(moved, NKEY * 12 / 100);
	teardown();
}
END_TEST

/* One is away for a while: its keys alone move, to all others, and back. */
START_TEST(test_hash_state)
{
	int		was[NKEY], is[NKEY];
	unsigned	got[10] = { 0 };

	setup_hash(10, NULL);
	map_keys(was);
	f.lives[4].state = STATE_BIT(SERVER_DOWN);
	map_keys(is);
	for (unsigned i = 0; i < NKEY; i++) {
		ck_assert(was[i] == 4 ? is[i] != 4 : is[i] == was[i]);
		if (was[i] == 4)
			got[is[i]]++;
	}
	for (size_t i = 0; i < 10; i++)
		ck_assert(i == 4 ? got[i] == 0 : got[i] > 50);
	f.lives[4].state = 0;
	map_keys(is);
	ck_assert(memcmp(was, is, sizeof(was)) == 0);
	teardown();
}
END_TEST

/* The table is kept while members and weights stay. */
START_TEST(test_hash_plan)
{
	void	*was, *is;

	setup_hash(10, NULL);
	was = f.a.view.plan;
	f.lives[4].state = STATE_BIT(SERVER_DOWN);
	ck_assert_ptr_eq(balancer_hash.plan(&f.a, was), was);
	f.rows[3].override = 3;
	is = balancer_hash.plan(&f.a, was);
	ck_assert_ptr_ne(is, was);
	free(was);
	/* by nobody any more: whoever is in the view is asked */
	for (size_t i = 0; i < 10; i++)
		f.rows[i].override = 1;
	f.a.view.plan = balancer_hash.plan(&f.a, is);
	ck_assert_ptr_ne(f.a.view.plan, is);
	free(is);
	ck_assert_int_ge(choose_for(&f.a, &(struct tried){ .n = 0 }, 7), 0);
	teardown();
}
END_TEST

/* 1,000 requests of one key that all last: nobody has more than allowed. */
START_TEST(test_hash_bound)
{
	struct tried	none = { .n = 0 };
	uint64_t	most;

	setup_hash(10, NULL);
	f.a.hash_load = f.b.hash_load = 125;
	f.serve.ev = ev_new(NULL, NULL);
	for (unsigned i = 1; i <= 1000; i++) {
		f.lives[choose_for(&f.a, &none, 99)].load++;
		most = 0;
		for (size_t k = 0; k < 10; k++)
			most = f.lives[k].load > most ? f.lives[k].load :
			    most;
		ck_assert_uint_le(most * 80, i * 10 + 80);
	}
	for (size_t k = 0; k < 10; k++)
		ck_assert_uint_gt(f.lives[k].load, 0);
	/* a server that has just come back has a tenth of its share */
	f.lives[2].load = 13;
	f.lives[2].state = STATE_BIT(SERVER_SLOW);
	f.lives[2].ramp = 100;
	for (unsigned i = 0; i < NKEY; i++)
		ck_assert_int_ne(choose_for(&f.b, &none, key_of(i)), 2);
	ev_free(&f.serve.ev);
	teardown();
}
END_TEST

/* What is told of a key's way is what happens to its requests. */
START_TEST(test_hash_follow)
{
	struct tried		none = { .n = 0 };
	struct pick		p = { .tried = &none };
	struct hash_place	v[10], w[3];

	setup_hash(10, NULL);
	f.a.hash_load = 125;
	f.serve.ev = ev_new(NULL, NULL);
	for (unsigned i = 0; i < 500; i++) {
		p.hash = key_of(i);
		ck_assert_uint_eq(hash_follow(&f.a, &p, w, 3), 3);
		for (unsigned k = 0; k < 3; k++)
			ck_assert(w[k].how == HASH_TAKES &&
			    w[k].s != w[(k + 1) % 3].s);
		ck_assert_int_eq(choose_for(&f.a, &none, p.hash),
		    (int)w[0].s->row);
		f.lives[w[0].s->row].state = STATE_BIT(SERVER_DOWN);
		f.lives[w[1].s->row].load = 1000;
		ck_assert_uint_ge(hash_follow(&f.a, &p, v, 10), 3);
		ck_assert(v[0].s == w[0].s && v[0].how == HASH_OUT);
		ck_assert(v[1].s == w[1].s && v[1].how == HASH_OVER);
		ck_assert(v[2].s == w[2].s && v[2].how == HASH_TAKES);
		ck_assert_int_eq(choose_for(&f.a, &none, p.hash),
		    (int)w[2].s->row);
		f.a.hash_load = 0;
		ck_assert_int_eq(choose_for(&f.a, &none, p.hash),
		    (int)w[1].s->row);
		f.a.hash_load = 125;
		f.lives[w[0].s->row].state = 0;
		f.lives[w[1].s->row].load = 0;
	}
	ev_free(&f.serve.ev);
	teardown();
}
END_TEST

START_TEST(test_hash_tried)
{
	uint64_t	tag[3];
	struct tried	tried = { tag, 0, 3 };
	int		to;

	setup_hash(3, NULL);
	for (; tried.n < 3; tried.n++) {
		to = choose_for(&f.a, &tried, 5);
		ck_assert_int_ge(to, 0);
		for (uint32_t i = 0; i < tried.n; i++)
			ck_assert_uint_ne(tag[i], (uint64_t)to + 1);
		tag[tried.n] = (uint64_t)to + 1;
	}
	ck_assert_int_eq(choose_for(&f.a, &tried, 5), -1);
	teardown();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("balance");
	TCase	*tc = tcase_create("balance");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, test_turns);
	tcase_add_loop_test(tc, test_turns_by_weight, 0, 4);
	tcase_add_test(tc, test_turns_long);
	tcase_add_test(tc, test_states);
	tcase_add_test(tc, test_turns_wide);
	tcase_add_loop_test(tc, test_chance_by_weight, 0, 9);
	tcase_add_loop_test(tc, test_chance_states, 0, 3);
	tcase_add_test(tc, test_least_conn);
	tcase_add_test(tc, test_two_choices);
	tcase_add_test(tc, test_two_choices_spread);
	tcase_add_test(tc, test_hash_shares);
	tcase_add_loop_test(tc, test_hash_removal, 0, 10);
	tcase_add_test(tc, test_hash_state);
	tcase_add_test(tc, test_hash_plan);
	tcase_add_test(tc, test_hash_bound);
	tcase_add_test(tc, test_hash_follow);
	tcase_add_test(tc, test_hash_tried);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
