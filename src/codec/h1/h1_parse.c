/*
 * Heads of HTTP/1.1 messages (RFC 9112 2 to 6).  Workers, control; pure
 * but for the array of fields.
 *
 * First the end of a head is looked for, which needs only its line feeds
 * and refuses at once what can become no head.  A whole head is then
 * parsed in one pass to slices.  What two readers could understand in two
 * ways is refused here, so that nobody above has to ask.
 */
#include "codec/h1/int.h"

#include "base/must.h"
#include "base/scan.h"

#define VERSION_LEN	8	/* "HTTP/1.1" */
#define START_LEN	14	/* "PRI * HTTP/2.0" */
#define EMPTY_MAX	8		/* lines before a request */
#define TLS_HANDSHAKE	0x16	/* content type, RFC 8446 5.1 */

/* --- the end of a head --- */

/* A line feed at i: is it the end, *rc, or that of one more line? */
static bool
is_end(struct str in, size_t i, size_t *end, enum h1_rc *rc)
{
	if (i == 0 || in.p[i - 1] != '\r') {
		*end = i;
		*rc = H1_BAD;
		return true;
	}
	if (i > 1 && in.p[i - 2] != '\n')
		return false;
	*end = i + 1;
	*rc = H1_DONE;
	return true;
}

enum h1_rc
h1_find_end(struct str in, size_t *seen, size_t *end)
{
	size_t		i = *seen;
	unsigned	bits;
	enum h1_rc	rc;

	for (; in.n - i >= SCAN_STEP; i += SCAN_STEP)
		for (bits = scan_bits(in.p + i, '\n'); bits != 0;
		    bits &= bits - 1)
			if (is_end(in, i + (size_t)__builtin_ctz(bits), end,
			    &rc))
				return rc;
	for (; i < in.n; i++)
		if (in.p[i] == '\n' && is_end(in, i, end, &rc))
			return rc;
	*seen = in.n;
	return H1_MORE;
}

/* What can be no request, told by its first bytes. */
static enum fail
check_request(struct str in)
{
	if (in.n == 0)
		return FAIL_NONE;
	if (in.p[0] == '\n')
		return FAIL_BARE_LF;
	if (in.p[0] == '\r') {
		if (in.n == 1)
			return FAIL_NONE;
		return in.p[1] == '\n' ? FAIL_BAD_REQUEST_LINE :
		    FAIL_BARE_CR;
	}
	if (in.p[0] == TLS_HANDSHAKE)
		return FAIL_TLS_ON_PLAIN;
	if (!scan_is(in.p[0], SCAN_TOKEN))
		return FAIL_BAD_METHOD;
	if (str_starts(in, STR("PRI * HTTP/2.0")))
		return FAIL_H2_ON_H1;
	return FAIL_NONE;
}

static enum fail
check_response(struct str in)
{
	struct str	want = STR("HTTP/1.");

	in = str_sub(in, 0, want.n);
	return str_eq(in, str_sub(want, 0, in.n)) ? FAIL_NONE :
	    FAIL_BAD_RESPONSE_LINE;
}

/* The row for a line feed without CR at index at. */
static enum fail
blame_lf(struct str in, size_t at, bool request)
{
	if (request)
		return FAIL_BARE_LF;
	return memchr(in.p, '\n', at) == NULL ? FAIL_BAD_RESPONSE_LINE :
	    FAIL_BAD_RESPONSE_FIELD;
}

static enum fail
blame_size(struct str in, bool request)
{
	if (!request)
		return FAIL_RESPONSE_HEAD_TOO_LARGE;
	return str_find(in, '\n', 0) < 0 ? FAIL_LINE_TOO_LONG :
	    FAIL_HEADER_TOO_LARGE;
}

/*
 * The bytes of empty lines before a request: one must be forgiven (RFC 9112
 * 2.2), and clients are known that send more behind a body.
 */
static size_t
count_empty(struct str in)
{
	size_t	n = 0;

	while (n < 2 * EMPTY_MAX && str_starts(str_sub(in, n, in.n),
	    STR("\r\n")))
		n += 2;
	return n;
}

/* Only what the limit allows is looked at: the same however bytes come. */
enum h1_rc
h1_find_head(struct str in, const struct codec_limits *lim, bool request,
    size_t *seen, size_t *used, enum fail *why)
{
	struct str	head = in;
	size_t		skip = 0;
	size_t		from;
	size_t		end;
	enum h1_rc	rc;

	if (lim->header_bytes != 0 && in.n > lim->header_bytes)
		head.n = lim->header_bytes;
	if (request)
		skip = count_empty(head);
	head = str_sub(head, skip, head.n);
	from = *seen > skip ? *seen - skip : 0;
	if (from < START_LEN) {
		*why = request ? check_request(head) : check_response(head);
		if (*why != FAIL_NONE)
			return H1_BAD;
	}
	rc = h1_find_end(head, &from, &end);
	if (rc == H1_DONE) {
		*used = skip + end;
		return H1_DONE;
	}
	if (rc == H1_BAD) {
		*why = blame_lf(head, end, request);
		return H1_BAD;
	}
	*seen = skip + from;
	if (lim->header_bytes == 0 || *seen < lim->header_bytes)
		return H1_MORE;
	*why = blame_size(head, request);
	return H1_BAD;
}

/* --- lines --- */

/* Takes the first line off *rest, without its CRLF. */
static enum fail
cut_line(struct str *rest, struct str *line)
{
	size_t	n = scan_to(*rest, '\r');

	if (n + 1 >= rest->n || rest->p[n + 1] != '\n')
		return FAIL_BARE_CR;
	*line = str_make(rest->p, n);
	*rest = str_make(rest->p + n + 2, rest->n - n - 2);
	return str_find(*line, '\n', 0) < 0 ? FAIL_NONE : FAIL_BARE_LF;
}

/* RFC 9112 2.3: "HTTP/" DIGIT "." DIGIT, in this case. */
static enum fail
read_version(struct str s, uint8_t *minor)
{
	if (s.n != VERSION_LEN || !str_starts(s, STR("HTTP/")) ||
	    s.p[6] != '.')
		return FAIL_BAD_VERSION;
	if (s.p[5] < '0' || s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
		return FAIL_BAD_VERSION;
	if (s.p[5] != '1')
		return FAIL_VERSION_UNSUPPORTED;
	*minor = s.p[7] != '0';
	return FAIL_NONE;
}

/* method SP target SP version, with one space each (RFC 9112 3). */
static enum fail
parse_request_line(struct str line, const struct codec_limits *lim,
    struct msg *m, struct str *target)
{
	size_t	n = scan_to(line, ' ');

	m->meth = (uint8_t)msg_method(str_make(line.p, n));
	if (m->meth == METHOD_OTHER)
		n = scan_token(line);
	if (n == 0 || (n < line.n && line.p[n] != ' '))
		return FAIL_BAD_METHOD;
	m->method = str_sub(line, 0, n);
	line = str_sub(line, n + 1, line.n);
	n = scan_target(line);
	if (lim->target != 0 && n > lim->target)
		return FAIL_LINE_TOO_LONG;
	if (n == line.n)
		return FAIL_BAD_REQUEST_LINE;
	if (line.p[n] != ' ')
		return FAIL_BAD_TARGET;
	if (n == 0)
		return FAIL_BAD_REQUEST_LINE;
	*target = str_sub(line, 0, n);
	line = str_sub(line, n + 1, line.n);
	if (scan_to(line, ' ') < line.n)
		return FAIL_BAD_REQUEST_LINE;
	return read_version(line, &m->minor);
}

/* --- target and host (RFC 9112 3.2) --- */

static int
default_port(struct str scheme)
{
	if (str_eq_fold(scheme, STR("http")))
		return 80;
	if (str_eq_fold(scheme, STR("https")))
		return 443;
	return -1;
}

/* A port that only one side tells is that of the scheme. */
static bool
is_same_host(struct str a, struct str b, int port)
{
	struct str	ha;
	struct str	hb;
	int		pa;
	int		pb;

	if (str_eq(a, b))
		return true;
	if (uri_parse_host(a, &ha, &pa) != FAIL_NONE ||
	    uri_parse_host(b, &hb, &pb) != FAIL_NONE)
		return false;
	return str_eq_fold(ha, hb) &&
	    (pa < 0 ? port : pa) == (pb < 0 ? port : pb);
}

static enum fail
check_host(struct msg *m, const struct h1_told *t)
{
	struct str	host;
	int		port;

	if (t->nhost > 1)
		return FAIL_HOST_TWICE;
	if (t->nhost == 0)
		return m->minor == 0 ? FAIL_NONE : FAIL_HOST_MISSING;
	if (uri_parse_host(t->host, &host, &port) != FAIL_NONE)
		return FAIL_BAD_HOST;
	if (m->authority.n == 0) {
		m->authority = t->host;
		m->host = host;
		return FAIL_NONE;
	}
	/* a CONNECT always tells its port, so Host may leave it out */
	if (m->meth == METHOD_CONNECT && port < 0)
		uri_parse_host(m->authority, &host, &port);
	else
		port = default_port(m->scheme);
	return is_same_host(m->authority, t->host, port) ? FAIL_NONE :
	    FAIL_HOST_MISMATCH;
}

/* The origin-form of an absolute-form (RFC 9112 3.2.1, 3.2.4). */
static void
set_origin(struct arena *a, struct msg *m, const struct uri *u)
{
	char	*p;

	if (u->path.n > 0)
		m->target = str_make(u->path.p, u->path.n +
		    (u->has_query ? 1 + u->query.n : 0));
	else if (u->has_query) {
		p = arena_text(a, u->query.n + 2);
		memcpy(p, "/?", 2);
		if (u->query.n > 0)
			memcpy(p + 2, u->query.p, u->query.n);
		m->target = str_make(p, u->query.n + 2);
	} else if (m->meth == METHOD_OPTIONS)
		m->target = STR("*");
	else
		m->target = STR("/");
}

static enum fail
set_target(struct arena *a, struct msg *m, struct str target)
{
	struct uri	u;
	enum fail	why;

	why = uri_parse_target(target, m->meth == METHOD_CONNECT, &u);
	if (why != FAIL_NONE)
		return why;
	if (u.star && m->meth != METHOD_OPTIONS)
		return FAIL_BAD_TARGET;
	m->authority = u.authority;
	m->host = u.host;
	if (u.scheme.n > 0) {
		if (default_port(u.scheme) < 0)
			return FAIL_BAD_TARGET;
		m->scheme = default_port(u.scheme) == 80 ? STR("http") :
		    STR("https");
		set_origin(a, m, &u);
		return FAIL_NONE;
	}
	if (m->meth != METHOD_CONNECT)
		m->target = target;
	return FAIL_NONE;
}

/* --- the two kinds of heads --- */

/* Whether the connection lives on (RFC 9112 9.3). */
static void
set_keep(struct h1_framing *f, const struct h1_told *t, unsigned minor)
{
	f->keep10 = minor == 0 && t->keep && !t->close;
	f->close = t->close || (minor == 0 && !f->keep10);
}

static enum fail
finish_request(struct msg *m, const struct h1_told *t, struct h1_framing *f)
{
	enum fail	why = h1_field_frame(t, m->minor, f);

	if (why != FAIL_NONE)
		return why;
	set_keep(f, t, m->minor);
	if (f->length < 0)
		f->length = 0;
	m->body = f->chunked ? BODY_UNKNOWN : f->length;
	m->trailers = t->trailers;
	/* HTTP/1.0 knows neither (RFC 9110 7.8, 10.1.1) */
	if (m->minor == 0)
		return FAIL_NONE;
	m->upgrade = t->upgrade && t->protocol.n > 0;
	if (m->upgrade)
		m->protocol = t->protocol;
	m->expect = t->expect && m->body != BODY_NONE;
	return t->expect_bad ? FAIL_BAD_EXPECT : FAIL_NONE;
}

enum fail
h1_parse_request(struct str head, const struct codec_limits *lim,
    struct arena *a, struct msg *m, struct h1_framing *f)
{
	struct h1_told	told;
	struct str	line;
	struct str	target;
	enum fail	why;

	*m = (struct msg){ 0 };
	*f = (struct h1_framing){ 0 };
	head = str_sub(head, count_empty(head), head.n);
	why = cut_line(&head, &line);
	if (why != FAIL_NONE)
		return why;
	why = parse_request_line(line, lim, m, &target);
	if (why != FAIL_NONE)
		return why;
	why = h1_field_parse(&head, lim, a, &m->hdrs);
	if (why != FAIL_NONE)
		return why;
	h1_field_tell(&m->hdrs, &told);
	why = set_target(a, m, target);
	if (why != FAIL_NONE)
		return why;
	why = check_host(m, &told);
	if (why != FAIL_NONE)
		return why;
	return finish_request(m, &told, f);
}

/* version SP 3DIGIT [SP reason] (RFC 9112 4). */
static enum fail
parse_status_line(struct str line, struct msg *m)
{
	struct str	s = str_sub(line, VERSION_LEN, line.n);
	unsigned	a, b, c;

	if (read_version(str_sub(line, 0, VERSION_LEN), &m->minor) !=
	    FAIL_NONE)
		return FAIL_BAD_RESPONSE_LINE;
	if (s.n < 4 || s.p[0] != ' ')
		return FAIL_BAD_RESPONSE_LINE;
	a = (unsigned char)s.p[1] - (unsigned)'0';
	b = (unsigned char)s.p[2] - (unsigned)'0';
	c = (unsigned char)s.p[3] - (unsigned)'0';
	if (a < 1 || a > 5 || b > 9 || c > 9)
		return FAIL_BAD_RESPONSE_LINE;
	m->status = (uint16_t)(a * 100 + b * 10 + c);
	m->reason = str_sub(s, 5, s.n);
	if (s.n > 4 && (s.p[4] != ' ' || !hdr_is_value(m->reason)))
		return FAIL_BAD_RESPONSE_LINE;
	return FAIL_NONE;
}

static const char *
blame_status_line(const struct msg *m)
{
	return m->status == 0 ?
	    "no version with a status of 100 to 599 behind it" :
	    "a forbidden byte behind the status";
}

static enum fail
blame_response(enum fail why)
{
	switch (why) {
	case FAIL_HEADER_TOO_LARGE:
	case FAIL_FIELD_TOO_LARGE:
	case FAIL_TOO_MANY_FIELDS:
		return FAIL_RESPONSE_HEAD_TOO_LARGE;
	default:
		return FAIL_BAD_RESPONSE_FIELD;
	}
}

/*
 * RFC 9112 6.3 rules 1 and 2.  Answers that end with their head are held
 * to RFC 9110 8.6 and 9112 6.1: a body announced there may be on its way,
 * and would be taken for the next answer.
 */
static enum fail
finish_headonly(struct arena *a, struct msg *m, const struct h1_told *t,
    struct h1_framing *f)
{
	m->body = BODY_NONE;
	if (m->meth == METHOD_CONNECT && m->status >= 200) {
		m->upgrade = true;
	} else if (t->te || f->length > 0) {
		f->what = h1_blame_headonly(a, m, t);
		return FAIL_BAD_RESPONSE_FRAMING;
	} else if (m->status == 101) {
		/* of two protocols the client would be told one */
		f->what = t->nupgrade > 1 ? "Upgrade is there twice" :
		    t->protocol.n == 0 ? "no Upgrade in a 101" :
		    !t->upgrade ? "no upgrade in Connection of a 101" : NULL;
		if (f->what != NULL)
			return FAIL_UNEXPECTED_UPGRADE;
		m->upgrade = true;
		m->protocol = t->protocol;
	}
	m->bodyless = true;
	f->chunked = false;
	f->length = 0;
	return FAIL_NONE;
}

/* The lines of Upgrade as one, which the codec has taken out. */
static struct str
join_upgrade(struct arena *a, const struct hdrs *hs)
{
	struct text	t;
	size_t		n = 0;

	for (size_t i = 0; i < hs->n; i++)
		if (hs->v[i].id == HDR_UPGRADE)
			n += hs->v[i].val.n + 2;
	text_init_fixed(&t, arena_text(a, n), n);
	for (size_t i = 0; i < hs->n; i++) {
		if (hs->v[i].id != HDR_UPGRADE || hs->v[i].val.n == 0)
			continue;
		if (t.n > 0)
			text_add(&t, STR(", "));
		text_add(&t, hs->v[i].val);
	}
	return text_str(&t);
}

static enum fail
finish_response(struct arena *a, struct msg *m, const struct h1_told *t,
    struct h1_framing *f)
{
	enum fail	why = h1_field_frame(t, m->minor, f);

	if (why != FAIL_NONE) {
		f->what = h1_blame_framing(why);
		return t->conn_bad ? FAIL_BAD_RESPONSE_FIELD :
		    FAIL_BAD_RESPONSE_FRAMING;
	}
	set_keep(f, t, m->minor);
	/* who keeps it for no time closes it now */
	f->close |= t->keep_told && t->keep_s == 0;
	f->keep_s = t->keep_s;
	/* a field of this hop, which this status has to tell (15.5.22) */
	if (m->status == 426 && t->nupgrade > 0)
		m->protocol = join_upgrade(a, &m->hdrs);
	if (m->status < 200 || m->status == 204 ||
	    (m->meth == METHOD_CONNECT && m->status < 300))
		return finish_headonly(a, m, t, f);
	/* length -1 is BODY_UNKNOWN: of these two it is that of a GET */
	m->body = f->length;
	m->bodyless = m->meth == METHOD_HEAD || m->status == 304;
	if (m->bodyless) {
		f->chunked = false;
		f->length = 0;
		return FAIL_NONE;
	}
	f->until_close = !f->chunked && f->length < 0;
	if (f->until_close)
		f->close = true;
	if (f->length < 0)
		f->length = 0;
	return FAIL_NONE;
}

enum fail
h1_parse_response(struct str head, const struct codec_limits *lim,
    struct arena *a, enum http_method meth, struct msg *m,
    struct h1_framing *f)
{
	struct h1_told	told;
	struct str	line;
	enum fail	why;

	*m = (struct msg){ .meth = (uint8_t)meth };
	*f = (struct h1_framing){ 0 };
	if (cut_line(&head, &line) != FAIL_NONE ||
	    parse_status_line(line, m) != FAIL_NONE) {
		f->what = blame_status_line(m);
		return FAIL_BAD_RESPONSE_LINE;
	}
	why = h1_field_parse(&head, lim, a, &m->hdrs);
	if (why != FAIL_NONE) {
		f->what = h1_blame_field(a, head, m->hdrs.n, why);
		return blame_response(why);
	}
	h1_field_tell(&m->hdrs, &told);
	return finish_response(a, m, &told, f);
}
