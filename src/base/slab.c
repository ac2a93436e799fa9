/*
 * Slabs: free objects of one size kept for the next taker.  Workers most
 * of all (connections, exchanges, pages), any process otherwise.
 *
 * The free list runs through the first word of the objects, last in first
 * out, so the object handed out is the one the cache still holds.  Objects
 * are malloc'd one by one: nothing is carved from larger blocks, so a
 * trim gives back whole objects and ASan sees every one of them.
 */
#include "base/slab.h"

#include <stdlib.h>

#include "base/must.h"

#ifdef __has_feature
#define HAS_ASAN_FEATURE	__has_feature(address_sanitizer)
#else
#define HAS_ASAN_FEATURE	0
#endif

#if defined(__SANITIZE_ADDRESS__) || HAS_ASAN_FEATURE
#include <sanitizer/asan_interface.h>
#define poison(p, n)	__asan_poison_memory_region((p), (n))
#define unpoison(p, n)	__asan_unpoison_memory_region((p), (n))
/* A second put of the same object would tie the list into a knot. */
#define check_live(p)	must(!__asan_address_is_poisoned(p))
#else
#define poison(p, n)	((void)0)
#define unpoison(p, n)	((void)0)
#define check_live(p)	((void)0)
#endif

void
slab_init(struct slab *s, size_t size, size_t keep)
{
	s->free = NULL;
	s->size = size < sizeof(void *) ? sizeof(void *) : size;
	s->nfree = 0;
	s->keep = keep;
	s->nlive = 0;
	s->most = 0;
}

/* Objects still out may come back later: with keep 0 they are freed then. */
void
slab_fini(struct slab *s)
{
	slab_trim(s, 0);
	s->keep = 0;
}

void *
slab_get(struct slab *s)
{
	void	*p = s->free;

	if (++s->nlive > s->most)
		s->most = s->nlive;
	if (p == NULL)
		return must_alloc(s->size);
	unpoison(p, s->size);
	s->free = *(void **)p;
	s->nfree--;
	return p;
}

void
slab_put(struct slab *s, void *p)
{
	must(s->nlive > 0);
	check_live(p);
	s->nlive--;
	if (s->nfree >= s->keep) {
		free(p);
		return;
	}
	*(void **)p = s->free;
	s->free = p;
	s->nfree++;
	poison(p, s->size);
}

void
slab_trim(struct slab *s, size_t keep)
{
	void	*p;

	while (s->nfree > keep) {
		p = s->free;
		unpoison(p, s->size);
		s->free = *(void **)p;
		s->nfree--;
		free(p);
	}
}
