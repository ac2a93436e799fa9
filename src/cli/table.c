/*
 * Aligned tables.  sluicectl.  Cells are collected, then each column is
 * made as wide as its widest cell.  Two blanks part columns; lines carry
 * none at their end.
 */
#include "cli/table.h"

#include "base/must.h"

struct cell {
	size_t	off;
	size_t	n;
};

void
table_init(struct table *t, const char *const *head)
{
	*t = (struct table){ .head = head };
	while (head[t->ncol] != NULL)
		t->ncol++;
	must(t->ncol > 0 && t->ncol <= TABLE_COLS);
	text_init(&t->text);
	vec_init(&t->cells, sizeof(struct cell));
}

void
table_fini(struct table *t)
{
	text_fini(&t->text);
	vec_fini(&t->cells);
}

void
table_str(struct table *t, struct str s)
{
	struct cell *c = vec_push(&t->cells);

	c->off = t->text.n;
	text_safe(&t->text, s);
	c->n = t->text.n - c->off;
}

void
table_fmt(struct table *t, const char *fmt, ...)
{
	struct text x;
	va_list ap;

	text_init(&x);
	va_start(ap, fmt);
	text_vfmt(&x, fmt, ap);
	va_end(ap);
	table_str(t, text_str(&x));
	text_fini(&x);
}

static bool
is_right(const struct table *t, size_t col)
{
	return t->head[col][0] == '>';
}

static struct str
head_of(const struct table *t, size_t col)
{
	return str_from(t->head[col] + is_right(t, col));
}

/* The text may have moved since: cells are offsets. */
static struct str
cell_of(const struct table *t, size_t i)
{
	const struct cell *c = vec_at(&t->cells, i);

	return str_make(t->text.p + c->off, c->n);
}

static void
put_blanks(struct text *out, size_t n)
{
	while (n-- > 0)
		text_c(out, ' ');
}

/* A cell, filled up with blanks to its column's width. */
static void
put(const struct table *t, struct text *out, size_t col, size_t width,
    struct str s)
{
	size_t blanks = width - s.n;

	if (col > 0)
		put_blanks(out, 2);
	if (is_right(t, col))
		put_blanks(out, blanks);
	text_add(out, s);
	if (!is_right(t, col))
		put_blanks(out, blanks);
}

/* Whoever copies a line wants no blanks behind it. */
static void
end_line(struct text *out)
{
	while (out->n > 0 && out->p[out->n - 1] == ' ')
		out->n--;
	text_c(out, '\n');
}

void
table_print(const struct table *t, unsigned indent, struct text *out)
{
	size_t width[TABLE_COLS], i;

	for (i = 0; i < t->ncol; i++)
		width[i] = head_of(t, i).n;
	for (i = 0; i < t->cells.n; i++)
		if (cell_of(t, i).n > width[i % t->ncol])
			width[i % t->ncol] = cell_of(t, i).n;
	put_blanks(out, indent);
	for (i = 0; i < t->ncol; i++)
		put(t, out, i, width[i], head_of(t, i));
	end_line(out);
	for (i = 0; i < t->cells.n; i++) {
		if (i % t->ncol == 0)
			put_blanks(out, indent);
		put(t, out, i % t->ncol, width[i % t->ncol], cell_of(t, i));
		if (i % t->ncol == t->ncol - 1)
			end_line(out);
	}
}
