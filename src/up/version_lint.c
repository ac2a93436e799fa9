/*
 * Versions of HTTP and what contradicts them (version_lint.h).
 *
 * Only what is certain is told of: a server that chooses by ALPN may speak
 * either.
 */
#include "up/version_lint.h"

#include "core/settings.h"
#include "up/probe_conf.h"
#include "up/server_http.h"
#include "up/upstream.h"

/* what all checks look at */
struct look {
	struct conf_load		*load;
	struct conf_obj			*obj;
	const struct upstream_conf	*up;
};

static enum server_http
http_of(const struct look *k, const struct server_conf *s)
{
	return server_http_of(k->up->http, s->h2, s->peer != NULL);
}

/* The first one that is spoken to so; NULL: none. */
static const struct server_conf *
first(const struct look *k, enum server_http how)
{
	const struct server_conf	*s;

	for (size_t i = 0; i < k->up->servers.n; i++) {
		s = &k->up->servers.v[i];
		if (http_of(k, s) == how)
			return s;
	}
	return NULL;
}

static struct str
show(const struct server_conf *s)
{
	return str_sub(s->text, 0, 160);
}

/* A probe that is green, or red, says nothing of requests then. */
static void
check_probe(const struct look *k)
{
	const struct conf_item		*it = conf_item(k->load, k->obj,
					    "health.type");
	int				 type = probe_conf_of(k->up)->type;
	const struct server_conf	*s = NULL;

	if (it == NULL)
		return;
	if (type == PROBE_GRPC && (s = first(k, SERVER_H1)) != NULL)
		diag_at(conf_load_diags(k->load), DIAG_PROBE_VERSION,
		    &it->vspan, k->obj, "health.type",
		    "\"%.*s\" is probed over HTTP/2, but its requests go over "
		    "HTTP/1.1", STR_FMT(show(s)));
	if (type == PROBE_WEBSOCKET && (s = first(k, SERVER_H2)) != NULL)
		diag_at(conf_load_diags(k->load), DIAG_PROBE_VERSION,
		    &it->vspan, k->obj, "health.type",
		    "\"%.*s\" is probed over HTTP/1.1, which a server of "
		    "HTTP/2 alone refuses", STR_FMT(show(s)));
}

static void
check_service(const struct look *k)
{
	const struct conf_item	*it = conf_item(k->load, k->obj,
				    "health.service");

	if (it != NULL && probe_conf_of(k->up)->type != PROBE_GRPC)
		diag_at(conf_load_diags(k->load), DIAG_NO_EFFECT, &it->kspan,
		    k->obj, "health.service", "health.service: health.type "
		    "is not grpc: nobody asks after it");
}

/* "http = 1.1", and a server that is written as of HTTP/2. */
static void
check_choice(const struct look *k)
{
	const struct conf_item	*it = conf_item(k->load, k->obj, "http");

	if (it == NULL || server_http_of(k->up->http, false, true) !=
	    SERVER_H1)
		return;
	for (size_t i = 0; i < k->up->servers.n; i++) {
		const struct server_conf	*s = &k->up->servers.v[i];

		if (!s->h2)
			continue;
		diag_at(conf_load_diags(k->load), DIAG_NO_EFFECT, &it->kspan,
		    k->obj, "http", "http: \"%.*s\" is written as h2:// or "
		    "h2c://, which means HTTP/2", STR_FMT(show(s)));
		return;
	}
}

/* No option, as upstream_conf.c has them. */
static bool
is_address(struct str word)
{
	return str_find(word, '=', 0) < 0 && !str_eq(word, STR("backup"));
}

/* Where the max_conns= of the nth server stands: behind it, in its line. */
static struct conf_span
find_own_max(const struct look *k, size_t n)
{
	struct conf_words	w;
	size_t			left = n + 1;

	conf_words_init(&w, k->load, k->obj, "server");
	while (conf_words_next(&w))
		if (left > 0 && is_address(w.word))
			left--;
		else if (left == 0 && str_starts(w.word, STR("max_conns=")))
			return conf_word_span(w.it, w.word);
	/* those of a route have their keys there */
	return conf_obj_span(k->obj);
}

/*
 * A connection is of one worker.  While a long stream holds it, the others
 * have none, however many streams it has room for.
 */
static void
check_conns(const struct look *k)
{
	const struct conf_item	*it = conf_item(k->load, k->obj, "max_conns");
	unsigned		 workers;
	struct conf_span	 at;

	for (size_t i = 0; i < k->up->servers.n; i++) {
		const struct server_conf	*s = &k->up->servers.v[i];

		if (s->max_conns == 0 || http_of(k, s) != SERVER_H2)
			continue;
		workers = settings_workers(conf_load_conf(k->load));
		if (s->max_conns >= workers)
			continue;
		at = s->own_max ? find_own_max(k, i) :
		    it != NULL ? it->vspan : conf_obj_span(k->obj);
		diag_at(conf_load_diags(k->load), DIAG_FEW_CONNS, &at,
		    k->obj, "max_conns",
		    "\"%.*s\" has at most %u connections, and there are %u "
		    "workers: one long stream keeps the others out",
		    STR_FMT(show(s)), s->max_conns, workers);
		return;
	}
}

void
version_lint(struct conf_load *load, struct conf_obj *obj)
{
	struct look	k = { load, obj, (const struct upstream_conf *)obj };

	check_probe(&k);
	check_service(&k);
	check_choice(&k);
	check_conns(&k);
}
