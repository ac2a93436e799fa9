/*
 * TLS of a twin's servers.  Workers.
 *
 * A twin outlives its generation, so it has copies.  Idle connections and
 * the session go over to the twin of the next generation only if that
 * believes the same: a connection must not be used that would not be made.
 */
#include "up/server_tls.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/secure.h"
#include "up/pool.h"

/* peers of the configuration's servers, in its order */
struct up_tls {
	struct tls_client	*client;	/* counted */
	size_t			 n;
	struct {
		bool		 has;
		struct tls_peer	 peer;		/* its name is own */
	}			 v[];
};

const struct server_tls_conf *
server_tls_of(const struct upstream_conf *c)
{
	const struct server_tls_conf	*t = c->obj.part == NULL ? NULL :
	    conf_part(&c->obj, &server_tls_group);

	return t != NULL && t->used ? t : NULL;
}

static struct str
copy(struct str s)
{
	char	*p;

	if (s.n == 0)
		return STR_NONE;
	p = must_alloc(s.n);
	memcpy(p, s.p, s.n);
	return str_make(p, s.n);
}

int
server_tls_init(struct upstream *up, const struct upstream_conf *c,
    struct err *e)
{
	const struct server_tls_conf	*t = server_tls_of(c);
	const struct tls_peer		*p;
	struct up_tls			*x;

	if (t == NULL)
		return 0;
	x = must_calloc(1, sizeof(*x) + c->servers.n * sizeof(x->v[0]));
	up->tls = x;
	x->n = c->servers.n;
	for (size_t i = 0; i < x->n; i++) {
		p = c->servers.v[i].peer;
		x->v[i].has = p != NULL;
		if (p == NULL)
			continue;
		x->v[i].peer = *p;
		x->v[i].peer.name = copy(p->name);
	}
	x->client = tls_client_get(secure_clients(up->serve), &t->client,
	    t->client.pair, e);
	return x->client == NULL ? -1 : 0;
}

void
server_tls_fini(struct upstream *up)
{
	struct up_tls	*x = up->tls;

	if (x == NULL)
		return;
	for (size_t i = 0; i < x->n; i++)
		free((void *)(uintptr_t)x->v[i].peer.name.p);
	tls_client_unref(&x->client);
	free(x);
	up->tls = NULL;
}

const struct tls_peer *
server_tls_peer(const struct upstream *up, size_t nth)
{
	if (up->tls == NULL || !up->tls->v[nth].has)
		return NULL;
	return &up->tls->v[nth].peer;
}

void
server_tls_set(struct server *s, const struct tls_peer *p)
{
	if (s->peer == p)
		return;
	pool_close_idle(s);
	server_tls_forget(s);
	s->peer = p;
}

void
server_tls_forget(struct server *s)
{
	if (s->shake == NULL)
		return;
	SSL_SESSION_free(s->shake->session);
	s->shake->session = NULL;
}

static bool
is_same_peer(const struct tls_peer *a, const struct tls_peer *b)
{
	return str_eq(a->name, b->name) && a->is_address == b->is_address &&
	    a->npin == b->npin &&
	    memcmp(a->pin, b->pin, a->npin * sizeof(a->pin[0])) == 0;
}

bool
server_tls_same(const struct server *a, const struct server *b)
{
	if (a->peer == NULL || b->peer == NULL)
		return a->peer == b->peer;
	return a->upstream->tls->client == b->upstream->tls->client &&
	    is_same_peer(a->peer, b->peer);
}

struct str
server_tls_alpn(enum server_http how, bool h1)
{
	if (how == SERVER_H2)
		return STR("\x02h2");
	return how == SERVER_ALPN && !h1 ? STR("\x02h2\x08http/1.1") :
	    STR("\x08http/1.1");
}

void
server_tls_open(struct server *s, struct io *io, struct tls_out *out, bool h1)
{
	*out = (struct tls_out){ .peer = s->peer, .now = &s->peer,
	    .keep = &server_shake(s)->session,
	    .alpn = server_tls_alpn(server_http(s), h1) };
	tls_open(io, secure_room(s->upstream->serve),
	    tls_client_begin(s->upstream->tls->client, out), STR_NONE);
}
