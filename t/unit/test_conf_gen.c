/*
 * Generations: built in one process, sealed and checked in another, read
 * in a third; nobody can write; slots come back.
 */
#include "conf_rows.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "conf/gen.h"

static struct gens	gens;
static unsigned		freed;

static void
on_free(void *ctx, const struct gen *g)
{
	ck_assert_ptr_eq(ctx, &gens);
	ck_assert_ptr_nonnull(g->conf);
	freed++;
}

static void
full(void *ctx)
{
	(void)ctx;
	_exit(9);
}

static void
setup(void)
{
	struct err	e;

	gens = (struct gens){ .on_free = on_free, .ctx = &gens };
	freed = 0;
	ck_assert_int_eq(gen_reserve(&gens, &e), 0);
}

static void
teardown(void)
{
	munmap(gens.range, GEN_SLOTS * GEN_SLOT_BYTES);
}

static void
send_fd(int sock, int fd)
{
	char		 buf[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec	 iov = { "x", 1 };
	struct msghdr	 m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = buf, .msg_controllen = sizeof(buf) };
	struct cmsghdr	*c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(sock, &m, 0) != 1)
		_exit(8);
}

static int
recv_fd(int sock)
{
	char		 buf[CMSG_SPACE(sizeof(int))];
	char		 x;
	struct iovec	 iov = { &x, 1 };
	struct msghdr	 m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = buf, .msg_controllen = sizeof(buf) };
	int		 fd;

	ck_assert_int_eq(recvmsg(sock, &m, MSG_CMSG_CLOEXEC), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* What a child may do to the finished file, to be refused. */
typedef void (*spoil_fn)(struct gen_head *);

static void
build(int sock, unsigned slot, uint64_t number, spoil_fn spoil)
{
	struct conf_opts	 opts = { .file = "m" };
	struct str		 text = STR("[upstream u]\nserver = a\n"
	    "[route r]\nupstream = u\ntitle = built\n");
	struct arena		 a;
	struct conf_load	*l;
	struct conf		*c;
	struct err		 e;
	int			 fd;

	fd = gen_create(&gens, slot, &a, full, NULL, &e);
	if (fd < 0)
		_exit(7);
	opts.memory = &text;
	l = conf_load_new(&opts);
	c = conf_load_run(l, &a);
	if (c == NULL)
		_exit(6);
	c->number = number;
	gen_finish(&gens, slot, &a, c);
	conf_load_free(&l);
	if (spoil != NULL)
		spoil((void *)(gens.range + slot * GEN_SLOT_BYTES));
	send_fd(sock, fd);
	_exit(0);
}

/* Builds in a child that is gone when this returns. */
static int
make(unsigned slot, uint64_t number, spoil_fn spoil)
{
	int	sv[2];
	int	st;
	int	fd;
	pid_t	pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		build(sv[1], slot, number, spoil);
	close(sv[1]);
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	ck_assert(WIFEXITED(st));
	ck_assert_int_eq(WEXITSTATUS(st), 0);
	fd = recv_fd(sv[0]);
	close(sv[0]);
	return fd;
}

/* The same, checked and mapped. */
static struct gen *
publish(unsigned slot, uint64_t number)
{
	struct err	 e = { "" };
	int		 fd = make(slot, number, NULL);
	struct gen	*g;

	ck_assert_msg(gen_check(&gens, fd, slot, number, &e) == 0, "%s",
	    e.text);
	g = gen_map(&gens, fd, slot, &e);
	ck_assert_msg(g != NULL, "%s", e.text);
	close(fd);
	return g;
}

static bool
reads_well(const struct gen *g)
{
	const struct t_route	*r;

	r = conf_find(g->conf, &t_route, STR("r"));
	return r != NULL && str_eq(r->title, STR("built")) &&
	    str_eq(r->up->obj.name, STR("u")) && r->up->connect == 3000;
}

static int
wait_status(pid_t pid)
{
	int	st;

	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	return st;
}

START_TEST(built_and_read)
{
	struct gen	*g = publish(3, 41);
	pid_t		 pid;

	ck_assert_uint_eq(g->number, 41);
	ck_assert_uint_eq(g->slot, 3);
	ck_assert_uint_eq(g->uses, 0);
	ck_assert_ptr_eq(gens.next, g);
	gen_commit(&gens, g);
	ck_assert_ptr_null(gens.next);
	ck_assert(reads_well(g));
	pid = fork();
	if (pid == 0) {
		gen_forget(&gens);
		_exit(gen_count(&gens) == 1 && reads_well(gens.cur) ? 0 : 1);
	}
	ck_assert_int_eq(wait_status(pid), 0);
}
END_TEST

/* A process that was there before gets it by its descriptor. */
START_TEST(two_processes)
{
	int		sv[2];
	int		fd;
	pid_t		pid;
	struct err	e;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	pid = fork();
	if (pid == 0) {
		struct gen	*g;

		fd = recv_fd(sv[1]);
		g = gen_map(&gens, fd, 0, &e);
		_exit(g != NULL && reads_well(g) ? 0 : 1);
	}
	fd = make(0, 1, NULL);
	ck_assert_int_eq(gen_check(&gens, fd, 0, 1, &e), 0);
	send_fd(sv[0], fd);
	ck_assert_int_eq(wait_status(pid), 0);
	ck_assert_ptr_nonnull(gen_map(&gens, fd, 0, &e));
}
END_TEST

START_TEST(not_writable)
{
	struct err	 e;
	struct stat	 st;
	char		 path[64];
	int		 fd = make(1, 1, NULL);
	int		 again;
	struct gen	*g;
	pid_t		 pid;
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_lt(st.st_size, 1 << 20);
	/* Not sealed yet: nobody maps it. */
	ck_assert_ptr_null(gen_map(&gens, fd, 1, &e));
	ck_assert_int_eq(gen_check(&gens, fd, 1, 1, &e), 0);
	g = gen_map(&gens, fd, 1, &e);
	ck_assert_ptr_nonnull(g);
	ck_assert_int_eq(pwrite(fd, "x", 1, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(fd, st.st_size + 1), -1);
	ck_assert(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0) == MAP_FAILED);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	if (again >= 0)
		ck_assert_int_eq(pwrite(again, "x", 1, 0), -1);
	pid = fork();
	if (pid == 0) {
		sigaction(SIGSEGV, &dfl, NULL);
		*(volatile char *)(uintptr_t)g->conf = 1;
		_exit(0);
	}
	again = wait_status(pid);
	ck_assert(WIFSIGNALED(again) && WTERMSIG(again) == SIGSEGV);
	ck_assert(reads_well(g));
}
END_TEST

/* Somebody has a page in hand for longer than the kernel waits at once. */
START_TEST(page_in_hand)
{
	struct err	 e = { "" };
	int		 fd = make(1, 1, NULL);
	int		 p[2];
	pid_t		 pid;

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(splice(fd, NULL, p[1], NULL, 4096, 0), 4096);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ck_assert_int_eq(errno, EBUSY);
	pid = fork();
	if (pid == 0) {
		usleep(400000);
		_exit(0);
	}
	close(p[0]);
	close(p[1]);
	ck_assert_msg(gen_check(&gens, fd, 1, 1, &e) == 0, "%s", e.text);
	close(fd);
	ck_assert_int_eq(wait_status(pid), 0);
}
END_TEST

static void
spoil_magic(struct gen_head *h)
{
	h->magic++;
}

static void
spoil_build(struct gen_head *h)
{
	h->build ^= 1;
}

static void
spoil_size(struct gen_head *h)
{
	h->size += 4096;
}

static void
spoil_base(struct gen_head *h)
{
	h->base = (const char *)h->base + GEN_SLOT_BYTES;
}

static void
spoil_conf_out(struct gen_head *h)
{
	h->conf = (const void *)((const char *)h->base + GEN_SLOT_BYTES);
}

static void
spoil_conf_end(struct gen_head *h)
{
	h->conf = (const void *)((const char *)h->base + h->size - 16);
}

static void
spoil_conf_low(struct gen_head *h)
{
	h->conf = h->base;
}

static void
spoil_conf_null(struct gen_head *h)
{
	h->conf = NULL;
}

static void
spoil_conf_odd(struct gen_head *h)
{
	h->conf = (const void *)((const char *)h->conf + 1);
}

static const struct {
	spoil_fn	spoil;
	const char	*why;
} spoils[] = {
	{ spoil_magic, "generation: the file is none" },
	{ spoil_build, "generation: of another program" },
	{ spoil_size, NULL },
	{ spoil_base, "generation: made for another slot" },
	{ spoil_conf_out, "generation: a pointer leads out of it" },
	{ spoil_conf_end, "generation: a pointer leads out of it" },
	{ spoil_conf_low, "generation: a pointer leads out of it" },
	{ spoil_conf_null, "generation: a pointer leads out of it" },
	{ spoil_conf_odd, "generation: a pointer leads out of it" },
};

START_TEST(spoilt)
{
	struct err	e = { "" };
	int		fd = make(2, 5, spoils[_i].spoil);

	ck_assert_int_eq(gen_check(&gens, fd, 2, 5, &e), -1);
	if (spoils[_i].why != NULL)
		ck_assert_str_eq(e.text, spoils[_i].why);
	/* Workers look for themselves. */
	ck_assert_ptr_null(gen_map(&gens, fd, 2, &e));
	ck_assert_uint_eq(gen_count(&gens), 0);
}
END_TEST

START_TEST(refused)
{
	struct err	 e = { "" };
	struct arena	 a;
	struct conf	*c;
	int		 fd;
	int		 p[2];

	fd = make(2, 5, NULL);
	ck_assert_int_eq(gen_check(&gens, fd, 2, 6, &e), -1);
	ck_assert_str_eq(e.text, "generation: the number is 5, not 6");
	fd = make(2, 5, NULL);
	ck_assert_int_eq(gen_check(&gens, fd, 3, 5, &e), -1);
	fd = memfd_create("x", MFD_ALLOW_SEALING);
	ck_assert_int_eq(gen_check(&gens, fd, 2, 5, &e), -1);
	fd = memfd_create("x", MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, GEN_SLOT_BYTES + 1), 0);
	ck_assert_int_eq(gen_check(&gens, fd, 2, 5, &e), -1);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(gen_check(&gens, p[0], 2, 5, &e), -1);
	fd = open("/dev/null", O_RDWR);
	ck_assert_int_eq(gen_check(&gens, fd, 2, 5, &e), -1);
	/* Somebody still has it mapped for writing. */
	fd = gen_create(&gens, 4, &a, full, NULL, &e);
	ck_assert_int_ge(fd, 0);
	c = arena_alloc(&a, sizeof(*c));
	c->number = 5;
	gen_finish(&gens, 4, &a, c);
	ck_assert_int_eq(gen_check(&gens, fd, 4, 5, &e), -1);
	ck_assert(str_starts(str_from(e.text),
	    STR("generation: cannot seal the file")));
}
END_TEST

static bool
is_mapped(const void *p)
{
	int	fds[2];
	bool	ok;

	ck_assert_int_eq(pipe(fds), 0);
	ok = write(fds[1], p, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return ok;
}

START_TEST(uses)
{
	struct gen		*a = publish(0, 1);
	struct gen		*b;
	struct gen		*held;
	const struct conf	*old = a->conf;

	gen_commit(&gens, a);
	held = gen_ref(a);
	b = publish(1, 2);
	ck_assert_uint_eq(gen_count(&gens), 2);
	gen_commit(&gens, b);
	ck_assert_ptr_eq(gens.cur, b);
	ck_assert_uint_eq(freed, 0);
	ck_assert(reads_well(held));
	gen_unref(&gens, &held);
	ck_assert_ptr_null(held);
	ck_assert_uint_eq(freed, 1);
	ck_assert_uint_eq(gen_count(&gens), 1);
	ck_assert(!is_mapped(old));
	ck_assert(is_mapped(b->conf));
	/* The slot serves again. */
	a = publish(0, 3);
	gen_commit(&gens, a);
	ck_assert_uint_eq(freed, 2);
	ck_assert(reads_well(a));
}
END_TEST

/* A file of that size that cannot be mapped for reading. */
static int
make_unreadable(void)
{
	char	path[64];
	int	fd = memfd_create("x", 0);
	int	w;

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	w = open(path, O_WRONLY);
	ck_assert_int_ge(w, 0);
	close(fd);
	return w;
}

/* What was at the keys' place before must not pass for theirs. */
START_TEST(keys_not_mapped)
{
	struct gen	*g = publish(2, 5);
	struct err	 e = { "" };
	char		*at = gens.keys[GEN_PROBE] + 2 * GEN_KEYS_BYTES;
	int		 fd = make_unreadable();

	ck_assert_ptr_eq(mmap(at, GEN_KEYS_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at);
	ck_assert(is_mapped(at));
	ck_assert_int_eq(gen_map_keys(&gens, g, GEN_PROBE, fd, &e), -1);
	ck_assert(str_starts(str_from(e.text),
	    STR("generation: cannot map the file")));
	ck_assert(!g->keys);
	ck_assert(!is_mapped(at));
	close(fd);
}
END_TEST

START_TEST(cancelled)
{
	struct gen	*a = publish(0, 1);
	struct gen	*b;
	struct err	 e;
	int		 fd;

	gen_commit(&gens, a);
	publish(1, 2);
	gen_cancel(&gens);
	ck_assert_uint_eq(gen_count(&gens), 1);
	ck_assert_uint_eq(freed, 1);
	gen_cancel(&gens);
	/* A new one takes the place of one that was prepared. */
	publish(2, 3);
	b = publish(3, 4);
	ck_assert_uint_eq(gen_count(&gens), 2);
	ck_assert_ptr_eq(gens.next, b);
	/* The slot of the current one is not free. */
	fd = make(5, 6, NULL);
	ck_assert_int_eq(gen_check(&gens, fd, 5, 6, &e), 0);
	ck_assert_ptr_null(gen_map(&gens, fd, 0, &e));
	ck_assert(reads_well(gens.cur));
}
END_TEST

START_TEST(forgotten)
{
	struct gen	*a = publish(0, 1);
	struct gen	*b;
	pid_t		 pid;

	gen_commit(&gens, a);
	gen_ref(a);
	gen_ref(a);
	b = publish(1, 2);
	gen_commit(&gens, b);
	gen_ref(b);
	publish(2, 3);
	ck_assert_uint_eq(gen_count(&gens), 3);
	pid = fork();
	if (pid == 0) {
		gen_forget(&gens);
		_exit(gen_count(&gens) == 1 && gens.cur == b &&
		    b->uses == 1 && gens.next == NULL && freed == 0 ? 0 : 1);
	}
	ck_assert_int_eq(wait_status(pid), 0);
	ck_assert_uint_eq(gen_count(&gens), 3);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("conf_gen");
	TCase	*tc = tcase_create("all");
	SRunner	*sr;
	int	 n;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, built_and_read);
	tcase_add_test(tc, two_processes);
	tcase_add_test(tc, not_writable);
	tcase_add_test(tc, page_in_hand);
	tcase_add_loop_test(tc, spoilt, 0,
	    sizeof(spoils) / sizeof(spoils[0]));
	tcase_add_test(tc, refused);
	tcase_add_test(tc, uses);
	tcase_add_test(tc, cancelled);
	tcase_add_test(tc, forgotten);
	tcase_add_test(tc, keys_not_mapped);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	n = srunner_ntests_failed(sr);
	srunner_free(sr);
	return n == 0 ? 0 : 1;
}
