/*
 * What is known of certificates that were looked at before, in a file of
 * state_dir: a builder need not parse what did not change.  An entry holds
 * for two files as they were (device, inode, size, both times) and for the
 * bytes of the chain; a file that is damaged, or anybody else's, is as
 * good as none.  Builder and -t; there are no bytes of keys in it.
 */
#ifndef SL_TLS_CERT_INDEX_H
#define SL_TLS_CERT_INDEX_H

#include <sys/stat.h>

#include "base/arena.h"
#include "base/text.h"
#include "tls/cert.h"

#define CERT_INDEX_HEAD	48	/* bytes before the entries */

struct cert_index;

/* From the bytes of a file, which must live as long; never NULL. */
struct cert_index *cert_index_read(struct arena *, struct str file);

/*
 * Fills kind, dates and names of a certificate whose files, chain and id
 * are set, the names as copies in out.  False: it must be examined.
 */
bool cert_index_find(const struct cert_index *, struct arena *out,
    struct tls_cert *, const struct stat *chain, const struct stat *key);

/* Whether a chain of that id was in use before, from whatever file. */
bool cert_index_has(const struct cert_index *, const uint8_t *id);

/* How many it has. */
size_t cert_index_count(const struct cert_index *);

/* --- a new one --- */

/* Begins a file's bytes in an empty text. */
void cert_index_begin(struct text *);
/*
 * Adds what was examined or found.  Files that changed within the last two
 * seconds are known by id only: they may change again unnoticed.
 */
void cert_index_add(struct text *, const struct tls_cert *,
    const struct stat *chain, const struct stat *key, int64_t now);
/* The file's bytes are complete then. */
void cert_index_end(struct text *);

#endif
