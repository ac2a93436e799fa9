/*
 * Panics: what is written, what the hook sees, and that they end in
 * abort().  The dying is done in a child of the test's own, so that its
 * standard error can be read.
 */
#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"

/* What a child wrote to standard error and how it ended. */
struct death {
	char	text[2048];
	int	status;
};

static void
tell(const char *text, size_t n)
{
	ck_assert(write(STDERR_FILENO, "<", 1) == 1);
	ck_assert(write(STDERR_FILENO, text, n) == (ssize_t)n);
	ck_assert(write(STDERR_FILENO, ">", 1) == 1);
}

static void
fail_again(const char *text, size_t n)
{
	must(text == NULL || n == 0);
}

static void
run(struct death *d, void (*fn)(void))
{
	int	fd[2];
	size_t	n = 0;
	ssize_t	got;
	pid_t	pid;

	ck_assert_int_eq(pipe(fd), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		fn();
		_exit(0);
	}
	close(fd[1]);
	while (n < sizeof(d->text) - 1 && (got = read(fd[0], d->text + n,
	    sizeof(d->text) - 1 - n)) > 0)
		n += (size_t)got;
	d->text[n] = '\0';
	close(fd[0]);
	ck_assert_int_eq(waitpid(pid, &d->status, 0), pid);
}

static void
ck_aborted(const struct death *d)
{
	ck_assert(WIFSIGNALED(d->status));
	ck_assert_int_eq(WTERMSIG(d->status), SIGABRT);
}

static void
do_fail(void)
{
	must_fail("src/x/y.c", 1203, "walk", "n > 0");
}

static void
do_die_told(void)
{
	must_set_hook(tell);
	must_die("no board");
}

static void
do_die_twice(void)
{
	must_set_hook(fail_again);
	must_die("first");
}

static void
do_long(void)
{
	static char	cond[4000];

	memset(cond, 'x', sizeof(cond) - 1);
	must_fail("a.c", 0, "f", cond);
}

static void
do_pass(void)
{
	must(1 + 1 == 2);
}

static void
do_macro(void)
{
	must(1 + 1 == 3);
}

START_TEST(fail_says_where)
{
	struct death	d;

	run(&d, do_fail);
	ck_aborted(&d);
	ck_assert_str_eq(d.text, "panic: src/x/y.c:1203: walk: n > 0\n");
}
END_TEST

START_TEST(hook_gets_text)
{
	struct death	d;

	run(&d, do_die_told);
	ck_aborted(&d);
	ck_assert_str_eq(d.text, "fatal: no board\n<fatal: no board>");
}
END_TEST

START_TEST(hook_may_fail)
{
	struct death	d;

	run(&d, do_die_twice);
	ck_aborted(&d);
	ck_assert_ptr_eq(strstr(d.text, "fatal: first\npanic: "), d.text);
}
END_TEST

START_TEST(long_text_is_cut)
{
	struct death	d;

	run(&d, do_long);
	ck_aborted(&d);
	ck_assert_uint_eq(strlen(d.text), 512);
	ck_assert_ptr_eq(strstr(d.text, "panic: a.c:0: f: xxx"), d.text);
	ck_assert_int_eq(d.text[511], '\n');
}
END_TEST

START_TEST(must_checks)
{
	struct death	d;

	run(&d, do_pass);
	ck_assert(WIFEXITED(d.status));
	ck_assert_str_eq(d.text, "");
	run(&d, do_macro);
	ck_aborted(&d);
	ck_assert_ptr_nonnull(strstr(d.text, "do_macro: 1 + 1 == 3\n"));
}
END_TEST

START_TEST(alloc_of_nothing)
{
	char	*p = must_alloc(0);
	char	*q = must_calloc(0, 8);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(q);
	p = must_realloc(p, 0);
	ck_assert_ptr_nonnull(p);
	p = must_realloc(p, 100);
	memset(p, 1, 100);
	free(p);
	free(q);
}
END_TEST

START_TEST(calloc_is_zero)
{
	char	*p = must_calloc(10, 10);
	int	 i;

	for (i = 0; i < 100; i++)
		ck_assert_int_eq(p[i], 0);
	free(p);
}
END_TEST

/* volatile: the compiler would warn of such a size if it knew it. */
static void
do_huge(void)
{
	volatile size_t	n = SIZE_MAX / 2;

	free(must_alloc(n));
}

static void
do_huge_calloc(void)
{
	volatile size_t	n = SIZE_MAX / 2;

	free(must_calloc(n, 16));
}

static void
do_huge_realloc(void)
{
	volatile size_t	n = SIZE_MAX / 2;

	free(must_realloc(NULL, n));
}

START_TEST(no_memory_is_death)
{
	static void	(*const fns[])(void) = {
		do_huge, do_huge_calloc, do_huge_realloc,
	};
	struct death	d;

	/* ASan answers with its own report unless told otherwise. */
	run(&d, fns[_i]);
	ck_assert(!WIFEXITED(d.status) || WEXITSTATUS(d.status) != 0);
	if (strstr(d.text, "Sanitizer") == NULL)
		ck_assert_str_eq(d.text, "fatal: out of memory\n");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("must");
	TCase	*tc = tcase_create("must");
	SRunner	*r = srunner_create(s);
	int	 failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, fail_says_where);
	tcase_add_test(tc, hook_gets_text);
	tcase_add_test(tc, hook_may_fail);
	tcase_add_test(tc, long_text_is_cut);
	tcase_add_test(tc, must_checks);
	tcase_add_test(tc, alloc_of_nothing);
	tcase_add_test(tc, calloc_is_zero);
	tcase_add_loop_test(tc, no_memory_is_death, 0, 3);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
