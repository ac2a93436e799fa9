/*
 * The PROXY protocol, versions 1 and 2: what a proxy writes before all
 * else to say for whom it connects.  Pure: bytes in, an address out, and
 * the other way round.  Workers.
 */
#ifndef SL_IO_PROXY_PROTO_H
#define SL_IO_PROXY_PROTO_H

#include "base/str.h"
#include "os/sock.h"

/* bytes of a header that are read at most, and of one of ours */
#define PROXY_PROTO_MAX	4096
#define PROXY_PROTO_OUT	108

enum proxy_proto_rc {
	PROXY_PROTO_DONE,
	PROXY_PROTO_MORE,	/* right so far */
	PROXY_PROTO_BAD
};

struct proxy_proto {
	size_t			 used;		/* bytes of the header */
	unsigned		 version;	/* 1 or 2 */
	/*
	 * False: the header tells of no client (LOCAL, UNKNOWN, an
	 * address of a kind that no stream has): the connection's own
	 * peer holds.
	 */
	bool			 told;
	bool			 secure;	/* the client came by TLS */
	struct sock_peer	 from;
	struct sock_peer	 to;
	const char		*why;		/* of BAD: what is wrong */
};

/*
 * Reads the header at the start of what came.  BAD is said as early as
 * the bytes allow; a CRC32c, if there is one, is right in what is DONE.
 */
enum proxy_proto_rc proxy_proto_parse(struct str, struct proxy_proto *);

/*
 * Writes a header of version 1 or 2 to at least PROXY_PROTO_OUT bytes and
 * returns its length.  Without a common kind both addresses become IPv6;
 * a client without an address is unknown.
 */
size_t proxy_proto_build(char *, unsigned version,
    const struct sock_peer *from, const struct sock_peer *to);

/* CRC32c (Castagnoli) of two pieces. */
uint32_t proxy_proto_crc(struct str, struct str);

#endif
