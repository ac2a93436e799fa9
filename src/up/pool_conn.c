/*
 * The life of a connection to a server.  Workers.
 *
 * A connection is dialling, given (to one exchange), idle or gone.  While
 * it is open it counts as a use of its upstream and holds a lease of its
 * server, if that has a limit.  Its codec owns the io from the end of the
 * dial on and tells by gone() that the connection ended, also while it is
 * idle.  A connection that is given is freed when both sides have let go:
 * the codec by gone(), the exchange by pool_put().
 */
#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "up/pool_int.h"
#include "up/queue.h"
#include "up/server_use.h"

struct ev *
pool_loop(const struct server *s)
{
	return s->upstream->serve->ev;
}

/* --- its end --- */

/* In the second batch of frees: the codec's own may need env until then. */
static void
on_free(struct ev_task *t)
{
	struct up_conn	*c = container_of(t, struct up_conn, free);

	if (!c->late) {
		c->late = true;
		ev_post(pool_loop(c->server), EV_FREE, t);
		return;
	}
	ev_cancel(&c->close);
	server_unref(&c->server);
	upstream_put(&c->upstream);
	free(c);
}

void
pool_conn_leave(struct up_conn *c)
{
	struct server	*s = c->server;

	if (c->shared)
		list_del(&c->node);
	c->shared = false;
	if (!c->idle)
		return;
	c->idle = false;
	list_del(&c->node);
	s->nidle--;
	use_idle(s, -1);
	stat_sub(STAT_UP_IDLE, 1);
}

static void
give_place(struct up_conn *c)
{
	if (c->lease == 0)
		return;
	lease_give(c->upstream->serve->lease, c->lease - 1);
	c->lease = 0;
	queue_note_place(c->upstream);
}

/* The transport is closed: counts and lease go at once, memory later. */
void
pool_conn_end(struct up_conn *c)
{
	struct pool_wait	*w = c->wait;

	must(!c->gone);
	c->gone = true;
	pool_conn_leave(c);
	c->server->nopen--;
	use_open(c->server, -1);
	stat_sub(STAT_UP_CONNS, 1);
	/* Who dials anew in its place has its place. */
	if (w != NULL && w->reused) {
		w->lease = c->lease;
		c->lease = 0;
	}
	give_place(c);
	c->wait = NULL;
	pool_share_end(c);
	if (c->given == 0)
		ev_post(pool_loop(c->server), EV_FREE, &c->free);
	if (w == NULL)
		return;
	/* It died before it was handed over. */
	w->conn = NULL;
	ev_cancel(&w->wake);
	if (w->reused)
		pool_dial_start(w);
	else
		pool_dial_refuse(w, "connect", ECONNRESET, FAIL_DIAL_ERROR);
}

/* What of it counts; 0: nothing. */
static const enum stat_id counts[] = {
	[CODEC_GOAWAY] = STAT_UP_H2_GOAWAY,
	[CODEC_BYE] = STAT_UP_H2_GOAWAY_SENT,
	[CODEC_PING] = STAT_UP_H2_PINGS,
	[CODEC_OPENED] = STAT_UP_H2_OPEN,
	[CODEC_RESET] = STAT_UP_H2_RESETS,
	[CODEC_DID_RESET] = STAT_UP_H2_RESETS_SENT
};

/* From within the codec: what follows is done from a wake. */
static void
on_note(void *ctx, enum codec_note what)
{
	if (what == CODEC_CLOSED)
		stat_sub(STAT_UP_H2_OPEN, 1);
	else if (what < sizeof(counts) / sizeof(counts[0]) &&
	    counts[what] != 0)
		stat_add(counts[what], 1);
	if (what == CODEC_ROOM || what == CODEC_GOAWAY)
		pool_share_note(ctx);
	if (what == CODEC_GOAWAY || what == CODEC_LOST)
		pool_share_end(ctx);
	if (what == CODEC_PLACE)
		pool_share_room_came(ctx);
}

static void
on_gone(void *ctx, enum fail why)
{
	(void)why;
	pool_conn_end(ctx);
}

void
pool_conn_close(struct up_conn *c)
{
	if (!c->gone)
		c->how->close(c->codec, FAIL_NONE);
}

static void
on_close(struct ev_task *t)
{
	pool_conn_close(container_of(t, struct up_conn, close));
}

/* --- its beginning --- */

/* One per connection: it may go over to another twin of its server. */
static void
set_env(struct codec_env *env, struct serve *serve)
{
	*env = (struct codec_env){
		.ev = serve->ev,
		.pages = &serve->pages,
		.pipes = &serve->pipes,
		.arenas = &serve->arenas,
		.sizes = &serve->sizes,
		.conns = &serve->codecs,
		.limits = {
			/* servers are trusted with larger heads */
			.header_bytes = 65536,
			.header_field = 32768,
			.header_count = 256,
			.write_ms = 60000
		},
		.gone = on_gone,
		.note = on_note,
		.date = serve->date
	};
}

/* Of many that were opened together some are older, so they end apart. */
static uint64_t
birth(struct server *s)
{
	struct serve	*serve = s->upstream->serve;
	uint64_t	 ms = ev_ms(serve->ev);
	uint64_t	 early;

	early = rand_below(&serve->rand, s->upstream->pool.age / 10 + 1);
	return early < ms ? ms - early : 0;
}

void
pool_conn_limit(struct up_conn *c)
{
	const struct pool_limits	*l = &c->upstream->pool;

	c->env.limits.streams = (uint64_t)l->streams;
	c->env.limits.ping_ms = l->ping;
}

struct up_conn *
pool_conn_new(struct server *s, uint32_t lease)
{
	struct up_conn	*c = must_calloc(1, sizeof(*c));

	list_init(&c->node);
	ev_task_init(&c->close, on_close);
	ev_task_init(&c->free, on_free);
	c->server = server_ref(s);
	c->upstream = s->upstream;
	c->upstream->uses++;
	c->lease = lease;
	c->how = &h1_client;
	set_env(&c->env, s->upstream->serve);
	pool_conn_limit(c);
	list_init(&c->waits);
	c->born_ms = birth(s);
	s->nopen++;
	use_open(s, 1);
	stat_add(STAT_UP_CONNS, 1);
	return c;
}
