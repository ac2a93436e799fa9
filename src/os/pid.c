/*
 * getpid() in place of glibc's: the linker exports it, so that libraries
 * use it, too.  A fork forgets the number in the child, before any other
 * code of it runs; where nobody has promised that (pid_init), the kernel
 * is asked each time.
 */
#include "os/pid.h"

#ifdef __linux__
#include <sys/syscall.h>

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

static struct {
	pid_t	pid;		/* 0: not known */
	bool	forgets;	/* in a child of fork */
} cache;

static void
on_child(void)
{
	cache.pid = 0;
}

void
pid_init(void)
{
	cache.forgets = pthread_atfork(NULL, NULL, on_child) == 0;
}

pid_t
getpid(void)
{
	pid_t	pid = cache.pid;

	if (pid == 0) {
		pid = (pid_t)syscall(SYS_getpid);
		if (cache.forgets)
			cache.pid = pid;
	}
	return pid;
}
#else
void
pid_init(void)
{
}
#endif
