/*
 * What stands above the files: SLUICE_<SECTION>__<KEY> in the environment,
 * then --set, --root and --port.  Builder and tools.
 *
 * Overrides become assignments like any other, with an origin that puts
 * them last; the values are taken literally, for the shell has done its
 * expansions.  Only the first pass knows where they came from.
 */
#include "base/must.h"
#include "conf/int.h"

/* Variables that are read elsewhere. */
static const char *const known[] = {
	"SLUICE_CONF", "SLUICE_ROOT", "SLUICE_PORT", "SLUICE_EV",
	"SLUICE_FAULT", "SLUICE_HANDOVER", "SLUICE_SOCKET", NULL
};

struct override {
	struct conf_load	*l;
	struct cfile		*incl;	/* includes that overrides name */
	enum conf_origin	 origin;
	const char		*file;	/* of spans: "environment" */
	struct str		 text;	/* of spans: the whole of it */
};

static struct conf_span
span_of(const struct override *o, struct str part)
{
	struct conf_span	sp = { .file = o->file, .text = o->text };

	/* A part that is not of the text has no place in it. */
	if (part.p >= o->text.p && part.p <= o->text.p + o->text.n) {
		sp.col = (unsigned)(part.p - o->text.p) + 1;
		sp.len = (unsigned)part.n;
	}
	return sp;
}

/* One assignment; key is the word that the file would have. */
static void
put(struct override *o, struct sect *s, struct str key, struct str kpart,
    struct str val)
{
	struct conf_load	*l = o->l;
	const struct rowref	*ref = keys_find(s->rows->keys, key);
	struct raw		 raw = { val, span_of(o, val) };
	struct conf_item	 it = {
		.key = key, .val = val, .kspan = span_of(o, kpart),
		.origin = o->origin
	};

	if (ref != NULL && (ref->row->flags & CONF_F_SECRET) &&
	    raw.span.col > 0)
		reader_mask(l, &it, &raw, 1);
	it.vspan = raw.span;
	if (val.n > CONF_VALUE_MAX) {
		diag_sect(l->diags, DIAG_VALUE_LONG, &it.kspan, STR(""), key,
		    "the value of \"%.*s\" is longer than %d bytes",
		    STR_FMT(key), CONF_VALUE_MAX);
		return;
	}
	if (str_eq(key, STR("include")) && val.n > 0 &&
	    str_eq(str_from(s->rows->section->type), STR("sluice")))
		*(struct conf_item *)vec_push(&o->incl->includes) = it;
	reader_assign(l, s, &it);
}

static void
fail(const struct override *o, struct str part, const char *why)
{
	struct conf_span	sp = span_of(o, part);

	diag_sect(o->l->diags, DIAG_OVERRIDE, &sp, STR(""), STR(""), "%s",
	    why);
}

/* Cuts what stands before the next dot off *rest. */
static struct str
cut_dot(struct str *rest)
{
	ptrdiff_t	at = str_find(*rest, '.', 0);
	struct str	s = str_sub(*rest, 0, at < 0 ? rest->n : (size_t)at);

	*rest = str_sub(*rest, at < 0 ? rest->n : (size_t)at + 1, rest->n);
	return s;
}

static bool
is_name(struct str s)
{
	size_t	i;

	for (i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '_' ||
		    (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-'))
			return false;
	return s.n > 0 && s.n <= CONF_NAME_MAX;
}

/* SECTION.KEY=VALUE or SECTION.NAME.KEY=VALUE */
static void
set_one(struct override *o)
{
	ptrdiff_t		 eq = str_find(o->text, '=', 0);
	struct str		 rest;
	struct str		 type;
	struct str		 name = STR("");
	bool			 defaults;
	struct rows		*rows;
	struct conf_span	 sp;

	if (eq < 0) {
		fail(o, o->text, "there is no = in the override");
		return;
	}
	rest = str_sub(o->text, 0, (size_t)eq);
	type = cut_dot(&rest);
	defaults = str_eq(type, STR("defaults"));
	if (defaults)
		type = cut_dot(&rest);
	rows = rows_type(o->l, type);
	sp = span_of(o, type.n > 0 ? type : o->text);
	if (rows == NULL) {
		rows_unknown_type(o->l, type, &sp);
		return;
	}
	if (rows->section->named && !defaults) {
		name = cut_dot(&rest);
		if (!is_name(name)) {
			fail(o, name.n > 0 ? name : type,
			    "the override names no section of that type");
			return;
		}
	}
	if (rest.n == 0 || rest.n > CONF_KEY_MAX) {
		fail(o, o->text, "the override names no key");
		return;
	}
	put(o, reader_sect(o->l, rows, defaults, name, &sp), rest, rest,
	    str_sub(o->text, (size_t)eq + 1, o->text.n));
}

static char
canon(char c)
{
	if (c == '.' || c == '-')
		return '_';
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool
canon_starts(struct str key, struct str word)
{
	size_t	i;

	if (word.n < key.n)
		return false;
	for (i = 0; i < key.n; i++)
		if (canon(key.p[i]) != word.p[i])
			return false;
	return true;
}

/* The name of an object that the word means; else the word in lower case. */
static struct str
find_name(struct conf_load *l, const struct rows *rows, struct str word)
{
	size_t		 i;
	struct sect	*s;
	char		*p;

	for (s = l->order.first; s != NULL; s = s->next)
		if (s->rows == rows && !s->defaults &&
		    s->name.n == word.n && canon_starts(s->name, word))
			return s->name;
	p = arena_text(&l->arena, word.n);
	for (i = 0; i < word.n; i++)
		p[i] = word.p[i] >= 'A' && word.p[i] <= 'Z' ?
		    (char)(word.p[i] - 'A' + 'a') : word.p[i];
	return str_make(p, word.n);
}

/* The longest type that the word begins with; *name is the rest. */
static struct rows *
find_type(struct conf_load *l, struct str word, bool defaults,
    struct str *name)
{
	struct rows	*best = NULL;
	size_t		 n = 0;
	size_t		 i;

	for (i = 0; i < l->nsect; i++) {
		struct rows	*r = &l->rows[i];
		struct str	 type = str_from(r->section->type);
		bool		 whole = word.n == type.n;

		if (type.n <= n || !canon_starts(type, word))
			continue;
		if (defaults || !r->section->named ? !whole :
		    whole || word.p[type.n] != '_')
			continue;
		best = r;
		n = type.n;
	}
	if (best != NULL)
		*name = n < word.n ? str_sub(word, n + 1, word.n) : STR("");
	return best;
}

static bool
is_known(struct str name)
{
	size_t	i;

	for (i = 0; known[i] != NULL; i++)
		if (str_eq(str_from(known[i]), name))
			return true;
	return false;
}

/* SECTION__KEY to a section and a key; false if there is no such. */
static bool
find_env(struct override *o, struct str var, struct sect **s,
    struct str *key)
{
	const char		*bar = memmem(var.p, var.n, "__", 2);
	struct str		 word;
	struct str		 name;
	struct rows		*rows;
	bool			 defaults;
	struct conf_span	 sp = span_of(o, o->text);

	if (bar == NULL)
		return false;
	word = str_sub(var, 0, (size_t)(bar - var.p));
	defaults = str_starts(word, STR("DEFAULTS_"));
	rows = find_type(o->l, defaults ? str_sub(word, 9, word.n) : word,
	    defaults, &name);
	if (rows == NULL)
		return false;
	var = str_sub(var, word.n + 2, var.n);
	*key = keys_find_env(rows->keys, var, &o->l->arena);
	if (str_eq(var, STR("LIKE")) && rows->section->named)
		*key = STR("like");
	if (key->p == NULL)
		return false;
	if (rows->section->named && !defaults) {
		name = find_name(o->l, rows, name);
		if (!is_name(name))
			return false;
	}
	*s = reader_sect(o->l, rows, defaults, name, &sp);
	return true;
}

/* Shows the name only: the value may be anybody's secret. */
static void
warn_env(struct override *o, struct str var)
{
	struct conf_span	sp;

	o->text = var;
	sp = span_of(o, var);
	diag_sect(o->l->diags, DIAG_ENV_UNKNOWN, &sp, STR(""), STR(""),
	    "environment variable \"%.*s\" means no key",
	    STR_FMT(str_sub(var, 0, 128)));
}

static void
env_one(struct override *o)
{
	ptrdiff_t	 eq = str_find(o->text, '=', 0);
	struct str	 var;
	struct str	 word;
	struct str	 key;
	struct sect	*s;

	if (eq < 0)
		return;
	var = str_sub(o->text, 0, (size_t)eq);
	if (is_known(var))
		return;
	word = str_sub(var, sizeof("SLUICE_") - 1, var.n);
	if (!find_env(o, word, &s, &key)) {
		warn_env(o, var);
		return;
	}
	put(o, s, key, word, str_sub(o->text, (size_t)eq + 1, o->text.n));
}

static bool
sect_has(const struct sect *s, const char *key, const char *val)
{
	const struct node	*n;
	struct str		 rest;
	struct str		 w;

	for (n = s->head; n != NULL; n = n->next) {
		if (!str_eq(str_from(n->item.row->key), str_from(key)))
			continue;
		if (val == NULL)
			return true;
		rest = n->item.val;
		while (str_word(&rest, ", \t", &w))
			if (str_eq(w, str_from(val)))
				return true;
	}
	return false;
}

/* The route that serves a site at slash star, or NULL. */
static struct sect *
find_site(struct conf_load *l, const struct rows *routes)
{
	struct sect	*s;

	for (s = l->order.first; s != NULL; s = s->next)
		if (s->rows == routes && !s->defaults &&
		    sect_has(s, "static", NULL) && sect_has(s, "path", "/*"))
			return s;
	return NULL;
}

/* A plain static server is the route of --root on the listener of --port. */
static void
put_root(struct override *o)
{
	struct rows		*routes = rows_type(o->l, STR("route"));
	struct conf_span	 sp = { .file = o->file };
	struct sect		*s;

	if (routes == NULL) {
		fail(o, o->text, "there are no routes");
		return;
	}
	s = find_site(o->l, routes);
	if (s == NULL) {
		s = reader_sect(o->l, routes, false, STR("site"), &sp);
		put(o, s, STR("path"), STR_NONE, STR("/*"));
	}
	put(o, s, STR("static"), STR_NONE, o->text);
}

static void
put_port(struct override *o)
{
	struct rows		*rows = rows_type(o->l, STR("listener"));
	struct conf_span	 sp = { .file = o->file };
	struct sect		*s;
	uint64_t		 port;

	if (rows == NULL || str_to_u64(o->text, 65535, &port) != 0) {
		fail(o, o->text, "a port is a number up to 65535");
		diag_hint(o->l->diags, "write --port 8080");
		return;
	}
	s = reader_sect(o->l, rows, false, STR("web"), &sp);
	put(o, s, STR("bind"), STR_NONE, arena_fmt(&o->l->arena,
	    "0.0.0.0:%llu", (unsigned long long)port));
}

void
override_run(struct conf_load *l)
{
	struct cfile		*f = arena_alloc(&l->arena, sizeof(*f));
	struct override		 o = { .l = l, .incl = f };
	char *const		*e;
	const char *const	*set;

	vec_init(&f->includes, sizeof(struct conf_item));
	*(struct cfile **)vec_push(&l->files) = f;
	f->name = "command line";
	o.origin = CONF_ENV;
	o.file = "environment";
	for (e = l->opts.env; e != NULL && *e != NULL; e++) {
		o.text = str_from(*e);
		if (str_starts(o.text, STR("SLUICE_")))
			env_one(&o);
	}
	o.origin = CONF_CLI;
	o.file = "--set";
	for (set = l->opts.set; set != NULL && *set != NULL; set++) {
		o.text = str_from(*set);
		set_one(&o);
	}
	include_run(l, f);
	if (l->opts.root != NULL) {
		o.file = "--root";
		o.text = str_from(l->opts.root);
		put_root(&o);
	}
	if (l->opts.port != NULL) {
		o.file = "--port";
		o.text = str_from(l->opts.port);
		put_port(&o);
	}
}
