/*
 * Killing a process at every instruction of an operation, for the tests
 * of what shared memory promises.  kill_each steps one child after the
 * other through the operation, each an instruction further; kill_soon
 * lets a child loop and kills it at a random moment.
 */
#ifndef SL_T_UNIT_KILL_H
#define SL_T_UNIT_KILL_H

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILL_BUDGET	100000	/* instructions stepped in a test */

typedef void (*kill_fn)(void *ctx);

static inline void
kill_reap(pid_t pid)
{
	int	status;

	kill(pid, SIGKILL);
	do
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	while (!WIFSIGNALED(status) && !WIFEXITED(status));
}

/* Processes that take turns do so faster on one processor. */
static inline void
kill_pin(void)
{
	cpu_set_t	set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/*
 * Forks a child that prepares, stops, runs op and stops again; returns
 * with the child at its first stop.
 */
static inline pid_t
kill_begin(kill_fn prepare, kill_fn op, void *ctx)
{
	int	status;
	pid_t	pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prepare(ctx);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
			_exit(2);
		raise(SIGSTOP);
		op(ctx);
		raise(SIGSTOP);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	return pid;
}

/*
 * Steps through at most n instructions and kills the child; how many it
 * were until its second stop.
 */
static inline long
kill_after(pid_t pid, long n)
{
	long	steps = 0;
	int	status = 0;

	while (steps < n) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1 ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			ck_abort_msg("the operation failed");
		if (WSTOPSIG(status) != SIGTRAP)
			break;
		steps++;
	}
	ck_assert(steps == n || WSTOPSIG(status) == SIGSTOP);
	kill_reap(pid);
	return steps;
}

/*
 * Kills op at every instruction, each time with a new child, and lets
 * check look at what is left.  Where that is too many (sanitizers make
 * operations long) it goes in strides, at another place in each run.
 */
static inline void
kill_each(kill_fn prepare, kill_fn op, kill_fn check, void *ctx)
{
	long	steps, stride;

	kill_pin();
	srandom((unsigned)getpid());
	steps = kill_after(kill_begin(prepare, op, ctx), LONG_MAX);
	stride = 1 + steps * steps / 2 / KILL_BUDGET;
	check(ctx);
	for (long n = random() % stride; n < steps; n += stride) {
		kill_after(kill_begin(prepare, op, ctx), n);
		check(ctx);
	}
}

/*
 * Forks a child that loops over op, waits until *turns moved by a few,
 * and kills it up to max_us later.
 */
static inline void
kill_soon(kill_fn loop, void *ctx, const _Atomic uint64_t *turns,
    unsigned max_us)
{
	uint64_t	was = atomic_load(turns);
	struct timespec	ts = { 0, 1 + random() % max_us * 1000L };
	pid_t		pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		loop(ctx);
		_exit(3);
	}
	while (atomic_load(turns) < was + 2)
		if (waitpid(pid, NULL, WNOHANG) != 0)
			ck_abort_msg("the child ended by itself");
	nanosleep(&ts, NULL);
	kill_reap(pid);
}

/* Zeroed memory that children share. */
static inline void *
kill_shared(size_t n)
{
	void	*p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

#endif
