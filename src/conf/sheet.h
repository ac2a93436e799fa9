/*
 * The lines of objects, which stay in the generation.  Builder and tools.
 */
#ifndef SL_CONF_SHEET_H
#define SL_CONF_SHEET_H

#include "conf/load.h"

/* Sets the lines of all objects of a load that has no error. */
void sheet_run(struct conf_load *);

#endif
