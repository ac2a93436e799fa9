/*
 * Arenas: bump allocation with one lifetime.  Every process; in a worker
 * one per connection and one per exchange.
 *
 * Memory is taken from the front of the current chunk, text and structs
 * alike, so that the used part of a fixed arena is one piece and `used`
 * (padding included) is its length: a generation is written out by that.
 * What is larger than a chunk gets one of its own; cur and end stay where
 * they are, so the rest of the current chunk is still used.
 */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/put.h"
#include "base/slab.h"

#define ALIGN		16
#define CHUNK_MIN	4096
#define CHUNK_MAX	(256 * 1024)

struct arena_chunk {
	struct arena_chunk	*next;	/* own */
	struct slab		*from;	/* ref, NULL: malloc */
};

/* Bytes from cur to the next aligned address. */
static size_t
count_pad(const char *cur)
{
	return (size_t)(-(uintptr_t)cur & (ALIGN - 1));
}

static char *
find_data(struct arena_chunk *c)
{
	char	*p = (char *)(c + 1);

	return p + count_pad(p);
}

void
arena_init(struct arena *a, struct slab *slab)
{
	*a = (struct arena){ .slab = slab };
	must(slab == NULL ||
	    slab->size >= sizeof(struct arena_chunk) + 2 * ALIGN);
}

void
arena_init_fixed(struct arena *a, void *mem, size_t size,
    void (*on_full)(void *), void *ctx)
{
	must(mem != NULL && on_full != NULL);
	*a = (struct arena){ .cur = mem, .on_full = on_full, .ctx = ctx };
	a->end = a->cur + size;
}

void
arena_fini(struct arena *a)
{
	struct arena_chunk	*c;

	if (a->on_full != NULL) {
		a->cur -= a->used;
		a->used = 0;
		return;
	}
	while ((c = a->chunks) != NULL) {
		a->chunks = c->next;
		if (c->from != NULL)
			slab_put(c->from, c);
		else
			free(c);
	}
	a->cur = a->end = NULL;
	a->used = 0;
}

/* Without a slab chunks double with the arena, so n bytes cost log n. */
static size_t
pick_size(const struct arena *a)
{
	if (a->slab != NULL)
		return a->slab->size;
	if (a->used < CHUNK_MIN)
		return CHUNK_MIN;
	return a->used < CHUNK_MAX ? a->used : CHUNK_MAX;
}

static char *
alloc_own_chunk(struct arena *a, size_t n, size_t over)
{
	struct arena_chunk	*c;

	if (n > SIZE_MAX - over)
		must_die("out of memory");
	c = must_alloc(n + over);
	c->from = NULL;
	a->used += n;
	c->next = a->chunks;
	a->chunks = c;
	return find_data(c);
}

/* The slow path of both allocators; the result is aligned in any case. */
__attribute__((noinline)) static char *
alloc_new_chunk(struct arena *a, size_t n)
{
	size_t			 over = sizeof(struct arena_chunk) + ALIGN;
	size_t			 size;
	struct arena_chunk	*c;
	char			*p;

	if (a->on_full != NULL) {
		a->on_full(a->ctx);
		must_die("arena: on_full returned");
	}
	size = pick_size(a);
	if (n > size - over)
		return alloc_own_chunk(a, n, over);
	c = a->slab != NULL ? slab_get(a->slab) : must_alloc(size);
	c->from = a->slab;
	c->next = a->chunks;
	a->chunks = c;
	p = find_data(c);
	a->cur = p + n;
	a->end = (char *)c + size;
	a->used += n;
	return p;
}

static void *
take(struct arena *a, size_t n)
{
	size_t	 skip = count_pad(a->cur);
	size_t	 room = (size_t)(a->end - a->cur);
	char	*p;

	if (n > room || skip > room - n)
		return alloc_new_chunk(a, n);
	p = a->cur + skip;
	a->cur = p + n;
	a->used += skip + n;
	return p;
}

/* Nothing is a byte, so that no two answers are the same. */
void *
arena_alloc(struct arena *a, size_t n)
{
	n += n == 0;
	return memset(take(a, n), 0, n);
}

void *
arena_room(struct arena *a, size_t n)
{
	return take(a, n + (n == 0));
}

char *
arena_text(struct arena *a, size_t n)
{
	char	*p = a->cur;

	n += n == 0;
	if (n > (size_t)(a->end - p))
		return alloc_new_chunk(a, n);
	a->cur = p + n;
	a->used += n;
	return p;
}

struct str
arena_dup(struct arena *a, struct str s)
{
	char	*p = arena_text(a, s.n + 1);

	*put_str(p, s) = '\0';
	return str_make(p, s.n);
}

struct str
arena_fmt(struct arena *a, const char *fmt, ...)
{
	struct str	s;
	va_list		ap;

	va_start(ap, fmt);
	s = arena_vfmt(a, fmt, ap);
	va_end(ap);
	return s;
}

/* Most results are short: they are formatted once and copied. */
struct str
arena_vfmt(struct arena *a, const char *fmt, va_list ap)
{
	char	 buf[256];
	va_list	 again;
	char	*p;
	int	 n;

	va_copy(again, ap);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	must(n >= 0);
	p = arena_text(a, (size_t)n + 1);
	if ((size_t)n < sizeof(buf))
		memcpy(p, buf, (size_t)n + 1);
	else
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return str_make(p, (size_t)n);
}
