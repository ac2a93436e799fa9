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
#include "core/handler.h"
#include "core/listener.h"
#include "core/route.h"
#include "core/route_index.h"
#include "core/settings.h"

#define AT(member)	offsetof(struct route, member)
#define CONDS_MAX	32

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

static void
warn_slash(const struct pattern *p, struct str word)
{
	struct conf_span	sp;

	diag_at(conf_load_diags(p->load), DIAG_PATH_SLASH, place_of(p, &sp),
	    &p->route->obj, p->key, "\"%.*s\" is read as \"/%.*s\"",
	    STR_FMT(word), STR_FMT(word));
}

/* Bytes that no request line may have are shown as they would come. */
static int
fail_path(const struct pattern *p, struct str word)
{
	struct text	t;
	unsigned char	b;
	bool		high = false;

	text_init(&t);
	for (size_t i = 0; i < word.n; i++) {
		b = (unsigned char)word.p[i];
		high |= b >= 0x80;
		if (b >= 0x80)
			text_fmt(&t, "%%%02X", b);
		else
			text_c(&t, (char)b);
	}
	(void)fail_word(p, word, high ?
	    "a path has only ASCII characters" :
	    "no request has such a path");
	if (high)
		diag_hint(conf_load_diags(p->load),
		    "write it percent-encoded: %.*s", STR_FMT(text_str(&t)));
	text_fini(&t);
	return -1;
}

/* Normalises what stands before the asterisk, if there is one. */
static int
read_path(const struct pattern *p, struct str word, struct str *out)
{
	struct arena	*a = conf_load_arena(p->load);
	struct str	 lit = word, norm;
	bool		 prefix = str_ends(word, STR("*"));

	if (prefix)
		lit.n--;
	if (str_find(lit, '*', 0) >= 0)
		return fail_word(p, word,
		    "an asterisk may only be the last character");
	if (lit.n > 0 && lit.p[0] == '~')
		return fail_as(p, DIAG_KEY_LATER, word,
		    "regular expressions are not obeyed yet");
	if (lit.n > 0 && lit.p[0] != '/')
		warn_slash(p, word);
	if (lit.n == 0 || lit.p[0] != '/')
		lit = arena_fmt(a, "/%.*s", STR_FMT(lit));
	for (ptrdiff_t at = 0; (at = str_find(lit, ':', (size_t)at)) >= 0;
	    at++)
		if (lit.p[at - 1] == '/')
			return fail_as(p, DIAG_KEY_LATER, word,
			    "parameters are not obeyed yet");
	if (uri_normalise(a, lit, false, &norm) != FAIL_NONE)
		return fail_path(p, word);
	*out = prefix ? arena_fmt(a, "%.*s*", STR_FMT(norm)) :
	    arena_dup(a, norm);
	return 0;
}

static int
read_host(const struct pattern *p, struct str word, struct str *out)
{
	struct str	name = word, host;
	char		*lower;
	int		port;

	if (str_eq(word, STR("*"))) {
		*out = STR("");
		return 0;
	}
	if (str_starts(word, STR("*.")))
		name = str_sub(word, 2, word.n);
	if (str_find(name, '*', 0) >= 0)
		return fail_word(p, word,
		    "an asterisk may only be the first label");
	if (uri_parse_host(name, &host, &port) != FAIL_NONE)
		return fail_word(p, word, "no host has such a name");
	if (port >= 0)
		return fail_word(p, word,
		    "a host has no port here; name a listener");
	if (name.n < word.n)
		name = str_sub(word, 1, word.n);
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

static int
link_route(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct route	*r = part;
	int		 rc = 0;

	if (!conf_is_set(load, obj, "max_body"))
		r->max_body = settings_limits(conf_load_conf(load))->body;
	if (choose_handler(load, r) == -1)
		rc = -1;
	if (check_listeners(load, r) == -1)
		rc = -1;
	if (read_list(load, r, "host", &r->hosts, read_host) == -1)
		rc = -1;
	if (read_list(load, r, "path", &r->paths, read_path) == -1)
		rc = -1;
	return rc;
}

/* --- the index --- */

static void
set_conds(struct arena *a, struct route *r)
{
	const struct route_cond	**v;
	uint32_t		  n = 0;

	v = arena_alloc(a, (CONDS_MAX + 1) * sizeof(const void *));
	for (size_t i = 0; route_conds[i] != NULL && n < CONDS_MAX; i++)
		if (route_conds[i]->is_set(conf_part(&r->obj,
		    route_conds[i]->group)))
			v[n++] = route_conds[i];
	r->conds = v;
	r->nconds = n + (r->listeners.n > 0);
}

static bool
is_static(const struct route *r)
{
	return str_eq(str_from(r->handler->name), STR("static"));
}

/* Below 0: a is tried before b; 0: only their order in files decides. */
static int
compare(const struct route *a, const struct route *b)
{
	if (a->nconds != b->nconds)
		return a->nconds > b->nconds ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	return (int)is_static(a) - (int)is_static(b);
}

static bool
shares_listener(const struct route *a, const struct route *b)
{
	if (a->listeners.n == 0 || b->listeners.n == 0)
		return true;
	for (size_t i = 0; i < a->listeners.n; i++)
		for (size_t j = 0; j < b->listeners.n; j++)
			if (str_eq(a->listeners.v[i], b->listeners.v[j]))
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
	const struct route_cond	*const *c;
	uint32_t		 x, y;

	if (!shares_listener(a, b))
		return false;
	for (c = a->conds; *c != NULL; c++) {
		if ((*c)->methods == NULL)
			return false;
		x = (*c)->methods(conf_part(&a->obj, (*c)->group));
		y = (*c)->methods(conf_part(&b->obj, (*c)->group));
		if ((x & y) == 0)
			return false;
	}
	return true;
}

static void
warn_equal(struct conf_load *load, const struct route *r,
    const struct route *first)
{
	struct conf_span	at = conf_obj_span(&r->obj);

	diag_at(conf_load_diags(load), DIAG_ROUTE_EQUAL, &at, &r->obj, "",
	    "routes \"%.*s\" and \"%.*s\" fit the same requests equally "
	    "well; the one that stands first is taken",
	    STR_FMT(first->obj.name), STR_FMT(r->obj.name));
}

/* Where the route belongs in the set; warns once if another is its equal. */
static void
add_route(struct conf_load *load, struct route_set *s, const struct route *r,
    bool *warned)
{
	uint32_t	at;

	for (at = 0; at < s->n && compare(s->v[at], r) <= 0; at++) {
		if (*warned || s->v[at] == r || compare(s->v[at], r) != 0 ||
		    !overlaps(s->v[at], r))
			continue;
		warn_equal(load, r, s->v[at]);
		*warned = true;
	}
	(void)route_index_add(conf_load_arena(load), s, at, r);
}

static void
index_route(struct conf_load *load, struct route_index *x, struct route *r)
{
	struct arena	*a = conf_load_arena(load);
	size_t		 nhost = r->hosts.n > 0 ? r->hosts.n : 1;
	bool		 warned = false;

	for (size_t h = 0; h < nhost; h++) {
		struct str	host = r->hosts.n > 0 ? r->hosts.v[h] :
		    STR("");

		for (size_t i = 0; i < r->paths.n; i++) {
			struct str	path = r->paths.v[i];
			bool		prefix = str_ends(path, STR("*"));

			path.n -= prefix;
			add_route(load, route_index_set(a, x, host, path,
			    prefix), r, &warned);
		}
	}
}

static bool
has_route(const struct conf_objs *all, struct str listener)
{
	const struct route	*r;

	for (size_t i = 0; i < all->n; i++) {
		r = all->v[i]->part[0];
		if (r->listeners.n == 0)
			return true;
		for (size_t j = 0; j < r->listeners.n; j++)
			if (str_eq(r->listeners.v[j], listener))
				return true;
	}
	return false;
}

/* It listens and answers 404 to all. */
static void
warn_unrouted(struct conf_load *load, const struct conf_objs *routes)
{
	struct conf_objs	all = conf_all(conf_load_conf(load),
	    &listener_section);
	struct conf_span	at;

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
	struct conf_objs	 all;
	struct route		*r;

	all = conf_all(conf_load_conf(load), &route_section);
	for (size_t i = 0; i < all.n; i++) {
		r = all.v[i]->part[0];
		r->order = (uint32_t)i;
		set_conds(a, r);
		index_route(load, x, r);
	}
	warn_unrouted(load, &all);
	conf_set_data(load, &route_section, x);
	return 0;
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
		.key = "path", .type = CONF_LIST, .off = AT(paths),
		.def = "/*", .flags = CONF_F_COND, .example = "/v1/* /health",
		.text = "Paths the route is for: exact ones, or with an "
		    "asterisk at the end all that begin so.  An exact path "
		    "wins over a longer prefix, that over a shorter one."
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
	.groups = route_groups,
	.done = finish,
	.text = "Which requests are answered how.  The most specific host "
	    "wins, then the most specific path, then the number of further "
	    "conditions, then the priority, then the order in the files."
};
