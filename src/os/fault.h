/*
 * Named fault points, in test builds only (SL_FAULTS): SLUICE_FAULT names
 * them, "NAME" or "NAME:COUNT", comma-separated.  Elsewhere the macro is
 * the constant false and costs nothing.
 */
#ifndef SL_OS_FAULT_H
#define SL_OS_FAULT_H

#include <stdbool.h>

#ifdef SL_FAULTS
/* True if the point is armed; with COUNT: for the first COUNT times. */
bool fault_hit(const char *name);
#define FAULT(name)	fault_hit(name)
#else
#define FAULT(name)	false
#endif

#endif
