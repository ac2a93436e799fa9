/*
 * io/fds: descriptors travel with the first write and with no other, and
 * the transport is what it was before.
 */
#include "io/io.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int	ends[2];
static unsigned	closed;

static enum io_rc
put(struct io *io, const struct iovec *v, int n, unsigned flags,
    size_t *done)
{
	ssize_t	rc = writev(io->fd.fd, v, n);

	(void)flags;
	*done = rc > 0 ? (size_t)rc : 0;
	return rc > 0 ? IO_OK : IO_AGAIN;
}

static void
shut(struct io *io, bool reset)
{
	(void)io;
	(void)reset;
	closed++;
}

static const struct io_ops plain = {
	.name = "test", .writev = put, .close = shut
};

static void
setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    ends), 0);
	closed = 0;
}

static void
teardown(void)
{
	close(ends[0]);
	close(ends[1]);
}

static struct io
make(unsigned caps)
{
	struct io	io = { .ops = &plain, .caps = (uint8_t)caps };

	io.fd.fd = ends[0];
	return io;
}

static enum io_rc
say(struct io *io, const char *text, size_t *n)
{
	struct iovec	v = { (void *)(uintptr_t)text, strlen(text) };

	return io->ops->writev(io, &v, 1, 0, n);
}

/* Reads n bytes; how many descriptors came, the last one in *fd. */
static unsigned
hear(size_t n, int *fd)
{
	union {
		struct cmsghdr	head;
		char		room[CMSG_SPACE(8 * sizeof(int))];
	} c;
	char		 buf[64];
	struct iovec	 v = { buf, n };
	struct msghdr	 m = { .msg_iov = &v, .msg_iovlen = 1,
	    .msg_control = &c, .msg_controllen = sizeof(c) };
	struct cmsghdr	*h;
	unsigned	 got;

	ck_assert_int_eq(recvmsg(ends[1], &m, 0), (ssize_t)n);
	h = CMSG_FIRSTHDR(&m);
	if (h == NULL)
		return 0;
	ck_assert_int_eq(h->cmsg_type, SCM_RIGHTS);
	got = (unsigned)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (unsigned i = 0; i < got; i++) {
		memcpy(fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
		if (i + 1 < got)
			close(*fd);
	}
	return got;
}

START_TEST(with_the_first_write_only)
{
	int		fds[2] = { ends[0], open("/dev/null", O_RDONLY) };
	struct io	io = make(IO_C_LOCAL);
	struct stat	a, b;
	size_t		n;
	int		fd;

	ck_assert_int_eq(io_send_fds(&io, fds, 2), 0);
	/* one lot at a time */
	ck_assert_int_eq(io_send_fds(&io, fds, 2), -1);
	ck_assert_int_eq(say(&io, "abc", &n), IO_OK);
	ck_assert_uint_eq(n, 3);
	ck_assert_ptr_eq(io.ops, &plain);
	ck_assert_int_eq(say(&io, "de", &n), IO_OK);
	ck_assert_uint_eq(hear(3, &fd), 2);
	fstat(fd, &a);
	fstat(fds[1], &b);
	ck_assert(a.st_ino == b.st_ino && a.st_rdev == b.st_rdev);
	close(fd);
	ck_assert_uint_eq(hear(2, &fd), 0);
	ck_assert_int_eq(io_send_fds(&io, fds, 1), 0);
	ck_assert_int_eq(say(&io, "f", &n), IO_OK);
	ck_assert_uint_eq(hear(1, &fd), 1);
	close(fd);
	close(fds[1]);
}
END_TEST

/* A full socket takes none of it; what was to go goes later. */
START_TEST(full_at_first)
{
	struct io	io = make(IO_C_LOCAL);
	size_t		n, full = 0;
	char		buf[4096] = { 0 };
	ssize_t		rc;
	int		fd;

	while ((rc = write(ends[0], buf, sizeof(buf))) > 0)
		full += (size_t)rc;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(io_send_fds(&io, &ends[0], 1), 0);
	ck_assert_int_eq(say(&io, "x", &n), IO_AGAIN);
	while (full > 0) {
		rc = read(ends[1], buf, sizeof(buf));
		ck_assert_int_gt(rc, 0);
		full -= (size_t)rc;
	}
	ck_assert_int_eq(say(&io, "x", &n), IO_OK);
	ck_assert_uint_eq(hear(1, &fd), 1);
	close(fd);
}
END_TEST

START_TEST(closed_before)
{
	struct io	io = make(IO_C_LOCAL);

	ck_assert_int_eq(io_send_fds(&io, &ends[0], 1), 0);
	io.ops->close(&io, false);
	ck_assert_uint_eq(closed, 1);
	ck_assert_ptr_eq(io.ops, &plain);
}
END_TEST

START_TEST(the_peer_is_gone)
{
	struct io	io = make(IO_C_LOCAL);
	size_t		n;

	ck_assert_int_eq(io_send_fds(&io, &ends[0], 1), 0);
	close(ends[1]);
	ck_assert_int_eq(say(&io, "x", &n), IO_ERR);
	ck_assert_int_eq(io.error, EPIPE);
	io.ops->close(&io, false);
	ck_assert_uint_eq(closed, 1);
}
END_TEST

START_TEST(unix_sockets_only)
{
	struct io	io = make(0);

	ck_assert_int_eq(io_send_fds(&io, &ends[0], 1), -1);
	io.caps = IO_C_LOCAL;
	io.fd.fd = -1;
	ck_assert_int_eq(io_send_fds(&io, &ends[0], 1), -1);
	ck_assert_ptr_eq(io.ops, &plain);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("fds");
	TCase	*t = tcase_create("fds");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, with_the_first_write_only);
	tcase_add_test(t, full_at_first);
	tcase_add_test(t, closed_before);
	tcase_add_test(t, the_peer_is_gone);
	tcase_add_test(t, unix_sockets_only);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
