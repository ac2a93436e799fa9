/*
 * Asking: what may block is asked of a helper process over a message
 * channel and answered later.  Bounded in flight per op; past the deadline
 * or when the helper dies the asker is told so and fails open or closed
 * as it sees fit.
 */
#ifndef SL_CORE_ASK_H
#define SL_CORE_ASK_H

#include "os/chan.h"

#define ASK_FLIGHT	1024	/* questions at a time */

struct ask;
struct question;

/* m NULL: no answer (time, death, too many). */
typedef void (*ask_fn)(struct question *, struct frame *m);

/* zeroed by the asker, who sets on; the rest is of ask.c */
struct question {
	ask_fn		 on;
	uint64_t	 id;
	struct ask	*ask;		/* ref; NULL: not asked */
	enum frame_op	 op;
	struct str	 payload;	/* of the asker */
	const int	*fd;		/* of the asker: goes along; or NULL */
	struct timer	 deadline;
	struct ev_task	 wake;		/* of a failure at once */
	unsigned	 peer;
	bool		 again:1;	/* asked for the second time */
};

struct ask *ask_new(struct ev *);
void ask_free(struct ask **);

#define ASK_PEERS	8

/* A channel to helper number i (taken in any case); replaces an older one. */
int ask_peer(struct ask *, unsigned i, int fd, struct err *);

/*
 * Sends the question to one of the helpers; the answer comes by on(),
 * never from within.  A helper that dies meanwhile: asked once more of
 * another one (questions have no side effects), so the payload stays
 * with the asker until the answer.
 */
void ask_send(struct ask *, struct question *, enum frame_op,
    struct str payload, uint64_t ms);
/* No answer is wanted any more; harmless if nothing was asked. */
void ask_cancel(struct question *);

/* which symbolic links of a path are followed; `..` never leads outside */
enum ask_links {
	ASK_LINKS_INSIDE,	/* those that end below the root */
	ASK_LINKS_OFF,
	ASK_LINKS_FOLLOW	/* all */
};

/*
 * Payload of CHAN_OPEN and CHAN_LIST, followed by root and path, each with
 * a NUL that the lengths do not count.  The answer has the descriptor, or with
 * CHAN_F_ERROR the errno in four bytes.  An empty path is the root
 * itself, as a place (O_PATH).
 */
struct ask_open {
	uint32_t	root_n;
	uint32_t	path_n;		/* relative to the root */
	uint32_t	flags;		/* enum ask_links */
	uint32_t	dots;		/* CHAN_LIST: hidden files too */
};

/* Payload of CHAN_WARM; the descriptor goes along. */
struct ask_warm {
	uint64_t	off;
	uint64_t	n;
};

#endif
