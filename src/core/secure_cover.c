/*
 * Hosts of routes that no certificate is for.  Builder and -t.
 *
 * There may be ten thousand certificates and as many routes, so a host
 * costs a probe of the index by name.  What lies below a wildcard's domain
 * is looked at once for all of them, and not before one asks: *.a.example
 * is as good as covered if single names of it are.
 */
#include "core/secure_lint.h"

#include <arpa/inet.h>

#include "base/map.h"
#include "core/pass.h"
#include "core/route.h"
#include "tls/cert_names.h"
#include "tls/policy.h"

struct cover {
	struct conf_load	*load;
	const struct conf	*conf;
	const struct tls_certs	*certs;
	struct map		 told;		/* hosts */
	struct map		 below;		/* ".a.example", of names */
	bool			 has_below;	/* that was made */
};

/* --- certificates --- */

/* One that somebody was issued, not that of tls = dev? */
static bool
is_issued(const struct tls_choice *c)
{
	for (int i = 0; i < TLS_NKIND; i++)
		if (c->v[i] != NULL && !c->v[i]->dev)
			return true;
	return false;
}

/* Each domain that a name with a certificate lies in. */
static void
make_below(struct cover *c)
{
	const struct tls_name	*s;
	ptrdiff_t		 dot;

	for (s = c->certs->names; s < c->certs->names + c->certs->cap; s++) {
		if (s->key.p == NULL || !is_issued(&s->choice))
			continue;
		for (dot = str_find(s->key, '.', 1); dot >= 0;
		    dot = str_find(s->key, '.', (size_t)dot + 1))
			map_add(&c->below, str_sub(s->key, (size_t)dot,
			    s->key.n), c);
	}
	c->has_below = true;
}

static bool
is_covered(struct cover *c, struct str host)
{
	const struct tls_name	*s;
	struct tls_choice	 choice;

	if (host.p[0] != '.')
		return tls_certs_has(c->certs, host) &&
		    tls_certs_find(c->certs, host, false, &choice) &&
		    is_issued(&choice);
	s = cert_names_find(c->certs, host);
	if (s != NULL && is_issued(&s->choice))
		return true;
	if (!c->has_below)
		make_below(c);
	return map_find(&c->below, host) != NULL;
}

/* --- hosts --- */

/* Who connects to an address asks for no name, and gets the default. */
static bool
is_name(struct str host)
{
	char		buf[INET_ADDRSTRLEN];
	unsigned char	ip[4];

	if (str_starts(host, STR(".")))
		host = str_sub(host, 1, host.n);
	return cert_names_check(host) == NULL &&
	    (str_to_c(host, buf, sizeof(buf)) == -1 ||
	    inet_pton(AF_INET, buf, ip) != 1);
}

/* A listener where clients who ask for the host are shown a certificate. */
static const struct conf_obj *
find_listener(const struct cover *c, const struct route *r, struct str host)
{
	struct conf_objs		 all = conf_all(c->conf,
	    &listener_section);
	const struct tls_policy_conf	*p;
	const struct route		*pass;

	for (size_t i = 0; i < all.n; i++) {
		p = conf_part(all.v[i], &tls_policy_group);
		if (p->mode != TLS_ON ||
		    !route_has_listener(r, all.v[i]->name))
			continue;
		pass = pass_find(c->conf, all.v[i]->name, host, NULL);
		if (pass == NULL || pass->nchecks > 0)
			return all.v[i];
	}
	return NULL;
}

static void
warn(struct cover *c, const struct route *r, size_t nth,
    const struct conf_obj *listener)
{
	struct conf_words	w;
	struct conf_span	at = conf_obj_span(&r->obj);
	struct str		host = r->hosts.v[nth];
	/* that of tls = dev is shown before any is refused */
	bool			refused = c->certs->refuse &&
	    cert_names_find(c->certs, host) == NULL;

	conf_words_init(&w, c->load, &r->obj, "host");
	for (size_t i = 0; i <= nth && conf_words_next(&w); i++)
		if (i == nth)
			at = conf_word_span(w.it, w.word);
	diag_at(conf_load_diags(c->load), DIAG_CERT_UNCOVERED, &at, &r->obj,
	    "host", "no certificate is for \"%s%.*s\", and listener "
	    "\"%.*s\" speaks TLS: clients that ask for it %s",
	    host.p[0] == '.' ? "*" : "", STR_FMT(str_sub(host, 0, 160)),
	    STR_FMT(listener->name), refused ? "are refused" :
	    "are shown another's");
}

static void
check_route(struct cover *c, const struct route *r)
{
	const struct conf_obj	*listener;
	struct str		 host;

	for (size_t i = 0; i < r->hosts.n; i++) {
		host = r->hosts.v[i];
		if (host.n == 0 || !is_name(host) ||
		    map_find(&c->told, host) != NULL)
			continue;
		listener = find_listener(c, r, host);
		if (listener == NULL || is_covered(c, host))
			continue;
		map_add(&c->told, host, c);
		warn(c, r, i, listener);
	}
}

void
secure_cover(struct conf_load *load)
{
	const struct conf	*conf = conf_load_conf(load);
	struct conf_objs	 all = conf_all(conf, &route_section);
	struct cover		 c = { .load = load, .conf = conf,
	    .certs = tls_certs(conf) };

	/* what could not be read is not there to cover any */
	if (c.certs->n == 0 || diag_errors(conf_load_diags(load)) > 0)
		return;
	map_init(&c.told, 0);
	map_init(&c.below, 0);
	for (size_t i = 0; i < all.n; i++)
		if (!pass_is(all.v[i]->part[0]))
			check_route(&c, all.v[i]->part[0]);
	map_fini(&c.told);
	map_fini(&c.below);
}
