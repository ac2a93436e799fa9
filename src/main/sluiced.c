/*
 * sluiced: the gateway daemon.  This file only chooses: serve, or one of
 * the short modes.
 */
#include <fcntl.h>
#include <unistd.h>

#include "main/check.h"
#include "main/master.h"
#include "os/pid.h"

/* Descriptors 0 to 2 exist, so that nothing else ever gets their numbers. */
static void
fill_streams(void)
{
	int	fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct opts o;
	int code;

	pid_init();
	fill_streams();
	proc_title_init(argc, argv);
	code = opts_parse(&o, argc, argv);
	if (code == 0)
		code = o.mode == MODE_RUN ? master_run(&o) : check_run(&o);
	opts_fini(&o);
	return code;
}
