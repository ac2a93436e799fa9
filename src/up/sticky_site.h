/*
 * Which cookies of sticky sessions a client may send to a host: all its
 * routes' upstreams, and those that follow them, set them for the whole
 * host, so that a request to one brings the others' along.  Builder makes
 * the list; workers ask.
 */
#ifndef SL_UP_STICKY_SITE_H
#define SL_UP_STICKY_SITE_H

#include "conf/load.h"

struct route;
struct upstream_conf;

/* Builder: requests of the route go to that upstream. */
void sticky_site_note(struct conf_load *, const struct route *,
    const struct upstream_conf *);
/* Builder: all of them are linked, and their fallbacks. */
void sticky_site_done(struct conf_load *);

/* False: no route of any host has such a cookie. */
bool sticky_site_any(const struct conf *);
/* The cookie of that name is one of ours, at that host (lower case). */
bool sticky_site_has(const struct conf *, struct str host, struct str name);

#endif
