/*
 * Seeds of ticket keys.  The master makes, workers read.
 */
#include "core/ticket.h"

#include <sys/random.h>

#include <errno.h>
#include <string.h>

const struct shm_region board_tickets = {
	"tickets", SHM_SECRET, 1, sizeof(struct board_ticket), 8,
	"what keys of session tickets are derived from"
};

static struct board_ticket *
row_of(const struct shm *shm, uint64_t no)
{
	return shm_row(shm, &board_tickets, (uint32_t)(no % TICKET_ROWS));
}

/* The number of the newest; 0: there is none. */
static uint64_t
newest(const struct shm *shm)
{
	uint64_t	no, top = 0;

	for (uint32_t i = 0; i < shm_rows(shm, &board_tickets) &&
	    i < TICKET_ROWS; i++) {
		no = atomic_load_explicit(&row_of(shm, i)->no,
		    memory_order_acquire);
		top = no > top ? no : top;
	}
	return top;
}

/* getrandom gives up to 256 bytes whole, or is interrupted before any. */
static int
fill(uint8_t seed[TICKET_SEED], struct err *e)
{
	ssize_t	n;

	do
		n = getrandom(seed, TICKET_SEED, 0);
	while (n == -1 && errno == EINTR);
	if (n != TICKET_SEED)
		return err_sys(e, "tickets: the system gives no random "
		    "bytes");
	return 0;
}

int
ticket_rotate(struct shm *shm, uint64_t now_ms, uint64_t rotate_ms,
    struct err *e)
{
	struct board_ticket	*t;
	uint64_t		 no;

	if (shm_rows(shm, &board_tickets) < TICKET_ROWS &&
	    shm_grow(shm, &board_tickets, TICKET_ROWS, e) == -1)
		return -1;
	no = newest(shm);
	t = row_of(shm, no);
	/* a clock that was set back is no reason to wait for ever */
	if (no > 0 && now_ms >= t->made_ms && now_ms - t->made_ms < rotate_ms)
		return 0;
	t = row_of(shm, no + 1);
	atomic_store_explicit(&t->no, 0, memory_order_release);
	if (fill(t->seed, e) == -1)
		return -1;
	t->made_ms = now_ms;
	atomic_store_explicit(&t->no, no + 1, memory_order_release);
	return 1;
}

void
ticket_follow(const struct shm *shm, struct tls_seeds *s)
{
	uint64_t		 top = shm == NULL ? 0 : newest(shm);
	struct board_ticket	*t;

	if (top == s->version)
		return;
	s->version = top;
	s->n = 0;
	for (uint64_t no = top; no > 0 && s->n < TLS_SEEDS; no--) {
		t = row_of(shm, no);
		if (atomic_load_explicit(&t->no, memory_order_acquire) != no)
			break;
		memcpy(s->v[s->n], t->seed, TICKET_SEED);
		s->len[s->n++] = TICKET_SEED;
	}
}
