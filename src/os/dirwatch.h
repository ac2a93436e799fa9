/*
 * Tells when files of directories come, go or were written.  Master.  One
 * file per system; where there is none nothing is ever told.
 */
#ifndef SL_OS_DIRWATCH_H
#define SL_OS_DIRWATCH_H

#include "base/str.h"
#include "os/ev.h"

struct dirwatch;

/* The name of a file, without its directory. */
typedef void (*dirwatch_fn)(void *ctx, struct str name);

/* NULL: the system has no means for it. */
struct dirwatch *dirwatch_new(struct ev *, dirwatch_fn, void *ctx,
    struct err *);
void dirwatch_free(struct dirwatch **);

/* One more; one that is watched already stays.  -1: it cannot be. */
int dirwatch_add(struct dirwatch *, const char *path, struct err *);

#endif
