/*
 * Writing without bounds: numbers by pairs of digits, texts by sixteen
 * and eight bytes.  All processes; pure.
 *
 * Both escapings leave the same bytes as they are: printable ASCII other
 * than the quote and the backslash.  A run of them is copied while it is
 * judged; nothing is read behind the text nor written behind its end.
 */
#include "base/put.h"

#include "base/enc.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define HALF	8
#define STEP	16

#define EACH(c)	(0x0101010101010101ULL * (c))
#define TOPS	EACH(0x80)

static const char pairs[] =
    "00010203040506070809101112131415161718192021222324"
    "25262728293031323334353637383940414243444546474849"
    "50515253545556575859606162636465666768697071727374"
    "75767778798081828384858687888990919293949596979899";

char *
put_two(char *p, unsigned v)
{
	memcpy(p, pairs + 2 * (v % 100), 2);
	return p + 2;
}

char *
put_four(char *p, unsigned v)
{
	return put_two(put_two(p, v / 100), v);
}

static size_t
count_digits(uint64_t v)
{
	size_t	n = 1;

	for (; v >= 10000; v /= 10000)
		n += 4;
	return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

char *
put_u64(char *p, uint64_t v)
{
	char	*end = p + count_digits(v), *q = end;

	for (; v >= 100; v /= 100) {
		q -= 2;
		memcpy(q, pairs + 2 * (v % 100), 2);
	}
	if (v >= 10)
		memcpy(p, pairs + 2 * v, 2);
	else
		*p = (char)('0' + v);
	return end;
}

/* --- texts --- */

static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* A top bit for each byte that is zero, and perhaps above one. */
static uint64_t
zeroes(uint64_t v)
{
	return (v - EACH(1)) & ~v;
}

/* True if all of eight bytes are plain. */
static bool
are_plain(uint64_t v)
{
	uint64_t	bad = v | (v - EACH(0x20)) | (v + EACH(1));

	bad |= zeroes(v ^ EACH('"')) | zeroes(v ^ EACH('\\'));
	return (bad & TOPS) == 0;
}

/* Copies sixteen bytes; how many of them are plain at the beginning. */
#ifdef __SSE2__
static size_t
copy_step(char *p, const char *from)
{
	__m128i	x = _mm_loadu_si128((const __m128i *)(const void *)from);
	__m128i	good = _mm_cmpgt_epi8(x, _mm_set1_epi8(0x1f));
	__m128i	bad = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));

	bad = _mm_or_si128(bad, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
	bad = _mm_or_si128(bad, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
	_mm_storeu_si128((__m128i *)(void *)p, x);
	good = _mm_andnot_si128(bad, good);
	return (size_t)__builtin_ctz(~(unsigned)_mm_movemask_epi8(good));
}
#else
static size_t
copy_step(char *p, const char *from)
{
	size_t	n;

	memcpy(p, from, STEP);
	for (n = 0; n < STEP && is_plain((unsigned char)from[n]); n++)
		;
	return n;
}
#endif

/* Copies what is plain at the beginning; its length. */
static size_t
copy_plain(char *p, struct str s)
{
	uint64_t	v;
	size_t		i = 0, n;

	while (s.n - i >= STEP) {
		n = copy_step(p + i, s.p + i);
		i += n;
		if (n < STEP)
			return i;
	}
	if (s.n - i >= HALF) {
		memcpy(&v, s.p + i, HALF);
		if (are_plain(v)) {
			memcpy(p + i, &v, HALF);
			i += HALF;
		}
	}
	for (; i < s.n && is_plain((unsigned char)s.p[i]); i++)
		p[i] = s.p[i];
	return i;
}

static char *
put_hex(char *p, struct str pre, unsigned char c)
{
	p = put_str(p, pre);
	enc_hex(&c, 1, p);
	return p + 2;
}

static char *
escape_wide(char *p, struct str s, size_t *used)
{
	if (enc_is_c1(s)) {
		*used = 2;
		return put_hex(p, STR("\\u00"), (unsigned char)s.p[1]);
	}
	*used = enc_utf8_len(s);
	if (*used > 1)
		return put_str(p, str_make(s.p, *used));
	*used = 1;
	return put_str(p, STR("\xef\xbf\xbd"));
}

/* DEL and C1 could stand as they are, but lines are read on terminals. */
char *
put_json_escape(char *p, struct str s, size_t *used)
{
	static const char	from[] = "\"\\\b\f\n\r\t";
	static const char	to[] = "\"\\bfnrt";
	unsigned char		c = (unsigned char)*s.p;
	const char		*at;

	if (c >= 0x80)
		return escape_wide(p, s, used);
	*used = 1;
	at = memchr(from, c, sizeof(from) - 1);
	if (at == NULL)
		return put_hex(p, STR("\\u00"), c);
	p = put_c(p, '\\');
	return put_c(p, to[at - from]);
}

char *
put_json(char *p, struct str s)
{
	size_t	n;

	p = put_c(p, '"');
	for (;;) {
		n = copy_plain(p, s);
		p += n;
		if (n == s.n)
			return put_c(p, '"');
		s = str_sub(s, n, s.n);
		p = put_json_escape(p, s, &n);
		s = str_sub(s, n, s.n);
	}
}

char *
put_safe(char *p, struct str s)
{
	size_t	n;
	char	c;

	for (;;) {
		n = copy_plain(p, s);
		p += n;
		if (n == s.n)
			return p;
		c = s.p[n];
		s = str_sub(s, n + 1, s.n);
		if (c == '"' || c == '\\') {
			p = put_c(p, '\\');
			p = put_c(p, c);
		} else
			p = put_hex(p, STR("\\x"), (unsigned char)c);
	}
}
