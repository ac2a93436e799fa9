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
#include "base/put.h"
#include "base/scan.h"
#include "http/date.h"

#define STATUS_SIZE	15	/* "HTTP/1.1 200 " and CRLF */

static char *
put_crlf(char *p)
{
	return put_c(put_c(p, '\r'), '\n');
}

/* Into room that suffices. */
static char *
put_pair(char *p, struct str name, struct str val)
{
	p = put_c(put_c(put_str(p, name), ':'), ' ');
	return put_crlf(put_str(p, val));
}

static size_t
pair_size(struct str name, struct str val)
{
	return name.n + val.n + 4;
}

static void
put_line(struct text *t, struct str name, struct str val)
{
	char	*p = text_room(t, pair_size(name, val));

	if (p != NULL)
		put_pair(p, name, val);
}

/* A name that has a row needs no second look. */
static bool
is_good(const struct hdr *h)
{
	if (h->flags & HDR_F_GOOD)
		return true;
	return hdr_is_value(h->val) &&
	    (h->id != HDR_OTHER || hdr_is_token(h->name));
}

/* n bytes at p, or where p has moved to; NULL: there is no room. */
static char *
need(struct text *t, char *p, size_t n)
{
	if (n <= (size_t)(t->p + t->cap - p))
		return p;
	t->n = (size_t)(p - t->p);
	p = text_room(t, n);
	if (p != NULL)
		t->n -= n;
	return p;
}

static char *
put_field(struct text *t, char *p, const struct hdr *h)
{
	if (!is_good(h))
		return p;
	p = need(t, p, pair_size(h->name, h->val));
	if (p == NULL)
		return NULL;
	return put_pair(p, h->flags & HDR_F_OURS ?
	    hdr_wire_name((enum hdr_id)h->id) : h->name, h->val);
}

/* Host is the authority's and written from there. */
static bool
is_written(const struct hdr *h, unsigned not)
{
	return (h->flags & (not | HDR_F_DEAD)) == 0 && h->id != HDR_HOST;
}

/* Lines that came one behind the other go so, in one piece. */
static char *
put_lines(struct text *t, char *to, const struct hdrs *hs, size_t *i,
    unsigned not)
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
	to = need(t, to, (size_t)(end - p));
	return to == NULL ? NULL :
	    put_str(to, str_make(p, (size_t)(end - p)));
}

/* A head has ten of them: they are counted at the end. */
static void
put_fields(struct text *t, const struct hdrs *hs, unsigned not)
{
	const struct hdr	*h;
	char			*p;

	if (hs->nline > 0)
		text_add(t, hs->lines);
	if (t->cut)
		return;
	p = t->p + t->n;
	for (size_t i = hs->nline; p != NULL && i < hs->n; i++) {
		h = &hs->v[i];
		if (is_written(h, not))
			p = h->flags & HDR_F_LINE ?
			    put_lines(t, p, hs, &i, not) :
			    put_field(t, p, h);
	}
	if (p != NULL)
		t->n = (size_t)(p - t->p);
}

static void
put_length(struct text *t, int64_t n)
{
	char	num[PUT_U64_MAX];

	put_line(t, STR("Content-Length"), str_make(num,
	    (size_t)(put_u64(num, (uint64_t)n) - num)));
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
	uri_put_target(t, m->meth == METHOD_CONNECT ? m->authority : m->target);
	text_add(t, STR(" HTTP/1.1\r\n"));
	put_line(t, STR("Host"),
	    is_host(m) ? m->authority : STR(""));
	put_fields(t, &m->hdrs, HDR_F_HOP | HDR_F_FRAME);
	if (chunked)
		put_line(t, STR("Transfer-Encoding"), STR("chunked"));
	else if (m->body > 0 || msg_wants_length(m->meth))
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
	struct str	why = m->reason;
	char		*p;

	must(m->status >= 100 && m->status <= 599);
	if (why.n == 0 || !hdr_is_value(why))
		why = msg_reason(m->status);
	p = text_room(t, STATUS_SIZE + why.n);
	if (p == NULL)
		return;
	p = put_str(p, STR("HTTP/1.1 "));
	p = put_c(p, (char)('0' + m->status / 100));
	p = put_c(put_two(p, m->status), ' ');
	put_crlf(put_str(p, why));
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

/* RFC 9110 15.5.22: what a 426 asks for, and 7.8: by this hop. */
static void
put_required(struct text *t, const struct msg *m, const struct h1_out *o)
{
	put_line(t, STR("Upgrade"), m->protocol);
	put_line(t, STR("Connection"), o->close ? STR("upgrade, close") :
	    o->keep10 ? STR("upgrade, keep-alive") : STR("upgrade"));
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
	else if (m->status == 426 && m->protocol.n > 0 &&
	    hdr_is_value(m->protocol))
		put_required(t, m, o);
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
