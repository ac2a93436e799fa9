/*
 * What follows when no server of an upstream is left.  Workers.
 */
#ifndef SL_HANDLER_PROXY_FALLBACK_H
#define SL_HANDLER_PROXY_FALLBACK_H

#include "http/fail.h"

struct proxy;

/* What holds for the upstream that is asked, and what follows it. */
void proxy_fallback_init(struct proxy *);
/*
 * The attempts have failed for p->why.  True: another upstream is asked,
 * p->step is set.
 */
bool proxy_fallback_next(struct proxy *);
/* The request fails: the page and the time that the client is told. */
void proxy_fallback_page(struct proxy *, enum fail);

#endif
