/*
 * Timers: a hierarchical wheel with 1 ms ticks, O(1) to arm, move and
 * cancel.  Moving a timer later costs one store: it is looked at when its
 * old time comes and put where it belongs.
 */
#ifndef SL_OS_TIMER_H
#define SL_OS_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define TIMER_LEVELS	6
#define TIMER_SLOTS	64

struct timer;
typedef void (*timer_fn)(struct timer *);

struct timer {
	struct list	node;		/* empty: not armed */
	uint64_t	due;		/* ms, monotonic */
	timer_fn	fire;
};

struct timers {
	struct list	wheel[TIMER_LEVELS][TIMER_SLOTS];
	uint64_t	bits[TIMER_LEVELS];	/* slots that are not empty */
	uint64_t	now;
	uint64_t	n;
};

void timer_init(struct timer *, timer_fn);
bool timer_is_armed(const struct timer *);

void timers_init(struct timers *, uint64_t now_ms);
void timers_add(struct timers *, struct timer *, uint64_t due_ms);
void timers_del(struct timers *, struct timer *);

/* Fires all that is due; a callback may add and delete any timer. */
void timers_run(struct timers *, uint64_t now_ms);

/* Milliseconds until something may be due, at most max; max when idle. */
uint64_t timers_wait(const struct timers *, uint64_t max);

#endif
