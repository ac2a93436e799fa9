/*
 * Addresses and sockets; every process.
 *
 * Addresses are read by hand around inet_pton and never looked up, so
 * nothing here blocks.  What is made is non-blocking and close-on-exec
 * from the first moment (SOCK_NONBLOCK, SOCK_CLOEXEC, accept4).
 */
#include "os/sock.h"

#include <sys/stat.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "base/put.h"

#define UN_HEAD		offsetof(struct sockaddr_un, sun_path)
/* The longest text: "unix:" and a path. */
#define TEXT_MAX	(sizeof("unix:") + sizeof(struct sockaddr_un))
/* Groups of a peer, at most. */
#define PEER_GROUPS	1024
/* Room for six frames of a channel; the kernel doubles and caps it. */
#define PAIR_BYTES	(256 * 1024)

static int
parse_unix(struct str path, struct sock_addr *a, struct err *e)
{
	if (path.n == 0 || path.p[0] != '/')
		return err_set(e, "\"unix:%.*s\": the path is not absolute",
		    STR_FMT(path));
	if (path.n >= sizeof(a->u.un.sun_path))
		return err_set(e, "\"unix:%.*s\": the path is longer than "
		    "%zu bytes", STR_FMT(path),
		    sizeof(a->u.un.sun_path) - 1);
	if (str_to_c(path, a->u.un.sun_path, sizeof(a->u.un.sun_path)) == -1)
		return err_set(e, "unix path: it holds a NUL byte");
	a->u.un.sun_family = AF_UNIX;
	a->len = (socklen_t)(UN_HEAD + path.n + 1);
	return 0;
}

/* 0, or anything else when host is no such address.  Empty: all IPv4. */
static int
parse_ip(struct str host, bool is_v6, struct sock_addr *a)
{
	char buf[INET6_ADDRSTRLEN];

	if (is_v6) {
		a->len = sizeof(a->u.in6);
		a->u.in6.sin6_family = AF_INET6;
		if (str_to_c(host, buf, sizeof(buf)) == -1)
			return -1;
		return inet_pton(AF_INET6, buf, &a->u.in6.sin6_addr) - 1;
	}
	a->len = sizeof(a->u.in4);
	a->u.in4.sin_family = AF_INET;
	if (host.n == 0)
		return 0;
	if (str_eq_fold(host, STR("localhost"))) {
		a->u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return 0;
	}
	if (str_to_c(host, buf, sizeof(buf)) == -1)
		return -1;
	return inet_pton(AF_INET, buf, &a->u.in4.sin_addr) - 1;
}

/* Splits "host", "host:port" and "[host]:port"; port.p NULL: none. */
static int
split(struct str s, struct str *host, struct str *port, bool *is_v6)
{
	ptrdiff_t i = -1;

	*port = STR_NONE;
	*is_v6 = s.n > 0 && s.p[0] == '[';
	if (*is_v6) {
		i = str_find(s, ']', 0);
		if (i < 0)
			return -1;
		*host = str_sub(s, 1, (size_t)i);
		s = str_sub(s, (size_t)i + 1, s.n);
		if (s.n == 0)
			return 0;
		if (s.p[0] != ':')
			return -1;
		*port = str_sub(s, 1, s.n);
		return 0;
	}
	i = str_find(s, ':', 0);
	if (i < 0) {
		*host = s;
		return 0;
	}
	*host = str_sub(s, 0, (size_t)i);
	*port = str_sub(s, (size_t)i + 1, s.n);
	return str_find(*port, ':', 0) < 0 ? 0 : -1;
}

int
sock_parse(struct str s, int def_port, struct sock_addr *a, struct err *e)
{
	struct str host, port;
	uint64_t n = def_port < 0 ? 0 : (uint64_t)def_port;
	bool is_v6;

	memset(a, 0, sizeof(*a));
	if (str_starts(s, STR("unix:")))
		return parse_unix(str_sub(s, 5, s.n), a, e);
	if (s.n == 0)
		return err_set(e, "the address is empty");
	if (split(s, &host, &port, &is_v6) == -1)
		return err_set(e, "\"%.*s\": not an address (IPv6 is "
		    "written [ADDRESS]:PORT)", STR_FMT(s));
	if (port.p == NULL && def_port < 0)
		return err_set(e, "\"%.*s\": the port is missing",
		    STR_FMT(s));
	if (port.p != NULL && str_to_u64(port, 65535, &n) == -1)
		return err_set(e, "\"%.*s\": port \"%.*s\" is not a number "
		    "up to 65535", STR_FMT(s), STR_FMT(port));
	if (parse_ip(host, is_v6, a) != 0)
		return err_set(e, "\"%.*s\": \"%.*s\" is not an %s address",
		    STR_FMT(s), STR_FMT(host), is_v6 ? "IPv6" : "IPv4");
	if (is_v6)
		a->u.in6.sin6_port = htons((uint16_t)n);
	else
		a->u.in4.sin_port = htons((uint16_t)n);
	return 0;
}

static char *
put_octet(char *p, unsigned v)
{
	if (v >= 100)
		return put_two(put_c(p, (char)('0' + v / 100)), v % 100);
	return v >= 10 ? put_two(p, v) : put_c(p, (char)('0' + v));
}

/* By hand: each request tells one, and inet_ntop asks sprintf. */
static char *
put_ip4(char *p, const unsigned char *ip)
{
	p = put_octet(p, ip[0]);
	for (int i = 1; i < 4; i++)
		p = put_octet(put_c(p, '.'), ip[i]);
	return p;
}

static char *
put_ip(char *p, int family, const void *ip)
{
	if (family == AF_INET)
		return put_ip4(p, ip);
	must(inet_ntop(family, ip, p, SOCK_PEER_MAX) != NULL);
	return p + strlen(p);
}

static void
add_ip(struct text *t, int family, const void *ip)
{
	char buf[SOCK_PEER_MAX];

	text_add(t, str_make(buf, (size_t)(put_ip(buf, family, ip) - buf)));
}

/* The path as bytes: empty when unnamed, with a NUL first when abstract. */
static struct str
unix_path(const struct sock_addr *a)
{
	struct str s;

	if (a->len <= UN_HEAD)
		return STR("");
	s = str_make(a->u.un.sun_path, a->len - UN_HEAD);
	if (s.p[0] != '\0')
		s.n = strnlen(s.p, s.n);
	return s;
}

void
sock_text(struct text *t, const struct sock_addr *a)
{
	struct str path;

	switch (a->u.sa.sa_family) {
	case AF_INET:
		add_ip(t, AF_INET, &a->u.in4.sin_addr);
		text_c(t, ':');
		text_u64(t, ntohs(a->u.in4.sin_port));
		break;
	case AF_INET6:
		text_c(t, '[');
		add_ip(t, AF_INET6, &a->u.in6.sin6_addr);
		text_add(t, STR("]:"));
		text_u64(t, ntohs(a->u.in6.sin6_port));
		break;
	default:
		text_add(t, STR("unix:"));
		path = unix_path(a);
		if (path.n > 0 && path.p[0] == '\0') {
			text_c(t, '@');
			path = str_sub(path, 1, path.n);
		}
		text_add(t, path);
	}
}

void
sock_set_port(struct sock_addr *a, unsigned port)
{
	if (a->u.sa.sa_family == AF_INET)
		a->u.in4.sin_port = htons((uint16_t)port);
	else if (a->u.sa.sa_family == AF_INET6)
		a->u.in6.sin6_port = htons((uint16_t)port);
}

unsigned
sock_port(const struct sock_addr *a)
{
	switch (a->u.sa.sa_family) {
	case AF_INET:
		return ntohs(a->u.in4.sin_port);
	case AF_INET6:
		return ntohs(a->u.in6.sin6_port);
	default:
		return 0;
	}
}

bool
sock_eq(const struct sock_addr *a, const struct sock_addr *b)
{
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;
	switch (a->u.sa.sa_family) {
	case AF_INET:
		return a->u.in4.sin_port == b->u.in4.sin_port &&
		    a->u.in4.sin_addr.s_addr == b->u.in4.sin_addr.s_addr;
	case AF_INET6:
		return a->u.in6.sin6_port == b->u.in6.sin6_port &&
		    a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
		    IN6_ARE_ADDR_EQUAL(&a->u.in6.sin6_addr,
		    &b->u.in6.sin6_addr);
	default:
		return str_eq(unix_path(a), unix_path(b));
	}
}

void
sock_peer(struct sock_peer *p, const struct sock_addr *a)
{
	memset(p, 0, sizeof(*p));
	p->family = (uint8_t)a->u.sa.sa_family;
	/* ::ffff:a.b.c.d, RFC 4291 2.5.5.2 */
	switch (a->u.sa.sa_family) {
	case AF_INET:
		p->ip[10] = p->ip[11] = 0xff;
		memcpy(p->ip + 12, &a->u.in4.sin_addr, 4);
		p->port = ntohs(a->u.in4.sin_port);
		break;
	case AF_INET6:
		memcpy(p->ip, &a->u.in6.sin6_addr, 16);
		p->port = ntohs(a->u.in6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr))
			p->family = AF_INET;
		break;
	default:
		break;
	}
}

void
sock_of_peer(struct sock_addr *a, const struct sock_peer *p)
{
	memset(a, 0, sizeof(*a));
	a->u.sa.sa_family = p->family;
	a->len = UN_HEAD;
	if (p->family == AF_INET) {
		a->len = sizeof(a->u.in4);
		a->u.in4.sin_port = htons(p->port);
		memcpy(&a->u.in4.sin_addr, p->ip + 12, 4);
	} else if (p->family == AF_INET6) {
		a->len = sizeof(a->u.in6);
		a->u.in6.sin6_port = htons(p->port);
		memcpy(&a->u.in6.sin6_addr, p->ip, 16);
	}
}

char *
sock_peer_put(char *to, const struct sock_peer *p)
{
	if (p->family == AF_INET)
		return put_ip(to, AF_INET, p->ip + 12);
	if (p->family == AF_INET6)
		return put_ip(to, AF_INET6, p->ip);
	return put_str(to, STR("unix"));
}

void
sock_peer_text(struct text *t, const struct sock_peer *p)
{
	char buf[SOCK_PEER_MAX];

	text_add(t, str_make(buf, (size_t)(sock_peer_put(buf, p) - buf)));
}

/* Closes fd and returns -1 with "cannot VERB ADDRESS: why" from errno. */
static int
refuse(int fd, const char *verb, const struct sock_addr *a, struct err *e)
{
	char buf[TEXT_MAX];
	struct text t;
	int n = errno;

	text_init_fixed(&t, buf, sizeof(buf));
	sock_text(&t, a);
	if (fd != -1)
		close(fd);
	errno = n;
	return err_sys(e, "cannot %s %.*s", verb, STR_FMT(text_str(&t)));
}

/* The flags from the first moment: no exec of a child inherits it. */
static int
make(const struct sock_addr *a)
{
	return socket(a->u.sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void
set_on(int fd, int level, int name)
{
	int on = 1;

	setsockopt(fd, level, name, &on, sizeof(on));
}

/*
 * True when the path is a socket that refuses: its listener is dead.  A
 * live one answers, or with a full backlog says EAGAIN.
 */
static bool
is_stale(const struct sock_addr *a)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(a->u.un.sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	fd = make(a);
	if (fd == -1)
		return false;
	/* Never waits: a unix connect is done or refused at once. */
	stale = connect(fd, &a->u.sa, a->len) == -1 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* The mode holds from the first moment, so it is set by the umask. */
static int
bind_unix(int fd, const struct sock_addr *a, unsigned mode)
{
	mode_t old = umask((mode_t)~mode & 0777);
	int rc;

	rc = bind(fd, &a->u.sa, a->len);
	if (rc == -1 && errno == EADDRINUSE && is_stale(a) &&
	    unlink(a->u.un.sun_path) == 0)
		rc = bind(fd, &a->u.sa, a->len);
	umask(old);
	return rc;
}

/*
 * TCP_NODELAY is inherited by what is accepted, which saves a call per
 * connection.  Without IPV6_V6ONLY [::]:80 would take 0.0.0.0:80 as well,
 * or not, as the system is set up.
 */
static int
bind_tcp(int fd, const struct sock_addr *a)
{
	set_on(fd, SOL_SOCKET, SO_REUSEADDR);
	set_on(fd, IPPROTO_TCP, TCP_NODELAY);
	if (a->u.sa.sa_family == AF_INET6)
		set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	return bind(fd, &a->u.sa, a->len);
}

int
sock_listen(const struct sock_addr *a, int backlog, unsigned mode,
    struct err *e)
{
	int fd = make(a), rc;

	if (fd == -1)
		return refuse(-1, "make a socket for", a, e);
	if (a->u.sa.sa_family == AF_UNIX)
		rc = bind_unix(fd, a, mode);
	else
		rc = bind_tcp(fd, a);
	if (rc == -1)
		return refuse(fd, "bind", a, e);
	if (listen(fd, backlog) == -1)
		return refuse(fd, "listen on", a, e);
	return fd;
}

int
sock_accept(int fd, struct sock_addr *a)
{
	int n;

	do {
		a->len = sizeof(a->u);
		n = accept4(fd, &a->u.sa, &a->len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	/* Some systems tell no address, or none but its length, for unix. */
	if (n != -1 && a->len < UN_HEAD) {
		a->u.sa.sa_family = AF_UNIX;
		a->len = UN_HEAD;
	}
	return n;
}

int
sock_dial(const struct sock_addr *a, bool *done, struct err *e)
{
	int fd = make(a);

	*done = false;
	if (fd == -1)
		return refuse(-1, "make a socket for", a, e);
	if (a->u.sa.sa_family != AF_UNIX)
		set_on(fd, IPPROTO_TCP, TCP_NODELAY);
	/* Interrupted, it goes on by itself (POSIX connect). */
	if (connect(fd, &a->u.sa, a->len) == 0)
		*done = true;
	else if (errno != EINPROGRESS && errno != EINTR)
		return refuse(fd, "connect to", a, e);
	return fd;
}

int
sock_pair(int fds[2], struct err *e)
{
	int bytes = PAIR_BYTES, i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0, fds) == -1)
		return err_sys(e, "cannot make a pair of sockets");
	for (i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes,
		    sizeof(bytes));
	return 0;
}

int
sock_local(int fd, struct sock_addr *a)
{
	memset(a, 0, sizeof(*a));
	a->len = sizeof(a->u);
	return getsockname(fd, &a->u.sa, &a->len);
}

int
sock_cred(int fd, uid_t *uid, gid_t *gid)
{
#ifdef SO_PEERCRED
	struct ucred c;
	socklen_t n = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == -1)
		return -1;
	*uid = c.uid;
	*gid = c.gid;
	return 0;
#else
	return getpeereid(fd, uid, gid);
#endif
}

bool
sock_in_group(int fd, gid_t group)
{
#ifdef SO_PEERGROUPS
	gid_t g[PEER_GROUPS];
	socklen_t i, n = sizeof(g);

	/* more than fit is an error, and then nobody's group is known */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, g, &n) == -1)
		return false;
	for (i = 0; i < n / sizeof(g[0]); i++)
		if (g[i] == group)
			return true;
#else
	(void)fd;
	(void)group;
#endif
	return false;
}

void
sock_set_reset(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}
