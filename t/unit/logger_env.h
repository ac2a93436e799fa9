/*
 * A board with rings, a logger with files in a folder of its own, and what
 * must stand in them: the records of each writer once and in order.
 */
#ifndef T_UNIT_LOGGER_ENV_H
#define T_UNIT_LOGGER_ENV_H

#include "main/logger.h"

#include <sys/stat.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "core/access.h"
#include "kill.h"

#define NWRITER		3

static const struct shm_region *const regions[] = {
	&board_slots, &board_panics, &board_stats, &board_totals,
	&board_globals, &board_rings, &board_flights, &board_lasts,
	NULL
};

/* what a test's processes share */
struct shared {
	_Atomic uint64_t	turns;		/* of a drainer's loop */
	_Atomic uint64_t	put;		/* records of prepare */
};

struct bed {
	struct shm	*shm;
	struct shared	*s;
	char		 dir[64];
	struct logger	 l;
	struct board	 b[NWRITER];
	bool		 splits;	/* lines have a file of their own */
	unsigned	 files;		/* renamed ones */
	uint64_t	 want[NWRITER];	/* number that the next line has */
	uint64_t	 next[NWRITER];	/* lines there are, of all files */
};

static inline struct bed *
make(void)
{
	struct bed	*b = calloc(1, sizeof(*b));
	struct err	 e;

	b->s = kill_shared(sizeof(*b->s));
	b->shm = shm_new(regions, &e);
	ck_assert_msg(b->shm != NULL, "%s", e.text);
	ck_assert_int_eq(board_grow(b->shm, 16, &e), 0);
	snprintf(b->dir, sizeof(b->dir), "/tmp/sluice-log-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(b->dir));
	logger_init(&b->l, b->shm);
	return b;
}

#define LINES_FILE	UINT_MAX

static inline void
path_of(const struct bed *b, unsigned i, char *path, size_t size)
{
	if (i == 0)
		snprintf(path, size, "%s/sluice.log", b->dir);
	else if (i == LINES_FILE)
		snprintf(path, size, "%s/error.log", b->dir);
	else
		snprintf(path, size, "%s/sluice.log.%u", b->dir, i);
}

static inline void
done(struct bed *b)
{
	char	path[128];

	logger_fini(&b->l);
	for (unsigned i = 0; i < NWRITER; i++)
		board_leave(&b->b[i]);
	shm_free(&b->shm);
	for (unsigned i = 0; i <= b->files; i++) {
		path_of(b, i, path, sizeof(path));
		unlink(path);
	}
	path_of(b, LINES_FILE, path, sizeof(path));
	unlink(path);
	ck_assert_int_eq(rmdir(b->dir), 0);
	munmap(b->s, sizeof(*b->s));
	free(b);
}

/* Also in children, which may not speak to Check: they are killed. */
static inline void
open_log(struct bed *b)
{
	must(logger_file_open(&b->l.file[0], b->dir,
	    "sluice.log", NULL) == 0);
	b->l.nfile = b->splits ? 2 : 1;
	if (b->splits)
		must(logger_file_open(&b->l.file[1], b->dir, "error.log",
		    NULL) == 0);
}

/* As another process finds it. */
static inline void
start_anew(struct bed *b)
{
	logger_fini(&b->l);
	logger_init(&b->l, b->shm);
	open_log(b);
}

/* --- records: writer w's number n, an access record or a line --- */

static inline bool
put_access(struct ring *r, unsigned w, uint64_t n)
{
	struct access	a = { .num = { [ACCESS_TIME] = 1700000000000,
	    [ACCESS_STATUS] = 200, [ACCESS_WORKER] = w } };
	char		id[32], fill[400];
	size_t		len;

	snprintf(id, sizeof(id), "%llu", (unsigned long long)n);
	memset(fill, 'a' + (int)(n % 26), sizeof(fill));
	a.str[ACCESS_ID] = str_from(id);
	a.str[ACCESS_TARGET] = str_make(fill, n * 2654435761u % 400);
	if (!access_put(r, &a, &len))
		return false;
	ring_commit(r, len);
	return true;
}

static inline bool
put_line(struct ring *r, unsigned w, uint64_t n)
{
	struct log_ids		ids = { .module = "test" };
	char			text[64];
	struct record_line	l = { 1700000000000, LOG_INFO, "worker", w,
	    &ids, STR_NONE };

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	l.text = str_from(text);
	return record_put_line(r, &l);
}

static inline bool
is_line(uint64_t n)
{
	return n % 5 == 0;
}

static inline bool
put(struct ring *r, unsigned w, uint64_t n)
{
	return is_line(n) ? put_line(r, w + 1, n) : put_access(r, w + 1, n);
}

/* The slot of writer w; each puts its records, waiting for room. */
static inline void
enter(struct bed *b, unsigned w, size_t size)
{
	board_enter(&b->b[w], b->shm, w + 1, size);
}

/* --- what the file says --- */

/* Moves the number that is wanted on to one that the file has. */
static inline void
skip(struct bed *b, unsigned w, bool lines)
{
	while (b->splits && is_line(b->want[w]) != lines)
		b->want[w]++;
}

/* The line's number is the one after that of its writer's last. */
static inline void
check_line(struct bed *b, const char *line)
{
	json_t		*j = json_loads(line, 0, NULL);
	const char	*text, *name;
	uint64_t	 w, n;

	ck_assert_msg(j != NULL, "no JSON: %s", line);
	text = json_string_value(json_object_get(j, "id"));
	w = (uint64_t)json_integer_value(json_object_get(j, "worker"));
	if (text == NULL) {
		text = json_string_value(json_object_get(j, "msg"));
		name = json_string_value(json_object_get(j, "process"));
		ck_assert(text != NULL && name != NULL);
		ck_assert_int_eq(strncmp(name, "worker ", 7), 0);
		w = strtoull(name + 7, NULL, 10);
	}
	n = strtoull(text, NULL, 10);
	ck_assert(w >= 1 && w <= NWRITER);
	skip(b, (unsigned)w - 1, is_line(n));
	ck_assert_msg(n == b->want[w - 1], "writer %u: %u, not %u",
	    (unsigned)w, (unsigned)n, (unsigned)b->want[w - 1]);
	b->want[w - 1]++;
	b->next[w - 1]++;
	json_decref(j);
}

static inline void
check_file(struct bed *b, unsigned i)
{
	char	 path[128], *line = NULL;
	size_t	 size = 0;
	FILE	*f;

	path_of(b, i, path, sizeof(path));
	f = fopen(path, "r");
	if (f == NULL)
		return;
	while (getline(&line, &size, f) > 0)
		check_line(b, line);
	fclose(f);
	free(line);
}

/* The renamed files, the oldest first, then the one that is open. */
static inline void
check_files(struct bed *b)
{
	memset(b->next, 0, sizeof(b->next));
	memset(b->want, 0, sizeof(b->want));
	for (unsigned i = 1; i <= b->files + 1; i++)
		check_file(b, i <= b->files ? i : 0);
	memset(b->want, 0, sizeof(b->want));
	if (b->splits)
		check_file(b, LINES_FILE);
}

static inline off_t
file_size(const struct bed *b)
{
	char		path[128];
	struct stat	st;

	path_of(b, 0, path, sizeof(path));
	return stat(path, &st) == 0 ? st.st_size : 0;
}

static inline void
drain_now(struct bed *b)
{
	struct err	e;
	enum logger_rc	rc;

	do {
		rc = logger_drain(&b->l, &e);
		ck_assert_msg(rc != LOGGER_FAILED, "%s", e.text);
	} while (!logger_is_empty(&b->l));
}

/* A rotation by somebody who tells nobody. */
static inline void
rename_log(struct bed *b)
{
	char	from[128], to[128];

	path_of(b, 0, from, sizeof(from));
	path_of(b, b->files + 1, to, sizeof(to));
	if (rename(from, to) == 0)
		b->files++;
}

#endif
