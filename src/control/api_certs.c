/*
 * GET /v1/certs: certificates, who asks for them and until when they are
 * valid.  Control process; keys are not mapped there.
 */
#include "control/int.h"

#include <openssl/evp.h>

#include <stdlib.h>

#include "base/enc.h"
#include "base/must.h"
#include "core/cert_use.h"
#include "core/pass.h"
#include "core/route.h"
#include "core/secure.h"
#include "os/proc.h"
#include "tls/hello.h"
#include "up/tls_files.h"

#define DAY	86400

/* the answer under way */
struct list_certs {
	const struct tls_certs	*certs;
	struct str		 name;		/* asked for; p NULL: all */
	json_t			**routes;	/* own: of certificate i */
	int64_t			 now;
};

/* --- routes --- */

/* Some of its hosts may have the same one; they come one by one. */
static bool
is_noted(const json_t *all, struct str name)
{
	const char	*s = json_string_value(json_array_get(all,
	    json_array_size(all) - 1));

	return s != NULL && str_eq(str_from(s), name);
}

static void
note_route(struct list_certs *l, const struct tls_choice *c,
    const struct route *r)
{
	json_t	*all;

	for (int i = 0; i < TLS_NKIND; i++) {
		if (c->v[i] == NULL)
			continue;
		all = l->routes[c->v[i]->nth];
		if (all == NULL)
			all = l->routes[c->v[i]->nth] = json_array();
		if (!is_noted(all, r->obj.name))
			json_array_append_new(all, api_text(r->obj.name));
	}
}

/* Hosts of routes are names, or ".a.example" for a wildcard. */
static void
note_routes(struct list_certs *l, const struct conf *c)
{
	struct conf_objs	 all = conf_all(c, &route_section);
	const struct route	*r;
	struct tls_choice	 choice;

	for (size_t i = 0; i < all.n; i++) {
		r = all.v[i]->part[0];
		/* who asks for their hosts is shown another's */
		if (pass_is(r))
			continue;
		for (size_t j = 0; j < r->hosts.n; j++)
			if (tls_certs_named(l->certs, r->hosts.v[j],
			    &choice))
				note_route(l, &choice, r);
	}
}

/* --- a certificate --- */

static json_t *
list_names(const struct tls_cert *c)
{
	json_t	*all = json_array();

	for (size_t i = 0; i < c->nname; i++)
		json_array_append_new(all, api_text(c->names[i]));
	return all;
}

static json_t *
fingerprint(const struct tls_cert *c)
{
	unsigned char	md[EVP_MAX_MD_SIZE];
	char		hex[2 * EVP_MAX_MD_SIZE];
	unsigned	n = 0;

	must(EVP_Digest(c->chain[0].p, c->chain[0].n, md, &n, EVP_sha256(),
	    NULL) == 1);
	enc_hex(md, n, hex);
	return json_stringn(hex, (size_t)2 * n);
}

static json_int_t
days_left(int64_t until, int64_t now)
{
	int64_t	left = until - now;

	return (json_int_t)((left - (left < 0 ? DAY - 1 : 0)) / DAY);
}

static json_t *
describe(const struct list_certs *l, const struct tls_cert *c)
{
	json_t		*routes = l->routes[c->nth];
	uint64_t	 shown, last;

	cert_use_sum(self->shm, c, &shown, &last);
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:b, "
	    "s:b, s:O, s:o, s:o}", "cert", api_text(c->dev ? STR("") :
	    c->obj->name), "kind", tls_certs_kind(c->kind), "file",
	    api_text(c->file), "key_file", api_text(c->key_file), "names",
	    list_names(c), "from", (json_int_t)c->from, "until",
	    (json_int_t)c->until, "days",
	    days_left(c->until, l->now),
	    "fingerprint", fingerprint(c), "default",
	    l->certs->fallback.v[c->kind] == c && !l->certs->refuse, "dev",
	    c->dev, "routes", routes, "shown", api_num(shown), "last_ms",
	    api_num(last));
}

/* --- files beside those of [cert] --- */

struct list_files {
	json_t		*all;
	int64_t		 now;
};

static void
add_file(void *ctx, const struct tls_file *f)
{
	struct list_files	*l = ctx;

	if (f->until == 0)
		return;
	json_array_append_new(l->all, json_pack("{s:s, s:o, s:s, s:o, s:I, "
	    "s:I}", "kind", tls_files_word(f->kind), "file",
	    api_text(f->path), "section", f->obj->section->type, "name",
	    api_text(f->obj->name), "until", (json_int_t)f->until, "days",
	    days_left(f->until, l->now)));
}

static json_t *
list_files(const struct conf *c, int64_t now)
{
	struct list_files	l = { json_array(), now };

	tls_files_each(c, add_file, &l);
	return l.all;
}

/* --- a name that was asked for --- */

/* As people copy it: with a port. */
static struct str
without_port(struct str s)
{
	ptrdiff_t	at = str_find(s, ':', 0);
	uint64_t	port;

	return at >= 0 && str_to_u64(str_sub(s, (size_t)at + 1, s.n), 65535,
	    &port) == 0 ? str_sub(s, 0, (size_t)at) : s;
}

/* The route that takes connections for it elsewhere, or "". */
static struct str
passed_by(const struct conf *c, struct str name)
{
	struct conf_objs	 all = conf_all(c, &listener_section);
	const struct route	*r;

	for (size_t i = 0; i < all.n; i++) {
		r = !secure_has(all.v[i]->part[0]) ? NULL :
		    pass_find(c, all.v[i]->name, name, NULL);
		if (r != NULL)
			return r->obj.name;
	}
	return STR("");
}

static void
add_name(json_t *j, const struct list_certs *l, const struct conf *c)
{
	if (l->name.p == NULL)
		return;
	json_object_set_new(j, "name", api_text(l->name));
	json_object_set_new(j, "passed", api_text(passed_by(c, l->name)));
	json_object_set_new(j, "covered", json_boolean(tls_certs_has(
	    l->certs, l->name) || passed_by(c, l->name).n > 0));
}

/* All, or those that would be shown for the name. */
static json_t *
list_all(struct list_certs *l)
{
	json_t			*all = json_array();
	struct tls_choice	 c;

	if (l->name.p == NULL)
		for (size_t i = 0; i < l->certs->n; i++)
			json_array_append_new(all,
			    describe(l, l->certs->v[i]));
	else if (tls_certs_find(l->certs, l->name, false, &c))
		for (int i = 0; i < TLS_NKIND; i++)
			if (c.v[i] != NULL)
				json_array_append_new(all,
				    describe(l, c.v[i]));
	return all;
}

void
api_certs(struct exchange *x)
{
	const struct conf	*conf = self->gens->cur->conf;
	struct list_certs	 l = { .certs = tls_certs(conf),
	    .name = STR_NONE,
	    .now = (int64_t)(ev_wall_ms(x->serve->ev) / 1000) };
	char			 name[TLS_NAME_MAX];
	json_t			*all, *j;
	struct text		 ca;

	if (api_query_name(x, &l.name) == -1)
		return;
	/* what is no name at all has the default, as in handshakes */
	if (l.name.p != NULL) {
		l.name = tls_hello_fold(without_port(l.name), name);
		if (l.name.p == NULL)
			l.name = STR("");
	}
	l.routes = must_calloc(l.certs->n + 1, sizeof(json_t *));
	for (size_t i = 0; i < l.certs->n; i++)
		l.routes[i] = NULL;
	note_routes(&l, conf);
	for (size_t i = 0; i < l.certs->n; i++)
		if (l.routes[i] == NULL)
			l.routes[i] = json_array();
	all = list_all(&l);
	for (size_t i = 0; i < l.certs->n; i++)
		json_decref(l.routes[i]);
	free(l.routes);
	text_init(&ca);
	if (!tls_certs_dev(conf, &ca))
		text_add(&ca, STR(""));
	j = json_pack("{s:i, s:s, s:o, s:o, s:o}", "v", 1,
	    "unknown", l.certs->refuse ? "refuse" : "default", "dev_ca",
	    api_text(text_str(&ca)), "certs", all, "files",
	    l.name.p == NULL ? list_files(conf, l.now) : json_array());
	add_name(j, &l, conf);
	api_answer(x, 200, j);
	text_fini(&ca);
}
