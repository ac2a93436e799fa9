/*
 * Keys about TLS of which nothing comes.  Builder and -t.
 *
 * Behind a trusted proxy it is the proxy's word whether a request came by
 * TLS, so there what is about https has its use on any listener.  What a
 * listener has of [defaults] or like was written for others as well.
 */
#include "core/secure_lint.h"

#include "core/handler.h"
#include "core/https.h"
#include "core/pass.h"
#include "core/route.h"
#include "core/secure.h"
#include "core/secure_host.h"
#include "core/settings.h"

struct lint {
	struct conf_load	*load;
	const struct conf	*conf;
	struct conf_objs	 listeners;
	struct conf_objs	 routes;
	bool			 tls;		/* a listener has it */
	bool			 told;		/* a proxy says who has */
};

const struct conf_item *
secure_lint_said(struct conf_load *load, const struct conf_obj *obj,
    const struct conf_row *row)
{
	const struct conf_item	*it = conf_item(load, obj, row->key);

	/* -T writes defaults out; an empty value takes what was said back */
	return it == NULL || it->val.n == 0 || (row->def != NULL &&
	    str_eq(it->val, str_from(row->def))) ? NULL : it;
}

/* The same for what was written for this object alone. */
static const struct conf_item *
own(const struct lint *l, const struct conf_obj *obj,
    const struct conf_row *row)
{
	const struct conf_item	*it = secure_lint_said(l->load, obj, row);

	return it != NULL && it->origin >= CONF_FILE ? it : NULL;
}

static void
tell(const struct lint *l, enum diag_id id, const struct conf_obj *obj,
    const struct conf_item *it, const char *why)
{
	const char	*key = it->row->key;

	diag_at(conf_load_diags(l->load), id, &it->kspan, obj, key,
	    "%.*s: %s", STR_FMT(str_sub(it->key, 0, 80)), why);
}

static const struct conf_row *
row_of(const struct conf_group *g, const char *key)
{
	const struct conf_row	*r = g->rows;

	while (r->key != NULL && strcmp(r->key, key) != 0)
		r++;
	return r;
}

/* A key of a group, if it is said; it has no effect then. */
static void
idle(const struct lint *l, const struct conf_obj *obj,
    const struct conf_group *g, const char *key, const char *why)
{
	const struct conf_item	*it = own(l, obj, row_of(g, key));

	if (it != NULL)
		tell(l, DIAG_NO_EFFECT, obj, it, why);
}

static bool
has_tls(const struct conf_obj *listener)
{
	const struct tls_policy_conf	*p = conf_part(listener,
	    &tls_policy_group);

	return p->mode != TLS_OFF;
}

/* --- redirects --- */

static bool
needs(const struct conf_obj *route, enum https_need need)
{
	const struct https_route	*h = conf_part(route,
	    &https_route_group);

	return h->need == (int)need;
}

static void
check_nowhere(const struct lint *l)
{
	static const char	why[] = "leads to https, where no listener "
	    "of this configuration is";
	const struct conf_item	*it;

	if (l->tls || l->told)
		return;
	for (size_t i = 0; i < l->listeners.n; i++) {
		it = secure_lint_said(l->load, l->listeners.v[i],
		    row_of(&https_listener_group, "redirect_https"));
		if (it != NULL && ((const struct https_listener *)conf_part(
		    l->listeners.v[i], &https_listener_group))->port != 0)
			tell(l, DIAG_TLS_NOWHERE, l->listeners.v[i], it, why);
	}
	for (size_t i = 0; i < l->routes.n; i++) {
		it = conf_item(l->load, l->routes.v[i], "tls_required");
		if (it != NULL && needs(l->routes.v[i], HTTPS_REDIRECT))
			tell(l, DIAG_TLS_NOWHERE, l->routes.v[i], it, why);
	}
}

/* --- listeners --- */

/* What is led away here, or by a route of the listener's? */
static bool
leads(const struct lint *l, const struct conf_obj *listener)
{
	const struct https_listener	*h = conf_part(listener,
	    &https_listener_group);

	for (size_t i = 0; i < l->routes.n; i++)
		if (needs(l->routes.v[i], HTTPS_REDIRECT) &&
		    route_has_listener(l->routes.v[i]->part[0],
		    listener->name))
			return true;
	return h->port != 0;
}

static void
check_plain(const struct lint *l, const struct conf_obj *o)
{
	static const char	why[] = "the listener does not speak TLS";
	const struct conf_row	*r;

	for (r = tls_terms_group.rows; r->key != NULL; r++)
		idle(l, o, &tls_terms_group, r->key, why);
	for (r = tls_policy_group.rows; r->key != NULL; r++)
		if (strcmp(r->key, "tls") != 0)
			idle(l, o, &tls_policy_group, r->key, why);
	if (!l->told)
		idle(l, o, &https_listener_group, "hsts", "answers of this "
		    "listener never go by TLS");
}

static void
check_listener(const struct lint *l, const struct conf_obj *o)
{
	if (!has_tls(o))
		check_plain(l, o);
	else if (!l->told)
		idle(l, o, &https_listener_group, "redirect_https", "all "
		    "requests of this listener come by TLS");
	if (!leads(l, o))
		idle(l, o, &https_listener_group, "redirect_exempt",
		    "nothing is led away, so nothing is exempt");
}

/* --- routes --- */

/* Has a listener of the route TLS, and is some client asked who it is? */
static void
look_at(const struct lint *l, const struct route *r, bool *tls, bool *asks)
{
	const struct tls_terms		*t;
	const struct conf_obj		*o;

	for (size_t i = 0; i < l->listeners.n; i++) {
		o = l->listeners.v[i];
		if (!has_tls(o) || !route_has_listener(r, o->name))
			continue;
		*tls = true;
		for (size_t k = 0; k < r->hosts.n || k == 0; k++) {
			t = secure_host_terms(l->conf, o->part[0],
			    r->hosts.n == 0 ? STR("") : r->hosts.v[k]);
			*asks |= t->client != TLS_CLIENT_OFF;
		}
	}
}

/* The route by which a listener passes all clients of the host on. */
static const struct route *
passes(const struct lint *l, const struct conf_obj *listener,
    struct str host)
{
	const struct route	*p = !has_tls(listener) ? NULL :
	    pass_find(l->conf, listener->name, host, NULL);

	return p != NULL && p->nchecks == 0 ? p : NULL;
}

/* Who comes for its hosts is led elsewhere, wherever it listens. */
static void
check_passed(const struct lint *l, const struct route *r)
{
	struct conf_span	 at = conf_obj_span(&r->obj);
	const struct conf_obj	*o;
	const struct route	*p = NULL;

	for (size_t i = 0; i < l->listeners.n; i++) {
		o = l->listeners.v[i];
		if (!route_has_listener(r, o->name))
			continue;
		for (size_t k = 0; k < r->hosts.n; k++) {
			p = passes(l, o, r->hosts.v[k]);
			if (p == NULL)
				return;
		}
	}
	if (p == NULL)
		return;
	diag_at(conf_load_diags(l->load), DIAG_ROUTE_SHADOWED, &at, &r->obj,
	    "", "route \"%.*s\" is never reached: route \"%.*s\" (%.*s:%u) "
	    "passes on all connections that ask for its hosts",
	    STR_FMT(r->obj.name), STR_FMT(p->obj.name),
	    STR_FMT(p->obj.file), p->obj.line);
	diag_hint(conf_load_diags(l->load), "give one of them another host, "
	    "or remove it");
}

static void
check_route(const struct lint *l, const struct conf_obj *o)
{
	const struct route	*r = o->part[0];
	const struct conf_item	*it = conf_item(l->load, o, "identity.*");
	bool			 tls = false, asks = false;

	if (pass_is(r))
		return;
	check_passed(l, r);
	look_at(l, r, &tls, &asks);
	if (!tls && !l->told)
		idle(l, o, &https_route_group, "hsts", "no listener of the "
		    "route speaks TLS");
	if (it == NULL || it->origin < CONF_FILE)
		return;
	if (!r->handler->waits)
		tell(l, DIAG_NO_EFFECT, o, it, "the route asks no server "
		    "that it could tell");
	else if (!asks)
		tell(l, DIAG_NO_EFFECT, o, it, "no client of the route is "
		    "asked for a certificate");
}

/* --- sections --- */

bool
secure_lint_used(const struct conf *c, const struct conf_obj *named)
{
	struct conf_objs		 all = conf_all(c, &listener_section);
	const struct tls_policy_conf	*p;
	const struct secure_route	*s;

	for (size_t i = 0; i < all.n; i++) {
		p = conf_part(all.v[i], &tls_policy_group);
		if (str_eq(p->terms, named->name))
			return true;
	}
	all = conf_all(c, &route_section);
	for (size_t i = 0; i < all.n; i++) {
		s = conf_part(all.v[i], &secure_route_group);
		if (str_eq(s->policy, named->name))
			return true;
	}
	return false;
}

static void
warn_section(const struct lint *l, const struct conf_obj *o, enum diag_id id,
    const char *why)
{
	struct conf_span	at = conf_obj_span(o);

	diag_at(conf_load_diags(l->load), id, &at, o, "", "[%s %.*s]: %s",
	    o->section->type, STR_FMT(o->name), why);
}

static void
check_sections(const struct lint *l)
{
	struct conf_objs	all = conf_all(l->conf, &tls_section);

	for (size_t i = 0; i < all.n; i++)
		if (!secure_lint_used(l->conf, all.v[i]))
			warn_section(l, all.v[i], DIAG_UNUSED, "no listener "
			    "and no route names these terms");
	all = conf_all(l->conf, &cert_section);
	for (size_t i = 0; i < all.n && !l->tls; i++)
		warn_section(l, all.v[i], DIAG_NO_EFFECT, "nobody is shown "
		    "it, for no listener speaks TLS");
}

void
secure_lint(struct conf_load *load)
{
	const struct conf	*c = conf_load_conf(load);
	struct lint		 l = { .load = load, .conf = c,
	    .listeners = conf_all(c, &listener_section),
	    .routes = conf_all(c, &route_section),
	    .told = settings_get(c)->trusted.n > 0 };

	for (size_t i = 0; i < l.listeners.n; i++)
		l.tls |= has_tls(l.listeners.v[i]);
	check_nowhere(&l);
	for (size_t i = 0; i < l.listeners.n; i++)
		check_listener(&l, l.listeners.v[i]);
	for (size_t i = 0; i < l.routes.n; i++)
		check_route(&l, l.routes.v[i]);
	check_sections(&l);
}
