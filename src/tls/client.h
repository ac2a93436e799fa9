/*
 * TLS towards servers: whom a gateway believes, what it shows of itself,
 * and one connection's handshake.  [upstream] says it; a struct tls_client
 * is the SSL_CTX that a process makes of it, shared by all who want the
 * same and kept while nothing of it changes.  Builder; workers, health.
 *
 * A server is known by its certificate: signed by one of the CAs, valid
 * now, and for its name or address (RFC 9525: the subject's common name
 * says nothing).  One with pins is known by its key alone, as DANE-EE has
 * it (RFC 7671 5.1): its CA, name and dates are not asked.
 */
#ifndef SL_TLS_CLIENT_H
#define SL_TLS_CLIENT_H

#include <openssl/ssl.h>

#include "base/list.h"
#include "base/text.h"
#include "io/tls.h"
#include "tls/terms.h"

#define TLS_PIN_BYTES	32	/* SHA-256 of a SubjectPublicKeyInfo */
#define TLS_PINS	4	/* of a server: that of now, those to come */

/* what a process makes a client of; of a generation */
struct tls_client_conf {
	struct tls_terms	 words;	/* versions, ciphers, ...; as said */
	const struct str	*cas;	/* DER; of the generation */
	size_t			 ncas;
	uint64_t		 ca_digest; /* of those */
	const struct tls_cert	*pair;	/* shown when asked for; or NULL */
	const struct tls_cert	*probe;	/* the same with the key where health
					 * has it; NULL: no probes */
	bool			 verify;
};

/* who a server has to be; of whoever dials it */
struct tls_peer {
	struct str	name;		/* DNS name or address; "": any */
	bool		is_address;	/* then it is not sent as SNI */
	unsigned	npin;
	uint8_t		pin[TLS_PINS][TLS_PIN_BYTES];
};

/* a connection's own, from tls_client_begin to its close */
struct tls_out {
	const struct tls_peer	*peer;	/* ref */
	/* ref: who keep is for now; others' sessions do not go there */
	const struct tls_peer	*const *now;
	SSL_SESSION		**keep;	/* ref: where sessions go; or NULL */
	struct str		 alpn;	/* offered, as on the wire; "": 1.1 */
	int			 alert;	/* fatal, that the server sent; -1 */
	bool			 pin_failed;
	uint8_t			 depth;	/* of what cannot be believed */
};

struct tls_client;

/* the clients of a process, so that equal ones are one */
struct tls_clients {
	struct list	all;
};
void tls_clients_init(struct tls_clients *);

/* NULL, or the key of words of which OpenSSL does not know all. */
const char *tls_client_check(const struct tls_client_conf *);

/*
 * One that does what conf says, counted.  pair: the one of conf whose key
 * is mapped here, or NULL.  NULL: OpenSSL cannot, *e says why.
 */
struct tls_client *tls_client_get(struct tls_clients *,
    const struct tls_client_conf *, const struct tls_cert *pair,
    struct err *);
struct tls_client *tls_client_ref(struct tls_client *);
/* The last one frees; nulls. */
void tls_client_unref(struct tls_client **);

/*
 * A connection that is to shake hands, with the kept session if there is
 * one: a session of TLS 1.3 is used once.  out must last as long as it.
 */
SSL *tls_client_begin(struct tls_client *, struct tls_out *);

/* The protocol that the server has chosen; "": none. */
struct str tls_client_alpn(const struct io *);

#define TLS_BLAME_MAX	512	/* bytes that a cause may have */

/*
 * The row of a handshake that failed, and in what the cause, with what was
 * wanted and what was presented; ended: the server left.
 */
enum fail tls_client_blame(const struct io *, const struct tls_out *,
    bool ended, struct text *what);
/* The same where another protocol was wanted than the server has. */
void tls_client_blame_alpn(const struct io *, struct text *what);

/*
 * The alert by which the server ended the connection after the handshake,
 * as those of TLS 1.3 refuse certificates; NULL: there was none.
 */
const char *tls_client_alert(const struct tls_out *);

/* The pin of a certificate's key; false: there is no memory for it. */
bool tls_client_key_pin(const X509 *, uint8_t out[TLS_PIN_BYTES]);
/* A pin as written: 64 hex digits or base64 of 32 bytes; false: neither. */
bool tls_client_pin(struct str, uint8_t out[TLS_PIN_BYTES]);

#endif
