/*
 * What seals session tickets.  A policy has keys of its own, derived from
 * the seeds that all policies and processes share and from the policy's
 * digest: a ticket of one policy means nothing to another.  Workers.
 */
#ifndef SL_TLS_TICKET_H
#define SL_TLS_TICKET_H

#include <openssl/evp.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

#define TLS_SEEDS	3	/* at a time; the first is the newest */
#define TLS_SEED_MAX	80
#define TLS_DIGEST	32

struct tls_digest {
	uint8_t	v[TLS_DIGEST];
};

/* what keys are derived from; of a process, the same in all */
struct tls_seeds {
	uint64_t	version;	/* another one: they changed */
	uint32_t	life_s;		/* of a session */
	uint32_t	n;
	size_t		len[TLS_SEEDS];
	uint8_t		v[TLS_SEEDS][TLS_SEED_MAX];
};

#define TICKET_NAME	16

/* derived, of one policy */
struct ticket_key {
	uint8_t	name[TICKET_NAME];
	uint8_t	cipher[32];
	uint8_t	mac[32];
};
_Static_assert(sizeof(struct ticket_key) == 80, "a ticket's key");

struct ticket_ring {
	uint64_t		 version;	/* of the seeds */
	uint32_t		 n;
	struct ticket_key	 v[TLS_SEEDS];
	EVP_CIPHER		*cipher;	/* own */
};

void ticket_init(struct ticket_ring *);
/* Wipes it. */
void ticket_fini(struct ticket_ring *);

/* Derives what the seeds changed; -1: OpenSSL fails, or there are none. */
int ticket_fit(struct ticket_ring *, const struct tls_seeds *,
    const struct tls_digest *);

/* Sets both contexts to seal with the newest key; -1: OpenSSL fails. */
int ticket_seal(const struct ticket_ring *, unsigned char *name,
    unsigned char *iv, EVP_CIPHER_CTX *, EVP_MAC_CTX *);

/*
 * Sets them to open a ticket: 1, or 2 if its key is not the newest one, 0
 * if no key has that name, -1 if OpenSSL fails.
 */
int ticket_open(const struct ticket_ring *, const unsigned char *name,
    const unsigned char *iv, EVP_CIPHER_CTX *, EVP_MAC_CTX *);

/* --- configuration: keys of [sluice] --- */

struct ticket_conf {
	uint64_t	 rotate_ms;
	struct conf_list files;
	const struct str *keys;		/* of the keys' file */
	const struct tls_digest *prints; /* of what the files say */
	size_t		 nkey;
};
extern const struct conf_group ticket_group;

/* What a generation says of tickets. */
const struct ticket_conf *ticket_of(const struct conf *);

#endif
