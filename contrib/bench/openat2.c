/*
 * For valgrind alone, which (3.19) knows no openat2(2): preloaded, it turns
 * the call into openat(2).  What the flags of resolution forbid is allowed
 * then, so it is for counting instructions over files that are known.
 */
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>

long	syscall(long, ...);

static long
enter(long nr, const long *a)
{
	long		ret;
	register long	r10 __asm__("r10") = a[3];
	register long	r8 __asm__("r8") = a[4];
	register long	r9 __asm__("r9") = a[5];

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a[0]),
	    "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
	    : "rcx", "r11", "memory");
	return ret;
}

long
syscall(long nr, ...)
{
	va_list	ap;
	long	a[6], ret;
	int	i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == SYS_openat2)
		return openat((int)a[0], (const char *)a[1],
		    (int)((const struct open_how *)a[2])->flags);
	ret = enter(nr, a);
	if (ret < 0 && ret > -4096) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}
