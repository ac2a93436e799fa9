/*
 * Explain: what is decided before a request is heard, by the code that
 * decides it for connections.  Control process; sluicectl, offline.
 */
#include "control/explain_tls.h"

#include <arpa/inet.h>

#include "control/int.h"
#include "core/https.h"
#include "core/route.h"
#include "core/secure_host.h"
#include "core/version.h"
#include "tls/cert_names.h"
#include "tls/hello.h"

static bool
is_addr(struct str host)
{
	struct in_addr	a;
	char		buf[INET_ADDRSTRLEN];

	if (host.n > 0 && host.p[0] == '[')
		return true;
	if (host.n >= sizeof(buf))
		return false;
	memcpy(buf, host.p, host.n);
	buf[host.n] = '\0';
	return inet_pton(AF_INET, buf, &a) == 1;
}

struct str
explain_tls_name(struct str host, char *buf, size_t size)
{
	struct str	name = STR_NONE;

	if (size >= TLS_NAME_MAX && !is_addr(host))
		name = tls_hello_fold(host, buf);
	return name.p == NULL ? STR("") : name;
}

/* --- terms --- */

static json_t *
list_words(const struct conf_list *l)
{
	json_t	*j = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(j, api_text(l->v[i]));
	return j;
}

/* The [tls NAME] that has the terms; null: the listener itself. */
static json_t *
name_terms(const struct conf *c, const struct tls_terms *t)
{
	struct conf_objs	all = conf_all(c, &tls_section);

	for (size_t i = 0; i < all.n; i++)
		if (conf_part(all.v[i], &tls_terms_group) == t)
			return api_text(all.v[i]->name);
	return json_null();
}

/* As on the wire each has its length in front. */
static json_t *
list_alpn(const struct listener_conf *l)
{
	struct text	t;
	json_t		*j = json_array();
	size_t		 n;

	text_init(&t);
	version_alpn(&t, l->http);
	for (size_t i = 0; i < t.n; i += 1 + n) {
		n = (unsigned char)t.p[i];
		json_array_append_new(j, api_text(str_sub(text_str(&t),
		    i + 1, i + 1 + n)));
	}
	text_fini(&t);
	return j;
}

/* --- certificates --- */

/* Why one is chosen for a name. */
static const char *
match_of(const struct tls_certs *all, struct str name)
{
	ptrdiff_t	dot = str_find(name, '.', 0);

	if (cert_names_find(all, name) != NULL)
		return "name";
	if (dot > 0 && cert_names_find(all, str_sub(name, (size_t)dot,
	    name.n)) != NULL)
		return "wildcard";
	return "default";
}

static json_t *
describe_cert(const struct tls_certs *all, struct str name,
    const struct tls_cert *c)
{
	return json_pack("{s:o, s:b, s:s, s:o, s:I, s:s}", "cert",
	    api_text(c->dev ? STR("") : c->obj->name), "dev", c->dev, "kind",
	    tls_certs_kind(c->kind), "file", api_text(c->file), "until",
	    (json_int_t)c->until, "match", match_of(all, name));
}

static json_t *
list_certs(const struct conf *c, const struct listener_conf *l,
    struct str name, enum fail *why)
{
	const struct tls_policy_conf	*p = conf_part(&l->obj,
	    &tls_policy_group);
	const struct tls_certs		*all = tls_certs(c);
	struct tls_choice	 choice;
	json_t			*j = json_array();

	if (!tls_certs_find(all, name, p->mode == TLS_DEV, &choice)) {
		*why = FAIL_TLS_UNKNOWN_NAME;
		return j;
	}
	for (int i = 0; i < TLS_NKIND; i++)
		if (choice.v[i] != NULL)
			json_array_append_new(j, describe_cert(all, name,
			    choice.v[i]));
	return j;
}

json_t *
explain_tls(const struct conf *c, const struct listener_conf *l,
    struct str name, enum fail *why)
{
	static const char *const	 modes[] = { [TLS_CLIENT_OFF] = "off",
		[TLS_CLIENT_OPTIONAL] = "optional",
		[TLS_CLIENT_REQUIRED] = "required" };
	const struct tls_terms		*t = secure_host_terms(c, l, name);

	return json_pack("{s:o, s:b, s:o, s:o, s:o, s:s, s:o}", "name",
	    api_text(name), "passed", 0, "policy", name_terms(c, t),
	    "versions", list_words(&t->versions), "alpn", list_alpn(l),
	    "client", modes[t->client], "certs", list_certs(c, l, name,
	    why));
}

/* --- what routes ask --- */

json_t *
explain_tls_client(const struct conf *c, const struct listener_conf *l,
    const struct exchange *x, enum fail *why)
{
	const struct secure_route	*r = conf_part(&x->route->obj,
	    &secure_route_group);

	if (r->cert == 0 && r->sans.n == 0 && r->prints.n == 0)
		return json_null();
	if (l == NULL || secure_host_terms(c, l, x->host)->client ==
	    TLS_CLIENT_OFF)
		*why = FAIL_CLIENT_CERT_MISSING;
	return json_pack("{s:o, s:o}", "sans", list_words(&r->sans),
	    "fingerprints", list_words(&r->prints));
}

json_t *
explain_tls_redirect(const struct conf *c, struct exchange *x)
{
	const struct https_route	*r = x->route == NULL ? NULL :
	    x->route->https;
	bool				 plain = x->req->meth == METHOD_GET ||
	    x->req->meth == METHOD_HEAD;

	return json_pack("{s:i, s:o, s:s}", "status", plain ? 301 : 308,
	    "location", api_text(https_place(x->arena, c, https_of(c,
	    x->conn->listener->name), x)), "by", r != NULL && r->need ==
	    HTTPS_REDIRECT ? "tls_required" : "redirect_https");
}
