/*
 * What the files of tls/ share: the builder's run over all certificates.
 */
#ifndef SL_TLS_INT_H
#define SL_TLS_INT_H

#include "base/vec.h"
#include "conf/load.h"
#include "tls/cert_conf.h"
#include "tls/cert_index.h"
#include "tls/cert_read.h"

/* a run over all [cert]s */
struct certs_load {
	struct conf_load	*load;
	struct arena		*out;
	struct arena		*keys;
	struct vec		 all;	/* struct tls_cert * */
	struct cert_seen	 seen;
	const struct cert_index	*known;	/* of builders before */
	struct text		 index;	/* own: of this one */
	int64_t			 now;
	int			 rc;
};

/* --- cert_load.c --- */

/*
 * Reads what the sections name into cl->all; what is wrong is told, and rc
 * becomes -1.
 */
void cert_load_all(struct certs_load *);

/* --- cert_build.c --- */

/* The section's done: all of it, and the index by name. */
int cert_build(struct conf_load *);

#endif
