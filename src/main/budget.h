/*
 * What a configuration will take of the board, against [board] max.
 */
#ifndef SL_MAIN_BUDGET_H
#define SL_MAIN_BUDGET_H

#include "conf/load.h"

/* Adds E0304 with the sum by region if it is too much; -1 then. */
int budget_check(struct conf_load *, const struct conf *);

#endif
