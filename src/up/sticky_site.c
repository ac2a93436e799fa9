/*
 * Cookies of sticky sessions by host.  Builder; workers read.
 *
 * While routes are linked they are noted; then one list is made of them,
 * sorted by the cookie and the host as routes have it: "" for any, ".NAME"
 * for all below NAME.  It is the data of [upstream] in the generation.
 */
#include "up/sticky_site.h"

#include <stdlib.h>

#include "base/vec.h"
#include "core/route.h"
#include "up/fallback.h"
#include "up/sticky.h"

struct note {
	const struct note		*next;	/* of conf */
	const struct route		*r;	/* of conf */
	const struct upstream_conf	*up;	/* of conf */
};

struct place {
	struct str	name;		/* of conf: the cookie's */
	struct str	host;		/* of conf */
};

struct sites {
	const struct note	*notes;	/* of conf: while it is loaded */
	const struct place	*v;	/* of conf: by name, host */
	size_t			 n;
};

void
sticky_site_note(struct conf_load *load, const struct route *r,
    const struct upstream_conf *up)
{
	struct arena	*a = conf_load_arena(load);
	struct sites	*all;
	struct note	*n = arena_alloc(a, sizeof(*n));

	all = conf_data(conf_load_conf(load), &upstream_section);
	if (all == NULL) {
		all = arena_alloc(a, sizeof(*all));
		conf_set_data(load, &upstream_section, all);
	}
	n->r = r;
	n->up = up;
	n->next = all->notes;
	all->notes = n;
}

/* --- the list --- */

static int
by_place(const void *pa, const void *pb)
{
	const struct place	*a = pa, *b = pb;
	int			 c = str_cmp(a->name, b->name);

	return c != 0 ? c : str_cmp(a->host, b->host);
}

static void
add_cookie(struct arena *a, struct vec *v, const struct route *r,
    const struct upstream_conf *up)
{
	struct place	p;

	if (choice_conf(up)->sticky != STICKY_COOKIE)
		return;
	p.name = sticky_cookie(a, up);
	for (size_t i = 0; i < r->hosts.n || i == 0; i++) {
		p.host = i < r->hosts.n ? r->hosts.v[i] : STR("");
		*(struct place *)vec_push(v) = p;
	}
}

/* Sorted, each once. */
static void
keep(struct arena *a, struct sites *all, struct vec *v)
{
	struct place	*p, *at;

	if (v->n == 0)
		return;
	qsort(v->p, v->n, sizeof(*p), by_place);
	at = arena_alloc(a, v->n * sizeof(*at));
	all->v = at;
	for (size_t i = 0; i < v->n; i++) {
		p = vec_at(v, i);
		if (all->n == 0 || by_place(p, &at[all->n - 1]) != 0)
			at[all->n++] = *p;
	}
}

void
sticky_site_done(struct conf_load *load)
{
	struct sites			*all;
	struct arena			*a = conf_load_arena(load);
	const struct upstream_conf	*up;
	struct vec			 v;

	all = conf_data(conf_load_conf(load), &upstream_section);
	if (all == NULL)
		return;
	vec_init(&v, sizeof(struct place));
	for (; all->notes != NULL; all->notes = all->notes->next)
		for (up = all->notes->up; up != NULL;
		    up = fallback_of(up)->up)
			add_cookie(a, &v, all->notes->r, up);
	keep(a, all, &v);
	vec_fini(&v);
}

/* --- asking --- */

bool
sticky_site_any(const struct conf *c)
{
	const struct sites	*all = conf_data(c, &upstream_section);

	return all != NULL && all->n > 0;
}

static bool
is_there(const struct sites *all, struct str name, struct str host)
{
	struct place	p = { name, host };

	return bsearch(&p, all->v, all->n, sizeof(p), by_place) != NULL;
}

bool
sticky_site_has(const struct conf *c, struct str host, struct str name)
{
	const struct sites	*all = conf_data(c, &upstream_section);
	ptrdiff_t		 dot;

	if (all == NULL || all->n == 0)
		return false;
	if (is_there(all, name, STR("")) || is_there(all, name, host))
		return true;
	for (dot = str_find(host, '.', 1); dot >= 0;
	    dot = str_find(host, '.', (size_t)dot + 1))
		if (is_there(all, name, str_sub(host, (size_t)dot, host.n)))
			return true;
	return false;
}
