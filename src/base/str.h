/*
 * A string slice: pointer and length, passed by value.  Nothing here
 * allocates; a slice never owns.  NUL termination exists only at the
 * edges to libc and libraries.  All processes.
 */
#ifndef SL_BASE_STR_H
#define SL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char	*p;
	size_t		 n;
};

/* a slice of a string literal */
#define STR(lit)	((struct str){ "" lit, sizeof(lit) - 1 })
/* the same as a static initialiser */
#define STR_INIT(lit)	{ "" lit, sizeof(lit) - 1 }
/* arguments for "%.*s" */
#define STR_FMT(s)	(int)(s).n, (s).p
#define STR_NONE	((struct str){ NULL, 0 })

static inline struct str
str_make(const char *p, size_t n)
{
	return (struct str){ p, n };
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* The part from from to to (exclusive); both are cut to the length. */
static inline struct str
str_sub(struct str s, size_t from, size_t to)
{
	if (to > s.n)
		to = s.n;
	if (from > to)
		from = to;
	return str_make(from == 0 ? s.p : s.p + from, to - from);
}

/* Four or eight bytes that stand anywhere, as a word of this machine's. */
static inline uint64_t
str_read4(const char *p)
{
	uint32_t	w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static inline uint64_t
str_read8(const char *p)
{
	uint64_t	w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* Slice of a NUL-terminated string from libc or argv; NULL gives STR_NONE. */
struct str str_from(const char *);

/* Equality with ASCII letters folded (field names, RFC 9110 5.1). */
bool str_eq_fold(struct str, struct str);

/* memcmp order, the shorter first when one is a prefix; <0, 0, >0. */
int str_cmp(struct str, struct str);

/* True if it begins with prefix; the empty one begins everything. */
bool str_starts(struct str, struct str prefix);
/* True if it ends with suffix. */
bool str_ends(struct str, struct str suffix);

/* Index of the first c at or after from, or -1. */
ptrdiff_t str_find(struct str, char c, size_t from);

/* Slice without leading and trailing SP and HTAB. */
struct str str_trim(struct str);

/*
 * Takes the next word of *rest, words being split at any byte of seps;
 * empty words are skipped.  False when nothing is left.
 */
bool str_word(struct str *rest, const char *seps, struct str *word);

/*
 * Decimal digits only (no sign, no space), the whole slice, at most max.
 * 0, or -1 with *out untouched.
 */
int str_to_u64(struct str, uint64_t max, uint64_t *out);

/*
 * Copies to a NUL-terminated buffer for a libc call.  -1 when it does
 * not fit or holds a NUL byte.
 */
int str_to_c(struct str, char *dst, size_t size);

/* Edit distance (Levenshtein), cut off at max + 1; names of <= 64 bytes. */
unsigned str_distance(struct str, struct str, unsigned max);

/* Whether there is one of A to Z. */
bool str_has_upper(struct str);

/*
 * 64 bits, for tables of our own names; start with STR_HASH0.  The same on
 * one machine only.
 */
#define STR_HASH0	14695981039346656037ULL
uint64_t str_hash(struct str, uint64_t seed);

#endif
