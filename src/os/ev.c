/*
 * The event loop; every process.
 *
 * Here is all of it but the system call that waits: queues of tasks,
 * time, timers, the turn.  A backend waits, calls ev_awake once it is
 * back and ev_fire for each event.  It forgets what it has not yet fired
 * of a descriptor that is taken out, so that a callback may close any
 * descriptor; memory is freed in the last phase, so that no callback
 * frees its caller.
 */
#include "os/ev.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"

#define NO_SLOT		0xffff
#define WAKE_ROUNDS	2
#define NS_PER_MS	UINT64_C(1000000)

struct ev {
	/* set once */
	const struct ev_backend	*be;
	pid_t			 pid;		/* that made it */
	void			(*beat)(void *, uint64_t);
	void			*beat_ctx;	/* ref */
	unsigned		 max_idle;	/* ms, when there is a beat */

	/* per turn */
	uint64_t		 ms;		/* monotonic, of the wait */
	uint64_t		 wall_ms;	/* the same by the day */
	uint64_t		 awake_ns;	/* 0: has not waited yet */
	bool			 in_turn;
	bool			 stop;

	struct list		 queue[EV_NPHASE];
	struct list		*flushing;	/* what runs of EV_FLUSH */
	struct timers		 timers;
	struct ev_count		 count;
	_Alignas(max_align_t) char state[];	/* of the backend */
};

/* the best one first */
static const struct ev_backend *const backends[] = {
#ifdef __linux__
	&ev_epoll,
#else
	&ev_kqueue,
#endif
	&ev_poll
};

#define NBACKEND	(sizeof(backends) / sizeof(backends[0]))

static uint64_t
wall_ms(void)
{
	struct timespec ts;

	must(clock_gettime(CLOCK_REALTIME, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NS_PER_MS;
}

uint64_t
ev_clock_ns(void)
{
	struct timespec ts;

	must(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static const struct ev_backend *
choose(struct err *e)
{
	const char *name = getenv("SLUICE_EV");
	size_t i;

	if (name == NULL || *name == '\0')
		return backends[0];
	for (i = 0; i < NBACKEND; i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	err_set(e, "SLUICE_EV: no event backend \"%s\" here", name);
	return NULL;
}

struct ev *
ev_new(const struct ev_backend *be, struct err *e)
{
	struct ev *ev;
	int i;

	if (be == NULL && (be = choose(e)) == NULL)
		return NULL;
	ev = must_calloc(1, sizeof(*ev) + be->size);
	ev->be = be;
	ev->pid = getpid();
	for (i = 0; i < EV_NPHASE; i++)
		list_init(&ev->queue[i]);
	ev->ms = ev_clock_ns() / NS_PER_MS;
	ev->wall_ms = wall_ms();
	timers_init(&ev->timers, ev->ms);
	if (be->open(ev, e) == -1) {
		free(ev);
		return NULL;
	}
	return ev;
}

const char *
ev_name(const struct ev *ev)
{
	return ev->be->name;
}

void *
ev_state(struct ev *ev)
{
	return ev->state;
}

void
ev_fd_init(struct ev_fd *f, int fd, ev_fd_fn on)
{
	f->on = on;
	f->fd = fd;
	f->ready = 0;
	f->how = EV_EDGE;
	f->slot = NO_SLOT;
}

int
ev_add(struct ev *ev, struct ev_fd *fd, unsigned how, struct err *e)
{
	must(fd->slot == NO_SLOT);
	must(fd->fd >= 0);
	fd->how = (uint8_t)how;
	fd->slot = 0;	/* watched; ev_poll puts its own number here */
	if (ev->be->add(ev, fd) == -1) {
		fd->slot = NO_SLOT;
		return err_sys(e, "%s: cannot watch descriptor %d",
		    ev->be->name, fd->fd);
	}
	return 0;
}

void
ev_del(struct ev *ev, struct ev_fd *fd, bool closing)
{
	if (fd->slot == NO_SLOT)
		return;
	ev->be->del(ev, fd, closing);
	fd->slot = NO_SLOT;
}

void
ev_task_init(struct ev_task *t, ev_task_fn run)
{
	list_init(&t->node);
	t->run = run;
}

void
ev_post(struct ev *ev, enum ev_phase ph, struct ev_task *t)
{
	if (list_is_empty(&t->node))
		list_add_tail(&ev->queue[ph], &t->node);
}

void
ev_post_next(struct ev *ev, struct ev_task *t)
{
	list_del(&t->node);
	list_add(ev->flushing != NULL ? ev->flushing : &ev->queue[EV_FLUSH],
	    &t->node);
}

void
ev_cancel(struct ev_task *t)
{
	list_del(&t->node);
}

bool
ev_is_posted(const struct ev_task *t)
{
	return !list_is_empty(&t->node);
}

uint64_t
ev_ms(const struct ev *ev)
{
	return ev->ms;
}

uint64_t
ev_wall_ms(const struct ev *ev)
{
	return ev->wall_ms;
}

void
ev_timer(struct ev *ev, struct timer *t, uint64_t ms)
{
	timers_add(&ev->timers, t,
	    ms > UINT64_MAX - ev->ms ? UINT64_MAX : ev->ms + ms);
}

void
ev_timer_off(struct ev *ev, struct timer *t)
{
	timers_del(&ev->timers, t);
}

void
ev_set_beat(struct ev *ev, void (*beat)(void *, uint64_t), void *ctx,
    unsigned max_idle_ms)
{
	ev->beat = beat;
	ev->beat_ctx = ctx;
	ev->max_idle = max_idle_ms;
}

const struct ev_count *
ev_counts(const struct ev *ev)
{
	return &ev->count;
}

/* One look at the clock for the whole turn, but for what measures. */
void
ev_awake(struct ev *ev)
{
	ev->awake_ns = ev_clock_ns();
	ev->ms = ev->awake_ns / NS_PER_MS;
	ev->wall_ms = wall_ms();
}

/*
 * An error or a hang-up is met by whoever reads or writes next, so both
 * are due.  Of an edge-triggered descriptor only news is told: with a bit
 * still set its owner knows of work it has not finished.
 */
void
ev_fire(struct ev *ev, struct ev_fd *fd, unsigned what)
{
	if (what & EV_RDHUP)
		what |= EV_R;
	if (fd->how & EV_LEVEL) {
		if (what & (EV_HUP | EV_ERR))
			what |= EV_R;
		fd->ready = (uint8_t)what;
	} else {
		if (what & (EV_HUP | EV_ERR))
			what |= EV_R | EV_W;
		what &= ~(unsigned)fd->ready;
		fd->ready |= (uint8_t)what;
	}
	if (what == 0)
		return;
	ev->count.events++;
	fd->on(fd, what);
}

/*
 * Runs what is posted now, not what is posted meanwhile.  The batch is a
 * list of its own, out of which a task can still be cancelled.
 */
static bool
run_batch(struct ev *ev, enum ev_phase ph)
{
	struct list *queue = &ev->queue[ph], batch;
	struct ev_task *t;

	if (list_is_empty(queue))
		return false;
	list_add(queue, &batch);
	list_del(queue);
	ev->flushing = ph == EV_FLUSH ? &batch : NULL;
	while (!list_is_empty(&batch)) {
		t = container_of(batch.next, struct ev_task, node);
		list_del(&t->node);
		t->run(t);
	}
	ev->flushing = NULL;
	return true;
}

/* Writes and frees until neither is left: the loop may sleep after it. */
static void
settle(struct ev *ev)
{
	do {
		while (run_batch(ev, EV_FLUSH))
			;
		run_batch(ev, EV_FREE);
	} while (!list_is_empty(&ev->queue[EV_FLUSH]) ||
	    !list_is_empty(&ev->queue[EV_FREE]));
}

static bool
has_tasks(const struct ev *ev)
{
	int i;

	for (i = 0; i < EV_NPHASE; i++)
		if (!list_is_empty(&ev->queue[i]))
			return true;
	return false;
}

/*
 * The timers' time is that of the last wait; what the turn has taken
 * since is taken off, else a busy turn would make them late.
 */
static int
idle_ms(const struct ev *ev, int ms, uint64_t now_ms)
{
	uint64_t max = ms < 0 ? INT_MAX : (uint64_t)ms;
	uint64_t late = now_ms - ev->timers.now;
	uint64_t wait;

	if (has_tasks(ev))
		return 0;
	if (ev->beat != NULL && ev->max_idle < max)
		max = ev->max_idle;
	wait = timers_wait(&ev->timers, UINT64_MAX);
	if (wait <= late)
		return 0;
	return (int)(wait - late < max ? wait - late : max);
}

/*
 * The order is a contract (ev.h).  Frees come after all that might still
 * hold a pointer; timers after the frees, so that what died in this turn
 * has taken its timers along; then once more what the timers left to be
 * written or freed.  Tasks of other phases that came too late are run by
 * the next turn, which does not wait.
 */
void
ev_turn(struct ev *ev, int ms)
{
	uint64_t ns = ev_clock_ns();
	int i;

	must(!ev->in_turn);
	ev->in_turn = true;
	ev->count.turns++;
	if (ev->awake_ns != 0)
		ev->count.busy_ns += ns - ev->awake_ns;
	ev->be->wait(ev, idle_ms(ev, ms, ns / NS_PER_MS));
	if (ev->beat != NULL)
		ev->beat(ev->beat_ctx, ev->ms);
	run_batch(ev, EV_READY);
	for (i = 0; i < WAKE_ROUNDS; i++)
		run_batch(ev, EV_WAKE);
	settle(ev);
	timers_run(&ev->timers, ev->ms);
	settle(ev);
	ev->in_turn = false;
}

void
ev_run(struct ev *ev)
{
	while (!ev->stop)
		ev_turn(ev, -1);
	ev->stop = false;
}

void
ev_stop(struct ev *ev)
{
	ev->stop = true;
}

/*
 * Takes all nodes off a list whose head goes away: their owners may yet ask
 * whether they are posted, or cancel them.
 */
static void
forget(struct list *head)
{
	while (!list_is_empty(head))
		list_del(head->next);
}

void
ev_free(struct ev **evp)
{
	struct ev *ev = *evp;
	int i, j;

	*evp = NULL;
	if (ev == NULL)
		return;
	/*
	 * A child forked by a callback drops its copy of the loop in the
	 * middle of a turn; the frees are its parent's business.
	 */
	if (ev->pid == getpid()) {
		must(!ev->in_turn);
		while (run_batch(ev, EV_FREE))
			;
	}
	for (i = 0; i < EV_NPHASE; i++)
		forget(&ev->queue[i]);
	for (i = 0; i < TIMER_LEVELS; i++)
		for (j = 0; j < TIMER_SLOTS; j++)
			forget(&ev->timers.wheel[i][j]);
	ev->be->close(ev);
	free(ev);
}
