/*
 * Timers of a loop; every process.
 *
 * Six levels of 64 slots, a level for each 6 bits of the due time.  A
 * timer stands at the highest digit in which its time differs from now,
 * so each level's slots lie ahead of now's own digit and the levels come
 * one after the other in time: what is next is the first bit of the
 * lowest level that is not empty.  When now reaches a slot its timers are
 * fired or move to a lower level, at most five times in their life; the
 * time between two slots is jumped over, however long.
 *
 * The top level goes round: its slots are up to 63 digits (2.1 years)
 * ahead, and what lies beyond waits in the last one.
 */
#include "os/timer.h"

#include <stdint.h>

#include "base/must.h"

#define DIGIT	6
#define TOP	(TIMER_LEVELS - 1)

_Static_assert(TIMER_SLOTS == 1 << DIGIT, "a level is one digit");

/* the times of a slot begin at at */
struct spot {
	unsigned	level;
	unsigned	slot;
	uint64_t	at;
};

static struct spot
place(const struct timers *w, uint64_t due)
{
	struct spot s;
	uint64_t ahead;

	s.level = (unsigned)(63 - __builtin_clzll(due ^ w->now)) / DIGIT;
	if (s.level > TOP)
		s.level = TOP;
	ahead = (due >> s.level * DIGIT) - (w->now >> s.level * DIGIT);
	if (ahead >= TIMER_SLOTS)
		ahead = TIMER_SLOTS - 1;
	s.at = ((w->now >> s.level * DIGIT) + ahead) << s.level * DIGIT;
	s.slot = s.at >> s.level * DIGIT & (TIMER_SLOTS - 1);
	return s;
}

static void
link_in(struct timers *w, struct timer *t)
{
	struct spot s = place(w, t->due);

	list_add_tail(&w->wheel[s.level][s.slot], &t->node);
	w->bits[s.level] |= UINT64_C(1) << s.slot;
}

/*
 * A timer does not know its slot (it may have been moved since), but the
 * last one of a slot has the slot's head on both sides.
 */
static void
unlink_from(struct timers *w, struct timer *t)
{
	struct list *head = t->node.next;
	size_t i;

	if (head == t->node.prev) {
		i = (size_t)((char *)head - (char *)w->wheel) / sizeof(*head);
		must(i < TIMER_LEVELS * TIMER_SLOTS);
		w->bits[i / TIMER_SLOTS] &=
		    ~(UINT64_C(1) << i % TIMER_SLOTS);
	}
	list_del(&t->node);
}

/* The slot that now reaches first; false when there is no timer. */
static bool
next_spot(const struct timers *w, struct spot *s)
{
	uint64_t digits, bits;
	unsigned turn;

	for (s->level = 0; s->level < TIMER_LEVELS; s->level++) {
		bits = w->bits[s->level];
		if (bits == 0)
			continue;
		digits = w->now >> s->level * DIGIT;
		turn = digits & (TIMER_SLOTS - 1);
		bits = bits >> turn | bits << (-turn & (TIMER_SLOTS - 1));
		digits += (unsigned)__builtin_ctzll(bits);
		s->slot = digits & (TIMER_SLOTS - 1);
		s->at = digits << s->level * DIGIT;
		return true;
	}
	return false;
}

void
timer_init(struct timer *t, timer_fn fire)
{
	list_init(&t->node);
	t->due = 0;
	t->fire = fire;
}

bool
timer_is_armed(const struct timer *t)
{
	return !list_is_empty(&t->node);
}

void
timers_init(struct timers *w, uint64_t now_ms)
{
	unsigned i, j;

	for (i = 0; i < TIMER_LEVELS; i++) {
		w->bits[i] = 0;
		for (j = 0; j < TIMER_SLOTS; j++)
			list_init(&w->wheel[i][j]);
	}
	w->now = now_ms;
	w->n = 0;
}

void
timers_add(struct timers *w, struct timer *t, uint64_t due_ms)
{
	/* The slot of now has been run: what is late comes with the next. */
	if (due_ms <= w->now)
		due_ms = w->now + 1;
	if (!timer_is_armed(t)) {
		w->n++;
	} else if (due_ms >= t->due) {
		t->due = due_ms;
		return;
	} else {
		unlink_from(w, t);
	}
	t->due = due_ms;
	link_in(w, t);
}

void
timers_del(struct timers *w, struct timer *t)
{
	if (!timer_is_armed(t))
		return;
	unlink_from(w, t);
	w->n--;
}

/*
 * Nothing is ever linked into the slot that now stands at, so this ends
 * whatever the callbacks arm.
 */
static void
run_slot(struct timers *w, struct list *slot)
{
	struct timer *t;

	while (!list_is_empty(slot)) {
		t = container_of(slot->next, struct timer, node);
		unlink_from(w, t);
		if (t->due > w->now) {
			link_in(w, t);
			continue;
		}
		w->n--;
		t->fire(t);
	}
}

void
timers_run(struct timers *w, uint64_t now_ms)
{
	struct spot s;

	while (next_spot(w, &s) && s.at <= now_ms) {
		must(s.at > w->now);
		w->now = s.at;
		run_slot(w, &w->wheel[s.level][s.slot]);
	}
	if (now_ms > w->now)
		w->now = now_ms;
}

uint64_t
timers_wait(const struct timers *w, uint64_t max)
{
	struct spot s;

	if (!next_spot(w, &s) || s.at - w->now > max)
		return max;
	return s.at - w->now;
}
