/*
 * What the log says of a publish, as module config: each diagnostic of the
 * builder, what a new generation holds, and at debug where each route
 * leads.  Master.
 */
#include "main/publish.h"

#include <unistd.h>

#include "core/handler.h"
#include "core/listener.h"
#include "core/route.h"
#include "main/master.h"
#include "tls/cert.h"

static struct logctx
context(void)
{
	struct logctx lc = self->lc;

	lc.ids.module = "config";
	return lc;
}

/* "FILE:5:1: warning[W0303]: ..." */
static bool
is_warning(struct str line)
{
	static const struct str mark = STR(": warning[");

	for (; line.n >= mark.n; line = str_sub(line, 1, line.n))
		if (str_starts(line, mark))
			return true;
	return false;
}

/* They are for people: a place, then what stands there, indented. */
void
publish_log_diags(struct master *m, bool failed)
{
	struct str rest = text_str(&m->pub.diags), line;
	struct logctx lc = context();
	bool bad = failed;

	if (m->state == MASTER_STARTING) {
		(void)!write(STDERR_FILENO, rest.p, rest.n);
		return;
	}
	while (str_word(&rest, "\n", &line)) {
		if (line.n > 0 && line.p[0] != ' ')
			bad = failed && !is_warning(line);
		if (bad)
			log_err(&lc, "config: %.*s", STR_FMT(line));
		else
			log_warn(&lc, "config: %.*s", STR_FMT(line));
	}
}

/* "1 listener, 12 route": named objects by section. */
static void
add_counts(struct text *t, const struct conf *conf)
{
	const struct conf_section *const *s;
	size_t n;

	for (s = conf->sections; *s != NULL; s++) {
		n = (*s)->named ? conf_all(conf, *s).n : 0;
		if (n > 0)
			text_fmt(t, "%s%zu of [%s]", t->n > 0 ? ", " : "", n,
			    (*s)->type);
	}
}

static void
add_route(struct text *t, const struct route *r)
{
	const struct route_path *p;

	for (size_t i = 0; i < r->hosts.n; i++)
		text_fmt(t, "%s%s%.*s", i > 0 ? " " : " host ",
		    str_starts(r->hosts.v[i], STR(".")) ? "*" : "",
		    STR_FMT(r->hosts.v[i]));
	for (size_t i = 0; i < r->paths.n; i++) {
		p = &r->paths.v[i];
		text_fmt(t, "%s%s%.*s%s", i > 0 ? " " : " path ",
		    p->kind == ROUTE_REGEX ? "~ " : "", STR_FMT(p->text),
		    p->prefix ? "*" : "");
	}
	text_fmt(t, " to %s", r->handler != NULL ? r->handler->name : "none");
}

static void
log_listeners(const struct logctx *lc, const struct conf *conf)
{
	const struct listen_addr *v;
	struct text t;
	size_t n;

	v = listener_addrs(conf, &n);
	for (size_t i = 0; i < n; i++) {
		text_init(&t);
		sock_text(&t, v[i].addr);
		log_dbg(lc, "config: listener \"%.*s\": %.*s",
		    STR_FMT(v[i].conf->obj.name), STR_FMT(text_str(&t)));
		text_fini(&t);
	}
}

static void
log_routes(const struct logctx *lc, const struct conf *conf)
{
	struct conf_objs routes = conf_all(conf, &route_section);
	const struct conf_obj *o;
	struct text t;

	for (size_t i = 0; i < routes.n; i++) {
		o = routes.v[i];
		text_init(&t);
		add_route(&t, (const struct route *)(const void *)o);
		log_dbg(lc, "config: route \"%.*s\":%.*s, %.*s:%u",
		    STR_FMT(o->name), STR_FMT(text_str(&t)),
		    STR_FMT(o->file), o->line);
		text_fini(&t);
	}
}

/* Who tries things out wants to know what to trust. */
static void
log_dev(const struct logctx *lc, const struct conf *conf)
{
	struct text t;

	text_init(&t);
	if (tls_certs_dev(conf, &t))
		log_info(lc, "tls: development CA is \"%.*s\": have clients "
		    "trust it, or try curl --cacert", STR_FMT(text_str(&t)));
	text_fini(&t);
}

void
publish_log_live(const struct conf *conf)
{
	struct logctx lc = context();
	struct text t;

	text_init(&t);
	add_counts(&t, conf);
	log_info(&lc, "config: generation %llu: \"%.*s\": %.*s",
	    (unsigned long long)conf->number, STR_FMT(conf->file),
	    STR_FMT(text_str(&t)));
	text_fini(&t);
	log_dev(&lc, conf);
	if (!LOG_DEBUGS(lc.log))
		return;
	log_listeners(&lc, conf);
	log_routes(&lc, conf);
}
