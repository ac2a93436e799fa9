/*
 * The header of the PROXY protocol, as a listener demands it.  Workers.
 */
#include "core/greet.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/board.h"
#include "core/listener_limit.h"
#include "core/version.h"
#include "io/proxy_proto.h"

/* of serve.codecs, whose memory the codec takes over */
struct greet {
	struct conn	*c;		/* ref */
	struct timer	 timer;
	struct ev_task	 task;
};
_Static_assert(sizeof(struct greet) <= CODEC_CONN_MAX, "a greeting");

static struct ev *
loop_of(const struct greet *g)
{
	return g->c->listener->serve->ev;
}

/* --- the end --- */

static void
drop(struct greet *g)
{
	struct conn	*c = g->c;

	ev_timer_off(loop_of(g), &g->timer);
	ev_cancel(&g->task);
	c->greet = NULL;
	c->greeting = false;
	slab_put(&c->listener->serve->codecs, g);
}

/* Nobody can be answered: it is not known in which language. */
static void
refuse(struct greet *g, enum fail why, const char *more)
{
	struct conn	*c = g->c;
	struct last_who	 nobody = { .id = STR_INIT("") };

	if (why != FAIL_NONE) {
		stat_add(STAT_FAIL(why), 1);
		last_note(why, &nobody, ev_wall_ms(loop_of(g)));
		listener_say(c->listener, &c->peer, why, more);
	}
	drop(g);
	io_close(&c->io, false);
	conn_on_gone(c, why);
}

void
greet_close(struct conn *c, enum fail why)
{
	(void)why;
	refuse(c->greet, FAIL_NONE, "");
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
		refuse(g, FAIL_NONE, "");
		return;
	}
	if (p->told)
		c->peer = p->from;
	if (!listener_admits(c->listener, &c->peer, &c->hold)) {
		refuse(g, FAIL_NONE, "");
		return;
	}
	drop(g);
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
		refuse(g, FAIL_NONE, "");
		return;
	}
	switch (proxy_proto_parse(str_make(buf, got), &p)) {
	case PROXY_PROTO_DONE:
		begin(g, &p);
		return;
	case PROXY_PROTO_BAD:
		refuse(g, FAIL_BAD_PROXY_HEADER, p.why);
		return;
	case PROXY_PROTO_MORE:
		break;
	}
	io->fd.ready &= (uint8_t)~IO_R;
	if (io->fd.ready & IO_GONE)
		refuse(g, FAIL_BAD_PROXY_HEADER, "it ends early");
	else if (io_watch(io) == -1)
		refuse(g, FAIL_NONE, "");
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
	look(container_of(t, struct greet, task));
}

static void
on_timer(struct timer *t)
{
	refuse(container_of(t, struct greet, timer), FAIL_BAD_PROXY_HEADER,
	    "it took too long");
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
	ev_task_init(&g->task, on_task);
	c->io.on = on_io;
	c->io.ctx = g;
	if (!may_speak(c)) {
		refuse(g, FAIL_PROXY_REFUSED,
		    "proxy_protocol_from does not name it");
		return;
	}
	ev_timer(l->serve->ev, &g->timer, l->env.limits.header_ms);
	ev_post(l->serve->ev, EV_READY, &g->task);
}

/* --- configuration --- */

void
greet_free_conf(struct listener *l)
{
	free((void *)(uintptr_t)l->proxy_from.v);
	l->proxy_from = (struct trust){ NULL, 0 };
}

/* Who came by the rule of before came by another one. */
static bool
is_other(const struct listener *l, const struct listener_conf *c)
{
	const struct net	*a, *b;

	if (l->name.p == NULL || (!l->proxy && !c->proxy))
		return false;
	if (l->proxy != c->proxy || l->proxy_from.n != c->proxy_from.n)
		return true;
	for (size_t i = 0; i < c->proxy_from.n; i++) {
		a = &l->proxy_from.v[i];
		b = &c->proxy_from.v[i];
		if (memcmp(a->ip, b->ip, 16) != 0 || a->bits != b->bits ||
		    a->unix_peers != b->unix_peers)
			return true;
	}
	return false;
}

/* A listener outlives its generation: the networks are copied. */
void
greet_set_conf(struct listener *l, const struct listener_conf *c)
{
	size_t		 size = c->proxy_from.n * sizeof(struct net);
	bool		 other = is_other(l, c);
	struct net	*v = NULL;

	greet_free_conf(l);
	if (size > 0) {
		v = must_alloc(size);
		memcpy(v, c->proxy_from.v, size);
		l->proxy_from = (struct trust){ v, c->proxy_from.n };
	}
	l->proxy = c->proxy;
	if (other)
		listener_let_go(l);
}
