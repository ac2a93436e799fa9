/*
 * sluiced: the gateway daemon.  This file only chooses: serve, or one of
 * the short modes.
 */
#include "main/check.h"
#include "main/master.h"

int
main(int argc, char **argv)
{
	struct opts o;
	int code;

	proc_title_init(argc, argv);
	code = opts_parse(&o, argc, argv);
	if (code == 0)
		code = o.mode == MODE_RUN ? master_run(&o) : check_run(&o);
	opts_fini(&o);
	return code;
}
