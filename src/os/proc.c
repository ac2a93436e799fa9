/*
 * What a process is, and how ps shows it.  All processes of sluiced.
 *
 * The kernel shows the bytes of argv as the command line and, when their
 * last NUL is overwritten, goes on into the environment.  Both lie in one
 * piece; the title takes it all, after argv's strings and the environment
 * were copied away.
 */
#include "os/proc.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/must.h"

#define COMM_MAX	16	/* of the kernel, with the NUL */

struct proc *self;

/* what the kernel shows; there before and apart from any process struct */
static struct {
	struct str	  room;		/* of argv and the environment */
	char		**env;		/* own: what environ became */
} title;

static char *
copy(const char *s)
{
	size_t	 n = strnlen(s, SIZE_MAX - 1) + 1;
	char	*p = must_alloc(n);

	memcpy(p, s, n);
	return p;
}

/* Moves one string; the room grows by it if it lies right behind. */
static void
take(char **s)
{
	size_t	n = strnlen(*s, SIZE_MAX - 1) + 1;

	if (title.room.p == NULL)
		title.room.p = *s;
	if (*s == title.room.p + title.room.n)
		title.room.n += n;
	*s = copy(*s);
}

void
proc_title_init(int argc, char **argv)
{
	char	**env;
	size_t	  n = 0;

	if (title.room.p != NULL || argc == 0)
		return;
	for (int i = 0; i < argc; i++)
		take(&argv[i]);
	while (environ[n] != NULL)
		n++;
	env = must_calloc(n + 1, sizeof(*env));
	for (size_t i = 0; i < n; i++) {
		env[i] = environ[i];
		take(&env[i]);
	}
	environ = title.env = env;
}

/* The short name that top and pgrep use: the same without blanks, cut. */
static void
set_comm(struct str s)
{
	char	comm[COMM_MAX] = { 0 };
	size_t	n = 0;

	for (size_t i = 0; i < s.n && n < sizeof(comm) - 1; i++)
		if (s.p[i] != ' ')
			comm[n++] = s.p[i];
#ifdef __linux__
	(void)prctl(PR_SET_NAME, comm, 0, 0, 0);
#endif
}

void
proc_set_title(const char *fmt, ...)
{
	char	 buf[256];
	char	*p = (char *)(uintptr_t)title.room.p;
	va_list	 ap;
	size_t	 n;

	if (p == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	n = strnlen(buf, sizeof(buf));
	if (n > title.room.n - 1)
		n = title.room.n - 1;
	memcpy(p, buf, n);
	memset(p + n, 0, title.room.n - n);
	set_comm(str_make(buf, n));
}

void
proc_leave_terminal(void)
{
	int	fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}
