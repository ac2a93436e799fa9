/*
 * What is odd about the routes as a whole: those that are never reached
 * (W0301, W0309), those between which only their order decides (W0302), hosts
 * with many regular expressions (W0304).  Builder and tools.
 *
 * Routes are compared where they meet: in the sets of the index, and with
 * match = first in all sets that a request for them comes by.
 */
#include "conf/load.h"
#include "core/pass.h"
#include "core/route_index.h"

#define REGEX_MANY	50

struct lint {
	struct conf_load	*load;
	struct route_index	*x;
};

/* --- two routes --- */

static bool
shares_listener(const struct route *a, const struct route *b)
{
	if (a->listeners.n == 0 || b->listeners.n == 0)
		return true;
	for (size_t i = 0; i < a->listeners.n; i++)
		if (route_has_listener(b, a->listeners.v[i]))
			return true;
	return false;
}

/*
 * True if one request may fit both as far as can be told here: methods
 * are compared, other conditions are taken to differ.
 */
static bool
overlaps(const struct route *a, const struct route *b)
{
	const struct route_check	*k;

	if (!shares_listener(a, b) || a->nchecks != b->nchecks)
		return false;
	for (uint32_t i = 0; i < a->nchecks; i++) {
		k = &a->checks[i];
		if (k->cond->methods == NULL ||
		    k->cond != b->checks[i].cond ||
		    (route_methods(k) & route_methods(&b->checks[i])) == 0)
			return false;
	}
	return true;
}

/* --- what is said --- */

static void
warn_equal(struct lint *l, const struct route *r, const struct route *first)
{
	struct conf_span	at = conf_obj_span(&r->obj);

	diag_at(conf_load_diags(l->load), DIAG_ROUTE_EQUAL, &at, &r->obj, "",
	    "routes \"%.*s\" and \"%.*s\" fit the same requests equally "
	    "well; the one that stands first is taken",
	    STR_FMT(first->obj.name), STR_FMT(r->obj.name));
}

static void
warn_shadowed(struct lint *l, const struct route *r,
    const struct route *first)
{
	struct conf_span	at = conf_obj_span(&r->obj);

	diag_at(conf_load_diags(l->load), DIAG_ROUTE_SHADOWED, &at, &r->obj,
	    "", "route \"%.*s\" is never reached: route \"%.*s\" (%.*s:%u) "
	    "is taken for all it is for", STR_FMT(r->obj.name),
	    STR_FMT(first->obj.name), STR_FMT(first->obj.file),
	    first->obj.line);
	if (l->x->first)
		diag_hint(conf_load_diags(l->load),
		    "put it in front of the other, or remove it");
}

/* Each is tried in turn: many of them are slow. */
static void
warn_regexes(struct lint *l, const struct route *r, struct str host)
{
	const struct conf_item	*it = conf_item(l->load, &r->obj, "path");

	diag_at(conf_load_diags(l->load), DIAG_REGEXES,
	    it != NULL ? &it->vspan : NULL, &r->obj, "path",
	    "%s%.*s has more than %u regular expressions of paths",
	    host.n > 0 ? "host " : "any host", STR_FMT(host), REGEX_MANY);
}

/* The place of not.KEY, or NULL. */
static const struct conf_item *
find_not(struct conf_load *load, const struct route *r, struct str key)
{
	struct conf_words	w;

	conf_words_init(&w, load, &r->obj, "not.*");
	while (conf_words_next(&w))
		if (str_eq(str_sub(w.it->key, STR("not.").n, w.it->key.n),
		    key))
			return w.it;
	return NULL;
}

static void
warn_never(struct lint *l, const struct route *r, struct str key)
{
	const struct conf_item	*it = find_not(l->load, r, key);
	struct conf_span	 at = conf_obj_span(&r->obj);

	diag_at(conf_load_diags(l->load), DIAG_ROUTE_NEVER,
	    it != NULL ? &it->kspan : &at, &r->obj, "not.*",
	    "route \"%.*s\" is never taken: not.%.*s refuses all that "
	    "%.*s lets through", STR_FMT(r->obj.name), STR_FMT(key),
	    STR_FMT(key));
}

/* --- one route --- */

/* A condition that must hold, and one that must not and is as wide. */
static void
check_contrary(struct lint *l, const struct route *r)
{
	const struct route_check	*n, *k;

	for (n = r->nots.v; n < r->nots.v + r->nots.n; n++)
		for (k = r->checks; k < r->checks + r->nchecks; k++)
			if (!k->not && k->cond == n->cond &&
			    n->cond->covers(n->part, k->part)) {
				warn_never(l, r, n->key);
				return;
			}
}

/* Whoever takes all that would come to r here; *equal: as good as r. */
static const struct route *
find_cover(struct lint *l, const struct route *r, struct str host,
    const struct route_path *p, const struct route **equal)
{
	struct route_set	*s;
	const struct route	*o;

	if (l->x->first)
		return route_cover_first(l->x, r, host, p);
	s = route_index_set(conf_load_arena(l->load), l->x, host, p);
	for (uint32_t i = 0; i < s->n && s->v[i].route != r; i++) {
		o = s->v[i].route;
		if (route_compare(o, r) == 0 && overlaps(o, r))
			*equal = o;
		else if (route_covers(o, r))
			return o;
	}
	return NULL;
}

static void
check_route(struct lint *l, const struct route *r)
{
	const struct route	*cover = NULL, *equal = NULL, *o;
	const struct route_host	*h;
	size_t			 nhost = r->hosts.n > 0 ? r->hosts.n : 1;
	bool			 open = false;
	struct str		 host;

	for (size_t i = 0; i < nhost; i++) {
		host = r->hosts.n > 0 ? r->hosts.v[i] : STR("");
		for (size_t k = 0; k < r->paths.n; k++) {
			o = find_cover(l, r, host, &r->paths.v[k], &equal);
			open |= o == NULL;
			cover = o != NULL ? o : cover;
			h = route_index_host(l->x, host);
			if (h->nregex > REGEX_MANY && h->regex[REGEX_MANY].
			    set->v[0].path == &r->paths.v[k])
				warn_regexes(l, r, host);
		}
	}
	check_contrary(l, r);
	if (equal != NULL)
		warn_equal(l, r, equal);
	else if (!open && cover != NULL)
		warn_shadowed(l, r, cover);
}

void
route_lint(struct conf_load *load, struct route_index *x)
{
	struct lint	l = { .load = load, .x = x };
	struct conf_objs all;

	all = conf_all(conf_load_conf(load), &route_section);
	/* connections that are passed on have no requests to be fought for */
	for (size_t i = 0; i < all.n; i++)
		if (!pass_is(all.v[i]->part[0]))
			check_route(&l, all.v[i]->part[0]);
}
