/*
 * Diagnostics as text for people and as JSON.  Builder, -t and tools.
 *
 * Errors go before warnings when there are more than DIAG_MAX; what is
 * chosen is printed in the order of the files.  The line is shown as a
 * terminal may have it, so columns are counted, not bytes.
 */
#include <stdlib.h>

#include "base/enc.h"
#include "base/must.h"
#include "conf/diag_int.h"

static int
by_place(const void *pa, const void *pb)
{
	const struct diag	*a = *(struct diag *const *)pa;
	const struct diag	*b = *(struct diag *const *)pb;
	int			 r = str_cmp(a->file, b->file);

	if (r != 0)
		return r;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->col != b->col)
		return a->col < b->col ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int
by_weight(const void *pa, const void *pb)
{
	const struct diag	*a = *(struct diag *const *)pa;
	const struct diag	*b = *(struct diag *const *)pb;
	bool			 ea = diag_kind(a->id) == 'E';
	bool			 eb = diag_kind(b->id) == 'E';

	if (ea != eb)
		return ea ? -1 : 1;
	return by_place(pa, pb);
}

/* Pointers to what is printed, in order; *n of them, own. */
static struct diag **
choose(struct diags *d, size_t *n)
{
	struct diag	**all = must_calloc(d->v.n + 1, sizeof(*all));
	size_t		  i;

	for (i = 0; i < d->v.n; i++)
		all[i] = vec_at(&d->v, i);
	qsort(all, d->v.n, sizeof(*all), by_weight);
	*n = d->v.n < DIAG_MAX ? d->v.n : DIAG_MAX;
	qsort(all, *n, sizeof(*all), by_place);
	return all;
}

static const char *
severity(const struct diag *g)
{
	switch (diag_kind(g->id)) {
	case 'E':
		return "error";
	case 'W':
		return "warning";
	default:
		return "notice";
	}
}

static void
paint(const struct diags *d, struct text *t, const char *how)
{
	if (d->color)
		text_fmt(t, "\033[%sm", how);
}

static const char *
pick_color(const struct diag *g)
{
	switch (diag_kind(g->id)) {
	case 'E':
		return "1;31";
	case 'W':
		return "1;33";
	default:
		return "1;36";
	}
}

/*
 * One character of a line as a terminal may have it, a tab as a blank;
 * returns its bytes and, in *width, its columns.
 */
static size_t
add_char(struct text *t, struct str s, size_t *width)
{
	size_t	n = enc_utf8_len(s);
	size_t	before = t->n;

	if (*s.p == '\t') {
		text_c(t, ' ');
		*width = 1;
		return 1;
	}
	if (n == 0)
		n = 1;
	text_safe(t, str_sub(s, 0, n));
	*width = n > 1 && t->n - before == n ? 1 : t->n - before;
	return n;
}

/* The line and, in columns, where the caret begins and ends. */
static void
add_window(struct text *t, const struct diag *g, size_t *from, size_t *to)
{
	struct str	s = g->window;
	size_t		i = 0;
	size_t		col = 0;
	size_t		w;

	*from = *to = 0;
	while (i < s.n) {
		if (i <= g->at)
			*from = col;
		i += add_char(t, str_sub(s, i, s.n), &w);
		col += w;
		if (i <= g->at)
			*from = col;
		if (i <= g->at + g->len)
			*to = col;
	}
	if (*to <= *from)
		*to = *from + 1;
}

/* True if the reference has something on the key. */
static bool
is_key_known(const struct diag *g)
{
	return g->key.n > 0 && g->id != DIAG_KEY_UNKNOWN &&
	    g->id != DIAG_KEY_LATER && g->id != DIAG_KEY_OUTSIDE;
}

/* What to do about it: the hint, or the fix and where to read on. */
static void
add_advice(struct text *t, const struct diag *g)
{
	if (g->hint.n > 0) {
		text_safe(t, g->hint);
		return;
	}
	text_add(t, str_from(diag_fix(g->id)));
	if (is_key_known(g)) {
		text_add(t, STR("; see sluice.conf(5) "));
		text_safe(t, g->key);
	}
}

static void
add_excerpt(const struct diags *d, struct text *t, const struct diag *g)
{
	size_t	from;
	size_t	to;

	if (g->line > 0)
		text_fmt(t, "%5u | ", g->line);
	else
		text_add(t, STR("      | "));
	add_window(t, g, &from, &to);
	text_fmt(t, "\n      | %*s", (int)from, "");
	paint(d, t, "32");
	for (; from < to; from++)
		text_c(t, '^');
	text_c(t, ' ');
	add_advice(t, g);
	paint(d, t, "0");
	text_c(t, '\n');
}

static void
add_one(const struct diags *d, struct text *t, const struct diag *g)
{
	if (g->file.n > 0) {
		text_safe(t, g->file);
		if (g->line > 0)
			text_fmt(t, ":%u", g->line);
		if (g->line > 0 && g->col > 0)
			text_fmt(t, ":%u", g->col);
		text_add(t, STR(": "));
	}
	paint(d, t, pick_color(g));
	text_fmt(t, "%s[%s]", severity(g), diag_code(g->id));
	paint(d, t, "0");
	text_add(t, STR(": "));
	text_safe(t, g->text);
	text_c(t, '\n');
	if (g->window.n > 0)
		add_excerpt(d, t, g);
	else if (g->hint.n > 0 || *diag_fix(g->id) != '\0') {
		text_add(t, STR("      = "));
		add_advice(t, g);
		text_c(t, '\n');
	}
}

static void
add_count(struct text *t, unsigned n, const char *what, bool *any)
{
	if (n == 0)
		return;
	text_fmt(t, "%s%u %s%s", *any ? ", " : "", n, what,
	    n == 1 ? "" : "s");
	*any = true;
}

void
diag_print(struct diags *d, struct text *t, const char *verdict)
{
	size_t		  n;
	size_t		  i;
	struct diag	**v = choose(d, &n);
	unsigned	  all = d->errors + d->warnings + d->notices;
	bool		  any = false;

	for (i = 0; i < n; i++)
		add_one(d, t, v[i]);
	free(v);
	if (all > n)
		text_fmt(t, "(%u more not shown)\n", all - (unsigned)n);
	add_count(t, d->errors, "error", &any);
	add_count(t, d->warnings, "warning", &any);
	add_count(t, d->notices, "notice", &any);
	if (verdict != NULL && *verdict != '\0') {
		text_add(t, any ? STR(" - ") : STR(""));
		text_add(t, str_from(verdict));
		any = true;
	}
	if (any)
		text_c(t, '\n');
}

static void
add_field(struct text *t, const char *name, struct str value)
{
	text_fmt(t, ",\"%s\":", name);
	text_json(t, value);
}

static void
add_json(struct text *t, const struct diag *g)
{
	text_fmt(t, "{\"id\":\"%s\"", diag_code(g->id));
	add_field(t, "severity", str_from(severity(g)));
	add_field(t, "file", g->file);
	text_fmt(t, ",\"line\":%u,\"col\":%u", g->line, g->col);
	add_field(t, "section", g->section);
	add_field(t, "key", g->key);
	add_field(t, "text", g->text);
	add_field(t, "hint", g->hint);
	add_field(t, "fix", str_from(diag_fix(g->id)));
	text_add(t, STR(",\"see\":"));
	if (is_key_known(g)) {
		struct text	see;

		text_init(&see);
		text_add(&see, STR("sluice.conf(5) "));
		text_add(&see, g->key);
		text_json(t, text_str(&see));
		text_fini(&see);
	} else
		text_json(t, STR("sluice.conf(5)"));
	text_c(t, '}');
}

void
diag_json(struct diags *d, struct text *t)
{
	size_t		  n;
	size_t		  i;
	struct diag	**v = choose(d, &n);

	text_fmt(t, "{\"v\":1,\"errors\":%u,\"warnings\":%u,"
	    "\"diagnostics\":[", d->errors, d->warnings);
	for (i = 0; i < n; i++) {
		if (i > 0)
			text_c(t, ',');
		add_json(t, v[i]);
	}
	text_add(t, STR("]}\n"));
	free(v);
}
