/*
 * Listening sockets and the rules of accepting (listener.h says them).
 * Workers and control.
 *
 * The socket is shared by all workers and watched level-triggered with
 * EPOLLEXCLUSIVE, so an arrival wakes few of them.  A worker that is woken
 * always accepts one first: it may be the only one that was told.  Then,
 * if it is ahead of the others, it goes to the end of the kernel's queue,
 * unless it is there, so that the next arrival wakes another one; if that
 * does not help and it has more than its share of the work too, it takes the
 * socket out of the loop for a moment.
 */
#include "core/listener.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "core/board.h"
#include "core/conn.h"
#include "core/greet.h"
#include "core/listener_limit.h"
#include "core/version.h"
#include "os/fault.h"

#define BATCH		4	/* accepts of one wake-up at a high rate */
#define FULL_WAKES	8	/* before one takes more */
#define RATE_HIGH	200	/* connections a second */
#define BACK_MS		20
#define BACK_LOOK_MS	1	/* is it still over its share? */
#define EPOCH_MS	250	/* over which shares are compared */
#define SLACK		16	/* accepts that nobody minds */
#define BACK_FULL_MS	100	/* out of descriptors */
#define CLOSE_IDLE	16	/* idle connections closed then */
#define REST		1024	/* taken when listening ends */
#define RETRIES		16	/* arrivals that were gone again */

#define BACK_LIMIT_MS	20	/* max_conns: others may have ended */

enum got { GOT_ONE, GOT_NONE, GOT_FULL, GOT_LIMIT };

/* --- stepping back --- */

static void
tell_stepped(struct serve *s)
{
	struct board	*b = board_self();

	if (b != NULL)
		atomic_store_explicit(&b->slot->stepped, s->nback > 0,
		    memory_order_relaxed);
}

/*
 * From now on it is the last one that the kernel wakes.  Of two that go there
 * at once nobody knows who came first: each has its own time from before, and
 * tells others that from behind, so that neither takes itself for the last.
 */
static void
watch(struct listener *l)
{
	struct board	*b = board_self();
	struct err	 e;

	l->queued_ns = ev_clock_ns();
	if (FAULT("listen_stop"))
		(void)raise(SIGSTOP);
	if (ev_add(l->serve->ev, &l->fd, EV_LEVEL | EV_EXCLUSIVE, &e) == -1)
		log_err(&self->lc, "listener \"%.*s\": %s", STR_FMT(l->name),
		    e.text);
	if (b != NULL)
		b->slot->queued_ns = ev_clock_ns();
}

static void
end_back(struct listener *l)
{
	if (!timer_is_armed(&l->back))
		return;
	ev_timer_off(l->serve->ev, &l->back);
	l->serve->nback--;
	tell_stepped(l->serve);
}

/* This process itself, or one that serves in the same role. */
static bool
is_peer(const struct board_slot *slot)
{
	const struct board_slot	*me = board_self()->slot;

	return slot == me || (slot->state == SLOT_SERVING &&
	    slot->role == me->role);
}

/*
 * The board has more rows than there are workers: each second will do, and
 * whenever another one serves.
 */
static void
find_peers(struct serve *s)
{
	uint32_t		 n = shm_rows(s->shm, &board_slots);
	const struct board_slot	*slot;

	s->peers_of = board_self()->global->served;
	s->peers = must_realloc(s->peers, n * sizeof(s->peers[0]));
	s->npeer = 0;
	for (uint32_t i = 0; i < n; i++) {
		slot = shm_row(s->shm, &board_slots, i);
		if (is_peer(slot))
			s->peers[s->npeer++] = slot;
	}
}

/* Calls fn with the slot of each that serves now. */
static void
each_peer(struct serve *s, void (*fn)(const struct board_slot *, uint64_t *),
    uint64_t *sums)
{
	if (s->npeer == 0 || s->peers_of != board_self()->global->served)
		find_peers(s);
	for (uint32_t i = 0; i < s->npeer; i++)
		if (is_peer(s->peers[i]))
			fn(s->peers[i], sums);
}

/* --- shares --- */

/* An epoch is the same span in every process: the clock is the machine's. */
static uint64_t
epoch_of(const struct serve *s)
{
	return (ev_ms(s->ev) / EPOCH_MS) & UINT32_MAX;
}

/* Counts an accept into the running epoch. */
static void
count_accept(struct serve *s, struct board_slot *slot)
{
	uint64_t	now = epoch_of(s), v = slot->epoch_accepts;
	uint64_t	busy = ev_counts(s->ev)->busy_ns;

	if (v >> 32 != now) {
		s->epoch_busy_ns = busy;
		v = now << 32;
	}
	slot->epoch_accepts = v + 1;
	slot->epoch_busy_us = now << 32 |
	    ((busy - s->epoch_busy_ns) / 1000 & UINT32_MAX);
	atomic_fetch_add_explicit(&slot->accepts, 1, memory_order_relaxed);
}

/* What a word says of an epoch; nothing if it is of another. */
static uint64_t
in_epoch(uint64_t word, uint64_t epoch)
{
	return word >> 32 == epoch ? word & UINT32_MAX : 0;
}

enum { SUM_EPOCH, SUM_N, SUM_LISTEN, SUM_ACCEPTS, SUM_BUSY, LAST_QUEUED,
	NSUM };

static void
add_share(const struct board_slot *slot, uint64_t *sums)
{
	uint64_t	queued = slot->queued_ns;

	/* this one's own may be of another listener */
	if (slot != board_self()->slot && queued > sums[LAST_QUEUED])
		sums[LAST_QUEUED] = queued;
	sums[SUM_N]++;
	sums[SUM_LISTEN] += slot->stepped == 0;
	sums[SUM_ACCEPTS] += in_epoch(slot->epoch_accepts, sums[SUM_EPOCH]);
	sums[SUM_BUSY] += in_epoch(slot->epoch_busy_us, sums[SUM_EPOCH]);
}

struct share {
	uint64_t	mine;		/* accepts */
	uint64_t	busy;		/* of this one, us */
	uint64_t	sums[NSUM];
};

/* False: there is nothing to compare. */
static bool
sum_up(struct serve *s, struct share *sh)
{
	const struct board	*b = board_self();

	if (b == NULL)
		return false;
	*sh = (struct share){ .sums = { epoch_of(s) } };
	sh->mine = in_epoch(b->slot->epoch_accepts, sh->sums[SUM_EPOCH]);
	sh->busy = in_epoch(b->slot->epoch_busy_us, sh->sums[SUM_EPOCH]);
	if (sh->mine <= 1)
		return false;
	each_peer(s, add_share, sh->sums);
	return true;
}

/*
 * By more than one connection and a sixteenth of the mean: going to the end
 * of the queue costs two calls, so among many it is not for each of them.
 */
static bool
is_ahead(const struct share *sh)
{
	return sh->mine * sh->sums[SUM_N] >
	    sh->sums[SUM_ACCEPTS] + sh->sums[SUM_ACCEPTS] / 16 +
	    sh->sums[SUM_N];
}

/*
 * By load of the running epoch: more than 9/8 of the mean in connections
 * and in work.  By figures of a whole second one worker would have it all
 * for a second, then the next.
 */
static bool
is_over_share(const struct share *sh)
{
	const uint64_t	*sums = sh->sums;

	return sh->mine > SLACK &&
	    (sh->mine - SLACK) * 8 * sums[SUM_N] > sums[SUM_ACCEPTS] * 9 &&
	    sh->busy * 8 * sums[SUM_N] > sums[SUM_BUSY] * 9;
}

/* Would at least half of the workers go on listening without this one? */
static bool
may_leave(const struct share *sh)
{
	const struct board	*b = board_self();
	uint64_t		 n = sh->sums[SUM_LISTEN];

	if (b->slot->stepped == 0)
		n--;
	return 2 * n >= sh->sums[SUM_N];
}

/*
 * The others may catch up within a millisecond, and while this one is away
 * the last half of them cannot step back themselves: it does not stay away
 * longer than it is over its share.
 */
static void
on_back(struct timer *t)
{
	struct listener	*l = container_of(t, struct listener, back);
	struct share	 sh;

	if (l->listening && ev_ms(l->serve->ev) < l->back_until &&
	    sum_up(l->serve, &sh) && is_over_share(&sh)) {
		ev_timer(l->serve->ev, &l->back, BACK_LOOK_MS);
		return;
	}
	l->serve->nback--;
	tell_stepped(l->serve);
	if (l->listening)
		watch(l);
}

static void
step_back(struct listener *l, uint64_t ms)
{
	if (timer_is_armed(&l->back))
		return;
	ev_del(l->serve->ev, &l->fd, false);
	ev_timer(l->serve->ev, &l->back, ms);
	l->serve->nback++;
	tell_stepped(l->serve);
}

/*
 * If nobody went to the end of the queue since this one did, it was woken
 * because all others were busy: to go there again would be for nothing.
 */
static bool
is_last(const struct listener *l, const struct share *sh)
{
	return l->queued_ns > sh->sums[LAST_QUEUED];
}

static void
give_way(struct listener *l)
{
	struct share	sh;

	if (!sum_up(l->serve, &sh))
		return;
	if (is_over_share(&sh) && may_leave(&sh)) {
		l->back_until = ev_ms(l->serve->ev) + BACK_MS;
		step_back(l, BACK_LOOK_MS);
	} else if (is_ahead(&sh) && !is_last(l, &sh)) {
		ev_del(l->serve->ev, &l->fd, false);
		watch(l);
	}
}

/* --- accepting --- */

static void
take(struct listener *l, int fd, const struct sock_addr *peer,
    struct listener_hold hold)
{
	struct board		*b = board_self();
	struct sock_peer	 who;

	if (b != NULL)
		count_accept(l->serve, b->slot);
	sock_peer(&who, peer);
	/* behind a proxy the address is not yet known */
	if ((l->admit != NULL && !l->admit(l, fd)) ||
	    (!l->proxy && !listener_admits(l, &who, &hold))) {
		close(fd);
		listener_give(l, &hold);
		return;
	}
	conn_open(l, fd, peer, hold);
}

static enum got
accept_one(struct listener *l)
{
	struct listener_hold	hold;
	struct sock_addr	peer;
	enum got		got = GOT_NONE;
	int			fd, error;

	if (!listener_enter(l, &hold))
		return GOT_LIMIT;
	for (unsigned i = 0; i < RETRIES; i++) {
		fd = sock_accept(l->fd.fd, &peer);
		if (fd >= 0) {
			take(l, fd, &peer, hold);
			return GOT_ONE;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		error = errno;
		stat_add(STAT_ACCEPT_ERRORS, 1);
		if (serve_is_full(l->serve, error, "a connection")) {
			got = GOT_FULL;
			break;
		}
	}
	listener_give(l, &hold);
	return got;
}

static void
on_full(struct listener *l)
{
	conn_close_idle(l->serve, CLOSE_IDLE);
	l->back_until = 0;
	if (l->listening)
		step_back(l, BACK_FULL_MS);
}

/* Who waits is taken by whoever sees room, at the latest this later. */
static void
on_limit(struct listener *l)
{
	l->back_until = 0;
	if (l->listening)
		step_back(l, BACK_LIMIT_MS);
}

/*
 * To find the queue empty costs a call: a wake takes no more than the last
 * one found, and one more when it had as many several times.
 */
static void
learn(struct listener *l, bool all, unsigned n)
{
	if (!all) {
		l->batch = n > 2 ? n - 1 : 1;
		l->wakes = 0;
	} else if (n == l->batch && n < BATCH && ++l->wakes == FULL_WAKES) {
		l->batch++;
		l->wakes = 0;
	}
}

static void
on_accept(struct ev_fd *fd, unsigned what)
{
	struct listener	*l = container_of(fd, struct listener, fd);
	struct board	*b = board_self();
	unsigned	 n, max = 1;
	enum got	 got = GOT_ONE;

	(void)what;
	if (b != NULL && b->slot->accept_rate > RATE_HIGH)
		max = l->batch;
	for (n = 0; n < max && got == GOT_ONE; n++)
		got = accept_one(l);
	learn(l, got == GOT_ONE, n);
	if (got == GOT_FULL)
		on_full(l);
	else if (got == GOT_LIMIT)
		on_limit(l);
	else if (n == 1 && got == GOT_NONE)
		stat_add(STAT_ACCEPT_EMPTY, 1);
	else
		give_way(l);
}

void
listener_kick(struct serve *s)
{
	struct list	*pos, *tmp;
	struct listener	*l;

	list_each_safe(pos, tmp, &s->listeners) {
		l = container_of(pos, struct listener, node);
		if (l->listening && accept_one(l) == GOT_FULL)
			on_full(l);
	}
}

static void
on_room(struct ev_task *t)
{
	struct listener	*l = container_of(t, struct listener, room);
	enum got	 got;

	if (!l->listening)
		return;
	got = accept_one(l);
	if (got == GOT_FULL) {
		on_full(l);
	} else if (got != GOT_LIMIT && timer_is_armed(&l->back)) {
		end_back(l);
		watch(l);
	}
}

void
listener_resume(struct listener *l)
{
	ev_post(l->serve->ev, EV_WAKE, &l->room);
}

/* --- each second --- */

static void
add_load(const struct board_slot *slot, uint64_t *sums)
{
	sums[0]++;
	sums[1] += slot->accept_rate;
	sums[2] += slot->busy_permille;
}

static void
tell_load(struct serve *s, struct board_slot *slot)
{
	uint64_t	ns = ev_clock_ns(), span = ns - s->last_ns;
	uint64_t	busy = ev_counts(s->ev)->busy_ns;
	uint64_t	accepts = slot->accepts;

	if (s->last_ns != 0 && span > 0) {
		slot->accept_rate = (accepts - s->last_accepts) *
		    1000000000 / span;
		slot->busy_permille = (busy - s->last_busy_ns) * 1000 / span;
	}
	s->last_ns = ns;
	s->last_busy_ns = busy;
	s->last_accepts = accepts;
}

void
listener_second(struct serve *s)
{
	struct board	*b = board_self();
	uint64_t	 sums[3] = { 0, 0, 0 }, kick;
	struct list	*pos;
	struct listener	*l;
	bool		 kicked = false;

	if (b == NULL)
		return;
	tell_load(s, b->slot);
	find_peers(s);
	each_peer(s, add_load, sums);
	s->mean_rate = sums[0] > 0 ? sums[1] / sums[0] : 0;
	s->mean_busy = sums[0] > 0 ? sums[2] / sums[0] : 0;
	kick = b->global->accept_kick;
	list_each(pos, &s->listeners) {
		l = container_of(pos, struct listener, node);
		kicked |= l->kick != kick;
		l->kick = kick;
	}
	if (kicked)
		listener_kick(s);
}

/* --- life --- */

static bool
speaks_on(const struct conn *c, const void *conf)
{
	return version_is_current(c, conf);
}

/* Who speaks a version that was taken away is let go. */
static void
set_http(struct listener *l, const struct listener_conf *c)
{
	bool	other = l->http != c->http;

	l->http = c->http;
	if (other && l->name.p != NULL)
		listener_let_go(l, speaks_on, c);
}

static void
set_conf(struct listener *l, const struct listener_conf *c)
{
	char	*p;

	l->env.limits = c->limits;
	l->cut = c->on_change == LISTENER_CUT;
	greet_set_conf(l, c);
	set_http(l, c);
	if (!str_eq(l->name, c->obj.name)) {
		free((void *)(uintptr_t)l->name.p);
		p = must_alloc(c->obj.name.n + 1);
		if (c->obj.name.n > 0)
			memcpy(p, c->obj.name.p, c->obj.name.n);
		l->name = str_make(p, c->obj.name.n);
	}
	listener_set_limits(l, &c->share);
}

static void
set_env(struct listener *l, struct serve *s)
{
	l->env.ev = s->ev;
	l->env.pages = &s->pages;
	l->env.pipes = &s->pipes;
	l->env.arenas = &s->arenas;
	l->env.sizes = &s->sizes;
	l->env.conns = &s->codecs;
	l->env.up = &exchange_up;
	l->env.gone = conn_on_gone;
	l->env.idle = conn_on_idle;
	l->env.note = conn_on_note;
	l->env.date = s->date;
}

struct listener *
listener_find(struct serve *s, const struct sock_addr *a)
{
	struct list	*pos;

	list_each(pos, &s->listeners)
		if (sock_eq(&container_of(pos, struct listener, node)->addr,
		    a))
			return container_of(pos, struct listener, node);
	return NULL;
}

struct listener *
listener_attach(struct serve *s, const struct listen_addr *la, int fd,
    struct err *e)
{
	struct listener	*l = listener_find(s, la->addr);
	struct board	*b = board_self();

	if (fd < 0) {
		err_set(e, "listener \"%.*s\": there is no socket",
		    STR_FMT(la->conf->obj.name));
		return NULL;
	}
	if (l != NULL) {
		close(fd);
		set_conf(l, la->conf);
		return l;
	}
	l = must_calloc(1, sizeof(*l));
	l->serve = s;
	l->addr = *la->addr;
	l->refs = 1;
	l->batch = 1;
	list_init(&l->turns);
	ev_fd_init(&l->fd, fd, on_accept);
	timer_init(&l->back, on_back);
	ev_task_init(&l->room, on_room);
	set_env(l, s);
	set_conf(l, la->conf);
	if (b != NULL)
		l->kick = b->global->accept_kick;
	list_add_tail(&s->listeners, &l->node);
	listener_start(l);
	return l;
}

void
listener_start(struct listener *l)
{
	if (l->listening || l->retired || l->serve->draining)
		return;
	l->listening = true;
	watch(l);
}

void
listener_stop(struct listener *l)
{
	if (!l->listening)
		return;
	l->listening = false;
	end_back(l);
	ev_cancel(&l->room);
	/* Other processes hold the socket: it must be taken out. */
	ev_del(l->serve->ev, &l->fd, false);
}

void
listener_unref(struct listener *l)
{
	must(l->refs > 0);
	if (--l->refs > 0)
		return;
	free((void *)(uintptr_t)l->name.p);
	greet_free_conf(l);
	free(l->said);
	free(l);
}

void
listener_retire(struct listener *l)
{
	must(!l->retired);
	listener_stop(l);
	l->retired = true;
	list_del(&l->node);
	close(l->fd.fd);
	conn_drain_all(l->serve, l);
	listener_unref(l);
}

void
listener_finish(struct listener *l)
{
	unsigned	n;

	/* They came while we listened; nobody may be left to take them. */
	for (n = 0; l->listening && n < REST; n++)
		if (accept_one(l) != GOT_ONE)
			break;
	listener_retire(l);
}

void
listener_let_go(struct listener *l, conn_keeps_fn keeps, const void *arg)
{
	conn_let_go(l, l->cut, keeps, arg);
}

static const struct listen_addr *
find_addr(const struct listen_addr *v, size_t n, const struct sock_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (sock_eq(v[i].addr, a))
			return &v[i];
	return NULL;
}

void
listener_commit(struct serve *s, const struct conf *c)
{
	const struct listen_addr	*v, *la;
	struct list			*pos, *tmp;
	struct listener			*l;
	size_t				 n;

	v = listener_addrs(c, &n);
	list_each_safe(pos, tmp, &s->listeners) {
		l = container_of(pos, struct listener, node);
		la = find_addr(v, n, &l->addr);
		if (la != NULL) {
			set_conf(l, la->conf);
			continue;
		}
		listener_let_go(l, NULL, NULL);
		listener_retire(l);
	}
}
