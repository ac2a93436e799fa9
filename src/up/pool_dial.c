/*
 * Dialling, and the answer to who waits for a connection.  Workers.
 *
 * A wait has one dial, or two that race if its server's name has addresses
 * of both families; it is answered once, from a wake.
 */
#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"
#include "up/dial_fail.h"
#include "up/names.h"
#include "up/pool_int.h"
#include "up/queue.h"

#define RACE_MS	250	/* until another address of a name is dialled */

/* --- answering a wait --- */

/* Nobody asks any more for the server that was dialled besides. */
void
pool_dial_end_raced(struct server *s)
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
	if (c != NULL) {
		if (c->multi && !list_is_empty(&w->node))
			pool_share_take_back(c, w);
		c->wait = NULL;
		c->given++;
	}
	/* which may be its end; what it tells of it holds until then */
	w->on(w, c, w->why);
	pool_dial_end_raced(raced);
}

void
pool_dial_answer(struct pool_wait *w, enum fail why)
{
	struct ev	*ev = pool_loop(w->server);

	/* who is told may be gone before a dial that goes on */
	must(w->second == NULL);
	ev_timer_off(ev, &w->deadline);
	ev_timer_off(ev, &w->race);
	w->why = why;
	ev_post(ev, EV_WAKE, &w->wake);
}

void
pool_dial_refuse(struct pool_wait *w, const char *what, int error,
    enum fail why)
{
	w->what = what;
	w->error = error;
	pool_dial_answer(w, why);
}

void
pool_dial_send_back(struct pool_wait *w, enum fail why)
{
	w->anew = true;
	pool_dial_refuse(w, "", 0, why);
}

/* --- dialling --- */

/* A dial that comes to nothing; the wait is told, or does not care. */
void
pool_dial_drop(struct up_conn *c)
{
	c->wait = NULL;
	io_close(&c->io, false);
	pool_conn_end(c);
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
pool_dial_fail(struct up_conn *c, const char *what, int error, enum fail why)
{
	struct pool_wait	*w = c->wait;

	w->conn = NULL;
	pool_dial_drop(c);
	pool_dial_refuse(w, what, error, why);
}

/* Connected: what goes ahead, then TLS or the codec. */
static void
begin_conn(struct up_conn *c)
{
	if (!write_first(c, c->wait->first))
		pool_dial_fail(c, "write", c->io.error, FAIL_DIAL_ERROR);
	else if (c->server->peer != NULL)
		pool_tls_shake(c);
	else
		pool_dial_begin(c);
}

void
pool_dial_begin(struct up_conn *c)
{
	struct pool_wait	*w = c->wait;

	c->single = w->single || w->first.n > 0;
	w->dial_ns = ev_clock_ns() - w->begun_ns;
	stat_add(STAT_UP_CONNS_TOTAL, 1);
	if (w->raw)
		c->how = &raw_client;
	else if (c->server->peer == NULL &&
	    server_http(c->server) == SERVER_H2)
		c->how = &h2_client;
	c->multi = c->how == &h2_client && !c->single;
	atomic_store_explicit(&c->server->live->http, c->how == &h2_client ?
	    2 : 1, memory_order_relaxed);
	c->codec = c->how->open(&c->io, &c->env, c);
	pool_dial_answer(w, FAIL_NONE);
}

/* The other dial is not needed any more, nor is there to be one. */
static void
win_race(struct up_conn *c)
{
	struct pool_wait	*w = c->wait;
	struct up_conn		*other = w->conn == c ? w->second : w->conn;

	w->conn = c;
	w->second = NULL;
	w->server = c->server;
	ev_timer_off(pool_loop(w->server), &w->race);
	if (other != NULL)
		pool_dial_drop(other);
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
	pool_dial_drop(c);
	return true;
}

/*
 * Nothing cuts a dial besides when its server goes out of service, for no
 * attempt has begun there: it is looked at when that would begin.
 */
static bool
may_race(const struct server *s)
{
	return (atomic_load(&s->live->state) & STATE_AWAY) == 0 &&
	    view_weight(s) > 0;
}

/* It answered, but is not to be asked any more: as if it never was. */
static void
drop_raced(struct up_conn *c)
{
	struct pool_wait	*w = c->wait;
	bool			 alone = w->second == NULL;

	if (w->conn == c)
		w->conn = w->second;
	w->second = NULL;
	pool_dial_drop(c);
	if (!alone) {
		w->server = w->conn->server;
		return;
	}
	w->server = w->lost;
	w->lost = NULL;
	pool_dial_refuse(w, "connect", 0, w->lost_why);
}

static void
on_dialled(struct io *io, unsigned what)
{
	struct up_conn	*c = container_of(io, struct up_conn, io);
	int		 error;

	if ((what & (IO_W | IO_GONE)) == 0)
		return;
	error = io_dialled(io);
	if (error == 0 && c->server == c->wait->raced &&
	    !may_race(c->server)) {
		drop_raced(c);
		return;
	}
	if (error == 0) {
		win_race(c);
		begin_conn(c);
		return;
	}
	if (!leave_race(c, error))
		pool_dial_fail(c, "connect", error, dial_fail(error));
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
		pool_dial_drop(w->second);
	}
	if (w->conn != NULL)
		pool_dial_drop(w->conn);
	w->conn = w->second = NULL;
	pool_dial_refuse(w, shakes ? "handshake" : "connect", ETIMEDOUT,
	    shakes ? FAIL_TLS_UPSTREAM_TIMEOUT : FAIL_DIAL_TIMEOUT);
}

/* The system does not even begin. */
static void
refuse_dial(struct up_conn *c, struct pool_wait *w, const char *what,
    int error)
{
	pool_conn_end(c);
	(void)serve_is_full(w->server->upstream->serve, error,
	    "a connection to a server");
	pool_dial_refuse(w, what, error, dial_fail(error));
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
	struct sock_addr	 a;
	struct up_conn		*c;
	bool			 done;
	int			 fd;

	if (s == NULL || w->conn == NULL || !queue_has_spare(s) ||
	    !may_race(s) ||
	    (word != 0 && !lease_take(serve->lease, word - 1)))
		return;
	c = pool_conn_new(s, word);
	server_addr(s, &a);
	fd = sock_dial(&a, &done, NULL);
	if (fd == -1 || io_sock_open(&c->io, serve->ev, fd, 0, on_dialled,
	    NULL) == -1) {
		if (fd != -1)
			close(fd);
		pool_conn_end(c);
		return;
	}
	c->wait = w;
	w->second = c;
	w->raced = server_ref(s);
	s->upstream->uses++;
}

void
pool_dial_start(struct pool_wait *w)
{
	struct server	*s = w->server;
	struct serve	*serve = s->upstream->serve;
	struct sock_addr a;
	struct up_conn	*c;
	bool		 done;
	int		 fd;

	w->reused = false;
	w->begun_ns = ev_clock_ns();
	if (w->connect_ms > 0)
		ev_timer(serve->ev, &w->deadline, w->connect_ms);
	c = pool_conn_new(s, w->lease);
	w->lease = 0;
	server_addr(s, &a);
	errno = EMFILE;
	fd = FAULT("dial_full") ? -1 : sock_dial(&a, &done, NULL);
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
	if ((!done || FAULT("dial_slow")) && s->name != NULL)
		ev_timer(serve->ev, &w->race, RACE_MS);
	/* with a preface only when the loop says that it may write */
	if (done && w->first.n == 0 && s->peer == NULL)
		pool_dial_begin(c);
}

void
pool_dial_init(struct pool_wait *w)
{
	w->why = FAIL_NONE;
	w->what = "";
	w->error = 0;
	w->dial_ns = 0;
	w->waiting = true;
	w->anew = w->counted = false;
	w->second = NULL;
	w->raced = w->lost = NULL;
	timer_init(&w->race, on_race);
	timer_init(&w->deadline, on_deadline);
	ev_task_init(&w->wake, on_answer);
}

struct server *
pool_dial_cancel(struct pool_wait *w)
{
	struct server	*raced = w->raced;

	w->raced = NULL;
	if (w->second != NULL)
		pool_dial_drop(w->second);
	w->second = NULL;
	ev_timer_off(pool_loop(w->server), &w->race);
	ev_timer_off(pool_loop(w->server), &w->deadline);
	ev_cancel(&w->wake);
	return raced;
}
