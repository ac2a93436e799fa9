/*
 * Named fault points, in test builds only (SL_FAULTS): SLUICE_FAULT names
 * them, "NAME", "NAME:COUNT" or "NAME:SKIP+COUNT", comma-separated.
 * Elsewhere the macro is the constant false and costs nothing.  After
 * FAULT_INIT by the master the counts are of all its processes together.
 */
#ifndef SL_OS_FAULT_H
#define SL_OS_FAULT_H

#include <stdbool.h>

#ifdef SL_FAULTS
/* True if the point is armed; with COUNT: as often, after SKIP times. */
bool fault_hit(const char *name);
void fault_init(void);
#define FAULT(name)	fault_hit(name)
#define FAULT_INIT()	fault_init()
#else
#define FAULT(name)	false
#define FAULT_INIT()	((void)0)
#endif

#endif
