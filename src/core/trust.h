/*
 * [sluice] trusted_proxies: who is believed what it says about a request
 * that it passes on.  Workers.
 */
#ifndef SL_CORE_TRUST_H
#define SL_CORE_TRUST_H

#include "conf/row.h"
#include "os/net.h"

struct trust {
	const struct net	*v;	/* of conf */
	size_t			 n;
};

/* Builder: reads the key. */
int trust_parse(struct conf_load *, const struct conf_row *, void *dst,
    const struct conf_item *, size_t n);

/* True if the peer is one of them. */
bool trust_has(const struct trust *, const struct sock_peer *);

#endif
