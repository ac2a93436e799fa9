/*
 * Diagnostics: collected here, printed once.  Builder, -t and tools.
 *
 * A diagnostic keeps a window of the line it speaks of, so that it stands
 * on its own and a value of 64 KiB does not flood a terminal.  What is
 * told twice (a bad value that several sections inherit) is kept once.
 */
#include "conf/diag.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "base/vec.h"
#include "conf/diag_int.h"
#include "conf/int.h"

#define KEEP_MAX	1000	/* kept; the others are only counted */
#define WINDOW		100	/* bytes of a line that are shown */
#define BEFORE		40	/* of these before the caret, if cut */
#define TOLD_MIN	32	/* places for hashes */
#define SECRET_MIN	4	/* shorter ones are not looked for */

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
	free(d->told);
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

static uint64_t
hash_diag(const struct diag *g)
{
	uint64_t	n[] = { g->id, g->line, g->col, g->key.n, g->text.n };
	uint64_t	h = str_hash(str_make((const char *)n, sizeof(n)),
	    STR_HASH0);

	h = str_hash(g->file, str_hash(g->text, str_hash(g->key, h)));
	return h == 0 ? 1 : h;
}

/* Where the hash is, or where it would go. */
static uint64_t *
find_told(const struct diags *d, uint64_t hash)
{
	size_t	i = (size_t)hash & (d->cap - 1);

	while (d->told[i] != 0 && d->told[i] != hash)
		i = (i + 1) & (d->cap - 1);
	return &d->told[i];
}

static bool
is_told(const struct diags *d, uint64_t hash)
{
	return d->cap > 0 && *find_told(d, hash) != 0;
}

/* At most half of the places are taken. */
static void
set_told(struct diags *d, uint64_t hash)
{
	struct diags	old = *d;
	size_t		i;

	if (++d->ntold * 2 > d->cap) {
		d->cap = d->cap == 0 ? TOLD_MIN : d->cap * 2;
		d->told = must_calloc(d->cap, sizeof(*d->told));
		for (i = 0; i < old.cap; i++)
			if (old.told[i] != 0)
				*find_told(d, old.told[i]) = old.told[i];
		free(old.told);
	}
	*find_told(d, hash) = hash;
}

static void
count(struct diags *d, enum diag_id id)
{
	d->ids[id] = true;
	switch (diag_kind(id)) {
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
	if (diag_kind(id) != 'E')
		return NULL;
	for (i = d->v.n; i-- > 0;) {
		g = vec_at(&d->v, i);
		if (diag_kind(g->id) != 'E') {
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
	uint64_t	 hash;

	d->open = false;
	g->text = scrub(d, g->text);
	hash = hash_diag(g);
	if (is_told(d, hash))
		return;
	count(d, g->id);
	to = find_place(d, g->id);
	if (to == NULL)
		return;
	set_told(d, hash);
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

size_t
diag_kept(const struct diags *d)
{
	return d->v.n;
}

void
diag_own(struct diags *d, size_t from, struct str section)
{
	struct diag	*g;

	for (; from < d->v.n; from++) {
		g = vec_at(&d->v, from);
		if (g->section.n == 0)
			g->section = arena_dup(&d->arena, section);
	}
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
