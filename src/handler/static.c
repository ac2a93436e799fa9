/*
 * Handler static: files.  Workers.
 *
 * What is known of a path and no older than STATIC_LOOK_MS is answered at
 * once.  Else it is found anew: dot files are refused, escapes decoded,
 * the path opened below the root; a directory gets its slash by a
 * redirect, then its index; what there is not may have a fallback; then
 * come the siblings that hold the same, compressed.  Each name is one
 * open, by a helper if the disk had to be asked.
 */
#include "handler/static.h"

#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"
#include "core/stat.h"
#include "handler/static_file.h"

#define METHODS		(METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD))
#define STATIC_MAGIC	0x73746174U

/* what is being opened */
enum phase { FIND_PATH, FIND_INDEX, FIND_FALLBACK, FIND_CODING };

struct sending {
	uint32_t		 magic;
	struct exchange		*x;		/* ref */
	const struct static_route *r;		/* of conf, see x->gen */
	struct logctx		 lc;
	/* finding it */
	struct str		 key;		/* of the entry */
	struct str		 path;		/* of arena; relative */
	struct str		 name;		/* what is opened, NUL behind */
	struct str		 found;		/* name of the file itself */
	enum phase		 phase;
	size_t			 nindex;	/* indexes tried */
	unsigned		 coding;	/* the one looked for */
	bool			 vary:1;	/* some sibling was found */
	struct question		 q;
	struct file		*warm;		/* ref: goes with q */
	struct static_file	*file[CODING_N]; /* ref */
	unsigned		 loading;	/* of file[], with q */
	/* siblings as they were opened; -1: none */
	int			 fd[CODING_N];	/* own */
	struct stat		 st[CODING_N];
	/* sending it */
	struct static_file	*chosen;	/* ref */
	struct static_answer	 answer;
	struct static_body	 body;
};

static void open_next(struct sending *);
static void find(struct sending *);
static void look_for_codings(struct sending *);

static struct sending *
of(struct exchange *x)
{
	struct sending	*s = x->hctx;

	must(s->magic == STATIC_MAGIC);
	return s;
}

static struct static_site *
site_of(struct sending *s)
{
	return static_site(s->x->serve, s->r);
}

/* --- the end --- */

static void
drop(struct sending *s)
{
	ask_cancel(&s->q);
	file_unref(&s->warm);
	static_body_cancel(&s->body);
	for (unsigned i = 0; i < CODING_N; i++) {
		static_file_unref(&s->file[i]);
		if (s->fd[i] != -1)
			close(s->fd[i]);
		s->fd[i] = -1;
	}
	static_file_unref(&s->chosen);
}

static void
fail_with(struct sending *s, enum fail why, const char *cause)
{
	exchange_fail(s->x, why, str_from(cause));
}

/* --- the answer --- */

/* Of all codings there are the one that the client wants. */
static void
answer(struct sending *s, struct static_file *const file[CODING_N],
    unsigned have, const char *cache)
{
	struct exchange		*x = s->x;
	uint64_t		 size[CODING_N] = { 0 };
	enum static_coding	 best = CODING_NONE;

	if (have != 1u << CODING_NONE) {
		for (unsigned i = 0; i < CODING_N; i++)
			size[i] = file[i] != NULL ? file[i]->size : 0;
		best = static_choose(&x->req->hdrs, have, size);
	}
	s->chosen = static_file_ref(file[best]);
	x->acc.str[ACCESS_CACHE] = str_from(cache);
	log_dbg(&s->lc, "file: \"%.*s\": %llu bytes, %s, %s",
	    STR_FMT(x->path), (unsigned long long)s->chosen->size,
	    static_codings[best].name.p, cache);
	static_answer_file(x, s->chosen, &s->answer);
}

static void
body(struct exchange *x)
{
	struct sending	*s = of(x);

	s->body.x = x;
	s->body.file = static_file_ref(s->chosen);
	s->body.v = s->answer.v;
	s->body.n = s->answer.n;
	static_body_start(&s->body);
}

/* A path that begins with "//" would be a host (RFC 3986 4.2). */
static void
add_slash(struct sending *s)
{
	struct exchange	*x = s->x;

	exchange_redirect(x, 301, arena_fmt(x->arena, "%s%.*s/%s%.*s",
	    str_starts(x->asked, STR("//")) ? "/." : "", STR_FMT(x->asked),
	    x->uri.has_query ? "?" : "", STR_FMT(x->uri.query)));
}

/* --- what is known --- */

static void
note(struct sending *s, enum static_kind kind)
{
	struct static_site	*site = site_of(s);

	if (site != NULL)
		static_cache_put(static_site_cache(s->x->serve), s->x->serve,
		    site, s->key, kind, s->file);
}

static const struct static_entry *
known(struct sending *s)
{
	struct static_site	*site = site_of(s);

	return site == NULL ? NULL : static_cache_find(
	    static_site_cache(s->x->serve), site, s->key);
}

static void
fall_back(struct sending *s)
{
	s->key = STR("fallback");
	find(s);
}

/* A page that a helper made; it is nothing to keep. */
static void
answer_list(struct sending *s, int fd)
{
	struct exchange		*x = s->x;
	struct stat		 st;
	struct static_source	 src = { .serve = x->serve, .route = s->r,
	    .name = STR("list.html"), .fd = fd, .st = &st };
	struct msg		*m = exchange_new_head(x, 200);
	struct static_part	*p = arena_alloc(x->arena, sizeof(*p));

	must(fstat(fd, &st) == 0);
	s->chosen = static_file_new(&src);
	p->n = s->chosen->size;
	s->answer = (struct static_answer){ p, 1 };
	m->body = (int64_t)p->n;
	hdr_add(x->arena, &m->hdrs, HDR_CONTENT_TYPE, s->chosen->type);
	hdr_add(x->arena, &m->hdrs, HDR_CACHE_CONTROL, STR("no-cache"));
	exchange_respond(x, m, x->req->meth == METHOD_HEAD ? WAIST_END : 0);
}

static void
on_list(struct question *q, struct frame *m)
{
	struct sending	*s = container_of(q, struct sending, q);
	int		 fd;

	if (m == NULL) {
		fail_with(s, FAIL_HELPER_GONE, "no answer to list");
	} else if (m->nfd != 1 || (m->head.flags & CHAN_F_ERROR)) {
		fail_with(s, FAIL_FORBIDDEN, "it cannot be listed");
	} else {
		fd = m->fds[0];
		m->fds[0] = -1;
		answer_list(s, fd);
	}
}

static void
ask_list(struct sending *s)
{
	struct exchange	*x = s->x;
	struct str	 dir = str_sub(x->path, 1, x->path.n);

	if (uri_decode(x->arena, dir, &dir) == -1)
		dir = STR("");
	dir = arena_dup(x->arena, dir.n > 0 ? dir : STR("."));
	s->q.on = on_list;
	ask_send(x->serve->ask, &s->q, CHAN_LIST,
	    static_question(x->arena, s->r, dir), STATIC_ASK_MS);
}

static void
no_index(struct sending *s)
{
	if (s->r->listing && s->x->serve->ask != NULL)
		ask_list(s);
	else if (s->r->fallback.n > 0)
		fall_back(s);
	else
		fail_with(s, FAIL_FORBIDDEN, "there is no index");
}

static void
not_there(struct sending *s)
{
	if (s->r->fallback.n > 0 && s->phase != FIND_FALLBACK)
		fall_back(s);
	else
		fail_with(s, FAIL_NOT_FOUND, "");
}

/*
 * One in memory is sent as it was; of an open one the length must hold
 * now.
 */
static bool
is_as_known(const struct static_entry *e)
{
	struct stat	st;

	for (unsigned i = 0; i < CODING_N; i++)
		if (e->file[i] != NULL && e->file[i]->file != NULL &&
		    (fstat(e->file[i]->file->fd, &st) == -1 ||
		    !static_file_is(e->file[i], &st)))
			return false;
	return true;
}

/* False if it has to be looked for. */
static bool
answer_known(struct sending *s)
{
	const struct static_entry	*e = known(s);

	if (e == NULL || ev_ms(s->x->serve->ev) >= e->until_ms ||
	    !is_as_known(e))
		return false;
	stat_add(STAT_STATIC_HITS, 1);
	switch (e->kind) {
	case STATIC_FILE:
		answer(s, e->file, e->have, "HIT");
		break;
	case STATIC_SLASH:
		add_slash(s);
		break;
	case STATIC_NONE:
		not_there(s);
		break;
	case STATIC_NO_INDEX:
		no_index(s);
		break;
	}
	return true;
}

/* --- finding the file --- */

static void
fail_errno(struct sending *s, int error)
{
	if (FAULT("file_io"))
		error = EIO;
	if (FAULT("file_full"))
		error = EMFILE;
	switch (error) {
	case EACCES:
	case EPERM:
	case ENXIO:
		exchange_fail(s->x, FAIL_FORBIDDEN, arena_fmt(s->x->arena,
		    "\"%.*s/%.*s\": %s", STR_FMT(s->r->root),
		    STR_FMT(s->name), strerror(error)));
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

/* Nothing that may be served stands there. */
static void
on_nothing(struct sending *s)
{
	switch (s->phase) {
	case FIND_PATH:
		note(s, STATIC_NONE);
		not_there(s);
		break;
	case FIND_INDEX:
		open_next(s);
		break;
	case FIND_FALLBACK:
		not_there(s);
		break;
	case FIND_CODING:
		look_for_codings(s);
		break;
	}
}

static void
on_error(struct sending *s, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP:
	case EXDEV:
		on_nothing(s);
		break;
	default:
		if (s->phase == FIND_CODING)
			look_for_codings(s);
		else
			fail_errno(s, error);
	}
}

static void
on_directory(struct sending *s)
{
	if (s->phase != FIND_PATH) {
		on_nothing(s);
	} else if (!str_ends(s->x->path, STR("/"))) {
		note(s, STATIC_SLASH);
		add_slash(s);
	} else {
		s->phase = FIND_INDEX;
		open_next(s);
	}
}

static void
on_opened(struct sending *s, int fd)
{
	struct stat	st;
	unsigned	i = s->phase == FIND_CODING ? s->coding : CODING_NONE;

	if (fstat(fd, &st) == -1) {
		close(fd);
		on_error(s, EIO);
	} else if (S_ISREG(st.st_mode)) {
		s->fd[i] = fd;
		s->st[i] = st;
		if (i == CODING_NONE)
			s->found = s->name;
		look_for_codings(s);
	} else {
		close(fd);
		if (S_ISDIR(st.st_mode))
			on_directory(s);
		else if (s->phase == FIND_CODING)
			look_for_codings(s);
		else
			fail_with(s, FAIL_FORBIDDEN, "it is no regular file");
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
	on_error(s, (int)error);
}

static void
try_open(struct sending *s)
{
	struct serve		*serve = s->x->serve;
	struct static_site	*site = site_of(s);
	int			 fd = -1;

	if (site != NULL)
		fd = static_site_open(serve, site, s->r, s->name.p);
	if (fd >= 0) {
		on_opened(s, fd);
	} else if (errno == EAGAIN && serve->ask != NULL) {
		s->q.on = on_answer;
		ask_send(serve->ask, &s->q, CHAN_OPEN,
		    static_question(s->x->arena, s->r, s->name),
		    STATIC_ASK_MS);
	} else
		on_error(s, errno);
}

/* The next name of index in this directory. */
static void
open_next(struct sending *s)
{
	struct str	name;

	if (s->nindex == s->r->index.n) {
		note(s, STATIC_NO_INDEX);
		no_index(s);
		return;
	}
	name = s->r->index.v[s->nindex++];
	s->name = arena_fmt(s->x->arena, "%.*s%.*s", STR_FMT(s->path),
	    STR_FMT(name));
	try_open(s);
}

/* --- its representations --- */

static void load(struct sending *);

/* It was read into the kernel's memory, or never will be. */
static void
on_warm(struct question *q, struct frame *m)
{
	struct sending	*s = container_of(q, struct sending, q);

	(void)m;
	file_unref(&s->warm);
	(void)static_file_load(s->file[s->loading], s->x->serve);
	s->loading++;
	load(s);
}

/*
 * Takes small files into memory, then answers.  Another request may load
 * the file meanwhile, which ends its descriptor: one is held for q.
 */
static void
load(struct sending *s)
{
	struct static_file	*f;
	struct ask_warm		*w;
	unsigned		 have = 0;

	for (; s->loading < CODING_N; s->loading++) {
		f = s->file[s->loading];
		if (f == NULL || static_file_load(f, s->x->serve) ||
		    s->x->serve->ask == NULL)
			continue;
		w = arena_alloc(s->x->arena, sizeof(*w));
		*w = (struct ask_warm){ 0, f->size };
		s->q.on = on_warm;
		s->warm = file_ref(f->file);
		s->q.fd = &s->warm->fd;
		ask_send(s->x->serve->ask, &s->q, CHAN_WARM,
		    str_make((const char *)w, sizeof(*w)), STATIC_ASK_MS);
		return;
	}
	for (unsigned i = 0; i < CODING_N; i++)
		have |= (unsigned)(s->file[i] != NULL) << i;
	note(s, STATIC_FILE);
	answer(s, s->file, have, "MISS");
}

/* What was opened, or, if it has not changed, what is known of it. */
static struct static_file *
make_file(struct sending *s, unsigned i, const struct static_entry *e)
{
	struct static_source	 src = { s->x->serve, s->r, s->found,
	    (enum static_coding)i, s->vary, s->fd[i], &s->st[i] };
	struct static_file	*f = e != NULL ? e->file[i] : NULL;

	if (f != NULL && f->vary == s->vary &&
	    static_file_is(f, &s->st[i]))
		f = static_file_ref(f);
	else {
		s->fd[i] = -1;
		f = static_file_new(&src);
	}
	return f;
}

static void
have_all(struct sending *s)
{
	const struct static_entry	*e = known(s);

	stat_add(STAT_STATIC_MISSES, 1);
	for (unsigned i = 0; i < CODING_N; i++) {
		if (s->fd[i] == -1)
			continue;
		s->file[i] = make_file(s, i, e);
		if (s->fd[i] != -1)
			close(s->fd[i]);
		s->fd[i] = -1;
	}
	load(s);
}

static bool
is_older(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec < b->st_mtim.tv_sec;
}

/* The next sibling, then all is there. */
static void
look_for_codings(struct sending *s)
{
	bool	packs;

	if (s->phase != FIND_CODING) {
		s->phase = FIND_CODING;
		(void)static_type_of(s->r, s->found, &packs);
		s->coding = packs && s->r->precompressed ? CODING_NONE :
		    CODING_N - 1;
	}
	/* one that is older than the original holds something else */
	if (s->coding != CODING_NONE && s->fd[s->coding] != -1) {
		if (is_older(&s->st[s->coding], &s->st[CODING_NONE])) {
			close(s->fd[s->coding]);
			s->fd[s->coding] = -1;
		} else
			s->vary = true;
	}
	if (++s->coding >= CODING_N) {
		have_all(s);
		return;
	}
	s->name = arena_fmt(s->x->arena, "%.*s.%.*s", STR_FMT(s->found),
	    STR_FMT(static_codings[s->coding].ext));
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
	return true;
}

/* Answers by the entry of key, or looks for what it stands for. */
static void
find(struct sending *s)
{
	bool	fallback = s->key.p[0] != '/';

	s->phase = fallback ? FIND_FALLBACK : FIND_PATH;
	if (answer_known(s))
		return;
	if (fallback)
		s->name = arena_dup(s->x->arena, s->r->fallback);
	else if (set_path(s))
		s->name = s->path.n > 0 ? s->path : STR(".");
	else {
		fail_with(s, FAIL_NOT_FOUND, "");
		return;
	}
	try_open(s);
}

static void
start(struct exchange *x)
{
	struct sending	*s = arena_alloc(x->arena, sizeof(*s));

	s->magic = STATIC_MAGIC;
	s->x = x;
	s->r = handler_part(x);
	s->lc = x->lc;
	s->lc.ids.module = "static";
	s->key = x->path;
	for (unsigned i = 0; i < CODING_N; i++)
		s->fd[i] = -1;
	x->hctx = s;
	exchange_skip_request(x);
	if (x->req->meth != METHOD_GET && x->req->meth != METHOD_HEAD) {
		x->allow = METHODS;
		fail_with(s, FAIL_METHOD_NOT_ALLOWED, "");
	} else
		find(s);
}

/*
 * The end of every exchange: until then the head may still be read from
 * what is held here.
 */
static void
cut(struct exchange *x, enum fail why)
{
	(void)why;
	drop(of(x));
	exchange_handler_done(x);
}

const struct handler handler_static = {
	.name = "static", .group = &static_group, .start = start,
	.body = body, .abort = cut, .methods = METHODS
};
