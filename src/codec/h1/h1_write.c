/*
 * Heads, chunks and trailers, written (RFC 9112).  Workers, control.
 *
 * Framing and Connection are written here and nowhere else: one of them
 * from one decision.  Fields may hold text that configuration made of
 * other text, so each is looked at once more; one that could end its line
 * early is left out.  Names go out as they came in, our own, which point
 * into the table of names, with capitals.
 */
#include "codec/h1/h1.h"

#include "base/must.h"
#include "base/scan.h"
#include "http/date.h"

static const char upper_hex[] = "0123456789ABCDEF";

static char *
copy(char *p, struct str s)
{
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

/* One line in one piece of room: a head has ten of them. */
static void
put_line(struct text *t, struct str name, struct str val)
{
	char	*p = text_room(t, name.n + val.n + 4);

	if (p == NULL)
		return;
	p = copy(p, name);
	*p++ = ':';
	*p++ = ' ';
	p = copy(p, val);
	*p++ = '\r';
	*p = '\n';
}

/* A name that has a row needs no second look. */
static void
put_field(struct text *t, const struct hdr *h)
{
	if ((h->flags & HDR_F_GOOD) == 0 && !hdr_is_value(h->val))
		return;
	if (h->id == HDR_OTHER && !hdr_is_token(h->name))
		return;
	if (h->id != HDR_OTHER && h->name.p == hdr_name(h->id).p)
		put_line(t, hdr_wire_name(h->id), h->val);
	else
		put_line(t, h->name, h->val);
}

/* Host is the authority's and written from there. */
static bool
is_written(const struct hdr *h, unsigned not)
{
	return (h->flags & (not | HDR_F_DEAD)) == 0 && h->id != HDR_HOST;
}

/* Lines that came one behind the other go so, in one piece. */
static void
put_lines(struct text *t, const struct hdrs *hs, size_t *i, unsigned not)
{
	const struct hdr	*h = &hs->v[*i];
	const char		*p = h->name.p;
	const char		*end = h->val.p + h->val.n + 2;

	while (*i + 1 < hs->n) {
		h++;
		if ((h->flags & HDR_F_LINE) == 0 || h->name.p != end ||
		    !is_written(h, not))
			break;
		end = h->val.p + h->val.n + 2;
		++*i;
	}
	text_add(t, str_make(p, (size_t)(end - p)));
}

static void
put_fields(struct text *t, const struct hdrs *hs, unsigned not)
{
	const struct hdr	*h;

	if (hs->nline > 0)
		text_add(t, hs->lines);
	for (size_t i = hs->nline; i < hs->n; i++) {
		h = &hs->v[i];
		if (!is_written(h, not))
			continue;
		if (h->flags & HDR_F_LINE)
			put_lines(t, hs, &i, not);
		else
			put_field(t, h);
	}
}

/* A target that was made of other text: what is no VCHAR goes escaped. */
static void
put_target(struct text *t, struct str s)
{
	size_t		n;
	unsigned char	c;

	while ((n = scan_target(s)) < s.n) {
		text_add(t, str_sub(s, 0, n));
		c = (unsigned char)s.p[n];
		text_c(t, '%');
		text_c(t, upper_hex[c >> 4]);
		text_c(t, upper_hex[c & 15]);
		s = str_sub(s, n + 1, s.n);
	}
	text_add(t, s);
}

static void
put_length(struct text *t, int64_t n)
{
	text_add(t, STR("Content-Length: "));
	text_u64(t, (uint64_t)n);
	text_add(t, STR("\r\n"));
}

/* Methods whose content is looked for: without any, that is told. */
static bool
wants_length(enum http_method m)
{
	return m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH;
}

static bool
has_protocol(const struct msg *m)
{
	return m->upgrade && m->protocol.n > 0 && hdr_is_value(m->protocol);
}

static void
put_upgrade(struct text *t, const struct msg *m, bool te)
{
	bool	up = has_protocol(m);

	if (up)
		put_line(t, STR("Upgrade"), m->protocol);
	if (te)
		put_line(t, STR("TE"), STR("trailers"));
	if (up || te)
		put_line(t, STR("Connection"), up && te ?
		    STR("upgrade, TE") : up ? STR("upgrade") : STR("TE"));
}

/* What a parser found a host in was checked by it. */
static bool
is_host(const struct msg *m)
{
	struct str	host;
	int		port;

	if (m->host.n > 0 && m->host.p == m->authority.p)
		return true;
	return uri_parse_host(m->authority, &host, &port) == FAIL_NONE;
}

void
h1_write_request(struct text *t, const struct msg *m, bool chunked)
{
	must(hdr_is_token(m->method));
	must(chunked || m->body >= 0);
	text_add(t, m->method);
	text_c(t, ' ');
	put_target(t, m->meth == METHOD_CONNECT ? m->authority : m->target);
	text_add(t, STR(" HTTP/1.1\r\n"));
	put_line(t, STR("Host"),
	    is_host(m) ? m->authority : STR(""));
	put_fields(t, &m->hdrs, HDR_F_HOP | HDR_F_FRAME);
	if (chunked)
		put_line(t, STR("Transfer-Encoding"), STR("chunked"));
	else if (m->body > 0 || wants_length(m->meth))
		put_length(t, m->body);
	if (m->expect)
		put_line(t, STR("Expect"), STR("100-continue"));
	put_upgrade(t, m, m->trailers);
	text_add(t, STR("\r\n"));
}

/* --- responses --- */

static void
put_status(struct text *t, const struct msg *m)
{
	must(m->status >= 100 && m->status <= 599);
	text_add(t, STR("HTTP/1.1 "));
	text_u64(t, m->status);
	text_c(t, ' ');
	text_add(t, m->reason.n > 0 && hdr_is_value(m->reason) ?
	    m->reason : msg_reason(m->status));
	text_add(t, STR("\r\n"));
}

/*
 * RFC 9110 8.6: none on 1xx and 204.  A 304 tells the length of what it
 * does not send, or nothing: 0 would be taken for that of the content.
 */
static void
put_framing(struct text *t, const struct msg *m, const struct h1_out *o)
{
	if (m->status < 200 || m->status == 204 || o->no_length)
		return;
	must(o->chunked || m->body >= 0 || m->bodyless || m->status == 304);
	if (o->chunked)
		put_line(t, STR("Transfer-Encoding"), STR("chunked"));
	else if (m->body > 0 || (m->body == 0 && m->status != 304))
		put_length(t, m->body);
}

void
h1_write_response(struct text *t, const struct msg *m,
    const struct h1_out *o)
{
	put_status(t, m);
	if (o->date != NULL && hdr_get(&m->hdrs, HDR_DATE) == NULL)
		put_line(t, STR("Date"), str_make(o->date, DATE_LEN));
	put_fields(t, &m->hdrs, HDR_F_HOP | HDR_F_FRAME);
	put_framing(t, m, o);
	if (has_protocol(m))
		put_upgrade(t, m, false);
	else if (o->close)
		put_line(t, STR("Connection"), STR("close"));
	else if (o->keep10)
		put_line(t, STR("Connection"), STR("keep-alive"));
	text_add(t, STR("\r\n"));
}

/* --- chunks --- */

size_t
h1_write_chunk(char *out, uint64_t n)
{
	static const char	hex[] = "0123456789abcdef";
	unsigned		shift = 60;
	size_t			len = 0;

	while (shift > 0 && n >> shift == 0)
		shift -= 4;
	for (;; shift -= 4) {
		out[len++] = hex[n >> shift & 15];
		if (shift == 0)
			break;
	}
	out[len++] = '\r';
	out[len++] = '\n';
	return len;
}

void
h1_write_last(struct text *t, const struct hdrs *trailers)
{
	text_add(t, STR("0\r\n"));
	if (trailers != NULL)
		put_fields(t, trailers,
		    HDR_F_NOTRAIL | HDR_F_HOP | HDR_F_FRAME);
	text_add(t, STR("\r\n"));
}
