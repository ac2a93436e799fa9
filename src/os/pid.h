/*
 * The process's number, without a system call.  glibc asks the kernel each
 * time, and OpenSSL asks each time it draws random bytes, to notice a fork:
 * six times in a handshake.  Every process.
 */
#ifndef SL_OS_PID_H
#define SL_OS_PID_H

/*
 * From now on getpid() of this process, and of all that it forks, asks the
 * kernel once.  Of main, before anything is forked.
 */
void pid_init(void);

#endif
