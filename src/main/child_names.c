/*
 * Sets of addresses that control sends.  Master.
 *
 * To link one in costs a pass over all rows of servers, so those that come
 * within a few milliseconds share it, and one frame answers them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "main/child.h"
#include "main/master.h"
#include "os/fault.h"
#include "up/names.h"

#define GATHER_MS	5
#define SETS_MAX	1024	/* that wait; 6 KiB each at most */

/* a set as it came */
struct set {
	struct list	 node;		/* of child.sets */
	size_t		 n;
	char		 data[];
};

static void
send_replies(struct child *c, struct text *t)
{
	struct frame_head	 h = { .op = CHAN_NAMES };

	h.len = (uint32_t)t->n;
	/* one that is lost is missed: control sends the sets again */
	if (t->n > 0 && !FAULT("names_lost"))
		(void)chan_send(&c->chan, &h, t->p, NULL, 0);
	t->n = 0;
}

static void
add_reply(struct child *c, struct text *t, const struct set *s, int rc,
    const struct err *e)
{
	struct name_set		 head;
	struct name_reply	 r = { 0 };

	if (s->n < sizeof(head))
		return;
	memcpy(&head, s->data, sizeof(head));
	r.tag = head.tag;
	r.changed = rc == 1;
	r.nwhy = rc == -1 ? (uint32_t)strlen(e->text) : 0;
	if (t->n + sizeof(r) + r.nwhy > CHAN_BYTES)
		send_replies(c, t);
	text_add(t, str_make((const char *)&r, sizeof(r)));
	text_add(t, str_make(e->text, r.nwhy));
}

static void
apply_all(struct child *c)
{
	struct names_pass	*p;
	struct set		*s;
	struct text		 t;
	struct err		 e;
	int			 rc;

	p = names_begin(c->m->proc.shm, c->m->numbers);
	text_init(&t);
	while (!list_is_empty(&c->sets)) {
		s = container_of(c->sets.next, struct set, node);
		rc = FAULT("names_refused") ? err_set(&e, "fault point") :
		    names_apply(p, s->data, s->n, &e);
		add_reply(c, &t, s, rc, &e);
		list_del(&s->node);
		free(s);
	}
	c->nset = 0;
	send_replies(c, &t);
	text_fini(&t);
	names_end(&p);
}

static void
on_pass(struct timer *t)
{
	apply_all(container_of(t, struct child, pass));
}

void
child_names_init(struct child *c)
{
	list_init(&c->sets);
	timer_init(&c->pass, on_pass);
}

void
child_names_take(struct child *c, const struct frame *f)
{
	struct set	*s = must_alloc(sizeof(*s) + f->head.len);

	s->n = f->head.len;
	memcpy(s->data, f->data, s->n);
	list_add_tail(&c->sets, &s->node);
	if (++c->nset >= SETS_MAX) {
		ev_timer_off(c->m->proc.ev, &c->pass);
		apply_all(c);
	} else if (c->nset == 1)
		ev_timer(c->m->proc.ev, &c->pass, GATHER_MS);
}

void
child_names_drop(struct child *c)
{
	struct set	*s;

	ev_timer_off(c->m->proc.ev, &c->pass);
	while (!list_is_empty(&c->sets)) {
		s = container_of(c->sets.next, struct set, node);
		list_del(&s->node);
		free(s);
	}
}
