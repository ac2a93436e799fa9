/*
 * How often certificates were shown to clients, over all workers and
 * reloads.  A row is of a file's name, so a renewed certificate goes on
 * counting where the one before it was.
 */
#ifndef SL_CORE_CERT_USE_H
#define SL_CORE_CERT_USE_H

#include "os/shm.h"
#include "tls/cert.h"

/* tag: whoever is first, by compare-and-swap; the counts: all workers add */
struct board_cert_use {
	_Atomic uint64_t tag;		/* of the file's name; 0: free */
	_Atomic uint64_t shown;		/* handshakes with a signature by it */
	_Atomic uint64_t last_ms;	/* wall clock; 0: never */
	uint64_t	 pad[5];
};
_Static_assert(sizeof(struct board_cert_use) == 64, "cert use");

extern const struct shm_region board_cert_uses;

/* Master: room for those of a generation. */
int cert_use_grow(struct shm *, const struct conf *, struct err *);
/* Bytes that they may come to use (for [board] max). */
uint64_t cert_use_cost(const struct conf *);

/* Worker: it was shown to a client. */
void cert_use_add(struct shm *, const struct tls_cert *, uint64_t now_ms);

/* How often it was, and when last. */
void cert_use_sum(const struct shm *, const struct tls_cert *,
    uint64_t *shown, uint64_t *last_ms);

#endif
