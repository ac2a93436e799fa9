/*
 * Looking things up in a generation.  Every process; nothing is written
 * here.  Sections are few, so their table is walked; objects of a section
 * are found through an index that the builder laid beside them.
 */
#include "conf/conf.h"

#include "base/must.h"

static size_t
find(const struct conf_section *const *table, const struct conf_section *s)
{
	size_t	i;

	for (i = 0; i < CONF_NSECTION && table[i] != s; i++)
		must(table[i] != NULL);
	must(i < CONF_NSECTION);
	return i;
}

size_t
conf_index(const struct conf_section *s)
{
	return find(conf_sections, s);
}

struct conf_objs
conf_all(const struct conf *c, const struct conf_section *s)
{
	return c->objs[find(c->sections, s)];
}

const void *
conf_one(const struct conf *c, const struct conf_section *s)
{
	struct conf_objs	all = conf_all(c, s);

	must(!s->named && all.n == 1);
	return all.v[0];
}

static const struct conf_row *
find_row(const struct conf_group *g, const char *key)
{
	for (const struct conf_row *r = g->rows; r->key != NULL; r++)
		if (strcmp(r->key, key) == 0)
			return r;
	return NULL;
}

struct conf_objs
conf_type(const struct conf *c, const char *type)
{
	size_t	i;

	for (i = 0; strcmp(c->sections[i]->type, type) != 0; i++)
		must(c->sections[i + 1] != NULL);
	return c->objs[i];
}

const void *
conf_member(const struct conf_obj *o, const char *key)
{
	const struct conf_row	*r;

	for (size_t i = 0; o->section->groups[i] != NULL; i++) {
		r = find_row(o->section->groups[i], key);
		if (r != NULL)
			return (const char *)o->part[i] + r->off;
	}
	must(!"a key of the section");
	return NULL;
}

const void *
conf_value(const struct conf *c, const char *type, const char *key)
{
	struct conf_objs	all = conf_type(c, type);

	must(all.n == 1 && !all.v[0]->section->named);
	return conf_member(all.v[0], key);
}

const void *
conf_find(const struct conf *c, const struct conf_section *s,
    struct str name)
{
	const struct conf_names	*t = &c->names[find(c->sections, s)];
	size_t			 i;

	if (t->cap == 0)
		return NULL;
	i = (size_t)str_hash(name, STR_HASH0) & (t->cap - 1);
	for (; t->slot[i] != NULL; i = (i + 1) & (t->cap - 1))
		if (str_eq(t->slot[i]->name, name))
			return t->slot[i];
	return NULL;
}

void *
conf_data(const struct conf *c, const struct conf_section *s)
{
	return c->data[find(c->sections, s)];
}

void *
conf_part(const struct conf_obj *o, const struct conf_group *g)
{
	size_t	i;

	for (i = 0; o->section->groups[i] != NULL; i++)
		if (o->section->groups[i] == g)
			return o->part[i];
	return NULL;
}
