/*
 * Connections to servers.  Workers.
 *
 * A connection is dialling, given (to one exchange), idle or gone.  While
 * it is open it counts as a use of its upstream and holds a lease of its
 * server, if that has a limit.  Its codec owns the io from the end of the
 * dial on and tells by gone() that the connection ended, also while it is
 * idle.  A connection that is given is freed when both sides have let go:
 * the codec by gone(), the exchange by pool_put().
 */
#include "up/pool_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"
#include "up/dial_fail.h"
#include "up/names.h"
#include "up/queue.h"
#include "up/server_use.h"

#define RACE_MS	250	/* until another address of a name is dialled */

static void start_dial(struct pool_wait *);
static void refuse(struct pool_wait *, const char *, int, enum fail);

static struct ev *
loop_of(const struct server *s)
{
	return s->upstream->serve->ev;
}

/* --- the end of a connection --- */

/* In the second batch of frees: the codec's own may need env until then. */
static void
on_free(struct ev_task *t)
{
	struct up_conn	*c = container_of(t, struct up_conn, free);

	if (!c->late) {
		c->late = true;
		ev_post(loop_of(c->server), EV_FREE, t);
		return;
	}
	ev_cancel(&c->close);
	server_unref(&c->server);
	upstream_put(&c->upstream);
	free(c);
}

static void
leave_idle(struct up_conn *c)
{
	struct server	*s = c->server;

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
static void
end_conn(struct up_conn *c)
{
	struct pool_wait	*w = c->wait;

	must(!c->gone);
	c->gone = true;
	leave_idle(c);
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
	if (!c->given)
		ev_post(loop_of(c->server), EV_FREE, &c->free);
	if (w == NULL)
		return;
	/* It died before it was handed over. */
	w->conn = NULL;
	ev_cancel(&w->wake);
	if (w->reused)
		start_dial(w);
	else
		refuse(w, "connect", ECONNRESET, FAIL_DIAL_ERROR);
}

static void
on_gone(void *ctx, enum fail why)
{
	(void)why;
	end_conn(ctx);
}

static void
close_conn(struct up_conn *c)
{
	if (!c->gone)
		c->how->close(c->codec, FAIL_NONE);
}

static void
on_close(struct ev_task *t)
{
	close_conn(container_of(t, struct up_conn, close));
}

/* --- answering a wait --- */

/* Nobody asks any more for the server that was dialled besides. */
static void
end_raced(struct server *s)
{
	struct upstream	*up;

	if (s == NULL)
		return;
	up = s->upstream;
	server_unref(&s);
	upstream_put(&up);
}

static void
on_answer(struct ev_task *t)
{
	struct pool_wait	*w = container_of(t, struct pool_wait, wake);
	struct up_conn		*c = w->conn;
	struct server		*raced = w->raced;

	w->waiting = false;
	w->conn = NULL;
	w->raced = NULL;
	if (c != NULL) {
		c->wait = NULL;
		c->given = true;
	}
	w->on(w, c, w->why);
	end_raced(raced);
}

static void
answer(struct pool_wait *w, enum fail why)
{
	struct ev	*ev = loop_of(w->server);

	ev_timer_off(ev, &w->deadline);
	ev_timer_off(ev, &w->race);
	w->why = why;
	ev_post(ev, EV_WAKE, &w->wake);
}

/* --- dialling --- */

static void
refuse(struct pool_wait *w, const char *what, int error, enum fail why)
{
	w->what = what;
	w->error = error;
	answer(w, why);
}

/* A dial that comes to nothing; the wait is told, or does not care. */
static void
drop_dial(struct up_conn *c)
{
	c->wait = NULL;
	io_close(&c->io, false);
	end_conn(c);
}

/* It leaves with the request; into the buffer of a new socket it fits. */
static bool
write_first(struct up_conn *c, struct str s)
{
	struct iovec	v = { (void *)(uintptr_t)s.p, s.n };
	size_t		n = 0;

	return s.n == 0 || (io_writev(&c->io, &v, 1, IO_MORE, &n) == IO_OK &&
	    n == s.n);
}

void
pool_refuse(struct up_conn *c, const char *what, int error, enum fail why)
{
	struct pool_wait	*w = c->wait;

	w->conn = NULL;
	drop_dial(c);
	refuse(w, what, error, why);
}

/* Connected: what goes ahead, then TLS or the codec. */
static void
begin_conn(struct up_conn *c)
{
	if (!write_first(c, c->wait->first))
		pool_refuse(c, "write", c->io.error, FAIL_DIAL_ERROR);
	else if (c->server->peer != NULL)
		pool_shake(c);
	else
		pool_begin(c);
}

void
pool_begin(struct up_conn *c)
{
	struct pool_wait	*w = c->wait;

	c->single = w->single || w->first.n > 0;
	w->dial_ns = ev_clock_ns() - w->begun_ns;
	stat_add(STAT_UP_CONNS_TOTAL, 1);
	if (w->raw)
		c->how = &raw_client;
	c->codec = c->how->open(&c->io, &c->env, c);
	answer(w, FAIL_NONE);
}

/* The other dial, if there are two, is not needed any more. */
static void
win_race(struct up_conn *c)
{
	struct pool_wait	*w = c->wait;
	struct up_conn		*other = w->conn == c ? w->second : w->conn;

	w->conn = c;
	w->second = NULL;
	w->server = c->server;
	if (other != NULL)
		drop_dial(other);
}

/* One of two dials has failed: true if the other one goes on. */
static bool
leave_race(struct up_conn *c, int error)
{
	struct pool_wait	*w = c->wait;

	if (w->second == NULL)
		return false;
	if (w->conn == c)
		w->conn = w->second;
	w->second = NULL;
	w->server = w->conn->server;
	w->lost = c->server;
	w->lost_why = dial_fail(error);
	drop_dial(c);
	return true;
}

static void
on_dialled(struct io *io, unsigned what)
{
	struct up_conn		*c = container_of(io, struct up_conn, io);
	int	error;

	if ((what & (IO_W | IO_GONE)) == 0)
		return;
	error = io_dialled(io);
	if (error == 0) {
		win_race(c);
		begin_conn(c);
		return;
	}
	if (!leave_race(c, error))
		pool_refuse(c, "connect", error, dial_fail(error));
}

static void
on_deadline(struct timer *t)
{
	struct pool_wait	*w;
	bool			 shakes;

	w = container_of(t, struct pool_wait, deadline);
	shakes = w->conn != NULL && tls_ssl(&w->conn->io) != NULL;
	if (w->second != NULL) {
		w->lost = w->second->server;
		w->lost_why = FAIL_DIAL_TIMEOUT;
		drop_dial(w->second);
	}
	if (w->conn != NULL)
		drop_dial(w->conn);
	w->conn = w->second = NULL;
	refuse(w, shakes ? "handshake" : "connect", ETIMEDOUT, shakes ?
	    FAIL_TLS_UPSTREAM_TIMEOUT : FAIL_DIAL_TIMEOUT);
}

/* One per connection: it may go over to another twin of its server. */
static void
set_env(struct codec_env *env, struct serve *serve)
{
	*env = (struct codec_env){
		.ev = serve->ev,
		.pages = &serve->pages,
		.pipes = &serve->pipes,
		.arenas = &serve->arenas,
		.conns = &serve->codecs,
		.limits = {
			/* servers are trusted with larger heads */
			.header_bytes = 65536,
			.header_field = 32768,
			.header_count = 256,
			.write_ms = 60000
		},
		.gone = on_gone,
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

static struct up_conn *
new_conn(struct server *s, uint32_t lease)
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
	c->born_ms = birth(s);
	s->nopen++;
	use_open(s, 1);
	stat_add(STAT_UP_CONNS, 1);
	return c;
}

/* The system does not even begin. */
static void
refuse_dial(struct up_conn *c, struct pool_wait *w, const char *what,
    int error)
{
	end_conn(c);
	(void)serve_is_full(w->server->upstream->serve, error,
	    "a connection to a server");
	refuse(w, what, error, dial_fail(error));
}

/*
 * The first dial is slow, and the name has an address of the other family
 * (RFC 8305): that one is dialled too.  The first to answer is taken.
 * What others wait for is not taken for a second dial.
 */
static void
on_race(struct timer *t)
{
	struct pool_wait	*w = container_of(t, struct pool_wait, race);
	struct server		*s = members_other(w->server, w->tried);
	struct serve		*serve = w->server->upstream->serve;
	uint32_t		 word = s == NULL ? 0 : server_lease(s);
	struct up_conn		*c;
	bool			 done;
	int			 fd;

	if (s == NULL || w->conn == NULL || !queue_has_spare(s) ||
	    (atomic_load(&s->live->state) & STATE_AWAY) != 0 ||
	    (word != 0 && !lease_take(serve->lease, word - 1)))
		return;
	c = new_conn(s, word);
	fd = sock_dial(&s->addr, &done, NULL);
	if (fd == -1 || io_sock_open(&c->io, serve->ev, fd, 0, on_dialled,
	    NULL) == -1) {
		if (fd != -1)
			close(fd);
		end_conn(c);
		return;
	}
	c->wait = w;
	w->second = c;
	w->raced = server_ref(s);
	s->upstream->uses++;
}

static void
start_dial(struct pool_wait *w)
{
	struct server	*s = w->server;
	struct serve	*serve = s->upstream->serve;
	struct up_conn	*c;
	bool		 done;
	int		 fd;

	w->reused = false;
	w->begun_ns = ev_clock_ns();
	if (w->connect_ms > 0)
		ev_timer(serve->ev, &w->deadline, w->connect_ms);
	c = new_conn(s, w->lease);
	w->lease = 0;
	errno = EMFILE;
	fd = FAULT("dial_full") ? -1 : sock_dial(&s->addr, &done, NULL);
	if (fd == -1) {
		refuse_dial(c, w, "connect", errno);
		return;
	}
	errno = ENOSPC;
	if (FAULT("dial_watch") || io_sock_open(&c->io, serve->ev, fd, 0,
	    on_dialled, NULL) == -1) {
		refuse_dial(c, w, "watch", errno);
		close(fd);
		return;
	}
	c->wait = w;
	w->conn = c;
	if (!done && s->name != NULL)
		ev_timer(serve->ev, &w->race, RACE_MS);
	/* with a preface only when the loop says that it may write */
	if (done && w->first.n == 0 && s->peer == NULL)
		pool_begin(c);
}

/* --- the pool --- */

/* One timer per server, for the one that is to end first. */
static void
arm_idle(struct server *s, uint64_t until)
{
	uint64_t	now = ev_ms(loop_of(s));

	if (timer_is_armed(&s->idle_end) && s->idle_end.due <= until)
		return;
	ev_timer(loop_of(s), &s->idle_end, until > now ? until - now : 1);
}

static void
on_idle_end(struct timer *t)
{
	struct server	*s = container_of(t, struct server, idle_end);
	uint64_t	 now = ev_ms(loop_of(s));
	uint64_t	 next = UINT64_MAX;
	struct list	*pos, *tmp;
	struct up_conn	*c;

	list_each_safe(pos, tmp, &s->idle) {
		c = container_of(pos, struct up_conn, node);
		if (c->until_ms <= now)
			close_conn(c);
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
	uint64_t	 now = ev_ms(loop_of(s));
	struct up_conn	*c;

	for (;;) {
		if (s->nidle == 0)
			return false;
		c = container_of(s->idle.next, struct up_conn, node);
		if (c->until_ms > now && (!w->careful ||
		    io_is_quiet(&c->io)))
			break;
		close_conn(c);
	}
	leave_idle(c);
	c->wait = w;
	w->conn = c;
	w->reused = true;
	return true;
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
		close_conn(c);
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
	fresh = fresh || w->single || w->first.n > 0;
	w->claimed = (!fresh && claim_idle(s, w)) || claim_place(s, w);
	return w->claimed;
}

uint32_t
pool_room(const struct server *s)
{
	uint32_t	word = server_lease(s), n;

	if (word == 0)
		return UINT32_MAX;
	n = lease_room(s->upstream->serve->lease, word - 1);
	return n > UINT32_MAX - s->nidle ? UINT32_MAX : n + s->nidle;
}

void
pool_get(struct server *s, struct pool_wait *w, uint64_t connect_ms,
    bool fresh)
{
	bool	ok = w->claimed || pool_claim(s, w, fresh);

	must(w->server == s);
	w->connect_ms = connect_ms;
	w->why = FAIL_NONE;
	w->what = "";
	w->error = 0;
	w->dial_ns = 0;
	w->claimed = false;
	w->waiting = true;
	w->second = NULL;
	w->raced = w->lost = NULL;
	timer_init(&w->race, on_race);
	timer_init(&w->deadline, on_deadline);
	ev_task_init(&w->wake, on_answer);
	if (!ok)
		refuse(w, "connect", 0, FAIL_DIAL_LIMIT);
	else if (w->conn == NULL)
		start_dial(w);
	else {
		stat_add(STAT_UP_REUSED, 1);
		answer(w, FAIL_NONE);
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

	c->idle = true;
	list_add(&s->idle, &c->node);
	use_idle(s, 1);
	stat_add(STAT_UP_IDLE, 1);
	s->nidle++;
	arm_idle(s, c->until_ms);
	if (s->nidle > (uint64_t)s->upstream->pool.size)
		close_conn(container_of(s->idle.prev, struct up_conn, node));
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

/* A twin that no generation names keeps nothing, a server that left too. */
static bool
may_idle(const struct up_conn *c)
{
	const struct upstream	*up = c->upstream;

	return !c->single && up->cur && !up->serve->draining &&
	    !c->server->left && may_stay(c) && !is_over_limit(c->server) &&
	    c->how->room(c->codec) > 0;
}

static void
put_back(struct up_conn *c, bool reusable)
{
	c->until_ms = idle_until(c);
	if (reusable && may_idle(c) && queue_lets_idle(c->server)) {
		add_idle(c);
		queue_note_idle(c->server);
	} else
		/* Later: its codec may be the caller. */
		ev_post(loop_of(c->server), EV_WAKE, &c->close);
}

void
pool_put(struct up_conn *c, bool reusable)
{
	must(c->given);
	c->given = false;
	if (c->stream != NULL && c->stream->keep)
		c->keep_s = c->stream->keep_s;
	c->stream = NULL;
	if (c->gone)
		ev_post(loop_of(c->server), EV_FREE, &c->free);
	else
		put_back(c, reusable);
}

void
pool_cancel(struct pool_wait *w)
{
	struct up_conn	*c = w->conn;
	struct server	*raced = NULL;

	if (!w->waiting && !w->claimed)
		return;
	if (w->waiting) {
		raced = w->raced;
		w->raced = NULL;
		if (w->second != NULL)
			drop_dial(w->second);
		w->second = NULL;
		ev_timer_off(loop_of(w->server), &w->race);
		ev_timer_off(loop_of(w->server), &w->deadline);
		ev_cancel(&w->wake);
	}
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
			drop_dial(c);
		else
			put_back(c, true);
	}
	end_raced(raced);
}

struct stream *
pool_stream(struct up_conn *c, struct arena *arena)
{
	struct stream	*s = c->how->request(c->codec, arena);

	s->reused = c->uses++ > 0;
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
	must(c->given);
	close_conn(c);
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
		close_conn(c);
	}
}

void
pool_close_idle(struct server *s)
{
	while (s->nidle > 0)
		close_conn(container_of(s->idle.next, struct up_conn, node));
}

void
pool_move_idle(struct server *from, struct server *to)
{
	struct up_conn	*c;
	struct upstream	*old;
	uint64_t	 until;

	while (to != NULL && from->nidle > 0 && server_tls_same(from, to)) {
		c = container_of(from->idle.prev, struct up_conn, node);
		old = c->upstream;
		leave_idle(c);
		from->nopen--;
		use_open(from, -1);
		to->nopen++;
		use_open(to, 1);
		server_unref(&c->server);
		c->server = server_ref(to);
		c->upstream = to->upstream;
		c->upstream->uses++;
		pool_tls_move(c, to);
		/* by the keys of now, which may be tighter */
		until = idle_until(c);
		c->until_ms = until < c->until_ms ? until : c->until_ms;
		if (may_stay(c)) {
			add_idle(c);
			queue_note_idle(to);
		} else
			close_conn(c);
		upstream_put(&old);
	}
}
