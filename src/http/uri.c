/*
 * Targets, hosts and paths (RFC 3986, RFC 9112 3.2).  Workers; pure but
 * for the arena.
 *
 * A path is looked at once; only when something in it must change is a
 * copy made, which is never longer than the original but for raw
 * backslashes.  The copy is written segment by segment: a dot segment is
 * seen when its end comes and cut off again, so there is no second pass.
 */
#include "http/uri.h"

#include <arpa/inet.h>

#include "base/enc.h"
#include "base/scan.h"

#define HOST_MAX	255	/* of a name in DNS, RFC 1035 2.3.4 */

static bool
is_alpha(char c)
{
	return (unsigned char)((c | 0x20) - 'a') < 26;
}

static bool
is_digit(char c)
{
	return (unsigned char)(c - '0') < 10;
}

/* RFC 3986 2.3 */
static bool
is_unreserved(char c)
{
	return is_alpha(c) || is_digit(c) || c == '-' || c == '.' ||
	    c == '_' || c == '~';
}

static void
split_query(struct str s, struct uri *u)
{
	ptrdiff_t	at = str_find(s, '?', 0);

	u->has_query = at >= 0;
	u->path = at < 0 ? s : str_sub(s, 0, (size_t)at);
	u->query = at < 0 ? STR_NONE : str_sub(s, (size_t)at + 1, s.n);
}

void
uri_split(struct str s, struct uri *u)
{
	*u = (struct uri){ .path = STR("") };
	u->star = s.n == 1 && s.p[0] == '*';
	if (!u->star)
		split_query(s, u);
}

/* RFC 3986 3.1; returns the length before ':', 0 if there is none. */
static size_t
span_scheme(struct str s)
{
	size_t	i;

	if (s.n == 0 || !is_alpha(s.p[0]))
		return 0;
	for (i = 1; i < s.n; i++)
		if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) &&
		    s.p[i] != '+' && s.p[i] != '-' && s.p[i] != '.')
			break;
	return i < s.n && s.p[i] == ':' ? i : 0;
}

static enum fail
split_absolute(struct str s, struct uri *u)
{
	size_t		n = span_scheme(s);
	size_t		end;
	int		port;

	if (n == 0 || !str_starts(str_sub(s, n, s.n), STR("://")))
		return FAIL_BAD_TARGET;
	u->scheme = str_sub(s, 0, n);
	s = str_sub(s, n + 3, s.n);
	for (end = 0; end < s.n; end++)
		if (s.p[end] == '/' || s.p[end] == '?')
			break;
	u->authority = str_sub(s, 0, end);
	if (uri_parse_host(u->authority, &u->host, &port) != FAIL_NONE)
		return FAIL_BAD_TARGET;
	split_query(str_sub(s, end, s.n), u);
	return FAIL_NONE;
}

enum fail
uri_parse_target(struct str s, bool connect, struct uri *u)
{
	int	port;

	*u = (struct uri){ .path = STR("") };
	if (s.n == 0 || scan_target(s) != s.n || str_find(s, '#', 0) >= 0)
		return FAIL_BAD_TARGET;
	if (connect) {
		if (uri_parse_host(s, &u->host, &port) != FAIL_NONE ||
		    port < 0)
			return FAIL_BAD_TARGET;
		u->authority = s;
		return FAIL_NONE;
	}
	if (s.p[0] != '/' && !str_eq(s, STR("*")))
		return split_absolute(s, u);
	uri_split(s, u);
	return FAIL_NONE;
}

/* --- hosts --- */

/* Names are held to what DNS can carry: no "..", no escapes, no commas. */
static bool
is_name(struct str s)
{
	size_t	i;

	if (s.n == 0 || s.n > HOST_MAX)
		return false;
	if (scan_name(s) != s.n || s.p[0] == '.')
		return false;
	for (i = 1; i < s.n; i++)
		if (s.p[i] == '.' && s.p[i - 1] == '.')
			return false;
	return true;
}

static bool
is_ipv6(struct str s)
{
	struct in6_addr	addr;
	char		text[INET6_ADDRSTRLEN];

	return str_to_c(s, text, sizeof(text)) == 0 &&
	    inet_pton(AF_INET6, text, &addr) == 1;
}

/* ":443", ":" or nothing behind a host. */
static enum fail
read_port(struct str s, int *port)
{
	uint64_t	v;

	*port = -1;
	if (s.n == 0)
		return FAIL_NONE;
	if (s.p[0] != ':')
		return FAIL_BAD_HOST;
	s = str_sub(s, 1, s.n);
	if (s.n == 0)
		return FAIL_NONE;
	if (s.n > 5 || str_to_u64(s, 65535, &v) < 0)
		return FAIL_BAD_HOST;
	*port = (int)v;
	return FAIL_NONE;
}

enum fail
uri_parse_host(struct str s, struct str *host, int *port)
{
	ptrdiff_t	at;
	size_t		end;

	if (s.n > 0 && s.p[0] == '[') {
		at = str_find(s, ']', 0);
		if (at < 0 || !is_ipv6(str_sub(s, 1, (size_t)at)))
			return FAIL_BAD_HOST;
		end = (size_t)at + 1;
	} else {
		at = str_find(s, ':', 0);
		end = at < 0 ? s.n : (size_t)at;
		if (!is_name(str_sub(s, 0, end)))
			return FAIL_BAD_HOST;
	}
	*host = str_sub(s, 0, end);
	return read_port(str_sub(s, end, s.n), port);
}

/* --- paths --- */

/* Index of the first byte that a normal path may not have as it is. */
static size_t
span_normal(struct str s)
{
	size_t	i = scan_path(s);

	while (i < s.n && s.p[i] == '.' && (i == 0 || s.p[i - 1] != '/')) {
		i++;
		i += scan_path(str_make(s.p + i, s.n - i));
	}
	return i;
}

/* a path being written; seg is where its last segment begins */
struct path {
	char	*p;
	size_t	 n;
	size_t	 seg;
};

/* Takes a finished dot segment off again; false above the root. */
static bool
end_segment(struct path *w)
{
	size_t	n = w->n - w->seg;

	if (n == 1 && w->p[w->seg] == '.') {
		w->n = w->seg;
		return true;
	}
	if (n != 2 || memcmp(w->p + w->seg, "..", 2) != 0)
		return true;
	if (w->seg == 1)
		return false;
	w->n = w->seg - 1;
	while (w->p[w->n - 1] != '/')
		w->n--;
	w->seg = w->n;
	return true;
}

/* A '/': what stays of a dot segment already ends with one. */
static bool
put_slash(struct path *w)
{
	size_t	had = w->n;

	if (!end_segment(w))
		return false;
	if (w->n == had)
		w->p[w->n++] = '/';
	w->seg = w->n;
	return true;
}

static void
put_escape(struct path *w, unsigned char c)
{
	static const char	hex[] = "0123456789ABCDEF";

	w->p[w->n++] = '%';
	w->p[w->n++] = hex[c >> 4];
	w->p[w->n++] = hex[c & 15];
}

/* The octet of "%xx" at i, or -1. */
static int
read_escape(struct str s, size_t i)
{
	int	hi;
	int	lo;

	if (s.n - i < 3)
		return -1;
	hi = enc_unhex(s.p[i + 1]);
	lo = enc_unhex(s.p[i + 2]);
	return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

/* One byte or escape at *i. */
static enum fail
put_next(struct path *w, struct str s, size_t *i, bool keep_slash)
{
	char	c = s.p[*i];
	int	v = (unsigned char)c;

	if (c == '%') {
		v = read_escape(s, *i);
		if (v <= 0 || ((v == '/' || v == '\\') && !keep_slash))
			return FAIL_BAD_PATH;
		*i += 3;
		if (is_unreserved((char)v))
			w->p[w->n++] = (char)v;
		else
			put_escape(w, (unsigned char)v);
		return FAIL_NONE;
	}
	++*i;
	if (!scan_is(c, SCAN_TARGET) || c == '#' || c == '?')
		return FAIL_BAD_PATH;
	if (c == '/')
		return put_slash(w) ? FAIL_NONE : FAIL_PATH_ABOVE_ROOT;
	if (c != '\\')
		w->p[w->n++] = c;
	else if (keep_slash)
		put_escape(w, (unsigned char)c);
	else
		return FAIL_BAD_PATH;
	return FAIL_NONE;
}

enum fail
uri_normalise(struct arena *a, struct str path, bool keep_slash,
    struct str *out)
{
	struct path	w = { 0 };
	enum fail	why;
	size_t		i = span_normal(path);

	*out = path;
	if (path.n == 0)
		return FAIL_NONE;
	if (path.p[0] != '/')
		return FAIL_BAD_PATH;
	if (i == path.n)
		return FAIL_NONE;
	/* room for each rest byte as an escape */
	w.p = arena_text(a, i + 3 * (path.n - i));
	memcpy(w.p, path.p, i);
	w.n = w.seg = i;
	while (w.p[w.seg - 1] != '/')
		w.seg--;
	while (i < path.n) {
		why = put_next(&w, path, &i, keep_slash);
		if (why != FAIL_NONE)
			return why;
	}
	if (!end_segment(&w))
		return FAIL_PATH_ABOVE_ROOT;
	*out = str_make(w.p, w.n);
	if (str_eq(*out, path))
		*out = path;
	return FAIL_NONE;
}

int
uri_decode(struct arena *a, struct str s, struct str *out)
{
	char	*p;
	size_t	 n = 0;
	size_t	 i = 0;
	int	 v;

	*out = s;
	if (str_find(s, '%', 0) < 0)
		return 0;
	p = arena_text(a, s.n);
	while (i < s.n) {
		v = (unsigned char)s.p[i];
		if (v == '%') {
			v = read_escape(s, i);
			if (v <= 0)
				return -1;
			i += 2;
		}
		p[n++] = (char)v;
		i++;
	}
	*out = str_make(p, n);
	return 0;
}

void
uri_put_target(struct text *t, struct str s)
{
	static const char	hex[] = "0123456789ABCDEF";
	size_t			n;
	unsigned char		c;

	while ((n = scan_target(s)) < s.n) {
		text_add(t, str_sub(s, 0, n));
		c = (unsigned char)s.p[n];
		text_c(t, '%');
		text_c(t, hex[c >> 4]);
		text_c(t, hex[c & 15]);
		s = str_sub(s, n + 1, s.n);
	}
	text_add(t, s);
}
