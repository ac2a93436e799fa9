/*
 * -T and --dump-set: the effective configuration as a file that could be
 * read again.  Comments are whole lines in this format, so the origin of
 * a value stands above it.  Secrets are stars.
 */
#include "base/must.h"
#include "conf/int.h"

struct dumper {
	struct conf_load	*l;
	enum conf_dump		 how;
	FILE			*out;
};

/* Quotes where the reader would change the bytes otherwise. */
static void
put_text(struct dumper *d, struct str s)
{
	bool	quote = s.n == 0 || str_trim(s).n != s.n ||
	    str_find(s, '$', 0) >= 0 || s.p[0] == '"';

	fprintf(d->out, quote ? "\"%.*s\"\n" : "%.*s\n", STR_FMT(s));
}

static void
put_origin(struct dumper *d, const struct conf_item *it)
{
	static const char *const	names[] = {
		[CONF_DEFAULT] = "default", [CONF_DEFAULTS] = "defaults, ",
		[CONF_LIKE] = "like, ", [CONF_FILE] = "", [CONF_ENV] = "",
		[CONF_CLI] = ""
	};

	if (d->how != CONF_DUMP_ALL)
		return;
	if (it == NULL || it->origin == CONF_DEFAULT)
		fprintf(d->out, "# default\n");
	else if (it->kspan.line == 0)
		fprintf(d->out, "# %s%s\n", names[it->origin],
		    it->kspan.file);
	else
		fprintf(d->out, "# %s%s:%u\n", names[it->origin],
		    it->kspan.file, it->kspan.line);
}

bool
conf_value_text(const struct conf_row *row, const void *at, struct text *t)
{
	struct str	w = STR("");

	switch (row->type) {
	case CONF_BOOL:
		w = *(const bool *)at ? STR("on") : STR("off");
		break;
	case CONF_INT:
		text_i64(t, *(const int64_t *)at);
		if (row->unit == CONF_PERCENT)
			text_c(t, '%');
		break;
	case CONF_SIZE:
		text_size(t, *(const uint64_t *)at);
		break;
	case CONF_TIME:
		text_time(t, *(const uint64_t *)at);
		break;
	case CONF_ENUM:
		value_choice(row->choices, (size_t)*(const int *)at, &w);
		break;
	default:
		return false;
	}
	text_add(t, w);
	return true;
}

/* The value of a scalar as it is in the object. */
static bool
put_number(struct dumper *d, const struct conf_row *row, const void *at)
{
	struct text	t;
	bool		done;

	text_init(&t);
	done = conf_value_text(row, at, &t);
	if (done)
		put_text(d, text_str(&t));
	text_fini(&t);
	return done;
}

static size_t
size_of(const struct conf_row *row)
{
	switch (row->type) {
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_ENUM:
		return sizeof(int);
	case CONF_INT:
	case CONF_SIZE:
	case CONF_TIME:
		return sizeof(uint64_t);
	default:
		return 0;
	}
}

/* True if the row's value is the default, though somebody wrote it. */
static bool
is_default(const struct sect *s, size_t group, const struct conf_row *row,
    const struct conf_item *it)
{
	const char	*now = (const char *)s->obj->part[group] + row->off;
	const char	*def = (const char *)s->rows->tmpl[group] + row->off;
	size_t		 n = size_of(row);

	if (row->def == NULL)
		return false;
	if (n > 0)
		return memcmp(now, def, n) == 0;
	return str_eq(it->val, str_from(row->def));
}

static void
put_item(struct dumper *d, const struct sect *s, const struct conf_row *row,
    size_t group, const struct conf_item *it)
{
	bool		family = str_ends(str_from(row->key), STR(".*"));
	struct str	key = family ? it->key : str_from(row->key);
	const char	*at = (const char *)s->obj->part[group] + row->off;

	put_origin(d, it);
	/* what was included stands here already */
	fprintf(d->out, "%s%.*s = ", str_eq(key, STR("include")) ? "# " : "",
	    STR_FMT(key));
	if (row->flags & CONF_F_SECRET)
		fprintf(d->out, "***\n");
	else if (row->type == CONF_PATH)
		put_text(d, *(const struct str *)(const void *)at);
	else if (!put_number(d, row, at))
		put_text(d, it->val);
}

/* A row that nobody set. */
static void
put_unset(struct dumper *d, const struct sect *s, const struct conf_row *row,
    size_t group)
{
	const char	*at = (const char *)s->obj->part[group] + row->off;

	if (d->how != CONF_DUMP_ALL)
		return;
	if (row->def == NULL) {
		fprintf(d->out, "# %s is not set\n", row->key);
		return;
	}
	put_origin(d, NULL);
	fprintf(d->out, "%s = ", row->key);
	/* a path may have become another one where it was linked */
	if (row->type == CONF_PATH)
		put_text(d, *(const struct str *)(const void *)at);
	else if (!put_number(d, row, at))
		put_text(d, str_from(row->def));
}

static void
put_row(struct dumper *d, const struct sect *s, const struct conf_row *row,
    size_t group)
{
	const struct conf_item	*it;
	size_t			 n = 0;
	size_t			 i;
	size_t			 all = 0;

	for (i = 0; i < s->nitem; i++)
		all += s->items[i].row == row;
	for (i = 0; i < s->nitem; i++) {
		it = &s->items[i];
		if (it->row != row)
			continue;
		n++;
		if (d->how == CONF_DUMP_SET && all == 1 &&
		    is_default(s, group, row, it))
			continue;
		put_item(d, s, row, group, it);
	}
	if (n == 0)
		put_unset(d, s, row, group);
}

/* What it has of another section's keys; see conf_section.guest. */
static void
put_guests(struct dumper *d, const struct sect *s)
{
	const struct conf_group	*g;
	const struct conf_row	*row;
	const struct conf_item	*it;

	for (size_t i = 0; s->lent != NULL && i < s->lent->rows->keys->ngroup;
	    i++) {
		g = s->lent->rows->section->groups[i];
		for (row = g->rows; row != NULL && row->key != NULL; row++)
			for (size_t k = 0; k < s->nitem; k++) {
				it = &s->items[k];
				if (it->row == row)
					put_item(d, s->lent, row, i, it);
			}
	}
}

static void
put_sect(struct dumper *d, const struct sect *s)
{
	const struct conf_group	*g;
	const struct conf_row	*row;
	size_t			 i;

	if (d->how == CONF_DUMP_SET && s->nitem == 0 &&
	    !s->rows->section->named)
		return;
	/* made for a key of another section, which is printed there */
	if (s->name.n > 0 && s->name.p[0] == '@')
		return;
	fprintf(d->out, "[%s%s%.*s]\n", s->rows->section->type,
	    s->name.n > 0 ? " " : "", STR_FMT(s->name));
	for (i = 0; i < s->rows->keys->ngroup; i++) {
		g = s->rows->section->groups[i];
		for (row = g->rows; row != NULL && row->key != NULL; row++)
			put_row(d, s, row, i);
	}
	put_guests(d, s);
	fprintf(d->out, "\n");
}

void
conf_dump(struct conf_load *l, enum conf_dump how, FILE *out)
{
	struct dumper	d = { l, how, out };
	struct sect	*s;
	size_t		 i;

	must(l->conf != NULL);
	for (i = 0; i < l->nsect; i++)
		for (s = l->rows[i].made.first; s != NULL; s = s->made)
			put_sect(&d, s);
}
