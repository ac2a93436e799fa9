/*
 * The index of hosts with terms of their own.  Builder; workers read.
 *
 * A host may have several entries, one for each set of listeners that its
 * routes are for.  Names are those of routes: "a.example", ".example" for
 * all below it.
 */
#include "core/secure_host.h"

#include "base/vec.h"
#include "conf/load.h"
#include "core/route.h"
#include "core/secure.h"

struct entry {
	struct str		 host;		/* p NULL: a free slot */
	const struct route	*route;		/* of conf: that says so */
	const struct tls_terms	*terms;		/* of conf */
	const struct entry	*next;		/* of conf; the same host */
};

/* data of the section tls */
struct hosts {
	struct entry	*v;	/* of conf; open addressing */
	size_t		 cap;	/* power of two or 0 */
	size_t		 n;
};

static struct entry *
find_slot(const struct hosts *h, struct str name)
{
	size_t	i = (size_t)str_hash(name, STR_HASH0) & (h->cap - 1);

	while (h->v[i].host.p != NULL && !str_eq(h->v[i].host, name))
		i = (i + 1) & (h->cap - 1);
	return &h->v[i];
}

static const struct secure_route *
keys_of(const struct route *r)
{
	return conf_part(&r->obj, &secure_route_group);
}

/* --- building --- */

/* Where the listeners of two routes meet. */
static bool
overlap(const struct route *a, const struct route *b)
{
	if (a->listeners.n == 0 || b->listeners.n == 0)
		return true;
	for (size_t i = 0; i < a->listeners.n; i++)
		if (route_has_listener(b, a->listeners.v[i]))
			return true;
	return false;
}

static int
fail_both(struct conf_load *load, const struct route *r, struct str host,
    const struct route *other)
{
	const struct conf_item	*it = conf_item(load, &r->obj, "tls_policy");
	const struct conf_item	*ot = conf_item(load, &other->obj,
	    "tls_policy");

	diag_at(conf_load_diags(load), DIAG_TLS_HOSTS,
	    it != NULL ? &it->vspan : NULL, &r->obj, "tls_policy",
	    "host \"%s%.*s\" has terms \"%.*s\" already, by route \"%.*s\" "
	    "(%s:%u)", host.p[0] == '.' ? "*" : "", STR_FMT(host),
	    STR_FMT(keys_of(other)->policy), STR_FMT(other->obj.name),
	    ot != NULL ? ot->vspan.file : "?",
	    ot != NULL ? ot->vspan.line : 0);
	return -1;
}

static int
add_host(struct conf_load *load, struct hosts *h, struct str host,
    const struct route *r, const struct tls_terms *terms)
{
	struct entry		*slot = find_slot(h, host), *copy;
	const struct entry	*e;

	if (slot->host.p == NULL) {
		*slot = (struct entry){ host, r, terms, NULL };
		h->n++;
		return 0;
	}
	for (e = slot; e != NULL; e = e->next)
		if (e->terms != terms && overlap(e->route, r))
			return fail_both(load, r, host, e->route);
	copy = arena_alloc(conf_load_arena(load), sizeof(*copy));
	*copy = *slot;
	*slot = (struct entry){ host, r, terms, copy };
	return 0;
}

static int
add_route(struct conf_load *load, struct hosts *h, const struct route *r)
{
	const struct conf_obj	*named;
	int			 rc = 0;

	if (keys_of(r)->policy.n == 0)
		return 0;
	named = conf_find(conf_load_conf(load), &tls_section,
	    keys_of(r)->policy);
	/* the link of the route has said why */
	if (named == NULL)
		return -1;
	for (size_t i = 0; i < r->hosts.n; i++)
		if (add_host(load, h, r->hosts.v[i], r, conf_part(named,
		    &tls_terms_group)) == -1)
			rc = -1;
	return rc;
}

/* Those it is for by a policy that never asks for a certificate. */
static void
warn_never(struct conf_load *load, const struct route *r)
{
	const struct secure_route	*s = keys_of(r);
	const struct conf		*c = conf_load_conf(load);
	struct conf_objs		 all = conf_all(c, &listener_section);
	const struct listener_conf	*l;
	const struct tls_terms		*t;
	struct conf_span		 at = conf_obj_span(&r->obj);

	if (s->cert == 0 && s->sans.n == 0 && s->prints.n == 0)
		return;
	for (size_t i = 0; i < all.n; i++) {
		l = all.v[i]->part[0];
		if (!secure_has(l) || !route_has_listener(r, all.v[i]->name))
			continue;
		for (size_t k = 0; k < r->hosts.n || k == 0; k++) {
			t = secure_host_terms(c, l, r->hosts.n == 0 ?
			    STR("") : r->hosts.v[k]);
			if (t->client != TLS_CLIENT_OFF)
				return;
		}
	}
	diag_at(conf_load_diags(load), DIAG_CLIENT_NEVER, &at, &r->obj, "",
	    "route \"%.*s\" answers 403 to all: nobody is asked for the "
	    "certificate that it needs", STR_FMT(r->obj.name));
}

int
secure_host_make(struct conf_load *load)
{
	struct conf_objs	 all = conf_all(conf_load_conf(load),
	    &route_section);
	struct arena		*a = conf_load_arena(load);
	struct hosts		*h = arena_alloc(a, sizeof(*h));
	const struct route	*r;
	size_t			 n = 0;
	int			 rc = 0;

	for (size_t i = 0; i < all.n; i++) {
		r = all.v[i]->part[0];
		n += keys_of(r)->policy.n > 0 ? r->hosts.n : 0;
	}
	h->cap = n == 0 ? 0 : 8;
	while (h->cap < 2 * n)
		h->cap *= 2;
	h->v = arena_alloc(a, (h->cap + 1) * sizeof(*h->v));
	for (size_t i = 0; i < all.n && n > 0; i++)
		if (add_route(load, h, all.v[i]->part[0]) == -1)
			rc = -1;
	conf_set_data(load, &tls_section, h);
	for (size_t i = 0; i < all.n && rc == 0; i++)
		warn_never(load, all.v[i]->part[0]);
	return rc;
}

/* --- reading --- */

bool
secure_host_any(const struct conf *c)
{
	const struct hosts	*h = conf_data(c, &tls_section);

	return h != NULL && h->n > 0;
}

static const struct tls_terms *
find_terms(const struct hosts *h, struct str name, struct str listener)
{
	const struct entry	*e = find_slot(h, name);

	if (e->host.p == NULL)
		return NULL;
	for (; e != NULL; e = e->next)
		if (route_has_listener(e->route, listener))
			return e->terms;
	return NULL;
}

const struct tls_terms *
secure_host_terms(const struct conf *c, const struct listener_conf *l,
    struct str host)
{
	const struct hosts	*h = conf_data(c, &tls_section);
	const struct tls_terms	*t = NULL;
	ptrdiff_t		 dot;

	if (!secure_host_any(c) || host.n == 0)
		return tls_policy_terms(c, &l->obj);
	t = find_terms(h, host, l->obj.name);
	for (dot = host.p[0] == '.' ? 0 : str_find(host, '.', 0);
	    t == NULL && dot >= 0;
	    dot = str_find(host, '.', (size_t)dot + 1))
		t = find_terms(h, str_sub(host, (size_t)dot, host.n),
		    l->obj.name);
	return t != NULL ? t : tls_policy_terms(c, &l->obj);
}

bool
secure_host_same(const struct conf *c, const struct listener_conf *l,
    struct str a, struct str b)
{
	const struct tls_terms	*t = secure_host_terms(c, l, a);
	const struct tls_terms	*u = secure_host_terms(c, l, b);

	return t == u || memcmp(&t->digest, &u->digest,
	    sizeof(t->digest)) == 0;
}

void
secure_host_each(const struct conf *c, const struct listener_conf *l,
    void (*on)(void *, const struct tls_terms *), void *ctx)
{
	const struct hosts	*h = conf_data(c, &tls_section);
	const struct entry	*e;

	on(ctx, tls_policy_terms(c, &l->obj));
	for (size_t i = 0; h != NULL && i < h->cap; i++) {
		e = h->v[i].host.p != NULL ? &h->v[i] : NULL;
		for (; e != NULL; e = e->next)
			if (route_has_listener(e->route, l->obj.name))
				on(ctx, e->terms);
	}
}
