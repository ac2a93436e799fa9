/*
 * See origin_h2.h.  A request is answered when it has ended; its body is
 * thrown away.
 */
#include "origin_h2.h"

#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

enum { OUT_MAX = 65536, STREAM_WINDOW = 1 << 20, CONN_WINDOW = 1 << 30,
    STREAMS = 1000 };

struct answer {
	size_t	at, n;			/* of the body */
};

struct h2_origin {
	nghttp2_session	*ng;
	const char	*body;
	origin_length_fn *length;
	size_t		 at, n;		/* of out: sent, filled */
	char		 out[OUT_MAX];
};

static int
on_begin(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	struct answer	*a;

	(void)ctx;
	if (f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		err(1, "calloc");
	return nghttp2_session_set_stream_user_data(ng, f->hd.stream_id, a);
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t nn, const uint8_t *val, size_t nv, uint8_t flags, void *ctx)
{
	struct h2_origin	*c = ctx;
	struct answer		*a = nghttp2_session_get_stream_user_data(ng,
	    f->hd.stream_id);

	(void)flags;
	if (a != NULL && nn == 5 && memcmp(name, ":path", 5) == 0)
		a->n = c->length((const char *)val, nv);
	return 0;
}

static ssize_t
give(nghttp2_session *ng, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
    nghttp2_data_source *src, void *ctx)
{
	const struct h2_origin	*c = ctx;
	struct answer		*a = src->ptr;

	(void)ng;
	(void)id;
	if (n > a->n - a->at)
		n = a->n - a->at;
	memcpy(p, c->body + a->at, n);
	a->at += n;
	if (a->at == a->n)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

#define NV(name, val, n) { (uint8_t *)(uintptr_t)name,			\
	(uint8_t *)(uintptr_t)(val), sizeof(name) - 1,			\
	n, NGHTTP2_NV_FLAG_NO_COPY_NAME }

/* len: of the body, as text of n bytes. */
static int
answer(nghttp2_session *ng, int32_t id, struct answer *a, const char *len,
    size_t n)
{
	nghttp2_data_provider	body = { .source.ptr = a,
	    .read_callback = give };
	nghttp2_nv		nv[] = {
	    NV(":status", a->n > 0 ? "200" : "404", 3),
	    NV("server", "origin", 6),
	    NV("content-type", "application/octet-stream", 24),
	    NV("content-length", len, n) };

	return nghttp2_submit_response(ng, id, nv, 4,
	    a->n > 0 ? &body : NULL);
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	char		 len[24];
	struct answer	*a;
	int		 n;

	(void)ctx;
	if ((f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) ||
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	a = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	if (a == NULL)
		return 0;
	n = snprintf(len, sizeof(len), "%zu", a->n);
	return answer(ng, f->hd.stream_id, a, len, (size_t)n);
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *ctx)
{
	(void)code;
	(void)ctx;
	free(nghttp2_session_get_stream_user_data(ng, id));
	return 0;
}

struct h2_origin *
origin_h2_new(const char *body, origin_length_fn *length)
{
	static const nghttp2_settings_entry	own[] = {
	    { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS },
	    { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW } };
	struct h2_origin			*c = calloc(1, sizeof(*c));
	nghttp2_session_callbacks		*cb;

	if (c == NULL || nghttp2_session_callbacks_new(&cb) != 0)
		errx(1, "no memory for HTTP/2");
	c->body = body;
	c->length = length;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
	    on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	if (nghttp2_session_server_new(&c->ng, cb, c) != 0 ||
	    nghttp2_submit_settings(c->ng, NGHTTP2_FLAG_NONE, own, 2) != 0 ||
	    nghttp2_session_set_local_window_size(c->ng, NGHTTP2_FLAG_NONE,
	    0, CONN_WINDOW) != 0)
		errx(1, "no memory for HTTP/2");
	nghttp2_session_callbacks_del(cb);
	return c;
}

/* Answers under way are of the process's last moments: not searched for. */
void
origin_h2_free(struct h2_origin **cp)
{
	if (*cp != NULL)
		nghttp2_session_del((*cp)->ng);
	free(*cp);
	*cp = NULL;
}

bool
origin_h2_take(struct h2_origin *c, const void *p, size_t n)
{
	return nghttp2_session_mem_recv(c->ng, p, n) == (ssize_t)n;
}

size_t
origin_h2_pending(struct h2_origin *c, const char **p)
{
	const uint8_t	*piece;
	ssize_t		 n;

	if (c->at == c->n) {
		c->at = c->n = 0;
		while (c->n < OUT_MAX - 2 * 16384 &&
		    (n = nghttp2_session_mem_send(c->ng, &piece)) > 0) {
			memcpy(c->out + c->n, piece, (size_t)n);
			c->n += (size_t)n;
		}
	}
	*p = c->out + c->at;
	return c->n - c->at;
}

void
origin_h2_sent(struct h2_origin *c, size_t n)
{
	c->at += n;
}
