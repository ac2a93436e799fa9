/*
 * Attempts under way, as all count them, against what each process says:
 * a worker that died between two words leaves the shared one too high.
 * Health, each second.
 */
#ifndef SL_UP_USE_SWEEP_H
#define SL_UP_USE_SWEEP_H

#include <stdint.h>

struct shm;

#define USE_LOOKS	3	/* in a row, until it is believed */

/* what was seen of a server; zeroes at first */
struct use_look {
	uint64_t	tag;
	uint32_t	over;		/* the least of the looks so far */
	uint32_t	looks;		/* in a row that were over */
};

struct use_looks {
	struct use_look	*v;		/* own: by row of servers */
	uint32_t	 n;
};

/*
 * Looks at all servers; what was too high three times running is taken
 * off.  The servers whose word was put right.
 */
unsigned use_sweep(struct use_looks *, struct shm *);
void use_sweep_fini(struct use_looks *);

#endif
