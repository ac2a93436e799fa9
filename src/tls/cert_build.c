/*
 * The certificates of a generation: those that were read, the one of
 * tls = dev, the index by name, who serves unknown names; and what
 * builders keep for each other.  Builder and -t.
 */
#include "tls/int.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "tls/cert_names.h"
#include "tls/cert_state.h"
#include "tls/dev.h"
#include "tls/policy.h"

#define INDEX		"certs.index"
#define INDEX_MAX	(256 << 20)

/* --- all of them --- */

static void
complain_default(struct certs_load *cl, const struct tls_cert *c,
    const struct tls_cert *was)
{
	const struct conf_item	*it = conf_item(cl->load, c->obj, "default");

	diag_at(conf_load_diags(cl->load), DIAG_CERT_DEFAULT,
	    it != NULL ? &it->kspan : NULL, c->obj, "default",
	    "cert \"%.*s\" is the default for keys of that kind already",
	    STR_FMT(was->obj->name));
	cl->rc = -1;
}

/* One default of each kind; without any it is the first section's. */
static void
set_fallback(struct certs_load *cl, struct tls_certs *cs)
{
	const struct tls_cert	*c, **slot;
	bool			 any = false;

	for (size_t i = 0; i < cs->n; i++)
		any |= cs->v[i]->fallback;
	for (size_t i = 0; i < cs->n; i++) {
		c = cs->v[i];
		if (any ? !c->fallback : c->obj != cs->v[0]->obj)
			continue;
		slot = &cs->fallback.v[c->kind];
		if (*slot == NULL)
			*slot = c;
		else if (any && (*slot)->obj != c->obj)
			complain_default(cl, c, *slot);
	}
}

/* Of the certificate's names those that are addresses are never asked for. */
static void
set_dev(struct tls_certs *cs)
{
	for (size_t i = 0; i < cs->n; i++)
		if (cs->v[i]->dev)
			cs->dev.v[cs->v[i]->kind] = cs->v[i];
}

/*
 * The one of tls = dev is the last, and has the names of all routes: it
 * takes none from those that were meant for it.
 */
static void
add_to_index(struct tls_certs *cs, struct str name, const struct tls_cert *c)
{
	if (c->dev && (tls_certs_has(cs, name) ||
	    cert_names_find(cs, name) != NULL))
		return;
	(void)cert_names_add(cs, name, c);
}

static void
set_names(struct certs_load *cl, struct tls_certs *cs)
{
	size_t	n = 0;

	for (size_t i = 0; i < cs->n; i++)
		n += cs->v[i]->nname;
	cert_names_init(cl->out, cs, n);
	for (size_t i = 0; i < cs->n; i++)
		for (size_t j = 0; j < cs->v[i]->nname; j++)
			add_to_index(cs, cs->v[i]->names[j], cs->v[i]);
}

static struct tls_certs *
make_index(struct certs_load *cl)
{
	struct tls_certs	 *cs = arena_alloc(cl->out, sizeof(*cs));
	const struct tls_cert	**v;

	v = arena_alloc(cl->out, (cl->all.n + 1) * sizeof(*v));
	if (cl->all.n > 0)
		memcpy(v, cl->all.p, cl->all.n * sizeof(*v));
	for (size_t i = 0; i < cl->all.n; i++)
		((struct tls_cert **)cl->all.p)[i]->nth = (uint32_t)i;
	cs->v = v;
	cs->n = cl->all.n;
	cs->refuse = *(const int *)conf_value(conf_load_conf(cl->load),
	    "sluice", "tls.unknown") == CERT_UNKNOWN_REFUSE || cs->n == 0;
	cs->max = (size_t)*(const int64_t *)conf_value(
	    conf_load_conf(cl->load), "limits", "certs");
	set_fallback(cl, cs);
	set_dev(cs);
	set_names(cl, cs);
	return cs;
}

/* --- what builders keep --- */

/* before each file of the section's note: its name, its text follow */
struct kept {
	uint32_t	name;		/* bytes */
	uint32_t	mode;
	uint64_t	text;
};

static void
keep_file(struct text *note, struct str name, unsigned mode, struct str s)
{
	struct kept	k = { (uint32_t)name.n, mode, s.n };

	text_add(note, str_make((const char *)&k, sizeof(k)));
	text_add(note, name);
	text_add(note, s);
}

/* The next of them; false behind the last. */
static bool
next_file(struct str *rest, char *name, size_t size, unsigned *mode,
    struct str *s)
{
	struct kept	k;

	if (rest->n == 0)
		return false;
	must(rest->n >= sizeof(k));
	memcpy(&k, rest->p, sizeof(k));
	must(rest->n - sizeof(k) >= k.name + k.text);
	must(str_to_c(str_sub(*rest, sizeof(k), sizeof(k) + k.name), name,
	    size) == 0);
	*mode = k.mode;
	*s = str_sub(*rest, sizeof(k) + k.name,
	    sizeof(k) + k.name + (size_t)k.text);
	*rest = str_sub(*rest, sizeof(k) + k.name + (size_t)k.text, rest->n);
	return true;
}

int
tls_certs_keep(struct conf_load *load, struct str state_dir, struct err *e)
{
	struct str	rest = text_str(conf_load_note(load, &cert_section));
	struct str	s;
	char		name[64];
	unsigned	mode;
	int		dir, rc = 0;

	if (rest.n == 0)
		return 0;
	dir = cert_state_open(state_dir, true, e);
	if (dir < 0)
		return -1;
	while (rc == 0 && next_file(&rest, name, sizeof(name), &mode, &s))
		rc = cert_state_write(dir, name, s, mode, e);
	close(dir);
	return rc;
}

/* --- listeners --- */

static struct conf_objs
listeners(const struct conf *c)
{
	return conf_type(c, "listener");
}

static const struct conf_obj *
find_listener(const struct conf *c, enum tls_mode mode)
{
	struct conf_objs		 all = listeners(c);
	const struct tls_policy_conf	*p;

	for (size_t i = 0; i < all.n; i++) {
		p = conf_part(all.v[i], &tls_policy_group);
		if (p->mode == (int)mode)
			return all.v[i];
	}
	return NULL;
}

static bool
is_for(const struct conf_obj *route, const struct conf_obj *l)
{
	const struct conf_list	*v = conf_member(route, "listener");

	for (size_t i = 0; i < v->n; i++)
		if (str_eq(v->v[i], l->name))
			return true;
	return v->n == 0;
}

static bool
is_passed(const struct conf_obj *route)
{
	return *(const int *)conf_member(route, "tls") != 0;
}

/*
 * Is anything served there by TLS?  A listener that only passes connections
 * on needs no certificate.  *by: the route that is served beside such.
 */
static bool
is_served(const struct conf *c, const struct conf_obj *l,
    const struct conf_obj **by)
{
	struct conf_objs	 all = conf_type(c, "route");
	const struct conf_obj	*r = NULL;
	bool			 passes = false;

	for (size_t i = 0; i < all.n; i++) {
		if (!is_for(all.v[i], l))
			continue;
		if (is_passed(all.v[i]))
			passes = true;
		else if (r == NULL)
			r = all.v[i];
	}
	*by = passes ? r : NULL;
	return r != NULL || !passes;
}

static void
complain_missing(struct certs_load *cl, const struct conf_obj *l,
    const struct conf_obj *by)
{
	const struct conf_item	*it = conf_item(cl->load, l, "tls");
	struct text		 t;

	text_init(&t);
	if (by != NULL)
		text_fmt(&t, "; it serves route \"%.*s\"", STR_FMT(by->name));
	diag_at(conf_load_diags(cl->load), DIAG_CERT_MISSING,
	    it != NULL ? &it->vspan : NULL, l, "tls",
	    "listener \"%.*s\" speaks TLS, and there is no certificate%.*s",
	    STR_FMT(l->name), STR_FMT(text_str(&t)));
	text_fini(&t);
	cl->rc = -1;
}

/* A listener that speaks TLS with what there is not. */
static void
check_listeners(struct certs_load *cl)
{
	const struct conf		*c = conf_load_conf(cl->load);
	struct conf_objs		 all = listeners(c);
	const struct tls_policy_conf	*p;
	const struct conf_obj		*by;

	/* what is wrong with those that are named was said */
	if (cl->all.n > 0 || cl->rc == -1)
		return;
	for (size_t i = 0; i < all.n && cl->rc == 0; i++) {
		p = conf_part(all.v[i], &tls_policy_group);
		if (p->mode == TLS_ON && is_served(c, all.v[i], &by))
			complain_missing(cl, all.v[i], by);
	}
}

/* --- tls = dev --- */

static void
add_name(struct vec *v, struct str s)
{
	for (size_t i = 0; i < v->n; i++)
		if (str_eq(*(struct str *)vec_at(v, i), s))
			return;
	*(struct str *)vec_push(v) = s;
}

/* Names that routes are for; a wildcard stands there as ".a.example". */
static void
add_hosts(struct certs_load *cl, struct vec *v)
{
	struct conf_objs	 all = conf_type(conf_load_conf(cl->load),
	    "route");
	const struct conf_list	*hosts;
	struct str		 s;

	for (size_t i = 0; i < all.n; i++) {
		/* who is passed on (tls = passthrough) is shown another's */
		if (is_passed(all.v[i]))
			continue;
		hosts = conf_member(all.v[i], "host");
		for (size_t j = 0; j < hosts->n; j++) {
			s = hosts->v[j];
			if (str_starts(s, STR(".")))
				s = arena_fmt(cl->out, "*%.*s", STR_FMT(s));
			if (cert_names_check(s) == NULL)
				add_name(v, s);
		}
	}
}

static void
add_dev(struct certs_load *cl, const struct conf_obj *l, struct str state,
    const struct dev *d)
{
	struct tls_cert		*c = arena_alloc(cl->out, sizeof(*c));
	struct cert_text	 t = { text_str(&d->file[2].text),
	    text_str(&d->file[3].text), STR_NONE };
	struct cert_fault	 f;

	c->obj = l;
	c->dev = true;
	c->file = arena_fmt(cl->out, "%.*s/tls/%s", STR_FMT(state), DEV_CERT);
	c->key_file = arena_fmt(cl->out, "%.*s/tls/%s", STR_FMT(state),
	    DEV_KEY);
	must(cert_read(&cl->seen, &t, cl->out, cl->keys, c, &f) == 0 &&
	    cert_examine(&cl->seen, cl->out, c, &f) == 0);
	*(struct tls_cert **)vec_push(&cl->all) = c;
}

/* Makes what tls = dev needs, unless it was made before. */
static void
build_dev(struct certs_load *cl, struct str state, int dir)
{
	const struct conf_obj	*l = find_listener(
	    conf_load_conf(cl->load), TLS_DEV);
	struct text		*note = conf_load_note(cl->load,
	    &cert_section);
	struct vec		 names;
	struct dev		 d;
	struct err		 e;

	if (l == NULL)
		return;
	vec_init(&names, sizeof(struct str));
	add_name(&names, STR("localhost"));
	add_name(&names, STR("*.localhost"));
	add_name(&names, STR("127.0.0.1"));
	add_name(&names, STR("::1"));
	add_hosts(cl, &names);
	if (dev_make(&d, dir, &names, cl->now, &e) == 0) {
		add_dev(cl, l, state, &d);
		for (int i = 0; i < DEV_FILES && d.made; i++)
			keep_file(note, str_from(d.file[i].name),
			    d.file[i].mode, text_str(&d.file[i].text));
	} else {
		diag_at(conf_load_diags(cl->load), DIAG_CERT_MISSING, NULL, l,
		    "tls", "%s", e.text);
		cl->rc = -1;
	}
	dev_fini(&d);
	vec_fini(&names);
}

/* --- the run --- */

/* With the index of builders before; none is as good. */
static void
load_with(struct certs_load *cl, struct str state, int dir)
{
	struct str	file = dir < 0 ? STR_NONE :
	    cert_state_read(dir, INDEX, INDEX_MAX);
	struct arena	a;

	arena_init(&a, NULL);
	cl->known = cert_index_read(&a, file);
	cert_index_begin(&cl->index);
	cert_load_all(cl);
	cert_index_end(&cl->index);
	if (cl->all.n > 0)
		keep_file(conf_load_note(cl->load, &cert_section),
		    STR(INDEX), 0600, text_str(&cl->index));
	build_dev(cl, state, dir);
	cl->known = NULL;
	arena_fini(&a);
	free((char *)(uintptr_t)file.p);
}

int
cert_build(struct conf_load *load)
{
	struct certs_load	 cl = { .load = load,
	    .out = conf_load_arena(load), .keys = conf_load_secret(load),
	    .now = (int64_t)time(NULL) };
	struct str		 state;
	int			 dir;

	vec_init(&cl.all, sizeof(struct tls_cert *));
	cert_seen_init(&cl.seen);
	text_init(&cl.index);
	/* a configuration in memory has no files */
	if (conf_load_opts(load)->memory == NULL) {
		state = *(const struct str *)conf_value(
		    conf_load_conf(load), "sluice", "state_dir");
		dir = cert_state_open(state, false, NULL);
		load_with(&cl, state, dir);
		if (dir >= 0)
			close(dir);
		check_listeners(&cl);
	}
	conf_set_data(load, &cert_section, make_index(&cl));
	text_fini(&cl.index);
	cert_seen_fini(&cl.seen);
	vec_fini(&cl.all);
	return cl.rc;
}

const struct tls_certs *
tls_certs(const struct conf *c)
{
	return conf_data(c, &cert_section);
}


bool
tls_certs_dev(const struct conf *c, struct text *path)
{
	const struct str	*state = conf_value(c, "sluice", "state_dir");

	if (find_listener(c, TLS_DEV) == NULL)
		return false;
	text_fmt(path, "%.*s/tls/%s", STR_FMT(*state), DEV_CA);
	return true;
}
