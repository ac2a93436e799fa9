/*
 * A connection before its codec: on a listener with proxy_protocol it
 * begins with a header that says who the client is (io/proxy_proto.h);
 * with TLS the handshake follows.  Workers.
 *
 * Nothing of the header is read but looked at until it is whole: a
 * connection costs no buffer meanwhile, for which it has timeout.header.
 * A handshake takes memory from its first byte on, and there may be
 * tls.max_handshakes of them; timeout.handshake is the time one has.
 */
#ifndef SL_CORE_GREET_H
#define SL_CORE_GREET_H

#include "core/conn.h"

/*
 * Waits for the header, if there is to be one; then c->peer is the client,
 * the limits of its address are asked, the handshake is made, and the
 * codec begins.
 */
void greet_start(struct conn *);
/* Ends one that waits. */
void greet_close(struct conn *, enum fail why);

/*
 * Who came by the one rule of proxy_protocol came by another one than the
 * listener has; also of other processes.
 */
bool greet_is_other(bool proxy, const struct trust *from,
    const struct listener_conf *);

/* Copies what a listener's configuration says. */
void greet_set_conf(struct listener *, const struct listener_conf *);
void greet_free_conf(struct listener *);

#endif
