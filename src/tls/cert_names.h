/*
 * Names of hosts as certificates and clients have them: lower case,
 * letters, digits and hyphens, A-labels for all else; and the index by
 * name.  Pure functions; the index is of a generation.
 */
#ifndef SL_TLS_CERT_NAMES_H
#define SL_TLS_CERT_NAMES_H

#include "base/arena.h"
#include "tls/cert.h"

#define CERT_NAMES_MAX	253	/* bytes of a name */

/*
 * NULL if it is a name that a certificate may be asked for, wildcards
 * ("*.a.example", one label) included; else why not.
 */
const char *cert_names_check(struct str);

/* Whether a name of a certificate stands for the name. */
bool cert_names_cover(struct str has, struct str name);

/* An empty index with room for n names. */
void cert_names_init(struct arena *, struct tls_certs *, size_t n);

/*
 * Adds a certificate for a name.  Where there is one of its kind already
 * the better holds: whose name was said in the configuration, else who is
 * valid for longer.  The other one, or NULL.
 */
const struct tls_cert *cert_names_add(struct tls_certs *, struct str name,
    const struct tls_cert *);

/* The index's entry for a name as it was added; NULL: there is none. */
const struct tls_name *cert_names_find(const struct tls_certs *,
    struct str name);

#endif
