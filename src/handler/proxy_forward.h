/*
 * What a proxied request tells its server about the client.  Workers.
 */
#ifndef SL_HANDLER_PROXY_FORWARD_H
#define SL_HANDLER_PROXY_FORWARD_H

#include "http/msg.h"

struct exchange;
struct proxy;

/* Is a field of the request dropped, be it to be written anew? */
bool proxy_forward_drops(const struct proxy *, const struct hdr *);
/* Adds those that are written anew. */
void proxy_forward_add(struct proxy *);
/* Did the client come by TLS, as far as we are told? */
bool proxy_forward_secure(const struct exchange *);
/* What connections begin with; version: enum send_proxy. */
void proxy_forward_preface(struct proxy *, int version);

#endif
