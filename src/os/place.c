/*
 * Places of users other than root (place.h).  Master, builder, sluicectl.
 */
#include "os/place.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int
place_run_dir(char *buf, size_t size, struct str xdg)
{
	int	n;

	if (xdg.n > 0)
		n = snprintf(buf, size, "%.*s/sluice", STR_FMT(xdg));
	else
		n = snprintf(buf, size, "/tmp/sluice-%u",
		    (unsigned)geteuid());
	return n > 0 && (size_t)n < size ? 0 : -1;
}

/* Not through a link: it may point to another place tomorrow. */
int
place_check(const char *dir, struct err *e)
{
	struct stat	st;

	if (lstat(dir, &st) == -1)
		return err_sys(e, "\"%s\"", dir);
	errno = 0;
	if (!S_ISDIR(st.st_mode))
		return err_set(e, "\"%s\" is no directory", dir);
	if (st.st_uid != geteuid())
		return err_set(e, "directory \"%s\" belongs to user %u, not "
		    "to %u", dir, (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, "others may write to directory \"%s\": "
		    "chmod go-w it", dir);
	return 0;
}
