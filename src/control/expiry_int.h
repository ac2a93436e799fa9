/*
 * What the files of expiry share.  Control process.
 */
#ifndef SL_CONTROL_EXPIRY_INT_H
#define SL_CONTROL_EXPIRY_INT_H

#include "control/expiry.h"
#include "up/tls_files.h"

/*
 * Notes what is due for the thing with that id (TLS_ID_BYTES), of which so
 * many seconds are left; true if that is new.  Times above most count as
 * most.
 */
bool expiry_is_due(struct expiry *, const uint8_t *id, int64_t left,
    int64_t most);

/*
 * Brings a gauge of the board to the seconds that are left in whole units,
 * less than none if it is over; INT64_MAX: there is nothing.
 */
void expiry_set(struct stat_gauge *, int64_t left, int64_t unit);
/* "in 3 days", or hours if it is less than two days; "" if it is over. */
void expiry_put(char *buf, size_t size, int64_t left);

/* expiry_file.c: a look at files beside those of [cert]. */
void expiry_look_files(struct expiry *, int64_t now);

#endif
