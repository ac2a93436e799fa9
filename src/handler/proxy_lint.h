/*
 * What is odd about where a route forwards to.  Builder and tools.
 */
#ifndef SL_HANDLER_PROXY_LINT_H
#define SL_HANDLER_PROXY_LINT_H

#include "up/upstream.h"

/*
 * W0320 if a server of the route's upstream is a listener of this gateway
 * that the route is for: what it forwards there comes back to it.  because:
 * the assignment that chose the upstream.
 */
void proxy_lint_loop(struct conf_load *, const struct conf_obj *route,
    const struct upstream_conf *, const struct conf_item *because);

/*
 * W0328 if the route is for upgrades or for CONNECT, which none of its
 * servers takes, for they are spoken to over HTTP/2 alone.
 */
void proxy_lint_upgrade(struct conf_load *, const struct conf_obj *route,
    const struct upstream_conf *);

/*
 * W0329 if the route, or its upstream by all routes to it, has keys of
 * gRPC, and no listener that clients of it can speak to.
 */
void proxy_lint_grpc(struct conf_load *, const struct conf_obj *route,
    const struct upstream_conf *);

/* E0346 if the route passes connections on that would be wrapped again. */
int proxy_lint_pass(struct conf_load *, const struct conf_obj *,
    const struct upstream_conf *, const struct conf_item *because);

#endif
