/*
 * A stand-in for the BSDs' <sys/event.h>: just what os/ev_kqueue.c names,
 * with the types and values FreeBSD documents, so that the file can be
 * compiled (not linked) on a system without kqueue.  Used by lint only.
 */
#ifndef SL_CONTRIB_SYS_EVENT_H
#define SL_CONTRIB_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

/* filters */
#define EVFILT_READ	(-1)
#define EVFILT_WRITE	(-2)

/* actions */
#define EV_ADD		0x0001
#define EV_DELETE	0x0002
#define EV_ENABLE	0x0004
#define EV_DISABLE	0x0008

/* manners of an entry */
#define EV_ONESHOT	0x0010
#define EV_CLEAR	0x0020
#define EV_RECEIPT	0x0040
#define EV_DISPATCH	0x0080

/* told with an event */
#define EV_ERROR	0x4000
#define EV_EOF		0x8000

struct kevent {
	uintptr_t	 ident;
	short		 filter;
	unsigned short	 flags;
	unsigned int	 fflags;
	int64_t		 data;
	void		*udata;
	uint64_t	 ext[4];
};

#define EV_SET(k, id, fi, fl, ff, da, ud) do {				\
	*(k) = (struct kevent){ .ident = (uintptr_t)(id),		\
	    .filter = (fi), .flags = (fl), .fflags = (ff),		\
	    .data = (da), .udata = (ud) };				\
} while (0)

int kqueue(void);
int kevent(int kq, const struct kevent *changes, int nchanges,
    struct kevent *events, int nevents, const struct timespec *timeout);

#endif
