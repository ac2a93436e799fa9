/*
 * Signals as events of the loop: handlers only write a byte to a pipe.
 * One per process; a child opens its own after fork.
 */
#ifndef SL_OS_SIG_H
#define SL_OS_SIG_H

#include <sys/types.h>

#include "os/ev.h"

typedef void (*sig_fn)(void *ctx, int signo);

struct sig {
	struct ev_fd	 fd;		/* own: read end */
	struct ev	*ev;		/* ref */
	sig_fn		 on;
	void		*ctx;
};

/*
 * Before exec, with all signals blocked: those that nobody looked at yet
 * wait again, for this program or the next, whoever unblocks them.
 */
void sig_put_back(struct sig *);

/* Catches the signals of a zero-terminated list; SIGPIPE is ignored. */
int sig_open(struct sig *, struct ev *, const int *signos, sig_fn,
    void *ctx, struct err *);

/*
 * fork() with the signals blocked that handlers turn into bytes: in the
 * child they wait until sig_reset(), or sig_forget() and sig_unblock(),
 * instead of reaching the parent's pipe.
 */
pid_t sig_fork(void);

/* Child after sig_fork: default actions again, the parent's pipe closed. */
void sig_forget(struct sig *);
/* Nothing is blocked any more: what came meanwhile comes now. */
void sig_unblock(void);
/* Both at once. */
void sig_reset(struct sig *);

#endif
