/*
 * Requests in flight: each has a row on the board while it runs.  Workers
 * write them; the master reads a dead worker's in board_fold.
 *
 * The order of the stores makes every instant decidable for the master
 * (all are release stores, so the compiler keeps their order, and a kill
 * cuts between two of them):
 *
 *   open:  row, start_no = STARTED + 1; state = OPEN; STARTED = start_no
 *   close: ring_pos; fin_no = FINISHED + 1; the ring's commit;
 *          FINISHED = fin_no; state = FREE
 *
 * A row that is OPEN began, even if STARTED does not say so yet: start_no
 * tells whether it does.  It ended if fin_no is set and its record stands
 * in the ring, even if FINISHED does not say so yet.  Everything else in
 * an OPEN row was in flight.  Since fin_no is FINISHED + 1, no two rows
 * may be on their way out at once; must() holds callers to it.
 */
#include "base/must.h"
#include "base/put.h"
#include "core/board.h"
#include "os/proc.h"

#define ID_MAX		64
#define METHOD_MAX	24
#define HOST_MAX	64

static void
put(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_release);
}

static uint64_t
get(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

/* Adds at most max bytes behind the *n that are there. */
static size_t
add_text(struct board_flight *f, size_t *n, struct str s, size_t max)
{
	s = str_sub(s, 0, max);
	s = str_sub(s, 0, sizeof(f->text) - *n);
	put_str(f->text + *n, s);
	*n += s.n;
	return s.n;
}

void
flight_set(struct board_flight *f, const struct flight_text *t)
{
	size_t	n = 0;

	f->id_n = (uint8_t)add_text(f, &n, t->id, ID_MAX);
	f->method_n = (uint32_t)add_text(f, &n, t->method, METHOD_MAX);
	f->host_n = (uint16_t)add_text(f, &n, t->host, HOST_MAX);
	f->target_n = (uint16_t)add_text(f, &n, t->target, sizeof(f->text));
}

bool
flight_get(const struct board_flight *f, struct flight_text *t)
{
	const char	*p = f->text;

	if ((uint64_t)f->id_n + f->method_n + f->host_n + f->target_n >
	    sizeof(f->text))
		return false;
	t->id = str_make(p, f->id_n);
	t->method = str_make(t->id.p + t->id.n, f->method_n);
	t->host = str_make(t->method.p + t->method.n, f->host_n);
	t->target = str_make(t->host.p + t->host.n, f->target_n);
	return true;
}

/* The master looks no further than flight_top: pages behind it are holes. */
struct board_flight *
flight_take(void)
{
	struct board	*b = board_self();
	unsigned	 i;

	if (b == NULL)
		return NULL;
	if (b->nfree == 0) {
		stat_add(STAT_FLIGHT_FULL, 1);
		return NULL;
	}
	i = b->flight_free[--b->nfree];
	if (i >= b->flight_top) {
		b->flight_top = i + 1;
		put(&b->slot->flight_top, b->flight_top);
	}
	return &b->flight[i];
}

void
flight_open(struct board_flight *f)
{
	struct board	*b = board_self();
	uint64_t	 no;

	if (b == NULL)
		return;
	no = get(&b->stat[STAT_STARTED]) + 1;
	if (f != NULL) {
		put(&f->fin_no, 0);
		put(&f->start_no, no);
		atomic_store_explicit(&f->state, FLIGHT_OPEN,
		    memory_order_release);
	}
	put(&b->stat[STAT_STARTED], no);
}

void
flight_closing(struct board_flight *f, uint64_t pos)
{
	struct board	*b = board_self();

	if (f == NULL || b == NULL)
		return;
	must(b->closing == NULL);
	must(get(&f->fin_no) == 0);
	b->closing = f;
	put(&f->ring_pos, pos);
	put(&f->fin_no, get(&b->stat[STAT_FINISHED]) + 1);
}

void
flight_close(struct board_flight *f)
{
	struct board	*b = board_self();

	if (b == NULL)
		return;
	if (f != NULL && b->closing == NULL)
		flight_closing(f, FLIGHT_NO_RECORD);
	must(b->closing == f);
	b->closing = NULL;
	stat_add(STAT_FINISHED, 1);
	if (f == NULL)
		return;
	atomic_store_explicit(&f->state, FLIGHT_FREE, memory_order_release);
	must(b->nfree < FLIGHT_PER_SLOT);
	b->flight_free[b->nfree++] = (uint16_t)(f - b->flight);
}
