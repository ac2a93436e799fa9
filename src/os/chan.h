/*
 * Channels between processes: SOCK_SEQPACKET pairs that carry
 * frames of a fixed head and at most 64 KiB, with up to CHAN_FDS
 * descriptors.  Larger things travel as a memfd.  The sender never
 * blocks: a full channel queues up to a bound, then refuses.
 */
#ifndef SL_OS_CHAN_H
#define SL_OS_CHAN_H

#include "base/str.h"
#include "os/ev.h"

#define CHAN_BYTES	65536
#define CHAN_FDS		8
#define CHAN_QUEUE	256	/* frames waiting for room */

/* what a frame is about; each op's payload is described where it is sent */
enum frame_op {
	CHAN_NONE,
	/* master to child */
	CHAN_PREPARE,	/* generation: map and vet; fds: conf, keys */
	CHAN_COMMIT,	/* swap to the prepared generation */
	CHAN_CANCEL,	/* forget the prepared generation */
	CHAN_LISTEN,	/* listening sockets, in the order of the generation */
	CHAN_PEER,	/* a channel to another process; fd: the end */
	CHAN_EXPIRE,	/* generation: what still uses it is to end */
	CHAN_MAIL,	/* slot (u32) of a worker; fd: what wakes it */
	CHAN_DRAIN,	/* stop accepting, finish what runs, exit */
	CHAN_REOPEN,	/* logs */
	CHAN_SLOT,	/* logger: a slot begins or ends being written */
	CHAN_REPORT,	/* control: the outcome of an order; fd: plan */
	/* child to master */
	CHAN_READY,	/* serving */
	CHAN_PREPARED,	/* payload: u32 0, or 1 and the reason */
	CHAN_COMMITTED,
	CHAN_RELEASED,	/* generation: no more use of it here */
	CHAN_RELOAD,	/* control asks for a reload */
	CHAN_ASK_ROLL,	/* control asks for a roll */
	CHAN_ASK_PLAN,	/* control asks what a reload would change */
	CHAN_NAMES,	/* control: addresses of a name; answered */
	CHAN_LOOK,	/* control to a worker, over the master: up/look.h */
	CHAN_BUILT,	/* builder: struct built, text, JSON; fd: file */
	/* asking, worker to role; answered with CHAN_F_REPLY and the same id */
	CHAN_OPEN,	/* open a file below a root: payload struct ask_open */
	CHAN_LIST,	/* a directory as a page: struct ask_open; fd: it */
	CHAN_WARM,	/* have the kernel read: struct ask_warm; fd: of it */
	CHAN_LOG,	/* logger and control: records, see core/feed.h */
	CHAN_ECHO,	/* tests and heartbeats of a channel */
	CHAN_NOP
};

#define CHAN_F_REPLY	0x0001
#define CHAN_F_ERROR	0x0002	/* the payload is a reason */

struct frame_head {
	uint32_t	len;		/* of the payload */
	uint16_t	op;
	uint16_t	flags;
	uint64_t	id;		/* of the asker; generation number */
	uint64_t	deadline;	/* ms, monotonic; 0: none */
};

struct frame {
	struct frame_head	head;
	const char	*data;		/* of the channel, until the return */
	int		fds[CHAN_FDS];	/* taken ones are set to -1 */
	unsigned	nfd;
};

struct chan;
/*
 * m NULL: the other end is gone (or sent what is no frame), after all it
 * sent was told; the channel is closed after the return and must not be
 * opened anew before.  A callback may close the channel; its struct must
 * last until the end of the turn (EV_FREE).  Descriptors not taken are
 * closed after the return.
 */
typedef void (*chan_fn)(struct chan *, struct frame *m);

struct chan {
	struct ev_fd	 fd;
	struct ev	*ev;		/* ref */
	chan_fn		 on;
	void		*ctx;		/* of the owner */
	struct list	 out;		/* own: frames waiting */
	unsigned	 nout;
	struct ev_task	 ready;
};

/* Takes the descriptor (closed when the loop refuses it). */
int chan_open(struct chan *, struct ev *, int fd, chan_fn, void *ctx,
    struct err *);
void chan_close(struct chan *);
bool chan_is_open(const struct chan *);

/*
 * Sends or queues; descriptors are duplicated as they are sent, the
 * caller keeps its own.  -1 when the channel is gone or full.
 */
int chan_send(struct chan *, const struct frame_head *, const void *data,
    const int *fds, unsigned nfd);

/*
 * For start-up and exec hand-over, without a loop: waits up to ms.  0, or
 * -1 when there was no frame in time, no peer, or more than buf takes.
 */
int chan_recv_wait(int fd, struct frame *, char *buf, size_t size, int ms);

#endif
