/*
 * os/priv: what the builder's filter refuses, and that the one of serving
 * processes refuses nothing.  Each case is a process of its own.
 */
#include "os/priv.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define X32	0x40000000L

static int
make(int family)
{
	int	fd = socket(family, SOCK_STREAM, 0);

	if (fd >= 0)
		close(fd);
	return fd;
}

START_TEST(no_network)
{
	struct err	e;

	ck_assert_msg(priv_no_network(&e) == 0, "%s", e.text);
	ck_assert_int_eq(make(AF_INET), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(make(AF_INET6), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(make(AF_NETLINK), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_ge(make(AF_UNIX), 0);
	/* another way to make a socket */
#ifdef SYS_io_uring_setup
	errno = 0;
	ck_assert_int_eq(syscall(SYS_io_uring_setup, 1, NULL), -1);
	ck_assert_int_eq(errno, EPERM);
#endif
	/* another way to make calls; a kernel without it says ENOSYS */
#ifdef __x86_64__
	errno = 0;
	ck_assert_int_eq(syscall(X32 | SYS_socket, AF_INET, SOCK_STREAM, 0),
	    -1);
	ck_assert_int_eq(errno, EPERM);
	errno = 0;
	ck_assert_int_eq(syscall(X32 | SYS_getppid), -1);
	ck_assert_int_eq(errno, EPERM);
#endif
}
END_TEST

#ifdef __x86_64__
/* getpid of 32-bit programs */
static long
getpid32(void)
{
	long	rc;

	__asm__ volatile("int $0x80" : "=a"(rc) : "a"(20L) :
	    "memory", "r8", "r9", "r10", "r11");
	return rc;
}

/* 0: it was called, 1: refused, -1: the kernel has no such calls */
static int
try_getpid(bool filter)
{
	struct err	e;
	int		status;
	pid_t		pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (filter && priv_no_network(&e) < 0)
			_exit(3);
		_exit(getpid32() == (long)getpid() ? 0 :
		    (int)getpid32() == -EPERM ? 1 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(no_calls_of_32_bits)
{
	if (try_getpid(false) == 0)
		ck_assert_int_eq(try_getpid(true), 1);
}
END_TEST
#endif

/* the directory is root's alone */
static void
look(void *ctx)
{
	*(int *)ctx = access(".", F_OK) == 0 && faccessat(AT_FDCWD,
	    getenv("PRIV_CLOSED"), X_OK, AT_EACCESS) == -1 ? errno : 0;
}

START_TEST(looking_as_a_user)
{
	struct priv_user	nobody = { 65534, 65534, "nobody" };
	char			dir[] = "/tmp/privXXXXXX";
	struct err		e;
	int			saw = -1, death = 0;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	setenv("PRIV_CLOSED", dir, 1);
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	ck_assert_int_eq(priv_as_user(&nobody, look, &saw, &e), 0);
	ck_assert_int_eq(saw, geteuid() == 0 ? EACCES : 0);
	/* and all is as it was */
	look(&saw);
	ck_assert_int_eq(saw, 0);
	prctl(PR_GET_PDEATHSIG, &death);
	ck_assert_int_eq(death, SIGUSR1);
	rmdir(dir);
}
END_TEST

START_TEST(watching_refuses_nothing)
{
	struct err	e;

	ck_assert_msg(priv_watch_calls(&e) == 0, "%s", e.text);
	ck_assert_int_ge(make(AF_INET), 0);
	ck_assert_int_ge(make(AF_UNIX), 0);
	/* in no list */
	ck_assert_int_ge(syscall(SYS_getpgid, 0), 0);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("priv");
	TCase	*t = tcase_create("priv");

	tcase_add_test(t, no_network);
#ifdef __x86_64__
	tcase_add_test(t, no_calls_of_32_bits);
#endif
	tcase_add_test(t, looking_as_a_user);
	tcase_add_test(t, watching_refuses_nothing);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*r = srunner_create(suite());
	int	 failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
