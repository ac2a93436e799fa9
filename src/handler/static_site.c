/*
 * Sites: what a route serves files of, in a process.  Workers.
 *
 * A site has a descriptor of its root, so that a request walks its own
 * path only, and the entries of what was found below it.  It is kept by
 * what the route says, so that a reload which says the same keeps it.
 * Who deploys by moving a link or a directory in place is noticed: every
 * STATIC_LOOK_MS the path is looked at and the descriptor made anew if it
 * leads elsewhere; while it leads nowhere there is nothing below it.  What
 * is not in the kernel's caches is opened by a helper; so are links that
 * leave the root in the kernel's eyes but may end inside it after all.
 */
#include "handler/static_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "os/fault.h"
#include "os/fs.h"

#define RECENT	64		/* power of two */
#define ROOT	(FS_PATH | FS_ANYWHERE)

struct static_site {
	int		 fd;		/* own; O_PATH */
	uint64_t	 looked_ms;
	bool		 used;		/* by the generation to come */
	bool		 gone;		/* the path leads nowhere now */
	struct map	 entries;	/* of the cache */
	struct serve	*serve;		/* ref */
	struct question	 q;		/* where does the root lead? */
	struct arena	 mem;		/* of q's payload */
	struct str	 root;
	struct str	 key;
	char		 text[];	/* root and key, each with a NUL */
};

struct state {
	struct map		 sites;		/* own: by key */
	struct static_cache	*cache;		/* own */
	struct {
		const struct static_route	*r;	/* of conf */
		struct static_site		*site;	/* ref */
	}			 recent[RECENT];
};

static struct state *
state_of(struct serve *s)
{
	void		**p = serve_state(s, &static_part);
	struct state	 *st;

	if (*p == NULL) {
		st = must_calloc(1, sizeof(*st));
		map_init(&st->sites, rand_next(&s->rand));
		st->cache = static_cache_new();
		*p = st;
	}
	return *p;
}

struct static_cache *
static_site_cache(struct serve *s)
{
	return state_of(s)->cache;
}

struct map *
static_site_entries(struct static_site *site)
{
	return &site->entries;
}

static struct static_site *
make_site(struct serve *s, const struct static_route *r)
{
	struct static_site	*site = must_calloc(1, sizeof(*site) +
	    r->root.n + r->key.n + 2);
	int			 error;

	memcpy(site->text, r->root.p, r->root.n);
	memcpy(site->text + r->root.n + 1, r->key.p, r->key.n);
	site->root = str_make(site->text, r->root.n);
	site->key = str_make(site->text + r->root.n + 1, r->key.n);
	site->fd = fs_open_below(AT_FDCWD, site->root.p, ROOT);
	if (site->fd == -1) {
		error = errno;
		free(site);
		errno = error;
		return NULL;
	}
	site->serve = s;
	site->looked_ms = ev_ms(s->ev);
	map_init(&site->entries, rand_next(&s->rand));
	arena_init(&site->mem, &s->arenas);
	map_add(&state_of(s)->sites, site->key, site);
	return site;
}

static void
free_site(struct static_site *site)
{
	ask_cancel(&site->q);
	static_cache_drop(static_site_cache(site->serve), site);
	map_fini(&site->entries);
	arena_fini(&site->mem);
	close(site->fd);
	free(site);
}

/* --- does the path lead where it did? --- */

static void
lose_root(struct static_site *site, int error)
{
	if (site->gone || (error != ENOENT && error != ENOTDIR))
		return;
	site->gone = true;
	static_cache_drop(static_site_cache(site->serve), site);
	log_warn(&self->lc, "static \"%.*s\": the directory is gone: answered "
	    "404 until it is back: %s", STR_FMT(site->root), strerror(error));
}

static void
set_root(struct static_site *site, int fd)
{
	struct stat	was, is;

	if (site->gone)
		log_warn(&self->lc, "static \"%.*s\": the directory is back",
		    STR_FMT(site->root));
	site->gone = false;
	if (fstat(fd, &is) == -1 || fstat(site->fd, &was) == -1 ||
	    (is.st_dev == was.st_dev && is.st_ino == was.st_ino)) {
		close(fd);
		return;
	}
	close(site->fd);
	site->fd = fd;
	static_cache_drop(static_site_cache(site->serve), site);
}

static void
on_root(struct question *q, struct frame *m)
{
	struct static_site	*site = container_of(q, struct static_site,
	    q);
	uint32_t		 error = EIO;

	if (m == NULL)
		return;
	if (m->nfd == 1 && (m->head.flags & CHAN_F_ERROR) == 0) {
		set_root(site, m->fds[0]);
		m->fds[0] = -1;
		return;
	}
	if (m->head.len == sizeof(error))
		memcpy(&error, m->data, sizeof(error));
	lose_root(site, (int)error);
}

static void
ask_root(struct serve *s, struct static_site *site,
    const struct static_route *r)
{
	if (site->q.ask != NULL)
		return;
	arena_fini(&site->mem);
	arena_init(&site->mem, &s->arenas);
	site->q.on = on_root;
	ask_send(s->ask, &site->q, CHAN_OPEN,
	    static_question(&site->mem, r, STR("")), STATIC_ASK_MS);
}

static void
look_again(struct serve *s, struct static_site *site,
    const struct static_route *r)
{
	unsigned	flags = s->ask != NULL ? ROOT | FS_CACHED : ROOT;
	int		fd;

	site->looked_ms = ev_ms(s->ev);
	fd = fs_open_below(AT_FDCWD, site->root.p, flags);
	if (fd != -1)
		set_root(site, fd);
	else if (errno == EAGAIN && s->ask != NULL)
		ask_root(s, site, r);
	else
		lose_root(site, errno);
}

/* NULL with errno if its root was never there. */
static struct static_site *
get_site(struct serve *s, const struct static_route *r)
{
	struct state		*st = state_of(s);
	size_t			 i = ((uintptr_t)r >> 4) & (RECENT - 1);
	struct static_site	*site = st->recent[i].site;

	if (st->recent[i].r != r) {
		site = map_find(&st->sites, r->key);
		if (site == NULL)
			site = make_site(s, r);
		if (site == NULL)
			return NULL;
		st->recent[i].r = r;
		st->recent[i].site = site;
	}
	if (ev_ms(s->ev) - site->looked_ms >= STATIC_LOOK_MS)
		look_again(s, site, r);
	return site;
}

struct static_site *
static_site(struct serve *s, const struct static_route *r)
{
	struct static_site	*site = get_site(s, r);

	if (site == NULL || !site->gone)
		return site;
	errno = ENOENT;
	return NULL;
}

/* --- generations --- */

static int
prepare(struct serve *s, const struct conf *c, struct err *e)
{
	struct conf_objs	   all = conf_all(c, &route_section);
	const struct static_route *r;
	struct static_site	  *site;

	for (size_t i = 0; i < all.n; i++) {
		r = conf_part(all.v[i], &static_group);
		if (r->root.n == 0)
			continue;
		site = get_site(s, r);
		/* not there yet, or closed: opened when it is asked for */
		if (site == NULL && (errno == ENOENT || errno == EACCES))
			continue;
		if (site == NULL)
			return err_sys(e, "route \"%.*s\": static \"%.*s\"",
			    STR_FMT(all.v[i]->name), STR_FMT(r->root));
		site->used = true;
	}
	return 0;
}

/* Closes what nobody wants; all: of the wanted ones too. */
static void
sweep(struct serve *s, bool all)
{
	struct state		*st = state_of(s);
	struct static_site	*site;
	struct str		 key;
	void			*val;
	size_t			 i = 0;

	memset(st->recent, 0, sizeof(st->recent));
	while (map_next(&st->sites, &i, &key, &val)) {
		site = val;
		if (!site->used || all) {
			map_del(&st->sites, key);
			free_site(site);
			i = 0;	/* the table has changed */
		}
	}
	for (i = 0; map_next(&st->sites, &i, &key, &val);)
		((struct static_site *)val)->used = false;
}

static void
commit(struct serve *s, const struct conf *c)
{
	(void)c;
	sweep(s, false);
}

/* What was made for it stays until the next commit. */
static void
cancel(struct serve *s)
{
	struct state	*st = state_of(s);
	struct str	 key;
	void		*val;
	size_t		 i = 0;

	memset(st->recent, 0, sizeof(st->recent));
	while (map_next(&st->sites, &i, &key, &val))
		((struct static_site *)val)->used = false;
}

static void
fini(struct serve *s)
{
	void		**p = serve_state(s, &static_part);
	struct state	 *st = state_of(s);

	sweep(s, true);
	static_cache_free(&st->cache);
	map_fini(&st->sites);
	free(st);
	*p = NULL;
}

const struct serve_part static_part = {
	"static", prepare, commit, cancel, fini, NULL
};

/* --- opening --- */

int
static_site_open(struct serve *s, struct static_site *site,
    const struct static_route *r, const char *path)
{
	unsigned	flags = s->ask != NULL ? FS_CACHED : 0;
	int		fd;

	if (r->links == ASK_LINKS_OFF)
		flags |= FS_NO_LINKS;
	if (r->links == ASK_LINKS_FOLLOW)
		flags |= FS_ANYWHERE;
	if (s->ask != NULL && FAULT("static_cold") &&
	    str_starts(str_from(path), STR("cold"))) {
		errno = EAGAIN;
		return -1;
	}
	fd = fs_open_below(site->fd, path, flags);
	if (fd == -1 && errno == EXDEV && s->ask != NULL &&
	    r->links == ASK_LINKS_INSIDE)
		errno = EAGAIN;
	return fd;
}

struct str
static_question(struct arena *a, const struct static_route *r,
    struct str path)
{
	struct ask_open	 q = { .root_n = (uint32_t)r->root.n,
	    .path_n = (uint32_t)path.n, .flags = (uint32_t)r->links,
	    .dots = r->dot_files == DOTS_ALLOW };
	size_t		 n = sizeof(q) + r->root.n + path.n + 2;
	char		*p = arena_alloc(a, n);

	memcpy(p, &q, sizeof(q));
	memcpy(p + sizeof(q), r->root.p, r->root.n);
	memcpy(p + sizeof(q) + r->root.n + 1, path.p, path.n);
	return str_make(p, n);
}
