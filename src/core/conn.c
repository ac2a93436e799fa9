/*
 * Client connections: what stands between an accepted descriptor and the
 * codec.  Workers and control.
 *
 * A connection is in one of two lists of its process: busy, or idle, where
 * the longest idle one stands first and is the first to go when there is
 * need.  The codec owns it from open to gone().
 */
#include "core/conn.h"

#include <unistd.h>

#include "base/must.h"
#include "codec/raw/raw.h"
#include "core/board.h"
#include "core/greet.h"
#include "core/listener_limit.h"
#include "core/secure.h"
#include "core/version.h"
#include "io/tls.h"

static void
on_free(struct ev_task *t)
{
	struct conn	*c = container_of(t, struct conn, free);
	struct listener	*l = c->listener;
	struct serve	*s = l->serve;

	slab_put(&s->conns, c);
	s->nconn--;
	listener_unref(l);
	serve_check_drained(s);
}

/* Connections of the control socket are nobody's clients. */
static bool
is_counted(const struct conn *c)
{
	return c->listener->serve->only == NULL;
}

static void
set_idle(struct conn *c, bool idle)
{
	struct serve	*s = c->listener->serve;

	if (c->idle == idle)
		return;
	c->idle = idle;
	list_del(&c->node);
	list_add_tail(idle ? &s->conns_idle : &s->conns_open, &c->node);
	if (is_counted(c))
		stat_add(STAT_CONNS_IDLE, idle ? 1 : (uint64_t)-1);
}

void
conn_on_idle(void *ctx, bool idle)
{
	set_idle(ctx, idle);
}

void
conn_on_note(void *ctx, enum codec_note what)
{
	/* what of it counts; 0: nothing */
	static const enum stat_id	ids[] = {
		[CODEC_GOAWAY] = STAT_H2_GOAWAY,
		[CODEC_BYE] = STAT_H2_GOAWAY_SENT,
		[CODEC_PINGED] = STAT_H2_PINGS,
		[CODEC_OPENED] = STAT_H2_OPEN,
		[CODEC_REFUSED] = STAT_H2_REFUSED,
		[CODEC_RESET] = STAT_H2_RESETS,
		[CODEC_DID_RESET] = STAT_H2_RESETS_SENT
	};

	if (!is_counted(ctx))
		return;
	if (what == CODEC_OPENED)
		stat_add(STAT_H2_STREAMS, 1);
	if (what == CODEC_CLOSED)
		stat_sub(STAT_H2_OPEN, 1);
	else if (what < sizeof(ids) / sizeof(ids[0]) && ids[what] != 0)
		stat_add(ids[what], 1);
}

static const struct server_codec *
codec_of(const struct conn *c)
{
	return c->raw ? &raw_server : codecs[c->http].server;
}

/* What ended the connection as a whole; its requests count besides. */
static void
count_end(struct conn *c, enum fail why)
{
	struct listener_end	 e = { .peer = &c->peer, .why = why,
	    .more = fail_row(why)->text };
	const char		*more = NULL;

	if ((fail_row(why)->flags & FAIL_F_N) == 0)
		return;
	stat_add(STAT_FAIL(why), 1);
	last_note_client(why, e.peer, ev_wall_ms(c->listener->serve->ev));
	if (c->codec != NULL && codec_of(c)->what != NULL)
		more = codec_of(c)->what(c->codec);
	if (more != NULL)
		e.more = more;
	listener_say(c->listener, &e);
}

/* The codec has closed the io; its own memory goes before ours. */
void
conn_on_gone(void *ctx, enum fail why)
{
	struct conn	*c = ctx;

	count_end(c, why);
	set_idle(c, false);
	c->codec = NULL;
	list_del(&c->node);
	if (is_counted(c))
		stat_sub(STAT_CONNS, 1);
	listener_give(c->listener, &c->hold);
	ev_task_init(&c->free, on_free);
	ev_post(c->listener->serve->ev, EV_FREE, &c->free);
}

void
conn_open(struct listener *l, int fd, const struct sock_addr *peer,
    struct listener_hold hold)
{
	struct serve	*s = l->serve;
	struct conn	*c = slab_get(&s->conns);
	unsigned	 caps = IO_C_SPLICE | IO_C_SENDFILE | IO_C_TRY;

	memset(c, 0, sizeof(*c));
	if (peer->u.sa.sa_family == AF_UNIX)
		caps |= IO_C_LOCAL;
	if (io_sock_open(&c->io, s->ev, fd, caps, NULL, NULL) == -1) {
		slab_put(&s->conns, c);
		close(fd);
		listener_give(l, &hold);
		stat_add(STAT_ACCEPT_ERRORS, 1);
		return;
	}
	c->listener = l;
	c->hold = hold;
	c->no = ++s->conn_no;
	sock_peer(&c->peer, peer);
	list_add_tail(&s->conns_open, &c->node);
	l->refs++;
	s->nconn++;
	if (is_counted(c)) {
		stat_add(STAT_CONNS_TOTAL, 1);
		stat_add(STAT_CONNS, 1);
	}
	if (l->proxy || l->tls != NULL)
		greet_start(c);
	else
		version_start(c, STR(""));
}

void
conn_begin(struct conn *c)
{
	struct listener	*l = c->listener;
	bool		 drain = c->draining;

	if (codec_of(c) == &h2_server && is_counted(c))
		stat_add(STAT_CONNS_H2, 1);
	c->codec = codec_of(c)->open(&c->io, &l->env, c);
	c->draining = false;
	if (drain || l->serve->draining || l->retired)
		conn_drain(c);
}

SSL *
conn_tls(const struct conn *c)
{
	return tls_ssl(&c->io);
}

bool
conn_is_secure(const struct conn *c)
{
	return (c->io.caps & IO_C_SECURE) != 0;
}

static void
drain(struct conn *c, bool now)
{
	if ((c->draining && !now) || c->codec == NULL)
		return;
	c->draining = true;
	if (!c->greeting && !c->sniffing)
		codec_of(c)->drain(c->codec, now);
}

void
conn_drain(struct conn *c)
{
	drain(c, false);
}

void
conn_close(struct conn *c, enum fail why)
{
	if (c->greeting)
		greet_close(c, why);
	else if (c->sniffing)
		version_close(c);
	else if (c->codec != NULL)
		codec_of(c)->close(c->codec, why);
}

struct io *
conn_take(struct conn *c, struct chunk *rest)
{
	return codec_of(c)->take(c->codec, rest);
}

unsigned
conn_close_idle(struct serve *s, unsigned n)
{
	struct list	*pos, *tmp;
	unsigned	 done = 0;

	list_each_safe(pos, tmp, &s->conns_idle) {
		if (done == n)
			break;
		conn_close(container_of(pos, struct conn, node), FAIL_NONE);
		done++;
	}
	return done;
}

/* Calls fn for each; it may take the connection out. */
static void
each(struct list *head, void (*fn)(struct conn *, const void *),
    const void *arg)
{
	struct list	*pos, *tmp;

	list_each_safe(pos, tmp, head)
		fn(container_of(pos, struct conn, node), arg);
}

static void
drain_one(struct conn *c, const void *listener)
{
	if (listener == NULL || c->listener == listener)
		conn_drain(c);
}

static void
close_one(struct conn *c, const void *why)
{
	conn_close(c, *(const enum fail *)why);
}

static void
close_other(struct conn *c, const void *why)
{
	if (!c->spared)
		close_one(c, why);
}

void
conn_drain_all(struct serve *s, const struct listener *l)
{
	each(&s->conns_open, drain_one, l);
	each(&s->conns_idle, drain_one, l);
}

void
conn_let_go(struct listener *l, bool cut, conn_keeps_fn keeps,
    const void *arg)
{
	struct list	*heads[] = { &l->serve->conns_open,
		&l->serve->conns_idle };
	struct list	*pos, *tmp;
	struct conn	*c;

	for (unsigned i = 0; i < 2; i++)
		list_each_safe(pos, tmp, heads[i]) {
			c = container_of(pos, struct conn, node);
			if (c->listener != l ||
			    (keeps != NULL && keeps(c, arg)))
				continue;
			if (cut)
				conn_close(c, FAIL_DRAINING);
			else
				drain(c, secure_is_asked(c));
		}
}

void
conn_close_all(struct serve *s, enum fail why, bool streams)
{
	each(&s->conns_open, streams ? close_one : close_other, &why);
	each(&s->conns_idle, close_one, &why);
}
