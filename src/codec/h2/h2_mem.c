/*
 * The memory of nghttp2 (h2_mem.h).  Workers.
 */
#include "codec/h2/h2_mem.h"

#include <string.h>

#include "base/must.h"

static void *
get(size_t n, void *ctx)
{
	return sizes_get(ctx, n);
}

static void
put(void *p, void *ctx)
{
	(void)ctx;
	sizes_put(p);
}

static void *
get_zeroed(size_t n, size_t size, void *ctx)
{
	void	*p;

	must(size == 0 || n <= SIZE_MAX / size);
	p = sizes_get(ctx, n * size);
	memset(p, 0, n * size);
	return p;
}

static void *
get_again(void *p, size_t n, void *ctx)
{
	return sizes_again(ctx, p, n);
}

nghttp2_mem
h2_mem(struct sizes *s)
{
	return (nghttp2_mem){ .mem_user_data = s, .malloc = get, .free = put,
	    .calloc = get_zeroed, .realloc = get_again };
}
