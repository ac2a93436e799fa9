/*
 * The index of routes; filled by the builder, read by workers.
 *
 * All of it lies in the generation's arena, which gives nothing back:
 * what grows doubles, so at most as much is lost as is used.  The tree of
 * prefixes is a radix tree over bytes: a walk compares each byte of the
 * path once, and the way back to shorter prefixes goes by the parents.
 * What fits any path at all is no prefix: it comes behind all else.
 */
#include "core/route_index.h"

struct route_slot {
	struct str	 key;	/* p NULL: free */
	void		*val;
};

/* --- maps --- */

static struct route_slot *
find_slot(const struct route_map *m, struct str key)
{
	size_t	i = (size_t)str_hash(key, STR_HASH0) & (m->cap - 1);

	while (m->v[i].key.p != NULL && !str_eq(m->v[i].key, key))
		i = (i + 1) & (m->cap - 1);
	return &m->v[i];
}

static void *
map_get(const struct route_map *m, struct str key)
{
	return m->cap == 0 ? NULL : find_slot(m, key)->val;
}

static void
grow_map(struct arena *a, struct route_map *m)
{
	struct route_map	new = { .n = m->n,
		.cap = m->cap == 0 ? 8 : 2 * m->cap };

	new.v = arena_alloc(a, new.cap * sizeof(*new.v));
	for (size_t i = 0; i < m->cap; i++)
		if (m->v[i].key.p != NULL)
			*find_slot(&new, m->v[i].key) = m->v[i];
	*m = new;
}

/* The value of a new key; NULL if it is there already. */
static void
put_map(struct arena *a, struct route_map *m, struct str key, void *val)
{
	/* half empty: most that is looked up is not there */
	if (m->n + 1 > m->cap / 2)
		grow_map(a, m);
	*find_slot(m, key) = (struct route_slot){ key, val };
	m->n++;
}

/* --- the tree of prefixes --- */

/* Where a child that begins with c is, or would be. */
static uint32_t
find_kid(const struct route_node *n, char c)
{
	uint32_t	lo = 0, hi = n->nkid, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((unsigned char)n->kid[mid]->label.p[0] <
		    (unsigned char)c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct route_node *
get_kid(const struct route_node *n, struct str s)
{
	uint32_t	i;

	if (s.n == 0)
		return NULL;
	i = find_kid(n, s.p[0]);
	if (i == n->nkid || n->kid[i]->label.p[0] != s.p[0])
		return NULL;
	return n->kid[i];
}

static struct route_node *
add_kid(struct arena *a, struct route_node *n, struct str label)
{
	struct route_node	*kid = arena_alloc(a, sizeof(*kid)), **v;
	uint32_t		 at = find_kid(n, label.p[0]);

	kid->label = label;
	kid->parent = n;
	if (n->nkid == n->cap) {
		n->cap = n->cap == 0 ? 2 : 2 * n->cap;
		v = arena_alloc(a, n->cap * sizeof(*v));
		if (n->nkid > 0)
			memcpy(v, n->kid, n->nkid * sizeof(*v));
		n->kid = v;
	}
	memmove(n->kid + at + 1, n->kid + at,
	    (n->nkid - at) * sizeof(*n->kid));
	n->kid[at] = kid;
	n->nkid++;
	return kid;
}

/* Cuts the label of kid after n bytes; returns the node in between. */
static struct route_node *
split(struct arena *a, struct route_node *kid, size_t n)
{
	struct route_node	*mid = arena_alloc(a, sizeof(*mid));
	struct route_node	*up = kid->parent;

	mid->label = str_sub(kid->label, 0, n);
	mid->parent = up;
	up->kid[find_kid(up, kid->label.p[0])] = mid;
	kid->label = str_sub(kid->label, n, kid->label.n);
	kid->parent = mid;
	mid->nkid = mid->cap = 1;
	mid->kid = arena_alloc(a, sizeof(*mid->kid));
	mid->kid[0] = kid;
	return mid;
}

static size_t
span_common(struct str a, struct str b)
{
	size_t	i, n = a.n < b.n ? a.n : b.n;

	for (i = 0; i < n && a.p[i] == b.p[i]; i++)
		;
	return i;
}

static struct route_node *
put_prefix(struct arena *a, struct route_node *n, struct str s)
{
	struct route_node	*kid;
	size_t			 same;

	while (s.n > 0) {
		kid = get_kid(n, s);
		if (kid == NULL)
			return add_kid(a, n, s);
		same = span_common(kid->label, s);
		if (same < kid->label.n)
			kid = split(a, kid, same);
		s = str_sub(s, same, s.n);
		n = kid;
	}
	return n;
}

/* --- building --- */

struct route_index *
route_index_new(struct arena *a)
{
	return arena_alloc(a, sizeof(struct route_index));
}

static struct route_host *
find_host(const struct route_index *x, struct str name)
{
	return name.n == 0 ? x->any : map_get(&x->hosts, name);
}

static struct route_host *
make_host(struct arena *a, struct route_index *x, struct str name)
{
	struct route_host	*h = find_host(x, name);

	if (h != NULL)
		return h;
	h = arena_alloc(a, sizeof(*h));
	h->name = name;
	if (name.n == 0)
		x->any = h;
	else
		put_map(a, &x->hosts, name, h);
	return h;
}

static struct route_set *
make_set(struct arena *a, struct route_set **at)
{
	if (*at == NULL)
		*at = arena_alloc(a, sizeof(**at));
	return *at;
}

static struct route_set *
make_exact(struct arena *a, struct route_host *h, struct str path)
{
	struct route_set	*set = map_get(&h->exact, path);

	if (set == NULL) {
		set = arena_alloc(a, sizeof(*set));
		put_map(a, &h->exact, path, set);
	}
	return set;
}

/* A parameter leads from its literal text to a tree of its own. */
static struct route_set *
make_tree(struct arena *a, struct route_host *h, const struct route_path *p)
{
	struct route_node	*n = &h->root;
	struct str		 rest = p->text, lit, name;

	if (route_path_is_any(p))
		return make_set(a, &h->all);
	while (route_cut_param(&rest, &lit, &name)) {
		n = put_prefix(a, n, lit);
		if (n->param == NULL)
			n->param = arena_alloc(a, sizeof(*n->param));
		n = n->param;
	}
	n = put_prefix(a, n, lit);
	return make_set(a, p->prefix ? &n->set : &n->end);
}

static struct route_set *
make_regex(struct arena *a, struct route_host *h, struct str text)
{
	struct route_regex	*v;

	for (uint32_t i = 0; i < h->nregex; i++)
		if (str_eq(h->regex[i].text, text))
			return h->regex[i].set;
	if (h->nregex == h->cap) {
		h->cap = h->cap == 0 ? 4 : 2 * h->cap;
		v = arena_alloc(a, h->cap * sizeof(*v));
		if (h->nregex > 0)
			memcpy(v, h->regex, h->nregex * sizeof(*v));
		h->regex = v;
	}
	v = &h->regex[h->nregex++];
	v->text = text;
	return make_set(a, &v->set);
}

struct route_set *
route_index_set(struct arena *a, struct route_index *x, struct str host,
    const struct route_path *p)
{
	struct route_host	*h = make_host(a, x, host);

	switch (p->kind) {
	case ROUTE_EXACT:
		return make_exact(a, h, p->text);
	case ROUTE_TREE:
		return make_tree(a, h, p);
	case ROUTE_REGEX:
		break;
	}
	route_index_regex(a, x, p->text);
	return make_regex(a, h, p->text);
}

bool
route_index_add(struct arena *a, struct route_set *s, uint32_t at,
    const struct route *r, const struct route_path *p)
{
	struct route_place	*v;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->v[i].route == r)
			return false;
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 1 : 2 * s->cap;
		v = arena_alloc(a, s->cap * sizeof(*v));
		if (s->n > 0)
			memcpy(v, s->v, s->n * sizeof(*v));
		s->v = v;
	}
	memmove(s->v + at + 1, s->v + at, (s->n - at) * sizeof(*s->v));
	s->v[at] = (struct route_place){ r, p };
	s->n++;
	return true;
}

void
route_index_regex(struct arena *a, struct route_index *x, struct str text)
{
	struct str	*v;

	if (x->nregex == x->cap) {
		x->cap = x->cap == 0 ? 4 : 2 * x->cap;
		v = arena_alloc(a, x->cap * sizeof(*v));
		if (x->nregex > 0)
			memcpy(v, x->regex, x->nregex * sizeof(*v));
		x->regex = v;
	}
	x->regex[x->nregex++] = text;
}

/* --- reading --- */

const struct route_host *
route_index_host(const struct route_index *x, struct str name)
{
	return find_host(x, name);
}

const struct route_set *
route_index_exact(const struct route_host *h, struct str path)
{
	return map_get(&h->exact, path);
}

const struct route_node *
route_index_walk(const struct route_node *n, struct str path, size_t *at)
{
	const struct route_node	*kid;

	path = str_sub(path, *at, path.n);
	while ((kid = get_kid(n, path)) != NULL &&
	    str_starts(path, kid->label)) {
		*at += kid->label.n;
		path = str_sub(path, kid->label.n, path.n);
		n = kid;
	}
	return n;
}
