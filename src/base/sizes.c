/*
 * Slabs by size (sizes.h).  Workers.
 *
 * Before each piece stands where it came from and how long it is, for who
 * gives it back tells neither.
 */
#include "base/sizes.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define SMALLEST	64

struct piece {
	_Alignas(16) struct slab *from;	/* ref, NULL: malloc */
	size_t		 n;
};

void
sizes_init(struct sizes *s, size_t keep)
{
	for (unsigned i = 0; i < SIZES_N; i++)
		slab_init(&s->of[i], (size_t)SMALLEST << i, keep);
}

void
sizes_fini(struct sizes *s)
{
	for (unsigned i = 0; i < SIZES_N; i++)
		slab_fini(&s->of[i]);
}

void
sizes_trim(struct sizes *s, size_t keep)
{
	for (unsigned i = 0; i < SIZES_N; i++)
		slab_trim(&s->of[i], keep);
}

static struct slab *
choose(struct sizes *s, size_t n)
{
	for (unsigned i = 0; i < SIZES_N; i++)
		if (n <= s->of[i].size)
			return &s->of[i];
	return NULL;
}

void *
sizes_get(struct sizes *s, size_t n)
{
	size_t		 all = n + sizeof(struct piece);
	struct slab	*from = choose(s, all);
	struct piece	*p;

	must(all > n);
	p = from != NULL ? slab_get(from) : must_alloc(all);
	p->from = from;
	p->n = n;
	return p + 1;
}

void
sizes_put(void *mem)
{
	struct piece	*p = mem;

	if (p == NULL)
		return;
	p--;
	if (p->from != NULL)
		slab_put(p->from, p);
	else
		free(p);
}

void *
sizes_again(struct sizes *s, void *mem, size_t n)
{
	const struct piece	*p = mem;
	void			*to = sizes_get(s, n);

	if (p == NULL)
		return to;
	p--;
	memcpy(to, mem, p->n < n ? p->n : n);
	sizes_put(mem);
	return to;
}
