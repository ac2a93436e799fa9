/*
 * The header of the PROXY protocol, as a listener demands it; the handshake
 * of TLS is in greet_tls.c.  Workers.
 */
#include "core/greet.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/board.h"
#include "core/int.h"
#include "core/listener_limit.h"
#include "core/version.h"
#include "io/proxy_proto.h"
#include "tls/cert_say.h"
#include "tls/hello.h"

static struct ev *
loop_of(const struct greet *g)
{
	return g->c->listener->serve->ev;
}

/* --- the end --- */

void
greet_drop(struct greet *g)
{
	struct conn	*c = g->c;

	greet_tls_end(g);
	ev_timer_off(loop_of(g), &g->timer);
	ev_cancel(&g->wait.task);
	c->greet = NULL;
	c->greeting = false;
	slab_put(&c->listener->serve->codecs, g);
}

/* The name that was asked for, if it can be shown within quotes. */
static struct str
name_asked(const struct greet *g, char buf[TLS_NAME_MAX])
{
	struct str	name;

	name = tls_hello_fold(tls_sni(tls_ssl(&g->c->io)), buf);
	if (name.n == 0 || memchr(name.p, '"', name.n) != NULL)
		return STR_NONE;
	return name;
}

static void
name_refused(const struct greet *g, struct listener_end *e,
    char buf[2][CERT_SAY_ROOM])
{
	const X509	*x = tls_policy_refused(tls_ssl(&g->c->io));
	struct text	 t[2];

	if (x == NULL)
		return;
	text_init_fixed(&t[0], buf[0], CERT_SAY_ROOM);
	text_init_fixed(&t[1], buf[1], CERT_SAY_ROOM);
	cert_say_name(&t[0], X509_get_subject_name(x));
	cert_say_print(&t[1], x);
	e->cert = text_str(&t[0]);
	e->print = text_str(&t[1]);
}

void
greet_count(struct greet *g, enum fail why, const char *more)
{
	struct listener_end	e = { .peer = &g->c->peer, .why = why,
	    .more = more, .shake = g->tls != GREET_PLAIN };
	char			host[TLS_NAME_MAX], cert[2][CERT_SAY_ROOM];

	stat_add(STAT_FAIL(why), 1);
	last_note_client(why, e.peer, ev_wall_ms(loop_of(g)));
	if (e.shake) {
		stat_add(STAT_TLS_FAILED, 1);
		e.sni = name_asked(g, host);
		name_refused(g, &e, cert);
	}
	listener_say(g->c->listener, &e);
}

void
greet_refuse(struct greet *g, enum fail why, const char *more)
{
	struct conn	*c = g->c;

	if (why != FAIL_NONE)
		greet_count(g, why, more);
	greet_drop(g);
	io_close(&c->io, false);
	conn_on_gone(c, why);
}

void
greet_close(struct conn *c, enum fail why)
{
	(void)why;
	greet_refuse(c->greet, FAIL_NONE, "");
}

/* --- the header --- */

/* It was looked at; now it is taken.  False: the socket is broken. */
static bool
take(struct io *io, size_t n)
{
	char		buf[PROXY_PROTO_MAX];
	struct iovec	v = { buf, n };
	size_t		got;

	return io_readv(io, &v, 1, &got) == IO_OK && got == n;
}

/* The client is known: the rest is as with any other connection. */
static void
begin(struct greet *g, const struct proxy_proto *p)
{
	struct conn	*c = g->c;

	if (!take(&c->io, p->used)) {
		greet_refuse(g, FAIL_NONE, "");
		return;
	}
	if (p->told)
		c->peer = p->from;
	c->by_tls = p->secure;
	if (!listener_admits(c->listener, &c->peer, &c->hold)) {
		greet_refuse(g, FAIL_NONE, "");
		return;
	}
	if (c->listener->tls != NULL) {
		greet_tls_start(g);
		return;
	}
	greet_drop(g);
	version_start(c, STR(""));
}

static void
look(struct greet *g)
{
	struct io		*io = &g->c->io;
	struct proxy_proto	 p;
	char			 buf[PROXY_PROTO_MAX];
	size_t			 got;
	enum io_rc		 rc;

	rc = io_peek(io, buf, sizeof(buf), &got);
	if (rc == IO_EOF || rc == IO_ERR) {
		/* who says nothing only looked whether somebody is here */
		greet_refuse(g, FAIL_NONE, "");
		return;
	}
	switch (proxy_proto_parse(str_make(buf, got), &p)) {
	case PROXY_PROTO_DONE:
		begin(g, &p);
		return;
	case PROXY_PROTO_BAD:
		greet_refuse(g, FAIL_BAD_PROXY_HEADER, p.why);
		return;
	case PROXY_PROTO_MORE:
		break;
	}
	io->fd.ready &= (uint8_t)~IO_R;
	if (io->fd.ready & IO_GONE)
		greet_refuse(g, FAIL_BAD_PROXY_HEADER, "it ends early");
	else if (io_watch(io) == -1)
		greet_refuse(g, FAIL_NONE, "");
}

static void
on_io(struct io *io, unsigned what)
{
	if (what & (IO_R | IO_GONE))
		look(io->ctx);
}

static void
on_task(struct ev_task *t)
{
	look(container_of(t, struct greet, wait.task));
}

static void
on_timer(struct timer *t)
{
	greet_refuse(container_of(t, struct greet, timer),
	    FAIL_BAD_PROXY_HEADER, "it took too long");
}

/* May this peer say who others are?  Without a list everybody may. */
static bool
may_speak(const struct conn *c)
{
	const struct trust	*from = &c->listener->proxy_from;

	return from->n == 0 || trust_has(from, &c->peer);
}

void
greet_start(struct conn *c)
{
	struct listener	*l = c->listener;
	struct greet	*g = slab_get(&l->serve->codecs);

	*g = (struct greet){ .c = c };
	c->greet = g;
	c->greeting = true;
	timer_init(&g->timer, on_timer);
	ev_task_init(&g->wait.task, on_task);
	list_init(&g->wait.node);
	c->io.on = on_io;
	c->io.ctx = g;
	if (!l->proxy) {
		greet_tls_start(g);
		return;
	}
	if (!may_speak(c)) {
		greet_refuse(g, FAIL_PROXY_REFUSED,
		    "proxy_protocol_from does not name it");
		return;
	}
	ev_timer(l->serve->ev, &g->timer, l->env.limits.header_ms);
	ev_post(l->serve->ev, EV_READY, &g->wait.task);
}

/* --- configuration --- */

static void
free_trust(struct listener *l)
{
	free((void *)(uintptr_t)l->proxy_from.v);
	l->proxy_from = (struct trust){ NULL, 0 };
}

void
greet_free_conf(struct listener *l)
{
	free_trust(l);
	tls_policy_unref(&l->tls);
}

bool
greet_is_other(bool proxy, const struct trust *from,
    const struct listener_conf *c)
{
	const struct net	*a, *b;

	if (!proxy && !c->proxy)
		return false;
	if (proxy != c->proxy || from->n != c->proxy_from.n)
		return true;
	for (size_t i = 0; i < c->proxy_from.n; i++) {
		a = &from->v[i];
		b = &c->proxy_from.v[i];
		if (memcmp(a->ip, b->ip, 16) != 0 || a->bits != b->bits ||
		    a->unix_peers != b->unix_peers)
			return true;
	}
	return false;
}

static bool
is_current(const struct conn *c, const void *conf)
{
	return secure_is_current(c, conf);
}

/* Who came by a policy that changed is let go. */
static void
set_tls(struct listener *l, const struct listener_conf *c)
{
	struct tls_policy		*p = secure_policy(l->serve, c);
	const struct tls_policy_conf	*t;
	uint64_t			 sum = secure_sum(l->serve, c);
	uint64_t			 was = l->tls_sum;

	l->tls_sum = sum;
	if (l->tls != p) {
		tls_policy_unref(&l->tls);
		l->tls = p == NULL ? NULL : tls_policy_ref(p);
	}
	if (was != sum)
		listener_let_go(l, was != 0 && sum != 0 ? is_current : NULL,
		    c);
	if (p == NULL)
		return;
	l->passes = c->passes;
	t = conf_part(&c->obj, &tls_policy_group);
	l->dev = t->mode == TLS_DEV;
	l->handshake_ms = t->handshake_ms;
	l->max_handshakes = (uint64_t)t->max_handshakes;
	secure_wake(l);
}

/* A listener outlives its generation: the networks are copied. */
void
greet_set_conf(struct listener *l, const struct listener_conf *c)
{
	size_t		 size = c->proxy_from.n * sizeof(struct net);
	bool		 other = l->name.p != NULL &&
	    greet_is_other(l->proxy, &l->proxy_from, c);
	struct net	*v = NULL;

	free_trust(l);
	if (size > 0) {
		v = must_alloc(size);
		memcpy(v, c->proxy_from.v, size);
		l->proxy_from = (struct trust){ v, c->proxy_from.n };
	}
	l->proxy = c->proxy;
	set_tls(l, c);
	if (other)
		listener_let_go(l, NULL, NULL);
}
