/*
 * The files that TLS reads beside those of [cert]: authorities of clients
 * and of servers, lists of revoked certificates, what servers are shown.
 * Master, to watch them; control, to tell before they end.
 */
#ifndef SL_UP_TLS_FILES_H
#define SL_UP_TLS_FILES_H

#include "conf/conf.h"

enum tls_file_kind {
	TLS_FILE_CA,		/* tls.client_ca */
	TLS_FILE_CRL,		/* tls.client_crl */
	TLS_FILE_SERVER_CA,	/* tls.ca of [upstream] */
	TLS_FILE_SHOWN,		/* tls.cert of it */
	TLS_FILE_KEY,		/* tls.key of it */
	TLS_FILE_NKIND
};

struct tls_file {
	enum tls_file_kind	 kind;
	struct str		 path;
	const struct conf_obj	*obj;	/* that names it */
	/*
	 * Of what ends first.  Authorities that had ended when the file was
	 * read do not count beside one that had not.
	 */
	int64_t			 from;	/* of lists and what is shown */
	int64_t			 until;	/* 0: nothing ends */
};

/* Calls with each file of a generation, for each that names it. */
void tls_files_each(const struct conf *,
    void (*on)(void *ctx, const struct tls_file *), void *ctx);

/* "ca", for programs. */
const char *tls_files_word(enum tls_file_kind);

#endif
