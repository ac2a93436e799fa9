/*
 * Names of servers: those of the live generation, their lookups, and what
 * the board says of them.  Control process.
 */
#ifndef SL_CONTROL_NAMES_H
#define SL_CONTROL_NAMES_H

#include "conf/conf.h"
#include "control/lookup.h"

/* a name of an upstream */
struct name_use {
	struct list	 node;		/* of names.uses */
	char		 upstream[65];
	char		 text[NAME_TEXT + 1];
	uint16_t	 port;
	uint32_t	 row;		/* of the board */
	uint64_t	 tag;		/* of the row's life */
	struct lookup	*lookup;	/* ref, counted */
	struct name_member *sent;	/* own: what the master was told */
	unsigned	 nsent;
	bool		 was_sent;	/* there was a set */
	bool		 first;		/* the board had none */
	bool		 waits;		/* for the master's answer */
	bool		 dirty;		/* to be looked at again then */
	uint64_t	 again_ms;	/* then at the latest; 0: no need */
	unsigned	 refusals;	/* in a row */
	bool		 wanted;	/* by the generation at hand */
};

struct names {
	struct ev	*ev;		/* ref */
	struct shm	*shm;		/* ref */
	struct lookups	 lookups;
	struct list	 uses;		/* own */
	struct timer	 again;		/* the next again_ms of a use */
	char		*servers;	/* own: of the resolver; NULL */
	bool		 open;		/* there is a resolver */
};

void names_init(struct names *, struct ev *, struct shm *);
void names_fini(struct names *);
/* The names of a generation that is live now. */
void names_commit(struct names *, const struct conf *);
/* The master's answer to a set: an empty reason is none. */
void names_answer(struct names *, uint64_t id, bool changed, struct str why);

/*
 * Tools: asks once for every name of conf; told() for each that has no
 * address, with why.  -1: there is no resolver.
 */
typedef void (*names_told_fn)(void *ctx, const struct conf_obj *,
    const struct server_conf *, const char *why);
int names_check(const struct conf *, names_told_fn, void *ctx, struct err *);

#endif
