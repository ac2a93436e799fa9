/*
 * Shared memory of all processes: made and grown by the master, mapped by
 * fork, narrowed by each child.
 *
 * A segment is a memory file whose head says where the chunks of its
 * regions stand.  Chunk k of a region has base << k rows, so twenty of
 * them are enough for any number and a row is found by one count of
 * leading zeroes.  To grow is to lengthen the file, to write the offset
 * of the chunk and then, with release, the number of chunks: who reads the
 * new number sees the offset, who reads the old one does not miss it.
 *
 * Heads of `live` and `rings` can be written by a worker that went wild.
 * So every process keeps the offsets it knows in memory of its own: the
 * master never reads them back, a child checks what it learns later.
 */
#include "os/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "base/str.h"

#define HEAD_BYTES	8192
#define CHUNK_ALIGN	4096

_Static_assert(sizeof(struct shm_head) <= HEAD_BYTES, "shm head");

const uint64_t shm_reserve[SHM_NSEG] = {
	[SHM_DIR] = 1ULL << 30,
	[SHM_LIVE] = 8ULL << 30,
	[SHM_RINGS] = 16ULL << 30,
	[SHM_SECRET] = 16ULL << 20,
};

/* names as /proc/PID/maps shows them */
static const char *const seg_names[SHM_NSEG] = {
	[SHM_DIR] = "sluice-dir",
	[SHM_LIVE] = "sluice-live",
	[SHM_RINGS] = "sluice-rings",
	[SHM_SECRET] = "sluice-secret",
};

/* a region, as this process knows it */
struct part {
	const struct shm_region	*region;
	struct shm_dirent	*ent;		/* of the head */
	uint32_t		 nchunk;
	uint64_t		 chunk[SHM_CHUNKS];
};

struct seg {
	char		*base;		/* own: mapping of the reserve */
	uint64_t	 used;		/* master only */
	int		 fd;		/* own; -1 but in the master */
	enum shm_right	 right;
};

#define FOUND	64

struct shm {
	struct seg	 seg[SHM_NSEG];
	struct part	*parts;		/* own */
	unsigned	 nparts;
	uint8_t		 found[FOUND];	/* parts by find_slot, last ones */
};

static struct shm_head *
head_of(const struct seg *g)
{
	return (struct shm_head *)(void *)g->base;
}

unsigned
shm_place(uint32_t base, uint32_t i, uint32_t *row)
{
	uint64_t	nth = (uint64_t)i / base + 1;
	unsigned	k = 63 - (unsigned)__builtin_clzll(nth);

	*row = i - (uint32_t)(base * ((1ULL << k) - 1));
	return k;
}

uint32_t
shm_rows_of(uint32_t base, unsigned n)
{
	uint64_t	rows = (uint64_t)base * ((1ULL << n) - 1);

	return rows > UINT32_MAX ? UINT32_MAX : (uint32_t)rows;
}

static uint64_t
chunk_bytes(const struct shm_region *r, unsigned k)
{
	uint64_t	n = ((uint64_t)r->base << k) * r->stride;

	return (n + CHUNK_ALIGN - 1) & ~(uint64_t)(CHUNK_ALIGN - 1);
}

static uint64_t
hash_u32(uint32_t v, uint64_t seed)
{
	return str_hash(str_make((const char *)&v, sizeof(v)), seed);
}

uint64_t
shm_layout(const struct shm_region *const *regions)
{
	uint64_t	h = hash_u32(sizeof(struct shm_head), STR_HASH0);

	for (; *regions != NULL; regions++) {
		h = str_hash(str_from((*regions)->name), h);
		h = hash_u32((uint32_t)(*regions)->seg, h);
		h = hash_u32((*regions)->layout, h);
		h = hash_u32((*regions)->stride, h);
		h = hash_u32((*regions)->base, h);
	}
	return h;
}

static unsigned
find_slot(const struct shm_region *r)
{
	return (unsigned)((uintptr_t)r / sizeof(*r) % FOUND);
}

/* Numbers the regions of each segment in the order of the table. */
static void
index_regions(struct shm *shm, const struct shm_region *const *regions)
{
	unsigned		 at[SHM_NSEG] = { 0 };
	const struct shm_region	*r;
	struct part		*p;

	while (regions[shm->nparts] != NULL)
		shm->nparts++;
	must(shm->nparts <= UINT8_MAX);
	shm->parts = must_calloc(shm->nparts, sizeof(*shm->parts));
	for (p = shm->parts; (r = *regions) != NULL; p++, regions++) {
		must(r->seg < SHM_NSEG && at[r->seg] < SHM_REGIONS);
		must(strnlen(r->name, SHM_NAME) < SHM_NAME);
		must(r->stride > 0 && r->stride % 64 == 0);
		must(r->base > 0 && (r->base & (r->base - 1)) == 0);
		p->region = r;
		shm->found[find_slot(r)] = (uint8_t)(p - shm->parts);
		p->ent = &head_of(&shm->seg[r->seg])->region[at[r->seg]++];
	}
}

static void
describe(struct shm *shm, uint64_t layout)
{
	struct part	*p;
	struct shm_head	*h;

	for (unsigned i = 0; i < SHM_NSEG; i++) {
		h = head_of(&shm->seg[i]);
		h->magic = SHM_MAGIC;
		h->seg = i;
		h->layout = layout;
		atomic_store(&h->used, HEAD_BYTES);
		shm->seg[i].used = HEAD_BYTES;
	}
	for (p = shm->parts; p < shm->parts + shm->nparts; p++) {
		head_of(&shm->seg[p->region->seg])->nregion++;
		memcpy(p->ent->name, p->region->name,
		    strnlen(p->region->name, SHM_NAME - 1));
		p->ent->layout = p->region->layout;
		p->ent->stride = p->region->stride;
		p->ent->base = p->region->base;
	}
}

/*
 * Keys never reach a core file; rings would only make one large.  The
 * kernel may not know the advice, so the outcome does not matter.
 */
static void
keep_from_cores(const struct seg *g, unsigned i)
{
#ifdef MADV_DONTDUMP
	if (i == SHM_SECRET || i == SHM_RINGS)
		(void)madvise(g->base, shm_reserve[i], MADV_DONTDUMP);
#else
	(void)g;
	(void)i;
#endif
}

static int
map(struct seg *g, unsigned i, int fd, struct err *e)
{
	void	*p = mmap(NULL, shm_reserve[i], PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (p == MAP_FAILED)
		return err_sys(e, "board: mapping of %s", seg_names[i]);
	g->base = p;
	g->right = SHM_RW;
	keep_from_cores(g, i);
	return 0;
}

/*
 * A memory file begins with mode 0777, and then whoever has a read-only
 * descriptor of it may open it again for writing.  The seals leave growth
 * and nothing else: a reader's bounds stay good.
 */
static int
make_file(unsigned i, struct err *e)
{
	int	fd = memfd_create(seg_names[i],
	    MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return err_sys(e, "board: making %s", seg_names[i]);
	if (fchmod(fd, 0600) == -1 || ftruncate(fd, HEAD_BYTES) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == -1) {
		err_sys(e, "board: preparing %s", seg_names[i]);
		close(fd);
		return -1;
	}
	return fd;
}

static struct shm *
new_empty(void)
{
	struct shm	*shm = must_calloc(1, sizeof(*shm));

	for (unsigned i = 0; i < SHM_NSEG; i++)
		shm->seg[i].fd = -1;
	return shm;
}

struct shm *
shm_new(const struct shm_region *const *regions, struct err *e)
{
	struct shm	*shm = new_empty();
	struct seg	*g;

	for (unsigned i = 0; i < SHM_NSEG; i++) {
		g = &shm->seg[i];
		g->fd = make_file(i, e);
		if (g->fd == -1 || map(g, i, g->fd, e) == -1) {
			shm_free(&shm);
			return NULL;
		}
	}
	index_regions(shm, regions);
	describe(shm, shm_layout(regions));
	return shm;
}

void
shm_free(struct shm **shm)
{
	struct seg	*g;

	if (*shm == NULL)
		return;
	for (unsigned i = 0; i < SHM_NSEG; i++) {
		g = &(*shm)->seg[i];
		if (g->base != NULL)
			munmap(g->base, shm_reserve[i]);
		if (g->fd != -1)
			close(g->fd);
	}
	free((*shm)->parts);
	free(*shm);
	*shm = NULL;
}

/* Requests ask for rows: most regions are where their address says. */
static struct part *
find(const struct shm *shm, const struct shm_region *r)
{
	unsigned	i = shm->found[find_slot(r)];

	if (i < shm->nparts && shm->parts[i].region == r)
		return &shm->parts[i];
	for (i = 0; i < shm->nparts && shm->parts[i].region != r; i++)
		;
	must(i < shm->nparts);
	return &shm->parts[i];
}

/* Takes over chunks that were added since, as far as they can be true. */
static void
learn(const struct shm *shm, struct part *p)
{
	const struct seg	*g = &shm->seg[p->region->seg];
	uint64_t		 max = shm_reserve[p->region->seg];
	uint32_t		 n;
	uint64_t		 off, len;

	if (g->fd != -1)
		return;
	must(g->right != SHM_NONE);
	n = atomic_load_explicit(&p->ent->nchunk, memory_order_acquire);
	for (; p->nchunk < n && p->nchunk < SHM_CHUNKS; p->nchunk++) {
		off = atomic_load(&p->ent->chunk[p->nchunk]);
		len = chunk_bytes(p->region, p->nchunk);
		if (off < HEAD_BYTES || off % CHUNK_ALIGN != 0 || len > max ||
		    off > max - len)
			return;
		p->chunk[p->nchunk] = off;
	}
}

static int
add_chunk(struct shm *shm, struct part *p, struct err *e)
{
	struct seg	*g = &shm->seg[p->region->seg];
	uint64_t	 off = g->used;
	uint64_t	 len = chunk_bytes(p->region, p->nchunk);

	if (len > shm_reserve[p->region->seg] - off)
		return err_set(e, "board: %s: %s is full", p->region->name,
		    seg_names[p->region->seg]);
	if (ftruncate(g->fd, (off_t)(off + len)) == -1)
		return err_sys(e, "board: %s: growing %s", p->region->name,
		    seg_names[p->region->seg]);
	g->used = off + len;
	p->chunk[p->nchunk] = off;
	atomic_store(&head_of(g)->used, g->used);
	atomic_store(&p->ent->chunk[p->nchunk], off);
	p->nchunk++;
	atomic_store_explicit(&p->ent->nchunk, p->nchunk,
	    memory_order_release);
	return 0;
}

int
shm_grow(struct shm *shm, const struct shm_region *r, uint32_t rows,
    struct err *e)
{
	struct part	*p = find(shm, r);

	must(shm->seg[r->seg].fd != -1);
	while (shm_rows_of(r->base, p->nchunk) < rows) {
		if (p->nchunk == SHM_CHUNKS)
			return err_set(e, "board: %s: %u rows are too many",
			    r->name, rows);
		if (add_chunk(shm, p, e) == -1)
			return -1;
	}
	return 0;
}

uint64_t
shm_cost(const struct shm_region *r, uint32_t rows)
{
	return (uint64_t)rows * r->stride;
}

uint64_t
shm_used(const struct shm *shm, enum shm_seg i)
{
	const struct seg	*g = &shm->seg[i];

	if (g->fd != -1)
		return g->used;
	return g->right == SHM_NONE ? 0 : atomic_load(&head_of(g)->used);
}

uint32_t
shm_rows(const struct shm *shm, const struct shm_region *r)
{
	struct part	*p = find(shm, r);

	learn(shm, p);
	return shm_rows_of(r->base, p->nchunk);
}

void *
shm_row(const struct shm *shm, const struct shm_region *r, uint32_t i)
{
	struct part	*p = find(shm, r);
	uint32_t	 row;
	unsigned	 k = shm_place(r->base, i, &row);

	if (k >= p->nchunk)
		learn(shm, p);
	must(k < p->nchunk);
	return shm->seg[r->seg].base + p->chunk[k] +
	    (uint64_t)row * r->stride;
}

/*
 * A descriptor of the same file that can only read: a mapping of it can
 * never be made writable by mprotect, a duplicate's could.
 */
static int
open_ro(const struct seg *g)
{
	char	path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", g->fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int
shm_ro_fd(const struct shm *shm, enum shm_seg i, struct err *e)
{
	int	fd;

	must(shm->seg[i].fd != -1);
	fd = open_ro(&shm->seg[i]);
	if (fd == -1)
		return err_sys(e, "board: %s: read-only descriptor",
		    seg_names[i]);
	return fd;
}

/* Without /proc the kernel lets us have the weaker duplicate only. */
static int
map_ro(struct seg *g, unsigned i)
{
	int	 fd = open_ro(g);
	void	*p;

	if (fd == -1 && errno == ENOENT)
		fd = fcntl(g->fd, F_DUPFD_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	p = mmap(g->base, shm_reserve[i], PROT_READ,
	    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? -1 : 0;
}

/* The address stays taken, so that nothing else comes to lie there. */
static int
map_none(struct seg *g, unsigned i)
{
	void	*p = mmap(g->base, shm_reserve[i], PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	return p == MAP_FAILED ? -1 : 0;
}

static int
narrow(struct seg *g, unsigned i, enum shm_right right, struct err *e)
{
	int	rc = 0;

	must(g->fd != -1);
	if (right == SHM_RO)
		rc = map_ro(g, i);
	else if (right == SHM_NONE)
		rc = map_none(g, i);
	if (rc == -1)
		return err_sys(e, "board: giving up rights on %s",
		    seg_names[i]);
	g->right = right;
	keep_from_cores(g, i);
	return 0;
}

int
shm_enter(struct shm *shm, const enum shm_right rights[SHM_NSEG],
    struct err *e)
{
	for (unsigned i = 0; i < SHM_NSEG; i++)
		if (narrow(&shm->seg[i], i, rights[i], e) == -1)
			return -1;
	for (unsigned i = 0; i < SHM_NSEG; i++) {
		close(shm->seg[i].fd);
		shm->seg[i].fd = -1;
	}
	return 0;
}

int
shm_fd(const struct shm *shm, enum shm_seg i)
{
	return shm->seg[i].fd;
}

/* A file that could be cut short would kill its reader by SIGBUS. */
static int
check_file(unsigned i, int fd, uint64_t *size, struct err *e)
{
	struct stat	st;
	int		seals = fcntl(fd, F_GET_SEALS);

	if (seals == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "board: taking over %s", seg_names[i]);
	*size = (uint64_t)st.st_size;
	if ((seals & F_SEAL_SHRINK) == 0 || *size < HEAD_BYTES ||
	    *size > shm_reserve[i])
		return err_set(e, "board: taking over %s: no segment of ours",
		    seg_names[i]);
	return 0;
}

static int
adopt_seg(struct seg *g, unsigned i, int fd, uint64_t layout, struct err *e)
{
	const struct shm_head	*h;

	if (check_file(i, fd, &g->used, e) == -1 || map(g, i, fd, e) == -1)
		return -1;
	h = head_of(g);
	if (h->magic != SHM_MAGIC || h->seg != i || h->layout != layout)
		return err_set(e, "board: taking over %s: another layout",
		    seg_names[i]);
	return 0;
}

/*
 * Chunks as the head has them, within the file.  Should they overlap, a
 * process mixed up its own rows; nothing else can be reached by them.
 */
static int
adopt_part(const struct shm *shm, struct part *p, struct err *e)
{
	uint32_t	n = atomic_load(&p->ent->nchunk);
	uint64_t	max = shm->seg[p->region->seg].used;
	uint64_t	off, len;

	for (; p->nchunk < n; p->nchunk++) {
		off = p->nchunk < SHM_CHUNKS ?
		    atomic_load(&p->ent->chunk[p->nchunk]) : 0;
		len = chunk_bytes(p->region, p->nchunk);
		if (off < HEAD_BYTES || off % CHUNK_ALIGN != 0 || len > max ||
		    off > max - len)
			return err_set(e, "board: taking over %s: chunk %u "
			    "lies outside", p->region->name, p->nchunk);
		p->chunk[p->nchunk] = off;
	}
	return 0;
}

struct shm *
shm_adopt(const int fds[SHM_NSEG], const struct shm_region *const *regions,
    struct err *e)
{
	struct shm	*shm = new_empty();
	uint64_t	 layout = shm_layout(regions);
	int		 rc = 0;

	for (unsigned i = 0; i < SHM_NSEG && rc == 0; i++)
		rc = adopt_seg(&shm->seg[i], i, fds[i], layout, e);
	if (rc == 0)
		index_regions(shm, regions);
	for (unsigned i = 0; i < shm->nparts && rc == 0; i++)
		rc = adopt_part(shm, &shm->parts[i], e);
	if (rc == -1) {
		shm_free(&shm);
		return NULL;
	}
	for (unsigned i = 0; i < SHM_NSEG; i++) {
		shm->seg[i].fd = fds[i];
		(void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
	}
	return shm;
}
