/*
 * Files: read them wholly, follow `include`.  Builder and tools.
 *
 * An included file counts as later than the file that names it: first the
 * whole including file, then what it includes, in the order of its
 * include lines, each followed by its own includes.  The stack is a
 * vector, for the depth is in the hands of the input.  A file that was
 * read already is not read again, unless it would include itself, which
 * is an error that shows the chain.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "conf/int.h"

struct pending {
	const char		*path;
	const struct cfile	*parent;
	const struct conf_item	*why;
	bool			 listed;	/* a glob had it */
};

static const struct conf_span *
span_of(const struct conf_item *why)
{
	return why != NULL ? &why->vspan : NULL;
}

static struct str
key_of(const struct conf_item *why)
{
	return why != NULL ? why->key : STR("");
}

static int
fail(struct conf_load *l, enum diag_id id, const struct conf_item *why,
    const char *path, const char *text)
{
	l->broken = true;
	diag_sect(l->diags, id, span_of(why), STR(""), key_of(why),
	    "\"%s\": %s", path, text);
	return -1;
}

struct str
include_folder(struct arena *a, const char *file)
{
	const char	*slash = file == NULL ? NULL : strrchr(file, '/');

	if (slash == NULL)
		return STR("");
	return arena_dup(a, str_make(file, (size_t)(slash - file) + 1));
}

/* Reads to the end; -1 when the file changes meanwhile. */
static int
read_all(int fd, const struct stat *st, struct arena *a, struct str *out)
{
	size_t		 cap = (size_t)st->st_size + 1;
	char		*p = arena_text(a, cap);
	size_t		 n = 0;
	ssize_t		 r;
	struct stat	 now;

	while (n < cap) {
		r = read(fd, p + n, cap - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	if (fstat(fd, &now) != 0)
		return -1;
	if (n == cap || now.st_size != st->st_size ||
	    now.st_mtim.tv_sec != st->st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != st->st_mtim.tv_nsec) {
		errno = ESTALE;
		return -1;
	}
	*out = str_make(p, n);
	return 0;
}

static int
slurp_fd(struct conf_load *l, int fd, const char *path,
    const struct conf_item *why, struct cfile *f)
{
	struct stat	st;

	if (fstat(fd, &st) != 0)
		return fail(l, DIAG_FILE_READ, why, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(l, DIAG_FILE_TYPE, why, path, S_ISDIR(st.st_mode)
		    ? "is a directory" : "is not a regular file");
	if (st.st_size > (off_t)CONF_FILE_MAX)
		return fail(l, DIAG_FILE_SIZE, why, path,
		    "is larger than 16 MiB");
	f->id.dev = st.st_dev;
	f->id.ino = st.st_ino;
	if (read_all(fd, &st, &l->arena, &f->data) != 0)
		return fail(l, DIAG_FILE_READ, why, path, errno == ESTALE ?
		    "changed while it was read" : strerror(errno));
	return 0;
}

int
include_slurp(struct conf_load *l, const char *path,
    const struct conf_item *why, struct cfile *f)
{
	int	fd;
	int	rc;

	if (l->opts.memory != NULL)
		return fail(l, DIAG_FILE_OPEN, why, path,
		    "no file is read here");
	/* A FIFO must not hold us up. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail(l, DIAG_FILE_OPEN, why, path, strerror(errno));
	rc = slurp_fd(l, fd, path, why, f);
	close(fd);
	return rc;
}

/* "a.conf -> b.conf -> a.conf" */
static struct str
tell_chain(struct conf_load *l, const struct cfile *f, const char *last)
{
	struct str	s = arena_fmt(&l->arena, "%s", last);

	for (; f != NULL; f = f->parent)
		s = arena_fmt(&l->arena, "%s -> %.*s", f->name, STR_FMT(s));
	return s;
}

static bool
same_file(const struct cfile *a, const struct stat *st)
{
	return a->id.dev == st->st_dev && a->id.ino == st->st_ino;
}

/* True when the file is among those that led here. */
static bool
is_cycle(struct conf_load *l, const struct pending *p,
    const struct stat *st)
{
	const struct cfile	*f;

	for (f = p->parent; f != NULL; f = f->parent)
		if (same_file(f, st))
			break;
	if (f == NULL)
		return false;
	l->broken = true;
	diag_sect(l->diags, DIAG_INCLUDE_CYCLE, span_of(p->why), STR(""),
	    key_of(p->why), "files include each other: %.*s",
	    STR_FMT(tell_chain(l, p->parent, p->path)));
	return true;
}

static struct cfile *
new_file(struct conf_load *l, const struct pending *p)
{
	struct cfile	*f = arena_alloc(&l->arena, sizeof(*f));

	f->name = p->path;
	f->parent = p->parent;
	f->depth = p->parent != NULL ? p->parent->depth + 1 : 0;
	f->origin = CONF_FILE;
	vec_init(&f->includes, sizeof(struct conf_item));
	*(struct cfile **)vec_push(&l->files) = f;
	return f;
}

/* Opens and reads what is pending; NULL when there is nothing to parse. */
static struct cfile *
open_pending(struct conf_load *l, const struct pending *p)
{
	struct stat	 st;
	struct cfile	*f;
	struct str	 id;

	if (stat(p->path, &st) != 0) {
		fail(l, p->listed || errno != ENOENT ? DIAG_FILE_OPEN :
		    DIAG_INCLUDE_MISSING, p->why, p->path,
		    p->listed && errno == ENOENT ?
		    "vanished after it was listed" : strerror(errno));
		return NULL;
	}
	if (is_cycle(l, p, &st))
		return NULL;
	if (p->parent != NULL && p->parent->depth == CONF_DEPTH_MAX) {
		fail(l, DIAG_INCLUDE_DEPTH, p->why, p->path,
		    "is included more than 8 levels deep");
		return NULL;
	}
	f = new_file(l, p);
	f->id.dev = st.st_dev;
	f->id.ino = st.st_ino;
	id = str_make((const char *)&f->id, sizeof(f->id));
	if (map_find(&l->ids, id) != NULL)
		return NULL;
	if (include_slurp(l, p->path, p->why, f) != 0)
		return NULL;
	map_add(&l->ids, id, f);
	return f;
}

static void
push(struct vec *stack, const char *path, const struct cfile *parent,
    const struct conf_item *why, bool listed)
{
	struct pending	*p = vec_push(stack);

	*p = (struct pending){ path, parent, why, listed };
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folder's own stars are no pattern. */
static struct str
escape_folder(struct arena *a, struct str s)
{
	char	*p = arena_text(a, s.n * 2 + 1);
	size_t	 n = 0;
	size_t	 i;

	for (i = 0; i < s.n; i++) {
		if (memchr("*?[\\", s.p[i], 4) != NULL)
			p[n++] = '\\';
		p[n++] = s.p[i];
	}
	return str_make(p, n);
}

/* Pushes the matches, the first on top. */
static void
push_glob(struct conf_load *l, struct vec *stack, const struct cfile *parent,
    const struct conf_item *it, struct str folder)
{
	struct str	pat = arena_fmt(&l->arena, "%.*s%.*s",
	    STR_FMT(escape_folder(&l->arena, folder)), STR_FMT(it->val));
	glob_t		g = { .gl_pathc = 0 };
	size_t		i;
	int		rc;

	errno = 0;
	rc = glob(pat.p, GLOB_NOSORT | GLOB_ERR, NULL, &g);
	if (rc == GLOB_ABORTED && errno != ENOENT && errno != ENOTDIR)
		fail(l, DIAG_FILE_OPEN, it, pat.p, strerror(errno));
	else if (rc == GLOB_NOSPACE)
		must_die("out of memory");
	if (rc == 0) {
		qsort(g.gl_pathv, g.gl_pathc, sizeof(*g.gl_pathv), by_bytes);
		for (i = g.gl_pathc; i-- > 0;)
			push(stack, arena_dup(&l->arena,
			    str_from(g.gl_pathv[i])).p, parent, it, true);
	}
	globfree(&g);
}

static bool
is_pattern(struct str s)
{
	return str_find(s, '*', 0) >= 0 || str_find(s, '?', 0) >= 0 ||
	    str_find(s, '[', 0) >= 0;
}

static void
push_include(struct conf_load *l, struct vec *stack, const struct cfile *f,
    const struct conf_item *it)
{
	struct str	folder = STR("");

	if (memchr(it->val.p, '\0', it->val.n) != NULL ||
	    l->opts.memory != NULL) {
		fail(l, DIAG_INCLUDE_MISSING, it, "include",
		    "no file is read here");
		return;
	}
	if (it->val.p[0] != '/')
		folder = include_folder(&l->arena, it->kspan.line > 0 ?
		    it->kspan.file : NULL);
	if (is_pattern(it->val)) {
		push_glob(l, stack, f, it, folder);
		return;
	}
	push(stack, arena_fmt(&l->arena, "%.*s%.*s", STR_FMT(folder),
	    STR_FMT(it->val)).p, f, it, false);
}

/* Reads what f's include lines name, and what those name. */
void
include_run(struct conf_load *l, struct cfile *f)
{
	struct vec	stack;
	struct pending	p;
	size_t		i;

	vec_init(&stack, sizeof(struct pending));
	for (;;) {
		for (i = f == NULL ? 0 : f->includes.n; i-- > 0;)
			push_include(l, &stack, f, vec_at(&f->includes, i));
		if (stack.n == 0)
			break;
		p = *(struct pending *)vec_at(&stack, stack.n - 1);
		stack.n--;
		f = open_pending(l, &p);
		if (f != NULL)
			reader_file(l, f);
	}
	vec_fini(&stack);
}
