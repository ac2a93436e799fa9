/*
 * Heads of HTTP/2 (h2_head.h), the fields of both kinds and requests as a
 * whole.  Workers; pure but for the arena.
 *
 * nghttp2 is told to judge no message: its refusals are resets without a
 * word, ours are answers and records with a row, the same as HTTP/1's.
 */
#include "codec/h2/h2_head.h"

#include <string.h>

#include "base/must.h"
#include "base/scan.h"
#include "http/uri.h"

#define FIELDS_MAX	10000	/* where the configuration sets no limit */

enum {
	P_METHOD = 1, P_SCHEME = 2, P_AUTHORITY = 4, P_PATH = 8,
	P_STATUS = 16, P_PROTOCOL = 32
};

void
h2_head_init(struct h2_head *h, struct arena *a,
    const struct codec_limits *lim, struct hdrs *hs, bool trailer)
{
	*h = (struct h2_head){ .arena = a, .limits = lim, .hdrs = hs,
	    .trailer = trailer, .length = -1,
	    .priority = { H2_URGENCY_DEF, false } };
}

static void
blame(struct h2_head *h, enum fail why)
{
	if (h->why == FAIL_NONE)
		h->why = why;
}

/* --- pseudo-header fields --- */

static struct str *
find_pseudo(struct h2_head *h, struct str name, uint8_t *bit)
{
	if (h->answer) {
		*bit = P_STATUS;
		return str_eq(name, STR(":status")) ? &h->status : NULL;
	}
	if (str_eq(name, STR(":method"))) {
		*bit = P_METHOD;
		return &h->method;
	}
	if (str_eq(name, STR(":path"))) {
		*bit = P_PATH;
		return &h->path;
	}
	if (str_eq(name, STR(":scheme"))) {
		*bit = P_SCHEME;
		return &h->scheme;
	}
	if (str_eq(name, STR(":authority"))) {
		*bit = P_AUTHORITY;
		return &h->authority;
	}
	if (str_eq(name, STR(":protocol"))) {
		*bit = P_PROTOCOL;
		return &h->protocol;
	}
	return NULL;
}

/* Once each, before all others, none in trailers (RFC 9113 8.3). */
static void
take_pseudo(struct h2_head *h, struct str name, struct str val)
{
	uint8_t		 bit;
	struct str	*to = find_pseudo(h, name, &bit);

	if (to == NULL || h->trailer || h->regular || (h->pseudo & bit)) {
		blame(h, FAIL_BAD_PSEUDO);
		return;
	}
	h->pseudo |= bit;
	*to = arena_dup(h->arena, val);
}

/* --- fields --- */

static void
take_length(struct h2_head *h, struct str val)
{
	uint64_t	v;

	if (h->length >= 0)
		blame(h, FAIL_LENGTH_TWICE);
	else if (str_to_u64(val, INT64_MAX, &v) < 0)
		blame(h, FAIL_BAD_LENGTH);
	else
		h->length = (int64_t)v;
}

/* What is this hop's alone, or stands elsewhere; true: it is no field. */
static bool
take_special(struct h2_head *h, enum hdr_id id, struct str val)
{
	switch (id) {
	case HDR_CONNECTION:
	case HDR_KEEP_ALIVE:
	case HDR_PROXY_CONNECTION:
	case HDR_TRANSFER_ENCODING:
	case HDR_UPGRADE:
		blame(h, FAIL_CONNECTION_FIELD);
		return true;
	case HDR_TE:
		if (h->answer)
			return true;
		if (!str_eq_fold(val, STR("trailers")))
			blame(h, FAIL_CONNECTION_FIELD);
		h->trailers = true;
		return true;
	case HDR_HOST:
		if (h->answer)
			return true;
		if (h->nhost++ == 0)
			h->host = arena_dup(h->arena, val);
		else
			blame(h, FAIL_HOST_TWICE);
		return true;
	case HDR_CONTENT_LENGTH:
		take_length(h, val);
		return true;
	case HDR_EXPECT:
		if (h->answer)
			return true;
		if (str_eq_fold(val, STR("100-continue")))
			h->expect = true;
		else
			h->expect_bad = true;
		return true;
	default:
		/* Proxy-Authorization is for us, too */
		return (hdr_flags(id) & HDR_F_HOP) != 0;
	}
}

static void
add(struct h2_head *h, enum hdr_id id, struct str name, struct str val)
{
	struct hdr	*to = hdr_new(h->arena, h->hdrs);

	*to = (struct hdr){ .id = (uint16_t)id, .flags = (uint16_t)(
	    hdr_flags(id) | HDR_F_GOOD) };
	if (id == HDR_OTHER) {
		to->name = arena_dup(h->arena, name);
	} else {
		to->name = hdr_name(id);
		to->flags |= HDR_F_OURS;
	}
	to->val = arena_dup(h->arena, val);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 9113 8.2.1, and RFC 9110 5.5 for what may be within. */
static bool
is_good_value(struct str v)
{
	return v.n == 0 || (!is_space(v.p[0]) && !is_space(v.p[v.n - 1]) &&
	    hdr_is_value(v));
}

static void
take_field(struct h2_head *h, struct str name, struct str val)
{
	enum hdr_id	id = hdr_find_id(name);

	h->regular = true;
	if (str_has_upper(name) || (id == HDR_OTHER && !hdr_is_token(name)))
		blame(h, FAIL_BAD_FIELD_NAME);
	else if (h->trailer) {
		if (hdr_flags(id) & (HDR_F_HOP | HDR_F_FRAME) &&
		    id != HDR_CONTENT_LENGTH)
			blame(h, FAIL_CONNECTION_FIELD);
		else if ((hdr_flags(id) & HDR_F_NOTRAIL) == 0)
			add(h, id, name, val);
	} else if (!take_special(h, id, val)) {
		h->ncookie += id == HDR_COOKIE && h->ncookie < 2;
		if (name.n == 8 && str_eq(name, STR("priority")))
			h2_priority_parse(val, &h->priority);
		add(h, id, name, val);
	}
}

static bool
is_over(uint64_t n, uint64_t max)
{
	return max != 0 && n > max;
}

/* Beyond a limit nothing more is kept. */
bool
h2_head_field(struct h2_head *h, struct str name, struct str val)
{
	const struct codec_limits	*lim = h->limits;
	uint64_t			 most = lim->header_count;

	if (most == 0 || most > FIELDS_MAX)
		most = FIELDS_MAX;
	h->bytes += name.n + val.n + H2_FIELD_COST;
	if (is_over(h->bytes, lim->header_bytes * H2_BOMB))
		return false;
	if (is_over(h->bytes, lim->header_bytes))
		blame(h, FAIL_HEADER_TOO_LARGE);
	else if (name.n > 0 && name.p[0] == ':')
		;
	else if (++h->n > most)
		blame(h, FAIL_TOO_MANY_FIELDS);
	else if (is_over(name.n + val.n, lim->header_field))
		blame(h, FAIL_FIELD_TOO_LARGE);
	if (h->why != FAIL_NONE)
		return true;
	if (!is_good_value(val))
		blame(h, FAIL_BAD_FIELD_VALUE);
	else if (name.n > 0 && name.p[0] == ':')
		take_pseudo(h, name, val);
	else
		take_field(h, name, val);
	return true;
}

/* --- the whole --- */

static int
default_port(struct str scheme)
{
	return str_eq(scheme, STR("https")) ? 443 : 80;
}

/* Host, if it is there beside :authority, must name the same. */
static enum fail
set_host(struct h2_head *h, struct msg *m)
{
	struct str	host;
	int		pa, pb, def = default_port(m->scheme);

	m->authority = h->pseudo & P_AUTHORITY ? h->authority : h->host;
	if ((h->pseudo & P_AUTHORITY) == 0 && h->nhost == 0)
		return FAIL_HOST_MISSING;
	if (uri_parse_host(m->authority, &m->host, &pa) != FAIL_NONE)
		return FAIL_BAD_HOST;
	if (h->nhost == 0 || str_eq(h->host, m->authority))
		return FAIL_NONE;
	if (uri_parse_host(h->host, &host, &pb) != FAIL_NONE)
		return FAIL_BAD_HOST;
	return str_eq_fold(host, m->host) && (pa < 0 ? def : pa) ==
	    (pb < 0 ? def : pb) ? FAIL_NONE : FAIL_HOST_MISMATCH;
}

/* RFC 9113 8.3.1: in origin-form, or the asterisk of OPTIONS. */
static enum fail
set_target(struct h2_head *h, struct msg *m)
{
	struct uri	u;
	uint64_t	max = h->limits->target;

	if (is_over(h->path.n, max))
		return FAIL_LINE_TOO_LONG;
	if (scan_target(h->path) != h->path.n ||
	    uri_parse_target(h->path, false, &u) != FAIL_NONE)
		return FAIL_BAD_TARGET;
	if (u.scheme.n > 0 || (u.star && m->meth != METHOD_OPTIONS))
		return FAIL_BAD_TARGET;
	m->target = h->path;
	return FAIL_NONE;
}

static enum fail
set_scheme(struct h2_head *h, struct msg *m)
{
	if (str_eq_fold(h->scheme, STR("http")))
		m->scheme = STR("http");
	else if (str_eq_fold(h->scheme, STR("https")))
		m->scheme = STR("https");
	else
		return FAIL_BAD_PSEUDO;
	return FAIL_NONE;
}

/*
 * RFC 8441 4: a target like any other's, and what is to be spoken there.  It
 * is not announced, so who asks has not waited for our SETTINGS.
 */
static enum fail
set_extended(struct h2_head *h, struct msg *m)
{
	enum fail	why;

	if ((h->pseudo & (P_SCHEME | P_PATH)) != (P_SCHEME | P_PATH) ||
	    !hdr_is_token(h->protocol))
		return FAIL_BAD_PSEUDO;
	why = set_scheme(h, m);
	if (why == FAIL_NONE)
		why = set_target(h, m);
	if (why == FAIL_NONE)
		why = set_host(h, m);
	return why != FAIL_NONE ? why : FAIL_EXTENDED_CONNECT;
}

/* RFC 9113 8.5: CONNECT has an authority alone, with a port. */
static enum fail
set_connect(struct h2_head *h, struct msg *m)
{
	int	port;

	if (h->pseudo & P_PROTOCOL)
		return set_extended(h, m);
	if (h->pseudo != (P_METHOD | P_AUTHORITY))
		return FAIL_BAD_PSEUDO;
	m->authority = h->authority;
	if (uri_parse_host(m->authority, &m->host, &port) != FAIL_NONE ||
	    port < 0)
		return FAIL_BAD_HOST;
	return FAIL_CONNECT_REFUSED;
}

static enum fail
set_request(struct h2_head *h, struct msg *m)
{
	enum fail	why;

	if ((h->pseudo & P_METHOD) == 0)
		return FAIL_BAD_PSEUDO;
	if (!hdr_is_token(h->method))
		return FAIL_BAD_METHOD;
	m->method = h->method;
	m->meth = (uint8_t)msg_method(h->method);
	if (m->meth == METHOD_CONNECT)
		return set_connect(h, m);
	if (h->pseudo & P_PROTOCOL)
		return FAIL_BAD_PSEUDO;
	if ((h->pseudo & (P_SCHEME | P_PATH)) != (P_SCHEME | P_PATH))
		return FAIL_BAD_PSEUDO;
	why = set_scheme(h, m);
	if (why == FAIL_NONE)
		why = set_target(h, m);
	return why != FAIL_NONE ? why : set_host(h, m);
}

static void
add_piece(char **to, struct str s)
{
	memcpy(*to, s.p, s.n);
	*to += s.n;
}

/* RFC 9113 8.2.3: crumbs become one field before anybody else reads it. */
static void
join_cookies(struct h2_head *h)
{
	struct hdr	*first = NULL;
	size_t		 n = 0;
	char		*buf, *p;

	for (size_t i = 0; i < h->hdrs->n; i++)
		if (h->hdrs->v[i].id == HDR_COOKIE)
			n += h->hdrs->v[i].val.n + 2;
	p = buf = arena_text(h->arena, n);
	for (size_t i = 0; i < h->hdrs->n; i++) {
		if (h->hdrs->v[i].id != HDR_COOKIE)
			continue;
		if (first == NULL)
			first = &h->hdrs->v[i];
		else {
			add_piece(&p, STR("; "));
			h->hdrs->v[i].flags |= HDR_F_DEAD;
		}
		if (h->hdrs->v[i].val.n > 0)
			add_piece(&p, h->hdrs->v[i].val);
	}
	must(first != NULL);
	first->val = str_make(buf, (size_t)(p - buf));
}

static enum fail
set_body(struct h2_head *h, struct msg *m, bool end)
{
	m->body = h->length >= 0 ? h->length : BODY_UNKNOWN;
	if (!end)
		return FAIL_NONE;
	m->body = BODY_NONE;
	return h->length > 0 ? FAIL_LENGTH_MISMATCH : FAIL_NONE;
}

enum fail
h2_head_finish(struct h2_head *h, struct msg *m, bool end)
{
	enum fail	why;

	m->minor = 1;
	m->major = 2;
	why = set_request(h, m);
	if (h->why == FAIL_NONE)
		h->why = why;
	why = set_body(h, m, end);
	if (h->why == FAIL_NONE)
		h->why = why;
	if (h->why != FAIL_NONE)
		return h->why;
	if (h->ncookie > 1)
		join_cookies(h);
	m->trailers = h->trailers;
	m->expect = h->expect && !end;
	return h->expect_bad ? FAIL_BAD_EXPECT : FAIL_NONE;
}
