/*
 * How many connections a listener takes: max_conns, max_conns_per_ip and
 * max_new_conns_per_ip, exact over all processes.  At max_conns whoever
 * comes next waits in the kernel's queue; who has too many for one
 * address is closed at once.
 */
#ifndef SL_CORE_LISTENER_LIMIT_H
#define SL_CORE_LISTENER_LIMIT_H

#include "core/conn.h"

/* --- the master: rows on the board --- */
int listener_link_rows(struct shm *, const struct conf *, uint64_t oldest,
    struct err *);
/* The word of a listener's row, + 1; 0: it has none. */
uint32_t listener_row(const struct shm *, struct str name);
bool listener_has_limit(const struct listener_conf *);
/* Bytes that the limits may come to use (for [board] max). */
uint64_t listener_cost(const struct conf *);

/* --- workers --- */
/* After the name is set; what is open is counted from now on. */
void listener_set_limits(struct listener *, const struct listener_share *);

/*
 * Before an accept: counts the one who may come.  False: max_conns are
 * open.  The hold goes back with listener_give, at the latest when the
 * connection ends.
 */
bool listener_enter(struct listener *, struct listener_hold *);
/* May he stay?  Counts him for his address if so. */
bool listener_admits(struct listener *, const struct sock_peer *,
    struct listener_hold *);
void listener_give(struct listener *, struct listener_hold *);

#endif
