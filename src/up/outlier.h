/*
 * Ejection of servers whose requests fail.  A worker ejects at once, for
 * failures in a row; health does for the rate of failures, ends each
 * ejection and forgets old ones (up/outlier_sweep.c).
 *
 * How many of an upstream may be ejected holds over all processes: who
 * wants to eject takes the upstream's turn first, by compare-and-swap of
 * a word that says whom; who finds the turn taken sets that server's bit
 * itself and goes on, so a process that died with it stops nobody.
 */
#ifndef SL_UP_OUTLIER_H
#define SL_UP_OUTLIER_H

#include "up/state.h"
#include "up/watch_conf.h"

struct server;

/* region `outliers` of live, the rows of upstream_live; by CAS of all */
struct board_outlier {
	_Atomic uint64_t turn;		/* number << 32 | row + 1; 0: free */
	_Atomic uint64_t ejections;	/* ever */
	_Atomic uint64_t fill[6];
};
_Static_assert(sizeof(struct board_outlier) == 64, "board outlier");

extern const struct shm_region board_outliers;	/* upstream_rows.c */

/* the servers of an upstream, as the caller has them */
struct outlier_set {
	struct shm		*shm;
	const struct watch_conf	*conf;		/* ref */
	uint32_t		 upstream;	/* row */
	uint32_t		*row;		/* own; of servers */
	size_t			 n;
};

/*
 * Ejects one of the set, unless that would be too many, or the last that
 * takes requests.  Those where nobody listens are never too many.  why:
 * the failure that made it so.  now: monotonic ms.
 */
bool outlier_eject(const struct outlier_set *, uint32_t row, uint64_t tag,
    enum fail why, uint64_t now_ms);

/* Workers: an attempt failed, the nth in a row over all of them. */
void outlier_failed(struct server *, uint32_t n, enum fail why);

/*
 * Health: the ejection is over, what led to it forgotten; the server
 * comes back slowly, in slow_ms.
 */
void outlier_end(struct shm *, uint64_t slow_ms, uint32_t row, uint64_t tag);
/*
 * By the operator: the same, and nothing is known of it, ejected or not.
 * Control.
 */
void outlier_forget(struct shm *, uint64_t slow_ms, uint32_t row,
    uint64_t tag);

#endif
