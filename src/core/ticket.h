/*
 * Seeds of ticket keys on the board (segment secret): the master makes one
 * each tls.ticket_rotate, workers read the three latest.  There is one
 * place more than are read, so that none of those is ever written.
 */
#ifndef SL_CORE_TICKET_H
#define SL_CORE_TICKET_H

#include "os/shm.h"
#include "tls/ticket.h"

#define TICKET_SEED	48
#define TICKET_ROWS	(TLS_SEEDS + 1)

/* row: no % TICKET_ROWS; writer: master */
struct board_ticket {
	_Atomic uint64_t no;		/* from 1; 0: being written */
	_Atomic uint64_t made_ms;	/* wall clock */
	uint8_t		 seed[TICKET_SEED];
};
_Static_assert(sizeof(struct board_ticket) == 64, "board ticket");

extern const struct shm_region board_tickets;

/*
 * Master: makes the next seed if the newest is older than that, or there
 * is none.  1: it did, 0: it was not needed, -1: no random bytes.
 */
int ticket_rotate(struct shm *, uint64_t now_ms, uint64_t rotate_ms,
    struct err *);

/* Brings seeds up to date with the board, if they are not. */
void ticket_follow(const struct shm *, struct tls_seeds *);

#endif
