/*
 * PEM (RFC 7468): blocks of base64 between lines of dashes.  Pure
 * functions over text in memory; the builder's.
 */
#ifndef SL_TLS_PEM_H
#define SL_TLS_PEM_H

#include "base/str.h"

/* slices of the text */
struct pem {
	struct str	label;	/* "CERTIFICATE" */
	struct str	body;	/* base64 with its line ends */
	struct str	whole;	/* from the first dash to the last */
	bool		sealed;	/* encrypted, by either form */
};

/*
 * The next block of *rest, which moves behind it; false if there is none.
 * Text outside of blocks is skipped, and so is a block without its end.
 */
bool pem_next(struct str *rest, struct pem *);

/* Room that pem_decode needs for a body of n bytes. */
size_t pem_room(size_t n);

/* The bytes of a body to out; their number, or -1: this is no base64. */
ptrdiff_t pem_decode(struct str body, char *out);

#endif
