/*
 * Writing into room that the caller knows to suffice: no bounds are
 * checked.  For lines of which many are written; all else uses a text.
 * Each function returns the place behind what it wrote.  Pure.
 */
#ifndef SL_BASE_PUT_H
#define SL_BASE_PUT_H

#include "base/str.h"

#define PUT_U64_MAX	20			/* digits */
#define PUT_JSON_MAX(n)	(6 * (n) + 2)		/* of a text of n bytes */
#define PUT_SAFE_MAX(n)	(4 * (n))

static inline char *
put_c(char *p, char c)
{
	*p = c;
	return p + 1;
}

/* Short ones by two moves that may overlap: a call costs more than they. */
static inline char *
put_str(char *p, struct str s)
{
	uint64_t	a, b;
	uint32_t	c, d;

	if (s.n > 32)
		memcpy(p, s.p, s.n);
	else if (s.n > 16) {
		memcpy(p, s.p, 16);
		memcpy(p + s.n - 16, s.p + s.n - 16, 16);
	} else if (s.n >= 8) {
		memcpy(&a, s.p, 8);
		memcpy(&b, s.p + s.n - 8, 8);
		memcpy(p, &a, 8);
		memcpy(p + s.n - 8, &b, 8);
	} else if (s.n >= 4) {
		memcpy(&c, s.p, 4);
		memcpy(&d, s.p + s.n - 4, 4);
		memcpy(p, &c, 4);
		memcpy(p + s.n - 4, &d, 4);
	} else
		for (size_t i = 0; i < s.n; i++)
			p[i] = s.p[i];
	return p + s.n;
}

/* Numbers in decimal; put_two and put_four with leading zeroes. */
char *put_u64(char *, uint64_t);
char *put_two(char *, unsigned);	/* 0 to 99 */
char *put_four(char *, unsigned);	/* 0 to 9999 */

/*
 * A JSON string (RFC 8259 7) with its quotes.  Bytes that are not UTF-8
 * become U+FFFD, so that the line always parses.
 */
char *put_json(char *, struct str);
/* What s begins with, which cannot stand plain; *used says how long it was. */
char *put_json_escape(char *, struct str s, size_t *used);

/*
 * For a place between double quotes: they and backslashes with a
 * backslash, controls and all beyond ASCII as \xHH.
 */
char *put_safe(char *, struct str);

#endif
