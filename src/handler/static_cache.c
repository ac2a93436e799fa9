/*
 * What was found behind paths lately.  Workers.
 *
 * An entry holds for STATIC_LOOK_MS, after which the path is opened anew;
 * if the same file stands there unchanged, its bytes and fields stay.  So
 * what the cache knows is never older than that, links and directories
 * included, and nothing is trusted that the kernel would not open again.
 * Bounded in entries, bytes and descriptors; the least used goes first.
 */
#include "handler/static_file.h"

#include <sys/resource.h>

#include <stdlib.h>

#include "base/must.h"
#include "core/stat.h"

#define ENTRIES_MAX	4096
#define BYTES_MAX	(32UL << 20)
#define FDS_MAX		512
#define FDS_SHARE	8	/* at most one of so many */

struct static_cache {
	struct list	lru;		/* struct static_entry.node */
	size_t		entries;
	size_t		bytes;
	size_t		fds;
	size_t		max_fds;
};

struct static_cache *
static_cache_new(void)
{
	struct static_cache	*c = must_calloc(1, sizeof(*c));
	struct rlimit		 r;

	list_init(&c->lru);
	c->max_fds = FDS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 &&
	    r.rlim_cur / FDS_SHARE < c->max_fds)
		c->max_fds = (size_t)r.rlim_cur / FDS_SHARE;
	return c;
}

/* Notes what the entry and its files hold now, for these may load later. */
static void
account(struct static_cache *c, struct static_entry *e)
{
	const struct static_file	*f;

	e->bytes = sizeof(*e) + e->key.n;
	e->fds = 0;
	for (unsigned i = 0; i < CODING_N; i++) {
		f = e->file[i];
		if (f == NULL)
			continue;
		e->bytes += sizeof(*f) + (f->page != NULL ? f->size : 0);
		e->fds += f->file != NULL;
	}
	c->bytes += e->bytes;
	c->fds += e->fds;
	stat_add(STAT_STATIC_BYTES, e->bytes);
}

static void
clear(struct static_cache *c, struct static_entry *e)
{
	for (unsigned i = 0; i < CODING_N; i++)
		static_file_unref(&e->file[i]);
	e->have = 0;
	c->bytes -= e->bytes;
	c->fds -= e->fds;
	stat_sub(STAT_STATIC_BYTES, e->bytes);
	e->bytes = 0;
	e->fds = 0;
}

static void
del(struct static_cache *c, struct static_entry *e)
{
	clear(c, e);
	map_del(static_site_entries(e->site), e->key);
	list_del(&e->node);
	c->entries--;
	stat_sub(STAT_STATIC_ENTRIES, 1);
	free(e);
}

/* The newest stays in any case. */
static void
shrink(struct static_cache *c)
{
	struct static_entry	*e;

	while (c->entries > ENTRIES_MAX || c->bytes > BYTES_MAX ||
	    c->fds > c->max_fds) {
		e = container_of(c->lru.prev, struct static_entry, node);
		if (&e->node == c->lru.next)
			return;
		del(c, e);
	}
}

struct static_entry *
static_cache_find(struct static_cache *c, struct static_site *site,
    struct str key)
{
	struct static_entry	*e = map_find(static_site_entries(site), key);

	if (e != NULL && c->lru.next != &e->node) {
		list_del(&e->node);
		list_add(&c->lru, &e->node);
	}
	return e;
}

static struct static_entry *
make(struct static_cache *c, struct static_site *site, struct str key)
{
	struct static_entry	*e = must_calloc(1, sizeof(*e) + key.n);

	memcpy(e->text, key.p, key.n);
	e->key = str_make(e->text, key.n);
	e->site = site;
	list_add(&c->lru, &e->node);
	map_add(static_site_entries(site), e->key, e);
	c->entries++;
	stat_add(STAT_STATIC_ENTRIES, 1);
	return e;
}

struct static_entry *
static_cache_put(struct static_cache *c, struct serve *s,
    struct static_site *site, struct str key, enum static_kind kind,
    struct static_file *const file[CODING_N])
{
	struct static_entry	*e = static_cache_find(c, site, key);

	if (e == NULL)
		e = make(c, site, key);
	clear(c, e);
	for (unsigned i = 0; i < CODING_N; i++) {
		if (file == NULL || file[i] == NULL)
			continue;
		e->file[i] = static_file_ref(file[i]);
		e->have |= 1u << i;
	}
	account(c, e);
	e->kind = kind;
	e->until_ms = ev_ms(s->ev) + STATIC_LOOK_MS;
	shrink(c);
	return e;
}

void
static_cache_drop(struct static_cache *c, struct static_site *site)
{
	struct list		*pos, *tmp;
	struct static_entry	*e;

	list_each_safe(pos, tmp, &c->lru) {
		e = container_of(pos, struct static_entry, node);
		if (e->site == site)
			del(c, e);
	}
}

void
static_cache_free(struct static_cache **cp)
{
	struct static_cache	*c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	while (!list_is_empty(&c->lru))
		del(c, container_of(c->lru.next, struct static_entry, node));
	free(c);
}
