/*
 * Which terms of TLS a host has: those that a route for it names
 * (tls_policy), or the listener's.  The builder makes the index; workers
 * ask it with the name of a handshake, and with the host of a request.
 * Also what a route asks of clients' certificates.
 */
#ifndef SL_CORE_SECURE_HOST_H
#define SL_CORE_SECURE_HOST_H

#include "core/listener.h"
#include "tls/policy.h"

/* keys of [route] */
struct secure_route {
	struct str		 policy;	/* tls_policy; "": none */
	int			 cert;		/* client_cert: 1 required */
	struct conf_list	 sans;
	struct conf_list	 prints;	/* lower case, no colons */
};
extern const struct conf_group secure_route_group;

struct conf_load;

/*
 * Builder, when all routes are linked: the index of hosts.  -1 after it
 * told of two routes that give a host different terms.
 */
int secure_host_make(struct conf_load *);

/* Does any route give its hosts terms of their own? */
bool secure_host_any(const struct conf *);

/*
 * The terms for a host (lower case, no final dot; "": none): of an exact
 * name, else of the longest wildcard, else the listener's own.
 */
const struct tls_terms *secure_host_terms(const struct conf *,
    const struct listener_conf *, struct str host);

/* May requests for one host come by connections made for the other? */
bool secure_host_same(const struct conf *, const struct listener_conf *,
    struct str, struct str);

/*
 * Calls with each terms that connections to the listener may have; a pair
 * may come several times.
 */
void secure_host_each(const struct conf *, const struct listener_conf *,
    void (*)(void *, const struct tls_terms *), void *);

#endif
