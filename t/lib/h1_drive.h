/*
 * Drives the HTTP/1.1 parsers as a connection would, for unit tests and
 * fuzz targets: bytes come in pieces, what was understood goes out as
 * lines of text (t/corpus/README).  Each piece is parsed from a copy of
 * exactly its size, so that reading past the end is seen under ASan.
 */
#ifndef SL_T_LIB_H1_DRIVE_H
#define SL_T_LIB_H1_DRIVE_H

#include <stdlib.h>

#include "base/must.h"
#include "codec/h1/h1.h"

enum drive_state { DR_HEAD, DR_LENGTH, DR_CHUNKED, DR_CLOSE, DR_STOP };

struct drive {
	struct codec_limits	 limits;
	bool			 response;
	enum http_method	 meth;		/* that a response answers */
	enum drive_state	 state;
	struct text		 out;		/* own */
	struct text		 data;		/* own: body of this message */
	struct arena		 arena;		/* own: of this message */
	struct h1_chunked	 chunked;
	int64_t			 left;
	size_t			 pos;		/* bytes done with */
	size_t			 seen;		/* behind pos */
};

/* Limits are the defaults of the configuration. */
static inline void
drive_init(struct drive *d, bool response, enum http_method meth)
{
	*d = (struct drive){ .response = response, .meth = meth };
	d->limits.header_bytes = 32768;
	d->limits.header_field = 16384;
	d->limits.header_count = 128;
	d->limits.target = 8192;
	text_init(&d->out);
	text_init(&d->data);
	arena_init(&d->arena, NULL);
}

static inline void
drive_fini(struct drive *d)
{
	text_fini(&d->out);
	text_fini(&d->data);
	arena_fini(&d->arena);
}

static inline void
drive_put(struct text *t, struct str s)
{
	size_t	i;

	if (s.n > 200) {
		text_fmt(t, "(%zu bytes)", s.n);
		return;
	}
	for (i = 0; i < s.n; i++)
		if (s.p[i] == '\r')
			text_add(t, STR("\\r"));
		else if (s.p[i] == '\n')
			text_add(t, STR("\\n"));
		else if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '\\')
			text_fmt(t, "\\x%02x", (unsigned char)s.p[i]);
		else
			text_c(t, s.p[i]);
}

static inline void
drive_line(struct drive *d, const char *what, struct str s)
{
	text_fmt(&d->out, "%s ", what);
	drive_put(&d->out, s);
	text_c(&d->out, '\n');
}

static inline void
drive_fields(struct drive *d, const char *what, const struct hdrs *hs)
{
	size_t	i;

	for (i = 0; i < hs->n; i++) {
		if (hs->v[i].flags & HDR_F_DEAD)
			continue;
		text_fmt(&d->out, "%s ", what);
		drive_put(&d->out, hs->v[i].name);
		text_add(&d->out, STR(": "));
		drive_put(&d->out, hs->v[i].val);
		text_c(&d->out, '\n');
	}
}

static inline void
drive_head(struct drive *d, const struct msg *m,
    const struct h1_framing *f)
{
	if (d->response) {
		text_fmt(&d->out, "response %u 1.%u ", m->status, m->minor);
		drive_put(&d->out, m->reason);
	} else {
		text_add(&d->out, STR("request "));
		drive_put(&d->out, m->method);
		text_c(&d->out, ' ');
		drive_put(&d->out, m->target);
		text_fmt(&d->out, " 1.%u", m->minor);
	}
	text_c(&d->out, '\n');
	if (m->scheme.n > 0)
		drive_line(d, "scheme", m->scheme);
	if (m->authority.n > 0)
		drive_line(d, "authority", m->authority);
	drive_fields(d, "field", &m->hdrs);
	if (m->body != 0)
		text_fmt(&d->out, "body %lld%s%s\n", (long long)m->body,
		    f->chunked ? " chunked" : "",
		    f->until_close ? " until_close" : "");
	if (m->protocol.n > 0)
		drive_line(d, "protocol", m->protocol);
	if (f->close || f->keep10 || m->expect || m->trailers || m->upgrade ||
	    m->bodyless)
		text_fmt(&d->out, "flags%s%s%s%s%s%s\n",
		    f->close ? " close" : "", f->keep10 ? " keep10" : "",
		    m->expect ? " expect" : "",
		    m->trailers ? " trailers" : "",
		    m->upgrade ? " upgrade" : "",
		    m->bodyless ? " bodyless" : "");
}

static inline void
drive_data(struct drive *d)
{
	if (d->data.n > 0)
		drive_line(d, "data", text_str(&d->data));
	d->data.n = 0;
}

static inline void
drive_fail(struct drive *d, enum fail why)
{
	drive_data(d);
	must(why != FAIL_NONE);
	text_fmt(&d->out, "fail %s\n", fail_row(why)->name);
	d->state = DR_STOP;
}

static inline void
drive_end(struct drive *d)
{
	drive_data(d);
	drive_fields(d, "trailer", &d->chunked.trailers);
	text_add(&d->out, STR("end\n"));
	arena_fini(&d->arena);
	d->state = DR_HEAD;
}

/* What follows a good head. */
static inline void
drive_enter(struct drive *d, const struct msg *m,
    const struct h1_framing *f)
{
	d->chunked = (struct h1_chunked){ .limits = &d->limits,
	    .arena = &d->arena };
	d->left = f->length;
	drive_head(d, m, f);
	if (m->upgrade && d->response)
		d->state = DR_STOP;
	else if (f->chunked)
		d->state = DR_CHUNKED;
	else if (f->until_close)
		d->state = DR_CLOSE;
	else if (f->length > 0)
		d->state = DR_LENGTH;
	else
		drive_end(d);
}

/* False: more bytes are needed. */
static inline bool
drive_step_head(struct drive *d, struct str in)
{
	struct msg		m;
	struct h1_framing	f;
	size_t			used;
	enum fail		why;
	enum h1_rc		rc;

	rc = h1_find_head(in, &d->limits, !d->response, &d->seen, &used,
	    &why);
	if (rc == H1_MORE)
		return false;
	d->seen = 0;
	if (rc == H1_BAD) {
		drive_fail(d, why);
		return true;
	}
	must(used <= in.n);
	d->pos += used;
	in.n = used;
	why = d->response ? h1_parse_response(in, &d->limits, &d->arena,
	    d->meth, &m, &f) :
	    h1_parse_request(in, &d->limits, &d->arena, &m, &f);
	if (why != FAIL_NONE)
		drive_fail(d, why);
	else
		drive_enter(d, &m, &f);
	return true;
}

static inline bool
drive_step_chunked(struct drive *d, struct str in)
{
	struct str	data;
	size_t		used;
	enum fail	why;
	enum h1_rc	rc;

	rc = h1_chunk_next(&d->chunked, in, &data, &used, &why);
	must(used <= in.n && data.n <= used);
	d->pos += used;
	if (rc == H1_BAD) {
		drive_fail(d, why);
		return true;
	}
	text_add(&d->data, data);
	if (rc == H1_DONE)
		drive_end(d);
	return rc == H1_DONE || data.n > 0;
}

static inline bool
drive_step(struct drive *d, struct str in)
{
	switch (d->state) {
	case DR_HEAD:
		return in.n > 0 && drive_step_head(d, in);
	case DR_CHUNKED:
		return drive_step_chunked(d, in);
	case DR_LENGTH:
	case DR_CLOSE:
		if (d->state == DR_LENGTH && in.n > (size_t)d->left)
			in.n = (size_t)d->left;
		text_add(&d->data, in);
		d->pos += in.n;
		if (d->state == DR_CLOSE)
			return false;
		d->left -= (int64_t)in.n;
		if (d->left == 0)
			drive_end(d);
		return d->left == 0;
	default:
		return false;
	}
}

/* The first n bytes of the connection are there now. */
static inline void
drive_feed(struct drive *d, struct str all, size_t n)
{
	size_t	 left = n - d->pos;
	size_t	 base = d->pos;
	char	*copy = must_alloc(left + (left == 0));

	if (left > 0)
		memcpy(copy, all.p + base, left);
	while (drive_step(d, str_make(copy + (d->pos - base), n - d->pos)))
		;
	free(copy);
}

/* The connection ended; gives all that was understood. */
static inline struct str
drive_close(struct drive *d, size_t n)
{
	if (d->state == DR_CLOSE)
		drive_end(d);
	else if (d->state != DR_STOP && (d->state != DR_HEAD || d->pos < n)) {
		drive_data(d);
		text_add(&d->out, STR("more\n"));
	}
	return text_str(&d->out);
}

#endif
