/*
 * os/proc: the title, with arguments and environment still readable.
 */
#include "os/proc.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int	  nargs;
static char	**args;

static void
slurp(const char *path, char *buf, size_t size)
{
	int	fd = open(path, O_RDONLY);
	ssize_t	n = read(fd, buf, size - 1);

	ck_assert_int_ge(n, 0);
	buf[n] = '\0';
	close(fd);
}

START_TEST(before_init)
{
	proc_set_title("sluiced: nothing");
}
END_TEST

START_TEST(title)
{
	char	buf[4096];
	char	*path = getenv("PATH");
	char	*was = strdup(path != NULL ? path : "");
	char	*name = strdup(args[0]);

	proc_title_init(nargs, args);
	proc_title_init(nargs, args);
	proc_set_title("sluiced: %s %u, with a rather long title", "x", 1);
	proc_set_title("sluiced: %s %u", "worker", 2);
	slurp("/proc/self/cmdline", buf, sizeof(buf));
	ck_assert_str_eq(buf, "sluiced: worker 2");
	slurp("/proc/self/comm", buf, sizeof(buf));
	ck_assert_str_eq(buf, "sluiced:worker2\n");
	ck_assert_str_eq(args[0], name);
	ck_assert_str_eq(path != NULL ? getenv("PATH") : "", was);
	ck_assert_int_eq(setenv("SLUICE_X", "1", 1), 0);
	ck_assert_str_eq(getenv("SLUICE_X"), "1");
	proc_set_title("%0250d", 7);
	slurp("/proc/self/cmdline", buf, sizeof(buf));
	ck_assert_int_eq(buf[0], '0');
	free(was);
	free(name);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("proc");
	TCase	*c = tcase_create("proc");

	tcase_add_test(c, before_init);
	tcase_add_test(c, title);
	suite_add_tcase(s, c);
	return s;
}

int
main(int argc, char **argv)
{
	SRunner	*r = srunner_create(suite());
	int	 failed;

	nargs = argc;
	args = argv;
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
