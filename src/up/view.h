/*
 * The servers of an upstream among which a request's is chosen, as one
 * process sees them.  A view is made anew when the upstream's epoch on
 * the board has moved on, or its members have changed; all processes make
 * the same one from the same words.
 *
 * Who is in it: servers that are no backups and may be asked; if less
 * than `panic` percent of them may, backups as well; if there are no
 * backups, all but those that the operator or the breaker keeps away
 * (panic: better to ask the sick than to bring the others down).  When
 * nobody may be asked, the view is empty.
 */
#ifndef SL_UP_VIEW_H
#define SL_UP_VIEW_H

#include "up/state.h"

struct pick;
struct server;
struct tried;
struct upstream;

#define WEIGHT_MAX	1000	/* of a server = line, and of operators */

enum view_tier {
	VIEW_EMPTY, VIEW_MAIN, VIEW_BACKUP, VIEW_PANIC, VIEW_EJECTED,
	VIEW_NTIER
};

/* who is in it, see up/census.h */
struct view_rule {
	uint64_t	bars;		/* bits of states that keep one away */
	enum view_tier	tier;
	bool		backups;	/* they are in, too */
	bool		absent;		/* so are those, though sick */
};

struct view {
	uint64_t	  epoch;	/* of the board, when it was made */
	struct server	**v;		/* own: by row; refs of members */
	uint32_t	 *weight;	/* own: of v, more than 0 */
	size_t		  n;
	struct server	**open;		/* own: whose breaker is; of members */
	size_t		  nopen;
	struct view_rule  rule;
	void		 *plan;		/* own: of the balancer, or NULL */
	bool		  stale;	/* members have changed */
};

/* The view is that of the board and the members, after this. */
void view_refresh(struct upstream *);
void view_fini(struct view *);

/*
 * The rule for a request that has asked these.  In a panic only first
 * attempts go to the sick; others do when no fit one is left, by
 * upstream_spare.
 */
struct view_rule view_rule_for(const struct upstream *,
    const struct tried *);
/*
 * May the request ask this server now: it was not asked, has room, and
 * its state has not changed for the worse since the view was made.
 */
bool view_takes(const struct upstream *, const struct server *,
    const struct pick *);
/* What it weighs now, slow start included; 0: nothing new goes there. */
uint32_t view_weight(const struct server *);
/* The same without slow start, whatever its state; 0: in no such tier. */
uint32_t view_share(const struct upstream *, const struct server *);
/* Attempts at it that are under way, over all workers. */
uint32_t view_active(const struct server *);

#endif
