/*
 * The lines of each object: what somebody set, in the words of -T, kept
 * in the generation so that it can be shown and compared later, when the
 * files have changed.  Builder and tools.
 *
 * Secrets leave nothing but a digest, which tells whether they changed.
 */
#include "conf/sheet.h"

#include "conf/int.h"

struct sheet {
	struct conf_load	*l;
	const struct sect	*s;
	struct conf_line	*v;	/* of out */
	size_t			 n;
};

static struct str
value_of(struct sheet *sh, const struct conf_item *it, size_t group)
{
	const struct conf_row	*row = it->row;
	const char		*at;
	struct str		 out = it->val;
	struct text		 t;

	at = (const char *)sh->s->obj->part[group] + row->off;
	text_init(&t);
	if (row->type == CONF_PATH)
		out = *(const struct str *)(const void *)at;
	else if (conf_value_text(row, at, &t))
		out = text_str(&t);
	out = arena_dup(sh->l->out, out);
	text_fini(&t);
	return out;
}

static void
add_line(struct sheet *sh, const struct conf_item *it, size_t group)
{
	struct conf_line	*line = &sh->v[sh->n++];
	struct str		 key = str_from(it->row->key);

	line->row = it->row;
	line->key = key;
	if (str_ends(key, STR(".*")))
		line->key = arena_dup(sh->l->out, it->key);
	line->val = STR("");
	if (it->row->flags & CONF_F_SECRET)
		line->digest = str_hash(it->val, STR_HASH0);
	else
		line->val = value_of(sh, it, group);
}

static void
add_group(struct sheet *sh, size_t group)
{
	const struct conf_row	*row;
	size_t			 i;

	row = sh->s->rows->section->groups[group]->rows;
	for (; row != NULL && row->key != NULL; row++)
		for (i = 0; i < sh->s->nitem; i++)
			if (sh->s->items[i].row == row)
				add_line(sh, &sh->s->items[i], group);
}

static void
fill_sect(struct conf_load *l, const struct sect *s)
{
	struct sheet	sh = { .l = l, .s = s };
	size_t		i;

	if (s->nitem == 0)
		return;
	sh.v = arena_alloc(l->out, s->nitem * sizeof(*sh.v));
	for (i = 0; i < s->rows->ngroup; i++)
		add_group(&sh, i);
	s->obj->lines = sh.v;
	s->obj->nlines = sh.n;
}

void
sheet_run(struct conf_load *l)
{
	size_t	i;
	size_t	j;

	for (i = 0; i < l->nsect; i++)
		for (j = 0; j < l->rows[i].made.n; j++)
			fill_sect(l, *(struct sect **)vec_at(
			    &l->rows[i].made, j));
}
