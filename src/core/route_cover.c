/*
 * Which routes take all that others are for.  Builder and tools.
 *
 * With match = first an earlier route does if its host, path and other
 * conditions are as wide.  The later one's pattern is looked up as the
 * path of a request would be: where it leads is all that covers it.  So
 * the work follows its length; of many routes at one place the first
 * ones are compared.
 */
#include "core/route_index.h"

#define PLACES_MAX	64

/* what is looked for */
struct look {
	const struct route	*r;	/* of conf */
	const struct route_path	*p;	/* of conf */
	const struct route	*found;	/* of conf; NULL: none so far */
};

/* a tree that is being walked up from where the pattern led */
struct climb {
	const struct route_node	*n;
	size_t			 at;	/* of the pattern, behind n's label */
	bool			 down;	/* its parameter was tried */
};

/* --- conditions --- */

/* True if check k lets through all that c does. */
static bool
is_wider(const struct route_check *k, const struct route_check *c)
{
	if (k->cond != c->cond)
		return false;
	/* methods that must not hold let all others through */
	if (k->not && !c->not)
		return k->cond->methods != NULL &&
		    k->cond->others(c->part).n == 0 &&
		    (route_methods(c) & ~route_methods(k)) == 0;
	if (k->not != c->not)
		return false;
	return k->not ? k->cond->covers(c->part, k->part) :
	    k->cond->covers(k->part, c->part);
}

/* True if the check lets through all that one of r's does. */
static bool
is_implied(const struct route_check *k, const struct route *r)
{
	for (uint32_t i = 0; i < r->nchecks; i++)
		if (is_wider(k, &r->checks[i]))
			return true;
	return false;
}

/* What an option made (--root) is meant to be in front. */
bool
route_covers(const struct route *first, const struct route *r)
{
	if (first->obj.line == 0)
		return false;
	if (first->listeners.n > 0 && r->listeners.n == 0)
		return false;
	for (size_t i = 0; i < r->listeners.n; i++)
		if (!route_has_listener(first, r->listeners.v[i]))
			return false;
	for (uint32_t i = 0; i < first->nchecks; i++)
		if (!is_implied(&first->checks[i], r))
			return false;
	return true;
}

/* --- paths --- */

/* True if there is no need to look further. */
static bool
look_set(struct look *l, const struct route_set *s)
{
	for (uint32_t i = 0; s != NULL && i < s->n && i < PLACES_MAX; i++) {
		if (s->v[i].route->order >= l->r->order)
			break;
		if (!route_covers(s->v[i].route, l->r))
			continue;
		l->found = s->v[i].route;
		return true;
	}
	return l->found != NULL;
}

static struct climb
descend(const struct route_node *root, struct str path, size_t at)
{
	struct climb	c = { .at = at };

	c.n = route_index_walk(root, path, &c.at);
	return c;
}

/*
 * Where the whole pattern ends, then what a parameter leads to: one of
 * the pattern's own is a segment to it.  True if *to is a tree to go on
 * with.
 */
static bool
look_down(struct look *l, struct climb *c, struct climb *to)
{
	struct str	path = l->p->text;
	size_t		end = c->at;

	c->down = true;
	if (c->at == path.n && !l->p->prefix && look_set(l, c->n->end))
		return false;
	while (end < path.n && path.p[end] != '/')
		end++;
	if (c->n->param == NULL || end == c->at)
		return false;
	*to = descend(c->n->param, path, end);
	return true;
}

/* No literal text begins a segment with a colon, as parameters do. */
static void
look_tree(struct look *l, const struct route_node *root)
{
	struct climb	 stack[ROUTE_PARAMS + 1], *c = stack;

	*c = descend(root, l->p->text, 0);
	while (l->found == NULL) {
		if (c->n == NULL) {
			if (c-- == stack)
				return;
			continue;
		}
		if (!c->down && look_down(l, c, c + 1)) {
			c++;
			continue;
		}
		if (look_set(l, c->n->set))
			return;
		c->at -= c->n->label.n;
		c->n = c->n->parent;
		c->down = false;
	}
}

static void
look_regexes(struct look *l, const struct route_host *h)
{
	for (uint32_t i = 0; i < h->nregex; i++)
		if (str_eq(h->regex[i].text, l->p->text) &&
		    look_set(l, h->regex[i].set))
			return;
}

/* True if there is no need to look further. */
static bool
look_host(struct look *l, const struct route_host *h)
{
	if (h == NULL)
		return false;
	if (look_set(l, h->all))
		return true;
	switch (l->p->kind) {
	case ROUTE_EXACT:
		if (look_set(l, route_index_exact(h, l->p->text)))
			return true;
		look_tree(l, &h->root);
		break;
	case ROUTE_TREE:
		look_tree(l, &h->root);
		break;
	case ROUTE_REGEX:
		look_regexes(l, h);
		break;
	}
	return l->found != NULL;
}

const struct route *
route_cover_first(const struct route_index *x, const struct route *r,
    struct str host, const struct route_path *p)
{
	struct look	l = { .r = r, .p = p };
	ptrdiff_t	dot;

	if (host.n > 0 && look_host(&l, route_index_host(x, host)))
		return l.found;
	for (dot = str_find(host, '.', 1); host.n > 0 && dot >= 0;
	    dot = str_find(host, '.', (size_t)dot + 1))
		if (look_host(&l, route_index_host(x,
		    str_sub(host, (size_t)dot, host.n))))
			return l.found;
	(void)look_host(&l, route_index_host(x, STR("")));
	return l.found;
}
