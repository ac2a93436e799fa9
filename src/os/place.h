/*
 * Where the control socket and the pid file of somebody who is not root
 * lie when no run_dir is set; sluiced makes the folder, sluicectl looks
 * there.  One below /tmp could be another user's trap.
 */
#ifndef SL_OS_PLACE_H
#define SL_OS_PLACE_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/*
 * XDG_RUNTIME_DIR/sluice, or /tmp/sluice-UID when xdg is empty.  -1: it
 * does not fit.
 */
int place_run_dir(char *buf, size_t size, struct str xdg);

/*
 * 0 if it is a folder of this user that nobody else may write to; -1 and
 * errno 0 if it is not, or why it cannot be looked at.
 */
int place_check(const char *dir, struct err *);

#endif
