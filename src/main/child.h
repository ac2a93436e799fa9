/*
 * The processes that the master started, and what each of them inherits.
 * Master; a child looks at its own struct start.
 */
#ifndef SL_MAIN_CHILD_H
#define SL_MAIN_CHILD_H

#include <sys/types.h>

#include "os/chan.h"
#include "os/proc.h"

struct master;

/* a process that the master started */
struct child {
	struct list		 node;		/* of master.children */
	struct master		*m;		/* ref */
	const struct proc_row	*row;		/* const: procs[] */
	unsigned		 index;		/* from 0 */
	char			 name[32];	/* "worker 1", "logger" */
	unsigned		 slot;
	uint64_t		 tag;
	pid_t			 pid;
	struct chan		 chan;
	struct timer		 kill;		/* SIGKILL when it fires */
	uint64_t		 holds;		/* bit per generation slot */
	uint64_t		 born_ms;	/* monotonic */
	/* control: sets of names (child_names.c) */
	struct list		 sets;		/* own: that wait */
	unsigned		 nset;
	struct timer		 pass;
	bool			 ready:1;
	bool			 draining:1;	/* its death is wanted */
	bool			 hung:1;	/* got SIGABRT */
	bool			 old:1;		/* of the program before */
	bool			 asked:1;	/* an answer is awaited */
};

/* what a child finds besides the master's memory as it was */
struct start_peer {
	unsigned		 index;		/* of the other end's process */
	int			 fd;
};
#define START_PEERS	512
struct start {
	struct master		*m;		/* the copy in the child */
	struct child		*c;
	/* control: read-only descriptors of dir and live; else -1 */
	int			 ro_fd[2];
	unsigned		 npeer;
	struct start_peer	 peer[START_PEERS];
};

/* --- child.c --- */
struct child *child_spawn(struct master *, const struct proc_row *,
    unsigned index, struct err *);
void child_free(struct child **);
struct child *child_find(struct master *, const struct proc_row *,
    unsigned index);
struct child *child_by_pid(struct master *, pid_t);
unsigned child_count(struct master *, const struct proc_row *);
/*
 * Asks it to finish; streams may go on for streams_ms, if that is more.
 * SIGKILL a while after that.
 */
void child_drain(struct child *, uint64_t delay_ms, uint64_t limit_ms,
    uint64_t streams_ms);
/* SIGKILL after ms, unless that is due earlier. */
void child_kill_in(struct child *, uint64_t ms);
/* Fills in what follows from row and index. */
void child_init(struct child *);
/* Number for people: 0 if the role has one process, else from 1. */
unsigned child_no(const struct child *);
/* Row of the roster by name; must exist. */
const struct proc_row *child_row(const char *name);
/* Starts every role that is missing, in the order of procs[]. */
int child_spawn_roles(struct master *, struct err *);
void child_on_frame(struct chan *, struct frame *);

/* --- skeleton.c --- */
/* In the child, never returns. */
void skeleton_main(struct start *, int chan_fd) __attribute__((noreturn));

/* --- child_look.c --- */
/*
 * Hands on what control asks to a worker, another one each time, and a
 * worker's answer to control, unread.
 */
void child_look(struct child *, const struct frame *);

/* --- child_names.c --- */
void child_names_init(struct child *);
/* A set of addresses, applied and answered with all that come soon. */
void child_names_take(struct child *, const struct frame *);
void child_names_drop(struct child *);

#endif
