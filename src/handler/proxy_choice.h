/*
 * What a request says of the choice of its server: the key that it is
 * hashed by, the cookie that names one.  Workers.
 */
#ifndef SL_HANDLER_PROXY_CHOICE_H
#define SL_HANDLER_PROXY_CHOICE_H

#include <stdint.h>

#include "base/str.h"

struct choice_conf;
struct exchange;
struct proxy;
struct proxy_route;
struct server;
struct upstream_conf;

/* What balance = hash goes by for a request, of its arena. */
struct str proxy_choice_key(struct exchange *, const struct choice_conf *);
/* Reads key and cookie; p->up is the route's. */
void proxy_choice_init(struct proxy *, const struct proxy_route *);
/* The same when p->up has become the twin of another one. */
void proxy_choice_switch(struct proxy *, const struct upstream_conf *);
/* Takes the cookies that are ours at this host out of p->req. */
void proxy_choice_request(struct proxy *);
/* For struct pick. */
uint64_t proxy_choice_hash(const struct proxy *);
/* Whom the cookie names, with room or without; NULL: any will do. */
struct server *proxy_choice_server(struct proxy *);
/* Adds a cookie to p->res, if the client needs one. */
void proxy_choice_answer(struct proxy *);

#endif
