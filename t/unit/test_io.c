/*
 * Transports: pipes in memory and sockets behave alike; what a short
 * read, an end and a reset look like; a connect's outcome.
 */
#include "io/io.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

static struct ev	*ev;
static struct io_mem	*mem;
static struct io	 sock[2];
static struct io	*a, *b;
static unsigned		 told_a, told_b;

static void
on(struct io *io, unsigned what)
{
	*(io == a ? &told_a : &told_b) |= what;
}

/* kind 0: memory, 1: sockets watched from the start, 2: tried first */
static void
begin(int kind)
{
	int	fd[2];

	ev = ev_new(NULL, NULL);
	told_a = told_b = 0;
	if (kind == 0) {
		mem = io_mem_new(ev, 4096);
		a = io_mem_end(mem, 0, on);
		b = io_mem_end(mem, 1, on);
		return;
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fd), 0);
	a = &sock[0];
	b = &sock[1];
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(io_sock_open(&sock[i], ev, fd[i],
		    kind == 2 ? IO_C_TRY : 0, on, NULL), 0);
	if (kind == 1)
		ev_turn(ev, 0);
}

static void
turns(void)
{
	for (int i = 0; i < 3; i++)
		ev_turn(ev, 0);
}

static void
finish(void)
{
	io_close(a, false);
	io_close(b, false);
	io_mem_free(&mem);
	ev_free(&ev);
}

static enum io_rc
put(struct io *io, const char *s, size_t *n)
{
	struct iovec	v = { (char *)(uintptr_t)s, strlen(s) };

	return io_writev(io, &v, 1, 0, n);
}

static enum io_rc
get(struct io *io, char *buf, size_t size, size_t *n)
{
	struct iovec	v = { buf, size };

	return io_readv(io, &v, 1, n);
}

START_TEST(to_and_fro)
{
	char	buf[100];
	size_t	n;

	begin(_i);
	ck_assert(io_can(a, IO_W));
	ck_assert_int_eq(put(a, "hello", &n), IO_OK);
	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(io_watch(b), 0);
	turns();
	ck_assert(told_b & IO_R || _i == 2);
	ck_assert(io_can(b, IO_R));
	/* a full read leaves the bit, the next one clears it */
	ck_assert_int_eq(get(b, buf, 3, &n), IO_OK);
	ck_assert(!b->short_read && io_can(b, IO_R));
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_OK);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(memcmp(buf, "lo", 2), 0);
	ck_assert(b->short_read && !io_can(b, IO_R));
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_AGAIN);
	told_b = 0;
	ck_assert_int_eq(put(a, "x", &n), IO_OK);
	turns();
	ck_assert(told_b & IO_R);
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_OK);
	finish();
}
END_TEST

START_TEST(pieces)
{
	char		x[2], y[100];
	struct iovec	v[2] = { { x, 2 }, { y, 100 } };
	struct iovec	w[2] = { { "abc", 3 }, { "de", 2 } };
	size_t		n;

	begin(_i);
	ck_assert_int_eq(io_writev(a, w, 2, IO_MORE, &n), IO_OK);
	ck_assert_uint_eq(n, 5);
	turns();
	ck_assert_int_eq(io_readv(b, v, 2, &n), IO_OK);
	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(memcmp(x, "ab", 2), 0);
	ck_assert_int_eq(memcmp(y, "cde", 3), 0);
	finish();
}
END_TEST

/* AGAIN registers by itself, so the event comes without io_watch. */
START_TEST(again)
{
	char	buf[10];
	size_t	n;

	begin(_i);
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_AGAIN);
	ck_assert(!io_can(b, IO_R));
	ck_assert_int_eq(put(a, "x", &n), IO_OK);
	turns();
	ck_assert(told_b & IO_R);
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_OK);
	finish();
}
END_TEST

START_TEST(full_and_room)
{
	static char	big[1 << 20];
	struct iovec	v = { big, sizeof(big) };
	enum io_rc	rc;
	size_t		n;

	begin(_i);
	do
		rc = io_writev(a, &v, 1, 0, &n);
	while (rc == IO_OK);
	ck_assert_int_eq(rc, IO_AGAIN);
	ck_assert(!io_can(a, IO_W));
	told_a = 0;
	for (int i = 0; i < 100 && !(told_a & IO_W); i++) {
		ev_turn(ev, 0);
		io_readv(b, &v, 1, &n);
	}
	ck_assert(told_a & IO_W);
	ck_assert(io_can(a, IO_W));
	finish();
}
END_TEST

START_TEST(half_close)
{
	char	buf[10];
	size_t	n;

	begin(_i);
	ck_assert_int_eq(io_watch(b), 0);
	ck_assert_int_eq(put(a, "x", &n), IO_OK);
	ck_assert_int_eq(io_shutdown(a), IO_OK);
	turns();
	ck_assert(told_b & EV_RDHUP);
	ck_assert(!(told_b & (EV_HUP | EV_ERR)));
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_OK);
	/* short, but the end is known: it may be read at once */
	ck_assert(io_can(b, IO_R));
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_EOF);
	ck_assert_int_eq(put(b, "y", &n), IO_OK);
	turns();
	ck_assert_int_eq(get(a, buf, sizeof(buf), &n), IO_OK);
	finish();
}
END_TEST

START_TEST(peer_closed)
{
	char	buf[10];
	size_t	n;

	begin(_i);
	ck_assert_int_eq(io_watch(b), 0);
	ck_assert_int_eq(put(a, "x", &n), IO_OK);
	io_close(a, false);
	turns();
	ck_assert(told_b & EV_HUP);
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_OK);
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_EOF);
	ck_assert_int_eq(put(b, "y", &n), IO_ERR);
	ck_assert_int_eq(b->error, EPIPE);
	finish();
}
END_TEST

START_TEST(closed_is_silent)
{
	size_t	n;

	begin(_i);
	ck_assert_int_eq(io_watch(b), 0);
	turns();
	told_b = 0;
	put(a, "x", &n);
	io_close(b, false);
	ck_assert(!io_can(b, IO_R | IO_W));
	turns();
	ck_assert_uint_eq(told_b, 0);
	ck_assert_int_eq(io_fd(b), -1);
	finish();
}
END_TEST

START_TEST(files)
{
	char	name[] = "/tmp/test_io_XXXXXX", buf[100];
	int	fd = mkstemp(name);
	size_t	n;

	unlink(name);
	ck_assert_int_eq(write(fd, "0123456789", 10), 10);
	begin(2);
	if (!(a->caps & IO_C_SENDFILE)) {
		finish();
		close(fd);
		return;
	}
	ck_assert_int_eq(io_sendfile(a, fd, 2, 5, &n), IO_OK);
	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(get(b, buf, sizeof(buf), &n), IO_OK);
	ck_assert_int_eq(memcmp(buf, "23456", 5), 0);
	ck_assert_int_eq(io_sendfile(a, fd, 10, 5, &n), IO_EOF);
	close(fd);
	finish();
}
END_TEST

/* --- sockets that dial --- */

static int
listener(struct sock_addr *addr, bool unix_path)
{
	int	fd;

	if (unix_path) {
		char		text[64];
		struct str	s;

		s.n = (size_t)snprintf(text, sizeof(text),
		    "unix:/tmp/test_io.%d", (int)getpid());
		s.p = text;
		ck_assert_int_eq(sock_parse(s, -1, addr, NULL), 0);
	} else
		ck_assert_int_eq(sock_parse(STR("127.0.0.1:0"), -1, addr,
		    NULL), 0);
	fd = sock_listen(addr, 8, 0600, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(sock_local(fd, addr), 0);
	return fd;
}

static void
dial(const struct sock_addr *addr)
{
	bool	done;
	int	fd = sock_dial(addr, &done, NULL);

	ck_assert_int_ge(fd, 0);
	a = &sock[0];
	told_a = 0;
	ck_assert_int_eq(io_sock_open(a, ev, fd, 0, on, NULL), 0);
	for (int i = 0; i < 200 && !(told_a & IO_W); i++)
		ev_turn(ev, 10);
	ck_assert(told_a & IO_W);
}

START_TEST(dial_through)
{
	struct sock_addr	addr;
	int			fd;

	ev = ev_new(NULL, NULL);
	fd = listener(&addr, _i == 1);
	dial(&addr);
	ck_assert_int_eq(io_dialled(a), 0);
	io_close(a, false);
	close(fd);
	if (_i == 1)
		unlink(addr.u.un.sun_path);
	ev_free(&ev);
}
END_TEST

START_TEST(dial_refused)
{
	struct sock_addr	addr;

	ev = ev_new(NULL, NULL);
	close(listener(&addr, false));
	dial(&addr);
	ck_assert_int_eq(io_dialled(a), ECONNREFUSED);
	io_close(a, false);
	ev_free(&ev);
}
END_TEST

/* A close with reset tells the peer so, not a clean end. */
START_TEST(tcp_reset)
{
	struct sock_addr	addr, peer;
	char			buf[10];
	size_t			n;
	int			fd, in;

	ev = ev_new(NULL, NULL);
	fd = listener(&addr, false);
	dial(&addr);
	in = sock_accept(fd, &peer);
	ck_assert_int_ge(in, 0);
	b = &sock[1];
	ck_assert_int_eq(io_sock_open(b, ev, in, IO_C_TRY, on, NULL), 0);
	io_close(b, true);
	for (int i = 0; i < 200 && !(told_a & EV_HUP); i++)
		ev_turn(ev, 10);
	ck_assert(told_a & EV_ERR);
	ck_assert_int_eq(get(a, buf, sizeof(buf), &n), IO_ERR);
	ck_assert_int_eq(a->error, ECONNRESET);
	close(fd);
	finish();
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("io");
	TCase	*t = tcase_create("all");

	tcase_add_loop_test(t, to_and_fro, 0, 3);
	tcase_add_loop_test(t, pieces, 0, 3);
	tcase_add_loop_test(t, again, 0, 3);
	tcase_add_loop_test(t, full_and_room, 0, 3);
	tcase_add_loop_test(t, half_close, 0, 3);
	tcase_add_loop_test(t, peer_closed, 0, 3);
	tcase_add_loop_test(t, closed_is_silent, 0, 3);
	tcase_add_test(t, files);
	tcase_add_loop_test(t, dial_through, 0, 2);
	tcase_add_test(t, dial_refused);
	tcase_add_test(t, tcp_reset);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
