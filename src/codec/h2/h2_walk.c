/*
 * From frame to frame (h2_walk.h).  Workers.
 */
#include "codec/h2/h2_walk.h"

#include <string.h>

#define FLAG_PADDED	0x08

void
h2_walk_init(struct h2_walk *w, bool preface)
{
	*w = (struct h2_walk){ .left = preface ? H2_PREFACE : 0 };
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void
pass(struct str *in, size_t n)
{
	*in = str_make(in->p + n, in->n - n);
}

bool
h2_walk_next(struct h2_walk *w, struct str *in, struct h2_walked *f)
{
	const uint8_t	*h = w->head;
	size_t		 n = least(w->left, in->n);

	w->left -= (uint32_t)n;
	pass(in, n);
	if (w->left > 0 || in->n == 0)
		return false;
	n = least(H2_HEAD - w->have, in->n);
	memcpy(w->head + w->have, in->p, n);
	w->have += (uint8_t)n;
	pass(in, n);
	if (w->have < H2_HEAD)
		return false;
	*f = (struct h2_walked){ .type = h[3], .flags = h[4],
	    .n = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2],
	    .id = ((uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 |
	    (uint32_t)h[7] << 8 | h[8]) & 0x7fffffff };
	if ((f->flags & FLAG_PADDED) && f->n > 0) {
		if (in->n == 0)
			return false;
		f->pad = (uint8_t)in->p[0];
	}
	w->have = 0;
	w->left = f->n;
	return true;
}
