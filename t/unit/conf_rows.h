/*
 * Tables for the tests of conf/: one row of every type, families,
 * aliases, secrets; and a load from text in memory or from files.
 */
#ifndef T_UNIT_CONF_ROWS_H
#define T_UNIT_CONF_ROWS_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "conf/load.h"

struct t_sluice {
	struct conf_obj		obj;
	int64_t			workers;
	struct conf_list	trusted;
	int			match;
};

struct t_upstream {
	struct conf_obj		obj;
	struct conf_list	servers;	/* CUSTOM: items joined */
	int			balance;
	uint64_t		connect;
	uint64_t		interval;
	int			sticky;
	int64_t			rate;
	struct str		token;
	bool			watch;
};

struct t_route {
	struct conf_obj		 obj;
	struct conf_list	 paths;
	struct conf_pairs	 headers;
	struct conf_list	 notes;
	struct str		 upstream;
	struct t_upstream	*up;		/* link */
	uint64_t		 body;
	struct str		 title;
};

struct t_static {
	struct str		root;
	bool			listing;
};

struct t_listener {
	struct conf_obj		obj;
	struct conf_list	bind;
};

struct t_done {
	size_t	routes;
};

#define T_OFF(type, m)	offsetof(struct type, m)

/* Words after the address are kept; "bad" is refused with a caret. */
static int
t_parse_server(struct conf_load *l, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	struct str		*v;
	struct conf_span	 sp;
	struct str		 rest;
	struct str		 w;
	size_t			 i;

	v = arena_alloc(conf_load_arena(l), n * sizeof(*v));
	for (i = 0; i < n; i++) {
		v[i] = arena_dup(conf_load_arena(l), items[i].val);
		rest = items[i].val;
		while (str_word(&rest, " ", &w)) {
			if (!str_eq(w, STR("bad")))
				continue;
			sp = conf_word_span(&items[i], w);
			diag_at(conf_load_diags(l), DIAG_VALUE_ADDR, &sp,
			    NULL, row->key, "\"%.*s\" is no address",
			    STR_FMT(w));
			return -1;
		}
	}
	*(struct conf_list *)dst = (struct conf_list){ v, n };
	return 0;
}

static const struct conf_row t_sluice_rows[] = {
	{ .key = "workers", .type = CONF_INT, .off = T_OFF(t_sluice, workers),
	  .def = "2", .min = 1, .max = 64, .reload = CONF_ROLL,
	  .example = "4", .text = "Number of workers." },
	{ .key = "trusted_proxies", .type = CONF_LIST,
	  .off = T_OFF(t_sluice, trusted), .example = "10.0.0.0/8",
	  .text = "Networks of proxies." },
	{ .key = "match", .type = CONF_ENUM, .off = T_OFF(t_sluice, match),
	  .def = "specific", .choices = "specific|first", .example = "first",
	  .text = "How routes are chosen." },
	{ .key = NULL }
};

static const struct conf_alias t_connect_alias[] = {
	{ "timeout", CONF_SECONDS, NULL }, { NULL, CONF_COUNT, NULL }
};
static const struct conf_alias t_sticky_alias[] = {
	{ "sticky_sessions", CONF_COUNT, "cookie" },
	{ NULL, CONF_COUNT, NULL }
};

static const struct conf_row t_upstream_rows[] = {
	{ .key = "server", .type = CONF_CUSTOM,
	  .off = T_OFF(t_upstream, servers),
	  .flags = CONF_F_REQUIRED | CONF_F_MANY,
	  .parse = t_parse_server, .example = "10.0.0.1:80",
	  .text = "A server." },
	{ .key = "balance", .type = CONF_ENUM,
	  .off = T_OFF(t_upstream, balance), .def = "round_robin",
	  .choices = "round_robin|least_conn,least_connections|random",
	  .example = "random", .text = "The strategy." },
	{ .key = "timeout.connect", .type = CONF_TIME, .unit = CONF_MS,
	  .off = T_OFF(t_upstream, connect), .def = "3s", .min = 1,
	  .max = 60000, .aliases = t_connect_alias, .example = "250ms",
	  .text = "Time to connect." },
	{ .key = "health.interval", .type = CONF_TIME,
	  .off = T_OFF(t_upstream, interval), .def = "5s",
	  .example = "10s", .text = "Time between probes." },
	{ .key = "sticky", .type = CONF_ENUM,
	  .off = T_OFF(t_upstream, sticky), .def = "off",
	  .choices = "off|cookie", .aliases = t_sticky_alias,
	  .example = "cookie", .text = "Sticky sessions." },
	{ .key = "breaker.rate", .type = CONF_INT, .unit = CONF_PERCENT,
	  .off = T_OFF(t_upstream, rate), .def = "50%", .max = 100,
	  .example = "30%", .text = "Failures that open." },
	{ .key = "token", .type = CONF_STR, .off = T_OFF(t_upstream, token),
	  .flags = CONF_F_SECRET, .max = 200, .example = "abcdef",
	  .text = "A secret." },
	{ .key = "watched", .type = CONF_BOOL,
	  .off = T_OFF(t_upstream, watch), .def = "on", .example = "off",
	  .text = "A flag." },
	{ .key = NULL }
};

static const struct conf_row t_route_rows[] = {
	{ .key = "path", .type = CONF_LIST, .off = T_OFF(t_route, paths),
	  .example = "/api/*", .text = "Paths." },
	{ .key = "header.*", .type = CONF_PAIRS,
	  .off = T_OFF(t_route, headers), .example = "x",
	  .text = "A header field." },
	{ .key = "note", .type = CONF_LINES, .off = T_OFF(t_route, notes),
	  .example = "a b", .text = "A line." },
	{ .key = "upstream", .type = CONF_STR,
	  .off = T_OFF(t_route, upstream), .example = "users",
	  .text = "Where to." },
	{ .key = "max_body", .type = CONF_SIZE, .unit = CONF_BYTES,
	  .off = T_OFF(t_route, body), .def = "16m", .max = 1LL << 40,
	  .example = "1g", .text = "Largest body." },
	{ .key = "title", .type = CONF_STR, .off = T_OFF(t_route, title),
	  .def = "a title", .flags = CONF_F_EMPTY,
	  .example = "x", .text = "A title." },
	{ .key = NULL }
};

static const struct conf_row t_static_rows[] = {
	{ .key = "static", .type = CONF_PATH, .off = T_OFF(t_static, root),
	  .flags = CONF_F_HANDLER, .example = "/srv/www",
	  .text = "A directory." },
	{ .key = "listing", .type = CONF_BOOL,
	  .off = T_OFF(t_static, listing), .def = "off", .example = "on",
	  .text = "Lists it." },
	{ .key = NULL }
};

static const struct conf_row t_listener_rows[] = {
	{ .key = "bind", .type = CONF_LIST, .off = T_OFF(t_listener, bind),
	  .example = "127.0.0.1:80", .text = "Addresses." },
	{ .key = NULL }
};

static const struct conf_section t_upstream, t_route;

static int
t_link_route(struct conf_load *l, struct conf_obj *o, void *part)
{
	struct t_route		*r = part;
	const struct conf_item	*it = conf_item(l, o, "upstream");

	if (it == NULL)
		return 0;
	if (str_eq(it->val, STR("new"))) {
		r->up = conf_make(l, &t_upstream, STR("made"), it);
		return 0;
	}
	r->up = conf_ref_at(l, o, it, it->val, &t_upstream);
	return r->up == NULL ? -1 : 0;
}

static int
t_done_routes(struct conf_load *l)
{
	struct t_done	*d = arena_alloc(conf_load_arena(l), sizeof(*d));

	d->routes = conf_all(conf_load_conf(l), &t_route).n;
	conf_set_data(l, &t_route, d);
	return 0;
}

static const struct conf_group t_sluice_group = {
	"sluice", t_sluice_rows, sizeof(struct t_sluice), NULL };
static const struct conf_group t_upstream_group = {
	"upstream", t_upstream_rows, sizeof(struct t_upstream), NULL };
static const struct conf_group t_route_group = {
	"route", t_route_rows, sizeof(struct t_route), t_link_route };
static const struct conf_group t_static_group = {
	"static", t_static_rows, sizeof(struct t_static), NULL };
static const struct conf_group t_listener_group = {
	"listener", t_listener_rows, sizeof(struct t_listener), NULL };

static const struct conf_group *const t_sluice_groups[] = {
	&t_sluice_group, NULL };
static const struct conf_group *const t_upstream_groups[] = {
	&t_upstream_group, NULL };
static const struct conf_group *const t_route_groups[] = {
	&t_route_group, &t_static_group, NULL };
static const struct conf_group *const t_listener_groups[] = {
	&t_listener_group, NULL };

static const struct conf_section t_sluice = {
	.type = "sluice", .named = false,
	.groups = t_sluice_groups,
	.text = "The whole." };
static const struct conf_section t_listener = {
	.type = "listener", .named = true,
	.groups = t_listener_groups,
	.text = "What is accepted." };
static const struct conf_section t_upstream = {
	.type = "upstream", .named = true,
	.groups = t_upstream_groups,
	.text = "What is dialled." };
static const struct conf_section t_route = {
	.type = "route", .named = true,
	.groups = t_route_groups, .done = t_done_routes,
	.text = "What is answered." };

/* In place of the program's: the archive's registry stays out. */
const struct conf_section *const conf_sections[] = {
	&t_sluice, &t_listener, &t_upstream, &t_route, NULL
};

const char conf_builtin[] =
    "[listener web]\nbind = 0.0.0.0:8080\n"
    "[route site]\npath = /*\nstatic = /srv/www\n";

/* a load under test */
struct t_load {
	struct conf_opts	 opts;
	struct conf_load	*l;
	struct conf		*conf;
	struct arena		 arena;
	struct text		 text;	/* of diagnostics or dumps */
};

static inline void
t_run(struct t_load *t)
{
	t->l = conf_load_new(&t->opts);
	arena_init(&t->arena, NULL);
	t->conf = conf_load_run(t->l, &t->arena);
	text_init(&t->text);
}

static inline void
t_load_text(struct t_load *t, struct str s)
{
	struct str	copy = s;

	t->opts.memory = &copy;
	t->opts.file = "t.conf";
	t_run(t);
	t->opts.memory = NULL;
}

static inline void
t_fini(struct t_load *t)
{
	conf_load_free(&t->l);
	arena_fini(&t->arena);
	text_fini(&t->text);
}

/* What is printed of the load's diagnostics. */
static inline void
ck_diag(struct t_load *t, const char *want)
{
	t->text.n = 0;
	diag_print(conf_load_diags(t->l), &t->text, "");
	text_c(&t->text, '\0');
	ck_assert_str_eq(t->text.p, want);
}

/* The same for a text that is wrong. */
static inline void
ck_wrong(struct str conf, const char *want)
{
	struct t_load	t = { .l = NULL };

	t_load_text(&t, conf);
	ck_diag(&t, want);
	ck_assert_ptr_null(t.conf);
	t_fini(&t);
}

#define ck_slice(s, want) do {						\
	struct str	ck_s = (s);					\
	ck_assert_msg(str_eq(ck_s, str_from(want)),			\
	    "\"%.*s\" is not \"%s\"", STR_FMT(ck_s), want);		\
} while (0)

static inline void
t_write(const char *path, struct str s)
{
	FILE	*f = fopen(path, "wb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(s.p, 1, s.n, f), s.n);
	ck_assert_int_eq(fclose(f), 0);
}

#endif
