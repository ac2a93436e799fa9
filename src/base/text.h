/*
 * A text buffer that grows: what messages, JSON lines, heads and dumps
 * are written into.  Either growing (malloc) or over fixed memory, where
 * what does not fit is cut and `cut` says so.
 */
#ifndef SL_BASE_TEXT_H
#define SL_BASE_TEXT_H

#include <stdarg.h>

#include "base/str.h"

struct text {
	char	*p;		/* own when grows, else the caller's */
	size_t	 n;
	size_t	 cap;
	bool	 grows:1;
	bool	 cut:1;		/* a fixed one was too small */
};

void text_init(struct text *);
void text_init_fixed(struct text *, char *mem, size_t cap);
void text_fini(struct text *);
/* What was written so far; valid until the next addition. */
struct str text_str(const struct text *);

/* What text_add and text_room do where that does not fit. */
void text_add_slow(struct text *, struct str);
char *text_room_slow(struct text *, size_t n);

static inline void
text_add(struct text *t, struct str s)
{
	if (s.n > t->cap - t->n || t->cut) {
		text_add_slow(t, s);
		return;
	}
	if (s.n > 0)
		memcpy(t->p + t->n, s.p, s.n);
	t->n += s.n;
}
/*
 * n bytes that count as added and that the caller fills, all of them;
 * NULL, with cut set, where they do not fit.
 */
static inline char *
text_room(struct text *t, size_t n)
{
	if (n > t->cap - t->n || t->cut)
		return text_room_slow(t, n);
	t->n += n;
	return t->p + t->n - n;
}
/* Adds one byte. */
void text_c(struct text *, char);
/* Add a number in decimal. */
void text_u64(struct text *, uint64_t);
void text_i64(struct text *, int64_t);
/* Add as printf does. */
void text_fmt(struct text *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void text_vfmt(struct text *, const char *fmt, va_list)
    __attribute__((format(printf, 2, 0)));

/*
 * Adds a JSON string (RFC 8259 7) with its quotes.  Bytes that are not
 * UTF-8 become U+FFFD, so that the line always parses.
 */
void text_json(struct text *, struct str);

/* Adds text with control bytes, DEL and non-UTF-8 as \xHH: for terminals. */
void text_safe(struct text *, struct str);

/* Adds text with & < > " ' replaced by entities. */
void text_html(struct text *, struct str);

/* 10240 -> "10k" style sizes and 1500 -> "1500ms", "3s": as config reads. */
void text_size(struct text *, uint64_t bytes);
void text_time(struct text *, uint64_t ms);

#endif
