/*
 * Maglev's table: places by weight, and how few of them move when members
 * come and go.
 */
#include "up/maglev.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "up/hash.h"

#define NMAX	2000

static struct maglev_member	m[NMAX];

/* Members as the balancer makes them: by address, in order of hashes. */
static int
by_hash(const void *pa, const void *pb)
{
	const struct maglev_member	*a = pa, *b = pb;

	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

static void
make(size_t n, uint32_t first)
{
	char	buf[32];

	for (size_t i = 0; i < n; i++) {
		snprintf(buf, sizeof(buf), "10.%u.%u.%u:8080",
		    (unsigned)(first + i) >> 16, (unsigned)(first + i) >> 8 &
		    255, (unsigned)(first + i) & 255);
		m[i] = (struct maglev_member){ hash_key(str_from(buf)), 1 };
	}
	qsort(m, n, sizeof(m[0]), by_hash);
}

static uint16_t *
fill(size_t n, uint32_t size)
{
	uint16_t	*at = malloc(size * sizeof(*at));

	maglev_fill(at, size, m, n);
	return at;
}

static const size_t	counts[] = { 1, 2, 3, 10, 50, 100, 500, 1000 };
#define NCOUNT	(int)(sizeof(counts) / sizeof(counts[0]))

/* Each has its share, as near as whole places allow. */
START_TEST(test_even)
{
	size_t		 n = counts[_i];
	uint32_t	 size = maglev_size(n), got[NMAX] = { 0 };
	uint16_t	*at;

	make(n, 1);
	at = fill(n, size);
	for (uint32_t i = 0; i < size; i++)
		got[at[i]]++;
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(got[i] >= size / n && got[i] <= size / n + 1,
		    "%u of %u for %zu", got[i], size, n);
	free(at);
}
END_TEST

START_TEST(test_weights)
{
	static const uint32_t	weight[] = { 5, 3, 1, 1000, 1 };
	uint32_t		size = maglev_size(5), got[5] = { 0 };
	uint16_t		*at;

	make(5, 1);
	for (size_t i = 0; i < 5; i++)
		m[i].weight = weight[i];
	at = fill(5, size);
	for (uint32_t i = 0; i < size; i++)
		got[at[i]]++;
	for (size_t i = 0; i < 5; i++) {
		ck_assert_uint_ge(got[i] + 4, size * weight[i] / 1010);
		ck_assert_uint_le(got[i], size * weight[i] / 1010 + 2);
	}
	free(at);
}
END_TEST

/*
 * Removes each of up to ten members: keys of the others that move are at
 * most two of a hundred, in most cases far fewer.
 */
START_TEST(test_removal)
{
	size_t			 n = counts[_i] > 1 ? counts[_i] : 2;
	struct maglev_member	 gone;
	uint32_t		 size = maglev_size(n), moved, own;
	uint16_t		*was, *is;

	make(n, 7);
	was = fill(n, size);
	for (size_t k = 0; k < n && k < 10; k++) {
		gone = m[k];
		memmove(m + k, m + k + 1, (n - k - 1) * sizeof(m[0]));
		is = fill(n - 1, size);
		moved = own = 0;
		for (uint32_t i = 0; i < size; i++) {
			own += was[i] == k;
			moved += was[i] != k && was[i] - (was[i] > k) !=
			    is[i];
		}
		ck_assert_uint_le(own, size / n + 1);
		ck_assert_msg(moved * 50 <= size, "%u of %u, %zu members",
		    moved, size, n);
		memmove(m + k + 1, m + k, (n - k - 1) * sizeof(m[0]));
		m[k] = gone;
		free(is);
	}
	free(was);
}
END_TEST

static bool
is_prime(uint32_t n)
{
	for (uint32_t k = 2; k * k <= n; k++)
		if (n % k == 0)
			return false;
	return true;
}

START_TEST(test_sizes)
{
	ck_assert_uint_eq(maglev_size(1), 521);
	ck_assert_uint_eq(maglev_size(10), 4099);
	ck_assert_uint_eq(maglev_size(500), 65537);
	ck_assert_uint_ge(maglev_size(1024), 64 * 1024);
	ck_assert_uint_ge(maglev_size(65535), 64 * 65535);
	for (size_t n = 1; n < MAGLEV_MAX; n *= 2)
		ck_assert_msg(is_prime(maglev_size(n)), "%zu", n);
}
END_TEST

/* Keys that differ little are far apart. */
START_TEST(test_keys)
{
	unsigned	got[16] = { 0 };
	char		buf[16];

	for (int i = 0; i < 16000; i++) {
		snprintf(buf, sizeof(buf), "k%d", i);
		got[hash_key(str_from(buf)) % 16]++;
	}
	for (size_t i = 0; i < 16; i++) {
		ck_assert_uint_gt(got[i], 800);
		ck_assert_uint_lt(got[i], 1200);
	}
	/* of all machines and versions */
	ck_assert_uint_eq(hash_key(STR("")), 0xf52a15e9a9b5e89bULL);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("maglev");
	TCase	*tc = tcase_create("maglev");
	SRunner	*sr;
	int	 failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_even, 0, NCOUNT);
	tcase_add_test(tc, test_weights);
	tcase_add_loop_test(tc, test_removal, 0, NCOUNT);
	tcase_add_test(tc, test_sizes);
	tcase_add_test(tc, test_keys);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
