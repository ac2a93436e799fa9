/*
 * Counted pages: what bodies and heads travel in.  Workers, and whoever
 * else speaks through a codec.
 *
 * Small pages come from the pool's slab; the large ones, needed only for
 * heads beyond one page, are malloc'd and not kept.  `live` counts both in
 * full, so that a worker can hold the sum of all its streams to a bound.
 */
#include "base/page.h"

#include <stdlib.h>

#include "base/must.h"

void
page_pool_init(struct page_pool *pool, size_t keep)
{
	slab_init(&pool->small, PAGE_BYTES, keep);
	pool->live = pool->soft = 0;
}

void
page_pool_fini(struct page_pool *pool)
{
	slab_fini(&pool->small);
}

/* The data is not cleared: readers stay below fill. */
static struct page *
set_up(struct page *pg, struct page_pool *pool, size_t bytes)
{
	pg->pool = pool;
	pg->refs = 1;
	pg->cap = (uint32_t)(bytes - sizeof(*pg));
	pg->fill = 0;
	pg->pad = 0;
	pool->live += bytes;
	return pg;
}

struct page *
page_new(struct page_pool *pool)
{
	return set_up(slab_get(&pool->small), pool, PAGE_BYTES);
}

struct page *
page_new_large(struct page_pool *pool)
{
	return set_up(must_alloc(PAGE_LARGE), pool, PAGE_LARGE);
}

/* The room of a small page tells whose it is, so no other page has it. */
struct page *
page_new_sized(struct page_pool *pool, size_t n)
{
	size_t	bytes = sizeof(struct page) + n;

	if (bytes == PAGE_BYTES)
		bytes++;
	return set_up(must_alloc(bytes), pool, bytes);
}

void
page_unref_last(struct page *pg)
{
	struct page_pool	*pool = pg->pool;

	must(pg->refs == 1);
	pg->refs = 0;
	if (pg->cap == PAGE_ROOM) {
		pool->live -= PAGE_BYTES;
		slab_put(&pool->small, pg);
		return;
	}
	pool->live -= sizeof(*pg) + pg->cap;
	free(pg);
}
