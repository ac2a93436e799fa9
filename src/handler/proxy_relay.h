/*
 * Bytes both ways after an upgrade.  Workers.
 */
#ifndef SL_HANDLER_PROXY_RELAY_H
#define SL_HANDLER_PROXY_RELAY_H

#include "core/serve.h"
#include "http/msg.h"

struct proxy;

/* The server changes the protocol: answers, or ends the attempt. */
void proxy_upgrade(struct proxy *, const struct msg *);
/* The answer's head is on its way to the client: bytes follow. */
void proxy_relay_begin(struct proxy *);
/* Closes what the relay has; harmless when there is none. */
void proxy_relay_end(struct proxy *);
extern const struct serve_part proxy_part;	/* a row of serve_parts[] */

#endif
