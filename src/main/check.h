/*
 * The modes of sluiced that serve nothing.
 */
#ifndef SL_MAIN_CHECK_H
#define SL_MAIN_CHECK_H

#include "main/opts.h"

/* Does what o->mode says; returns the exit status. */
int check_run(const struct opts *);

#endif
