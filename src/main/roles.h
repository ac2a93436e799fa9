/*
 * The run() of each row of procs[]; one file each.
 */
#ifndef SL_MAIN_ROLES_H
#define SL_MAIN_ROLES_H

int worker_run(void);
int logger_run(void);
int health_run(void);
int control_run(void);
int helper_run(void);

#endif
