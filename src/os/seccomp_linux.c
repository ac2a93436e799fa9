/*
 * System call filters on Linux, as classic BPF.  Serving processes run
 * with one that only logs what is outside the list (the kernel's audit
 * log names the call); the builder with one that refuses network sockets.
 */
#include "os/priv.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "os/fault.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0
#endif

/* since Linux 6.5; one number on every system */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* what workers, roles and their C library are known to call */
static const unsigned short calls[] = {
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64,
	SYS_preadv2, SYS_close, SYS_fstat, SYS_lseek, SYS_mmap, SYS_mprotect,
	SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_rt_sigaction,
	SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_ioctl,
	SYS_fcntl, SYS_dup, SYS_dup3, SYS_pipe2, SYS_splice, SYS_sendfile,
	SYS_socket, SYS_connect, SYS_accept4, SYS_sendto, SYS_recvfrom,
	SYS_sendmsg, SYS_recvmsg, SYS_shutdown, SYS_bind, SYS_listen,
	SYS_getsockname, SYS_getpeername, SYS_socketpair, SYS_setsockopt,
	SYS_getsockopt, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait,
	SYS_ppoll, SYS_eventfd2, SYS_clock_gettime, SYS_gettimeofday,
	SYS_nanosleep, SYS_clock_nanosleep, SYS_getrandom, SYS_futex,
	SYS_getpid, SYS_gettid, SYS_getppid, SYS_geteuid, SYS_getuid,
	SYS_kill, SYS_tgkill, SYS_exit, SYS_exit_group, SYS_restart_syscall,
	SYS_openat, SYS_openat2, SYS_newfstatat, SYS_statx, SYS_faccessat,
	SYS_readlinkat, SYS_getdents64, SYS_unlinkat, SYS_renameat2,
	SYS_ftruncate, SYS_fsync, SYS_fdatasync, SYS_fallocate, SYS_mkdirat,
	SYS_fchmod, SYS_umask, SYS_prctl, SYS_sched_yield, SYS_prlimit64,
	SYS_sched_getaffinity, SYS_uname, SYS_rseq, SYS_set_robust_list,
	SYS_memfd_create, SYS_cachestat, SYS_flock, SYS_utimensat, SYS_wait4,
	SYS_clone, SYS_setpriority, SYS_close_range,
#if defined(__x86_64__)
	SYS_poll, SYS_epoll_wait, SYS_open, SYS_stat, SYS_unlink, SYS_time,
	SYS_mkdir, SYS_chown, SYS_rename, SYS_access, SYS_readlink,
#endif
};
#define NCALL (sizeof(calls) / sizeof(calls[0]))

/* numbers of x32, another way to make the same calls; none elsewhere */
#define X32	0x40000000U

/* one number on every system */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

#define LOAD(field)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
			    offsetof(struct seccomp_data, field))
#define RETURN(what)	BPF_STMT(BPF_RET | BPF_K, what)

static int
install(const struct sock_filter *prog, unsigned short n, struct err *e)
{
	struct sock_fprog fp = { .len = n,
	    .filter = (struct sock_filter *)(uintptr_t)prog };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fp) < 0)
		return err_sys(e, "cannot install the system call filter");
	return 0;
}

int
priv_watch_calls(struct err *e)
{
	struct sock_filter p[NCALL + 6];
	unsigned short i, n = 0;

	if (FAULT("no_seccomp"))
		return err_set(e, "fault point no_seccomp");
	if (ARCH == 0)
		return 0;
	p[n++] = (struct sock_filter)LOAD(arch);
	p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
	    ARCH, 1, 0);
	p[n++] = (struct sock_filter)RETURN(SECCOMP_RET_LOG);
	/* those of x32, and io_uring, are in no list */
	p[n++] = (struct sock_filter)LOAD(nr);
	for (i = 0; i < NCALL; i++)
		p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ |
		    BPF_K, calls[i], (unsigned char)(NCALL - i), 0);
	p[n++] = (struct sock_filter)RETURN(SECCOMP_RET_LOG);
	p[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	return install(p, n, e);
}

int
priv_no_network(struct err *e)
{
	static const struct sock_filter p[] = {
		/* 32-bit calls have other numbers, and one for all sockets */
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 0, 3),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 1, 0),
		/* a ring makes sockets that no filter sees */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		RETURN(SECCOMP_RET_ERRNO | EPERM),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0),
		RETURN(SECCOMP_RET_ERRNO | EACCES),
		RETURN(SECCOMP_RET_ALLOW),
	};

	if (ARCH == 0)
		return 0;
	return install(p, sizeof(p) / sizeof(p[0]), e);
}
