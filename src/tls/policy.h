/*
 * Policies: all that decides how a handshake goes, which is terms
 * (tls/terms.h) and the protocols of a listener.  A policy is the SSL_CTX
 * that a process makes of them, kept across generations while nothing of
 * it changes.  The client's first message says which it is, by its name,
 * before anything else is decided; a session of one is none in another.
 * Certificates are no part of it: they are chosen for each handshake.
 * Workers.
 */
#ifndef SL_TLS_POLICY_H
#define SL_TLS_POLICY_H

#include <openssl/ssl.h>

#include "conf/conf.h"
#include "tls/cert.h"
#include "tls/hello.h"
#include "tls/terms.h"

enum tls_mode { TLS_OFF, TLS_ON, TLS_DEV };

#define TLS_ALPN_MAX	64
#define TLS_NAME_BYTES	TLS_NAME_MAX

/* keys tls and tls.* of [listener] that are no terms */
struct tls_policy_conf {
	int			 mode;		/* enum tls_mode */
	struct str		 terms;		/* tls_policy; "": its own */
	int64_t			 max_handshakes; /* of a worker */
	uint64_t		 handshake_ms;
};
extern const struct conf_group tls_policy_group;

/* The terms of a [listener], be they its own or those it names. */
const struct tls_terms *tls_policy_terms(const struct conf *,
    const struct conf_obj *);

struct tls_policy;
struct tls_hand;

/* what handshakes of a process ask now; of whoever drives them */
struct tls_ask {
	const struct conf	*conf;	/* the generation of now */
	struct tls_store	*store;	/* its certificates */
	struct tls_seeds	*seeds;	/* of tickets */
	/* The policy for a name ("": none); NULL: that which began. */
	struct tls_policy	*(*choose)(const struct tls_hand *,
				    struct str name);
	void			*ctx;	/* of choose */
};

/* a handshake; of whoever drives it, as long as it lasts */
struct tls_hand {
	const struct tls_ask	*ask;	/* ref */
	const void		*where;	/* of ask->choose */
	struct tls_policy	*policy; /* ref, counted: of the name */
	uint32_t		 name:30; /* hash of it; 0: none */
	uint32_t		 dev:1;	/* tls = dev */
	uint32_t		 heard:1; /* the first message was */
	enum fail		 why;	/* set when it is refused here */
};

/*
 * Makes one; alpn: protocols in order of preference as on the wire (RFC
 * 7301).  -1: OpenSSL does not know a word, which *e names.
 */
struct tls_policy *tls_policy_new(const struct tls_terms *,
    struct str alpn, struct err *);
struct tls_policy *tls_policy_ref(struct tls_policy *);
void tls_policy_unref(struct tls_policy **);

/* Terms and protocols with the same digest are the same policy. */
void tls_policy_digest(const struct tls_terms *, struct str alpn,
    struct tls_digest *);
bool tls_policy_is(const struct tls_policy *, const struct tls_digest *);

/*
 * A connection that is to accept, of this policy unless its name has
 * another.  hand must last until tls_policy_done, or until the connection
 * is freed; tls_policy_end then lets go of what it holds.
 */
SSL *tls_policy_begin(struct tls_policy *, struct tls_hand *);
void tls_policy_done(SSL *);
void tls_policy_end(struct tls_hand *);

/* The client's certificate that was not believed; NULL: there is none. */
const X509 *tls_policy_refused(const SSL *);

/* Is this the policy that a connection was accepted by? */
bool tls_policy_made(const SSL *, const struct tls_digest *);

/*
 * The name asked for as the index has it: lower case, without the final
 * dot; empty: none was.
 */
struct str tls_name(const SSL *, char buf[TLS_NAME_BYTES]);

/*
 * "TLSv1.3"; the cipher's name as tls.ciphers has it; the name asked for,
 * which lasts as long as the connection.  Empty for NULL.
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
