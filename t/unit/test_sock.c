/*
 * Addresses as data, and sockets on the loopback.
 */
#include "os/sock.h"

#include <sys/stat.h>

#include <netinet/tcp.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct good {
	const char	*in;
	int		 port;
	const char	*text;
	const char	*peer;
};

static const struct good good[] = {
	{ "1.2.3.4:80", -1, "1.2.3.4:80", "1.2.3.4" },
	{ "1.2.3.4", 8080, "1.2.3.4:8080", "1.2.3.4" },
	{ "1.2.3.4:0", 8080, "1.2.3.4:0", "1.2.3.4" },
	{ ":80", -1, "0.0.0.0:80", "0.0.0.0" },
	{ "localhost:65535", -1, "127.0.0.1:65535", "127.0.0.1" },
	{ "LocalHost", 1, "127.0.0.1:1", "127.0.0.1" },
	{ "[::1]:80", -1, "[::1]:80", "::1" },
	{ "[::]", 443, "[::]:443", "::" },
	{ "[2001:DB8:0:0::1]:9", -1, "[2001:db8::1]:9", "2001:db8::1" },
	{ "[::ffff:1.2.3.4]:9", -1, "[::ffff:1.2.3.4]:9", "1.2.3.4" },
	{ "unix:/run/a.sock", -1, "unix:/run/a.sock", "unix" },
	{ "unix:/a:80", 5, "unix:/a:80", "unix" }
};

struct bad {
	const char	*in;
	int		 port;
	const char	*why;
};

static const struct bad bad[] = {
	{ "", 80, "the address is empty" },
	{ "1.2.3.4", -1, "\"1.2.3.4\": the port is missing" },
	{ "[::1]", -1, "\"[::1]\": the port is missing" },
	{ "1.2.3.4:", -1,
	    "\"1.2.3.4:\": port \"\" is not a number up to 65535" },
	{ "1.2.3.4:65536", -1,
	    "\"1.2.3.4:65536\": port \"65536\" is not a number up to 65535" },
	{ "1.2.3.4:8x", -1,
	    "\"1.2.3.4:8x\": port \"8x\" is not a number up to 65535" },
	{ "1.2.3.4:-1", -1,
	    "\"1.2.3.4:-1\": port \"-1\" is not a number up to 65535" },
	{ "1.2.3:80", -1, "\"1.2.3:80\": \"1.2.3\" is not an IPv4 address" },
	{ "1.2.3.256:80", -1,
	    "\"1.2.3.256:80\": \"1.2.3.256\" is not an IPv4 address" },
	{ "example.org:80", -1,
	    "\"example.org:80\": \"example.org\" is not an IPv4 address" },
	{ "[::g]:80", -1, "\"[::g]:80\": \"::g\" is not an IPv6 address" },
	{ "[]:80", -1, "\"[]:80\": \"\" is not an IPv6 address" },
	{ "[1.2.3.4]:80", -1,
	    "\"[1.2.3.4]:80\": \"1.2.3.4\" is not an IPv6 address" },
	{ "::1", 80,
	    "\"::1\": not an address (IPv6 is written [ADDRESS]:PORT)" },
	{ "[::1", 80,
	    "\"[::1\": not an address (IPv6 is written [ADDRESS]:PORT)" },
	{ "[::1]80", 80,
	    "\"[::1]80\": not an address (IPv6 is written [ADDRESS]:PORT)" },
	{ "1.2.3.4:80:81", 80, "\"1.2.3.4:80:81\": not an address "
	    "(IPv6 is written [ADDRESS]:PORT)" },
	{ "unix:", 80, "\"unix:\": the path is not absolute" },
	{ "unix:a", 80, "\"unix:a\": the path is not absolute" }
};

/* tests that need files work in a directory of their own */
static char dir[32];

static void
make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/sock.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
remove_dir(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/s", dir);
	unlink(path);
	rmdir(dir);
}

static struct sock_addr
addr(const char *text)
{
	struct sock_addr a;
	struct err e = { "" };

	ck_assert_msg(sock_parse(str_from(text), -1, &a, &e) == 0, "%s",
	    e.text);
	return a;
}

static struct sock_addr
path_addr(void)
{
	char text[64];

	snprintf(text, sizeof(text), "unix:%s/s", dir);
	return addr(text);
}

static const char *
show(const struct sock_addr *a, char *buf, size_t size)
{
	struct text t;

	text_init_fixed(&t, buf, size - 1);
	sock_text(&t, a);
	buf[t.n] = '\0';
	return buf;
}

START_TEST(test_good)
{
	const struct good *g = &good[_i];
	struct sock_addr a, b;
	struct sock_peer p;
	struct text t;
	char buf[128];
	struct err e;

	ck_assert_int_eq(sock_parse(str_from(g->in), g->port, &a, &e), 0);
	ck_assert_str_eq(show(&a, buf, sizeof(buf)), g->text);
	b = addr(buf);
	ck_assert(sock_eq(&a, &b));
	sock_peer(&p, &a);
	text_init_fixed(&t, buf, sizeof(buf));
	sock_peer_text(&t, &p);
	ck_assert(str_eq(text_str(&t), str_from(g->peer)));
	/* and back: one that is IPv4 in IPv6's clothes is IPv4 then */
	sock_of_peer(&b, &p);
	ck_assert_uint_eq(b.u.sa.sa_family, p.family);
	if (p.family == a.u.sa.sa_family && p.family != AF_UNIX)
		ck_assert(sock_eq(&a, &b) && a.len == b.len);
	else if (p.family == AF_INET)
		ck_assert_uint_eq(sock_port(&a), sock_port(&b));
}
END_TEST

START_TEST(test_bad)
{
	struct sock_addr a;
	struct err e;

	ck_assert_int_eq(sock_parse(str_from(bad[_i].in), bad[_i].port, &a,
	    &e), -1);
	ck_assert_str_eq(e.text, bad[_i].why);
}
END_TEST

START_TEST(test_long)
{
	struct sock_addr a;
	char path[256] = "unix:/";
	struct err e;

	memset(path + 6, 'a', sizeof(path) - 6);
	ck_assert_int_eq(sock_parse(str_make(path, 5 + 107), -1, &a, &e), 0);
	ck_assert_int_eq(sock_parse(str_make(path, 5 + 108), -1, &a, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "longer than 107 bytes"));
	ck_assert_int_eq(sock_parse(STR("unix:/a\0b"), -1, &a, &e), -1);
	ck_assert_int_eq(sock_parse(STR("1.2.3.4\0:80"), -1, &a, &e), -1);
	memset(path, '1', sizeof(path));
	ck_assert_int_eq(sock_parse(str_make(path, 256), 80, &a, &e), -1);
	ck_assert_int_eq(sock_parse(STR("[::1\0]:80"), -1, &a, &e), -1);
}
END_TEST

START_TEST(test_port)
{
	struct sock_addr	four = addr("1.2.3.4:80");
	struct sock_addr	six = addr("[::1]:65535");
	struct sock_addr	path = addr("unix:/a:80");

	ck_assert_uint_eq(sock_port(&four), 80);
	ck_assert_uint_eq(sock_port(&six), 65535);
	ck_assert_uint_eq(sock_port(&path), 0);
}
END_TEST

START_TEST(test_eq)
{
	static const char *const t[] = {
		"1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:80", "[::1]:80",
		"[::1]:81", "[::2]:80", "unix:/a", "unix:/ab"
	};
	struct sock_addr a, b;
	size_t i, j;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (j = 0; j < sizeof(t) / sizeof(t[0]); j++) {
			a = addr(t[i]);
			b = addr(t[j]);
			ck_assert(sock_eq(&a, &b) == (i == j));
		}
}
END_TEST

static int
option(int fd, int level, int name)
{
	socklen_t n = sizeof(int);
	int v = 0;

	ck_assert_int_eq(getsockopt(fd, level, name, &v, &n), 0);
	return v;
}

static void
is_ours(int fd)
{
	ck_assert_int_ge(fd, 0);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* Dials a, accepts at fd and returns the dialled end. */
static int
meet(int fd, const struct sock_addr *a, int *taken, struct sock_addr *peer)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct err e;
	bool done;
	int d;

	d = sock_dial(a, &done, &e);
	is_ours(d);
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	*taken = sock_accept(fd, peer);
	is_ours(*taken);
	if (!done) {
		p.fd = d;
		p.events = POLLOUT;
		ck_assert_int_eq(poll(&p, 1, 5000), 1);
	}
	ck_assert_int_eq(option(d, SOL_SOCKET, SO_ERROR), 0);
	return d;
}

START_TEST(test_tcp)
{
	struct sock_addr a = addr(_i == 0 ? "127.0.0.1:0" : "[::1]:0");
	struct sock_addr b, peer, none;
	int fd, d, t;
	struct err e;

	fd = sock_listen(&a, 16, 0, &e);
	if (fd == -1 && _i == 1)
		return;		/* a machine without IPv6 */
	is_ours(fd);
	ck_assert_int_ne(option(fd, SOL_SOCKET, SO_REUSEADDR), 0);
	ck_assert_int_eq(sock_accept(fd, &none), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(sock_local(fd, &b), 0);
	d = meet(fd, &b, &t, &peer);
	ck_assert_int_ne(option(t, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_ne(option(d, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(sock_local(d, &b), 0);
	ck_assert(sock_eq(&b, &peer));
	close(d);
	close(t);
	close(fd);
}
END_TEST

/* IPv6 and IPv4 have the same port side by side. */
START_TEST(test_v6only)
{
	struct sock_addr a = addr(":0"), b = addr("[::]:0");
	struct err e;
	int v4, v6;

	v4 = sock_listen(&a, 16, 0, &e);
	ck_assert_int_ge(v4, 0);
	ck_assert_int_eq(sock_local(v4, &a), 0);
	b.u.in6.sin6_port = a.u.in4.sin_port;
	v6 = sock_listen(&b, 16, 0, &e);
	ck_assert(v6 >= 0 || strstr(e.text, "Address already") == NULL);
	close(v4);
	if (v6 >= 0)
		close(v6);
}
END_TEST

START_TEST(test_taken)
{
	struct sock_addr a = addr("127.0.0.1:0");
	char buf[128], want[200];
	struct err e;
	int fd;

	fd = sock_listen(&a, 16, 0, &e);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(sock_local(fd, &a), 0);
	ck_assert_int_eq(sock_listen(&a, 16, 0, &e), -1);
	snprintf(want, sizeof(want), "cannot bind %s: %s",
	    show(&a, buf, sizeof(buf)), strerror(EADDRINUSE));
	ck_assert_str_eq(e.text, want);
	close(fd);
	/* 192.0.2.0/24 is nobody's (RFC 5737) */
	a = addr("192.0.2.1:80");
	ck_assert_int_eq(sock_listen(&a, 16, 0, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "cannot bind 192.0.2.1:80: "));
}
END_TEST

/* Nobody listens: said at once, or as the error of the socket. */
START_TEST(test_refused)
{
	struct sock_addr a = addr("127.0.0.1:0");
	struct pollfd p = { .events = POLLOUT };
	struct err e;
	bool done = true;
	int fd;

	fd = sock_listen(&a, 16, 0, &e);
	ck_assert_int_eq(sock_local(fd, &a), 0);
	close(fd);
	p.fd = sock_dial(&a, &done, &e);
	ck_assert(!done);
	if (p.fd == -1) {
		ck_assert_ptr_nonnull(strstr(e.text, "cannot connect to "));
		return;
	}
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_eq(option(p.fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	close(p.fd);
}
END_TEST

START_TEST(test_unix)
{
	struct sock_addr a, peer;
	char buf[128];
	struct stat st;
	struct err e;
	mode_t mask;
	uid_t uid;
	gid_t gid;
	int fd, d, t;

	a = path_addr();
	mask = umask(027);
	fd = sock_listen(&a, 16, 0662, &e);
	is_ours(fd);
	ck_assert_uint_eq(umask(mask), 027);
	ck_assert_int_eq(stat(a.u.un.sun_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0662);
	d = meet(fd, &a, &t, &peer);
	ck_assert_str_eq(show(&peer, buf, sizeof(buf)), "unix:");
	ck_assert_int_eq(sock_cred(t, &uid, &gid), 0);
	ck_assert_uint_eq(uid, geteuid());
	ck_assert_uint_eq(gid, getegid());
	/* in use: it stays who it is */
	ck_assert_int_eq(sock_listen(&a, 16, 0600, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "/s: Address already in use"));
	close(d);
	close(t);
	close(fd);
}
END_TEST

START_TEST(test_stale)
{
	struct sock_addr a, peer;
	struct err e;
	bool done;
	int fd, d, t;

	a = path_addr();
	fd = sock_listen(&a, 16, 0600, &e);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(sock_dial(&a, &done, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "/s: Connection refused"));
	fd = sock_listen(&a, 16, 0600, &e);
	ck_assert_int_ge(fd, 0);
	d = meet(fd, &a, &t, &peer);
	close(d);
	close(t);
	close(fd);
}
END_TEST

/* What is no socket is never taken away. */
START_TEST(test_not_socket)
{
	struct sock_addr a;
	struct err e;
	int fd;

	a = path_addr();
	fd = open(a.u.un.sun_path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(sock_listen(&a, 16, 0600, &e), -1);
	ck_assert_int_eq(access(a.u.un.sun_path, F_OK), 0);
}
END_TEST

START_TEST(test_abstract)
{
	struct sock_addr a;
	char buf[128];

	memset(&a, 0, sizeof(a));
	a.u.un.sun_family = AF_UNIX;
	memcpy(a.u.un.sun_path, "\0name", 5);
	a.len = offsetof(struct sockaddr_un, sun_path) + 5;
	ck_assert_str_eq(show(&a, buf, sizeof(buf)), "unix:@name");
}
END_TEST

START_TEST(test_pair)
{
	static char block[65536 + 24];
	struct err e;
	int fds[2];

	ck_assert_int_eq(sock_pair(fds, &e), 0);
	is_ours(fds[0]);
	is_ours(fds[1]);
	ck_assert_int_eq(option(fds[0], SOL_SOCKET, SO_TYPE), SOCK_SEQPACKET);
	ck_assert_int_eq(write(fds[0], block, sizeof(block)), sizeof(block));
	ck_assert_int_eq(write(fds[0], block, 3), 3);
	ck_assert_int_eq(read(fds[1], block, sizeof(block)), sizeof(block));
	ck_assert_int_eq(read(fds[1], block, sizeof(block)), 3);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(test_reset)
{
	struct sock_addr a = addr("127.0.0.1:0"), peer;
	struct pollfd p = { .events = POLLIN };
	struct err e;
	char c;
	int fd, t;

	fd = sock_listen(&a, 16, 0, &e);
	ck_assert_int_eq(sock_local(fd, &a), 0);
	p.fd = meet(fd, &a, &t, &peer);
	sock_set_reset(t);
	close(t);
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_eq(read(p.fd, &c, 1), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	close(p.fd);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sock");
	TCase *tc = tcase_create("address");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_good, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tc, test_bad, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, test_long);
	tcase_add_test(tc, test_port);
	tcase_add_test(tc, test_eq);
	tcase_add_test(tc, test_abstract);
	suite_add_tcase(s, tc);
	tc = tcase_create("tcp");
	tcase_add_loop_test(tc, test_tcp, 0, 2);
	tcase_add_test(tc, test_v6only);
	tcase_add_test(tc, test_taken);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_reset);
	tcase_add_test(tc, test_pair);
	suite_add_tcase(s, tc);
	tc = tcase_create("unix");
	tcase_add_checked_fixture(tc, make_dir, remove_dir);
	tcase_add_test(tc, test_unix);
	tcase_add_test(tc, test_stale);
	tcase_add_test(tc, test_not_socket);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
