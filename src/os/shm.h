/*
 * Shared memory: the board's four segments, each a memory file of its own
 * with its own rights per process.  Regions are lists of chunks of rows,
 * declared by the module that owns them and described in the segment's
 * head (name, layout, stride, chunks), so that another program can find
 * them by name.  Mapped once over a large reserve and only grown: chunk k
 * has base << k rows, nothing ever moves, growth is one ftruncate.
 */
#ifndef SL_OS_SHM_H
#define SL_OS_SHM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum shm_seg {
	SHM_DIR,	/* master, control, health write; all others read */
	SHM_LIVE,	/* all write */
	SHM_RINGS,	/* writers of logs, logger */
	SHM_SECRET,	/* master writes, workers read */
	SHM_NSEG
};

enum shm_right { SHM_NONE, SHM_RO, SHM_RW };

#define SHM_NAME	24
#define SHM_REGIONS	24	/* per segment */
#define SHM_CHUNKS	20	/* per region */
#define SHM_MAGIC	0x3130524853434c53ULL

/* a region, as its module declares it; const, in registry.c's shm_regions[] */
struct shm_region {
	const char	*name;
	enum shm_seg	 seg;
	uint32_t	 layout;	/* changes when the row's struct does */
	uint32_t	 stride;	/* bytes of a row, a multiple of 64 */
	uint32_t	 base;		/* rows of chunk 0, power of 2 */
	const char	*text;
};
extern const struct shm_region *const shm_regions[];	/* NULL at the end */

/* in the segment's head; written by the master, read by all */
struct shm_dirent {
	char		 name[SHM_NAME];
	uint32_t	 layout;
	uint32_t	 stride;
	uint32_t	 base;
	_Atomic uint32_t nchunk;
	_Atomic uint64_t chunk[SHM_CHUNKS];	/* offsets in the segment */
};

struct shm_head {
	uint64_t	 magic;
	uint32_t	 seg;
	uint32_t	 nregion;
	uint64_t	 layout;	/* digest of all regions */
	_Atomic uint64_t used;		/* bytes given to chunks so far */
	struct shm_dirent region[SHM_REGIONS];
};

struct shm;

/* Address space of a segment; what it may grow to. */
extern const uint64_t shm_reserve[SHM_NSEG];

/* Where row i of a region stands: the chunk, and the row in it. */
unsigned shm_place(uint32_t base, uint32_t i, uint32_t *row);
/* Rows of n chunks. */
uint32_t shm_rows_of(uint32_t base, unsigned n);

/* Master: four segments with no rows yet, for these regions. */
struct shm *shm_new(const struct shm_region *const *, struct err *);
void shm_free(struct shm **);

/* Master: makes sure a region has at least rows; all see it at once. */
int shm_grow(struct shm *, const struct shm_region *, uint32_t rows,
    struct err *);

/*
 * Bytes that these many rows of a region may come to use (for [board]
 * max); given so far, which counts rows that nobody touched yet.
 */
uint64_t shm_cost(const struct shm_region *, uint32_t rows);
uint64_t shm_used(const struct shm *, enum shm_seg);

/* Rows there are now; row i, which must exist; found by every process. */
uint32_t shm_rows(const struct shm *, const struct shm_region *);
void *shm_row(const struct shm *, const struct shm_region *, uint32_t i);

/*
 * Child after fork: keeps each segment with the right given, at the same
 * address, and gives up the rest, descriptors included.  To be called
 * before privileges are dropped; a failure leaves it half done: exit.
 */
int shm_enter(struct shm *, const enum shm_right rights[SHM_NSEG],
    struct err *);

/* Master: descriptor of a segment (for exec hand-over); -1 elsewhere. */
int shm_fd(const struct shm *, enum shm_seg);
/* A new O_RDONLY descriptor, to be handed out; the caller closes it. */
int shm_ro_fd(const struct shm *, enum shm_seg, struct err *);

/*
 * A reader's view (sluicectl): by name, read-only; checks every bound.
 * The caller keeps fd.  Rows stay where they are until the free.
 */
struct shm_view;
struct shm_view *shm_view_open(int fd, struct err *);
void shm_view_free(struct shm_view **);
const void *shm_view_row(struct shm_view *, const char *region,
    uint32_t i);
uint32_t shm_view_rows(const struct shm_view *, const char *region);
/* True if its rows are what this program takes them for. */
bool shm_view_is(const struct shm_view *, const struct shm_region *);

/*
 * Exec hand-over: takes over segments if the layout is this program's;
 * the descriptors are the caller's again when it returns NULL.
 */
struct shm *shm_adopt(const int fds[SHM_NSEG],
    const struct shm_region *const *, struct err *);
uint64_t shm_layout(const struct shm_region *const *);

#endif
