/*
 * Questions to name servers: c-ares on the process's own loop.  Control
 * process, and sluiced -t --strict-dns.
 */
#ifndef SL_CONTROL_RESOLVER_H
#define SL_CONTROL_RESOLVER_H

#include "base/str.h"
#include "control/dns.h"
#include "os/ev.h"

/* what a question came to; NONE: such a name, but no such records */
enum dns_rc { DNS_OK, DNS_NONE, DNS_NO_NAME, DNS_FAILED, DNS_TIMEOUT };

struct resolver;
struct question;

/*
 * The answer, of the callee until the return; NULL if there is none, and
 * then why.
 */
typedef void (*resolver_fn)(void *ctx, enum dns_rc, const struct dns_answer *,
    const char *why);

/*
 * servers: ADDRESS:PORT with commas between, or NULL for those of
 * /etc/resolv.conf, whose changes are noticed.
 */
struct resolver *resolver_new(struct ev *, const char *servers, struct err *);
/* Nobody is answered any more. */
void resolver_free(struct resolver **);

/* The answer comes later, never from within; two tries of two seconds. */
struct question *resolver_ask(struct resolver *, const char *name,
    enum dns_type, resolver_fn, void *ctx);
/* No answer is wanted any more; nulls the pointer, which may be NULL. */
void resolver_cancel(struct question **);

/*
 * The nth name to be asked for where a host is called so: with the
 * domains of resolv.conf, by its ndots.  False: there are no more.
 */
bool resolver_search(const struct resolver *, const char *name, unsigned nth,
    char out[DNS_NAME]);
/* What /etc/hosts says of a name; how many. */
unsigned resolver_hosts(struct resolver *, const char *name, enum dns_type,
    struct dns_answer *);

#endif
