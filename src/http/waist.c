/*
 * The small common parts of the waist.  Workers and control; the calls
 * themselves go through the ops of sources and sinks.
 */
#include "http/waist.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"

struct file *
file_new(int fd)
{
	struct file	*f = must_alloc(sizeof(*f));

	must(fd >= 0);
	*f = (struct file){ .refs = 1, .fd = fd };
	return f;
}

struct file *
file_ref(struct file *f)
{
	f->refs++;
	return f;
}

void
file_unref(struct file **fp)
{
	struct file	*f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	must(f->refs > 0);
	if (--f->refs > 0)
		return;
	close(f->fd);
	free(f);
}

void
chunk_drop(struct chunk *c)
{
	if (c->kind == CHUNK_PAGE)
		page_unref(&c->u.mem.page);
	else if (c->kind == CHUNK_FILE)
		file_unref(&c->u.file.file);
	c->n = 0;
}

void
waist_hold(struct sink *k)
{
	k->credit = 0;
	k->splice = false;
	if (k->from != NULL && k->from->ops->hold != NULL)
		k->from->ops->hold(k->from);
}

void
waist_join(struct source *from, struct sink *to)
{
	must(from->to == NULL && to->from == NULL);
	from->to = to;
	to->from = from;
}
