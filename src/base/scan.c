/*
 * Scanning for the end of a run of allowed bytes.  All processes; pure.
 *
 * Values and targets are ranges, so sixteen bytes are judged at once with
 * unsigned compares (SSE2 has them as a minimum and an equality).  Tokens
 * are short and no range: a table does.  Nothing is read past the slice:
 * the rest below sixteen bytes is looked at as the last sixteen, some of
 * them again; of less than sixteen the first and the last eight.
 */
#include "base/scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define STEP	SCAN_STEP
#define HALF	8

static const uint8_t classes[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, /* 00 */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
	2, 23, 22, 7, 23, 7, 23, 23, 22, 22, 23, 23, 22, 31, 15, 22, /* 20 */
	31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 22, 22, 22, 22, 22, 6, /* 30 */
	22, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, /* 40 */
	31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 22, 6, 22, 23, 31, /* 50 */
	23, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, /* 60 */
	31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 22, 23, 22, 31, 0, /* 70 */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* 80 */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* 90 */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* a0 */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* b0 */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* c0 */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* d0 */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* e0 */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* f0 */
};

bool
scan_is(char c, enum scan_class cl)
{
	return (classes[(unsigned char)c] & cl) != 0;
}

size_t
scan_plain(struct str s, enum scan_class cl)
{
	const char	*p = s.p;
	const char	*end = p + s.n;

	while (p < end && (classes[(unsigned char)*p] & cl) != 0)
		p++;
	return (size_t)(p - s.p);
}

size_t
scan_to(struct str s, char c)
{
	unsigned	bits;
	size_t		i;

	for (i = 0; i + STEP <= s.n; i += STEP)
		if ((bits = scan_bits(s.p + i, c)) != 0)
			return i + (size_t)__builtin_ctz(bits);
	while (i < s.n && s.p[i] != c)
		i++;
	return i;
}

size_t
scan_token(struct str s)
{
	return scan_plain(s, SCAN_TOKEN);
}

size_t
scan_name(struct str s)
{
	return scan_plain(s, SCAN_NAME);
}

size_t
scan_path(struct str s)
{
	return scan_plain(s, SCAN_PATH);
}

#ifdef __SSE2__
/* One bit for each byte that ends a value: a control but HTAB, or DEL. */
static unsigned
stop_value(__m128i x)
{
	const __m128i	ctl = _mm_set1_epi8(0x1f);
	__m128i		bad;

	bad = _mm_cmpeq_epi8(_mm_min_epu8(x, ctl), x);
	bad = _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\t')), bad);
	bad = _mm_or_si128(bad, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)));
	return (unsigned)_mm_movemask_epi8(bad);
}

/* The same for a target: moved down by 0x21, all above 0x5d. */
static unsigned
stop_target(__m128i x)
{
	const __m128i	top = _mm_set1_epi8(0x7e - 0x21);
	__m128i		good;

	x = _mm_sub_epi8(x, _mm_set1_epi8(0x21));
	good = _mm_cmpeq_epi8(_mm_min_epu8(x, top), x);
	return (unsigned)_mm_movemask_epi8(good) ^ 0xffff;
}

static __m128i
load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* The first and the last eight bytes of eight to fifteen. */
static __m128i
load_ends(struct str s)
{
	uint64_t	a;
	uint64_t	b;

	memcpy(&a, s.p, HALF);
	memcpy(&b, s.p + s.n - HALF, HALF);
	return _mm_set_epi64x((long long)b, (long long)a);
}

/* Where in s the lowest bit of load_ends stands. */
static size_t
place(struct str s, unsigned stop)
{
	size_t	i = (size_t)__builtin_ctz(stop);

	return i < HALF ? i : s.n - STEP + i;
}

unsigned
scan_bits(const char *p, char c)
{
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(load(p),
	    _mm_set1_epi8(c)));
}

size_t
scan_value(struct str s)
{
	size_t		i;
	unsigned	stop;

	if (s.n < HALF)
		return scan_plain(s, SCAN_VALUE);
	if (s.n < STEP) {
		stop = stop_value(load_ends(s));
		return stop == 0 ? s.n : place(s, stop);
	}
	for (i = 0; i + STEP <= s.n; i += STEP)
		if ((stop = stop_value(load(s.p + i))) != 0)
			return i + (size_t)__builtin_ctz(stop);
	if (i == s.n || (stop = stop_value(load(s.p + s.n - STEP))) == 0)
		return s.n;
	return s.n - STEP + (size_t)__builtin_ctz(stop);
}

size_t
scan_target(struct str s)
{
	size_t		i;
	unsigned	stop;

	if (s.n < HALF)
		return scan_plain(s, SCAN_TARGET);
	if (s.n < STEP) {
		stop = stop_target(load_ends(s));
		return stop == 0 ? s.n : place(s, stop);
	}
	for (i = 0; i + STEP <= s.n; i += STEP)
		if ((stop = stop_target(load(s.p + i))) != 0)
			return i + (size_t)__builtin_ctz(stop);
	if (i == s.n || (stop = stop_target(load(s.p + s.n - STEP))) == 0)
		return s.n;
	return s.n - STEP + (size_t)__builtin_ctz(stop);
}
#else
unsigned
scan_bits(const char *p, char c)
{
	unsigned	bits = 0;

	for (unsigned i = 0; i < STEP; i++)
		bits |= (unsigned)(p[i] == c) << i;
	return bits;
}

size_t
scan_value(struct str s)
{
	return scan_plain(s, SCAN_VALUE);
}

size_t
scan_target(struct str s)
{
	return scan_plain(s, SCAN_TARGET);
}
#endif
