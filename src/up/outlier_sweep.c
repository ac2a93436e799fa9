/*
 * Ejections as time goes by: by the rate of failures, their end, and n
 * that falls again.  Health process.
 *
 * A server's attempts that ended and those that failed are noted ten
 * times in each outlier.window; the oldest note is a window ago.
 */
#include "up/outlier.h"

#include <stdlib.h>

#include "base/must.h"
#include "up/watch.h"

static void
forget(struct watched *s)
{
	s->npast = 0;
	s->oldest = 0;
}

static bool
eject(struct watch *w, struct watched *s, uint64_t now_ms)
{
	const struct watch_up	*up = s->up;
	struct outlier_set	 set = { w->shm, up->watch, up->row, NULL,
		0 };
	uint64_t		 last = atomic_load(&s->live->last_fail);
	bool			 did;

	set.row = must_calloc(up->n, sizeof(*set.row));
	while (set.n < up->n) {
		set.row[set.n] = up->v[set.n]->row;
		set.n++;
	}
	did = outlier_eject(&set, s->row, s->tag,
	    (enum fail)((last >> 48) % FAIL_N), now_ms);
	if (did)
		forget(s);
	free(set.row);
	return did;
}

static bool
fails_often(const struct watched *s, const struct outlier_conf *o,
    uint32_t ended, uint32_t failed)
{
	if (s->npast == 0)
		return false;
	ended -= s->past.ended[s->oldest];
	failed -= s->past.failed[s->oldest];
	return ended >= o->requests && ended <= INT32_MAX &&
	    failed <= INT32_MAX &&
	    (uint64_t)failed * 100 > (uint64_t)ended * (uint64_t)o->rate;
}

static void
note(struct watched *s, uint32_t ended, uint32_t failed)
{
	unsigned	i = s->npast < WATCH_PAST ? s->npast++ : s->oldest;

	s->past.ended[i] = ended;
	s->past.failed[i] = failed;
	s->oldest = s->npast < WATCH_PAST ? 0 :
	    (uint8_t)((i + 1) % WATCH_PAST);
}

static void
look_at_rate(struct watch *w, struct watched *s, uint64_t now_ms)
{
	const struct outlier_conf	*o = &s->up->watch->outlier;
	uint64_t			 load = atomic_load(&s->live->load);
	uint32_t			 failed, ended;

	if (now_ms < s->past.next_ms)
		return;
	s->past.next_ms = now_ms + o->window / WATCH_PAST;
	ended = (uint32_t)((load >> LOAD_SHIFT) - (load & LOAD_ACTIVE));
	failed = (uint32_t)atomic_load(&s->live->failures);
	/* who may not be ejected yet is judged by what comes then */
	if (o->rate == 0 || !fails_often(s, o, ended, failed) ||
	    !eject(w, s, now_ms))
		note(s, ended, failed);
}

/* One less for each outlier.time without an ejection. */
static void
calm_down(struct watched *s, uint64_t now_ms)
{
	struct board_server_live	*l = s->live;
	uint32_t			 n = atomic_load(&l->ejections);

	if (n == 0 || s->past.calm_ms == 0)
		s->past.calm_ms = now_ms;
	if (n == 0 ||
	    now_ms - s->past.calm_ms < s->up->watch->outlier.time)
		return;
	s->past.calm_ms = now_ms;
	atomic_compare_exchange_strong(&l->ejections, &n, n - 1);
}

void
outlier_look(struct watch *w, struct watched *s, uint64_t now_ms)
{
	const struct outlier_conf	*o = &s->up->watch->outlier;
	uint64_t			 word = atomic_load(&s->live->state);

	if ((word & STATE_BIT(SERVER_EJECTED)) == 0) {
		if (!o->on)
			return;
		calm_down(s, now_ms);
		look_at_rate(w, s, now_ms);
		return;
	}
	s->past.calm_ms = 0;
	forget(s);
	if (!o->on || atomic_load(&s->live->eject_until) <= now_ms)
		outlier_end(w->shm, s->up->watch->slow_start, s->row,
		    s->tag);
}
