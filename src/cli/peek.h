/*
 * The board, read straight from shared memory.  sluicectl.
 */
#ifndef SL_CLI_PEEK_H
#define SL_CLI_PEEK_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/*
 * What stands on the board, from descriptors of `dir` and `live`; hello is
 * the answer they came with.  all: regions and every counter too.  NULL
 * with the reason if the segments are not of this program's layout.
 */
json_t *peek_board(const int fds[2], const json_t *hello, bool all,
    struct err *);

#endif
