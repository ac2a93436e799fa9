/*
 * main/logger_rotate, main/logger_gzip: which files are the log's, which
 * of them go, and that no line is lost or doubled by whoever is killed.
 */
#include "main/logger_rotate.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <zlib.h>

#include "base/must.h"
#include "kill.h"

#define LINE	"line %06u of the log, a bit longer than its number\n"
#define NLINE	4000U	/* of a rotated file */
#define NFILE	4U

struct bed {
	char			 dir[64];
	int			 fd;		/* of dir */
	struct logger_rotate	 r;
	struct logger_file	 f;
	unsigned		 lines;		/* written so far */
	_Atomic uint64_t	*turns;
};

static void
set_pattern(struct bed *b, const char *pattern)
{
	must(str_to_c(str_from(pattern), b->r.pattern,
	    sizeof(b->r.pattern)) == 0);
}

static struct bed *
make(const char *pattern)
{
	struct bed	*b = must_calloc(1, sizeof(*b));

	snprintf(b->dir, sizeof(b->dir), "/tmp/sluice-rot-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(b->dir));
	b->fd = open(b->dir, O_RDONLY | O_DIRECTORY);
	b->turns = kill_shared(sizeof(*b->turns));
	logger_rotate_init(&b->r, 4711);
	snprintf(b->r.host, sizeof(b->r.host), "box");
	set_pattern(b, pattern);
	b->r.by_size = b->r.by_time = true;
	b->r.size = 1000;
	logger_file_init(&b->f);
	return b;
}

static void
done(struct bed *b)
{
	char	cmd[128];
	pid_t	pid;

	logger_rotate_end(&b->r);
	logger_file_close(&b->f);
	close(b->fd);
	pid = fork();
	if (pid == 0) {
		snprintf(cmd, sizeof(cmd), "%s", b->dir);
		execl("/bin/rm", "rm", "-rf", cmd, (char *)NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	munmap(b->turns, sizeof(*b->turns));
	free(b);
}

static bool
has(const struct bed *b, const char *name)
{
	return faccessat(b->fd, name, F_OK, 0) == 0;
}

/* A file of so many lines that was written so long ago. */
static void
put_file(struct bed *b, const char *name, unsigned n, time_t age)
{
	struct timespec	t[2] = { { time(NULL) - age, 0 },
	    { time(NULL) - age, 0 } };
	int		fd = openat(b->fd, name, O_WRONLY | O_CREAT | O_TRUNC,
	    0640);

	ck_assert_int_ge(fd, 0);
	while (n-- > 0)
		ck_assert_int_gt(dprintf(fd, LINE, b->lines++), 0);
	futimens(fd, t);
	close(fd);
}

static void
open_log(struct bed *b)
{
	char	name[LOGGER_NAME];

	must(logger_rotate_name(&b->r, name, sizeof(name), NULL) == 0);
	must(logger_file_open(&b->f, b->dir, name, NULL) == 0);
}

/* --- names --- */

/* @ in what is wanted stands for the day. */
static void
check_name(struct bed *b, const char *pattern, const char *want)
{
	char		name[LOGGER_NAME], day[16], all[LOGGER_NAME];
	time_t		now = time(NULL);
	struct rotated	x;
	struct tm	tm;
	struct err	e;

	set_pattern(b, pattern);
	localtime_r(&now, &tm);
	strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	snprintf(all, sizeof(all), "%.*s%s%s", (int)strcspn(want, "@"), want,
	    strchr(want, '@') != NULL ? day : "",
	    strchr(want, '@') != NULL ? strchr(want, '@') + 1 : "");
	ck_assert_int_eq(logger_rotate_name(&b->r, name, sizeof(name), &e),
	    0);
	ck_assert_str_eq(name, all);
	ck_assert(logger_rotate_match(&b->r, name, &x));
	ck_assert_uint_eq(x.base, strlen(name));
	ck_assert_uint_eq(x.number, 0);
}

START_TEST(test_name)
{
	struct bed	*b = make("{name}.log");
	char		 name[LOGGER_NAME];
	struct err	 e;

	check_name(b, "{name}.log", "sluice.log");
	check_name(b, "{name}-{date}.log", "sluice-@.log");
	check_name(b, "{hostname}.{pid}", "box.4711");
	check_name(b, "all", "all");
	check_name(b, "{date}{name}", "@sluice");
	ck_assert_int_eq(logger_rotate_name(&b->r, name, 24, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "too long"));
	done(b);
}
END_TEST

static const struct {
	const char	*pattern, *access, *lines;
} splits[] = {
	{ "{name}.log", "access.log", "error.log" },
	{ "{hostname}-{name}", "box-access", "box-error" },
	{ "gw.log", "gw.log", "gw-error.log" },
	{ "gw.a.json", "gw.a.json", "gw.a-error.json" },
	{ "gw", "gw", "gw-error" },
	{ "gw.{pid}", "gw.4711", "gw-error.4711" },
	{ "a.b{pid}c", "a.b4711c", "a-error.b4711c" }
};

/* Two files, each of which is the other's stranger. */
START_TEST(test_split)
{
	struct bed	*b = make(splits[_i].pattern);
	struct str	 pattern = str_from(splits[_i].pattern);
	char		 name[2][LOGGER_NAME];
	struct rotated	 x;

	for (int i = 0; i < 2; i++) {
		logger_rotate_set_name(&b->r, pattern, true,
		    (enum logger_which)i);
		must(logger_rotate_name(&b->r, name[i], LOGGER_NAME,
		    NULL) == 0);
		ck_assert_str_eq(name[i],
		    i == 0 ? splits[_i].access : splits[_i].lines);
		ck_assert(logger_rotate_match(&b->r, name[i], &x));
		ck_assert(i == 0 || !logger_rotate_match(&b->r, name[0], &x));
	}
	logger_rotate_set_name(&b->r, pattern, true, LOGGER_RECORDS);
	ck_assert(!logger_rotate_match(&b->r, name[1], &x));
	done(b);
}
END_TEST

static const struct {
	const char		*pattern, *name;
	bool			 is;
	uint32_t		 number;
	enum rotated_kind	 kind;
} names[] = {
	{ "{name}.log", "sluice.log", true, 0, ROTATED_PLAIN },
	{ "{name}.log", "sluice.log.1", true, 1, ROTATED_PLAIN },
	{ "{name}.log", "sluice.log.999999999", true, 999999999,
	    ROTATED_PLAIN },
	{ "{name}.log", "sluice.log.12.gz", true, 12, ROTATED_GZ },
	{ "{name}.log", "sluice.log.gz", true, 0, ROTATED_GZ },
	{ "{name}.log", "sluice.log.12.gz.tmp", true, 12, ROTATED_TMP },
	{ "{name}.log", "sluice.log.1000000000", false, 0, 0 },
	{ "{name}.log", "sluice.log.0", false, 0, 0 },
	{ "{name}.log", "sluice.log.01", false, 0, 0 },
	{ "{name}.log", "sluice.log.", false, 0, 0 },
	{ "{name}.log", "sluice.log.1.bak", false, 0, 0 },
	{ "{name}.log", "sluice.log.1.gz.1", false, 0, 0 },
	{ "{name}.log", "sluice.log.tmp", false, 0, 0 },
	{ "{name}.log", "sluice.lo", false, 0, 0 },
	{ "{name}.log", "xsluice.log", false, 0, 0 },
	{ "{name}.log", "sluice.log~", false, 0, 0 },
	{ "{name}.log", "", false, 0, 0 },
	{ "{name}-{date}.log", "sluice-2020-02-30.log.gz", true, 0,
	    ROTATED_GZ },
	{ "{name}-{date}.log", "sluice-2020-02-30.log.3", true, 3,
	    ROTATED_PLAIN },
	{ "{name}-{date}.log", "sluice-2020-2-30.log", false, 0, 0 },
	{ "{name}-{date}.log", "sluice-.log", false, 0, 0 },
	{ "{name}-{date}.log", "sluice-2020-02-3", false, 0, 0 },
	{ "{hostname}-{pid}.log", "box-1.log", true, 0, ROTATED_PLAIN },
	{ "{hostname}-{pid}.log", "fox-1.log", false, 0, 0 },
	{ "{hostname}-{pid}.log", "box-.log", false, 0, 0 }
};

START_TEST(test_match)
{
	struct bed	*b = make(names[_i].pattern);
	struct rotated	 x;

	ck_assert_int_eq(logger_rotate_match(&b->r, names[_i].name, &x),
	    names[_i].is);
	if (names[_i].is) {
		ck_assert_uint_eq(x.number, names[_i].number);
		ck_assert_int_eq(x.kind, names[_i].kind);
		ck_assert_str_eq(x.name, names[_i].name);
	}
	done(b);
}
END_TEST

/* --- rotation --- */

START_TEST(test_rotate)
{
	struct bed	*b = make("{name}.log");
	struct err	 e;
	uint64_t	 ino;

	put_file(b, "sluice.log.7.gz", 1, 0);
	put_file(b, "sluice.log.other", 1, 0);
	open_log(b);
	ck_assert(!logger_rotate_is_due(&b->r, &b->f));
	b->f.size = 999;
	ck_assert(!logger_rotate_is_due(&b->r, &b->f));
	b->f.size = 1000;
	ck_assert(logger_rotate_is_due(&b->r, &b->f));
	b->r.by_size = false;
	ck_assert(!logger_rotate_is_due(&b->r, &b->f));
	b->r.by_size = true;
	ck_assert_int_eq(dprintf(b->f.fd, "x\n"), 2);
	ino = b->f.ino;
	ck_assert_int_eq(logger_rotate_run(&b->r, &b->f, &e), 0);
	ck_assert(has(b, "sluice.log.8") && has(b, "sluice.log"));
	ck_assert(b->f.ino != ino && b->f.size == 0);
	/* an empty one stays */
	ino = b->f.ino;
	ck_assert_int_eq(logger_rotate_run(&b->r, &b->f, &e), 0);
	ck_assert(!has(b, "sluice.log.9") && b->f.ino == ino);
	/* a number that is taken, meanwhile */
	put_file(b, "sluice.log.9", 1, 0);
	ck_assert_int_eq(dprintf(b->f.fd, "x\n"), 2);
	ck_assert_int_eq(logger_rotate_run(&b->r, &b->f, &e), 0);
	ck_assert(has(b, "sluice.log.10"));
	/* one that somebody else renamed */
	ck_assert_int_eq(renameat(b->fd, "sluice.log", b->fd, "mine"), 0);
	ck_assert_int_eq(logger_rotate_run(&b->r, &b->f, &e), 0);
	ck_assert(has(b, "sluice.log") && !has(b, "sluice.log.11"));
	done(b);
}
END_TEST

START_TEST(test_midnight)
{
	struct bed	*b = make("{name}.log");
	struct err	 e;

	/* of a day before, by a logger before */
	put_file(b, "sluice.log", 1, 2 * 24 * 3600);
	open_log(b);
	ck_assert(logger_rotate_is_due(&b->r, &b->f));
	b->r.by_time = false;
	ck_assert(!logger_rotate_is_due(&b->r, &b->f));
	b->r.by_time = true;
	ck_assert_int_eq(logger_rotate_run(&b->r, &b->f, &e), 0);
	ck_assert(has(b, "sluice.log.1"));
	ck_assert(!logger_rotate_is_due(&b->r, &b->f));
	b->r.shift = 24 * 3600;
	ck_assert(logger_rotate_is_due(&b->r, &b->f));
	/* a clock that goes back changes nothing */
	b->r.shift = -24 * 3600;
	ck_assert(!logger_rotate_is_due(&b->r, &b->f));
	b->r.shift = 0;
	/* the name changes by itself */
	set_pattern(b, "{date}.log");
	open_log(b);
	ck_assert_int_eq(dprintf(b->f.fd, "x\n"), 2);
	b->r.shift = 24 * 3600;
	ck_assert_int_eq(logger_rotate_run(&b->r, &b->f, &e), 0);
	ck_assert_uint_eq(b->f.size, 0);
	ck_assert(!logger_rotate_is_due(&b->r, &b->f));
	done(b);
}
END_TEST

/* --- retention --- */

static void
push(struct vec *v, const char *name, enum rotated_kind kind, time_t at)
{
	struct rotated	*x = vec_push(v);

	snprintf(x->name, sizeof(x->name), "%s", name);
	x->kind = kind;
	x->mtime.tv_sec = at;
}

/* Names that go, in order. */
static void
check_choice(struct bed *b, uint64_t age, uint64_t keep, const char *want)
{
	struct vec	v;
	struct rotated	*x;
	char		got[128] = "";
	size_t		n = 0;

	vec_init(&v, sizeof(*x));
	push(&v, "c", ROTATED_GZ, 980);
	push(&v, "a", ROTATED_GZ, 900);
	push(&v, "e", ROTATED_PLAIN, 1000);
	push(&v, "t", ROTATED_TMP, 1000);
	push(&v, "b", ROTATED_PLAIN, 950);
	b->r.age = age;
	b->r.keep = keep;
	logger_rotate_choose(&b->r, &v, 1000);
	for (size_t i = 0; i < v.n; i++) {
		x = vec_at(&v, i);
		if (x->drop)
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%s",
			    x->name);
	}
	ck_assert_str_eq(got, want);
	vec_fini(&v);
}

START_TEST(test_choose)
{
	struct bed	*b = make("{name}.log");
	struct vec	 v;

	check_choice(b, 0, 0, "t");
	check_choice(b, 50, 0, "at");
	check_choice(b, 49, 0, "abt");
	check_choice(b, 0, 3, "at");
	check_choice(b, 0, 1, "abct");
	check_choice(b, 49, 1, "abct");
	check_choice(b, 49, 100, "abt");
	vec_init(&v, sizeof(struct rotated));
	logger_rotate_choose(&b->r, &v, 1000);
	done(b);
}
END_TEST

/* In the folder: only files of the log, and none that is written. */
START_TEST(test_look)
{
	struct bed		*b = make("{name}-{pid}.log");
	struct logger_file	 other;
	struct err		 e;

	b->r.age = 1000;
	put_file(b, "sluice-4711.log", 1, 5000);
	put_file(b, "sluice-1.log", 1, 5000);
	put_file(b, "sluice-2.log", 1, 5000);
	put_file(b, "sluice-3.log.1", 1, 500);
	put_file(b, "sluice-4.log.1.gz", 1, 5000);
	put_file(b, "sluice-4.log.2.gz.tmp", 1, 0);
	put_file(b, "sluice.log.1", 1, 5000);
	put_file(b, "other", 1, 5000);
	ck_assert_int_eq(mkdirat(b->fd, "sluice-9.log", 0700), 0);
	logger_file_init(&other);
	ck_assert_int_eq(logger_file_open(&other, b->dir, "sluice-1.log", &e),
	    0);
	open_log(b);
	ck_assert_int_eq(logger_rotate_look(&b->r, &b->f, 1000, &e), 0);
	ck_assert(has(b, "sluice-4711.log") && has(b, "sluice-1.log") &&
	    has(b, "sluice-3.log.1") && has(b, "sluice.log.1") &&
	    has(b, "other") && has(b, "sluice-9.log"));
	ck_assert(!has(b, "sluice-2.log") && !has(b, "sluice-4.log.1.gz") &&
	    !has(b, "sluice-4.log.2.gz.tmp"));
	/* not again at once, and never with none */
	b->r.age = 1;
	ck_assert_int_eq(logger_rotate_look(&b->r, &b->f, 1500, &e), 0);
	b->r.by_size = b->r.by_time = false;
	ck_assert_int_eq(logger_rotate_look(&b->r, &b->f, UINT64_MAX, &e), 0);
	ck_assert(has(b, "sluice-3.log.1"));
	logger_file_close(&other);
	done(b);
}
END_TEST

/* --- compression --- */

/* Counts the lines of a file, which go on from *next. */
static void
count_lines(struct bed *b, const char *name, unsigned *next)
{
	char	path[512], line[128], want[128];
	gzFile	g;

	snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	g = gzopen(path, "r");
	ck_assert_ptr_nonnull(g);
	while (gzgets(g, line, sizeof(line)) != NULL) {
		snprintf(want, sizeof(want), LINE, (*next)++);
		ck_assert_str_eq(line, want);
	}
	ck_assert_int_eq(gzclose(g), Z_OK);
}

START_TEST(test_gzip)
{
	struct bed	*b = make("{name}.log");
	unsigned	 n = 0;
	struct stat	 st;
	int		 fd;

	put_file(b, "sluice.log.1", NLINE, 777);
	/* a killed one's rest, larger than what is to come */
	put_file(b, "sluice.log.1.gz.tmp", NLINE, 0);
	ck_assert_int_eq(logger_gzip(&b->r, b->fd, "sluice.log.1"), GZIP_OK);
	ck_assert(!has(b, "sluice.log.1") && !has(b, "sluice.log.1.gz.tmp"));
	count_lines(b, "sluice.log.1.gz", &n);
	ck_assert_uint_eq(n, NLINE);
	ck_assert_int_eq(fstatat(b->fd, "sluice.log.1.gz", &st, 0), 0);
	ck_assert_int_ge(time(NULL) - st.st_mtime, 777);
	ck_assert_int_eq(st.st_mode & 0777, 0640);
	/* gone, and in use */
	ck_assert_int_eq(logger_gzip(&b->r, b->fd, "sluice.log.1"),
	    GZIP_BUSY);
	put_file(b, "sluice.log.2", 1, 0);
	fd = openat(b->fd, "sluice.log.2", O_RDONLY);
	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	ck_assert_int_eq(logger_gzip(&b->r, b->fd, "sluice.log.2"),
	    GZIP_BUSY);
	ck_assert(has(b, "sluice.log.2") && !has(b, "sluice.log.2.gz"));
	close(fd);
	done(b);
}
END_TEST

/* NAME.gz is there: with the same lines, or with others. */
START_TEST(test_gzip_there)
{
	struct bed	*b = make("{name}.log");
	unsigned	 n = 0;

	put_file(b, "sluice.log.1", NLINE, 0);
	ck_assert_int_eq(logger_gzip(&b->r, b->fd, "sluice.log.1"), GZIP_OK);
	b->lines = 0;
	put_file(b, "sluice.log.1", NLINE, 0);
	ck_assert_int_eq(logger_gzip(&b->r, b->fd, "sluice.log.1"), GZIP_OK);
	ck_assert(!has(b, "sluice.log.1"));
	put_file(b, "sluice.log.1", NLINE, 0);
	ck_assert_int_eq(logger_gzip(&b->r, b->fd, "sluice.log.1"),
	    GZIP_BUSY);
	ck_assert(!has(b, "sluice.log.1") && has(b, "sluice.log.2"));
	ck_assert_int_eq(logger_gzip(&b->r, b->fd, "sluice.log.2"), GZIP_OK);
	count_lines(b, "sluice.log.1.gz", &n);
	count_lines(b, "sluice.log.2.gz", &n);
	ck_assert_uint_eq(n, 2 * NLINE);
	ck_assert(!has(b, "sluice.log.1.gz.tmp"));
	done(b);
}
END_TEST

/* The next logger takes up what one before left. */
START_TEST(test_look_gzip)
{
	struct bed	*b = make("{name}.log");
	struct timespec	 ms = { 0, 1000000 };
	struct err	 e;
	unsigned	 n = 0;
	uint64_t	 now = 0;

	b->r.compresses = true;
	put_file(b, "sluice.log.1", NLINE, 10);
	put_file(b, "sluice.log.2", NLINE, 5);
	open_log(b);
	for (int i = 0; i < 10000 && (has(b, "sluice.log.1") ||
	    has(b, "sluice.log.2")); i++) {
		ck_assert_int_eq(logger_rotate_look(&b->r, &b->f, now, &e),
		    0);
		now += 1000;
		nanosleep(&ms, NULL);
	}
	ck_assert(has(b, "sluice.log"));
	count_lines(b, "sluice.log.1.gz", &n);
	count_lines(b, "sluice.log.2.gz", &n);
	ck_assert_uint_eq(n, 2 * NLINE);
	done(b);
}
END_TEST

/* --- killed --- */

static void
zip_for_ever(void *ctx)
{
	struct bed	*b = ctx;
	char		 name[64];

	for (unsigned i = 1;; i = i % NFILE + 1) {
		snprintf(name, sizeof(name), "sluice.log.%u", i);
		(void)logger_gzip(&b->r, b->fd, name);
		atomic_fetch_add(b->turns, 1);
	}
}

/* Each line once: in the plain file, if it is there, else in the other. */
static void
check_once(struct bed *b)
{
	char		plain[64], gz[80];
	unsigned	n = 0;

	for (unsigned i = 1; i <= NFILE; i++) {
		snprintf(plain, sizeof(plain), "sluice.log.%u", i);
		snprintf(gz, sizeof(gz), "%s.gz", plain);
		count_lines(b, has(b, plain) ? plain : gz, &n);
		ck_assert_uint_eq(n, i * NLINE);
	}
}

START_TEST(test_gzip_killed)
{
	struct bed	*b = make("{name}.log");
	char		 name[64];

	for (int round = 0; round < 60; round++) {
		b->lines = 0;
		for (unsigned i = 1; i <= NFILE; i++) {
			snprintf(name, sizeof(name), "sluice.log.%u", i);
			put_file(b, name, NLINE, 0);
		}
		/* at any time after the first of them, or before */
		if (round % 2 == 0)
			atomic_store(b->turns, 2);
		kill_soon(zip_for_ever, b, b->turns, 3000);
		check_once(b);
	}
	for (unsigned i = 1; i <= NFILE; i++) {
		snprintf(name, sizeof(name), "sluice.log.%u", i);
		(void)logger_gzip(&b->r, b->fd, name);
		ck_assert(!has(b, name));
	}
	check_once(b);
	done(b);
}
END_TEST

static void
each_prepare(void *ctx)
{
	struct bed	*b = ctx;

	open_log(b);
	must(dprintf(b->f.fd, "x\n") == 2);
	atomic_fetch_add(b->turns, 1);
}

static void
each_op(void *ctx)
{
	struct bed	*b = ctx;

	must(logger_rotate_run(&b->r, &b->f, NULL) == 0);
}

/* As many lines as were written, in whatever files. */
static void
each_check(void *ctx)
{
	struct bed	*b = ctx;
	char		 name[64];
	struct stat	 st;
	uint64_t	 bytes = 0;

	if (fstatat(b->fd, "sluice.log", &st, 0) == 0)
		bytes = (uint64_t)st.st_size;
	for (unsigned i = 1;; i++) {
		snprintf(name, sizeof(name), "sluice.log.%u", i);
		if (fstatat(b->fd, name, &st, 0) == -1)
			break;
		bytes += (uint64_t)st.st_size;
	}
	ck_assert_uint_eq(bytes, 2 * atomic_load(b->turns));
}

START_TEST(test_rotate_killed)
{
	struct bed	*b = make("{name}.log");

	kill_each(each_prepare, each_op, each_check, b);
	done(b);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("logger_rotate");
	TCase	*t = tcase_create("logger_rotate");
	SRunner	*r;
	int	 failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_name);
	tcase_add_loop_test(t, test_split, 0,
	    sizeof(splits) / sizeof(splits[0]));
	tcase_add_loop_test(t, test_match, 0,
	    sizeof(names) / sizeof(names[0]));
	tcase_add_test(t, test_rotate);
	tcase_add_test(t, test_midnight);
	tcase_add_test(t, test_choose);
	tcase_add_test(t, test_look);
	tcase_add_test(t, test_gzip);
	tcase_add_test(t, test_gzip_there);
	tcase_add_test(t, test_look_gzip);
	tcase_add_test(t, test_gzip_killed);
	tcase_add_test(t, test_rotate_killed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
