/*
 * main/helper_open: questions that are malformed, and paths that try to
 * leave the root.
 */
#include "main/helper_open.h"

#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct bed {
	char	dir[64];	/* of everything */
	char	root[80];
	char	out[128];	/* a file beside the root */
};

static void
put_file(const char *dir, const char *name, const char *text)
{
	char	path[256];
	FILE	*f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void
put_link(const struct bed *b, const char *to, const char *name)
{
	char	path[256];

	snprintf(path, sizeof(path), "%s/%s", b->root, name);
	ck_assert_int_eq(symlink(to, path), 0);
}

static void
make(struct bed *b)
{
	char	path[256];

	snprintf(b->dir, sizeof(b->dir), "/tmp/sluice-open-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(b->dir));
	snprintf(b->root, sizeof(b->root), "%s/www", b->dir);
	snprintf(b->out, sizeof(b->out), "%s/out", b->dir);
	ck_assert_int_eq(mkdir(b->root, 0700), 0);
	snprintf(path, sizeof(path), "%s/sub", b->root);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	/* its path begins like the root's */
	snprintf(path, sizeof(path), "%s/www2", b->dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	put_file(path, "f", "outside");
	put_file(b->dir, "out", "outside");
	put_file(b->root, "f", "inside");
	put_file(b->root, "sub/f", "inside");
	put_link(b, "../f", "sub/up");
	put_link(b, "../out", "climb");
	snprintf(path, sizeof(path), "%s/f", b->root);
	put_link(b, path, "abs");
	put_link(b, b->out, "abs_out");
	snprintf(path, sizeof(path), "%s/www2/f", b->dir);
	put_link(b, path, "abs_www2");
	put_link(b, "/proc/self/cwd", "magic");
	snprintf(path, sizeof(path), "%s/fifo", b->root);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void
done(struct bed *b)
{
	static const char *const	names[] = { "www/sub/up", "www/sub/f",
	    "www/climb", "www/abs", "www/abs_out", "www/abs_www2",
	    "www/magic", "www/fifo", "www/f", "www2/f", "out", "www/sub",
	    "www", "www2", "" };
	char				path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, names[i]);
		ck_assert_int_eq(remove(path), 0);
	}
}

#define INSIDE	0	/* what is found */
#define OUTSIDE	(-1)

static const struct {
	const char	*path;
	enum ask_links	 links;
	int		 want;		/* INSIDE, OUTSIDE or errno */
} cases[] = {
	{ "f", ASK_LINKS_INSIDE, INSIDE },
	{ "f", ASK_LINKS_OFF, INSIDE },
	{ "f", ASK_LINKS_FOLLOW, INSIDE },
	{ "sub/f", ASK_LINKS_INSIDE, INSIDE },
	{ "sub/../f", ASK_LINKS_INSIDE, INSIDE },
	{ "sub/up", ASK_LINKS_INSIDE, INSIDE },
	{ "sub/up", ASK_LINKS_OFF, ELOOP },
	{ "abs", ASK_LINKS_INSIDE, INSIDE },
	{ "abs", ASK_LINKS_OFF, ELOOP },
	{ "abs", ASK_LINKS_FOLLOW, INSIDE },
	{ "none", ASK_LINKS_INSIDE, ENOENT },
	{ "f/x", ASK_LINKS_INSIDE, ENOTDIR },
	{ "../out", ASK_LINKS_INSIDE, EXDEV },
	{ "../out", ASK_LINKS_OFF, EXDEV },
	{ "../out", ASK_LINKS_FOLLOW, EXDEV },
	{ "sub/../../out", ASK_LINKS_INSIDE, EXDEV },
	{ "/etc/passwd", ASK_LINKS_INSIDE, EXDEV },
	{ "/etc/passwd", ASK_LINKS_FOLLOW, EXDEV },
	{ "climb", ASK_LINKS_INSIDE, EXDEV },
	{ "climb", ASK_LINKS_FOLLOW, OUTSIDE },
	{ "abs_out", ASK_LINKS_INSIDE, EXDEV },
	{ "abs_out", ASK_LINKS_FOLLOW, OUTSIDE },
	{ "abs_www2", ASK_LINKS_INSIDE, EXDEV },
	{ "magic", ASK_LINKS_FOLLOW, ELOOP },
};

START_TEST(test_cases)
{
	struct bed	b;
	char		buf[16] = "";
	int		fd;

	make(&b);
	errno = 0;
	fd = helper_open(b.root, cases[_i].path, cases[_i].links);
	if (cases[_i].want > 0) {
		ck_assert_int_eq(fd, -1);
		ck_assert_int_eq(errno, cases[_i].want);
	} else {
		ck_assert_msg(fd >= 0, "%s: %s", cases[_i].path,
		    strerror(errno));
		ck_assert_int_gt(read(fd, buf, sizeof(buf) - 1), 0);
		ck_assert_str_eq(buf, cases[_i].want == INSIDE ? "inside" :
		    "outside");
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	}
	done(&b);
}
END_TEST

/* Folders, the root itself, and what would block for ever. */
START_TEST(test_kinds)
{
	struct bed	b;
	struct stat	st;
	int		fd;

	make(&b);
	fd = helper_open(b.root, "", ASK_LINKS_INSIDE);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	close(fd);
	fd = helper_open(b.root, "fifo", ASK_LINKS_INSIDE);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert(S_ISFIFO(st.st_mode));
	close(fd);
	ck_assert_int_eq(helper_open(b.out, "f", ASK_LINKS_INSIDE), -1);
	ck_assert_int_eq(errno, ENOTDIR);
	done(&b);
}
END_TEST

static int
parse(struct ask_open q, const char *text, size_t n)
{
	char		buf[256];
	struct ask_open	got;
	struct str	root, path;

	memcpy(buf, &q, sizeof(q));
	memcpy(buf + sizeof(q), text, n);
	return helper_open_parse(str_make(buf, sizeof(q) + n), &got, &root,
	    &path);
}

START_TEST(test_parse)
{
	struct ask_open	q = { .root_n = 4, .path_n = 3 }, got;
	char		buf[sizeof(q) + 9];
	struct str	root, path;

	memcpy(buf, &q, sizeof(q));
	memcpy(buf + sizeof(q), "/www\0a/b", 9);
	ck_assert_int_eq(helper_open_parse(str_make(buf, sizeof(buf)), &got,
	    &root, &path), 0);
	ck_assert_str_eq(root.p, "/www");
	ck_assert_str_eq(path.p, "a/b");
	ck_assert_uint_eq(path.n, 3);
	for (size_t n = 0; n < sizeof(buf); n++)
		ck_assert_int_eq(helper_open_parse(str_make(buf, n), &got,
		    &root, &path), -1);
	ck_assert_int_eq(parse(q, "/www\0a/b\0", 10), -1);
	ck_assert_int_eq(parse(q, "/www\0a/bc", 9), -1);
	ck_assert_int_eq(parse(q, "/wwwxa/b", 9), -1);
	ck_assert_int_eq(parse(q, "/ww\0\0a/b", 9), -1);
	ck_assert_int_eq(parse(q, "/www\0a\0b", 9), -1);
	q.flags = 3;
	ck_assert_int_eq(parse(q, "/www\0a/b", 9), -1);
	q.flags = 0;
	q.root_n = UINT32_MAX;
	q.path_n = 8;
	ck_assert_int_eq(parse(q, "/www\0a/b", 9), -1);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("helper_open");
	TCase	*t = tcase_create("helper_open");

	tcase_add_loop_test(t, test_cases, 0,
	    sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, test_kinds);
	tcase_add_test(t, test_parse);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner	*sr = srunner_create(suite());
	int	 failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
