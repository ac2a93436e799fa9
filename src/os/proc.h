/*
 * What a process is: its row in the roster, its loop, its place on the
 * board.  `self` is the one global of every process.
 */
#ifndef SL_OS_PROC_H
#define SL_OS_PROC_H

#include "base/rand.h"
#include "os/chan.h"
#include "os/log.h"
#include "os/shm.h"

struct board;
struct gens;
struct mail;
struct start;

struct proc {
	const struct proc_row	*row;		/* const: procs[] */
	unsigned		 index;		/* "worker 2" */
	unsigned		 slot;		/* on the board */
	uint64_t		 tag;		/* of this life of the slot */
	struct ev		*ev;		/* own */
	struct shm		*shm;		/* own */
	struct board		*board;		/* own; core/board.h */
	struct gens		*gens;		/* own */
	struct mail		*mail;		/* own; core/mail.h; or NULL */
	struct log		 log;
	struct logctx		 lc;		/* without ids */
	struct rand		 rand;
	struct chan		 master;	/* to the master */
	const struct start	*start;		/* of main/: inherited */
	bool			 draining:1;
	bool			 replaced:1;	/* so by a signal: one takes
						 * its place */
};

extern struct proc *self;

#define PROC_F_ROOT	0x01	/* keeps the master's privileges */
#define PROC_F_KEYS	0x02	/* maps the generation's keys file */
#define PROC_F_PROBE	0x40	/* maps that of probes */
#define PROC_F_CRASH	0x04	/* holds no state: restart at once */
#define PROC_F_ASKED	0x08	/* has a channel with every worker */
#define PROC_F_FEED	0x10	/* has one with the other that says so */
#define PROC_F_MAIL	0x20	/* can wake workers: has their eventfds */

/* a row of procs[], the roster in registry.c; NULL name at the end */
struct proc_row {
	const char	*name;
	unsigned	 flags;			/* PROC_F_ */
	enum shm_right	 rights[SHM_NSEG];
	/* how many; fixed > 0, or 0: as the generation says (workers) */
	unsigned	 count;
	/* runs after the skeleton set self up; returns the exit status */
	int		(*run)(void);
};
extern const struct proc_row procs[];

/*
 * Title as ps shows it: proc_set_title("sluiced: %s %u", "worker", 2).
 * Init moves argv's strings and the environment elsewhere, for the title
 * takes their room; before it set_title does nothing.
 */
void proc_title_init(int argc, char **argv);
void proc_set_title(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* Standard streams to /dev/null: a daemon holds no terminal or pipe. */
void proc_leave_terminal(void);

#endif
