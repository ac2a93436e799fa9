/*
 * What files of TLS say now, against what they said when the live
 * generation was made.  Builder.
 *
 * A key that names another file is told as a key; of a file that both
 * generations name it is told whether it says something else.
 */
#include "main/plan_files.h"

#include "base/map.h"
#include "core/greet.h"
#include "core/secure.h"
#include "core/version.h"
#include "tls/cert.h"
#include "tls/ticket.h"
#include "up/server_tls.h"

/* --- certificates --- */

/* "b.example +1, ECDSA, until 2026-12-01" */
static void
put_cert(struct text *t, const struct tls_cert *c, int64_t now)
{
	char	day[TLS_DATE_BYTES];

	if (c->nname > 0)
		text_fmt(t, "%.*s", STR_FMT(c->names[0]));
	if (c->nname > 1)
		text_fmt(t, " +%zu", c->nname - 1);
	tls_certs_date(day, c->until, now);
	text_fmt(t, "%s%s, until %s", t->n > 0 ? ", " : "",
	    tls_certs_kind(c->kind), day);
}

/* Either may be NULL: it was not, or is no more. */
static void
tell_cert(struct delta *d, const struct tls_cert *a,
    const struct tls_cert *b, int64_t now)
{
	const struct tls_cert	*c = b != NULL ? b : a;
	struct text		 old, new;
	struct delta_file	 f = { .op = a == NULL ? '+' : b == NULL ?
	    '-' : '~', .obj = c->obj, .path = c->file };

	text_init(&old);
	text_init(&new);
	if (a != NULL)
		put_cert(&old, a, now);
	if (b != NULL)
		put_cert(&new, b, now);
	f.key = c->dev ? "tls" : "certificate";
	f.old = text_str(&old);
	f.new = text_str(&new);
	if (b == NULL)
		f.note = "no client is shown it any more";
	delta_add_file(d, &f);
	text_fini(&old);
	text_fini(&new);
}

/* Those of a generation by their files. */
static void
index_certs(struct map *m, const struct tls_certs *cs)
{
	map_init(m, 0);
	for (size_t i = 0; i < cs->n; i++)
		(void)map_add(m, cs->v[i]->file,
		    (void *)(uintptr_t)cs->v[i]);
}

static void
tell_certs(struct delta *d, const struct conf *old, const struct conf *new)
{
	const struct tls_certs	*a = tls_certs(old), *b = tls_certs(new);
	const struct tls_cert	*was;
	int64_t			 now = (int64_t)(new->made_ms / 1000);
	struct map		 olds, news;

	index_certs(&olds, a);
	index_certs(&news, b);
	for (size_t i = 0; i < b->n; i++) {
		was = map_find(&olds, b->v[i]->file);
		if (was == NULL || memcmp(was->id, b->v[i]->id,
		    sizeof(was->id)) != 0)
			tell_cert(d, was, b->v[i], now);
	}
	for (size_t i = 0; i < a->n; i++)
		if (map_find(&news, a->v[i]->file) == NULL)
			tell_cert(d, a->v[i], NULL, now);
	map_fini(&olds);
	map_fini(&news);
}

/* --- other files --- */

static void
tell_file(struct delta *d, const struct conf_obj *o, const char *key,
    struct str path, const char *note)
{
	delta_add_file(d, &(struct delta_file){ .op = '~', .obj = o,
	    .key = key, .path = path, .note = note });
}

static bool
is_same(const struct tls_ders *a, const struct tls_ders *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!str_eq(a->v[i], b->v[i]))
			return false;
	return true;
}

static void
tell_terms(struct delta *d, const struct conf_obj *o,
    const struct tls_terms *a, const struct tls_terms *b)
{
	if (a == NULL || b == NULL)
		return;
	if (str_eq(a->ca_file, b->ca_file) && !is_same(&a->cas, &b->cas))
		tell_file(d, o, "tls.client_ca", b->ca_file, NULL);
	if (str_eq(a->crl_file, b->crl_file) && !is_same(&a->crls, &b->crls))
		tell_file(d, o, "tls.client_crl", b->crl_file, NULL);
}

static bool
shows_other(const struct server_tls_conf *a, const struct server_tls_conf *b)
{
	return a->client.pair != NULL && b->client.pair != NULL &&
	    memcmp(a->client.pair->id, b->client.pair->id,
	    TLS_ID_BYTES) != 0;
}

static void
tell_servers(struct delta *d, const struct conf_obj *o,
    const struct server_tls_conf *a, const struct server_tls_conf *b)
{
	static const char	note[] = "idle connections to the servers "
	    "are not used again";

	if (a == NULL || b == NULL || !a->used || !b->used)
		return;
	if (str_eq(a->ca, b->ca) &&
	    a->client.ca_digest != b->client.ca_digest)
		tell_file(d, o, "tls.ca", b->ca.n > 0 ? b->ca :
		    STR("of the system"), note);
	if (str_eq(a->cert, b->cert) && shows_other(a, b))
		tell_file(d, o, "tls.cert", b->cert, note);
}

static void
tell_tickets(struct delta *d, const struct conf *old, const struct conf *new)
{
	const struct ticket_conf	*a = ticket_of(old);
	const struct ticket_conf	*b = ticket_of(new);
	const struct conf_obj		*o = conf_type(new, "sluice").v[0];

	for (size_t i = 0; i < b->nkey; i++)
		for (size_t k = 0; k < a->nkey; k++)
			if (str_eq(a->files.v[k], b->files.v[i]) &&
			    memcmp(&a->prints[k], &b->prints[i],
			    sizeof(a->prints[k])) != 0)
				tell_file(d, o, "tls.ticket_key_file",
				    b->files.v[i], "sessions by the old key "
				    "begin anew");
}

void
plan_files_tell(struct delta *d, const struct conf *old,
    const struct conf *new)
{
	struct conf_objs	 all;
	const struct conf_obj	*o, *was;

	tell_certs(d, old, new);
	tell_tickets(d, old, new);
	for (size_t i = 0; new->sections[i] != NULL; i++) {
		all = conf_all(new, new->sections[i]);
		for (size_t k = 0; k < all.n; k++) {
			o = all.v[k];
			was = conf_find(old, new->sections[i], o->name);
			if (was == NULL)
				continue;
			tell_terms(d, o, conf_part(was, &tls_terms_group),
			    conf_part(o, &tls_terms_group));
			tell_servers(d, o, conf_part(was, &server_tls_group),
			    conf_part(o, &server_tls_group));
		}
	}
}

/* --- connections --- */

/* Why clients of an address are let go; NULL: they stay. */
static const char *
find_why(const struct conf *old, const struct listener_conf *a,
    const struct conf *new, const struct listener_conf *b)
{
	if (greet_is_other(a->proxy, &a->proxy_from, b))
		return "proxy";
	if (secure_sum_of(old, a) != secure_sum_of(new, b))
		return "tls";
	return (version_bits(a) & ~version_bits(b)) != 0 ? "http" : NULL;
}

/* The listener that had the address, or NULL. */
static const struct listener_conf *
find_old(const struct conf *old, const struct sock_addr *addr)
{
	const struct listen_addr	*v;
	size_t				 n;

	v = listener_addrs(old, &n);
	for (size_t i = 0; i < n; i++)
		if (sock_eq(v[i].addr, addr))
			return v[i].conf;
	return NULL;
}

void
plan_files_retired(const struct conf *old, const struct conf *new,
    struct text *out)
{
	const struct listen_addr	*v;
	const struct listener_conf	*was, *told = NULL;
	const char			*why, *sep = "";
	size_t				 n;

	text_add(out, STR(",\"retired\":["));
	v = listener_addrs(new, &n);
	for (size_t i = 0; i < n; i++) {
		was = find_old(old, v[i].addr);
		why = was == NULL ? NULL : find_why(old, was, new, v[i].conf);
		/* the addresses of a listener stand together */
		if (why == NULL || v[i].conf == told)
			continue;
		told = v[i].conf;
		text_fmt(out, "%s{\"listener\":", sep);
		text_json(out, told->obj.name);
		text_fmt(out, ",\"why\":\"%s\",\"how\":\"%s\"}", why,
		    told->on_change == LISTENER_CUT ? "cut" : "retire");
		sep = ",";
	}
	text_c(out, ']');
}
