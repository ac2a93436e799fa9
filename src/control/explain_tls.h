/*
 * What would happen to a handshake, and what follows from it for requests
 * that come by its connection.  Control process; sluicectl, offline.
 */
#ifndef SL_CONTROL_EXPLAIN_TLS_H
#define SL_CONTROL_EXPLAIN_TLS_H

#include <jansson.h>

#include "core/exchange.h"
#include "core/listener.h"

/*
 * The name that a client sends for the host of a URL, folded, in buf: no
 * address is sent (RFC 6066 3), so it is "" for one.
 */
struct str explain_tls_name(struct str host, char *buf, size_t size);

/*
 * A handshake that asks a listener with TLS for that name: terms and
 * certificates.  *why: the row it is refused with.
 */
json_t *explain_tls(const struct conf *, const struct listener_conf *,
    struct str name, enum fail *why);

/*
 * What the route of a request asks of the client's certificate, or null.
 * listener NULL: the request comes without TLS.  *why is set if no client
 * can have one.
 */
json_t *explain_tls_client(const struct conf *,
    const struct listener_conf *, const struct exchange *, enum fail *why);

/* Where a request is led to for it came without TLS, and who says so. */
json_t *explain_tls_redirect(const struct conf *, struct exchange *);

#endif
