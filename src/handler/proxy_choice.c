/*
 * What a request has to say about the choice of its server: the key of
 * balance = hash, and the cookie of a sticky session.  Workers.
 *
 * The cookie is between the client and us, as HAProxy's "indirect" has it:
 * servers do not see it, nor those of the host's other upstreams, and a
 * client gets it only when it names another server than the one that
 * answered, or is to be renewed.
 */
#include "handler/proxy_choice.h"

#include "handler/proxy.h"
#include "handler/proxy_forward.h"
#include "http/cookie.h"
#include "up/hash.h"
#include "up/sticky.h"
#include "up/sticky_site.h"

struct choice {
	uint64_t	hash;
	uint64_t	number;		/* of the cookie's server; 0: none */
	bool		old;		/* the cookie is to be renewed */
	bool		secure;		/* the client came by TLS */
};

struct str
proxy_choice_key(struct exchange *x, const struct choice_conf *c)
{
	struct str	key = STR("");

	if (c->key.n > 0)
		key = template_expand(&c->key, x, NULL, 0);
	return key.n > 0 ? key : exchange_client_ip(x);
}

static void
read_cookie(struct proxy *p, struct choice *c)
{
	const struct sticky	*st = p->up->sticky;
	struct sticky_told	 told;
	struct str		 val;

	c->secure = proxy_forward_secure(p->x);
	val = cookie_get(&p->x->req->hdrs, sticky_name(st));
	if (val.p == NULL)
		return;
	if (!sticky_read(st, val, ev_wall_ms(p->x->serve->ev), &told)) {
		stat_add(STAT_STICKY_INVALID, 1);
		log_dbg(&p->x->lc, "sticky: the cookie of \"%.*s\" is not "
		    "valid", STR_FMT(p->up->name));
		return;
	}
	c->number = told.number;
	c->old = told.old;
}

void
proxy_choice_switch(struct proxy *p, const struct upstream_conf *up)
{
	bool		 hash = p->up->balance == &balancer_hash;
	struct choice	*c;

	p->choice = NULL;
	if (!hash && p->up->sticky == NULL)
		return;
	c = p->choice = arena_alloc(p->x->arena, sizeof(*c));
	if (hash)
		c->hash = hash_key(proxy_choice_key(p->x, choice_conf(up)));
	if (p->up->sticky != NULL)
		read_cookie(p, c);
}

void
proxy_choice_init(struct proxy *p, const struct proxy_route *r)
{
	proxy_choice_switch(p, r->up);
}

static bool
is_ours(const void *ctx, struct str name)
{
	const struct exchange	*x = ctx;

	return sticky_site_has(x->gen->conf, x->host, name);
}

void
proxy_choice_request(struct proxy *p)
{
	if (sticky_site_any(p->x->gen->conf))
		cookie_drop(p->x->arena, &p->req.hdrs, is_ours, p->x);
}

uint64_t
proxy_choice_hash(const struct proxy *p)
{
	return p->choice != NULL ? p->choice->hash : 0;
}

struct server *
proxy_choice_server(struct proxy *p)
{
	if (p->choice == NULL || p->choice->number == 0)
		return NULL;
	return sticky_find(p->up, p->choice->number, &p->tried);
}

void
proxy_choice_answer(struct proxy *p)
{
	const struct sticky	*st = p->up->sticky;
	struct choice		*c = p->choice;
	struct server		*s = p->server;

	if (c == NULL || st == NULL || s == NULL)
		return;
	if (s->number == 0)
		s->number = sticky_number(st, s->text);
	if (c->number == s->number && !c->old)
		return;
	if (c->number != 0 && c->number != s->number)
		stat_add(STAT_STICKY_MOVED, 1);
	hdr_add_name(p->x->arena, &p->res->hdrs, STR("Set-Cookie"),
	    sticky_make(st, p->x->arena, s->number,
	    ev_wall_ms(p->x->serve->ev), c->secure));
}
