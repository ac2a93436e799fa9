/*
 * Targets, hosts and paths.  The first byte chooses CONNECT and
 * keep_slash.  A normal path has no dot segments and stays as it is when
 * normalised again; slices lie within their input.
 */
#include "base/must.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_inside(struct str part, struct str all)
{
	must(part.n == 0 ||
	    (part.p >= all.p && part.p + part.n <= all.p + all.n));
}

static void
check_normal(struct str s)
{
	struct str	rest = s;
	ptrdiff_t	at;
	struct str	seg;

	if (s.n == 0)
		return;
	must(s.p[0] == '/');
	while (rest.n > 0) {
		rest = str_sub(rest, 1, rest.n);
		at = str_find(rest, '/', 0);
		seg = str_sub(rest, 0, at < 0 ? rest.n : (size_t)at);
		must(!str_eq(seg, STR(".")) && !str_eq(seg, STR("..")));
		must(str_find(seg, '\\', 0) < 0 && str_find(seg, '\0', 0) < 0);
		rest = str_sub(rest, seg.n, rest.n);
	}
}

static void
check_path(struct arena *a, struct str path, bool keep)
{
	struct str	one;
	struct str	two;
	struct str	text;
	enum fail	why = uri_normalise(a, path, keep, &one);

	must(why == FAIL_NONE || why == FAIL_BAD_PATH ||
	    why == FAIL_PATH_ABOVE_ROOT);
	if (why != FAIL_NONE)
		return;
	check_normal(one);
	must(uri_normalise(a, one, keep, &two) == FAIL_NONE);
	must(two.p == one.p && two.n == one.n);
	must(uri_decode(a, one, &text) == 0 && text.n <= one.n);
	must(keep || str_find(text, '\\', 0) < 0);
	must(str_find(text, '\0', 0) < 0);
}

static void
check_target(struct str in, bool connect)
{
	struct uri	u;
	struct str	host;
	int		port;

	if (uri_parse_target(in, connect, &u) == FAIL_NONE) {
		check_inside(u.scheme, in);
		check_inside(u.authority, in);
		check_inside(u.path, in);
		check_inside(u.query, in);
		must(u.star || u.path.n > 0 || u.authority.n > 0);
		must(!connect || (u.path.n == 0 && u.authority.n == in.n));
	}
	if (uri_parse_host(in, &host, &port) == FAIL_NONE) {
		check_inside(host, in);
		must(host.n > 0 && port >= -1 && port <= 65535);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str	in = str_make((const char *)p, n);
	struct str	text;
	struct arena	a;

	if (n == 0)
		return 0;
	in = str_sub(in, 1, n);
	arena_init(&a, NULL);
	check_path(&a, in, p[0] & 1);
	check_target(in, p[0] & 2);
	uri_decode(&a, in, &text);
	arena_fini(&a);
	return 0;
}
