/*
 * os/ring: order, wrapping, bounds, lies, and what is left of a writer or
 * a reader that was killed at any instruction.
 */
#include "os/ring.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kill.h"

#define SIZE	4096
#define BYTES	(SIZE * 2 + sizeof(struct ring_head))

/* one ring in memory that children share, and what its tests count */
struct shared {
	_Alignas(64) char	mem[BYTES];
	_Atomic uint64_t	turns;
	uint64_t		next;	/* number of the next record */
	struct ring		reader;
	char			path[64];
};

static struct shared *
make(void)
{
	return kill_shared(sizeof(struct shared));
}

/* Record n is its number, then bytes that follow from it. */
static size_t
len_of(uint64_t n)
{
	return 8 + (n * 2654435761u >> 7) % 180;
}

static bool
put(struct ring *r, uint64_t n)
{
	size_t	len = len_of(n);
	char	*p = ring_reserve(r, len + 16);

	if (p == NULL)
		return false;
	memcpy(p, &n, sizeof(n));
	memset(p + 8, (int)(n & 0xff), len - 8);
	ring_commit(r, len);
	return true;
}

static uint64_t
number(struct str rec)
{
	uint64_t	n;
	size_t		good = 8;

	ck_assert_uint_ge(rec.n, 8);
	memcpy(&n, rec.p, sizeof(n));
	while (good < rec.n && (unsigned char)rec.p[good] == (n & 0xff))
		good++;
	ck_assert_uint_eq(good, rec.n);
	ck_assert_uint_eq(rec.n, len_of(n));
	return n;
}

/* Reads up to number `to`; the numbers must go on without a gap. */
static void
drain_to(struct shared *s, uint64_t to)
{
	struct str	rec;
	uint64_t	pos;

	if (s->reader.h == NULL && !ring_open(&s->reader, s->mem, BYTES))
		return;
	pos = ring_tail(&s->reader);
	while (s->next < to && ring_next(&s->reader, &pos, &rec))
		ck_assert_uint_eq(number(rec), s->next++);
	ring_release(&s->reader, pos);
}

static void
drain(struct shared *s)
{
	drain_to(s, UINT64_MAX);
}

START_TEST(order)
{
	struct shared	*s = make();
	struct ring	 w;

	ck_assert(!ring_open(&s->reader, s->mem, BYTES));
	ring_attach(&w, s->mem, BYTES, SIZE);
	for (uint64_t n = 0; n < 5000; n++) {
		ck_assert(put(&w, n));
		if (n % 7 == 0)
			drain(s);
	}
	drain(s);
	ck_assert_uint_eq(s->next, 5000);
	ck_assert_uint_eq(atomic_load(&w.h->dropped), 0);
}
END_TEST

/* Every length at every place, in a ring that is empty each time. */
START_TEST(every_place)
{
	struct shared	*s = make();
	struct ring	 w, r;
	struct str	 rec;
	uint64_t	 pos;
	char		*p;

	ring_attach(&w, s->mem, BYTES, SIZE);
	ck_assert(ring_open(&r, s->mem, BYTES));
	for (size_t n = 0; n <= SIZE / 2 - 8; n++) {
		p = ring_reserve(&w, n);
		ck_assert_ptr_nonnull(p);
		memset(p, (int)n, n);
		pos = ring_pos(&w);
		ck_assert(!ring_is_committed(&r, pos));
		ck_assert_uint_eq(ring_commit(&w, n), pos);
		ck_assert(ring_is_committed(&r, pos));
		pos = ring_tail(&r);
		ck_assert(ring_next(&r, &pos, &rec));
		ck_assert_uint_eq(rec.n, n);
		ck_assert_ptr_eq(rec.p, p);
		ck_assert(!ring_next(&r, &pos, &rec));
		ring_release(&r, pos);
		ck_assert(ring_is_committed(&r, pos - 1));
		ck_assert(!ring_is_committed(&r, pos));
	}
	ck_assert_ptr_null(ring_reserve(&w, SIZE / 2 - 7));
	ck_assert_uint_eq(atomic_load(&w.h->dropped), 1);
}
END_TEST

START_TEST(full)
{
	struct shared	*s = make();
	struct ring	 w;
	uint64_t	 n = 0;

	ring_attach(&w, s->mem, BYTES, SIZE);
	while (put(&w, n))
		n++;
	ck_assert_uint_gt(ring_used(&w), SIZE - 400);
	ck_assert_uint_eq(atomic_load(&w.h->dropped), 1);
	drain(s);
	ck_assert_uint_eq(s->next, n);
	ck_assert(put(&w, n));
	drain(s);
}
END_TEST

/* A reservation that is not committed was never there. */
/*
 * What was read is given back, lap after lap: a ring whose reader keeps
 * up takes few pages, wherever in memory it begins.  One that is found
 * empty now and then stays in its front.
 */
START_TEST(takes_few_pages)
{
	const size_t	size = 1 << 20, bytes = size + 8192;
	struct shared	*s = make();
	struct ring	 w;
	struct stat	 st;
	int		 fd = memfd_create("ring", MFD_CLOEXEC);
	char		*mem;
	uint64_t	 n = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(mem, MAP_FAILED);
	ring_attach(&w, mem, bytes, size);
	ck_assert(ring_open(&s->reader, mem, bytes));
	for (int lap = 0; lap < 8; lap++) {
		while (w.pos < (uint64_t)(lap + 1) * size) {
			ck_assert(put(&w, n++));
			if (n % 16 == 0)
				drain_to(s, n - (_i == 0));
		}
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_int_le(st.st_blocks * 512, _i == 0 ? 232 << 10 :
		    40 << 10);
	}
	drain(s);
	ck_assert_uint_eq(s->next, n);
	munmap(mem, bytes);
	close(fd);
}
END_TEST

START_TEST(given_up)
{
	struct shared	*s = make();
	struct ring	 w;

	ring_attach(&w, s->mem, BYTES, SIZE);
	ck_assert_ptr_nonnull(ring_reserve(&w, 100));
	ck_assert_ptr_nonnull(ring_reserve(&w, 2000));
	ck_assert_uint_eq(ring_used(&w), 0);
	ck_assert(put(&w, 0));
	drain(s);
	ck_assert_uint_eq(s->next, 1);
}
END_TEST

START_TEST(commit_of_nothing)
{
	struct shared	*s = make();
	struct ring	 w;

	ring_attach(&w, s->mem, BYTES, SIZE);
	put(&w, 0);
	ring_commit(&w, 0);
}
END_TEST

START_TEST(size_changes_when_empty)
{
	struct shared	*s = make();
	struct ring	 w;

	ring_attach(&w, s->mem, BYTES, SIZE);
	for (uint64_t n = 0; n < 10; n++)
		put(&w, n);
	ck_assert(ring_open(&s->reader, s->mem, BYTES));
	ring_attach(&w, s->mem, BYTES, SIZE * 2);
	ck_assert_uint_eq(w.size, SIZE);
	put(&w, 10);
	drain(s);
	ring_attach(&w, s->mem, BYTES, SIZE * 2);
	ck_assert_uint_eq(w.size, SIZE * 2);
	/* the reader that is there already follows */
	for (uint64_t n = 11; n < 1000; n++) {
		ck_assert(put(&w, n));
		if (n % 13 == 0)
			drain(s);
	}
	drain(s);
	ck_assert_uint_eq(s->next, 1000);
}
END_TEST

/* The reader survives any bytes, stays inside, and the ring goes on. */
START_TEST(lies_to_reader)
{
	struct shared	*s = make();
	struct ring	 w, r;
	struct str	 rec;
	uint64_t	 pos, sum = 0;

	for (int round = 0; round < 20000; round++) {
		ring_attach(&w, s->mem, BYTES, SIZE);
		for (uint64_t n = 0; n < 5; n++)
			put(&w, n);
		for (int i = 0; i < 4; i++)
			s->mem[(size_t)random() % sizeof(s->mem)] ^=
			    (char)random();
		if (round % 8 == 0)
			atomic_store(&w.h->head, (uint64_t)random() << 33);
		if (round % 16 == 1)
			w.h->size = (uint64_t)random();
		if (!ring_open(&r, s->mem, BYTES))
			continue;
		pos = ring_tail(&r);
		for (int n = 0; n < 1000 && ring_next(&r, &pos, &rec); n++)
			for (size_t i = 0; i < rec.n; i++)
				sum += (unsigned char)rec.p[i];
		ring_release(&r, pos);
	}
	ck_assert_uint_ne(sum, 0);
	/* in the end all is well again */
	ring_attach(&w, s->mem, BYTES, SIZE);
	ring_open(&r, s->mem, BYTES);
	pos = ring_tail(&r);
	while (ring_next(&r, &pos, &rec))
		;
	ring_release(&r, pos);
	ring_attach(&w, s->mem, BYTES, SIZE);
	put(&w, 0);
	drain(s);
	ck_assert_uint_eq(s->next, 1);
}
END_TEST

START_TEST(lies_are_counted)
{
	struct shared	*s = make();
	struct ring	 w, r;
	struct str	 rec;
	uint64_t	 pos;

	ring_attach(&w, s->mem, BYTES, SIZE);
	put(&w, 0);
	w.data[0] ^= 4;
	ck_assert(ring_open(&r, s->mem, BYTES));
	pos = ring_tail(&r);
	ck_assert(!ring_next(&r, &pos, &rec));
	ck_assert_uint_eq(atomic_load(&w.h->dropped), 1);
	ck_assert_uint_eq(ring_used(&r), 0);
	ck_assert(!ring_next(&r, &pos, &rec));
	ck_assert_uint_eq(atomic_load(&w.h->dropped), 1);
	s->next = 1;
	put(&w, 1);
	drain(s);
}
END_TEST

/* --- killed writers --- */

static struct ring	writer;	/* of a child */

static void
attach(void *ctx)
{
	struct shared	*s = ctx;

	ring_attach(&writer, s->mem, BYTES, SIZE);
}

static void
put_next(void *ctx)
{
	struct shared	*s = ctx;

	put(&writer, s->next);
}

static void
attach_and_put(void *ctx)
{
	attach(ctx);
	put_next(ctx);
}

static void
nothing(void *ctx)
{
	(void)ctx;
}

static void
check_drained(void *ctx)
{
	struct shared	*s = ctx;
	uint64_t	 was = s->next;

	drain(s);
	ck_assert(s->next == was || s->next == was + 1);
	ck_assert_uint_eq(ring_used(&s->reader), 0);
	ck_assert_uint_eq(atomic_load(&s->reader.h->dropped), 0);
}

START_TEST(writer_killed_each)
{
	struct shared	*s = make();

	attach(s);
	kill_each(attach, put_next, check_drained, s);
	kill_each(nothing, attach_and_put, check_drained, s);
	ck_assert_uint_ge(s->next, 2);
}
END_TEST

/* The reader drains meanwhile, so the writer rarely waits for room. */
static void
loop_put(void *ctx)
{
	struct shared	*s = ctx;
	uint64_t	 n = s->next;

	attach(ctx);
	for (;;) {
		while (ring_used(&writer) > SIZE / 2)
			;
		put(&writer, n++);
		atomic_fetch_add(&s->turns, 1);
	}
}

START_TEST(writer_killed_soon)
{
	struct shared	*s = make();
	struct timespec	 ts = { 0, 0 };
	pid_t		 pid;

	for (int round = 0; round < 300; round++) {
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			loop_put(s);
		for (long turns = 1 + random() % 400; turns > 0; turns--)
			drain(s);
		ts.tv_nsec = random() % 100000;
		nanosleep(&ts, NULL);
		kill_reap(pid);
		drain(s);
		ck_assert_uint_eq(ring_used(&s->reader), 0);
	}
	ck_assert_uint_gt(s->next, 300);
}
END_TEST

/* --- killed readers: each record once in the file --- */

/* What a reader does first: finishes or forgets what the last one began. */
static void
recover(struct ring *r, int fd)
{
	struct ring_intent	i;
	struct stat		st;

	if (!ring_intent_get(r, &i))
		return;
	if (fstat(fd, &st) == -1 || (uint64_t)st.st_ino != i.ino)
		_exit(4);
	if ((uint64_t)st.st_size >= i.off + i.len)
		ring_release(r, i.tail);
	else if (ftruncate(fd, (off_t)i.off) == -1)
		_exit(5);
	ring_intent_clear(r);
}

/* One batch: at most three records, a line of eight bytes for each. */
static bool
write_batch(struct ring *r, int fd)
{
	struct ring_intent	i = { 0 };
	struct stat		st;
	struct str		rec;
	char			text[64];

	i.tail = ring_tail(r);
	while (i.len < 24 && ring_next(r, &i.tail, &rec)) {
		memcpy(text + i.len, rec.p, 8);
		i.len += 8;
	}
	if (i.len == 0 || fstat(fd, &st) == -1)
		return false;
	i.dev = st.st_dev;
	i.ino = st.st_ino;
	i.off = (uint64_t)st.st_size;
	ring_intent_set(r, &i);
	if (write(fd, text, i.len) != (ssize_t)i.len)
		_exit(6);
	ring_release(r, i.tail);
	ring_intent_clear(r);
	return true;
}

static void
read_all(void *ctx)
{
	struct shared	*s = ctx;
	struct ring	 r;
	int		 fd = open(s->path, O_RDWR | O_APPEND);

	if (fd == -1 || !ring_open(&r, s->mem, BYTES))
		_exit(7);
	recover(&r, fd);
	while (write_batch(&r, fd))
		;
	close(fd);
}

static void
loop_read(void *ctx)
{
	for (;;)
		read_all(ctx);
}

static void
check_file(struct shared *s, uint64_t n)
{
	uint64_t	line;
	int		fd = open(s->path, O_RDONLY);

	for (uint64_t i = 0; i < n; i++) {
		ck_assert_int_eq(read(fd, &line, 8), 8);
		ck_assert_uint_eq(line, i);
	}
	ck_assert_int_eq(read(fd, &line, 8), 0);
	close(fd);
}

static void
make_file(struct shared *s)
{
	int	fd;

	snprintf(s->path, sizeof(s->path), "/tmp/ring.XXXXXX");
	fd = mkstemp(s->path);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

/* Each kill leaves work; the next child begins with what that one left. */
static void
refill(void *ctx)
{
	struct shared	*s = ctx;

	while (ring_used(&writer) < 1500) {
		ck_assert(put(&writer, s->next));
		s->next++;
	}
}

START_TEST(reader_killed_each)
{
	struct shared	*s = make();

	make_file(s);
	attach(s);
	refill(s);
	kill_each(nothing, read_all, refill, s);
	read_all(s);
	check_file(s, s->next);
	ck_assert_uint_gt(s->next, 20);
	unlink(s->path);
}
END_TEST

START_TEST(reader_killed_soon)
{
	struct shared	*s = make();
	pid_t		 pid;

	make_file(s);
	attach(s);
	for (int round = 0; round < 300; round++) {
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			loop_read(s);
		for (long n = random() % 40; n > 0; n--) {
			while (ring_used(&writer) > SIZE / 2)
				;
			put(&writer, s->next++);
		}
		kill_reap(pid);
	}
	read_all(s);
	check_file(s, s->next);
	ck_assert_uint_gt(s->next, 300);
	ck_assert_uint_eq(atomic_load(&writer.h->dropped), 0);
	unlink(s->path);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("ring");
	TCase	*c = tcase_create("ring");

	tcase_set_timeout(c, 120);
	tcase_add_test(c, order);
	tcase_add_test(c, every_place);
	tcase_add_test(c, full);
	tcase_add_loop_test(c, takes_few_pages, 0, 2);
	tcase_add_test(c, given_up);
	tcase_add_test_raise_signal(c, commit_of_nothing, SIGABRT);
	tcase_add_test(c, size_changes_when_empty);
	tcase_add_test(c, lies_to_reader);
	tcase_add_test(c, lies_are_counted);
	tcase_add_test(c, writer_killed_each);
	tcase_add_test(c, writer_killed_soon);
	tcase_add_test(c, reader_killed_each);
	tcase_add_test(c, reader_killed_soon);
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
