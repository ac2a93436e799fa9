/*
 * The run() of each row of procs[]; one file each.
 */
#ifndef SL_MAIN_ROLES_H
#define SL_MAIN_ROLES_H

/* Serves clients. */
int worker_run(void);
/* Drains the rings into file and console. */
int logger_run(void);
/* Watches over what is shared. */
int health_run(void);
/* Answers on the control socket. */
int control_run(void);
/* Does what would block a worker. */
int helper_run(void);

#endif
