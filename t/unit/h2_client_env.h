/*
 * The client side of HTTP/2 under test: a scripted floor above, nghttp2's
 * server at the other end of a pipe in memory.
 */
#ifndef SL_T_H2_CLIENT_ENV_H
#define SL_T_H2_CLIENT_ENV_H

#include "h1_env.h"

#include <nghttp2/nghttp2.h>

#define MAX	128
#define BIG	(1 << 20)

/* a request as the floor above has it; its answer's end */
struct req {
	struct stream	*s;		/* NULL once closed */
	struct arena	 arena;
	struct h1_tank	 tank;
	struct h1_tap	 tap;
	struct msg	 m;
	enum fail	 why;
	const char	*what;
};

/* a stream as the server sees it */
struct got {
	unsigned	 fields;
	uint64_t	 bytes;		/* of its body */
	uint64_t	 left;		/* of the answer's */
	bool		 head, end, closed;
	uint32_t	 code;
};

static struct h1_env	 e;
static struct req	 reqs[MAX];
static struct got	 gots[2 * MAX];	/* by number of stream */
static unsigned		 nreq, nclosed, notes[CODEC_PLACE + 1],
			 nserved;
static nghttp2_session	*server;

/* --- above --- */

static inline void
on_closed(struct stream *s, enum fail why)
{
	struct req	*r = s->ctx;

	r->why = why;
	r->what = s->what;
	r->s = NULL;
	nclosed++;
}

static const struct stream_up up = { .closed = on_closed };

static inline void
on_note(void *ctx, enum codec_note what)
{
	(void)ctx;
	notes[what]++;
}

static inline struct req *
ask(const char *method, int64_t body)
{
	struct req	*r = &reqs[nreq++];

	ck_assert_uint_le(nreq, MAX);
	*r = (struct req){ .why = FAIL_NONE };
	arena_init(&r->arena, &e.arenas);
	r->s = h2_client.request(e.c, &r->arena);
	r->s->up = &up;
	r->s->ctx = r;
	tank_init(&r->tank, &e.log, "res");
	r->tap.src.ops = &tap_ops;
	waist_join(&r->tap.src, &r->s->out);
	waist_join(&r->s->in, &r->tank.sink);
	r->m = (struct msg){ .method = str_from(method), .body = body,
	    .target = STR("/x"), .authority = STR("a"), .minor = 1 };
	r->m.meth = (uint8_t)msg_method(r->m.method);
	r->s->out.ops->head(&r->s->out, &r->m, body == 0 ? WAIST_END : 0);
	return r;
}

/* --- the server --- */

static inline int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *n,
    size_t nn, const uint8_t *v, size_t nv, uint8_t flags, void *ctx)
{
	(void)ng, (void)n, (void)nn, (void)v, (void)nv, (void)flags;
	(void)ctx;
	gots[f->hd.stream_id].fields++;
	return 0;
}

static inline int
on_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *ctx)
{
	(void)ng, (void)flags, (void)p, (void)ctx;
	gots[id].bytes += n;
	return 0;
}

static inline int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *ctx)
{
	struct got	*g = &gots[f->hd.stream_id];

	(void)ng, (void)ctx;
	if (f->hd.type == NGHTTP2_HEADERS)
		g->head = true;
	if ((f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) &&
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		g->end = true;
	return 0;
}

static inline int
on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *ctx)
{
	(void)ng, (void)ctx;
	gots[id].closed = true;
	gots[id].code = code;
	return 0;
}

static inline ssize_t
give(nghttp2_session *ng, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
    nghttp2_data_source *src, void *ctx)
{
	struct got	*g = &gots[id];

	(void)ng, (void)src, (void)ctx;
	if (n > g->left)
		n = g->left;
	memset(p, 'd', n);
	g->left -= n;
	nserved += n > 0;
	if (g->left == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* "name value name value": fields as they are. */
static inline size_t
fields(nghttp2_nv *nv, const char *text)
{
	struct str	rest = str_from(text), name, val;
	size_t		n = 0;

	while (str_word(&rest, " ", &name) && str_word(&rest, " ", &val))
		nv[n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
		    (uint8_t *)(uintptr_t)val.p, name.n, val.n, 0 };
	return n;
}

static inline void
answer(int32_t id, const char *head, uint64_t body)
{
	nghttp2_data_provider	 p = { .read_callback = give };
	nghttp2_nv		 nv[16];
	size_t			 n = fields(nv, head);

	gots[id].left = body;
	ck_assert_int_eq(nghttp2_submit_response(server, id, nv, n,
	    body > 0 ? &p : NULL), 0);
}

static inline void
interim(int32_t id, const char *head, bool end)
{
	nghttp2_nv	nv[16];
	size_t		n = fields(nv, head);

	ck_assert_int_eq(nghttp2_submit_headers(server, end ?
	    NGHTTP2_FLAG_END_STREAM : 0, id, NULL, nv, n, NULL), 0);
}

/* What the server has to say goes out; what came is told it. */
static inline void
turn(void)
{
	const uint8_t	*p;
	ssize_t		 n;

	while (e.peer->open && (n = nghttp2_session_mem_send(server,
	    &p)) > 0)
		env_send(&e, str_make((const char *)p, (size_t)n), 0);
	ev_turn(e.ev, 0);
	if (e.peer->open)
		env_drain(&e);
	n = nghttp2_session_mem_recv(server, (const uint8_t *)e.out.p,
	    e.out.n);
	ck_assert_int_eq(n, (ssize_t)e.out.n);
	e.out.n = 0;
}

static inline void
turns(unsigned n)
{
	while (n-- > 0)
		turn();
}

static inline void
make_server(void)
{
	nghttp2_session_callbacks	*cb;
	nghttp2_option			*o;

	nghttp2_session_callbacks_new(&cb);
	nghttp2_option_new(&o);
	nghttp2_option_set_no_http_messaging(o, 1);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb,
	    on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	ck_assert_int_eq(nghttp2_session_server_new2(&server, cb, NULL, o),
	    0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(o);
}

static inline void
say_settings(uint32_t streams)
{
	nghttp2_settings_entry	v = {
		NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams };

	nghttp2_submit_settings(server, NGHTTP2_FLAG_NONE, &v, 1);
}

static inline void
setup(void)
{
	env_init(&e);
	e.env.note = on_note;
	e.env.idle = NULL;
	e.env.limits.streams = 100;
	nreq = nclosed = nserved = 0;
	memset(gots, 0, sizeof(gots));
	memset(notes, 0, sizeof(notes));
	env_pipe(&e, 1 << 20);
	make_server();
	e.c = h2_client.open(e.io, &e.env, &e);
}

static inline void
start(void)
{
	say_settings(100);
	turns(4);
}

static inline void
teardown(void)
{
	if (e.c != NULL)
		h2_client.close(e.c, FAIL_NONE);
	ck_assert_uint_eq(e.ngone, 1);
	ck_assert_uint_eq(nclosed, nreq);
	for (unsigned i = 0; i < nreq; i++) {
		text_fini(&reqs[i].tank.got);
		arena_fini(&reqs[i].arena);
	}
	nghttp2_session_del(server);
	env_fini(&e);
}

#define LOOP(t, a)	tcase_add_loop_test(tc, t, 0, sizeof(a) / sizeof(*(a)))

#endif
