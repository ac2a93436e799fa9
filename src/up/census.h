/*
 * Who of an upstream's servers may be asked, from their rows alone: the
 * one rule, for workers' views (up/view.h has it in words) and for
 * processes that choose nobody and have no twins.  Workers, control.
 */
#ifndef SL_UP_CENSUS_H
#define SL_UP_CENSUS_H

#include "up/view.h"

/* of all members; then tier, bars and what follows say who is in */
struct census {
	size_t		main, main_ok;	/* no backups, that may be asked */
	size_t		backup_ok;
	size_t		open;
	/* that are held back by an ejection alone: [backup][absent] */
	size_t		out[2][2];
	size_t		usable;		/* by whoever asked for each */
	struct view_rule rule;
};

extern const char *const census_tiers[VIEW_NTIER];

/* Takes a member into it; when all are in, census_choose. */
void census_add(struct census *, const struct board_server *,
    const struct board_server_live *);
void census_choose(struct census *, unsigned panic);

/* True: nothing that its row says keeps requests from it. */
bool census_admits(const struct view_rule *,
    const struct board_server_live *);
/* True: its breaker is open, and it is to be probed in time. */
bool census_is_open(const struct board_server *,
    const struct board_server_live *);

/* NULL: it is in the view.  Else why it is not: a state, or a sentence. */
const char *census_why_not(const struct view_rule *,
    const struct board_server *, const struct board_server_live *);

#endif
