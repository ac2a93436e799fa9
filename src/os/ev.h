/*
 * The event loop of every process.  One interface, one file per system
 * call: epoll, kqueue, poll.  A turn: io events, ready list, wakes,
 * flush, deferred frees, timers.  Connections are edge-triggered with one
 * registration for both directions; listening sockets level-triggered.
 *
 * An ev_fd keeps readable/writable bits: the loop sets them, whoever got
 * EAGAIN (or a short read) clears them.  Work left for want of budget or
 * credit goes on the ready list, never back to the kernel.
 */
#ifndef SL_OS_EV_H
#define SL_OS_EV_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "os/timer.h"

/* conditions of a descriptor */
#define EV_R		0x01	/* a read may give something, or EOF */
#define EV_W		0x02	/* a write may take something */
#define EV_RDHUP	0x04	/* the peer sent its last byte */
#define EV_HUP		0x08	/* both directions are gone */
#define EV_ERR		0x10	/* an error is pending */
#define EV_GONE		(EV_RDHUP | EV_HUP | EV_ERR)

/* how to watch */
#define EV_EDGE		0x00	/* both directions, edge-triggered */
#define EV_LEVEL	0x01	/* reads only, level-triggered */
#define EV_EXCLUSIVE	0x02	/* with EV_LEVEL: wake few of the waiters */
#define EV_READS	0x04	/* with EV_EDGE: that it takes writes is
				 * known, and need not be told */

struct ev;
struct ev_fd;

/*
 * Called with the conditions that are new; fd->ready has them all.  With
 * EV_EDGE a condition whose bit is still set is not told again.  An end
 * or error comes with EV_R (and EV_W, when both directions are gone).
 */
typedef void (*ev_fd_fn)(struct ev_fd *, unsigned what);

struct ev_fd {
	ev_fd_fn	 on;
	int		 fd;
	uint8_t		 ready;		/* EV_R.. as last known */
	uint8_t		 how;		/* EV_EDGE.. */
	uint16_t	 slot;		/* 0xffff: not watched */
};

/* what a turn runs after io events, in this order */
enum ev_phase {
	EV_READY,	/* goes on where it stopped for want of budget */
	EV_WAKE,	/* told by somebody of this process */
	EV_FLUSH,	/* one write per connection and turn */
	EV_FREE,	/* deferred destruction */
	EV_NPHASE
};

struct ev_task;
typedef void (*ev_task_fn)(struct ev_task *);

/* A task is in at most one queue; posting it twice is one run. */
struct ev_task {
	struct list	 node;
	ev_task_fn	 run;
};

struct ev_backend {
	const char	*name;
	size_t		 size;	/* of the state behind struct ev */
	int		(*open)(struct ev *, struct err *);
	void		(*close)(struct ev *);
	int		(*add)(struct ev *, struct ev_fd *);
	/* forgets also what it has not fired yet of this turn */
	void		(*del)(struct ev *, struct ev_fd *, bool closing);
	/* waits, calls ev_awake, then ev_fire for each event */
	void		(*wait)(struct ev *, int ms);
};

extern const struct ev_backend ev_epoll, ev_kqueue, ev_poll;

/* counts of a loop since it began; written by the loop alone */
struct ev_count {
	uint64_t	turns;
	uint64_t	events;
	uint64_t	busy_ns;	/* time not spent waiting */
};

/*
 * Backend NULL: the best of this system, or the one that SLUICE_EV in
 * the environment names (epoll, kqueue, poll).
 */
struct ev *ev_new(const struct ev_backend *, struct err *);

/*
 * Runs the frees still posted; other tasks and timers are disarmed.  A
 * forked child may drop its copy so from within a callback; then none are
 * run, and the parent's loop notices nothing.
 */
void ev_free(struct ev **);
const char *ev_name(const struct ev *);

/* Prepares an ev_fd; it is not watched yet. */
void ev_fd_init(struct ev_fd *, int fd, ev_fd_fn);

/* Starts and stops watching; add returns -1 when the kernel refuses. */
int ev_add(struct ev *, struct ev_fd *, unsigned how, struct err *);

/*
 * Stops watching.  Events of this turn not yet delivered are dropped, so
 * the caller may close the descriptor and post its struct's free.
 * No system call when the descriptor is about to be closed: for that no
 * other process may hold it (listening sockets and channels are shared).
 */
void ev_del(struct ev *, struct ev_fd *, bool closing);

void ev_task_init(struct ev_task *, ev_task_fn);
/* Queues the task for its phase; one that is in a queue stays there. */
void ev_post(struct ev *, enum ev_phase, struct ev_task *);
/*
 * To EV_FLUSH, before all others: what it needs is in the caches now.  One
 * that is in a queue is moved.
 */
void ev_post_next(struct ev *, struct ev_task *);
/* Takes it out of its queue; harmless when it is in none. */
void ev_cancel(struct ev_task *);
bool ev_is_posted(const struct ev_task *);

/* Milliseconds of the monotonic clock, and of the day, at the last wait. */
uint64_t ev_ms(const struct ev *);
uint64_t ev_wall_ms(const struct ev *);
/* Nanoseconds of the monotonic clock, read now (vDSO, 30 ns). */
uint64_t ev_clock_ns(void);

/* Arms t to fire ms from now, replacing what was armed. */
void ev_timer(struct ev *, struct timer *, uint64_t ms);
void ev_timer_off(struct ev *, struct timer *);

/*
 * Called once each turn with the time; waits are cut to max_idle_ms, so
 * that an idle process still beats.  NULL: none.
 */
void ev_set_beat(struct ev *, void (*)(void *, uint64_t now_ms), void *,
    unsigned max_idle_ms);

/* Runs turns until ev_stop; or one turn that waits at most ms. */
void ev_run(struct ev *);
void ev_turn(struct ev *, int ms);
void ev_stop(struct ev *);
const struct ev_count *ev_counts(const struct ev *);

/* --- for backends --- */
void *ev_state(struct ev *);
/* Once after the wait, before the first ev_fire: the turn's time. */
void ev_awake(struct ev *);
void ev_fire(struct ev *, struct ev_fd *, unsigned what);

#endif
