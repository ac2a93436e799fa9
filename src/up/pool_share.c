/*
 * Connections that many requests share: those of HTTP/2.  Workers.
 *
 * A request takes room on a connection that is open before another one is
 * dialled.  Who comes while the first is dialled waits for it, and is not
 * told of its dial but of its end; when it is there the first request gets
 * it, the others when the server has said how many it takes.  For those
 * who find no room then others are dialled, or they ask again.
 *
 * A connection is in the list of its server while it is not idle.  It is
 * promised to those who claimed it until their turn comes, which is soon.
 */
#include "up/pool_int.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "up/queue.h"

bool
pool_wants_h1(const struct server *s, const struct pool_wait *w)
{
	return w->h1 || (!w->h2 && server_wants_h1(s));
}

bool
pool_share_may(const struct server *s, const struct pool_wait *w)
{
	enum server_http	how = server_http(s);

	if (w->single || w->raw || w->first.n > 0)
		return false;
	/* what it has not yet said is waited for, once */
	return how == SERVER_H2 || (how == SERVER_ALPN && !s->spoke_h1 &&
	    !pool_wants_h1(s, w));
}

/* Places that nobody has been promised. */
static unsigned
room_of(const struct up_conn *c)
{
	unsigned	n;

	if (c->retired || c->gone)
		return 0;
	n = c->how->room(c->codec);
	return n > c->nwait ? n - c->nwait : 0;
}

/* How many may wait for one that is dialled. */
static unsigned
room_of_share(const struct pool_share *sh)
{
	unsigned	most = (unsigned)sh->server->upstream->pool.streams;
	unsigned	told = sh->server->multi->streams;

	/* nobody is to wait for what will take no more */
	if (sh->conn != NULL && !sh->conn->how->lasts(sh->conn->codec))
		return 0;
	if (told != 0 && told < most)
		most = told;
	return sh->n < most ? most - sh->n : 0;
}

uint32_t
pool_share_room(const struct server *s)
{
	struct list	*pos;
	uint32_t	 n = 0;

	if (s->multi == NULL)
		return 0;
	list_each(pos, &s->multi->shared)
		n += room_of(container_of(pos, struct up_conn, node));
	list_each(pos, &s->multi->shares)
		n += room_of_share(container_of(pos, struct pool_share,
		    node));
	return n;
}

void
pool_share_promise(struct up_conn *c, struct pool_wait *w)
{
	if (!c->shared) {
		c->shared = true;
		list_add(server_multi(c->server)->shared.prev, &c->node);
	}
	w->conn = c;
	list_add_tail(&c->waits, &w->node);
	c->nwait++;
}

void
pool_share_take_back(struct up_conn *c, struct pool_wait *w)
{
	must(c->nwait > 0);
	c->nwait--;
	list_del(&w->node);
}

static void
join(struct pool_share *sh, struct pool_wait *w)
{
	w->share = sh;
	sh->n++;
	list_add_tail(&sh->waits, &w->node);
}

bool
pool_share_claim(struct server *s, struct pool_wait *w)
{
	struct list		*pos;
	struct up_conn		*c;
	struct pool_share	*sh;

	if (s->multi == NULL || !pool_share_may(s, w))
		return false;
	list_each(pos, &s->multi->shared) {
		c = container_of(pos, struct up_conn, node);
		if (room_of(c) == 0)
			continue;
		w->reused = true;
		pool_share_promise(c, w);
		return true;
	}
	/* an idle one is better than to wait */
	if (s->nidle > 0)
		return false;
	list_each(pos, &s->multi->shares) {
		sh = container_of(pos, struct pool_share, node);
		if (room_of_share(sh) == 0)
			continue;
		join(sh, w);
		return true;
	}
	return false;
}

/* --- the end of a share --- */

static void
on_free(struct ev_task *t)
{
	struct pool_share	*sh = container_of(t, struct pool_share, free);
	struct upstream		*up = sh->server->upstream;

	pool_dial_end_raced(sh->raced);
	server_unref(&sh->server);
	upstream_put(&up);
	free(sh);
}

static void
end(struct pool_share *sh)
{
	struct ev	*ev = pool_loop(sh->server);
	struct up_conn	*c = sh->conn;

	must(list_is_empty(&sh->waits));
	list_del(&sh->node);
	ev_timer_off(ev, &sh->late);
	ev_cancel(&sh->spread);
	ev_post(ev, EV_FREE, &sh->free);
	if (c == NULL)
		return;
	sh->conn = NULL;
	c->share = NULL;
	if (c->given == 0 && c->nwait == 0 && !c->gone)
		pool_conn_rest(c);
}

static void
leave(struct pool_wait *w)
{
	struct pool_share	*sh = w->share;

	list_del(&w->node);
	sh->n--;
	w->share = NULL;
}

/* With nobody left what is dialled is not wanted; others may come yet. */
void
pool_share_leave(struct pool_wait *w)
{
	struct pool_share	*sh = w->share;

	leave(w);
	if (sh->n > 0 || sh->conn != NULL)
		return;
	pool_cancel(&sh->w);
	end(sh);
}

static struct server *
hold(struct server *s)
{
	if (s != NULL)
		s->upstream->uses++;
	return s != NULL ? server_ref(s) : NULL;
}

/*
 * What the dial has come to is what it has for each of them; what failed
 * is the first one's failure, and counts but once.
 */
static void
tell_of_dial(struct pool_share *sh, struct pool_wait *w)
{
	struct pool_wait	*from = &sh->w;

	w->server = from->server;
	w->dial_ns = from->dial_ns;
	w->what = from->what;
	w->error = from->error;
	w->raced = hold(sh->raced);
	w->lost = from->lost;
	w->lost_why = from->lost_why;
	w->counted = sh->failed;
	from->lost = NULL;
}

static void
refuse_all(struct pool_share *sh, const char *what, int error, enum fail why)
{
	struct pool_wait	*w;

	while (!list_is_empty(&sh->waits)) {
		w = container_of(sh->waits.next, struct pool_wait, node);
		leave(w);
		tell_of_dial(sh, w);
		sh->failed = true;
		pool_dial_refuse(w, what, error, why);
	}
	end(sh);
}

/* --- who gets it --- */

static void
give(struct up_conn *c, struct pool_share *sh)
{
	struct pool_wait	*w;

	w = container_of(sh->waits.next, struct pool_wait, node);
	leave(w);
	tell_of_dial(sh, w);
	w->reused = false;
	if (c->multi)
		pool_share_promise(c, w);
	else {
		c->wait = w;
		w->conn = c;
	}
	pool_dial_answer(w, FAIL_NONE);
}

/* It takes no more than it has: others are dialled for the rest. */
static void
dial_more(struct pool_share *sh)
{
	struct server		*s = sh->server;
	struct pool_wait	*w;
	uint32_t		 word = server_lease(s);

	while (!list_is_empty(&sh->waits)) {
		w = container_of(sh->waits.next, struct pool_wait, node);
		leave(w);
		w->server = s;
		if (pool_share_claim(s, w)) {
			if (w->share == NULL)
				pool_dial_answer(w, FAIL_NONE);
			continue;
		}
		if (word != 0 && !lease_take(s->upstream->serve->lease,
		    word - 1)) {
			pool_dial_send_back(w, FAIL_STREAM_REFUSED);
			continue;
		}
		w->lease = word;
		if (pool_share_may(s, w))
			pool_share_start(w);
		else
			pool_dial_start(w);
	}
}

static void
on_spread(struct ev_task *t)
{
	struct pool_share	*sh;
	struct up_conn		*c;

	sh = container_of(t, struct pool_share, spread);
	c = sh->conn;
	while (c != NULL && !list_is_empty(&sh->waits) && room_of(c) > 0)
		give(c, sh);
	list_del(&sh->node);
	dial_more(sh);
	end(sh);
}

/* The server said nothing, not even how many it takes. */
static void
on_late(struct timer *t)
{
	refuse_all(container_of(t, struct pool_share, late), "SETTINGS",
	    ETIMEDOUT, FAIL_DIAL_TIMEOUT);
}

static void
on_dialled(struct pool_wait *iw, struct up_conn *c, enum fail why)
{
	struct pool_share	*sh = container_of(iw, struct pool_share, w);

	sh->raced = hold(iw->raced);
	if (c == NULL) {
		refuse_all(sh, iw->what, iw->error, why);
		return;
	}
	/* it was given to nobody yet */
	c->given--;
	give(c, sh);
	if (c->multi) {
		/* who comes before it has told that waits, too */
		sh->conn = c;
		c->share = sh;
	}
	if (!c->multi || c->told) {
		ev_post(pool_loop(sh->server), EV_WAKE, &sh->spread);
		return;
	}
	if (iw->connect_ms > 0)
		ev_timer(pool_loop(sh->server), &sh->late, iw->connect_ms);
}

void
pool_share_start(struct pool_wait *w)
{
	struct pool_share	*sh = must_calloc(1, sizeof(*sh));
	struct server		*s = w->server;

	sh->server = server_ref(s);
	s->upstream->uses++;
	list_init(&sh->waits);
	list_add(server_multi(s)->shares.prev, &sh->node);
	ev_task_init(&sh->spread, on_spread);
	ev_task_init(&sh->free, on_free);
	timer_init(&sh->late, on_late);
	list_init(&sh->w.node);
	sh->w.on = on_dialled;
	sh->w.server = s;
	sh->w.connect_ms = w->connect_ms;
	sh->w.lease = w->lease;
	sh->w.h2 = w->h2;
	w->lease = 0;
	join(sh, w);
	pool_dial_init(&sh->w);
	pool_dial_start(&sh->w);
}

/* --- what happens to a connection --- */

void
pool_share_room_came(struct up_conn *c)
{
	if (!c->gone && room_of(c) > 0)
		queue_note_room(c->upstream);
}

void
pool_share_note(struct up_conn *c)
{
	unsigned	n = c->how->room(c->codec);

	c->told = true;
	if (n > 0)
		server_multi(c->server)->streams = n + c->given;
	if (c->share != NULL)
		ev_post(pool_loop(c->server), EV_WAKE, &c->share->spread);
	pool_share_room_came(c);
}

/* Who waits for what it has said, and is told of nothing but its end. */
static void
send_back_all(struct pool_share *sh)
{
	struct pool_wait	*w;

	while (!list_is_empty(&sh->waits)) {
		w = container_of(sh->waits.next, struct pool_wait, node);
		leave(w);
		w->server = sh->server;
		pool_dial_send_back(w, FAIL_SERVER_GOAWAY);
	}
	end(sh);
}

/* They had nothing sent: each chooses anew. */
void
pool_share_end(struct up_conn *c)
{
	struct pool_wait	*w;

	while (!list_is_empty(&c->waits)) {
		w = container_of(c->waits.next, struct pool_wait, node);
		pool_share_take_back(c, w);
		w->conn = NULL;
		ev_cancel(&w->wake);
		pool_dial_send_back(w, FAIL_SERVER_GOAWAY);
	}
	if (c->share != NULL)
		send_back_all(c->share);
}

bool
pool_share_ends(const struct server *s)
{
	struct list	*pos;

	if (s->multi == NULL)
		return false;
	list_each(pos, &s->multi->shared)
		if (container_of(pos, struct up_conn, node)->retired)
			return true;
	return false;
}

void
pool_share_retire(struct server *s)
{
	struct list	*pos, *tmp;

	if (s->multi == NULL)
		return;
	list_each(pos, &s->multi->shared)
		container_of(pos, struct up_conn, node)->retired = true;
	/* nobody else joins what is dialled */
	list_each_safe(pos, tmp, &s->multi->shares)
		list_del(pos);
}
