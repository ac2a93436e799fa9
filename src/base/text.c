/*
 * Text buffers.  All processes: log records, error sentences, JSON, heads.
 *
 * A growing text doubles from 256 bytes.  A fixed one that was too small
 * takes nothing any more, so that what it holds is always the beginning
 * of the whole; an escape sequence or a character of several bytes that
 * does not fit is left out entirely.  The escaping functions copy runs of
 * plain bytes in one go and look at the others one by one.
 */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/must.h"
#include "base/put.h"

#define CAP_MIN	256
#define DIRECT	4096	/* room for the worst that is made of so much */

#define FOR_JSON	1
#define FOR_HTML	2

/* Printable bytes that are not copied, and for whom. */
static const unsigned char special[128] = {
	['"'] = FOR_JSON | FOR_HTML, ['\\'] = FOR_JSON, ['&'] = FOR_HTML,
	['<'] = FOR_HTML, ['>'] = FOR_HTML, ['\''] = FOR_HTML,
};

/* Writes what s begins with, which is not plain; returns how long it was. */
typedef size_t (*escape_fn)(struct text *, struct str);

void
text_init(struct text *t)
{
	*t = (struct text){ .grows = true };
}

void
text_init_fixed(struct text *t, char *mem, size_t cap)
{
	*t = (struct text){ .p = mem, .cap = cap };
}

/* A growing text is empty afterwards and may be used again. */
void
text_fini(struct text *t)
{
	if (!t->grows)
		return;
	free(t->p);
	text_init(t);
}

struct str
text_str(const struct text *t)
{
	return str_make(t->p, t->n);
}

static void
grow(struct text *t, size_t n)
{
	size_t	cap = t->cap == 0 ? CAP_MIN : t->cap;

	must(n <= SIZE_MAX / 2 - t->n);
	while (cap - t->n < n)
		cap *= 2;
	t->p = must_realloc(t->p, cap);
	t->cap = cap;
}

/* How many of n bytes may be written now: all of them when it grows. */
static size_t
make_room(struct text *t, size_t n)
{
	size_t	room = t->cap - t->n;

	if (t->cut)
		return 0;
	if (n <= room)
		return n;
	if (t->grows) {
		grow(t, n);
		return n;
	}
	t->cut = true;
	return room;
}

void
text_add_slow(struct text *t, struct str s)
{
	size_t	n = make_room(t, s.n);

	if (n == 0)
		return;
	memcpy(t->p + t->n, s.p, n);
	t->n += n;
}

char *
text_room_slow(struct text *t, size_t n)
{
	char	*p;

	if (make_room(t, n) != n)
		return NULL;
	p = t->p + t->n;
	t->n += n;
	return p;
}

void
text_c(struct text *t, char c)
{
	if (make_room(t, 1) == 1)
		t->p[t->n++] = c;
}

/* All of s or nothing. */
static void
add_whole(struct text *t, struct str s)
{
	char	*p = text_room(t, s.n);

	if (p != NULL && s.n > 0)
		memcpy(p, s.p, s.n);
}

void
text_u64(struct text *t, uint64_t v)
{
	char	buf[PUT_U64_MAX];

	text_add(t, str_make(buf, (size_t)(put_u64(buf, v) - buf)));
}

void
text_i64(struct text *t, int64_t v)
{
	if (v < 0)
		text_c(t, '-');
	/* Negated as unsigned: -INT64_MIN has no room in an int64_t. */
	text_u64(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void
text_fmt(struct text *t, const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	text_vfmt(t, fmt, ap);
	va_end(ap);
}

/* By way of a buffer, for vsnprintf wants room for a NUL of its own. */
void
text_vfmt(struct text *t, const char *fmt, va_list ap)
{
	char	 buf[512];
	char	*p = buf;
	va_list	 again;
	int	 n;

	va_copy(again, ap);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	must(n >= 0);
	if ((size_t)n >= sizeof(buf)) {
		p = must_alloc((size_t)n + 1);
		vsnprintf(p, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	text_add(t, str_make(p, (size_t)n));
	if (p != buf)
		free(p);
}

/* Adds "<pre>HH", a byte in hex. */
static void
add_hex(struct text *t, struct str pre, unsigned char c)
{
	char	buf[8];

	memcpy(buf, pre.p, pre.n);
	enc_hex(&c, 1, buf + pre.n);
	add_whole(t, str_make(buf, pre.n + 2));
}

/* A character of several bytes, copied; 0 if there is none. */
static size_t
copy_wide(struct text *t, struct str s)
{
	size_t	n = enc_utf8_len(s);

	if (n <= 1)
		return 0;
	add_whole(t, str_make(s.p, n));
	return n;
}

static size_t
escape_json(struct text *t, struct str s)
{
	char	buf[8];
	size_t	used;
	char	*end = put_json_escape(buf, s, &used);

	add_whole(t, str_make(buf, (size_t)(end - buf)));
	return used;
}

static size_t
escape_safe(struct text *t, struct str s)
{
	size_t	n = enc_is_c1(s) ? 0 : copy_wide(t, s);

	if (n != 0)
		return n;
	add_hex(t, STR("\\x"), (unsigned char)*s.p);
	return 1;
}

/* Controls and bytes that are no UTF-8 stay as they are. */
static size_t
escape_html(struct text *t, struct str s)
{
	size_t	n = copy_wide(t, s);

	if (n != 0)
		return n;
	switch (*s.p) {
	case '&':
		add_whole(t, STR("&amp;"));
		break;
	case '<':
		add_whole(t, STR("&lt;"));
		break;
	case '>':
		add_whole(t, STR("&gt;"));
		break;
	case '"':
		add_whole(t, STR("&quot;"));
		break;
	case '\'':
		add_whole(t, STR("&#39;"));
		break;
	default:
		text_c(t, *s.p);
	}
	return 1;
}

static bool
is_plain(unsigned char c, unsigned reader)
{
	return c >= 0x20 && c < 0x7f && (special[c] & reader) == 0;
}

static void
add_escaped(struct text *t, struct str s, unsigned reader, escape_fn escape)
{
	size_t	i = 0;

	while (s.n > 0) {
		while (i < s.n && is_plain((unsigned char)s.p[i], reader))
			i++;
		text_add(t, str_make(s.p, i));
		s = str_sub(s, i, s.n);
		if (s.n == 0)
			break;
		i = escape(t, s);
		s = str_sub(s, i, s.n);
		i = 0;
	}
}

void
text_json(struct text *t, struct str s)
{
	size_t	most = PUT_JSON_MAX(s.n);

	if (s.n <= DIRECT && !t->cut && (t->grows || most <= t->cap - t->n)) {
		t->n = (size_t)(put_json(text_room(t, most), s) - t->p);
		return;
	}
	text_c(t, '"');
	add_escaped(t, s, FOR_JSON, escape_json);
	text_c(t, '"');
}

void
text_safe(struct text *t, struct str s)
{
	add_escaped(t, s, 0, escape_safe);
}

void
text_html(struct text *t, struct str s)
{
	add_escaped(t, s, FOR_HTML, escape_html);
}

/* The largest unit that leaves no rest: reading it back gives the same. */
void
text_size(struct text *t, uint64_t bytes)
{
	static const char	units[] = "kmg";
	size_t			i = 0;

	while (bytes != 0 && bytes % 1024 == 0 && i < sizeof(units) - 1) {
		bytes /= 1024;
		i++;
	}
	text_u64(t, bytes);
	if (i > 0)
		text_c(t, units[i - 1]);
}

void
text_time(struct text *t, uint64_t ms)
{
	static const struct {
		uint64_t	ms;
		struct str	name;
	} units[] = {
		{ 86400000, STR_INIT("d") },
		{ 3600000, STR_INIT("h") },
		{ 60000, STR_INIT("m") },
		{ 1000, STR_INIT("s") },
		{ 1, STR_INIT("ms") },
	};
	size_t			i = 0;

	if (ms == 0) {
		text_add(t, STR("0s"));
		return;
	}
	while (ms % units[i].ms != 0)
		i++;
	text_u64(t, ms / units[i].ms);
	text_add(t, units[i].name);
}
