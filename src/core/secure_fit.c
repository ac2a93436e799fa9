/*
 * Terms of handshakes against the certificates that there are.  Builder
 * and -t.
 *
 * Only terms whose words somebody wrote are tried, for the built-in ones
 * go with every certificate that is taken; and of certificates one of each
 * sort of key, for there may be ten thousand.
 */
#include "core/secure_lint.h"

#include "core/route.h"
#include "core/secure.h"
#include "core/secure_host.h"
#include "tls/trial.h"

#define SORTS	8

static const int	versions[2] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* certificates of one sort of key, by one that has it */
struct sort {
	const struct tls_cert	*cert;		/* of conf */
	bool			 good[2];	/* as versions */
};

struct fit {
	struct conf_load	*load;
	const struct conf_obj	*obj;
	const struct tls_terms	*terms;
	const struct conf_item	*it;	/* the key to blame */
	struct sort		 v[SORTS];
	size_t			 n;
};

/* --- sorts --- */

/* Curves differ in what may be signed by them, and in their keys' size. */
static bool
is_alike(const struct tls_cert *a, const struct tls_cert *b)
{
	return a->kind == b->kind && (a->kind != TLS_ECDSA ||
	    a->key.n == b->key.n);
}

static void
add_sort(struct fit *f, const struct tls_cert *c)
{
	for (size_t k = 0; k < f->n; k++)
		if (is_alike(f->v[k].cert, c))
			return;
	if (f->n < SORTS)
		f->v[f->n++].cert = c;
}

/* Does a listener have the terms, so that any name may come to them? */
static bool
is_listeners(const struct conf *c, const struct conf_obj *terms)
{
	struct conf_objs		 all = conf_all(c, &listener_section);
	const struct tls_policy_conf	*p;

	for (size_t i = 0; i < all.n; i++) {
		p = conf_part(all.v[i], &tls_policy_group);
		if (p->mode != TLS_OFF && (all.v[i] == terms ||
		    str_eq(p->terms, terms->name)))
			return true;
	}
	return false;
}

/* What the hosts of a route are shown. */
static void
add_hosts(struct fit *f, const struct tls_certs *cs, const struct route *r)
{
	struct tls_choice	c;

	for (size_t i = 0; i < r->hosts.n; i++) {
		if (!tls_certs_named(cs, r->hosts.v[i], &c))
			continue;
		for (int k = 0; k < TLS_NKIND; k++)
			if (c.v[k] != NULL)
				add_sort(f, c.v[k]);
	}
}

static void
find_sorts(struct fit *f, const struct conf *c)
{
	const struct tls_certs		*cs = tls_certs(c);
	struct conf_objs		 all = conf_all(c, &route_section);
	const struct secure_route	*s;

	if (is_listeners(c, f->obj)) {
		for (size_t i = 0; i < cs->n; i++)
			add_sort(f, cs->v[i]);
		return;
	}
	for (size_t i = 0; i < all.n; i++) {
		s = conf_part(all.v[i], &secure_route_group);
		if (str_eq(s->policy, f->obj->name))
			add_hosts(f, cs, all.v[i]->part[0]);
	}
}

static bool
speaks(const struct tls_terms *t, int i)
{
	struct str	word = i == 0 ? STR("1.2") : STR("1.3");

	for (size_t k = 0; k < t->versions.n; k++)
		if (str_eq(t->versions.v[k], word))
			return true;
	return false;
}

static void
try_all(struct fit *f)
{
	for (size_t k = 0; k < f->n; k++)
		for (int i = 0; i < 2; i++)
			f->v[k].good[i] = speaks(f->terms, i) &&
			    tls_trial(f->terms, f->v[k].cert, versions[i]);
}

/* Whether any certificate serves the version; -1: whichever. */
static bool
is_served(const struct fit *f, int i)
{
	for (size_t k = 0; k < f->n; k++)
		if ((i != 1 && f->v[k].good[0]) ||
		    (i != 0 && f->v[k].good[1]))
			return true;
	return false;
}

/* --- what is said --- */

static void
tell(const struct fit *f, enum diag_id id, const char *why)
{
	diag_at(conf_load_diags(f->load), id, &f->it->vspan, f->obj,
	    f->it->row->key, "%s", why);
}

/* "ECDSA, RSA" */
static void
put_kinds(struct text *t, const struct fit *f)
{
	bool	said[TLS_NKIND] = { false };

	for (size_t k = 0; k < f->n; k++) {
		if (said[f->v[k].cert->kind])
			continue;
		text_fmt(t, "%s%s", t->n > 0 ? ", " : "",
		    tls_certs_kind(f->v[k].cert->kind));
		said[f->v[k].cert->kind] = true;
	}
	text_c(t, '\0');
}

static int
fail_all(const struct fit *f)
{
	struct err	e;
	struct text	t;

	text_init(&t);
	put_kinds(&t, f);
	err_set(&e, "every handshake fails: no certificate (there are %s) "
	    "goes with what is allowed here", t.p);
	text_fini(&t);
	tell(f, DIAG_TLS_FIT, e.text);
	return -1;
}

static void
warn_version(const struct fit *f, int i)
{
	struct err	e;
	struct text	t;

	text_init(&t);
	put_kinds(&t, f);
	err_set(&e, "every handshake of TLS 1.%d fails: no certificate "
	    "(there are %s) goes with what is allowed here", i + 2, t.p);
	text_fini(&t);
	tell(f, DIAG_TLS_FIT_PART, e.text);
}

static void
warn_sort(const struct fit *f, const struct tls_cert *c)
{
	struct err	e;

	err_set(&e, "certificate \"%.*s\" (%s) is never used: nothing that "
	    "is allowed here goes with its key",
	    STR_FMT(str_sub(c->file, 0, 160)), tls_certs_kind(c->kind));
	tell(f, DIAG_TLS_FIT_PART, e.text);
}

static int
judge(const struct fit *f)
{
	if (!is_served(f, -1))
		return fail_all(f);
	for (int i = 0; i < 2; i++)
		if (speaks(f->terms, i) && !is_served(f, i))
			warn_version(f, i);
	for (size_t k = 0; k < f->n; k++)
		if (!f->v[k].good[0] && !f->v[k].good[1])
			warn_sort(f, f->v[k].cert);
	return 0;
}

/* --- one of the terms --- */

/* Would it do if the words of that key were OpenSSL's own? */
static bool
would_do(const struct fit *f, const struct conf_row *r)
{
	struct tls_terms	t = *f->terms;

	((struct conf_list *)(void *)((char *)&t + r->off))->n = 0;
	for (size_t k = 0; k < f->n; k++)
		for (int i = 0; i < 2; i++)
			if (speaks(&t, i) && !f->v[k].good[i] &&
			    tls_trial(&t, f->v[k].cert, versions[i]))
				return true;
	return false;
}

/* The key to blame, of those that were written; NULL: none was. */
static const struct conf_item *
find_words(const struct fit *f)
{
	const struct conf_row	*r = tls_terms_group.rows;
	const struct conf_item	*it, *found = NULL;

	for (; r->key != NULL; r++) {
		if (r->type != CONF_LIST || r->choices != NULL)
			continue;
		it = secure_lint_said(f->load, f->obj, r);
		if (it != NULL && would_do(f, r))
			return it;
		found = found == NULL ? it : found;
	}
	return found;
}

static int
check(struct conf_load *load, const struct conf_obj *obj)
{
	struct fit	f = { .load = load, .obj = obj,
	    .terms = conf_part(obj, &tls_terms_group) };

	f.it = find_words(&f);
	if (f.it == NULL)
		return 0;
	find_sorts(&f, conf_load_conf(load));
	if (f.n == 0)
		return 0;
	try_all(&f);
	f.it = find_words(&f);
	return judge(&f);
}

int
secure_fit(struct conf_load *load)
{
	const struct conf		*c = conf_load_conf(load);
	struct conf_objs		 all = conf_all(c, &listener_section);
	const struct tls_policy_conf	*p;
	int				 rc = 0;

	for (size_t i = 0; i < all.n; i++) {
		p = conf_part(all.v[i], &tls_policy_group);
		if (p->mode != TLS_OFF && p->terms.n == 0 &&
		    check(load, all.v[i]) == -1)
			rc = -1;
	}
	all = conf_all(c, &tls_section);
	for (size_t i = 0; i < all.n; i++)
		if (secure_lint_used(c, all.v[i]) &&
		    check(load, all.v[i]) == -1)
			rc = -1;
	return rc;
}
