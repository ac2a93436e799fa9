/*
 * Ejection of servers.  Workers and health.
 */
#include "up/outlier.h"

#include <stdlib.h>

#include "base/must.h"
#include "core/stat.h"
#include "up/slow_start.h"
#include "up/upstream.h"

#define TURN_ROW	0xffffffffULL

static struct board_server_live *
live_of(struct shm *shm, uint32_t row)
{
	return shm_row(shm, &board_servers_live, row);
}

/* --- how many --- */

/*
 * The share is there so that those that are left can bear the load.  Who
 * fails its probes is away for a reason of its own, and where nobody
 * listens nothing is borne.
 */
static bool
counts(const struct board_server_live *l, uint64_t word)
{
	return (word & STATE_SICK) == STATE_BIT(SERVER_EJECTED) &&
	    !state_is_absent(l, word);
}

static bool
is_share_used(const struct outlier_set *s)
{
	size_t	limit = s->n * (size_t)s->conf->outlier.share / 100, n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += counts(live_of(s->shm, s->row[i]),
		    atomic_load(&live_of(s->shm, s->row[i])->state));
	return n >= (limit > 0 ? limit : 1);
}

static bool
may_eject(const struct outlier_set *s, uint32_t row, enum fail why)
{
	size_t		others = 0;
	uint64_t	word = atomic_load(&live_of(s->shm, row)->state);

	if ((word & STATE_BIT(SERVER_DOWN)) != 0)
		return true;
	for (size_t i = 0; i < s->n; i++) {
		word = atomic_load(&live_of(s->shm, s->row[i])->state);
		others += s->row[i] != row && (word & STATE_AWAY) == 0 &&
		    state_weight(shm_row(s->shm, &board_servers, s->row[i]),
		    live_of(s->shm, s->row[i])) > 0;
	}
	return others > 0 && (state_finds_nobody(why) || !is_share_used(s));
}

/* --- the turn --- */

static uint64_t
lasts(const struct outlier_conf *o, uint64_t n)
{
	return n > o->max_time / o->time ? o->max_time : n * o->time;
}

static bool
set_bit(struct shm *shm, struct board_outlier *b, uint32_t row,
    enum fail why)
{
	const struct board_server_live	*l = live_of(shm, row);

	if (!state_change(shm, row, atomic_load(&l->tag), SERVER_EJECTED,
	    true, why))
		return false;
	atomic_fetch_add(&b->ejections, 1);
	stat_add(STAT_EJECTIONS, 1);
	return true;
}

/* Who has the turn may be dead: what it is about to do is done. */
static void
help(const struct outlier_set *s, struct board_outlier *b, uint64_t turn,
    uint64_t now_ms)
{
	uint32_t			 row = (uint32_t)(turn & TURN_ROW) - 1;
	struct board_server_live	*l;

	if (row < shm_rows(s->shm, &board_servers_live)) {
		l = live_of(s->shm, row);
		if (atomic_load(&l->eject_until) <= now_ms)
			atomic_store(&l->eject_until, now_ms +
			    s->conf->outlier.time);
		set_bit(s->shm, b, row, (enum fail)(atomic_load(
		    &l->last_fail) >> 48) % FAIL_N);
	}
	atomic_compare_exchange_strong(&b->turn, &turn, turn & ~TURN_ROW);
}

/* True: it is the caller's, and the server may be ejected. */
static bool
take_turn(const struct outlier_set *s, struct board_outlier *b,
    uint32_t row, enum fail why, uint64_t now_ms, uint64_t *turn)
{
	uint64_t	was;

	for (;;) {
		was = atomic_load(&b->turn);
		if ((was & TURN_ROW) != 0) {
			help(s, b, was, now_ms);
			continue;
		}
		if ((atomic_load(&live_of(s->shm, row)->state) &
		    STATE_BIT(SERVER_EJECTED)) != 0 || !may_eject(s, row, why))
			return false;
		*turn = was + (1ULL << 32) + row + 1;
		if (atomic_compare_exchange_strong(&b->turn, &was, *turn))
			return true;
	}
}

bool
outlier_eject(const struct outlier_set *s, uint32_t row, uint64_t tag,
    enum fail why, uint64_t now_ms)
{
	struct board_server_live	*l = live_of(s->shm, row);
	struct board_outlier		*b;
	uint64_t			 turn;
	uint32_t			 n;
	bool				 did;

	b = shm_row(s->shm, &board_outliers, s->upstream);
	if (atomic_load(&l->tag) != tag ||
	    !take_turn(s, b, row, why, now_ms, &turn))
		return false;
	n = atomic_fetch_add(&l->ejections, 1) + 1;
	atomic_store(&l->eject_until, now_ms +
	    lasts(&s->conf->outlier, n));
	did = set_bit(s->shm, b, row, why);
	atomic_compare_exchange_strong(&b->turn, &turn, turn & ~TURN_ROW);
	return did;
}

/* --- workers --- */

/*
 * While the share is used up nobody counts who is ejected with each
 * failure: that ends with another epoch, or with other members.
 */
void
outlier_failed(struct server *srv, uint32_t n, enum fail why)
{
	struct upstream			*up = srv->upstream;
	uint64_t			 mark, word;
	const struct outlier_conf	*o = &up->watch.outlier;
	struct outlier_set		 set = { up->serve->shm, &up->watch,
		up->row, NULL, 0 };

	if (!o->on || o->consecutive == 0 || n < o->consecutive ||
	    up->nserver < 2)
		return;
	mark = atomic_load(&up->live->epoch) + 1 +
	    ((uint64_t)up->nserver << 40);
	word = atomic_load(&srv->live->state);
	if (up->full == mark && (word & STATE_BIT(SERVER_DOWN)) == 0 &&
	    !state_finds_nobody(why))
		return;
	if ((word & STATE_BIT(SERVER_EJECTED)) != 0) {
		/* asked all the same, and worse than it was */
		if (state_finds_nobody(why))
			state_renew(set.shm, srv->row, srv->tag,
			    SERVER_EJECTED, why);
		return;
	}
	set.row = must_calloc(up->nserver, sizeof(*set.row));
	for (size_t i = 0; i < up->nserver; i++)
		set.row[set.n++] = up->servers[i]->row;
	if (!outlier_eject(&set, srv->row, srv->tag, why,
	    ev_ms(up->serve->ev)) && is_share_used(&set))
		up->full = mark;
	free(set.row);
}

/* --- health --- */

void
outlier_end(struct shm *shm, uint64_t slow_ms, uint32_t row, uint64_t tag)
{
	struct board_server_live	*l = live_of(shm, row);

	if ((atomic_load(&l->state) & STATE_BIT(SERVER_EJECTED)) == 0)
		return;
	atomic_store(&l->fails, 0);
	slow_start_begin(shm, row, tag, slow_ms);
	state_change(shm, row, tag, SERVER_EJECTED, false, FAIL_NONE);
}

void
outlier_forget(struct shm *shm, uint64_t slow_ms, uint32_t row, uint64_t tag)
{
	struct board_server_live	*l = live_of(shm, row);

	if (atomic_load(&l->tag) != tag)
		return;
	atomic_store(&l->fails, 0);
	atomic_store(&l->ejections, 0);
	atomic_store(&l->eject_until, 0);
	outlier_end(shm, slow_ms, row, tag);
}
