/*
 * Arenas: alignment, growth, chunks of a slab, fixed ones that are full.
 */
#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/slab.h"

#define SLAB_SIZE	1024

static void
jump(void *ctx)
{
	jmp_buf	*env = ctx;

	longjmp(*env, 1);
}

static void
come_back(void *ctx)
{
	(void)ctx;
}

static void
ck_zero(const char *p, size_t n)
{
	size_t	i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(p[i], 0);
}

/* Sizes around every boundary, each filled, so that ASan sees overlaps. */
START_TEST(zeroed_and_aligned)
{
	struct slab	 slab;
	struct arena	 a;
	char		*last = NULL;
	char		*p;
	size_t		 n;

	slab_init(&slab, SLAB_SIZE, 100);
	arena_init(&a, _i != 0 ? &slab : NULL);
	for (n = 0; n < 3 * SLAB_SIZE; n += n < 40 ? 1 : 97) {
		p = arena_alloc(&a, n);
		ck_assert_ptr_nonnull(p);
		ck_assert_ptr_ne(p, last);
		ck_assert_uint_eq((uintptr_t)p % 16, 0);
		ck_zero(p, n);
		memset(p, 0xee, n);
		memset(arena_text(&a, n % 7), 0xdd, n % 7);
		last = p;
	}
	arena_fini(&a);
	ck_assert_uint_eq(a.used, 0);
	ck_assert_uint_eq(slab.nlive, 0);
	slab_fini(&slab);
}
END_TEST

START_TEST(nothing_before_use)
{
	struct slab	slab;
	struct arena	a;

	slab_init(&slab, SLAB_SIZE, 4);
	arena_init(&a, &slab);
	ck_assert_uint_eq(slab.nlive, 0);
	arena_fini(&a);
	ck_assert_ptr_nonnull(arena_text(&a, 0));
	arena_fini(&a);
	ck_assert_ptr_nonnull(arena_alloc(&a, 0));
	ck_assert_uint_eq(slab.nlive, 1);
	arena_fini(&a);
	slab_fini(&slab);
}
END_TEST

START_TEST(chunks_come_from_slab)
{
	struct slab	 slab;
	struct arena	 a;
	char		*p;
	int		 i;

	slab_init(&slab, SLAB_SIZE, 100);
	arena_init(&a, &slab);
	for (i = 0; i < 8; i++)
		arena_alloc(&a, 400);
	ck_assert_uint_eq(slab.nlive, 4);
	arena_fini(&a);
	ck_assert_uint_eq(slab.nfree, 4);
	p = arena_alloc(&a, 16);
	ck_zero(p, 16);
	ck_assert_uint_eq(slab.nfree, 3);
	arena_fini(&a);
	slab_fini(&slab);
}
END_TEST

/* A large piece leaves the current chunk in use. */
START_TEST(large_has_own_chunk)
{
	struct slab	 slab;
	struct arena	 a;
	char		*big;
	char		*p;
	char		*q;

	slab_init(&slab, SLAB_SIZE, 100);
	arena_init(&a, &slab);
	big = arena_alloc(&a, 5000);
	memset(big, 1, 5000);
	ck_assert_uint_eq(slab.nlive, 0);
	p = arena_alloc(&a, 16);
	big = arena_alloc(&a, SLAB_SIZE);
	memset(big, 1, SLAB_SIZE);
	q = arena_alloc(&a, 16);
	ck_assert_ptr_eq(q, p + 16);
	ck_assert_uint_eq(slab.nlive, 1);
	arena_fini(&a);
	slab_fini(&slab);
}
END_TEST

START_TEST(malloc_chunks_grow)
{
	struct arena	 a;
	char		*p;
	char		*next;
	int		 i;
	int		 breaks = 0;

	arena_init(&a, NULL);
	p = arena_alloc(&a, 1024);
	for (i = 1; i < 4096; i++) {
		next = arena_alloc(&a, 1024);
		breaks += next != p + 1024;
		p = next;
	}
	ck_assert_uint_ge(a.used, 4096 * 1024);
	/* 4 KiB doubled to 256 KiB, then 16 of those. */
	ck_assert_int_le(breaks, 30);
	arena_fini(&a);
}
END_TEST

START_TEST(text_is_packed)
{
	struct arena	 a;
	char		*p;

	arena_init(&a, NULL);
	p = arena_text(&a, 3);
	ck_assert_ptr_eq(arena_text(&a, 5), p + 3);
	ck_assert_ptr_eq(arena_alloc(&a, 1), p + 16);
	ck_assert_ptr_eq(arena_text(&a, 1), p + 17);
	ck_assert_uint_eq(a.used, 18);
	arena_fini(&a);
}
END_TEST

START_TEST(dup_adds_nul)
{
	struct arena	a;
	struct str	s;

	arena_init(&a, NULL);
	s = arena_dup(&a, STR("a\0b"));
	ck_assert(str_eq(s, STR("a\0b")));
	ck_assert_int_eq(s.p[3], '\0');
	s = arena_dup(&a, STR_NONE);
	ck_assert_uint_eq(s.n, 0);
	ck_assert_str_eq(s.p, "");
	arena_fini(&a);
}
END_TEST

/* Around the size of the buffer that short results go through. */
START_TEST(fmt_short_and_long)
{
	struct arena	a;
	struct str	s;
	int		n;

	arena_init(&a, NULL);
	for (n = 0; n < 10000; n += n < 250 || n > 260 ? 83 : 1) {
		s = arena_fmt(&a, "%s%*d", "<", n, 7);
		ck_assert_uint_eq(s.n, n == 0 ? 2 : (size_t)n + 1);
		ck_assert_int_eq(s.p[0], '<');
		ck_assert_int_eq(s.p[s.n - 1], '7');
		ck_assert_int_eq(s.p[s.n], '\0');
	}
	for (n = 250; n < 260; n++) {
		s = arena_fmt(&a, "%*d", n, 7);
		ck_assert_uint_eq(s.n, (size_t)n);
		ck_assert_int_eq(s.p[s.n - 1], '7');
		ck_assert_int_eq(s.p[s.n], '\0');
	}
	s = arena_fmt(&a, "%s", "");
	ck_assert_str_eq(s.p, "");
	arena_fini(&a);
}
END_TEST

START_TEST(fixed_is_one_piece)
{
	_Alignas(16) char	 mem[256];
	struct arena		 a;
	char			*p;

	memset(mem, 0xee, sizeof(mem));
	arena_init_fixed(&a, mem, sizeof(mem), come_back, NULL);
	ck_assert_ptr_eq(arena_alloc(&a, 10), mem);
	ck_assert_ptr_eq(arena_dup(&a, STR("abc")).p, mem + 10);
	p = arena_alloc(&a, 20);
	ck_assert_ptr_eq(p, mem + 16);
	ck_zero(p, 20);
	ck_assert_uint_eq(a.used, 36);
	ck_assert_int_eq((unsigned char)mem[36], 0xee);
	arena_fini(&a);
	ck_assert_uint_eq(a.used, 0);
	ck_assert_ptr_eq(arena_alloc(&a, 1), mem);
}
END_TEST

START_TEST(fixed_unaligned)
{
	_Alignas(16) char	mem[64];
	struct arena		a;

	arena_init_fixed(&a, mem + 3, sizeof(mem) - 3, come_back, NULL);
	ck_assert_ptr_eq(arena_alloc(&a, 48), mem + 16);
	ck_assert_uint_eq(a.used, 61);
	arena_fini(&a);
	ck_assert_ptr_eq(arena_text(&a, 61), mem + 3);
}
END_TEST

/* The last byte may be had, the one after it may not, padding or none. */
START_TEST(fixed_full)
{
	static _Alignas(16) char	mem[64];
	static const size_t		too_much[] = {
		1, 16, 64, SIZE_MAX, SIZE_MAX - 15,
	};
	static volatile int		jumps;
	struct arena			a;
	jmp_buf				env;

	arena_init_fixed(&a, mem, sizeof(mem), jump, &env);
	arena_alloc(&a, 49);
	if (setjmp(env) == 0)
		arena_alloc(&a, too_much[_i]);
	else
		jumps++;
	ck_assert_int_eq(jumps, 1);
	ck_assert_uint_eq(a.used, 49);
	if (setjmp(env) == 0)
		arena_text(&a, too_much[_i] + 15);
	else
		jumps++;
	/* SIZE_MAX + 15 comes round to 14, which does fit. */
	ck_assert_int_eq(jumps, too_much[_i] == SIZE_MAX ? 1 : 2);
}
END_TEST

START_TEST(fixed_to_the_last)
{
	_Alignas(16) char	mem[64];
	struct arena		a;

	arena_init_fixed(&a, mem, sizeof(mem), come_back, NULL);
	arena_alloc(&a, 33);
	ck_assert_ptr_eq(arena_alloc(&a, 16), mem + 48);
	ck_assert_uint_eq(a.used, sizeof(mem));
}
END_TEST

START_TEST(on_full_must_not_return)
{
	char		mem[16];
	struct arena	a;

	arena_init_fixed(&a, mem, sizeof(mem), come_back, NULL);
	arena_text(&a, 17);
}
END_TEST

START_TEST(absurd_size)
{
	struct arena	a;
	volatile size_t	n = SIZE_MAX;

	arena_init(&a, NULL);
	arena_alloc(&a, n);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, zeroed_and_aligned, 0, 2);
	tcase_add_test(tc, nothing_before_use);
	tcase_add_test(tc, chunks_come_from_slab);
	tcase_add_test(tc, large_has_own_chunk);
	tcase_add_test(tc, malloc_chunks_grow);
	tcase_add_test(tc, text_is_packed);
	tcase_add_test(tc, dup_adds_nul);
	tcase_add_test(tc, fmt_short_and_long);
	tcase_add_test(tc, fixed_is_one_piece);
	tcase_add_test(tc, fixed_unaligned);
	tcase_add_loop_test(tc, fixed_full, 0, 5);
	tcase_add_test(tc, fixed_to_the_last);
	tcase_add_test_raise_signal(tc, on_full_must_not_return, SIGABRT);
	tcase_add_test_raise_signal(tc, absurd_size, SIGABRT);
}

int
main(void)
{
	Suite	*s = suite_create("arena");
	TCase	*tc = tcase_create("arena");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	add_tests(tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
