/*
 * The pool of a server's idle connections, and what it hands out.
 * Workers.
 *
 * Who wants a connection claims an idle one, or a place among those that
 * the server may have, which is dialled then (up/pool_dial.c).  What a
 * connection is, and how it ends: up/pool_conn.c.
 */
#include "up/pool.h"

#include "base/must.h"
#include "up/pool_int.h"
#include "up/queue.h"
#include "up/server_use.h"

/*
 * Those above pool.size last so long: a burst that comes again finds them,
 * and only when it does not are they too many.
 */
#define SPARE_MS	1000

/* One timer per server, for the one that is to end first. */
static void
arm_idle(struct server *s, uint64_t until)
{
	uint64_t	now = ev_ms(pool_loop(s));

	if (timer_is_armed(&s->idle_end) && s->idle_end.due <= until)
		return;
	ev_timer(pool_loop(s), &s->idle_end, until > now ? until - now : 1);
}

static void
on_idle_end(struct timer *t)
{
	struct server	*s = container_of(t, struct server, idle_end);
	uint64_t	 now = ev_ms(pool_loop(s));
	uint64_t	 next = UINT64_MAX;
	struct list	*pos, *tmp;
	struct up_conn	*c;

	list_each_safe(pos, tmp, &s->idle) {
		c = container_of(pos, struct up_conn, node);
		if (c->until_ms <= now)
			pool_conn_close(c);
		else if (c->until_ms < next)
			next = c->until_ms;
	}
	if (next != UINT64_MAX)
		arm_idle(s, next);
}

void
pool_init(struct server *s)
{
	list_init(&s->idle);
	timer_init(&s->idle_end, on_idle_end);
}

/*
 * The one used last that its server has not closed, as far as events have
 * told; who could not send again has it looked at.  False: none.
 */
static bool
claim_idle(struct server *s, struct pool_wait *w)
{
	uint64_t	 now = ev_ms(pool_loop(s));
	struct list	*pos, *tmp;
	struct up_conn	*c;

	list_each_safe(pos, tmp, &s->idle) {
		c = container_of(pos, struct up_conn, node);
		if (c->multi ? pool_wants_h1(s, w) :
		    w->h2 && server_wants_h1(s))
			continue;
		if (c->until_ms <= now || (w->careful &&
		    !io_is_quiet(&c->io))) {
			pool_conn_close(c);
			continue;
		}
		pool_conn_leave(c);
		w->reused = true;
		if (c->multi)
			pool_share_promise(c, w);
		else {
			c->wait = w;
			w->conn = c;
		}
		return true;
	}
	return false;
}

/* A place for a new connection; an idle one is closed to make it. */
static bool
claim_place(struct server *s, struct pool_wait *w)
{
	uint32_t	 word = server_lease(s);
	struct up_conn	*c;

	while (word != 0 && !lease_take(s->upstream->serve->lease, word - 1)) {
		if (s->nidle == 0)
			return false;
		c = container_of(s->idle.prev, struct up_conn, node);
		w->lease = c->lease;
		c->lease = 0;
		pool_conn_close(c);
		if (w->lease != 0)
			return true;
	}
	w->lease = word;
	return true;
}

bool
pool_claim(struct server *s, struct pool_wait *w, bool fresh)
{
	w->server = s;
	w->conn = NULL;
	w->lease = 0;
	w->reused = false;
	w->share = NULL;
	list_init(&w->node);
	fresh = fresh || w->single || w->first.n > 0;
	w->claimed = pool_share_claim(s, w) || (!fresh && claim_idle(s, w)) ||
	    claim_place(s, w);
	return w->claimed;
}

uint32_t
pool_room(const struct server *s)
{
	uint32_t	word = server_lease(s), n, more;

	if (word == 0)
		return UINT32_MAX;
	n = lease_room(s->upstream->serve->lease, word - 1);
	more = s->nidle + pool_share_room(s);
	return n > UINT32_MAX - more ? UINT32_MAX : n + more;
}

void
pool_get(struct server *s, struct pool_wait *w, uint64_t connect_ms,
    bool fresh)
{
	bool	ok = w->claimed || pool_claim(s, w, fresh);

	must(w->server == s);
	w->connect_ms = connect_ms;
	w->claimed = false;
	pool_dial_init(w);
	if (!ok)
		pool_dial_refuse(w, "connect", 0, FAIL_DIAL_LIMIT);
	else if (w->share != NULL)
		return;
	else if (w->conn == NULL && pool_share_may(s, w))
		pool_share_start(w);
	else if (w->conn == NULL)
		pool_dial_start(w);
	else {
		stat_add(STAT_UP_REUSED, 1);
		pool_dial_answer(w, FAIL_NONE);
	}
}

/*
 * How long it may be idle: what the server says is taken with a margin,
 * for its clock began when it had sent what is only received now.
 */
static uint64_t
idle_until(const struct up_conn *c)
{
	const struct pool_limits	*l = &c->upstream->pool;
	uint64_t			 ms = l->idle;
	uint64_t			 told = c->keep_s * 1000ULL;
	uint64_t			 until;

	if (told != 0) {
		told -= told / 4 < 1000 ? told / 4 : 1000;
		ms = told < ms ? told : ms;
	}
	until = ev_ms(c->env.ev) + ms;
	if (l->age != 0 && c->born_ms + l->age < until)
		until = c->born_ms + l->age;
	return until;
}

static void
add_idle(struct up_conn *c)
{
	struct server	*s = c->server;
	uint64_t	 spare = ev_ms(pool_loop(s)) + SPARE_MS;

	if (s->nidle >= (uint64_t)s->upstream->pool.size &&
	    c->until_ms > spare)
		c->until_ms = spare;
	c->idle = true;
	list_add(&s->idle, &c->node);
	use_idle(s, 1);
	stat_add(STAT_UP_IDLE, 1);
	s->nidle++;
	arm_idle(s, c->until_ms);
}

/* A limit that was lowered takes what is over it as it comes back. */
static bool
is_over_limit(const struct server *s)
{
	uint32_t	word = server_lease(s);

	return word != 0 && lease_over(s->upstream->serve->lease, word - 1);
}

/* By pool.*; until_ms is set. */
static bool
may_stay(const struct up_conn *c)
{
	const struct pool_limits	*l = &c->upstream->pool;

	return l->size > 0 && c->until_ms > ev_ms(c->env.ev) &&
	    (l->requests == 0 || c->uses < (uint64_t)l->requests);
}

/* It may be full just now, of what is over and not yet told of. */
static bool
takes_more(const struct up_conn *c)
{
	return c->how->lasts != NULL ? c->how->lasts(c->codec) :
	    c->how->room(c->codec) > 0;
}

/* A twin that no generation names keeps nothing, a server that left too. */
static bool
may_idle(const struct up_conn *c)
{
	const struct upstream	*up = c->upstream;

	return !c->single && !c->retired && up->cur && !up->serve->draining &&
	    !c->server->left && pool_tls_fits(c) && may_stay(c) &&
	    !is_over_limit(c->server) && takes_more(c);
}

/* Others have it still: is it to take more of them? */
static void
put_shared(struct up_conn *c)
{
	const struct pool_limits	*l = &c->upstream->pool;

	if ((l->age != 0 && c->born_ms + l->age <= ev_ms(c->env.ev)) ||
	    (l->requests != 0 && c->uses >= (uint64_t)l->requests) ||
	    !c->upstream->cur || c->upstream->serve->draining ||
	    c->server->left || !pool_tls_fits(c) || is_over_limit(c->server))
		c->retired = true;
	/* one at a time: its place is for another process */
	else if (!queue_lets_idle(c->server) && !pool_share_ends(c->server))
		c->retired = true;
	if (!c->retired)
		queue_note_room(c->upstream);
}

static void
put_back(struct up_conn *c, bool reusable)
{
	if (c->given > 0 || c->nwait > 0 || c->share != NULL) {
		put_shared(c);
		return;
	}
	pool_conn_leave(c);
	c->until_ms = idle_until(c);
	if (reusable && may_idle(c) && queue_lets_idle(c->server)) {
		add_idle(c);
		queue_note_idle(c->server);
	} else
		/* Later: its codec may be the caller. */
		ev_post(pool_loop(c->server), EV_WAKE, &c->close);
}

void
pool_conn_rest(struct up_conn *c)
{
	put_back(c, true);
}

void
pool_put(struct up_conn *c, bool reusable)
{
	must(c->given > 0);
	c->given--;
	if (c->stream != NULL && c->stream->keep)
		c->keep_s = c->stream->keep_s;
	c->stream = NULL;
	if (!c->gone)
		put_back(c, reusable || c->multi);
	else if (c->given == 0)
		ev_post(pool_loop(c->server), EV_FREE, &c->free);
}

void
pool_cancel(struct pool_wait *w)
{
	struct up_conn	*c = w->conn;
	struct server	*raced = NULL;

	if (!w->waiting && !w->claimed)
		return;
	if (w->share != NULL)
		pool_share_leave(w);
	else if (c != NULL && c->multi && !list_is_empty(&w->node))
		pool_share_take_back(c, w);
	if (w->waiting)
		raced = pool_dial_cancel(w);
	w->waiting = w->claimed = false;
	w->conn = NULL;
	if (w->lease != 0) {
		lease_give(w->server->upstream->serve->lease, w->lease - 1);
		queue_note_place(w->server->upstream);
	}
	w->lease = 0;
	if (c != NULL) {
		c->wait = NULL;
		if (c->codec == NULL)
			pool_dial_drop(c);
		else
			put_back(c, true);
	}
	pool_dial_end_raced(raced);
}

struct str
pool_version(const struct up_conn *c)
{
	return c->how == &h2_client ? STR("2.0") : STR("1.1");
}

struct stream *
pool_stream(struct up_conn *c, struct arena *arena)
{
	struct stream	*s = c->how->request(c->codec, arena);

	s->reused = c->uses++ > 0;
	if (c->multi)
		stat_add(STAT_UP_H2_STREAMS, 1);
	else
		c->stream = s;
	return s;
}

struct io *
pool_take(struct up_conn *c, struct chunk *rest)
{
	return c->how->take(c->codec, rest);
}

void
pool_close(struct up_conn *c)
{
	must(c->given > 0);
	pool_conn_close(c);
}

void
pool_give_up(struct server *s, unsigned n)
{
	struct list	*pos, *tmp;
	struct up_conn	*c;

	for (pos = s->idle.prev; pos != &s->idle; pos = tmp) {
		tmp = pos->prev;
		c = container_of(pos, struct up_conn, node);
		if (n == 0 && !is_over_limit(s))
			return;
		if (c->lease == 0)
			continue;
		n -= n > 0;
		pool_conn_close(c);
	}
}

void
pool_close_idle(struct server *s)
{
	while (s->nidle > 0)
		pool_conn_close(container_of(s->idle.next, struct up_conn,
		    node));
	pool_share_retire(s);
}

void
pool_move_idle(struct server *from, struct server *to)
{
	struct up_conn	*c;
	struct upstream	*old;
	uint64_t	 until;

	while (to != NULL && from->nidle > 0 && server_tls_same(from, to) &&
	    server_http(from) == server_http(to)) {
		c = container_of(from->idle.prev, struct up_conn, node);
		old = c->upstream;
		pool_conn_leave(c);
		from->nopen--;
		use_open(from, -1);
		to->nopen++;
		use_open(to, 1);
		server_unref(&c->server);
		c->server = server_ref(to);
		c->upstream = to->upstream;
		c->upstream->uses++;
		pool_conn_limit(c);
		pool_tls_move(c, to);
		/* by the keys of now, which may be tighter */
		until = idle_until(c);
		c->until_ms = until < c->until_ms ? until : c->until_ms;
		if (may_stay(c)) {
			add_idle(c);
			queue_note_idle(to);
		} else
			pool_conn_close(c);
		upstream_put(&old);
	}
}
