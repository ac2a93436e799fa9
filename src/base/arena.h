/*
 * An arena: memory with one lifetime (generation, connection, exchange),
 * freed all at once.  Chunks come from a slab of the process, from
 * malloc, or, for a generation, from one fixed mapping.
 */
#ifndef SL_BASE_ARENA_H
#define SL_BASE_ARENA_H

#include <stdarg.h>

#include "base/str.h"

struct slab;
struct arena_chunk;

struct arena {
	char			*cur;
	char			*end;
	struct arena_chunk	*chunks;	/* own */
	struct slab		*slab;		/* ref, NULL: malloc */
	size_t			 used;		/* handed out, with padding */
	void			(*on_full)(void *); /* fixed arenas only */
	void			*ctx;
};

/* Chunks of the slab's object size come from slab; larger ones are malloc'd. */
void arena_init(struct arena *, struct slab *);

/*
 * An arena over memory of the caller's that never grows.  When it is full
 * on_full(ctx) is called, which must not return (longjmp, exit).
 */
void arena_init_fixed(struct arena *, void *mem, size_t size,
    void (*on_full)(void *), void *ctx);

/* Gives every chunk back; the arena may be used again. */
void arena_fini(struct arena *);

/* n bytes, zeroed, aligned to 16.  Never NULL. */
void *arena_alloc(struct arena *, size_t n);

/* The same, not zeroed: for what is written before it is read. */
void *arena_room(struct arena *, size_t n);

/* The same, not zeroed and not aligned: for text. */
char *arena_text(struct arena *, size_t n);

/* Copies; the copy is followed by a NUL that is not counted. */
struct str arena_dup(struct arena *, struct str);
struct str arena_fmt(struct arena *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct str arena_vfmt(struct arena *, const char *fmt, va_list)
    __attribute__((format(printf, 2, 0)));

#endif
