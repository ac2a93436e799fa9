/*
 * Opening a file below a root, however long the disk takes.  Helper.
 */
#ifndef SL_MAIN_HELPER_OPEN_H
#define SL_MAIN_HELPER_OPEN_H

#include "core/ask.h"

/*
 * Takes a CHAN_OPEN question apart; -1 if it is malformed.  Root and path
 * are slices of the payload, with their NULs behind them.
 */
int helper_open_parse(struct str payload, struct ask_open *,
    struct str *root, struct str *path);

/*
 * A descriptor for reading, also of a folder; -1 with errno: EXDEV when
 * the path leads out of the root, ELOOP when it is a link and none may be.
 */
int helper_open(const char *root, const char *path, enum ask_links);

/*
 * A page that lists a directory, as a memory file (helper_list.c); -1
 * with errno.  Root and path end in NUL.
 */
int helper_list(const struct ask_open *, struct str root, struct str path);

#endif
