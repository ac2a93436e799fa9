/*
 * The lines of each object: what somebody set, in the words of -T, kept
 * in the generation so that it can be shown and compared later, when the
 * files have changed.  Builder and tools.
 *
 * Secrets leave nothing but a digest, which tells whether they changed.
 */
#include "conf/sheet.h"

#include "base/must.h"
#include "conf/int.h"

#define GROUPS_MAX	64

/* the rows of a group, to find a row's */
struct bounds {
	const struct conf_row	*from;
	const struct conf_row	*to;
};

struct sheet {
	struct conf_load	*l;
	const struct sect	*s;
	struct bounds		 group[GROUPS_MAX];
	size_t			 ngroup;
};

static void
find_groups(struct sheet *sh, const struct rows *r)
{
	const struct conf_row	*row;
	size_t			 i;

	sh->ngroup = r->keys->ngroup;
	must(sh->ngroup <= GROUPS_MAX);
	for (i = 0; i < sh->ngroup; i++) {
		row = sh->group[i].from = r->section->groups[i]->rows;
		while (row != NULL && row->key != NULL)
			row++;
		sh->group[i].to = row;
	}
}

/* The row's member in the object. */
static const void *
member(const struct sheet *sh, const struct conf_row *row)
{
	size_t	i;

	for (i = 0; i < sh->ngroup; i++)
		if (row >= sh->group[i].from && row < sh->group[i].to)
			return (const char *)sh->s->obj->part[i] + row->off;
	must(!"a row of the section");
	return NULL;
}

static struct str value_of(struct sheet *, const struct conf_item *);

/* As it is in the object that was made for it, if there is one. */
static struct str
value_of_guest(struct sheet *sh, const struct conf_item *it)
{
	const struct sect	*lent = sh->s->lent;
	struct sheet		 sub = { .l = sh->l, .s = lent };

	if (lent == NULL)
		return arena_dup(sh->l->out, it->val);
	find_groups(&sub, lent->rows);
	return value_of(&sub, it);
}

static struct str
value_of(struct sheet *sh, const struct conf_item *it)
{
	const void	*at;
	struct text	 t;
	char		 buf[64];

	if (keys_is_guest(sh->s->rows->keys, it->row))
		return value_of_guest(sh, it);
	at = member(sh, it->row);
	text_init_fixed(&t, buf, sizeof(buf));
	if (it->row->type == CONF_PATH)
		return *(const struct str *)at;
	if (!conf_value_text(it->row, at, &t))
		return arena_dup(sh->l->out, it->val);
	return arena_dup(sh->l->out, text_str(&t));
}

static void
set_line(struct sheet *sh, const struct conf_item *it,
    struct conf_line *line)
{
	line->row = it->row;
	line->key = str_from(it->row->key);
	if (str_ends(line->key, STR(".*")))
		line->key = arena_dup(sh->l->out, it->key);
	line->val = STR("");
	if (it->row->flags & CONF_F_SECRET)
		line->digest = str_hash(it->val, STR_HASH0);
	else
		line->val = value_of(sh, it);
}

static void
fill_sect(struct sheet *sh, const struct sect *s)
{
	struct conf_line	*v;
	size_t			 i;

	sh->s = s;
	if (s->nitem == 0)
		return;
	v = arena_alloc(sh->l->out, s->nitem * sizeof(*v));
	for (i = 0; i < s->nitem; i++)
		set_line(sh, &s->items[i], &v[i]);
	s->obj->lines = v;
	s->obj->nlines = s->nitem;
}

void
sheet_run(struct conf_load *l)
{
	struct sheet	 sh = { .l = l };
	struct sect	*s;
	size_t		 i;

	for (i = 0; i < l->nsect; i++) {
		find_groups(&sh, &l->rows[i]);
		for (s = l->rows[i].made.first; s != NULL; s = s->made)
			fill_sect(&sh, s);
	}
}
