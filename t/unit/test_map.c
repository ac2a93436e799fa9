/*
 * Maps: replacing, growth, deletion inside long runs of collisions.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"

#define NAMES	4000

static char	names[NAMES][16];
static int	vals[NAMES];

static void
name_all(void)
{
	int	i;

	for (i = 0; i < NAMES; i++)
		snprintf(names[i], sizeof(names[i]), "k%d", i);
}

static struct str
key(int i)
{
	return str_from(names[i]);
}

START_TEST(empty)
{
	struct map	 m;
	struct str	 k;
	void		*v;
	size_t		 i = 0;

	map_init(&m, 1);
	ck_assert_ptr_null(map_find(&m, STR("a")));
	ck_assert_ptr_null(map_del(&m, STR("a")));
	ck_assert(!map_next(&m, &i, &k, &v));
	ck_assert_uint_eq(m.cap, 0);
	map_fini(&m);
}
END_TEST

START_TEST(add_replaces)
{
	char		a[] = "key";
	char		b[] = "key";
	struct map	m;
	struct str	k;
	void		*v;
	size_t		i = 0;

	map_init(&m, 1);
	ck_assert_ptr_null(map_add(&m, str_from(a), &vals[0]));
	ck_assert_ptr_eq(map_add(&m, str_from(b), &vals[1]), &vals[0]);
	ck_assert_uint_eq(m.n, 1);
	ck_assert_ptr_eq(map_find(&m, STR("key")), &vals[1]);
	/* The key is now the second one: the first may be gone. */
	ck_assert(map_next(&m, &i, &k, &v));
	ck_assert_ptr_eq(k.p, b);
	ck_assert_ptr_eq(v, &vals[1]);
	ck_assert(!map_next(&m, &i, &k, &v));
	map_fini(&m);
}
END_TEST

START_TEST(keys_are_bytes)
{
	struct map	m;

	map_init(&m, 1);
	map_add(&m, STR_NONE, &vals[0]);
	map_add(&m, STR("\0"), &vals[1]);
	map_add(&m, STR("\0\0"), &vals[2]);
	map_add(&m, STR("a\0b"), &vals[3]);
	map_add(&m, STR("A"), &vals[4]);
	ck_assert_uint_eq(m.n, 5);
	ck_assert_ptr_eq(map_find(&m, STR("")), &vals[0]);
	ck_assert_ptr_eq(map_find(&m, STR_NONE), &vals[0]);
	ck_assert_ptr_eq(map_find(&m, STR("\0")), &vals[1]);
	ck_assert_ptr_eq(map_find(&m, STR("\0\0")), &vals[2]);
	ck_assert_ptr_eq(map_find(&m, STR("a\0b")), &vals[3]);
	ck_assert_ptr_null(map_find(&m, STR("a")));
	ck_assert_ptr_eq(map_del(&m, STR("")), &vals[0]);
	ck_assert_ptr_null(map_find(&m, STR_NONE));
	map_fini(&m);
}
END_TEST

/* The words hashed are padded with zeros: the length must tell. */
START_TEST(zeros_hash_apart)
{
	static const char	zeros[8];
	struct map		m;
	size_t			i;
	size_t			j;

	map_init(&m, 1);
	for (i = 0; i < 8; i++)
		map_add(&m, str_make(zeros, i), &vals[i]);
	for (i = 0; i < m.cap; i++)
		for (j = 0; j < i; j++)
			ck_assert(m.tab[i].key.p == NULL ||
			    m.tab[i].hash != m.tab[j].hash);
	map_fini(&m);
}
END_TEST

START_TEST(grows)
{
	struct map	 m;
	struct str	 k;
	void		*v;
	size_t		 it = 0;
	int		 seen = 0;
	int		 i;

	name_all();
	map_init(&m, 99);
	for (i = 0; i < NAMES; i++)
		ck_assert_ptr_null(map_add(&m, key(i), &vals[i]));
	ck_assert_uint_eq(m.n, NAMES);
	ck_assert_uint_eq(m.cap & (m.cap - 1), 0);
	ck_assert_uint_le(m.n, m.cap / 4 * 3);
	for (i = 0; i < NAMES; i++)
		ck_assert_ptr_eq(map_find(&m, key(i)), &vals[i]);
	while (map_next(&m, &it, &k, &v)) {
		vals[(int *)v - vals]++;
		seen++;
	}
	ck_assert_int_eq(seen, NAMES);
	for (i = 0; i < NAMES; i++)
		ck_assert_int_eq(vals[i], 1);
	map_fini(&m);
	ck_assert_uint_eq(m.n, 0);
	ck_assert_ptr_null(map_find(&m, key(0)));
}
END_TEST

/* All that is left must be found after each single deletion. */
static void
delete_in_order(struct map *m, const int *order, int n)
{
	int	i;
	int	j;

	for (i = 0; i < n; i++) {
		ck_assert_ptr_eq(map_del(m, key(order[i])), &vals[order[i]]);
		ck_assert_ptr_null(map_del(m, key(order[i])));
		for (j = 0; j < n; j++)
			ck_assert_ptr_eq(map_find(m, key(order[j])),
			    j <= i ? NULL : &vals[order[j]]);
	}
	ck_assert_uint_eq(m->n, 0);
}

/*
 * Twelve keys in sixteen slots, the fullest a table gets, under many
 * seeds: runs that go round the end and holes at every place in them.
 */
START_TEST(deletion_closes_holes)
{
	static const int	orders[3][12] = {
		{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 },
		{ 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 },
		{ 5, 0, 11, 3, 8, 1, 9, 2, 10, 4, 7, 6 },
	};
	struct map		m;
	uint64_t		seed;
	int			i;

	name_all();
	for (seed = 0; seed < 200; seed++) {
		map_init(&m, seed);
		for (i = 0; i < 12; i++)
			map_add(&m, key(i), &vals[i]);
		ck_assert_uint_eq(m.cap, 16);
		delete_in_order(&m, orders[_i], 12);
		map_fini(&m);
	}
}
END_TEST

/* Keys that all have the last slot as home: one run round the end. */
START_TEST(deletion_in_one_run)
{
	int		same[8];
	struct map	m;
	int		i;
	int		n = 0;

	name_all();
	map_init(&m, 3);
	for (i = 0; i < NAMES && n < 8; i++) {
		map_add(&m, key(i), &vals[i]);
		if (m.tab[15].key.p != NULL)
			same[n++] = i;
		map_del(&m, key(i));
	}
	ck_assert_int_eq(n, 8);
	for (i = 0; i < n; i++)
		map_add(&m, key(same[i]), &vals[same[i]]);
	ck_assert_ptr_nonnull(m.tab[15].key.p);
	for (i = 0; i < 7; i++)
		ck_assert_ptr_nonnull(m.tab[i].key.p);
	delete_in_order(&m, same, n);
	map_fini(&m);
}
END_TEST

/* No tombstones: a table that comes and goes does not grow. */
START_TEST(churn_does_not_grow)
{
	struct map	m;
	int		i;

	name_all();
	map_init(&m, 5);
	for (i = 0; i < NAMES; i++) {
		map_add(&m, key(i), &vals[i]);
		if (i >= 10)
			ck_assert_ptr_eq(map_del(&m, key(i - 10)),
			    &vals[i - 10]);
	}
	ck_assert_uint_eq(m.n, 10);
	ck_assert_uint_eq(m.cap, 16);
	map_fini(&m);
}
END_TEST

START_TEST(seed_changes_places)
{
	struct map	a;
	struct map	b;
	int		i;
	int		same = 0;

	name_all();
	map_init(&a, 1);
	map_init(&b, 2);
	for (i = 0; i < 1000; i++) {
		map_add(&a, key(i), &vals[i]);
		map_add(&b, key(i), &vals[i]);
	}
	for (i = 0; i < (int)a.cap; i++)
		same += a.tab[i].val != NULL && a.tab[i].val == b.tab[i].val;
	ck_assert_int_lt(same, 20);
	map_fini(&a);
	map_fini(&b);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("map");
	TCase	*tc = tcase_create("map");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, empty);
	tcase_add_test(tc, add_replaces);
	tcase_add_test(tc, keys_are_bytes);
	tcase_add_test(tc, zeros_hash_apart);
	tcase_add_test(tc, grows);
	tcase_add_loop_test(tc, deletion_closes_holes, 0, 3);
	tcase_add_test(tc, deletion_in_one_run);
	tcase_add_test(tc, churn_does_not_grow);
	tcase_add_test(tc, seed_changes_places);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
