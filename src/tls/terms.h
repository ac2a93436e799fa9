/*
 * The terms of a handshake: versions, ciphers, groups, signatures, and
 * whether clients show certificates.  [listener] has them, or names a [tls
 * NAME] that has; routes may name one for their hosts.  Builder; workers
 * make policies of them (tls/policy.h).
 */
#ifndef SL_TLS_TERMS_H
#define SL_TLS_TERMS_H

#include <openssl/ssl.h>

#include "conf/conf.h"
#include "tls/ticket.h"

enum tls_client_mode {
	TLS_CLIENT_OFF,
	TLS_CLIENT_OPTIONAL,
	TLS_CLIENT_REQUIRED
};

/* DER of several, of the generation */
struct tls_ders {
	const struct str	*v;
	size_t			 n;
	/* see tls_files.h; from: of lists alone */
	int64_t			 from;
	int64_t			 until;		/* 0: nothing ends */
};

/* keys tls.* of [tls NAME] and of [listener] */
struct tls_terms {
	struct conf_list	 versions;
	struct conf_list	 ciphers;
	struct conf_list	 suites;
	struct conf_list	 groups;
	struct conf_list	 signatures;
	int			 client;	/* enum tls_client_mode */
	struct str		 ca_file;
	struct str		 crl_file;
	int64_t			 depth;
	/* made by link */
	struct tls_ders		 cas;
	struct tls_ders		 crls;
	struct tls_digest	 digest;	/* of all above */
};
extern const struct conf_group tls_terms_group;
extern const struct conf_section tls_section;

/* Brings the words to OpenSSL; NULL, or the key with one it does not know. */
const char *tls_terms_set(SSL_CTX *, const struct tls_terms *);

/* For what is asked of servers; -1 after it told of words unknown. */
int tls_terms_words(struct conf_load *, const struct conf_obj *,
    const struct tls_terms *);

/* Sets the digest by all other members. */
void tls_terms_digest(struct tls_terms *);

/* --- terms_client.c --- */

/* Reads files of client certificates; -1 after it told what is wrong. */
int tls_terms_read(struct conf_load *, const struct conf_obj *,
    struct tls_terms *);

/* A date as Unix time; -1: it is none. */
int tls_terms_time(const ASN1_TIME *, int64_t *);

/*
 * Of authorities in a file, and 0 before the first, which date is told:
 * that of the first to end, and once all have ended, of the last that did.
 */
int64_t tls_terms_end(int64_t was, const ASN1_TIME *until);

/* What clients show is checked as the terms say. */
void tls_terms_verify(SSL_CTX *, const struct tls_terms *);

#endif
