/*
 * Who asks: the connection's peer, or the client for whom trusted proxies
 * say that they ask.  Workers; control explains.
 *
 * A chain of addresses is read from its right end, where the nearest proxy
 * wrote: each address that is trusted lets the next one be read, the first
 * that is not trusted is the client's.  What cannot be read (unknown,
 * names that hide an address, anything malformed) ends the chain, and the
 * last address that was read holds.
 */
#ifndef SL_CORE_CLIENT_H
#define SL_CORE_CLIENT_H

#include "core/trust.h"
#include "http/msg.h"

#define CLIENT_HOPS	32	/* addresses that are looked at */

/* the one field that is believed; of [sluice] client_field */
enum client_field { CLIENT_XFF, CLIENT_FORWARDED, CLIENT_REAL_IP };
#define CLIENT_FIELDS	"x-forwarded-for|forwarded|x-real-ip"

/*
 * Sets *client, which is *peer unless that is trusted and says more, and
 * *secure by the scheme that it says the client used, if it says one: the
 * proto of the client's element where Forwarded is the field, else
 * X-Forwarded-Proto.
 * True if the peer is trusted.
 */
bool client_find(const struct trust *, enum client_field,
    const struct hdrs *, const struct sock_peer *peer,
    struct sock_peer *client, bool *secure);

/*
 * The part of a line of Forwarded, up to its end, that is understood
 * whoever reads it, from whichever end: its elements behind the last one
 * with a quote left open.
 */
struct str client_sound(struct str line);

/*
 * Reads an address as those fields have it: 192.0.2.1, 192.0.2.1:80,
 * 2001:db8::1, [2001:db8::1]:80; "unix" and "_unix" are socket files.
 * -1: it is none.
 */
int client_read(struct str, struct sock_peer *);

#endif
