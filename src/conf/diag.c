/*
 * Diagnostics: collected here, printed once.  Builder, -t and tools.
 *
 * A diagnostic keeps a window of the line it speaks of, so that it stands
 * on its own and a value of 64 KiB does not flood a terminal.  What is
 * told twice (a bad value that several sections inherit) is kept once.
 * Errors go before warnings when there are more than DIAG_MAX; what is
 * chosen is printed in the order of the files.
 */
#include "conf/diag.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/enc.h"
#include "base/must.h"
#include "base/vec.h"
#include "conf/int.h"

#define KEEP_MAX	1000	/* kept; the others are only counted */
#define WINDOW		100	/* bytes of a line that are shown */
#define BEFORE		40	/* of these before the caret, if cut */
#define SECRET_MIN	4	/* shorter ones are not looked for */

struct diag {
	enum diag_id	 id;
	size_t		 seq;
	struct str	 file;
	unsigned	 line;
	unsigned	 col;
	struct str	 window;	/* of the line; n == 0: none */
	size_t		 at;		/* caret's offset in it */
	size_t		 len;		/* of what is underlined */
	struct str	 section;
	struct str	 key;
	struct str	 text;
	struct str	 hint;
};

struct diags {
	struct arena	 arena;
	struct vec	 v;		/* struct diag */
	struct vec	 secrets;	/* struct str, of arena */
	unsigned	 errors;
	unsigned	 warnings;
	unsigned	 notices;
	bool		 ids[DIAG_NID];
	bool		 color;
	bool		 open;		/* the last one was kept: hints */
};

static const struct {
	const char	*code;
	const char	*fix;
} kinds[DIAG_NID] = {
#define DIAG(id, name, fix)	[DIAG_##name] = { id, fix },
#include "conf/diag.tbl"
#undef DIAG
};

struct diags *
diag_new(void)
{
	struct diags	*d = must_calloc(1, sizeof(*d));

	arena_init(&d->arena, NULL);
	vec_init(&d->v, sizeof(struct diag));
	vec_init(&d->secrets, sizeof(struct str));
	return d;
}

void
diag_free(struct diags **dp)
{
	struct diags	*d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	vec_fini(&d->v);
	vec_fini(&d->secrets);
	arena_fini(&d->arena);
	free(d);
}

const char *
diag_code(enum diag_id id)
{
	must(id < DIAG_NID);
	return kinds[id].code;
}

const char *
diag_fix(enum diag_id id)
{
	must(id < DIAG_NID);
	return kinds[id].fix;
}

void
diag_secret(struct diags *d, struct str s)
{
	if (s.n >= SECRET_MIN)
		*(struct str *)vec_push(&d->secrets) =
		    arena_dup(&d->arena, s);
}

bool
diag_has_room(const struct diags *d)
{
	return d->v.n < KEEP_MAX;
}

/* s with every occurrence of one secret replaced by stars. */
static struct str
scrub_one(struct diags *d, struct str s, struct str secret)
{
	const char	*at;
	struct text	 t;

	if (s.n == 0 || memmem(s.p, s.n, secret.p, secret.n) == NULL)
		return s;
	text_init(&t);
	while ((at = memmem(s.p, s.n, secret.p, secret.n)) != NULL) {
		text_add(&t, str_make(s.p, (size_t)(at - s.p)));
		text_add(&t, STR("***"));
		s = str_sub(s, (size_t)(at - s.p) + secret.n, s.n);
	}
	text_add(&t, s);
	s = arena_dup(&d->arena, text_str(&t));
	text_fini(&t);
	return s;
}

static struct str
scrub(struct diags *d, struct str s)
{
	size_t	i;

	for (i = 0; i < d->secrets.n; i++)
		s = scrub_one(d, s, *(struct str *)vec_at(&d->secrets, i));
	return s;
}

/* Cuts the part of the line that is shown, on whole characters. */
static void
set_window(struct diags *d, struct diag *g, const struct conf_span *at)
{
	size_t		 off = at->col - 1;
	size_t		 from = 0;
	size_t		 to = at->text.n;

	if (off > to)
		off = to;
	if (to > WINDOW) {
		from = off > BEFORE ? off - BEFORE : 0;
		if (to - from > WINDOW)
			to = from + WINDOW;
		while (from < off && (at->text.p[from] & 0xc0) == 0x80)
			from++;
		while (to > off && to < at->text.n &&
		    (at->text.p[to] & 0xc0) == 0x80)
			to--;
	}
	g->window = arena_dup(&d->arena, str_sub(at->text, from, to));
	g->at = off - from;
	g->len = at->len == 0 ? 1 : at->len;
	if (g->len > to - off)
		g->len = to > off ? to - off : 1;
	if (from > 0) {
		g->window = arena_fmt(&d->arena, "...%.*s",
		    STR_FMT(g->window));
		g->at += 3;
	}
	if (to < at->text.n)
		g->window = arena_fmt(&d->arena, "%.*s...",
		    STR_FMT(g->window));
}

static void
set_place(struct diags *d, struct diag *g, const struct conf_span *at)
{
	if (at == NULL || at->file == NULL)
		return;
	g->file = arena_dup(&d->arena, str_from(at->file));
	g->line = at->line;
	g->col = at->col;
	if (at->col > 0 && at->text.n > 0)
		set_window(d, g, at);
}

static bool
is_same(const struct diag *a, const struct diag *b)
{
	return a->id == b->id && a->line == b->line && a->col == b->col &&
	    str_eq(a->key, b->key) && str_eq(a->text, b->text) &&
	    str_eq(a->file, b->file);
}

static bool
is_told(const struct diags *d, const struct diag *g)
{
	size_t	i;

	for (i = 0; i < d->v.n; i++)
		if (is_same(vec_at(&d->v, i), g))
			return true;
	return false;
}

static void
count(struct diags *d, enum diag_id id)
{
	d->ids[id] = true;
	switch (kinds[id].code[0]) {
	case 'E':
		d->errors++;
		break;
	case 'W':
		d->warnings++;
		break;
	default:
		d->notices++;
	}
}

/*
 * A kept warning that gives way to an error when all places are taken,
 * or NULL.
 */
static struct diag *
find_place(struct diags *d, enum diag_id id)
{
	size_t		 i;
	struct diag	*g;

	if (d->v.n < KEEP_MAX)
		return vec_push(&d->v);
	if (kinds[id].code[0] != 'E')
		return NULL;
	for (i = d->v.n; i-- > 0;) {
		g = vec_at(&d->v, i);
		if (kinds[g->id].code[0] != 'E') {
			/* Last again, for the hint that may follow. */
			*g = *(struct diag *)vec_at(&d->v, d->v.n - 1);
			return vec_at(&d->v, d->v.n - 1);
		}
	}
	return NULL;
}

static void
add(struct diags *d, struct diag *g)
{
	struct diag	*to;

	d->open = false;
	g->text = scrub(d, g->text);
	if (is_told(d, g))
		return;
	count(d, g->id);
	to = find_place(d, g->id);
	if (to == NULL)
		return;
	g->seq = d->errors + d->warnings + d->notices;
	*to = *g;
	d->open = true;
}

void
diag_sect(struct diags *d, enum diag_id id, const struct conf_span *at,
    struct str section, struct str key, const char *fmt, ...)
{
	struct diag	g = { .id = id };
	va_list		ap;

	must(id < DIAG_NID);
	set_place(d, &g, at);
	g.section = arena_dup(&d->arena, section);
	g.key = arena_dup(&d->arena, key);
	va_start(ap, fmt);
	g.text = arena_vfmt(&d->arena, fmt, ap);
	va_end(ap);
	add(d, &g);
}

void
diag_at(struct diags *d, enum diag_id id, const struct conf_span *at,
    const struct conf_obj *obj, const char *key, const char *fmt, ...)
{
	struct diag	g = { .id = id };
	va_list		ap;

	must(id < DIAG_NID);
	set_place(d, &g, at);
	if (obj != NULL)
		g.section = arena_fmt(&d->arena, "%s%s%.*s",
		    obj->section->type, obj->name.n > 0 ? " " : "",
		    STR_FMT(obj->name));
	g.key = arena_dup(&d->arena, str_from(key));
	va_start(ap, fmt);
	g.text = arena_vfmt(&d->arena, fmt, ap);
	va_end(ap);
	add(d, &g);
}

void
diag_hint(struct diags *d, const char *fmt, ...)
{
	struct diag	*g;
	va_list		 ap;

	if (!d->open)
		return;
	g = vec_at(&d->v, d->v.n - 1);
	va_start(ap, fmt);
	g->hint = scrub(d, arena_vfmt(&d->arena, fmt, ap));
	va_end(ap);
}

unsigned
diag_errors(const struct diags *d)
{
	return d->errors;
}

unsigned
diag_warnings(const struct diags *d)
{
	return d->warnings;
}

bool
diag_has(const struct diags *d, enum diag_id id)
{
	must(id < DIAG_NID);
	return d->ids[id];
}

bool
diag_is_env(const struct diags *d)
{
	size_t	i;

	for (i = 0; i < DIAG_NID; i++)
		if (d->ids[i] && str_starts(str_from(kinds[i].code),
		    STR("E05")))
			return true;
	return d->ids[DIAG_FILE_OPEN] || d->ids[DIAG_FILE_READ] ||
	    d->ids[DIAG_FILE_TYPE];
}

void
diag_set_color(struct diags *d, bool on)
{
	d->color = on;
}

bool
diag_wants_color(int fd)
{
	const char	*no = getenv("NO_COLOR");
	const char	*term = getenv("TERM");

	if (no != NULL && *no != '\0')
		return false;
	if (term == NULL || str_eq(str_from(term), STR("dumb")))
		return false;
	return isatty(fd) == 1;
}

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
	bool			 ea = kinds[a->id].code[0] == 'E';
	bool			 eb = kinds[b->id].code[0] == 'E';

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
	switch (kinds[g->id].code[0]) {
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
	switch (kinds[g->id].code[0]) {
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

/* What to do about it: the hint, or the fix and where to read on. */
static void
add_advice(struct text *t, const struct diag *g)
{
	if (g->hint.n > 0) {
		text_safe(t, g->hint);
		return;
	}
	text_add(t, str_from(kinds[g->id].fix));
	if (g->key.n > 0 && g->id != DIAG_KEY_UNKNOWN) {
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
	text_fmt(t, "%s[%s]", severity(g), kinds[g->id].code);
	paint(d, t, "0");
	text_add(t, STR(": "));
	text_safe(t, g->text);
	text_c(t, '\n');
	if (g->window.n > 0)
		add_excerpt(d, t, g);
	else if (g->hint.n > 0 || *kinds[g->id].fix != '\0') {
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
	text_fmt(t, "{\"id\":\"%s\"", kinds[g->id].code);
	add_field(t, "severity", str_from(severity(g)));
	add_field(t, "file", g->file);
	text_fmt(t, ",\"line\":%u,\"col\":%u", g->line, g->col);
	add_field(t, "section", g->section);
	add_field(t, "key", g->key);
	add_field(t, "text", g->text);
	add_field(t, "hint", g->hint);
	add_field(t, "fix", str_from(kinds[g->id].fix));
	text_add(t, STR(",\"see\":"));
	if (g->key.n > 0 && g->id != DIAG_KEY_UNKNOWN) {
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

struct str
diag_name(struct conf_load *l, const struct sect *s)
{
	if (s == NULL || s->rows == NULL)
		return STR_NONE;
	return arena_fmt(&l->arena, "%s%s%s%.*s",
	    s->defaults ? "defaults " : "", s->rows->section->type,
	    s->name.n > 0 ? " " : "", STR_FMT(s->name));
}
