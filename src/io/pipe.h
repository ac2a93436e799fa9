/*
 * Kernel pipes, through which bytes go from one socket to another without
 * being seen (splice).  Each process has a pool with its share of what
 * the kernel lets one user have in pipes, and makes none beyond it.
 * Workers.
 *
 * What a pipe holds is memory of the kernel's that nobody else can use,
 * so whoever has one and cannot empty it is told after a second, and is
 * to give it back: it reads what is in it and closes it.
 */
#ifndef SL_IO_PIPE_H
#define SL_IO_PIPE_H

#include "base/list.h"
#include "io/io.h"

#define PIPE_SMALL	(256 * 1024)
#define PIPE_LARGE	(1024 * 1024)
#define PIPE_KEEP	16		/* empty ones that a pool keeps */

struct pipe;
struct pipe_pool;
typedef void (*pipe_fn)(struct pipe *);

struct pipe {
	struct list	 node;		/* of the pool: free or in use */
	struct pipe_pool *pool;		/* ref */
	int		 r;		/* own */
	int		 w;		/* own */
	size_t		 cap;		/* bytes, as the kernel counts them */
	size_t		 n;		/* bytes in it */
	bool		 moved:1;	/* since the pool's last look */
	/* of whoever has it; set after pipe_get */
	pipe_fn		 stalled;	/* n > 0 and a second without a move */
	void		*ctx;
};

struct pipe_pool {
	struct ev	*ev;		/* ref */
	uint64_t	 budget;	/* bytes; 0: no pipes */
	uint64_t	 used;		/* of it, kept ones included */
	uint64_t	 large;		/* size of a large one */
	uint64_t	 failed_ms;	/* the system gave none then; 0 */
	unsigned	 nkept;
	unsigned	 nbusy;
	struct list	 kept;		/* own */
	struct list	 busy;		/* borrowed by others */
	uint64_t	 moved;		/* bytes that came out of its pipes */
	struct timer	 look;		/* once a second while any is busy */
};

/* A pool without a budget: pipe_get gives none. */
void pipe_pool_init(struct pipe_pool *, struct ev *);
/* Closes what is kept; all must have been given back. */
void pipe_pool_fini(struct pipe_pool *);

/*
 * Sets the budget: one part of so many of what the system allows a user,
 * a quarter of which is left to others and to a roll.
 */
void pipe_pool_share(struct pipe_pool *, unsigned parts);

/*
 * An empty pipe: a large one if want is more than PIPE_SMALL and less
 * than half of the budget is used.  NULL: there is none.
 */
struct pipe *pipe_get(struct pipe_pool *, uint64_t want);
/* False: pipe_get would give none. */
bool pipe_pool_has(const struct pipe_pool *);
/* Gives one back and nulls the pointer; one that is not empty is closed. */
void pipe_put(struct pipe_pool *, struct pipe **);

/*
 * Moves at most max bytes from a socket with IO_C_SPLICE into the pipe.
 * IO_AGAIN while it is not empty: it is full, or there was nothing; empty
 * it first.  IO_AGAIN when it is empty: an event will come.
 */
enum io_rc pipe_fill(struct pipe *, struct io *from, size_t max,
    size_t *got);
/*
 * Moves at most max bytes on into a socket with IO_C_SPLICE; SIGPIPE is
 * raised if it is closed, and must be ignored.
 */
enum io_rc pipe_drain(struct pipe *, struct io *to, size_t max,
    unsigned flags, size_t *put);
/* Reads what is in it: at most n bytes, -1 if nothing can be read. */
ssize_t pipe_read(struct pipe *, void *, size_t n);

#endif
