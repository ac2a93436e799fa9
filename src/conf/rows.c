/*
 * Keys to rows: a map per section, families by prefix, suggestions for
 * what is unknown.  Built once per load from the tables of the modules.
 */
#include "base/must.h"
#include "conf/int.h"

#define NEAR	2	/* edit distance of a suggestion */
#define NAME_CMP_MAX	64	/* str_distance compares no longer ones */

static const struct {
	const char	*type;
	const char	*keys;
} later[] = {
#define LATER(type, keys)	{ type, keys },
#include "conf/later.tbl"
#undef LATER
};

static bool
is_family(struct str key)
{
	return str_ends(key, STR(".*"));
}

static void
add_key(struct rows *r, struct arena *a, const char *key,
    const struct conf_row *row, const struct conf_alias *alias)
{
	struct rowref	*ref;

	if (is_family(str_from(key))) {
		ref = vec_push(&r->fams);
		*ref = (struct rowref){ row, alias };
		return;
	}
	ref = arena_alloc(a, sizeof(*ref));
	*ref = (struct rowref){ row, alias };
	/* Two rows of one name in a section would be a broken table. */
	must(map_add(&r->keys, str_from(key), ref) == NULL);
}

static void
add_row(struct rows *r, struct arena *a, const struct conf_row *row)
{
	const struct conf_alias	*al;

	add_key(r, a, row->key, row, NULL);
	if (row->aliases == NULL)
		return;
	for (al = row->aliases; al->key != NULL; al++)
		add_key(r, a, al->key, row, al);
}

void
rows_init(struct rows *r, const struct conf_section *s, struct arena *a)
{
	const struct conf_row	*row;

	r->section = s;
	map_init(&r->keys, 0);
	map_init(&r->objs, 0);
	vec_init(&r->fams, sizeof(struct rowref));
	vec_init(&r->made, sizeof(struct sect *));
	for (r->ngroup = 0; s->groups[r->ngroup] != NULL; r->ngroup++) {
		row = s->groups[r->ngroup]->rows;
		for (; row != NULL && row->key != NULL; row++)
			add_row(r, a, row);
	}
	must(r->ngroup > 0 &&
	    s->groups[0]->size >= sizeof(struct conf_obj));
}

void
rows_fini(struct rows *r)
{
	map_fini(&r->keys);
	map_fini(&r->objs);
	vec_fini(&r->fams);
	vec_fini(&r->made);
}

/* The word that the reference was found by. */
static struct str
word_of(const struct rowref *ref)
{
	return str_from(ref->alias != NULL ? ref->alias->key :
	    ref->row->key);
}

/* "header." of "header.*" */
static struct str
prefix_of(const struct rowref *ref)
{
	struct str	w = word_of(ref);

	return str_sub(w, 0, w.n - 1);
}

const struct rowref *
rows_find(struct rows *r, struct str key)
{
	const struct rowref	*best = map_find(&r->keys, key);
	const struct rowref	*f;
	struct str		 pre;
	size_t			 i;
	size_t			 n = 0;

	if (best != NULL)
		return best;
	for (i = 0; i < r->fams.n; i++) {
		f = vec_at(&r->fams, i);
		pre = prefix_of(f);
		if (pre.n > n && key.n > pre.n && str_starts(key, pre)) {
			best = f;
			n = pre.n;
		}
	}
	return best;
}

/* Upper case with '.' and '-' as '_', the first n bytes of both. */
static bool
canon_eq(struct str key, struct str canon, size_t n)
{
	size_t	i;
	char	c;

	if (key.n < n || canon.n < n)
		return false;
	for (i = 0; i < n; i++) {
		c = key.p[i];
		if (c == '.' || c == '-')
			c = '_';
		else if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (c != canon.p[i])
			return false;
	}
	return true;
}

static struct str
make_family_key(struct arena *a, struct str pre, struct str rest)
{
	char	*p = arena_text(a, pre.n + rest.n);
	size_t	 i;

	memcpy(p, pre.p, pre.n);
	for (i = 0; i < rest.n; i++)
		p[pre.n + i] = rest.p[i] >= 'A' && rest.p[i] <= 'Z' ?
		    (char)(rest.p[i] - 'A' + 'a') : rest.p[i];
	return str_make(p, pre.n + rest.n);
}

struct str
rows_find_env(struct rows *r, struct str canon, struct arena *a)
{
	struct str	key;
	void		*ref;
	size_t		 i = 0;

	while (map_next(&r->keys, &i, &key, &ref))
		if (key.n == canon.n && canon_eq(key, canon, key.n))
			return key;
	for (i = 0; i < r->fams.n; i++) {
		key = prefix_of(vec_at(&r->fams, i));
		if (canon.n > key.n && canon_eq(key, canon, key.n))
			return make_family_key(a, key,
			    str_sub(canon, key.n, canon.n));
	}
	return STR_NONE;
}

struct rows *
rows_type(struct conf_load *l, struct str type)
{
	return map_find(&l->types, type);
}

static bool
list_has(const char *keys, struct str key)
{
	struct str	rest = str_from(keys);
	struct str	w;

	while (str_word(&rest, " ", &w)) {
		if (str_eq(w, key) || str_eq(w, STR("*")))
			return true;
		if (is_family(w) && key.n > w.n - 1 &&
		    str_starts(key, str_sub(w, 0, w.n - 1)))
			return true;
	}
	return false;
}

bool
rows_is_later(struct str type, struct str key)
{
	size_t	i;

	for (i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (str_eq(str_from(later[i].type), type))
			return key.n == 0 || list_has(later[i].keys, key);
	return false;
}

static unsigned
distance(struct str a, struct str b, unsigned max)
{
	if (a.n > NAME_CMP_MAX || b.n > NAME_CMP_MAX || a.n == 0)
		return max + 1;
	return str_distance(a, b, max);
}

/* a before b: nearer, or as near and earlier in the alphabet. */
static bool
is_better(unsigned d, struct str key, unsigned best, struct str has)
{
	return d < best || (d == best && has.p != NULL &&
	    str_cmp(key, has) < 0);
}

/*
 * The nearest key of a section within `max` edits, of the load's arena;
 * *ref is its row.
 */
static struct str
find_near(struct conf_load *l, struct rows *r, struct str key,
    unsigned max, const struct rowref **ref)
{
	unsigned	 best = max + 1;
	unsigned	 d;
	struct str	 near = STR_NONE;
	struct str	 k;
	struct str	 pre;
	ptrdiff_t	 dot = str_find(key, '.', 0);
	void		*val;
	size_t		 i = 0;

	while (map_next(&r->keys, &i, &k, &val)) {
		d = distance(key, k, max);
		if (d <= max && is_better(d, k, best, near)) {
			best = d;
			near = k;
			*ref = val;
		}
	}
	for (i = 0; dot > 0 && i < r->fams.n; i++) {
		pre = prefix_of(vec_at(&r->fams, i));
		d = distance(str_sub(key, 0, (size_t)dot + 1), pre, max);
		if (d > max || d >= best)
			continue;
		best = d;
		*ref = vec_at(&r->fams, i);
		near = arena_fmt(&l->arena, "%.*s%.*s", STR_FMT(pre),
		    STR_FMT(str_sub(key, (size_t)dot + 1, key.n)));
	}
	return near;
}

/* Looks in the other sections; true after a hint. */
static bool
hint_elsewhere(struct conf_load *l, const struct sect *s, struct str key,
    unsigned max)
{
	size_t			 i;
	struct rows		*r;
	struct str		 near;
	const struct rowref	*ref;

	for (i = 0; i < l->nsect; i++) {
		r = &l->rows[i];
		if (r == s->rows)
			continue;
		near = find_near(l, r, key, max, &ref);
		if (near.p == NULL)
			continue;
		diag_hint(l->diags, max == 0 ? "\"%.*s\" belongs to [%s%s]" :
		    "did you mean \"%.*s\" of [%s%s]?", STR_FMT(near),
		    r->section->type, r->section->named ? " NAME" : "");
		return true;
	}
	return false;
}

/* The nearest key's row may be secret: then the line is not shown. */
static struct conf_span
hide_value(struct conf_load *l, const struct conf_item *it,
    const struct rowref *ref)
{
	struct conf_span	sp = it->kspan;

	if (ref == NULL || !(ref->row->flags & CONF_F_SECRET))
		return sp;
	sp.text = arena_fmt(&l->arena, "%.*s = ***", STR_FMT(it->key));
	sp.col = 1;
	return sp;
}

void
rows_unknown_key(struct conf_load *l, const struct sect *s,
    const struct conf_item *it)
{
	struct str		 name = diag_name(l, s);
	const struct rowref	*ref = NULL;
	struct conf_span	 sp;
	struct str		 near = STR_NONE;

	if (rows_is_later(str_from(s->rows->section->type), it->key)) {
		diag_sect(l->diags, DIAG_KEY_LATER, &it->kspan, name,
		    it->key, "key \"%.*s\" in [%.*s] is not obeyed yet",
		    STR_FMT(it->key), STR_FMT(name));
		return;
	}
	if (diag_has_room(l->diags))
		near = find_near(l, s->rows, it->key, NEAR, &ref);
	sp = hide_value(l, it, ref);
	diag_sect(l->diags, DIAG_KEY_UNKNOWN, &sp, name, it->key,
	    "unknown key \"%.*s\" in [%.*s]", STR_FMT(it->key),
	    STR_FMT(name));
	if (near.p != NULL)
		diag_hint(l->diags, "did you mean \"%.*s\"?", STR_FMT(near));
	else if (diag_has_room(l->diags) &&
	    !hint_elsewhere(l, s, it->key, 0))
		hint_elsewhere(l, s, it->key, NEAR);
}

void
rows_unknown_type(struct conf_load *l, struct str type,
    const struct conf_span *at)
{
	unsigned	best = NEAR + 1;
	unsigned	d;
	const char	*near = NULL;
	size_t		i;

	if (rows_is_later(type, STR(""))) {
		diag_sect(l->diags, DIAG_KEY_LATER, at, type, STR(""),
		    "section [%.*s] is not obeyed yet", STR_FMT(type));
		return;
	}
	diag_sect(l->diags, DIAG_SECTION_UNKNOWN, at, type, STR(""),
	    "unknown section type \"%.*s\"", STR_FMT(type));
	for (i = 0; i < l->nsect; i++) {
		d = distance(type, str_from(l->sections[i]->type), NEAR);
		if (d < best) {
			best = d;
			near = l->sections[i]->type;
		}
	}
	if (near != NULL)
		diag_hint(l->diags, "did you mean \"%s\"?", near);
}
