/*
 * What one master leaves to the next: a memory file, one fact a line, and
 * the descriptors that it names.  The old master writes it twice: for the
 * check of the new program, and when it hands over.
 */
#ifndef SL_MAIN_HANDOVER_H
#define SL_MAIN_HANDOVER_H

#include "main/master.h"

/* what is read besides what goes into the master */
struct handover {
	uint64_t	layout;		/* of the board */
	int		shm[SHM_NSEG];
};

/* What m holds as a memory file; its descriptor, or -1. */
int handover_write(struct master *, struct err *);

/* on: the descriptor of the file and those it names survive exec. */
void handover_inherit(struct master *, int fd, bool on);

/* Says in the environment which descriptor it is; -1: none. */
void handover_announce(int fd);

/* The file that the environment names; -1 if there is none. */
int handover_find(void);

/*
 * Reads it into a master that holds nothing yet.  -1 if a part is not
 * understood: e has the first one, all others were taken.
 */
int handover_read(struct master *, int fd, struct handover *, struct err *);

/*
 * The board that it names, whose descriptors are gone then; NULL if it is
 * not one of this program.
 */
struct shm *handover_board(const struct master *, const struct handover *,
    struct err *);

/*
 * When a part was not understood: listening sockets that no line named
 * are taken as well, every other descriptor is closed.
 */
void handover_take_rest(struct master *);

/* In the check: could this program take over what the file says? */
int handover_check(int fd, struct err *);

#endif
