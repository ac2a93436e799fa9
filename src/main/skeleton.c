/*
 * What each child does before and around its own run().  Worker, logger,
 * health, control, helper.  After fork: signals, descriptors, the board
 * with the role's rights, the user, the sandbox, a loop, a channel, a log
 * into the slot's ring.  Then run(), which calls skel_run with its hooks.
 */
#include "main/skel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/must.h"
#include "core/access.h"
#include "core/mail.h"
#include "core/settings.h"
#include "main/panic.h"
#include "main/roles.h"
#include "os/fault.h"

/* the skeleton's state; hangs off proc.skel */
struct skel {
	struct proc			 proc;
	struct board			 board;
	struct sig			 sig;
	const struct start		*start;
	const struct skel_hooks		*hooks;	/* of run() */
	int				 status;
	uint64_t			 ticked_ms;
	uint64_t			 drain_limit;	/* if draining */
	uint64_t			 drain_end;	/* of streams */
	bool				 ending:1;
};

static struct skel *
skel(void)
{
	return container_of(self, struct skel, proc);
}

void
skel_quit(int status)
{
#ifdef SL_COVER
	extern void __gcov_dump(void);

	__gcov_dump();
#endif
	_exit(status);
}

/* --- descriptors --- */

static int
by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes every descriptor from 3 up that is not kept. */
static void
close_but(int *keep, size_t n)
{
	unsigned from = 3;
	size_t i;

	qsort(keep, n, sizeof(*keep), by_value);
	for (i = 0; i < n; i++) {
		if (keep[i] < (int)from)
			continue;
		if ((unsigned)keep[i] > from)
			syscall(SYS_close_range, from,
			    (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0);
}

static bool
has_mail(const struct start *st)
{
	return (st->c->row->flags & PROC_F_MAIL) != 0;
}

/* Descriptors that a child keeps at most. */
static size_t
count_own(const struct start *st)
{
	/* channel, peers, segments, keys, control's three, mail, sockets */
	size_t n = 1 + st->npeer + SHM_NSEG + 1 + 3 + SLOT_MAX;
	struct list *l;

	list_each(l, &st->m->bound)
		n++;
	return n;
}

static void
keep_own(const struct start *st, int chan_fd)
{
	const struct master *m = st->m;
	int *keep = must_alloc(count_own(st) * sizeof(*keep));
	struct list *l;
	size_t n = 0;
	unsigned i;

	keep[n++] = chan_fd;
	for (i = 0; i < st->npeer; i++)
		keep[n++] = st->peer[i].fd;
	for (i = 0; i < SHM_NSEG; i++)
		keep[n++] = shm_fd(m->proc.shm, i);
	if (child_keys(st->c->row) >= 0)
		keep[n++] = m->keys_fd[child_keys(st->c->row)];
	if (st->c->row->count == 0)
		list_each(l, &m->bound)
			keep[n++] = container_of(l, struct bound, node)->fd;
	for (i = 0; i < SLOT_MAX && has_mail(st); i++)
		if (mail_fd(m->proc.mail, i) >= 0)
			keep[n++] = mail_fd(m->proc.mail, i);
	if (st->c->row->run == control_run) {
		keep[n++] = m->ctl_fd;
		keep[n++] = st->ro_fd[0];
		keep[n++] = st->ro_fd[1];
	}
	close_but(keep, n);
	free(keep);
}

/* --- log --- */

static void
put_line(struct log *log, enum log_level level, const struct log_ids *ids,
    struct str text)
{
	struct skel *s = log->ctx;
	uint64_t ms = ids->wall_ms != 0 ? ids->wall_ms :
	    ev_wall_ms(s->proc.ev);
	struct record_line line = { ms, level, s->proc.row->name,
	    s->proc.index, ids, text };

	record_put_line(&s->board.ring, &line);
}

/* --- generations --- */

/* Tells the master that a generation's slot is not used here. */
static void
release(uint64_t number, uint32_t slot)
{
	struct frame_head h = { .op = CHAN_RELEASED, .id = number,
	    .len = sizeof(slot) };

	if (chan_is_open(&self->master))
		(void)chan_send(&self->master, &h, &slot, NULL, 0);
}

static void
on_gen_free(void *ctx, const struct gen *g)
{
	(void)ctx;
	release(g->number, g->slot);
}

static void
count_gens(struct skel *s)
{
	s->board.slot->generations = gen_count(&s->proc.gens[0]);
	if (s->proc.gens->cur != NULL)
		s->board.slot->generation = s->proc.gens->cur->number;
}

/* By default who has keys leaves no core file. */
static void
guard_keys(const struct gen *g, bool live)
{
	bool may = settings_get(g->conf)->core_dumps;

	if (gen_has_keys(self->gens, g) && (live || !may))
		priv_allow_dumps(may);
}

/* Who does handshakes maps a second file as well. */
static int
map_keys(struct gen *g, int fd, struct err *e)
{
	int kind = child_keys(self->row);

	if (kind < 0)
		return 0;
	if (gen_map_keys(self->gens, g, (enum gen_keys)kind, fd, e) < 0)
		return -1;
	guard_keys(g, false);
	return 0;
}

/* Those of the generation that the process began with. */
static int
map_own(struct gen *g, const struct master *m, struct err *e)
{
	int kind = child_keys(self->row);
	int fd = kind < 0 ? -1 : m->keys_fd[kind];

	if (map_keys(g, fd, e) < 0)
		return -1;
	guard_keys(g, true);
	if (fd >= 0)
		close(fd);
	return 0;
}

static void
on_prepare(struct skel *s, struct frame *f)
{
	struct prepare p;
	struct frame_head h = { .op = CHAN_PREPARED, .id = f->head.id };
	struct gens *gs = s->proc.gens;
	struct err e = { "the frame is malformed" };
	char buf[sizeof(p) + sizeof(e.text)];
	int rc = -1;

	memset(&p, 0, sizeof(p));
	if (f->head.len == sizeof(p) && f->nfd >= 1) {
		memcpy(&p, f->data, sizeof(p));
		gs->next = gen_map(gs, f->fds[0], p.slot, &e);
		if (gs->next != NULL) {
			gen_ref(gs->next);
			rc = map_keys(gs->next, f->nfd > 1 ? f->fds[1] : -1,
			    &e);
		}
		if (rc == 0)
			rc = s->hooks->prepare == NULL ? 0 :
			    s->hooks->prepare(s->hooks->ctx, gs->next, &e);
	}
	if (rc == 0 && FAULT("prepare_refuse"))
		rc = err_set(&e, "fault point prepare_refuse\nINJECTED=1");
	if (gs->next == NULL)
		release(f->head.id, p.slot);
	p.refused = rc < 0;
	memcpy(buf, &p, sizeof(p));
	h.len = sizeof(p);
	if (rc < 0) {
		memcpy(buf + sizeof(p), e.text, strlen(e.text));
		h.len += (uint32_t)strlen(e.text);
	}
	(void)chan_send(&s->proc.master, &h, buf, NULL, 0);
}

static void
on_commit(struct skel *s, struct frame *f)
{
	struct frame_head h = { .op = CHAN_COMMITTED, .id = f->head.id };
	struct gens *gs = s->proc.gens;
	struct gen *g = gs->next;

	if (g == NULL || g->number != f->head.id)
		return;
	gs->next = NULL;
	if (s->hooks->commit != NULL)
		s->hooks->commit(s->hooks->ctx, g);
	gen_commit(gs, g);
	guard_keys(g, true);
	gen_unref(gs, &g);
	settings_set_levels(gs->cur->conf, &s->proc.log);
	count_gens(s);
	(void)chan_send(&s->proc.master, &h, NULL, NULL, 0);
}

static void
on_cancel(struct skel *s, struct frame *f)
{
	struct gens *gs = s->proc.gens;

	/* there may be none yet, but sockets that came ahead of it */
	if (gs->next != NULL && gs->next->number != f->head.id)
		return;
	if (s->hooks->cancel != NULL)
		s->hooks->cancel(s->hooks->ctx, gs->next);
	if (gs->next != NULL)
		gen_unref(gs, &gs->next);
}

/* --- the master's frames and signals --- */

/* Of an end that was told before and one of now, the sooner; its ms. */
static uint64_t
sooner(uint64_t *end, uint64_t begin, uint64_t ms, bool again)
{
	if (!again || begin + ms < *end)
		*end = begin + ms;
	return *end > begin ? *end - begin : 0;
}

static void
drain(struct skel *s, struct drain d)
{
	uint64_t begin = ev_ms(s->proc.ev) + d.delay;
	bool again = s->proc.draining;

	if (d.streams < d.limit)
		d.streams = d.limit;
	/* a later order counts for what it wants to end sooner */
	if (again && !d.orphan && begin + d.limit >= s->drain_limit &&
	    begin + d.streams >= s->drain_end)
		return;
	d.limit = sooner(&s->drain_limit, begin, d.limit, again);
	d.streams = sooner(&s->drain_end, begin, d.streams, again);
	s->proc.draining = true;
	if (s->hooks->drain != NULL)
		s->hooks->drain(s->hooks->ctx, &d);
	else
		skel_exit(0);
}

/* As the generation has it for those that are replaced. */
static struct drain
replaced(void)
{
	const struct settings *c = settings_get(self->gens->cur->conf);

	return (struct drain){ .limit = c->drain_timeout,
	    .streams = c->drain_streams };
}

static void
on_mail(struct frame *f)
{
	uint32_t slot;

	if (self->mail == NULL || f->nfd != 1 || f->head.len != sizeof(slot))
		return;
	memcpy(&slot, f->data, sizeof(slot));
	mail_add(self->mail, slot, f->fds[0]);
	f->fds[0] = -1;
}

static void
on_frame(struct chan *c, struct frame *f)
{
	struct skel *s = c->ctx;
	uint64_t ms[3] = { 0, 0, 0 };

	if (f == NULL) {
		log_err(&self->lc, "the master is gone: draining");
		drain(s, (struct drain){ .orphan = true, .limit =
		    settings_get(self->gens->cur->conf)->stop });
		return;
	}
	switch (f->head.op) {
	case CHAN_PREPARE:
		on_prepare(s, f);
		break;
	case CHAN_COMMIT:
		on_commit(s, f);
		break;
	case CHAN_CANCEL:
		on_cancel(s, f);
		break;
	case CHAN_EXPIRE:
		if (s->hooks->expire != NULL && !FAULT("expire_ignored"))
			s->hooks->expire(s->hooks->ctx, f->head.id);
		break;
	case CHAN_MAIL:
		on_mail(f);
		break;
	case CHAN_DRAIN:
		if (f->head.len == sizeof(ms))
			memcpy(ms, f->data, sizeof(ms));
		drain(s, (struct drain){ ms[0], ms[1], ms[2], false });
		break;
	default:
		if (s->hooks->frame != NULL)
			s->hooks->frame(s->hooks->ctx, f);
	}
}

static void
on_signal(void *ctx, int signo)
{
	struct skel *s = ctx;

	/* from outside, or from a master of another program */
	if (signo != SIGTERM && signo != SIGQUIT)
		return;
	s->proc.replaced = !s->proc.draining;
	drain(s, replaced());
}

static void
on_beat(void *ctx, uint64_t now)
{
	struct skel *s = ctx;
	uint64_t n = gen_count(s->proc.gens);

	s->board.slot->beat_ms = now;
	if (s->board.slot->generations != n)
		count_gens(s);
	if (now - s->ticked_ms >= 1000) {
		s->ticked_ms = now;
		log_tick(&s->proc.log);
	}
	if (s->hooks != NULL && s->hooks->beat != NULL)
		s->hooks->beat(s->hooks->ctx, now);
}

/* --- start --- */

static int
enter(struct skel *s, struct err *e)
{
	const struct master *m = s->start->m;

	if (shm_enter(s->proc.shm, s->proc.row->rights, e) < 0)
		return -1;
	board_enter(&s->board, s->proc.shm, s->proc.slot,
	    s->proc.row->count == 0 ? RING_BYTES_WORKER : RING_BYTES);
	self->board = &s->board;
	if (!(s->proc.row->flags & PROC_F_ROOT) &&
	    priv_become(&m->user, e) < 0)
		return -1;
	return priv_no_new(e);
}

static int
set_up(struct skel *s, int chan_fd, struct err *e)
{
	static const int signos[] = { SIGTERM, SIGQUIT, 0 };
	struct gens *gs = s->proc.gens;

	if (enter(s, e) < 0)
		return -1;
	s->proc.ev = ev_new(NULL, e);
	if (s->proc.ev == NULL ||
	    sig_open(&s->sig, s->proc.ev, signos, on_signal, s, e) < 0 ||
	    chan_open(&s->proc.master, s->proc.ev, chan_fd, on_frame, s,
	    e) < 0)
		return -1;
	sig_unblock();
	s->proc.log.put = put_line;
	s->proc.log.ctx = s;
	gen_forget(gs);
	gs->on_free = on_gen_free;
	gs->ctx = s;
	if (map_own(gs->cur, s->start->m, e) < 0)
		return -1;
	settings_set_levels(gs->cur->conf, &s->proc.log);
	count_gens(s);
	ev_set_beat(s->proc.ev, on_beat, s, 1000);
	/* it only logs: without it we serve as well */
	if (priv_watch_calls(e) < 0)
		log_warn(&self->lc, "system calls are not watched: %s",
		    e->text);
	return 0;
}

void
skeleton_main(struct start *st, int chan_fd)
{
	struct master *m = st->m;
	struct skel *s = must_calloc(1, sizeof(*s));
	struct err e;
	int status;

	/* what comes now waits for the handlers of set_up */
	sig_forget(&m->sig);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	keep_own(st, chan_fd);
	s->start = st;
	s->proc.start = st;
	s->proc.row = st->c->row;
	s->proc.index = child_no(st->c);
	s->proc.slot = st->c->slot;
	s->proc.tag = st->c->tag;
	s->proc.shm = m->proc.shm;
	s->proc.gens = &m->gens;
	s->proc.mail = has_mail(st) ? m->proc.mail : NULL;
	s->proc.lc.log = &s->proc.log;
	log_init_stderr(&s->proc.log, LOG_INFO);
	self = &s->proc;
	rand_seed(&self->rand);
	proc_set_title("sluiced: %s", st->c->name);
	panic_init();
	if (set_up(s, chan_fd, &e) < 0) {
		log_err(&self->lc, "%s: cannot start: %s", st->c->name,
		    e.text);
		skel_quit(EXIT_ENV);
	}
	if (FAULT("start_crash"))
		skel_quit(EXIT_ENV);
	status = self->row->run();
	skel_quit(status);
}

int
skel_run(const struct skel_hooks *hooks)
{
	struct skel *s = skel();
	struct frame_head h = { .op = CHAN_READY };

	s->hooks = hooks;
	if (!s->start->m->opts->foreground)
		proc_leave_terminal();
	(void)chan_send(&self->master, &h, NULL, NULL, 0);
	ev_run(self->ev);
	return s->status;
}

void
skel_exit(int status)
{
	skel()->status = status;
	skel()->ending = true;
	ev_stop(self->ev);
}

int
skel_npeer(void)
{
	return (int)self->start->npeer;
}

int
skel_peer(int i, unsigned *index)
{
	*index = self->start->peer[i].index;
	return self->start->peer[i].fd;
}
