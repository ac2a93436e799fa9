/*
 * The board's rows of processes: regions, a process's own view, and what
 * the master does with the rows of a dead one.
 *
 * What only the master writes (globals, totals) lies in `dir`, where no
 * worker can reach it; what processes write lies in `live`.  Rows of a
 * slot stay sparse: rings and flights cost pages only as they are used.
 */
#include "core/board.h"

#include <stdlib.h>

#include "base/must.h"

/* A counter above that in one life is no count but a process gone wild. */
#define COUNT_MAX	(1ULL << 56)

#define RING_STRIDE	(RING_BYTES_WORKER + 4096)

/* Changes when a counter or failure is added, moved or, mostly, renamed. */
enum {
	STAT_LAYOUT = 1
#define STAT(id, name, kind, help) \
	+ ((int)STAT_##id + 7) * ((int)sizeof(name) + 31 * (int)STAT_##kind)
#include "core/stat.tbl"
#undef STAT
#define FAIL(id, name, ...)	+ ((int)FAIL_##id + 7) * (int)sizeof(name)
#include "http/fail.tbl"
#undef FAIL
};

const struct shm_region board_slots = {
	"slot", SHM_LIVE, 2, sizeof(struct board_slot), 16,
	"processes: state, pid, beat, load"
};
const struct shm_region board_panics = {
	"panic", SHM_LIVE, 1, sizeof(struct board_panic), 16,
	"last words of a process that died"
};
const struct shm_region board_stats = {
	"stat", SHM_LIVE, STAT_LAYOUT, sizeof(struct board_stat), 16,
	"counters and gauges of a process"
};
const struct shm_region board_totals = {
	"total", SHM_DIR, STAT_LAYOUT, sizeof(struct board_stat), 1,
	"counters of all processes that are gone"
};
const struct shm_region board_globals = {
	"global", SHM_DIR, 1, sizeof(struct board_global), 1,
	"words for the whole machine"
};
const struct shm_region board_rings = {
	"ring", SHM_RINGS, 2, RING_STRIDE, 16, "log records of a process"
};
const struct shm_region board_flights = {
	"flight", SHM_LIVE, 1, FLIGHT_PER_SLOT * sizeof(struct board_flight),
	16, "requests in flight of a process"
};

int
board_grow(struct shm *shm, unsigned slots, struct err *e)
{
	static const struct shm_region *const	per_slot[] = {
		&board_slots, &board_panics, &board_stats, &board_rings,
		&board_flights, &board_lasts
	};

	if (slots > SLOT_MAX)
		return err_set(e, "board: %u processes are too many, at most "
		    "%u", slots, SLOT_MAX);
	if (shm_grow(shm, &board_totals, 1, e) == -1 ||
	    shm_grow(shm, &board_globals, 1, e) == -1)
		return -1;
	for (size_t i = 0; i < sizeof(per_slot) / sizeof(per_slot[0]); i++)
		if (shm_grow(shm, per_slot[i], slots, e) == -1)
			return -1;
	return 0;
}

/* Only workers have requests, and only they have large rings. */
uint64_t
board_cost(unsigned workers, unsigned others)
{
	unsigned	all = workers + others;

	return shm_cost(&board_slots, all) + shm_cost(&board_panics, all) +
	    shm_cost(&board_stats, all) + shm_cost(&board_totals, 1) +
	    shm_cost(&board_lasts, all) +
	    shm_cost(&board_globals, 1) + shm_cost(&board_flights, workers) +
	    shm_cost(&board_rings, workers) +
	    (RING_BYTES + sizeof(struct ring_head)) * (uint64_t)others;
}

void
board_enter(struct board *b, struct shm *shm, unsigned slot, size_t ring)
{
	struct board_stat	*stat = shm_row(shm, &board_stats, slot);

	*b = (struct board){ .global = shm_row(shm, &board_globals, 0) };
	b->slot = shm_row(shm, &board_slots, slot);
	b->panic = shm_row(shm, &board_panics, slot);
	b->stat = stat->v;
	b->last = shm_row(shm, &board_lasts, slot);
	b->flight = shm_row(shm, &board_flights, slot);
	b->flight_free = must_calloc(FLIGHT_PER_SLOT,
	    sizeof(*b->flight_free));
	/* the lowest are taken first, so that few pages are touched */
	while (b->nfree < FLIGHT_PER_SLOT) {
		b->flight_free[b->nfree] =
		    (uint16_t)(FLIGHT_PER_SLOT - 1 - b->nfree);
		b->nfree++;
	}
	ring_attach(&b->ring, shm_row(shm, &board_rings, slot), RING_STRIDE,
	    ring);
}

void
board_leave(struct board *b)
{
	free(b->flight_free);
	*b = (struct board){ .nfree = 0 };
}

bool
board_ring(struct ring *r, struct shm *shm, unsigned slot)
{
	return ring_open(r, shm_row(shm, &board_rings, slot), RING_STRIDE);
}

static uint64_t
get(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

static void
set(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static void
add(_Atomic uint64_t *p, uint64_t n)
{
	set(p, atomic_load_explicit(p, memory_order_relaxed) + n);
}

/* what is known of a dead process */
struct grave {
	struct board_slot	*slot;
	struct board_stat	*stat;
	struct board_flight	*flight;
	struct ring		 ring;
	uint64_t		 v[STAT_N];	/* as it left them */
	uint64_t		 started;	/* settled */
	uint64_t		 finished;
	uint64_t		 rows;		/* in flight */
};

static void
open_grave(struct grave *g, struct shm *shm, unsigned slot)
{
	g->slot = shm_row(shm, &board_slots, slot);
	g->stat = shm_row(shm, &board_stats, slot);
	g->flight = shm_row(shm, &board_flights, slot);
	board_ring(&g->ring, shm, slot);
	for (unsigned i = 0; i < STAT_N; i++) {
		g->v[i] = get(&g->stat->v[i]);
		if (stat_rows[i].kind != STAT_COUNTER || g->v[i] > COUNT_MAX)
			g->v[i] = 0;
	}
	g->started = g->v[STAT_STARTED];
	g->finished = g->v[STAT_FINISHED];
	g->rows = 0;
}

/* Every word once, since another process gone wild may still write it. */
static bool
copy_flight(const struct board_flight *from, struct board_flight *f)
{
	struct flight_text	t;

	if (atomic_load_explicit(&from->state, memory_order_acquire) !=
	    FLIGHT_OPEN)
		return false;
	memcpy(f, from, sizeof(*f));
	if (!flight_get(f, &t))
		f->id_n = f->method_n = f->host_n = f->target_n = 0;
	return true;
}

/*
 * Of the counters only the last step can be missing, so nothing but one
 * more than they say is believed of a row.
 */
static bool
is_finished(const struct grave *g, const struct board_flight *f)
{
	uint64_t	no = get(&f->fin_no);
	uint64_t	pos = get(&f->ring_pos);

	if (no == 0 || no > g->v[STAT_FINISHED] + 1)
		return false;
	return pos == FLIGHT_NO_RECORD || ring_is_committed(&g->ring, pos);
}

static void
settle(struct grave *g, void (*lost)(void *, const struct board_flight *),
    void *ctx)
{
	uint64_t		top = get(&g->slot->flight_top);
	struct board_flight	f;

	if (top > FLIGHT_PER_SLOT)
		top = FLIGHT_PER_SLOT;
	for (uint64_t i = 0; i < top; i++) {
		if (!copy_flight(&g->flight[i], &f))
			continue;
		if (get(&f.start_no) == g->v[STAT_STARTED] + 1)
			g->started = g->v[STAT_STARTED] + 1;
		if (is_finished(g, &f)) {
			if (get(&f.fin_no) > g->finished)
				g->finished = get(&f.fin_no);
		} else {
			g->rows++;
			lost(ctx, &f);
		}
		atomic_store(&g->flight[i].state, FLIGHT_FREE);
	}
	/* never true of a process in its right mind */
	if (g->started < g->finished + g->rows)
		g->started = g->finished + g->rows;
}

/* Requests that had no row are lost as well, but nobody can name them. */
static void
add_totals(const struct grave *g, struct board_stat *total)
{
	for (unsigned i = 0; i < STAT_N; i++)
		if (i != STAT_STARTED && i != STAT_FINISHED && i != STAT_LOST)
			add(&total->v[i], g->v[i]);
	add(&total->v[STAT_STARTED], g->started);
	add(&total->v[STAT_FINISHED], g->finished);
	add(&total->v[STAT_LOST], g->started - g->finished);
	add(&total->v[STAT_FAIL(FAIL_WORKER_LOST)], g->started - g->finished);
}

/* What the process wrote; the rest of the row is the master's. */
static void
clear_slot(struct board_slot *s)
{
	set(&s->beat_ms, 0);
	set(&s->generation, 0);
	set(&s->generations, 0);
	set(&s->accepts, 0);
	set(&s->accept_rate, 0);
	set(&s->busy_permille, 0);
	set(&s->stepped, 0);
	set(&s->flight_top, 0);
}

void
board_fold(struct shm *shm, unsigned slot,
    void (*lost)(void *, const struct board_flight *), void *ctx)
{
	struct board_global	*global = shm_row(shm, &board_globals, 0);
	uint64_t		 seq = get(&global->fold_seq);
	struct grave		 g;

	open_grave(&g, shm, slot);
	settle(&g, lost, ctx);

	set(&global->fold_seq, seq + 1);
	atomic_thread_fence(memory_order_release);
	add_totals(&g, shm_row(shm, &board_totals, 0));
	for (unsigned i = 0; i < STAT_N; i++)
		set(&g.stat->v[i], 0);
	atomic_store_explicit(&global->fold_seq, seq + 2,
	    memory_order_release);

	clear_slot(g.slot);
}
