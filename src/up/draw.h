/*
 * Drawing servers of a view by chance, each as likely as its weight says.
 * For balancers.  Workers.
 */
#ifndef SL_UP_DRAW_H
#define SL_UP_DRAW_H

#include "up/upstream.h"

/*
 * What draws of a view need, as a balancer's plan: 8 bytes for each
 * server, and nothing (NULL) if all weigh the same.
 */
void *draw_plan(const struct upstream *, void *old);

/*
 * One that view_takes() and is not `but` (NULL: any), or NULL.  Takes the
 * same time however many there are, as long as most of them take requests.
 */
struct server *draw_server(struct upstream *, const struct pick *,
    const struct server *but);

#endif
