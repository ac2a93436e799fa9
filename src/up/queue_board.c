/*
 * What processes tell each other about who waits for which upstream: the
 * rows of `queue`.  All processes; see up/queue.h.
 *
 * What is read here was written by workers: slots and times are checked.
 */
#include "up/queue.h"

#include "os/proc.h"

#define HUNG_MS		3000	/* without a beat; they come each second */

const struct shm_region board_queues = {
	"queue", SHM_LIVE, 1, sizeof(struct board_queue), 16,
	"who waits for a connection, and who may have idle ones"
};

static struct board_queue *
row_of(struct shm *shm, uint32_t row)
{
	if (row >= shm_rows(shm, &board_queues))
		return NULL;
	return shm_row(shm, &board_queues, row);
}

uint32_t
queue_waiting(struct shm *shm, const struct board_upstream *live)
{
	uint32_t		 word = atomic_load(&live->queue);
	struct lease_word	*w;

	if (word == 0 || word > shm_rows(shm, &lease_words))
		return 0;
	w = shm_row(shm, &lease_words, word - 1);
	/* in one order with what is noted and looked at around it */
	return (uint32_t)atomic_load(&w->taken);
}

/* A process that hangs serves nobody: its waiters hold up no others. */
static bool
is_hung(struct shm *shm, unsigned slot, uint64_t now_ms)
{
	struct board_slot	*s;

	if (slot >= shm_rows(shm, &board_slots))
		return false;
	s = shm_row(shm, &board_slots, slot);
	return atomic_load_explicit(&s->beat_ms, memory_order_relaxed) +
	    HUNG_MS < now_ms;
}

/* The least cell above `after`, or 0; of those that count. */
static uint64_t
least(struct shm *shm, uint32_t row, unsigned but, uint64_t after)
{
	struct board_queue	*b = row_of(shm, row);
	uint64_t		 now = ev_clock_ns() / 1000000;
	uint64_t		 v, best = UINT64_MAX;
	unsigned		 slot;

	for (unsigned i = 0; b != NULL && i < QUEUE_CELLS; i++) {
		v = atomic_load(&b->cell[i]);
		slot = (unsigned)(v & 0xffff);
		if (slot == 0 || slot > SLOT_MAX || slot - 1 == but ||
		    v <= after || v >= best || is_hung(shm, slot - 1, now))
			continue;
		best = v;
	}
	return best == UINT64_MAX ? 0 : best;
}

unsigned
queue_next(struct shm *shm, uint32_t row, unsigned but, uint64_t after)
{
	uint64_t	v = least(shm, row, but, after);

	return v == 0 ? 0 : (unsigned)(v & 0xffff) - 1;
}

unsigned
queue_oldest(struct shm *shm, uint32_t row, unsigned but, uint64_t *since_us)
{
	uint64_t	v = least(shm, row, but, 0);

	*since_us = v == 0 ? UINT64_MAX : v >> 16;
	return v == 0 ? 0 : (unsigned)(v & 0xffff) - 1;
}

static bool
has_bit(struct board_queue *b, unsigned slot)
{
	return (atomic_load(&b->idle[slot / 64]) >> slot % 64 & 1) != 0;
}

void
queue_ask_idle(struct shm *shm, uint32_t row, unsigned slot)
{
	struct board_queue	*b = row_of(shm, row);

	for (unsigned n = 1; b != NULL && n < SLOT_MAX; n++)
		if (has_bit(b, (slot + n) % SLOT_MAX)) {
			mail_post(self->mail, (slot + n) % SLOT_MAX,
			    MAIL_IDLE, row);
			return;
		}
}

void
queue_trim(struct shm *shm, uint32_t row)
{
	struct board_queue	*b = row_of(shm, row);

	for (unsigned slot = 0; b != NULL && slot < SLOT_MAX; slot++)
		if (has_bit(b, slot))
			mail_post(self->mail, slot, MAIL_IDLE, row);
}

static void
wake_all(struct shm *shm, uint32_t row)
{
	struct board_queue	*b = row_of(shm, row);
	unsigned		 slot;

	for (unsigned i = 0; b != NULL && i < QUEUE_CELLS; i++) {
		slot = (unsigned)(atomic_load(&b->cell[i]) & 0xffff);
		if (slot != 0 && slot <= SLOT_MAX)
			mail_post(self->mail, slot - 1, MAIL_ROOM, row);
	}
}

void
queue_note_state(struct shm *shm, uint32_t row)
{
	struct board_upstream	*u;

	if (self == NULL || self->mail == NULL ||
	    row >= shm_rows(shm, &board_upstreams))
		return;
	u = shm_row(shm, &board_upstreams, row);
	if (queue_waiting(shm, u) > 0)
		wake_all(shm, row);
}

void
queue_sweep(struct shm *shm)
{
	struct board_upstream	*u;

	for (uint32_t i = 0; i < shm_rows(shm, &board_upstreams); i++) {
		u = shm_row(shm, &board_upstreams, i);
		if (atomic_load(&u->tag) == 0 || queue_waiting(shm, u) == 0)
			continue;
		wake_all(shm, i);
		queue_trim(shm, i);
	}
}

void
queue_forget(struct shm *shm, unsigned slot)
{
	struct board_upstream	*u;
	struct board_queue	*b;
	uint64_t		 v;

	for (uint32_t i = 0; i < shm_rows(shm, &board_upstreams); i++) {
		u = shm_row(shm, &board_upstreams, i);
		b = row_of(shm, i);
		if (b == NULL || atomic_load(&u->touched) == 0)
			continue;
		atomic_fetch_and(&b->idle[slot / 64], ~(1ULL << slot % 64));
		for (unsigned k = 0; k < QUEUE_CELLS; k++) {
			v = atomic_load(&b->cell[k]);
			if ((v & 0xffff) == slot + 1)
				atomic_compare_exchange_strong(&b->cell[k],
				    &v, 0);
		}
	}
	queue_sweep(shm);
}
