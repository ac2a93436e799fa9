/*
 * Counters and gauges: every process has a row of them on the board.  The
 * rows of stat.tbl, then two for each way to fail: requests that ended
 * with it, and attempts at servers, also those that another one followed.
 */
#ifndef SL_CORE_STAT_H
#define SL_CORE_STAT_H

#include "http/fail.h"
#include "os/shm.h"

enum stat_id {
#define STAT(id, name, kind, help)	STAT_##id,
#include "core/stat.tbl"
#undef STAT
	STAT_FAIL0,	/* then one for each row of the fail table */
	STAT_TRY0 = STAT_FAIL0 + FAIL_N - 1,	/* again one for each */
	STAT_N = STAT_TRY0 + FAIL_N - 1
};
/* The counters of a failure, of requests and attempts; not of FAIL_NONE. */
#define STAT_FAIL(why)	((enum stat_id)(STAT_FAIL0 + (why) - 1))
#define STAT_TRY(why)	((enum stat_id)(STAT_TRY0 + (why) - 1))

/*
 * STAT_LEFT is a gauge of what is left, which may be absent and below 0:
 * one process writes what stat_left_word makes of it.
 */
enum stat_kind { STAT_COUNTER, STAT_GAUGE, STAT_LEFT };

struct stat_row {
	const char	*name;
	enum stat_kind	 kind;
	const char	*help;
	const char	*fail;	/* row of the fail table, or NULL */
};
extern const struct stat_row stat_rows[];	/* STAT_N of them */

/* Single-writer counters: 2 ns.  Without a board nothing is counted. */
void stat_add(enum stat_id, uint64_t n);
void stat_sub(enum stat_id, uint64_t n);

/*
 * Sum over all slots and totals, consistent while rows are folded.
 * stat_sums takes all at once, what is derived before what it is
 * derived from: started is never less than finished and lost together.
 */
uint64_t stat_sum(const struct shm *, enum stat_id);
void stat_sums(const struct shm *, uint64_t v[STAT_N]);

/* A word of STAT_LEFT; 0 is that there is nothing to tell of. */
uint64_t stat_left_word(int64_t left);
/* What it says; false: nothing. */
bool stat_left(uint64_t word, int64_t *left);

#endif
