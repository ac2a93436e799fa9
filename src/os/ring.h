/*
 * Log rings: one writer, one reader (the logger), over shared memory.  A
 * record exists from the moment the head is moved behind it, by one
 * store; a writer that dies before leaves nothing.  The reader notes what
 * it is about to write (file, offset, bytes) before it writes, and moves
 * the tail only after the write returned: a restarted reader neither
 * loses nor doubles.
 */
#ifndef SL_OS_RING_H
#define SL_OS_RING_H

#include <stdatomic.h>

#include "base/str.h"

#define RING_RECORD_MAX	65536	/* bytes of one record */
#define RING_SIZE_MIN	4096	/* bytes of data */

/* head of a ring; 256 bytes, then the data */
struct ring_head {
	/* writer */
	_Atomic uint64_t head;		/* position after the last record */
	_Atomic uint64_t dropped;	/* records that found no room */
	uint64_t	 pad0[6];
	/* reader */
	_Atomic uint64_t tail;		/* position of the next record */
	_Atomic uint64_t told;		/* of dropped, that were reported */
	uint64_t	 pad1[6];
	/* reader: the write under way; state 0: none */
	_Atomic uint64_t w_state;	/* 1: what follows is valid */
	uint64_t	 w_dev;
	uint64_t	 w_ino;
	uint64_t	 w_off;		/* file size before the write */
	uint64_t	 w_len;		/* bytes of text */
	uint64_t	 w_tail;	/* tail after it */
	uint64_t	 pad2[2];
	/* writer, while the ring is empty */
	_Atomic uint64_t size;		/* bytes of data, power of two */
	_Atomic uint64_t base;		/* position that has place 0 */
	uint64_t	 pad3[6];
};
_Static_assert(sizeof(struct ring_head) == 256, "ring head");

struct ring {
	struct ring_head	*h;	/* of the board */
	char			*data;
	uint64_t		 max;	/* bytes there are for data */
	uint64_t		 size;	/* of h, checked */
	uint64_t		 base;	/* the same */
	/* writer */
	uint64_t		 pos;	/* the head */
	uint64_t		 at;	/* the reservation's record */
	uint64_t		 room;	/* bytes of it */
	uint64_t		 clean;	/* given back up to here */
	uint64_t		 ahead;	/* pages are there up to here */
	bool			 open:1; /* there is a reservation */
	bool			 far:1;	/* there are pages behind the front */
};

/* the write under way of a reader */
struct ring_intent {
	uint64_t	dev;
	uint64_t	ino;
	uint64_t	off;		/* size of the file before it */
	uint64_t	len;		/* bytes of text */
	uint64_t	tail;		/* the tail after it */
};

/*
 * Writer: over bytes of shared memory, zeroed or in use by a writer who
 * died; what he committed stays.  size (a power of two, at most bytes -
 * 256) takes effect when the ring is empty, else it keeps the old one.
 */
void ring_attach(struct ring *, void *mem, size_t bytes, size_t size);

/* Reader, or anyone who looks.  False: no writer ever came, or no ring. */
bool ring_open(struct ring *, void *mem, size_t bytes);

/*
 * Writer: room for a record of at most n bytes, contiguous; NULL if it is
 * full (counted as dropped).  ring_commit makes n' <= n bytes of it one
 * record and returns its position; nothing is visible before.  The next
 * ring_reserve gives up one that was not committed.
 */
char *ring_reserve(struct ring *, size_t n);
uint64_t ring_commit(struct ring *, size_t n);

/* Where the next commit's record will stand; at or behind it. */
uint64_t ring_pos(const struct ring *);
/* True if the record at that position was committed (or read since). */
bool ring_is_committed(const struct ring *, uint64_t pos);

/* Bytes between tail and head. */
uint64_t ring_used(const struct ring *);

/*
 * Reader: the record at *pos (start with the tail), *pos moves behind it.
 * False when there is none.  Lengths are checked like network input: a
 * ring that does not hold is emptied, counted as dropped.
 */
bool ring_next(struct ring *, uint64_t *pos, struct str *record);
uint64_t ring_tail(const struct ring *);
/* Reader: everything before pos is done with. */
void ring_release(struct ring *, uint64_t pos);

/*
 * Reader: set before write(2), then ring_release(tail), then clear.  At
 * the start of a reader's life get tells what the one before was at; if
 * the file has its off + len bytes the write was done and tail is to be
 * released, else the rest of it (all, when its size is off) is not.
 */
void ring_intent_set(struct ring *, const struct ring_intent *);
void ring_intent_clear(struct ring *);
bool ring_intent_get(const struct ring *, struct ring_intent *);

#endif
