/*
 * What control asks workers (up/look.h): between those two there is no
 * channel, so the frames go over the master, which reads nothing of them.
 * One that finds nobody, or a full channel, is lost; control asks again.
 */
#include "main/master.h"

static bool
is_asked(const struct child *c)
{
	return c->row->count == 0 && c->ready && !c->draining && !c->old;
}

/* Another one each time: the last may hang. */
static struct child *
next_worker(struct master *m)
{
	struct child *c;
	struct list *l;
	unsigned n = 0, at;

	list_each(l, &m->children)
		n += is_asked(container_of(l, struct child, node));
	if (n == 0)
		return NULL;
	at = m->looks++ % n;
	list_each(l, &m->children) {
		c = container_of(l, struct child, node);
		if (is_asked(c) && at-- == 0)
			return c;
	}
	return NULL;
}

void
child_look(struct child *c, const struct frame *f)
{
	const struct proc_row *control = child_row("control");
	struct child *to = NULL;

	if (c->row == control && (f->head.flags & CHAN_F_REPLY) == 0)
		to = next_worker(c->m);
	else if (c->row->count == 0 && (f->head.flags & CHAN_F_REPLY) != 0)
		to = child_find(c->m, control, 0);
	if (to != NULL)
		(void)chan_send(&to->chan, &f->head, f->data, NULL, 0);
}
