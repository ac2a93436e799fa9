/*
 * The types of sections in a load, and what is told of keys and types
 * that no table knows.  Builder, -t and tools.
 */
#include "conf/rows.h"

#include "conf/int.h"

#define NEAR	2	/* edit distance of a suggestion */

void
rows_init(struct rows *r, struct keys *k, size_t index)
{
	r->keys = k;
	r->section = k->section;
	r->index = index;
	map_init(&r->sects, 0);
}

void
rows_fini(struct rows *r)
{
	map_fini(&r->sects);
}

/* They are few. */
struct rows *
rows_type(struct conf_load *l, struct str type)
{
	size_t	i;

	for (i = 0; i < l->nsect; i++)
		if (str_eq(str_from(l->rows[i].section->type), type))
			return &l->rows[i];
	return NULL;
}

struct sect *
rows_sect(const struct rows *r, struct str name)
{
	if (!r->section->named)
		return name.n == 0 ? r->only : NULL;
	return map_find(&r->sects, name);
}

void
rows_add_sect(struct rows *r, struct sect *s)
{
	if (r->section->named)
		map_add(&r->sects, s->name, s);
	else
		r->only = s;
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
		near = keys_find_near(r->keys, key, max, &l->arena, &ref);
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

/* "cookie" and "cookie." for "cookie.NAME"; true after a hint. */
static bool
hint_family(struct conf_load *l, const struct sect *s, struct str key)
{
	key.n -= str_ends(key, STR("."));
	if (keys_find(s->rows->keys, arena_fmt(&l->arena, "%.*s.NAME",
	    STR_FMT(key))) == NULL)
		return false;
	diag_hint(l->diags, "write \"%.*s.NAME\"", STR_FMT(key));
	return true;
}

void
rows_unknown_key(struct conf_load *l, const struct sect *s,
    const struct conf_item *it)
{
	struct str		 name = diag_name(l, s);
	const struct rowref	*ref = NULL;
	struct conf_span	 sp;
	struct str		 near = STR_NONE;

	if (keys_is_later(s->rows->keys, it->key)) {
		diag_sect(l->diags, DIAG_KEY_LATER, &it->kspan, name,
		    it->key, "key \"%.*s\" in [%.*s] is not obeyed yet",
		    STR_FMT(it->key), STR_FMT(name));
		return;
	}
	if (diag_has_room(l->diags))
		near = keys_find_near(s->rows->keys, it->key, NEAR, &l->arena,
		    &ref);
	sp = hide_value(l, it, ref);
	diag_sect(l->diags, DIAG_KEY_UNKNOWN, &sp, name, it->key,
	    "unknown key \"%.*s\" in [%.*s]", STR_FMT(it->key),
	    STR_FMT(name));
	if (hint_family(l, s, it->key))
		return;
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

	if (keytab_is_later(type)) {
		diag_sect(l->diags, DIAG_KEY_LATER, at, type, STR(""),
		    "section [%.*s] is not obeyed yet", STR_FMT(type));
		return;
	}
	diag_sect(l->diags, DIAG_SECTION_UNKNOWN, at, type, STR(""),
	    "unknown section type \"%.*s\"", STR_FMT(type));
	for (i = 0; i < l->nsect; i++) {
		d = str_distance(type, str_from(l->sections[i]->type), NEAR);
		if (d < best) {
			best = d;
			near = l->sections[i]->type;
		}
	}
	if (near != NULL)
		diag_hint(l->diags, "did you mean \"%s\"?", near);
}
