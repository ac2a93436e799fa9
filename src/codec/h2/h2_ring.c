/*
 * A queue of pieces of body (h2_ring.h).  Workers, control.
 */
#include "codec/h2/h2_ring.h"

#include <stdlib.h>

#include "base/must.h"

#define FIRST	4	/* pieces; most bodies have one */

void
h2_ring_init(struct h2_ring *r, struct arena *a)
{
	*r = (struct h2_ring){ .arena = a };
}

struct h2_part *
h2_ring_nth(const struct h2_ring *r, uint32_t i)
{
	return &r->v[(r->at + i) & (r->cap - 1)];
}

void
h2_ring_fini(struct h2_ring *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		chunk_drop(&h2_ring_nth(r, i)->c);
	if (r->arena == NULL)
		free(r->v);
	h2_ring_init(r, r->arena);
}

/* What an arena gave stays there: doubling wastes as much as is used. */
static void
grow(struct h2_ring *r)
{
	uint32_t	 cap = r->cap == 0 ? FIRST : r->cap * 2;
	struct h2_part	*v;

	v = r->arena != NULL ? arena_room(r->arena, cap * sizeof(*v)) :
	    must_alloc(cap * sizeof(*v));
	for (uint32_t i = 0; i < r->n; i++)
		v[i] = *h2_ring_nth(r, i);
	if (r->arena == NULL)
		free(r->v);
	r->v = v;
	r->cap = cap;
	r->at = 0;
}

static bool
goes_on(const struct h2_part *p, const struct chunk *c, const void *of)
{
	return p->of == of && c->kind == CHUNK_PAGE &&
	    p->c.kind == CHUNK_PAGE &&
	    p->c.u.mem.page == c->u.mem.page &&
	    p->c.u.mem.p + p->c.n == c->u.mem.p;
}

void
h2_ring_add(struct h2_ring *r, struct chunk c, void *of)
{
	struct h2_part	*tail;

	must(c.n > 0);
	tail = r->n > 0 ? h2_ring_nth(r, r->n - 1) : NULL;
	if (tail != NULL && goes_on(tail, &c, of)) {
		tail->c.n += c.n;
		r->bytes += c.n;
		chunk_drop(&c);
		return;
	}
	if (r->n == r->cap)
		grow(r);
	r->n++;
	r->bytes += c.n;
	*h2_ring_nth(r, r->n - 1) = (struct h2_part){ c, of };
}

/* The front goes on by n bytes, which are fewer than it has. */
static void
advance(struct chunk *c, uint64_t n)
{
	c->n -= n;
	if (c->kind == CHUNK_FILE)
		c->u.file.off += n;
	else
		c->u.mem.p += n;
}

static void
drop_front(struct h2_ring *r)
{
	r->at = (r->at + 1) & (r->cap - 1);
	r->n--;
}

struct chunk
h2_ring_cut(struct h2_ring *r, uint64_t max)
{
	struct chunk	*front, c;

	must(r->n > 0 && max > 0);
	front = &h2_ring_nth(r, 0)->c;
	c = *front;
	if (c.n <= max) {
		drop_front(r);
	} else {
		c.n = max;
		if (c.kind == CHUNK_FILE)
			c.u.file.file = file_ref(c.u.file.file);
		else if (c.kind == CHUNK_PAGE)
			c.u.mem.page = page_ref(c.u.mem.page);
		advance(front, max);
	}
	r->bytes -= c.n;
	return c;
}

void
h2_ring_skip(struct h2_ring *r, uint64_t n)
{
	struct chunk	*front;

	must(n <= r->bytes);
	r->bytes -= n;
	while (n > 0) {
		front = &h2_ring_nth(r, 0)->c;
		if (n < front->n) {
			advance(front, n);
			return;
		}
		n -= front->n;
		chunk_drop(front);
		drop_front(r);
	}
}
