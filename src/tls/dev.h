/*
 * tls = dev: an authority of this machine and a certificate by it, kept
 * below state_dir, for trying things out.  Builder and -t; whoever trusts
 * dev-ca.crt, or runs curl --cacert with it, is answered without a warning.
 */
#ifndef SL_TLS_DEV_H
#define SL_TLS_DEV_H

#include "base/text.h"
#include "base/vec.h"
#include "tls/cert.h"

#define DEV_CA		"dev-ca.crt"
#define DEV_CA_KEY	"dev-ca.key"
#define DEV_CERT	"dev.crt"
#define DEV_KEY		"dev.key"
#define DEV_FILES	4

/* a file to be kept; text is PEM */
struct dev_file {
	const char	*name;		/* const */
	unsigned	 mode;
	struct text	 text;		/* own */
};

/* both of them as PEM, as they are or as they were made */
struct dev {
	struct dev_file	file[DEV_FILES];	/* CA, its key, leaf, key */
	bool		made;			/* one of them is new */
};

/*
 * Names that the certificate is to have: struct str of host names,
 * wildcards, and addresses; each once.  dir is the folder where they were
 * kept, or -1.  What is there and good for another month is taken, else
 * made.  -1: OpenSSL could not.
 */
int dev_make(struct dev *, int dir, const struct vec *names, int64_t now,
    struct err *);
/* Wipes the keys. */
void dev_fini(struct dev *);

#endif
