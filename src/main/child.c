/*
 * The roster at run time.  Master.  A child is a row of procs[] with an
 * index ("worker 2") in a slot of the board.  Its message channel and the
 * channels between workers and the roles they ask are made here, before
 * fork; the other end of a fresh pair reaches a process that already runs
 * as a CHAN_PEER frame.
 */
#include "main/child.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "core/lease.h"
#include "core/mail.h"
#include "main/master.h"
#include "os/fault.h"

/* a peer pair: one end is inherited, the other is sent when fork is done */
struct pair {
	struct child	*to;
	int		 mine;
	int		 theirs;
};

struct plan {
	struct pair	 pair[START_PEERS];
	unsigned	 n;
};

int
child_keys(const struct proc_row *row)
{
	if ((row->flags & PROC_F_KEYS) != 0)
		return GEN_KEYS;
	return (row->flags & PROC_F_PROBE) != 0 ? GEN_PROBE : -1;
}

const struct proc_row *
child_row(const char *name)
{
	const struct proc_row *r;

	for (r = procs; r->name != NULL; r++)
		if (strcmp(r->name, name) == 0)
			return r;
	must(!"process in the roster");
	return NULL;
}

struct child *
child_find(struct master *m, const struct proc_row *row, unsigned index)
{
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->row == row && c->index == index && !c->draining &&
		    !c->old)
			return c;
	}
	return NULL;
}

struct child *
child_by_pid(struct master *m, pid_t pid)
{
	struct list *l;
	struct child *c;

	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (c->pid == pid)
			return c;
	}
	return NULL;
}

unsigned
child_count(struct master *m, const struct proc_row *row)
{
	struct list *l;
	unsigned n = 0;

	list_each(l, &m->children)
		if (row == NULL ||
		    container_of(l, struct child, node)->row == row)
			n++;
	return n;
}

/* A slot that no process has; 0 is the master's. */
static int
find_slot(struct master *m, unsigned *slot, struct err *e)
{
	bool taken[SLOT_MAX] = { true };
	struct list *l;
	unsigned i;

	list_each(l, &m->children)
		taken[container_of(l, struct child, node)->slot] = true;
	for (i = 1; i < SLOT_MAX; i++) {
		if (taken[i])
			continue;
		*slot = i;
		return board_grow(m->proc.shm, i + 1, e) < 0 ||
		    lease_grow(m->proc.shm, i + 1, 0, e) < 0 ?
		    -1 : 0;
	}
	return err_set(e, "all %d process slots are taken", SLOT_MAX);
}

/* Writes the slot's words that belong to the master. */
static void
claim_slot(struct master *m, const struct child *c, pid_t pid)
{
	struct board_slot *s = shm_row(m->proc.shm, &board_slots, c->slot);

	s->tag = c->tag;
	s->pid = (uint32_t)pid;
	s->role = (uint32_t)(c->row - procs);
	s->index = child_no(c);
	s->started_ms = ev_wall_ms(m->proc.ev);
	s->beat_ms = ev_ms(m->proc.ev);
	s->state = SLOT_STARTING;
}

/*
 * What wakes a worker is made with the first that has the slot; who runs
 * already gets it as a frame, who is forked later inherits it.
 */
static int
make_mail(struct master *m, const struct child *c, struct err *e)
{
	struct frame_head h = { .op = CHAN_MAIL, .len = sizeof(uint32_t) };
	uint32_t slot = c->slot;
	struct child *o;
	struct list *l;
	int rc, fd;

	if (c->row->count != 0)
		return 0;
	rc = mail_make(m->proc.mail, c->slot, e);
	if (rc < 1)
		return rc;
	fd = mail_fd(m->proc.mail, c->slot);
	list_each(l, &m->children) {
		o = container_of(l, struct child, node);
		if (!o->old && (o->row->flags & PROC_F_MAIL) != 0)
			(void)chan_send(&o->chan, &h, &slot, &fd, 1);
	}
	return 0;
}

static bool
is_asked(const struct child *c)
{
	return (c->row->flags & PROC_F_ASKED) != 0;
}

static bool
asks(const struct child *c)
{
	return c->row->count == 0;
}

static bool
is_peer(const struct child *a, const struct child *b)
{
	return (asks(a) && is_asked(b)) || (is_asked(a) && asks(b)) ||
	    (a->row != b->row &&
	    (a->row->flags & b->row->flags & PROC_F_FEED) != 0);
}

/* Pairs with every process that c asks or is asked by. */
static void
plan_peers(struct master *m, struct child *c, struct plan *p,
    struct start *st)
{
	struct list *l;
	struct child *o;
	int fds[2];

	p->n = 0;
	st->npeer = 0;
	list_each(l, &m->children) {
		o = container_of(l, struct child, node);
		if (o->old || o->draining || p->n == START_PEERS ||
		    !is_peer(c, o))
			continue;
		if (sock_pair(fds, NULL) < 0)
			return;
		p->pair[p->n++] = (struct pair){ o, fds[0], fds[1] };
		st->peer[st->npeer++] =
		    (struct start_peer){ o->index, fds[0] };
	}
}

static void
send_peers(struct child *c, struct plan *p)
{
	struct frame_head h = { .op = CHAN_PEER, .len = sizeof(uint32_t) };
	uint32_t index = c->index;
	unsigned i;

	for (i = 0; i < p->n; i++) {
		(void)chan_send(&p->pair[i].to->chan, &h, &index,
		    &p->pair[i].theirs, 1);
		close(p->pair[i].theirs);
		close(p->pair[i].mine);
	}
}

static void
on_kill(struct timer *t)
{
	struct child *c = container_of(t, struct child, kill);

	log_warn(&self->lc, "%s: does not end: killed, pid %d", c->name,
	    (int)c->pid);
	kill(c->pid, SIGKILL);
}

unsigned
child_no(const struct child *c)
{
	return c->row->count == 1 ? 0 : c->index + 1;
}

void
child_init(struct child *c)
{
	unsigned no = child_no(c);

	if (no == 0)
		snprintf(c->name, sizeof(c->name), "%s", c->row->name);
	else
		snprintf(c->name, sizeof(c->name), "%s %u", c->row->name, no);
	timer_init(&c->kill, on_kill);
	child_names_init(c);
}

static struct child *
new_child(struct master *m, const struct proc_row *row, unsigned index)
{
	struct child *c = must_calloc(1, sizeof(*c));

	c->m = m;
	c->row = row;
	c->index = index;
	c->tag = ++m->tags;
	c->born_ms = ev_ms(m->proc.ev);
	child_init(c);
	return c;
}

/* What control hands out to sluicectl; all others have -1. */
static int
open_ro(struct start *st, const struct proc_row *row, struct err *e)
{
	st->ro_fd[0] = st->ro_fd[1] = -1;
	if (row != child_row("control"))
		return 0;
	st->ro_fd[0] = shm_ro_fd(st->m->proc.shm, SHM_DIR, e);
	st->ro_fd[1] = shm_ro_fd(st->m->proc.shm, SHM_LIVE, e);
	return st->ro_fd[0] < 0 || st->ro_fd[1] < 0 ? -1 : 0;
}

static void
free_start(struct start *st)
{
	if (st->ro_fd[0] >= 0)
		close(st->ro_fd[0]);
	if (st->ro_fd[1] >= 0)
		close(st->ro_fd[1]);
	free(st);
}

struct child *
child_spawn(struct master *m, const struct proc_row *row, unsigned index,
    struct err *e)
{
	struct child *c = new_child(m, row, index);
	struct start *st = must_calloc(1, sizeof(*st));
	struct plan *plan = must_alloc(sizeof(*plan));
	int fds[2] = { -1, -1 };
	unsigned i;

	plan->n = 0;
	st->m = m;
	st->c = c;
	if (open_ro(st, row, e) < 0 || find_slot(m, &c->slot, e) < 0 ||
	    make_mail(m, c, e) < 0 || sock_pair(fds, e) < 0)
		goto out;
	plan_peers(m, c, plan, st);
	claim_slot(m, c, 0);
	errno = EAGAIN;
	c->pid = FAULT("fork_fail") ? -1 : sig_fork();
	if (c->pid == 0)
		skeleton_main(st, fds[1]);
	close(fds[1]);
	fds[1] = -1;
	if (c->pid < 0) {
		err_sys(e, "cannot fork %s", c->name);
		goto out;
	}
	/* without a channel it is of no use, but its death has to be settled */
	if (chan_open(&c->chan, m->proc.ev, fds[0], child_on_frame, c, e) < 0)
		kill(c->pid, SIGKILL);
	claim_slot(m, c, c->pid);
	if (m->gens.cur != NULL)
		c->holds = 1ULL << m->gens.cur->slot;
	list_add_tail(&m->children, &c->node);
	send_peers(c, plan);
	free_start(st);
	free(plan);
	return c;
out:
	for (i = 0; i < plan->n; i++) {
		close(plan->pair[i].theirs);
		close(plan->pair[i].mine);
	}
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	free_start(st);
	free(plan);
	free(c);
	return NULL;
}

void
child_free(struct child **cp)
{
	struct child *c = *cp;

	*cp = NULL;
	list_del(&c->node);
	ev_timer_off(c->m->proc.ev, &c->kill);
	child_names_drop(c);
	chan_close(&c->chan);
	free(c);
}

int
child_spawn_roles(struct master *m, struct err *e)
{
	const struct proc_row *r;
	unsigned i;

	for (r = procs; r->name != NULL; r++) {
		/* its rings are read by the one of the program before */
		if (r == child_row("logger") && !m->old_board &&
		    upgrade_has_old(m, r))
			continue;
		for (i = 0; i < r->count; i++)
			if (r->run != NULL && child_find(m, r, i) == NULL &&
			    child_spawn(m, r, i, e) == NULL)
				return -1;
	}
	return 0;
}

void
child_kill_in(struct child *c, uint64_t ms)
{
	/* what is due may come sooner, never later */
	if (timer_is_armed(&c->kill) &&
	    c->kill.due <= ev_ms(c->m->proc.ev) + ms)
		return;
	ev_timer(c->m->proc.ev, &c->kill, ms);
}

void
child_drain(struct child *c, uint64_t delay_ms, uint64_t limit_ms,
    uint64_t streams_ms)
{
	uint64_t ms[3] = { delay_ms, limit_ms, streams_ms };
	uint64_t longest = limit_ms > streams_ms ? limit_ms : streams_ms;
	struct frame_head h = { .op = CHAN_DRAIN, .len = sizeof(ms) };
	struct board_slot *s;

	c->draining = true;
	if (c->slot != 0) {
		s = shm_row(c->m->proc.shm, &board_slots, c->slot);
		s->state = SLOT_DRAINING;
	}
	/* a child of another program knows signals, not our frames */
	if (c->old)
		kill(c->pid, SIGTERM);
	else
		(void)chan_send(&c->chan, &h, ms, NULL, 0);
	child_kill_in(c, delay_ms + longest + 5000);
}

/* Says that a child serves; what waits for it goes on. */
static void
on_ready(struct child *c)
{
	struct master *m = c->m;
	struct board_slot *s = shm_row(m->proc.shm, &board_slots, c->slot);

	c->ready = true;
	if (!c->draining) {
		s->state = SLOT_SERVING;
		m->board.global->served++;
	}
	roll_ready(c);
	master_advance(m);
}

/* The payload is the slot, the id the number of a generation. */
static void
on_released(struct child *c, const struct frame *f)
{
	uint32_t slot;

	if (f->head.len != sizeof(slot))
		return;
	memcpy(&slot, f->data, sizeof(slot));
	if (slot < GEN_SLOTS)
		publish_released(c, f->head.id, slot);
}

void
child_on_frame(struct chan *ch, struct frame *f)
{
	struct child *c = ch->ctx;

	/* the end of the channel is told by the process's death */
	if (f == NULL || c->old)
		return;
	switch (f->head.op) {
	case CHAN_READY:
		on_ready(c);
		break;
	case CHAN_PREPARED:
	case CHAN_COMMITTED:
		publish_answer(c, f);
		break;
	case CHAN_RELEASED:
		on_released(c, f);
		break;
	case CHAN_RELOAD:
		if (c->row == child_row("control"))
			publish_start(c->m, f->head.id);
		break;
	case CHAN_ASK_ROLL:
		if (c->row == child_row("control"))
			roll_start(c->m, f->head.id);
		break;
	case CHAN_ASK_PLAN:
		if (c->row == child_row("control"))
			plan_start(c->m, f->head.id);
		break;
	case CHAN_NAMES:
		if (c->row == child_row("control"))
			child_names_take(c, f);
		break;
	case CHAN_LOOK:
		child_look(c, f);
		break;
	default:
		log_warn(&self->lc, "%s: sent frame %u, which the master "
		    "does not take", c->name, f->head.op);
	}
}
