/*
 * sluicectl server ACTION UPSTREAM SERVER [N]: its words.  sluicectl.
 */
#ifndef SL_CLI_SERVER_H
#define SL_CLI_SERVER_H

#include <jansson.h>

#include "base/text.h"

/*
 * Reads the n words behind the command; what is to be asked is added to
 * target.  0 or an exit code, after a message.
 */
int server_read(char *const *words, size_t n, struct text *target,
    json_t **answer);

#endif
