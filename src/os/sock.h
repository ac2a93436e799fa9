/*
 * Addresses and sockets.  Every descriptor made here is non-blocking and
 * close-on-exec.
 */
#ifndef SL_OS_SOCK_H
#define SL_OS_SOCK_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/str.h"
#include "base/text.h"

/* an address: IPv4, IPv6 or a unix path */
struct sock_addr {
	socklen_t	len;
	union {
		struct sockaddr		sa;
		struct sockaddr_in	in4;
		struct sockaddr_in6	in6;
		struct sockaddr_un	un;
	} u;
};

/* the same in 20 bytes, for structs that exist once per connection */
struct sock_peer {
	uint8_t		ip[16];		/* IPv4 mapped; unix: zeroes */
	uint16_t	port;		/* host order */
	uint8_t		family;		/* AF_INET, AF_INET6, AF_UNIX */
	uint8_t		pad;
};

/*
 * "1.2.3.4:80", "[::1]:80", ":80" (all IPv4), "unix:/path",
 * "localhost:80" (127.0.0.1).  Nothing is looked up.  Errors name the
 * part that is wrong.  def_port < 0: the port must be there.
 */
int sock_parse(struct str, int def_port, struct sock_addr *, struct err *);

/* Appends the address as sock_parse reads it. */
void sock_text(struct text *, const struct sock_addr *);
/* 0 of a unix path. */
unsigned sock_port(const struct sock_addr *);
/* Not of a unix socket. */
void sock_set_port(struct sock_addr *, unsigned);
bool sock_eq(const struct sock_addr *, const struct sock_addr *);
void sock_peer(struct sock_peer *, const struct sock_addr *);
/* The way back; of a unix path nothing is there but the family. */
void sock_of_peer(struct sock_addr *, const struct sock_peer *);
/* The address without port, as X-Forwarded-For has it; "unix" for AF_UNIX. */
void sock_peer_text(struct text *, const struct sock_peer *);
/* Writes the same, of at most SOCK_PEER_MAX bytes; the place behind it. */
#define SOCK_PEER_MAX	46
char *sock_peer_put(char *, const struct sock_peer *);

/*
 * A bound, listening socket with SO_REUSEADDR, TCP_NODELAY (inherited by
 * what is accepted) and IPV6_V6ONLY.  A stale unix socket file that
 * nobody answers on is replaced; mode applies to unix sockets.
 */
int sock_listen(const struct sock_addr *, int backlog, unsigned mode,
    struct err *);

/* accept4; -1 with errno. */
int sock_accept(int fd, struct sock_addr *);

/* Starts a connect; *done tells whether it is through already. */
int sock_dial(const struct sock_addr *, bool *done, struct err *);

/* A connected pair of SOCK_SEQPACKET ends (message channels). */
int sock_pair(int fds[2], struct err *);

/* The address fd is bound to; -1 with errno. */
int sock_local(int fd, struct sock_addr *);
/* Uid and gid of a unix peer (SO_PEERCRED, getpeereid). */
int sock_cred(int fd, uid_t *, gid_t *);
/* True if the peer has it among its supplementary groups (Linux). */
bool sock_in_group(int fd, gid_t);

/* At the end of an abortive close: no TIME_WAIT, the peer sees a reset. */
void sock_set_reset(int fd);

#endif
