/*
 * String slices.  All processes; pure functions.
 *
 * A slice of nothing may have a NULL pointer, and C does not let one add
 * even zero to that or hand it to memcmp: hence the guards on n.
 */
#include "base/str.h"

#define BYTES(b)	(0x0101010101010101ULL * (b))

struct str
str_from(const char *s)
{
	return s == NULL ? STR_NONE : str_make(s, strlen(s));
}

/*
 * Lower case of eight bytes at once.  Two sums set the top bit of a byte
 * that is at least 'A' and of one that is past 'Z'; where they differ and
 * the byte is ASCII, that bit moved to 0x20 is the one to set.
 */
static uint64_t
fold_word(uint64_t w)
{
	uint64_t	low = w & BYTES(0x7f);
	uint64_t	upper;

	upper = (low + BYTES(0x80 - 'A')) ^ (low + BYTES(0x7f - 'Z'));
	upper &= ~w & BYTES(0x80);
	return w | upper >> 2;
}

static uint64_t
fold8(const char *p)
{
	return fold_word(str_read8(p));
}

/* Of four to seven bytes: the first four, and the last four. */
static uint64_t
fold4(const char *p, size_t n)
{
	return fold_word(str_read4(p) | str_read4(p + n - 4) << 32);
}

static bool
is_same_fold(unsigned char a, unsigned char b)
{
	unsigned char	d = a ^ b;

	return d == 0 ||
	    (d == 0x20 && (unsigned char)((a | 0x20) - 'a') < 26);
}

bool
str_eq_fold(struct str a, struct str b)
{
	size_t	i;

	if (a.n != b.n)
		return false;
	if (a.n >= 4 && a.n < 8)
		return fold4(a.p, a.n) == fold4(b.p, b.n);
	if (a.n < 4) {
		for (i = 0; i < a.n; i++)
			if (!is_same_fold((unsigned char)a.p[i],
			    (unsigned char)b.p[i]))
				return false;
		return true;
	}
	for (i = 0; i + 8 <= a.n; i += 8)
		if (fold8(a.p + i) != fold8(b.p + i))
			return false;
	/* The rest is looked at as the last eight, some of them again. */
	return fold8(a.p + a.n - 8) == fold8(b.p + b.n - 8);
}

int
str_cmp(struct str a, struct str b)
{
	size_t	n = a.n < b.n ? a.n : b.n;
	int	d = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (d != 0)
		return d;
	return (a.n > b.n) - (a.n < b.n);
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_make(s.p, prefix.n), prefix);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && (suffix.n == 0 ||
	    memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

ptrdiff_t
str_find(struct str s, char c, size_t from)
{
	const char	*p;

	if (from >= s.n)
		return -1;
	p = memchr(s.p + from, c, s.n - from);
	return p == NULL ? -1 : p - s.p;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	while (s.n > 0 && is_space(*s.p)) {
		s.p++;
		s.n--;
	}
	return s;
}

/* A set of bytes, for one look per byte instead of a search. */
struct byteset {
	uint64_t	bits[4];
};

static struct byteset
make_set(const char *bytes)
{
	struct byteset	set = { { 0 } };
	const char	*p;

	for (p = bytes; *p != '\0'; p++)
		set.bits[(unsigned char)*p / 64] |=
		    1ULL << (unsigned char)*p % 64;
	return set;
}

static bool
set_has(const struct byteset *set, char c)
{
	return set->bits[(unsigned char)c / 64] >> (unsigned char)c % 64 & 1;
}

bool
str_word(struct str *rest, const char *seps, struct str *word)
{
	const struct byteset	set = make_set(seps);
	const char		*p = rest->p;
	size_t			 from = 0;
	size_t			 to;

	while (from < rest->n && set_has(&set, p[from]))
		from++;
	for (to = from; to < rest->n && !set_has(&set, p[to]);)
		to++;
	*rest = str_sub(*rest, to, rest->n);
	if (from == to)
		return false;
	*word = str_make(p + from, to - from);
	return true;
}

int
str_to_u64(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t	v = 0;
	uint64_t	most = max / 10;
	uint64_t	last = max % 10;
	unsigned	d;
	size_t		i;

	if (s.n == 0)
		return -1;
	for (i = 0; i < s.n; i++) {
		d = (unsigned char)s.p[i] - (unsigned)'0';
		if (d > 9 || v > most || (v == most && d > last))
			return -1;
		v = v * 10 + d;
	}
	*out = v;
	return 0;
}

int
str_to_c(struct str s, char *dst, size_t size)
{
	if (s.n >= size || str_find(s, '\0', 0) >= 0)
		return -1;
	if (s.n != 0)
		memcpy(dst, s.p, s.n);
	dst[s.n] = '\0';
	return 0;
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned	m = a < b ? a : b;

	return m < c ? m : c;
}

/*
 * One row of the matrix is kept; diag is the value up and to the left.
 * Only the band that at most max edits can reach is looked at: what lies
 * beside it has more.
 */
static unsigned
measure(struct str a, struct str b, unsigned max)
{
	unsigned	row[65];
	unsigned	diag;
	unsigned	up;
	size_t		i;
	size_t		j;

	for (j = 0; j <= b.n; j++)
		row[j] = (unsigned)j;
	for (i = 1; i <= a.n; i++) {
		j = i > max ? i - max : 1;
		diag = row[j - 1];
		row[j - 1] = j == 1 ? (unsigned)i : max + 1;
		for (; j <= b.n && j <= i + max; j++) {
			up = row[j];
			row[j] = min3(up + 1, row[j - 1] + 1,
			    diag + (a.p[i - 1] != b.p[j - 1]));
			diag = up;
		}
	}
	return row[b.n];
}

unsigned
str_distance(struct str a, struct str b, unsigned max)
{
	unsigned	d;

	if (max > 64)
		max = 64;
	if (a.n > 64 || b.n > 64 || a.n > b.n + max || b.n > a.n + max)
		return max + 1;
	d = measure(a, b, max);
	return d > max ? max + 1 : d;
}

/* The odd number next to 2^64 over the golden ratio. */
static uint64_t
stir(uint64_t h, uint64_t w)
{
	h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

/* Eight bytes at a time; the rest is looked at as str_eq_fold does. */
static uint64_t
stir_all(struct str s, uint64_t seed)
{
	uint64_t	h = stir(seed, s.n);
	size_t		i;

	if (s.n >= 8) {
		for (i = 0; i + 8 < s.n; i += 8)
			h = stir(h, str_read8(s.p + i));
		return stir(h, str_read8(s.p + s.n - 8));
	}
	if (s.n >= 4)
		return stir(h, str_read4(s.p) | str_read4(s.p + s.n - 4) << 32);
	for (i = 0; i < s.n; i++)
		h = stir(h, (unsigned char)s.p[i]);
	return h;
}

/*
 * The last bytes of a word end in the upper bits of a product: stirred
 * once more, they reach the lower ones, which tables take.
 */
uint64_t
str_hash(struct str s, uint64_t seed)
{
	return stir(stir_all(s, seed), 0);
}

bool
str_has_upper(struct str s)
{
	size_t	i;

	for (i = 0; i + 8 <= s.n; i += 8)
		if (fold8(s.p + i) != str_read8(s.p + i))
			return true;
	for (; i < s.n; i++)
		if ((unsigned char)(s.p[i] - 'A') < 26)
			return true;
	return false;
}
