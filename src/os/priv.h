/*
 * Privileges, per system.  Master: root's uid with a handful of
 * capabilities; children: the configured user, no_new_privs, a system
 * call filter that so far only logs.  Where a system has none of it the
 * functions do what they can and say so.
 */
#ifndef SL_OS_PRIV_H
#define SL_OS_PRIV_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct priv_user {
	uid_t	uid;
	gid_t	gid;
	char	name[64];
};

/* 0, -1 if there is no such user. */
int priv_find_user(const char *name, struct priv_user *, struct err *);

/* True if this process may become another user. */
bool priv_is_root(void);

/* The lowest port that this process may bind; 0: any. */
unsigned priv_first_port(void);

/*
 * Master: keeps only what binding, forking and signalling need, and so
 * do the programs that it executes.
 */
int priv_limit_master(struct err *);

/* Child: becomes the user for good. */
int priv_become(const struct priv_user *, struct err *);

/*
 * Calls look while files are got at with the rights of the user, which
 * root alone can do; others look as they are.
 */
int priv_as_user(const struct priv_user *, void (*look)(void *ctx),
    void *ctx, struct err *);

/*
 * Whether this process may leave its memory in a core file, or show it to
 * others of its user.
 */
void priv_allow_dumps(bool);

/* No new privileges by exec, for good. */
int priv_no_new(struct err *);

/* Logs (never refuses) system calls outside the list of a serving process. */
int priv_watch_calls(struct err *);

/* Builder: sockets other than unix ones are refused. */
int priv_no_network(struct err *);

/*
 * Makes a directory with its parents and gives it to the user; with
 * group write in mode its group is root's.  One that exists stays as it is.
 */
int priv_make_dir(const char *path, const struct priv_user *, unsigned mode,
    struct err *);

#endif
