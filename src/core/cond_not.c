/*
 * `not.` before any condition of a route: it must fail.  Builder and
 * tools.
 *
 * The key behind the prefix is looked up among the keys of conditions,
 * and its own parse function reads the values into a struct of that
 * condition.  Lines of one key are one condition, as they are without
 * the prefix; of a family each name is one.
 */
#include "core/cond.h"

#define PREFIX	STR("not.")

/* "header.a" by the row "header.*", or the very word. */
static bool
is_word(struct str word, const char *key)
{
	struct str	k = str_from(key);

	if (!str_ends(k, STR(".*")))
		return str_eq(word, k);
	return word.n >= k.n && str_starts(word, str_sub(k, 0, k.n - 1));
}

/* The row of the word; NULL: none of this group. */
static const struct conf_row *
find_row(const struct conf_group *g, struct str word,
    const struct conf_alias **al)
{
	const struct conf_row	*r;

	*al = NULL;
	for (r = g->rows; r->key != NULL; r++) {
		if (is_word(word, r->key))
			return r;
		if (r->aliases == NULL)
			continue;
		for (*al = r->aliases; (*al)->key != NULL; (*al)++)
			if (is_word(word, (*al)->key))
				return r;
		*al = NULL;
	}
	return NULL;
}

static int
fail_unknown(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it)
{
	struct diags	*d = conf_load_diags(load);
	struct text	 t;

	diag_at(d, DIAG_KEY_UNKNOWN, &it->kspan, NULL, row->key,
	    "\"%.*s\" is not the opposite of a condition",
	    STR_FMT(it->key));
	text_init(&t);
	for (size_t i = 0; route_conds[i] != NULL; i++)
		text_fmt(&t, "%s%s", i == 0 ? "conditions: " : ", ",
		    route_conds[i]->group->rows[0].key);
	diag_hint(d, "%.*s", STR_FMT(text_str(&t)));
	text_fini(&t);
	return -1;
}

/* The items of one key, read by the condition's own row. */
static int
read_one(struct conf_load *load, struct route_check *c,
    struct conf_item *items, size_t n)
{
	const struct conf_row	*r = items[0].row;
	const struct conf_alias	*al = NULL;
	struct str		 word;
	void			*part;

	word = str_sub(items[0].key, PREFIX.n, items[0].key.n);
	for (size_t i = 0; route_conds[i] != NULL; i++) {
		c->cond = route_conds[i];
		r = find_row(c->cond->group, word, &al);
		if (r != NULL)
			break;
	}
	if (r == NULL)
		return fail_unknown(load, items[0].row, &items[0]);
	for (size_t i = 0; i < n; i++) {
		items[i].key = word;
		items[i].row = r;
		items[i].alias = al;
	}
	part = arena_alloc(conf_load_arena(load), c->cond->group->size);
	c->part = part;
	c->not = true;
	c->key = arena_dup(conf_load_arena(load), word);
	return r->parse(load, r, (char *)part + r->off, items, n);
}

int
cond_parse_not(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct arena		*a = conf_load_arena(load);
	struct conf_item	*same = arena_alloc(a, n * sizeof(*same));
	struct route_nots	*nots = dst;
	struct route_check	*v = arena_alloc(a, n * sizeof(*v));
	size_t			 i, k, nsame;

	(void)row;
	nots->v = v;
	for (i = 0; i < n; i++) {
		for (k = 0; k < i && !str_eq(items[k].key, items[i].key);)
			k++;
		if (k < i)
			continue;
		for (nsame = 0; k < n; k++)
			if (str_eq(items[k].key, items[i].key))
				same[nsame++] = items[k];
		if (read_one(load, &v[nots->n], same, nsame) == -1)
			return -1;
		nots->n++;
	}
	return 0;
}
