/*
 * The client side of HTTP/2 against a scripted floor above, with nghttp2's
 * server at the other end of a pipe in memory: heads that are refused,
 * streams that stand still, ends of streams and of the connection.
 */
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

static void
on_closed(struct stream *s, enum fail why)
{
	struct req	*r = s->ctx;

	r->why = why;
	r->what = s->what;
	r->s = NULL;
	nclosed++;
}

static const struct stream_up up = { .closed = on_closed };

static void
on_note(void *ctx, enum codec_note what)
{
	(void)ctx;
	notes[what]++;
}

static struct req *
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

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *n,
    size_t nn, const uint8_t *v, size_t nv, uint8_t flags, void *ctx)
{
	(void)ng, (void)n, (void)nn, (void)v, (void)nv, (void)flags;
	(void)ctx;
	gots[f->hd.stream_id].fields++;
	return 0;
}

static int
on_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *ctx)
{
	(void)ng, (void)flags, (void)p, (void)ctx;
	gots[id].bytes += n;
	return 0;
}

static int
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

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *ctx)
{
	(void)ng, (void)ctx;
	gots[id].closed = true;
	gots[id].code = code;
	return 0;
}

static ssize_t
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
static size_t
fields(nghttp2_nv *nv, const char *text)
{
	struct str	rest = str_from(text), name, val;
	size_t		n = 0;

	while (str_word(&rest, " ", &name) && str_word(&rest, " ", &val))
		nv[n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
		    (uint8_t *)(uintptr_t)val.p, name.n, val.n, 0 };
	return n;
}

static void
answer(int32_t id, const char *head, uint64_t body)
{
	nghttp2_data_provider	 p = { .read_callback = give };
	nghttp2_nv		 nv[16];
	size_t			 n = fields(nv, head);

	gots[id].left = body;
	ck_assert_int_eq(nghttp2_submit_response(server, id, nv, n,
	    body > 0 ? &p : NULL), 0);
}

static void
interim(int32_t id, const char *head, bool end)
{
	nghttp2_nv	nv[16];
	size_t		n = fields(nv, head);

	ck_assert_int_eq(nghttp2_submit_headers(server, end ?
	    NGHTTP2_FLAG_END_STREAM : 0, id, NULL, nv, n, NULL), 0);
}

/* What the server has to say goes out; what came is told it. */
static void
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

static void
turns(unsigned n)
{
	while (n-- > 0)
		turn();
}

static void
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

static void
say_settings(uint32_t streams)
{
	nghttp2_settings_entry	v = {
		NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams };

	nghttp2_submit_settings(server, NGHTTP2_FLAG_NONE, &v, 1);
}

static void
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

static void
start(void)
{
	say_settings(100);
	turns(4);
}

static void
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

/* --- room --- */

START_TEST(test_room)
{
	ck_assert_uint_eq(h2_client.room(e.c), 1);
	say_settings(7);
	turns(4);
	ck_assert_uint_eq(notes[CODEC_ROOM], 1);
	ck_assert_uint_eq(h2_client.room(e.c), 7);
	ask("GET", 0);
	ck_assert_uint_eq(h2_client.room(e.c), 6);
	turns(2);
	ck_assert(gots[1].head && gots[1].end);
	answer(1, ":status 200", 0);
	turns(2);
	ck_assert_uint_eq(nclosed, 1);
	ck_assert_uint_eq(h2_client.room(e.c), 7);
	say_settings(1000);
	turns(4);
	ck_assert_uint_eq(h2_client.room(e.c), 100);
}
END_TEST

/* Nobody wants it any more before it left: nothing of it leaves. */
START_TEST(test_unsent)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	r->s->in.ops->stop(&r->s->in, FAIL_CLIENT_GONE);
	turns(4);
	ck_assert_int_eq(r->why, FAIL_CLIENT_GONE);
	ck_assert(!gots[1].head);
	ck_assert_uint_eq(h2_client.room(e.c), 100);
	r = ask("GET", 0);
	turns(2);
	answer(3, ":status 200", 5);
	turns(4);
	ck_assert_int_eq(r->why, FAIL_NONE);
	ck_text(&r->tank.got, "ddddd");
}
END_TEST

/* --- heads --- */

static const struct {
	const char	*head;
	enum fail	 why;
	uint64_t	 body;
} bad[] = {
	{ ":status 99", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 600", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 20", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 2000", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status +20", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 101", FAIL_BAD_RESPONSE_LINE, 0 },
	{ "a b", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 200 :status 200", FAIL_BAD_RESPONSE_LINE, 0 },
	{ "a b :status 200", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 200 :path /", FAIL_BAD_RESPONSE_LINE, 0 },
	{ ":status 200 connection close", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 transfer-encoding chunked", FAIL_BAD_RESPONSE_FIELD,
	    0 },
	{ ":status 200 keep-alive a", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 upgrade x", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 proxy-connection x", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 a(b c", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 a b\r\nc:d", FAIL_BAD_RESPONSE_FIELD, 0 },
	{ ":status 200 content-length x", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 200 content-length -1", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 200 content-length 0 content-length 0",
	    FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 200 content-length 5", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 204 content-length 5", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 103", FAIL_BAD_RESPONSE_FRAMING, 0 },
	{ ":status 200 content-length 5", FAIL_RESPONSE_LENGTH_MISMATCH, 4 },
	{ ":status 200 content-length 5", FAIL_RESPONSE_LENGTH_MISMATCH, 6 },
	{ ":status 204", FAIL_RESPONSE_LENGTH_MISMATCH, 1 },
	{ ":status 304", FAIL_RESPONSE_LENGTH_MISMATCH, 1 },
};

START_TEST(test_bad)
{
	struct req	*r, *other;

	start();
	r = ask("GET", 0);
	other = ask("GET", 0);
	turns(2);
	answer(1, bad[_i].head, bad[_i].body);
	turns(4);
	ck_assert_msg(r->why == bad[_i].why, "%s: %s", bad[_i].head,
	    fail_row(r->why)->name);
	ck_assert(gots[1].closed);
	/* its siblings are none the worse for it */
	answer(3, ":status 200", 0);
	turns(2);
	ck_assert_int_eq(other->why, FAIL_NONE);
	ck_assert_ptr_null(other->s);
}
END_TEST

START_TEST(test_interim)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	interim(1, ":status 103 link x", false);
	interim(1, ":status 200", false);
	turns(2);
	interim(1, "x-sum 1", true);
	turns(4);
	ck_assert_int_eq(r->why, FAIL_NONE);
	ck_text(&e.log, "res head 103  interim;res head 200 ;"
	    "res trailer x-sum=1;res end;");
}
END_TEST

START_TEST(test_interims)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	for (int i = 0; i < 9; i++) {
		interim(1, ":status 103", false);
		turn();
	}
	turns(2);
	ck_assert_int_eq(r->why, FAIL_UNEXPECTED_INTERIM);
}
END_TEST

START_TEST(test_head)
{
	struct req	*r;

	start();
	r = ask("HEAD", 0);
	turns(2);
	interim(1, ":status 200 content-length 77", true);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_NONE);
	ck_text(&e.log, "res head 200  end;");
}
END_TEST

START_TEST(test_bad_trailer)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	interim(1, ":status 200", false);
	turns(2);
	interim(1, _i == 0 ? ":status 200" : _i == 1 ? "connection x" :
	    "a b", _i != 2);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_BAD_RESPONSE_TRAILER);
	ck_assert_int_eq(r->tank.why, FAIL_BAD_RESPONSE_TRAILER);
}
END_TEST

/* --- bodies --- */

/* One has no credit: the others end as soon as without it. */
static unsigned
race(bool stuck)
{
	unsigned	n = 0, done;

	start();
	for (int i = 0; i < 10; i++)
		ask("GET", 0);
	if (stuck) {
		reqs[0].tank.keep = true;
		reqs[0].tank.sink.credit = 0;
	}
	turns(2);
	for (int i = stuck ? 0 : 1; i < 10; i++)
		answer(2 * i + 1, ":status 200", BIG);
	do {
		turn();
		done = 0;
		for (int i = 1; i < 10; i++)
			done += reqs[i].s == NULL;
		ck_assert_uint_lt(++n, 10000);
	} while (done < 9);
	return n;
}

START_TEST(test_stuck)
{
	unsigned	with = race(true), without;

	ck_assert_ptr_nonnull(reqs[0].s);
	ck_assert_uint_eq(reqs[0].tank.got.n, 0);
	/* held back by its own window */
	ck_assert_uint_ge(gots[1].left, BIG - 65536);
	reqs[0].tank.keep = false;
	reqs[0].tank.sink.credit = INT64_MAX;
	reqs[0].s->in.ops->room(&reqs[0].s->in);
	for (int i = 0; i < 200 && reqs[0].s != NULL; i++)
		turn();
	ck_assert_int_eq(reqs[0].why, FAIL_NONE);
	ck_assert_uint_eq(reqs[0].tank.got.n, BIG);
	teardown();
	setup();
	without = race(false);
	ck_assert_msg(with <= without + 1, "%u turns, %u without", with,
	    without);
	reqs[0].s->in.ops->stop(&reqs[0].s->in, FAIL_CLIENT_GONE);
	turns(3);
}
END_TEST

/* More than a turn reads stands before the end of the connection. */
START_TEST(test_end_behind_answers)
{
	const uint8_t	*p;
	struct iovec	 v;
	ssize_t		 n;
	size_t		 put;

	start();
	for (int i = 0; i < 10; i++)
		ask("GET", 0);
	turns(2);
	for (int i = 0; i < 10; i++)
		answer(2 * i + 1, ":status 200", 60000);
	while ((n = nghttp2_session_mem_send(server, &p)) > 0) {
		v = (struct iovec){ (void *)(uintptr_t)p, (size_t)n };
		ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &put), IO_OK);
		ck_assert_uint_eq(put, v.iov_len);
	}
	io_close(e.peer, false);
	for (int i = 0; i < 20; i++)
		ev_turn(e.ev, 0);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(reqs[i].why, FAIL_NONE);
		ck_assert_uint_eq(reqs[i].tank.got.n, 60000);
	}
}
END_TEST

/* The connection is judged before a byte of a request has left. */
START_TEST(test_unsent_behind_judged)
{
	static const char	 wrong[] = "\0\0\0\0\0\0\0\0\0";
	struct iovec		 v = { (void *)(uintptr_t)wrong, 9 };
	struct req		*sent, *unsent;
	size_t			 put;

	start();
	sent = ask("GET", 0);
	turns(2);
	ck_assert(gots[1].head);
	/* DATA of stream 0 */
	ck_assert_int_eq(io_writev(e.peer, &v, 1, 0, &put), IO_OK);
	unsent = ask("GET", 0);
	for (int i = 0; i < 5; i++)
		ev_turn(e.ev, 0);
	ck_assert_int_eq(sent->why, FAIL_SERVER_H2_PROTOCOL);
	ck_assert_int_eq(unsent->why, FAIL_STREAM_REFUSED);
	e.c = NULL;
}
END_TEST

START_TEST(test_upload)
{
	static const char	 text[] = "0123456789";
	struct chunk		 c = { .kind = CHUNK_CONST, .n = 10 };
	struct req		*r;

	start();
	r = ask("POST", 20);
	c.u.mem.p = text;
	r->s->out.ops->data(&r->s->out, c, 0);
	turns(2);
	ck_assert(gots[1].head && !gots[1].end);
	ck_assert_uint_eq(gots[1].bytes, 10);
	r->s->out.ops->data(&r->s->out, c, WAIST_END);
	turns(2);
	ck_assert(gots[1].end);
	ck_assert_uint_eq(gots[1].bytes, 20);
	answer(1, ":status 200", 0);
	turns(2);
	ck_assert_int_eq(r->why, FAIL_NONE);
}
END_TEST

/* The answer ends it, the rest of the request is reset. */
START_TEST(test_early)
{
	struct req	*r;

	start();
	r = ask("POST", 20);
	turns(2);
	answer(1, ":status 200", 3);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_NONE);
	ck_text(&r->tank.got, "ddd");
	ck_assert_uint_eq(r->tap.stops, 1);
	ck_assert(gots[1].closed);
	ck_assert_uint_eq(gots[1].code, NGHTTP2_CANCEL);
}
END_TEST

/* --- ends --- */

static const struct {
	uint32_t	code;
	bool		answered;
	enum fail	why;
} resets[] = {
	{ NGHTTP2_REFUSED_STREAM, false, FAIL_STREAM_REFUSED },
	{ NGHTTP2_INTERNAL_ERROR, false, FAIL_SERVER_RESET },
	{ NGHTTP2_NO_ERROR, false, FAIL_SERVER_RESET },
	{ NGHTTP2_CANCEL, false, FAIL_SERVER_RESET },
	{ NGHTTP2_HTTP_1_1_REQUIRED, false, FAIL_SERVER_WANTS_H1 },
	{ NGHTTP2_HTTP_1_1_REQUIRED, true, FAIL_RESET_IN_BODY },
	{ NGHTTP2_INTERNAL_ERROR, true, FAIL_RESET_IN_BODY },
	{ NGHTTP2_REFUSED_STREAM, true, FAIL_RESET_IN_BODY },
};

START_TEST(test_reset)
{
	struct req	*r, *other;

	start();
	r = ask("GET", 0);
	other = ask("GET", 0);
	turns(2);
	if (resets[_i].answered)
		interim(1, ":status 200", false);
	turns(2);
	nghttp2_submit_rst_stream(server, 0, 1, resets[_i].code);
	turns(2);
	ck_assert_int_eq(r->why, resets[_i].why);
	ck_assert_ptr_nonnull(other->s);
	answer(3, ":status 200", 0);
	turns(2);
	ck_assert_int_eq(other->why, FAIL_NONE);
}
END_TEST

START_TEST(test_goaway)
{
	struct req	*below, *above;

	start();
	below = ask("GET", 0);
	above = ask("POST", 100);
	turns(2);
	nghttp2_submit_goaway(server, 0, 1, NGHTTP2_NO_ERROR, NULL, 0);
	turns(2);
	ck_assert_int_eq(above->why, FAIL_SERVER_GOAWAY);
	ck_assert_ptr_nonnull(below->s);
	ck_assert_uint_eq(notes[CODEC_GOAWAY], 1);
	ck_assert_uint_eq(h2_client.room(e.c), 0);
	answer(1, ":status 200", 9);
	turns(3);
	ck_assert_int_eq(below->why, FAIL_NONE);
	/* with the last stream the connection has ended */
	ck_assert_ptr_null(e.c);
}
END_TEST

/* A whole answer that waits for its reader survives the connection. */
START_TEST(test_lost)
{
	struct req	*whole, *open, *part;

	start();
	whole = ask("GET", 0);
	open = ask("GET", 0);
	part = ask("GET", 0);
	whole->tank.sink.credit = 0;
	turns(2);
	answer(1, ":status 200", 1000);
	interim(5, ":status 200", false);
	turns(3);
	io_close(e.peer, _i == 1);
	for (int i = 0; i < 4; i++)
		ev_turn(e.ev, 0);
	ck_assert_int_eq(open->why, FAIL_RESET_BEFORE_HEAD);
	ck_assert_int_eq(part->why, FAIL_RESET_IN_BODY);
	ck_assert_ptr_nonnull(whole->s);
	ck_assert_uint_ge(notes[CODEC_LOST], 1);
	/* who was given it before that is told at once */
	open = ask("GET", 0);
	ev_turn(e.ev, 0);
	ck_assert_int_eq(open->why, FAIL_STREAM_REFUSED);
	whole->tank.sink.credit = 5000;
	whole->s->in.ops->room(&whole->s->in);
	for (int i = 0; i < 4; i++)
		ev_turn(e.ev, 0);
	ck_assert_int_eq(whole->why, FAIL_NONE);
	ck_assert_uint_eq(whole->tank.got.n, 1000);
	ck_assert_ptr_null(e.c);
	e.peer = NULL;
}
END_TEST

START_TEST(test_closed)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	h2_client.close(e.c, FAIL_NONE);
	ck_assert_int_eq(r->why, FAIL_RESET_BEFORE_HEAD);
	ev_turn(e.ev, 0);
	env_drain(&e);
	/* its last frame is GOAWAY NO_ERROR */
	ck_assert_uint_ge(e.out.n, 17);
	ck_assert_int_eq(e.out.p[e.out.n - 14], NGHTTP2_GOAWAY);
	e.out.n = 0;
}
END_TEST

START_TEST(test_protocol)
{
	static const char	frame[] = "\0\0\1\0\0\0\0\0\0x";
	struct req		*r;

	start();
	r = ask("GET", 0);
	turns(2);
	env_send(&e, str_make(frame, sizeof(frame) - 1), 0);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_SERVER_H2_PROTOCOL);
	ck_assert_ptr_null(e.c);
}
END_TEST

START_TEST(test_push)
{
	static const char	frame[] = "\0\0\5\5\4\0\0\0\1\0\0\0\2\x82";
	struct req		*r;

	start();
	r = ask("GET", 0);
	turns(2);
	env_send(&e, str_make(frame, sizeof(frame) - 1), 0);
	turns(3);
	ck_assert_int_eq(r->why, FAIL_SERVER_H2_PROTOCOL);
}
END_TEST

START_TEST(test_ping)
{
	struct req	*r;

	e.env.limits.ping_ms = 80;
	start();
	r = ask("GET", 0);
	turns(2);
	/* who is alive answers, however long it takes otherwise */
	for (uint64_t end = ev_clock_ns() + 400000000; ev_clock_ns() < end; )
		turn();
	ck_assert_uint_ge(notes[CODEC_PING], 2);
	ck_assert_ptr_nonnull(r->s);
	env_wait(&e, r->s == NULL);
	ck_assert_int_eq(r->why, FAIL_PING_TIMEOUT);
	ck_assert_ptr_null(e.c);
	e.out.n = 0;
}
END_TEST

static const struct {
	const char	*frame;
	size_t		 n;
	const char	*kind;
} floods[] = {
	{ "\0\0\0\4\0\0\0\0\0", 9, "settings_flood" },
	{ "\0\0\x8\6\0\0\0\0\0" "12345678", 17, "ping_flood" },
	{ "\0\0\5\2\0\0\0\0\1" "\0\0\0\0\1", 14, "priority_flood" },
	{ "\0\0\4\x8\0\0\0\0\0\0\0\0\1", 13, "window_flood" },
	{ "\0\0\0\xbb\0\0\0\0\0", 9, "stray_flood" },
};

START_TEST(test_flood)
{
	struct req	*r;

	start();
	r = ask("GET", 0);
	turns(2);
	for (int i = 0; i < 3000 && e.c != NULL && e.peer->open; i++)
		env_send(&e, str_make(floods[_i].frame, floods[_i].n), 0);
	ck_assert_int_eq(r->why, FAIL_SERVER_FLOOD);
	ck_assert_str_eq(r->what, floods[_i].kind);
	ck_assert_ptr_null(e.c);
	e.out.n = 0;
}
END_TEST

#define LOOP(t, a)	tcase_add_loop_test(tc, t, 0, sizeof(a) / sizeof(*(a)))

int
main(void)
{
	Suite	*s = suite_create("h2_client");
	TCase	*tc = tcase_create("h2_client");
	SRunner	*sr;
	int	 bad_ones;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_room);
	tcase_add_test(tc, test_unsent);
	LOOP(test_bad, bad);
	tcase_add_test(tc, test_interim);
	tcase_add_test(tc, test_interims);
	tcase_add_test(tc, test_head);
	tcase_add_loop_test(tc, test_bad_trailer, 0, 3);
	tcase_add_test(tc, test_stuck);
	tcase_add_test(tc, test_end_behind_answers);
	tcase_add_test(tc, test_unsent_behind_judged);
	tcase_add_test(tc, test_upload);
	tcase_add_test(tc, test_early);
	LOOP(test_reset, resets);
	tcase_add_test(tc, test_goaway);
	tcase_add_loop_test(tc, test_lost, 0, 2);
	tcase_add_test(tc, test_closed);
	tcase_add_test(tc, test_protocol);
	tcase_add_test(tc, test_push);
	tcase_add_test(tc, test_ping);
	LOOP(test_flood, floods);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	bad_ones = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad_ones == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
