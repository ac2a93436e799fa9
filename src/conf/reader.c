/*
 * A file's logical lines, by way of libinih, to raw sections.  Builder and
 * tools.
 *
 * libinih cuts lines at 200 bytes and names at 49, eats what follows a
 * semicolon, tells no line numbers and keeps quiet about empty sections.
 * So it gets one canonical short line for each of ours, "[#12]" or
 * "k = #345", numbers being indexes into the tables below; behind each
 * header an "o = #12" makes it speak even if the section is empty.  The
 * handler finds words, places and any length through the indexes.
 */
#include <ini.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "conf/int.h"
#include "conf/lines.h"

/* a header line */
struct head {
	struct str	text;
	struct line	line;
};

/* an assignment */
struct key {
	struct str		 text;
	struct conf_span	 span;
	struct raw		*raws;	/* of the value; of the load's arena */
	size_t			 n;
};

struct reader {
	struct conf_load	*l;
	struct cfile		*file;
	struct lines		 lines;
	struct vec		 heads;
	struct vec		 keys;
	bool			 opening;	/* "o" comes next */
	bool			 outside;	/* before the first header */
	struct sect		*sect;		/* NULL: keys are dropped */
};

static void
push_key(struct reader *r)
{
	struct key	*k = vec_push(&r->keys);
	struct vec	*raws = &r->lines.raws;

	k->text = r->lines.key;
	k->span = r->lines.kspan;
	k->n = raws->n;
	k->raws = arena_alloc(&r->l->arena, k->n * sizeof(*k->raws));
	memcpy(k->raws, raws->p, k->n * sizeof(*k->raws));
}

static char *
put_line(char *buf, int size, const char *before, size_t n,
    const char *behind)
{
	struct text	t;

	text_init_fixed(&t, buf, (size_t)size);
	text_add(&t, str_from(before));
	text_u64(&t, n);
	text_add(&t, str_from(behind));
	text_c(&t, '\0');
	must(!t.cut);
	return buf;
}

/* Gives libinih its next line. */
static char *
feed(char *buf, int size, void *ctx)
{
	struct reader	*r = ctx;
	struct head	*h;

	if (r->opening) {
		r->opening = false;
		return put_line(buf, size, "o = #", r->heads.n - 1, "\n");
	}
	switch (lines_next(&r->lines)) {
	case LINE_HEAD:
		h = vec_push(&r->heads);
		h->text = r->lines.key;
		h->line = r->lines.at;
		r->opening = true;
		return put_line(buf, size, "[#", r->heads.n - 1, "]\n");
	case LINE_KEY:
		push_key(r);
		return put_line(buf, size, "k = #", r->keys.n - 1, "\n");
	default:
		return NULL;
	}
}

static size_t
parse_index(const char *s)
{
	uint64_t	v;

	must(*s != '\0');
	must(str_to_u64(str_from(s + 1), SIZE_MAX, &v) == 0);
	return (size_t)v;
}

static bool
is_name(struct str s)
{
	size_t	i;

	for (i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '_' ||
		    (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-'))
			return false;
	return s.n > 0 && s.n <= CONF_NAME_MAX;
}

static void
fail_head(struct reader *r, const struct head *h, enum diag_id id,
    struct str part, const char *why)
{
	struct conf_span	sp = lines_span(&r->lines, &h->line, part);

	r->l->broken = true;
	diag_sect(r->l->diags, id, &sp, STR(""), STR(""), "%s", why);
}

/* "[type name]" to its words; false after a report. */
static bool
split_head(struct reader *r, const struct head *h, struct str *type,
    struct str *name)
{
	ptrdiff_t	end = str_find(h->text, ']', 0);
	struct str	rest;

	if (end < 0 || (size_t)end != h->text.n - 1) {
		fail_head(r, h, DIAG_SYNTAX, end < 0 ? h->text :
		    str_sub(h->text, (size_t)end + 1, h->text.n), end < 0 ?
		    "no ] closes the section's header" :
		    "there is something behind the section's header");
		return false;
	}
	rest = str_sub(h->text, 1, (size_t)end);
	if (!str_word(&rest, " \t", type)) {
		fail_head(r, h, DIAG_SYNTAX, h->text,
		    "the section's header is empty");
		return false;
	}
	*name = str_trim(rest);
	return true;
}

/* Whether the name is as the type wants it; false after a report. */
static bool
check_name(struct reader *r, const struct head *h, const struct rows *rows,
    struct str type, struct str name)
{
	bool	named = rows->section->named;

	if (!named && name.n > 0) {
		fail_head(r, h, DIAG_SECTION_NAME, name,
		    "this section takes no name");
		return false;
	}
	if (named && name.n == 0) {
		fail_head(r, h, DIAG_SECTION_NAME, type,
		    "this section needs a name");
		return false;
	}
	if (named && !is_name(name)) {
		fail_head(r, h, DIAG_SECTION_NAME, name,
		    name.n > CONF_NAME_MAX ?
		    "the section's name is longer than 63 bytes" :
		    "the section's name has other characters than "
		    "a-z, 0-9, _ and -");
		return false;
	}
	return true;
}

struct sect *
reader_sect(struct conf_load *l, struct rows *r, bool defaults,
    struct str name, const struct conf_span *sp)
{
	struct sect	*s = defaults ? r->defs : rows_sect(r, name);

	if (s != NULL)
		return s;
	s = arena_alloc(&l->arena, sizeof(*s));
	s->name = arena_dup(&l->arena, name);
	s->rows = r;
	s->defaults = defaults;
	s->span = *sp;
	s->tail = &s->head;
	if (defaults)
		r->defs = s;
	else
		rows_add_sect(r, s);
	if (l->order.n++ == 0)
		l->order.first = s;
	else
		l->order.last->next = s;
	l->order.last = s;
	return s;
}

/* The section may come again in another file, not in the same. */
static void
enter(struct reader *r, const struct head *h, struct rows *rows,
    bool defaults, struct str name)
{
	struct conf_span	 sp = lines_span(&r->lines, &h->line,
	    h->text);
	struct sect		*s = reader_sect(r->l, rows, defaults, name,
	    &sp);
	struct str		 full;

	if (s->file == r->file) {
		full = diag_name(r->l, s);
		diag_sect(r->l->diags, DIAG_SECTION_TWICE, &sp, full,
		    STR(""), "[%.*s] is twice in this file", STR_FMT(full));
		diag_hint(r->l->diags, "the first is in line %u",
		    s->span.line);
	}
	s->file = r->file;
	r->sect = s;
	r->lines.rows = s->rows;
}

static void
open_defaults(struct reader *r, const struct head *h, struct str type)
{
	struct rows		*rows = rows_type(r->l, type);
	struct conf_span	 sp;

	if (rows != NULL) {
		enter(r, h, rows, true, STR(""));
		return;
	}
	if (type.n == 0) {
		fail_head(r, h, DIAG_SYNTAX, h->text,
		    "[defaults] names no type");
		return;
	}
	r->l->broken = true;
	sp = lines_span(&r->lines, &h->line, type);
	rows_unknown_type(r->l, type, &sp);
}

/* The type that "[word]" is another way to write, and its name there. */
static struct rows *
find_alias(struct reader *r, const struct head *h, struct str word,
    struct str *name)
{
	const struct conf_section_alias	*a;
	const struct conf_section	*s;
	struct conf_span		 sp;

	for (size_t i = 0; i < r->l->nsect; i++) {
		s = r->l->sections[i];
		for (a = s->aliases; a != NULL && a->word != NULL; a++) {
			if (name->n > 0 || !str_eq(word, str_from(a->word)))
				continue;
			sp = lines_span(&r->lines, &h->line, word);
			*name = str_from(a->name);
			diag_sect(r->l->diags, DIAG_ALIAS, &sp, word,
			    STR(""), "[%s] is read as [%s %s]", a->word,
			    s->type, a->name);
			return rows_type(r->l, str_from(s->type));
		}
	}
	return NULL;
}

static void
open_section(struct reader *r, const struct head *h)
{
	struct rows		*rows;
	struct str		 type;
	struct str		 name;
	struct conf_span	 sp;

	r->sect = NULL;
	r->lines.rows = NULL;
	r->outside = false;
	if (!split_head(r, h, &type, &name))
		return;
	if (str_eq(type, STR("defaults"))) {
		open_defaults(r, h, name);
		return;
	}
	rows = rows_type(r->l, type);
	if (rows == NULL) {
		rows = find_alias(r, h, type, &name);
		if (rows != NULL)
			type = str_from(rows->section->type);
	}
	if (rows == NULL) {
		r->l->broken = true;
		sp = lines_span(&r->lines, &h->line, type);
		rows_unknown_type(r->l, type, &sp);
		return;
	}
	if (check_name(r, h, rows, type, name))
		enter(r, h, rows, false, name);
}

void
reader_mask(struct conf_load *l, struct conf_item *it, struct raw *raws,
    size_t n)
{
	struct str	line = it->kspan.text;
	struct str	eq;
	size_t		i;

	eq = str_sub(line, 0, (size_t)raws[0].span.col - 1);
	it->kspan.text = arena_fmt(&l->arena, "%.*s***", STR_FMT(eq));
	for (i = 0; i < n; i++) {
		diag_secret(l->diags, raws[i].text);
		raws[i].span.text = i == 0 ? it->kspan.text : STR("***");
		raws[i].span.col = i == 0 ? raws[i].span.col : 1;
		raws[i].span.len = 3;
	}
}

/* like and include are the reader's own; true if the key was one. */
static bool
take_own(struct conf_load *l, struct sect *s, const struct conf_item *it)
{
	struct conf_item	*own;

	if (!str_eq(it->key, STR("like")) || !s->rows->section->named ||
	    s->defaults)
		return false;
	own = arena_alloc(&l->arena, sizeof(*own));
	*own = *it;
	s->like = it->val.n > 0 ? own : NULL;
	return true;
}

/* "sticky_sessions = on" is "sticky = cookie"; off: it was never there. */
static bool
take_alias(struct conf_load *l, const struct sect *s, struct conf_item *it)
{
	struct str	name = diag_name(l, s);
	struct err	e;
	bool		on;

	diag_sect(l->diags, DIAG_ALIAS, &it->kspan, name,
	    str_from(it->row->key), "\"%.*s\" is read as \"%s\"",
	    STR_FMT(it->key), it->row->key);
	diag_hint(l->diags, "write \"%s\"", it->row->key);
	if (it->alias->value == NULL ||
	    conf_val_bool(it->val, &on, &e) != 0)
		return true;
	it->val = str_from(it->alias->value);
	it->pieces = NULL;
	it->npieces = 0;
	return on;
}

void
reader_assign(struct conf_load *l, struct sect *s, struct conf_item *it)
{
	const struct rowref	*ref = keys_find(s->rows->keys, it->key);
	struct node		*n;

	if (take_own(l, s, it))
		return;
	if (ref == NULL) {
		if (str_eq(it->key, STR("include")) &&
		    str_eq(str_from(s->rows->section->type), STR("sluice")))
			return;
		s->bad = true;
		rows_unknown_key(l, s, it);
		return;
	}
	it->row = ref->row;
	it->alias = ref->alias;
	if (it->alias != NULL && !take_alias(l, s, it))
		return;
	n = arena_alloc(&l->arena, sizeof(*n));
	n->item = *it;
	n->nth = ref->nth;
	*s->tail = n;
	s->tail = &n->next;
}

/* Notes [sluice] include; it is followed when the file was read. */
static void
note_include(struct reader *r, const struct conf_item *it)
{
	if (!str_eq(it->key, STR("include")) || r->sect->defaults ||
	    !str_eq(str_from(r->sect->rows->section->type), STR("sluice")))
		return;
	if (it->val.n == 0)
		r->file->includes.n = 0;
	else
		*(struct conf_item *)vec_push(&r->file->includes) = *it;
}

static void
take_key(struct reader *r, const struct key *k)
{
	const struct rowref	*ref;
	struct conf_item	 it = {
		.key = k->text, .kspan = k->span, .origin = r->file->origin
	};

	if (r->outside) {
		diag_sect(r->l->diags, DIAG_KEY_OUTSIDE, &k->span, STR(""),
		    k->text, "key \"%.*s\" stands before any section",
		    STR_FMT(k->text));
		return;
	}
	if (r->sect == NULL)
		return;
	ref = keys_find(r->sect->rows->keys, k->text);
	if (ref != NULL && (ref->row->flags & CONF_F_SECRET))
		reader_mask(r->l, &it, k->raws, k->n);
	if (expand_value(r->l, &it, k->raws, k->n) != 0) {
		r->sect->bad = true;
		return;
	}
	if (ref != NULL && (ref->row->flags & CONF_F_SECRET))
		diag_secret(r->l->diags, it.val);
	note_include(r, &it);
	reader_assign(r->l, r->sect, &it);
}

static int
on_line(void *ctx, const char *section, const char *name, const char *value)
{
	struct reader	*r = ctx;
	size_t		 i = parse_index(value);

	if (name[0] == 'o') {
		must(parse_index(section) == i);
		open_section(r, vec_at(&r->heads, i));
	} else
		take_key(r, vec_at(&r->keys, i));
	return 1;
}

void
reader_file(struct conf_load *l, struct cfile *f)
{
	struct reader	r = { .l = l, .file = f, .outside = true };

	if (str_starts(f->data, STR("\xef\xbb\xbf")))
		f->data = str_sub(f->data, 3, f->data.n);
	lines_init(&r.lines, l, f);
	vec_init(&r.heads, sizeof(struct head));
	vec_init(&r.keys, sizeof(struct key));
	must(ini_parse_stream(feed, &r, on_line, &r) == 0);
	vec_fini(&r.heads);
	vec_fini(&r.keys);
	lines_fini(&r.lines);
}
