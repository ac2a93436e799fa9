/*
 * Handler static: files.  Workers.
 *
 * From the path to a descriptor: dot files are refused, escapes decoded,
 * the path opened below the root; a directory gets its slash by a
 * redirect, then its index.  Then conditions and ranges decide about the
 * head.  What is small and in memory is read into one page, so that head
 * and body leave in one write; the rest goes by sendfile.
 */
#include "handler/static.h"

#include <sys/stat.h>

#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fs.h"

#define METHODS		(METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD))
#define ASK_MS		10000
#define SMALL_MAX	(PAGE_LARGE - sizeof(struct page))
#define STATIC_MAGIC	0x73746174U

struct sending {
	uint32_t		 magic;
	struct exchange		*x;		/* ref */
	const struct static_route *r;		/* of conf, see x->gen */
	/* finding it */
	struct str		 path;		/* of arena; relative */
	struct str		 name;		/* what is opened, NUL behind */
	size_t			 nindex;	/* indexes tried */
	bool			 in_index:1;
	struct question		 q;
	/* sending it */
	struct file		*file;		/* ref, or NULL */
	struct page		*page;		/* ref, or NULL: by file */
	struct source		 src;
	uint64_t		 off;
	uint64_t		 left;
};

static void open_next(struct sending *);

static struct sending *
of(struct exchange *x)
{
	struct sending	*s = x->hctx;

	must(s->magic == STATIC_MAGIC);
	return s;
}

/* Lets go of all; the exchange may end. */
static void
finish(struct sending *s)
{
	ask_cancel(&s->q);
	file_unref(&s->file);
	page_unref(&s->page);
	s->left = 0;
	exchange_handler_done(s->x);
}

static void
fail_with(struct sending *s, enum fail why, const char *cause)
{
	exchange_fail(s->x, why, str_from(cause));
	finish(s);
}

/* --- the answer --- */

static void
on_room(struct source *src)
{
	struct sending	*s = container_of(src, struct sending, src);
	struct sink	*to = src->to;
	struct chunk	 c;

	while (s->left > 0 && to->credit > 0) {
		c = (struct chunk){ .n = s->left };
		if ((uint64_t)to->credit < c.n)
			c.n = (uint64_t)to->credit;
		if (s->page != NULL) {
			c.kind = CHUNK_PAGE;
			c.u.mem.page = page_ref(s->page);
			c.u.mem.p = s->page->data + s->off;
		} else {
			c.kind = CHUNK_FILE;
			c.u.file.file = s->file;
			s->file->refs++;
			c.u.file.off = s->off;
		}
		s->off += c.n;
		s->left -= c.n;
		to->ops->data(to, c, s->left == 0 ? WAIST_END : 0);
		if (s->left == 0)
			finish(s);
	}
}

static void
on_stop(struct source *src, enum fail why)
{
	(void)why;
	container_of(src, struct sending, src)->left = 0;
}

static const struct source_ops source_ops = { on_room, on_stop, NULL };

static void
body(struct exchange *x)
{
	struct sending	*s = of(x);

	waist_join(&s->src, exchange_body(x));
	on_room(&s->src);
}

/* -1: the file is not what it was when it was looked at. */
static int
read_small(struct sending *s)
{
	struct page_pool	*pool = &s->x->serve->pages;
	size_t			 n = (size_t)s->left;
	ssize_t			 got;

	s->page = n <= PAGE_ROOM ? page_new(pool) : page_new_large(pool);
	got = fs_read_cached(s->file->fd, s->page->data, n, s->off);
	if (got == (ssize_t)n) {
		s->page->fill = (uint32_t)n;
		s->off = 0;
		file_unref(&s->file);
		return 0;
	}
	/* Some of it only: the rest is on the disk, or gone. */
	page_unref(&s->page);
	return got == 0 ? -1 : 0;
}

static void
add_fields(struct sending *s, struct msg *m, const struct static_tag *t)
{
	struct arena	*a = s->x->arena;
	char		*date = arena_text(a, DATE_LEN);

	date_format(t->mtime, date);
	hdr_add(a, &m->hdrs, HDR_LAST_MODIFIED, str_make(date, DATE_LEN));
	hdr_add(a, &m->hdrs, HDR_ETAG, t->etag);
}

static void
respond_same(struct sending *s, const struct static_tag *t)
{
	struct msg	*m = exchange_new_head(s->x, 304);

	add_fields(s, m, t);
	exchange_respond(s->x, m, WAIST_END);
	finish(s);
}

/* The page is there at once, so the field can be put on it. */
static void
fail_range(struct sending *s, uint64_t size)
{
	struct exchange	*x = s->x;

	exchange_fail(x, FAIL_RANGE_UNSATISFIABLE, STR(""));
	if (x->error_page)
		hdr_add(x->arena, &x->res->hdrs, HDR_CONTENT_RANGE,
		    arena_fmt(x->arena, "bytes */%llu",
		    (unsigned long long)size));
	finish(s);
}

static void
respond(struct sending *s, uint64_t size, const struct static_tag *t,
    const struct range *range)
{
	struct exchange	*x = s->x;
	struct msg	*m = exchange_new_head(x, range != NULL ? 206 : 200);

	s->off = range != NULL ? range->first : 0;
	s->left = range != NULL ? range->last - range->first + 1 : size;
	m->body = (int64_t)s->left;
	hdr_add(x->arena, &m->hdrs, HDR_CONTENT_TYPE, static_type(s->name));
	add_fields(s, m, t);
	hdr_add(x->arena, &m->hdrs, HDR_ACCEPT_RANGES, STR("bytes"));
	if (range != NULL)
		hdr_add(x->arena, &m->hdrs, HDR_CONTENT_RANGE,
		    arena_fmt(x->arena, "bytes %llu-%llu/%llu",
		    (unsigned long long)range->first,
		    (unsigned long long)range->last,
		    (unsigned long long)size));
	if (s->left == 0 || x->req->meth == METHOD_HEAD) {
		exchange_respond(x, m, WAIST_END);
		finish(s);
	} else if (s->left <= SMALL_MAX && read_small(s) == -1)
		fail_with(s, FAIL_FILE_ERROR, "it became shorter");
	else
		exchange_respond(x, m, 0);
}

static void
serve_file(struct sending *s, const struct stat *st)
{
	const struct hdrs	*hs = &s->x->req->hdrs;
	int64_t			 now;
	struct static_tag	 t = { .mtime = st->st_mtim.tv_sec };
	struct range		 range;
	enum range_rc		 rc = RANGE_NONE;
	uint64_t		 size = (uint64_t)st->st_size;
	bool			 same;

	now = (int64_t)(ev_wall_ms(s->x->serve->ev) / 1000);
	t.etag = arena_fmt(s->x->arena, "\"%llx-%llx\"",
	    (unsigned long long)size, (unsigned long long)
	    st->st_mtim.tv_sec * 1000000000 +
	    (unsigned long long)st->st_mtim.tv_nsec);
	if (static_check(hs, &t, now, &same) != FAIL_NONE) {
		fail_with(s, FAIL_PRECONDITION, "");
		return;
	}
	if (same) {
		respond_same(s, &t);
		return;
	}
	if (s->x->req->meth == METHOD_GET)
		rc = static_range(hs, &t, now, size, &range);
	if (rc == RANGE_UNSATISFIABLE)
		fail_range(s, size);
	else
		respond(s, size, &t, rc == RANGE_OK ? &range : NULL);
}

/* --- finding the file --- */

static void
fail_errno(struct sending *s, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP:
	case EXDEV:
		if (s->in_index && s->nindex < s->r->index.n)
			open_next(s);
		else if (s->in_index)
			fail_with(s, FAIL_FORBIDDEN, "there is no index");
		else
			fail_with(s, FAIL_NOT_FOUND, "");
		break;
	case EACCES:
	case EPERM:
	case ENXIO:
		fail_with(s, FAIL_FORBIDDEN, strerror(error));
		break;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		(void)serve_is_full(s->x->serve, error, "a file");
		fail_with(s, FAIL_OVERLOAD, strerror(error));
		break;
	default:
		fail_with(s, FAIL_FILE_ERROR, strerror(error));
	}
}

static void
add_slash(struct sending *s)
{
	struct exchange	*x = s->x;
	struct msg	*m = exchange_new_head(x, 301);

	hdr_add(x->arena, &m->hdrs, HDR_LOCATION, arena_fmt(x->arena,
	    "%.*s/%s%.*s", STR_FMT(x->asked), x->uri.has_query ? "?" : "",
	    STR_FMT(x->uri.query)));
	exchange_respond(x, m, WAIST_END);
	finish(s);
}

static void
on_opened(struct sending *s, int fd)
{
	struct stat	st;

	s->file = file_new(fd);
	if (fstat(fd, &st) == -1) {
		fail_errno(s, errno);
	} else if (S_ISREG(st.st_mode)) {
		serve_file(s, &st);
	} else if (!S_ISDIR(st.st_mode)) {
		fail_with(s, FAIL_FORBIDDEN, "it is no regular file");
	} else if (s->in_index) {
		file_unref(&s->file);
		fail_errno(s, ENOENT);
	} else if (!str_ends(s->x->path, STR("/"))) {
		add_slash(s);
	} else {
		file_unref(&s->file);
		s->in_index = true;
		fail_errno(s, ENOENT);
	}
}

static void
on_answer(struct question *q, struct frame *m)
{
	struct sending	*s = container_of(q, struct sending, q);
	uint32_t	 error = EIO;
	int		 fd;

	must(s->magic == STATIC_MAGIC);
	if (m == NULL) {
		fail_with(s, FAIL_HELPER_GONE, "no answer to open");
		return;
	}
	if (m->nfd == 1 && (m->head.flags & CHAN_F_ERROR) == 0) {
		fd = m->fds[0];
		m->fds[0] = -1;
		on_opened(s, fd);
		return;
	}
	if (m->head.len == sizeof(error))
		memcpy(&error, m->data, sizeof(error));
	fail_errno(s, (int)error);
}

static void
try_open(struct sending *s)
{
	int	fd = static_open(s->x->serve, s->r, s->name.p);

	if (fd >= 0) {
		on_opened(s, fd);
	} else if (errno == EAGAIN && s->x->serve->ask != NULL) {
		s->q.on = on_answer;
		ask_send(s->x->serve->ask, &s->q, CHAN_OPEN,
		    static_question(s->x->arena, s->r, s->name), ASK_MS);
	} else
		fail_errno(s, errno);
}

/* The next name of index in this directory. */
static void
open_next(struct sending *s)
{
	struct str	name = s->r->index.v[s->nindex++];

	s->name = arena_fmt(s->x->arena, "%.*s%.*s", STR_FMT(s->path),
	    STR_FMT(name));
	try_open(s);
}

/* Segments that begin with a dot, but for /.well-known/ in front. */
static bool
has_dots(struct str path)
{
	struct str	rest = path, word;
	bool		first = true;

	for (; str_word(&rest, "/", &word); first = false)
		if (word.p[0] == '.' &&
		    !(first && str_eq(word, STR(".well-known"))))
			return true;
	return false;
}

/*
 * Names that the file system would read as other names than the routes
 * did: "a//b" is not "a/b" to them, and must not become it here.
 */
static bool
is_ambiguous(struct str path)
{
	struct str	rest = path, word;

	while (str_word(&rest, "/", &word))
		if (str_eq(word, STR("..")) || str_eq(word, STR(".")))
			return true;
	for (size_t i = 1; i < path.n; i++)
		if (path.p[i] == '/' && path.p[i - 1] == '/')
			return true;
	return str_starts(path, STR("/"));
}

/* Sets path; false if no file can have such a name, or none may. */
static bool
set_path(struct sending *s)
{
	struct str	path;

	if (uri_decode(s->x->arena, str_sub(s->x->path, 1, s->x->path.n),
	    &path) == -1 || is_ambiguous(path))
		return false;
	if (s->r->dot_files == DOTS_DENY && has_dots(path))
		return false;
	s->path = arena_dup(s->x->arena, path);
	s->name = path.n > 0 ? s->path : STR(".");
	return true;
}

static void
start(struct exchange *x)
{
	struct sending	*s = arena_alloc(x->arena, sizeof(*s));

	s->magic = STATIC_MAGIC;
	s->x = x;
	s->r = handler_part(x);
	s->src.ops = &source_ops;
	x->hctx = s;
	exchange_skip_request(x);
	if (x->req->meth != METHOD_GET && x->req->meth != METHOD_HEAD) {
		x->allow = METHODS;
		fail_with(s, FAIL_METHOD_NOT_ALLOWED, "");
	} else if (!set_path(s))
		fail_with(s, FAIL_NOT_FOUND, "");
	else
		try_open(s);
}

static void
cut(struct exchange *x, enum fail why)
{
	(void)why;
	finish(of(x));
}

const struct handler handler_static = {
	"static", &static_group, start, body, cut, METHODS
};
