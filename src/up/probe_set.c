/*
 * What the probes of an upstream have in common.  Health process.
 */
#include "up/probe.h"
#include "up/server_tls.h"
#include "up/upstream.h"

void
probe_set_open(struct probe_set *s, struct probe_env *env,
    const struct upstream_conf *c)
{
	const struct server_tls_conf	*t = server_tls_of(c);
	const struct probe_conf	*p = probe_conf_of(c);
	size_t			 off;
	struct err		 e;

	*s = (struct probe_set){ .conf = p,
	    .send_proxy = c->told.send_proxy, .http = c->http };
	/* the builder has seen that it is one */
	if (p->type != PROBE_OFF && p->is_regex)
		s->regex = probe_regex_new(p->text, &off, &e);
	if (p->type == PROBE_OFF || t == NULL)
		return;
	if (env->room == NULL)
		env->room = tls_room_new();
	s->client = tls_client_get(&env->clients, &t->client,
	    t->client.probe, &e);
}

void
probe_set_close(struct probe_set *s)
{
	probe_regex_free(&s->regex);
	tls_client_unref(&s->client);
}

bool
probe_set_likes(const struct probe_set *s, struct str body)
{
	const struct probe_conf	*p = s->conf;

	if (p->is_regex)
		return s->regex != NULL && probe_regex_fits(s->regex, body);
	return memmem(body.p, body.n, p->text.p, p->text.n) != NULL;
}
