/*
 * The worker: listeners, codecs, routes, handlers, upstreams; everything
 * that a request needs is in core/.  This file only joins it to the
 * skeleton: generations in two phases, new sockets, channels to helpers,
 * drain.
 */
#include "main/skel.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "core/ask.h"
#include "core/exchange.h"
#include "core/listener.h"
#include "core/mail.h"
#include "core/settings.h"
#include "main/roles.h"
#include "os/fault.h"
#include "up/attempt.h"
#include "up/look.h"
#include "up/queue.h"

/* a new listening socket, until the generation that names it commits */
struct fresh {
	struct list		 node;
	struct sock_addr	 addr;
	int			 fd;	/* own */
};

struct worker {
	struct serve		 serve;
	struct list		 fresh;		/* own */
	struct timer		 delay;		/* drain.delay */
	struct drain		 drain;
};

static struct fresh *
find_fresh(struct worker *w, const struct sock_addr *a)
{
	struct list *l;

	list_each(l, &w->fresh)
		if (sock_eq(&container_of(l, struct fresh, node)->addr, a))
			return container_of(l, struct fresh, node);
	return NULL;
}

static void
drop_fresh(struct fresh *f)
{
	if (f->fd >= 0)
		close(f->fd);
	list_del(&f->node);
	free(f);
}

static void
drop_all_fresh(struct worker *w)
{
	while (!list_is_empty(&w->fresh))
		drop_fresh(container_of(w->fresh.next, struct fresh, node));
}

static int
prepare(void *ctx, struct gen *g, struct err *e)
{
	struct worker *w = ctx;

	return serve_prepare(&w->serve, g, e);
}

/* Attaches the sockets of addresses that this generation names first. */
static void
attach_fresh(struct worker *w, const struct conf *conf)
{
	const struct listen_addr *v;
	struct fresh *f;
	struct err e;
	size_t i, n;

	v = listener_addrs(conf, &n);
	for (i = 0; i < n; i++) {
		f = find_fresh(w, v[i].addr);
		if (f == NULL)
			continue;
		if (listener_find(&w->serve, v[i].addr) == NULL) {
			if (listener_attach(&w->serve, &v[i], f->fd, &e) ==
			    NULL)
				log_err(&self->lc, "listener: %s", e.text);
			f->fd = -1;
		}
		drop_fresh(f);
	}
}

static void
commit(void *ctx, struct gen *g)
{
	struct worker *w = ctx;

	serve_commit(&w->serve, g);
	attach_fresh(w, g->conf);
	drop_all_fresh(w);
}

static void
cancel(void *ctx, struct gen *g)
{
	struct worker *w = ctx;

	serve_cancel(&w->serve, g);
	drop_all_fresh(w);
}

static void
expire(void *ctx, uint64_t number)
{
	struct worker *w = ctx;

	exchange_expire(&w->serve, number);
}

/* --- drain --- */

static void
on_drained(struct serve *s)
{
	(void)s;
	skel_exit(0);
}

static void
on_delay(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, delay);

	serve_drain(&w->serve, w->drain.limit, w->drain.streams);
}

static void
drain(void *ctx, const struct drain *d)
{
	struct worker *w = ctx;

	w->drain = *d;
	w->serve.drained = on_drained;
	/* it may come again, with less time, during the first one's delay */
	ev_timer_off(self->ev, &w->delay);
	if (d->delay == 0 || w->serve.draining)
		serve_drain(&w->serve, d->delay + d->limit,
		    d->delay + d->streams);
	else
		ev_timer(self->ev, &w->delay, d->delay);
}

/* --- other frames --- */

static void
on_listen(struct worker *w, struct frame *f)
{
	struct fresh *n;

	if (f->nfd != 1 || f->head.len != sizeof(n->addr))
		return;
	n = must_calloc(1, sizeof(*n));
	memcpy(&n->addr, f->data, sizeof(n->addr));
	n->fd = f->fds[0];
	f->fds[0] = -1;
	list_add_tail(&w->fresh, &n->node);
}

static void
on_peer(struct worker *w, struct frame *f)
{
	uint32_t index;
	struct err e;

	if (f->nfd != 1 || f->head.len != sizeof(index))
		return;
	memcpy(&index, f->data, sizeof(index));
	if (ask_peer(w->serve.ask, index, f->fds[0], &e) < 0)
		log_err(&self->lc, "helper %u: %s", index, e.text);
	f->fds[0] = -1;
}

/* One that is no such thing stays unanswered. */
static void
on_look(struct worker *w, struct frame *f)
{
	struct frame_head h = { .op = CHAN_LOOK, .flags = CHAN_F_REPLY,
	    .id = f->head.id };
	struct look_told told[LOOK_MAX];
	size_t n = look_answer(&w->serve, str_make(f->data, f->head.len),
	    told);

	h.len = (uint32_t)(n * sizeof(told[0]));
	if (n > 0)
		(void)chan_send(&self->master, &h, told, NULL, 0);
}

static void
on_frame(void *ctx, struct frame *f)
{
	struct worker *w = ctx;

	if (f->head.op == CHAN_LOOK)
		on_look(w, f);
	if (f->head.op == CHAN_LISTEN)
		on_listen(w, f);
	else if (f->head.op == CHAN_PEER)
		on_peer(w, f);
}

static void
on_mail(void *ctx, enum mail_topic topic, uint32_t key)
{
	struct worker *w = ctx;

	if (topic == MAIL_STATE)
		attempt_on_mail(&w->serve, key);
	else
		queue_on_mail(&w->serve, topic, key);
}

/* --- start --- */

static int
start(struct worker *w, struct err *e)
{
	struct gen *g = self->gens->cur;
	struct list *l;
	struct bound *b;
	const struct listen_addr *v;
	size_t i, n;
	unsigned index;
	int p, fd;

	if (serve_init(&w->serve, self->ev, self->shm, self->gens,
	    &self->log, e) < 0)
		return -1;
	pipe_pool_share(&w->serve.pipes, settings_workers(g->conf));
	w->serve.ask = ask_new(self->ev);
	if (mail_listen(self->mail, self->ev, self->slot, on_mail,
	    w, e) < 0)
		return -1;
	for (p = 0; p < skel_npeer(); p++) {
		fd = skel_peer(p, &index);
		if (ask_peer(w->serve.ask, index, fd, e) < 0)
			return -1;
	}
	if (serve_prepare(&w->serve, g, e) < 0)
		return -1;
	serve_commit(&w->serve, g);
	v = listener_addrs(g->conf, &n);
	list_each(l, &self->start->m->bound) {
		b = container_of(l, struct bound, node);
		for (i = 0; i < n; i++)
			if (sock_eq(v[i].addr, &b->addr))
				break;
		if (i == n)
			close(b->fd);
		else if (listener_attach(&w->serve, &v[i], b->fd, e) == NULL)
			return -1;
	}
	return 0;
}

/* Fault points: how a worker may fail, any or the successor in a roll. */
static bool
is_faulty(void)
{
	bool next = self->start->m->rolling;

	if (FAULT("worker_crash"))
		must(!"fault point worker_crash");
	if (next && FAULT("roll_hold"))
		raise(SIGSTOP);
	return next && FAULT("roll_crash");
}

int
worker_run(void)
{
	struct worker *w = must_calloc(1, sizeof(*w));
	struct skel_hooks hooks = { .ctx = w, .prepare = prepare,
	    .commit = commit, .cancel = cancel, .expire = expire,
	    .drain = drain, .frame = on_frame };
	struct err e;
	int status;

	list_init(&w->fresh);
	timer_init(&w->delay, on_delay);
	if (is_faulty())
		return EXIT_ENV;
	if (start(w, &e) < 0) {
		log_err(&self->lc, "cannot start: %s", e.text);
		return EXIT_ENV;
	}
	status = skel_run(&hooks);
	serve_fini(&w->serve);
	return status;
}
