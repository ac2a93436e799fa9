/*
 * Keys that say what is to come by TLS: redirect_https and others of
 * [listener], tls_required and hsts of [route], and [ssl], which is another
 * way to write a listener and a certificate.  Builder and tools.
 */
#include "core/https.h"

#include "conf/load.h"
#include "core/route.h"
#include "tls/cert_conf.h"
#include "tls/policy.h"

#define LISTENER(member)	offsetof(struct https_listener, member)
#define ROUTE(member)		offsetof(struct https_route, member)
#define SSL(member)		offsetof(struct ssl, member)
#define YEAR_S			31536000
#define SSL_PORT		8443

static int
fail(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str word, const char *why)
{
	struct conf_span	sp = conf_word_span(it, word);

	diag_at(conf_load_diags(load), DIAG_VALUE_CHOICE, &sp, NULL,
	    row->key, "\"%.*s\": %s", STR_FMT(str_sub(word, 0, 80)), why);
	return -1;
}

/* --- redirect_https --- */

static int
parse_port(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	int64_t			*port = dst;
	uint64_t		 v;
	bool			 on;

	if (conf_val_bool(it->val, &on, NULL) == 0) {
		*port = on ? -1 : 0;
		return 0;
	}
	if (str_to_u64(it->val, 65535, &v) == -1 || v == 0)
		return fail(load, row, it, it->val,
		    "write on, off or the port of https");
	*port = (int64_t)v;
	return 0;
}

/* --- hsts --- */

static int
read_hsts(struct conf_load *load, const struct conf_row *row,
    const struct conf_item *it, struct str *out)
{
	struct str	rest = it->val, word;
	uint64_t	ms = 0;
	bool		sub = false, preload = false;

	(void)str_word(&rest, " \t,;", &word);
	if (str_eq(word, STR("on")))
		ms = YEAR_S * INT64_C(1000);
	else if (conf_val_time(word, CONF_SECONDS, &ms, NULL) == -1)
		return fail(load, row, it, word,
		    "write on, off or how long it holds, as in 365d");
	while (str_word(&rest, " \t,;", &word))
		if (str_eq_fold(word, STR("includeSubDomains")))
			sub = true;
		else if (str_eq_fold(word, STR("preload")))
			preload = true;
		else
			return fail(load, row, it, word, "behind the time "
			    "stand includeSubDomains and preload");
	if (preload && (!sub || ms / 1000 < YEAR_S))
		return fail(load, row, it, it->val, "browsers preload only "
		    "what has includeSubDomains and at least 365d");
	*out = arena_fmt(conf_load_arena(load), "max-age=%llu%s%s",
	    (unsigned long long)ms / 1000, sub ? "; includeSubDomains" : "",
	    preload ? "; preload" : "");
	return 0;
}

static int
parse_hsts(struct conf_load *load, const struct conf_row *row, void *dst,
    const struct conf_item *items, size_t n)
{
	const struct conf_item	*it = &items[n - 1];
	struct str		*out = dst;
	bool			 on;

	*out = STR("");
	if (conf_val_bool(it->val, &on, NULL) == 0 && !on)
		return 0;
	return read_hsts(load, row, it, out);
}

/* --- [listener] --- */

static int
link_listener(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct https_listener	*h = part;
	struct conf_words		 w;
	struct conf_span		 at;
	ptrdiff_t			 star;

	(void)h;
	conf_words_init(&w, load, obj, "redirect_exempt");
	while (conf_words_next(&w)) {
		star = str_find(w.word, '*', 0);
		if (w.word.p[0] == '/' &&
		    (star < 0 || (size_t)star + 1 == w.word.n))
			continue;
		at = conf_word_span(w.it, w.word);
		diag_at(conf_load_diags(load), DIAG_VALUE_PATTERN, &at, obj,
		    "redirect_exempt", "\"%.*s\": a path begins with a "
		    "slash, and an asterisk may only end it",
		    STR_FMT(str_sub(w.word, 0, 80)));
		return -1;
	}
	return 0;
}

static const struct conf_row listener_rows[] = {
	{
		.key = "redirect_https", .type = CONF_CUSTOM,
		.off = LISTENER(port), .def = "off", .parse = parse_port,
		.example = "on",
		.text = "Whether requests that come without TLS are led to "
		    "https: 301 for GET and HEAD, 308 for all others, so "
		    "that they are repeated as they were.  A number is the "
		    "port they are led to; on: 443, or if only another "
		    "one has a listener with TLS, that.  What [health] "
		    "answers is not led away, nor what came by https "
		    "by the word of one of trusted_proxies."
	}, {
		.key = "redirect_exempt", .type = CONF_LIST,
		.off = LISTENER(exempt), .example = "/status /hooks/*",
		.text = "Paths that are answered without TLS all the same, "
		    "and what begins with one that an asterisk ends.  "
		    "/.well-known/acme-challenge/ always is."
	}, {
		.key = "hsts", .type = CONF_CUSTOM, .off = LISTENER(hsts),
		.def = "off", .parse = parse_hsts,
		.example = "365d includeSubDomains",
		.text = "Strict-Transport-Security of answers to requests "
		    "that came by TLS, to this listener or to one of "
		    "trusted_proxies that says so.  It has browsers come by "
		    "TLS alone for that time: a time or on (365d), then "
		    "includeSubDomains and preload.  It takes the place of "
		    "what a server says."
	},
	{ .key = NULL }
};

const struct conf_group https_listener_group = {
	"https", listener_rows, sizeof(struct https_listener), link_listener
};

/* --- [route] --- */

static int
link_route(struct conf_load *load, struct conf_obj *obj, void *part)
{
	struct https_route	*h = part;
	struct route		*r = container_of(obj, struct route, obj);

	h->own_hsts = conf_is_set(load, obj, "hsts");
	r->https = h->own_hsts || h->need != HTTPS_OFF ? h : NULL;
	return 0;
}

static const struct conf_alias ssl_required[] = {
	{ "ssl_required", CONF_COUNT, "redirect" },
	{ NULL, CONF_COUNT, NULL }
};

static const struct conf_row route_rows[] = {
	{
		.key = "tls_required", .aliases = ssl_required,
		.type = CONF_ENUM, .off = ROUTE(need), .def = "off",
		.choices = "off|redirect|refuse", .example = "refuse",
		.text = "What becomes of requests for the route that come "
		    "without TLS, by the scheme that a trusted proxy tells: "
		    "redirect leads them to https as redirect_https of a "
		    "listener does, refuse answers 403, also for paths of "
		    "redirect_exempt."
	}, {
		.key = "hsts", .type = CONF_CUSTOM, .off = ROUTE(hsts),
		.def = "off", .parse = parse_hsts, .example = "180d",
		.text = "As hsts of the listener, in its place."
	},
	{ .key = NULL }
};

const struct conf_group https_route_group = {
	"https", route_rows, sizeof(struct https_route), link_route
};

/* --- [ssl] --- */

struct ssl {
	struct conf_obj	obj;
	bool		enabled;
	bool		redirect;
	struct str	cert;
	struct str	key;
};

/* The addresses of the others with port 8443; any address if none is. */
static void
set_bind(struct conf_load *load, struct listener_conf *l)
{
	struct conf_objs		 all;
	const struct listener_conf	*o;
	struct sock_addr		*v;
	size_t				 n = 0;

	all = conf_all(conf_load_conf(load), &listener_section);
	for (size_t i = 0; i < all.n; i++)
		n += ((const struct listener_conf *)all.v[i])->nbind;
	v = arena_alloc(conf_load_arena(load), (n + 1) * sizeof(*v));
	n = 0;
	for (size_t i = 0; i < all.n; i++) {
		o = (const struct listener_conf *)all.v[i];
		for (size_t j = 0; o != l && j < o->nbind; j++) {
			if (o->bind[j].u.sa.sa_family == AF_UNIX)
				continue;
			v[n] = o->bind[j];
			sock_set_port(&v[n++], SSL_PORT);
		}
	}
	if (n == 0)
		(void)sock_parse(STR("0.0.0.0:8443"), -1, &v[n++], NULL);
	l->bind = v;
	l->nbind = n;
}

/* All that were there without TLS lead to the new one. */
static void
lead_all(struct conf_load *load, const struct listener_conf *to)
{
	struct conf_objs		 all;
	const struct tls_policy_conf	*t;
	struct https_listener		*h;

	all = conf_all(conf_load_conf(load), &listener_section);
	for (size_t i = 0; i < all.n; i++) {
		t = conf_part(all.v[i], &tls_policy_group);
		h = conf_part(all.v[i], &https_listener_group);
		if (all.v[i] != &to->obj && t->mode == TLS_OFF &&
		    h->port == 0)
			h->port = SSL_PORT;
	}
}

static int
link_ssl(struct conf_load *load, struct conf_obj *obj, void *part)
{
	const struct ssl	*s = part;
	const struct conf_item	*it = conf_item(load, obj, "enabled");
	struct listener_conf	*l;
	struct tls_policy_conf	*t;
	struct cert_conf	*c;

	if (!s->enabled)
		return 0;
	diag_at(conf_load_diags(load), DIAG_ALIAS,
	    it != NULL ? &it->kspan : NULL, obj, "enabled",
	    "[ssl] is read as a [listener] on port 8443 and a [cert]");
	l = conf_make(load, &listener_section, STR("@ssl"), it);
	c = conf_make(load, &cert_section, STR("@ssl"), it);
	if (l == NULL || c == NULL || s->cert.n == 0) {
		diag_at(conf_load_diags(load), DIAG_KEY_MISSING,
		    it != NULL ? &it->kspan : NULL, obj, "cert_file",
		    s->cert.n == 0 ? "[ssl] has no cert_file" :
		    "[ssl] is there already");
		return -1;
	}
	set_bind(load, l);
	t = conf_part(&l->obj, &tls_policy_group);
	t->mode = TLS_ON;
	c->cert = s->cert;
	c->key = s->key;
	if (s->redirect)
		lead_all(load, l);
	return 0;
}

static const struct conf_row ssl_rows[] = {
	{
		.key = "enabled", .type = CONF_BOOL, .off = SSL(enabled),
		.def = "off", .example = "on",
		.text = "Whether there is a listener with TLS on port 8443 "
		    "beside the others, of their addresses: another way to "
		    "write [listener] with tls = on, and [cert]."
	}, {
		.key = "cert_file", .type = CONF_PATH, .off = SSL(cert),
		.min = 1, .max = 1024, .example = "/etc/ssl/server.crt",
		.text = "Read as cert of [cert]."
	}, {
		.key = "key_file", .type = CONF_PATH, .off = SSL(key),
		.min = 1, .max = 1024, .example = "/etc/ssl/server.key",
		.text = "Read as key of [cert]."
	}, {
		.key = "redirect_http", .type = CONF_BOOL,
		.off = SSL(redirect), .def = "off", .example = "on",
		.text = "Read as redirect_https = 8443 of the listeners "
		    "without TLS."
	},
	{ .key = NULL }
};

static const struct conf_group ssl_group = {
	"ssl", ssl_rows, sizeof(struct ssl), link_ssl
};
static const struct conf_group *const ssl_groups[] = { &ssl_group, NULL };

const struct conf_section ssl_section = {
	.type = "ssl", .groups = ssl_groups,
	.text = "TLS in the words of other gateways."
};
