/*
 * Requests that wait while every server of their upstream has its
 * max_conns connections.  One queue per upstream over all workers: how
 * many wait is a lease; each process notes on the board since when its
 * first one waits, and who gives a place back wakes the process whose
 * first is the oldest (core/mail.h).  Within a process the oldest goes
 * first.
 *
 * Who is woken and finds no room waits on, at its place; who has nobody
 * left to serve wakes the next.  A wake that is lost (its receiver died,
 * or hangs) is repeated by the master, and by health each second.
 */
#ifndef SL_UP_QUEUE_H
#define SL_UP_QUEUE_H

#include "core/mail.h"
#include "up/upstream.h"

#define QUEUE_CELLS	112

/*
 * Region `queue` of live, the rows of upstream_live.  A cell is taken by
 * compare-and-swap from 0 and then written by its slot alone, or by the
 * master when that is dead: since when its first waits, in microseconds
 * of the monotonic clock, and slot + 1 in the lowest 16 bits.
 */
struct board_queue {
	_Atomic uint64_t idle[SLOT_MAX / 64 + 1]; /* slots that may have idle
						   * connections; set and
						   * cleared by the slot */
	_Atomic uint64_t cell[QUEUE_CELLS];
};
_Static_assert(sizeof(struct board_queue) == 1024, "board queue");

extern const struct shm_region board_queues;

/* --- queue.c: workers --- */

/* a request's place in the queue */
struct queue_wait {
	/*
	 * By the caller, before queue_join.  FAIL_NONE: there may be room:
	 * it leaves the queue, or waits on.  Else it is out of the queue:
	 * why.  From a wake.
	 */
	void			(*on)(struct queue_wait *, enum fail);
	/* The one server that it is for now; NULL there or here: any. */
	struct server		*(*wants)(struct queue_wait *);
	struct upstream		*upstream;	/* ref; stays while it waits */
	const struct tried	*tried;		/* ref */
	/* of the queue */
	struct list		 node;
	struct queue		*in;		/* ref; NULL: in none */
	struct server		*want;		/* counted; NULL: any */
	uint64_t		 since_us;
	struct timer		 deadline;
};

/* FAIL_NONE: it waits, at most so long; else why it may not. */
enum fail queue_join(struct queue_wait *, const struct queue_limits *);
/* Harmless when it does not wait. */
void queue_leave(struct queue_wait *);
/* Microseconds since queue_join let it in. */
uint64_t queue_time(const struct queue_wait *);

/* True if a server that was not asked yet could be asked or probed now. */
bool queue_has_room(struct upstream *, const struct tried *);
/*
 * True if others wait for what a new request would take, which is for that
 * server alone, or for any: NULL.
 */
bool queue_is_due(struct upstream *, const struct tried *,
    const struct server *);

/* --- queue_want.c: of queue.c, but for queue_has_room --- */

/* It waits for this server alone; NULL: for any. */
void queue_want(struct queue_wait *, struct server *);
/* It is asked for whom it waits. */
void queue_look_for(struct queue_wait *);
/* Is there room that it has a use for? */
bool queue_has_room_for(const struct queue_wait *);

/* --- queue.c again --- */

/* For the pool: may a connection become idle, with others waiting? */
bool queue_lets_idle(const struct server *);
/* It is idle now. */
void queue_note_idle(const struct server *);
/* One that is shared has room again, which this process alone can use. */
void queue_note_room(const struct upstream *);
/* True if a place can be had that nobody who waits would miss. */
bool queue_has_spare(const struct server *);
/* The place of a connection was given back. */
void queue_note_place(struct upstream *);

/* mail_fn; ctx: the struct serve. */
void queue_on_mail(void *serve, enum mail_topic, uint32_t key);

extern const struct serve_part queue_part;

/* --- queue_board.c: all processes --- */

/* Requests that wait, over all workers. */
uint32_t queue_waiting(struct shm *, const struct board_upstream *);
/*
 * The slot whose first has waited longest, but for `but`; 0: nobody.
 * *since_us: since when.  Processes that hang are passed over.
 */
unsigned queue_oldest(struct shm *, uint32_t row, unsigned but,
    uint64_t *since_us);
/*
 * The slot whose cell is the least above `after`, which is what stands in
 * another cell, or 0; 0: nobody.
 */
unsigned queue_next(struct shm *, uint32_t row, unsigned but,
    uint64_t after);
/* Asks the next process behind `slot` that may have idle connections. */
void queue_ask_idle(struct shm *, uint32_t row, unsigned slot);
/* A server's state is another one: who waits may go there, or elsewhere. */
void queue_note_state(struct shm *, uint32_t row);
/* Wakes everybody who waits, and asks for idle connections for them. */
void queue_sweep(struct shm *);
/* A limit was lowered: idle connections over it are to go. */
void queue_trim(struct shm *, uint32_t row);
/* Master: the process of the slot is dead; lease_return came before. */
void queue_forget(struct shm *, unsigned slot);

#endif
