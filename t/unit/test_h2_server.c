/*
 * The server side of HTTP/2 against a scripted floor above, with nghttp2's
 * client at the other end of a pipe in memory: credit and windows both
 * ways, one write for a turn, streams that stand still, ends with reasons.
 */
#include "h1_env.h"

#include <nghttp2/nghttp2.h>

#include "tls_env.h"

#define MAX	128

/* a request as the floor above sees it */
struct req {
	struct stream	*s;		/* NULL once closed */
	struct h1_tank	 tank;
	struct h1_tap	 tap;
	struct msg	 res;
	bool		 joined;
	bool		 lasted;
	enum fail	 why;
};

/* an answer as the client sees it */
struct got {
	unsigned	 status;
	uint64_t	 bytes;
	bool		 end;
	bool		 closed;
	uint32_t	 code;
};

static struct h1_env		 e;
static struct req		 reqs[MAX];
static struct got		 gots[2 * MAX];	/* by number of stream */
static unsigned			 nreq, nclosed;
static nghttp2_session		*client;
static struct io_ops		 counting;
static const struct io_ops	*plain;
static unsigned			 writes;
static uint64_t			 given;		/* of the upload */
static bool			 no_credit;
static struct tls_room		*room;
static SSL_CTX			*tls_ctx[2];

/* --- above --- */

static void
on_request(struct stream *s)
{
	struct req	*r = &reqs[nreq++];

	ck_assert_uint_le(nreq, MAX);
	*r = (struct req){ .s = s };
	tank_init(&r->tank, &e.log, "in");
	if (no_credit) {
		r->tank.sink.credit = 0;
		r->tank.keep = true;
	}
	r->tap.src.ops = &tap_ops;
	waist_join(&r->tap.src, &s->out);
	if (s->head->body != BODY_NONE && s->fail == FAIL_NONE) {
		waist_join(&s->in, &r->tank.sink);
		r->joined = true;
	}
}

static struct req *
find(const struct stream *s)
{
	for (unsigned i = 0; i < nreq; i++)
		if (reqs[i].s == s)
			return &reqs[i];
	ck_abort_msg("a stream that nobody knows");
	return NULL;
}

static void
on_last(struct stream *s)
{
	ck_assert(!find(s)->lasted);
	find(s)->lasted = true;
}

static void
on_closed(struct stream *s, enum fail why)
{
	struct req	*r = find(s);

	r->why = why;
	r->s = NULL;
	nclosed++;
	ck_assert(why != FAIL_NONE || r->lasted);
}

static const struct stream_up up = { on_request, on_last, on_closed };

/* --- the client --- */

static enum io_rc
count_writev(struct io *io, const struct iovec *v, int n, unsigned flags,
    size_t *put)
{
	writes++;
	return plain->writev(io, v, n, flags, put);
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *n,
    size_t nn, const uint8_t *v, size_t nv, uint8_t flags, void *ctx)
{
	(void)ng, (void)flags, (void)ctx;
	if (str_eq(str_make((const char *)n, nn), STR(":status")))
		gots[f->hd.stream_id].status =
		    (unsigned)atoi((const char *)v);
	(void)nv;
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
	(void)ng, (void)ctx;
	if ((f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) &&
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		gots[f->hd.stream_id].end = true;
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

/* An upload that does not end. */
static ssize_t
give(nghttp2_session *ng, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
    nghttp2_data_source *src, void *ctx)
{
	(void)ng, (void)id, (void)flags, (void)src, (void)ctx;
	memset(p, 'u', n);
	given += n;
	return (ssize_t)n;
}

static void
make_client(bool auto_window)
{
	nghttp2_session_callbacks	*cb;
	nghttp2_option			*o;

	nghttp2_session_callbacks_new(&cb);
	nghttp2_option_new(&o);
	nghttp2_option_set_no_auto_window_update(o, !auto_window);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb,
	    on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	ck_assert_int_eq(nghttp2_session_client_new2(&client, cb, NULL, o),
	    0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(o);
	nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, NULL, 0);
}

/* What the client has to say goes out; what came is told it. */
static void
turn(void)
{
	const uint8_t	*p;
	ssize_t		 n;

	while (e.peer->open && (n = nghttp2_session_mem_send(client,
	    &p)) > 0)
		env_send(&e, str_make((const char *)p, (size_t)n), 0);
	ev_turn(e.ev, 0);
	env_drain(&e);
	n = nghttp2_session_mem_recv(client, (const uint8_t *)e.out.p,
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
init(void)
{
	env_init(&e);
	e.env.up = &up;
	e.env.limits.streams = 100;
	e.env.date = "Thu, 01 Jan 1970 00:00:00 GMT";
	nreq = nclosed = writes = 0;
	given = 0;
	no_credit = false;
	memset(gots, 0, sizeof(gots));
}

/* Of the transport: below TLS. */
static void
count_writes(void)
{
	plain = e.io->ops;
	counting = *plain;
	counting.writev = count_writev;
	e.io->ops = &counting;
}

static void
open_server(void)
{
	e.c = h2_server.open(e.io, &e.env, &e);
}

static void
setup(void)
{
	init();
	env_pipe(&e, 1 << 20);
	count_writes();
	open_server();
}

/* The same over TLS, on a pair of sockets. */
static void
setup_tls(void)
{
	init();
	room = tls_room_new();
	tls_ctx[0] = SSL_CTX_new(TLS_server_method());
	tls_ctx[1] = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(tls_ctx[0], SSL_SESS_CACHE_OFF);
	tls_env_cert(tls_ctx[0]);
	env_sockets(&e, IO_C_TRY);
	e.io->on = env_on_peer;
	count_writes();
	tls_env_open(e.ev, room, e.io, tls_ctx[0], e.peer, tls_ctx[1]);
	ck_assert_int_eq(io_watch(e.peer), 0);
	open_server();
}

static void
start(bool auto_window)
{
	make_client(auto_window);
	turns(4);
	writes = 0;
}

static void
teardown(void)
{
	if (e.c != NULL)
		h2_server.close(e.c, FAIL_CLIENT_GONE);
	ck_assert_uint_eq(e.ngone, 1);
	ck_assert_uint_eq(nclosed, nreq);
	for (unsigned i = 0; i < nreq; i++)
		text_fini(&reqs[i].tank.got);
	nghttp2_session_del(client);
	env_fini(&e);
}

#define NV(n, v) { (uint8_t *)(uintptr_t)n, (uint8_t *)(uintptr_t)v,	\
	sizeof(n) - 1, sizeof(v) - 1, NGHTTP2_NV_FLAG_NONE }

static int32_t
ask(bool upload)
{
	nghttp2_nv		nv[] = { NV(":method", "POST"),
	    NV(":scheme", "http"), NV(":authority", "a"), NV(":path", "/") };
	nghttp2_data_provider	body = { .read_callback = give };

	return nghttp2_submit_request(client, NULL, nv, 4,
	    upload ? &body : NULL, NULL);
}

static void
head(struct req *r, int64_t body, unsigned flags)
{
	r->res = (struct msg){ .status = 200, .body = body, .minor = 1 };
	r->s->out.ops->head(&r->s->out, &r->res, flags);
}

static enum flow
data(struct req *r, size_t n, unsigned flags)
{
	static char	text[1 << 16];
	struct chunk	c = { .kind = CHUNK_CONST, .n = n };

	ck_assert_uint_le(n, sizeof(text));
	c.u.mem.p = text;
	return r->s->out.ops->data(&r->s->out, c, flags);
}

/* --- cases --- */

/* A turn's answers, heads and bodies, are one call of the transport. */
START_TEST(test_one_write)
{
	start(true);
	for (int i = 0; i < 32; i++)
		ask(false);
	turns(3);
	ck_assert_uint_eq(nreq, 32);
	writes = 0;
	for (unsigned i = 0; i < 32; i++) {
		head(&reqs[i], 1024, 0);
		data(&reqs[i], 1024, WAIST_END);
	}
	turns(1);
	ck_assert_uint_eq(writes, 1);
	ck_assert_uint_eq(nclosed, 32);
	turns(1);
	for (int id = 1; id < 64; id += 2)
		ck_assert(gots[id].end && gots[id].bytes == 1024 &&
		    gots[id].status == 200);
}
END_TEST

/* Nobody takes the upload: a window's worth is held, then no more comes. */
START_TEST(test_upload_credit)
{
	struct source	*in;

	no_credit = true;
	start(true);
	ask(true);
	turns(20);
	ck_assert_uint_eq(nreq, 1);
	ck_assert_uint_eq(given, 65536);
	ck_assert_uint_eq(reqs[0].tank.got.n, 0);
	/* a little room gives a little back */
	in = &reqs[0].s->in;
	reqs[0].tank.sink.credit = 40000;
	in->ops->room(in);
	turns(20);
	ck_assert_uint_eq(reqs[0].tank.got.n, 40000);
	ck_assert_uint_ge(given, 65536 + 32768);
	ck_assert_uint_le(given, 65536 + 40000);
	/* dropped as it comes */
	in->ops->stop(in, FAIL_NONE);
	turns(20);
	ck_assert_uint_gt(given, 200000);
}
END_TEST

/* A stream has so much credit; it is given back as frames leave. */
START_TEST(test_download_credit)
{
	struct req	*r = &reqs[0];
	int64_t		 credit;
	unsigned	 n = 0;

	start(false);
	ask(false);
	turns(3);
	head(r, BODY_UNKNOWN, 0);
	while (r->s->out.credit > 0 && n++ < 100)
		data(r, 16384, 0);
	ck_assert_uint_lt(n, 100);
	turns(3);
	ck_assert_uint_eq(gots[1].bytes, 65535);
	while (r->s->out.credit > 0 && n++ < 200)
		data(r, 16384, 0);
	turns(3);
	ck_assert_uint_eq(gots[1].bytes, 65535);
	ck_assert_uint_lt(n, 200);
	credit = r->s->out.credit;
	ck_assert_int_le(credit, 0);
	/* room is told once, when half of it is there */
	n = r->tap.rooms;
	nghttp2_session_consume(client, 1, 65535);
	nghttp2_submit_window_update(client, NGHTTP2_FLAG_NONE, 1, 1 << 20);
	nghttp2_submit_window_update(client, NGHTTP2_FLAG_NONE, 0, 1 << 20);
	turns(8);
	ck_assert_uint_eq(r->tap.rooms, n + 1);
	ck_assert_int_gt(r->s->out.credit, 0);
	r->s->out.ops->end(&r->s->out);
	turns(3);
	ck_assert(gots[1].end && nclosed == 1 && r->why == FAIL_NONE);
}
END_TEST

/* As others end each may have more: who was full is told so none the less. */
START_TEST(test_download_grows)
{
	int32_t	id;

	start(false);
	nghttp2_session_set_local_window_size(client, NGHTTP2_FLAG_NONE, 0,
	    1 << 20);
	for (int i = 0; i < 6; i++) {
		id = ask(false);
		turns(2);
		nghttp2_session_set_local_window_size(client,
		    NGHTTP2_FLAG_NONE, id, 1 << 20);
	}
	turns(3);
	for (unsigned i = 0; i < 6; i++)
		head(&reqs[i], BODY_UNKNOWN, 0);
	turns(3);
	while (data(&reqs[5], 16384, 0) == FLOW_MORE)
		;
	data(&reqs[0], 100, WAIST_END);
	data(&reqs[1], 100, WAIST_END);
	turns(5);
	ck_assert_uint_eq(nclosed, 2);
	ck_assert_uint_eq(gots[11].bytes, 65536);
	ck_assert_uint_eq(reqs[5].tap.rooms, 1);
	ck_assert_int_gt(reqs[5].s->out.credit, 65536);
}
END_TEST

/* Siblings of a stream that have answers, and those the client has whole. */
static unsigned
count_ends(unsigned stuck)
{
	unsigned	n = 0;

	for (int id = stuck ? 3 : 1; id < 2 * MAX; id += 2)
		n += gots[id].end;
	return n;
}

/*
 * One of 8 MB whose client takes none of it: all that a window lets out is
 * out, and the codec holds all that it takes.
 */
static void
make_stuck(void)
{
	unsigned	n = 0;

	ask(false);
	turns(3);
	ck_assert_uint_eq(nreq, 1);
	head(&reqs[0], 8 << 20, 0);
	while (reqs[0].s->out.credit > 0) {
		ck_assert_uint_lt(n++, 128);
		data(&reqs[0], 65536, 0);
	}
	turns(6);
	ck_assert_uint_eq(gots[1].bytes, 65535);
}

/*
 * Turns that 99 requests need, beside a stream that stands still or not;
 * in *waits, how many turns an answer that was ready was not all sent.
 */
static unsigned
count_turns(bool stuck, unsigned *waits)
{
	unsigned	n = 0, told = 0;

	start(false);
	*waits = 0;
	nghttp2_session_set_local_window_size(client, NGHTTP2_FLAG_NONE, 0,
	    16 << 20);
	turns(2);
	if (stuck)
		make_stuck();
	for (int i = 0; i < 99; i++)
		ask(false);
	while (count_ends(stuck) < 99) {
		ck_assert_uint_lt(++n, 100);
		for (unsigned i = told + stuck; i < nreq; i++, told++) {
			head(&reqs[i], 1024, 0);
			data(&reqs[i], 1024, WAIST_END);
		}
		/* what was told just now leaves in this turn */
		turn();
		*waits += nclosed < told;
	}
	if (stuck)
		ck_assert(!gots[1].end && reqs[0].s != NULL);
	return n;
}

START_TEST(test_stuck)
{
	unsigned	alone, waits;

	alone = count_turns(false, &waits);
	ck_assert_uint_eq(waits, 0);
	teardown();
	setup();
	ck_assert_uint_eq(count_turns(true, &waits), alone);
	ck_assert_uint_eq(waits, 0);
}
END_TEST

static void
teardown_tls(void)
{
	io_close(e.peer, false);
	teardown();
	tls_room_free(&room);
	SSL_CTX_free(tls_ctx[0]);
	SSL_CTX_free(tls_ctx[1]);
}

START_TEST(test_stuck_tls)
{
	unsigned	alone, waits;

	alone = count_turns(false, &waits);
	ck_assert_uint_eq(waits, 0);
	teardown_tls();
	setup_tls();
	ck_assert_uint_eq(count_turns(true, &waits), alone);
	ck_assert_uint_eq(waits, 0);
}
END_TEST

/* All of a turn is whole records in one call, of TLS as well. */
START_TEST(test_one_write_tls)
{
	start(true);
	for (int i = 0; i < 32; i++)
		ask(false);
	turns(3);
	ck_assert_uint_eq(nreq, 32);
	writes = 0;
	for (unsigned i = 0; i < 32; i++) {
		head(&reqs[i], 1024, 0);
		data(&reqs[i], 1024, WAIST_END);
	}
	turns(1);
	ck_assert_uint_eq(writes, 1);
	ck_assert_uint_eq(nclosed, 32);
}
END_TEST

/* --- ends --- */

START_TEST(test_abort)
{
	start(true);
	ask(false);
	ask(false);
	turns(3);
	head(&reqs[0], 100, 0);
	data(&reqs[0], 10, 0);
	turns(2);
	reqs[0].s->out.ops->abort(&reqs[0].s->out, FAIL_BETWEEN_TIMEOUT);
	turns(3);
	ck_assert(gots[1].closed && !gots[1].end);
	ck_assert_uint_eq(gots[1].code, NGHTTP2_INTERNAL_ERROR);
	ck_assert_int_eq(reqs[0].why, FAIL_BETWEEN_TIMEOUT);
	head(&reqs[1], 0, WAIST_END);
	turns(2);
	ck_assert(gots[3].end && gots[3].code == 0);
}
END_TEST

/* Neither more nor less than was announced passes for whole. */
START_TEST(test_wrong_length)
{
	start(true);
	ask(false);
	ask(false);
	turns(3);
	head(&reqs[0], 100, 0);
	data(&reqs[0], 10, WAIST_END);
	head(&reqs[1], 10, 0);
	data(&reqs[1], 11, WAIST_END);
	turns(3);
	for (int id = 1; id < 4; id += 2) {
		ck_assert(gots[id].closed && !gots[id].end);
		ck_assert_uint_eq(gots[id].code, NGHTTP2_INTERNAL_ERROR);
	}
}
END_TEST

START_TEST(test_client_reset)
{
	start(true);
	ask(true);
	turns(3);
	head(&reqs[0], BODY_UNKNOWN, 0);
	data(&reqs[0], 10, 0);
	turns(2);
	nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, 1,
	    NGHTTP2_CANCEL);
	turns(2);
	ck_assert_int_eq(reqs[0].why, FAIL_CLIENT_RESET);
	ck_assert_int_eq(reqs[0].tank.why, FAIL_CLIENT_RESET);
	ck_assert_uint_eq(reqs[0].tap.stops, 1);
}
END_TEST

/* The answer is whole before the request is: it has a moment, no more. */
START_TEST(test_early_answer)
{
	uint64_t	before;

	start(true);
	ask(true);
	turns(3);
	head(&reqs[0], 5, 0);
	data(&reqs[0], 5, WAIST_END);
	turns(2);
	ck_assert(gots[1].end && nclosed == 1);
	ck_assert_int_eq(reqs[0].why, FAIL_NONE);
	ck_assert_int_eq(reqs[0].tank.why, FAIL_BODY_CUT);
	turns(200);
	before = given;
	ck_assert_uint_le(before, 2 << 20);
	turns(50);
	ck_assert_uint_eq(given, before);
	env_wait(&e, (turn(), gots[1].closed));
	ck_assert_uint_eq(gots[1].code, NGHTTP2_NO_ERROR);
}
END_TEST

START_TEST(test_drain)
{
	start(true);
	ask(false);
	turns(3);
	h2_server.drain(e.c, false);
	turns(3);
	ck_assert_ptr_nonnull(e.c);
	head(&reqs[0], 0, WAIST_END);
	turns(4);
	ck_assert(gots[1].end);
	ck_assert(e.eof);
	io_close(e.peer, false);
	env_wait(&e, e.c == NULL);
	ck_assert_int_eq(e.gone_why, FAIL_NONE);
}
END_TEST

/* What has begun ends, what comes then may be asked elsewhere. */
START_TEST(test_drain_now)
{
	start(true);
	if (_i > 0)
		ask(false);
	turns(3);
	h2_server.drain(e.c, true);
	if (_i > 0) {
		ask(false);
		turns(3);
		ck_assert_ptr_nonnull(e.c);
		ck_assert_uint_eq(nreq, 1);
		head(&reqs[0], 0, WAIST_END);
		turns(4);
		ck_assert(gots[1].end && !gots[3].end);
	}
	env_wait(&e, (turn(), e.eof));
	io_close(e.peer, false);
	env_wait(&e, e.c == NULL);
	ck_assert_int_eq(e.gone_why, FAIL_NONE);
}
END_TEST

START_TEST(test_closed_with_streams)
{
	start(true);
	ask(true);
	ask(false);
	turns(3);
	head(&reqs[1], BODY_UNKNOWN, 0);
	data(&reqs[1], 16384, 0);
	h2_server.close(e.c, FAIL_DRAINING);
	turns(2);
	ck_assert_uint_eq(nclosed, 2);
	ck_assert_int_eq(reqs[0].why, FAIL_DRAINING);
	/* not by the end of the connection alone */
	ck_assert(gots[1].closed && gots[3].closed);
	ck_assert_uint_eq(gots[1].code, NGHTTP2_CANCEL);
	ck_assert_uint_eq(gots[3].code, NGHTTP2_CANCEL);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("h2_server");
	TCase	*t = tcase_create("server");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_one_write);
	tcase_add_test(t, test_upload_credit);
	tcase_add_test(t, test_download_credit);
	tcase_add_test(t, test_download_grows);
	tcase_add_test(t, test_stuck);
	tcase_add_test(t, test_abort);
	tcase_add_test(t, test_wrong_length);
	tcase_add_test(t, test_client_reset);
	tcase_add_test(t, test_early_answer);
	tcase_add_test(t, test_drain);
	tcase_add_loop_test(t, test_drain_now, 0, 2);
	tcase_add_test(t, test_closed_with_streams);
	suite_add_tcase(s, t);
	t = tcase_create("tls");
	tcase_add_checked_fixture(t, setup_tls, teardown_tls);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_stuck_tls);
	tcase_add_test(t, test_one_write_tls);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
