/*
 * The master: binds, forks, reaps, signals, publishes generations, keeps
 * panic texts.  It parses neither configuration nor network bytes.  Files:
 *
 *	master.c	start, signals, stop
 *	child.c		the roster at run time: slots, spawn, peers
 *	reap.c		deaths, hangs, back-off, settling the board
 *	skeleton.c	what each child does before its own run()
 *	build.c		the builder, from fork to its answer
 *	publish.c	reload: build, rows, sockets, prepare, commit
 *	bind.c		listening sockets, held as long as configured
 *	roll.c		replaces workers one by one; how many there are
 *	upgrade.c	hands over to another program, same pid
 */
#ifndef SL_MAIN_MASTER_H
#define SL_MAIN_MASTER_H

#include "conf/gen.h"
#include "core/board.h"
#include "main/opts.h"
#include "os/priv.h"
#include "os/proc.h"
#include "os/sig.h"
#include "os/sock.h"

enum master_state {
	MASTER_STARTING, MASTER_SERVING, MASTER_STOPPING, MASTER_ROLES,
	MASTER_LOGGER, MASTER_GONE
};

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
	bool			 ready:1;
	bool			 draining:1;	/* its death is wanted */
	bool			 hung:1;	/* got SIGABRT */
	bool			 old:1;		/* of the program before */
	bool			 asked:1;	/* an answer is awaited */
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

/* ids of reload requests that control waits for */
struct publish_askers {
	uint64_t		 id[32];
	unsigned		 n;
};

/* payload of CHAN_PREPARE, and of CHAN_PREPARED up to the reason */
struct prepare {
	uint64_t		 number;
	uint32_t		 slot;
	uint32_t		 refused;
};

/* payload of CHAN_REPORT, followed by why, text and JSON */
struct report {
	uint64_t		 generation;	/* that is live now */
	int32_t			 code;		/* EXIT_OK: done */
	uint32_t		 why_n;
	uint32_t		 text_n;
	uint32_t		 json_n;
};

/* reload: at most one at a time, one more may wait */
enum publish_step {
	PUBLISH_IDLE, PUBLISH_BUILD, PUBLISH_PREPARE, PUBLISH_COMMIT
};
struct publish {
	enum publish_step	 step;
	bool			 again:1;	/* asked for meanwhile */
	unsigned		 slot;		/* of the new generation */
	uint64_t		 number;
	struct gen		*gen;		/* of master.gens */
	int			 fd;		/* own: its file */
	int			 keys_fd;	/* own: its keys */
	unsigned		 pending;	/* answers awaited */
	bool			 refused:1;
	uint64_t		 begun_ms;
	struct timer		 deadline;
	/* builder */
	pid_t			 pid;
	struct chan		 chan;
	bool			 answered:1;
	/* outcome */
	int			 exit_code;
	uint32_t		 warnings;
	char			 why[512];
	struct text		 diags;		/* text for people */
	struct text		 json;		/* the same for programs */
	struct publish_askers	 now;
	struct publish_askers	 later;
};

struct master {
	struct proc		 proc;		/* self */
	const struct opts	*opts;		/* ref */
	enum master_state	 state;
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
	unsigned		 next_slot;	/* of generations */
	uint64_t		 slot_number[GEN_SLOTS]; /* last put there */
	int			 keys_fd;	/* own: of the live one */
	struct publish		 pub;
	struct timer		 watch;		/* heartbeats, each second */
	/* roll */
	bool			 rolling:1;
	bool			 roll_again:1;
	unsigned		 roll_at;	/* index under way */
	struct child		*roll_new;	/* ref: awaited */
	uint64_t		 roll_asker;
	/* stop */
	unsigned		 ints;
	struct timer		 stop;
	/* upgrade */
	pid_t			 check_pid;
	int			 check_fd;	/* own: output of the check */
	struct timer		 check_kill;
	char			 program[1024];	/* to hand over to */
	bool			 adopted:1;	/* state came from another */
	bool			 old_board:1;	/* whose board we do not share */
};

/* --- master.c --- */
int master_run(struct opts *);
/* Goes on with stopping when a process has gone. */
void master_advance(struct master *);
void master_stop(struct master *, bool now);
/* Before the first generation is committed: user, folders, pid file. */
int master_first(struct master *, const struct conf *, struct err *);
const struct settings *master_settings(const struct master *);
/* A reload is over. */
void master_published(struct master *, bool failed);

/* --- child.c --- */
struct child *child_spawn(struct master *, const struct proc_row *,
    unsigned index, struct err *);
void child_free(struct child **);
struct child *child_find(struct master *, const struct proc_row *,
    unsigned index);
struct child *child_by_pid(struct master *, pid_t);
unsigned child_count(struct master *, const struct proc_row *);
/* Asks it to finish; SIGKILL ms after that limit. */
void child_drain(struct child *, uint64_t delay_ms, uint64_t limit_ms);
/* Fills in what follows from row and index. */
void child_init(struct child *);
/* Number for people: 0 if the role has one process, else from 1. */
unsigned child_no(const struct child *);
/* Row of the roster by name; must exist. */
const struct proc_row *child_row(const char *name);
/* Starts every role that is missing, in the order of procs[]. */
int child_spawn_roles(struct master *, struct err *);
void child_on_frame(struct chan *, struct frame *);

/* --- reap.c --- */
void reap_all(struct master *);
void reap_watch(struct master *);	/* arms the heartbeat's timer */
void reap_init(struct master *);


/* --- skeleton.c --- */
/* In the child, never returns. */
void skeleton_main(struct start *, int chan_fd) __attribute__((noreturn));

/* --- build.c --- */
int build_start(struct master *, struct err *);
/* Called by reap when the builder's pid has gone. */
void build_reaped(struct master *, int status);

/* --- publish.c --- */
/* asker 0: a signal. */
void publish_start(struct master *, uint64_t asker);
void publish_built(struct master *);
void publish_fail(struct master *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void publish_answer(struct child *, struct frame *);
/* A child that owed an answer has gone. */
void publish_lost(struct master *, struct child *);
void publish_released(struct child *, uint64_t number, unsigned slot);

/* --- bind.c --- */
int bind_all(struct master *, const struct conf *, struct err *);
void bind_settle(struct master *, bool commit);
int bind_control(struct master *, struct err *);
struct bound *bind_find(struct master *, const struct sock_addr *);

/* --- roll.c --- */
void roll_start(struct master *, uint64_t asker);
void roll_ready(struct child *);
void roll_lost(struct child *);
/* As many workers as the generation says. */
void roll_fit(struct master *);

/* --- upgrade.c --- */
void upgrade_start(struct master *);
void upgrade_checked(struct master *, int status);
/* In the new program: 1 if state was taken over, 0 if there is none. */
int upgrade_adopt(struct master *, struct err *);
/* The same, what needs a loop. */
int upgrade_adopt_children(struct master *, struct err *);
/* True while children of the program before live (row NULL: any). */
bool upgrade_has_old(struct master *, const struct proc_row *);
/* Shared rings have one reader: the old logger goes first. */
void upgrade_drain_logger(struct master *);
/* When the new processes serve: the old ones may go. */
void upgrade_settle(struct master *);

#endif
