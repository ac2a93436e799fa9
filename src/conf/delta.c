/*
 * What changes between two configurations, for `sluicectl reload --plan`.
 * Builder.
 *
 * Objects of a name are compared by the lines that somebody set, so a
 * value that is written anew but means the same is no change.  Of a key
 * that takes many values each one is told for itself.
 */
#include "conf/delta.h"

#include <string.h>

#include "base/must.h"
#include "base/vec.h"
#include "conf/load.h"

#define SEPS	" \t,"

struct delta {
	const struct conf	*old;
	const struct conf	*new;
	struct arena		 mem;	/* own: elements put together */
	struct text		*out;	/* ref */
	unsigned		 n;	/* changes */
	unsigned		 by[3];	/* of them, enum conf_class */
	unsigned		 drained; /* listeners */
};

/* the values of one key of one object */
struct values {
	const struct conf_row	*row;
	struct str		 key;
	struct vec		 v;	/* own: struct str */
	uint64_t		 digest; /* of a secret */
};

static const char *const classes[] = {
	[CONF_LIVE] = "live", [CONF_ROLL] = "roll", [CONF_UPGRADE] = "upgrade"
};

/* --- values --- */

static bool
is_family(const struct conf_row *row)
{
	return str_ends(str_from(row->key), STR(".*"));
}

/* "a b max=1" is "a max=1" and "b max=1": a word with '=' is an option. */
static void
add_words(struct delta *p, struct values *vs, struct str val)
{
	struct str	rest = val, word, opts = STR("");

	while (str_word(&rest, SEPS, &word)) {
		if (str_find(word, '=', 0) < 0 &&
		    !str_eq(word, STR("backup")))
			continue;
		opts = arena_fmt(&p->mem, "%.*s %.*s", STR_FMT(opts),
		    STR_FMT(word));
	}
	for (rest = val; str_word(&rest, SEPS, &word);) {
		if (str_find(word, '=', 0) >= 0 ||
		    str_eq(word, STR("backup")))
			continue;
		*(struct str *)vec_push(&vs->v) = arena_fmt(&p->mem,
		    "%.*s%.*s", STR_FMT(word), STR_FMT(opts));
	}
}

static bool
has_words(const struct conf_row *row)
{
	if (is_family(row) || (row->flags & CONF_F_LINES) != 0)
		return false;
	return row->type == CONF_LIST || (row->type == CONF_CUSTOM &&
	    (row->flags & CONF_F_MANY) != 0);
}

/* What is in effect where nobody set anything. */
static void
add_default(struct delta *p, struct values *vs, const struct conf_obj *o)
{
	const struct conf_row	*row = vs->row;
	const struct conf_group	*const *g = o->section->groups;
	const struct conf_row	*r;
	const char		*at = NULL;
	struct text		 t;
	struct str		 val = STR("");

	for (size_t i = 0; g[i] != NULL && at == NULL; i++)
		for (r = g[i]->rows; r != NULL && r->key != NULL; r++)
			if (r == row)
				at = (const char *)o->part[i] + row->off;
	text_init(&t);
	if (row->def == NULL)
		val = STR("");
	else if (at == NULL)		/* of a guest */
		val = str_from(row->def);
	else if (row->type == CONF_PATH)
		val = *(const struct str *)(const void *)at;
	else if (conf_value_text(row, at, &t))
		val = arena_dup(&p->mem, text_str(&t));
	else
		val = str_from(row->def);
	text_fini(&t);
	if (has_words(row))
		add_words(p, vs, val);
	else if (val.n > 0)
		*(struct str *)vec_push(&vs->v) = val;
}

static bool
is_same_key(const struct conf_line *a, const struct conf_line *b)
{
	return a->row == b->row && str_eq(a->key, b->key);
}

/* The values that the object has of the key of line. */
static void
collect(struct delta *p, struct values *vs, const struct conf_obj *o,
    const struct conf_line *key)
{
	bool	set = false;

	memset(vs, 0, sizeof(*vs));
	vs->row = key->row;
	vs->key = key->key;
	vs->digest = STR_HASH0;
	vec_init(&vs->v, sizeof(struct str));
	for (size_t i = 0; i < o->nlines; i++) {
		const struct conf_line	*line = &o->lines[i];

		if (!is_same_key(line, key))
			continue;
		set = true;
		if (line->row->flags & CONF_F_SECRET)
			vs->digest = str_hash(str_make(
			    (const char *)&line->digest,
			    sizeof(line->digest)), vs->digest);
		if (has_words(line->row))
			add_words(p, vs, line->val);
		else
			*(struct str *)vec_push(&vs->v) = line->val;
	}
	if (!set && (key->row->flags & CONF_F_SECRET) == 0)
		add_default(p, vs, o);
}

static struct str
value_at(const struct values *vs, size_t i)
{
	return *(struct str *)vec_at(&vs->v, i);
}

static bool
is_equal(const struct values *a, const struct values *b)
{
	if (a->v.n != b->v.n || a->digest != b->digest)
		return false;
	for (size_t i = 0; i < a->v.n; i++)
		if (!str_eq(value_at(a, i), value_at(b, i)))
			return false;
	return true;
}

static bool
has_value(const struct values *vs, struct str val)
{
	for (size_t i = 0; i < vs->v.n; i++)
		if (str_eq(value_at(vs, i), val))
			return true;
	return false;
}

/* Are there values in a that b lacks? */
static bool
has_more(const struct values *a, const struct values *b)
{
	for (size_t i = 0; i < a->v.n; i++)
		if (!has_value(b, value_at(a, i)))
			return true;
	return false;
}

/* --- writing --- */

static void
put_member(struct text *t, const char *name, struct str val)
{
	text_fmt(t, ",\"%s\":", name);
	text_json(t, val);
}

/* Begins a change; the caller ends it with '}'. */
static void
begin(struct delta *p, char op, const struct conf_obj *o,
    enum conf_class class)
{
	struct text	name;

	text_init(&name);
	text_fmt(&name, "%s%s%.*s", o->section->type,
	    o->name.n > 0 ? " " : "", STR_FMT(o->name));
	text_fmt(p->out, "%s{\"op\":\"%c\"", p->n++ > 0 ? "," : "", op);
	put_member(p->out, "section", text_str(&name));
	put_member(p->out, "class", str_from(classes[class]));
	p->by[class]++;
	text_fini(&name);
}

static bool
is_of(const struct conf_obj *o, const char *type)
{
	return strcmp(o->section->type, type) == 0;
}

/* An address, or all of them, that nobody listens on any more. */
static bool
is_unbound(const struct conf_obj *o, const char *key, char op)
{
	return op == '-' && is_of(o, "listener") &&
	    (*key == '\0' || strcmp(key, "bind") == 0);
}

/* What becomes of those who use it, in a few words. */
static const char *
note_of(const struct conf_obj *o, const char *key, char op)
{
	if (is_unbound(o, key, op))
		return "its connections are drained";
	if (op == '-' && is_of(o, "upstream") && strcmp(key, "server") == 0)
		return "requests under way there go on";
	if (op == '-' && *key == '\0')
		return "requests under way go on with it";
	return NULL;
}

static void
put_note(struct delta *p, const struct conf_obj *o, const char *key, char op,
    enum conf_class class)
{
	const char	*note = note_of(o, key, op);

	if (class == CONF_UPGRADE)
		note = "in effect after a stop and a start only";
	else if (class == CONF_ROLL && strcmp(key, "workers") != 0 &&
	    *key != '\0')
		note = "for workers that start later: sluicectl roll";
	if (note != NULL)
		put_member(p->out, "note", str_from(note));
	p->drained += is_unbound(o, key, op);
}

/* All values of a key in one line; null if there is none. */
static void
put_joined(struct delta *p, const char *name, const struct values *vs)
{
	struct text	t;

	if (vs->v.n == 0) {
		text_fmt(p->out, ",\"%s\":null", name);
		return;
	}
	text_init(&t);
	for (size_t i = 0; i < vs->v.n; i++) {
		if (i > 0)
			text_c(&t, ' ');
		text_add(&t, value_at(vs, i));
	}
	put_member(p->out, name, text_str(&t));
	text_fini(&t);
}

static void
change_key(struct delta *p, const struct conf_obj *o, const struct values *a,
    const struct values *b)
{
	enum conf_class	class = a->row->reload;

	begin(p, '~', o, class);
	put_member(p->out, "key", a->key);
	if (a->row->flags & CONF_F_SECRET) {
		text_add(p->out, STR(",\"secret\":true"));
	} else {
		put_joined(p, "old", a);
		put_joined(p, "new", b);
	}
	put_note(p, o, a->row->key, '~', class);
	text_c(p->out, '}');
}

/* Each value of a that b lacks, as added or removed. */
static void
change_values(struct delta *p, const struct conf_obj *o, char op,
    const struct values *a, const struct values *b)
{
	for (size_t i = 0; i < a->v.n; i++) {
		if (has_value(b, value_at(a, i)))
			continue;
		begin(p, op, o, a->row->reload);
		put_member(p->out, "key", a->key);
		put_member(p->out, op == '+' ? "new" : "old",
		    value_at(a, i));
		put_note(p, o, a->row->key, op, a->row->reload);
		text_c(p->out, '}');
	}
}

/* --- comparing --- */

static void
compare_key(struct delta *p, const struct conf_obj *old,
    const struct conf_obj *new, const struct conf_line *key)
{
	struct values	a, b;
	bool		many;

	collect(p, &a, old, key);
	collect(p, &b, new, key);
	/* how a list is ordered matters, how servers are does not */
	many = key->row->type == CONF_LINES ||
	    (key->row->type == CONF_CUSTOM && has_words(key->row));
	if (!is_equal(&a, &b)) {
		if (!many || a.v.n + b.v.n == 2)
			change_key(p, new, &a, &b);
		else if (has_more(&a, &b) || has_more(&b, &a)) {
			change_values(p, new, '+', &b, &a);
			change_values(p, new, '-', &a, &b);
		} else if (a.v.n != b.v.n)
			change_key(p, new, &a, &b);
	}
	vec_fini(&a.v);
	vec_fini(&b.v);
}

/* The first line of its key among the first n. */
static bool
is_first(const struct conf_obj *o, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_same_key(&o->lines[i], &o->lines[n]))
			return false;
	return true;
}

static bool
has_key(const struct conf_obj *o, const struct conf_line *key)
{
	for (size_t i = 0; i < o->nlines; i++)
		if (is_same_key(&o->lines[i], key))
			return true;
	return false;
}

static void
compare_obj(struct delta *p, const struct conf_obj *old,
    const struct conf_obj *new)
{
	if (old->digest == new->digest)
		return;
	for (size_t i = 0; i < new->nlines; i++)
		if (is_first(new, i))
			compare_key(p, old, new, &new->lines[i]);
	for (size_t i = 0; i < old->nlines; i++)
		if (is_first(old, i) && !has_key(new, &old->lines[i]))
			compare_key(p, old, new, &old->lines[i]);
}

/* A whole section, with what was set in it. */
static void
tell_obj(struct delta *p, char op, const struct conf_obj *o)
{
	enum conf_class		 class = CONF_LIVE;
	const struct conf_line	*line;

	for (size_t i = 0; i < o->nlines; i++)
		if (o->lines[i].row->reload > class)
			class = o->lines[i].row->reload;
	begin(p, op, o, class);
	text_add(p->out, STR(",\"settings\":["));
	for (size_t i = 0; i < o->nlines; i++) {
		line = &o->lines[i];
		text_fmt(p->out, "%s{\"key\":", i > 0 ? "," : "");
		text_json(p->out, line->key);
		put_member(p->out, "value", line->row->flags &
		    CONF_F_SECRET ? STR("***") : line->val);
		text_c(p->out, '}');
	}
	text_c(p->out, ']');
	put_note(p, o, "", op, class);
	text_c(p->out, '}');
}

/* Made for a key of another section, where it is told. */
static bool
is_hidden(const struct conf_obj *o)
{
	return str_starts(o->name, STR("@"));
}

static void
compare_section(struct delta *p, const struct conf_section *s)
{
	struct conf_objs	 a = conf_all(p->old, s);
	struct conf_objs	 b = conf_all(p->new, s);
	const struct conf_obj	*was;

	for (size_t i = 0; i < b.n; i++) {
		if (is_hidden(b.v[i]))
			continue;
		was = conf_find(p->old, s, b.v[i]->name);
		if (was == NULL)
			tell_obj(p, '+', b.v[i]);
		else
			compare_obj(p, was, b.v[i]);
	}
	for (size_t i = 0; i < a.n; i++)
		if (!is_hidden(a.v[i]) &&
		    conf_find(p->new, s, a.v[i]->name) == NULL)
			tell_obj(p, '-', a.v[i]);
}

void
delta_add_file(struct delta *p, const struct delta_file *f)
{
	begin(p, f->op, f->obj, CONF_LIVE);
	put_member(p->out, "key", str_from(f->key));
	put_member(p->out, "file", f->path);
	if (f->old.n > 0)
		put_member(p->out, "old", f->old);
	if (f->new.n > 0)
		put_member(p->out, "new", f->new);
	if (f->note != NULL)
		put_member(p->out, "note", str_from(f->note));
	text_c(p->out, '}');
}

void
delta_write(const struct conf *old, const struct conf *new,
    void (*more)(struct delta *, const struct conf *, const struct conf *),
    struct text *out)
{
	struct delta	p = { .old = old, .new = new, .out = out };

	arena_init(&p.mem, NULL);
	text_fmt(out, "\"generation\":%llu,\"next\":%llu,\"changes\":[",
	    (unsigned long long)old->number,
	    (unsigned long long)new->number);
	for (size_t i = 0; new->sections[i] != NULL; i++)
		compare_section(&p, new->sections[i]);
	if (more != NULL)
		more(&p, old, new);
	text_fmt(out, "],\"classes\":{\"live\":%u,\"roll\":%u,"
	    "\"upgrade\":%u},\"listeners_drained\":%u",
	    p.by[CONF_LIVE], p.by[CONF_ROLL], p.by[CONF_UPGRADE], p.drained);
	arena_fini(&p.mem);
}
