/*
 * sluicectl upstreams [NAME] and why [NAME]: their word, and what can be
 * said of a failure when nobody answers.  sluicectl.
 */
#ifndef SL_CLI_NAMED_H
#define SL_CLI_NAMED_H

#include <jansson.h>

#include "base/text.h"

/*
 * Reads the n words behind the command, at most a name, which is added to
 * target.  0 or an exit code, after a message.
 */
int named_read(char *const *words, size_t n, struct text *target,
    json_t **answer);

/* Failures of that name or status, or all; NULL: there is none such. */
json_t *named_failures(char *const *words, size_t n);

#endif
