/*
 * Networks of addresses, "10.0.0.0/8" and "fd00::/8".  IPv4 is IPv6
 * mapped, as in struct sock_peer, so there is one kind.  All processes.
 */
#ifndef SL_OS_NET_H
#define SL_OS_NET_H

#include "base/str.h"
#include "os/sock.h"

struct net {
	uint8_t		ip[16];
	uint8_t		bits;		/* 0 to 128 */
	bool		unix_peers:1;	/* "unix": of socket files */
};

/*
 * Reads an address, a network or "unix".  NULL, or what is wrong.  Bits
 * behind the network's length are no error.
 */
const char *net_parse(struct str, struct net *);

/*
 * Reads an address without port into 16 bytes, IPv4 mapped.  The bits of
 * its kind, 32 or 128; 0: it is none.
 */
unsigned net_parse_ip(struct str, uint8_t *ip);
/* True if the 16 bytes are an IPv4 address, mapped. */
bool net_is_mapped(const uint8_t *ip);

/* True if the peer belongs to it. */
bool net_has(const struct net *, const struct sock_peer *);

#endif
