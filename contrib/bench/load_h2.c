/*
 * See load_h2.h.
 */
#include "load_h2.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

enum { OUT_MAX = 65536, STREAM_WINDOW = 1 << 20, CONN_WINDOW = 1 << 30 };

struct ask {
	uint64_t	 due;
	uint64_t	 got;		/* bytes of the body */
	bool		 right;		/* its status */
};

struct h2_client {
	nghttp2_session	*ng;
	const char	*host;
	bool		 secure;
	uint64_t	 length;
	h2_done_fn	*done;
	void		*ctx;
	unsigned	 busy;
	bool		 bye;		/* GOAWAY came */
	size_t		 at, n;		/* of out: sent, filled */
	char		 out[OUT_MAX];
};

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t nn, const uint8_t *val, size_t nv, uint8_t flags, void *ctx)
{
	struct ask	*a = nghttp2_session_get_stream_user_data(ng,
	    f->hd.stream_id);

	(void)flags;
	(void)ctx;
	if (a != NULL && nn == 7 && memcmp(name, ":status", 7) == 0)
		a->right = nv == 3 && memcmp(val, "200", 3) == 0;
	return 0;
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *ctx)
{
	struct ask	*a = nghttp2_session_get_stream_user_data(ng, id);

	(void)flags;
	(void)p;
	(void)ctx;
	if (a != NULL)
		a->got += n;
	return 0;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	struct h2_client	*c = ctx;

	(void)ng;
	if (f->hd.type == NGHTTP2_GOAWAY)
		c->bye = true;
	return 0;
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *ctx)
{
	struct h2_client	*c = ctx;
	struct ask		*a = nghttp2_session_get_stream_user_data(ng,
	    id);
	uint64_t		 due;
	const char		*why = NULL;

	if (a == NULL)
		return 0;
	due = a->due;
	if (code != NGHTTP2_NO_ERROR)
		why = "reset";
	else if (!a->right)
		why = "status";
	else if (a->got != c->length)
		why = "length";
	free(a);
	c->busy--;
	c->done(c->ctx, due, why);
	return 0;
}

static void
open_session(struct h2_client *c)
{
	static const nghttp2_settings_entry	own[] = {
	    { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	    { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW } };
	nghttp2_session_callbacks		*cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		errx(1, "no memory for HTTP/2");
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb,
	    on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	if (nghttp2_session_client_new(&c->ng, cb, c) != 0 ||
	    nghttp2_submit_settings(c->ng, NGHTTP2_FLAG_NONE, own, 2) != 0 ||
	    nghttp2_session_set_local_window_size(c->ng, NGHTTP2_FLAG_NONE,
	    0, CONN_WINDOW) != 0)
		errx(1, "no memory for HTTP/2");
	nghttp2_session_callbacks_del(cb);
}

struct h2_client *
h2_new(bool secure, const char *host, uint64_t length, h2_done_fn *done,
    void *ctx)
{
	struct h2_client	*c = calloc(1, sizeof(*c));

	if (c == NULL)
		errx(1, "no memory for HTTP/2");
	c->secure = secure;
	c->host = host;
	c->length = length;
	c->done = done;
	c->ctx = ctx;
	open_session(c);
	return c;
}

void
h2_free(struct h2_client **cp)
{
	struct h2_client	*c = *cp;
	struct ask		*a;

	if (c == NULL)
		return;
	for (int32_t id = 1; c->busy > 0 && id > 0; id += 2) {
		a = nghttp2_session_get_stream_user_data(c->ng, id);
		if (a != NULL) {
			free(a);
			c->busy--;
		} else if ((uint32_t)id >=
		    nghttp2_session_get_next_stream_id(c->ng))
			break;
	}
	nghttp2_session_del(c->ng);
	free(c);
	*cp = NULL;
}

#define NV(name, val, n) { (uint8_t *)(uintptr_t)name,			\
	(uint8_t *)(uintptr_t)(val), sizeof(name) - 1,			\
	n, NGHTTP2_NV_FLAG_NO_COPY_NAME }

bool
h2_ask(struct h2_client *c, const char *path, uint64_t due)
{
	const char	*scheme = c->secure ? "https" : "http";
	nghttp2_nv	 nv[] = { NV(":method", "GET", 3),
	    NV(":scheme", scheme, strlen(scheme)),
	    NV(":authority", c->host, strlen(c->host)),
	    NV(":path", path, strlen(path)), NV("user-agent", "load", 4),
	    NV("accept", "*/*", 3) };
	struct ask	*a;

	if (c->bye)
		return false;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		errx(1, "no memory for HTTP/2");
	a->due = due;
	if (nghttp2_submit_request(c->ng, NULL, nv, sizeof(nv) /
	    sizeof(nv[0]), NULL, a) < 0) {
		free(a);
		return false;
	}
	c->busy++;
	return true;
}

bool
h2_take(struct h2_client *c, const void *p, size_t n)
{
	return nghttp2_session_mem_recv(c->ng, p, n) == (ssize_t)n &&
	    nghttp2_session_want_read(c->ng) && !(c->bye && c->busy == 0);
}

/* Frames are gathered: what is asked at once leaves at once. */
size_t
h2_pending(struct h2_client *c, const char **p)
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
h2_sent(struct h2_client *c, size_t n)
{
	c->at += n;
}

unsigned
h2_busy(const struct h2_client *c)
{
	return c->busy;
}
