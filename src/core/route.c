/*
 * Choosing the route.  Workers; sluicectl explain, offline.
 *
 * Candidates are met in the order of specificity: host (exact, then
 * wildcards from the longest on, then none), path (exact, then literal
 * texts before a parameter or an asterisk from the longest on, then
 * regular expressions, then any), then the order of the set, which the
 * builder made.  The first whose conditions all hold is the route.  One
 * that fails by the method alone is remembered for the 405.
 */
#include "core/route.h"

#include "core/regex.h"
#include "core/route_index.h"

/* by which pattern a route fits */
struct fit {
	const struct route_place	*place;	/* of conf; NULL: none */
	size_t				 fixed;
	uint32_t			 ncap;
	struct str			 caps[ROUTE_CAPS];
};

struct search {
	struct exchange	*x;
	struct route_trace *trace;	/* ref, or NULL */
	struct fit	 now;		/* what is being tried */
	struct fit	 best;
	bool		 first;		/* the order of files decides */
	bool		 done;
	enum fail	 why;		/* NO_ROUTE, or what alone failed */
	uint32_t	 allow;
	struct text	 more;		/* methods that have no bit */
};

/* a tree that is being walked up from where the path led */
struct climb {
	const struct route_node	*n;
	size_t			 at;	/* of the path, behind n's label */
	bool			 down;	/* its parameter was tried */
};

#define MORE_MAX	256

bool
route_has_listener(const struct route *r, struct str name)
{
	for (size_t i = 0; i < r->listeners.n; i++)
		if (str_eq(r->listeners.v[i], name))
			return true;
	return r->listeners.n == 0;
}

uint32_t
route_methods(const struct route_check *k)
{
	uint32_t	bits = k->cond->methods(k->part);

	return k->not ? ~bits & METHODS_ALL : bits;
}

/* For Allow; what does not fit any more is left out. */
static void
note_methods(struct search *s, const struct route_check *k)
{
	const struct route_cond	*c = k->cond;
	struct str		 more = STR("");

	if (c->methods != NULL)
		s->allow |= route_methods(k);
	if (c->others != NULL && !k->not)
		more = c->others(k->part);
	if (more.n == 0 || s->more.n + more.n + 2 > MORE_MAX)
		return;
	if (s->more.n > 0)
		text_add(&s->more, STR(", "));
	text_add(&s->more, more);
}

/* Of several that are told of, the first one is the route. */
static void
take(struct search *s, const struct route_place *p)
{
	if (s->best.place != NULL && (!s->first ||
	    s->best.place->route->order < p->route->order))
		return;
	s->best.place = p;
	s->best.fixed = s->now.fixed;
	s->best.ncap = s->now.ncap;
	memcpy(s->best.caps, s->now.caps, s->now.ncap *
	    sizeof(s->now.caps[0]));
	/* who is told wants to know the rest too */
	s->done = !s->first && s->trace == NULL;
}

static void
tell(struct search *s, const struct route *r, const char *failed, bool not)
{
	if (s->trace != NULL)
		s->trace->on(s->trace, r, failed, not);
}

/* A CONNECT goes where a route names it, not where all may go. */
static bool
names_connect(const struct route *r)
{
	const struct route_check	*k;

	for (k = r->checks; k < r->checks + r->nchecks; k++)
		if (k->cond->methods != NULL &&
		    (route_methods(k) & METHOD_BIT(METHOD_CONNECT)))
			return true;
	return false;
}

/* Takes the route if its conditions hold. */
static void
try_place(struct search *s, const struct route_place *p)
{
	const struct route		*r = p->route;
	const struct route_check	*k;
	const struct route_check	*alone = NULL;
	unsigned			 failed = 0;

	if (s->first && s->trace == NULL && s->best.place != NULL &&
	    s->best.place->route->order < r->order)
		return;
	if (!route_has_listener(r, s->x->acc.str[ACCESS_LISTENER])) {
		tell(s, r, "listener", false);
		return;
	}
	if (s->x->req->meth == METHOD_CONNECT && !names_connect(r)) {
		tell(s, r, "method", false);
		return;
	}
	for (k = r->checks; k < r->checks + r->nchecks; k++) {
		if (k->cond->match(k->part, s->x) != k->not)
			continue;
		if (failed++ == 0)
			tell(s, r, k->cond->name, k->not);
		alone = k;
	}
	if (failed == 0) {
		tell(s, r, NULL, false);
		take(s, p);
		return;
	}
	if (failed == 1 && alone->cond->fail != FAIL_NONE) {
		s->why = alone->cond->fail;
		note_methods(s, alone);
	}
}

/* True if there is no need to look further. */
static bool
try_set(struct search *s, const struct route_set *set)
{
	for (uint32_t i = 0; set != NULL && i < set->n && !s->done; i++)
		try_place(s, &set->v[i]);
	return s->done;
}

/* Bytes up to the next slash. */
static size_t
span_segment(struct str path, size_t at)
{
	size_t	end = at;

	while (end < path.n && path.p[end] != '/')
		end++;
	return end - at;
}

static struct climb
descend(const struct route_node *root, struct str path, size_t at)
{
	struct climb	c = { .at = at };

	c.n = route_index_walk(root, path, &c.at);
	return c;
}

/*
 * What ends here, then what a parameter leads to; true if *to is a tree
 * to go on with.
 */
static bool
try_down(struct search *s, struct climb *c, unsigned depth,
    struct climb *to)
{
	struct str	path = s->x->path;
	size_t		n;

	c->down = true;
	s->now.fixed = path.n;
	if (c->at == path.n && try_set(s, c->n->end))
		return false;
	n = c->n->param != NULL ? span_segment(path, c->at) : 0;
	if (n == 0)
		return false;
	s->now.caps[depth] = str_sub(path, c->at, c->at + n);
	s->now.ncap = depth + 1;
	*to = descend(c->n->param, path, c->at + n);
	return true;
}

/*
 * From the longest literal text up.  At a text a parameter goes before
 * the asterisk, as what fits it is less.
 */
static bool
try_tree(struct search *s, const struct route_node *root)
{
	struct climb	 stack[ROUTE_PARAMS + 1], *c = stack;

	*c = descend(root, s->x->path, 0);
	for (;;) {
		if (c->n == NULL) {
			if (c-- == stack)
				return false;
			s->now.ncap = (uint32_t)(c - stack);
			continue;
		}
		if (!c->down && try_down(s, c, (unsigned)(c - stack), c + 1)) {
			c++;
			continue;
		}
		s->now.fixed = c->at;
		if (s->done || try_set(s, c->n->set))
			return true;
		c->at -= c->n->label.n;
		c->n = c->n->parent;
		c->down = false;
	}
}

/*
 * A route that may be the right one is not passed over, or a path would
 * choose a weaker one.  What has been found already is right.
 */
static bool
give_up(struct search *s)
{
	if (s->best.place != NULL && !s->first)
		return false;
	s->best.place = NULL;
	s->why = FAIL_REGEX_LIMIT;
	s->done = true;
	return true;
}

static bool
try_regexes(struct search *s, const struct route_host *h)
{
	const struct route_regex	*r = h->regex;
	enum regex_rc			 rc;

	s->now.fixed = 0;
	for (; r < h->regex + h->nregex; r++) {
		s->now.ncap = r->set->v[0].path->ncap;
		rc = regex_match(s->x->serve, r->text, s->x->path,
		    s->now.caps, s->now.ncap);
		if (rc == REGEX_LIMIT && give_up(s))
			return true;
		if (rc == REGEX_YES && try_set(s, r->set))
			return true;
	}
	return false;
}

static bool
try_host(struct search *s, const struct route_host *h)
{
	if (h == NULL)
		return false;
	s->now.ncap = 0;
	s->now.fixed = s->x->path.n;
	if (try_set(s, route_index_exact(h, s->x->path)) ||
	    try_tree(s, &h->root) || try_regexes(s, h))
		return true;
	s->now.ncap = 0;
	s->now.fixed = 1;
	return try_set(s, h->all);
}

static void
try_hosts(struct search *s, const struct route_index *idx)
{
	struct str	host = s->x->host;
	ptrdiff_t	dot;

	if (idx->hosts.n == 0) {
		try_host(s, idx->any);
		return;
	}
	if (host.n > 0 && try_host(s, route_index_host(idx, host)))
		return;
	for (dot = str_find(host, '.', 1); dot >= 0;
	    dot = str_find(host, '.', (size_t)dot + 1))
		if (try_host(s, route_index_host(idx,
		    str_sub(host, (size_t)dot, host.n))))
			return;
	try_host(s, idx->any);
}

/* The exchange keeps what the pattern caught. */
static const struct route *
keep(struct search *s)
{
	struct exchange	*x = s->x;
	struct fit	*f = &s->best;

	x->pattern = f->place->path;
	x->fixed = f->fixed;
	if (f->ncap > 0) {
		x->caps = arena_alloc(x->arena, f->ncap * sizeof(*x->caps));
		memcpy(x->caps, f->caps, f->ncap * sizeof(*x->caps));
	}
	return f->place->route;
}

const struct route *
route_match(const struct conf *c, struct exchange *x, enum fail *why,
    uint32_t *allow)
{
	return route_explain(c, x, why, allow, NULL);
}

const struct route *
route_explain(const struct conf *c, struct exchange *x, enum fail *why,
    uint32_t *allow, struct route_trace *trace)
{
	const struct route_index	*idx = conf_data(c, &route_section);
	struct search			 s;
	char				 buf[MORE_MAX];

	s.x = x;
	s.trace = trace;
	s.best.place = NULL;
	s.first = idx->first;
	s.done = false;
	s.why = FAIL_NO_ROUTE;
	s.allow = 0;
	text_init_fixed(&s.more, buf, sizeof(buf));
	try_hosts(&s, idx);
	if (s.best.place != NULL)
		return keep(&s);
	*why = s.why;
	*allow = s.allow;
	if (s.more.n > 0)
		x->allow_more = arena_dup(x->arena, text_str(&s.more));
	return NULL;
}

struct str
route_rest(const struct exchange *x)
{
	return str_sub(x->path, x->fixed, x->path.n);
}
