/*
 * What TLS needs in one process: room to work in, the certificates of the
 * current generation, and the policies of its listeners, which outlive
 * generations as long as nothing of them changes.  Also the cap on
 * handshakes under way.  Workers.
 */
#ifndef SL_CORE_SECURE_H
#define SL_CORE_SECURE_H

#include "core/conn.h"
#include "io/tls.h"
#include "tls/client.h"
#include "tls/policy.h"

/* who waits for its turn to begin a handshake */
struct secure_wait {
	struct list	node;		/* of listener.turns, or empty */
	struct ev_task	task;		/* posted when it may ask again */
};

extern const struct serve_part secure_part;

/* Do connections of this listener speak TLS?  Also of other processes. */
bool secure_has(const struct listener_conf *);

/* The room of the process, made when it is needed first. */
struct tls_room *secure_room(struct serve *);
/* So are its clients: what its upstreams need for servers with TLS. */
struct tls_clients *secure_clients(struct serve *);

/*
 * Fills in whom a handshake asks now; again whenever it goes on, for what
 * it asks may be of another generation then.
 */
void secure_ask(const struct listener *, struct tls_hand *);

/* Counts the certificate that a handshake ended with. */
void secure_shown(const struct listener *, const SSL *);

/* The policy of a listener in the committed generation; NULL: no TLS. */
struct tls_policy *secure_policy(struct serve *,
    const struct listener_conf *);

/*
 * A number of all policies that its connections may have: another one
 * means that some of them changed.  0: no TLS.
 */
uint64_t secure_sum(struct serve *, const struct listener_conf *);
/* The same of any generation; all processes. */
uint64_t secure_sum_of(const struct conf *, const struct listener_conf *);

/*
 * Would a connection be made by the policy that it has now, too?  Those
 * that are passed on have none; a handshake under way may have either.
 */
bool secure_is_current(const struct conn *, const struct listener_conf *);

/* Was the client asked for a certificate? */
bool secure_is_asked(const struct conn *);

/*
 * Has a reload come between the beginning of a handshake, which is over
 * now, and its end, and changed the policy by which it asked the client
 * for a certificate?
 */
bool secure_is_late(const struct conn *);

/* The policy that terms make with the protocols of a listener. */
void secure_digest(const struct listener_conf *, const struct tls_terms *,
    struct tls_digest *);

/*
 * A turn to begin a handshake, while fewer than its max_handshakes are
 * under way at a listener and nobody waits for longer; else the waiter's
 * task is posted when it is the first and there is room, and it asks
 * again or is forgotten.  Every turn is given back.
 */
bool secure_enter(struct listener *, struct secure_wait *);
void secure_leave(struct listener *);
/* It waits no more; harmless if it does not. */
void secure_forget(struct listener *, struct secure_wait *);
/* A listener may have another max_handshakes. */
void secure_wake(struct listener *);

#endif
