/*
 * sluicectl log: its words, and records as they come.  sluicectl.
 */
#ifndef SL_CLI_FOLLOW_H
#define SL_CLI_FOLLOW_H

#include <jansson.h>

#include "base/err.h"
#include "base/text.h"
#include "cli/client.h"

/*
 * Reads the n words behind the command: [-f] [FILTER].  What is to be
 * asked is added to target.  0 or an exit code, after a message.
 */
int follow_read(char *const *words, size_t n, struct text *target,
    json_t **answer);

/*
 * Prints records until there are no more: as they came, or for people.
 * 0, or -1 and why; an answer that is no 200 is in *a, to be freed.
 */
int follow_run(const char *sock, const char *target, bool json,
    struct answer *a, struct err *);

#endif
