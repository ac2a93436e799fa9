/*
 * Rotation and retention of a log file.  Logger.
 *
 * A rotation is a rename and an open, between two writes: no ring has a
 * note then, so that a logger which is killed in it leaves nothing to
 * decide.  Each logger holds a shared lock on the file it writes, and who
 * compresses or removes one takes an exclusive lock first: a file that
 * another logger (of the program before) still writes is left alone.
 * Renames are made under a lock of the folder, for numbers to be free.
 *
 * Compression is a child's, one at a time, of low priority, that dies
 * with the logger.
 */
#include "main/logger_rotate.h"

#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"
#include "os/proc.h"
#include "os/sig.h"

#define NUMBER_MAX	999999999U
#define DAY_S		(24 * 3600)
#define HOUR_MS		(3600 * UINT64_C(1000))
#define AGAIN_MS	10000	/* after a compressor that failed */
#define REST_MS		1000	/* between two looks */
#define REST_TIMES	20	/* as long as a look took */
#define NICENESS	10

void
logger_rotate_init(struct logger_rotate *r, pid_t master)
{
	*r = (struct logger_rotate){ .master = master, .name = "sluice" };
	if (gethostname(r->host, sizeof(r->host) - 1) == -1 ||
	    r->host[0] == '\0')
		snprintf(r->host, sizeof(r->host), "localhost");
	for (char *p = r->host; *p != '\0'; p++)
		if (*p == '/' || *p == '{' || *p == '}')
			*p = '_';
}

static time_t
now_of(const struct logger_rotate *r)
{
	return time(NULL) + r->shift;
}

/* 20260131 */
static int
day_of(time_t t)
{
	struct tm	tm;

	if (localtime_r(&t, &tm) == NULL)
		return 0;
	return (tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 +
	    tm.tm_mday;
}

/* --- names --- */

/* The next word in braces, or what stands before it. */
static bool
next_part(struct str *rest, struct str *part)
{
	ptrdiff_t	end = rest->n > 0 && rest->p[0] == '{' ?
	    str_find(*rest, '}', 0) + 1 : str_find(*rest, '{', 0);

	if (rest->n == 0)
		return false;
	*part = str_sub(*rest, 0, end > 0 ? (size_t)end : rest->n);
	*rest = str_sub(*rest, part->n, rest->n);
	return true;
}

static bool
has_name(struct str pattern)
{
	struct str	part;

	while (next_part(&pattern, &part))
		if (str_eq(part, STR("{name}")))
			return true;
	return false;
}

/* Without {name} the second of two files has "-error" before its suffix. */
void
logger_rotate_set_name(struct logger_rotate *r, struct str pattern,
    bool splits, enum logger_which which)
{
	struct text	t;
	size_t		at = pattern.n;

	while (at > 1 && pattern.p[at - 1] != '.')
		at--;
	at = at > 1 ? at - 1 : pattern.n;
	text_init_fixed(&t, r->pattern, sizeof(r->pattern) - 1);
	text_add(&t, str_sub(pattern, 0, at));
	if (splits && which == LOGGER_LINES && !has_name(pattern))
		text_add(&t, STR("-error"));
	text_add(&t, str_sub(pattern, at, pattern.n));
	must(!t.cut);
	r->pattern[t.n] = '\0';
	r->name = "sluice";
	if (splits)
		r->name = which == LOGGER_LINES ? "error" : "access";
}

/* What a part always stands for; false: it is a date or a pid. */
static bool
is_fixed(const struct logger_rotate *r, struct str *part)
{
	if (str_eq(*part, STR("{date}")) || str_eq(*part, STR("{pid}")))
		return false;
	if (str_eq(*part, STR("{name}")))
		*part = str_from(r->name);
	else if (str_eq(*part, STR("{hostname}")))
		*part = str_from(r->host);
	return true;
}

int
logger_rotate_name(const struct logger_rotate *r, char *name, size_t size,
    struct err *e)
{
	int		day = day_of(now_of(r));
	struct str	rest = str_from(r->pattern), part;
	struct text	t;

	text_init_fixed(&t, name, size - 1);
	while (next_part(&rest, &part)) {
		if (is_fixed(r, &part))
			text_add(&t, part);
		else if (str_eq(part, STR("{date}")))
			text_fmt(&t, "%04d-%02d-%02d", day / 10000,
			    day / 100 % 100, day % 100);
		else
			text_fmt(&t, "%d", (int)r->master);
	}
	name[t.n] = '\0';
	/* with number and endings it is a name, too */
	if (t.cut || t.n == 0 || t.n + sizeof(".999999999.gz.tmp") > size)
		return err_set(e, "the name of the log file is too long");
	return 0;
}

static size_t
count_digits(struct str s)
{
	size_t	n = 0;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	return n;
}

/* Bytes at the start of s that a part may stand for; 0: none. */
static size_t
match_part(const struct logger_rotate *r, struct str part, struct str s)
{
	static const char	date[] = "dddd-dd-dd";

	if (str_eq(part, STR("{pid}")))
		return count_digits(s);
	if (is_fixed(r, &part))
		return str_starts(s, part) ? part.n : 0;
	if (s.n < sizeof(date) - 1)
		return 0;
	for (size_t i = 0; i < sizeof(date) - 1; i++)
		if (date[i] == 'd' ? s.p[i] < '0' || s.p[i] > '9' :
		    s.p[i] != date[i])
			return 0;
	return sizeof(date) - 1;
}

bool
logger_rotate_match(const struct logger_rotate *r, const char *name,
    struct rotated *out)
{
	struct str	s = str_from(name), part;
	struct str	rest = str_from(r->pattern);
	uint64_t	number = 0;
	size_t		n;

	*out = (struct rotated){ .kind = ROTATED_PLAIN };
	while (next_part(&rest, &part)) {
		n = match_part(r, part, s);
		if (n == 0)
			return false;
		s = str_sub(s, n, s.n);
	}
	out->base = (size_t)(s.p - name);
	n = s.n > 1 && s.p[0] == '.' ? count_digits(str_sub(s, 1, s.n)) : 0;
	if (n > 0) {
		if (s.p[1] == '0' || str_to_u64(str_sub(s, 1, n + 1),
		    NUMBER_MAX, &number) != 0)
			return false;
		s = str_sub(s, n + 1, s.n);
	}
	out->number = (uint32_t)number;
	if (str_eq(s, STR(".gz")))
		out->kind = ROTATED_GZ;
	else if (str_eq(s, STR(".gz.tmp")))
		out->kind = ROTATED_TMP;
	else if (s.n > 0)
		return false;
	return str_to_c(str_from(name), out->name, sizeof(out->name)) == 0;
}

/* --- the folder --- */

static int
open_dir(const char *dir)
{
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* All files of the log in the folder; times too, if wanted. */
static int
read_dir(const struct logger_rotate *r, int dir, bool times, struct vec *v)
{
	int		 fd = openat(dir, ".", O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC);
	DIR		*d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent	*de;
	struct rotated	 f;
	struct stat	 st;

	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	while ((de = readdir(d)) != NULL) {
		if (!logger_rotate_match(r, de->d_name, &f))
			continue;
		if (times) {
			if (fstatat(dir, f.name, &st,
			    AT_SYMLINK_NOFOLLOW) == -1 ||
			    !S_ISREG(st.st_mode))
				continue;
			f.mtime = st.st_mtim;
		}
		*(struct rotated *)vec_push(v) = f;
	}
	closedir(d);
	return 0;
}

/* The number after the largest that files of this base have. */
static uint32_t
find_number(const struct logger_rotate *r, int dir, struct str base)
{
	struct vec	 v;
	struct rotated	*f;
	uint32_t	 most = 0;

	vec_init(&v, sizeof(*f));
	(void)read_dir(r, dir, false, &v);
	for (size_t i = 0; i < v.n; i++) {
		f = vec_at(&v, i);
		if (f->number > most &&
		    str_eq(str_make(f->name, f->base), base))
			most = f->number;
	}
	vec_fini(&v);
	return most + 1;
}

static bool
is_free(int dir, const char *name)
{
	char	gz[LOGGER_NAME + 8];

	snprintf(gz, sizeof(gz), "%s.gz", name);
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == -1 &&
	    faccessat(dir, gz, F_OK, AT_SYMLINK_NOFOLLOW) == -1;
}

int
logger_rotate_aside(struct logger_rotate *r, int dir, const char *name)
{
	struct rotated	f;
	char		to[LOGGER_NAME];

	if (!logger_rotate_match(r, name, &f)) {
		errno = EINVAL;
		return -1;
	}
	f.name[f.base] = '\0';
	if (strcmp(r->next_of, f.name) != 0) {
		memcpy(r->next_of, f.name, sizeof(r->next_of));
		r->next = find_number(r, dir, str_from(f.name));
	}
	do {
		if (r->next > NUMBER_MAX) {
			errno = EOVERFLOW;
			return -1;
		}
		if (snprintf(to, sizeof(to), "%s.%u", f.name, r->next++) >=
		    (int)sizeof(to)) {
			errno = ENAMETOOLONG;
			return -1;
		}
	} while (!is_free(dir, to));
	return renameat(dir, name, dir, to);
}

/* --- rotation --- */

bool
logger_rotate_is_due(const struct logger_rotate *r,
    const struct logger_file *f)
{
	if (f->fd == -1)
		return false;
	return (r->by_size && f->size >= r->size) ||
	    (r->by_time && day_of(now_of(r)) > day_of(f->since));
}

/* Unless the name is another file's already. */
static int
put_aside(struct logger_rotate *r, const struct logger_file *f, int dir)
{
	struct stat	st;

	if (flock(dir, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK)
		return -1;
	if (fstatat(dir, f->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : -1;
	if (st.st_dev != f->dev || st.st_ino != f->ino || st.st_size == 0)
		return 0;
	return logger_rotate_aside(r, dir, f->name);
}

int
logger_rotate_run(struct logger_rotate *r, struct logger_file *f,
    struct err *e)
{
	char	name[LOGGER_NAME];
	int	dir, rc = 0;

	if (logger_rotate_name(r, name, sizeof(name), e) == -1)
		return -1;
	dir = open_dir(f->dir);
	if (dir == -1)
		return err_sys(e, "cannot open \"%s\"", f->dir);
	if (strcmp(name, f->name) == 0)
		rc = put_aside(r, f, dir);
	if (rc == -1)
		err_sys(e, "cannot rename \"%s/%s\"", f->dir, f->name);
	if (rc == 0 && FAULT("rotate_crash"))
		kill(getpid(), SIGKILL);
	if (rc == 0)
		rc = logger_file_open(f, f->dir, name, e);
	if (rc == 0) {
		f->since = now_of(r);
		r->look_ms = 0;
	}
	close(dir);
	return rc;
}

/* --- retention --- */

static int
by_age(const void *a, const void *b)
{
	const struct rotated	*x = a, *y = b;

	if (x->mtime.tv_sec != y->mtime.tv_sec)
		return x->mtime.tv_sec < y->mtime.tv_sec ? -1 : 1;
	if (x->mtime.tv_nsec != y->mtime.tv_nsec)
		return x->mtime.tv_nsec < y->mtime.tv_nsec ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return strcmp(x->name, y->name);
}

void
logger_rotate_choose(const struct logger_rotate *r, struct vec *v, time_t now)
{
	struct rotated	*f;
	uint64_t	 kept = 0;

	if (v->n > 0)
		qsort(v->p, v->n, v->size, by_age);
	for (size_t i = v->n; i-- > 0;) {
		f = vec_at(v, i);
		/* a compressor's rest, or a compressor's at work: locked */
		f->drop = f->kind == ROTATED_TMP ||
		    (r->age > 0 && f->mtime.tv_sec < now - (time_t)r->age) ||
		    (r->keep > 0 && kept >= r->keep);
		kept += !f->drop;
	}
}

/* Unless somebody writes it. */
static void
drop(int dir, const char *name)
{
	int	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);

	if (fd == -1)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dir, name, 0);
	close(fd);
}

/* --- the compressor --- */

static void
zip_main(struct logger_rotate *r, const char *dir, const struct vec *v,
    pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(GZIP_FAILED);
	for (int signo = 1; signo < 32; signo++)
		if (signo != SIGKILL && signo != SIGSTOP)
			signal(signo, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	/* no channel, lock or ring of the logger is held in here */
	syscall(SYS_close_range, 3U, ~0U, 0);
	sig_unblock();
	proc_set_title("sluiced: compressor");
	setpriority(PRIO_PROCESS, 0, NICENESS);
	_exit(logger_gzip_all(r, dir, v));
}

/* Files that can be compressed are all that is left in the list. */
static void
start_zip(struct logger_rotate *r, const char *dir, const struct vec *v)
{
	pid_t	parent = getpid(), pid;

	if (!r->compresses || r->zip != 0 || v->n == 0)
		return;
	pid = sig_fork();
	if (pid == 0)
		zip_main(r, dir, v, parent);
	if (pid > 0)
		r->zip = pid;
}

/* -1: it is gone, and failed. */
static int
reap_zip(struct logger_rotate *r, const char *dir, uint64_t now_ms,
    struct err *e)
{
	int	status = 0;
	bool	was = r->zip_failed;

	if (r->zip == 0 || waitpid(r->zip, &status, WNOHANG) == 0)
		return 0;
	r->zip = 0;
	r->zip_failed = WIFEXITED(status) && WEXITSTATUS(status) ==
	    GZIP_FAILED;
	r->look_ms = status == 0 ? 0 : now_ms + AGAIN_MS;
	if (r->zip_failed && !was)
		return err_set(e, "cannot compress the files of \"%s\"", dir);
	return 0;
}

static void
look(struct logger_rotate *r, const struct logger_file *f, int dir)
{
	struct vec	 v, plain;
	struct rotated	*x;

	vec_init(&v, sizeof(*x));
	vec_init(&plain, sizeof(*x));
	(void)read_dir(r, dir, true, &v);
	for (size_t i = 0; i < v.n;) {
		x = vec_at(&v, i);
		if (strcmp(x->name, f->name) != 0) {
			i++;
			continue;
		}
		*x = *(struct rotated *)vec_at(&v, v.n - 1);
		v.n--;
	}
	logger_rotate_choose(r, &v, now_of(r));
	for (size_t i = 0; i < v.n; i++) {
		x = vec_at(&v, i);
		if (x->drop)
			drop(dir, x->name);
		else if (x->kind == ROTATED_PLAIN)
			*(struct rotated *)vec_push(&plain) = *x;
	}
	start_zip(r, f->dir, &plain);
	vec_fini(&plain);
	vec_fini(&v);
}

static uint64_t
clock_ms(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int
logger_rotate_look(struct logger_rotate *r, const struct logger_file *f,
    uint64_t now_ms, struct err *e)
{
	uint64_t	from = clock_ms();
	int		dir, rc;

	if (f->size > 0 && FAULT("log_midnight"))
		r->shift += DAY_S;
	rc = reap_zip(r, f->dir, now_ms, e);
	if ((!r->by_size && !r->by_time) || f->fd == -1 ||
	    now_ms < r->look_ms || now_ms < r->rest_ms)
		return rc;
	dir = open_dir(f->dir);
	if (dir != -1) {
		look(r, f, dir);
		close(dir);
	}
	r->look_ms = now_ms + HOUR_MS;
	r->rest_ms = now_ms + REST_MS + REST_TIMES * (clock_ms() - from);
	return rc;
}

void
logger_rotate_end(struct logger_rotate *r)
{
	if (r->zip == 0)
		return;
	kill(r->zip, SIGKILL);
	while (waitpid(r->zip, NULL, 0) == -1 && errno == EINTR)
		;
	r->zip = 0;
}
