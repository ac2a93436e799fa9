/*
 * A reader's view of a segment: sluicectl, with a descriptor that came
 * over the control socket.
 *
 * Nothing in the segment is trusted.  The file is sealed against
 * shrinking, else it is refused; so what lay within it once can be read
 * for ever, and every row is compared with the size known so far, which
 * is asked again when a row lies behind it.  The descriptions of regions
 * are copied before they are checked.
 */
#include "os/shm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"

struct shm_view {
	const char	*base;		/* own: mapping */
	uint64_t	 mapped;
	uint64_t	 size;		/* of the file, as last known */
	int		 fd;		/* own */
};

/* a region's description, copied */
struct desc {
	uint32_t	layout;
	uint32_t	stride;
	uint32_t	base;
	uint32_t	nchunk;
	uint64_t	chunk[SHM_CHUNKS];
};

/* True if the first n bytes are there. */
static bool
reaches(struct shm_view *v, uint64_t n)
{
	struct stat	st;

	if (n <= v->size)
		return true;
	if (n > v->mapped || fstat(v->fd, &st) == -1)
		return false;
	if ((uint64_t)st.st_size > v->size)
		v->size = (uint64_t)st.st_size;
	return n <= v->size;
}

static int
map(struct shm_view *v, struct err *e)
{
	const struct shm_head	*h;
	void			*p;
	int			 seals = fcntl(v->fd, F_GET_SEALS);

	if (seals == -1 || (seals & F_SEAL_SHRINK) == 0)
		return err_set(e, "board: the file is no segment");
	for (unsigned i = 0; i < SHM_NSEG; i++)
		if (shm_reserve[i] > v->mapped)
			v->mapped = shm_reserve[i];
	p = mmap(NULL, v->mapped, PROT_READ, MAP_SHARED | MAP_NORESERVE,
	    v->fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "board: mapping");
	v->base = p;
	h = p;
	if (!reaches(v, sizeof(*h)) || h->magic != SHM_MAGIC)
		return err_set(e, "board: the file is no segment");
	return 0;
}

struct shm_view *
shm_view_open(int fd, struct err *e)
{
	struct shm_view	*v = must_calloc(1, sizeof(*v));

	v->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (v->fd == -1)
		err_sys(e, "board: descriptor");
	if (v->fd == -1 || map(v, e) == -1)
		shm_view_free(&v);
	return v;
}

void
shm_view_free(struct shm_view **v)
{
	if (*v == NULL)
		return;
	if ((*v)->base != NULL)
		munmap((void *)(uintptr_t)(*v)->base, (*v)->mapped);
	if ((*v)->fd != -1)
		close((*v)->fd);
	free(*v);
	*v = NULL;
}

static bool
copy_desc(struct desc *d, const struct shm_dirent *ent)
{
	d->layout = ent->layout;
	d->stride = ent->stride;
	d->base = ent->base;
	d->nchunk = atomic_load_explicit(&ent->nchunk, memory_order_acquire);
	for (unsigned k = 0; k < SHM_CHUNKS; k++)
		d->chunk[k] = atomic_load(&ent->chunk[k]);
	return d->stride > 0 && d->stride % 64 == 0 && d->base > 0 &&
	    (d->base & (d->base - 1)) == 0 && d->nchunk <= SHM_CHUNKS;
}

static bool
find(const struct shm_view *v, const char *region, struct desc *d)
{
	const struct shm_head	*h = (const void *)v->base;
	size_t			 len = strnlen(region, SHM_NAME);
	uint32_t		 n = h->nregion;

	for (uint32_t i = 0; i < n && i < SHM_REGIONS; i++)
		if (len < SHM_NAME &&
		    memcmp(h->region[i].name, region, len + 1) == 0)
			return copy_desc(d, &h->region[i]);
	return false;
}

uint32_t
shm_view_rows(const struct shm_view *v, const char *region)
{
	struct desc	d;

	return find(v, region, &d) ? shm_rows_of(d.base, d.nchunk) : 0;
}

bool
shm_view_is(const struct shm_view *v, const struct shm_region *r)
{
	struct desc	d;

	return find(v, r->name, &d) && d.layout == r->layout &&
	    d.stride == r->stride;
}

const void *
shm_view_row(struct shm_view *v, const char *region, uint32_t i)
{
	struct desc	d;
	uint32_t	row;
	uint64_t	off, end;
	unsigned	k;

	if (!find(v, region, &d))
		return NULL;
	k = shm_place(d.base, i, &row);
	if (k >= d.nchunk)
		return NULL;
	off = d.chunk[k];
	end = ((uint64_t)row + 1) * d.stride;
	if (off % 64 != 0 || off > v->mapped || end > v->mapped - off ||
	    !reaches(v, off + end))
		return NULL;
	return v->base + off + end - d.stride;
}
