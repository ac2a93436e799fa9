/*
 * Who the processes run as, and whether that user gets at what the
 * configuration names: directories that are served, the log's.
 */
#ifndef SL_MAIN_REACH_H
#define SL_MAIN_REACH_H

#include "conf/load.h"
#include "core/settings.h"
#include "os/priv.h"

/* who stands in for the user of the default if there is none */
#define REACH_FALLBACK	"nobody"

/*
 * The user of a configuration, or who runs this if it is not root.  1: it
 * is REACH_FALLBACK; -1: there is none.
 */
int reach_user(const struct settings *, struct priv_user *, struct err *);

/* Warns of what the user does not get at. */
void reach_check(struct conf_load *, const struct conf *);

#endif
