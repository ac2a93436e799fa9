/*
 * os/shm: growth that all see, rights that hold against a process that
 * tries, readers without trust, take-over.
 */
#include "os/shm.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY	65534

static const struct shm_region fox = {
	"fox", SHM_DIR, 1, 64, 1, "small"
};
static const struct shm_region hen = {
	"hen", SHM_LIVE, 1, 128, 4, "rows"
};
static const struct shm_region egg = {
	"egg", SHM_LIVE, 7, 4096, 16, "more rows"
};
static const struct shm_region key = {
	"key", SHM_SECRET, 1, 64, 1, "secret"
};
static const struct shm_region egg2 = {
	"egg", SHM_LIVE, 8, 4096, 16, "another layout"
};
static const struct shm_region *const table[] = {
	&fox, &hen, &egg, &key, NULL
};
static const struct shm_region *const other[] = {
	&fox, &hen, &egg2, &key, NULL
};

static struct shm *
make(void)
{
	struct err	 e;
	struct shm	*shm = shm_new(table, &e);

	ck_assert_msg(shm != NULL, "%s", e.text);
	return shm;
}

static void
grow(struct shm *shm, const struct shm_region *r, uint32_t rows)
{
	struct err	e;

	ck_assert_msg(shm_grow(shm, r, rows, &e) == 0, "%s", e.text);
}

START_TEST(place)
{
	static const struct {
		uint32_t	base, i, row;
		unsigned	chunk;
	} cases[] = {
		{ 1, 0, 0, 0 }, { 1, 1, 0, 1 }, { 1, 2, 1, 1 },
		{ 1, 3, 0, 2 }, { 4, 3, 3, 0 }, { 4, 4, 0, 1 },
		{ 4, 11, 7, 1 }, { 4, 12, 0, 2 }, { 16, 1007, 511, 5 },
		{ 1, UINT32_MAX, 0, 32 },
	};
	uint32_t	row;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_uint_eq(shm_place(cases[i].base, cases[i].i, &row),
		    cases[i].chunk);
		ck_assert_uint_eq(row, cases[i].row);
	}
	ck_assert_uint_eq(shm_rows_of(16, 6), 1008);
	ck_assert_uint_eq(shm_rows_of(1 << 20, 20), UINT32_MAX);
}
END_TEST

/* Rows are disjoint, zeroed, and stay where they are while more come. */
START_TEST(rows)
{
	struct shm	*shm = make();
	char		*p[200];

	ck_assert_uint_eq(shm_rows(shm, &hen), 0);
	grow(shm, &hen, 1);
	ck_assert_uint_eq(shm_rows(shm, &hen), 4);
	for (uint32_t i = 0; i < 200; i++) {
		grow(shm, &hen, i + 1);
		grow(shm, &egg, i / 8 + 1);
		p[i] = shm_row(shm, &hen, i);
		for (size_t k = 0; k < hen.stride; k++)
			ck_assert_int_eq(p[i][k], 0);
		memset(p[i], (int)i + 1, hen.stride);
	}
	for (uint32_t i = 0; i < 200; i++) {
		ck_assert_ptr_eq(shm_row(shm, &hen, i), p[i]);
		for (size_t k = 0; k < hen.stride; k++)
			ck_assert_uint_eq((unsigned char)p[i][k],
			    (unsigned char)(i + 1));
	}
	ck_assert_uint_eq(shm_cost(&hen, 10), 1280);
	ck_assert_uint_ge(shm_used(shm, SHM_LIVE), 200 * 128 + 25 * 4096);
	shm_free(&shm);
	ck_assert_ptr_null(shm);
}
END_TEST

START_TEST(full)
{
	struct shm	*shm = make();
	struct err	 e;

	ck_assert_int_eq(shm_grow(shm, &key, 1 << 19, &e), -1);
	ck_assert_str_eq(e.text, "board: key: sluice-secret is full");
	/* what was there before is still good */
	memset(shm_row(shm, &key, shm_rows(shm, &key) - 1), 1, key.stride);
	ck_assert_int_eq(shm_grow(shm, &fox, UINT32_MAX, &e), -1);
	shm_free(&shm);
}
END_TEST

START_TEST(no_row)
{
	struct shm	*shm = make();

	grow(shm, &hen, 4);
	shm_row(shm, &hen, 4);
}
END_TEST

/* Seals: larger is possible, smaller and more seals are not. */
START_TEST(seals)
{
	struct shm	*shm = make();
	int		 fd = shm_fd(shm, SHM_DIR);

	ck_assert_int_eq(ftruncate(fd, 4096), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), -1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	grow(shm, &fox, 100000);
	shm_free(&shm);
}
END_TEST

/* Runs fn in a child that must exit 0. */
static void
in_child(void (*fn)(struct shm *), struct shm *shm)
{
	int	status;
	pid_t	pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn(shm);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "killed by %d", WTERMSIG(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "failed at %d",
	    WEXITSTATUS(status));
}

#define want(n, cond)	do { if (!(cond)) _exit(n); } while (0)

static const enum shm_right worker_rights[SHM_NSEG] = {
	[SHM_DIR] = SHM_RO, [SHM_LIVE] = SHM_RW, [SHM_RINGS] = SHM_NONE,
	[SHM_SECRET] = SHM_RO,
};

static int	fds_of_test[2];	/* pipes of the test under way */

/* Sees rows that were added after the fork, old and new ones. */
static void
see_growth(struct shm *shm)
{
	const char	*p;
	char		 c;
	void		*at = shm_row(shm, &hen, 0);

	want(1, shm_enter(shm, worker_rights, NULL) == 0);
	want(2, shm_row(shm, &hen, 0) == at && *(char *)at == 'a');
	want(3, shm_rows(shm, &hen) == 4);
	want(4, write(fds_of_test[1], "", 1) == 1);
	want(5, read(fds_of_test[0], &c, 1) == 1);
	want(6, shm_rows(shm, &hen) >= 1000);
	p = shm_row(shm, &hen, 999);
	want(7, *p == 'z');
	want(8, *(char *)shm_row(shm, &fox, 40) == 'f');
	*(char *)shm_row(shm, &hen, 500) = 'w';
}

START_TEST(growth_is_seen)
{
	struct shm	*shm = make();
	int		 up[2], down[2], status;
	char		 c;
	pid_t		 pid;

	ck_assert_int_eq(pipe(up) | pipe(down), 0);
	grow(shm, &hen, 1);
	*(char *)shm_row(shm, &hen, 0) = 'a';
	fds_of_test[0] = down[0];
	fds_of_test[1] = up[1];
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(down[1]);
		see_growth(shm);
		_exit(0);
	}
	close(up[1]);
	ck_assert_int_eq(read(up[0], &c, 1), 1);
	grow(shm, &hen, 1000);
	*(char *)shm_row(shm, &hen, 999) = 'z';
	grow(shm, &fox, 41);
	*(char *)shm_row(shm, &fox, 40) = 'f';
	ck_assert_int_eq(write(down[1], "", 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "failed at %d", WEXITSTATUS(status));
	ck_assert_int_eq(*(char *)shm_row(shm, &hen, 500), 'w');
	shm_free(&shm);
}
END_TEST

/*
 * As nobody, but with /proc/self readable, so that only the file's own
 * rights can refuse.
 */
static void
be_nobody(void)
{
	if (geteuid() != 0)
		return;
	want(90, setresgid(NOBODY, NOBODY, NOBODY) == 0);
	want(91, setresuid(NOBODY, NOBODY, NOBODY) == 0);
	want(92, prctl(PR_SET_DUMPABLE, 1) == 0);
}

/* A plain memory file can be opened again: what is refused below is not. */
static void
check_control(void)
{
	char	path[64];
	int	fd = memfd_create("plain", 0);
	int	ro, rw;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	want(80, ro != -1);
	be_nobody();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ro);
	rw = open(path, O_RDWR);
	want(81, rw != -1);
	want(82, ftruncate(rw, 4096) == 0);
	want(83, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rw,
	    0) != MAP_FAILED);
}

static void
attack_fd(struct shm *shm)
{
	char	path[64];
	int	fd = shm_ro_fd(shm, SHM_DIR, NULL);
	bool	is_root = geteuid() == 0;
	void	*p;

	want(1, fd != -1);
	want(2, shm_enter(shm, worker_rights, NULL) == 0);
	check_control();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* the owner of the file may always open it */
	if (is_root) {
		want(3, open(path, O_RDWR) == -1 && errno == EACCES);
		want(4, open(path, O_WRONLY) == -1 && errno == EACCES);
		want(5, fchmod(fd, 0777) == -1 && errno == EPERM);
	}
	want(6, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
	    MAP_FAILED && errno == EACCES);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	want(7, p != MAP_FAILED);
	want(8, mprotect(p, 4096, PROT_READ | PROT_WRITE) == -1 &&
	    errno == EACCES);
	want(9, ftruncate(fd, 1 << 20) == -1);
	want(10, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
}

START_TEST(fd_is_read_only)
{
	struct shm	*shm = make();

	in_child(attack_fd, shm);
	shm_free(&shm);
}
END_TEST

/* No descriptor of a segment is left after shm_enter. */
static bool
has_fd(const char *name)
{
	char	path[64], to[128];
	ssize_t	n;

	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to) - 1);
		if (n == -1)
			continue;
		to[n] = '\0';
		if (strstr(to, name) != NULL)
			return true;
	}
	return false;
}

static void
attack_map(struct shm *shm)
{
	char	*dir = shm_row(shm, &fox, 0);
	char	*secret = shm_row(shm, &key, 0);
	size_t	 page = 4096;
	char	*at = dir - (uintptr_t)dir % page;

	want(1, has_fd("sluice-"));
	want(2, shm_enter(shm, worker_rights, NULL) == 0);
	want(3, !has_fd("sluice-"));
	for (unsigned i = 0; i < SHM_NSEG; i++)
		want(4, shm_fd(shm, (enum shm_seg)i) == -1);
	be_nobody();
	want(5, *dir == 'd' && *secret == 's');
	want(6, mprotect(at, page, PROT_READ | PROT_WRITE) == -1 &&
	    errno == EACCES);
	at = secret - (uintptr_t)secret % page;
	want(7, mprotect(at, page, PROT_READ | PROT_WRITE) == -1);
	*(char *)shm_row(shm, &hen, 0) = 'h';
}

START_TEST(map_is_read_only)
{
	struct shm	*shm = make();

	grow(shm, &fox, 1);
	grow(shm, &hen, 1);
	grow(shm, &key, 1);
	*(char *)shm_row(shm, &fox, 0) = 'd';
	*(char *)shm_row(shm, &key, 0) = 's';
	in_child(attack_map, shm);
	ck_assert_int_eq(*(char *)shm_row(shm, &hen, 0), 'h');
	shm_free(&shm);
}
END_TEST

/* A segment without right is not there any more. */
START_TEST(none_is_gone)
{
	static const enum shm_right	none[SHM_NSEG];
	struct shm			*shm = make();
	char				*p;
	int				 fd[2];

	grow(shm, &key, 1);
	p = shm_row(shm, &key, 0);
	ck_assert_int_eq(shm_enter(shm, none, NULL), 0);
	ck_assert_uint_eq(shm_used(shm, SHM_SECRET), 0);
	/* the kernel reads for us, so that nobody dies of it */
	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(write(fd[1], p, 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	shm_free(&shm);
}
END_TEST

/* What a worker writes into a head, the master does not believe. */
START_TEST(master_keeps_its_own)
{
	struct shm	*shm = make();
	char		*row;
	struct shm_head	*h;

	grow(shm, &hen, 4);
	row = shm_row(shm, &hen, 0);
	h = (void *)(row - 8192);
	ck_assert_uint_eq(h->magic, SHM_MAGIC);
	atomic_store(&h->region[0].chunk[0], 1ULL << 60);
	atomic_store(&h->region[0].nchunk, 19);
	atomic_store(&h->used, 1ULL << 62);
	ck_assert_ptr_eq(shm_row(shm, &hen, 0), row);
	ck_assert_uint_eq(shm_rows(shm, &hen), 4);
	grow(shm, &hen, 12);
	ck_assert_uint_eq(shm_rows(shm, &hen), 12);
	shm_free(&shm);
}
END_TEST

/* A child takes over only chunks that can be. */
static void
learn_lies(struct shm *shm)
{
	char		*row = shm_row(shm, &hen, 0);
	struct shm_head	*h = (void *)(row - 8192);

	want(1, shm_enter(shm, worker_rights, NULL) == 0);
	atomic_store(&h->region[0].chunk[1], 1ULL << 60);
	atomic_store(&h->region[0].nchunk, 1000);
	want(2, shm_rows(shm, &hen) == 4);
	atomic_store(&h->region[0].chunk[1], 8192 + 1);
	want(3, shm_rows(shm, &hen) == 4);
}

START_TEST(child_checks)
{
	struct shm	*shm = make();

	grow(shm, &hen, 4);
	in_child(learn_lies, shm);
	shm_free(&shm);
}
END_TEST

START_TEST(view)
{
	struct shm		*shm = make();
	int			 fd = shm_ro_fd(shm, SHM_LIVE, NULL);
	struct shm_view		*v;
	const char		*p;
	struct err		 e;

	grow(shm, &hen, 4);
	*(char *)shm_row(shm, &hen, 3) = '3';
	v = shm_view_open(fd, &e);
	ck_assert_msg(v != NULL, "%s", e.text);
	close(fd);
	ck_assert_uint_eq(shm_view_rows(v, "hen"), 4);
	ck_assert_uint_eq(shm_view_rows(v, "fox"), 0);
	ck_assert_uint_eq(shm_view_rows(v, "he"), 0);
	ck_assert(shm_view_is(v, &hen));
	ck_assert(shm_view_is(v, &egg));
	ck_assert(!shm_view_is(v, &egg2));
	p = shm_view_row(v, "hen", 3);
	ck_assert_int_eq(*p, '3');
	ck_assert_ptr_null(shm_view_row(v, "hen", 4));
	ck_assert_ptr_null(shm_view_row(v, "hen", UINT32_MAX));
	ck_assert_ptr_null(shm_view_row(v, "cow", 0));
	grow(shm, &hen, 500);
	*(char *)shm_row(shm, &hen, 499) = '!';
	ck_assert_int_eq(*p, '3');
	p = shm_view_row(v, "hen", 499);
	ck_assert_int_eq(*p, '!');
	shm_view_free(&v);
	shm_free(&shm);
}
END_TEST

/* Any 64-bit word of the head may lie; a row is in the file or NULL. */
START_TEST(view_of_lies)
{
	struct shm	*shm = make();
	int		 fd = shm_ro_fd(shm, SHM_LIVE, NULL);
	uint64_t	 lies[] = { 0, 1, 63, 64, 4096, 1ULL << 33, 1ULL << 40,
	    UINT64_MAX, UINT64_MAX - 63, UINT32_MAX };
	struct shm_view	*v;
	uint64_t	*word, was;
	const char	*p;

	grow(shm, &hen, 40);
	v = shm_view_open(fd, NULL);
	ck_assert_ptr_nonnull(v);
	word = (void *)((char *)shm_row(shm, &hen, 0) - 8192);
	for (size_t i = 1; i < sizeof(struct shm_head) / 8; i++) {
		was = word[i];
		for (size_t k = 0; k < sizeof(lies) / sizeof(*lies); k++) {
			word[i] = lies[k];
			for (uint32_t row = 0; row < 64; row += 9) {
				p = shm_view_row(v, "hen", row);
				ck_assert(p == NULL || *p == *p);
			}
		}
		word[i] = was;
	}
	shm_view_free(&v);
	close(fd);
	shm_free(&shm);
}
END_TEST

START_TEST(view_refuses)
{
	struct err	e;
	int		fd = memfd_create("x", MFD_ALLOW_SEALING);

	ck_assert_ptr_null(shm_view_open(fd, &e));
	ck_assert_ptr_null(shm_view_open(-1, &e));
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ck_assert_ptr_null(shm_view_open(fd, &e));
	ck_assert_int_eq(ftruncate(fd, 1 << 16), 0);
	ck_assert_ptr_null(shm_view_open(fd, &e));
	ck_assert_str_eq(e.text, "board: the file is no segment");
	close(fd);
}
END_TEST

static void
dup_fds(const struct shm *shm, int fds[SHM_NSEG])
{
	for (unsigned i = 0; i < SHM_NSEG; i++)
		fds[i] = dup(shm_fd(shm, (enum shm_seg)i));
}

START_TEST(adopt)
{
	struct shm	*shm = make();
	struct shm	*heir;
	int		 fds[SHM_NSEG];
	struct err	 e;

	grow(shm, &hen, 100);
	*(char *)shm_row(shm, &hen, 99) = 'x';
	dup_fds(shm, fds);
	ck_assert_uint_ne(shm_layout(table), shm_layout(other));
	ck_assert_ptr_null(shm_adopt(fds, other, &e));
	ck_assert_str_eq(e.text,
	    "board: taking over sluice-dir: another layout");
	heir = shm_adopt(fds, table, &e);
	ck_assert_msg(heir != NULL, "%s", e.text);
	ck_assert_uint_eq(shm_rows(heir, &hen), shm_rows(shm, &hen));
	ck_assert_int_eq(*(char *)shm_row(heir, &hen, 99), 'x');
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	grow(heir, &hen, 1000);
	*(char *)shm_row(heir, &hen, 999) = 'y';
	ck_assert_int_eq(*(char *)shm_row(heir, &hen, 99), 'x');
	shm_free(&heir);
	shm_free(&shm);
}
END_TEST

START_TEST(adopt_refuses_lies)
{
	struct shm	*shm = make();
	struct shm_head	*h;
	int		 fds[SHM_NSEG];
	struct err	 e;

	grow(shm, &hen, 4);
	h = (void *)((char *)shm_row(shm, &hen, 0) - 8192);
	dup_fds(shm, fds);
	atomic_store(&h->region[0].nchunk, 21);
	ck_assert_ptr_null(shm_adopt(fds, table, &e));
	atomic_store(&h->region[0].nchunk, 1);
	atomic_store(&h->region[0].chunk[0], 1ULL << 40);
	ck_assert_ptr_null(shm_adopt(fds, table, &e));
	ck_assert_str_eq(e.text,
	    "board: taking over hen: chunk 0 lies outside");
	for (unsigned i = 0; i < SHM_NSEG; i++)
		close(fds[i]);
	shm_free(&shm);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("shm");
	TCase	*c = tcase_create("shm");

	tcase_add_test(c, place);
	tcase_add_test(c, rows);
	tcase_add_test(c, full);
	tcase_add_test_raise_signal(c, no_row, SIGABRT);
	tcase_add_test(c, seals);
	tcase_add_test(c, growth_is_seen);
	tcase_add_test(c, fd_is_read_only);
	tcase_add_test(c, map_is_read_only);
	tcase_add_test(c, master_keeps_its_own);
	tcase_add_test(c, child_checks);
	tcase_add_test(c, view);
	tcase_add_test(c, view_of_lies);
	tcase_add_test(c, view_refuses);
	tcase_add_test(c, adopt);
	tcase_add_test(c, adopt_refuses_lies);
	tcase_add_test(c, none_is_gone);
	suite_add_tcase(s, c);
	return s;
}

int
main(void)
{
	SRunner	*r = srunner_create(suite());
	int	 failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
