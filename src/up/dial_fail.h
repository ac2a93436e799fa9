/*
 * Why a dial failed, in the words of the fail table.  Workers.
 */
#ifndef SL_UP_DIAL_FAIL_H
#define SL_UP_DIAL_FAIL_H

#include "http/fail.h"

/* The row for an errno of socket(), connect() or of watching the two. */
enum fail dial_fail(int error);

#endif
