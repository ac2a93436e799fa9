/*
 * What the view of an upstream comes to, from its servers' rows alone: for
 * processes that choose nobody and have no twins (up/view.h has the rule).
 * Control.
 */
#ifndef SL_UP_CENSUS_H
#define SL_UP_CENSUS_H

#include "up/view.h"

/* of all members; then tier and bars say who is in the view */
struct census {
	size_t		main, main_ok;	/* no backups, that may be asked */
	size_t		backup_ok;
	size_t		open;
	size_t		usable;		/* by whoever asked for each */
	enum view_tier	tier;
	uint64_t	bars;
};

extern const char *const census_tiers[4];	/* by enum view_tier */

/* Takes a member into it; when all are in, census_choose. */
void census_add(struct census *, const struct board_server *,
    const struct board_server_live *);
void census_choose(struct census *, unsigned panic);

/* NULL: it is in the view.  Else why it is not: a state, or a sentence. */
const char *census_why_not(const struct census *,
    const struct board_server *, const struct board_server_live *);

#endif
