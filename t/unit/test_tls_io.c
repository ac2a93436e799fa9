/*
 * TLS over socket pairs: the handshake, bytes of any size both ways with
 * little room, ends of all kinds, and how many calls it takes.
 */
#include "io/tls.h"

#include <sys/socket.h>

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include "base/must.h"
#include "base/rand.h"
#include "tls_env.h"

#define BIG	(3 << 20)

enum { SERVER, CLIENT };

static struct ev	*ev;
static struct tls_room	*room;
static SSL_CTX		*ctx[2];
static struct io	 io[2];
static struct io_ops	 ops[2];		/* of the socket, counting */
static const struct io_ops *real;
static unsigned		 nread[2], nwrite[2], nmore[2];
static unsigned		 what[2];		/* events since last asked */

/* --- what both sides are --- */

static unsigned
side_of(const struct io *p)
{
	return p == &io[SERVER] ? SERVER : CLIENT;
}

static enum io_rc
count_readv(struct io *p, const struct iovec *v, int n, size_t *got)
{
	nread[side_of(p)]++;
	return real->readv(p, v, n, got);
}

static enum io_rc
count_writev(struct io *p, const struct iovec *v, int n, unsigned flags,
    size_t *put)
{
	nwrite[side_of(p)]++;
	nmore[side_of(p)] += (flags & IO_MORE) != 0;
	return real->writev(p, v, n, flags, put);
}

static void
on_io(struct io *p, unsigned w)
{
	what[side_of(p)] |= w;
}

static void
open_sides(int version, int size, bool with_tls)
{
	struct err	e;
	int		fd[2];
	SSL		*ssl;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fd), 0);
	for (unsigned i = 0; i < 2; i++) {
		if (size > 0)
			ck_assert_int_eq(setsockopt(fd[i], SOL_SOCKET,
			    SO_SNDBUF, &size, sizeof(size)), 0);
		ck_assert_int_eq(io_sock_open(&io[i], ev, fd[i], IO_C_TRY,
		    on_io, &e), 0);
		real = io[i].ops;
		ops[i] = *real;
		ops[i].readv = count_readv;
		ops[i].writev = count_writev;
		io[i].ops = &ops[i];
		nread[i] = nwrite[i] = nmore[i] = what[i] = 0;
		SSL_CTX_set_max_proto_version(ctx[i], version);
		if (i == SERVER && !with_tls)
			continue;
		ssl = SSL_new(ctx[i]);
		if (i == SERVER)
			SSL_set_accept_state(ssl);
		else
			SSL_set_connect_state(ssl);
		tls_open(&io[i], room, ssl, STR_NONE);
	}
}

static void
set_up(void)
{
	struct err	e;

	signal(SIGPIPE, SIG_IGN);
	ev = ev_new(NULL, &e);
	ck_assert_ptr_nonnull(ev);
	room = tls_room_new();
	ctx[SERVER] = SSL_CTX_new(TLS_server_method());
	ctx[CLIENT] = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_num_tickets(ctx[SERVER], 1);
	SSL_CTX_set_session_cache_mode(ctx[SERVER], SSL_SESS_CACHE_OFF);
	tls_env_cert(ctx[SERVER]);
}

static void
tear_down(void)
{
	for (unsigned i = 0; i < 2; i++) {
		io_close(&io[i], false);
		SSL_CTX_free(ctx[i]);
	}
	tls_room_free(&room);
	ev_free(&ev);
}

/* One step of each side, then a turn of the loop. */
static void
shake_both(enum io_rc rc[2])
{
	rc[0] = rc[1] = IO_AGAIN;
	for (int i = 0; i < 20 && (rc[0] == IO_AGAIN || rc[1] == IO_AGAIN);
	    i++) {
		for (int s = 1; s >= 0; s--)
			if (rc[s] == IO_AGAIN)
				rc[s] = tls_shake(&io[s]);
		ev_turn(ev, 0);
	}
}

static void
connect_both(int version, int size)
{
	enum io_rc	rc[2];

	open_sides(version, size, true);
	shake_both(rc);
	ck_assert_int_eq(rc[SERVER], IO_OK);
	ck_assert_int_eq(rc[CLIENT], IO_OK);
	for (int i = 0; i < 2; i++) {
		/* what comes from here on is asked for by the test */
		ck_assert_int_eq(io_watch(&io[i]), 0);
	}
	ev_turn(ev, 0);
}

static void
say(unsigned side, const char *text)
{
	struct iovec	v = { (void *)(uintptr_t)text, strlen(text) };
	size_t		put;

	ck_assert_int_eq(io_writev(&io[side], &v, 1, 0, &put), IO_OK);
	ck_assert_uint_eq(put, v.iov_len);
}

static enum io_rc
hear(unsigned side, char *buf, size_t n, size_t *got)
{
	struct iovec	v = { buf, n };
	enum io_rc	rc = IO_AGAIN;

	for (int i = 0; i < 50 && rc == IO_AGAIN; i++) {
		ev_turn(ev, 0);
		rc = io_readv(&io[side], &v, 1, got);
	}
	return rc;
}

static void
expect(unsigned side, const char *text)
{
	char	buf[256];
	size_t	got;

	ck_assert_int_eq(hear(side, buf, sizeof(buf), &got), IO_OK);
	ck_assert_uint_eq(got, strlen(text));
	ck_assert_mem_eq(buf, text, got);
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* --- handshakes --- */

START_TEST(test_shake)
{
	connect_both(versions[_i], 0);
	ck_assert_int_eq(SSL_version(tls_ssl(&io[SERVER])), versions[_i]);
	ck_assert_uint_ne(io[SERVER].caps & IO_C_SECURE, 0);
	ck_assert_uint_eq(io[SERVER].caps & (IO_C_SPLICE | IO_C_SENDFILE),
	    0);
	say(CLIENT, "ping");
	expect(SERVER, "ping");
	say(SERVER, "pong");
	expect(CLIENT, "pong");
}
END_TEST

/*
 * A flight of the server is one write; the ticket of TLS 1.3 goes with
 * the first answer, or alone when there is none for a while.
 */
START_TEST(test_calls)
{
	open_sides(TLS1_3_VERSION, 0, true);
	ck_assert_int_eq(tls_shake(&io[CLIENT]), IO_AGAIN);
	ck_assert_uint_eq(nwrite[CLIENT], 1);
	ck_assert_int_eq(tls_shake(&io[SERVER]), IO_AGAIN);
	ck_assert_uint_eq(nread[SERVER], 1);
	ck_assert_uint_eq(nwrite[SERVER], 1);
	ev_turn(ev, 0);
	ck_assert_int_eq(tls_shake(&io[CLIENT]), IO_OK);
	/* the client's last flight goes with its request */
	ck_assert_uint_eq(nwrite[CLIENT], 1);
	say(CLIENT, "request");
	ck_assert_uint_eq(nwrite[CLIENT], 2);
	ev_turn(ev, 0);
	ck_assert_int_eq(tls_shake(&io[SERVER]), IO_OK);
	expect(SERVER, "request");
	ck_assert_uint_eq(nread[SERVER], 2);
	ev_turn(ev, 0);
	ck_assert_uint_eq(nwrite[SERVER], 1);
	if (_i == 0)
		say(SERVER, "answer");
	for (int i = 0; i < 50 && nwrite[SERVER] == 1; i++)
		ev_turn(ev, 100);
	ck_assert_uint_eq(nwrite[SERVER], 2);
	if (_i == 0)
		expect(CLIENT, "answer");
}
END_TEST

START_TEST(test_calls_together)
{
	struct iovec	v = { (char[]){ "answer" }, 6 };
	char		buf[64];
	size_t		n;
	struct iovec	in = { buf, sizeof(buf) };

	open_sides(TLS1_3_VERSION, 0, true);
	tls_shake(&io[CLIENT]);
	tls_shake(&io[SERVER]);
	ev_turn(ev, 0);
	ck_assert_int_eq(tls_shake(&io[CLIENT]), IO_OK);
	say(CLIENT, "request");
	ev_turn(ev, 0);
	/* in one turn, as a worker does it */
	ck_assert_int_eq(tls_shake(&io[SERVER]), IO_OK);
	ck_assert_int_eq(io_readv(&io[SERVER], &in, 1, &n), IO_OK);
	ck_assert_int_eq(io_writev(&io[SERVER], &v, 1, 0, &n), IO_OK);
	ck_assert_uint_eq(nwrite[SERVER], 2);
	ev_turn(ev, 0);
	ck_assert_uint_eq(nwrite[SERVER], 2);
	expect(CLIENT, "answer");
}
END_TEST

/* What was read before the layer was there counts. */
START_TEST(test_first)
{
	struct str	first;
	SSL		*ssl;

	open_sides(versions[_i], 0, false);
	ck_assert_int_eq(tls_shake(&io[CLIENT]), IO_AGAIN);
	ck_assert_int_eq(tls_first(room, &io[SERVER], &first), IO_OK);
	ck_assert_int_eq(first.p[0], 22);
	ssl = SSL_new(ctx[SERVER]);
	SSL_set_accept_state(ssl);
	tls_open(&io[SERVER], room, ssl, first);
	ck_assert_int_eq(tls_shake(&io[SERVER]), IO_AGAIN);
	ck_assert_uint_eq(nread[SERVER], 1);
	for (int i = 0; i < 4; i++) {
		ev_turn(ev, 0);
		tls_shake(&io[CLIENT]);
		if (i == 2)
			say(CLIENT, "x");
		ev_turn(ev, 0);
		if (tls_shake(&io[SERVER]) == IO_OK)
			break;
	}
	if (versions[_i] == TLS1_2_VERSION)
		return;
	say(SERVER, "up");
	expect(CLIENT, "up");
}
END_TEST

START_TEST(test_garbage)
{
	char		junk[] = "\x16\x03\x01\x00\x05hello and more";
	struct iovec	v = { junk, sizeof(junk) };
	char		buf[64];
	size_t		n;
	struct iovec	in = { buf, sizeof(buf) };
	enum io_rc	rc = IO_AGAIN;

	open_sides(TLS1_3_VERSION, 0, true);
	ck_assert_int_eq(real->writev(&io[CLIENT], &v, 1, 0, &n), IO_OK);
	for (int i = 0; i < 5 && rc == IO_AGAIN; i++) {
		rc = tls_shake(&io[SERVER]);
		ev_turn(ev, 0);
	}
	ck_assert_int_eq(rc, IO_ERR);
	ck_assert_uint_ne(tls_error(&io[SERVER])->code, 0);
	ck_assert_int_eq(tls_error(&io[SERVER])->alert, -1);
	/* the peer was told: an alert, fatal */
	ck_assert_int_eq(real->readv(&io[CLIENT], &in, 1, &n), IO_OK);
	ck_assert_uint_ge(n, 7);
	ck_assert_int_eq(buf[0], 21);
	ck_assert_int_eq(buf[5], 2);
	ck_assert_int_eq(tls_shake(&io[SERVER]), IO_ERR);
}
END_TEST

/* A client that trusts nobody says so, and the server hears what. */
START_TEST(test_alert)
{
	enum io_rc	rc[2];

	SSL_CTX_set_verify(ctx[CLIENT], SSL_VERIFY_PEER, NULL);
	open_sides(versions[_i], 0, true);
	shake_both(rc);
	ck_assert_int_eq(rc[CLIENT], IO_ERR);
	ck_assert_int_eq(rc[SERVER], IO_ERR);
	ck_assert_int_eq(tls_error(&io[SERVER])->alert,
	    SSL_AD_UNKNOWN_CA);
}
END_TEST

START_TEST(test_gone)
{
	enum io_rc	rc = IO_AGAIN;

	open_sides(TLS1_3_VERSION, 0, true);
	tls_shake(&io[CLIENT]);
	if (_i == 1)
		tls_shake(&io[SERVER]);
	io_close(&io[CLIENT], false);
	for (int i = 0; i < 5 && rc == IO_AGAIN; i++) {
		rc = tls_shake(&io[SERVER]);
		ev_turn(ev, 0);
	}
	ck_assert(rc == IO_EOF || (rc == IO_ERR && io[SERVER].error != 0));
}
END_TEST

/* --- bytes --- */

struct flow {
	unsigned	 from;
	char		*bytes;
	size_t		 put;
	size_t		 got;
	unsigned	 seed;
};

static size_t
next_size(struct flow *f, size_t most)
{
	static const size_t	sizes[] = { 1, 17, 1000, 5000, 16384, 16385,
				    33000, 70000, 200000 };
	size_t			n;

	f->seed = f->seed * 1103515245u + 12345u;
	n = sizes[(f->seed >> 16) % 9];
	return n < most ? n : most;
}

/* Offers some pieces; what was not taken is offered again, maybe more. */
static void
push(struct flow *f)
{
	struct iovec	v[3];
	size_t		at = f->put, put;
	int		n = 0;

	while (n < 3 && at < BIG) {
		v[n] = (struct iovec){ f->bytes + at, next_size(f,
		    BIG - at) };
		at += v[n++].iov_len;
	}
	if (n == 0 || !io_can(&io[f->from], IO_W))
		return;
	/* never less than what was offered before: it may be under way */
	v[n - 1].iov_len += BIG - at;
	ck_assert_int_ne(io_writev(&io[f->from], v, n, 0, &put), IO_ERR);
	f->put += put;
	ck_assert_uint_le(f->put, BIG);
}

static void
pull(struct flow *f)
{
	static char	buf[40000];
	unsigned	to = 1 - f->from;
	struct iovec	v[2];
	size_t		n = next_size(f, sizeof(buf) / 2), got;

	v[0] = (struct iovec){ buf, n };
	v[1] = (struct iovec){ buf + n, n };
	if (!io_can(&io[to], IO_R))
		return;
	ck_assert_int_ne(io_readv(&io[to], v, 2, &got), IO_ERR);
	ck_assert_uint_le(f->got + got, BIG);
	ck_assert_mem_eq(buf, f->bytes + f->got, got);
	f->got += got;
}

/* All comes, in order, whatever the sizes; without events nothing hangs. */
START_TEST(test_bytes)
{
	struct flow	f[2] = { { .from = 0, .seed = (unsigned)_i },
			    { .from = 1, .seed = (unsigned)_i + 7 } };
	struct rand	r;
	unsigned	quiet = 0;

	rand_seed(&r);
	for (int i = 0; i < 2; i++) {
		f[i].bytes = must_alloc(BIG);
		for (size_t k = 0; k < BIG; k += 8)
			memcpy(f[i].bytes + k, &(uint64_t){ rand_next(&r) },
			    8);
	}
	connect_both(versions[_i % 2], _i < 4 ? 4096 : 0);
	while ((f[0].got < BIG || f[1].got < BIG) && quiet < 1000) {
		size_t	before = f[0].got + f[1].got + f[0].put + f[1].put;

		for (int i = 0; i < 2; i++) {
			push(&f[i]);
			pull(&f[i]);
		}
		ev_turn(ev, 0);
		quiet = before == f[0].got + f[1].got + f[0].put +
		    f[1].put ? quiet + 1 : 0;
	}
	ck_assert_uint_eq(f[0].got, BIG);
	ck_assert_uint_eq(f[1].got, BIG);
	ck_assert_uint_eq(io_unsent(&io[0]), 0);
	free(f[0].bytes);
	free(f[1].bytes);
}
END_TEST

/* Several records leave in one call, and are read with one. */
START_TEST(test_gather)
{
	static char	out[60000], in[60000];
	struct iovec	v[3] = { { out, 100 }, { out + 100, 30000 },
			    { out + 30100, 29900 } };
	struct iovec	w = { in, sizeof(in) };
	size_t		n, sum = 0;
	unsigned	writes;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + i / 251);
	connect_both(TLS1_3_VERSION, 1 << 20);
	writes = nwrite[SERVER];
	ck_assert_int_eq(io_writev(&io[SERVER], v, 3, 0, &n), IO_OK);
	ck_assert_uint_eq(n, sizeof(out));
	ck_assert_uint_eq(nwrite[SERVER], writes + 1);
	ev_turn(ev, 0);
	while (sum < sizeof(in)) {
		w = (struct iovec){ in + sum, sizeof(in) - sum };
		ck_assert_int_eq(io_readv(&io[CLIENT], &w, 1, &n), IO_OK);
		sum += n;
	}
	ck_assert_mem_eq(in, out, sizeof(in));
}
END_TEST

/* What OpenSSL holds is to be read without an event. */
START_TEST(test_pending)
{
	char	buf[16];
	size_t	n;

	connect_both(versions[_i], 0);
	say(CLIENT, "0123456789");
	say(CLIENT, "abcdef");
	ck_assert_int_eq(hear(SERVER, buf, 4, &n), IO_OK);
	ck_assert_uint_eq(n, 4);
	ck_assert(io_can(&io[SERVER], IO_R));
	for (int i = 0; i < 3; i++)
		ev_turn(ev, 0);
	ck_assert(io_can(&io[SERVER], IO_R));
	ck_assert_int_eq(hear(SERVER, buf, 16, &n), IO_OK);
	ck_assert_uint_eq(n, 12);
	ck_assert_mem_eq(buf, "456789abcdef", 12);
	ck_assert(!io_can(&io[SERVER], IO_R));
	/* exactly all, and no call that finds nothing */
	say(CLIENT, "0123456789abcdef");
	ck_assert_int_eq(hear(SERVER, buf, 16, &n), IO_OK);
	ck_assert_uint_eq(n, 16);
	ck_assert(!io_can(&io[SERVER], IO_R));
}
END_TEST

/* A record that is not sent is not told as written; a close tells it. */
START_TEST(test_stall)
{
	static char	out[200000];
	struct iovec	v = { out, sizeof(out) };
	char		buf[4096];
	size_t		n, sum = 0, got;
	enum io_rc	rc;

	connect_both(TLS1_3_VERSION, 4096);
	while ((rc = io_writev(&io[SERVER], &v, 1, 0, &n)) == IO_OK) {
		v.iov_base = (char *)v.iov_base + n;
		v.iov_len -= n;
		sum += n;
	}
	ck_assert_int_eq(rc, IO_AGAIN);
	ck_assert_uint_lt(sum, sizeof(out));
	ck_assert_uint_gt(io_unsent(&io[SERVER]), 0);
	ck_assert(!io_can(&io[SERVER], IO_W));
	io_close(&io[SERVER], false);
	while ((rc = hear(CLIENT, buf, sizeof(buf), &got)) == IO_OK)
		sum -= got < sum ? got : sum;
	/* cut within a record: no end that one could take for one */
	ck_assert_int_eq(rc, IO_ERR);
}
END_TEST

/* --- ends --- */

START_TEST(test_end)
{
	char	buf[16];
	size_t	n;

	connect_both(versions[_i], 0);
	say(CLIENT, "bye");
	ck_assert_int_eq(io_shutdown(&io[CLIENT]), IO_OK);
	expect(SERVER, "bye");
	ck_assert_int_eq(hear(SERVER, buf, 16, &n), IO_EOF);
	ck_assert_int_eq(hear(SERVER, buf, 16, &n), IO_EOF);
	/* the other direction goes on */
	say(SERVER, "still here");
	expect(CLIENT, "still here");
	io_close(&io[SERVER], false);
	ck_assert_int_eq(hear(CLIENT, buf, 16, &n), IO_EOF);
}
END_TEST

/* An end without a word: a client has gone, a server's answer is cut. */
START_TEST(test_cut)
{
	unsigned	who = _i % 2 == 0 ? CLIENT : SERVER;
	char		buf[16];
	size_t		n;

	connect_both(versions[_i / 2], 0);
	say(who, "part");
	ck_assert_int_eq(shutdown(io_fd(&io[who]), SHUT_WR), 0);
	expect(1 - who, "part");
	ck_assert_int_eq(hear(1 - who, buf, 16, &n),
	    who == CLIENT ? IO_EOF : IO_ERR);
	if (who == SERVER)
		ck_assert_int_eq(io[CLIENT].error, ECONNRESET);
}
END_TEST

/* What the other side said before it went is read, with its end. */
START_TEST(test_last_words)
{
	char		buf[16];
	struct iovec	v = { buf, sizeof(buf) };
	size_t		n;

	connect_both(versions[_i / 2], 0);
	say(SERVER, "last words");
	io_close(&io[SERVER], _i % 2 == 1);
	memset(buf, 'q', sizeof(buf));
	ck_assert_int_eq(io_writev(&io[CLIENT], &v, 1, 0, &n), IO_ERR);
	expect(CLIENT, "last words");
	ck_assert_int_eq(hear(CLIENT, buf, 16, &n), _i % 2 == 1 ? IO_ERR :
	    IO_EOF);
	ck_assert_int_eq(io_writev(&io[CLIENT], &v, 1, 0, &n), IO_ERR);
}
END_TEST

START_TEST(test_reset)
{
	char	buf[16];
	size_t	n;

	connect_both(versions[_i], 0);
	io_close(&io[CLIENT], true);
	ck_assert_int_ne(hear(SERVER, buf, 16, &n), IO_OK);
}
END_TEST

START_TEST(test_broken_record)
{
	char		junk[] = "\x17\x03\x03\x00\x20"
	    "0123456789abcdef0123456789abcdef";
	struct iovec	v = { junk, sizeof(junk) - 1 };
	char		buf[16];
	size_t		n;

	connect_both(versions[_i], 0);
	say(CLIENT, "good");
	ck_assert_int_eq(real->writev(&io[CLIENT], &v, 1, 0, &n), IO_OK);
	expect(SERVER, "good");
	ck_assert_int_eq(hear(SERVER, buf, 16, &n), IO_ERR);
	ck_assert_int_eq(io[SERVER].error, EPROTO);
}
END_TEST

/* An idle connection is quiet whatever the other side's tickets. */
START_TEST(test_quiet)
{
	connect_both(versions[_i], 0);
	ck_assert(io_is_quiet(&io[CLIENT]));
	say(SERVER, "x");
	ev_turn(ev, 0);
	ck_assert(!io_is_quiet(&io[CLIENT]));
	expect(CLIENT, "x");
	ck_assert(io_is_quiet(&io[CLIENT]));
	ck_assert_int_eq(io_shutdown(&io[SERVER]), IO_OK);
	ck_assert(!io_is_quiet(&io[CLIENT]));
}
END_TEST

/* Renegotiation is refused, however often it is asked for. */
START_TEST(test_renegotiation)
{
	char	buf[16];
	size_t	n;

	connect_both(TLS1_2_VERSION, 0);
	SSL_clear_options(tls_ssl(&io[CLIENT]), SSL_OP_NO_RENEGOTIATION);
	ck_assert_int_eq(SSL_renegotiate(tls_ssl(&io[CLIENT])), 1);
	SSL_do_handshake(tls_ssl(&io[CLIENT]));
	ERR_clear_error();
	ev_turn(ev, 0);
	ck_assert_int_ne(hear(SERVER, buf, 16, &n), IO_OK);
	ck_assert_int_ne(hear(CLIENT, buf, 16, &n), IO_OK);
}
END_TEST

/* What answers a wish for that leaves at once: the room is for others. */
START_TEST(test_quiet_answers)
{
	SSL		*ssl;
	unsigned	 n;

	connect_both(TLS1_2_VERSION, 0);
	ssl = tls_ssl(&io[SERVER]);
	SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
	ck_assert_int_eq(SSL_renegotiate(ssl), 1);
	ck_assert_int_eq(tls_shake(&io[SERVER]), IO_OK);
	ev_turn(ev, 0);
	n = nwrite[CLIENT];
	ck_assert(io_is_quiet(&io[CLIENT]));
	ck_assert_uint_eq(nwrite[CLIENT], n + 1);
}
END_TEST

/* Its keys anew, so often. */
static void
update_keys(unsigned side, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		ck_assert_int_eq(SSL_key_update(tls_ssl(&io[side]),
		    SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		ck_assert_int_eq(SSL_do_handshake(tls_ssl(&io[side])), 1);
	}
	/* which sends them */
	ck_assert(io_is_quiet(&io[side]));
	ev_turn(ev, 0);
}

/* Without data they have an end; with it they may go on for ever. */
START_TEST(test_key_updates)
{
	static char	kib[1024];
	struct iovec	v = { kib, sizeof(kib) };
	char		buf[2048];
	size_t		n;

	connect_both(TLS1_3_VERSION, 0);
	for (int i = 0; i < 400; i++) {
		update_keys(_i, 1);
		ck_assert_int_eq(io_writev(&io[_i], &v, 1, 0, &n), IO_OK);
		ck_assert_int_eq(hear(1 - _i, buf, sizeof(buf), &n), IO_OK);
		ck_assert_uint_eq(n, sizeof(kib));
	}
	update_keys(_i, 60);
	ck_assert_int_eq(hear(1 - _i, buf, sizeof(buf), &n), IO_AGAIN);
	say(_i, "still here");
	expect(1 - _i, "still here");
	update_keys(_i, 8);
	update_keys(_i, 1);
	ck_assert_int_eq(hear(1 - _i, buf, sizeof(buf), &n), IO_ERR);
	ck_assert_int_eq(ERR_GET_REASON(tls_error(&io[1 - _i])->code),
	    SSL_R_TOO_MANY_KEY_UPDATES);
}
END_TEST

/* Many records of a byte are a lot of work: they are for several turns. */
START_TEST(test_turns)
{
	static char	buf[16384];
	struct iovec	in = { buf, sizeof(buf) };
	size_t		n, sum = 0, most = 0;
	unsigned	turns = 0;
	enum io_rc	rc;

	connect_both(versions[_i], 0);
	for (int i = 1; i <= 5000; i++) {
		ck_assert_int_eq(SSL_write_ex(tls_ssl(&io[CLIENT]), "x", 1,
		    &n), 1);
		/* many leave in one call, or they would not fit */
		if (i % 1000 == 0)
			ck_assert(io_is_quiet(&io[CLIENT]));
	}
	ev_turn(ev, 0);
	while (sum < 5000 && turns++ < 50) {
		ck_assert(what[SERVER] & IO_R);
		what[SERVER] = 0;
		n = 0;
		while ((rc = io_readv(&io[SERVER], &in, 1, &n)) == IO_OK) {
			most = n > most ? n : most;
			sum += n;
		}
		ck_assert_int_eq(rc, IO_AGAIN);
		ev_turn(ev, 0);
		ev_turn(ev, 0);
	}
	ck_assert_uint_eq(sum, 5000);
	ck_assert_uint_le(most, 2048);
	ck_assert_uint_ge(turns, 3);
	/* nothing is told any more */
	what[SERVER] = 0;
	ev_turn(ev, 0);
	ev_turn(ev, 0);
	ck_assert_uint_eq(what[SERVER], 0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("tls_io");
	TCase	*t = tcase_create("all");
	SRunner	*r;
	int	 bad;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, test_shake, 0, 2);
	tcase_add_loop_test(t, test_calls, 0, 2);
	tcase_add_test(t, test_calls_together);
	tcase_add_loop_test(t, test_first, 0, 2);
	tcase_add_test(t, test_garbage);
	tcase_add_loop_test(t, test_alert, 0, 2);
	tcase_add_loop_test(t, test_gone, 0, 2);
	tcase_add_loop_test(t, test_bytes, 0, 8);
	tcase_add_test(t, test_gather);
	tcase_add_loop_test(t, test_pending, 0, 2);
	tcase_add_test(t, test_stall);
	tcase_add_loop_test(t, test_end, 0, 2);
	tcase_add_loop_test(t, test_cut, 0, 4);
	tcase_add_loop_test(t, test_last_words, 0, 4);
	tcase_add_loop_test(t, test_reset, 0, 2);
	tcase_add_loop_test(t, test_broken_record, 0, 2);
	tcase_add_loop_test(t, test_quiet, 0, 2);
	tcase_add_test(t, test_renegotiation);
	tcase_add_test(t, test_quiet_answers);
	tcase_add_loop_test(t, test_key_updates, 0, 2);
	tcase_add_loop_test(t, test_turns, 0, 2);
	tcase_set_timeout(t, 30);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad == 0 ? 0 : 1;
}
