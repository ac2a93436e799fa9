/*
 * What each process does with each server: connections, requests, time to
 * the first byte.  A row per process and server on the board with that
 * process as its only writer, so that counting costs a load and a store;
 * control and sluicectl add up.  The connections of a process that died
 * are gone with it; the times it took join those of slot 0, which is the
 * master's.
 */
#ifndef SL_UP_SERVER_USE_H
#define SL_UP_SERVER_USE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "os/shm.h"

struct board_server_live;
struct server;

#define USE_BLOCK	32	/* servers in a row of the region */
#define USE_BUCKETS	24	/* of times, each twice the one before */
#define USE_FIRST_US	64	/* the first holds what is below that */

/* writer: the process of its slot; of slot 0: the master */
struct server_use {
	_Atomic uint64_t tag;		/* of board_server; else it is old */
	_Atomic uint32_t open;		/* connections, and dials */
	_Atomic uint32_t idle;		/* of these in the pool */
	_Atomic uint32_t active;	/* attempts under way */
	_Atomic uint32_t mean_us;	/* to the first byte, lately */
	_Atomic uint64_t sum_us;	/* of all times */
	_Atomic uint32_t bucket[USE_BUCKETS];
};
_Static_assert(sizeof(struct server_use) == 128, "server use");

struct board_server_use {
	struct server_use use[USE_BLOCK];
};

/* row: block of servers * SLOT_MAX + slot */
extern const struct shm_region board_server_uses;

/* Master: rows for n servers. */
int use_grow(struct shm *, uint32_t n, struct err *);
/* The row of server i of `servers` and a slot; NULL if there is none. */
struct server_use *use_row(const struct shm *, uint32_t i, unsigned slot);
/*
 * Has a process of this slot counted anything, ever?  Who reads the rows of
 * one that has not makes pages of zeroes.
 */
bool use_has(const struct shm *, unsigned slot);
/* Bytes that so many servers may come to use, for [board] max. */
uint64_t use_cost(uint32_t servers, unsigned processes);

/*
 * Master: the process of this slot is gone.  Its connections and attempts
 * are not counted any more, its times are kept.
 */
void use_fold(struct shm *, unsigned slot);

/*
 * Attempts that are over and that nobody else will take back.  The shared
 * word is never taken below what it counts, whatever happens meanwhile.
 */
void use_take_back(struct board_server_live *, uint64_t n);

/* The twin counts in row i of this process from now on. */
void use_bind(struct server *, struct shm *, uint32_t i);
/* False if its row here is none, or of another life: nothing counts. */
bool use_counts(const struct server *);
/* Adds n, which may be -1, to what this process has of it. */
void use_open(const struct server *, int n);
void use_idle(const struct server *, int n);
void use_active(const struct server *, int n);
/* An answer's first byte came after so long. */
void use_time(const struct server *, uint64_t us);

/* The bucket of a time; what a bucket ends before, UINT64_MAX the last. */
unsigned use_bucket(uint64_t us);
uint64_t use_bucket_end(unsigned);

/* sums of one server over processes */
struct use_sum {
	uint64_t	open, idle, active;
	uint64_t	count;		/* of times */
	uint64_t	sum_us;
	uint64_t	mean_us;	/* lately */
	uint64_t	bucket[USE_BUCKETS];
};
/* Adds a row that is of this tag. */
void use_add(struct use_sum *, const struct server_use *, uint64_t tag);
/* A quantile in thousandths, by the bucket it lies in; 0 without times. */
uint64_t use_quantile(const struct use_sum *, unsigned permille);

#endif
