/*
 * The Cookie field.  The first byte is the length of the name that is
 * taken out.  Pairs lie within their field; a name that was taken out is
 * gone, and all others are still there, in order.
 */
#include "base/must.h"
#include "http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define PAIRS	64

struct pair {
	struct str	name, val;
};

static size_t
read_pairs(const struct hdrs *hs, struct pair *v, struct str but)
{
	const struct hdr	*h = hdr_get(hs, HDR_COOKIE);
	struct str		 rest = h != NULL ? h->val : STR("");
	struct str		 all = rest;
	size_t			 n = 0;
	struct pair		 p;

	while (n < PAIRS && cookie_next(&rest, &p.name, &p.val)) {
		must(p.name.p >= all.p && p.val.p >= p.name.p &&
		    p.val.p + p.val.n <= all.p + all.n);
		must(str_find(p.name, ';', 0) < 0 &&
		    str_find(p.val, ';', 0) < 0);
		if (!str_eq(p.name, but))
			v[n++] = p;
	}
	return n;
}

static bool
is_name(const void *ctx, struct str name)
{
	const struct str	*want = ctx;

	return str_eq(name, *want);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pair	was[PAIRS], is[PAIRS];
	struct hdrs	hs = { .v = NULL };
	struct arena	a;
	struct str	in, name;
	size_t		nwas, nis;

	if (size == 0)
		return 0;
	in = str_make((const char *)data + 1, size - 1);
	name = str_sub(in, 0, data[0] % 16);
	in = str_sub(in, name.n, in.n);
	arena_init(&a, NULL);
	hdr_add(&a, &hs, HDR_COOKIE, in);
	nwas = read_pairs(&hs, was, name);
	cookie_drop(&a, &hs, is_name, &name);
	must(cookie_get(&hs, name).p == NULL);
	nis = read_pairs(&hs, is, name);
	/* who reads only so many may read further when some are gone */
	must(nis == nwas || nwas < PAIRS || nis == PAIRS);
	for (size_t i = 0; i < nis && i < nwas; i++)
		must(str_eq(was[i].name, is[i].name) &&
		    str_eq(was[i].val, is[i].val));
	arena_fini(&a);
	return 0;
}
