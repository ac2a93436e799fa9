/*
 * A chain and its key, from PEM to what a generation has: read, looked at
 * and judged.  Builder and -t; the objects of OpenSSL live and die here.
 */
#ifndef SL_TLS_CERT_READ_H
#define SL_TLS_CERT_READ_H

#include <openssl/types.h>

#include "base/text.h"
#include "conf/load.h"
#include "tls/cert.h"

#define CERT_SEEN	8

/*
 * Those that sign others, as met lately: thousands of chains end alike,
 * and lie in the generation once.
 */
struct cert_seen {
	struct {
		struct str	 der;	/* of the generation */
		X509		*x;	/* own: parsed; or NULL */
	}		v[CERT_SEEN];
	unsigned	next;		/* to be forgotten */
	struct text	buf;		/* own */
};

/* what is to be read; texts of PEM, and how they are protected */
struct cert_text {
	struct str	chain;
	struct str	key;		/* the same text, if in one file */
	struct str	pass;		/* p NULL: there is none */
};

/* whom a complaint concerns */
enum cert_blame { CERT_BLAME_CHAIN, CERT_BLAME_KEY };

/* what is wrong: a diagnostic without its place */
struct cert_fault {
	enum diag_id		id;
	enum cert_blame		blame;
	const char		*hint;	/* const; NULL: the id's own */
	struct err		why;
};

void cert_seen_init(struct cert_seen *);
void cert_seen_fini(struct cert_seen *);
/* The parsed form, to be kept no longer than seen; NULL: it is broken. */
X509 *cert_seen_parse(struct cert_seen *, struct str der);

/*
 * Copies the chain's blocks to out and the key's to keys; the id follows
 * from the chain.  Nothing is parsed but PEM, unless the key is encrypted.
 * -1: the fault tells.
 */
int cert_read(struct cert_seen *, const struct cert_text *,
    struct arena *out, struct arena *keys, struct tls_cert *,
    struct cert_fault *);

/*
 * Parses what cert_read copied, fills kind, dates and the chain's own
 * names, and sees that all belongs together: key and leaf, each
 * certificate and the next.  -1: the fault tells.
 */
int cert_examine(struct cert_seen *, struct arena *out,
    struct tls_cert *, struct cert_fault *);

#endif
