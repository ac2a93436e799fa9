/*
 * A relay between two transports, in memory and over sockets: bytes,
 * half-close, back pressure, time, and how it ends.
 */
#include "io/relay.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

enum { MEMORY, SOCKETS, PIPES, NKIND, TCP };

static struct ev	*ev;
static struct page_pool	 pages;
static struct pipe_pool	 pipes;
static struct io_mem	*mem[2];
static struct io	 sock[2][2];
static struct io	*near_io[2], *far_io[2];	/* by side */
static struct relay	 r;
static unsigned		 novers;
static enum relay_end	 how;
static unsigned		 who;
static size_t		 got[2], put[2];

static void
on_far(struct io *io, unsigned what)
{
	(void)io;
	(void)what;
}

static void
on_over(struct relay *rl, enum relay_end h, unsigned side)
{
	ck_assert_ptr_eq(rl, &r);
	novers++;
	how = h;
	who = side;
}

static void
on_moved(struct relay *rl, unsigned side, size_t g, size_t p)
{
	(void)rl;
	got[side] += g;
	put[side] += p;
}

/* Over loopback; with little room for what nobody reads. */
static void
open_tcp(int fd[2])
{
	struct sockaddr_in	a = { .sin_family = AF_INET };
	socklen_t		n = sizeof(a);
	int			l = socket(AF_INET, SOCK_STREAM, 0);
	int			small = 8192;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(l, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(listen(l, 1), 0);
	ck_assert_int_eq(getsockname(l, (struct sockaddr *)&a, &n), 0);
	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &small,
	    sizeof(small)), 0);
	ck_assert_int_eq(connect(fd[1], (struct sockaddr *)&a, n), 0);
	fd[0] = accept(l, NULL, NULL);
	ck_assert_int_ge(fd[0], 0);
	close(l);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(fcntl(fd[i], F_SETFL, O_NONBLOCK), 0);
}

static void
open_side(int kind, unsigned i)
{
	int	fd[2];

	if (kind == MEMORY) {
		mem[i] = io_mem_new(ev, 4096);
		near_io[i] = io_mem_end(mem[i], 0, on_far);
		far_io[i] = io_mem_end(mem[i], 1, on_far);
		return;
	}
	if (kind == TCP)
		open_tcp(fd);
	else
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM |
		    SOCK_NONBLOCK, 0, fd), 0);
	for (int k = 0; k < 2; k++)
		ck_assert_int_eq(io_sock_open(&sock[i][k], ev, fd[k],
		    IO_C_TRY, on_far, NULL), 0);
	near_io[i] = &sock[i][0];
	far_io[i] = &sock[i][1];
	ck_assert_int_eq(io_watch(far_io[i]), 0);
}

static void
turns(void)
{
	for (int i = 0; i < 8; i++)
		ev_turn(ev, 0);
}

/* start is not called: relay_put may come first */
static void
prepare(int kind, uint64_t idle_ms)
{
	ev = ev_new(NULL, NULL);
	page_pool_init(&pages, 16);
	memset(&r, 0, sizeof(r));
	memset(mem, 0, sizeof(mem));
	novers = 0;
	got[0] = got[1] = put[0] = put[1] = 0;
	for (unsigned i = 0; i < 2; i++)
		open_side(kind, i);
	turns();
	r.ev = ev;
	r.pages = &pages;
	pipe_pool_init(&pipes, ev);
	if (kind == PIPES) {
		pipe_pool_share(&pipes, 1);
		r.pipes = &pipes;
	}
	r.idle_ms = idle_ms;
	r.moved = on_moved;
	r.over = on_over;
	relay_init(&r);
}

static void
begin(int kind, uint64_t idle_ms)
{
	prepare(kind, idle_ms);
	relay_start(&r, near_io[0], near_io[1]);
	turns();
}

static void
finish(void)
{
	relay_stop(&r);
	for (unsigned i = 0; i < 2; i++) {
		io_close(near_io[i], false);
		io_close(far_io[i], false);
		io_mem_free(&mem[i]);
	}
	ck_assert_uint_eq(pages.live, 0);
	ck_assert_uint_eq(pipes.nbusy, 0);
	pipe_pool_fini(&pipes);
	page_pool_fini(&pages);
	ev_free(&ev);
}

static void
send_all(unsigned side, const char *text)
{
	struct iovec	v = { (void *)(uintptr_t)text, strlen(text) };
	size_t		n;

	ck_assert_int_eq(io_writev(far_io[side], &v, 1, 0, &n), IO_OK);
	ck_assert_uint_eq(n, v.iov_len);
	turns();
}

static enum io_rc
read_far(unsigned side, char *buf, size_t size, size_t *n)
{
	struct iovec	v = { buf, size };
	enum io_rc	rc;

	/* what is ready is asked of the transport itself */
	far_io[side]->fd.ready |= IO_R;
	rc = io_readv(far_io[side], &v, 1, n);
	turns();
	return rc;
}

static void
expect(unsigned side, const char *text)
{
	char	buf[256];
	size_t	n;

	ck_assert_int_eq(read_far(side, buf, sizeof(buf), &n), IO_OK);
	ck_assert_uint_eq(n, strlen(text));
	ck_assert_mem_eq(buf, text, n);
}

static void
expect_rc(unsigned side, enum io_rc want)
{
	char	buf[16];
	size_t	n;

	ck_assert_int_eq(read_far(side, buf, sizeof(buf), &n), want);
}

START_TEST(test_both_ways)
{
	begin(_i, 0);
	send_all(0, "hello");
	expect(1, "hello");
	send_all(1, "and back");
	expect(0, "and back");
	expect_rc(0, IO_AGAIN);
	ck_assert_uint_eq(got[0], 5);
	ck_assert_uint_eq(put[1], 5);
	ck_assert_uint_eq(got[1], 8);
	ck_assert_uint_eq(put[0], 8);
	/* nothing waits, nothing is held */
	ck_assert_uint_eq(pages.live, 0);
	ck_assert_uint_eq(novers, 0);
	finish();
}
END_TEST

/* What was there before is found: no event will tell of it. */
START_TEST(test_early)
{
	struct page	*pg;

	prepare(_i, 0);
	pg = page_new(&pages);
	memcpy(pg->data, "xfirst ", 7);
	pg->fill = 7;
	relay_put(&r, 0, pg, str_make(pg->data + 1, 6));
	send_all(0, "then");
	send_all(1, "back");
	relay_start(&r, near_io[0], near_io[1]);
	turns();
	expect(1, "first then");
	expect(0, "back");
	ck_assert_uint_eq(pages.live, 0);
	finish();
}
END_TEST

START_TEST(test_half_close)
{
	unsigned	side = (unsigned)_i % 2;

	begin(_i / 2, 0);
	send_all(side, "last");
	io_shutdown(far_io[side]);
	turns();
	expect(1 - side, "last");
	expect_rc(1 - side, IO_EOF);
	ck_assert_uint_eq(novers, 0);
	send_all(1 - side, "answer");
	expect(side, "answer");
	io_shutdown(far_io[1 - side]);
	turns();
	expect_rc(side, IO_EOF);
	ck_assert_uint_eq(novers, 1);
	ck_assert_int_eq(how, RELAY_DONE);
	finish();
}
END_TEST

/* Fills until no more goes; returns the bytes. */
static size_t
fill(unsigned side, size_t most)
{
	static char	buf[65536];
	struct iovec	v = { buf, sizeof(buf) };
	size_t		sum = 0, n;
	unsigned	dry = 0;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i % 251);
	while (sum < most && dry < 4) {
		v.iov_base = buf + sum % 251;
		v.iov_len = sizeof(buf) - 251;
		if (v.iov_len > most - sum)
			v.iov_len = most - sum;
		far_io[side]->fd.ready |= IO_W;
		if (io_writev(far_io[side], &v, 1, 0, &n) == IO_OK) {
			sum += n;
			dry = 0;
			continue;
		}
		/* as much at once as fits, so that there is much to read */
		dry++;
		turns();
	}
	turns();
	return sum;
}

/* They are those of fill(), from the one at sum on. */
static void
check_bytes(const char *buf, size_t n, size_t sum)
{
	size_t	bad = 0;

	for (size_t i = 0; i < n; i++)
		bad += buf[i] != (char)((sum + i) % 251);
	ck_assert_uint_eq(bad, 0);
}

/* Who does not read stops who sends, and nothing is lost. */
START_TEST(test_pressure)
{
	static char	buf[65536];
	size_t		sent, sum = 0, n;

	begin(_i, 0);
	sent = fill(0, SIZE_MAX);
	ck_assert_uint_gt(sent, 4096);
	ck_assert(_i == PIPES || pages.live > 0);
	ck_assert_uint_le(pages.live, RELAY_PAGES * PAGE_BYTES);
	/* the other direction is not held up */
	send_all(1, "meanwhile");
	expect(0, "meanwhile");
	while (sum < sent) {
		ck_assert_int_eq(read_far(1, buf, sizeof(buf), &n), IO_OK);
		check_bytes(buf, n, sum);
		sum += n;
	}
	ck_assert_uint_eq(sum, sent);
	expect_rc(1, IO_AGAIN);
	ck_assert_uint_eq(pages.live, 0);
	finish();
}
END_TEST

/* An end waits for the bytes before it. */
START_TEST(test_end_behind_pressure)
{
	static char	buf[65536];
	size_t		sent, sum = 0, n;
	enum io_rc	rc;

	begin(_i, 0);
	sent = fill(0, SIZE_MAX);
	io_shutdown(far_io[0]);
	turns();
	while ((rc = read_far(1, buf, sizeof(buf), &n)) == IO_OK)
		sum += n;
	ck_assert_int_eq(rc, IO_EOF);
	ck_assert_uint_eq(sum, sent);
	finish();
}
END_TEST

/* More than a turn's share goes on by itself. */
START_TEST(test_many)
{
	static char	buf[65536];
	size_t		most = 3 << 20, sent = 0, sum = 0, n;

	begin(_i, 0);
	while (sum < most) {
		if (sent < most)
			sent += fill(0, most - sent < 400000 ?
			    most - sent : 400000);
		while (read_far(1, buf, sizeof(buf), &n) == IO_OK)
			sum += n;
	}
	ck_assert_uint_eq(sum, most);
	ck_assert_uint_eq(got[0], most);
	ck_assert(_i != PIPES || pipes.moved > most / 2);
	ck_assert_uint_eq(pipes.nbusy, 0);
	finish();
}
END_TEST

/* A pipe that nobody empties goes back; what was in it is not lost. */
START_TEST(test_stalled_pipe)
{
	static char	buf[65536];
	size_t		sent, sum = 0, n;

	begin(PIPES, 0);
	/* one that moves fast, then not at all */
	for (int i = 0; i < 20; i++) {
		sum += fill(0, 150000);
		for (size_t took = 0; took < 150000; took += n)
			ck_assert_int_eq(read_far(1, buf, sizeof(buf), &n),
			    IO_OK);
	}
	sent = fill(0, SIZE_MAX);
	ck_assert_uint_eq(pipes.nbusy, 1);
	while (pipes.nbusy > 0)
		ev_turn(ev, 500);
	ck_assert_uint_gt(pages.live, 0);
	ck_assert_uint_eq(novers, 0);
	for (sum = 0; sum < sent; sum += n) {
		ck_assert_int_eq(read_far(1, buf, sizeof(buf), &n), IO_OK);
		check_bytes(buf, n, sum);
	}
	ck_assert_uint_eq(sum, sent);
	finish();
}
END_TEST

START_TEST(test_idle)
{
	uint64_t	begun, past;

	begin(MEMORY, 60);
	begun = ev_ms(ev);
	for (int i = 0; i < 4; i++) {
		ev_turn(ev, 25);
		send_all(i % 2, "x");
		expect(1 - i % 2, "x");
	}
	past = ev_ms(ev);
	while (novers == 0)
		ev_turn(ev, 100);
	ck_assert_int_eq(how, RELAY_IDLE);
	ck_assert_uint_ge(ev_ms(ev) - past, 55);
	ck_assert_uint_ge(ev_ms(ev) - begun, 100);
	finish();
}
END_TEST

/* A reset ends it, and says whose it was. */
START_TEST(test_broken)
{
	unsigned	side = (unsigned)_i;

	begin(MEMORY, 0);
	io_close(far_io[side], true);
	turns();
	ck_assert_uint_eq(novers, 1);
	ck_assert_int_eq(how, RELAY_BROKEN);
	ck_assert_uint_eq(who, side);
	ck_assert_uint_eq(pages.live, 0);
	finish();
}
END_TEST

/* Who takes no more is still heard. */
START_TEST(test_last_words)
{
	unsigned	side = (unsigned)_i;
	char		buf[16];
	size_t		n;

	begin(SOCKETS, 0);
	send_all(side, "why");
	io_close(far_io[side], false);
	(void)fill(1 - side, 4096);
	turns();
	ck_assert_int_eq(read_far(1 - side, buf, sizeof(buf), &n), IO_OK);
	ck_assert_uint_eq(n, 3);
	expect_rc(1 - side, IO_EOF);
	io_close(far_io[1 - side], false);
	turns();
	ck_assert_uint_eq(novers, 1);
	ck_assert_int_eq(how, RELAY_BROKEN);
	ck_assert_uint_eq(who, side);
	finish();
}
END_TEST

/* What the kernel has for the one is not lost by a reset of the other. */
START_TEST(test_words_unsent)
{
	static char	buf[65536];
	unsigned	side = (unsigned)_i;
	size_t		sum = 0, n;
	enum io_rc	rc;

	begin(TCP, 0);
	(void)fill(side, 60000);
	ck_assert_uint_eq(put[1 - side], 60000);
	ck_assert_uint_gt(io_unsent(near_io[1 - side]), 0);
	/* unread, it would make the kernel reset */
	(void)fill(1 - side, 4096);
	io_close(far_io[side], true);
	turns();
	(void)fill(1 - side, 4096);
	ck_assert_uint_eq(novers, 0);
	ck_assert_uint_eq(pages.live, 0);
	while ((rc = read_far(1 - side, buf, sizeof(buf), &n)) == IO_OK ||
	    (rc == IO_AGAIN && sum < 60000)) {
		check_bytes(buf, n, sum);
		sum += n;
	}
	ck_assert_int_eq(rc, IO_EOF);
	ck_assert_uint_eq(sum, 60000);
	io_close(far_io[1 - side], false);
	while (novers == 0)
		ev_turn(ev, 100);
	ck_assert_int_eq(how, RELAY_BROKEN);
	ck_assert_uint_eq(who, side);
	finish();
}
END_TEST

/* Who neither takes them nor goes is not waited for. */
START_TEST(test_words_not_taken)
{
	uint64_t	begun;

	begin(TCP, 0);
	(void)fill(0, 60000);
	begun = ev_ms(ev);
	io_close(far_io[0], true);
	while (novers == 0)
		ev_turn(ev, 100);
	ck_assert_int_eq(how, RELAY_BROKEN);
	ck_assert_uint_ge(ev_ms(ev) - begun, 1900);
	finish();
}
END_TEST

/* A side that said its end and then is gone has missed nothing. */
START_TEST(test_end_of_closed)
{
	unsigned	side = (unsigned)_i;

	begin(TCP, 0);
	send_all(side, "all");
	io_shutdown(far_io[side]);
	turns();
	expect(1 - side, "all");
	expect_rc(1 - side, IO_EOF);
	io_close(far_io[side], true);
	turns();
	ck_assert_uint_eq(novers, 0);
	io_shutdown(far_io[1 - side]);
	turns();
	ck_assert_uint_eq(novers, 1);
	ck_assert_int_eq(how, RELAY_DONE);
	finish();
}
END_TEST

/* After stop nobody is called, whatever comes. */
START_TEST(test_stop)
{
	begin(_i, 10);
	(void)fill(0, SIZE_MAX);
	relay_stop(&r);
	ck_assert_uint_eq(pages.live, 0);
	relay_stop(&r);
	io_close(far_io[0], true);
	ev_turn(ev, 20);
	turns();
	ck_assert_uint_eq(novers, 0);
	finish();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("relay");
	TCase	*t = tcase_create("relay");
	SRunner	*sr;
	int	 bad;

	/* who splices into what is closed would get it */
	signal(SIGPIPE, SIG_IGN);
	tcase_add_loop_test(t, test_both_ways, 0, NKIND);
	tcase_add_loop_test(t, test_early, 0, NKIND);
	tcase_add_loop_test(t, test_half_close, 0, 2 * NKIND);
	tcase_add_loop_test(t, test_pressure, 0, NKIND);
	tcase_add_loop_test(t, test_end_behind_pressure, 0, NKIND);
	tcase_add_loop_test(t, test_many, 0, NKIND);
	tcase_add_test(t, test_stalled_pipe);
	tcase_add_test(t, test_idle);
	tcase_add_loop_test(t, test_broken, 0, 2);
	tcase_add_loop_test(t, test_last_words, 0, 2);
	tcase_add_loop_test(t, test_words_unsent, 0, 2);
	tcase_add_test(t, test_words_not_taken);
	tcase_add_loop_test(t, test_end_of_closed, 0, 2);
	tcase_add_loop_test(t, test_stop, 0, NKIND);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
