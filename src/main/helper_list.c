/*
 * Directories as pages of HTML, for workers that ask.  Helper.
 *
 * Reading a directory and looking at what is in it waits for the disk,
 * and a large one takes its time; so the page is made here, in a memory
 * file that the worker sends like any other.  What a request could not
 * get is not shown: dot files where they are denied, names with a
 * backslash, which no path may have, links that lead out of the root, and
 * what is neither file nor directory.
 */
#include "main/helper_open.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "base/text.h"
#include "base/vec.h"

#define LIST_MAX	10000	/* names of a directory */

struct item {
	char		*name;	/* own */
	bool		 dir;
	uint64_t	 size;
	int64_t		 mtime;
};

struct listing {
	const struct ask_open	*q;
	struct str		 root;
	struct str		 path;
	struct vec		 items;		/* struct item */
	bool			 more;		/* than LIST_MAX */
};

/* --- what is in it --- */

/* A link is what it leads to, if a request could follow it. */
static int
look_at_link(const struct listing *l, const char *name, struct stat *st)
{
	struct text	t;
	int		fd, rc = -1;

	text_init(&t);
	text_fmt(&t, "%.*s%s%s", STR_FMT(l->path),
	    str_ends(l->path, STR("/")) ? "" : "/", name);
	text_c(&t, '\0');
	fd = helper_open(l->root.p, t.p, (enum ask_links)l->q->flags);
	text_fini(&t);
	if (fd != -1) {
		rc = fstat(fd, st);
		close(fd);
	}
	return rc;
}

static void
add(struct listing *l, int dir, const char *name)
{
	struct stat	 st;
	struct item	*it;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    (name[0] == '.' && !l->q->dots) || strchr(name, '\\') != NULL)
		return;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return;
	if (S_ISLNK(st.st_mode) && look_at_link(l, name, &st) == -1)
		return;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return;
	it = vec_push(&l->items);
	*it = (struct item){ must_alloc(strlen(name) + 1),
	    S_ISDIR(st.st_mode), (uint64_t)st.st_size, st.st_mtim.tv_sec };
	memcpy(it->name, name, strlen(name) + 1);
}

static void
read_names(struct listing *l, DIR *d)
{
	const struct dirent	*e;

	while ((e = readdir(d)) != NULL) {
		if (l->items.n == LIST_MAX) {
			l->more = true;
			return;
		}
		add(l, dirfd(d), e->d_name);
	}
}

/* Directories first, then by name. */
static int
compare(const void *a, const void *b)
{
	const struct item	*x = a, *y = b;

	if (x->dir != y->dir)
		return x->dir ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* --- the page --- */

static const char style[] = "body{font-family:sans-serif;margin:2em}"
    "td,th{padding:.15em 1em .15em 0;text-align:left}"
    "td:nth-child(2){text-align:right}";

/* Everything but letters, digits and -._~ is escaped. */
static void
put_link(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char	c = (unsigned char)s.p[i];

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || strchr("-._~", c) != NULL)
			text_c(t, (char)c);
		else
			text_fmt(t, "%%%02X", c);
	}
}

static void
put_item(struct text *t, const struct item *it)
{
	struct str	name = str_from(it->name);
	time_t		at = (time_t)it->mtime;
	struct tm	tm;
	char		date[24] = "";

	if (gmtime_r(&at, &tm) != NULL)
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
	text_add(t, STR("<tr><td><a href=\"./"));
	put_link(t, name);
	text_add(t, it->dir ? STR("/\">") : STR("\">"));
	text_html(t, name);
	text_add(t, it->dir ? STR("/</a></td><td>-") : STR("</a></td><td>"));
	if (!it->dir)
		text_u64(t, it->size);
	text_fmt(t, "</td><td>%s</td></tr>\n", date);
}

static void
put_page(struct text *t, struct listing *l)
{
	const struct item	*v = l->items.p;
	struct str		 path = l->path;

	if (str_eq(path, STR(".")))
		path = STR("");
	text_add(t, STR("<!DOCTYPE html>\n<html><head>"
	    "<meta charset=\"utf-8\">\n<title>/"));
	text_html(t, path);
	text_fmt(t, "</title>\n<style>%s</style></head>\n<body><h1>/", style);
	text_html(t, path);
	text_add(t, STR("</h1>\n<table><tr><th>Name</th><th>Size</th>"
	    "<th>Changed (UTC)</th></tr>\n"));
	if (path.n > 0)
		text_add(t, STR("<tr><td><a href=\"../\">../</a></td>"
		    "<td>-</td><td></td></tr>\n"));
	for (size_t i = 0; i < l->items.n; i++)
		put_item(t, &v[i]);
	text_add(t, STR("</table>\n"));
	if (l->more)
		text_add(t, STR("<p>There are more.</p>\n"));
	text_add(t, STR("</body></html>\n"));
}

/* The text as a memory file, or -1. */
static int
to_file(struct str s)
{
	int	fd = memfd_create("listing", MFD_CLOEXEC);
	ssize_t	n;

	while (fd != -1 && s.n > 0) {
		n = write(fd, s.p, s.n);
		if (n <= 0) {
			close(fd);
			return -1;
		}
		s = str_sub(s, (size_t)n, s.n);
	}
	return fd;
}

int
helper_list(const struct ask_open *q, struct str root, struct str path)
{
	struct listing	 l = { .q = q, .root = root, .path = path };
	struct text	 t;
	struct item	*v;
	DIR		*d;
	int		 fd, rc;

	fd = helper_open(root.p, path.p, (enum ask_links)q->flags);
	d = fd != -1 ? fdopendir(fd) : NULL;
	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	vec_init(&l.items, sizeof(struct item));
	read_names(&l, d);
	closedir(d);
	v = l.items.p;
	if (l.items.n > 1)
		qsort(v, l.items.n, sizeof(*v), compare);
	text_init(&t);
	put_page(&t, &l);
	rc = to_file(text_str(&t));
	text_fini(&t);
	for (size_t i = 0; i < l.items.n; i++)
		free(v[i].name);
	vec_fini(&l.items);
	return rc;
}
