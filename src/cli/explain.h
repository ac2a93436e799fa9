/*
 * sluicectl explain: its words.  sluicectl.
 */
#ifndef SL_CLI_EXPLAIN_H
#define SL_CLI_EXPLAIN_H

#include <jansson.h>

#include "base/text.h"

/*
 * Reads the n words behind the command.  What is to be asked is added to
 * target; with --config *answer is what the file says.  0 or an exit
 * code, after a message.
 */
int explain_read(char *const *words, size_t n, struct text *target,
    json_t **answer);

#endif
