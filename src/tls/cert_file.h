/*
 * Files of certificates and keys, read whole.  Builder and -t; contents
 * may be keys and are wiped when they are let go.
 */
#ifndef SL_TLS_CERT_FILE_H
#define SL_TLS_CERT_FILE_H

#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

struct cert_file {
	struct str	text;	/* own */
	struct stat	st;	/* as it was opened */
};

/* Reads a regular file of at most 1 MiB; -1 with a reason without name. */
int cert_file_read(const char *path, struct cert_file *, struct err *);
/* May others than its owner and its group read or write it? */
bool cert_file_is_open(const struct cert_file *);
#define CERT_FILE_OPEN	"has a key that everybody may read or write"
/* Wipes and frees; may be called again. */
void cert_file_drop(struct cert_file *);

/*
 * Names in a directory that end with one of .crt and .pem, sorted: struct
 * str of malloc'd bytes, freed by cert_file_forget.  -1 with a reason.
 */
int cert_file_list(const char *dir, struct vec *names, struct err *);
void cert_file_forget(struct vec *names);

#endif
