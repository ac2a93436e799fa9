/*
 * Raw sections to objects.  Builder and tools.
 *
 * All objects come to be first, with the defaults of their rows, so that
 * values may refer to any of them.  Then each is filled from layers:
 * [defaults TYPE], the chain of like, its own sections, environment,
 * command line.  A later layer appends where a row takes many values; an
 * empty value clears what came before, an override replaces it.
 */
#include "base/must.h"
#include "conf/int.h"

#define NAMES_MIN	16

/* an assignment of some layer */
struct layered {
	const struct conf_item	*item;
	unsigned		 nth;	/* row of the section */
	enum conf_origin	 origin;
	bool			 cuts;	/* clears what came before it */
	bool			 kept;
};

/* what is known of a row of the section that is filled */
struct rowstate {
	bool	closed;		/* what is weaker does not count */
	size_t	n;		/* its items */
	size_t	first;		/* the first of them */
};

struct resolver {
	struct conf_load	*l;
	struct vec		 all;	/* struct layered, weakest first */
	struct vec		 row;	/* struct conf_item of one row */
	struct vec		 state;	/* struct rowstate, by row */
};

static void
insert_name(struct conf_names *t, const struct conf_obj *o)
{
	size_t	i = (size_t)str_hash(o->name, STR_HASH0) & (t->cap - 1);

	while (t->slot[i] != NULL)
		i = (i + 1) & (t->cap - 1);
	t->slot[i] = o;
}

/* The index by name, at most half full. */
static void
add_name(struct conf_load *l, struct conf_names *t, size_t n,
    const struct conf_obj *o)
{
	struct conf_names	old = *t;
	size_t			i;

	if (n * 2 > t->cap) {
		t->cap = t->cap == 0 ? NAMES_MIN : t->cap * 2;
		t->slot = arena_alloc(l->out, t->cap * sizeof(*t->slot));
		for (i = 0; i < old.cap; i++)
			if (old.slot[i] != NULL)
				insert_name(t, old.slot[i]);
	}
	insert_name(t, o);
}

static void
add_obj(struct conf_load *l, struct rows *r, struct conf_obj *o)
{
	struct conf_objs	 *objs = &l->conf->objs[r->index];
	struct conf_obj		**v;

	if (objs->n == r->cap) {
		r->cap = r->cap == 0 ? 8 : r->cap * 2;
		v = arena_alloc(l->out, r->cap * sizeof(*v));
		if (objs->n > 0)
			memcpy(v, objs->v, objs->n * sizeof(*v));
		objs->v = v;
	}
	/* Ours until the load is over. */
	v = (struct conf_obj **)(uintptr_t)objs->v;
	v[objs->n++] = o;
	add_name(l, &l->conf->names[r->index], objs->n, o);
}

/* The item that a row's default would be. */
static struct conf_item
default_item(const struct conf_row *row)
{
	return (struct conf_item){
		.key = str_from(row->key), .val = str_from(row->def),
		.origin = CONF_DEFAULT, .row = row
	};
}

static void
assign_default(struct conf_load *l, struct rows *r,
    const struct conf_row *row, void *group)
{
	struct conf_item	it = default_item(row);
	struct sect		none = { .rows = r };

	must(assign_row(l, &none, row, (char *)group + row->off, &it, 1));
}

/* True if the default is more than what the tables hold. */
static bool
needs_memory(const struct conf_row *row)
{
	switch (row->type) {
	case CONF_LIST:
	case CONF_LINES:
	case CONF_PAIRS:
		return true;
	case CONF_STR:
		return (row->flags & CONF_F_SECRET) != 0;
	case CONF_PATH:
		return row->def[0] != '/';
	default:
		return false;
	}
}

/* The groups with the defaults that are the same in all loads. */
static void
make_constant(struct conf_load *l, struct rows *r)
{
	struct keys		*k = r->keys;
	const struct conf_group	*g;
	const struct conf_row	*row;
	size_t			 i;

	k->tmpl = arena_alloc(&l->keytab->arena,
	    k->ngroup * sizeof(*k->tmpl));
	for (i = 0; i < k->ngroup; i++) {
		g = r->section->groups[i];
		k->tmpl[i] = arena_alloc(&l->keytab->arena, g->size);
		for (row = g->rows; row != NULL && row->key != NULL; row++) {
			/* CUSTOM may need the object: see fill_row */
			if (row->def == NULL || row->type == CONF_CUSTOM)
				continue;
			if (needs_memory(row))
				*(struct laterow *)vec_push(&k->late) =
				    (struct laterow){ row, i };
			else
				assign_default(l, r, row, k->tmpl[i]);
		}
	}
}

/* The groups with their defaults, for all objects of the section. */
static void
make_template(struct conf_load *l, struct rows *r)
{
	const struct keys	*k = r->keys;
	const struct laterow	*late;
	size_t			 size;
	size_t			 i;

	if (k->tmpl == NULL)
		make_constant(l, r);
	r->tmpl = k->tmpl;
	if (k->late.n == 0)
		return;
	r->tmpl = arena_alloc(&l->arena, k->ngroup * sizeof(*r->tmpl));
	for (i = 0; i < k->ngroup; i++) {
		size = r->section->groups[i]->size;
		r->tmpl[i] = arena_alloc(&l->arena, size);
		memcpy(r->tmpl[i], k->tmpl[i], size);
	}
	for (i = 0; i < k->late.n; i++) {
		late = vec_at(&k->late, i);
		assign_default(l, r, late->row, r->tmpl[late->group]);
	}
}

void
resolve_make(struct conf_load *l, struct sect *s)
{
	struct rows			 *r = s->rows;
	const struct conf_group *const	 *g = r->section->groups;
	struct conf_obj			 *o;
	void				**part;
	size_t				  i;

	if (r->tmpl == NULL)
		make_template(l, r);
	part = arena_alloc(l->out, r->keys->ngroup * sizeof(*part));
	for (i = 0; i < r->keys->ngroup; i++) {
		part[i] = arena_alloc(l->out, g[i]->size);
		memcpy(part[i], r->tmpl[i], g[i]->size);
	}
	o = part[0];
	o->name = arena_dup(l->out, s->name);
	o->section = r->section;
	o->part = part;
	o->file = STR("");
	if (s->span.line > 0)
		o->file = arena_dup(l->out, str_from(s->span.file));
	o->line = s->span.line;
	s->obj = o;
	if (r->made.n++ == 0)
		r->made.first = s;
	else
		r->made.last->made = s;
	r->made.last = s;
	if (l->queue.n++ == 0)
		l->queue.first = s;
	else
		l->queue.last->queued = s;
	l->queue.last = s;
	add_obj(l, r, o);
}

static bool
is_family(const struct conf_row *row)
{
	return str_ends(str_from(row->key), STR(".*"));
}

static bool
is_scalar(const struct conf_row *row)
{
	switch (row->type) {
	case CONF_LIST:
	case CONF_LINES:
	case CONF_PAIRS:
		return false;
	case CONF_CUSTOM:
		return (row->flags & CONF_F_MANY) == 0;
	default:
		return true;
	}
}

static bool
is_reset(const struct conf_item *it)
{
	return it->val.n == 0 && !it->quoted &&
	    !(it->row->flags & CONF_F_EMPTY);
}

/* What makes two assignments one key: families count by their word. */
static struct str
identity(const struct conf_item *it)
{
	return is_family(it->row) ? it->key : str_from(it->row->key);
}

/* Does an override say anything of the key before n? */
static bool
is_first(const struct node *head, const struct node *n)
{
	const struct node	*m;

	for (m = head; m != n; m = m->next)
		if (m->item.origin == n->item.origin &&
		    str_eq(identity(&m->item), identity(&n->item)))
			return false;
	return true;
}

/* Adds a section's assignments from..to, in that strength. */
static void
add_nodes(struct resolver *r, const struct sect *s, enum conf_origin from,
    enum conf_origin to)
{
	const struct node	*n;
	struct layered		*ly;

	for (n = s->head; n != NULL; n = n->next) {
		if (n->item.origin < from || n->item.origin > to)
			continue;
		ly = vec_push(&r->all);
		ly->item = &n->item;
		ly->nth = n->nth;
		ly->origin = n->item.origin;
		ly->cuts = from >= CONF_ENV && is_first(s->head, n);
	}
}

static void
add_layer(struct resolver *r, const struct sect *s, enum conf_origin as)
{
	size_t		 i = r->all.n;
	struct layered	*ly;

	add_nodes(r, s, CONF_DEFAULT, CONF_FILE);
	add_nodes(r, s, CONF_ENV, CONF_ENV);
	add_nodes(r, s, CONF_CLI, CONF_CLI);
	for (; as != CONF_FILE && i < r->all.n; i++) {
		ly = vec_at(&r->all, i);
		ly->origin = as;
	}
}

static void
fail_like(struct conf_load *l, struct sect *const *chain, size_t n,
    const char *why)
{
	struct text	t;
	size_t		i;

	text_init(&t);
	for (i = 0; i < n; i++)
		text_fmt(&t, "%.*s%s", STR_FMT(chain[i]->name),
		    i + 1 < n ? " -> " : "");
	chain[0]->bad = true;
	diag_at(l->diags, DIAG_LIKE_CYCLE, &chain[0]->like->vspan,
	    chain[0]->obj, "like", "%s: %.*s", why, STR_FMT(text_str(&t)));
	text_fini(&t);
}

/* The first member of a ring that is walked tells it for all. */
static void
tell_ring(struct conf_load *l, struct sect **chain, size_t n)
{
	size_t	i;

	if (!chain[0]->cyclic)
		fail_like(l, chain, n + 1, "like runs in a circle");
	for (i = 0; i < n; i++) {
		chain[i]->cyclic = true;
		chain[i]->bad = true;
	}
}

/*
 * The sections that s is like, nearest first, behind itself; their
 * number.
 */
static size_t
walk_like(struct conf_load *l, struct sect *s, struct sect **chain)
{
	size_t		 n = 0;
	size_t		 i;
	struct sect	*next = s;

	for (; next != NULL && n <= CONF_LIKE_MAX; n++) {
		for (i = 0; i < n && chain[i] != next; i++)
			;
		chain[n] = next;
		if (i < n) {
			if (i == 0)
				tell_ring(l, chain, n);
			return n;
		}
		if (next->like == NULL)
			return n + 1;
		next = rows_sect(s->rows, next->like->val);
		/* Told where it stands, by the section that has the line. */
		if (next == NULL && n == 0) {
			conf_ref_at(l, s->obj, s->like, s->like->val,
			    s->rows->section);
			s->bad = true;
		}
	}
	if (next != NULL)
		fail_like(l, chain, n, "like goes through more than "
		    "16 sections");
	return n;
}

static void
add_layers(struct resolver *r, struct sect *s)
{
	struct sect		*chain[CONF_LIKE_MAX + 1];
	size_t			 n;

	r->all.n = 0;
	if (s->rows->defs != NULL)
		add_layer(r, s->rows->defs, CONF_DEFAULTS);
	n = walk_like(r->l, s, chain);
	while (n-- > 1)
		add_layer(r, chain[n], CONF_LIKE);
	add_layer(r, s, CONF_FILE);
}

/* Marks what holds, from the strongest back; returns how many. */
static size_t
keep(struct resolver *r)
{
	struct map	 closed;	/* keys of families */
	struct layered	*ly;
	struct rowstate	*st;
	bool		 family;
	size_t		 i;
	size_t		 n = 0;

	map_init(&closed, 0);
	for (i = r->all.n; i-- > 0;) {
		ly = vec_at(&r->all, i);
		st = vec_at(&r->state, ly->nth);
		family = is_family(ly->item->row);
		if (family ? map_find(&closed, ly->item->key) != NULL :
		    st->closed)
			continue;
		ly->kept = !is_reset(ly->item);
		n += ly->kept;
		if (ly->kept && !ly->cuts && !is_scalar(ly->item->row))
			continue;
		if (family)
			map_add(&closed, ly->item->key, ly);
		else
			st->closed = true;
	}
	map_fini(&closed);
	return n;
}

static void
collect(struct resolver *r, struct sect *s)
{
	struct layered		*ly;
	struct rowstate		*st;
	struct conf_item	*it;
	size_t			 i;

	s->items = arena_alloc(&r->l->arena, keep(r) * sizeof(*s->items));
	s->nitem = 0;
	for (i = 0; i < r->all.n; i++) {
		ly = vec_at(&r->all, i);
		if (!ly->kept)
			continue;
		st = vec_at(&r->state, ly->nth);
		if (st->n++ == 0)
			st->first = s->nitem;
		it = &s->items[s->nitem++];
		*it = *ly->item;
		it->origin = ly->origin;
	}
}

/* The items of a row, one behind the other. */
static const struct conf_item *
pick_row(struct resolver *r, const struct sect *s, const struct rowstate *st)
{
	const struct conf_item	*it = &s->items[st->first];

	if (st->n == 1)
		return it;
	r->row.n = 0;
	for (; r->row.n < st->n; it++)
		if (it->row == s->items[st->first].row)
			*(struct conf_item *)vec_push(&r->row) = *it;
	return r->row.p;
}

static void
fill_row(struct resolver *r, struct sect *s, const struct conf_row *row,
    const struct rowstate *st, void *dst)
{
	struct conf_item	it;

	if (st->n > 0) {
		s->obj->set++;
		if (!assign_row(r->l, s, row, dst, pick_row(r, s, st),
		    st->n))
			s->bad = true;
		return;
	}
	if (row->type == CONF_CUSTOM && row->def != NULL) {
		it = default_item(row);
		must(assign_row(r->l, s, row, dst, &it, 1));
		return;
	}
	/* What could not be read may have had the key. */
	if (!(row->flags & CONF_F_REQUIRED) || row->def != NULL ||
	    r->l->broken || s->bad)
		return;
	s->bad = true;
	diag_at(r->l->diags, DIAG_KEY_MISSING, &s->span, s->obj, row->key,
	    "[%.*s] has no \"%s\"", STR_FMT(diag_name(r->l, s)), row->key);
}

static uint64_t
hash_part(struct str s, uint64_t h)
{
	uint64_t	n = s.n;

	/* The length too: "a" "bc" is not "ab" "c". */
	h = str_hash(str_make((const char *)&n, sizeof(n)), h);
	return str_hash(s, h);
}

static void
hash_obj(struct conf_load *l, struct sect *s)
{
	const struct conf_item	*it;
	uint64_t		 h = STR_HASH0;
	size_t			 i;

	h = hash_part(str_from(s->rows->section->type), h);
	h = hash_part(s->name, h);
	for (i = 0; i < s->nitem; i++) {
		it = &s->items[i];
		h = hash_part(identity(it), h);
		h = hash_part(it->val, h);
		/* A relative path means another file elsewhere. */
		if ((it->row->type == CONF_PATH ||
		    it->row->type == CONF_CUSTOM) && it->kspan.line > 0)
			h = hash_part(include_folder(&l->arena,
			    it->kspan.file), h);
	}
	s->obj->digest = h;
}

static void
start(struct resolver *r, struct conf_load *l)
{
	r->l = l;
	vec_init(&r->all, sizeof(struct layered));
	vec_init(&r->row, sizeof(struct conf_item));
	vec_init(&r->state, sizeof(struct rowstate));
}

static void
finish(struct resolver *r)
{
	vec_fini(&r->all);
	vec_fini(&r->row);
	vec_fini(&r->state);
}

static void
fill(struct resolver *r, struct sect *s)
{
	const struct conf_group	*g;
	const struct conf_row	*row;
	size_t			 nth = 0;
	size_t			 i;

	r->state.n = 0;
	for (i = 0; i < s->rows->keys->nrow; i++)
		vec_push(&r->state);
	add_layers(r, s);
	collect(r, s);
	for (i = 0; i < s->rows->keys->ngroup; i++) {
		g = s->rows->section->groups[i];
		for (row = g->rows; row != NULL && row->key != NULL; row++)
			fill_row(r, s, row, vec_at(&r->state, nth++),
			    (char *)s->obj->part[i] + row->off);
	}
	hash_obj(r->l, s);
}

void
resolve_fill(struct conf_load *l, struct sect *s)
{
	struct resolver	r;

	start(&r, l);
	fill(&r, s);
	finish(&r);
}

/* Singletons exist even if no file names them. */
static void
make_singleton(struct conf_load *l, struct rows *r)
{
	struct conf_span	none = { .file = NULL };

	reader_sect(l, r, false, STR(""), &none);
}

void
resolve_run(struct conf_load *l)
{
	struct resolver	 r;
	struct sect	*s;
	size_t		 i;

	for (i = 0; i < l->nsect; i++)
		if (!l->rows[i].section->named)
			make_singleton(l, &l->rows[i]);
	for (s = l->order.first; s != NULL; s = s->next)
		if (!s->defaults)
			resolve_make(l, s);
	start(&r, l);
	for (s = l->order.first; s != NULL; s = s->next)
		if (!s->defaults)
			fill(&r, s);
	finish(&r);
}
