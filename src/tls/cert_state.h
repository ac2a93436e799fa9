/*
 * The folder tls of state_dir, where builders keep what they know of
 * certificates, and the CA of tls = dev.  It is its owner's alone: state_dir
 * belongs to the user of the workers, who must not lead root astray.
 */
#ifndef SL_TLS_CERT_STATE_H
#define SL_TLS_CERT_STATE_H

#include "base/err.h"
#include "base/str.h"

/*
 * Opens it; with make it is made if it is not there.  -1: it is not there,
 * or somebody else may write to it.
 */
int cert_state_open(struct str state_dir, bool make, struct err *);

/* The whole of a file there, malloc'd; STR_NONE: it cannot be had. */
struct str cert_state_read(int dir, const char *name, size_t max);

/* Puts a file there in one step, for nobody else to read if mode says so. */
int cert_state_write(int dir, const char *name, struct str, unsigned mode,
    struct err *);

#endif
