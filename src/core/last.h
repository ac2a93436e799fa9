/*
 * The last time each failure happened, and to whom: what an operator asks
 * next.  A row per process on the board, so that noting costs no lock; a
 * reader takes the newest of all.  What a dead process noted stays until
 * its slot's next one notes something later.
 */
#ifndef SL_CORE_LAST_H
#define SL_CORE_LAST_H

#include <stdatomic.h>

#include "http/fail.h"
#include "os/shm.h"
#include "os/sock.h"

#define LAST_FAILS	192	/* rows; more than the table has */
#define LAST_TEXT	176	/* bytes of texts in one */

/* writer: the process */
struct last_row {
	_Atomic uint32_t seq;		/* odd: being written */
	uint8_t		 id_n;		/* bytes used of text: request id */
	uint8_t		 upstream_n;
	uint8_t		 server_n;
	uint8_t		 client_n;
	_Atomic uint64_t ms;		/* wall clock; 0: never */
	char		 text[LAST_TEXT];	/* id, ..., client */
};
struct board_last {
	struct last_row	row[LAST_FAILS];
};
_Static_assert(sizeof(struct board_last) == LAST_FAILS * 192, "board last");
_Static_assert(FAIL_N <= LAST_FAILS, "rows of failures");

extern const struct shm_region board_lasts;

/* who it happened to; what is empty is not known */
struct last_who {
	struct str	id;
	struct str	upstream;
	struct str	server;
	struct str	client;		/* where there was no request */
};

/* Notes it in this process's row; without a board nothing is. */
void last_note(enum fail, const struct last_who *, uint64_t wall_ms);
/* The same of a connection, of which its client alone is known. */
void last_note_client(enum fail, const struct sock_peer *, uint64_t wall_ms);

/* what was found; who has slices of text */
struct last_seen {
	uint64_t	ms;
	struct last_who	who;
	char		text[LAST_TEXT];
};

/* The newest of all processes; false if it has not happened. */
bool last_find(const struct shm *, enum fail, struct last_seen *);

#endif
