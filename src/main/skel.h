/*
 * The skeleton of a child: what each role's run() gives to skel_run().
 * The skeleton speaks with the master (generations, drain) and keeps the
 * heartbeat; a role only says what it does about them.
 */
#ifndef SL_MAIN_SKEL_H
#define SL_MAIN_SKEL_H

#include "conf/gen.h"
#include "main/master.h"

/* how a process is to end; milliseconds */
struct drain {
	uint64_t delay;		/* to go on accepting */
	uint64_t limit;		/* behind that, for what runs */
	uint64_t streams;	/* the same for streams; not less */
	bool	 orphan;	/* the master died */
};

/* any hook may be NULL; ctx comes back in each */
struct skel_hooks {
	void	*ctx;
	/* vet a generation that is mapped; -1 refuses it for everybody */
	int	(*prepare)(void *ctx, struct gen *, struct err *);
	void	(*commit)(void *ctx, struct gen *);
	/* NULL: there was none to vet yet */
	void	(*cancel)(void *ctx, struct gen *);
	/* the generation is too old: end what still uses it */
	void	(*expire)(void *ctx, uint64_t number);
	/*
	 * Finish, then skel_exit().  NULL: skel_exit at once.  Called again
	 * when it is to end sooner, or the master died then.
	 */
	void	(*drain)(void *ctx, const struct drain *);
	/* any other frame of the master */
	void	(*frame)(void *ctx, struct frame *);
	/* each turn, after the heartbeat */
	void	(*beat)(void *ctx, uint64_t now_ms);
};

/*
 * Says READY and runs the loop until skel_exit; returns the status that
 * run() is to return.
 */
int skel_run(const struct skel_hooks *);
void skel_exit(int status);

/* Inherited end of a channel to process `index` of the other kind. */
int skel_npeer(void);
int skel_peer(int i, unsigned *index);

/* Ends the process at once (children of fork never run atexit). */
void skel_quit(int status) __attribute__((noreturn));

#endif
