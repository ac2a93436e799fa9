/*
 * PEM: the blocks of a file, and their bytes.
 */
#include "tls/pem.h"

#define BEGIN	STR("-----BEGIN ")
#define END	STR("-----END ")
#define DASHES	STR("-----")

/* Where what stands in s first; -1 if nowhere. */
static ptrdiff_t
find(struct str s, struct str what)
{
	const char	*p = s.n == 0 ? NULL :
	    memmem(s.p, s.n, what.p, what.n);

	return p == NULL ? -1 : p - s.p;
}

/*
 * The label of the line that s begins with, up to its closing dashes;
 * what follows them goes to *behind.
 */
static bool
cut_label(struct str s, struct str *label, struct str *behind)
{
	ptrdiff_t	end = find(s, DASHES), eol = str_find(s, '\n', 0);

	if (end < 0 || (eol >= 0 && eol < end))
		return false;
	*label = str_sub(s, 0, (size_t)end);
	*behind = str_sub(s, (size_t)end + DASHES.n, s.n);
	return true;
}

/*
 * The fields of old files ("Proc-Type: 4,ENCRYPTED") end at an empty line;
 * base64 has no colon.
 */
static void
skip_fields(struct pem *b)
{
	ptrdiff_t	at = find(b->body, STR("\n\n"));
	size_t		n = 2;

	if (str_find(b->body, ':', 0) < 0)
		return;
	b->sealed = b->sealed || find(b->body, STR("ENCRYPTED")) >= 0;
	if (at < 0) {
		at = find(b->body, STR("\r\n\r\n"));
		n = 4;
	}
	if (at >= 0)
		b->body = str_sub(b->body, (size_t)at + n, b->body.n);
}

bool
pem_next(struct str *rest, struct pem *b)
{
	struct str	label, behind, s;
	ptrdiff_t	at, end;

	while ((at = find(*rest, BEGIN)) >= 0) {
		s = str_sub(*rest, (size_t)at, rest->n);
		*rest = str_sub(s, BEGIN.n, s.n);
		if (!cut_label(*rest, &b->label, &behind))
			continue;
		end = find(behind, END);
		if (end < 0 || !cut_label(str_sub(behind,
		    (size_t)end + END.n, behind.n), &label, rest) ||
		    !str_eq(label, b->label)) {
			*rest = behind;
			continue;
		}
		b->body = str_sub(behind, 0, (size_t)end);
		b->whole = str_make(s.p, (size_t)(rest->p - s.p));
		b->sealed = str_starts(b->label, STR("ENCRYPTED "));
		skip_fields(b);
		return true;
	}
	return false;
}

size_t
pem_room(size_t n)
{
	return n / 4 * 3 + 3;
}

/* The six bits of a digit, -1: a blank, -2: no digit. */
static int
digit(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '/')
		return c == '+' ? 62 : 63;
	return c == '\n' || c == '\r' || c == ' ' || c == '\t' ? -1 : -2;
}

ptrdiff_t
pem_decode(struct str body, char *out)
{
	uint32_t	bits = 0;
	size_t		n = 0, got = 0, pad = 0;
	int		v;

	for (size_t i = 0; i < body.n; i++) {
		v = digit((unsigned char)body.p[i]);
		if (v == -1)
			continue;
		if (body.p[i] == '=' && pad < 2) {
			pad++;
			continue;
		}
		if (v < 0 || pad > 0)
			return -1;
		bits = bits << 6 | (uint32_t)v;
		if (++got % 4 != 0)
			continue;
		out[n++] = (char)(bits >> 16);
		out[n++] = (char)(bits >> 8);
		out[n++] = (char)bits;
	}
	if (got % 4 == 1 || (got + pad) % 4 != 0 || got == 0)
		return -1;
	if (got % 4 >= 2)
		out[n++] = (char)(got % 4 == 2 ? bits >> 4 : bits >> 10);
	if (got % 4 == 3)
		out[n++] = (char)(bits >> 2);
	return (ptrdiff_t)n;
}
