/*
 * Encodings: hex digits and UTF-8.  All processes; pure functions.
 *
 * UTF-8 is checked by the table of RFC 3629, section 4: the lead byte
 * gives the length and the bounds of the second byte, which is where
 * overlong forms, surrogates and values past U+10FFFF are refused.
 */
#include "base/enc.h"

#include <endian.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

int
enc_unhex(char c)
{
	unsigned char	u = (unsigned char)c;

	if (u >= '0' && u <= '9')
		return u - '0';
	u |= 0x20;
	if (u >= 'a' && u <= 'f')
		return u - 'a' + 10;
	return -1;
}

/*
 * Eight digits of four bytes: each half of a byte gets a byte of its own,
 * the first one topmost; those above nine are moved on to the letters.
 */
static uint64_t
hex8(const unsigned char *p)
{
	uint64_t	above, w;

	w = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
	w = (w | w << 16) & 0x0000ffff0000ffffULL;
	w = (w | w << 8) & 0x00ff00ff00ff00ffULL;
	w = (w | w << 4) & 0x0f0f0f0f0f0f0f0fULL;
	above = (w + 0x0606060606060606ULL) >> 4 & 0x0101010101010101ULL;
	return w + 0x3030303030303030ULL + above * ('a' - '0' - 10);
}

#ifdef __SSE2__
/* Sixteen halves of bytes as digits. */
static __m128i
digits_of(__m128i x)
{
	__m128i	above = _mm_cmpgt_epi8(x, _mm_set1_epi8(9));

	above = _mm_and_si128(above, _mm_set1_epi8('a' - '0' - 10));
	return _mm_add_epi8(_mm_add_epi8(x, above), _mm_set1_epi8('0'));
}

/* As many bytes by sixteen as there are; how many those were. */
static size_t
hex_blocks(const unsigned char *p, size_t n, char *out)
{
	const __m128i	half = _mm_set1_epi8(0x0f);
	__m128i		x, hi, lo;
	size_t		i;

	for (i = 0; i + 16 <= n; i += 16) {
		x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		hi = digits_of(_mm_and_si128(_mm_srli_epi16(x, 4), half));
		lo = digits_of(_mm_and_si128(x, half));
		x = _mm_unpacklo_epi8(hi, lo);
		_mm_storeu_si128((__m128i *)(void *)(out + 2 * i), x);
		x = _mm_unpackhi_epi8(hi, lo);
		_mm_storeu_si128((__m128i *)(void *)(out + 2 * i + 16), x);
	}
	return i;
}
#else
static size_t
hex_blocks(const unsigned char *p, size_t n, char *out)
{
	(void)p;
	(void)n;
	(void)out;
	return 0;
}
#endif

void
enc_hex(const void *mem, size_t n, char *out)
{
	static const char	 digits[] = "0123456789abcdef";
	const unsigned char	*p = mem;
	size_t			 done = hex_blocks(p, n, out);
	uint64_t		 w;

	p += done;
	n -= done;
	out += 2 * done;
	for (; n >= 4; n -= 4, p += 4, out += 8) {
		w = htobe64(hex8(p));
		memcpy(out, &w, sizeof(w));
	}
	for (; n > 0; n--, p++) {
		*out++ = digits[*p >> 4];
		*out++ = digits[*p & 15];
	}
}

static bool
is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Lead bytes E0 and ED, F0 and F4 narrow the second byte. */
static bool
is_second(unsigned char lead, unsigned char c)
{
	switch (lead) {
	case 0xe0:
		return c >= 0xa0 && c <= 0xbf;
	case 0xed:
		return c >= 0x80 && c <= 0x9f;
	case 0xf0:
		return c >= 0x90 && c <= 0xbf;
	case 0xf4:
		return c >= 0x80 && c <= 0x8f;
	default:
		return is_tail(c);
	}
}

/* 0 for a byte that cannot lead: tails, C0, C1 and F5 to FF. */
static size_t
count_lead(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

size_t
enc_utf8_len(struct str s)
{
	const unsigned char	*p = (const unsigned char *)s.p;
	size_t			 n;
	size_t			 i;

	if (s.n == 0)
		return 0;
	n = count_lead(p[0]);
	if (n <= 1)
		return n;
	if (n > s.n || !is_second(p[0], p[1]))
		return 0;
	for (i = 2; i < n; i++)
		if (!is_tail(p[i]))
			return 0;
	return n;
}

bool
enc_is_utf8(struct str s)
{
	uint64_t	w;
	size_t		i = 0;
	size_t		n;

	while (i < s.n) {
		/* Nearly all text is ASCII: eight bytes at a time. */
		if (s.n - i >= sizeof(w)) {
			memcpy(&w, s.p + i, sizeof(w));
			if ((w & 0x8080808080808080ULL) == 0) {
				i += sizeof(w);
				continue;
			}
		}
		n = enc_utf8_len(str_make(s.p + i, s.n - i));
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool
enc_is_c1(struct str s)
{
	return s.n > 1 && s.p[0] == '\xc2' && (s.p[1] & 0xe0) == 0x80;
}
