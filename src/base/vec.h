/*
 * A growing array for set-up code.  Elements have one size; pointers into
 * it are valid until the next push.
 */
#ifndef SL_BASE_VEC_H
#define SL_BASE_VEC_H

#include <stddef.h>

struct vec {
	void	*p;		/* own */
	size_t	 n;
	size_t	 cap;
	size_t	 size;		/* of an element */
};

void vec_init(struct vec *, size_t size);
void vec_fini(struct vec *);

/* A new zeroed element at the end. */
void *vec_push(struct vec *);

/* Element i; must(i < n). */
void *vec_at(const struct vec *, size_t i);

#endif
