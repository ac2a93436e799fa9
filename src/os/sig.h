/*
 * Signals as events of the loop: handlers only write a byte to a pipe.
 * One per process; a child opens its own after fork.
 */
#ifndef SL_OS_SIG_H
#define SL_OS_SIG_H

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

/* Child after fork: default actions again, nothing blocked, pipe closed. */
void sig_reset(struct sig *);

#endif
