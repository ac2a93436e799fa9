/*
 * Counted pages: the unit in which bodies and heads move between codecs.
 * A page is PAGE_BYTES in all, header included; a large head gets one of
 * PAGE_LARGE.  Written by one owner up to `fill`; slices of it are shared
 * by reference.  Per process, no locks.
 */
#ifndef SL_BASE_PAGE_H
#define SL_BASE_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/slab.h"

#define PAGE_BYTES	16384
#define PAGE_LARGE	65536

struct page_pool {
	struct slab	small;
	size_t		live;		/* bytes of pages handed out */
	size_t		soft;		/* beyond it be modest; 0: no bound */
};

struct page {
	struct page_pool	*pool;	/* ref */
	uint32_t		 refs;
	uint32_t		 cap;	/* bytes of data[] */
	uint32_t		 fill;	/* bytes written so far */
	uint32_t		 pad;
	char			 data[];
};

#define PAGE_ROOM	(PAGE_BYTES - sizeof(struct page))

void page_pool_init(struct page_pool *, size_t keep);
void page_pool_fini(struct page_pool *);

/* A page with one reference; large: PAGE_LARGE in place of PAGE_BYTES. */
struct page *page_new(struct page_pool *);
struct page *page_new_large(struct page_pool *);
/* One with room for n bytes and not much more, for what stays long. */
struct page *page_new_sized(struct page_pool *, size_t n);

static inline struct page *
page_ref(struct page *pg)
{
	pg->refs++;
	return pg;
}

/* What page_unref does with the last reference. */
void page_unref_last(struct page *);

/* Drops a reference and nulls the caller's pointer; *NULL is allowed. */
static inline void
page_unref(struct page **pp)
{
	struct page	*pg = *pp;

	*pp = NULL;
	if (pg == NULL)
		return;
	if (pg->refs > 1)
		pg->refs--;
	else
		page_unref_last(pg);
}

#endif
