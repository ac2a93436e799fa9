/*
 * After a 101, or the tunnel of a CONNECT: bytes both ways between the
 * client and the server, WebSocket or whatever was agreed on.  Workers.
 *
 * The server's io is taken when its 101 comes, the client's when that
 * head is written; then both codecs have no part in it any more but to be
 * told the end.  The server's connection stays given, so that it counts
 * for the server and holds its lease, and is never pooled.
 *
 * A process keeps a list of its relays, for those whose listener or
 * server is no more, by the configuration or its names: they go on for
 * [sluice] drain.streams, as all may when the process drains.
 */
#include "handler/proxy_relay.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/settings.h"
#include "handler/proxy.h"
#include "io/relay.h"

enum side { CLIENT, SERVER };

struct proxy_relay {
	struct proxy	*p;		/* ref */
	struct list	 node;		/* of struct relays */
	struct io	*io[2];		/* own: taken; NULL: not, or closed */
	struct chunk	 rest[2];	/* own: said before, not yet passed */
	struct source	 wait;		/* for the head to be written */
	struct ev_task	 again;		/* then goes on */
	struct timer	 leave;		/* nobody names one of its ends */
	const char	*left;		/* which one */
	struct relay	 relay;
	bool		 begun:1;
};

/* of a process */
struct relays {
	struct serve	*serve;		/* ref */
	struct list	 all;		/* struct proxy_relay.node */
	struct ev_task	 look;		/* ends may have gone, or come back */
};

static struct ev *
loop_of(const struct proxy_relay *t)
{
	return t->p->x->serve->ev;
}

/* --- the end --- */

/* A reset would take back what one end has not been given yet. */
static void
close_ends(struct proxy_relay *t, bool reset)
{
	struct io	*io;

	for (unsigned i = 0; i < 2; i++) {
		chunk_drop(&t->rest[i]);
		t->rest[i].n = 0;
		io = t->io[i];
		t->io[i] = NULL;
		if (io != NULL)
			io_close(io, reset && io_unsent(io) == 0);
	}
}

static void
let_go(struct proxy_relay *t, bool reset)
{
	ev_cancel(&t->again);
	if (t->wait.to != NULL && t->wait.to->from == &t->wait)
		t->wait.to->from = NULL;
	t->wait.to = NULL;
	ev_timer_off(loop_of(t), &t->leave);
	if (t->begun) {
		t->begun = false;
		relay_stop(&t->relay);
		list_del(&t->node);
		stat_sub(STAT_UPGRADES, 1);
	}
	close_ends(t, reset);
}

void
proxy_relay_end(struct proxy *p)
{
	if (p->relay == NULL)
		return;
	let_go(p->relay, false);
	p->relay = NULL;
	/* its codec has no io to end by: told, it closes the stream */
	if (p->conn != NULL)
		pool_close(p->conn);
}

/* What follows comes by the exchange's end, which cuts the handler. */
static void
end(struct proxy_relay *t, enum fail why, const char *cause, bool reset)
{
	struct exchange	*x = t->p->x;

	log_dbg(&x->lc, "upgrade: ended: %s", why == FAIL_NONE ?
	    "both sides closed" : fail_row(why)->name);
	let_go(t, reset);
	exchange_taken_end(x, why, str_from(cause));
}

static void
on_over(struct relay *r, enum relay_end how, unsigned side)
{
	struct proxy_relay	*t = container_of(r, struct proxy_relay,
				    relay);

	switch (how) {
	case RELAY_DONE:
		end(t, FAIL_NONE, "", false);
		break;
	case RELAY_IDLE:
		end(t, FAIL_STREAM_IDLE_TIMEOUT, "", false);
		break;
	case RELAY_BROKEN:
		/* whoever is left is not to take it for an orderly end */
		end(t, side == CLIENT ? FAIL_CLIENT_GONE :
		    FAIL_STREAM_RESET, "", true);
		break;
	}
}

static void
on_moved(struct relay *r, unsigned side, size_t got, size_t put)
{
	struct proxy_relay	*t = container_of(r, struct proxy_relay,
				    relay);

	if (side != CLIENT)
		return;
	stat_add(STAT_UPGRADE_IN, got);
	stat_add(STAT_UPGRADE_OUT, put);
	exchange_moved(t->p->x, got, put);
}

static void
on_leave(struct timer *timer)
{
	struct proxy_relay	*t = container_of(timer, struct proxy_relay,
				    leave);

	end(t, FAIL_DRAINING, t->left, false);
}

/* --- the beginning --- */

/* Is each protocol of the answer one that was asked for (RFC 9110 7.8)? */
static bool
was_asked(const struct proxy *p, const struct msg *m)
{
	struct str	got = m->protocol, asked, g, a;
	bool		found;

	if (p->req.meth == METHOD_CONNECT)
		return m->status != 101;
	while (hdr_cut_element(&got, &g)) {
		found = g.n == 0;
		asked = p->req.protocol;
		while (!found && hdr_cut_element(&asked, &a))
			found = str_eq_fold(g, a);
		if (!found)
			return false;
	}
	return m->status == 101;
}

static void
refuse(struct proxy *p)
{
	proxy_note(p, FAIL_UNEXPECTED_UPGRADE);
	proxy_stop(p, FAIL_UNEXPECTED_UPGRADE);
}

/* The client's head is written by now, or there is a new reason to wait. */
static void
go_on(struct proxy_relay *t)
{
	struct proxy	*p = t->p;
	struct exchange	*x = p->x;
	struct relays	*all = *serve_state(x->serve, &proxy_part);

	t->io[CLIENT] = exchange_take(x, &t->wait, &t->rest[CLIENT]);
	if (t->io[CLIENT] == NULL)
		return;
	t->relay.ev = loop_of(t);
	t->relay.pages = &x->serve->pages;
	t->relay.pipes = &x->serve->pipes;
	t->relay.idle_ms = p->times.stream_idle;
	t->relay.moved = on_moved;
	t->relay.over = on_over;
	relay_init(&t->relay);
	for (unsigned i = 0; i < 2; i++) {
		if (t->rest[i].n > 0)
			relay_put(&t->relay, i, t->rest[i].u.mem.page,
			    str_make(t->rest[i].u.mem.p, t->rest[i].n));
		if (i == CLIENT)
			on_moved(&t->relay, i, t->rest[i].n, 0);
		t->rest[i] = (struct chunk){ .kind = CHUNK_CONST };
	}
	t->begun = true;
	list_add_tail(&all->all, &t->node);
	stat_add(STAT_UPGRADES, 1);
	stat_add(STAT_UPGRADES_TOTAL, 1);
	/* one whose end is gone meanwhile */
	if (x->conn->listener->retired || !p->up->cur || p->server->left)
		ev_post(loop_of(t), EV_WAKE, &all->look);
	log_dbg(&x->lc, "upgrade: bytes from here on");
	relay_start(&t->relay, t->io[CLIENT], t->io[SERVER]);
}

static void
on_again(struct ev_task *task)
{
	struct proxy_relay	*t = container_of(task, struct proxy_relay,
				    again);

	/* the client may have gone since this was posted */
	if (t->p->relay == t && !t->begun && t->p->x->client != NULL)
		go_on(t);
}

/* From within the client's codec, which goes on after this. */
static void
on_room(struct source *s)
{
	struct proxy_relay	*t = container_of(s, struct proxy_relay,
				    wait);

	ev_post(loop_of(t), EV_WAKE, &t->again);
}

/* The client is gone; the exchange's end tells. */
static void
on_stop(struct source *s, enum fail why)
{
	struct proxy_relay	*t = container_of(s, struct proxy_relay,
				    wait);

	(void)why;
	ev_cancel(&t->again);
}

static const struct source_ops wait_ops = {
	.room = on_room,
	.stop = on_stop
};

static struct proxy_relay *
make(struct proxy *p)
{
	struct proxy_relay	*t = arena_alloc(p->x->arena, sizeof(*t));

	t->p = p;
	t->wait.ops = &wait_ops;
	ev_task_init(&t->again, on_again);
	timer_init(&t->leave, on_leave);
	for (unsigned i = 0; i < 2; i++)
		t->rest[i] = (struct chunk){ .kind = CHUNK_CONST };
	return t;
}

/*
 * A server that changes the protocol before it has the whole request, or
 * to one that nobody asked for, is not to be talked to.
 */
void
proxy_upgrade(struct proxy *p, const struct msg *m)
{
	struct proxy_relay	*t;

	if (!p->req_end || !was_asked(p, m)) {
		refuse(p);
		return;
	}
	t = make(p);
	t->io[SERVER] = pool_take(p->conn, &t->rest[SERVER]);
	if (t->io[SERVER] == NULL) {
		refuse(p);
		return;
	}
	p->relay = t;
	p->answered = true;
	p->x->acc.num[ACCESS_FIRST_BYTE] =
	    (ev_clock_ns() - p->sent_ns) / 1000;
	ev_timer_off(loop_of(t), &p->quiet);
	ev_timer_off(loop_of(t), &p->total);
	p->res = proxy_make_answer(p, m);
	proxy_choice_answer(p);
	attempt_answered(&p->attempt, 101);
	exchange_respond(p->x, p->res, WAIST_UPGRADE);
}

void
proxy_relay_begin(struct proxy *p)
{
	go_on(p->relay);
}

/* --- of a process --- */

static const char *
who_left(const struct proxy_relay *t)
{
	const struct exchange	*x = t->p->x;

	if (x->conn->listener->retired)
		return "its listener was removed";
	if (!upstream_names(x->serve, t->p->server))
		return "its server was removed";
	return NULL;
}

/* Who came back stays. */
static void
look_at(struct proxy_relay *t, uint64_t ms)
{
	t->left = who_left(t);
	if (t->left == NULL)
		ev_timer_off(loop_of(t), &t->leave);
	else if (!timer_is_armed(&t->leave))
		ev_timer(loop_of(t), &t->leave, ms);
}

static void
on_look(struct ev_task *task)
{
	struct relays		*all = container_of(task, struct relays,
				    look);
	const struct gen	*g = all->serve->gens->cur;
	struct list		*pos;

	if (g == NULL)
		return;
	list_each(pos, &all->all)
		look_at(container_of(pos, struct proxy_relay, node),
		    settings_get(g->conf)->drain_streams);
}

/* Listeners and the current generation change right behind this. */
static void
commit(struct serve *s, const struct conf *conf)
{
	void		**at = serve_state(s, &proxy_part);
	struct relays	*all = *at;

	(void)conf;
	if (all == NULL) {
		all = *at = must_calloc(1, sizeof(*all));
		all->serve = s;
		list_init(&all->all);
		ev_task_init(&all->look, on_look);
	}
	ev_post(s->ev, EV_WAKE, &all->look);
}

/* Names have other addresses. */
static void
moved(struct serve *s)
{
	struct relays	*all = *serve_state(s, &proxy_part);

	if (all != NULL)
		ev_post(s->ev, EV_WAKE, &all->look);
}

/* All exchanges were aborted before. */
static void
fini(struct serve *s)
{
	void		**at = serve_state(s, &proxy_part);
	struct relays	*all = *at;

	*at = NULL;
	if (all == NULL)
		return;
	must(list_is_empty(&all->all));
	ev_cancel(&all->look);
	free(all);
}

const struct serve_part proxy_part = {
	"proxy", NULL, commit, NULL, fini, moved
};
