/*
 * Generations in memory files.  The builder writes one, the master seals
 * and checks it, every process maps it; see gen.h for who calls what.
 *
 * The slots lie in one reserved range that all processes inherit, so that
 * a pointer means the same everywhere.  A free slot is PROT_NONE: what
 * still points into a generation that is gone faults at once.  The head
 * is all that the master reads of a builder's work, and it believes none
 * of it before the seals are on.
 */
#include "conf/gen.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"

#define PAGE	4096UL
#define HEAD	64	/* bytes before the arena, of its alignment */
#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define SEAL_TRIES	16	/* of 150 ms each */

_Static_assert(sizeof(struct gen_head) <= HEAD, "the head fits");

static char *
slot_base(const struct gens *gs, unsigned slot)
{
	must(gs->range != NULL && slot < GEN_SLOTS);
	return gs->range + (size_t)slot * GEN_SLOT_BYTES;
}

static uint64_t
hash_rows(const struct conf_group *g, uint64_t h)
{
	const struct conf_row	*r = g->rows;
	uint64_t		 v[2];

	for (; r != NULL && r->key != NULL; r++) {
		v[0] = r->type;
		v[1] = r->off;
		h = str_hash(str_from(r->key), h);
		h = str_hash(str_make((const char *)v, sizeof(v)), h);
	}
	return str_hash(str_make((const char *)&g->size, sizeof(g->size)),
	    h);
}

/*
 * Tells this binary's tables from others': their contents, and where they
 * lie, for generations point to them.
 */
static uint64_t
hash_build(void)
{
	uintptr_t	at = (uintptr_t)conf_sections;
	uint64_t	h;
	size_t		i;
	size_t		j;

	h = str_hash(str_make((const char *)&at, sizeof(at)), STR_HASH0);
	for (i = 0; conf_sections[i] != NULL; i++) {
		h = str_hash(str_from(conf_sections[i]->type), h);
		for (j = 0; conf_sections[i]->groups[j] != NULL; j++)
			h = hash_rows(conf_sections[i]->groups[j], h);
	}
	return h;
}

/* Makes a slot, or all of them, inaccessible again. */
static int
blank(void *at, size_t n, struct err *e)
{
	if (mmap(at, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return err_sys(e, "generation: cannot clear a slot");
	return 0;
}

int
gen_reserve(struct gens *gs, struct err *e)
{
	void	*p = mmap(NULL, GEN_SLOTS * GEN_SLOT_BYTES, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return err_sys(e, "generations: cannot reserve %lu bytes of "
		    "addresses", GEN_SLOTS * GEN_SLOT_BYTES);
	gs->range = p;
	for (int i = 0; i < GEN_NKEYS; i++) {
		p = mmap(NULL, GEN_SLOTS * GEN_KEYS_BYTES, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return err_sys(e, "generations: cannot reserve %lu "
			    "bytes of addresses", GEN_SLOTS *
			    GEN_KEYS_BYTES);
		gs->keys[i] = p;
	}
	gs->all = gs->cur = gs->next = NULL;
	gs->fd = -1;
	return 0;
}

static int
open_file(const char *name, size_t size, struct err *e)
{
	int	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(e, "generation: cannot make a memory file");
	/* Its mode is 0777 at first, and /proc would let others open it. */
	if (fchmod(fd, 0600) != 0 ||
	    ftruncate(fd, (off_t)size) != 0) {
		err_sys(e, "generation: cannot size the memory file");
		close(fd);
		return -1;
	}
	return fd;
}

int
gen_create(struct gens *gs, unsigned slot, struct arena *a,
    void (*on_full)(void *), void *ctx, struct err *e)
{
	char	*base = slot_base(gs, slot);
	int	 fd = open_file("sluice-conf", GEN_SLOT_BYTES, e);

	if (fd < 0)
		return -1;
	if (mmap(base, GEN_SLOT_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		err_sys(e, "generation: cannot map the memory file");
		close(fd);
		return -1;
	}
	arena_init_fixed(a, base + HEAD, GEN_SLOT_BYTES - HEAD, on_full,
	    ctx);
	gs->fd = fd;
	return fd;
}

void
gen_finish(struct gens *gs, unsigned slot, struct arena *a,
    struct conf *conf)
{
	char		*base = slot_base(gs, slot);
	struct gen_head	*h = (void *)base;
	size_t		 size = (size_t)(a->cur - base);

	must(a->cur > base && size <= GEN_SLOT_BYTES && gs->fd >= 0);
	size = (size + PAGE - 1) & ~(PAGE - 1);
	*h = (struct gen_head){
		.magic = GEN_MAGIC, .build = hash_build(),
		.number = conf->number, .size = size, .base = base,
		.conf = conf, .digest = conf->digest
	};
	must(ftruncate(gs->fd, (off_t)size) == 0);
	gs->fd = -1;
}

/* What the head says, seen against what is known of it. */
static int
check_head(const struct gen_head *h, const char *base, size_t size,
    struct err *e)
{
	uintptr_t	from = (uintptr_t)base + HEAD;
	uintptr_t	conf = (uintptr_t)h->conf;

	if (h->magic != GEN_MAGIC)
		return err_set(e, "generation: the file is none");
	if (h->build != hash_build())
		return err_set(e, "generation: of another program");
	if (h->size != size)
		return err_set(e, "generation: the size is %llu, not %zu",
		    (unsigned long long)h->size, size);
	if (h->base != base)
		return err_set(e, "generation: made for another slot");
	if (conf < from || conf % alignof(struct conf) != 0 ||
	    conf - (uintptr_t)base > size - sizeof(struct conf))
		return err_set(e, "generation: a pointer leads out of it");
	return 0;
}

/* The file's size if it can be a generation's; 0 after filling e. */
static size_t
find_size(int fd, struct err *e)
{
	struct stat	st;

	if (fstat(fd, &st) != 0) {
		err_sys(e, "generation: cannot look at the file");
		return 0;
	}
	if (!S_ISREG(st.st_mode) ||
	    st.st_size < (off_t)(HEAD + sizeof(struct conf)) ||
	    st.st_size > (off_t)GEN_SLOT_BYTES) {
		err_set(e, "generation: the file's size is not possible");
		return 0;
	}
	return (size_t)st.st_size;
}

/*
 * No mapping that could write is left when the builder is gone.  But the
 * kernel itself may have a page just in hand (it reclaims or moves some),
 * and refuses after a wait of its own of 150 ms, as was seen of a busy one.
 * With a mapping left all tries fail at once.
 */
static int
seal(int fd)
{
	unsigned	n = 0;

	while (fcntl(fd, F_ADD_SEALS, SEALS) != 0)
		if (errno != EBUSY || ++n == SEAL_TRIES)
			return -1;
	return 0;
}

int
gen_check(struct gens *gs, int fd, unsigned slot, uint64_t number,
    struct err *e)
{
	struct gen_head	*h;
	struct gen_head	 copy;
	size_t		 size;

	if (seal(fd) != 0)
		return err_sys(e, "generation: cannot seal the file");
	size = find_size(fd, e);
	if (size == 0)
		return -1;
	h = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	if (h == MAP_FAILED)
		return err_sys(e, "generation: cannot map the file");
	copy = *h;
	munmap(h, PAGE);
	if (copy.number != number)
		return err_set(e, "generation: the number is %llu, not %llu",
		    (unsigned long long)copy.number,
		    (unsigned long long)number);
	return check_head(&copy, slot_base(gs, slot), size, e);
}

/*
 * Shared where the kernel allows it: before 6.7 it refuses shared
 * mappings of write-sealed files, even read-only ones.  After a failure
 * nobody knows what is left there: the caller blanks the slot.
 */
static int
map_fixed(char *base, size_t size, int fd, struct err *e)
{
	void	*p = mmap(base, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
	    0);

	if (p == MAP_FAILED && errno == EPERM)
		p = mmap(base, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd,
		    0);
	if (p == MAP_FAILED)
		return err_sys(e, "generation: cannot map the file");
	return 0;
}

struct gen *
gen_map(struct gens *gs, int fd, unsigned slot, struct err *e)
{
	char			*base = slot_base(gs, slot);
	const struct gen_head	*h = (const void *)base;
	struct gen		*g;
	size_t			 size;
	int			 seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS) {
		err_set(e, "generation: the file is not sealed");
		return NULL;
	}
	gen_cancel(gs);
	for (g = gs->all; g != NULL; g = g->next)
		if (g->slot == slot) {
			err_set(e, "generation: slot %u is in use", slot);
			return NULL;
		}
	size = find_size(fd, e);
	if (size == 0)
		return NULL;
	if (map_fixed(base, size, fd, e) != 0 ||
	    check_head(h, base, size, e) != 0) {
		must(blank(base, GEN_SLOT_BYTES, NULL) == 0);
		return NULL;
	}
	g = must_calloc(1, sizeof(*g));
	*g = (struct gen){ .number = h->number, .slot = slot,
	    .conf = h->conf, .next = gs->all };
	gs->all = gs->next = g;
	return g;
}

/* --- the keys --- */

/* at the first byte of a slot for keys */
struct keys_head {
	uint64_t	magic;
	uint64_t	number;
	const void	*base;
	uint64_t	used;	/* bytes of keys */
};
_Static_assert(sizeof(struct keys_head) <= HEAD, "the head fits");

static char *
keys_base(const struct gens *gs, unsigned slot, enum gen_keys kind)
{
	must(gs->keys[kind] != NULL && slot < GEN_SLOTS);
	return gs->keys[kind] + (size_t)slot * GEN_KEYS_BYTES;
}

int
gen_create_keys(struct gens *gs, unsigned slot, struct gen_keys_file *f,
    void (*on_full)(void *), void *ctx, struct err *e)
{
	char	*base = keys_base(gs, slot, f->kind);
	int	 fd = open_file(f->kind == GEN_PROBE ? "sluice-probe" :
	    "sluice-keys", GEN_KEYS_BYTES, e);

	if (fd < 0)
		return -1;
	if (mmap(base, GEN_KEYS_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		err_sys(e, "generation: cannot map the file of keys");
		close(fd);
		return -1;
	}
	(void)madvise(base, GEN_KEYS_BYTES, MADV_DONTDUMP);
	arena_init_fixed(&f->arena, base + HEAD, GEN_KEYS_BYTES - HEAD,
	    on_full, ctx);
	f->fd = fd;
	return fd;
}

void
gen_finish_keys(struct gens *gs, unsigned slot, struct gen_keys_file *f,
    uint64_t number)
{
	char			*base = keys_base(gs, slot, f->kind);
	struct keys_head	*h = (void *)base;
	size_t			 size = (size_t)(f->arena.cur - base);

	*h = (struct keys_head){ GEN_MAGIC, number, base, size - HEAD };
	size = (size + PAGE - 1) & ~(PAGE - 1);
	must(ftruncate(f->fd, (off_t)size) == 0);
}

int
gen_check_keys(int fd, struct err *e)
{
	struct stat	st;

	if (seal(fd) != 0 || fstat(fd, &st) != 0)
		return err_sys(e, "generation: cannot seal the keys");
	if (st.st_size < (off_t)PAGE || st.st_size > (off_t)GEN_KEYS_BYTES)
		return err_set(e, "generation: the size of the keys is not "
		    "possible");
	return 0;
}

int
gen_map_keys(struct gens *gs, struct gen *g, enum gen_keys kind, int fd,
    struct err *e)
{
	char			*base = keys_base(gs, g->slot, kind);
	const struct keys_head	*h = (const void *)base;
	struct stat		 st;

	if (fstat(fd, &st) != 0 || st.st_size < (off_t)PAGE ||
	    st.st_size > (off_t)GEN_KEYS_BYTES)
		return err_set(e, "generation: the file of keys is none");
	if (map_fixed(base, (size_t)st.st_size, fd, e) != 0) {
		must(blank(base, GEN_KEYS_BYTES, NULL) == 0);
		return -1;
	}
	g->keys = true;
	g->kind = kind;
	(void)madvise(base, (size_t)st.st_size, MADV_DONTDUMP);
	if (h->magic != GEN_MAGIC || h->number != g->number ||
	    h->base != base) {
		gen_drop_keys(gs, g);
		return err_set(e, "generation: the keys are of another");
	}
	return 0;
}

void
gen_drop_keys(struct gens *gs, struct gen *g)
{
	if (g->keys)
		must(blank(keys_base(gs, g->slot, g->kind), GEN_KEYS_BYTES,
		    NULL) == 0);
	g->keys = false;
}

bool
gen_has_keys(const struct gens *gs, const struct gen *g)
{
	const struct keys_head	*h;

	if (!g->keys)
		return false;
	h = (const void *)keys_base(gs, g->slot, g->kind);
	return h->used > 0;
}

/* Out of the list and out of the address space. */
static void
drop(struct gens *gs, struct gen *g, bool tell)
{
	struct gen	**pg = &gs->all;

	if (tell && gs->on_free != NULL)
		gs->on_free(gs->ctx, g);
	while (*pg != g)
		pg = &(*pg)->next;
	*pg = g->next;
	gen_drop_keys(gs, g);
	must(blank(slot_base(gs, g->slot), GEN_SLOT_BYTES, NULL) == 0);
	free(g);
}

void
gen_cancel(struct gens *gs)
{
	struct gen	*g = gs->next;

	gs->next = NULL;
	if (g != NULL && g->uses == 0)
		drop(gs, g, true);
}

void
gen_commit(struct gens *gs, struct gen *g)
{
	struct gen	*old = gs->cur;

	must(g != NULL && g != old);
	if (gs->next == g)
		gs->next = NULL;
	gs->cur = gen_ref(g);
	if (old != NULL)
		gen_unref(gs, &old);
}

void
gen_unref(struct gens *gs, struct gen **gp)
{
	struct gen	*g = *gp;

	*gp = NULL;
	must(g->uses > 0);
	if (--g->uses > 0)
		return;
	must(g != gs->cur);
	if (g == gs->next)
		gs->next = NULL;
	drop(gs, g, true);
}

void
gen_forget(struct gens *gs)
{
	struct gen	*g;
	struct gen	*next;

	for (g = gs->all; g != NULL; g = next) {
		next = g->next;
		if (g != gs->cur)
			drop(gs, g, false);
		else
			g->uses = 1;
	}
	gs->next = NULL;
}

unsigned
gen_count(const struct gens *gs)
{
	const struct gen	*g;
	unsigned		 n = 0;

	for (g = gs->all; g != NULL; g = g->next)
		n++;
	return n;
}
