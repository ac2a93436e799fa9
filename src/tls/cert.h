/*
 * Certificates: what [cert NAME] says, read and checked by the builder and
 * kept in the generation as DER, and the choice among them by the name a
 * client asks for.
 *
 * Chains lie in the generation that all processes map, keys in its second
 * file, which only workers map; so no worker ever opens either.  A worker
 * makes OpenSSL's objects of them when a name is asked for first and keeps
 * those used lately (struct tls_store, one per generation and worker).
 */
#ifndef SL_TLS_CERT_H
#define SL_TLS_CERT_H

#include <openssl/types.h>

#include "base/err.h"
#include "base/text.h"
#include "conf/conf.h"
#include "http/fail.h"

/* a name may have one of each; the client says which it can check */
enum tls_kind { TLS_RSA, TLS_ECDSA, TLS_ED25519, TLS_NKIND };

#define TLS_ID_BYTES	16

/* a chain with its key, of a generation */
struct tls_cert {
	uint32_t		 nth;		/* of tls_certs.v */
	const struct conf_obj	*obj;		/* that names it; of tls = dev
						 * the listener */
	struct str		 file;		/* of the chain */
	struct str		 key_file;	/* the same, if in one file */
	const struct str	*chain;		/* DER, the leaf first */
	size_t			 nchain;
	struct str		 key;		/* DER, in the keys' file */
	uint8_t			 id[TLS_ID_BYTES]; /* of the chain's bytes */
	const struct str	*names;		/* lower case, A-labels */
	size_t			 nname;
	int64_t			 from;		/* Unix time: valid */
	int64_t			 until;
	enum tls_kind		 kind;
	bool			 said;		/* names of the key `names` */
	bool			 fallback;	/* default = on */
	bool			 dev;		/* made for tls = dev */
};

/* who serves a name; a NULL where there is none of the kind */
struct tls_choice {
	const struct tls_cert	*v[TLS_NKIND];
};

/* a slot of the index by name; key.p NULL: free */
struct tls_name {
	struct str		 key;	/* "a.example", ".example" for *. */
	struct tls_choice	 choice;
};

/* the section's data */
struct tls_certs {
	const struct tls_cert	*const *v; /* in file order */
	size_t			 n;
	const struct tls_name	*names;	/* open addressing */
	size_t			 cap;	/* power of two */
	size_t			 nname;
	struct tls_choice	 fallback; /* for unknown names and none */
	struct tls_choice	 dev;	/* the same, where tls = dev */
	bool			 refuse;   /* unknown names, and none; also
					    * where nothing could be shown */
	size_t			 max;	   /* in a worker's memory */
};

extern const struct conf_section cert_section;
/* keys of [sluice] and of [limits] */
extern const struct conf_group cert_sluice_group;
extern const struct conf_group cert_limits_group;

struct conf_load;

/*
 * Builder, behind a load that went well: keeps below state_dir what was
 * learnt of certificates, for the builders to come.
 */
int tls_certs_keep(struct conf_load *, struct str state_dir, struct err *);

/* Whether changes of their files are to be noticed ([sluice] watch). */
bool tls_certs_watch(const struct conf *);
/* Each directory that they are of, once. */
void tls_certs_dirs(const struct conf *, void (*)(void *ctx, struct str),
    void *ctx);
/* Whether a file of that name, in one of these, may be one of theirs. */
bool tls_certs_watched(const struct conf *, struct str name);

/* Where the CA of tls = dev lies; false: there is no such listener. */
bool tls_certs_dev(const struct conf *, struct text *path);

/* The certificates of a generation; not NULL. */
const struct tls_certs *tls_certs(const struct conf *);

/*
 * Who serves a name (lower case, no final dot; empty: none was sent): an
 * exact name before a wildcard of one label, then the default, which with
 * dev is that of listeners with tls = dev.  False: it is refused, or there
 * is no certificate at all.  Clients that connect to an address send no
 * name, and addresses are names of dev's, so there none is not refused.
 */
bool tls_certs_find(const struct tls_certs *, struct str name, bool dev,
    struct tls_choice *);
/* Is it found by its name, not as a default? */
bool tls_certs_has(const struct tls_certs *, struct str name);

/* The same for a host of a route: "a.example", ".a.example" for *. */
bool tls_certs_named(const struct tls_certs *, struct str host,
    struct tls_choice *);

/*
 * When it is, for people: "2026-11-21", and less than two days from now
 * with the time of day.
 */
#define TLS_DATE_BYTES	32
void tls_certs_date(char buf[TLS_DATE_BYTES], int64_t at, int64_t now);
/* What there is to say of its dates, such as that it has expired. */
bool tls_certs_dated(const struct tls_cert *, int64_t now, struct err *);

/* "ECDSA", for people. */
const char *tls_certs_kind(enum tls_kind);

/* --- in workers --- */

struct tls_store;

/* One per worker and generation, which it must not outlive. */
struct tls_store *tls_store_new(const struct conf *, struct err *);
/* What the one before it (which may be NULL) has ready serves it, too. */
void tls_store_follow(struct tls_store *, const struct tls_store *before);
/* From now on handshakes ask it, and its limits hold. */
void tls_store_begin(struct tls_store *);
/* Connections keep what was set on them. */
void tls_store_free(struct tls_store **);

/*
 * The chain and key for a name (lower case, no final dot; empty: none was
 * sent), of a generation; loaded on first use.  Sets them on the
 * connection, one of each kind that there is; OpenSSL takes the one that
 * the client can check.  0, or -1 and *why is a fail row: unknown name
 * refused, material unusable.
 */
int tls_cert_select(struct tls_store *, SSL *, struct str sni, bool dev,
    enum fail *why);

/* Which of them the client was shown; NULL: this generation has it not. */
const struct tls_cert *tls_cert_shown(const struct tls_store *,
    const SSL *, bool dev);

#endif
