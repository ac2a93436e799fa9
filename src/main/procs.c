/*
 * The roster: every process of sluiced with its rights on the board.
 * Order is the order of starting.  Rights: dir, live, rings, secret.
 */
#include "main/roles.h"
#include "os/proc.h"

const struct proc_row procs[] = {
	{ "master", PROC_F_ROOT, { SHM_RW, SHM_RW, SHM_RW, SHM_RW }, 1,
	    NULL },
	{ "logger", PROC_F_FEED, { SHM_RO, SHM_RW, SHM_RW, SHM_NONE }, 1,
	    logger_run },
	{ "helper", PROC_F_CRASH | PROC_F_ASKED,
	    { SHM_RO, SHM_RW, SHM_RW, SHM_NONE }, 2, helper_run },
	{ "health", PROC_F_PROBE | PROC_F_MAIL,
	    { SHM_RW, SHM_RW, SHM_RW, SHM_NONE }, 1, health_run },
	{ "control", PROC_F_FEED | PROC_F_MAIL,
	    { SHM_RW, SHM_RW, SHM_RW, SHM_NONE }, 1,
	    control_run },
	{ "worker", PROC_F_KEYS | PROC_F_MAIL,
	    { SHM_RO, SHM_RW, SHM_RW, SHM_RO }, 0, worker_run },
	{ .name = 0 },
};
