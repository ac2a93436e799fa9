/*
 * The master: binds, forks, reaps, signals, publishes generations, keeps
 * panic texts.  It parses neither configuration nor network bytes.  Files:
 *
 *	master.c	start, signals, stop
 *	child.c		the roster at run time: slots, spawn, peers
 *	reap.c		deaths, hangs, back-off, settling the board
 *	skeleton.c	what each child does before its own run()
 *	build.c		the builder, from fork to its answer
 *	plan.c		what a reload would change
 *	publish.c	reload: build, rows, sockets, prepare, commit
 *	bind.c		listening sockets, held as long as configured
 *	roll.c		replaces workers one by one; how many there are
 *	upgrade.c	hands over to another program, same pid
 *	handover.c	what it hands over, as text
 */
#ifndef SL_MAIN_MASTER_H
#define SL_MAIN_MASTER_H

#include "conf/gen.h"
#include "core/board.h"
#include "main/child.h"
#include "main/opts.h"
#include "main/publish.h"
#include "os/priv.h"
#include "os/proc.h"
#include "os/sig.h"
#include "os/sock.h"

enum master_state {
	MASTER_STARTING, MASTER_SERVING, MASTER_STOPPING, MASTER_ROLES,
	MASTER_LOGGER, MASTER_GONE
};

/* a listening socket, from the first generation that names it on */
struct bound {
	struct list		 node;		/* of master.bound */
	struct sock_addr	 addr;
	int			 fd;		/* own */
	bool			 wanted:1;	/* by the generation at hand */
	bool			 fresh:1;	/* not yet in a committed one */
};

/* how often a role died lately */
struct back_off {
	uint64_t		 at[10];	/* ms of the last deaths */
	unsigned		 n;
	struct timer		 again;
	unsigned		 missing;	/* to be spawned then */
	bool			 alerted:1;
};

struct master {
	struct proc		 proc;		/* self */
	const struct opts	*opts;		/* ref */
	enum master_state	 state;
	bool			 failed;	/* to start: status 4 */
	struct gens		 gens;
	struct sig		 sig;
	struct board		 board;
	struct priv_user	 user;
	/* places, of the first generation */
	char			 run_dir[256];
	char			 state_dir[256];
	char			 pid_file[512];
	int			 pid_fd;
	int			 ctl_fd;	/* own: control socket */
	int			 ready_fd;	/* daemon: tells the starter */
	/* what runs */
	struct list		 children;	/* own */
	struct list		 bound;		/* own */
	struct back_off		*back;		/* own: one per procs[] row */
	uint64_t		 tags;
	uint64_t		 numbers;	/* of generations */
	unsigned		 looks;		/* that were handed on */
	unsigned		 next_slot;	/* of generations */
	uint64_t		 slot_number[GEN_SLOTS]; /* last put there */
	int			 keys_fd;	/* own: of the live one */
	struct publish		 pub;
	struct plan_run		 plan;
	struct timer		 watch;		/* heartbeats, each second */
	/* roll */
	bool			 rolling:1;
	bool			 roll_waits:1;	/* for a publish to end */
	unsigned		 roll_at;	/* index under way */
	struct child		*roll_new;	/* ref: awaited */
	struct publish_askers	 roll_now;	/* wait for this one */
	struct publish_askers	 roll_later;	/* for the next one */
	/* stop */
	unsigned		 ints;
	struct timer		 stop;
	/* the first generation of an adopted master */
	struct timer		 first;		/* tried again */
	uint64_t		 first_ms;	/* after so long */
	/* upgrade */
	pid_t			 check_pid;
	int			 check_fd;	/* own: output of the check */
	struct timer		 check_kill;
	char			 program[1024];	/* to hand over to */
	bool			 adopted:1;	/* state came from another */
	bool			 old_board:1;	/* whose board is not ours */
};

/* --- master.c --- */
int master_run(struct opts *);
/* Goes on with stopping when a process has gone. */
void master_advance(struct master *);
void master_stop(struct master *, bool now);
/* Before the first generation is committed: user, folders, pid file. */
int master_first(struct master *, const struct conf *, enum diag_id *id,
    struct err *);
const struct settings *master_settings(const struct master *);
/* A role cannot be started at all: stops, with status 4. */
void master_give_up(struct master *, const char *role);
/* A reload is over. */
void master_published(struct master *, bool failed);

/* --- reap.c --- */
void reap_all(struct master *);
void reap_watch(struct master *);	/* arms the heartbeat's timer */
void reap_init(struct master *);
/* A process could not be forked: tries again in a second. */
void reap_retry(struct master *, const struct proc_row *);


/* --- bind.c --- */
/* *id tells what kind of failure it was. */
int bind_all(struct master *, const struct conf *, enum diag_id *id,
    struct err *);
/* After a publish: those that are no longer, or not to be, named go. */
void bind_settle(struct master *, bool commit);
/* All of them: nobody is let in any more. */
void bind_close(struct master *);
int bind_control(struct master *, struct err *);
void bind_close_control(struct master *);
struct bound *bind_find(struct master *, const struct sock_addr *);

/* --- roll.c --- */
/* asker: the id under which control waits for the report. */
void roll_start(struct master *, uint64_t asker);
void roll_ready(struct child *);
void roll_lost(struct child *);
/* A publish has ended: goes on if it waited. */
void roll_resume(struct master *);
/* As many workers as the generation says. */
void roll_fit(struct master *);

/* --- upgrade.c --- */
void upgrade_start(struct master *);
void upgrade_checked(struct master *, int status);
/* At the end: a check under way is not left behind. */
void upgrade_kill(struct master *);
/* In the new program: takes the state over; false if there is none. */
bool upgrade_adopt(struct master *);
/* The same, what needs a loop. */
void upgrade_adopt_children(struct master *);
/* True while children of the program before live (row NULL: any). */
bool upgrade_has_old(struct master *, const struct proc_row *);
/* Shared rings have one reader: the old logger goes first. */
void upgrade_drain_logger(struct master *);
/* When the new processes serve: the old ones may go. */
void upgrade_settle(struct master *);

#endif
