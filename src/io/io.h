/*
 * A byte transport: what a codec reads from and writes to.  Plain sockets
 * (sock.c), TLS as a layer (tls.c), memory (mem.c, for tests).  One
 * interface, so that nobody above asks what it is.  Workers, control.
 *
 * Readiness is kept as bits: `ready` says what may be tried; AGAIN clears
 * it.  A layer such as TLS may need to write in order to read: rd_wait
 * and wr_wait say which direction of the wire must move before the
 * operation is tried again; io.c translates, owners only ever see IO_R
 * and IO_W.  What a layer has taken off the wire no event tells of: while
 * it is held, io_can says that a read gives something.
 */
#ifndef SL_IO_IO_H
#define SL_IO_IO_H

#include <sys/types.h>
#include <sys/uio.h>

#include "os/ev.h"
#include "os/sock.h"

enum io_rc {
	IO_OK,		/* moved at least one byte */
	IO_AGAIN,	/* nothing now; an event will come */
	IO_EOF,		/* reads: the peer ended its direction */
	IO_ERR		/* the transport is broken; see io->error */
};

#define IO_R		EV_R
#define IO_W		EV_W
#define IO_GONE		EV_GONE

/* what a transport can do beyond reading and writing */
#define IO_C_SPLICE	0x01	/* io_fd may be given to splice() */
#define IO_C_SENDFILE	0x02
#define IO_C_SECURE	0x04	/* TLS */
#define IO_C_LOCAL	0x08	/* unix socket or memory */
/* just accepted: both directions may be tried at once, see io_watch */
#define IO_C_TRY	0x10

#define IO_MORE		0x01	/* more follows at once (MSG_MORE) */
#define IO_LAST		0x02	/* nothing follows: close or shutdown is next */

struct io;

/* The io may be used but not freed (ev_defer that). */
typedef void (*io_fn)(struct io *, unsigned what);

struct io_ops {
	const char	*name;
	enum io_rc	(*readv)(struct io *, const struct iovec *, int n,
			    size_t *got);
	enum io_rc	(*writev)(struct io *, const struct iovec *, int n,
			    unsigned flags, size_t *put);
	/* NULL unless IO_C_SENDFILE */
	enum io_rc	(*sendfile)(struct io *, int fd, uint64_t off,
			    size_t n, size_t *put);
	enum io_rc	(*shutdown)(struct io *);	/* our direction */
	void		(*close)(struct io *, bool reset);
	size_t		(*unsent)(const struct io *);	/* or NULL: 0 */
	bool		(*quiet)(struct io *);	/* or NULL: ask the socket */
};

struct io {
	struct ev_fd		 fd;		/* fd.fd < 0: none (memory) */
	const struct io_ops	*ops;
	struct ev		*ev;		/* ref */
	io_fn			 on;		/* of the owner */
	void			*ctx;		/* of the owner */
	uint8_t			 caps;		/* IO_C_ */
	uint8_t			 rd_wait;	/* IO_R or IO_W */
	uint8_t			 wr_wait;
	bool			 open:1;
	bool			 short_read:1;	/* the last read emptied it */
	bool			 held:1;	/* a layer has more to read */
	int			 error;		/* errno of IO_ERR */
};

/*
 * Over a connected or connecting socket, which it then owns (-1: it does
 * not).  Watched from the start, and what may be tried is told by events;
 * with IO_C_TRY both directions may be tried and it is not yet watched.
 * on may be NULL if its owner sets on and ctx before the turn ends.
 */
int io_sock_open(struct io *, struct ev *, int fd, unsigned caps, io_fn,
    struct err *);

/*
 * Two ends of a memory pipe, each with room for size bytes per direction;
 * for tests and for parts that talk to themselves.
 */
struct io_mem;
struct io_mem *io_mem_new(struct ev *, size_t size);
void io_mem_free(struct io_mem **);
struct io *io_mem_end(struct io_mem *, unsigned which, io_fn);

/* Reads into 1..n pieces; a read that fills less clears IO_R. */
enum io_rc io_readv(struct io *, const struct iovec *, int n, size_t *got);
enum io_rc io_writev(struct io *, const struct iovec *, int n,
    unsigned flags, size_t *put);
enum io_rc io_sendfile(struct io *, int fd, uint64_t off, size_t n,
    size_t *put);

/*
 * Descriptors go with the bytes of the next write; the array and what it
 * names stay the caller's and must last.  -1 unless it is a unix socket
 * that waits for none.
 */
int io_send_fds(struct io *, const int *fds, unsigned n);

/*
 * Events come from now on (once is enough).  An operation that answers
 * AGAIN has done so; who stops for another reason, such as a short read,
 * calls it before the turn ends.  -1: the kernel refuses.
 */
int io_watch(struct io *);
/*
 * The same for one that is known to take writes, which most never have to
 * wait for: nothing is told of them before one has to.
 */
int io_watch_reads(struct io *);
/* Events of writes come, too; for layers, who try these themselves. */
int io_watch_writes(struct io *);
/*
 * The transport waits for dir (rd_wait or wr_wait) and an event is due for
 * it: for whoever moves bytes past io_readv and io_writev.  IO_AGAIN, or
 * IO_ERR when the kernel refuses.
 */
enum io_rc io_wait(struct io *, uint8_t dir);
bool io_is_watched(const struct io *);

/* True when the direction may be tried without waiting. */
bool io_can(const struct io *, unsigned dir);

/* Ends our direction (FIN, close_notify). */
enum io_rc io_shutdown(struct io *);

/* Closes; reset: the peer is to see RST and not a clean end. */
void io_close(struct io *, bool reset);

/*
 * Bytes written that the peer has not taken yet, as far as the kernel
 * knows (acknowledged bytes are taken); 0 where nobody can tell.
 */
size_t io_unsent(const struct io *);

/*
 * False if the peer ended or said something that nobody has read, be it
 * that the loop does not know yet; of an idle connection.
 */
bool io_is_quiet(struct io *);

/*
 * Looks at up to n bytes without taking them; readiness stays.  OK with
 * *got 0: there is nothing yet.  Sockets only.
 */
enum io_rc io_peek(struct io *, char *, size_t n, size_t *got);

/* Descriptor for splice and getsockname, -1 if there is none. */
int io_fd(const struct io *);

/* Connect's outcome: 0, or the errno (SO_ERROR); asked once, when writable. */
int io_dialled(struct io *);

#endif
