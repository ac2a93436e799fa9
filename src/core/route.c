/*
 * Choosing the route.  Workers; sluicectl explain, offline.
 *
 * Candidates are met in the order of specificity: host (exact, then
 * wildcards from the longest on, then none), path (exact, then prefixes
 * from the longest on), then the order of the set, which the builder
 * made.  The first whose conditions all hold is the route.  One that
 * fails by the method alone is remembered for the 405.
 */
#include "core/route.h"

#include "core/route_index.h"

struct search {
	struct exchange		*x;
	struct route_trace	*trace;	/* ref, or NULL */
	const struct route	*found;
	enum fail		 why;	/* NO_ROUTE, or what alone failed */
	uint32_t		 allow;
	struct text		 more;	/* methods that have no bit */
};

#define MORE_MAX	256

static bool
is_listener(const struct route *r, struct str name)
{
	size_t	i;

	for (i = 0; i < r->listeners.n; i++)
		if (str_eq(r->listeners.v[i], name))
			return true;
	return r->listeners.n == 0;
}

/* For Allow; what does not fit any more is left out. */
static void
note_methods(struct search *s, const struct route_cond *c, const void *part)
{
	struct str	more = STR("");

	if (c->methods != NULL)
		s->allow |= c->methods(part);
	if (c->others != NULL)
		more = c->others(part);
	if (more.n == 0 || s->more.n + more.n + 2 > MORE_MAX)
		return;
	if (s->more.n > 0)
		text_add(&s->more, STR(", "));
	text_add(&s->more, more);
}

static void
tell(struct search *s, const struct route *r, const char *failed)
{
	if (s->trace != NULL)
		s->trace->on(s->trace, r, failed);
}

/* Sets found if the route's conditions hold. */
static bool
try_route(struct search *s, const struct route *r)
{
	const struct route_cond	*const *c;
	const struct route_cond	*alone = NULL;
	void			*part;
	unsigned		 failed = 0;

	if (!is_listener(r, s->x->acc.str[ACCESS_LISTENER])) {
		tell(s, r, "listener");
		return false;
	}
	for (c = r->conds; *c != NULL; c++) {
		part = conf_part(&r->obj, (*c)->group);
		if (!(*c)->match(part, s->x)) {
			if (failed == 0)
				tell(s, r, (*c)->name);
			failed++;
			alone = *c;
		}
	}
	if (failed == 0) {
		tell(s, r, NULL);
		if (s->found == NULL)
			s->found = r;
		/* who is told wants to know the rest too */
		return s->trace == NULL;
	}
	if (failed == 1 && alone->fail != FAIL_NONE) {
		s->why = alone->fail;
		note_methods(s, alone, conf_part(&r->obj, alone->group));
	}
	return false;
}

static bool
try_set(struct search *s, const struct route_set *set)
{
	if (set == NULL)
		return false;
	for (uint32_t i = 0; i < set->n; i++)
		if (try_route(s, set->v[i]))
			return true;
	return false;
}

static bool
try_host(struct search *s, const struct route_host *h)
{
	const struct route_node	*n;

	if (h == NULL)
		return false;
	if (try_set(s, route_index_exact(h, s->x->path)))
		return true;
	for (n = route_index_prefix(h, s->x->path); n != NULL; n = n->parent)
		if (try_set(s, n->set))
			return true;
	return false;
}

static bool
try_hosts(struct search *s, const struct route_index *idx)
{
	struct str	host = s->x->host;
	ptrdiff_t	dot;

	if (host.n > 0 && try_host(s, route_index_host(idx, host)))
		return true;
	for (dot = str_find(host, '.', 1); dot >= 0;
	    dot = str_find(host, '.', (size_t)dot + 1))
		if (try_host(s, route_index_host(idx,
		    str_sub(host, (size_t)dot, host.n))))
			return true;
	return try_host(s, idx->any);
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
	struct search	s = { .x = x, .trace = trace, .why = FAIL_NO_ROUTE };
	char		buf[MORE_MAX];

	text_init_fixed(&s.more, buf, sizeof(buf));
	(void)try_hosts(&s, conf_data(c, &route_section));
	if (s.found != NULL)
		return s.found;
	*why = s.why;
	*allow = s.allow;
	if (s.more.n > 0)
		x->allow_more = arena_dup(x->arena, text_str(&s.more));
	return NULL;
}

struct str
route_rest(const struct route *r, struct str path)
{
	struct str	p;
	size_t		best = 0;

	for (size_t i = 0; i < r->paths.n; i++) {
		p = r->paths.v[i];
		if (str_eq(p, path))
			return STR("");
		if (!str_ends(p, STR("*")))
			continue;
		p = str_sub(p, 0, p.n - 1);
		if (p.n > best && str_starts(path, p))
			best = p.n;
	}
	return str_sub(path, best, path.n);
}
