/*
 * Opening files below the roots of routes.  Workers.
 *
 * A process keeps one descriptor per root, by the root's path, so that a
 * request walks its own path only.  Who deploys by moving a link or a
 * directory in place is noticed: once a second the path is looked at and
 * the descriptor made anew if it leads elsewhere.  What is not in the
 * kernel's caches is opened by a helper; so are links that leave the root
 * in the kernel's eyes but may end inside it after all.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "handler/static.h"
#include "os/fs.h"

#define LOOK_MS	1000

struct root {
	int		fd;		/* own; O_PATH */
	uint64_t	looked_ms;
	bool		used;		/* by the generation to come */
	size_t		n;
	char		path[];		/* n bytes and a NUL */
};

static struct map *
map_of(struct serve *s)
{
	void	**state = serve_state(s, &static_part);

	if (*state == NULL) {
		*state = must_calloc(1, sizeof(struct map));
		map_init(*state, rand_next(&s->rand));
	}
	return *state;
}

static struct root *
make_root(struct serve *s, struct str path)
{
	struct root	*r = must_calloc(1, sizeof(*r) + path.n + 1);
	int		 error;

	memcpy(r->path, path.p, path.n);
	r->n = path.n;
	r->fd = open(r->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->fd == -1) {
		error = errno;
		free(r);
		errno = error;
		return NULL;
	}
	r->looked_ms = ev_ms(s->ev);
	map_add(map_of(s), str_make(r->path, r->n), r);
	return r;
}

/* Does the path lead where it did? */
static void
look_again(struct serve *s, struct root *r)
{
	struct stat	was, is;
	int		fd;

	if (ev_ms(s->ev) - r->looked_ms < LOOK_MS)
		return;
	r->looked_ms = ev_ms(s->ev);
	if (stat(r->path, &is) == -1 || fstat(r->fd, &was) == -1 ||
	    (is.st_dev == was.st_dev && is.st_ino == was.st_ino))
		return;
	fd = open(r->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return;
	close(r->fd);
	r->fd = fd;
}

static struct root *
find_root(struct serve *s, struct str path)
{
	struct root	*r = map_find(map_of(s), path);

	if (r == NULL)
		return make_root(s, path);
	look_again(s, r);
	return r;
}

/* --- generations --- */

static int
prepare(struct serve *s, const struct conf *c, struct err *e)
{
	struct conf_objs	 all = conf_all(c, &route_section);
	const struct static_route *r;
	struct root		*root;

	for (size_t i = 0; i < all.n; i++) {
		r = conf_part(all.v[i], &static_group);
		if (r->root.n == 0)
			continue;
		root = find_root(s, r->root);
		/* one that is not there yet is opened when it is asked for */
		if (root == NULL && errno == ENOENT)
			continue;
		if (root == NULL)
			return err_sys(e, "route \"%.*s\": static \"%.*s\"",
			    STR_FMT(all.v[i]->name), STR_FMT(r->root));
		root->used = true;
	}
	return 0;
}

/* Closes what nobody wants; all: of the wanted ones too. */
static void
sweep(struct serve *s, bool all)
{
	struct map	*m = map_of(s);
	struct str	 key;
	struct root	*r;
	void		*val;
	size_t		 i = 0;

	while (map_next(m, &i, &key, &val)) {
		r = val;
		if (!r->used || all) {
			map_del(m, key);
			close(r->fd);
			free(r);
			i = 0;	/* the table has changed */
		}
	}
	for (i = 0; map_next(m, &i, &key, &val);)
		((struct root *)val)->used = false;
}

static void
commit(struct serve *s, const struct conf *c)
{
	(void)c;
	sweep(s, false);
}

static void
cancel(struct serve *s)
{
	struct str	 key;
	void		*val;
	size_t		 i = 0;

	while (map_next(map_of(s), &i, &key, &val))
		((struct root *)val)->used = false;
}

static void
fini(struct serve *s)
{
	void	**state = serve_state(s, &static_part);

	sweep(s, true);
	map_fini(*state);
	free(*state);
	*state = NULL;
}

const struct serve_part static_part = {
	"static", prepare, commit, cancel, fini
};

/* --- opening --- */

int
static_open(struct serve *s, const struct static_route *r, const char *path)
{
	struct root	*root = find_root(s, r->root);
	unsigned	 flags = s->ask != NULL ? FS_CACHED : 0;
	int		 fd;

	if (root == NULL)
		return -1;
	if (r->links == ASK_LINKS_OFF)
		flags |= FS_NO_LINKS;
	if (r->links == ASK_LINKS_FOLLOW)
		flags |= FS_ANYWHERE;
	fd = fs_open_below(root->fd, path, flags);
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
	    .path_n = (uint32_t)path.n, .flags = (uint32_t)r->links };
	size_t		 n = sizeof(q) + r->root.n + path.n + 2;
	char		*p = arena_alloc(a, n);

	memcpy(p, &q, sizeof(q));
	memcpy(p + sizeof(q), r->root.p, r->root.n);
	memcpy(p + sizeof(q) + r->root.n + 1, path.p, path.n);
	return str_make(p, n);
}
