/*
 * What a server and its clients agree on: versions, ciphers, groups,
 * signatures, protocols.  [listener] says it; a policy is the SSL_CTX that
 * a process makes of it, kept across generations while nothing of it
 * changes.  Certificates are no part of it: they are chosen for each
 * handshake.  Builder; workers.
 */
#ifndef SL_TLS_POLICY_H
#define SL_TLS_POLICY_H

#include <openssl/ssl.h>

#include "conf/conf.h"
#include "tls/cert.h"

enum tls_mode { TLS_OFF, TLS_ON, TLS_DEV };

#define TLS_ALPN_MAX	64
#define TLS_POLICY_DIGEST 32

/* keys tls and tls.* of [listener] */
struct tls_policy_conf {
	int			 mode;		/* enum tls_mode */
	struct conf_list	 versions;
	struct conf_list	 ciphers;
	struct conf_list	 suites;
	struct conf_list	 groups;
	struct conf_list	 signatures;
	int64_t			 max_handshakes; /* of a worker */
	uint64_t		 handshake_ms;
};
extern const struct conf_group tls_policy_group;

/* whom a handshake asks; of whoever drives it, as long as it lasts */
struct tls_hand {
	const struct conf	*conf;	/* the generation of now */
	struct tls_store	*store;	/* its certificates */
	enum fail		 why;	/* set when it is refused here */
};

struct tls_policy;

/*
 * Makes one; alpn: protocols in order of preference as on the wire (RFC
 * 7301); secret: TICKET_SECRET bytes that tickets are sealed with, or NULL:
 * nobody else takes them.  NULL: OpenSSL does not know a word, see *e.
 */
struct tls_policy *tls_policy_new(const struct tls_policy_conf *,
    struct str alpn, const uint8_t *secret, struct err *);
struct tls_policy *tls_policy_ref(struct tls_policy *);
void tls_policy_unref(struct tls_policy **);

/*
 * The same words for an SSL_CTX of another kind; NULL, or the key with a
 * word that OpenSSL does not know.
 */
const char *tls_policy_set(SSL_CTX *, const struct tls_policy_conf *);

/* Two configurations with the same digest are the same policy. */
void tls_policy_digest(const struct tls_policy_conf *, struct str alpn,
    uint8_t digest[TLS_POLICY_DIGEST]);
/* Is it that policy? */
bool tls_policy_is(const struct tls_policy *,
    const uint8_t digest[TLS_POLICY_DIGEST]);

/* A connection that is to accept; hand must last until tls_policy_done. */
SSL *tls_policy_begin(struct tls_policy *, struct tls_hand *);
void tls_policy_done(SSL *);

/*
 * "TLSv1.3"; the cipher's name as RFCs have it; the name asked for, which
 * lasts as long as the connection.  Empty for NULL.
 */
struct str tls_version(const SSL *);
struct str tls_cipher(const SSL *);
struct str tls_sni(const SSL *);

/* The protocol that was agreed on; empty: the client named none. */
struct str tls_alpn(const SSL *);

/*
 * The row of a handshake that failed: of OpenSSL's code, the alert that
 * the peer sent (-1: none) and whether the connection ended.
 */
enum fail tls_policy_blame(unsigned long code, int alert, bool ended);

#endif
