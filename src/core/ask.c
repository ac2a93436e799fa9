/*
 * Asking helpers.  Workers.
 *
 * Questions in flight stand in a table; the low bits of an id are the
 * place, the high ones count, so that a late answer finds nobody.  Helpers
 * are asked in turn, but for one that owes more answers than others: it
 * waits for a disk.  When one dies its questions go to another, once:
 * a question that kills helpers must not kill them all.
 */
#include "core/ask.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"
#include "core/board.h"

_Static_assert((ASK_FLIGHT & (ASK_FLIGHT - 1)) == 0, "a mask of ids");

struct peer {
	struct chan	 chan;
	struct ev_task	 free;
	struct ask	*ask;		/* ref */
	unsigned	 owes;		/* answers */
};

struct ask {
	struct ev	*ev;			/* ref */
	struct peer	*peer[ASK_PEERS];	/* own; NULL: none */
	struct question	*slot[ASK_FLIGHT];	/* ref; NULL: free */
	uint64_t	 seq;
	unsigned	 next;			/* peer to be asked first */
};

struct ask *
ask_new(struct ev *ev)
{
	struct ask	*a = must_calloc(1, sizeof(*a));

	a->ev = ev;
	return a;
}

/* --- questions --- */

static void
release(struct question *q)
{
	struct ask	*a = q->ask;

	ev_timer_off(a->ev, &q->deadline);
	ev_cancel(&q->wake);
	if (a->slot[q->id & (ASK_FLIGHT - 1)] == q)
		a->slot[q->id & (ASK_FLIGHT - 1)] = NULL;
	q->ask = NULL;
}

static void
give_up(struct question *q)
{
	release(q);
	stat_add(STAT_ASKS_FAILED, 1);
	q->on(q, NULL);
}

static void
on_deadline(struct timer *t)
{
	give_up(container_of(t, struct question, deadline));
}

static void
on_wake(struct ev_task *t)
{
	give_up(container_of(t, struct question, wake));
}

/* Of those not tried the one that owes least; ASK_PEERS: none is left. */
static unsigned
pick(const struct ask *a, unsigned tried)
{
	unsigned	best = ASK_PEERS, i;

	for (unsigned n = 0; n < ASK_PEERS; n++) {
		i = (a->next + n) % ASK_PEERS;
		if (a->peer[i] == NULL || (tried & 1u << i))
			continue;
		if (best == ASK_PEERS ||
		    a->peer[i]->owes < a->peer[best]->owes)
			best = i;
	}
	return best;
}

/* False when no helper takes it. */
static bool
pass_on(struct ask *a, struct question *q)
{
	struct frame_head	h = { .len = (uint32_t)q->payload.n,
	    .op = (uint16_t)q->op, .id = q->id, .deadline = q->deadline.due };
	unsigned		i, tried = 0;

	while ((i = pick(a, tried)) != ASK_PEERS) {
		tried |= 1u << i;
		if (chan_send(&a->peer[i]->chan, &h, q->payload.p, q->fd,
		    q->fd != NULL) == -1)
			continue;
		a->peer[i]->owes++;
		q->peer = i;
		a->next = i + 1;
		return true;
	}
	return false;
}

static bool
take_slot(struct ask *a, struct question *q)
{
	for (unsigned n = 0; n < ASK_FLIGHT; n++) {
		q->id = ++a->seq;
		if (a->slot[q->id & (ASK_FLIGHT - 1)] != NULL)
			continue;
		a->slot[q->id & (ASK_FLIGHT - 1)] = q;
		return true;
	}
	return false;
}

void
ask_send(struct ask *a, struct question *q, enum frame_op op,
    struct str payload, uint64_t ms)
{
	must(q->ask == NULL && q->on != NULL && payload.n <= CHAN_BYTES);
	q->ask = a;
	q->op = op;
	q->payload = payload;
	q->again = false;
	timer_init(&q->deadline, on_deadline);
	ev_task_init(&q->wake, on_wake);
	stat_add(STAT_ASKS, 1);
	if (!take_slot(a, q)) {
		ev_post(a->ev, EV_WAKE, &q->wake);
		return;
	}
	ev_timer(a->ev, &q->deadline, FAULT("ask_short") ? 100 : ms);
	if (!pass_on(a, q))
		ev_post(a->ev, EV_WAKE, &q->wake);
}

void
ask_cancel(struct question *q)
{
	if (q->ask != NULL)
		release(q);
}

/* --- helpers --- */

static void
on_free(struct ev_task *t)
{
	free(container_of(t, struct peer, free));
}

/* Takes a peer out; its questions go to others. */
static void
lose(struct ask *a, unsigned i)
{
	struct peer	*p = a->peer[i];
	struct question	*q;

	a->peer[i] = NULL;
	chan_close(&p->chan);
	ev_post(a->ev, EV_FREE, &p->free);
	for (unsigned n = 0; n < ASK_FLIGHT; n++) {
		q = a->slot[n];
		if (q == NULL || q->peer != i || ev_is_posted(&q->wake))
			continue;
		if (q->again || !pass_on(a, q))
			ev_post(a->ev, EV_WAKE, &q->wake);
		q->again = true;
	}
}

static void
on_frame(struct chan *c, struct frame *m)
{
	struct peer	*p = container_of(c, struct peer, chan);
	struct ask	*a = p->ask;
	struct question	*q;

	if (m == NULL) {
		for (unsigned i = 0; i < ASK_PEERS; i++)
			if (a->peer[i] == p)
				lose(a, i);
		return;
	}
	if ((m->head.flags & CHAN_F_REPLY) && p->owes > 0)
		p->owes--;
	q = a->slot[m->head.id & (ASK_FLIGHT - 1)];
	if ((m->head.flags & CHAN_F_REPLY) == 0 || q == NULL ||
	    q->id != m->head.id || q->op != m->head.op)
		return;
	release(q);
	q->on(q, m);
}

int
ask_peer(struct ask *a, unsigned i, int fd, struct err *e)
{
	struct peer	*p;

	if (i >= ASK_PEERS) {
		close(fd);
		return err_set(e, "helper %u: there are at most %d", i,
		    ASK_PEERS);
	}
	p = must_calloc(1, sizeof(*p));
	p->ask = a;
	ev_task_init(&p->free, on_free);
	if (chan_open(&p->chan, a->ev, fd, on_frame, p, e) == -1) {
		free(p);
		return -1;
	}
	if (a->peer[i] != NULL)
		lose(a, i);
	a->peer[i] = p;
	return 0;
}

void
ask_free(struct ask **ap)
{
	struct ask	*a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	for (unsigned n = 0; n < ASK_FLIGHT; n++)
		if (a->slot[n] != NULL)
			release(a->slot[n]);
	for (unsigned i = 0; i < ASK_PEERS; i++)
		if (a->peer[i] != NULL) {
			chan_close(&a->peer[i]->chan);
			ev_post(a->ev, EV_FREE, &a->peer[i]->free);
		}
	free(a);
}
