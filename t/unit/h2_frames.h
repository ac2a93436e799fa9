/*
 * A connection of HTTP/2 whose peer is a test that writes frames, with the
 * exchanges that it makes above.  For units of one connection.
 */
#ifndef SL_T_H2_FRAMES_H
#define SL_T_H2_FRAMES_H

#include "h1_env.h"

#include <nghttp2/nghttp2.h>

#include "codec/h2/h2_walk.h"

#define MAX	256
#define FULL	65536	/* bytes that the transport takes */

/* an exchange as the floor above has it */
struct ex {
	struct stream	*s;		/* NULL once closed */
	struct arena	 arena;		/* client */
	struct h1_tank	 tank;
	struct h1_tap	 tap;
	struct msg	 m;
	uint64_t	 sent;		/* told at its end */
	bool		 lasted;
	enum fail	 why;
};

/* a frame that came */
struct seen {
	unsigned	 type, flags;
	int32_t		 id;
	size_t		 n;
	const uint8_t	*p;		/* of e.out */
};

static struct h1_env	e;
static struct ex	exs[MAX];
static unsigned		nex, nclosed;

/* --- above --- */

static inline void
join(struct ex *x, struct stream *s)
{
	x->s = s;
	s->ctx = x;
	tank_init(&x->tank, &e.log, "in");
	x->tank.sink.credit = 0;
	x->tank.keep = true;
	x->tap.src.ops = &tap_ops;
	waist_join(&x->tap.src, &s->out);
	waist_join(&s->in, &x->tank.sink);
}

static inline void
on_request(struct stream *s)
{
	ck_assert_uint_lt(nex, MAX);
	exs[nex] = (struct ex){ .why = FAIL_NONE };
	join(&exs[nex++], s);
}

static inline void
on_last(struct stream *s)
{
	((struct ex *)s->ctx)->lasted = true;
}

static inline void
on_closed(struct stream *s, enum fail why)
{
	struct ex	*x = s->ctx;

	x->why = why;
	x->sent = s->sent;
	x->s = NULL;
	nclosed++;
}

static const struct stream_up up = { on_request, on_last, on_closed };

/* --- the peer --- */

/* A frame, in a turn of its own. */
static inline void
put(unsigned type, unsigned flags, int32_t id, const char *p, size_t n)
{
	char	head[H2_HEAD] = { (char)(n >> 16), (char)(n >> 8), (char)n,
		    (char)type, (char)flags, (char)(id >> 24),
		    (char)(id >> 16), (char)(id >> 8), (char)id };
	struct text	t;

	text_init(&t);
	text_add(&t, str_make(head, sizeof(head)));
	text_add(&t, str_make(p, n));
	if (e.peer->open)
		env_send(&e, text_str(&t), 0);
	text_fini(&t);
}

#define PUT(type, flags, id, s) put(type, flags, id, s, sizeof(s) - 1)

/* POST / with host a; one more field, x: y, is put into the table. */
#define POST	"\x83\x86\x84\x01\x01" "a\x40\x01x\x01y"
#define GET	"\x82\x86\x84\x01\x01" "a"
#define HEAD	"\x02\x04HEAD\x86\x84\x01\x01" "a"
#define AGAIN	"\xbe"		/* that field */
#define WHOLE	NGHTTP2_FLAG_END_HEADERS
#define END	NGHTTP2_FLAG_END_STREAM

/* The nth frame of what came; false: there are fewer. */
static inline bool
nth(unsigned n, struct seen *f)
{
	const uint8_t	*p = (const uint8_t *)e.out.p;
	size_t		 left = e.out.n;

	for (;; p += H2_HEAD + f->n, left -= H2_HEAD + f->n) {
		if (left < H2_HEAD)
			return false;
		*f = (struct seen){ .n = (size_t)p[0] << 16 |
		    (size_t)p[1] << 8 | p[2], .type = p[3], .flags = p[4],
		    .id = (int32_t)((uint32_t)p[5] << 24 | p[6] << 16 |
		    p[7] << 8 | p[8]), .p = p + H2_HEAD };
		if (left < H2_HEAD + f->n)
			return false;
		if (n-- == 0)
			return true;
	}
}

static inline uint32_t
word(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

/* The code of the last GOAWAY, if it comes now; -1: there was none. */
static inline int64_t
goaway(void)
{
	struct seen	f;
	int64_t		code = -1;

	env_run(&e);
	for (unsigned i = 0; nth(i, &f); i++)
		if (f.type == NGHTTP2_GOAWAY)
			code = word(f.p + 4);
	return code;
}

/* --- the environment --- */

static inline void
setup(void)
{
	env_init(&e);
	e.env.up = &up;
	e.env.limits.streams = MAX;
	e.env.date = "Thu, 01 Jan 1970 00:00:00 GMT";
	nex = nclosed = 0;
	env_pipe(&e, FULL);
}

static inline void
open_server(void)
{
	setup();
	e.c = h2_server.open(e.io, &e.env, &e);
	env_send(&e, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0);
	PUT(NGHTTP2_SETTINGS, 0, 0, "");
	env_run(&e);
}

static inline void
close_server(void)
{
	if (e.c != NULL)
		h2_server.close(e.c, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(e.ngone, 1);
	ck_assert_uint_eq(nclosed, nex);
	for (unsigned i = 0; i < nex; i++)
		text_fini(&exs[i].tank.got);
	env_fini(&e);
}

#endif
