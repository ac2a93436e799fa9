/*
 * Why a dial failed, in the words of the fail table.  Workers.
 */
#ifndef SL_UP_DIAL_FAIL_H
#define SL_UP_DIAL_FAIL_H

#include "http/fail.h"

/* The row for an errno of socket() or connect(). */
enum fail dial_fail(int error);

#endif
