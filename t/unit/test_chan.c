/*
 * Channels: one end is a struct chan on a loop, the other a bare socket,
 * so that frames can also be wrong.
 */
#include "os/chan.h"

#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/sock.h"

#define MANY	100	/* frames; more than are taken in one turn */

static const struct ev_backend *const backends[] = { &ev_epoll, &ev_poll };

struct bed {
	struct ev	*ev;
	struct chan	 c;
	int		 peer;
	int		 frames;
	int		 gone;
	struct frame_head last;
	char		 data[CHAN_BYTES];
	int		 fds[CHAN_FDS];
	unsigned	 nfd;
	int		 keep;		/* the descriptor on_frame takes */
	bool		 closes;	/* on_frame closes the channel */
};

static void
on_frame(struct chan *c, struct frame *m)
{
	struct bed *b = c->ctx;

	ck_assert(chan_is_open(c));
	if (m == NULL) {
		b->gone++;
		return;
	}
	ck_assert_int_eq(b->gone, 0);
	b->frames++;
	b->last = m->head;
	memcpy(b->data, m->data, m->head.len);
	b->nfd = m->nfd;
	memcpy(b->fds, m->fds, sizeof(b->fds));
	if (b->keep >= 0 && (unsigned)b->keep < m->nfd)
		m->fds[b->keep] = -1;
	if (b->closes)
		chan_close(c);
}

static struct bed *
start(int i)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct err e;
	int fds[2];

	ck_assert_int_eq(sock_pair(fds, &e), 0);
	b->ev = ev_new(backends[i], &e);
	ck_assert_ptr_nonnull(b->ev);
	b->peer = fds[1];
	b->keep = -1;
	ck_assert(!chan_is_open(&b->c));
	ck_assert_int_eq(chan_open(&b->c, b->ev, fds[0], on_frame, b, &e), 0);
	ck_assert(chan_is_open(&b->c));
	return b;
}

static void
end(struct bed *b)
{
	chan_close(&b->c);
	chan_close(&b->c);
	ck_assert(!chan_is_open(&b->c));
	if (b->peer != -1)
		close(b->peer);
	ev_free(&b->ev);
	free(b);
}

static void
turns(struct bed *b)
{
	int i;

	for (i = 0; i < 10; i++)
		ev_turn(b->ev, 0);
}

static struct frame_head
head(uint16_t op, uint32_t len)
{
	return (struct frame_head){ .op = op, .len = len, .id = 7000 + op };
}

/* The peer writes head and payload as they are, with n copies of fd. */
static void
put(struct bed *b, const struct frame_head *h, const void *p, size_t len,
    int fd, unsigned n)
{
	char ctl[CMSG_SPACE(64 * sizeof(int))] = { 0 };
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)h, sizeof(*h) },
		{ (void *)(uintptr_t)p, len }
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c;
	unsigned i;

	if (n > 0) {
		msg.msg_control = ctl;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (i = 0; i < n; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd,
			    sizeof(fd));
	}
	ck_assert_int_eq(sendmsg(b->peer, &msg, MSG_NOSIGNAL),
	    sizeof(*h) + len);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static unsigned
count_open(void)
{
	unsigned n = 0;
	int i;

	for (i = 0; i < 1000; i++)
		n += is_open(i);
	return n;
}

START_TEST(test_receive)
{
	struct bed *b = start(_i);
	struct frame_head h = head(CHAN_ECHO, 5);

	h.flags = CHAN_F_REPLY;
	h.deadline = UINT64_C(1) << 40;
	put(b, &h, "hello", 5, -1, 0);
	turns(b);
	ck_assert_int_eq(b->frames, 1);
	ck_assert_mem_eq(&b->last, &h, sizeof(h));
	ck_assert_mem_eq(b->data, "hello", 5);
	h = head(CHAN_NOP, 0);
	put(b, &h, "", 0, -1, 0);
	h = head(CHAN_ECHO, CHAN_BYTES);
	memset(b->data, 'z', CHAN_BYTES);
	put(b, &h, b->data, CHAN_BYTES, -1, 0);
	b->data[CHAN_BYTES - 1] = 0;
	turns(b);
	ck_assert_int_eq(b->frames, 3);
	ck_assert_uint_eq(b->last.len, CHAN_BYTES);
	ck_assert_int_eq(b->data[CHAN_BYTES - 1], 'z');
	ck_assert_int_eq(b->gone, 0);
	end(b);
}
END_TEST

START_TEST(test_send)
{
	struct bed *b = start(_i);
	struct frame_head h = head(CHAN_ECHO, 5);
	char buf[64];
	struct frame m;

	ck_assert_int_eq(chan_send(&b->c, &h, "hello", NULL, 0), 0);
	ck_assert_int_eq(chan_recv_wait(b->peer, &m, buf, sizeof(buf), 0), 0);
	ck_assert_mem_eq(&m.head, &h, sizeof(h));
	ck_assert_mem_eq(m.data, "hello", 5);
	ck_assert_uint_eq(m.nfd, 0);
	/* nothing there; then what is larger than the buffer */
	ck_assert_int_eq(chan_recv_wait(b->peer, &m, buf, sizeof(buf), 1),
	    -1);
	ck_assert_int_eq(chan_send(&b->c, &h, "hello", NULL, 0), 0);
	ck_assert_int_eq(chan_recv_wait(b->peer, &m, buf, 4, 0), -1);
	chan_close(&b->c);
	ck_assert_int_eq(chan_send(&b->c, &h, "hello", NULL, 0), -1);
	ck_assert_int_eq(chan_recv_wait(b->peer, &m, buf, sizeof(buf), 9999),
	    -1);
	end(b);
}
END_TEST

START_TEST(test_fds)
{
	struct bed *b = start(_i);
	struct frame_head h = head(CHAN_LISTEN, 0);
	unsigned before = count_open();
	struct stat st;
	unsigned i;

	b->keep = 3;
	put(b, &h, "", 0, STDIN_FILENO, CHAN_FDS);
	turns(b);
	ck_assert_uint_eq(b->nfd, CHAN_FDS);
	for (i = 0; i < CHAN_FDS; i++)
		ck_assert(is_open(b->fds[i]) == (i == 3));
	ck_assert(fcntl(b->fds[3], F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(fstat(b->fds[3], &st), 0);
	close(b->fds[3]);
	ck_assert_uint_eq(count_open(), before);
	/* more than a frame has: no frame, and none of them is left */
	put(b, &h, "", 0, STDIN_FILENO, CHAN_FDS + 1);
	turns(b);
	ck_assert_int_eq(b->frames, 1);
	ck_assert_int_eq(b->gone, 1);
	ck_assert_uint_eq(count_open(), before - 1);
	end(b);
}
END_TEST

/* Descriptors that wait in the queue are the channel's own copies. */
START_TEST(test_queue)
{
	struct bed *b = start(_i);
	unsigned before = count_open(), sent = 0, i;
	struct frame_head h = head(CHAN_LISTEN, CHAN_BYTES);
	char *buf = malloc(CHAN_BYTES);
	struct frame m;
	int fd = open("/dev/null", O_RDWR), got;

	memset(b->data, 'q', CHAN_BYTES);
	while (b->c.nout < CHAN_QUEUE) {
		h.id = sent;
		ck_assert_int_eq(chan_send(&b->c, &h, b->data, &fd, 1), 0);
		sent++;
	}
	ck_assert_int_eq(chan_send(&b->c, &h, b->data, &fd, 1), -1);
	ck_assert_uint_gt(sent, CHAN_QUEUE);
	close(fd);
	for (i = 0; i < sent; i++) {
		got = chan_recv_wait(b->peer, &m, buf, CHAN_BYTES, 0);
		if (got == -1) {
			turns(b);
			got = chan_recv_wait(b->peer, &m, buf, CHAN_BYTES, 0);
		}
		ck_assert_int_eq(got, 0);
		ck_assert_uint_eq(m.head.id, i);
		ck_assert_uint_eq(m.nfd, 1);
		close(m.fds[0]);
	}
	turns(b);
	ck_assert_uint_eq(b->c.nout, 0);
	ck_assert_uint_eq(count_open(), before);
	free(buf);
	end(b);
}
END_TEST

START_TEST(test_close_queue)
{
	struct bed *b = start(_i);
	struct frame_head h = head(CHAN_LISTEN, CHAN_BYTES);
	unsigned before = count_open();
	int fd = STDIN_FILENO;

	while (b->c.nout < 3)
		ck_assert_int_eq(chan_send(&b->c, &h, b->data, &fd, 1), 0);
	ck_assert_uint_eq(count_open(), before + 3);
	chan_close(&b->c);
	ck_assert_uint_eq(count_open(), before - 1);
	end(b);
}
END_TEST

/* The peer dies with frames on the way, both ways: all of them arrive. */
START_TEST(test_eof)
{
	struct bed *b = start(_i);
	struct frame_head h = head(CHAN_ECHO, 1);
	int i;

	ck_assert_int_eq(chan_send(&b->c, &h, "x", NULL, 0), 0);
	for (i = 0; i < MANY; i++)
		put(b, &h, "y", 1, -1, 0);
	close(b->peer);
	b->peer = -1;
	turns(b);
	ck_assert_int_eq(b->frames, MANY);
	ck_assert_int_eq(b->gone, 1);
	ck_assert(!chan_is_open(&b->c));
	end(b);
}
END_TEST

/* The same when the sender meets the end first. */
START_TEST(test_send_gone)
{
	struct bed *b = start(_i);
	struct frame_head h = head(CHAN_ECHO, CHAN_BYTES);

	while (b->c.nout < 2)
		ck_assert_int_eq(chan_send(&b->c, &h, b->data, NULL, 0), 0);
	h.len = 1;
	put(b, &h, "y", 1, -1, 0);
	close(b->peer);
	b->peer = -1;
	turns(b);
	ck_assert_int_eq(b->frames, 1);
	ck_assert_int_eq(b->gone, 1);
	ck_assert_int_eq(chan_send(&b->c, &h, "x", NULL, 0), -1);
	end(b);
}
END_TEST

START_TEST(test_idle_eof)
{
	struct bed *b = start(_i);

	turns(b);
	close(b->peer);
	b->peer = -1;
	turns(b);
	ck_assert_int_eq(b->frames, 0);
	ck_assert_int_eq(b->gone, 1);
	end(b);
}
END_TEST

START_TEST(test_fair)
{
	struct bed *b = start(_i);
	struct frame_head h = head(CHAN_ECHO, 1);
	int i, before;

	for (i = 0; i < MANY; i++)
		put(b, &h, "y", 1, -1, 0);
	ev_turn(b->ev, 0);
	ck_assert_int_gt(b->frames, 0);
	ck_assert_int_lt(b->frames, MANY);
	/* the rest comes without any event */
	do {
		before = b->frames;
		ev_turn(b->ev, 0);
	} while (b->frames > before);
	ck_assert_int_eq(b->frames, MANY);
	put(b, &h, "y", 1, -1, 0);
	ev_turn(b->ev, 0);
	ck_assert_int_eq(b->frames, MANY + 1);
	end(b);
}
END_TEST

START_TEST(test_close_in_callback)
{
	struct bed *b = start(_i);
	struct frame_head h = head(CHAN_ECHO, 0);
	unsigned before = count_open();

	b->closes = true;
	put(b, &h, "", 0, STDIN_FILENO, 2);
	put(b, &h, "", 0, -1, 0);
	turns(b);
	ck_assert_int_eq(b->frames, 1);
	ck_assert_int_eq(b->gone, 0);
	ck_assert(!chan_is_open(&b->c));
	ck_assert_uint_eq(count_open(), before - 1);
	end(b);
}
END_TEST

/* what is no frame: lengths that lie, no operation, too short, too long */
START_TEST(test_malformed)
{
	static char big[CHAN_BYTES + 1];
	struct frame_head h = head(CHAN_ECHO, 3);
	struct bed *b;
	int n;

	for (n = 0; n < 7; n++) {
		b = start(_i);
		h = head(CHAN_ECHO, 3);
		put(b, &h, "abc", 3, -1, 0);
		if (n == 0)
			put(b, &h, "ab", 2, -1, 0);
		else if (n == 1)
			put(b, &h, "abcd", 4, -1, 0);
		else if (n == 2)
			ck_assert_int_eq(write(b->peer, &h, 23), 23);
		h = head(n == 3 ? CHAN_NONE : CHAN_ECHO, 0);
		if (n == 3)
			put(b, &h, "", 0, STDIN_FILENO, 1);
		h.len = n == 4 ? sizeof(big) : n == 5 ? CHAN_BYTES : UINT32_MAX;
		if (n >= 4)
			put(b, &h, big, sizeof(big), -1, 0);
		h.len = 0;
		put(b, &h, "", 0, -1, 0);
		turns(b);
		ck_assert_int_eq(b->frames, 1);
		ck_assert_int_eq(b->gone, 1);
		ck_assert(!chan_is_open(&b->c));
		end(b);
	}
}
END_TEST

int
main(void)
{
	const TTest *const each[] = {
		test_receive, test_send, test_fds, test_queue,
		test_close_queue, test_eof, test_send_gone, test_idle_eof,
		test_fair, test_close_in_callback, test_malformed
	};
	Suite *s = suite_create("chan");
	TCase *tc = tcase_create("chan");
	SRunner *sr;
	size_t i;
	int failed;

	for (i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		tcase_add_loop_test(tc, each[i], 0, 2);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
