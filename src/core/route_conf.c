/*
 * [route NAME]: keys, checks, and the making of the index.  Builder and
 * tools.
 *
 * Which handler answers follows from the one key flagged CONF_F_HANDLER
 * that is set; handlers and conditions bring their keys in groups of
 * their own.  Patterns are brought into the form that requests are
 * compared in: paths normalised, hosts in lower case.
 */
#include "conf/load.h"
#include "core/chain.h"
#include "core/cond.h"
#include "core/handler.h"
#include "core/listener.h"
#include "core/pass.h"
#include "core/rewrite.h"
#include "core/route.h"
#include "core/route_index.h"
#include "core/secure_host.h"
#include "core/secure_lint.h"
#include "core/settings.h"

#define AT(member)	offsetof(struct route, member)

/* --- which handler --- */

/* The key that chooses this handler, or NULL. */
static const char *
chosen_by(struct conf_load *load, const struct conf_obj *obj,
    const struct handler *h)
{
	const struct conf_row	*r;

	if (h->group == NULL)
		return NULL;
	for (r = h->group->rows; r->key != NULL; r++)
		if ((r->flags & CONF_F_HANDLER) &&
		    conf_is_set(load, obj, r->key) &&
		    (r->type != CONF_BOOL || *((const bool *)conf_part(obj,
		    h->group) + r->off)))
			return r->key;
	return NULL;
}

/* "a, b or c" of all keys that choose a handler. */
static void
list_keys(struct text *t)
{
	const struct conf_row	*r, *last = NULL;

	for (size_t i = 0; handlers[i] != NULL; i++) {
		r = handlers[i]->group != NULL ?
		    handlers[i]->group->rows : NULL;
		for (; r != NULL && r->key != NULL; r++) {
			if ((r->flags & CONF_F_HANDLER) == 0)
				continue;
			if (last != NULL)
				text_fmt(t, "%s%s", t->n > 0 ? ", " : "",
				    last->key);
			last = r;
		}
	}
	if (last != NULL)
		text_fmt(t, "%s%s", t->n > 0 ? " or " : "", last->key);
}

static int
fail_none(struct conf_load *load, const struct conf_obj *obj)
{
	struct conf_span	at = conf_obj_span(obj);
	struct text		t;

	text_init(&t);
	list_keys(&t);
	diag_at(conf_load_diags(load), DIAG_ROUTE_NO_HANDLER, &at, obj, "",
	    "route \"%.*s\" answers nothing: it has no %.*s",
	    STR_FMT(obj->name), STR_FMT(text_str(&t)));
	text_fini(&t);
	return -1;
}

static int
choose_handler(struct conf_load *load, struct route *r)
{
	const struct conf_item	*it;
	const char		*first = NULL, *key;

	for (size_t i = 0; handlers[i] != NULL; i++) {
		key = chosen_by(load, &r->obj, handlers[i]);
		if (key == NULL)
			continue;
		if (first != NULL) {
			it = conf_item(load, &r->obj, key);
			diag_at(conf_load_diags(load), DIAG_ROUTE_HANDLERS,
			    it != NULL ? &it->kspan : NULL, &r->obj, key,
			    "route \"%.*s\" has both \"%s\" and \"%s\"",
			    STR_FMT(r->obj.name), first, key);
			return -1;
		}
		first = key;
		r->handler = handlers[i];
		r->part = conf_part(&r->obj, handlers[i]->group);
	}
	return first != NULL ? 0 : fail_none(load, &r->obj);
}

/* --- patterns --- */

/* a list of patterns being read */
struct pattern {
	struct conf_load	*load;
	const struct route	*route;
	const char		*key;
	struct conf_words	 at;	/* where the word stands */
};

/* Its place; NULL if it is of a default. */
static const struct conf_span *
place_of(const struct pattern *p, struct conf_span *sp)
{
	if (p->at.it == NULL)
		return NULL;
	*sp = conf_word_span(p->at.it, p->at.word);
	return sp;
}

static int
fail_as(const struct pattern *p, enum diag_id id, struct str word,
    const char *why)
{
	struct conf_span	sp;

	diag_at(conf_load_diags(p->load), id, place_of(p, &sp),
	    &p->route->obj, p->key, "\"%.*s\": %s",
	    STR_FMT(str_sub(word, 0, 80)), why);
	return -1;
}

static int
fail_word(const struct pattern *p, struct str word, const char *why)
{
	return fail_as(p, DIAG_VALUE_PATTERN, word, why);
}

static int
read_host(const struct pattern *p, struct str word, struct str *out)
{
	struct str	name = word, host;
	char		*lower;
	bool		below;
	int		port;

	if (str_eq(word, STR("*"))) {
		*out = STR("");
		return 0;
	}
	if (word.p[0] == '~')
		return fail_word(p, word,
		    "a host is a name or *.NAME, no regular expression");
	below = str_starts(word, STR("*."));
	if (below)
		name = str_sub(word, 2, word.n);
	if (str_find(name, '*', 0) >= 0)
		return fail_word(p, word,
		    "an asterisk may only be the first label");
	if (uri_parse_host(name, &host, &port) != FAIL_NONE)
		return fail_word(p, word, "no host has such a name");
	if (port >= 0)
		return fail_word(p, word,
		    "a host has no port here; name a listener");
	/* the dot of the DNS root, which no request is left with */
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	if (below)
		name = str_make(name.p - 1, name.n + 1);
	lower = arena_text(conf_load_arena(p->load), name.n);
	for (size_t i = 0; i < name.n; i++)
		lower[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ?
		    (char)(name.p[i] | 0x20) : name.p[i];
	*out = str_make(lower, name.n);
	return 0;
}

static int
read_list(struct conf_load *load, const struct route *r, const char *key,
    struct conf_list *list, int (*read)(const struct pattern *, struct str,
    struct str *))
{
	struct pattern	 p = { load, r, key, { .it = NULL } };
	struct str	*v;
	int		 rc = 0;

	conf_words_init(&p.at, load, &r->obj, key);
	v = arena_alloc(conf_load_arena(load), (list->n + 1) * sizeof(*v));
	for (size_t i = 0; i < list->n; i++) {
		(void)conf_words_next(&p.at);
		if (read(&p, list->v[i], &v[i]) == -1)
			rc = -1;
	}
	list->v = v;
	return rc;
}

static int
check_listeners(struct conf_load *load, const struct route *r)
{
	struct conf_words	w;
	int			rc = 0;

	conf_words_init(&w, load, &r->obj, "listener");
	while (conf_words_next(&w))
		if (conf_ref_at(load, &r->obj, w.it, w.word,
		    &listener_section) == NULL)
			rc = -1;
	return rc;
}

/* A tunnel is asked for, and the handler has none to offer. */
static int
check_connect(struct conf_load *load, const struct route *r)
{
	struct conf_words	w;
	struct conf_span	at;

	conf_words_init(&w, load, &r->obj, "method");
	while (conf_words_next(&w)) {
		if (r->handler->tunnels || !str_eq(w.word, STR("CONNECT")))
			continue;
		at = conf_word_span(w.it, w.word);
		diag_at(conf_load_diags(load), DIAG_ROUTE_CONNECT, &at,
		    &r->obj, "method", "route \"%.*s\": CONNECT is for "
		    "routes with an upstream; %s opens no tunnel",
		    STR_FMT(r->obj.name), r->handler->name);
		return -1;
	}
	return 0;
}

/* It has no path; what is compared with the route's is "/". */
static void
check_connect_path(struct conf_load *load, const struct route *r)
{
	const struct conf_item	*it = conf_item(load, &r->obj, "path");
	const struct route_path	*p;
	struct conf_words	 w;

	for (p = r->paths.v; p < r->paths.v + r->paths.n; p++)
		if (p->kind == ROUTE_REGEX || route_path_is_any(p) ||
		    (p->kind == ROUTE_EXACT && str_eq(p->text, STR("/"))))
			return;
	conf_words_init(&w, load, &r->obj, "method");
	while (it != NULL && conf_words_next(&w)) {
		if (!str_eq(w.word, STR("CONNECT")))
			continue;
		diag_at(conf_load_diags(load), DIAG_CONNECT_PATH, &it->vspan,
		    &r->obj, "path", "route \"%.*s\" never takes a CONNECT: "
		    "none of its paths fits \"/\"", STR_FMT(r->obj.name));
		return;
	}
}

static int
link_route(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct route	*r = part;
	int		 rc = 0;

	if (!conf_is_set(load, obj, "max_body"))
		r->max_body = settings_limits(conf_load_conf(load))->body;
	if (choose_handler(load, r) == -1 || check_connect(load, r) == -1)
		rc = -1;
	check_connect_path(load, r);
	if (check_listeners(load, r) == -1)
		rc = -1;
	if (read_list(load, r, "host", &r->hosts, read_host) == -1)
		rc = -1;
	return rc;
}

/* --- the index --- */

/* The conditions that are set, then those that must not hold. */
static void
set_checks(struct arena *a, struct route *r)
{
	const struct route_cond	*c;
	struct route_check	*v;
	uint32_t		 n = 0, count;
	const void		*part;

	r->nconds = (r->listeners.n > 0) + (uint32_t)r->nots.n;
	while (route_conds[n] != NULL)
		n++;
	v = arena_alloc(a, (n + r->nots.n) * sizeof(*v));
	n = 0;
	for (size_t i = 0; (c = route_conds[i]) != NULL; i++) {
		part = conf_part(&r->obj, c->group);
		count = c->count(part);
		if (count == 0)
			continue;
		v[n++] = (struct route_check){ .cond = c, .part = part };
		r->nconds += count;
	}
	for (size_t i = 0; i < r->nots.n; i++)
		v[n++] = r->nots.v[i];
	r->checks = v;
	r->nchecks = n;
}

static bool
is_static(const struct route *r)
{
	return str_eq(str_from(r->handler->name), STR("static"));
}

int
route_compare(const struct route *a, const struct route *b)
{
	if (a->nconds != b->nconds)
		return a->nconds > b->nconds ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	return (int)is_static(a) - (int)is_static(b);
}

/* Where the route belongs in the set of a place. */
static void
index_place(struct arena *a, struct route_index *x, struct str host,
    const struct route *r, const struct route_path *p)
{
	struct route_set	*s = route_index_set(a, x, host, p);
	uint32_t		 at = x->first ? s->n : 0;

	while (at < s->n && route_compare(s->v[at].route, r) <= 0)
		at++;
	(void)route_index_add(a, s, at, r, p);
}

static void
index_route(struct arena *a, struct route_index *x, const struct route *r)
{
	size_t		nhost = r->hosts.n > 0 ? r->hosts.n : 1;
	struct str	host;

	for (size_t h = 0; h < nhost; h++) {
		host = r->hosts.n > 0 ? r->hosts.v[h] : STR("");
		for (size_t i = 0; i < r->paths.n; i++)
			index_place(a, x, host, r, &r->paths.v[i]);
	}
}

static bool
has_route(const struct conf_objs *all, struct str listener)
{
	for (size_t i = 0; i < all->n; i++)
		if (route_has_listener(all->v[i]->part[0], listener))
			return true;
	return false;
}

/* It listens and answers 404 to all, or does not even listen. */
static void
warn_unrouted(struct conf_load *load, const struct conf_objs *routes)
{
	struct conf_objs	all = conf_all(conf_load_conf(load),
	    &listener_section);
	struct conf_span	at;

	if (all.n == 0)
		diag_at(conf_load_diags(load), DIAG_NO_LISTENER, NULL, NULL,
		    "", "there is no listener: nobody can connect");
	if (routes->n == 0) {
		diag_at(conf_load_diags(load), DIAG_NO_ROUTE, NULL, NULL, "",
		    "there is no route: every request is answered 404");
		return;
	}
	for (size_t i = 0; i < all.n; i++) {
		if (has_route(routes, all.v[i]->name))
			continue;
		at = conf_obj_span(all.v[i]);
		diag_at(conf_load_diags(load), DIAG_NO_ROUTE, &at, all.v[i],
		    "", "no route is for listener \"%.*s\": every request "
		    "is answered 404", STR_FMT(all.v[i]->name));
	}
}

static int
finish(struct conf_load *load)
{
	struct arena		*a = conf_load_arena(load);
	struct route_index	*x = route_index_new(a);
	const struct rewrite	*w;
	struct conf_objs	 all;
	struct route		*r;

	x->first = settings_get(conf_load_conf(load))->match == MATCH_FIRST;
	all = conf_all(conf_load_conf(load), &route_section);
	for (size_t i = 0; i < all.n; i++) {
		r = all.v[i]->part[0];
		r->order = (uint32_t)i;
		set_checks(a, r);
		if (pass_is(r))
			continue;
		index_route(a, x, r);
		w = conf_part(&r->obj, &rewrite_group);
		for (size_t k = 0; k < w->nrule; k++)
			route_index_regex(a, x, w->rules[k].from.text);
	}
	x->pass = pass_build(load, &all);
	route_lint(load, x);
	warn_unrouted(load, &all);
	conf_set_data(load, &route_section, x);
	if (secure_host_make(load) == -1)
		return -1;
	secure_lint(load);
	secure_cover(load);
	return secure_fit(load);
}

static const struct conf_row rows[] = {
	{
		.key = "listener", .type = CONF_LIST, .off = AT(listeners),
		.flags = CONF_F_COND, .example = "web",
		.text = "Listeners the route is for; all if it is not set."
	}, {
		.key = "host", .type = CONF_LIST, .off = AT(hosts),
		.flags = CONF_F_COND,
		.example = "www.example.com *.example.org",
		.text = "Hosts the route is for: names, or *.NAME for all "
		    "below a name; all if it is not set.  An exact name wins "
		    "over a longer wildcard, that over a shorter one."
	}, {
		.key = "path", .type = CONF_CUSTOM, .off = AT(paths),
		.def = "/*",
		.flags = CONF_F_COND | CONF_F_MANY | CONF_F_LINES,
		.parse = route_parse_paths,
		.example = "/v1/* /users/:id",
		.text = "Paths the route is for: exact ones, with an "
		    "asterisk at the end all that begin so, with segments "
		    "like :id that stand for any one segment; or after a "
		    "tilde one regular expression.  See ROUTES for which of "
		    "several wins."
	}, {
		.key = "not.*", .type = CONF_CUSTOM, .off = AT(nots),
		.flags = CONF_F_COND | CONF_F_MANY,
		.parse = cond_parse_not, .example = "GET",
		.text = "The opposite of a further condition: its key stands "
		    "for the asterisk, as in not.method, not.from and "
		    "not.header.NAME, and it must not hold."
	}, {
		.key = "priority", .type = CONF_INT, .off = AT(priority),
		.def = "0", .min = -1000000, .max = 1000000, .example = "10",
		.text = "Decides between routes of the same host and path "
		    "and the same number of other conditions: the highest "
		    "is tried first."
	}, {
		.key = "max_body", .type = CONF_SIZE, .off = AT(max_body),
		.example = "100m",
		.text = "In place of body of [limits]; 0 is no limit."
	},
	{ .key = NULL }
};

const struct conf_group route_group = {
	"route", rows, sizeof(struct route), link_route
};

static const struct conf_section_alias aliases[] = {
	{ "static", "static" }, { NULL, NULL }
};

const struct conf_section route_section = {
	.type = "route", .aliases = aliases, .named = true,
	.groups = route_groups, .guest = &route_guest,
	.done = finish,
	.text = "Which requests are answered how.  The most specific host "
	    "wins, then the most specific path, then the number of further "
	    "conditions, then the priority, then the order in the files."
};
