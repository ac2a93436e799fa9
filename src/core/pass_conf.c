/*
 * [route] with tls = passthrough: what it may say, and the index of names.
 * Builder and tools.
 */
#include "core/pass.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/vec.h"
#include "conf/load.h"
#include "core/route_index.h"
#include "core/secure.h"

enum pass_mode { PASS_OFF, PASS_THROUGH };

struct pass_conf {
	int	mode;		/* enum pass_mode */
};

bool
pass_is(const struct route *r)
{
	const struct pass_conf	*p = conf_part(&r->obj, &pass_group);

	return p->mode == PASS_THROUGH;
}

/* --- what it may say --- */

static int
fail(struct conf_load *load, const struct conf_obj *obj, const char *key,
    const char *why)
{
	const struct conf_item	*it = conf_item(load, obj, key);
	struct conf_span	 at = conf_obj_span(obj);

	diag_at(conf_load_diags(load), DIAG_PASS, it != NULL ? &it->kspan :
	    &at, obj, key, "%s: %s", key, why);
	return -1;
}

/* Those that need no request, or are of the upstream. */
static bool
may_say(const char *key)
{
	static const char *const	keys[] = { "host", "listener", "from",
		"not.*", "priority", "tls", "upstream", "target", "targets",
		"timeout.connect", "timeout.stream_idle", "retry.tries",
		"retry.on", "retry.backoff" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

/* A default that is written out, as -T does, says nothing. */
static bool
is_said(struct conf_load *load, const struct conf_obj *obj,
    const struct conf_row *row)
{
	const struct conf_item	*it = conf_item(load, obj, row->key);

	return it != NULL && (row->def == NULL ||
	    !str_eq(it->val, str_from(row->def)));
}

static int
check_keys(struct conf_load *load, const struct conf_obj *obj)
{
	const struct conf_row	*row;
	int			 rc = 0;

	for (size_t i = 0; route_groups[i] != NULL; i++)
		for (row = route_groups[i]->rows; row->key != NULL; row++)
			if (!may_say(row->key) && is_said(load, obj, row))
				rc = fail(load, obj, row->key, "a connection "
				    "that is passed on has no requests that "
				    "this could be asked of");
	return rc;
}

static int
check_nots(struct conf_load *load, const struct route *r)
{
	for (size_t i = 0; i < r->nots.n; i++)
		if (!str_eq(r->nots.v[i].key, STR("from")))
			return fail(load, &r->obj, "not.*", "only not.from "
			    "is known of a connection that is passed on");
	return 0;
}

static int
link_pass(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct pass_conf	*p = part;
	const struct route	*r = container_of(obj, struct route, obj);

	if (p->mode == PASS_OFF)
		return 0;
	if (r->hosts.n == 0)
		return fail(load, obj, "tls", "name the hosts that are "
		    "passed on: host = NAME or *.NAME");
	for (size_t i = 0; i < r->hosts.n; i++)
		if (r->hosts.v[i].n == 0 || str_eq(r->hosts.v[i], STR("*")))
			return fail(load, obj, "host", "passing all names on "
			    "would leave none to be served");
	if (check_nots(load, r) == -1)
		return -1;
	return check_keys(load, obj);
}

static const struct conf_row rows[] = {
	{
		.key = "tls", .type = CONF_ENUM,
		.off = offsetof(struct pass_conf, mode), .def = "off",
		.choices = "off|passthrough", .example = "passthrough",
		.text = "With passthrough connections to a listener with TLS "
		    "that ask for one of host are not opened here but "
		    "passed on to a server of upstream as they come, so "
		    "that it has the certificate.  Of the conditions only "
		    "host, listener and from may be set, of all else only "
		    "what concerns servers.  Here none is needed for it, "
		    "and none at all where every route of the listener "
		    "passes on.  Listeners without TLS are not concerned: "
		    "a route that fits the host, be it for all hosts, "
		    "serves it there, unless redirect_https leads away."
	},
	{ .key = NULL }
};

const struct conf_group pass_group = {
	"pass", rows, sizeof(struct pass_conf), link_pass
};

/* --- the index --- */

static int
compare(const void *a, const void *b)
{
	const struct pass_name	*x = a, *y = b;
	int			 c = str_cmp(x->host, y->host);

	if (c != 0)
		return c;
	c = route_compare(x->route, y->route);
	if (c != 0)
		return c;
	return x->route->order < y->route->order ? -1 : 1;
}

/* It looks at each ClientHello from now on. */
static void
mark_listeners(struct conf_load *load, const struct route *r)
{
	struct conf_objs	 all;
	struct listener_conf	*l;
	bool			 any = false;

	all = conf_all(conf_load_conf(load), &listener_section);
	for (size_t i = 0; i < all.n; i++) {
		l = all.v[i]->part[0];
		if (!secure_has(l) || !route_has_listener(r, l->obj.name))
			continue;
		l->passes = any = true;
	}
	if (any)
		return;
	diag_at(conf_load_diags(load), DIAG_PASS_NEVER,
	    &conf_item(load, &r->obj, "tls")->kspan, &r->obj, "tls",
	    "no listener of the route has TLS, so nothing is passed on");
}

const struct pass_index *
pass_build(struct conf_load *load, const struct conf_objs *routes)
{
	struct pass_index	*x;
	const struct route	*r;
	struct vec		 v;

	vec_init(&v, sizeof(struct pass_name));
	for (size_t i = 0; i < routes->n; i++) {
		r = routes->v[i]->part[0];
		if (!pass_is(r))
			continue;
		mark_listeners(load, r);
		for (size_t h = 0; h < r->hosts.n; h++)
			*(struct pass_name *)vec_push(&v) =
			    (struct pass_name){ r->hosts.v[h], r };
	}
	if (v.n > 0)
		qsort(v.p, v.n, sizeof(struct pass_name), compare);
	x = arena_alloc(conf_load_arena(load),
	    sizeof(*x) + v.n * sizeof(x->v[0]));
	x->n = v.n;
	if (v.n > 0)
		memcpy(x->v, v.p, v.n * sizeof(x->v[0]));
	vec_fini(&v);
	return x->n > 0 ? x : NULL;
}
