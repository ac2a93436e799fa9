/*
 * A load from its beginning to its end, and what parse, link and done
 * functions of modules may ask of it.  Builder, -t and tools.
 */
#include "conf/load.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"
#include "conf/int.h"
#include "conf/sheet.h"

#define NAMES_SHOWN	8	/* in "defined upstreams: ..." */
#define NEAR		2

static void
add_types(struct conf_load *l)
{
	size_t	i;

	l->keytab = keytab_get(l->sections);
	l->nsect = l->keytab->n;
	for (i = 0; i < l->nsect; i++) {
		rows_init(&l->rows[i], &l->keytab->v[i], i);
		text_init(&l->note[i]);
	}
}

struct conf_load *
conf_load_new(const struct conf_opts *opts)
{
	struct conf_load	*l = must_calloc(1, sizeof(*l));

	l->opts = *opts;
	l->sections = opts->sections != NULL ? opts->sections :
	    conf_sections;
	arena_init(&l->arena, NULL);
	l->diags = diag_new();
	map_init(&l->ids, 0);
	vec_init(&l->files, sizeof(struct cfile *));
	add_types(l);
	return l;
}

void
conf_load_free(struct conf_load **lp)
{
	struct conf_load	*l = *lp;
	size_t			 i;

	*lp = NULL;
	if (l == NULL)
		return;
	for (i = 0; i < l->nsect; i++) {
		rows_fini(&l->rows[i]);
		text_fini(&l->note[i]);
	}
	for (i = 0; i < l->files.n; i++)
		vec_fini(&(*(struct cfile **)vec_at(&l->files, i))->includes);
	vec_fini(&l->files);
	map_fini(&l->ids);
	diag_free(&l->diags);
	arena_fini(&l->arena);
	keytab_put(&l->keytab);
	free(l);
}

static struct cfile *
new_file(struct conf_load *l, const char *name, enum conf_origin origin)
{
	struct cfile	*f = arena_alloc(&l->arena, sizeof(*f));

	f->name = name;
	f->origin = origin;
	vec_init(&f->includes, sizeof(struct conf_item));
	*(struct cfile **)vec_push(&l->files) = f;
	return f;
}

/* The configuration of a program that has no file. */
static void
read_builtin(struct conf_load *l)
{
	struct cfile	*f = new_file(l, "built-in", CONF_DEFAULT);

	f->data = str_from(l->opts.builtin != NULL ? l->opts.builtin :
	    conf_builtin);
	reader_file(l, f);
}

/* True if there is no file to read, and none is due. */
static bool
is_absent(struct conf_load *l)
{
	struct stat	st;

	if (l->opts.memory != NULL)
		return false;
	if (l->opts.file == NULL)
		return true;
	if (l->opts.file_given || stat(l->opts.file, &st) == 0 ||
	    errno != ENOENT)
		return false;
	diag_at(l->diags, DIAG_NO_FILE, NULL, NULL, "",
	    "there is no \"%s\"; the built-in configuration is used",
	    l->opts.file);
	return true;
}

/* -1 when the main file cannot be read: there is nothing to go on with. */
static int
read_main(struct conf_load *l)
{
	struct cfile	*f;
	struct str	 id;

	if (is_absent(l)) {
		read_builtin(l);
		return 0;
	}
	f = new_file(l, l->opts.file, CONF_FILE);
	if (f->name == NULL)
		f->name = "memory";
	if (l->opts.memory != NULL)
		f->data = *l->opts.memory;
	else if (include_slurp(l, f->name, NULL, f) != 0)
		return -1;
	l->conf->file = arena_dup(l->out, str_from(f->name));
	id = str_make((const char *)&f->id, sizeof(f->id));
	map_add(&l->ids, id, f);
	reader_file(l, f);
	include_run(l, f);
	return 0;
}

static void
link_one(struct conf_load *l, struct sect *s)
{
	const struct conf_group *const	*g = s->rows->section->groups;
	size_t				 i;

	if (s->bad)
		return;
	for (i = 0; g[i] != NULL; i++)
		if (g[i]->link != NULL &&
		    g[i]->link(l, s->obj, s->obj->part[i]) != 0)
			s->bad = true;
}

/* Links; the queue grows when a link function makes objects. */
static void
link_all(struct conf_load *l)
{
	struct sect	*s;
	size_t		 i;

	for (s = l->queue.first; s != NULL; s = s->queued)
		link_one(l, s);
	/* Indexes of what is not sound would only confuse. */
	if (diag_errors(l->diags) > 0)
		return;
	for (i = 0; i < l->nsect; i++)
		if (l->sections[i]->done != NULL &&
		    l->sections[i]->done(l) != 0)
			l->broken = true;
}

static void
set_digest(struct conf_load *l)
{
	struct conf_objs	*o;
	uint64_t		 h = STR_HASH0;
	size_t			 i;
	size_t			 j;

	for (i = 0; i < l->nsect; i++) {
		o = &l->conf->objs[i];
		for (j = 0; j < o->n; j++)
			h = str_hash(str_make(
			    (const char *)&o->v[j]->digest,
			    sizeof(o->v[j]->digest)), h);
	}
	l->conf->digest = h;
}

struct conf *
conf_load_run(struct conf_load *l, struct arena *out)
{
	struct timespec	now;

	must(l->out == NULL);
	l->out = out;
	l->conf = arena_alloc(out, sizeof(*l->conf));
	l->conf->sections = l->sections;
	l->conf->file = STR("");
	clock_gettime(CLOCK_REALTIME, &now);
	l->conf->made_ms = (uint64_t)now.tv_sec * 1000 +
	    (uint64_t)now.tv_nsec / 1000000;
	if (read_main(l) != 0)
		return NULL;
	override_run(l);
	resolve_run(l);
	if (!l->broken)
		link_all(l);
	set_digest(l);
	if (diag_errors(l->diags) == 0 && !l->broken)
		sheet_run(l);
	l->conf->warnings = diag_warnings(l->diags);
	return diag_errors(l->diags) > 0 || l->broken ? NULL : l->conf;
}

void
conf_load_keys(struct conf_load *l, struct arena *keys, struct arena *probe)
{
	l->keys = keys;
	l->probe = probe;
}

struct arena *
conf_load_arena(struct conf_load *l)
{
	return l->out;
}

struct arena *
conf_load_secret(struct conf_load *l)
{
	return l->keys != NULL ? l->keys : l->out;
}

struct arena *
conf_load_probe(struct conf_load *l)
{
	return l->probe != NULL ? l->probe : l->out;
}

struct diags *
conf_load_diags(struct conf_load *l)
{
	return l->diags;
}

const struct conf_opts *
conf_load_opts(const struct conf_load *l)
{
	return &l->opts;
}

struct conf *
conf_load_conf(struct conf_load *l)
{
	return l->conf;
}

static struct rows *
rows_of(struct conf_load *l, const struct conf_section *s)
{
	size_t	i;

	for (i = 0; i < l->nsect && l->sections[i] != s; i++)
		;
	must(i < l->nsect);
	return &l->rows[i];
}

static struct sect *
sect_of(struct conf_load *l, const struct conf_obj *o)
{
	if (l->recent == NULL || l->recent->obj != o)
		l->recent = rows_sect(rows_of(l, o->section), o->name);
	must(l->recent != NULL && l->recent->obj == o);
	return l->recent;
}

void *
conf_ref(struct conf_load *l, const struct conf_section *sec,
    struct str name)
{
	struct sect	*s = rows_sect(rows_of(l, sec), name);

	return s != NULL ? s->obj : NULL;
}

/* "defined upstreams: a, b   (nearest: a)" */
static void
hint_names(struct conf_load *l, const struct rows *r, struct str word)
{
	struct str	near = STR_NONE;
	struct str	name;
	struct text	t;
	unsigned	best = NEAR + 1;
	unsigned	d;
	struct sect	*s;
	size_t		i = 0;

	text_init(&t);
	for (s = r->made.first; s != NULL; s = s->made) {
		name = s->name;
		if (i++ < NAMES_SHOWN)
			text_fmt(&t, "%s%.*s", i == 1 ? "" : ", ",
			    STR_FMT(name));
		if (word.n > CONF_NAME_MAX)
			continue;
		d = str_distance(word, name, NEAR);
		if (d < best) {
			best = d;
			near = name;
		}
	}
	if (r->made.n > NAMES_SHOWN)
		text_fmt(&t, " and %zu more", r->made.n - NAMES_SHOWN);
	if (near.p != NULL)
		text_fmt(&t, "   (nearest: %.*s)", STR_FMT(near));
	if (r->made.n > 0)
		diag_hint(l->diags, "defined %s%s: %.*s", r->section->type,
		    str_ends(str_from(r->section->type), STR("s")) ? "" :
		    "s", STR_FMT(text_str(&t)));
	else
		diag_hint(l->diags, "no %s is defined", r->section->type);
	text_fini(&t);
}

void *
conf_ref_at(struct conf_load *l, const struct conf_obj *o,
    const struct conf_item *it, struct str word,
    const struct conf_section *sec)
{
	void			*found = conf_ref(l, sec, word);
	struct conf_span	 sp;

	if (found != NULL)
		return found;
	sp = conf_word_span(it, word);
	diag_at(l->diags, DIAG_REF_UNKNOWN, &sp, o, it->row != NULL ?
	    it->row->key : "like",
	    "%s \"%.*s\" uses %s \"%.*s\", which is not defined",
	    o->section->type, STR_FMT(o->name), sec->type,
	    STR_FMT(str_sub(word, 0, 80)));
	if (diag_has_room(l->diags))
		hint_names(l, rows_of(l, sec), word);
	return NULL;
}

static bool
is_key(const struct conf_item *it, struct str key)
{
	return str_eq(str_from(it->row->key), key) || str_eq(it->key, key);
}

const struct conf_item *
conf_item(struct conf_load *l, const struct conf_obj *o, const char *key)
{
	struct sect	*s = sect_of(l, o);
	size_t		 i;

	for (i = s->nitem; i-- > 0;)
		if (is_key(&s->items[i], str_from(key)))
			return &s->items[i];
	return NULL;
}

void
conf_words_init(struct conf_words *w, struct conf_load *l,
    const struct conf_obj *o, const char *key)
{
	struct sect	*s = sect_of(l, o);

	*w = (struct conf_words){
		.next = s->items, .end = s->items + s->nitem,
		.key = str_from(key), .rest = STR("")
	};
}

bool
conf_words_next(struct conf_words *w)
{
	while (!str_word(&w->rest, CONF_SEPS, &w->word)) {
		while (w->next < w->end && !is_key(w->next, w->key))
			w->next++;
		if (w->next == w->end) {
			w->it = NULL;
			return false;
		}
		w->it = w->next++;
		w->rest = w->it->val;
	}
	return true;
}

struct conf_span
conf_obj_span(const struct conf_obj *o)
{
	return (struct conf_span){
		.file = o->file.n > 0 ? o->file.p : NULL, .line = o->line
	};
}

bool
conf_is_set(struct conf_load *l, const struct conf_obj *o, const char *key)
{
	return conf_item(l, o, key) != NULL;
}

const struct conf_item *
conf_guest(struct conf_load *l, const struct conf_obj *o, size_t *at)
{
	const struct sect	*s = sect_of(l, o);

	while (*at < s->nitem)
		if (keys_is_guest(s->rows->keys, s->items[(*at)++].row))
			return &s->items[*at - 1];
	return NULL;
}

static void
lend_item(struct conf_load *l, const struct conf_item *it, struct sect *s)
{
	const struct rowref	*ref;
	struct node		*n = arena_alloc(&l->arena, sizeof(*n));

	ref = keys_find(s->rows->keys, str_from(it->row->key));
	must(ref != NULL);
	n->item = *it;
	n->item.row = ref->row;
	n->nth = ref->nth;
	*s->tail = n;
	s->tail = &n->next;
}

/* Its guests go on to the new one, from where they came. */
static void
lend_items(struct conf_load *l, const struct conf_obj *from, struct sect *s)
{
	struct sect		*own = sect_of(l, from);
	const struct conf_item	*it;
	size_t			 at = 0;

	while ((it = conf_guest(l, from, &at)) != NULL)
		lend_item(l, it, s);
	for (size_t i = 0; i < own->nitem; i++)
		if ((own->items[i].row->flags & CONF_F_SHARED) != 0)
			lend_item(l, &own->items[i], s);
	own->lent = s;
}

void *
conf_make(struct conf_load *l, const struct conf_section *sec,
    struct str name, const struct conf_item *because)
{
	return conf_lend(l, NULL, sec, name, because);
}

void *
conf_lend(struct conf_load *l, const struct conf_obj *from,
    const struct conf_section *sec, struct str name,
    const struct conf_item *because)
{
	struct rows		*r = rows_of(l, sec);
	struct conf_span	 none = { .file = NULL };
	struct sect		*s;

	if (rows_sect(r, name) != NULL)
		return NULL;
	s = reader_sect(l, r, false, name,
	    because != NULL ? &because->kspan : &none);
	if (from != NULL)
		lend_items(l, from, s);
	/* Its maker sets what is required. */
	s->bad = true;
	resolve_make(l, s);
	resolve_fill(l, s);
	s->bad = false;
	if (because != NULL)
		s->obj->digest = str_hash(because->val, s->obj->digest);
	return s->obj;
}

void
conf_set_data(struct conf_load *l, const struct conf_section *sec,
    void *data)
{
	l->conf->data[rows_of(l, sec)->index] = data;
}

struct text *
conf_load_note(struct conf_load *l, const struct conf_section *sec)
{
	return &l->note[rows_of(l, sec)->index];
}
