/*
 * Growing arrays for set-up code: the builder, the control process, the
 * command lines.  Not for the path of a request.
 *
 * The capacity doubles from 8; elements move when it does.
 */
#include "base/vec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define CAP_MIN	8

void
vec_init(struct vec *v, size_t size)
{
	must(size > 0);
	*v = (struct vec){ .size = size };
}

/* The vector is empty afterwards and may be used again. */
void
vec_fini(struct vec *v)
{
	free(v->p);
	vec_init(v, v->size);
}

void *
vec_push(struct vec *v)
{
	char	*p;

	if (v->n == v->cap) {
		must(v->cap <= SIZE_MAX / 2 / v->size);
		v->cap = v->cap == 0 ? CAP_MIN : v->cap * 2;
		v->p = must_realloc(v->p, v->cap * v->size);
	}
	p = (char *)v->p + v->n++ * v->size;
	return memset(p, 0, v->size);
}

void *
vec_at(const struct vec *v, size_t i)
{
	must(i < v->n);
	return (char *)v->p + i * v->size;
}
